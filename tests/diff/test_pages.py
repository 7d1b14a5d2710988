"""What pages and lines for the shell make of what comes from outside."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.diff import FileSide, compare
from mlflow_versioned_store.diff.markup import escaped, tag
from mlflow_versioned_store.wording import printable
from tests.diff.making import compared

EVIL = "</style></title><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u202e"
CONTENTS = {
    "t.csv": (f'id,"{EVIL}"\n1,a\n2,"{EVIL}"\n', f'id,"{EVIL}"\n1,"{EVIL}"\n3,b\n'),
    "t.txt": (f"a\n{EVIL}\n", f"b\n{EVIL}!\n"),
    "t.json": ('{"a": 1}', '{"</script><script>alert(1)</script>": "<b>"}'),
    "t.bin": ("\0a", "\0b"),
}


class Elements(HTMLParser):
    """Collects the elements of a page and their attributes."""

    def __init__(self, page: str):
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that what is closed was opened last."""
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", CONTENTS)
def test_pages_hold_nothing_from_outside_but_text(tmp_path: Path, name: str) -> None:
    """Names, labels and contents never become elements, whatever they are."""
    a, b = CONTENTS[name]
    for label, content in (("a", a), ("b", b)):
        folder = tmp_path / label
        folder.mkdir()
        (folder / name).write_text(content)
    page = compare(FileSide(tmp_path / "a" / name, EVIL), FileSide(tmp_path / "b" / name, EVIL)).html()
    elements = Elements(page)
    assert elements.open == []
    assert not elements.names & {"script", "b", "iframe", "link", "form", "a"}
    assert not elements.attributes & {"onerror", "style", "href"}
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_pages_load_and_run_nothing(tmp_path: Path) -> None:
    """The page's own policy allows its one style sheet and pictures it holds, and nothing else."""
    page = compared(tmp_path, "t.txt", "a\n", "b\n").html()
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src &#x27;none&#x27;; style-src &#x27;sha256-{digest}&#x27;; img-src data:"
    assert f'content="{policy}"' in page
    assert not re.search(r"url\(|@import|https?:", page)


@pytest.mark.parametrize("name", CONTENTS)
def test_lines_move_no_cursor(tmp_path: Path, name: str) -> None:
    """What is printed has no control characters, and no line is wider than it may be."""
    shown = compared(tmp_path, name, *CONTENTS[name]).text(60)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    differences = shown.split("became", 1)[1].splitlines()[1:]
    assert all(len(line) <= 60 for line in differences if not line.endswith((".", "!")))


def test_a_page_as_it_is(tmp_path: Path) -> None:
    """The main part of a page, to the letter."""
    page = compared(tmp_path, "t.txt", "same\nold <b>\n", "same\nnew &\n").html()
    (main,) = re.findall("<main>(.*)</main>", page)
    old, new = (hashlib.sha256(content).hexdigest() for content in (b"same\nold <b>\n", b"same\nnew &\n"))
    assert main == (
        "<h1>t.txt@@old → t.txt@@new</h1>"
        '<section class="ends">'
        '<div class="end"><strong>t.txt@@old</strong>'
        f'<span class="soft" title="{old}">13 B · SHA-256 {old[:16]}…</span></div>'
        '<div class="end"><strong>t.txt@@new</strong>'
        f'<span class="soft" title="{new}">11 B · SHA-256 {new[:16]}…</span></div>'
        "</section>"
        '<ul class="facts"><li>13 B became 11 B.</li><li>1 line added, 1 removed.</li></ul>'
        '<h2>Lines</h2><div class="scroll" tabindex="0"><table class="lines code">'
        '<tr class="hunk"><td colspan="3">@@ −1 +1 @@</td></tr>'
        '<tr><td class="at">1</td><td class="at">1</td><td class="text">same</td></tr>'
        '<tr class="removed"><td class="at">2</td><td class="at"></td><td class="text">old &lt;b&gt;</td></tr>'
        '<tr class="added"><td class="at"></td><td class="at">2</td><td class="text">new &amp;</td></tr>'
        "</table></div><footer>Compared as text.</footer>"
    )


@given(st.text())
def test_what_is_escaped_is_text_again(text: str) -> None:
    """A text comes out of a page as it went in, unseen characters apart, as content and in attributes."""
    found: list[str | None] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            found.append(data)

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value for _, value in attrs)

    reader = Reader()
    reader.feed(str(tag("p", text, title=text)))
    reader.close()
    assert "".join(one or "" for one in found) == 2 * printable(text)
    assert "<" not in escaped(text)
