"""Reading versions that are one whole object: native ones, and references to objects elsewhere."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager

from mlflow_versioned_store.backends.contract import Backend, Buffer, Fetched
from mlflow_versioned_store.content import cache
from mlflow_versioned_store.content.blocks import Stream
from mlflow_versioned_store.content.fetch import GAP_BYTES
from mlflow_versioned_store.content.packs import RESTORE
from mlflow_versioned_store.content.parts import Parts, Range, merged
from mlflow_versioned_store.content.sinks import Sink
from mlflow_versioned_store.content.wanted import LOG_ANEW, ignore
from mlflow_versioned_store.content.workers import fetching, memory
from mlflow_versioned_store.errors import Damaged, NotFound, ObjectMissing

_RANGE_BYTES = 8 << 20
_RANGES_AHEAD = 4


class WholeObject:
    """One object that holds exactly the bytes of a version.

    Args:
        name: How messages name the version.
        backend: Where the object is.
        key: Its key there.
        s3_version_id: Its object version, where the bucket keeps them.
        e_tag: The entity tag that it must still have; None where the version id or the digest decides.
        size: Its bytes.
        sha256: Its SHA-256, hex; "" where none was recorded.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        key: str,
        *,
        s3_version_id: str | None,
        e_tag: str | None,
        size: int,
        sha256: str,
    ):
        self._name = name
        self._backend = backend
        self._key = key
        self._s3_version_id = s3_version_id
        self._e_tag = e_tag
        self._size = size
        self._sha256 = sha256

    def read(self, sink: Sink, on_bytes: Callable[[int], None]) -> None:
        """Read all of it into `sink`, checked against its SHA-256.

        Raises:
            ObjectMissing: It is gone.
            Damaged: It is not what was committed.
        """
        try:
            if not self._copy(sink, on_bytes):
                # The bytes may have been hurt on their way; a second reading decides.
                cache.forget(self._backend, self._identity)
                if not self._copy(sink, ignore):
                    raise self._changed("its SHA-256 is another one")
            sink.finish(empty=not self._size)
        except BaseException:
            sink.abandon()
            raise

    def read_parts(self, parts: Parts) -> None:
        """Read parts of it; those close to each other come together.

        They are held to the version id or entity tag alone: a digest would need all bytes.

        Raises:
            ObjectMissing: It is gone.
            Damaged: It is not what was committed.
        """
        ranges = merged(parts.ranges, GAP_BYTES)
        with self._held(sum(stop - start for start, stop in ranges)):
            for offset, data in self._ranges(ranges):
                parts.write(offset, data)

    def hashed(self, on_data: Callable[[int, Buffer], None]) -> str:
        """Return the SHA-256 of all of it, hex; `on_data` gets the bytes on the way, each piece with where it begins.

        Raises:
            ObjectMissing: It is gone.
            Damaged: It is not what was committed.
        """
        sha256 = hashlib.sha256()
        with self._held(self._size):
            for offset, data in self._ranges([(0, self._size)]):
                on_data(offset, data)
                sha256.update(data)
        return sha256.hexdigest()

    def stream(self) -> Stream:
        """Return all of it, to be read from the beginning on. It holds 24 MiB at most, which its caller answers for."""
        return _Pieces(data for _, data in self._ranges([(0, self._size)], ahead=1))

    def _copy(self, sink: Sink, on_bytes: Callable[[int], None]) -> bool:
        """Write all of it into `sink`; tell whether it has its SHA-256."""

        def write(offset: int, data: Buffer) -> None:
            sink.write(offset, data)
            on_bytes(len(data))

        digest = self.hashed(write)
        return self._sha256 in ("", digest)

    @property
    def _identity(self) -> str:
        return f"{self._key}?{self._s3_version_id or ''}&{self._e_tag or ''}&{self._sha256}"

    def _held(self, size: int) -> AbstractContextManager[None]:
        # Taken once for all ranges under way: readers that each held some and waited for more could wait for ever.
        return memory().transfers.held(min(size, (_RANGES_AHEAD + 1) * _RANGE_BYTES))

    def _ranges(self, wanted: Iterable[Range], ahead: int = _RANGES_AHEAD) -> Iterator[tuple[int, Buffer]]:
        """Yield the bytes of `wanted` in pieces of at most 8 MiB, each with where it begins; `ahead` more come."""
        running: deque[tuple[int, Future[Buffer]]] = deque()
        for first, last in wanted:
            for start in range(first, last, _RANGE_BYTES):
                running.append((start, fetching.submit(self._get, start, min(last, start + _RANGE_BYTES))))
                if len(running) > ahead:
                    offset, read = running.popleft()
                    yield offset, read.result()
        for offset, read in running:
            yield offset, read.result()

    def _get(self, start: int, stop: int) -> Buffer:
        if not self._sha256:  # nothing says that it will be the same bytes the next time
            return self._request(start, stop)
        return cache.through(self._backend, self._identity, start, stop, self._request)

    def _request(self, start: int, stop: int) -> Buffer:
        try:
            fetched = self._backend.get(self._key, start=start, stop=stop, s3_version_id=self._s3_version_id)
        except NotFound as error:
            raise ObjectMissing(
                f"{self._name}: the object {self._key} in {self._backend.location} is gone. {RESTORE} {LOG_ANEW}",
                key=self._key,
            ) from error
        self._check(fetched, stop - start)
        return fetched.data

    def _check(self, fetched: Fetched, wanted: int) -> None:
        if self._e_tag is not None and fetched.info.e_tag is not None and fetched.info.e_tag != self._e_tag:
            raise self._changed("its entity tag is another one")
        if fetched.info.size != self._size or len(fetched.data) != wanted:
            raise self._changed(f"it has {fetched.info.size} bytes where {self._size} were recorded")

    def _changed(self, how: str) -> Damaged:
        return Damaged(
            f"{self._name}: the object {self._key} in {self._backend.location} is not what was recorded: {how}. "
            f"{RESTORE} {LOG_ANEW}",
            key=self._key,
        )


class _Pieces(Stream):
    """Pieces in a row as a stream."""

    def __init__(self, pieces: Iterator[Buffer]):
        self._pieces = pieces
        self._left = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        if not self._left:
            self._left = memoryview(next(self._pieces, b""))
        data, self._left = bytes(self._left[:size]), self._left[size:]
        return data
