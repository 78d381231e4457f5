"""Certificates, API versions, info, and the form of errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shim.certs.certificate import ClientCertificate, new_style, old_style
from tests.support.login import write_login
from tests.triton.simulator import ACCOUNT, Answer, Client, TritonSimulator, client, login_endpoint

UNAUTHORIZED = re.compile(r"Unauthorized \([0-9a-f-]{36}\)")
TEXT = re.compile(r"(\(\w+\) )?.+ \([0-9a-f-]{36}\)")


async def ask_with(triton: TritonSimulator, login: ClientCertificate, tmp_path: Path) -> Answer:
    other = tmp_path / "other"
    write_login(other, login, login_endpoint(triton.endpoint))
    triton.certs = other
    async with client(triton) as ask:
        return await ask("GET", "/v1.21/info")


def badly_signed() -> ClientCertificate:
    """Self-signed by its names, but signed by another key."""
    key, unknown_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ACCOUNT)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + timedelta(1))
    certificate = builder.sign(unknown_key, hashes.SHA256())
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(encoding, form, serialization.NoEncryption())
    return ClientCertificate(pem, certificate.public_bytes(encoding))


async def test_without_a_certificate_only_ping_and_ca_answer(triton: TritonSimulator) -> None:
    async with client(triton, certificate=False) as ask:
        assert (await ask("GET", "/_ping")).text == "OK"
        assert b"BEGIN CERTIFICATE" in (await ask("GET", "/ca.pem")).body
        refused = await ask("GET", "/info")
    assert refused.status == 401
    assert UNAUTHORIZED.fullmatch(refused.text)


@pytest.mark.parametrize("make", [new_style, old_style])
async def test_both_styles_of_certificate_are_accepted(
    triton: TritonSimulator, tmp_path: Path, make: Callable[..., ClientCertificate]
) -> None:
    answer = await ask_with(triton, make(ACCOUNT, triton.key, datetime.now(UTC)), tmp_path)
    assert answer.status == 200


async def test_every_refused_certificate_gets_the_same_answer(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    now, unknown_key = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    for login in (
        new_style("unknown", triton.key, now),
        new_style(ACCOUNT, unknown_key, now),
        old_style(ACCOUNT, unknown_key, now),
        new_style(ACCOUNT, triton.key, now - timedelta(days=10), days=9),
        badly_signed(),
    ):
        answer = await ask_with(triton, login, tmp_path)
        assert answer.status == 401
        assert UNAUTHORIZED.fullmatch(answer.text)


async def test_an_old_style_certificate_never_expires(
    triton: TritonSimulator, tmp_path: Path
) -> None:
    login = old_style(ACCOUNT, triton.key, datetime.now(UTC) - timedelta(days=10), days=9)
    assert (await ask_with(triton, login, tmp_path)).status == 200


async def test_an_account_without_access_is_forbidden(
    triton: TritonSimulator, call: Client
) -> None:
    triton.account.allowed = False
    answer = await call("GET", "/info")
    assert answer.status == 403
    assert answer.text.startswith("Forbidden")


@pytest.mark.parametrize("version", ["v1.19", "v1.100", "vx", "v1"])
async def test_old_and_malformed_versions_are_refused(call: Client, version: str) -> None:
    answer = await call("GET", f"/{version}/info")
    assert answer.status == 400
    assert answer.text.startswith("(InvalidVersion) ")


@pytest.mark.parametrize("prefix", ["", "/v1.20", "/v1.21", "/v9.99", "/v1.3"])
async def test_versions_are_compared_as_strings(call: Client, prefix: str) -> None:
    assert (await call("GET", f"{prefix}/version")).json["ApiVersion"] == "1.21"


async def test_no_answer_allows_to_negotiate_a_version(call: Client) -> None:
    assert "MinAPIVersion" not in (await call("GET", "/version")).json
    assert "API-Version" not in (await call("GET", "/_ping")).headers


async def test_info_shows_account_and_datacenter_but_no_capacity(call: Client) -> None:
    info = (await call("GET", "/info")).json
    assert info["Name"] == "test-1"
    assert info["DriverStatus"] == [["SDCAccount", ACCOUNT]]
    assert not {"NCPU", "MemTotal"} & set(info)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/containers/x/json", 404),
        ("GET", "/images/missing/json", 404),
        ("GET", "/no/such/call", 404),
        ("POST", "/containers/create", 422),
        ("POST", "/containers/x/pause", 400),
    ],
)
async def test_errors_are_plain_text_with_a_request_id(
    call: Client, method: str, path: str, status: int
) -> None:
    answer = await call(method, path, headers={"Accept": "application/json"})
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert TEXT.fullmatch(answer.text)
    assert answer.headers["x-request-id"] in answer.text
