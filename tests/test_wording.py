"""Sizes and shares as people read them, and texts that are safe to show."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.wording import counted, number, printable, share, sized, without_login


@given(st.text())
def test_shown_text_is_safe_and_tells_what_it_was(text: str) -> None:
    """No control or format character is left but the tab, and text that can be printed stays as it is."""
    shown = printable(text)
    assert all(one.isprintable() or one == "\t" or unicodedata.category(one) == "Zs" for one in shown)
    assert not set(shown) & set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    if text.isprintable():
        assert shown == text


def test_escapes_are_those_of_python() -> None:
    """What is escaped can be told from what was there."""
    assert printable("a\x1b[31m\n\u202eb\t\ud800") == r"a\x1b[31m\n\u202eb" + "\t" + r"\ud800"


def test_counts_and_numbers() -> None:
    """One is singular, thousands are grouped, and six digits are enough."""
    assert [counted(1, "row"), counted(2000, "row")] == ["1 row", "2,000 rows"]
    assert [number(1 / 3), number(None)] == ["0.333333", "–"]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.98 KiB"),
        (1024, "1.00 KiB"),
        (10 * 1024 - 1, "10.0 KiB"),
        (1 << 20, "1.00 MiB"),
        (999 << 20, "999 MiB"),
        (1000 << 20, "0.98 GiB"),
        (1 << 60, "1024 PiB"),
    ],
)
def test_sizes_have_three_digits(count: int, text: str) -> None:
    """A size is as short as it can be, and never tells more than it knows."""
    assert sized(count) == text


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, "0 %"), (1, 1, "100 %"), (1, 10**9, "< 0.1 %"), (10**9 - 1, 10**9, "> 99.9 %"), (1, 3, "33.3 %")],
)
def test_shares(part: int, whole: int, said: str) -> None:
    """Only nothing is 0 %, and only all is 100 %."""
    assert share(part, whole) == said


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://ann:secret@host:1/a@b", "http://host:1/a@b"),
        ("https://host/?sig=secret", "https://host/?…"),
        ("versioned-file:///data/x", "versioned-file:///data/x"),
        ("no url", "no url"),
    ],
)
def test_urls_are_shown_without_logins(url: str, shown: str) -> None:
    """User, password and query of a URL are not shown."""
    assert without_login(url) == shown
