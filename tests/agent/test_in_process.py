"""The whole agent between the embedded master and a fake engine, all in this process."""

from __future__ import annotations

from pathlib import Path

from tests.agent.in_process import IMAGE, in_process_agent
from tests.dev.master.conftest import Embedded
from tests.dev.master.raw_framework import RawFramework
from tests.e2e.client import task
from tests.fakes.engine import FakeEngine
from tests.support.wait import until


async def launch(framework: RawFramework, name: str) -> None:
    info = task(name, image=IMAGE)
    operation = {"type": "LAUNCH", "launch": {"task_infos": [info]}}
    assert (await framework.accept(await framework.offer(), operation))[0] == 202


async def test_a_task_runs_outlives_a_restart_and_ends(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with Embedded(port=0) as master, RawFramework(master.address) as framework:
        async with in_process_agent(master.address, engine, tmp_path) as agent:
            await launch(framework, "web")
            await framework.reaches("TASK_RUNNING")
            before = (await agent.state())["id"]
            assert await agent.end() == 0
        async with in_process_agent(master.address, engine, tmp_path) as agent:
            assert (await agent.state())["id"] == before
            (name,) = engine.boxes
            engine.end(name, 3)
            ended = await framework.ended()
            assert ended["message"] == "Container exited with status 3"
            assert await agent.end() == 0


async def test_nothing_starts_of_a_pod_of_which_one_task_is_unfit(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with (
        Embedded(port=0) as master,
        in_process_agent(master.address, engine, tmp_path),
        RawFramework(master.address) as framework,
    ):
        image = {"type": "DOCKER", "docker": {"name": IMAGE}}
        amounts = {"cpus": 0.1, "mem": 32, "disk": 10}
        resources = [
            {"name": name, "type": "SCALAR", "scalar": {"value": amount}}
            for name, amount in amounts.items()
        ]
        executor = {
            "type": "DEFAULT",
            "executor_id": {"value": "pod"},
            "framework_id": framework.id,
            "resources": resources,
        }
        fit, unfit = (
            {**task(name), "container": {"type": "MESOS", "mesos": {"image": image}}}
            for name in ("fit", "unfit")
        )
        secret = {"type": "SECRET", "secret": {"type": "REFERENCE", "reference": {"name": "s"}}}
        volume = {"mode": "RO", "container_path": "/s", "source": secret}
        unfit["container"] = {**unfit["container"], "volumes": [volume]}
        offer = await framework.offer()
        launch = {"executor": executor, "task_group": {"tasks": [fit, unfit]}}
        group = {"type": "LAUNCH_GROUP", "launch_group": launch}
        assert (await framework.accept(offer, group))[0] == 202
        told = [await framework.ended() for _ in range(2)]
        text = "task 'unfit': Volumes of this kind are not supported"
        field = "container.volumes[0].source.type 'SECRET'"
        assert {status["task_id"]["value"] for status in told} == {"fit", "unfit"}
        assert {status["message"] for status in told} == {f"{text}: {field}"}
        assert {status["reason"] for status in told} == {"REASON_TASK_GROUP_INVALID"}
        assert not engine.boxes
        again = await framework.offer()
        assert again["resources"] == offer["resources"], "also those of the executor"


async def test_agents_of_several_engines_serve_one_master(tmp_path: Path) -> None:
    engines = [FakeEngine("one"), FakeEngine("two")]
    async with (
        Embedded(port=0) as master,
        in_process_agent(master.address, engines[0], tmp_path / "one"),
        in_process_agent(master.address, engines[1], tmp_path / "two"),
        RawFramework(master.address) as framework,
    ):
        await until(lambda: len(master.state.agents) == 2)
        offers = (await framework.next("OFFERS"))["offers"]
        for offer in offers + (await framework.next("OFFERS"))["offers"] * (len(offers) == 1):
            info = task(f"at-{offer['agent_id']['value']}", image=IMAGE)
            operation = {"type": "LAUNCH", "launch": {"task_infos": [info]}}
            await framework.accept(offer, operation)
        for _ in engines:
            await framework.reaches("TASK_RUNNING")
        assert [len(engine.boxes) for engine in engines] == [1, 1]
