"""``python -m tests.triton``: runs the simulator until Ctrl-C, to try the agent against."""

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

from tests.triton.backends import Backend, SimulatedBackend
from tests.triton.cloudapi import CloudApi
from tests.triton.docker_backend import DockerBackend
from tests.triton.faults import EXAMPLES, add_arguments, apply_faults
from tests.triton.options import Options
from tests.triton.simulator import ACCOUNT, TritonSimulator, run_simulator


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
    backend: Backend = DockerBackend() if args.backend == "docker" else SimulatedBackend()
    async with run_simulator(args.out, options, backend, args.port) as triton:
        services = {"docker": triton.endpoint.docker_host}
        async with CloudApi(triton.datacenter.accounts, services) as cloudapi:
            _print_usage(triton, cloudapi, args.out)
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _print_calls, triton)
            faults = asyncio.create_task(apply_faults(triton, args))
            await _until_signal()
            faults.cancel()
            _print_bill(triton)


def _print_usage(triton: TritonSimulator, cloudapi: CloudApi, out: Path) -> None:
    key = out / "id_ecdsa"
    key.touch(mode=0o600)
    key.write_bytes(
        triton.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
    print(triton.environment(), end="")
    print(f"# account {ACCOUNT}, key {key}, CloudAPI {cloudapi.url}")
    print(f"# mesos-shim certs --account {ACCOUNT} --key {key} --url {cloudapi.url} --out DIR")
    print("# Ctrl-C ends it, removes all machines and prints the bill", flush=True)


def _print_calls(triton: TritonSimulator) -> None:
    """How often each call was requested so far, as one line of JSON."""
    calls = Counter(
        f"{method} {re.sub('mesos-[^/]*', 'NAME', path)}" for method, path in triton.endpoint.calls
    )
    print(json.dumps(calls), flush=True)


def _print_bill(triton: TritonSimulator) -> None:
    for name, seconds in sorted(triton.datacenter.bill().items()):
        print(f"# {name}: {seconds:.1f} machine-seconds")
    print(f"# remaining: {', '.join(triton.remaining) or 'nothing'}", flush=True)


async def _until_signal() -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(_serve(_arguments()))
