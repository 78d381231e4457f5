"""Asks CloudAPI for the datacenter's Docker endpoint, with a request signed by the SSH key."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from shim.certs.http_get import excerpt, get
from shim.certs.login_files import https_url
from shim.certs.ssh_wire import PrivateKey, fingerprint, signature_hash
from shim.errors import ConfigError

API_VERSION = "~9||~8||~7"
"""ListServices is the same in all these versions; a datacenter serves one or two of them."""


def signed_headers(account: str, key: PrivateKey, now: datetime) -> dict[str, str]:
    """http-signature over the Date header: proves the possession of the key."""
    date = format_datetime(now, usegmt=True)
    signed = f"date: {date}".encode()
    algorithm = signature_hash(key.public_key())()
    if isinstance(key, rsa.RSAPrivateKey):
        kind, signature = "rsa", key.sign(signed, padding.PKCS1v15(), algorithm)
    else:
        kind, signature = "ecdsa", key.sign(signed, ec.ECDSA(algorithm))
    key_id = f"/{account}/keys/{fingerprint(key.public_key())}"
    return {
        "Date": date,
        "Accept": "application/json",
        "Accept-Version": API_VERSION,
        "Authorization": (
            f'Signature keyId="{key_id}",algorithm="{kind}-{algorithm.name}",headers="date",'
            f'signature="{base64.b64encode(signature).decode()}"'
        ),
    }


def find_docker(url: str, account: str, key: PrivateKey, *, insecure: bool) -> str:
    """The datacenter's Docker endpoint, ``tcp://host:2376``. ConfigError."""
    where = f"{url.rstrip('/')}/{quote(account, safe='')}/services"
    status, body = get(
        where, headers=signed_headers(account, key, datetime.now(UTC)), tls=not insecure
    )
    services = _json_object(body)
    if status in (401, 403):
        raise ConfigError(
            f"{url} does not accept the key {fingerprint(key.public_key())} for account "
            f"{account}: {_reason(services, body)}. Is the key listed under the account (new ones "
            "take two minutes), and is this machine's clock right?"
        )
    if status != 200 or services is None:
        raise ConfigError(f"{where} answered {status}: {_reason(services, body)}")
    if not services.get("docker"):
        raise ConfigError(
            f"{url} offers no Docker endpoint: it lists {', '.join(services) or 'nothing'}"
        )
    return _docker_host(url, services["docker"])


def _docker_host(url: str, named: object) -> str:
    docker_host = str(named).replace("https://", "tcp://")
    try:
        https_url(docker_host)
    except ValueError as error:
        raise ConfigError(f"{url} names {named!r} as its Docker endpoint: {error}") from None
    return docker_host


def _json_object(body: bytes) -> Mapping[str, object] | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _reason(document: Mapping[str, object] | None, body: bytes) -> str:
    """CloudAPI's error text, else the beginning of the body: a proxy may have answered."""
    fields = document or {}
    return str(fields.get("message") or fields.get("code") or excerpt(body))
