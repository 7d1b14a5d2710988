"""What all commands have in common: --json, -v, and a logger that speaks on stderr."""

from __future__ import annotations

import logging
from collections.abc import Callable

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.wording import printable

_LOGGER = logging.getLogger("mlflow_versioned_store")
_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def command(function: Callable[..., None]) -> click.Command:
    """Make a function the command of its module; its docstring is the help."""
    made = click.command()(function)
    made.params += _common_options()
    made.name = function.__module__.rpartition(".")[2].replace("_", "-")
    return made


class _Messages(logging.Handler):
    """Prints what is logged on stderr, a line each."""

    def emit(self, record: logging.LogRecord) -> None:
        line = printable(" ".join(record.getMessage().split()))
        click.echo(f"{record.levelname.capitalize()}: {line}", err=True)


def _ask_json(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    output.ask_json(context, wanted=wanted)


def _ask_verbose(context: click.Context, _: click.Parameter, count: int) -> None:
    output.ask_verbose(context, wanted=count > 0)
    handler, level = _Messages(), _LOGGER.level
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(_LEVELS[min(count, len(_LEVELS) - 1)])

    def close() -> None:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)

    context.call_on_close(close)


def _common_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_ask_json,
            help="Print one JSON document: times in ISO 8601, sizes in bytes.",
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            callback=_ask_verbose,
            help="Say on stderr what is done, and more of what fails; -vv everything.",
        ),
    ]
