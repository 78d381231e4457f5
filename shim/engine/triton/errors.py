"""What Triton's answers of 4xx and 5xx mean. Pure.

An error is plain text, ``(Code) message (request id)``; code and id may be missing. Statuses are
unreliable: a duplicate name has the status that an inner service happened to send, and a port that
cannot be remapped is a 500. So code and words decide before the status does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shim import limits
from shim.engine.client import errors as docker_errors
from shim.engine.client.errors import GATEWAY, retry_after, strip_html
from shim.errors import (
    AccessDenied,
    Ambiguous,
    NameTaken,
    NotFound,
    Permanent,
    ShimError,
    Transient,
)
from shim.model.json_text import load_json

TEXT = re.compile(
    r"(?:\((?P<code>[A-Za-z]\w*)\) )?(?P<message>.*?)(?: \((?P<request>[0-9a-fA-F-]{16,})\))?",
    re.DOTALL,
)
DUPLICATE = re.compile(
    r'"alias" \(Duplicate\)|Already exists for this owner|Volume with name .* already exists'
)
PROVISIONING = re.compile(r"provisioning container|still provisioning", re.IGNORECASE)
NO_IMAGE = re.compile(r"no such image", re.IGNORECASE)
NO_VOLUME = re.compile(r"could not find volume|volume .*not found", re.IGNORECASE)
NO_CONTAINER = re.compile(r"no such container", re.IGNORECASE)
FINAL = re.compile(
    r"remapping of port numbers|No command specified|invalid value for com\.joyent\.package"
    r"|no packages match|volumes are not supported|only \d+ ports|AssertionError|of null"
    r"|No compute resources available|Quota exceeded|NFS volumes is not enabled"
    r"|too many --volumes-from",
    re.IGNORECASE,
)
"""Sent with status 500 or any other; the same request gets the same answer the next time."""
PASSING_CODES = frozenset({"CommandTimeout", "ServiceUnavailableError", "VolumeInUse"})
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
class ErrorText:
    """The parts of an error's text."""

    message: str
    code: str = ""
    request_id: str = ""

    def __str__(self) -> str:
        """For people. The request id is included because Triton's support asks for it."""
        details = [self.code, f"Triton request {self.request_id}" if self.request_id else ""]
        shown = ", ".join(filter(None, details))
        return f"{self.message} ({shown})" if shown else self.message


def parse_error(body: bytes) -> ErrorText:
    """From plain text as Triton sends it, from JSON with a ``message``, or from a proxy's HTML."""
    text = body.decode("utf-8", "replace").strip()
    try:
        answer = load_json(text)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and isinstance(answer.get("message"), str):
        return ErrorText(answer["message"])
    text = strip_html(text)
    match = TEXT.fullmatch(text)
    if match is None:
        return ErrorText(text)
    return ErrorText(match["message"], match["code"] or "", match["request"] or "")


def error_for(
    verb: str,
    status: int,
    body: bytes,
    headers: Mapping[str, str],
    login: str,
    renewal: str = "",
) -> ShimError:
    """The error for an answer of 4xx or 5xx to ``verb`` (``create``, ``start``, ...).

    ``login`` describes the client certificate, ``renewal`` says how to make a new one: both are
    part of the text where Triton refuses the certificate.
    """
    error = _error_text(verb, status, body, headers)
    if status == 401:
        return AccessDenied(
            f"Triton does not accept {login}. Is the key still listed under the account, and not "
            f"expired? A new key can take two minutes. {renewal}, which the agent loads without a "
            f"restart. {error}"
        )
    if status == 403 and not error.code:
        return AccessDenied(
            f"Triton denies access to {login}: the account is disabled, or may not use this "
            f"data center. {error}"
        )
    wait = retry_after(headers)
    if status == 503:
        text = f"{error}, until {_end_of(wait)}" if wait else str(error)
        return AccessDenied(text, retry_after=wait)
    if status == 429 or status in GATEWAY or error.code in PASSING_CODES:
        return Transient(str(error), retry_after=wait)
    return _by_words(verb, status, error)


def pull_error(message: str) -> ShimError:
    """The error for a pull whose stream ended with ``message``, the registry's words."""
    return docker_errors.pull_error(str(parse_error(message.encode())))


def _error_text(verb: str, status: int, body: bytes, headers: Mapping[str, str]) -> ErrorText:
    error = parse_error(body)
    return replace(
        error,
        message=error.message or f"{verb}: Triton answered {status} with an empty body",
        request_id=error.request_id or headers.get("x-request-id", ""),
    )


def _end_of(wait: float) -> str:
    """``14:05 UTC``, with the date unless it is today's. A minute that has begun counts whole."""
    now = datetime.now(UTC)
    end = now + timedelta(seconds=wait + 59)
    return f"{end:%H:%M UTC}" if end.date() == now.date() else f"{end:%Y-%m-%d %H:%M UTC}"


def _by_words(verb: str, status: int, error: ErrorText) -> ShimError:
    text = str(error)
    if DUPLICATE.search(error.message):
        return NameTaken(text)
    if PROVISIONING.search(error.message):
        return Transient(text)
    if error.code in FINAL_CODES or FINAL.search(error.message):
        return Permanent(text)
    if verb == "remove_volume" and NO_VOLUME.search(error.message):
        return NotFound(text)
    if status == 404:
        return _not_found(verb, error)
    if status >= 500:
        makes = verb in ("create", "start", "pull", "create_volume")
        return _ambiguous(text) if makes else Transient(text)
    return Transient(text) if status == 409 and verb == "remove" else Permanent(text)


def _ambiguous(text: str) -> Ambiguous:
    return Ambiguous(text, retry_after=limits.AMBIGUOUS_PAUSE)


def _not_found(verb: str, error: ErrorText) -> ShimError:
    """404 also means a missing network, a missing volume, or a call that does not exist."""
    wanted = NO_IMAGE if verb == "create" else NO_CONTAINER if verb == "start" else None
    if wanted is not None and not wanted.search(error.message):
        return Permanent(str(error))
    return NotFound(str(error))
