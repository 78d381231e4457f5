"""``--key``: the account's key, in a file or in an ssh-agent, and the passphrase it may need."""

from __future__ import annotations

import getpass
import os
import re
import sys
from pathlib import Path

from shim.certs import keys
from shim.certs.ssh_agent import SshAgent
from shim.errors import ConfigError

PASSPHRASE = "TRITON_KEY_PASSPHRASE"
FINGERPRINT = re.compile(r"(MD5:|SHA256:).+|(?i:(md5:)?([0-9a-f]{2}:){15}[0-9a-f]{2})")


def find_key(named: str, passphrase_file: Path | None) -> keys.PrivateKey:
    """The key that a file name or a fingerprint names. ConfigError.

    May ask at the terminal and wait for an agent: not to be called in a loop.
    """
    path, agent = Path(named).expanduser(), os.environ.get("SSH_AUTH_SOCK")
    if FINGERPRINT.fullmatch(named) and not path.exists():
        if not agent:
            raise ConfigError(f"--key={named} names a key in an ssh-agent: SSH_AUTH_SOCK is unset")
        return SshAgent(agent).key(named)
    if agent and keys.is_public_key(path):
        return SshAgent(agent).key_of(path)
    return keys.load_key(path, lambda: _ask(path), _given(passphrase_file))


def _given(file: Path | None) -> bytes | None:
    """The passphrase named beforehand; an empty one is none."""
    if file is None:
        return os.fsencode(os.environ.get(PASSPHRASE, "")) or None
    try:
        return file.read_bytes().rstrip(b"\r\n") or None
    except OSError as error:
        raise ConfigError(f"--key-passphrase-file={file}: {error.strerror}") from error


def _ask(path: Path) -> bytes | None:
    if not sys.stdin.isatty():
        return None
    try:
        return os.fsencode(getpass.getpass(f"Passphrase for {path}: "))
    except (EOFError, KeyboardInterrupt, UnicodeError) as error:
        print(file=sys.stderr)  # the prompt's line is still open
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ConfigError(f"{path} is encrypted, and no passphrase was entered") from None
