"""Tokens of executors: a JSON Web Token as other libraries read it, and nothing else is taken."""

from __future__ import annotations

import base64
import json

import pytest

from shim.http.executor_api.token import Claims, InvalidToken, issue, verify
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId

CLAIMS = Claims(ExecutorKey(FrameworkId("F"), ExecutorId("E")), ContainerId("c-1"))
SECRET = b"0123456789"


def encode(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_is_verified_with_its_secret_only() -> None:
    token = issue(CLAIMS, SECRET)
    assert verify(token, SECRET) == CLAIMS
    with pytest.raises(InvalidToken):
        verify(token, b"another secret")


def test_the_parts_are_those_of_mesos() -> None:
    header, payload, _ = issue(CLAIMS, SECRET).split(".")
    padded = [base64.urlsafe_b64decode(part + "==") for part in (header, payload)]
    assert json.loads(padded[0]) == {"alg": "HS256", "typ": "JWT"}
    assert json.loads(padded[1]) == {"fid": "F", "eid": "E", "cid": "c-1"}


def test_a_signature_that_other_libraries_make() -> None:
    """From RFC 7515, appendix A.1: its secret, header and payload."""
    secret = base64.urlsafe_b64decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow=="
    )
    token = (
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290"
        "Ijp0cnVlfQ"
        ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    )
    with pytest.raises(InvalidToken, match="malformed"):
        verify(token, secret)  # the signature is right, Mesos' claims are missing


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "..", f"{encode({'alg': 'none'})}.x."])
def test_anything_else_is_not_a_token(token: str) -> None:
    with pytest.raises(InvalidToken):
        verify(token, SECRET)


def test_without_a_signature_no_algorithm_helps() -> None:
    payload = encode({"fid": "F", "eid": "E", "cid": "c-1"})
    for algorithm in ("none", "HS256", "RS256"):
        with pytest.raises(InvalidToken):
            verify(f"{encode({'alg': algorithm})}.{payload}.", SECRET)
