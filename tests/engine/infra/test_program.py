"""The infra program, byte for byte as the emulator, the disassembler and an engine have seen it."""

from __future__ import annotations

import hashlib
import platform
import signal
import struct
import subprocess
from pathlib import Path

import pytest

from shim.engine.infra.program import PROGRAMS, SIGNALS

DIGESTS = {
    "amd64": "5faebc6ee2fc2dd96b6b43ba4a0bdfb756c5b4470c14e7198230499c9f8b2db8",
    "arm64": "bb4b4257de3888ac40d9d519327a27eed45a9bf5beeffc18e70ba905a67fb2ee",
}
"""A change of one belongs to a new ``infra.image.VERSION``."""
HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine())


@pytest.mark.parametrize("architecture", PROGRAMS)
def test_the_program_is_the_one_that_was_tried(architecture: str) -> None:
    program = PROGRAMS[architecture]()
    assert hashlib.sha256(program).hexdigest() == DIGESTS[architecture]


@pytest.mark.parametrize(("architecture", "machine"), [("amd64", 62), ("arm64", 183)])
def test_the_file_is_a_static_executable_of_one_segment(architecture: str, machine: int) -> None:
    program = PROGRAMS[architecture]()
    ident, kind, arch, _, entry, table = struct.unpack_from("<16sHHIQQ", program)
    assert ident[:7] == b"\x7fELF\x02\x01\x01"
    assert (kind, arch, table) == (2, machine, 64)
    segment, flags, offset, address, _, in_file, in_memory, align = struct.unpack_from(
        "<IIQQQQQQ", program, 64
    )
    assert (segment, flags, offset) == (1, 5, 0)
    assert in_file == in_memory == len(program)
    assert entry == address + 120
    assert address % align == 0
    assert sum(1 << number - 1 for number in (signal.SIGINT, signal.SIGTERM)) == SIGNALS


@pytest.mark.skipif(HERE is None, reason="the program has no code for this machine")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_waits_until_it_is_asked_to_end(number: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / "infra"
    file.write_bytes(PROGRAMS[HERE or ""]())
    file.chmod(0o755)
    with subprocess.Popen([file]) as process:
        # An interrupted wait begins again. A signal that comes early, while it is not blocked,
        # ends the program as well, by its default action: not as process 1.
        for interruption in (signal.SIGSTOP, signal.SIGCONT, signal.SIGCHLD):
            process.send_signal(interruption)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.send_signal(number)
        assert process.wait(30) == 0
