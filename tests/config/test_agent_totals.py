from __future__ import annotations

import pytest

from shim.config import load
from shim.config.agent_totals import AgentTotals, agent_totals
from shim.engine.api import EngineInfo
from shim.errors import ConfigError

LOCAL = EngineInfo("docker", "24", "1.43", "dc1", cpus=8.0, memory_mb=16384, disk_mb=102_400)
TRITON = EngineInfo("triton", "1.9.0", "1.21", "us-east-1", account="bob")


def totals(info: EngineInfo, *argv: str) -> AgentTotals:
    return agent_totals(load(["--master=m:5050", *argv], {}), info)


def scalars(found: AgentTotals) -> dict[str, float]:
    return {r.name: r.scalar.value for r in found.resources if r.HasField("scalar")}


def test_a_local_engine_offers_its_resources_minus_a_reserve() -> None:
    found = totals(LOCAL)
    assert scalars(found) == {"cpus": 8.0, "mem": 15360.0, "disk": 97280.0}
    assert found.notes == (
        "offering cpus:8;mem:15360;disk:97280, which is what the engine dc1 can spare",
    )


def test_a_small_engine_reserves_at_most_half() -> None:
    small = EngineInfo("docker", "24", "1.43", "dc1", cpus=1.0, memory_mb=1024, disk_mb=4000)
    assert scalars(totals(small)) == {"cpus": 1.0, "mem": 512.0, "disk": 2000.0}


def test_unknown_amounts_are_guessed_and_noted() -> None:
    found = totals(EngineInfo("docker", "24", "1.43", "dc1", cpus=2.0))
    assert scalars(found) == {"cpus": 2.0, "mem": 1024.0, "disk": 10240.0}
    assert "mem, disk guessed" in found.notes[0]


def test_triton_offers_a_budget_with_a_note() -> None:
    found = totals(TRITON)
    assert scalars(found) == {"cpus": 100.0, "mem": 245_760.0, "disk": 4096.0}
    assert "a default, since Triton reports no size" in found.notes[0]


def test_given_resources_are_not_completed() -> None:
    found = totals(LOCAL, "--resources=cpus:2;disk:0")
    assert scalars(found) == {"cpus": 2.0, "mem": 15360.0}
    assert found.notes == ("offering mem:15360, which is what the engine dc1 can spare",)
    assert totals(LOCAL, "--resources=cpus:2;mem:8;disk:0").notes == ()


def test_ports_are_offered_only_with_the_flag() -> None:
    ports = [r for r in totals(LOCAL, "--ports=[80,31000-31001]").resources if r.name == "ports"]
    assert [(r.begin, r.end) for r in ports[0].ranges.range] == [(80, 80), (31000, 31001)]
    assert not [r for r in totals(LOCAL).resources if r.name == "ports"]


def test_the_default_role_applies_to_all_resources() -> None:
    roles = {r.role for r in totals(LOCAL, "--default_role=a/b", "--ports=virtual").resources}
    assert roles == {"a/b"}


def test_attributes_of_the_endpoint_are_added_unless_given() -> None:
    found = {a.name: a.text.value for a in totals(TRITON).attributes}
    assert found == {"datacenter": "us-east-1", "engine": "triton"}
    found = {a.name: a.text.value for a in totals(TRITON, "--attributes=datacenter:x").attributes}
    assert found == {"datacenter": "x", "engine": "triton"}


def test_the_domain_s_zone_may_be_the_datacenter() -> None:
    found = totals(TRITON, "--domain=us/endpoint").domain
    assert found is not None
    assert found.fault_domain.zone.name == "us-east-1"
    assert totals(TRITON).domain is None
    silent = EngineInfo("triton", "1.9.0", "1.21", "")
    with pytest.raises(ConfigError, match=r"--domain=us/endpoint: .* does not report its name"):
        totals(silent, "--domain=us/endpoint")
