"""Certificates of both styles, and what the server says of them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shim.certs import ssh_wire
from shim.certs.certificate import ClientCertificate, new_style, old_style
from shim.engine.triton.certificate_info import JOYENT_DOCKER
from shim.errors import ConfigError
from tests.certs.conftest import KEYS
from tests.triton.accounts import Account, Unauthorized, login

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KINDS = ["rsa", "p256", "p384", "p521"]


def accepted(made: ClientCertificate, kind: str, now: datetime = NOW) -> Account:
    """The account that the simulator's rules accept it for."""
    accounts = {"alice": Account("alice", [KEYS[kind].public_key()])}
    return login(ssl.PEM_cert_to_DER_cert(made.certificate_pem.decode()), accounts, now)


@pytest.mark.parametrize("kind", KINDS)
def test_the_server_accepts_both_styles(kind: str) -> None:
    assert accepted(new_style("alice", KEYS[kind], NOW), kind).login == "alice"
    assert accepted(old_style("alice", KEYS[kind], NOW), kind).login == "alice"


def test_only_a_new_style_certificate_expires_for_the_server() -> None:
    later = NOW + timedelta(days=9)
    with pytest.raises(Unauthorized):
        accepted(new_style("alice", KEYS["rsa"], NOW, days=8), "rsa", later)
    accepted(old_style("alice", KEYS["rsa"], NOW, days=8), "rsa", later)


def test_the_fields_of_a_new_style_certificate() -> None:
    made = new_style("alice", KEYS["rsa"], NOW)
    certificate = x509.load_pem_x509_certificate(made.certificate_pem)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH, JOYENT_DOCKER]
    # Not as RFC 4514 text: that escapes the "+" which some fingerprints have.
    (issuer,) = certificate.issuer
    assert issuer.oid == NameOID.COMMON_NAME
    assert issuer.value == ssh_wire.issuer_fingerprint(KEYS["rsa"].public_key())
    assert certificate.subject.rfc4514_string() == "CN=alice"
    assert certificate.not_valid_before_utc == NOW - timedelta(minutes=5)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=3650)
    assert 0 < certificate.serial_number < 2**64
    key = serialization.load_pem_private_key(made.key_pem, None)
    assert certificate.public_key() == key.public_key() != KEYS["rsa"].public_key()
    assert ssh_wire.key_kind(key.public_key()) == "ECDSA secp256r1"  # type: ignore[arg-type]


def test_an_old_style_certificate_is_the_ssh_key_itself() -> None:
    made = old_style("alice", KEYS["rsa"], NOW)
    certificate = x509.load_pem_x509_certificate(made.certificate_pem)
    assert certificate.issuer == certificate.subject
    assert len(certificate.extensions) == 0
    assert certificate.public_key() == KEYS["rsa"].public_key()
    assert certificate.not_valid_after_utc == NOW + timedelta(days=365)


@pytest.mark.parametrize("make", [new_style, old_style])
def test_python_s_tls_loads_the_certificates(make: object, tmp_path: object) -> None:
    for kind in KINDS:
        made = make("alice", KEYS[kind], NOW)  # type: ignore[operator]
        path = tmp_path / f"{kind}.pem"  # type: ignore[operator]
        path.write_bytes(made.key_pem + made.certificate_pem)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path)


def test_an_empty_account_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="--account="):
        new_style("", KEYS["p256"], NOW)


def test_no_secret_in_the_repr() -> None:
    assert repr(new_style("alice", KEYS["p256"], NOW)) == "ClientCertificate(...)"
