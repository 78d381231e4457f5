"""Answers of dockerd 20.10, and the error that each one means."""

from __future__ import annotations

import json
import time
from email.utils import formatdate

import pytest

from shim.engine.client.errors import error_for, pull_error, retry_after
from shim.errors import Ambiguous, NameTaken, NotFound, Permanent, ShimError, Transient

RUNC = "failed to create shim task: OCI runtime create failed: runc create failed"
PORT = "driver failed programming external connectivity on endpoint x: Bind for 0.0.0.0:31999"


@pytest.mark.parametrize(
    ("verb", "status", "message", "kind"),
    [
        ("create", 400, "invalid mount config for type bind: source does not exist", Permanent),
        ("create", 400, "Minimum memory limit allowed is 6MB", Permanent),
        ("create", 404, "No such image: nosuch:1", NotFound),
        ("create", 404, "image with reference x was found but does not match the specified "
         "platform: wanted linux/arm64", NotFound),
        ("create", 404, 'create abc: error looking up volume plugin nosuch: plugin "nosuch" not '
         "found", Permanent),
        ("create", 409, 'Conflict. The container name "/x" is already in use by container "1". '
         "You have to remove (or rename) that container", NameTaken),
        ("create", 500, "json: cannot unmarshal string into Go struct field", Ambiguous),
        ("start", 400, RUNC, Permanent),
        ("start", 404, "network nosuchnet not found", Permanent),
        ("start", 404, "No such container: x", NotFound),
        ("start", 409, "container is marked for removal and cannot be started", Transient),
        ("start", 500, f"{PORT} failed: port is already allocated", Ambiguous),
        ("start", 500, "unable to find user nosuchuser: no matching entries", Ambiguous),
        ("start", 500, "connection error: desc = transport is closing: unavailable", Transient),
        ("start", 500, "context deadline exceeded", Transient),
        ("stop", 404, "No such container: x", NotFound),
        ("stop", 500, "cannot stop container: x: tried to kill container", Transient),
        ("inspect", 500, "anything", Transient),
        ("remove", 404, "No such container: x", NotFound),
        ("remove", 409, "removal of container x is already in progress", Transient),
        ("remove", 500, "driver failed to remove root filesystem: busy", Transient),
        ("create_volume", 404, "error looking up volume plugin x: not found", Permanent),
        ("create_volume", 409, "a volume named x already exists with the y driver", Permanent),
        ("create_volume", 500, "create x: VolumeDriver.Create: no", Ambiguous),
        ("remove_volume", 409, "remove x: volume is in use - [1]", Transient),
        ("remove_volume", 404, "get x: no such volume", NotFound),
        ("exec", 409, "Container x is not running", Permanent),
        ("pull", 404, "manifest for x not found: manifest unknown", Permanent),
        ("pull", 500, 'Get "https://x/v2/": dial tcp: no such host', Permanent),
        ("pull", 500, "net/http: TLS handshake timeout", Ambiguous),
        ("list", 401, "bad certificate", Permanent),
        ("list", 429, "slow down", Transient),
        ("create", 502, "<html>Bad Gateway</html>", Transient),
        ("create", 503, "maintenance", Transient),
        ("create", 504, "", Transient),
    ],
)  # fmt: skip
def test_the_class_of_each_error(
    verb: str, status: int, message: str, kind: type[ShimError]
) -> None:
    error = error_for(verb, status, json.dumps({"message": message}).encode(), {})
    assert type(error) is kind
    assert str(error)
    if message:
        assert str(error).endswith(message)


@pytest.mark.parametrize("body", [b"plain words\n", b'"plain words"', b'{"error": "plain words"}'])
def test_an_answer_without_message_is_quoted(body: bytes) -> None:
    assert "plain words" in str(error_for("start", 400, body, {}))


def test_half_of_a_surrogate_pair_is_no_part_of_an_error() -> None:
    """Half of a pair, as of a text that was cut, would fit into no status update."""
    error = error_for("start", 400, rb'{"message": "cut \ud83d"}', {})
    assert str(error).endswith("cut \ufffd")


def test_an_answer_without_text_names_call_and_status() -> None:
    assert (
        str(error_for("start", 418, b"", {}))
        == "start: the endpoint answered 418 with an empty body"
    )


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_seconds_or_a_date(as_date: bool) -> None:
    value = formatdate(time.time() + 60, usegmt=True) if as_date else "60"
    seconds = retry_after({"Retry-After": value})
    assert seconds is not None
    assert 50 < seconds <= 60
    error = error_for("list", 503, b"", {"Retry-After": value})
    assert isinstance(error, Transient)
    assert error.retry_after is not None


@pytest.mark.parametrize("value", ["", "soon"])
def test_an_invalid_retry_after_is_none(value: str) -> None:
    assert retry_after({"Retry-After": value}) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("denied: requested access to the resource is denied", Permanent),
        ("read: connection reset by peer", Ambiguous),
        ("toomanyrequests: You have reached your pull rate limit", Ambiguous),
        ("context canceled", Ambiguous),
    ],
)
def test_a_failed_pull_is_permanent_or_ambiguous(text: str, kind: type[ShimError]) -> None:
    assert type(pull_error(text)) is kind
