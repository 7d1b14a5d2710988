"""S3's XML documents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

Value: TypeAlias = "str | int | bool | Sequence[Field]"
Field: TypeAlias = tuple[str, Value]

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_SPECIAL = re.compile('[&<>"\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]')
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def document(name: str, fields: Sequence[Field]) -> bytes:
    """Return a document: its name, and its elements in order, each with a value or with elements of its own."""
    body = "".join(_element(*field) for field in fields)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{_NAMESPACE}">{body}</{name}>'.encode()


def error(code: str, message: str, resource: str, request_id: str) -> bytes:
    """Return the document of an error."""
    fields = (("Code", code), ("Message", message), ("Resource", resource), ("RequestId", request_id))
    body = "".join(_element(name, value) for name, value in fields)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{body}</Error>'.encode()


def timestamp(time: datetime) -> str:
    """Return a time, UTC, as S3's documents write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


def _element(name: str, value: Value) -> str:
    match value:
        case bool():
            text = "true" if value else "false"
        case str():
            text = _SPECIAL.sub(_escaped, value)
        case int():
            text = str(value)
        case _:
            text = "".join(_element(*field) for field in value)
    return f"<{name}>{text}</{name}>"


def _escaped(match: re.Match[str]) -> str:
    # As S3 does, also for characters that XML cannot hold: who has such keys asks for encoding-type=url.
    return _NAMED.get(match[0], f"&#x{ord(match[0]):X};")
