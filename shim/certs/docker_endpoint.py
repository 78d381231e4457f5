"""Asks the Docker endpoint for its CA, and whether it accepts a new certificate."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from shim.certs.http_get import NoAnswer, excerpt, get
from shim.certs.login_files import LoginEndpoint, https_url
from shim.engine.client.endpoint import tls_context
from shim.errors import ConfigError

ADVICE = {
    401: "Is the key listed under the account (one that was added within the last two minutes may "
    "not be known yet: try again then), and is this machine's clock right?",
    403: "The account is disabled, or may not use this datacenter.",
}


class LoginRefused(ConfigError):
    """The endpoint answered and does not accept the certificate."""


def fetch_ca(docker_host: str) -> bytes | None:
    """The endpoint's CA; None when the endpoint serves none (then the system's CAs are used).

    The CA is trusted on this first contact, as it is by Triton's own tools. NoAnswer.
    """
    url = f"{https_url(docker_host)}/ca.pem"
    status, body = get(url, tls=False)
    if status == 404:
        return None
    if status != 200 or not _is_certificate(body):
        raise NoAnswer(f"{url} answered {status} and no certificate: {excerpt(body)}")
    return body


def try_login(directory: Path, endpoint: LoginEndpoint) -> None:
    """Log in with the files in ``directory``, as the agent will.

    LoginRefused: the endpoint denies access. NoAnswer: no usable answer. ConfigError: TLS does not
    accept the files.
    """
    try:
        tls = tls_context(directory, certificate=True, verify=endpoint.verify)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"TLS on this machine does not accept the new certificate and key: {error}; without "
            "--old-style the SSH key only signs, and need not be fit for TLS"
        ) from error
    url = f"{https_url(endpoint.docker_host)}/v1.21/info"
    status, body = get(url, tls=tls)
    if status in ADVICE:
        raise LoginRefused(f"{excerpt(body)}. {ADVICE[status]}")
    if status != 200:
        raise NoAnswer(f"{url} answered {status}: {excerpt(body)}")


def _is_certificate(pem: bytes) -> bool:
    try:
        return bool(x509.load_pem_x509_certificates(pem))
    except ValueError:
        return False
