"""TLS between libprocess processes: contexts that follow their files, and the check of a peer.

libprocess sends neither ALPN nor a server name, and its ``legacy`` scheme compares a certificate
with the name to which the peer's address resolves. So the names are compared here, after the
handshake, and not by OpenSSL.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shim import limits
from shim.errors import ConfigError, PeerError
from shim.model.settings import TlsSettings, TlsVersion
from shim.wire.tls_errors import no_pair

log = logging.getLogger(__name__)

Certificate = Mapping[str, Any]
"""As ``ssl.SSLSocket.getpeercert()`` returns it."""

_VERSIONS: dict[TlsVersion, ssl.TLSVersion] = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}

_CURVES = {"P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1"}
"""Names that Mesos takes, as Python takes them."""

HANDSHAKE = 0x16
"""The first byte of a TLS connection. No HTTP request begins with it."""


class Tls:
    """The two contexts of this process. A changed file is loaded again at the next connection."""

    def __init__(self, settings: TlsSettings, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ConfigError with the variable of a file that cannot be used."""
        self.settings = settings
        self._clock = clock
        self._compared = clock()
        self._stamps = _stamps(settings)
        self._client = client_context(settings)
        self._server = server_context(settings)
        _warn_of_expiry(settings.cert_file)

    def client(self) -> ssl.SSLContext:
        """For connections to other processes."""
        self._follow_files()
        return self._client

    def server(self) -> ssl.SSLContext:
        """For connections from other processes."""
        self._follow_files()
        return self._server

    def _follow_files(self) -> None:
        if self._clock() - self._compared < limits.TLS_FILES_AGE:
            return
        self._compared = self._clock()
        stamps = _stamps(self.settings)
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            client, server = client_context(self.settings), server_context(self.settings)
        except ConfigError as error:
            log.error("the changed TLS files cannot be used, the earlier ones stay: %s", error)
            return
        self._client, self._server = client, server
        log.info("the TLS certificate %s was loaded again", self.settings.cert_file)
        _warn_of_expiry(self.settings.cert_file)


def _warn_of_expiry(cert_file: str) -> None:
    """Mesos' own processes start with an expired certificate, too."""
    # Not above: commands without TLS would load it.
    from cryptography import x509

    with contextlib.suppress(OSError, ValueError):
        certificate = x509.load_pem_x509_certificate(Path(cert_file).read_bytes())
        end = certificate.not_valid_after_utc
        if end < datetime.now(UTC):
            text = "LIBPROCESS_SSL_CERT_FILE=%s: expired at %s; peers that check it refuse it"
            log.warning(text, cert_file, end.isoformat())


def _stamps(settings: TlsSettings) -> tuple[object, ...]:
    """What changes when a file is replaced or written."""
    files = (settings.cert_file, settings.key_file, settings.ca_file, settings.ca_dir)
    return tuple(_stamp(name) for name in files if name)


def _stamp(name: str) -> object:
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """Raises ConfigError."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, settings)
    if settings.verify_server_cert:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """Raises ConfigError."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, settings)
    # Without tickets only a session that ended well is resumed: never one of a refused peer.
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_TICKET
    if settings.require_client_cert:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _context(protocol: int, settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _choose_versions(context, settings.versions)
    if settings.ciphers:
        try:
            context.set_ciphers(settings.ciphers)
        except ssl.SSLError:
            raise _wrong("CIPHERS", settings.ciphers, "OpenSSL knows none of them") from None
    _choose_curve(context, settings.ecdh_curves)
    _load_files(context, settings)
    return context


def _choose_curve(context: ssl.SSLContext, names: Sequence[str]) -> None:
    """Python sets a single curve. The first is one that each process with the same list has."""
    for name in reversed(names):
        try:
            context.set_ecdh_curve(_CURVES.get(name, name))
        except (ValueError, ssl.SSLError):
            why = f"OpenSSL knows no curve {name!r}"
            raise _wrong("ECDH_CURVES", ":".join(names), why) from None


def _choose_versions(context: ssl.SSLContext, names: Sequence[TlsVersion]) -> None:
    versions = [_VERSIONS[name] for name in names]
    context.minimum_version, context.maximum_version = min(versions), max(versions)
    if min(versions) < ssl.TLSVersion.TLSv1_2:
        # OpenSSL 3 allows the hashes of these versions only at its lowest level of security.
        context.set_ciphers("DEFAULT@SECLEVEL=0")


def _load_files(context: ssl.SSLContext, settings: TlsSettings) -> None:
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file, password=_no_password)
    except (OSError, ValueError) as error:
        valid = _has_certificates(settings.cert_file)
        raise ConfigError(no_pair(settings, error, certificate_is_valid=valid)) from None
    if not (settings.ca_file or settings.ca_dir):
        context.set_default_verify_paths()
        return
    try:
        context.load_verify_locations(settings.ca_file or None, settings.ca_dir or None)
    except OSError:
        raise _wrong("CA_FILE", settings.ca_file, "no certificates in PEM") from None


