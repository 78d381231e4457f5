"""A passphrase typed at a terminal, and Ctrl-C."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from shim.certs.ssh_wire import fingerprint, pack_string, wire_form
from tests.certs.conftest import KEYS, WriteKey

LAUNCH = """
import fcntl, signal, sys, termios
if sys.stdin.isatty():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that its Ctrl-C comes to us
signal.signal(signal.SIGINT, signal.default_int_handler)
from shim.cli import main
sys.exit(main(["certs", "--account=alice", "--url=http://127.0.0.1:1", *sys.argv[1:]]))
"""
SECONDS = 20.0


def environment(**more: str) -> dict[str, str]:
    dropped = ("SSH_AUTH_SOCK", "TRITON_KEY_PASSPHRASE")
    return {name: value for name, value in os.environ.items() if name not in dropped} | more


def typed(answer: bytes, *arguments: object) -> tuple[int, str]:
    """Exit code and all that was shown, once ``answer`` was typed at the prompt."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(),
        start_new_session=True,
    )
    os.close(slave)
    output = b""
    while b"Passphrase for" not in output:
        output += os.read(master, 4096)
    os.write(master, answer)
    with open(master, "rb", buffering=0) as terminal, suppress(OSError):  # it ends with an error
        while more := terminal.read(4096):
            output += more
    return process.wait(SECONDS), output.decode()


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (b"secret\n", 2, "127.0.0.1:1/alice/services: cannot be reached"),
        (b"guess\n", 2, "wrong passphrase"),
        (b"\n", 2, "wrong passphrase"),
        (b"\x04", 2, "no passphrase was entered"),
        (b"\x03", 130, "Passphrase for"),
    ],
)
def test_a_passphrase_is_prompted_for_without_echo(
    write_key: WriteKey, tmp_path: Path, answer: bytes, code: int, words: str
) -> None:
    key = write_key("p256", passphrase=b"secret")
    found, output = typed(answer, "--key", key, "--out", tmp_path / "out")
    assert (found, output.count(words)) == (code, 1), output
    assert f"Passphrase for {key}: \r\n" in output, "what follows has a line of its own"
    assert "Traceback" not in output
    assert "secret" not in output


@contextmanager
def silent_agent(path: Path, answers: list[bytes]) -> Iterator[threading.Event]:
    """An agent that gives these answers, then sets the event at the next request and hangs."""
    asked, done = threading.Event(), threading.Event()

    def serve() -> None:
        with suppress(OSError):  # it was asked less
            for answer in answers:
                with listener.accept()[0] as link:
                    link.recv(4096)
                    link.sendall(answer)
            with listener.accept()[0]:
                asked.set()
                done.wait(SECONDS)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            done.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("first", [False, True])
def test_one_ctrl_c_ends_a_wait_for_an_agent(tmp_path: Path, first: bool) -> None:
    """With its list of keys, or with the signature under the question to CloudAPI."""
    public = KEYS["p256"].public_key()
    listed = pack_string(b"\x0c\0\0\0\1" + pack_string(wire_form(public)) + pack_string(b"me"))
    named = f"--key={fingerprint(public)}"
    with silent_agent(tmp_path / "agent", [] if first else [listed]) as asked:
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, named, f"--out={tmp_path / 'out'}"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(SSH_AUTH_SOCK=str(tmp_path / "agent")),
        )
        try:
            assert asked.wait(SECONDS)
            process.send_signal(signal.SIGINT)
            _, output = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert (process.returncode, output) == (130, b"")
