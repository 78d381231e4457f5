"""A certificate authority of its own for each test, and certificates that it signs."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Authority:
    """Signs certificates. Files are PEM, below ``directory``."""

    def __init__(
        self, directory: Path, name: str = "authority", parent: Authority | None = None
    ) -> None:
        self._directory = directory
        self._is_root = parent is None
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        now = datetime.datetime.now(datetime.UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name((parent or self)._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign((parent or self)._key, hashes.SHA256())
        )
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def between(self, name: str) -> Authority:
        """Another authority, whose certificate this one signs."""
        return Authority(self._directory, name, self)

    def issue(
        self,
        file: str,
        *,
        common: str = "a process",
        dns: Sequence[str] = (),
        addresses: Sequence[str] = (),
        rsa_key: bool = False,
        days: float = 1,
    ) -> tuple[str, str]:
        """Paths of a new certificate and its key; written over those of the same ``file``."""
        key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
        if rsa_key:
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        else:
            key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + days * _DAY)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        certificate_file = self._directory / f"{file}.pem"
        key_file = self._directory / f"{file}.key"
        chain = [certificate] if self._is_root else [certificate, self._certificate]
        pem = (each.public_bytes(serialization.Encoding.PEM) for each in chain)
        certificate_file.write_bytes(b"".join(pem))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return str(certificate_file), str(key_file)


def libprocess_environment(directory: Path, **more: str) -> dict[str, str]:
    """``LIBPROCESS_SSL_*`` of processes at 127.0.0.1 that check each other."""
    authority = Authority(directory)
    cert, key = authority.issue("process", addresses=["127.0.0.1"])
    values = {
        "ENABLED": "1",
        "CERT_FILE": cert,
        "KEY_FILE": key,
        "CA_FILE": str(authority.file),
        "REQUIRE_CERT": "1",
        "VERIFY_IPADD": "1",
        **more,
    }
    return {f"LIBPROCESS_SSL_{name}": value for name, value in values.items()}
