"""The two questions asked before there is a certificate: where Docker is, and who signs it."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote, urlsplit

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from shim.engine.certs.keys import PrivateKey, fingerprint
from shim.engine.certs.ssh_agent import curve_hash
from shim.errors import ConfigError, told

TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=20)
MAX_ANSWER = 1 << 20
API_VERSION = "~8"


def signed_headers(account: str, key: PrivateKey, now: datetime) -> dict[str, str]:
    """http-signature over the Date header, which proves the key without sending it."""
    date = format_datetime(now, usegmt=True)
    signed = f"date: {date}".encode()
    algorithm = curve_hash(key.public_key())()
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


async def find_docker(url: str, account: str, key: PrivateKey, *, insecure: bool) -> str:
    """The datacenter's Docker endpoint, ``tcp://host:2376``. ConfigError says what went wrong."""
    where = f"{url.rstrip('/')}/{quote(account, safe='')}/services"
    headers = signed_headers(account, key, datetime.now(UTC))
    status, services = await _ask_services(where, headers, insecure)
    if status in (401, 403):
        raise ConfigError(
            f"{url} does not accept the key {fingerprint(key.public_key())} for account "
            f"{account}: {_words(services)}. Is the key listed under the account (new ones take "
            "two minutes), and is this machine's clock right?"
        )
    if status != 200:
        raise ConfigError(f"{where} answered {status}: {_words(services)}")
    docker = services.get("docker")
    if not docker:
        raise ConfigError(f"{url} offers no Docker endpoint: it lists {', '.join(services)}")
    return str(docker).replace("https://", "tcp://")


async def fetch_ca(docker_host: str) -> bytes | None:
    """The endpoint's CA; None when it has none of its own (then the system's CAs hold).

    Nothing vouches for it on this first contact: that is how Triton's own tools do it, too.
    """
    parts = urlsplit(docker_host)
    where = f"https://{parts.hostname}:{parts.port or 2376}/ca.pem"
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.get(where, ssl=False) as answer,
        ):
            body = await answer.content.read(MAX_ANSWER)
            status = answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ConfigError(f"{where}: {told(error)}") from error
    if status == 404:
        return None
    if status != 200 or b"-----BEGIN CERTIFICATE-----" not in body:
        raise ConfigError(f"{where} answered {status} and no certificate")
    return body


async def _ask_services(
    where: str, headers: Mapping[str, str], insecure: bool
) -> tuple[int, Mapping[str, object]]:
    context: ssl.SSLContext | bool = not insecure
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.get(where, headers=headers, ssl=context) as answer,
        ):
            body = await answer.json(content_type=None)
    except aiohttp.ClientConnectorCertificateError as error:
        raise ConfigError(f"{where}: {error} (--insecure does without verification)") from error
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise ConfigError(f"{where}: {told(error)}") from error
    return answer.status, body if isinstance(body, dict) else {}


def _words(body: Mapping[str, object]) -> str:
    return str(body.get("message") or body.get("code") or "no reason given")
