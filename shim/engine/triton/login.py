"""The client certificate in use: reloaded when its files change, with a warning before expiry."""

from __future__ import annotations

import logging
import shlex
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from shim import limits
from shim.engine.client.endpoint import tls_context
from shim.engine.triton.certificate_info import CertificateInfo, read_certificate
from shim.errors import ConfigError, error_text

log = logging.getLogger(__name__)

_FileState = tuple[int, int]
"""Modification time in nanoseconds, and inode; zeros without a file."""


class ClientLogin:
    """What the agent logs in with. ``directory`` holds key.pem, cert.pem and perhaps ca.pem."""

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
        self._warned_at: datetime | None = None
        self._loaded_state = self._file_states()
        try:
            self._context, self._info = self._load()
        except (OSError, ValueError, ConfigError) as error:
            raise ConfigError(
                f"no usable certificates in {directory}: {error_text(error)}"
            ) from None

    def __str__(self) -> str:
        """The certificate's file, its account, the key that signed it, and its last day."""
        info = self._info
        verb = "expired" if self.days_left < 0 else "expires"
        key = f"signed by key {info.signer}" if info.new_style else "self-signed"
        return (
            f"the certificate {self._directory / 'cert.pem'} of account {info.account} "
            f"({key}, {verb} {info.not_after:%Y-%m-%d})"
        )

    @property
    def days_left(self) -> float:
        """Days until the certificate expires, negative afterwards."""
        return self._info.days_left(self._now())

    @property
    def renewal(self) -> str:
        """How to make a new certificate, for people."""
        return renewal(self._directory)

    def context(self) -> ssl.SSLContext:
        """For the next connection. Files that changed are read again.

        While the changed files do not match one another, the certificate in use stays.
        """
        state = self._file_states()
        if state != self._loaded_state:
            self._loaded_state = state
            self._reload()
        self._warn_before_expiry()
        return self._context

    def _reload(self) -> None:
        try:
            self._context, self._info = self._load()
        except (OSError, ValueError, ConfigError) as error:
            log.warning(
                "%s changed but cannot be used, the old one stays: %s", self, error_text(error)
            )
            return
        self._warned_at = None
        log.info("now using %s", self)

    def _warn_before_expiry(self) -> None:
        """One line a day during the last month."""
        now = self._now()
        if self._warned_at:
            since = (now - self._warned_at).total_seconds()
            if since < limits.LOGIN_WARN_INTERVAL:
                return
        if self.days_left < limits.LOGIN_WARN_DAYS:
            self._warned_at = now
            log.warning("%s: %s", self, self.renewal)

    def _file_states(self) -> tuple[_FileState, ...]:
        names = ("key.pem", "cert.pem", "ca.pem")
        return tuple(_file_state(self._directory / name) for name in names)

    def _load(self) -> tuple[ssl.SSLContext, CertificateInfo]:
        info = read_certificate((self._directory / "cert.pem").read_bytes())
        context = tls_context(self._directory, certificate=True, verify=self._verify)
        return context, info


def renewal(directory: Path) -> str:
    """The command that makes a new certificate in ``directory``, for people.

    ``env.sh`` in it remembers the endpoint; without that file the command needs ``--url``.
    """
    out = shlex.quote(str(directory.absolute()))
    url = "" if any(_file_state(directory / "env.sh")) else " --url=CLOUDAPI"
    return (
        f"`mesos-shim certs --renew --out={out} --key=FILE{url}` (FILE: the account's SSH "
        "private key) makes a new certificate"
    )


def _file_state(path: Path) -> _FileState:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)
