"""HTML in which everything from outside is escaped, because there is no other way to put it in."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TypeAlias

from mlflow_versioned_store.wording import printable


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content: TypeAlias = "str | Markup | Iterable[Content]"
_VOID = frozenset({"img", "meta"})


def tag(name: str, /, *content: Content, **attributes: str | float) -> Markup:
    """Return an element. A trailing "_" of an attribute is dropped, others become "-"; texts are escaped."""
    written = "".join(
        f' {attribute.rstrip("_").replace("_", "-")}="{escaped(str(value))}"'
        for attribute, value in attributes.items()
        if value != ""
    )
    return Markup(f"<{name}{written}>" if name in _VOID else f"<{name}{written}>{joined(*content)}</{name}>")


def joined(*content: Content) -> Markup:
    """Return content in a row; texts are escaped."""
    return Markup(
        "".join(
            one if isinstance(one, Markup) else escaped(one) if isinstance(one, str) else joined(*one)
            for one in content
        )
    )


def escaped(text: str) -> Markup:
    """Return a text as HTML writes it; characters that nobody sees are shown as codes."""
    return Markup(html.escape(printable(text)))