def _has_certificates(file: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except OSError:
        return False
    return True


def _no_password() -> str:
    raise ValueError("the key is encrypted; give it without a password")


def _wrong(name: str, value: str, why: str) -> ConfigError:
    return ConfigError(f"LIBPROCESS_SSL_{name}={value}: {why}")


# --- the peer ---------------------------------------------------------------------------------


async def verify_connection(
    settings: TlsSettings, transport: asyncio.BaseTransport, address: str, *, is_server: bool
) -> None:
    """Check the peer of a connection after its handshake. See :func:`verify_peer`."""
    certificate = transport.get_extra_info("peercert")
    if certificate:
        # None for a resumed session: its chain was checked when it began. Public from 3.13 on.
        chain = transport.get_extra_info("ssl_object")._sslobj.get_verified_chain()
        between = len(chain or ()) - 2
        if between > settings.verification_depth:
            raise PeerError(
                f"{between} certificates are between that of {address} and its authority's: "
                f"LIBPROCESS_SSL_VERIFICATION_DEPTH={settings.verification_depth}"
            )
    await verify_peer(settings, certificate, address, is_server=is_server)


async def verify_peer(
    settings: TlsSettings, certificate: Certificate | None, address: str, *, is_server: bool
) -> None:
    """Compare the peer's certificate, which its authority proves, with the peer's address.

    ``is_server``: this process connected to the peer. Raises PeerError.
    """
    if not (settings.verify_server_cert if is_server else settings.require_client_cert):
        return
    if not certificate:
        raise PeerError(f"{address} presented no certificate")
    legacy = settings.validation_scheme == "legacy"
    if not legacy and not is_server:
        return
    name = await _name_of(address) if legacy else ""
    if not matches(certificate, name, address if settings.verify_ipadd or not legacy else ""):
        wanted = " nor ".join(dict.fromkeys(filter(None, (name, address))))
        names = ", ".join(sorted(names_in(certificate))) or "no name"
        raise PeerError(f"the certificate of {address} has {names}, not {wanted}")


async def _name_of(address: str) -> str:
    """The name to which the address resolves, or the address as text, as libprocess has it."""
    loop = asyncio.get_running_loop()
    try:
        name, _ = await loop.getnameinfo((address, 0))
    except OSError:
        return ""
    return name


def matches(certificate: Certificate, name: str, address: str) -> bool:
    """Whether the certificate has this very name, or this address. Empty ones do not count.

    The common name counts only for a name, as in libprocess: exactly, without wildcards.
    """
    found = list(_alternatives(certificate))
    return bool(
        (name and (("DNS", name) in found or name in _common_names(certificate)))
        or (address and ("IP Address", address) in found)
    )


def names_in(certificate: Certificate) -> set[str]:
    """All names and addresses of a certificate."""
    return {value for _, value in _alternatives(certificate)} | set(_common_names(certificate))


def _alternatives(certificate: Certificate) -> Iterator[tuple[str, str]]:
    for kind, value in certificate.get("subjectAltName", ()):
        yield str(kind), str(value)


def _common_names(certificate: Certificate) -> Iterator[str]:
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                yield str(value)
