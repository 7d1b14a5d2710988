"""`mvs` itself: which commands there are, and how each of them ends."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import click

from mlflow_versioned_store import __version__
from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.failures import EXIT_CODES, INTERRUPTED, Failure, of_system
from mlflow_versioned_store.errors import InvalidInput, VersionedStoreError

# What `mvs --help` lists. A command is the `command` of the module of its name.
SECTIONS: Mapping[str, Sequence[str]] = {
    "Versions": ("ls", "versions", "log", "cat", "get", "diff"),
    "Changes": ("put", "rm", "restore", "alias", "tag", "annotate"),
    "Other tools": ("materialize", "url", "adopt", "export", "relocate", "serve-s3"),
    "Stores": ("init", "info", "stats", "settings", "doctor", "orphans", "policy", "repair", "rescope"),
    "This machine": ("cache", "completion"),
}


class Commands(click.Group):
    """The commands, each imported by its name; every error of theirs ends in one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(chain.from_iterable(SECTIONS.values()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"mlflow_versioned_store.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.list_commands(ctx)))
        for section, names in SECTIONS.items():
            with formatter.section(section):
                commands = [(name, self.get_command(ctx, name)) for name in names]
                rows = [(name, command.get_short_help_str(limit=200)) for name, command in commands if command]
                formatter.write_dl([(name.ljust(width), text) for name, text in rows])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])

    def main(self, *args: Any, **extra: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            # A name that the terminal's encoding lacks is shown as an escape, and ends no command.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        return super().main(*args, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note whether JSON is asked for: a command line that cannot be parsed is answered so, too."""
        output.ask_json(ctx, wanted="--json" in args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().invoke(ctx)
        except VersionedStoreError as error:
            raise Failure(error, ctx) from error
        except click.UsageError as error:
            if not output.wants_json(ctx):
                raise
            raise Failure(InvalidInput(error.format_message()), ctx) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # Whoever read what is printed has seen enough.
            if error.filename is None:
                _give_up_output()
            raise Failure(of_system(error), ctx) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None


def _give_up_output() -> None:
    """Let what could not be printed go: Python would try it once more at its end, and fail with words of its own."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.command("mvs", cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mvs")
def main() -> None:
    """See, read, compare, name and move the versions of MLflow artifacts.

    An ADDRESS is the URI of an artifact: versioned-s3://bucket/prefix/1/<run>/artifacts/data/train.csv is its newest
    version, …/train.csv@v2 its second, @2026-11-01T12:00:00Z what it was then, @gold an alias, …/data@c5 a folder as of
    commit 5. runs:/<run id>/data and models:/<name>/<version> lead there too.
    """
