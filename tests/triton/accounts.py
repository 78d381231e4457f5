"""Which client certificates the server accepts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from tests.triton.api_errors import ApiError

JOYENT_DOCKER = x509.ObjectIdentifier("1.3.6.1.4.1.38678.1.4.1")


@dataclass(slots=True)
class Account:
    """One customer; ``keys`` are the SSH public keys of the account and its administrators."""

    login: str
    keys: list[Any] = field(default_factory=list)
    approved: bool = True
    """Whether it may provision; if not, create answers 403 NotAuthorized."""
    allowed: bool = True
    """Whether it may use this datacenter; if not, every call answers 403."""

    def key(self, fingerprint: bytes) -> Any:
        for key in self.keys:
            if md5_fingerprint(key) == fingerprint:
                return key
        raise Unauthorized


class Unauthorized(ApiError):
    """The one answer to every login failure."""

    def __init__(self) -> None:
        super().__init__(401, "Unauthorized")


def md5_fingerprint(public_key: Any) -> bytes:
    line = public_key.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return hashlib.md5(base64.b64decode(line.split()[1]), usedforsecurity=False).digest()


def parse_fingerprint(text: str) -> bytes:
    """``MD5:<base64>``, padded or not, ``md5:aa:bb:…`` and ``aa:bb:…``; no other hash."""
    head, colon, rest = text.partition(":")
    body = rest if colon and head.lower() == "md5" else text
    try:
        if ":" in body:
            return bytes.fromhex(body.replace(":", ""))
        if body is not text:
            return base64.b64decode(body.rstrip("=") + "==")
    except ValueError:
        pass
    raise Unauthorized


def login(der: bytes | None, accounts: Mapping[str, Account], now: datetime) -> Account:
    """The account of a client certificate; ApiError 401 or 403."""
    if not der:
        raise Unauthorized
    try:
        certificate = x509.load_der_x509_certificate(der)
        account = accounts[_common_name(certificate.subject)]
        _check(certificate, account, now)
    except (ValueError, KeyError, IndexError, InvalidSignature) as error:
        raise Unauthorized from error
    if not account.allowed:
        raise ApiError(403, "Forbidden: this account may not use this data center")
    return account


def _check(certificate: x509.Certificate, account: Account, now: datetime) -> None:
    new_style = _has_docker_purpose(certificate)
    if new_style and not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise Unauthorized
    if new_style and certificate.issuer != certificate.subject:
        signer = account.key(parse_fingerprint(_common_name(certificate.issuer)))
    else:
        signer = account.key(md5_fingerprint(certificate.public_key()))
    verify(
        signer,
        certificate.signature,
        certificate.tbs_certificate_bytes,
        certificate.signature_hash_algorithm,
    )


def verify(key: Any, signature: bytes, data: bytes, algorithm: Any) -> None:
    """Check one signature; InvalidSignature."""
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, data, ec.ECDSA(algorithm))
    else:
        raise InvalidSignature


def _common_name(name: x509.Name) -> str:
    return str(name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _has_docker_purpose(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return False
    return JOYENT_DOCKER in usage.value
