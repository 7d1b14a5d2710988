"""The description of the format is true: a reader that knows nothing else reads what uploads store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content import codecs, frames, hooks, indexes, lenders, packs
from mlflow_versioned_store.content.chunking import LARGEST_MAX, SMALLEST_MIN
from mlflow_versioned_store.content.upload import INLINE_RAW_MAX, INLINE_STORED_MAX
from tests.content.making import KIB, MIB, content_of, domain_of, edited, indexes_of, lend, noise, rows, store, text

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """The functions of the reader that the page prints."""
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(source, "format.md", "exec"), names)
    return names


def test_the_printed_reader_reads_what_is_stored(described: dict[str, Any]) -> None:
    """Inline files, packs, deltas on deltas, files of many packs, nothing at all: all by the page alone."""
    backend = open_memory("format")
    lines = rows(1, 60_000)
    uploads = [store(domain_of(backend), b"small", b""), store(domain_of(backend), noise("n", 20 * MIB), b"x" * 1000)]
    contents = [[b"small", b""], [noise("n", 20 * MIB), b"x" * 1000]]
    hints: Any = ()
    for generation in range(5):
        lines = edited(lines, generation)
        uploads.append(store(domain_of(backend), text(lines), hints=hints))
        hints = indexes_of(uploads[-1])
        contents.append([text(lines)])
    assert content_of(uploads[-1]).leans
    lent = lend(domain_of(backend), "1/run/artifacts/big", text(lines))
    contents.append([text(edited(lines, 9)) + noise("more", MIB)])
    uploads.append(store(domain_of(backend), contents[-1][0], hints=lent.indexes))
    assert content_of(uploads[-1]).lenders
    objects = {info.key: bytes(backend.get(info.key).data) for info in backend.list("")}
    for uploaded, expected in zip(uploads, contents, strict=True):
        record = msgspec.json.decode(msgspec.json.encode(uploaded.content))
        for file, data in zip(uploaded.files, expected, strict=True):
            at = msgspec.json.decode(msgspec.json.encode(file.at))
            assert described["read"](objects, at, record, uploaded.frames) == data


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("| a chunk | 4 MiB |", codecs.RAW_BYTES_MAX == 4 * MIB),
        ("at most 4 MiB + 64 KiB", frames.STORED_BYTES_MAX == 4 * MIB + 64 * KIB),
        ("| a pack | 256 MiB |", packs.PACK_BYTES_MAX == 256 * MIB),
        ("| a directory, decoded | 16 MiB |", packs._DIRECTORY_BYTES_MAX == 16 * MIB),
        ("| an index, stored or decoded | 64 MiB |", indexes.INDEX_BYTES_MAX == 64 * MIB),
        ("| a zstd window | 8 MiB |", codecs.WINDOW_BYTES_MAX == 8 * MIB),
        ("| frames below a frame | 64 |", frames.CHAIN_STEPS_MAX == 64),
        ("| a lender | 1 PiB |", lenders._BYTES_MAX == 1 << 50),
        ("1 KiB ≤ smallest < average < largest ≤ 1 MiB", (SMALLEST_MIN, LARGEST_MAX) == (KIB, MIB)),
        ("at most 64 KiB, of at most 256 KiB raw", (INLINE_STORED_MAX, INLINE_RAW_MAX) == (64 * KIB, 256 * KIB)),
        ("divisible by 4096", hooks.SAMPLED_ALWAYS == 4096),
    ],
)
def test_the_numbers_of_the_page_are_those_of_the_code(words: str, value: object) -> None:
    """A limit that is changed is changed on the page as well."""
    assert words in " ".join(PAGE.split()) or words in PAGE
    assert value is True
