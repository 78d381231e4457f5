"""What Triton's refusals mean. Pure.

An error is plain text, ``(Code) message (request id)``; code and id may be missing. Statuses are
unreliable (a duplicate name has whatever status an inner service sent, a port that cannot be
remapped is a 500), so code and words decide before the status does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shim import limits
from shim.engine.client.errors import GATEWAY, pull_failure, readable, retry_after
from shim.errors import (
    AccessDenied,
    Ambiguous,
    NameTaken,
    NotFound,
    Permanent,
    ShimError,
    Transient,
)

TEXT = re.compile(
    r"(?:\((?P<code>[A-Za-z]\w*)\) )?(?P<message>.*?)(?: \((?P<request>[0-9a-fA-F-]{16,})\))?",
    re.DOTALL,
)
DUPLICATE = re.compile(r'"alias" \(Duplicate\)|Already exists for this owner')
PROVISIONING = re.compile(r"provisioning container|still provisioning", re.IGNORECASE)
NO_IMAGE = re.compile(r"no such image", re.IGNORECASE)
NO_CONTAINER = re.compile(r"no such container", re.IGNORECASE)
FINAL = re.compile(
    r"remapping of port numbers|No command specified|invalid value for com\.joyent\.package"
    r"|no packages match|volumes are not supported|only \d+ ports|AssertionError|of null"
    r"|No compute resources available|Quota exceeded|NFS volumes is not enabled"
    r"|too many --volumes-from",
    re.IGNORECASE,
)
"""Answered as 500, or with any status, and no other the next time."""
PASSING_CODES = frozenset({"CommandTimeout", "ServiceUnavailableError"})
FINAL_CODES = frozenset(
    {
        "NoAllocatableServersError",
        "NoSufficientPackage",
        "NotAuthorized",
        "NotImplemented",
        "Validation",
        "ValidationFailed",
        "VolumeServerNoResourcesError",
        "VolumesNotReachableError",
    }
)


@dataclass(frozen=True, slots=True)
class Said:
    """An error taken apart."""

    message: str
    code: str = ""
    request_id: str = ""

    def __str__(self) -> str:
        """For people: Triton's support asks for the request id."""
        details = [self.code, f"Triton request {self.request_id}" if self.request_id else ""]
        shown = ", ".join(filter(None, details))
        return f"{self.message} ({shown})" if shown else self.message


def parse(body: bytes) -> Said:
    """Plain text as Triton sends it; JSON in case it ever learns to; a proxy's HTML."""
    text = body.decode("utf-8", "replace").strip()
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and isinstance(answer.get("message"), str):
        return Said(answer["message"])
    text = readable(text)
    match = TEXT.fullmatch(text)
    if match is None:
        return Said(text)
    return Said(match["message"], match["code"] or "", match["request"] or "")


def refusal(
    verb: str,
    status: int,
    body: bytes,
    headers: Mapping[str, str],
    login: str,
    renewal: str = "",
) -> ShimError:
    """The error for an answer of 4xx or 5xx to ``verb`` (``create``, ``start``, ...).

    ``login`` describes the certificate, for the one kind of error that it explains, and
    ``renewal`` how to make a new one.
    """
    said = _heard(verb, status, body, headers)
    if status == 401:
        return AccessDenied(
            f"Triton does not accept {login}. Is the key still listed under the account, and not "
            f"expired? A new key can take two minutes. {renewal}, which is taken up without a "
            f"restart. {said}"
        )
    if status == 403 and not said.code:
        return AccessDenied(
            f"Triton does not let {login} in: the account is disabled, or may not use this "
            f"data center. {said}"
        )
    wait = retry_after(headers)
    if status == 503:
        return AccessDenied(f"{said}, until {_when(wait)}" if wait else str(said), retry_after=wait)
    if status == 429 or status in GATEWAY or said.code in PASSING_CODES:
        return Transient(str(said), retry_after=wait)
    return _by_words(verb, status, said)


def _heard(verb: str, status: int, body: bytes, headers: Mapping[str, str]) -> Said:
    said = parse(body)
    return replace(
        said,
        message=said.message or f"{verb}: Triton answered {status} without a word",
        request_id=said.request_id or headers.get("x-request-id", ""),
    )


def _when(wait: float) -> str:
    """``14:05 UTC``, with its date if that is another day. A minute that has begun is over."""
    now = datetime.now(UTC)
    end = now + timedelta(seconds=wait + 59)
    return f"{end:%H:%M UTC}" if end.date() == now.date() else f"{end:%Y-%m-%d %H:%M UTC}"


def _by_words(verb: str, status: int, said: Said) -> ShimError:
    text = str(said)
    if DUPLICATE.search(said.message):
        return NameTaken(text)
    if PROVISIONING.search(said.message):
        return Transient(text)
    if said.code in FINAL_CODES or FINAL.search(said.message):
        return Permanent(text)
    if status == 404:
        return _missing(verb, said)
    if status >= 500:
        return _doubtful(text) if verb in ("create", "start", "pull") else Transient(text)
    return Transient(text) if status == 409 and verb == "remove" else Permanent(text)


def _doubtful(text: str) -> Ambiguous:
    return Ambiguous(text, retry_after=limits.DOUBTFUL_PAUSE)


def _missing(verb: str, said: Said) -> ShimError:
    """404 is also a network, a volume, or a call that does not exist."""
    wanted = NO_IMAGE if verb == "create" else NO_CONTAINER if verb == "start" else None
    if wanted is not None and not wanted.search(said.message):
        return Permanent(str(said))
    return NotFound(str(said))


def pull_error(said: str) -> ShimError:
    """The error inside the stream of a pull, in the registry's words."""
    return pull_failure(str(parse(said.encode())))
