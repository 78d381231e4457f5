"""What an answer of 4xx or 5xx means: the one place that maps Docker's answers to error classes.

Pure. A 400 or a 404 is about the request. A 500 may be about anything: Docker sends it both for a
host port in use and for a containerd that went away. So the text of the answer decides. An
answer whose text is unknown is Ambiguous: the call is repeated a few times.
"""

from __future__ import annotations

import email.utils
import html
import re
import time
from collections.abc import Mapping

from shim import limits
from shim.errors import Ambiguous, NameTaken, NotFound, Permanent, ShimError, Transient
from shim.model.json_text import load_json

NO_SUCH_CONTAINER = re.compile(r"no such container", re.IGNORECASE)
NO_SUCH_IMAGE = re.compile(
    r"no such image|does not match the specified platform|unable to find image", re.IGNORECASE
)
NAME_IN_USE = re.compile(r"name .* is already in use|already in use by container", re.IGNORECASE)
BEING_REMOVED = re.compile(r"removal of container .* is already in progress", re.IGNORECASE)
ENGINE_FAILURE = re.compile(
    r"connection is (closing|unavailable)|transport is closing|code = unavailable"
    r"|containerd.*connection refused|context (canceled|deadline exceeded)"
    r"|is marked for removal|server is shutting down|daemon is shutting down",
    re.IGNORECASE,
)
"""Failures of the engine itself rather than of the container: they pass."""
REGISTRY_FAILURE = re.compile(
    r"i/o timeout|handshake timeout|connection reset|unexpected eof|toomanyrequests"
    r"|service unavailable|temporary failure|client\.timeout exceeded",
    re.IGNORECASE,
)
"""Failures of a registry or of the way to it: they often pass."""
GATEWAY = frozenset({502, 503, 504})
"""Sent by a proxy before the endpoint, or by an endpoint that cannot answer now."""
HTML_PAGE = re.compile(r"\s*<(!doctype|html|head|body)\b", re.IGNORECASE)
HTML_MARKUP = re.compile(r"<(head|style|script)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)


def message_of(body: bytes) -> str:
    """The error text of an answer: ``message`` of a JSON answer, else the body as text."""
    text = body.decode("utf-8", "replace").strip()
    try:
        answer = load_json(text)
    except ValueError:
        return strip_html(text)
    if isinstance(answer, dict) and isinstance(answer.get("message"), str):
        return str(answer["message"])
    return text


def strip_html(text: str) -> str:
    """The words of an HTML page, such as a proxy answers with; any other text unchanged."""
    if HTML_PAGE.match(text) is None:
        return text
    return " ".join(html.unescape(HTML_MARKUP.sub(" ", text)).split())[: limits.HTML_ERROR_CHARS]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds until the time in ``Retry-After``, a number or a date; None without a valid one."""
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def error_for(verb: str, status: int, body: bytes, headers: Mapping[str, str]) -> ShimError:
    """The error for an answer of 4xx or 5xx to ``verb`` (``create``, ``start``, ...)."""
    message = message_of(body) or f"{verb}: the endpoint answered {status} with an empty body"
    if status == 429 or status in GATEWAY:
        return Transient(message, retry_after=retry_after(headers))
    if status >= 500:
        return _server_error(verb, message)
    if status == 404:
        return _not_found(verb, message)
    if status == 409:
        return _conflict(verb, message)
    if status in (401, 407):
        return Permanent(f"the endpoint rejected the credentials: {message}")
    return Permanent(message)


def _server_error(verb: str, message: str) -> ShimError:
    if verb not in ("create", "start", "pull", "create_volume") or ENGINE_FAILURE.search(message):
        return Transient(message)
    return pull_error(message) if verb == "pull" else Ambiguous(message)


def pull_error(message: str) -> ShimError:
    """The error for a pull that failed with ``message``, at the registry or on the way to it."""
    if ENGINE_FAILURE.search(message) or REGISTRY_FAILURE.search(message):
        return Ambiguous(message, retry_after=limits.AMBIGUOUS_PAUSE)
    return Permanent(message)


def _not_found(verb: str, message: str) -> ShimError:
    """404 also means a missing network or volume driver, which is no missing container."""
    if verb == "create":
        return NotFound(message) if NO_SUCH_IMAGE.search(message) else Permanent(message)
    if verb == "start":
        return NotFound(message) if NO_SUCH_CONTAINER.search(message) else Permanent(message)
    return Permanent(message) if verb in ("pull", "create_volume") else NotFound(message)


def _conflict(verb: str, message: str) -> ShimError:
    if verb == "create" and NAME_IN_USE.search(message):
        return NameTaken(message)
    if (
        verb in ("remove", "remove_volume")
        or BEING_REMOVED.search(message)
        or ENGINE_FAILURE.search(message)
    ):
        return Transient(message)
    return Permanent(message)
