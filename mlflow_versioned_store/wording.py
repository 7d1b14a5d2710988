"""Numbers as people read them, and texts that are safe to show."""

from __future__ import annotations

import unicodedata

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def counted(count: int, noun: str) -> str:
    """Return "1 row", "2,000 rows"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def sized(size: int) -> str:
    """Return bytes as people read them, to three digits: "532 B", "1.18 MiB" (units of 1024)."""
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    digits = 0 if unit == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {_UNITS[unit]}"


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
    """Return a text in which nothing moves the cursor, sounds the bell or turns the direction of writing.

    What would is escaped, except tabs: names and lines come from others.
    """
    if text.isprintable():
        return text
    return "".join(one if _is_plain(one) else one.encode("unicode_escape").decode() for one in text)


def without_login(text: str) -> str:
    """Return a value without user, password and query, where it is a URL."""
    scheme, mark, rest = text.partition("://")
    place, query, _ = rest.partition("?")
    host, slash, path = place.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}{query and '?…'}"


def _is_plain(character: str) -> bool:
    return character.isprintable() or character == "\t" or unicodedata.category(character) == "Zs"
