"""Pack directories that this process has read, and what they tell of a run of frames."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

from mlflow_versioned_store.backends.contract import Backend, Buffer
from mlflow_versioned_store.backends.forks import fork_safe_lock
from mlflow_versioned_store.content import cache, fetch
from mlflow_versioned_store.content.frames import CHAIN_STEPS_MAX
from mlflow_versioned_store.content.lenders import Lender
from mlflow_versioned_store.content.packs import Directory, FramePlace, Holder, PackName, decode_tail, tail_range
from mlflow_versioned_store.errors import Damaged

T = TypeVar("T")

_FRAMES_REMEMBERED = 200_000
# A pack this small comes whole with its directory, so its frames cost no request of their own.
_SMALL_PACK_BYTES = 256 << 10
_SMALL_PACKS_REMEMBERED_BYTES = 8 << 20


class Frame(NamedTuple):
    """A frame of a file: the places it needs, its own first, and the bytes of its chunk."""

    chain: tuple[FramePlace, ...]
    raw: int


class _Remembered(Generic[T]):
    """What is known of packs, up to a weight: the oldest goes first, the newest stays however heavy it is."""

    def __init__(self, most: int):
        self._most = most
        self._weight = 0
        self._items: OrderedDict[PackName, tuple[T, int]] = OrderedDict()

    def get(self, pack: PackName) -> T | None:
        found = self._items.get(pack)
        return found[0] if found else None

    def add(self, pack: PackName, item: T, weight: int) -> None:
        if pack not in self._items:
            self._items[pack] = item, weight
            self._weight += weight
        while self._weight > self._most and len(self._items) > 1:
            self._weight -= self._items.popitem(last=False)[1][1]

    def forget(self, pack: PackName) -> None:
        self._weight -= self._items.pop(pack, (None, 0))[1]


class Directories:
    """Directories of the packs of one store; shared by the threads of a process, bounded."""

    def __init__(self, backend: Backend):
        self._backend = backend
        self._lock = fork_safe_lock()
        self._known = _Remembered[Directory](_FRAMES_REMEMBERED)
        self._whole = _Remembered[memoryview](_SMALL_PACKS_REMEMBERED_BYTES)

    def load(self, packs: Iterable[Holder]) -> dict[PackName, Directory]:
        """Return the directories of `packs`, those not known yet in one parallel round trip.

        Raises:
            ObjectMissing, Damaged: A pack is gone or its directory is not what was written.
        """
        wanted = dict.fromkeys(pack for pack in packs if isinstance(pack, PackName))
        with self._lock:
            found = {pack: known for pack in wanted if (known := self._known.get(pack)) is not None}
        missing = {pack: _end_of(pack) for pack in wanted if pack not in found}
        reads = fetch.start(self._backend, missing.values())
        for pack, span in missing.items():
            end = reads[span].result()
            found[pack] = self._decode(pack, end[tail_range(pack)[0] - span.start :])
            with self._lock:
                self._known.add(pack, found[pack], len(found[pack].raws))
                if span.start == 0:
                    self._whole.add(pack, end, len(end))
        return found

    def bytes_of(self, span: fetch.Span) -> memoryview | None:
        """Return the bytes of a span of a small pack that came with its directory, as long as they are remembered."""
        if not isinstance(span.pack, PackName):
            return None
        with self._lock:
            whole = self._whole.get(span.pack)
        return None if whole is None else whole[span.start : span.stop]

    def forget_bytes(self, pack: Holder) -> None:
        """Forget the bytes of a pack, because they turned out to be wrong."""
        if isinstance(pack, PackName):
            with self._lock:
                self._whole.forget(pack)

    def _decode(self, pack: PackName, tail: Buffer) -> Directory:
        try:
            return decode_tail(pack, tail)
        except Damaged:
            # The bytes may have been hurt on their way; a second reading decides.
            cache.forget(self._backend, pack.identity)
            return decode_tail(pack, fetch.read_span(self._backend, fetch.Span(pack, *tail_range(pack))))


class FramesOfRun(Sequence[Frame]):
    """The frames of a run, each put together with all that it leans on when it is asked for.

    Args:
        directories: The directories of all packs that may be needed.
        run: The run.

    Attributes:
        raws: Bytes of the chunk of each.

    Raises:
        Damaged: The run does not begin and end with a frame, or (when a frame is asked for) a base is not where a
            directory says.
    """

    def __init__(self, directories: dict[PackName, Directory], run: FramePlace):
        pack, stop = run.pack, run.offset + run.size
        assert isinstance(pack, PackName), "frames are in packs"
        self._directories = directories
        self._pack = pack
        self._offsets = directories[pack].offsets
        self._first = _position(directories[pack], pack, run.offset)
        last = bisect_left(self._offsets, stop, self._first)
        if last == len(self._offsets) or self._offsets[last] != stop:
            raise Damaged(f"The pack {pack.key} has no frame that ends at byte {stop}.", key=pack.key)
        self.raws = directories[pack].raws[self._first : last]

    def __len__(self) -> int:
        return len(self.raws)

    def __getitem__(self, at: int) -> Frame:  # type: ignore[override]
        raw, at = self.raws[at], self._first + at
        place = FramePlace(self._pack, self._offsets[at], self._offsets[at + 1] - self._offsets[at])
        return Frame(_chain(self._directories, self._pack, place, at), raw)


def _end_of(pack: PackName) -> fetch.Span:
    """Return the span of a pack's directory, or of all of it where that is hardly more."""
    return fetch.Span(pack, 0 if pack.size <= _SMALL_PACK_BYTES else tail_range(pack)[0], pack.size)


def _chain(
    directories: dict[PackName, Directory], pack: PackName, place: FramePlace, at: int
) -> tuple[FramePlace, ...]:
    chain = [place]
    below = pack
    while (base := directories[below].bases.get(at)) is not None:
        if isinstance(base.pack, Lender):
            chain.append(base)
            break
        below = base.pack
        if below not in directories or len(chain) > CHAIN_STEPS_MAX:
            raise Damaged(
                f"A delta in the pack {pack.key} leans on too many frames, or on a pack that its commit does not name.",
                key=pack.key,
            )
        directory = directories[below]
        at = _position(directory, below, base.offset)
        if base.size != directory.offsets[at + 1] - base.offset:
            raise Damaged(f"The pack {below.key} has no frame of {base.size} bytes there.", key=below.key)
        chain.append(base)
    return tuple(chain)


def _position(directory: Directory, pack: PackName, offset: int) -> int:
    at = bisect_left(directory.offsets, offset)
    if at >= len(directory.raws) or directory.offsets[at] != offset:
        raise Damaged(f"The pack {pack.key} has no frame at byte {offset}.", key=pack.key)
    return at
