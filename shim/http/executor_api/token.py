"""The token of an executor: a JSON Web Token (HS256) that names the executor and its container.

The agent puts it into MESOS_EXECUTOR_AUTHENTICATION_TOKEN of the executor's container. libmesos and
mesos-go send it with each call as ``Authorization: Bearer``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass

from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId

_HEADER = {"alg": "HS256", "typ": "JWT"}


class InvalidToken(ValueError):
    """The token is not one of this agent's; ``str()`` is fit for a response header."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Whose token it is. Mesos' claims ``fid``, ``eid`` and ``cid``."""

    key: ExecutorKey
    container_id: ContainerId


def issue(claims: Claims, secret: bytes) -> str:
    """The token. The same claims always give the same token."""
    payload = {
        "fid": claims.key.framework_id,
        "eid": claims.key.executor_id,
        "cid": claims.container_id,
    }
    signed = b".".join(_encode(json.dumps(part).encode()) for part in (_HEADER, payload))
    return b".".join((signed, _encode(_sign(signed, secret)))).decode()


def verify(token: str, secret: bytes) -> Claims:
    """The claims of a token that ``issue`` made with this secret. Raises InvalidToken."""
    signed, _, signature = token.encode(errors="replace").rpartition(b".")
    if not hmac.compare_digest(_encode(_sign(signed, secret)), signature):
        raise InvalidToken("Token signature does not match")
    header, _, payload = signed.partition(b".")
    try:
        algorithm = json.loads(_decode(header))["alg"]
        found = json.loads(_decode(payload))
        texts = [found[name] for name in ("fid", "eid", "cid")]
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise InvalidToken("Token is malformed") from None
    if algorithm != "HS256" or not all(isinstance(text, str) for text in texts):
        raise InvalidToken("Token is malformed")
    key = ExecutorKey(FrameworkId(texts[0]), ExecutorId(texts[1]))
    return Claims(key, ContainerId(texts[2]))


def _sign(signed: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, signed, hashlib.sha256).digest()


def _encode(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
