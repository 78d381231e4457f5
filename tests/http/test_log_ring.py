from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from shim import limits
from shim.http.log_ring import LogRing


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[LogRing]:
    monkeypatch.setattr(limits, "AGENT_LOG_BYTES", 100)
    ring = LogRing()
    yield ring
    ring.detach()


def write(ring: LogRing, text: str) -> None:
    ring.handle(logging.LogRecord("x", logging.INFO, "", 0, text, (), None))


def test_records_can_be_read_by_offset(ring: LogRing) -> None:
    write(ring, "one")
    write(ring, "grüße")
    whole = "one\ngrüße\n".encode()
    assert (ring.size, ring.kept, ring.read(0, 100)) == (len(whole), whole, whole)
    assert ring.read(4, 3) == whole[4:7]
    assert ring.read(1000, 10) == b""


def test_the_newest_part_is_kept_under_its_old_offsets(ring: LogRing) -> None:
    for number in range(100):
        write(ring, f"{number:09}")
    assert ring.size == 1000
    assert 100 <= len(ring.kept) <= 200
    assert ring.read(990, 10) == b"000000099\n"
    assert ring.read(0, 10) == b"\n" * 10
    edge = 1000 - len(ring.kept)
    assert ring.read(edge - 3, 6) == b"\n\n\n" + ring.kept[:3]


def test_records_are_formatted_as_in_the_log(ring: LogRing) -> None:
    root = logging.getLogger()
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("** %(message)s"))
    before, root.handlers = root.handlers, [handler]
    try:
        ring.attach()
        root.warning("hello")
        ring.detach()
        root.warning("after detach")
    finally:
        root.handlers = before
    assert ring.kept == b"** hello\n"
