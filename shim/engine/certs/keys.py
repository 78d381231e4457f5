"""The account's SSH key: from a file, with a clear word for each way in which it can be wrong."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shim.errors import ConfigError

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
Passphrase = Callable[[], bytes | None]
"""Asked only when the key is encrypted; None: there is nobody to ask."""

OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----"
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
WANTED = "an RSA or ECDSA key is needed"
MAX_KEY_FILE = 65536


def load_key(path: Path, passphrase: Passphrase, given: bytes | None = None) -> PrivateKey:
    """The private key in ``path``. ConfigError says what is wrong with it.

    ``given`` is a passphrase the user named beforehand: one too many is an error as well.
    """
    data = _read(path)
    _check_first_line(path, data)
    if given is not None:
        return _supported(path, _decrypt(path, data, given))
    try:
        return _supported(path, _parse(data, None))
    except TypeError:
        secret = passphrase()
        if secret is None:
            raise ConfigError(
                f"{path} is encrypted: give its passphrase with --key-passphrase-file or in "
                "TRITON_KEY_PASSPHRASE, or add the key to an ssh-agent and name its fingerprint"
            ) from None
        return _supported(path, _decrypt(path, data, secret))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unreadable(path, data, error) from error


def is_public_key(path: Path) -> bool:
    """Whether the file looks like a public key; False when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(64).decode(errors="replace").startswith(PUBLIC)
    except OSError:
        return False


def wire_form(key: PublicKey) -> bytes:
    """The SSH wire form of a public key, which fingerprints are made of."""
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return base64.b64decode(line.split()[1])


def md5(blob: bytes) -> bytes:
    """For fingerprints only, so allowed on FIPS machines."""
    return hashlib.md5(blob, usedforsecurity=False).digest()


def fingerprint(key: PublicKey) -> str:
    """``aa:bb:…``, as ``ssh-keygen -l -E md5`` and the Triton portal show it."""
    return md5(wire_form(key)).hex(":")


def issuer_fingerprint(key: PublicKey) -> str:
    """``MD5:<base64 without padding>``, as Triton's clients name the signer in a certificate."""
    return "MD5:" + base64.b64encode(md5(wire_form(key))).decode().rstrip("=")


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
    if "-cert-v01@openssh.com" in first:
        raise ConfigError(f"{path} is an SSH certificate, which Triton does not know: {WANTED}")
    if first.startswith(PUBLIC):
        raise ConfigError(
            f"{path} is a public key: give the private one, or add that to an ssh-agent "
            "(SSH_AUTH_SOCK)"
        )
    if first.startswith("PuTTY-User-Key-File"):
        raise ConfigError(
            f"{path} is in PuTTY's format: convert it with `puttygen {path} -O private-openssh`"
        )
    if first.startswith("-----BEGIN CERTIFICATE"):
        raise ConfigError(f"{path} is a certificate, not a private key")
    raise ConfigError(f"{path} is not an SSH private key in OpenSSH or PEM format")


def _parse(data: bytes, passphrase: bytes | None) -> object:
    """Two loaders, each of which refuses what the other reads."""
    if data.startswith(OPENSSH.encode()):
        return serialization.load_ssh_private_key(data, passphrase)
    return serialization.load_pem_private_key(data, passphrase)


def _decrypt(path: Path, data: bytes, passphrase: bytes) -> object:
    try:
        return _parse(data, passphrase)
    except TypeError:
        raise ConfigError(f"{path} is not encrypted, but a passphrase is given") from None
    except ValueError as error:
        if _is_encrypted(data):
            raise ConfigError(f"{path}: wrong passphrase") from error
        raise _unreadable(path, data, error) from error
    except UnsupportedAlgorithm as error:
        raise _unreadable(path, data, error) from error


def _is_encrypted(data: bytes) -> bool:
    try:
        _parse(data, None)
    except TypeError:
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return False


def _unreadable(path: Path, data: bytes, error: Exception) -> ConfigError:
    body = b"".join(line for line in data.splitlines() if not line.startswith(b"-----"))
    try:
        decoded = base64.b64decode(body)
    except binascii.Error:
        decoded = b""
    if b"sk-ssh-" in decoded or b"sk-ecdsa-" in decoded:
        return ConfigError(f"{path} is a FIDO key (sk-…), which Triton does not accept: {WANTED}")
    if b"ssh-dss" in decoded:
        return ConfigError(f"{path} is a DSA key, which Triton does not accept: {WANTED}")
    return ConfigError(f"{path} looks like a private key but cannot be read: {error}")


def _supported(path: Path, key: object) -> PrivateKey:
    if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        return key
    kind = type(key).__name__.removesuffix("PrivateKey").lstrip("_")
    raise ConfigError(f"{path} is a key of kind {kind}, which Triton does not accept: {WANTED}")
