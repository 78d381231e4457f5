"""Metrics, state and alarms of the billing, fed by the simulator."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from shim import limits
from shim.engine.api import ContainerSpec
from shim.engine.images.image_reference import parse_image
from shim.engine.triton import TritonEngine
from shim.engine.triton.billing.exporter import BillingExporter, publish_certificate
from shim.engine.triton.billing.usage_meter import UsageMeter
from shim.engine.triton.login import ClientLogin
from shim.errors import Transient
from shim.model.container import LABEL_FRAMEWORK, LABEL_SHIM, LABEL_TASK, Container
from shim.telemetry.metrics import Metrics
from tests.support.wait import until
from tests.triton.simulator import TritonSimulator, run_simulator


@pytest.fixture
async def triton(tmp_path: Path) -> AsyncIterator[TritonSimulator]:
    async with run_simulator(tmp_path, must_end_empty=True) as made:
        yield made


@pytest.fixture
async def engine(triton: TritonSimulator) -> AsyncIterator[TritonEngine]:
    made = TritonEngine(triton.endpoint.url, ClientLogin(triton.certs), shim_id="me")
    yield made
    for name in triton.remaining:
        await made.remove(name)
    await made.close()


def spec(name: str = "mesos-1") -> ContainerSpec:
    labels = {LABEL_SHIM: "me", LABEL_FRAMEWORK: "f", LABEL_TASK: "t"}
    body = {
        "Image": "busybox:latest",
        "Cmd": ["sleep"],
        "Labels": labels,
        "HostConfig": {"Memory": 900 * 2**20},
    }
    return ContainerSpec(name, parse_image("busybox"), body)


async def test_the_days_left_of_the_certificate_are_a_metric(
    triton: TritonSimulator, engine: TritonEngine
) -> None:
    metrics = Metrics()
    publish_certificate(engine.login, metrics)
    text = generate_latest(metrics.registry).decode()
    figure = re.search(r"^mesos_shim_triton_certificate_days_left (\S+)$", text, re.MULTILINE)
    assert figure
    assert float(figure[1]) == pytest.approx(3650, abs=0.1)


async def test_metrics_and_state_show_machine_seconds_and_costs(engine: TritonEngine) -> None:
    now = [time.time()]
    costs = BillingExporter(
        engine, UsageMeter({"sample-1G": 0.5}), lambda: {"mesos-1"}, now=lambda: now[0]
    )
    engine.subscribe(costs)
    metrics = Metrics()
    costs.publish(metrics)
    await engine.create(spec())
    await engine.inspect("mesos-1")
    now[0] += 3600
    text = generate_latest(metrics.registry).decode()
    assert 'mesos_shim_triton_machines{package="sample-1G"} 1.0' in text
    assert "mesos_shim_triton_cost_per_hour 0.5" in text
    assert "mesos_shim_triton_containers_without_task 0.0" in text
    assert 'mesos_shim_triton_machine_seconds_total{package="sample-1G"} 3600.0' in text
    assert 'mesos_shim_triton_cost_total{framework="f"} 0.5' in text
    assert "mesos_shim_triton_packages_without_price 0.0" in text
    state = costs.state()
    (task,) = costs.tasks()
    assert (task["framework_id"], task["task_id"]) == ("f", "t")
    assert costs.paid("mesos-1") == {"package": "sample-1G", "mem": 1024}
    assert costs.paid("mesos-2") is None
    assert task["machine_seconds"] == pytest.approx(3600)
    assert state["frameworks"] == {"f": pytest.approx(0.5)}
    assert state["packages"]["sample-1G"]["price_per_hour"] == 0.5
    await engine.remove("mesos-1")
    now[0] += 3600
    assert costs.state()["packages"]["sample-1G"]["machine_seconds"] == pytest.approx(3600)


async def test_a_package_without_price_is_logged_once(
    engine: TritonEngine, caplog: pytest.LogCaptureFixture
) -> None:
    costs, metrics = BillingExporter(engine, UsageMeter({"sample-4G": 0.5}), set), Metrics()
    engine.subscribe(costs)
    costs.publish(metrics)
    await engine.create(spec())
    await engine.list()
    await engine.list()
    assert (
        "mesos_shim_triton_packages_without_price 1.0" in generate_latest(metrics.registry).decode()
    )
    assert caplog.text.count("--triton_prices: no price of sample-1G, which counts as free") == 1


async def test_without_any_prices_no_missing_price_is_logged(
    engine: TritonEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.subscribe(BillingExporter(engine, UsageMeter(), set))
    await engine.create(spec())
    await engine.list()
    assert "no price" not in caplog.text


async def test_one_inspect_per_package_of_unknown_memory(
    triton: TritonSimulator, engine: TritonEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restarted agent inspects no running container, and lists show no memory."""
    for name in ("mesos-1", "mesos-2", "mesos-3"):
        await engine.create(spec(name))
    looks, inspect = [], engine.inspect

    async def counted(name: str) -> Container:
        looks.append(name)
        if len(looks) == 1:
            raise Transient("no answer")
        return await inspect(name)

    monkeypatch.setattr(engine, "inspect", counted)
    costs = BillingExporter(engine, UsageMeter(), set)
    engine.subscribe(costs)
    asking = asyncio.create_task(costs.run())

    async def known() -> bool:
        await engine.list()
        return "sample-1G" in engine.packages

    await until(known)
    await engine.list()
    await asyncio.sleep(0.1)
    asking.cancel()
    assert len(looks) == 2
    assert costs.paid("mesos-1") == {"package": "sample-1G", "mem": 1024}


async def test_a_container_without_task_is_logged_once(
    engine: TritonEngine, caplog: pytest.LogCaptureFixture
) -> None:
    now = [time.time()]
    costs = BillingExporter(engine, UsageMeter(), set, remove_delay=7, now=lambda: now[0])
    engine.subscribe(costs)
    await engine.create(spec())
    await engine.list()
    assert costs.state()["containers_without_task"] == []
    now[0] += limits.WITHOUT_TASK_ALARM + 6.9
    await engine.list()
    assert costs.state()["containers_without_task"] == []
    now[0] += 0.2
    await engine.list()
    await engine.list()
    assert costs.state()["containers_without_task"] == ["mesos-1"]
    assert caplog.text.count("container mesos-1 belongs to no task and is still charged") == 1
    await engine.remove("mesos-1")
    await engine.list()
    assert costs.state()["containers_without_task"] == []
