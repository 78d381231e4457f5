from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.http.utf8 import decode


@pytest.mark.parametrize("text", ["", "plain", "grüße", "日本語", "a😀b", "\0\x1b[31m\r\n"])
def test_valid_text_is_unchanged(text: str) -> None:
    assert decode(text.encode(), more=True) == text
    assert decode(text.encode(), more=False) == text


@pytest.mark.parametrize("character", ["é", "語", "😀"])
def test_a_character_cut_at_the_end_is_left_for_the_next_read(character: str) -> None:
    whole = character.encode()
    for cut in range(1, len(whole)):
        assert decode(b"a" + whole[:cut], more=True) == "a"
        assert decode(b"a" + whole[:cut], more=False) == "a" + "?" * cut


def test_each_invalid_byte_becomes_one_byte_and_one_character() -> None:
    assert decode(b"a\xff\xfe\x80b", more=False) == "a???b"
    assert decode(b"\xe2\x82", more=False) == "??"
    assert decode(b"a\xff", more=True) == "a?"


@given(st.text(), st.integers(1, 7))
def test_reading_in_pieces_gives_the_whole_text(text: str, size: int) -> None:
    """A client that counts bytes gets every character once."""
    data, got, at = text.encode(), "", 0
    while at < len(data):
        piece = decode(data[at : at + size], more=at + size < len(data))
        piece = piece or decode(data[at : at + size + 3], more=True)
        got += piece
        at += len(piece.encode())
    assert got == text


@given(st.binary(), st.integers(1, 7))
def test_a_client_that_counts_bytes_misses_none_of_any_output(data: bytes, size: int) -> None:
    got, at = "", 0
    while at < len(data):
        window = data[at : at + size]
        piece = decode(window, more=at + size < len(data)) or decode(window, more=False)
        got += piece
        at += len(piece.encode())
    assert at == len(data)
    assert got.isascii() or len(got.encode()) == len(data)


@given(st.binary().filter(lambda data: decode(data, more=False).isascii()), st.integers(1, 7))
def test_a_client_that_counts_characters_misses_no_byte_of_ascii_and_invalid_bytes(
    data: bytes, size: int
) -> None:
    got = ""
    while len(got) < len(data):
        window = data[len(got) : len(got) + size]
        got += decode(window, more=len(got) + size < len(data)) or decode(window, more=False)
    assert got == "".join(chr(byte) if byte < 0x80 else "?" for byte in data)
