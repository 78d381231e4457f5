"""What a Triton client certificate says: its account, its style, its end. Pure."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from shim.errors import ConfigError

JOYENT_DOCKER = x509.ObjectIdentifier("1.3.6.1.4.1.38678.1.4.1")
"""The extended key usage that marks a new-style certificate."""
SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """A client certificate's content, for people."""

    account: str
    new_style: bool
    not_after: datetime
    issuer: str
    """The issuer's common name. In a new-style certificate it names the account key that signed."""

    @property
    def signer(self) -> str:
        """The signing key's fingerprint in hexadecimal, as `mesos-shim certs` and portals show it.

        An issuer that is no fingerprint is returned unchanged.
        """
        kind, _, body = self.issuer.partition(":")
        if kind != "MD5" or ":" in body:
            return self.issuer
        try:
            return base64.b64decode(body.rstrip("=") + "==").hex(":")
        except binascii.Error:
            return self.issuer

    def same_signer(self, other: CertificateInfo) -> bool:
        """Whether the same key of the same account signed both. Old-style ones do not name it."""
        same = (self.account, self.issuer) == (other.account, other.issuer)
        return self.new_style and other.new_style and same

    def days_left(self, now: datetime) -> float:
        """Days until it expires, negative afterwards."""
        return (self.not_after - now).total_seconds() / SECONDS_PER_DAY


def read_certificate(pem: bytes) -> CertificateInfo:
    """ConfigError for anything but a certificate that names an account."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        account, issuer = _common_name(certificate.subject), _common_name(certificate.issuer)
    except ValueError as error:
        raise ConfigError(f"not a client certificate: {error}") from error
    return CertificateInfo(
        account, _is_new_style(certificate), certificate.not_valid_after_utc, issuer
    )


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
