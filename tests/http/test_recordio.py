from __future__ import annotations

import pytest

from shim.http.recordio import MalformedRecord, RecordDecoder, encode

RECORDS = [b'{"type":"HEARTBEAT"}', b"", b"\n12\n", b"\x00\xff" * 40]
STREAM = b"".join(map(encode, RECORDS))


def test_a_record_follows_its_length() -> None:
    assert encode(b'{"type":"SHUTDOWN"}') == b'19\n{"type":"SHUTDOWN"}'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_stream_may_be_cut_anywhere(size: int) -> None:
    decoder = RecordDecoder(100)
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert [record for piece in pieces for record in decoder.feed(piece)] == RECORDS
    assert decoder.is_between_records


@pytest.mark.parametrize("cut", [b"1", b"19", b"19\n", b'19\n{"type"'])
def test_a_stream_that_is_cut_inside_a_record_is_not_complete(cut: bytes) -> None:
    decoder = RecordDecoder(100)
    assert list(decoder.feed(cut)) == []
    assert not decoder.is_between_records


@pytest.mark.parametrize(
    "text", [b"\n", b"-1\nx", b"+3\nabc", b" 3\nabc", b"3 \nabc", b"0x3\nabc", b"abc\n", b"a" * 21]
)
def test_a_length_is_decimal_digits(text: bytes) -> None:
    with pytest.raises(MalformedRecord, match="Failed to decode length"):
        list(RecordDecoder(100).feed(text))


@pytest.mark.parametrize("length", ["101", "9" * 20])
def test_a_length_above_the_limit_is_refused_before_the_record_arrives(length: str) -> None:
    with pytest.raises(MalformedRecord, match=f"A record of {length} bytes is longer than 100"):
        list(RecordDecoder(100).feed(f"{length}\n".encode()))


def test_a_wrong_length_is_noticed_at_the_next_record() -> None:
    decoder = RecordDecoder(100)
    found = decoder.feed(b'18\n{"type":"SHUTDOWN"}19\n')
    assert next(found) == b'{"type":"SHUTDOWN"'
    with pytest.raises(MalformedRecord, match="}19"):
        next(found)
