"""The command: which looks there are, and the exit code."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator, Sequence

from shim.check import places
from shim.check.findings import Finding, Look, as_json, as_text
from shim.check.master import MasterLook
from shim.config import Config, load
from shim.config.show import help_text
from shim.telemetry import log

_JSON = "--json"


def main(argv: Sequence[str]) -> int:
    """0 if all is well, 1 otherwise; ConfigError for wrong flags."""
    if "--help" in argv or "-h" in argv:
        print(help_text("mesos-shim check [--json]"))
        return 0
    config = load([word for word in argv if word != _JSON])
    log.start_logging("error", config.log_format, config.secrets)
    findings = asyncio.run(_look(config))
    print((as_json if _JSON in argv else as_text)(findings))
    return 0 if all(finding.ok for finding in findings) else 1


async def _look(config: Config) -> list[Finding]:
    master = MasterLook(config.master)
    detected = await Look("detection", "correct --master", master.detect)()
    others = [look() for look in _looks(config, master)]
    return [detected, *await asyncio.gather(*others)]


def _looks(config: Config, master: MasterLook) -> Iterator[Look]:
    yield Look("master", "start the master, or open its port to this machine", master.ask)
    ip = master.leader.ip if master.leader else None
    yield Look(
        "address",
        "give --ip, --port or --advertise_ip; a running agent has the port already",
        functools.partial(places.address, config, ip),
    )
    yield Look(
        "work_dir",
        "give --work_dir a directory that may be written",
        functools.partial(asyncio.to_thread, places.work_dir, config.work_dir),
    )
    yield Look(
        "endpoint",
        "correct --docker_host and --docker_cert_path (or DOCKER_HOST, DOCKER_CERT_PATH)",
        functools.partial(places.endpoint, config),
    )
    certificate = places.certificate_file(config)
    if certificate is not None:
        yield Look(
            "certificate",
            "have another one made, by whoever made this one",
            functools.partial(asyncio.to_thread, places.certificate, certificate),
        )
    if config.discovery is not None:
        wrong = "correct --consul (or CONSUL_HTTP_ADDR) and the CONSUL_* variables, or start it"
        yield Look("consul", wrong, functools.partial(places.consul, config.discovery))
