"""TLS as Triton does it: the handshake accepts any client certificate, the handler checks it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not name
HANDSHAKE, CERTIFICATE = 22, 11


def write_server_certificate(directory: Path, name: str = "localhost") -> tuple[Path, Path]:
    """``(ca.pem, server.pem)``: self-signed, so that it is its own CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    ca, server = directory / "ca.pem", directory / "server.pem"
    ca.write_bytes(public)
    server.touch(mode=0o600)
    server.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + public
    )
    return ca, server


def server_context(server_pem: Path) -> ssl.SSLContext:
    """Asks for a client certificate and accepts any, also an expired one or one by another CA.

    The ssl module cannot ask without verifying. So each certificate becomes a trust anchor when
    it arrives, before OpenSSL verifies it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= NO_CHECK_TIME | ssl.VERIFY_X509_PARTIAL_CHAIN

    def on_message(
        _: Any, direction: str, version: int, content: int, kind: int, data: bytes
    ) -> None:
        if direction == "read" and (int(content), int(kind)) == (HANDSHAKE, CERTIFICATE):
            der = _first_certificate(data[4:], version)
            if der:
                context.load_verify_locations(cadata=der)

    context._msg_callback = on_message  # type: ignore[attr-defined]
    return context


def _first_certificate(body: bytes, version: int) -> bytes:
    if version == ssl.TLSVersion.TLSv1_3:
        body = body[1 + body[0] :]
    body = body[3:]
    return body[3 : 3 + int.from_bytes(body[:3], "big")]
