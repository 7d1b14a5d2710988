"""Where the bytes of a version are, as a commit records it. Pure encoding, no I/O.

An entry's `at` is one of four kinds:

    [[pack, offset, stored, raw], …]                         extents of frames; pack −1: the change's inline frames
    {"extents": […], "tree": <hex>}                          the same for several chunks, bound by a digest
    {"native": key, "s3_version_id": id, "digest": <hex>}    one readable object of the store
    {"reference": uri, "s3_version_id": id, "e_tag": tag}    one object elsewhere

and the change's `content` names what its extents count:

    {"packs": [[domain, digest, size, tail], …], "leans": […], "lenders": [[key, s3_version_id, size, e_tag], …],
     "indexes": [[domain, digest], …]}

`leans` are the packs that deltas in `packs` need, however indirectly; none means that no frame is a delta. `lenders`
are the objects that borrowed chunks in `packs` and `leans` need; none means that no chunk is borrowed. Where the bucket
keeps object versions, `"s3_version_ids": [id or null, …]` are those of `packs` that the change itself wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import msgspec

from mlflow_versioned_store import keys
from mlflow_versioned_store.content.lenders import Lender
from mlflow_versioned_store.content.packs import Holder, PackName
from mlflow_versioned_store.errors import Damaged

INLINE = -1
_OFFSET_MAX = 1 << 50
_LISTS = ("packs", "leans", "lenders", "indexes")
_KNOWN = (*_LISTS, "s3_version_ids")


# A large folder has as many, and none is ever part of a cycle: no work for the garbage collector.
class Extent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A run of frames inside one pack.

    Args:
        pack: The pack's position in `Content.packs`, or INLINE.
        offset: Where the run starts, bytes.
        stored: Bytes of the run as stored.
        raw: Bytes of the file that it holds.
    """

    pack: int
    offset: int
    stored: int
    raw: int


@dataclass(frozen=True, slots=True)
class Packed:
    """Extents of frames, in the order of the file; `tree` binds the chunks of a file that has several."""

    extents: tuple[Extent, ...]
    tree: str | None = None


@dataclass(frozen=True, slots=True)
class Native:
    """One readable object of the store, in exactly one of its versions where the bucket keeps them.

    `digest` is the store's digest of all its bytes, by which the same content is recognised sooner than by SHA-256.
    """

    key: str
    s3_version_id: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """One object outside the store's own layout, held to its version id or entity tag."""

    uri: str
    s3_version_id: str | None = None
    e_tag: str | None = None


Location: TypeAlias = Packed | Native | Reference


class IndexName(NamedTuple):
    """The name of an index: its domain and digest (hex)."""

    domain: str
    digest: str

    @property
    def key(self) -> str:
        """The key of the index."""
        return keys.index(self.domain, self.digest)


@dataclass(frozen=True, slots=True)
class Content:
    """What a change says of the objects its extents lie in."""

    packs: tuple[PackName, ...] = ()
    leans: tuple[PackName, ...] = ()
    indexes: tuple[IndexName, ...] = ()
    s3_version_ids: Mapping[PackName, str] = field(default_factory=dict)
    lenders: tuple[Lender, ...] = ()
    unknown: dict[str, Any] = field(default_factory=dict)

    @property
    def bases(self) -> tuple[Holder, ...]:
        """All that frames in its packs lean on."""
        return (*self.leans, *self.lenders)


def content_of(
    packs: Iterable[PackName],
    bases: Iterable[Holder],
    indexes: Iterable[IndexName],
    s3_version_ids: Mapping[PackName, str] | None = None,
) -> Content:
    """Return the content of a change whose frames lean on `bases`, however indirectly."""
    leans, lenders = [], []
    for base in bases:
        if isinstance(base, Lender):
            lenders.append(base)
        else:
            leans.append(base)
    return Content(tuple(packs), tuple(leans), tuple(indexes), s3_version_ids or {}, tuple(lenders))


