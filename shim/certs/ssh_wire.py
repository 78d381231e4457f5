"""SSH's binary format (RFC 4251, section 5), and the fingerprints that are made of it."""

from __future__ import annotations

import base64
import hashlib
import struct

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class Reader:
    """Reads a message front to back. ValueError when it is cut short."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self) -> int:
        """A ``uint32``."""
        return int.from_bytes(self._take(4), "big")

    def string(self) -> bytes:
        """A ``string``: its length as ``uint32``, then its bytes."""
        return self._take(self.number())

    def name(self) -> str:
        """A ``string`` of text, for people and comparisons."""
        return self.string().decode(errors="replace")

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise ValueError("cut short")
        taken, self._at = self._data[self._at : end], end
        return taken


def pack_string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def wire_form(key: PublicKey) -> bytes:
    """A public key in SSH's binary format, which fingerprints are made of."""
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return base64.b64decode(line.split()[1])


def md5(blob: bytes) -> bytes:
    """For fingerprints only, therefore allowed on FIPS machines."""
    return hashlib.md5(blob, usedforsecurity=False).digest()


def fingerprint(key: PublicKey) -> str:
    """``aa:bb:…``, as ``ssh-keygen -l -E md5`` and the Triton portal show it."""
    return md5(wire_form(key)).hex(":")


def issuer_fingerprint(key: PublicKey) -> str:
    """``MD5:<base64 without padding>``, as Triton's clients name the signer in a certificate."""
    return "MD5:" + base64.b64encode(md5(wire_form(key))).decode().rstrip("=")


def signature_hash(key: PublicKey) -> type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]:
    """The hash that SSH pairs with a key: by the curve's size (RFC 5656); SHA-256 for RSA."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.key_size > 384:
            return hashes.SHA512
        if key.key_size > 256:
            return hashes.SHA384
    return hashes.SHA256


def key_kind(key: PublicKey) -> str:
    """For people: ``RSA 2048`` or ``ECDSA secp256r1``."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return f"ECDSA {key.curve.name}"
