"""Reads the account's SSH key from a file, with an error text for each way it can be wrong."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shim.certs.ssh_wire import PrivateKey, Reader
from shim.errors import ConfigError

Passphrase = Callable[[], bytes | None]
"""Called only for an encrypted key; returns None where a user cannot be asked."""

OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----"
OPENSSH_MAGIC = b"openssh-key-v1\0"
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----BEGIN EC PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN ENCRYPTED PRIVATE KEY-----",
    "-----BEGIN EC PARAMETERS-----",
)
PUBLIC = (
    "ssh-",
    "ecdsa-sha2-",
    "sk-",
    "-----BEGIN PUBLIC KEY",
    "-----BEGIN RSA PUBLIC KEY",
    "---- BEGIN SSH2 PUBLIC KEY",
)
CERTIFICATE = "-cert-v01@openssh.com"
CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
WANTED = "an RSA or ECDSA key is needed"
MAX_KEY_FILE = 65536


def load_key(path: Path, passphrase: Passphrase, given: bytes | None = None) -> PrivateKey:
    """The private key in ``path``. ConfigError says what is wrong with it.

    ``given`` is the passphrase that a flag or variable named. It is an error for a plain key.
    """
    data = _read(path)
    _check_first_line(path, data)
    _check_kind(path, data)
    try:
        key = _parse(path, data, None)
    except TypeError:
        return _supported(path, _decrypt(path, data, passphrase() if given is None else given))
    if given is not None:
        raise ConfigError(f"{path} is not encrypted, but a passphrase is given")
    return _supported(path, key)


def is_public_key(path: Path) -> bool:
    """Whether the file looks like a public key; False when it cannot be read.

    An SSH certificate does not count: :func:`load_key` refuses it by name.
    """
    try:
        with path.open("rb") as file:
            first = file.read(64).decode(errors="replace")
    except OSError:
        return False
    return first.startswith(PUBLIC) and CERTIFICATE not in first


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEY_FILE + 1)
    except OSError as error:
        raise ConfigError(f"--key={path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_KEY_FILE:
        raise ConfigError(f"--key={path} is not a key: larger than {MAX_KEY_FILE} bytes")
    return data.lstrip()


def _check_first_line(path: Path, data: bytes) -> None:
    first = data.partition(b"\n")[0].decode(errors="replace").strip()
    if first.startswith((OPENSSH, *PEM)):
        return
    if first.startswith("-----BEGIN DSA"):
        raise ConfigError(f"{path} is a DSA key, which Triton does not accept: {WANTED}")
    if CERTIFICATE in first:
        raise ConfigError(f"{path} is an SSH certificate, which Triton does not know: {WANTED}")
    if first.startswith(PUBLIC):
        raise ConfigError(
            f"{path} is a public key: give the private one, or add that to an ssh-agent "
            "(SSH_AUTH_SOCK is unset)"
        )
    if first.startswith("PuTTY-User-Key-File"):
        raise ConfigError(
            f"{path} is in PuTTY's format: convert it with `puttygen {path} -O private-openssh`"
        )
    if first.startswith("-----BEGIN CERTIFICATE"):
        raise ConfigError(f"{path} is a certificate, not a private key")
    raise ConfigError(f"{path} is not an SSH private key in OpenSSH or PEM format")


def _check_kind(path: Path, data: bytes) -> None:
    """Refuse kinds of keys by name, from the public half, which is never encrypted."""
    if not data.startswith(OPENSSH.encode()):
        return
    try:
        kind = _openssh_kind(data)
    except ValueError as error:
        raise _unreadable(path, error) from None
    if kind == "ssh-dss":
        raise ConfigError(f"{path} is a DSA key, which Triton does not accept: {WANTED}")
    if kind.startswith("sk-"):
        raise ConfigError(f"{path} is a FIDO key ({kind}), which Triton does not accept: {WANTED}")


def _openssh_kind(data: bytes) -> str:
    lines = [line for line in data.splitlines() if not line.startswith(b"-----")]
    reader = Reader(base64.b64decode(b"".join(lines)).removeprefix(OPENSSH_MAGIC))
    for _ in ("cipher", "key derivation", "its options"):
        reader.string()
    reader.number()  # of keys in the file
    return Reader(reader.string()).name()


def _parse(path: Path, data: bytes, passphrase: bytes | None) -> object:
    """By one of two loaders, each for its own formats. TypeError for an encrypted key."""
    openssh = data.startswith(OPENSSH.encode())
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    try:
        return load(data, passphrase)
    except ValueError as error:
        if passphrase is not None:
            raise ConfigError(f"{path}: wrong passphrase") from error
        raise _unreadable(path, error) from error
    except UnsupportedAlgorithm as error:
        raise _unreadable(path, error) from error


def _decrypt(path: Path, data: bytes, passphrase: bytes | None) -> object:
    if passphrase is None:
        raise ConfigError(
            f"{path} is encrypted: give its passphrase with --key-passphrase-file or in "
            "TRITON_KEY_PASSPHRASE, or add the key to an ssh-agent and name its fingerprint"
        )
    try:
        return _parse(path, data, passphrase)
    except TypeError:  # an empty passphrase counts as none
        raise ConfigError(f"{path}: wrong passphrase") from None


def _unreadable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{path} looks like a private key but cannot be read: {error}")


def _supported(path: Path, key: object) -> PrivateKey:
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name not in CURVES:
        raise ConfigError(
            f"{path} is a key on the curve {key.curve.name}, which SSH does not have: "
            f"{', '.join(CURVES.values())} or RSA is needed"
        )
    if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        return key
    kind = type(key).__name__.removesuffix("PrivateKey").lstrip("_")
    raise ConfigError(f"{path} is a key of kind {kind}, which Triton does not accept: {WANTED}")