def encode_location(location: Location) -> Any:
    """Return the JSON form of a location."""
    match location:
        case Packed(extents, None):
            return extents
        case Packed(extents, tree):
            return {"extents": extents, "tree": tree}
        case Native(key, s3_version_id, digest):
            return _without_none({"native": key, "s3_version_id": s3_version_id, "digest": digest})
        case Reference(uri, s3_version_id, e_tag):
            return _without_none({"reference": uri, "s3_version_id": s3_version_id, "e_tag": e_tag})


def decode_location(value: Any, size: int) -> Location:
    """Return the location of a file of `size` bytes from its JSON form.

    Raises:
        Damaged: It is none of the four kinds, or its lengths do not add up.
    """
    match value:
        case list():
            return Packed(_extents(value, size))
        case {"extents": list() as extents, "tree": str() as tree} if keys.is_digest(tree):
            return Packed(_extents(extents, size), tree)
        case {"native": str() as key}:
            return Native(key, _text(value, "s3_version_id"), _text(value, "digest"))
        case {"reference": str() as uri}:
            return Reference(uri, _text(value, "s3_version_id"), _text(value, "e_tag"))
    raise Damaged(f"A commit says where bytes are in a way that this format does not know: {value!r:.200}.")


def is_native(value: Any) -> bool:
    """Tell whether an entry's `at` is one readable object of the store."""
    return isinstance(value, dict) and "native" in value


def encode_content(content: Content) -> dict[str, Any]:
    """Return the JSON form of a change's content; empty lists are left out."""
    lists = {name: getattr(content, name) for name in _LISTS}
    encoded = {name: [list(item) for item in items] for name, items in lists.items() if items}
    versions = [content.s3_version_ids.get(pack) for pack in content.packs]
    return encoded | ({"s3_version_ids": versions} if any(versions) else {}) | content.unknown


def decode_content(value: dict[str, Any]) -> Content:
    """Return a change's content from its JSON form.

    Raises:
        Damaged: A name in it breaks the format.
    """
    packs, leans, lenders, indexes = (_list(value, name) for name in _LISTS)
    names = tuple(PackName.checked(item) for item in packs)
    return Content(
        names,
        tuple(PackName.checked(item) for item in leans),
        tuple(_index_name(item) for item in indexes),
        _version_ids(names, _list(value, "s3_version_ids")),
        tuple(Lender.checked(item) for item in lenders),
        {name: item for name, item in value.items() if name not in _KNOWN},
    )


def _extents(values: Sequence[Any], size: int) -> tuple[Extent, ...]:
    extents = []
    for value in values:
        match value:
            case [int() as pack, int() as offset, int() as stored, int() as raw] if (
                pack >= INLINE and 0 <= offset <= _OFFSET_MAX and 0 < stored <= _OFFSET_MAX and 0 <= raw <= _OFFSET_MAX
            ):
                extents.append(Extent(pack, offset, stored, raw))
            case _:
                raise Damaged(f"A commit names an extent that the format does not allow: {value!r:.200}.")
    if sum(extent.raw for extent in extents) != size:
        raise Damaged(f"The extents of a file of {size} bytes hold {sum(extent.raw for extent in extents)} bytes.")
    return tuple(extents)


def _version_ids(packs: Sequence[PackName], values: list[Any]) -> dict[PackName, str]:
    # Only a help, so what does not fit is passed over.
    return {pack: value for pack, value in zip(packs, values, strict=False) if value and isinstance(value, str)}


def _index_name(value: Any) -> IndexName:
    match value:
        case [str() as domain, str() as digest] if domain and keys.is_digest(digest):
            return IndexName(domain, digest)
    raise Damaged(f"A record names an index in a way the format does not allow: {value!r:.200}.")


def _list(value: dict[str, Any], name: str) -> list[Any]:
    items = value.get(name, [])
    if not isinstance(items, list):
        raise Damaged(f"A commit's {name} are not a list.")
    return items


def _text(value: dict[str, Any], name: str) -> str | None:
    text = value.get(name)
    if text is not None and not isinstance(text, str):
        raise Damaged(f"A commit's {name} is not a text.")
    return text


def _without_none(value: dict[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in value.items() if item is not None}
