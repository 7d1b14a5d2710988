"""Arrays of numbers, against NumPy itself."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from mlflow_versioned_store.diff import FileDiff
from mlflow_versioned_store.diff.arrays import ArrayDiff, ArraysDiff
from tests.diff.making import compared

TYPES = ["f2", "f4", "f8", "c8", "i1", "u2", "i8", "?", ">f4"]


def npy(array: Any, **more: Any) -> bytes:
    """Return a .npy file."""
    file = io.BytesIO()
    np.save(file, array, **more)
    return file.getvalue()


def npz(**arrays: Any) -> bytes:
    """Return a compressed .npz file."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def raw_safetensors(data: bytes, **tensors: tuple[str, list[int], int, int]) -> bytes:
    """Return a safetensors file written by hand: type, shape, start and stop of each tensor."""
    header = {
        name: {"dtype": type_, "shape": shape, "data_offsets": [start, stop]}
        for name, (type_, shape, start, stop) in tensors.items()
    }
    written = json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + data


def arrays_of(diff: FileDiff) -> ArraysDiff:
    """Return what was found in files of arrays."""
    assert diff.warnings == ()
    assert isinstance(diff.detail, ArraysDiff)
    return diff.detail


def one_of(diff: FileDiff) -> ArrayDiff:
    """Return the one array that differs."""
    (found,) = arrays_of(diff).shown
    return found


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TYPES), st.integers(0, 2**32), st.integers(1, 40))
def test_elements_are_counted_and_measured(type_: str, seed: int, size: int) -> None:
    """How many elements changed, by how much at most and in the mean, is what NumPy finds."""
    import tempfile

    random = np.random.default_rng(seed)
    a = (random.normal(size=size) * 3).astype(type_)
    b = np.where(random.random(size) < 0.3, (random.normal(size=size) * 3).astype(type_), a).astype(type_)
    if a.dtype.kind == "f":
        a[random.random(size) < 0.1] = np.nan
        b[np.isnan(a) & (random.random(size) < 0.5)] = np.nan
        b[random.random(size) < 0.05] = np.inf
    with tempfile.TemporaryDirectory() as folder:
        diff = compared(Path(folder), "x.npy", npy(a), npy(b))
    differ = (a != b) & ~(np.isnan(a) & np.isnan(b))
    if not differ.any():
        assert diff.equal or arrays_of(diff).same == 1
        return
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore"):
        sizes = np.where(differ, np.abs(b.astype(wide) - a.astype(wide)), 0)
    finite = np.isfinite(sizes)
    found = one_of(diff)
    assert (found.changed, found.unmeasured) == (differ.sum(), (~finite).sum())
    if (differ & finite).any():
        assert found.largest == pytest.approx(sizes[finite].max())
        assert found.mean == pytest.approx(sizes[finite].mean())
    else:
        assert (found.largest, found.mean) == (None, None)


@pytest.mark.parametrize(
    ("b", "said"),
    [
        ([np.inf, 2.0], "1 element changed; 1 from or to NaN or infinity"),
        ([np.nan, 3.0], "2 changed, by up to 1, mean 1; 1 from or to NaN or infinity"),
    ],
)
def test_changes_without_a_size_are_counted(tmp_path: Path, b: list[float], said: str) -> None:
    """An element that became NaN or infinite has not changed by 0: it is counted apart."""
    assert said in compared(tmp_path, "x.npy", npy(np.array([1.0, 2.0])), npy(np.array(b))).text()


def test_arrays_of_one_name_belong_together(tmp_path: Path) -> None:
    """Arrays are added, removed and changed by name."""
    same, old = np.arange(5), np.zeros((2, 3), "f4")
    diff = arrays_of(
        compared(tmp_path, "x.npz", npz(same=same, w=old, gone=same), npz(same=same, w=old + 1, come=same))
    )
    assert (diff.same, diff.added, diff.removed, diff.changed) == (1, 1, 1, 1)
    assert {one.name: (one.kind, one.changed, one.largest) for one in diff.shown} == {
        "w": ("changed", 6, 1.0),
        "gone": ("removed", None, None),
        "come": ("added", None, None),
    }


def test_many_blocks(tmp_path: Path) -> None:
    """Arrays larger than a block are compared to their end."""
    a = np.zeros(3_000_000, "f4")
    b = a.copy()
    b[-1] = 3
    found = one_of(compared(tmp_path, "x.npy", npy(a), npy(b)))
    assert (found.changed, found.largest) == (1, 3.0)
    assert found.mean == pytest.approx(1e-6)


@pytest.mark.parametrize(
    ("a", "b", "note"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), "another shape"),
        (np.zeros((2, 3)), np.asfortranarray(np.zeros((2, 3))), "elements are stored in another order"),
        (np.array(["a"]), np.zeros(1), "another type"),
    ],
)
def test_what_cannot_be_compared_is_said(tmp_path: Path, a: Any, b: Any, note: str) -> None:
    """Arrays of other shapes, orders and types differ, and the reader is told that elements were not compared."""
    found = one_of(compared(tmp_path, "x.npy", npy(a), npy(b)))
    assert (found.changed, found.note) == (None, note)


def test_types_of_numbers_are_compared_by_value(tmp_path: Path) -> None:
    """The same numbers as another type are a change of the type alone."""
    found = one_of(compared(tmp_path, "x.npy", npy(np.arange(4, dtype="f4")), npy(np.arange(4, dtype="f8"))))
    assert (found.a_type, found.b_type, found.changed, found.largest) == ("<f4", "<f8", 0, 0.0)


