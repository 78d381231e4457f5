"""Client certificates as Triton's Docker endpoint reads them, new style and old style.

New style: a fresh P-256 key, signed by the account's SSH key, which so never lies on disk in
clear. Old style, for very old installations: the SSH key itself, self-signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shim.certs.keys import PrivateKey, PublicKey, issuer_fingerprint
from shim.certs.ssh_agent import curve_hash
from shim.errors import ConfigError

JOYENT_DOCKER = x509.ObjectIdentifier("1.3.6.1.4.1.38678.1.4.1")
NEW_STYLE_DAYS = 3650
OLD_STYLE_DAYS = 365
MAX_DAYS = 36500
"""Dates end with the year 9999; nobody means more than a century."""
CLOCK_SKEW = timedelta(minutes=5)
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A client certificate with its key, both PEM."""

    key_pem: bytes
    certificate_pem: bytes

    def __repr__(self) -> str:
        return "Login(...)"


@dataclass(frozen=True, slots=True)
class Described:
    """What a client certificate says, for people."""

    account: str
    new_style: bool
    not_after: datetime
    key: str
    """Which account key vouches for it: the issuer's name in a new-style certificate."""

    def vouched_for_as(self, other: Described) -> bool:
        """By the same account's same key. Old-style certificates do not name theirs."""
        same = (self.account, self.key) == (other.account, other.key)
        return self.new_style and other.new_style and same

    def days_left(self, now: datetime) -> float:
        """Days until it expires, negative afterwards."""
        return (self.not_after - now).total_seconds() / DAY


def new_style(
    account: str, key: PrivateKey, now: datetime, days: int = NEW_STYLE_DAYS
) -> ClientCertificate:
    """A throw-away key for Docker alone, signed by ``key``."""
    fresh = ec.generate_private_key(ec.SECP256R1())
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, JOYENT_DOCKER]
    builder = _builder(
        account, issuer_fingerprint(key.public_key()), fresh.public_key(), now, days
    ).add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return _login(fresh, _signed(builder, key))


def old_style(
    account: str, key: PrivateKey, now: datetime, days: int = OLD_STYLE_DAYS
) -> ClientCertificate:
    """The SSH key itself, unencrypted. ConfigError for a key that cannot leave its agent."""
    builder = _builder(account, account, key.public_key(), now, days)
    return _login(key, _signed(builder, key))


def describe(certificate_pem: bytes) -> Described:
    """ConfigError when it is no certificate with an account in it."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        account, issuer = _common_name(certificate.subject), _common_name(certificate.issuer)
    except ValueError as error:
        raise ConfigError(f"not a client certificate: {error}") from error
    return Described(account, _is_new_style(certificate), certificate.not_valid_after_utc, issuer)


def days_left(certificate_pem: bytes, now: datetime | None = None) -> float:
    """Days until the certificate expires, negative afterwards."""
    return describe(certificate_pem).days_left(now or datetime.now(UTC))


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


def _signed(builder: x509.CertificateBuilder, key: PrivateKey) -> x509.Certificate:
    return builder.sign(key, curve_hash(key.public_key())())


def _login(key: PrivateKey, certificate: x509.Certificate) -> ClientCertificate:
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


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not found:
        raise ValueError(f"no common name (CN) in {name.rfc4514_string()!r}")
    return str(found[0].value)


def _is_new_style(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return False
    return JOYENT_DOCKER in usage.value


def key_kind(key: PublicKey) -> str:
    """For people: ``RSA 2048`` or ``ECDSA secp256r1``."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return f"ECDSA {key.curve.name}"
