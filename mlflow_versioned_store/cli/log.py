"""`mvs log`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import locate
from mlflow_versioned_store.cli.command import command as _command

if TYPE_CHECKING:
    from mlflow_versioned_store.api.stores import ArtifactRoot
    from mlflow_versioned_store.history.records import Change, Commit, Entry

# What a commit did at a path: a change, and its entries there.
_Did: TypeAlias = "tuple[Change, Sequence[Entry]]"

_NAMED_MAX = 3
_OWNERS = ("run_id", "model_id", "trace_id")


@_command
@click.argument("address")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    metavar="COUNT",
    help="Show so many commits, 0 for all; 20 by default.",
)
def command(address: str, limit: int) -> None:
    """Tell what happened to an artifact root, or to one path of it: when, who did what, and for which run.

    The newest commit comes first; each costs one request. An address with a version or time means its path.
    """
    root, inside = locate(address)
    path = root.engine.find(inside).path if "@" in inside else inside
    state = root.engine.log.state()
    oldest = state.number - limit + 1 if limit else 1
    history = root.history(path) if path else root.engine.history(oldest=oldest)
    commits = list(islice(history, limit or None))
    more = bool(limit) and len(commits) == limit and commits[-1].number > 1
    described = [(commit, list(_concerned(root, commit, path))) for commit in commits]
    output.show(
        {
            "root": root.uri,
            "path": path,
            "commits": [_document(commit, changes) for commit, changes in described],
            "more": more,
        },
        lambda: _print(described),
    )
    if more and not output.wants_json():
        output.note(f"Older commits were not read; -n {10 * limit} shows more, -n 0 all.")


def _concerned(root: ArtifactRoot, commit: Commit, path: str) -> Iterator[_Did]:
    """Yield the changes of a commit that did something to a path or below it, with what they did there."""
    for change in commit.changes:
        entries = [
            entry
            for entry in root.engine.log.entries(change)
            if not path or entry.path == path or entry.path.startswith(f"{path}/")
        ]
        if entries or not path:
            yield change, entries


def _document(commit: Commit, done: Sequence[_Did]) -> dict[str, Any]:
    changes = [
        {
            "operation": change.operation,
            "who": change.who,
            "context": change.context,
            "entries": [_entry_document(entry) for entry in entries],
            "unchanged": change.unchanged.count if change.unchanged else 0,
        }
        for change, entries in done
    ]
    return {"commit": commit.number, "time": output.iso(commit.time), "changes": changes}


def _entry_document(entry: Entry) -> dict[str, Any]:
    names = ("path", "kind", "action", "version", "size", "sha256", "note")
    return {name: getattr(entry, name) for name in names}


def _print(described: Sequence[tuple[Commit, Sequence[_Did]]]) -> None:
    columns = [
        output.Column("COMMIT", "right"),
        output.Column("TIME (UTC)"),
        output.Column("WHO"),
        output.Column("RUN, MODEL OR TRACE", dim=True, spare=True),
        output.Column("WHAT"),
    ]
    rows = []
    for commit, done in described:
        for change, entries in done:
            user = change.who.get("user", {}).get("name", "")
            owner = next((str(change.context[key]) for key in _OWNERS if key in change.context), "")
            rows.append(
                (f"c{commit.number}", output.moment(commit.time), user, owner, _what(commit.root, change, entries))
            )
    output.table(columns, rows)


def _what(root: str, change: Change, entries: Sequence[Entry]) -> str:
    """Say in one line what a change did: "upload a.csv@@v2, b.csv@@v1 and 7 more, 3 unchanged"."""
    named = ", ".join(_named(root, entry) for entry in entries[:_NAMED_MAX])
    parts = [named] if named else []
    if len(entries) > _NAMED_MAX:
        parts = [f"{named} and {len(entries) - _NAMED_MAX:,} more"]
    if change.unchanged:
        parts.append(f"{change.unchanged.count:,} unchanged")
    return f"{change.operation} {', '.join(parts)}".rstrip()


def _named(root: str, entry: Entry) -> str:
    from mlflow_versioned_store.history.addresses import format_address

    address = format_address(entry.path, entry.version) if entry.version else entry.path or "the whole root"
    notes = entry.note if isinstance(entry.note, dict) else {}
    said = ", ".join(_said(root, key, value) for key, value in notes.items())
    return f"{address} ({said})" if said else address


def _said(root: str, key: str, value: Any) -> str:
    if value is None:
        return f"{key} removed"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"from {text.removeprefix(f'{root}/')}" if key == "from" else f"{key}={text}"
