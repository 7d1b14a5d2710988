"""Get any version out of a copied store: python rescue.py STORE [FOLDER [NAME …]], with zstandard and blake3 installed.

It lists what is in STORE, or writes all or what is named (versions, paths, folders) to FOLDER/<root>/<path>@@v<n>. It
follows docs/format.md and checks what it reads. What is damaged or elsewhere is told and passed over; then it exits 1.
"""

import hashlib
import itertools
import json
import mmap
import re
import struct
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import blake3
import zstandard

FRAME = struct.Struct("<BIIIQ32s")
COLUMNS = {"path": "", "action": "make", "version": 0, "kind": "file", "size": 0, "sha256": "", "at": None}
SETS = {"make": (*COLUMNS, "content", "inline"), "move": ("at", "content", "inline"), "delete": ("action",)}
SETS |= dict.fromkeys(("expire", "purge"), ("action", "at"))
WRONG = (LookupError, OSError, RecursionError, StopIteration, TypeError, ValueError, struct.error, zstandard.ZstdError)


def _check(good: object, wrong: str) -> None:
    if not good:
        raise ValueError(wrong)


def _inside(folder: Path, name: str) -> Path:
    _check(not {"", ".", ".."} & set(name.split("/")) and "\\" not in name, f"no file can have the name {name!r}")
    return folder / name


def _unzstd(data: bytes, limit: int, base: bytes = b"") -> tuple[bytes, bytes]:
    _check(0 <= zstandard.frame_content_size(data) <= limit, "a zstd frame is larger than the format allows")
    dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if base else None
    decoder = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=8 << 20).decompressobj()
    return decoder.decompress(data), decoder.unused_data


def _column(values: Any, rows: int, default: Any = 0) -> list[Any]:
    if not isinstance(values, dict):
        return values if isinstance(values, list) else [default if values is None else values] * rows
    if "widths" not in values:
        return list(itertools.accumulate(values["delta"])) if "delta" in values else re.findall(".{64}", values["hex"])
    widths, other = _column(values["widths"], rows), iter(values["other"])
    ints = [iter(_column(cell, sum(width > at for width in widths))) for at, cell in enumerate(values["ints"])]
    return [next(other) if width < 0 else [next(cell) for cell in ints[:width]] for width in widths]


