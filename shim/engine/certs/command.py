"""``mesos-shim certs``."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import ipaddress
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from shim.engine.certs import files, keys
from shim.engine.certs.certificate import (
    NEW_STYLE_DAYS,
    OLD_STYLE_DAYS,
    Described,
    describe,
    key_kind,
    new_style,
    old_style,
)
from shim.engine.certs.cloudapi import fetch_ca, find_docker
from shim.engine.certs.ssh_agent import SshAgent
from shim.errors import ConfigError

PASSPHRASE = "TRITON_KEY_PASSPHRASE"
FINGERPRINT = re.compile(r"(MD5:|SHA256:).+|(?i:(md5:)?([0-9a-f]{2}:){15}[0-9a-f]{2})")


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
    add("--url", help="CloudAPI of the datacenter, https://cloudapi.… (with --renew: not asked)")
    add("--out", required=True, type=Path, metavar="DIR", help="where the files are written")
    add("--key-passphrase-file", type=Path, metavar="FILE", help=f"else {PASSPHRASE}, else asked")
    add("--old-style", action="store_true", help="the SSH key itself, unencrypted, self-signed")
    add(
        "--days",
        type=int,
        help=f"lifetime; default {NEW_STYLE_DAYS}, old style {OLD_STYLE_DAYS}",
    )
    add("--renew", action="store_true", help="replace the certificate in --out")
    add("--insecure", action="store_true", help="do not verify the servers' certificates")


def main(args: argparse.Namespace) -> int:
    """0 and a few lines about what was written; 2 and one line that says what is wrong."""
    try:
        print(asyncio.run(_run(args)))
    except ConfigError as error:
        print(f"mesos-shim certs: {error}", file=sys.stderr)
        return 2
    return 0


async def _run(args: argparse.Namespace) -> str:
    before = _before(args)
    account = args.account or (before.account if before else None)
    if not account:
        raise ConfigError("--account is required")
    if args.days is not None and args.days < 1:
        raise ConfigError(f"--days={args.days} is not 1 or more")
    key = _key(args)
    endpoint = await _endpoint(args, account, key)
    make = old_style if args.old_style or (before and not before.new_style) else new_style
    days = args.days or (OLD_STYLE_DAYS if make is old_style else NEW_STYLE_DAYS)
    login = make(account, key, datetime.now(UTC), days)
    files.write(args.out, login, endpoint)
    made = describe(login.certificate_pem)
    return (
        f"{args.out}: certificate of account {account} until {made.not_after:%Y-%m-%d}, by its "
        f"{key_kind(key.public_key())} key {keys.fingerprint(key.public_key())}\n"
        f"endpoint: {endpoint.docker_host}{'' if endpoint.verify else ' (not verified)'}\n"
        f"use it:   . {args.out / 'env.sh'}"
    )


def _before(args: argparse.Namespace) -> Described | None:
    """The certificate that is there already: replaced only when the user says so."""
    path = args.out / "cert.pem"
    if not args.renew:
        if path.exists():
            raise ConfigError(f"{path} exists: --renew replaces it")
        return None
    try:
        return describe(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"--renew: {path}: {error.strerror}") from error


def _key(args: argparse.Namespace) -> keys.PrivateKey:
    path, agent = Path(args.key).expanduser(), os.environ.get("SSH_AUTH_SOCK")
    if FINGERPRINT.fullmatch(args.key) and not path.exists():
        if not agent:
            raise ConfigError(
                f"--key={args.key} names a key in an ssh-agent: SSH_AUTH_SOCK is unset"
            )
        return SshAgent(agent).key(args.key)
    if agent and keys.is_public_key(path):
        return SshAgent(agent).key_of(path)
    return keys.load_key(path, lambda: _ask(path), _given(args))


def _given(args: argparse.Namespace) -> bytes | None:
    """The passphrase named beforehand; an empty one is none."""
    if args.key_passphrase_file:
        try:
            return bytes(args.key_passphrase_file.read_bytes()).rstrip(b"\r\n") or None
        except OSError as error:
            raise ConfigError(
                f"--key-passphrase-file={args.key_passphrase_file}: {error.strerror}"
            ) from error
    return os.fsencode(os.environ.get(PASSPHRASE, "")) or None


def _ask(path: Path) -> bytes | None:
    if not sys.stdin.isatty():
        return None
    return getpass.getpass(f"Passphrase for {path}: ").encode()


async def _endpoint(args: argparse.Namespace, account: str, key: keys.PrivateKey) -> files.Endpoint:
    if args.url is None:
        if not args.renew:
            raise ConfigError("--url is required: the datacenter's CloudAPI, https://cloudapi.…")
        return files.read_endpoint(args.out)
    if urlsplit(args.url).scheme not in ("http", "https"):
        raise ConfigError(f"--url={args.url} is not an http or https URL")
    docker_host = await find_docker(args.url, account, key, insecure=args.insecure)
    verify = not args.insecure and not _is_address(docker_host)
    return files.Endpoint(docker_host, verify, await fetch_ca(docker_host))


def _is_address(docker_host: str) -> bool:
    """Test datacenters have a bare address, for which no certificate is made out."""
    try:
        ipaddress.ip_address(urlsplit(docker_host).hostname or "")
    except ValueError:
        return False
    return True
