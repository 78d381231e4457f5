"""The program of an infra container, as machine code: it waits for SIGTERM or SIGINT, and exits.

Written here instruction by instruction, so that the agent needs no compiler and ships no binary.
In C, without a libc::

    rt_sigprocmask(SIG_BLOCK, {SIGINT, SIGTERM})
    rt_sigaction(SIGCHLD, SIG_IGN)
    while (rt_sigtimedwait({SIGINT, SIGTERM}) < 0)
        ;
    exit_group(0)

* The kernel discards a signal for process 1 that has no handler and is not blocked. A blocked
  signal stays pending, so one that comes at any time ends the program.
* Where tasks share the process namespace, their orphans become children of process 1. Ignoring
  SIGCHLD makes the kernel remove them when they end.

The file is a static ELF executable of one segment: the headers, the code, then its data. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence

SIGNALS = 1 << 2 - 1 | 1 << 15 - 1
"""The signal set of SIGINT (2) and SIGTERM (15)."""
SIG_IGN = 1
_SIGCHLD = 17
_SET_SIZE = 8
"""Bytes of a signal set."""

_DATA = struct.pack("<QQQQQ", SIGNALS, SIG_IGN, 0, 0, 0)
"""The signal set, then a ``struct sigaction`` of the kernel: handler, flags, restorer, mask."""
_ACTION = 8
"""Offset of the ``struct sigaction``."""

_BASE = 0x400000
"""The address of the segment."""
_PAGE = 0x10000
"""The largest page size of the two architectures."""
_HEADERS = 64 + 56
"""Bytes of the ELF header and of its one program header: the code follows."""


_Part = bytes | tuple[bytes, str]
"""An instruction for x86-64; one with the address of data without that address."""
_Word = int | tuple[int, str]
"""The same for AArch64, with the register of the address."""


def amd64() -> bytes:
    """Machine code and data for x86-64."""
    block: list[_Part] = [_eax(14), _EDI_0, (_LEA_RSI, "set"), _EDX_0, _R10_SIZE, _SYSCALL]
    ignore: list[_Part] = [_eax(13), _edi(_SIGCHLD), (_LEA_RSI, "action"), _EDX_0, _R10_SIZE]
    ignore.append(_SYSCALL)
    wait: list[_Part] = [_eax(128), (_LEA_RDI, "set"), _ESI_0, _EDX_0, _R10_SIZE, _SYSCALL]
    wait.append(_TEST_EAX)
    again = [b"\x78" + struct.pack("<b", -_size(wait) - 2)]  # js wait: EINTR
    leave = [_eax(231), _EDI_0, _SYSCALL]
    code: list[_Part] = [*block, *ignore, *wait, *again, *leave]
    places = {"set": _size(code), "action": _size(code) + _ACTION}
    result = b""
    for part in code:
        if isinstance(part, bytes):
            result += part
        else:
            # The distance counts from the end of the instruction.
            lea, place = part
            result += lea + struct.pack("<i", places[place] - len(result) - _LEA_SIZE)
    return result + _DATA


_EDI_0 = b"\x31\xff"  # xor edi, edi
_ESI_0 = b"\x31\xf6"  # xor esi, esi
_EDX_0 = b"\x31\xd2"  # xor edx, edx
_R10_SIZE = b"\x41\xba" + struct.pack("<I", _SET_SIZE)  # mov r10d, 8
_SYSCALL = b"\x0f\x05"
_TEST_EAX = b"\x85\xc0"  # test eax, eax
_LEA_RSI = b"\x48\x8d\x35"  # lea rsi, [rip+distance]
_LEA_RDI = b"\x48\x8d\x3d"  # lea rdi, [rip+distance]
_LEA_SIZE = 7


def _eax(number: int) -> bytes:
    """``mov eax, number``: of the system call."""
    return b"\xb8" + struct.pack("<I", number)


def _edi(value: int) -> bytes:
    """``mov edi, value``."""
    return b"\xbf" + struct.pack("<I", value)


def _size(code: Sequence[_Part]) -> int:
    return sum(len(part) if isinstance(part, bytes) else _LEA_SIZE for part in code)


def arm64() -> bytes:
    """Machine code and data for AArch64."""
    block: list[_Word] = [_mov(8, 135), _mov(0, 0), (1, "set"), _mov(2, 0), _mov(3, _SET_SIZE)]
    ignore: list[_Word] = [_mov(8, 134), _mov(0, _SIGCHLD), (1, "action"), _mov(2, 0)]
    ignore.append(_mov(3, _SET_SIZE))
    wait: list[_Word] = [_mov(8, 137), (0, "set"), _mov(1, 0), _mov(2, 0), _mov(3, _SET_SIZE), _SVC]
    again = _branch_if_negative(-len(wait))  # EINTR
    leave = [_mov(8, 94), _mov(0, 0), _SVC]
    code = [*block, _SVC, *ignore, _SVC, *wait, again, *leave]
    places = {"set": 4 * len(code), "action": 4 * len(code) + _ACTION}
    words = [
        word if isinstance(word, int) else _adr(word[0], places[word[1]] - 4 * number)
        for number, word in enumerate(code)
    ]
    return struct.pack(f"<{len(words)}I", *words) + _DATA


_SVC = 0xD4000001
"""``svc #0``: the call whose number is in x8."""


def _mov(register: int, value: int) -> int:
    """``mov xN, #value``."""
    return 0xD2800000 | value << 5 | register


def _adr(register: int, distance: int) -> int:
    """``adr xN, .+distance``."""
    return 0x10000000 | (distance & 3) << 29 | (distance >> 2) << 5 | register


def _branch_if_negative(words: int) -> int:
    """``tbnz x0, #63, .+words``."""
    return 0xB7F80000 | (words & 0x3FFF) << 5


def elf(machine: int, code: bytes) -> bytes:
    """A static executable of the code for ``e_machine``; it begins at the code's first byte."""
    size = _HEADERS + len(code)
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)  # 64 bits, little-endian, version 1
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 2, machine, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    # PT_LOAD, readable and executable: the whole file.
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, _PAGE)
    return header + segment + code


_EM_X86_64, _EM_AARCH64 = 62, 183

PROGRAMS: Mapping[str, Callable[[], bytes]] = {
    "amd64": lambda: elf(_EM_X86_64, amd64()),
    "arm64": lambda: elf(_EM_AARCH64, arm64()),
}
"""The executable by architecture, as engines name it."""
