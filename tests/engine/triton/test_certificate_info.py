"""What is read from client certificates of both styles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from shim.certs.certificate import new_style, old_style
from shim.engine.triton.certificate_info import CertificateInfo, read_certificate
from shim.errors import ConfigError

KEY = ec.generate_private_key(ec.SECP256R1())
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_account_style_issuer_and_days_left() -> None:
    pem = new_style("alice", KEY, NOW, days=40).certificate_pem
    info = read_certificate(pem)
    assert (info.account, info.new_style) == ("alice", True)
    assert info.issuer.startswith("MD5:")
    assert info.days_left(NOW + timedelta(days=10)) == pytest.approx(30)
    assert info.days_left(NOW + timedelta(days=41)) == pytest.approx(-1)
    assert not read_certificate(old_style("bob", KEY, NOW).certificate_pem).new_style


def test_anything_else_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="not a client certificate"):
        read_certificate(b"nonsense")


@pytest.mark.parametrize(
    ("issuer", "signer"),
    [
        ("MD5:z0gHpwAAAAAAAAAAAAAAAA", "cf:48:07:a7" + 12 * ":00"),
        ("alice", "alice"),
        ("MD5:cf:48:07", "MD5:cf:48:07"),
        ("MD5:z", "MD5:z"),
    ],
)
def test_the_signer_is_a_fingerprint_or_the_issuer_unchanged(issuer: str, signer: str) -> None:
    assert CertificateInfo("alice", True, NOW, issuer).signer == signer
