"""Points 1 to 4: who is let in, which versions, what the endpoint says of itself, and how it
words an error."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shim.certs import login_files
from shim.certs.certificate import ClientCertificate, new_style, old_style
from tests.triton.place import ACCOUNT, Answer, Client, Place, client, where

UNAUTHORIZED = re.compile(r"Unauthorized \([0-9a-f-]{36}\)")
TEXT = re.compile(r"(\(\w+\) )?.+ \([0-9a-f-]{36}\)")


async def ask_with(at: Place, login: ClientCertificate, tmp_path: Path) -> Answer:
    other = tmp_path / "other"
    login_files.write(other, login, where(at.endpoint))
    at.certs = other
    async with client(at) as ask:
        return await ask("GET", "/v1.21/info")


def badly_signed() -> ClientCertificate:
    """Says it is self-signed; the signature is another key's."""
    key, stranger = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ACCOUNT)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + timedelta(1))
    certificate = builder.sign(stranger, hashes.SHA256())
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(encoding, form, serialization.NoEncryption())
    return ClientCertificate(pem, certificate.public_bytes(encoding))


async def test_1_without_a_certificate_only_ping_and_ca_answer(at: Place) -> None:
    async with client(at, certificate=False) as ask:
        assert (await ask("GET", "/_ping")).text == "OK"
        assert b"BEGIN CERTIFICATE" in (await ask("GET", "/ca.pem")).body
        refused = await ask("GET", "/info")
    assert refused.status == 401
    assert UNAUTHORIZED.fullmatch(refused.text)


@pytest.mark.parametrize("make", [new_style, old_style])
async def test_1_both_styles_of_certificate_are_let_in(
    at: Place, tmp_path: Path, make: type[ClientCertificate]
) -> None:
    answer = await ask_with(at, make(ACCOUNT, at.key, datetime.now(UTC)), tmp_path)  # type: ignore[call-arg]
    assert answer.status == 200


async def test_1_all_bad_logins_look_alike(at: Place, tmp_path: Path) -> None:
    now, stranger = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    for login in (
        new_style("nobody", at.key, now),
        new_style(ACCOUNT, stranger, now),
        old_style(ACCOUNT, stranger, now),
        new_style(ACCOUNT, at.key, now - timedelta(days=10), days=9),
        badly_signed(),
    ):
        answer = await ask_with(at, login, tmp_path)
        assert answer.status == 401
        assert UNAUTHORIZED.fullmatch(answer.text)


async def test_1_an_old_style_certificate_never_expires(at: Place, tmp_path: Path) -> None:
    login = old_style(ACCOUNT, at.key, datetime.now(UTC) - timedelta(days=10), days=9)
    assert (await ask_with(at, login, tmp_path)).status == 200


async def test_1_an_account_may_be_kept_out(at: Place, call: Client) -> None:
    at.account.allowed = False
    answer = await call("GET", "/info")
    assert answer.status == 403
    assert answer.text.startswith("Forbidden")


@pytest.mark.parametrize("version", ["v1.19", "v1.100", "vx", "v1"])
async def test_2_old_and_malformed_versions_are_refused(call: Client, version: str) -> None:
    answer = await call("GET", f"/{version}/info")
    assert answer.status == 400
    assert answer.text.startswith("(InvalidVersion) ")


@pytest.mark.parametrize("prefix", ["", "/v1.20", "/v1.21", "/v9.99", "/v1.3"])
async def test_2_versions_are_compared_as_strings(call: Client, prefix: str) -> None:
    assert (await call("GET", f"{prefix}/version")).json["ApiVersion"] == "1.21"


async def test_2_nothing_to_negotiate_a_version_with(call: Client) -> None:
    assert "MinAPIVersion" not in (await call("GET", "/version")).json
    assert "API-Version" not in (await call("GET", "/_ping")).headers


async def test_3_info_tells_account_and_datacenter_but_no_capacity(call: Client) -> None:
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
async def test_4_errors_are_plain_text_with_a_request_id(
    call: Client, method: str, path: str, status: int
) -> None:
    answer = await call(method, path, headers={"Accept": "application/json"})
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert TEXT.fullmatch(answer.text)
    assert answer.headers["x-request-id"] in answer.text
