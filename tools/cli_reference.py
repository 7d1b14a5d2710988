"""Prints the reference of `mvs` from its own help.

python tools/cli_reference.py > docs/cli.md
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from mlflow_versioned_store.cli import main
from mlflow_versioned_store.cli.failures import EXIT_CODES
from mlflow_versioned_store.cli.group import SECTIONS

COLUMNS = 100
INTRODUCTION = """\
# Command line

`mvs` is installed with the package; `python -m mlflow_versioned_store` is the same. A recorded
[session](session.md) shows it at work. This page is what `mvs COMMAND --help` says, written by
`tools/cli_reference.py`.

## What all commands have in common

- An ADDRESS is the full URI of an artifact, such as
  `versioned-s3://bucket/prefix/1/<run>/artifacts/data/train.csv`, followed by `@v2`, a time, an alias or a commit where
  another version than the newest is meant. `runs:/<run id>/data` and `models:/<name>/<version>` are asked of MLflow.
- `--json` prints one document on one line: sizes are bytes, times are ISO 8601 in UTC, and an `address` leads to that
  version for ever. A failure is a document too: `{"error": {"kind": …, "message": …, "key": …, "request_id": …,
  "attempts": …}}`.
- Errors are one line on stderr, `-v` adds what is known of the request, and the exit code says what kind it is.
- Tables have no colours where `NO_COLOR` is set or the output is no terminal. Control characters in names are shown as
  escapes.
"""


def reference() -> str:
    """Return the page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield INTRODUCTION
    yield "## Exit codes\n"
    yield "| code | meaning |"
    yield "| --- | --- |"
    yield from (f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())
    with click.Context(main, info_name="mvs", terminal_width=COLUMNS, **main.context_settings) as group:
        for section, names in SECTIONS.items():
            yield f"\n## {section}"
            for name in names:
                command = main.get_command(group, name)
                assert command is not None, name
                with click.Context(command, group, name, terminal_width=COLUMNS) as context:
                    yield f"\n### mvs {name}\n\n```text\n{command.get_help(context)}\n```"
    yield ""


if __name__ == "__main__":
    print(reference(), end="")
