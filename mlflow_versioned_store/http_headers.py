"""What HTTP headers say of a file: what it is, that it is to be saved, and which of its bytes are meant."""

from __future__ import annotations

import mimetypes
import re
from urllib.parse import quote

_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))", re.ASCII)


def media_type(name: str) -> str:
    """Return the media type of a file by its name; that of any bytes where they are compressed."""
    found, encoding = mimetypes.guess_type(name)
    # Who unpacks what they get has other bytes than were logged.
    return found if found and encoding is None else "application/octet-stream"


def attachment(name: str) -> str:
    """Return the content disposition by which a browser saves a file under its name (RFC 6266), and never runs it."""
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"


def is_byte_range(text: str) -> bool:
    """Tell whether a Range header asks for one range of bytes.

    Several, and what is none, may be answered with the whole file (RFC 9110, 14.2).
    """
    return _RANGE.fullmatch(text) is not None


def byte_range(text: str, size: int) -> tuple[int, int]:
    """Return the bytes [start, stop) that a Range header for one range means; none are left where stop <= start.

    Args:
        text: The header.
        size: Bytes of the file.
    """
    found = _RANGE.fullmatch(text)
    assert found is not None, "the header asks for one range"
    first, last, suffix = found.groups()
    if suffix is not None:
        return max(0, size - int(suffix)), size
    return int(first), min(size, int(last) + 1) if last else size
