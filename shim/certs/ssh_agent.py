"""Keys in an ssh-agent, which signs with them and never hands them out.

The protocol is draft-miller-ssh-agent: length-prefixed messages on a Unix socket.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from shim.certs.ssh_wire import PrivateKey, Reader, md5, pack_string, signature_hash
from shim.errors import ConfigError

REQUEST_IDENTITIES, IDENTITIES_ANSWER = 11, 12
SIGN_REQUEST, SIGN_RESPONSE = 13, 14
RSA_FLAGS = {"sha256": (2, "rsa-sha2-256"), "sha512": (4, "rsa-sha2-512")}
"""By hash: the flag that asks for it, and the name of the signature that comes back."""
MAX_MESSAGE = 262144
"""The limit of OpenSSH's own agent."""
TIMEOUT = 60.0
"""An agent may ask its user to confirm, so it gets a minute."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A key that the agent holds."""

    blob: bytes
    """The public key in SSH's binary format."""
    comment: str

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Its fingerprint in every form that people write."""
        digest = md5(self.blob)
        sha256 = base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")
        short = base64.b64encode(digest).decode().rstrip("=")
        return (f"MD5:{digest.hex(':')}", digest.hex(":"), f"MD5:{short}", f"SHA256:{sha256}")

    def is_named(self, fingerprint: str) -> bool:
        """The case of hexadecimal digits is ignored; base64 is compared as it is."""
        digits = fingerprint.lower().removeprefix("md5:")
        return fingerprint in self.fingerprints or digits in self.fingerprints


class SshAgent:
    """The agent at the socket that ``SSH_AUTH_SOCK`` names. One connection per request."""

    def __init__(self, path: str) -> None:
        self._path = path

    def identities(self) -> list[Identity]:
        reader = Reader(self._request(bytes([REQUEST_IDENTITIES]), IDENTITIES_ANSWER))
        with _parsing():
            return [Identity(reader.string(), reader.name()) for _ in range(reader.number())]

    def key(self, fingerprint: str) -> PrivateKey:
        """The key with this fingerprint, as an object that ``cryptography`` signs with."""
        identities = self.identities()
        for identity in identities:
            if identity.is_named(fingerprint):
                return self._private(identity)
        raise ConfigError(
            f"no key with fingerprint {fingerprint} in the ssh-agent; it holds "
            f"{_describe(identities)}"
        )

    def key_of(self, path: Path) -> PrivateKey:
        """The key whose public half is in the file, a line as OpenSSH writes it."""
        blob = _public_blob(path.read_bytes())
        if blob is None:
            raise ConfigError(
                f"{path} is a public key, but not in one line (ssh-rsa … or ecdsa-sha2-…), by "
                "which it is found in an ssh-agent: give that, or the file of the private key"
            )
        identities = self.identities()
        for identity in identities:
            if identity.blob == blob:
                return self._private(identity)
        raise ConfigError(
            f"{path} is a public key whose private key is not in the ssh-agent: add it with "
            f"ssh-add, or give its file; the agent holds {_describe(identities)}"
        )

    def sign(self, blob: bytes, data: bytes, flags: int, algorithm: str) -> bytes:
        """The bare signature. ConfigError unless its kind is ``algorithm``."""
        request = (
            bytes([SIGN_REQUEST]) + pack_string(blob) + pack_string(data) + struct.pack(">I", flags)
        )
        answer = self._request(request, SIGN_RESPONSE)
        with _parsing():
            signature = Reader(Reader(answer).string())
            made, value = signature.name(), signature.string()
        if made != algorithm:
            raise ConfigError(
                f"the ssh-agent made a signature of kind {made} instead of {algorithm}: it is too "
                "old for RSA with SHA-2 (OpenSSH's is not since 7.2). Give the key's file instead, "
                "or use an ECDSA key"
            )
        return value

    def _private(self, identity: Identity) -> PrivateKey:
        with _parsing():
            kind = Reader(identity.blob).name()
            if kind == "ssh-rsa" or kind.startswith("ecdsa-sha2-nistp"):
                line = kind.encode() + b" " + base64.b64encode(identity.blob)
                public = serialization.load_ssh_public_key(line)
                if isinstance(public, rsa.RSAPublicKey):
                    return AgentRsaKey(self, identity.blob, public)
                if isinstance(public, ec.EllipticCurvePublicKey):
                    return AgentEcKey(self, identity.blob, public)
        raise ConfigError(
            f"the agent's key {identity.comment} is of kind {kind}, which Triton does not accept: "
            "an RSA or ECDSA key is needed"
        )

    def _request(self, message: bytes, expected: int) -> bytes:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(TIMEOUT)
                connection.connect(self._path)
                connection.sendall(pack_string(message))
                (size,) = struct.unpack(">I", _receive(connection, 4))
                if not 1 <= size <= MAX_MESSAGE:
                    raise ConfigError(f"the ssh-agent sent a message of {size} bytes")
                answer = _receive(connection, size)
        except OSError as error:
            raise ConfigError(f"the ssh-agent at {self._path} does not answer: {error}") from error
        if answer[0] != expected:
            raise ConfigError("the ssh-agent refused: is it locked, or was the key not confirmed?")
        return answer[1:]


class _AgentKey:
    """A key in an agent refuses every operation but to sign."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("the key is in an ssh-agent and cannot leave it")

    decrypt = exchange = private_bytes = private_numbers = _refuse


