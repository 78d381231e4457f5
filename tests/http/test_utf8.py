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
        assert decode(b"a" + whole[:cut], more=False) == "a" + "\ufffd" * cut


def test_each_invalid_byte_becomes_one_character() -> None:
    assert decode(b"a\xff\xfe\x80b", more=False) == "a\ufffd\ufffd\ufffdb"
    assert decode(b"\xe2\x82", more=False) == "\ufffd\ufffd"


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
