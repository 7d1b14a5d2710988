"""Reading versions that are one whole object: native ones, and references to objects elsewhere."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from mlflow_versioned_store.backends.contract import Backend, Buffer, Fetched
from mlflow_versioned_store.content.sinks import Sink
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
        # Taken once for all ranges under way: readers that each held some and waited for more could wait for ever.
        budget = memory().transfers.held(min(self._size, (_RANGES_AHEAD + 1) * _RANGE_BYTES))
        try:
            sha256 = hashlib.sha256()
            offset = 0
            with budget:
                for data in self._ranges():
                    sink.write(offset, data)
                    sha256.update(data)
                    offset += len(data)
                    on_bytes(len(data))
            if self._sha256 and sha256.hexdigest() != self._sha256:
                raise self._changed("its SHA-256 is another one")
            sink.finish(empty=not offset)
        except BaseException:
            sink.abandon()
            raise

    def read_range(self, start: int, stop: int) -> bytes:
        """Return the bytes [start, stop). Held to the version id or entity tag alone: a digest would need all bytes."""
        return bytes(self._get(start, stop)) if stop > start else b""

    def _ranges(self) -> Iterator[Buffer]:
        running: deque[Future[Buffer]] = deque()
        for start in range(0, self._size, _RANGE_BYTES):
            running.append(fetching.submit(self._get, start, min(self._size, start + _RANGE_BYTES)))
            if len(running) > _RANGES_AHEAD:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()

    def _get(self, start: int, stop: int) -> Buffer:
        try:
            fetched = self._backend.get(self._key, start=start, stop=stop, s3_version_id=self._s3_version_id)
        except NotFound as error:
            raise ObjectMissing(
                f"{self._name}: the object {self._key} in {self._backend.location} is gone. Restore it, or log the "
                "artifact again.",
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
            f"{self._name}: the object {self._key} in {self._backend.location} is not what was recorded: {how}.",
            key=self._key,
        )
