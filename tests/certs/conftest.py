from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from tests.triton import tls

S = serialization
FORMATS = {
    "openssh": S.PrivateFormat.OpenSSH,
    "pkcs1": S.PrivateFormat.TraditionalOpenSSL,
    "pkcs8": S.PrivateFormat.PKCS8,
}
GENERATED: dict[str, Callable[[], Any]] = {
    "rsa": partial(rsa.generate_private_key, 65537, 2048),
    "rsa1024": partial(rsa.generate_private_key, 65537, 1024),
    "p256": partial(ec.generate_private_key, ec.SECP256R1()),
    "p384": partial(ec.generate_private_key, ec.SECP384R1()),
    "p521": partial(ec.generate_private_key, ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "dsa": partial(dsa.generate_private_key, 1024),
    "p224": partial(ec.generate_private_key, ec.SECP224R1()),
    "secp256k1": partial(ec.generate_private_key, ec.SECP256K1()),
    "brainpool": partial(ec.generate_private_key, ec.BrainpoolP256R1()),
}


class Keys(dict[str, Any]):
    """One key of each kind, made when it is first asked for: every worker imports this."""

    def __missing__(self, kind: str) -> Any:
        self[kind] = GENERATED[kind]()
        return self[kind]


KEYS = Keys()

WriteKey = Callable[..., Path]


def encode(kind: str, form: str = "openssh", passphrase: bytes | None = None) -> bytes:
    encryption: Any = S.NoEncryption()
    if passphrase:
        encryption = S.BestAvailableEncryption(passphrase)
    data = KEYS[kind].private_bytes(S.Encoding.PEM, FORMATS[form], encryption)
    assert isinstance(data, bytes)
    return data


def public_line(kind: str) -> bytes:
    data = KEYS[kind].public_key().public_bytes(S.Encoding.OpenSSH, S.PublicFormat.OpenSSH)
    assert isinstance(data, bytes)
    return data


@pytest.fixture
def write_key(tmp_path: Path) -> WriteKey:
    def write(kind: str, form: str = "openssh", passphrase: bytes | None = None) -> Path:
        path = tmp_path / f"id_{kind}"
        path.write_bytes(encode(kind, form, passphrase))
        path.chmod(0o600)
        return path

    return write


class Scripted:
    """An HTTPS server at ``localhost`` whose answers a test sets, by path."""

    def __init__(self, directory: Path) -> None:
        self.ca, self._pem = tls.write_server_certificate(directory)
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.url = ""

    @property
    def docker_host(self) -> str:
        return self.url.replace("https", "tcp")

    async def answer(self, request: web.Request) -> web.Response:
        status, body = self.answers.get(request.path, (404, b"nothing here"))
        return web.Response(status=status, body=body)


@pytest.fixture
async def scripted(tmp_path: Path) -> AsyncIterator[Scripted]:
    made = Scripted(tmp_path)
    app = web.Application()
    app.router.add_get("/{tail:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    context = tls.server_context(made._pem)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    made.url = f"https://localhost:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()
