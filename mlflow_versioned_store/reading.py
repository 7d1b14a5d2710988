"""Reading versions of one artifact root, wherever a commit says that their bytes are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.content import locations
from mlflow_versioned_store.content.directories import Directories
from mlflow_versioned_store.content.domain import Recent
from mlflow_versioned_store.content.download import Reader
from mlflow_versioned_store.content.locations import Content, Location, Native, Packed, Reference
from mlflow_versioned_store.content.parts import Parts, Range, filled, merged
from mlflow_versioned_store.content.sinks import MemorySink, Sink
from mlflow_versioned_store.content.wanted import Wanted, ignore
from mlflow_versioned_store.content.whole_objects import WholeObject
from mlflow_versioned_store.content.workers import looking_up
from mlflow_versioned_store.errors import Damaged, InvalidInput, NotFound, ObjectMissing
from mlflow_versioned_store.history.addresses import format_address
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.native.pinned import pinned
from mlflow_versioned_store.references import open_reference
from mlflow_versioned_store.roots import clean_path

_NOTED = 4
_COMMITS_AT_ONCE = 48


class VersionReader:
    """Reads versions of one artifact root.

    Args:
        backend: The store.
        reader: Reads packed versions of the store.
        recent: Is told which indexes know what was read: what a run reads is what its next file comes from.
        log: The root's log.
    """

    def __init__(self, backend: Backend, reader: Reader, recent: Recent, log: Log):
        self._backend = backend
        self._reader = reader
        self._recent = recent
        self._log = log
        self._lately: dict[Version, Wanted | WholeObject] = {}

    def read(self, wanted: Sequence[tuple[Version, Sink]], count: Callable[[int], None]) -> None:
        """Read versions into sinks, planned as a whole; `count` is told of bytes as they come, from any thread.

        Raises:
            Damaged, ObjectMissing: Stored bytes are not what was committed.
            VersionedStoreError: The store could not be read; nothing half-done is left behind.
        """
        try:
            self._read(wanted, count)
        except ObjectMissing:
            moved = self._where_now([version for version, _ in wanted])
            if moved is None:
                raise
            self._read([(version, sink) for version, (_, sink) in zip(moved, wanted, strict=True)], count)

    def read_bytes(self, version: Version, start: int, stop: int) -> bytes:
        """Return the bytes [start, stop) of a version, which lie inside it; only what is needed is fetched.

        Raises:
            Damaged, ObjectMissing: Stored bytes are not what was committed.
        """

        def read(view: memoryview) -> None:
            parts = Parts([(start, view)] if view else [])
            if stop - start == version.size:
                # All of it can be checked as a whole.
                self.read([(version, parts)], ignore)
            else:
                self.read_parts(version, parts)

        return filled(stop - start, read)

    def read_ranges(self, version: Version, ranges: Sequence[Range]) -> list[bytes]:
        """Return byte ranges of a version, which lie inside it, in their order; they may overlap. Read in one plan.

        Raises:
            Damaged, ObjectMissing: Stored bytes are not what was committed.
        """
        apart = merged(ranges)
        buffers = [memoryview(bytearray(stop - start)) for start, stop in apart]
        starts = [start for start, _ in apart]
        self.read_parts(version, Parts(list(zip(starts, buffers, strict=True))))
        found = []
        for start, stop in ranges:
            at = bisect_right(starts, start) - 1
            found.append(bytes(buffers[at][start - starts[at] : stop - starts[at]]) if start < stop else b"")
        return found

    def read_parts(self, version: Version, parts: Parts) -> None:
        """Read parts of a version, which lie inside it, into their buffers.

        Raises:
            Damaged, ObjectMissing: Stored bytes are not what was committed; what the buffers hold means nothing.
        """
        try:
            self._read_parts(version, parts)
        except ObjectMissing:
            moved = self._where_now([version])
            if moved is None:
                raise
            self._read_parts(moved[0], parts)

    def location(self, version: Version) -> Location:
        """Return where a commit says that the bytes of a version are. At most one request."""
        (located,) = self._log.locate([version])
        return locations.decode_location(located.at, version.size)

    def packed(self, version: Version) -> Wanted | None:
        """Return where the frames of a version are; None where it is one whole object."""
        (located,) = self._located([version])
        return located if isinstance(located, Wanted) else None

    def _read(self, wanted: Sequence[tuple[Version, Sink]], count: Callable[[int], None]) -> None:
        try:
            for group in _by_commits(wanted):
                self._read_group(group, count)
        except BaseException:
            for _, sink in wanted:
                sink.abandon()
            raise

    def _read_group(self, group: Sequence[tuple[Version, Sink]], count: Callable[[int], None]) -> None:
        versions = [version for version, _ in group]
        self._prefetch(versions)
        packed: list[Wanted] = []
        for (_, sink), located in zip(group, self._located(versions), strict=True):
            if isinstance(located, WholeObject):
                located.read(sink, count)
            else:
                packed.append(replace(located, sink=sink))
        try:
            self._reader.read(packed, count)
        except Damaged:
            self._reader_of_versions(packed).read(packed, count)
        self._recent.note(name for one in packed[-_NOTED:] for name in one.content.indexes[:_NOTED])

    def _read_parts(self, version: Version, parts: Parts) -> None:
        located = self._lately.get(version)
        if located is None:
            (located,) = self._located([version])
            # Ranges of one version are asked for in a row.
            self._lately = {version: located}
            if isinstance(located, Wanted):
                self._recent.note(located.content.indexes[:_NOTED])
        if isinstance(located, WholeObject):
            located.read_parts(parts)
        else:
            try:
                self._reader.read_parts(located, parts)
            except Damaged:
                self._reader_of_versions([located]).read_parts(located, parts)

    def _reader_of_versions(self, wanted: Sequence[Wanted]) -> Reader:
        """Return a reader of packs as they were written, whatever somebody did to them; while one error is handled.

        Raises:
            Damaged: That error, where the bucket keeps no object versions.
        """
        backend = pinned(self._backend, (one.content for one in wanted))
        if backend is None:
            raise  # noqa: PLE0704 - the error that is handled
        return replace(self._reader, backend=backend, directories=Directories(backend))

    def _where_now(self, versions: Sequence[Version]) -> list[Version] | None:
        """Fold the log to its head once: where the versions are now, or None where that is nowhere new."""
        state = self._log.state()
        current = [state.version(version.path, version.number) or version for version in versions]
        gone = next((version for version in current if not version.readable), None)
        if gone is not None:
            raise NotFound(f"{format_address(gone.path, gone.number)} was {gone.status} meanwhile; its bytes are gone.")
        return current if [version.place for version in current] != [version.place for version in versions] else None

    def _prefetch(self, versions: Sequence[Version]) -> None:
        """Read the commits that tell where the versions are, in parallel; the log keeps them."""
        commits = {version.place.commit for version in versions}
        if len(commits) > 1:
            for read in [looking_up.submit(self._log.commit, commit) for commit in commits]:
                read.result()

    def _located(self, versions: Sequence[Version]) -> Iterator[Wanted | WholeObject]:
        contents: dict[tuple[int, int], Content] = {}
        for located in self._log.locate(versions):
            version, place = located.version, located.place
            name = f"{self._log.root}/{format_address(version.path, version.number)}".lstrip("/")
            change = (place.commit, place.change)
            try:
                location = locations.decode_location(located.at, version.size)
                if change not in contents:
                    contents[change] = locations.decode_content(located.content)
            except Damaged as error:
                raise Damaged(f"{name}: {error}") from error
            if isinstance(location, Packed):
                inline = partial(self._log.frames, *change)
                yield Wanted(name, version.size, version.sha256, location, contents[change], inline, MemorySink(0))
            else:
                yield self._whole(name, version, location)

    def _whole(self, name: str, version: Version, location: Native | Reference) -> WholeObject:
        backend, key, e_tag = self._backend, "", None
        if isinstance(location, Native):
            key = _checked(name, location.key)
        else:
            backend, key = open_reference(location.uri, self._backend.location)
            # Where versioning is suspended the null version is overwritten, so its tag is held to as well.
            e_tag = location.e_tag if location.s3_version_id in (None, "null") else None
        return WholeObject(
            name,
            backend,
            key,
            s3_version_id=location.s3_version_id,
            e_tag=e_tag,
            size=version.size,
            sha256=version.sha256,
        )


def _checked(name: str, key: str) -> str:
    try:
        if clean_path(key) == key != "":
            return key
    except InvalidInput:
        pass
    raise Damaged(f"{name}: its commit says that its bytes are at {key!r}, where no artifact can be. Verify the log.")


def _by_commits(wanted: Sequence[tuple[Version, Sink]]) -> Iterator[list[tuple[Version, Sink]]]:
    """Yield groups of versions that few enough commits made for the log to keep them all."""
    group: list[tuple[Version, Sink]] = []
    commits: set[int] = set()
    for version, sink in sorted(wanted, key=lambda one: one[0].place):
        commits.add(version.place.commit)
        if len(commits) > _COMMITS_AT_ONCE:
            yield group
            group, commits = [], {version.place.commit}
        group.append((version, sink))
    if group:
        yield group
