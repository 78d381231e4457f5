"""Who is let in: the right password, in a realm that is closed."""

from __future__ import annotations

import base64

import pytest

from shim.http.auth import READONLY, READWRITE, BasicAuth
from shim.http.responses import Refusal

GATE = BasicAuth({"bob": "pässword:with colon", "empty": ""}, frozenset({READONLY}))


def basic(text: str, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_right_password_opens(scheme: str) -> None:
    GATE.check(READONLY, basic("bob:pässword:with colon", scheme))


def test_an_empty_secret_is_one() -> None:
    GATE.check(READONLY, basic("empty:"))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Basic Ym9i",
        basic("bob:wrong"),
        basic("bob:"),
        basic("bob"),
        basic("nobody:"),
        basic(":"),
        basic("BOB:pässword:with colon"),
        basic("bob:pässword:with colon", "Bearer"),
        basic("bob:pässword:with colon ").removesuffix("="),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
    ],
)
def test_anything_else_does_not_and_is_told_the_realm(header: str) -> None:
    with pytest.raises(Refusal) as caught:
        GATE.check(READONLY, header)
    assert caught.value.status == 401
    assert caught.value.headers == {"WWW-Authenticate": f'Basic realm="{READONLY}"'}


def test_a_realm_that_is_not_closed_asks_for_nothing() -> None:
    GATE.check(READWRITE, "")
