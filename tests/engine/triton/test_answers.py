from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from shim.engine.triton.answers import Said, parse, pull_error, refusal
from shim.errors import Doubtful, NameTaken, NotFound, Permanent, Transient

ID = "0b0c1a2e-5d1f-4bd4-8a5b-1d2b8f1f7a11"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"(Validation) bad thing ({ID})", Said("bad thing", "Validation", ID)),
        (f"No such container: x ({ID})", Said("No such container: x", "", ID)),
        (f"Unauthorized ({ID})", Said("Unauthorized", "", ID)),
        ("plain (really) text", Said("plain (really) text")),
        ('{"message": "json after all"}', Said("json after all")),
        (f"(A) two\nlines (id {ID[:4]}) ({ID})", Said(f"two\nlines (id {ID[:4]})", "A", ID)),
        ("", Said("")),
    ],
)
def test_errors_are_taken_apart(text: str, said: Said) -> None:
    assert parse(text.encode()) == said


def test_people_see_code_and_request_id() -> None:
    assert str(Said("no", "Validation", ID)) == f"no (Validation, Triton request {ID})"
    assert str(Said("no")) == "no"


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
        ("create", 403, "Forbidden", Transient),
        ("create", 401, "Unauthorized", Transient),
        ("create", 400, "(NotImplemented) NetworkMode host", Permanent),
        ("create", 404, "(ResourceNotFound) No such image: x", NotFound),
        ("create", 404, "(ResourceNotFound) Network x not found", Permanent),
        ("create", 500, "publish port: remapping of port numbers not allowed", Permanent),
        ("create", 500, "No command specified", Permanent),
        ("create", 500, "something broke", Doubtful),
        ("create", 500, "(CommandTimeout) too slow", Transient),
        ("create", 503, "Back soon", Transient),
        ("start", 500, "VM is still provisioning", Transient),
        ("start", 500, "something broke", Doubtful),
        ("start", 404, "No such container: x", NotFound),
        ("inspect", 404, "No such container: x", NotFound),
        ("list", 500, "no packages match parameters", Permanent),
        ("list", 500, "SyntaxError", Transient),
        ("remove", 500, "Conflict, cannot currently remove a provisioning container", Transient),
        ("remove", 500, "Conflict, shared volumes are used by a, b", Transient),
        ("remove", 409, "busy", Transient),
        ("stop", 422, "(Validation) t", Permanent),
        ("exec", 409, "(DockerContainerNotRunning) not running", Permanent),
        ("exec", 429, "slow down", Transient),
    ],
)
def test_what_a_refusal_means(verb: str, status: int, text: str, kind: type[Exception]) -> None:
    error = refusal(verb, status, f"{text} ({ID})".encode(), {}, "the certificate C")
    assert type(error) is kind
    assert ID in str(error)


def test_login_trouble_is_said_in_words_to_act_on() -> None:
    unknown = str(refusal("list", 401, b"Unauthorized", {}, "the certificate C"))
    assert "does not accept the certificate C" in unknown
    assert "certs --renew" in unknown
    assert "account is disabled" in str(refusal("list", 403, b"Forbidden", {}, "C"))


def test_maintenance_says_until_when() -> None:
    headers = {"Retry-After": formatdate(time.time() + 90, usegmt=True)}
    error = refusal("create", 503, b"Back soon", headers, "C")
    assert isinstance(error, Transient)
    assert error.retry_after is not None
    assert 85 < error.retry_after <= 90


def test_an_answer_without_a_word() -> None:
    assert str(refusal("start", 500, b"", {}, "C")) == "start: Triton answered 500 without a word"


def test_a_pull_fails_in_the_registry_s_words() -> None:
    error = pull_error(f"image x not found in registry ({ID})")
    assert isinstance(error, Permanent)
    assert str(error) == f"image x not found in registry (Triton request {ID})"
    assert isinstance(pull_error("read tcp: i/o timeout"), Doubtful)
