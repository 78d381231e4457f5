"""Against the real ssh-agent, and against a fake one for rare answers."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shim.certs.account_key import find_key
from shim.certs.certificate import new_style, old_style
from shim.certs.ssh_agent import SshAgent
from shim.certs.ssh_wire import fingerprint, pack_string, wire_form
from shim.errors import ConfigError
from tests.certs.conftest import KEYS, WriteKey, public_line
from tests.certs.test_certificate import accepted

needs_agent = pytest.mark.needs_ssh


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[SshAgent]:
    output = subprocess.run(
        ["ssh-agent", "-s", "-a", tmp_path / "agent"], capture_output=True, text=True, check=True
    ).stdout
    match = re.search(r"SSH_AGENT_PID=(\d+)", output)
    assert match is not None
    yield SshAgent(str(tmp_path / "agent"))
    os.kill(int(match[1]), signal.SIGTERM)


def add(agent: SshAgent, path: Path) -> None:
    environment = {**os.environ, "SSH_AUTH_SOCK": agent._path}
    subprocess.run(["ssh-add", path], env=environment, check=True, capture_output=True)


@needs_agent
@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521"])
def test_a_key_in_the_agent_signs_a_certificate(
    agent: SshAgent, write_key: WriteKey, tmp_path: Path, kind: str
) -> None:
    add(agent, write_key(kind))
    public = KEYS[kind].public_key()
    key = agent.key(fingerprint(public))
    assert accepted(new_style("alice", key, datetime.now(UTC)), kind, datetime.now(UTC))
    line = tmp_path / "id.pub"
    line.write_bytes(public_line(kind))
    assert agent.key_of(line).public_key() == public
    with pytest.raises(ConfigError, match="cannot leave it"):
        old_style("alice", key, datetime.now(UTC))


@needs_agent
def test_keys_are_named_by_either_fingerprint(agent: SshAgent, write_key: WriteKey) -> None:
    add(agent, write_key("p256"))
    (identity,) = agent.identities()
    digits = identity.fingerprints[1].upper()
    for name in (*identity.fingerprints, digits, f"MD5:{digits}", f"md5:{digits}"):
        assert agent.key(name).public_key() == KEYS["p256"].public_key()
    with pytest.raises(ConfigError, match="no key with fingerprint"):
        agent.key(identity.fingerprints[3].swapcase())


@needs_agent
def test_an_unknown_key_is_answered_with_the_known_ones(
    agent: SshAgent, write_key: WriteKey
) -> None:
    with pytest.raises(ConfigError, match="holds no keys at all"):
        agent.key("MD5:00")
    add(agent, write_key("p256"))
    with pytest.raises(ConfigError, match=fingerprint(KEYS["p256"].public_key())):
        agent.key("MD5:00")


@needs_agent
def test_a_public_key_without_its_private_key_in_the_agent(
    agent: SshAgent, write_key: WriteKey, tmp_path: Path
) -> None:
    add(agent, write_key("p256"))
    line = tmp_path / "id.pub"
    line.write_bytes(public_line("rsa"))
    with pytest.raises(ConfigError, match=r"id\.pub is .* not in the ssh-agent: add it") as caught:
        agent.key_of(line)
    assert fingerprint(KEYS["p256"].public_key()) in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN RSA PUBLIC KEY-----\nMIIB\n",
        b'---- BEGIN SSH2 PUBLIC KEY ----\nComment: "x"\nAAAA\n',
        b"ssh-rsa AAA",
        b"ssh-rsa AAAA",
        b"ssh-rsa",
    ],
)
def test_a_public_key_in_another_form(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "id.pub"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"id\.pub is a public key, but not in one line"):
        SshAgent("/no/agent").key_of(path)


@needs_agent
def test_a_kind_of_key_that_triton_refuses(agent: SshAgent, write_key: WriteKey) -> None:
    add(agent, write_key("ed25519"))
    with pytest.raises(ConfigError, match="kind ssh-ed25519"):
        agent.key(agent.identities()[0].fingerprints[0])


FakeAgent = Callable[..., SshAgent]


@pytest.fixture
def fake_agent(tmp_path: Path) -> Iterator[FakeAgent]:
    """An agent that gives each request the next of its answers and hangs up."""
    threads = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "fake"))
        listener.listen()

        def answer_with(*answers: bytes) -> SshAgent:
            def serve() -> None:
                with suppress(OSError):  # fewer requests came than there are answers
                    for answer in answers:
                        with listener.accept()[0] as connection:
                            connection.recv(4096)
                            connection.sendall(answer)

            threads.append(threading.Thread(target=serve))
            threads[-1].start()
            return SshAgent(str(tmp_path / "fake"))

        yield answer_with
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\0\0\0\x01\x05", "refused: is it locked"),
        (b"", "closed the connection"),
        (b"\0\0\0\x09\x0c\0\0\0\x01\0\0\0\xff", "cut short"),
        (b"\xff\xff\xff\xff", "a message of 4294967295 bytes"),
    ],
)
def test_invalid_answers_of_an_agent(fake_agent: FakeAgent, answer: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        fake_agent(answer).identities()


def message(kind: int, body: bytes) -> bytes:
    return pack_string(bytes([kind]) + body)


def listing(kind: str) -> bytes:
    return message(
        12, b"\0\0\0\1" + pack_string(wire_form(KEYS[kind].public_key())) + pack_string(b"me")
    )


def test_a_public_key_file_is_looked_up_in_the_agent(
    fake_agent: FakeAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = tmp_path / "id.pub"
    line.write_bytes(public_line("p256"))
    monkeypatch.setenv("SSH_AUTH_SOCK", fake_agent(listing("p256"))._path)
    assert find_key(str(line), None).public_key() == KEYS["p256"].public_key()


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_a_signature_of_another_kind_is_refused(
    fake_agent: FakeAgent, tmp_path: Path, kind: str
) -> None:
    """Agents before OpenSSH 7.2 do not know the flags that ask for SHA-2."""
    line = tmp_path / "id.pub"
    line.write_bytes(public_line(kind))
    agent = fake_agent(
        listing(kind),
        message(14, pack_string(pack_string(b"ssh-rsa") + pack_string(b"..."))),
    )
    with pytest.raises(ConfigError, match=r"of kind ssh-rsa instead of (rsa-sha2-256|ecdsa-sha2-)"):
        new_style("alice", agent.key_of(line), datetime.now(UTC))


def test_a_missing_agent(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not answer"):
        SshAgent(str(tmp_path / "none")).identities()
