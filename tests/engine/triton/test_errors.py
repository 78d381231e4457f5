"""Error texts of Triton, and the error that each one means."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import pytest

from shim import limits
from shim.engine.triton.errors import ErrorText, error_for, parse_error, pull_error
from shim.errors import AccessDenied, Ambiguous, NameTaken, NotFound, Permanent, Transient

ID = "0b0c1a2e-5d1f-4bd4-8a5b-1d2b8f1f7a11"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"(Validation) bad thing ({ID})", ErrorText("bad thing", "Validation", ID)),
        (f"No such container: x ({ID})", ErrorText("No such container: x", "", ID)),
        (f"Unauthorized ({ID})", ErrorText("Unauthorized", "", ID)),
        ("plain (really) text", ErrorText("plain (really) text")),
        ('{"message": "json after all"}', ErrorText("json after all")),
        (f"(A) two\nlines (id {ID[:4]}) ({ID})", ErrorText(f"two\nlines (id {ID[:4]})", "A", ID)),
        ("", ErrorText("")),
    ],
)
def test_an_error_text_has_message_code_and_request_id(text: str, expected: ErrorText) -> None:
    assert parse_error(text.encode()) == expected


def test_an_error_shows_code_and_request_id() -> None:
    assert str(ErrorText("no", "Validation", ID)) == f"no (Validation, Triton request {ID})"
    assert str(ErrorText("no")) == "no"


DUPLICATE = 'problem creating container: "alias" (Duplicate) Already exists for this owner_uuid'


@pytest.mark.parametrize(
    ("verb", "status", "text", "kind"),
    [
        ("create", 409, f"(ValidationFailed) {DUPLICATE}", NameTaken),
        ("create", 422, f"(ValidationFailed) {DUPLICATE}", NameTaken),
        ("create", 500, DUPLICATE, NameTaken),
        ("create", 422, "(ValidationFailed) problem creating container: other", Permanent),
        ("create", 409, "(NoAllocatableServersError) No compute resources available", Permanent),
        ("create", 422, "(NoSufficientPackage) no package", Permanent),
        ("create", 403, "(NotAuthorized) Quota exceeded", Permanent),
        ("create", 403, "Forbidden", AccessDenied),
        ("create", 401, "Unauthorized", AccessDenied),
        ("create", 400, "(NotImplemented) NetworkMode host", Permanent),
        ("create", 404, "(ResourceNotFound) No such image: x", NotFound),
        ("create", 404, "(ResourceNotFound) Network x not found", Permanent),
        ("create", 500, "publish port: remapping of port numbers not allowed", Permanent),
        ("create", 500, "No command specified", Permanent),
        ("create", 500, "Support for automounting NFS volumes is not enabled", Permanent),
        ("create", 500, "too many --volumes-from: max 2", Permanent),
        ("create", 500, "something broke", Ambiguous),
        ("create", 500, "(CommandTimeout) too slow", Transient),
        ("create", 503, "Back soon", AccessDenied),
        ("create", 502, "bad gateway", Transient),
        ("start", 504, "gateway timeout", Transient),
        ("start", 500, "VM is still provisioning", Transient),
        ("start", 500, "something broke", Ambiguous),
        ("start", 404, "No such container: x", NotFound),
        ("inspect", 404, "No such container: x", NotFound),
        ("list", 500, "no packages match parameters", Permanent),
        ("list", 500, "SyntaxError", Transient),
        ("remove", 500, "Conflict, cannot currently remove a provisioning container", Transient),
        ("remove", 500, "Conflict, shared volumes are used by a, b", Transient),
        ("remove", 409, "busy", Transient),
        (
            "create_volume",
            409,
            "(VolumeAlreadyExists) Volume with name x already exists",
            NameTaken,
        ),
        ("create_volume", 409, "(VolumeSizeNotAvailable) Volume size not available", Permanent),
        ("create_volume", 500, "something broke", Ambiguous),
        ("remove_volume", 409, "(VolumeInUse) Volume with name x is used", Transient),
        ("remove_volume", 500, "Could not find volume with name: x", NotFound),
        ("stop", 422, "(Validation) t", Permanent),
        ("exec", 409, "(DockerContainerNotRunning) not running", Permanent),
        ("exec", 429, "slow down", Transient),
    ],
)
def test_the_class_of_each_error(verb: str, status: int, text: str, kind: type[Exception]) -> None:
    error = error_for(verb, status, f"{text} ({ID})".encode(), {}, "the certificate C")
    assert type(error) is kind
    assert ID in str(error)


def test_a_refused_certificate_is_named_with_the_way_to_renew_it() -> None:
    renewal = "`mesos-shim certs --renew` makes a new certificate"
    unknown = str(error_for("list", 401, b"Unauthorized", {}, "the certificate C", renewal))
    assert "does not accept the certificate C" in unknown
    assert f"{renewal}, which the agent loads without a restart" in unknown
    assert "account is disabled" in str(error_for("list", 403, b"Forbidden", {}, "C"))


def test_maintenance_says_until_when() -> None:
    headers = {"Retry-After": formatdate(time.time() + 90, usegmt=True)}
    before = datetime.now(UTC)
    error = error_for("create", 503, f"Back soon ({ID})".encode(), headers, "C")
    assert isinstance(error, AccessDenied)
    assert error.retry_after is not None
    assert 85 < error.retry_after <= 90
    text = re.fullmatch(rf"Back soon \(Triton request {ID}\), until (.*) UTC", str(error))
    assert text
    ends = {before + timedelta(seconds=seconds) for seconds in range(147, 152)}
    assert text[1][-5:] in {f"{end:%H:%M}" for end in ends}
    tomorrow = error_for("create", 503, b"x", {"Retry-After": "86400"}, "C")
    day = datetime.now(UTC) + timedelta(days=1)
    assert f"until {day:%Y-%m-%d}" in str(tomorrow)
    assert str(error_for("create", 503, b"Back soon", {}, "C")) == "Back soon"


def test_an_answer_without_text_names_call_and_status() -> None:
    assert (
        str(error_for("start", 500, b"", {}, "C"))
        == "start: Triton answered 500 with an empty body"
    )
    silent = error_for("start", 500, b"", {"x-request-id": ID}, "C")
    assert str(silent).endswith(f"with an empty body (Triton request {ID})")


def test_the_request_id_of_the_header_is_used_if_the_text_has_none() -> None:
    headers = {"x-request-id": ID}
    assert str(error_for("start", 500, b"oops", headers, "C")) == f"oops (Triton request {ID})"
    other = "1" * 32
    text = str(error_for("start", 500, f"oops ({other})".encode(), headers, "C"))
    assert text == f"oops (Triton request {other})"


def test_a_proxy_s_html_page_is_reduced_to_its_words() -> None:
    page = (
        b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
        b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx&amp;co</center>\r\n"
    )
    assert str(error_for("create", 502, page, {}, "C")) == "502 Bad Gateway nginx&co"
    endless = b"<!DOCTYPE html><body>" + b"word " * 1000
    assert len(str(error_for("create", 504, endless, {}, "C"))) <= limits.HTML_ERROR_CHARS


def test_an_ambiguous_error_asks_for_a_pause() -> None:
    error = error_for("create", 500, b"something broke", {}, "C")
    assert isinstance(error, Ambiguous)
    assert error.retry_after == limits.AMBIGUOUS_PAUSE >= 1


def test_a_pull_fails_in_the_registry_s_words() -> None:
    error = pull_error(f"image x not found in registry ({ID})")
    assert isinstance(error, Permanent)
    assert str(error) == f"image x not found in registry (Triton request {ID})"
    assert isinstance(pull_error("read tcp: i/o timeout"), Ambiguous)
