"""Requests are encoded and recognised as by libprocess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from shim.errors import PeerError
from shim.model.ids import Pid
from shim.wire.framing import encode_request, is_message, sender_of, target_of
from tests.wire import transcripts

MASTER = Pid("master", "10.0.0.1", 5050)
AGENT = Pid("slave(1)", "10.0.0.9", 5051)

ids = st.from_regex(r"[!-.0-?A-~]{1,40}", fullmatch=True).filter(lambda s: "@" not in s)
ips = st.ip_addresses(v=4).map(str)
pids = st.builds(Pid, ids, ips, st.integers(0, 65535))


@pytest.mark.parametrize("transcript", transcripts.NAMES)
def test_every_recorded_request_is_reproduced(transcript: str) -> None:
    for message in transcripts.messages(transcript):
        assert encode_request(message.to, message.sender, message.name, message.body) == message.raw


def test_transcripts_are_not_empty() -> None:
    assert len(transcripts.everything()) > 150


def test_an_empty_body_has_no_length() -> None:
    assert encode_request(MASTER, AGENT, "a.Pong", b"") == (
        b"POST /master/a.Pong HTTP/1.1\r\n"
        b"User-Agent: libprocess/slave(1)@10.0.0.9:5051\r\n"
        b"Libprocess-From: slave(1)@10.0.0.9:5051\r\n"
        b"Connection: Keep-Alive\r\n"
        b"Host: 10.0.0.1:5050\r\n\r\n"
    )


@given(to=pids, sender=pids, body=st.binary(max_size=200))
def test_encoded_requests_can_be_decoded(to: Pid, sender: Pid, body: bytes) -> None:
    data = encode_request(to, sender, "mesos.internal.X", body)
    head, _, rest = data.partition(b"\r\n\r\n")
    start, *lines = head.decode().split("\r\n")
    method, path, _ = start.split(" ")
    headers = CIMultiDict[str]()
    for line in lines:
        name, value = line.split(": ", 1)
        headers.add(name, value)
    assert is_message(method, headers)
    assert sender_of(headers) == sender
    if "%" not in to.id:  # libprocess does not quote these characters
        assert target_of(path) == (to.id, "mesos.internal.X")
    assert rest == (b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"")


@given(pids)
def test_pids_survive_formatting_and_parsing(pid: Pid) -> None:
    assert Pid.parse(str(pid)) == pid
    assert Pid.parse(f" {pid}\t") == pid


@given(st.text(max_size=30))
def test_any_text_is_a_pid_or_a_value_error(text: str) -> None:
    try:
        pid = Pid.parse(text)
    except ValueError:
        return
    assert Pid.parse(str(pid)) == pid


@pytest.mark.parametrize(
    ("to", "sender", "name"),
    [
        ("master\r\nX: y", "slave(1)", "a.B"),
        ("", "slave(1)", "a.B"),
        ("a/b", "slave(1)", "a.B"),
        ("master", "slave 1", "a.B"),
        ("master", "slave(1)", "a.B HTTP/1.0"),
        ("mäster", "slave(1)", "a.B"),
    ],
)
def test_a_request_head_cannot_be_injected(to: str, sender: str, name: str) -> None:
    with pytest.raises(ValueError, match=r"process id|request line"):
        encode_request(Pid(to, "10.0.0.1", 1), Pid(sender, "10.0.0.1", 1), name, b"")


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("POST", {"Libprocess-From": "a@1.2.3.4:5"}, True),
        ("POST", {"libprocess-from": "a@1.2.3.4:5"}, True),
        ("POST", {"User-Agent": "libprocess/a@1.2.3.4:5"}, True),
        ("GET", {"Libprocess-From": "a@1.2.3.4:5"}, False),
        ("POST", {"User-Agent": "curl/8"}, False),
        ("POST", {}, False),
    ],
)
def test_headers_of_a_message(method: str, headers: dict[str, str], expected: bool) -> None:
    assert is_message(method, CIMultiDict(headers)) is expected


def test_libprocess_from_takes_precedence_over_user_agent() -> None:
    both = {"Libprocess-From": " a@1.2.3.4:5 ", "User-Agent": "libprocess/b@1.2.3.4:5"}
    assert sender_of(CIMultiDict(both)) == Pid("a", "1.2.3.4", 5)
    assert sender_of(CIMultiDict({"User-Agent": "libprocess/b@1.2.3.4:5"})).id == "b"


@pytest.mark.parametrize("text", ["", "a", "a@host:5", "@1.2.3.4:5", "a@::1:5", "a b@1.2.3.4:5"])
def test_an_unusable_sender_is_an_error(text: str) -> None:
    with pytest.raises(PeerError):
        sender_of(CIMultiDict({"Libprocess-From": text}))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/slave(1)/PING", ("slave(1)", "PING")),
        ("/slave%281%29/a.B", ("slave(1)", "a.B")),
        ("/slave(1)/a%2EB/c", ("slave(1)", "a%2EB/c")),
        ("/slave(1)", ("slave(1)", "")),
    ],
)
def test_targets(path: str, expected: tuple[str, str]) -> None:
    assert target_of(path) == expected


@pytest.mark.parametrize("path", ["", "/", "*", "slave(1)/PING", "//PING"])
def test_paths_without_a_process(path: str) -> None:
    with pytest.raises(PeerError):
        target_of(path)
