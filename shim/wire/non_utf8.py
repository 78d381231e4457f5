"""Strings that are not UTF-8. A master forwards them; Python's protobuf returns them as bytes.

C++ frameworks and masters accept any bytes as a string, for example a task name in Latin-1. This
module makes every string a ``str``. Each byte that is not UTF-8 becomes one character of a private
range when a message is decoded, and the same byte again when a message is encoded. So ids and
echoed fields stay as the master knows them. Characters that are in the private range already are
escaped byte by byte as well, so that the encoding is unambiguous.
"""

from __future__ import annotations

import re

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_SURROGATES = 0xDC00
"""Python's ``surrogateescape`` maps bytes to this range, which protobuf rejects."""
_PRIVATE = 0xF700
_BYTES = range(0x80, 0x100)
_ESCAPED_PREFIXES = (b"\xef\x9e", b"\xef\x9f")
"""The first two UTF-8 bytes of every character of the private range."""

_ESCAPE: dict[int, str] = {_SURROGATES + byte: chr(_PRIVATE + byte) for byte in _BYTES} | {
    _PRIVATE + byte: "".join(chr(_PRIVATE + part) for part in chr(_PRIVATE + byte).encode())
    for byte in _BYTES
}
_ESCAPED = re.compile("[\uf780-\uf7ff]")
_UNESCAPE = {_PRIVATE + byte: chr(_SURROGATES + byte) for byte in _BYTES}


def decode_strings(message: Message) -> None:
    """Make every string field of a decoded message a ``str``, in place."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            _decode_field(message, field, value)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in _inner(field, value):
                decode_strings(inner)


def encode_strings(body: bytes, cls: type[Message]) -> bytes:
    """An encoded message with escaped characters turned back into their bytes."""
    if not _may_be_escaped(body):
        return body
    message = cls.FromString(body)
    _encode_fields(message)
    return message.SerializeToString(deterministic=True)


def _may_be_escaped(body: bytes) -> bool:
    """Whether the bytes may hold an escaped character."""
    return any(mark in body for mark in _ESCAPED_PREFIXES)


def escape(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape").translate(_ESCAPE)


def unescape(text: str) -> bytes:
    if text.isascii():
        return text.encode()
    return text.translate(_UNESCAPE).encode("utf-8", "surrogateescape")


def _inner(field: FieldDescriptor, value: object) -> list[Message]:
    """The messages in a field. Keys of maps are skipped: masters validate them."""
    if not field.is_repeated:
        return [value]  # type: ignore[list-item]
    entry = field.message_type
    if entry is None or not entry.GetOptions().map_entry:
        return list(value)  # type: ignore[call-overload, no-any-return]
    if entry.fields_by_name["value"].type != FieldDescriptor.TYPE_MESSAGE:
        return []
    return list(value.values())  # type: ignore[attr-defined]


def _decode_field(message: Message, field: FieldDescriptor, value: str | bytes) -> None:
    if field.is_repeated:
        texts = [_decode(each) for each in value]  # type: ignore[arg-type]
        if any(new is not old for new, old in zip(texts, value, strict=True)):
            getattr(message, field.name)[:] = texts
        return
    text = _decode(value)
    if text is not value:
        setattr(message, field.name, text)


def _decode(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return escape(value)
    if value.isascii() or not _ESCAPED.search(value):
        return value
    return escape(value.encode())


def _encode_fields(message: Message) -> None:
    """Parse the bytes of each string: protobuf checks a string that is set, not one it parses."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            texts = list(value) if field.is_repeated else [value]
            message.ClearField(field.name)
            message.MergeFromString(b"".join(_encoded(field.number, text) for text in texts))
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in _inner(field, value):
                # Random ids of some tasks look escaped by chance; the others are skipped.
                if _may_be_escaped(inner.SerializePartialToString()):
                    _encode_fields(inner)


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
