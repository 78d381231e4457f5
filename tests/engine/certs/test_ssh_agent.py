"""Against the real ssh-agent, and a scripted one for what a real one rarely does."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shim.engine.certs.certificate import new_style, old_style
from shim.engine.certs.keys import fingerprint
from shim.engine.certs.ssh_agent import SshAgent
from shim.errors import ConfigError
from tests.engine.certs.conftest import KEYS, WriteKey, public_line
from tests.engine.certs.test_certificate import let_in

needs_agent = pytest.mark.needs_ssh


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[SshAgent]:
    said = subprocess.run(
        ["ssh-agent", "-s", "-a", tmp_path / "agent"], capture_output=True, text=True, check=True
    ).stdout
    match = re.search(r"SSH_AGENT_PID=(\d+)", said)
    assert match is not None
    yield SshAgent(str(tmp_path / "agent"))
    os.kill(int(match[1]), signal.SIGTERM)


def add(agent: SshAgent, path: Path) -> None:
    environment = {**os.environ, "SSH_AUTH_SOCK": agent._path}
    subprocess.run(["ssh-add", path], env=environment, check=True, capture_output=True)


@needs_agent
@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521"])
def test_a_key_in_the_agent_signs_a_certificate(
    agent: SshAgent, write_key: WriteKey, kind: str
) -> None:
    add(agent, write_key(kind))
    public = KEYS[kind].public_key()
    key = agent.key(fingerprint(public))
    assert let_in(new_style("alice", key, datetime.now(UTC)), kind, datetime.now(UTC))
    assert agent.key_for_line(public_line(kind)) is not None
    with pytest.raises(ConfigError, match="cannot leave it"):
        old_style("alice", key, datetime.now(UTC))


@needs_agent
def test_keys_are_named_by_either_fingerprint(agent: SshAgent, write_key: WriteKey) -> None:
    add(agent, write_key("p256"))
    (identity,) = agent.identities()
    for text in identity.fingerprints:
        assert agent.key(text).public_key() == KEYS["p256"].public_key()


@needs_agent
def test_an_unknown_key_names_those_that_are_there(agent: SshAgent, write_key: WriteKey) -> None:
    with pytest.raises(ConfigError, match="holds no keys at all"):
        agent.key("MD5:00")
    add(agent, write_key("p256"))
    with pytest.raises(ConfigError, match=fingerprint(KEYS["p256"].public_key())):
        agent.key("MD5:00")
    assert agent.key_for_line(public_line("rsa")) is None


@needs_agent
def test_a_kind_that_triton_refuses(agent: SshAgent, write_key: WriteKey) -> None:
    add(agent, write_key("ed25519"))
    with pytest.raises(ConfigError, match="kind ssh-ed25519"):
        agent.key(agent.identities()[0].fingerprints[0])


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Callable[[bytes], SshAgent]]:
    """An agent that answers one request with given bytes and hangs up."""
    threads = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "fake"))
        listener.listen()

        def answer_with(answer: bytes) -> SshAgent:
            def serve() -> None:
                link, _ = listener.accept()
                with link:
                    link.recv(4096)
                    link.sendall(answer)

            threads.append(threading.Thread(target=serve))
            threads[-1].start()
            return SshAgent(str(tmp_path / "fake"))

        yield answer_with
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
def test_what_a_broken_agent_does(
    scripted: Callable[[bytes], SshAgent], answer: bytes, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        scripted(answer).identities()


def test_no_agent_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not answer"):
        SshAgent(str(tmp_path / "none")).identities()