class Store:
    """A copy of a store in a folder. A version is its entry, with content and inline frames of its change."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.failures, marker = folder, list[str](), json.loads((folder / "_mvs/store.json").read_bytes())
        _check(marker["format"] == 1 and not marker.get("needs_to_read"), "the store needs a newer rescue.py")
        self._digest: Any = {"blake3": blake3.blake3, "sha256": hashlib.sha256}[marker["digest"]]
        self._map = lru_cache(64)(lambda file: mmap.mmap((one := file.open("rb")).fileno(), 0, access=mmap.ACCESS_READ))
        self._pack = lru_cache(64)(self._open)

    def versions(self, log: Path) -> dict[str, dict[str, Any]]:
        """Return all versions of an artifact root by name, folded from its commits."""
        found, before = dict[str, dict[str, Any]](), (0, None)
        for file in sorted(log.glob("_c/" + "[0-9]" * 12), reverse=True):
            try:
                commit, frames = self._unseal(data := file.read_bytes())
                for entry in (entry for change in commit["changes"] for entry in self._entries(log, change, frames)):
                    name = f"{commit['root']}/{entry['path']}@@v{entry['version']}".lstrip("/")
                    found[name] = found.get(name, COLUMNS) | {key: entry[key] for key in SETS[entry["action"]]}
                last, before = before, (commit["number"], self._digest(data[: len(data) - len(frames)]).hexdigest())
                _check(last == (commit["number"] - 1, commit.get("parent")), "the commit before it is missing")
            except WRONG as error:
                self.failures.append(f"{file}: {type(error).__name__}: {error}")
        return found

    def save(self, version: Any, target: Path) -> None:
        """Write a version to a file, which appears when it is complete and checked."""
        at, partial = version["at"], target.with_name("rescue.partial")
        _check("reference" not in at, f"its bytes are not in the store: {at}")
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w+b") as file:
            file.write(_inside(self.folder, at["native"]).read_bytes() if "native" in at else b"")
            for number, start, stored, _ in at.get("extents", ()) if isinstance(at, dict) else at:
                pack, here = version["content"]["packs"][number] if number >= 0 else None, start
                while here < start + stored:
                    data, here = self._chunk(version, pack, here)
                    file.write(data)
            file.seek(0)
            _check(version["sha256"] in ("", hashlib.file_digest(file, "sha256").hexdigest()), "it is damaged")
        partial.replace(target)

    def _unseal(self, data: bytes) -> tuple[Any, bytes]:
        text, rest = data.split(b"\n", 1) if data[:1] == b"{" else _unzstd(data, 64 << 20)
        _check(text[-66:-2].decode() == self._digest(text[:-76]).hexdigest(), "it is not what was written")
        _check((document := json.loads(text))["mvs"] == 1 and not document.get("needs"), "it needs a newer rescue.py")
        return document, rest

    def _entries(self, log: Path, change: dict[str, Any], frames: bytes) -> Any:
        place = change.get("frames") or {"offset": 0, "length": 0}
        where = {"content": change.get("content"), "inline": frames[place["offset"] :][: place["length"]]}
        parts = [self._unseal((log / "_p" / part["digest"]).read_bytes())[0] for part in change.get("parts") or ()]
        for table in [part["entries"] for part in parts] or [change.get("entries") or {"path": []}]:
            cells = [_column(table.get(name), len(table["path"]), default) for name, default in COLUMNS.items()]
            rows = (row for row in zip(*cells, strict=True) if row[1] in SETS)
            yield from (dict(zip(COLUMNS, row, strict=True)) | where for row in rows)

    def _open(self, domain: str, name: str, size: int, tail: int) -> tuple[Any, dict[bytes, int]]:
        data = self._map(next(self.folder.glob(f"_mvs/data/*/packs/{name[:2]}/{name}"), Path(domain, name)))
        at, chunks = 24, {}  # where each chunk is: the frames say it, no directory is needed
        while at + FRAME.size <= min(len(data), size - tail):
            codec, _, _, stored, _, chunk = FRAME.unpack_from(data, at)
            chunks[chunk], at = at, at + FRAME.size + 32 * (codec == 2) + stored
        return data, chunks

    def _chunk(self, version: Any, pack: Any, at: int, depth: int = 0) -> tuple[bytes, int]:
        frames, content = self._pack(*pack)[0] if pack else version["inline"], version["content"]
        codec, _, raw, stored, _, digest = FRAME.unpack_from(frames, at)
        _check(codec <= 3 and raw <= 4 << 20 and depth <= 64, "a frame breaks the format")
        start, base = at + FRAME.size + 32 * (codec == 2), b""
        chunk, named = frames[start : start + stored], frames[start - 32 : start]
        if codec == 2:
            packs = (one for key in ("packs", "leans") for one in content.get(key, ()))
            below = next((one, found) for one in packs if (found := self._pack(*one)[1].get(named)))
            base, _ = self._chunk(version, *below, depth + 1)
        chunk = _unzstd(chunk, raw, base)[0] if 0 < codec < 3 else chunk
        if codec == 3:  # a part of one of these files, which begins there
            files, at = [_inside(self.folder, key) for key, *_ in content["lenders"]], int.from_bytes(chunk, "little")
            parts = (self._map(file)[at : at + raw] for file in files if file.is_file())
            chunk = next((part for part in parts if self._digest(part).digest() == digest), b"")
            _check(chunk, f"its bytes are not in the store as they were: {content['lenders']}")
        _check(len(chunk) == raw and self._digest(chunk).digest() == digest, "a chunk is not what was written")
        return chunk, start + stored


store, names = Store(Path(sys.argv[1]) if sys.argv[1:] else sys.exit(__doc__)), sys.argv[3:]
for commits in sorted(store.folder.glob("_mvs/log/**/_c")):
    for name, version in sorted(store.versions(commits.parent).items()):
        chosen = not names or any(f"{name}/".startswith((f"{one}/", f"{one}@@v")) for one in names)
        if chosen and (len(sys.argv) == 2 or version["at"] is None):
            print(f"{version['size']:>14} {version['action'].replace('make', ''):6} {name}")
        elif chosen:
            try:
                store.save(version, _inside(Path(sys.argv[2]), name))
            except WRONG as error:
                store.failures.append(f"{name}: {type(error).__name__}: {error}")
sys.exit("\n".join(store.failures) or None)
