"""The client certificate: loaded, loaded again when its files are renewed, and watched for age."""

from __future__ import annotations

import base64
import binascii
import logging
import shlex
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from shim import limits
from shim.certs.certificate import Described, describe
from shim.engine.client.endpoint import tls_context
from shim.errors import ConfigError, error_text

log = logging.getLogger(__name__)

_Stamp = tuple[tuple[int, int], ...]


class ClientLogin:
    """What we show Triton. ``directory`` holds ``key.pem``, ``cert.pem`` and maybe ``ca.pem``."""

    def __init__(
        self,
        directory: Path,
        *,
        verify: bool = True,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """ConfigError when the files cannot be used."""
        self._directory = directory
        self._verify = verify
        self._now = now
        self._warned: datetime | None = None
        self._stamp = self._look()
        try:
            self._context, self._described = self._load()
        except (OSError, ValueError, ConfigError) as error:
            raise ConfigError(
                f"no usable certificates in {directory}: {error_text(error)}"
            ) from None

    def __str__(self) -> str:
        """Which certificate of which account, vouched for by which key, and until when."""
        described = self._described
        verb = "expired" if self.days_left < 0 else "expires"
        key = f"signed by key {_hex(described.key)}" if described.new_style else "self-signed"
        return (
            f"the certificate {self._directory / 'cert.pem'} of account {described.account} "
            f"({key}, {verb} {described.not_after:%Y-%m-%d})"
        )

    @property
    def days_left(self) -> float:
        """Days until the certificate expires, negative afterwards."""
        return self._described.days_left(self._now())

    @property
    def renewal(self) -> str:
        """How to make a new certificate, as far as is known here."""
        return renewal(self._directory)

    def context(self) -> ssl.SSLContext:
        """For the next connection. Files that changed are read again; if they do not (yet) fit
        together, what was loaded before stays."""
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            self._reload()
        self._warn()
        return self._context

    def _reload(self) -> None:
        try:
            self._context, self._described = self._load()
        except (OSError, ValueError, ConfigError) as error:
            log.warning(
                "%s changed but cannot be used, the old one stays: %s", self, error_text(error)
            )
            return
        self._warned = None
        log.info("took up %s", self)

    def _warn(self) -> None:
        """Expiry is a date that everybody forgets: a line a day during the last month."""
        now = self._now()
        if self._warned and (now - self._warned).total_seconds() < limits.LOGIN_WARN_INTERVAL:
            return
        if self.days_left < limits.LOGIN_WARN_DAYS:
            self._warned = now
            log.warning("%s: %s", self, self.renewal)

    def _look(self) -> _Stamp:
        return tuple(_stamp(self._directory / name) for name in ("key.pem", "cert.pem", "ca.pem"))

    def _load(self) -> tuple[ssl.SSLContext, Described]:
        described = describe((self._directory / "cert.pem").read_bytes())
        context = tls_context(self._directory, certificate=True, verify=self._verify)
        return context, described


def renewal(directory: Path) -> str:
    """How to make a new certificate there, as far as is known."""
    out = shlex.quote(str(directory.absolute()))
    url = "" if any(_stamp(directory / "env.sh")) else " --url=CLOUDAPI"
    return (
        f"`mesos-shim certs --renew --out={out} --key=FILE{url}` (FILE: the account's SSH "
        "private key) makes a new certificate"
    )


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)


def _hex(issuer: str) -> str:
    """The fingerprint in an issuer's name as `mesos-shim certs` and portals show it."""
    kind, _, body = issuer.partition(":")
    if kind != "MD5" or ":" in body:
        return issuer
    try:
        return base64.b64decode(body.rstrip("=") + "==").hex(":")
    except binascii.Error:
        return issuer
