"""``mesos-shim certs``: flags, steps and summary."""

from __future__ import annotations

import argparse
import ipaddress
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from shim.certs import login_files
from shim.certs.account_key import PASSPHRASE, find_key
from shim.certs.certificate import (
    MAX_DAYS,
    NEW_STYLE_DAYS,
    OLD_STYLE_DAYS,
    new_style,
    old_style,
)
from shim.certs.cloudapi import find_docker
from shim.certs.docker_endpoint import LoginRefused, fetch_ca, try_login
from shim.certs.http_get import NoAnswer
from shim.certs.login_files import LoginEndpoint
from shim.certs.ssh_wire import PrivateKey, fingerprint, key_kind
from shim.engine.triton.certificate_info import CertificateInfo, read_certificate
from shim.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``mesos-shim certs``."""
    add = parser.add_argument
    add("--account", help="the Triton account's login (with --renew: as before)")
    add(
        "--key",
        required=True,
        metavar="FILE|FINGERPRINT",
        help="SSH private key (RSA or ECDSA) of the account; or a public key file or a "
        "fingerprint (MD5:… or SHA256:…) of a key that an ssh-agent holds",
    )
    add(
        "--url",
        help="CloudAPI of the datacenter, https://cloudapi.…, which names the Docker endpoint "
        "(with --renew: not needed, endpoint and ca.pem stay)",
    )
    add("--out", required=True, type=Path, metavar="DIR", help="where the files are written")
    add("--key-passphrase-file", type=Path, metavar="FILE", help=f"else {PASSPHRASE}, else asked")
    add(
        "--old-style",
        action=argparse.BooleanOptionalAction,
        help="the SSH key itself, unencrypted, self-signed (with --renew: as before)",
    )
    add(
        "--days",
        type=int,
        help=f"lifetime; default {NEW_STYLE_DAYS}, old style {OLD_STYLE_DAYS}",
    )
    add(
        "--renew",
        action="store_true",
        help="replace the certificate in --out, once the endpoint has accepted the new one",
    )
    add(
        "--insecure",
        action="store_true",
        help="do not verify CloudAPI and the endpoint, now and later",
    )


def main(args: argparse.Namespace) -> int:
    """Return 0 and print what was written, or return 2 and print what is wrong."""
    try:
        print(_run(args))
    except ConfigError as error:
        print(f"mesos-shim certs: {error}", file=sys.stderr)
        return 2
    return 0


def _run(args: argparse.Namespace) -> str:
    existing = _existing(args)
    account = _account(args, existing)
    _check_flags(args)
    key = find_key(args.key, args.key_passphrase_file)
    endpoint = _endpoint(args, account, key)
    old = not existing.new_style if existing and args.old_style is None else bool(args.old_style)
    days = args.days or (OLD_STYLE_DAYS if old else NEW_STYLE_DAYS)
    login = (old_style if old else new_style)(account, key, datetime.now(UTC), days)
    made, public = read_certificate(login.certificate_pem), key.public_key()
    owner = f"account {account}, by its {key_kind(public)} key {fingerprint(public)}"
    with login_files.staged(args.out, login, endpoint) as new:
        must_work = existing is not None and not made.same_signer(existing)
        tried = _try(new, endpoint, owner, must_work)
        login_files.install(new, args.out)
    if old:
        _warn(f"{args.out / 'key.pem'} is the account's SSH key itself, unencrypted")
    return (
        f"{args.out}: certificate of {owner}, until {made.not_after:%Y-%m-%d}, {tried}\n"
        f"endpoint: {endpoint.docker_host}{'' if endpoint.verify else NOT_VERIFIED}\n"
        f"use it:   . {args.out / 'env.sh'}"
    )


NOT_VERIFIED = " (not verified; where flags are given instead of env.sh: --no-docker_tls_verify)"


def _existing(args: argparse.Namespace) -> CertificateInfo | None:
    """The certificate that ``--renew`` replaces. ConfigError for existing files without it."""
    path = args.out / "cert.pem"
    if not args.renew:
        for name in login_files.NAMES:
            if (args.out / name).exists():
                raise ConfigError(
                    f"{args.out / name} exists: --renew replaces a login, another --out leaves it"
                )
        return None
    try:
        return read_certificate(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"--renew: {path}: {error.strerror}") from error
    except ConfigError as error:
        raise ConfigError(f"--renew: {path}: {error}") from error


def _account(args: argparse.Namespace, existing: CertificateInfo | None) -> str:
    account = args.account or (existing.account if existing else "")
    if not account:
        raise ConfigError("--account is required: the login of the Triton account")
    return str(account)


def _check_flags(args: argparse.Namespace) -> None:
    """Before the user is asked for a passphrase."""
    if args.days is not None and not 1 <= args.days <= MAX_DAYS:
        raise ConfigError(f"--days={args.days} is not 1 to {MAX_DAYS}")
    if args.url is None and not args.renew:
        raise ConfigError("--url is required: the datacenter's CloudAPI, https://cloudapi.…")
    if args.url is not None and not _is_http_url(args.url):
        raise ConfigError(f"--url={args.url} is not an http or https URL")


def _endpoint(args: argparse.Namespace, account: str, key: PrivateKey) -> LoginEndpoint:
    if args.url is None:
        found = login_files.read_endpoint(args.out)
        return replace(found, verify=found.verify and not args.insecure)
    docker_host = find_docker(args.url, account, key, insecure=args.insecure)
    verify = not args.insecure and not _is_address(docker_host)
    return LoginEndpoint(docker_host, verify, _ca(args, docker_host))


def _ca(args: argparse.Namespace, docker_host: str) -> bytes | None:
    try:
        return fetch_ca(docker_host)
    except NoAnswer as error:
        if args.renew:
            raise ConfigError(f"nothing was replaced: {error}") from error
        _warn(f"no ca.pem: {error}; --renew --url=… loads it when the endpoint answers")
        return None


def _try(new: Path, endpoint: LoginEndpoint, owner: str, must_work: bool) -> str:
    """Log in with the new files. Return the result for the summary. ConfigError: install nothing.

    ``must_work``: the files replace a certificate of another key or account, which may still work.
    Any other certificate is installed even while the endpoint does not answer.
    """
    try:
        try_login(new, endpoint)
    except LoginRefused as error:
        raise ConfigError(
            f"nothing was written, {endpoint.docker_host} refuses a certificate of {owner}: {error}"
        ) from error
    except NoAnswer as error:
        if not must_work:
            return f"not tried: {error}"
        raise ConfigError(
            f"nothing was replaced, the new certificate could not be tried: {error}. Try again "
            "later; where the endpoint or its CA has changed, --url looks it up again"
        ) from error
    return "accepted by the endpoint"


def _warn(text: str) -> None:
    print(f"mesos-shim certs: warning: {text}", file=sys.stderr)


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_address(docker_host: str) -> bool:
    """Test datacenters have a bare IP address, which their server certificate does not name."""
    try:
        ipaddress.ip_address(urlsplit(docker_host).hostname or "")
    except ValueError:
        return False
    return True
