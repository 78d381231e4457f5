from __future__ import annotations

from typing import Any

import pytest

from tests.engine.mapping.tasks import host, refusal, resources, spec

MIB = 2**20
NUMBERS = ("CpuShares", "CpuQuota", "Memory", "MemoryReservation", "OomScoreAdj")


def limits(**values: float) -> str:
    return "".join(
        f'limits {{ key: "{name}" value {{ value: {value} }} }}' for name, value in values.items()
    )


def numbers(text: str, **settings: Any) -> dict[str, int]:
    made = host(text, **settings)
    return {name: made[name] for name in NUMBERS if name in made}


@pytest.mark.parametrize(
    ("cpus", "shares"), [(1, 1024), (0.1, 102), (0.001, 2), (2.5, 2560), (1000, 262144)]
)
def test_cpu_shares(cpus: float, shares: int) -> None:
    assert numbers(resources(cpus=cpus)) == {"CpuShares": shares}


def test_a_task_without_resources_sets_no_limits() -> None:
    assert numbers("") == {}


@pytest.mark.parametrize(("cpus", "quota"), [(0.5, 50000), (0.001, 1000), (0.1234567, 12345)])
def test_quota_with_cfs(cpus: float, quota: int) -> None:
    assert numbers(resources(cpus=cpus), enable_cfs=True)["CpuQuota"] == quota


@pytest.mark.parametrize("enable_cfs", [False, True])
def test_a_limit_is_the_quota(enable_cfs: bool) -> None:
    text = resources(cpus=1) + limits(cpus=2.5)
    assert numbers(text, enable_cfs=enable_cfs) == {"CpuShares": 1024, "CpuQuota": 250000}


def test_an_infinite_limit_is_no_quota() -> None:
    text = resources(cpus=1) + limits(cpus=float("inf"))
    assert numbers(text, enable_cfs=True) == {"CpuShares": 1024}


@pytest.mark.parametrize(("mem", "memory"), [(128, 128), (128.9, 128), (1, 32), (0, 32)])
def test_memory_is_whole_mebibytes(mem: float, memory: int) -> None:
    assert numbers(resources(mem=mem)) == {"Memory": memory * MIB}


def test_roles_and_reservations_are_summed() -> None:
    assert numbers(resources(mem=100) + resources(mem=28)) == {"Memory": 128 * MIB}


def test_a_memory_limit() -> None:
    text = resources(mem=128) + limits(mem=256)
    assert numbers(text, host_memory_mb=1024) == {
        "Memory": 256 * MIB,
        "MemoryReservation": 128 * MIB,
        "OomScoreAdj": 875,
    }


def test_an_infinite_memory_limit() -> None:
    text = resources(mem=300) + limits(mem=float("inf"))
    assert numbers(text, host_memory_mb=1000) == {
        "MemoryReservation": 300 * MIB,
        "OomScoreAdj": 700,
    }


def test_the_oom_score_is_rounded_as_by_the_agent() -> None:
    text = resources(mem=100) + limits(mem=200)
    assert numbers(text, host_memory_mb=300)["OomScoreAdj"] == 667


def test_no_oom_score_without_the_hosts_memory_or_without_a_higher_limit() -> None:
    assert "OomScoreAdj" not in numbers(resources(mem=128) + limits(mem=256))
    same = resources(mem=128) + limits(mem=128)
    assert "OomScoreAdj" not in numbers(same, host_memory_mb=1024)


def test_gpus_are_given_to_the_container() -> None:
    assert host(resources(gpus=2))["DeviceRequests"] == [
        {"Driver": "nvidia", "Count": 2, "Capabilities": [["gpu"]]}
    ]
    assert "DeviceRequests" not in host(resources(gpus=0))


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        (
            resources(gpus=0.5),
            {},
            "The 'gpus' resource must be an unsigned integer: resources: gpus '0.5'",
        ),
        (
            resources(gpus=1),
            {"api_version": "1.39"},
            "The engine's API is older than 1.40: resources: gpus '1'",
        ),
        (resources(gpus=1), {"kind": "triton"}, "Not possible on Triton: resources: gpus '1'"),
        (resources(mem=1e300), {}, "Larger than a 64-bit integer: resources: mem '1e+300'"),
        (resources(cpus=float("nan")), {}, "Not a finite number: resources: cpus 'nan'"),
        (resources(mem=float("inf")), {}, "Not a finite number: resources: mem 'inf'"),
        (limits(mem=float("nan")), {}, "Not a number: limits: mem 'nan'"),
        (
            'resources { name: "disk" type: SCALAR disk { persistence { id: "data" } } }',
            {},
            "Unknown volume: resources[0].disk.persistence.id 'data'",
        ),
    ],
)
def test_refused(text: str, settings: dict[str, Any], message: str) -> None:
    assert refusal(text, **settings) == message


def test_on_triton_memory_selects_the_package_and_cpus_follow() -> None:
    text = resources(cpus=2, mem=900)
    assert numbers(text, kind="triton", enable_cfs=True) == {"Memory": 900 * MIB}


def test_limits_on_triton() -> None:
    text = resources(cpus=1, mem=128) + limits(cpus=2, mem=256)
    made = spec(text, kind="triton", host_memory_mb=1024)
    assert made.body["HostConfig"]["Memory"] == 256 * MIB
    assert set(made.body["HostConfig"]) == {"Memory", "RestartPolicy", "NetworkMode"}
    assert made.warnings == ("Triton ignores it: limits: cpus '2.0'",)


def test_on_triton_an_infinite_memory_limit_means_the_request() -> None:
    made = spec(resources(mem=128) + limits(mem=float("inf")), kind="triton")
    assert made.body["HostConfig"]["Memory"] == 128 * MIB
    assert "the request counts" in made.warnings[0]


def test_limits_of_other_resources_are_warnings() -> None:
    assert spec(limits(disk=5)).warnings == ("limits: disk has no effect",)