@pytest.mark.parametrize("type_", ["U3", "S3", "M8[s]", [("x", "f4"), ("y", "i2")]], ids=str)
def test_elements_that_are_no_numbers(tmp_path: Path, type_: Any) -> None:
    """Elements that are no numbers are counted where their bytes differ."""
    a = np.zeros(6, type_)
    b = a.copy()
    b[4] = np.ones(1, type_)[0]
    found = one_of(compared(tmp_path, "x.npy", npy(a), npy(b)))
    assert (found.changed, found.largest) == (1, None)


class Bomb:
    """What must not be unpickled."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("a pickle was executed",)


def test_pickles_are_never_executed(tmp_path: Path) -> None:
    """Arrays of objects are not read."""
    a, b = (npy(np.array([Bomb(), at], dtype=object), allow_pickle=True) for at in (1, 2))
    with pytest.raises(pytest.fail.Exception, match="executed"):
        np.load(io.BytesIO(a), allow_pickle=True)
    found = one_of(compared(tmp_path, "x.npy", a, b))
    assert found.note == "objects, which only unpickling could read"
    diff = compared(tmp_path, "x.npz", pickle.dumps(Bomb()), pickle.dumps([Bomb()]))
    assert diff.kind == "data"


def test_safetensors(tmp_path: Path) -> None:
    """Tensors are compared by name, shape and value, as safetensors itself writes them."""
    a = {"w": np.ones((2, 2), "f4"), "ids": np.arange(3), "flag": np.array([True, False])}
    b = {"w": np.array([[1, 1], [1, 1.5]], "f2"), "ids": np.arange(3), "flag": np.array([True, True])}
    diff = arrays_of(compared(tmp_path, "m.safetensors", save(a), save(b)))
    found = {one.name: one for one in diff.shown}
    assert (diff.same, set(found)) == (1, {"w", "flag"})
    assert (found["w"].a_type, found["w"].b_type, found["w"].changed, found["w"].largest) == ("F32", "F16", 1, 0.5)
    assert (found["flag"].changed, found["flag"].largest) == (1, 1.0)


def test_half_precision_of_brains_is_numbers(tmp_path: Path) -> None:
    """BF16 is the upper half of F32."""
    a, b = (np.array(values, "<f4").tobytes()[2:4] for values in ([1.0], [1.5]))
    found = one_of(
        compared(
            tmp_path,
            "m.safetensors",
            raw_safetensors(a, w=("BF16", [1], 0, 2)),
            raw_safetensors(b, w=("BF16", [1], 0, 2)),
        )
    )
    assert (found.changed, found.largest) == (1, 0.5)


def test_types_of_eight_bits_are_counted(tmp_path: Path) -> None:
    """A type that NumPy does not know is compared element by element."""
    found = one_of(
        compared(
            tmp_path,
            "m.safetensors",
            raw_safetensors(b"abc", w=("F8_E4M3", [3], 0, 3)),
            raw_safetensors(b"abd", w=("F8_E4M3", [3], 0, 3)),
        )
    )
    assert (found.changed, found.largest) == (1, None)


def archive_with(content: bytes) -> bytes:
    """Return a .npz whose one member holds some bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", content)
    return file.getvalue()


GOOD = npy(np.arange(10))
HEADER = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118)


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("x.npy", GOOD[:-1]),
        ("x.npy", GOOD[:20]),
        ("x.npy", b"\0\xff" * 10),
        ("x.npy", HEADER + b"__import__('os').system('true')".ljust(118)),
        ("x.npy", HEADER + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1 << 60,)}".ljust(118)),
        ("x.npy", HEADER + b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}".ljust(118)),
        ("x.npz", archive_with(GOOD[:-1])),
        ("x.npz", npz(x=np.arange(1000))[:-30]),
        ("x.npz", b"PK\x03\x04\0\0\xff"),
        ("m.safetensors", b"\xff" * 100),
        ("m.safetensors", struct.pack("<Q", 2) + b"[]\0"),
        ("m.safetensors", raw_safetensors(b"\0" * 4, w=("F32", [2], 0, 4))),
        ("m.safetensors", raw_safetensors(b"\0" * 4, w=("F32", [1], 0, 400))),
        ("m.safetensors", raw_safetensors(b"\0" * 4, w=("F32", [-1], 4, 0))),
        ("m.safetensors", raw_safetensors(b"\0" * 4, w=("F32", [1 << 70], 0, 4))),
    ],
)
def test_damage_is_said(tmp_path: Path, name: str, damaged: bytes) -> None:
    """A file that is no such file, lies about its sizes or is cut short is compared as bytes, with a warning."""
    good = {"x.npy": GOOD, "x.npz": npz(x=np.arange(3)), "m.safetensors": save({"w": np.ones(1, "f4")})}[name]
    for a, b in ((damaged, good), (good, damaged)):
        diff = compared(tmp_path, name, a, b)
        assert diff.kind in {"data", "text"}
        assert "cannot be read as arrays" in diff.warnings[0]


def test_what_unpacks_to_very_much_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small archive that holds very much is compared as bytes."""
    monkeypatch.setattr("mlflow_versioned_store.diff.tensors._UNPACKED_BYTES_MAX", 1000)
    diff = compared(tmp_path, "x.npz", npz(x=np.zeros(500)), npz(x=np.zeros(501)))
    assert (diff.kind, "more than is compared" in diff.warnings[0]) == ("data", True)
