"""``--key``: finds the account's key in a file or an ssh-agent, with its passphrase."""

from __future__ import annotations

import getpass
import os
import re
import sys
from pathlib import Path

from shim.certs import keys
from shim.certs.ssh_agent import SshAgent
from shim.certs.ssh_wire import PrivateKey
from shim.errors import ConfigError

PASSPHRASE = "TRITON_KEY_PASSPHRASE"
FINGERPRINT = re.compile(r"(MD5:|SHA256:).+|(?i:(md5:)?([0-9a-f]{2}:){15}[0-9a-f]{2})")


def find_key(named: str, passphrase_file: Path | None) -> PrivateKey:
    """The key that a file name or a fingerprint names. ConfigError.

    Blocks on the terminal and on the agent, so it must not be called in an event loop.
    """
    path, agent = Path(named).expanduser(), os.environ.get("SSH_AUTH_SOCK")
    if FINGERPRINT.fullmatch(named) and not path.exists():
        if not agent:
            raise ConfigError(f"--key={named} names a key in an ssh-agent: SSH_AUTH_SOCK is unset")
        return SshAgent(agent).key(named)
    if agent and keys.is_public_key(path):
        return SshAgent(agent).key_of(path)
    return keys.load_key(path, lambda: _prompt(path), _given_passphrase(passphrase_file))


def _given_passphrase(file: Path | None) -> bytes | None:
    """The passphrase of the file or the variable; an empty one counts as none."""
    if file is None:
        return os.fsencode(os.environ.get(PASSPHRASE, "")) or None
    try:
        return file.read_bytes().rstrip(b"\r\n") or None
    except OSError as error:
        raise ConfigError(f"--key-passphrase-file={file}: {error.strerror}") from error


def _prompt(path: Path) -> bytes | None:
    if not sys.stdin.isatty():
        return None
    try:
        return os.fsencode(getpass.getpass(f"Passphrase for {path}: "))
    except (EOFError, KeyboardInterrupt, UnicodeError) as error:
        print(file=sys.stderr)  # ends the prompt's line
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ConfigError(f"{path} is encrypted, and no passphrase was entered") from None
