"""HTTP basic authentication, with a stock agent's realms."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping

from shim.http.responses import Refusal

READONLY = "mesos-agent-readonly"
READWRITE = "mesos-agent-readwrite"


class BasicAuth:
    """``credentials``: principal -> secret. A realm that is not ``closed`` is open."""

    def __init__(self, credentials: Mapping[str, str], closed: frozenset[str]) -> None:
        self._credentials = credentials
        self._closed = closed

    def check(self, realm: str, authorization: str) -> None:
        """Raises Refusal (401) when the realm is closed and this does not open it."""
        if realm in self._closed and not self._knows(authorization):
            raise Refusal(401, headers={"WWW-Authenticate": f'Basic realm="{realm}"'})

    def _knows(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            principal, _, secret = base64.b64decode(encoded, validate=True).partition(b":")
        except binascii.Error:
            return False
        # Compared also for a principal we do not know: time tells nobody which ones there are.
        wanted = self._credentials.get(principal.decode(errors="replace"))
        matches = hmac.compare_digest(secret, (wanted or "").encode())
        return matches and wanted is not None
