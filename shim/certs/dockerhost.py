"""What is asked of the Docker endpoint itself: its CA, and whether it lets a new login in."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from shim.certs.ask import NoAnswer, get, words
from shim.certs.files import LoginEndpoint, https_url
from shim.engine.client.endpoint import tls_context
from shim.errors import ConfigError

ADVICE = {
    401: "Is the key listed under the account (one that was added within the last two minutes may "
    "not be known yet: try again then), and is this machine's clock right?",
    403: "The account is disabled, or may not use this datacenter.",
}


class Refused(ConfigError):
    """The endpoint answered, and does not let the login in."""


def fetch_ca(docker_host: str) -> bytes | None:
    """The endpoint's CA; None when it has none of its own (then the system's CAs hold).

    Nothing vouches for it on this first contact: that is how Triton's own tools do it, too.
    NoAnswer when nobody can tell.
    """
    where = f"{https_url(docker_host)}/ca.pem"
    status, body = get(where, tls=False)
    if status == 404:
        return None
    if status != 200 or not _is_certificate(body):
        raise NoAnswer(f"{where} answered {status} and no certificate: {words(body)}")
    return body


def try_login(directory: Path, endpoint: LoginEndpoint) -> None:
    """Log in with the files in ``directory``, as the agent will.

    Refused: it is not let in. NoAnswer: nobody can tell. ConfigError: the files are of no use.
    """
    try:
        tls = tls_context(directory, certificate=True, verify=endpoint.verify)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"TLS on this machine does not take the new certificate and key: {error}; without "
            "--old-style the SSH key only signs, and need not be fit for TLS"
        ) from error
    where = f"{https_url(endpoint.docker_host)}/v1.21/info"
    status, body = get(where, tls=tls)
    if status in ADVICE:
        raise Refused(f"{words(body)}. {ADVICE[status]}")
    if status != 200:
        raise NoAnswer(f"{where} answered {status}: {words(body)}")


def _is_certificate(pem: bytes) -> bool:
    try:
        return bool(x509.load_pem_x509_certificates(pem))
    except ValueError:
        return False
