"""`tools/rescue.py` gets every version out of a copied store, with nothing of this package."""

from __future__ import annotations

import ast
import hashlib
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.content.locations import encode_content
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.history.records import Draft, DraftEntry
from mlflow_versioned_store.store import create_store
from mlflow_versioned_store.testing import invariants
from tests.content.making import lend
from tests.golden.test_golden import HERE, ROOT, STORES, expected_of

RESCUE = Path(__file__).resolve().parents[1] / "tools" / "rescue.py"


def rescue(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the program where it can import nothing of this package."""
    command = [sys.executable, "-I", str(RESCUE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, timeout=120)


def test_it_is_one_short_file_that_stands_alone() -> None:
    """It has at most 150 lines and imports two packages besides the standard library."""
    source = RESCUE.read_text(encoding="utf-8")
    assert source.count("\n") <= 150
    nodes = list(ast.walk(ast.parse(source)))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} - sys.stdlib_module_names == {"blake3", "zstandard"}


@pytest.mark.parametrize(("format_", "digest"), STORES)
def test_it_gets_every_version_out(format_: Path, digest: str, tmp_path: Path) -> None:
    """Every file version of a golden store is written, and is what was logged; so are deleted ones."""
    done = rescue(format_ / digest, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    written = {
        path.relative_to(tmp_path).as_posix(): [path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert written == {
        f"{root}/{address}".lstrip("/"): content
        for root, expected in expected_of(format_, digest).items()
        for address, content in expected["versions"].items()
        if content is not None
    }


@pytest.mark.parametrize(("format_", "digest"), STORES)
def test_it_lists_every_version(format_: Path, digest: str) -> None:
    """Without a destination it names all that is there, empty folders too."""
    names = [line[22:] for line in rescue(format_ / digest).stdout.splitlines()]
    assert sorted(names) == sorted(
        f"{root}/{address}".lstrip("/")
        for root, expected in expected_of(format_, digest).items()
        for address in expected["versions"]
    )


@pytest.mark.parametrize(
    ("name", "count"), [("data/table.csv@@v3", 1), ("data/table.csv", 9), ("data", 10), ("dat", 0), ("many", 21)]
)
def test_it_writes_what_is_named(name: str, count: int, tmp_path: Path) -> None:
    """A name is a version, a path with all its versions, or a folder with all that is in it."""
    assert rescue(HERE / "format-1" / "blake3", tmp_path, f"{ROOT}/{name}").returncode == 0
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == count


def test_it_reads_what_is_written_today(tmp_path: Path) -> None:
    """What the package itself writes today is rescued: many commits, several packs, deltas over packs."""
    folder = tmp_path / "store"
    root = create_store(f"versioned-file://{folder}").root(ROOT)
    rows = [f"{number},{hashlib.sha256(b'%d' % number).hexdigest()}\n" for number in range(20_000)]
    digests = {}
    for number in range(1, 8):
        rows[:: 100 * number] = [f"{number},changed\n"] * len(rows[:: 100 * number])
        data = "".join(rows).encode()
        root.upload([Item("t.csv", data)], context=Context())
        digests[f"t.csv@@v{number}"] = hashlib.sha256(data).hexdigest()
    assert rescue(folder, tmp_path / "out").returncode == 0
    out = tmp_path / "out" / ROOT
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()} == digests


def test_it_finds_what_is_borrowed_from_adopted_objects(tmp_path: Path) -> None:
    """Chunks of a plain object of the copy are read there; where it changed, it is told which object is needed."""
    folder, data = tmp_path / "store", b"".join(hashlib.sha256(b"%d" % at).digest() for at in range(40_000))
    store = create_store(f"versioned-file://{folder}")
    root = store.root(ROOT)
    lent = lend(root.domain, f"{ROOT}/big", data)
    entry = DraftEntry("big", "file", len(data), at={"native": f"{ROOT}/big"})
    invariants.log_of(store, ROOT).append([Draft(uuid.uuid4().hex, "upload", (entry,), encode_content(lent))])
    logged = {"same": data, "edited": data[:700_000] + b"new" + data[700_000:]}
    root.upload([Item(name, content) for name, content in logged.items()], context=Context())
    assert sum(path.stat().st_size for path in (folder / "_mvs/data").rglob("*") if path.is_file()) < len(data) / 10
    assert rescue(folder, tmp_path / "out").returncode == 0
    for name, content in logged.items():
        assert (tmp_path / "out" / ROOT / f"{name}@@v1").read_bytes() == content
    (folder / ROOT / "big").write_bytes(data[::-1])
    done = rescue(folder, tmp_path / "again", f"{ROOT}/same")
    assert done.returncode == 1
    assert f"same@@v1: ValueError: its bytes are not in the store as they were: [['{ROOT}/big', " in done.stderr


def test_it_passes_over_what_is_damaged(tmp_path: Path) -> None:
    """A flipped bit in a pack costs the versions that need it, which are named; the others are written."""
    store = tmp_path / "store"
    shutil.copytree(HERE / "format-1" / "blake3", store)
    largest = max((store / "_mvs/data/all/packs").rglob("*/*"), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    done = rescue(store, tmp_path / "out")
    assert done.returncode == 1
    lost = {line.partition(": ")[0] for line in done.stderr.splitlines()}
    assert f"{ROOT}/data/table.csv@@v1" in lost
    assert all("data/table.csv@@v" in name for name in lost)
    assert (tmp_path / "out" / ROOT / "data/model.bin@@v1").is_file()
    assert not any((tmp_path / "out" / name).exists() for name in lost)


def test_it_says_which_commit_is_gone(tmp_path: Path) -> None:
    """A missing commit is told, and what the others made is written."""
    store = tmp_path / "store"
    shutil.copytree(HERE / "format-1" / "blake3", store)
    (store / "_mvs/log" / ROOT / "_c/999999999998").unlink()
    done = rescue(store, tmp_path / "out")
    assert done.returncode == 1
    assert "999999999997: ValueError: the commit before it is missing" in done.stderr
    assert not (tmp_path / "out" / ROOT / "data/table.csv@@v1").exists()
    assert (tmp_path / "out" / ROOT / "data/table.csv@@v2").is_file()


def test_it_neither_fetches_nor_climbs_out(tmp_path: Path) -> None:
    """A version that lies elsewhere is told with its address; one that points out of the copy is refused."""
    (tmp_path / "secret").write_bytes(b"s")
    store = create_store(f"versioned-file://{tmp_path / 'store'}")
    sha256 = hashlib.sha256(b"s").hexdigest()
    entries = (
        DraftEntry("elsewhere", size=1, sha256=sha256, at={"reference": "s3://other/key"}),
        DraftEntry("outside", size=1, sha256=sha256, at={"native": "../secret"}),
    )
    invariants.log_of(store, ROOT).append([Draft(uuid.uuid4().hex, "upload", entries)])
    done = rescue(tmp_path / "store", tmp_path / "out")
    assert done.returncode == 1
    assert "elsewhere@@v1: ValueError: its bytes are not in the store: {'reference': 's3://other/key'}" in done.stderr
    assert "outside@@v1: ValueError: no file can have the name '../secret'" in done.stderr
    assert not any(path.is_file() and path.stat().st_size for path in (tmp_path / "out").rglob("*"))
