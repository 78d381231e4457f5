"""The list of checks, and the exit code of the command."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator, Sequence

from shim.check import probes
from shim.check.master_probe import MasterProbe
from shim.check.pod_probe import pods
from shim.check.report import Check, CheckResult, results_json, results_text
from shim.check.volumes_probe import volumes
from shim.config import Config, load
from shim.config.resources import Ports
from shim.config.show import help_text

_JSON = "--json"


def main(argv: Sequence[str]) -> int:
    """Returns 0 if every check succeeds, else 1. Raises ConfigError for wrong flags."""
    if "--help" in argv or "-h" in argv:
        print(help_text("mesos-shim check [--json]"))
        return 0
    config = load([word for word in argv if word != _JSON])
    results = asyncio.run(_run_checks(config))
    print((results_json if _JSON in argv else results_text)(results))
    return 0 if all(result.ok for result in results) else 1


def offered_ports(ports: Ports) -> str:
    """Which ports the agent offers, and what that means for Marathon."""
    match ports.mode:
        case "none":
            return (
                "none offered: a Marathon app without container networking waits for ever; for "
                "Marathon give --ports=[31000-32000] on a local engine, --ports=virtual on Triton"
            )
        case "virtual":
            return (
                "virtual, never bound: every Marathon app starts; use MESOS_HTTP and MESOS_TCP "
                "health checks, as Marathon's own HTTP and TCP checks contact a port on which "
                "nothing listens"
            )
        case "real":
            return "a range, bound on the engine's host: every Marathon app starts"


async def _run_checks(config: Config) -> list[CheckResult]:
    master = MasterProbe(config.master, config.tls)
    detected = await Check("detection", "correct --master", master.detect)()
    others = [check() for check in _checks(config, master)]
    ports = CheckResult("ports", True, offered_ports(config.ports))
    return [ports, detected, *await asyncio.gather(*others)]


def _checks(config: Config, master: MasterProbe) -> Iterator[Check]:
    yield Check("master", "start the master, or open its port to this machine", master.ask)
    ip = master.leader.ip if master.leader else None
    yield Check(
        "address",
        "give --ip, --port or --advertise_ip; a running agent has the port already",
        functools.partial(probes.address, config, ip),
    )
    yield Check(
        "work_dir",
        "give --work_dir a directory that may be written",
        functools.partial(asyncio.to_thread, probes.work_dir, config.work_dir),
    )
    if config.journal is not None:
        wrong = "correct --journal, its user and password, or start ZooKeeper"
        yield Check("journal", wrong, functools.partial(probes.journal, config.journal))
    yield Check(
        "endpoint",
        "correct --docker_host and --docker_cert_path (or DOCKER_HOST, DOCKER_CERT_PATH)",
        functools.partial(probes.endpoint, config),
    )
    yield Check(
        "volumes",
        "give --volume_driver a driver of the engine, and its --volume_driver_options",
        functools.partial(volumes, config),
    )
    yield Check(
        "pods",
        "give --pod_image an image that the engine has or can pull",
        functools.partial(pods, config),
    )
    certificate = probes.certificate_file(config)
    if certificate is not None:
        yield Check(
            "certificate",
            "create a new certificate the way this one was created",
            functools.partial(asyncio.to_thread, probes.certificate, certificate),
        )
    if config.discovery is not None:
        wrong = "correct --consul (or CONSUL_HTTP_ADDR) and the CONSUL_* variables, or start Consul"
        yield Check("consul", wrong, functools.partial(probes.consul, config.discovery))
