"""State: layers answer as one table would, however the rows are spread over them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.history.layers import Delta, Overlay
from mlflow_versioned_store.history.paths import sort_key
from mlflow_versioned_store.history.state import State
from mlflow_versioned_store.history.versions import Version

NAMES = st.sampled_from(["a", "b", "a-b", "c.txt", "ä"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
STATUSES = st.sampled_from(["live", "live", "deleted", "expired", "purged"])
ROWS = st.builds(
    Version,
    path=PATHS,
    number=st.integers(1, 4),
    commit=st.just(1),
    change=st.just(0),
    entry=st.just(0),
    size=st.integers(0, 9),
    sha256=st.just(""),
    time=st.just(0),
    kind=st.sampled_from(["file", "file", "folder"]),
    status=STATUSES,
)
STRETCHES = st.lists(st.lists(ROWS, max_size=8, unique_by=lambda row: (row.path, row.number)), max_size=6)


def _layered(stretches: list[list[Version]]) -> State:
    """Return a state of one layer a stretch, the last one the newest."""
    return State("r", recent=[Overlay(rows) for rows in reversed(stretches)])


def _model(stretches: list[list[Version]]) -> dict[str, dict[int, Version]]:
    table: dict[str, dict[int, Version]] = {}
    for rows in stretches:
        for row in rows:
            table.setdefault(row.path, {})[row.number] = row
    return table


def _current(table: dict[str, dict[int, Version]]) -> dict[str, Version]:
    newest = {path: numbered[max(numbered)] for path, numbered in table.items()}
    return {path: row for path, row in newest.items() if row.status == "live"}


@given(STRETCHES, PATHS)
def test_layers_answer_as_one_table(stretches: list[list[Version]], path: str) -> None:
    """Whatever is asked of a path, the newest row of every version counts, and the highest number is current."""
    state, table = _layered(stretches), _model(stretches)
    current = _current(table)
    numbered = table.get(path, {})
    assert state.versions(path) == [numbered[number] for number in sorted(numbered)]
    assert state.latest(path) == (numbered[max(numbered)] if numbered else None)
    assert state.get(path) == current.get(path)
    assert [state.version(path, number) for number in range(5)] == [numbered.get(number) for number in range(5)]
    rows = [row for numbered in table.values() for row in numbered.values()]
    assert list(state.all_versions()) == sorted(rows, key=lambda row: (sort_key(row.path), row.number))
    below = {other: row for other, row in current.items() if other.startswith(path + "/")}
    assert [row.path for row in state.below(path)] == sorted(below, key=sort_key)
    folder = current[path].kind == "folder" if path in current else bool(below)
    assert state.has_folder(path) == folder
    was_folder = any(row.kind == "folder" for row in numbered.values()) or any(p.startswith(path + "/") for p in table)
    assert state.had_folder(path) == was_folder
    assert state.had(path) == (was_folder or bool(numbered))


@given(STRETCHES, PATHS | st.just(""))
def test_walking_and_listing_agree(stretches: list[list[Version]], folder: str) -> None:
    """Children are the first components of what is below, files with their version; empty folders are walked."""
    state, current = _layered(stretches), _current(_model(stretches))
    prefix = folder + "/" if folder else ""
    below = {path: row for path, row in current.items() if path.startswith(prefix) and path != folder}
    names: dict[str, Version | None] = {}
    for path in sorted(below, key=sort_key):
        name = path[len(prefix) :].partition("/")[0]
        is_file = path == prefix + name and below[path].kind == "file"
        names.setdefault(name, below[path] if is_file else None)
    assert list(state.children(folder)) == list(names.items())
    walked = [
        path
        for path in sorted(below, key=sort_key)
        if below[path].kind == "file" or not any(other.startswith(path + "/") for other in below)
    ]
    assert [row.path for row in state.walk(folder)] == walked


def test_listing_skips_large_subfolders() -> None:
    """A folder with many files is one name among its neighbours."""
    rows = [Version(f"d/{index:04d}", 1, 1, 0, 0, 0, "", 0) for index in range(500)]
    rows += [Version(path, 1, 1, 0, 0, 0, "", 0) for path in ("a", "d-x", "e/f")]
    state = State("r", recent=[Overlay(rows)])
    assert [name for name, _ in state.children("")] == ["a", "d", "d-x", "e"]
    assert len(list(state.children("d"))) == 500


def test_a_state_stays_as_it_was_when_commits_follow() -> None:
    """A state that somebody holds never changes under their hands."""
    before = State("r").followed_by(Delta(1, [Version("a", 1, 1, 0, 0, 0, "", 0)], {}), digest="x", time=5)
    after = before.followed_by(Delta(2, [Version("a", 2, 2, 0, 0, 0, "", 0)], {("a", 2): {"k": 1}}), digest="y", time=6)
    assert ([v.number for v in before.versions("a")], before.number, dict(before.notes("a", 2))) == ([1], 1, {})
    assert ([v.number for v in after.versions("a")], after.number, dict(after.notes("a", 2))) == ([1, 2], 2, {"k": 1})


@given(st.lists(ROWS, max_size=8, unique_by=lambda row: (row.path, row.number)))
def test_deltas_come_back(rows: list[Version]) -> None:
    """A delta is written with all its rows and annotations."""
    made = Delta(7, rows, {("", 0): {"k": [1]}, ("a", 2): {}})
    found = Delta.of_text(made.text)
    assert (found.number, found.rows, found.notes, found.text) == (7, made.rows, made.notes, made.text)
