"""The main story, with an unmodified pymesos framework and an agent that follows a script.

With MESOS_MASTER_BIN set every test runs against a real master too.
"""

from __future__ import annotations

from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal
from tests.devmaster.fake_agent import FakeAgent
from tests.e2e.client import Framework, task


async def test_a_task_runs_and_ends_and_every_update_is_acknowledged(master: str) -> None:
    async with FakeAgent(master) as agent, Framework(master) as framework:
        await agent.register()
        await framework.launch(task("one"))
        run = await agent.next(internal.RunTaskMessage)
        assert run.task.slave_id == agent.info.id
        await agent.report(run, mesos.TASK_STARTING)
        await agent.report(run, mesos.TASK_RUNNING)
        await agent.report(run, mesos.TASK_FINISHED, message="Container exited with status 0")
        status = await framework.end("one")
        assert status["state"] == "TASK_FINISHED"
        assert framework.states("one") == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]
