"""How the characters of a text are written, as far as its bytes tell."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

Encoding: TypeAlias = Literal["utf-8", "utf-16", "cp1252"]

# Bytes that are no characters are shown as codes.
ON_ERROR = "backslashreplace"
_NAMES: dict[Encoding, str] = {"utf-8": "UTF-8", "utf-16": "UTF-16", "cp1252": "Windows-1252"}
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Bytes that no text has; nearly all other content has some soon.
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def encoding_of(blocks: Iterable[bytes]) -> Encoding:
    """Return how a text is written: in UTF-16 where a byte order mark says so, in UTF-8, or else in Windows-1252.

    The first character beyond ASCII decides between the latter; what is no UTF-8 later on is damaged.

    Args:
        blocks: Its bytes, read as far as needed.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    for number, block in enumerate(blocks):
        if number == 0 and block.startswith(_MARKS):
            return "utf-16"
        try:
            text = decoder.decode(block)
        except UnicodeDecodeError as error:
            return "cp1252" if error.object[: error.start].isascii() else "utf-8"
        if not text.isascii():
            return "utf-8"
    # A character that is cut off at the end is none.
    return "cp1252" if decoder.getstate()[0] else "utf-8"


def is_text(head: bytes) -> bool:
    """Tell whether content that begins so is text."""
    encoding = encoding_of([head])
    if encoding == "cp1252":
        return _CONTROLS.search(head) is None
    try:
        # A character may be cut in two at the end.
        return "\0" not in codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False


def notes_on(a: Encoding, b: Encoding) -> tuple[str, ...]:
    """Return what the reader of a comparison must know of how an old and a new text are written."""
    if a != b:
        return (f"The old file is read as {_NAMES[a]}, the new one as {_NAMES[b]}.",)
    return ("Neither file is UTF-8; both are read as Windows-1252.",) if a == "cp1252" else ()
