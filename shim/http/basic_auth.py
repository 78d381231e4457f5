"""HTTP basic authentication, with the realms of a stock agent."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping

from shim.http.responses import HttpError

READONLY = "mesos-agent-readonly"
READWRITE = "mesos-agent-readwrite"


class BasicAuth:
    """``credentials`` maps principals to secrets. Only ``protected`` realms need a password."""

    def __init__(self, credentials: Mapping[str, str], protected: frozenset[str]) -> None:
        self._credentials = credentials
        self._protected = protected

    def check(self, realm: str, authorization: str) -> None:
        """Raise HttpError (401) if the realm needs a password and the header has no valid one."""
        if realm in self._protected and not self._is_valid(authorization):
            raise HttpError(401, headers={"WWW-Authenticate": f'Basic realm="{realm}"'})

    def _is_valid(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            principal, _, secret = base64.b64decode(encoded, validate=True).partition(b":")
        except binascii.Error:
            return False
        # An unknown principal is compared as well: timing must not reveal which principals exist.
        expected = self._credentials.get(principal.decode(errors="replace"))
        matches = hmac.compare_digest(secret, (expected or "").encode())
        return matches and expected is not None
