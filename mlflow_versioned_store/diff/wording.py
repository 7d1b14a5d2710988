"""Numbers as people read them, and texts that are safe to show."""

from __future__ import annotations

import unicodedata

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def counted(count: int, noun: str) -> str:
    """Return "1 row", "2,000 rows"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def sized(size: int) -> str:
    """Return a number of bytes in the unit that keeps it short."""
    if size == 1:
        return "1 byte"
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{size} bytes" if unit == 0 else f"{value:.3g} {_UNITS[unit]}"


def share(part: int, whole: int) -> str:
    """Return a part of a whole in percent; only nothing is 0 %, only all is 100 %."""
    if not part or not whole:
        return "0 %"
    if part == whole:
        return "100 %"
    percent = 100 * part / whole
    return "< 0.1 %" if percent < 0.1 else "> 99.9 %" if percent > 99.9 else f"{percent:.3g} %"


def number(value: float | None) -> str:
    """Return a number with six significant digits, "–" for none."""
    return "–" if value is None else f"{value:.6g}"


def printable(text: str) -> str:
    """Return a text in which nothing moves the cursor, sounds the bell or turns the direction of writing."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\t" or _is_space(one) else _code(one) for one in text)


def _is_space(character: str) -> bool:
    return unicodedata.category(character) == "Zs"


def _code(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
