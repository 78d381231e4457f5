"""Text that is no UTF-8, which a master passes on and Python's protobuf hands out as bytes.

C++ frameworks and masters take any bytes for text: a task named in Latin-1 is a task. Here text
is ``str``, so each byte that cannot be read becomes one character of a private range when a
message comes in, and that byte again when it goes out: ids and echoes stay what the master knows.
What stands in that range by itself goes the same way, byte by byte, so nothing is mistaken.
"""

from __future__ import annotations

import re

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_SURROGATES = 0xDC00
"""Where Python's own ``surrogateescape`` puts a byte; protobuf takes no such characters."""
_PRIVATE = 0xF700
_BYTES = range(0x80, 0x100)
_MARKS = (b"\xef\x9e", b"\xef\x9f")
"""How every character of the private range begins in UTF-8."""

_ESCAPE: dict[int, str] = {_SURROGATES + byte: chr(_PRIVATE + byte) for byte in _BYTES} | {
    _PRIVATE + byte: "".join(chr(_PRIVATE + part) for part in chr(_PRIVATE + byte).encode())
    for byte in _BYTES
}
_MARKED = re.compile("[\uf780-\uf7ff]")
_UNESCAPE = {_PRIVATE + byte: chr(_SURROGATES + byte) for byte in _BYTES}


def readable(message: Message) -> None:
    """Make every text field of a message that came in a ``str``."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            _make_readable(message, field, value)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in _inner(field, value):
                readable(inner)


def original(body: bytes, cls: type[Message]) -> bytes:
    """An encoded message as its peer would write it: what was escaped is bytes again."""
    if not _is_marked(body):
        return body
    message = cls.FromString(body)
    _restore(message)
    return message.SerializeToString(deterministic=True)


def _is_marked(body: bytes) -> bool:
    """Whether it may hold what was escaped."""
    return any(mark in body for mark in _MARKS)


def escape(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape").translate(_ESCAPE)


def unescape(text: str) -> bytes:
    if text.isascii():
        return text.encode()
    return text.translate(_UNESCAPE).encode("utf-8", "surrogateescape")


def _inner(field: FieldDescriptor, value: object) -> list[Message]:
    """The messages in a field; keys of maps are names that masters check."""
    if not field.is_repeated:
        return [value]  # type: ignore[list-item]
    entry = field.message_type
    if entry is None or not entry.GetOptions().map_entry:
        return list(value)  # type: ignore[call-overload, no-any-return]
    if entry.fields_by_name["value"].type != FieldDescriptor.TYPE_MESSAGE:
        return []
    return list(value.values())  # type: ignore[attr-defined]


def _make_readable(message: Message, field: FieldDescriptor, value: str | bytes) -> None:
    if field.is_repeated:
        texts = [_read(each) for each in value]  # type: ignore[arg-type]
        if any(new is not old for new, old in zip(texts, value, strict=True)):
            getattr(message, field.name)[:] = texts
        return
    text = _read(value)
    if text is not value:
        setattr(message, field.name, text)


def _read(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return escape(value)
    if value.isascii() or not _MARKED.search(value):
        return value
    return escape(value.encode())


def _restore(message: Message) -> None:
    """Strings are only checked when they are set, not when they are parsed: so parse them."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            texts = list(value) if field.is_repeated else [value]
            message.ClearField(field.name)
            message.MergeFromString(b"".join(_encoded(field.number, text) for text in texts))
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in _inner(field, value):
                # Ids are random bytes, so among thousands of tasks some look marked; the others
                # need not be walked through.
                if _is_marked(inner.SerializePartialToString()):
                    _restore(inner)


def _encoded(number: int, text: str) -> bytes:
    raw = unescape(text)
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
