"""The environment of an executor's process, as mesos-agent sets it."""

from __future__ import annotations

import dataclasses

from shim.agent.executor_environment import EnvironmentSettings, executor_environment
from shim.model.container import Ref
from shim.model.ids import ContainerId, ExecutorId, ExecutorKey, FrameworkId, Pid
from shim.model.orders import LaunchExecutor
from tests.core.executor_harness import executor_info
from tests.core.harness import framework_info

SETTINGS = EnvironmentSettings(
    pid=Pid("slave(1)", "10.1.2.3", 5051),
    sandbox_directory="/mnt/mesos/sandbox",
    shutdown_grace=5.0,
    variables={},
)
REF = Ref(ExecutorKey(FrameworkId("F"), ExecutorId("E")), ContainerId("c-1"))
ORDER = LaunchExecutor(REF, executor_info(), framework_info(), "S1", ())


def test_an_executor_knows_its_agent_and_itself() -> None:
    assert executor_environment(ORDER, SETTINGS, "token") == {
        "LIBPROCESS_PORT": "0",
        "MESOS_FRAMEWORK_ID": "F",
        "MESOS_EXECUTOR_ID": "E",
        "MESOS_DIRECTORY": "/mnt/mesos/sandbox",
        "MESOS_SLAVE_ID": "S1",
        "MESOS_SLAVE_PID": "slave(1)@10.1.2.3:5051",
        "MESOS_AGENT_ENDPOINT": "10.1.2.3:5051",
        "MESOS_CHECKPOINT": "1",
        "MESOS_HTTP_COMMAND_EXECUTOR": "0",
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "5secs",
        "MESOS_RECOVERY_TIMEOUT": "15mins",
        "MESOS_SUBSCRIPTION_BACKOFF_MAX": "2secs",
        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN": "token",
    }


def test_without_checkpointing_there_is_nothing_to_wait_for() -> None:
    order = dataclasses.replace(ORDER, framework=framework_info(checkpoint=False))
    found = executor_environment(order, SETTINGS, "token")
    assert found["MESOS_CHECKPOINT"] == "0"
    assert not {"MESOS_RECOVERY_TIMEOUT", "MESOS_SUBSCRIPTION_BACKOFF_MAX"} & found.keys()


def test_an_executor_may_have_its_own_grace_period() -> None:
    info = executor_info()
    info.shutdown_grace_period.nanoseconds = 90_000_000_000
    found = executor_environment(dataclasses.replace(ORDER, executor=info), SETTINGS, "token")
    assert found["MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"] == "1.5mins"


def test_variables_of_the_flag_are_below_the_agents_own() -> None:
    variables = {"PATH": "/opt/bin", "LIBPROCESS_PORT": "5051", "MESOS_SLAVE_ID": "other"}
    settings = dataclasses.replace(SETTINGS, variables=variables)
    found = executor_environment(ORDER, settings, "token")
    assert found == executor_environment(ORDER, SETTINGS, "token") | {"PATH": "/opt/bin"}
