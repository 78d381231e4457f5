"""Passwords of protected realms."""

from __future__ import annotations

import base64

import pytest

from shim.http.basic_auth import READONLY, READWRITE, BasicAuth
from shim.http.responses import HttpError

AUTH = BasicAuth({"bob": "pässword:with colon", "empty": ""}, frozenset({READONLY}))


def basic(text: str, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_right_password_is_accepted(scheme: str) -> None:
    AUTH.check(READONLY, basic("bob:pässword:with colon", scheme))


def test_an_empty_secret_is_accepted() -> None:
    AUTH.check(READONLY, basic("empty:"))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Basic \u00e9",
        "Basic Ym9i",
        basic("bob:wrong"),
        basic("bob:"),
        basic("bob"),
        basic("unknown:"),
        basic(":"),
        basic("BOB:pässword:with colon"),
        basic("bob:pässword:with colon", "Bearer"),
        basic("bob:pässword:with colon ").removesuffix("="),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
    ],
)
def test_anything_else_is_refused_with_the_realm(header: str) -> None:
    with pytest.raises(HttpError) as caught:
        AUTH.check(READONLY, header)
    assert caught.value.status == 401
    assert caught.value.headers == {"WWW-Authenticate": f'Basic realm="{READONLY}"'}


def test_an_unprotected_realm_needs_no_password() -> None:
    AUTH.check(READWRITE, "")
