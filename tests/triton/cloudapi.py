"""The part of CloudAPI that `mesos-shim certs` needs: ListServices, with signed requests."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes

from tests.triton.accounts import Account, parse_fingerprint, verify
from tests.triton.api_errors import ApiError
from tests.triton.tls import server_context

HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
KEY_ID = re.compile(r"/(?P<account>[^/]+)/keys/(?P<fingerprint>.+)")


class CloudApi:
    """``async with CloudApi(accounts, services) as api``: plain HTTP at ``api.url``, or HTTPS as
    ``localhost`` with the certificate in ``server_pem``."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        services: Mapping[str, str],
        *,
        major: int = 9,
        server_pem: Path | None = None,
    ) -> None:
        self._accounts = accounts
        self._services = services
        self._major = major
        self._context = server_context(server_pem) if server_pem else None
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> CloudApi:
        app = web.Application()
        app.router.add_get("/{account}/services", self._list_services)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context).start()
        scheme, host = ("https", "localhost") if self._context else ("http", "127.0.0.1")
        self.url = f"{scheme}://{host}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _list_services(self, request: web.Request) -> web.Response:
        wanted = request.headers.get("Accept-Version", "*")
        if wanted != "*" and f"~{self._major}" not in wanted.split("||"):
            body = {"code": "InvalidVersion", "message": f"supports only {self._major}.0.0"}
            return web.json_response(body, status=400)
        try:
            account = self._login(request)
        except (ApiError, InvalidSignature, KeyError, ValueError):
            body = {"code": "InvalidCredentials", "message": "The credentials are invalid"}
            return web.json_response(body, status=401)
        if account.login != request.match_info["account"]:
            body = {"code": "NotAuthorized", "message": "not your account"}
            return web.json_response(body, status=403)
        return web.json_response(dict(self._services))

    def _login(self, request: web.Request) -> Account:
        """http-signature over the Date header alone, its default."""
        scheme, _, rest = request.headers["Authorization"].partition(" ")
        fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        match = KEY_ID.fullmatch(fields["keyId"])
        if scheme != "Signature" or match is None or fields.get("headers", "date") != "date":
            raise ValueError(rest)
        account = self._accounts[match["account"]]
        kind, _, name = fields["algorithm"].partition("-")
        key = account.key(parse_fingerprint(match["fingerprint"]))
        if kind not in type(key).__name__.lower() and kind != "ecdsa":
            raise ValueError(kind)
        signed = f"date: {request.headers['Date']}".encode()
        verify(key, base64.b64decode(fields["signature"]), signed, HASHES[name]())
        return account
