from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from shim import limits
from shim.http.log_ring import LogRing


@pytest.fixture
def tail(monkeypatch: pytest.MonkeyPatch) -> Iterator[LogRing]:
    monkeypatch.setattr(limits, "AGENT_LOG_BYTES", 100)
    tail = LogRing()
    yield tail
    tail.detach()


def say(tail: LogRing, text: str) -> None:
    tail.handle(logging.LogRecord("x", logging.INFO, "", 0, text, (), None))


def test_what_was_said_is_read(tail: LogRing) -> None:
    say(tail, "one")
    say(tail, "grüße")
    whole = "one\ngrüße\n".encode()
    assert (tail.size, tail.held, tail.read(0, 100)) == (len(whole), whole, whole)
    assert tail.read(4, 3) == whole[4:7]
    assert tail.read(1000, 10) == b""


def test_the_newest_is_held_and_offsets_stay(tail: LogRing) -> None:
    for number in range(100):
        say(tail, f"{number:09}")
    assert tail.size == 1000
    assert 100 <= len(tail.held) <= 200
    assert tail.read(990, 10) == b"000000099\n"
    assert tail.read(0, 10) == b"\n" * 10
    edge = 1000 - len(tail.held)
    assert tail.read(edge - 3, 6) == b"\n\n\n" + tail.held[:3]


def test_its_words_are_those_of_the_log(tail: LogRing) -> None:
    root = logging.getLogger()
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("** %(message)s"))
    before, root.handlers = root.handlers, [handler]
    try:
        tail.attach()
        root.warning("hello")
        tail.detach()
        root.warning("not heard")
    finally:
        root.handlers = before
    assert tail.held == b"** hello\n"