class AgentRsaKey(_AgentKey, rsa.RSAPrivateKey):
    def __init__(self, agent: SshAgent, blob: bytes, public: rsa.RSAPublicKey) -> None:
        self._agent, self._blob, self._public = agent, blob, public

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        return self._public

    def sign(self, data: Any, padding_: Any, algorithm: Any) -> bytes:
        wanted = RSA_FLAGS.get(getattr(algorithm, "name", ""))
        if wanted is None or not isinstance(padding_, padding.PKCS1v15):
            raise TypeError("an ssh-agent signs with PKCS #1 v1.5 and SHA-256 or SHA-512 only")
        return self._agent.sign(self._blob, bytes(data), *wanted)

    def __copy__(self) -> AgentRsaKey:
        return self

    def __deepcopy__(self, memo: Any) -> AgentRsaKey:
        return self


class AgentEcKey(_AgentKey, ec.EllipticCurvePrivateKey):
    def __init__(self, agent: SshAgent, blob: bytes, public: ec.EllipticCurvePublicKey) -> None:
        self._agent, self._blob, self._public = agent, blob, public

    @property
    def key_size(self) -> int:
        return self._public.key_size

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    def sign(self, data: Any, signature_algorithm: Any) -> bytes:
        """A DER signature, as X.509 wants it. The hash must be the one SSH pairs with the curve."""
        if not isinstance(signature_algorithm.algorithm, signature_hash(self._public)):
            raise TypeError(f"an ssh-agent cannot sign with {signature_algorithm.algorithm.name}")
        kind = Reader(self._blob).name()
        pair = Reader(self._agent.sign(self._blob, bytes(data), 0, kind))
        with _parsing():
            r, s = (int.from_bytes(pair.string(), "big") for _ in range(2))
        return utils.encode_dss_signature(r, s)

    def __copy__(self) -> AgentEcKey:
        return self

    def __deepcopy__(self, memo: Any) -> AgentEcKey:
        return self


@contextmanager
def _parsing() -> Iterator[None]:
    try:
        yield
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"the answer of the ssh-agent cannot be read: {error}") from error


def _public_blob(line: bytes) -> bytes | None:
    """The key of a ``.pub`` line in SSH's binary format; None for a public key in another form."""
    try:
        kind, encoded, *_ = line.split()
        blob = base64.b64decode(encoded)
        return blob if Reader(blob).string() == kind else None
    except ValueError:
        return None


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise ConnectionError("it closed the connection")
        data += chunk
    return data


def _describe(identities: Sequence[Identity]) -> str:
    shown = [f"{each.fingerprints[0]} ({each.comment})" for each in identities]
    return ", ".join(shown) or "no keys at all"
