"""What Triton's refusals mean. Pure.

An error is plain text, ``(Code) message (request id)``; code and id may be missing. Statuses are
unreliable (a duplicate name has whatever status an inner service sent, a port that cannot be
remapped is a 500), so code and words decide before the status does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from shim.engine.failures import pull_failure, retry_after
from shim.errors import Doubtful, NameTaken, NotFound, Permanent, ShimError, Transient

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
    r"|No compute resources available|Quota exceeded",
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
    """Plain text as Triton sends it; JSON in case it ever learns to."""
    text = body.decode("utf-8", "replace").strip()
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and isinstance(answer.get("message"), str):
        return Said(answer["message"])
    match = TEXT.fullmatch(text)
    if match is None:
        return Said(text)
    return Said(match["message"], match["code"] or "", match["request"] or "")


def refusal(
    verb: str, status: int, body: bytes, headers: Mapping[str, str], login: str
) -> ShimError:
    """The error for an answer of 4xx or 5xx to ``verb`` (``create``, ``start``, ...).

    ``login`` describes the certificate, for the one kind of error that it explains.
    """
    said = parse(body)
    if not said.message:
        said = Said(f"{verb}: Triton answered {status} without a word", request_id=said.request_id)
    if status == 401:
        return Transient(
            f"Triton does not accept {login}. Is the key still listed under the account, and not "
            f"expired? A new key can take two minutes. `mesos-shim certs --renew` makes a new "
            f"certificate, which is taken up without a restart. {said}"
        )
    if status == 403 and not said.code:
        return Transient(
            f"Triton does not let {login} in: the account is disabled, or may not use this "
            f"data center. {said}"
        )
    if status in (429, 503) or said.code in PASSING_CODES:
        return Transient(str(said), retry_after=retry_after(headers))
    return _by_words(verb, status, said)


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
        return Doubtful(text) if verb in ("create", "start", "pull") else Transient(text)
    return Transient(text) if status == 409 and verb == "remove" else Permanent(text)


def _missing(verb: str, said: Said) -> ShimError:
    """404 is also a network, a volume, or a call that does not exist."""
    wanted = NO_IMAGE if verb == "create" else NO_CONTAINER if verb == "start" else None
    if wanted is not None and not wanted.search(said.message):
        return Permanent(str(said))
    return NotFound(str(said))


def pull_error(said: str) -> ShimError:
    """The error inside the stream of a pull, in the registry's words."""
    return pull_failure(str(parse(said.encode())))
