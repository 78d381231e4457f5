from __future__ import annotations

import pytest

from shim.run import http_parser_compat
from shim.run.http_parser_compat import HttpParser

STREAM = (
    b"HTTP/1.1 200 OK\r\nDate: Fri\r\nTransfer-Encoding: chunked\r\nMesos-Stream-Id: x-1\r\n\r\n"
    b"5\r\n2\n{}3\r\na;ext=1\r\n\n{}0123456\r\n0\r\n\r\n"
)
BODY = b"2\n{}3\n{}0123456"


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_a_chunked_body_in_any_pieces(step: int) -> None:
    parser, body = HttpParser(), b""
    for start in range(0, len(STREAM), step):
        piece = STREAM[start : start + step]
        assert parser.execute(piece, len(piece)) == len(piece)
        if parser.is_partial_body():
            body += parser.recv_body()
    assert parser.get_status_code() == 200
    assert parser.is_headers_complete()
    assert parser.is_chunked()
    assert parser.get_headers()["Mesos-Stream-Id"] == "x-1"
    assert body == BODY
    assert parser.is_message_complete()


def test_a_body_with_a_length() -> None:
    parser = HttpParser()
    data = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nnope"
    assert parser.execute(data, len(data)) == len(data)
    assert (parser.get_status_code(), parser.recv_body()) == (403, b"nope")
    assert not parser.is_chunked()
    assert parser.is_message_complete()


def test_a_master_that_starts_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("shim.run.http_parser_compat.time.sleep", pauses.append)
    parser = HttpParser()
    data = b"HTTP/1.1 404 Not Found\r\nContent-Length: 14\r\n\r\n404 Not Found."
    assert parser.execute(data, len(data)) == len(data)
    assert parser.get_status_code() == 503
    assert pauses == [http_parser_compat.STARTING_PAUSE]


def test_a_redirect_without_body_is_complete() -> None:
    parser = HttpParser()
    data = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: //m:5050\r\nContent-Length: 0\r\n\r\n"
    parser.execute(data, len(data))
    assert parser.is_message_complete()
    assert parser.get_headers()["Location"] == "//m:5050"


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000,
    ],
)
def test_invalid_http_is_an_error(data: bytes) -> None:
    parser = HttpParser()
    assert parser.execute(data, len(data)) != len(data)
    assert parser.get_errno()
