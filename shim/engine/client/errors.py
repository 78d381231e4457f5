"""What an endpoint's refusal means: the one table from HTTP answers to our error families.

Pure. A 400 or a 404 is about the request; a 500 may be about anything, since Docker answers it
both for a host port in use and for a containerd that went away. So words decide, and where they
do not, the answer is Doubtful: worth a few attempts, not many.
"""

from __future__ import annotations

import email.utils
import html
import json
import re
import time
from collections.abc import Mapping

from shim import limits
from shim.errors import Ambiguous, NameTaken, NotFound, Permanent, ShimError, Transient

NO_SUCH_CONTAINER = re.compile(r"no such container", re.IGNORECASE)
NO_SUCH_IMAGE = re.compile(
    r"no such image|does not match the specified platform|unable to find image", re.IGNORECASE
)
NAME_IN_USE = re.compile(r"name .* is already in use|already in use by container", re.IGNORECASE)
BEING_REMOVED = re.compile(r"removal of container .* is already in progress", re.IGNORECASE)
ENGINE_TROUBLE = re.compile(
    r"connection is (closing|unavailable)|transport is closing|code = unavailable"
    r"|containerd.*connection refused|context (canceled|deadline exceeded)"
    r"|is marked for removal|server is shutting down|daemon is shutting down",
    re.IGNORECASE,
)
"""The engine's own troubles, not the container's: they pass."""
LINK_TROUBLE = re.compile(
    r"i/o timeout|handshake timeout|connection reset|unexpected eof|toomanyrequests"
    r"|service unavailable|temporary failure|client\.timeout exceeded",
    re.IGNORECASE,
)
"""A registry's troubles that often pass."""
GATEWAY = frozenset({502, 503, 504})
"""Who answers is not the endpoint but something before it, or is not up to answering."""
PAGE = re.compile(r"\s*<(!doctype|html|head|body)\b", re.IGNORECASE)
NO_WORDS = re.compile(r"<(head|style|script)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)


def words(body: bytes) -> str:
    """The endpoint's own words: ``message`` of a JSON answer, else the text."""
    text = body.decode("utf-8", "replace").strip()
    try:
        answer = json.loads(text)
    except ValueError:
        return readable(text)
    if isinstance(answer, dict) and isinstance(answer.get("message"), str):
        return str(answer["message"])
    return text


def readable(text: str) -> str:
    """The words of an HTML page, which is what proxies answer with; other text as it is."""
    if PAGE.match(text) is None:
        return text
    return " ".join(html.unescape(NO_WORDS.sub(" ", text)).split())[: limits.PAGE_WORDS]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks for, a number or a date; None when it does not."""
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def refusal(verb: str, status: int, body: bytes, headers: Mapping[str, str]) -> ShimError:
    """The error for an answer of 4xx or 5xx to ``verb`` (``create``, ``start``, ...)."""
    said = words(body) or f"{verb}: the endpoint answered {status} without a word"
    if status == 429 or status in GATEWAY:
        return Transient(said, retry_after=retry_after(headers))
    if status >= 500:
        return _failure(verb, said)
    if status == 404:
        return _missing(verb, said)
    if status == 409:
        return _conflict(verb, said)
    if status in (401, 407):
        return Permanent(f"the endpoint does not know us: {said}")
    return Permanent(said)


def _failure(verb: str, said: str) -> ShimError:
    if verb not in ("create", "start", "pull") or ENGINE_TROUBLE.search(said):
        return Transient(said)
    return pull_failure(said) if verb == "pull" else Ambiguous(said)


def pull_failure(said: str) -> ShimError:
    """The error for a pull that its registry, or the way to it, ended with these words."""
    if ENGINE_TROUBLE.search(said) or LINK_TROUBLE.search(said):
        return Ambiguous(said, retry_after=limits.DOUBTFUL_PAUSE)
    return Permanent(said)


def _missing(verb: str, said: str) -> ShimError:
    """404 also stands for a missing network or volume driver: that is no missing container."""
    if verb == "create":
        return NotFound(said) if NO_SUCH_IMAGE.search(said) else Permanent(said)
    if verb == "start":
        return NotFound(said) if NO_SUCH_CONTAINER.search(said) else Permanent(said)
    return Permanent(said) if verb == "pull" else NotFound(said)


def _conflict(verb: str, said: str) -> ShimError:
    if verb == "create" and NAME_IN_USE.search(said):
        return NameTaken(said)
    if verb == "remove" or BEING_REMOVED.search(said) or ENGINE_TROUBLE.search(said):
        return Transient(said)
    return Permanent(said)
