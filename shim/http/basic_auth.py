"""HTTP basic authentication, with the realms of a stock agent."""

from __future__ import annotations

import base64
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

    def check(self, realm: str, authorization: str) -> str:
        """The principal; empty without a valid password.

        Raises HttpError (401) if the realm needs a password and the header has no valid one.
        """
        principal = self._principal(authorization)
        if realm in self._protected and principal is None:
            raise HttpError(401, headers={"WWW-Authenticate": f'Basic realm="{realm}"'})
        return principal or ""

    def _principal(self, authorization: str) -> str | None:
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            principal, _, secret = base64.b64decode(encoded, validate=True).partition(b":")
        except ValueError:
            return None
        # An unknown principal is compared as well: timing must not reveal which principals exist.
        name = principal.decode(errors="replace")
        expected = self._credentials.get(name)
        matches = hmac.compare_digest(secret, (expected or "").encode())
        return name if matches and expected is not None else None
