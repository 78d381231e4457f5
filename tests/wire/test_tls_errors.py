"""Each failed handshake is a sentence with the variable to look at."""

from __future__ import annotations

import ssl

import pytest

from shim.model.settings import TlsSettings
from shim.wire.tls_errors import handshake_problem

SETTINGS = TlsSettings("/c.pem", "/k.pem", ca_file="/ca.pem", ciphers="AES128-SHA")


def failed(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] (_ssl.c:1)")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("WRONG_VERSION_NUMBER", "no TLS, and LIBPROCESS_SSL_SUPPORT_DOWNGRADE is off"),
        ("HTTP_REQUEST", "no TLS, and LIBPROCESS_SSL_SUPPORT_DOWNGRADE is off"),
        ("UNEXPECTED_EOF_WHILE_READING", "or does not take LIBPROCESS_SSL_CERT_FILE=/c.pem"),
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "which LIBPROCESS_SSL_REQUIRE_CLIENT_CERT demands"),
        ("NO_SHARED_CIPHER", "LIBPROCESS_SSL_CIPHERS=AES128-SHA"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "LIBPROCESS_SSL_CIPHERS=AES128-SHA"),
        ("UNSUPPORTED_PROTOCOL", "LIBPROCESS_SSL_ENABLE_TLS_V1_* enable 1.2"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "LIBPROCESS_SSL_ENABLE_TLS_V1_* enable 1.2"),
        ("TLSV1_ALERT_UNKNOWN_CA", "it does not take LIBPROCESS_SSL_CERT_FILE=/c.pem"),
        ("BAD_RECORD", "TLS failed: BAD_RECORD"),
    ],
)
def test_reasons_of_openssl(reason: str, text: str) -> None:
    assert text in handshake_problem(SETTINGS, failed(reason))


def test_a_peer_that_closes_the_connection() -> None:
    text = handshake_problem(SETTINGS, ConnectionResetError())
    assert text.startswith("it closed the connection in the TLS handshake")


def test_another_error_is_not_about_tls() -> None:
    assert handshake_problem(SETTINGS, ConnectionRefusedError(111, "refused")) == ""
