"""What OpenSSL's errors mean to an operator: the peer, or the variable with its value. Pure."""

from __future__ import annotations

import ssl

from shim.model.settings import TlsSettings

NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_EOF_WHILE_READING")
"""OpenSSL's reasons for a failed handshake with a peer that does not speak TLS."""

_VARIABLE = "LIBPROCESS_SSL_"


def handshake_problem(settings: TlsSettings, error: OSError) -> str:
    """Why a handshake failed; empty for an error that is not about TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        authorities = settings.ca_file or settings.ca_dir or "those of the system"
        return (
            f"its certificate is not valid: {error.verify_message} (authorities: "
            f"{_VARIABLE}CA_FILE={authorities})"
        )
    reason = (isinstance(error, ssl.SSLError) and error.reason) or ""
    closed = isinstance(error, ConnectionResetError | BrokenPipeError)
    if closed or reason == "UNEXPECTED_EOF_WHILE_READING":
        return (
            "it closed the connection in the TLS handshake: it speaks no TLS, or does not take "
            f"{_VARIABLE}CERT_FILE={settings.cert_file}"
        )
    if not isinstance(error, ssl.SSLError):
        return ""
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return f"it speaks no TLS, and {_VARIABLE}SUPPORT_DOWNGRADE is off"
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return f"it presented no certificate, which {_VARIABLE}REQUIRE_CLIENT_CERT demands"
    if reason in ("NO_SHARED_CIPHER", "SSLV3_ALERT_HANDSHAKE_FAILURE"):
        return (
            f"no cipher in common ({reason}): {_VARIABLE}CIPHERS={settings.ciphers}, with "
            f"{_VARIABLE}CERT_FILE={settings.cert_file}"
        )
    if reason in ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"):
        versions = ", ".join(settings.versions)
        return f"no version in common: {_VARIABLE}ENABLE_TLS_V1_* enable {versions}"
    if "_ALERT_" in reason:
        return f"it does not take {_VARIABLE}CERT_FILE={settings.cert_file} ({reason})"
    return f"TLS failed: {reason or error}"


def no_pair(settings: TlsSettings, error: Exception, *, certificate_is_valid: bool) -> str:
    """Why certificate and key cannot be used."""
    certificate = f"{_VARIABLE}CERT_FILE={settings.cert_file}"
    key = f"{_VARIABLE}KEY_FILE={settings.key_file}"
    if not certificate_is_valid:
        return f"{certificate}: not a certificate in PEM"
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return f"{key}: not the key of {certificate}"
    if isinstance(error, ssl.SSLError):
        return f"{key}: not a private key in PEM"
    return f"{key}: {error}"
