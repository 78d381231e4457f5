"""Makes client certificates as Triton's Docker endpoint reads them, new style and old style.

New style: a fresh P-256 key, signed by the account's SSH key, which therefore need not be on disk
unencrypted. Old style, for very old installations: the SSH key itself, self-signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shim.certs.ssh_wire import PrivateKey, PublicKey, issuer_fingerprint, signature_hash
from shim.engine.triton.certificate_info import JOYENT_DOCKER
from shim.errors import ConfigError

NEW_STYLE_DAYS = 3650
OLD_STYLE_DAYS = 365
MAX_DAYS = 36500
"""A century: the dates of a certificate end with the year 9999."""
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A client certificate with its key, both PEM."""

    key_pem: bytes
    certificate_pem: bytes

    def __repr__(self) -> str:
        return "ClientCertificate(...)"


def new_style(
    account: str, key: PrivateKey, now: datetime, days: int = NEW_STYLE_DAYS
) -> ClientCertificate:
    """A new key for Docker alone, with a certificate signed by ``key``."""
    fresh = ec.generate_private_key(ec.SECP256R1())
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, JOYENT_DOCKER]
    builder = _builder(
        account, issuer_fingerprint(key.public_key()), fresh.public_key(), now, days
    ).add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return _to_pem(fresh, builder.sign(key, signature_hash(key.public_key())()))


def old_style(
    account: str, key: PrivateKey, now: datetime, days: int = OLD_STYLE_DAYS
) -> ClientCertificate:
    """The SSH key itself, unencrypted, self-signed. ConfigError for a key in an ssh-agent."""
    builder = _builder(account, account, key.public_key(), now, days)
    return _to_pem(key, builder.sign(key, signature_hash(key.public_key())()))


def _builder(
    subject: str, issuer: str, public_key: PublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number() >> 96 or 1)
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _to_pem(key: PrivateKey, certificate: x509.Certificate) -> ClientCertificate:
    try:
        key_pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    except TypeError as error:
        raise ConfigError(f"--old-style puts the account's own key on disk: {error}") from error
    return ClientCertificate(key_pem, certificate.public_bytes(serialization.Encoding.PEM))


def _name(common_name: str) -> x509.Name:
    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    except ValueError as error:
        raise ConfigError(f"--account={common_name}: {error}") from error
