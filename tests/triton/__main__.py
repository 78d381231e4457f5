"""``python -m tests.triton``: a Triton to try the whole product against, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import signal
from collections import Counter
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from tests.triton.backends import Backend, Simulated
from tests.triton.cloudapi import CloudApi
from tests.triton.datacenter import Options
from tests.triton.place import ACCOUNT, Place, place
from tests.triton.real import LocalEngine
from tests.triton.troubles import EXAMPLES, add_arguments, come_and_pass


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.triton",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=int, default=0, help="default: any that is free")
    add("--provision-seconds", type=float, default=5.0)
    add("--backend", choices=("sim", "docker"), default="sim")
    add("--datacenter", default="test-1")
    add("--volumes", action="store_true", help="the operator turned NFS volumes on")
    add("--out", type=Path, default=Path(".run/triton"), help="certificates and the account's key")
    add_arguments(parser)
    return parser.parse_args()


async def _serve(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    options = Options(
        datacenter=args.datacenter,
        provision_seconds=args.provision_seconds,
        volumes=args.volumes,
    )
    backend: Backend = LocalEngine() if args.backend == "docker" else Simulated()
    async with place(args.out, options, backend, args.port) as at:
        services = {"docker": at.endpoint.docker_host}
        async with CloudApi(at.datacenter.accounts, services) as cloudapi:
            _introduce(at, cloudapi, args.out)
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _count, at)
            trouble = asyncio.create_task(come_and_pass(at, args))
            await _interrupted()
            trouble.cancel()
            _settle(at)


def _introduce(at: Place, cloudapi: CloudApi, out: Path) -> None:
    key = out / "id_ecdsa"
    key.touch(mode=0o600)
    key.write_bytes(
        at.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
    print(at.environment(), end="")
    print(f"# account {ACCOUNT}, key {key}, CloudAPI {cloudapi.url}")
    print(f"# mesos-shim certs --account {ACCOUNT} --key {key} --url {cloudapi.url} --out DIR")
    print("# Ctrl-C ends it, removes all machines and prints the bill", flush=True)


def _count(at: Place) -> None:
    """What was asked for so far, as one line of JSON."""
    calls = Counter(
        f"{method} {re.sub('mesos-[^/]*', 'NAME', path)}" for method, path in at.endpoint.calls
    )
    print(json.dumps(calls), flush=True)


def _settle(at: Place) -> None:
    for name, seconds in sorted(at.datacenter.bill().items()):
        print(f"# {name}: {seconds:.1f} machine-seconds")
    print(f"# left behind: {', '.join(at.left) or 'nothing'}", flush=True)


async def _interrupted() -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(_serve(_arguments()))
