"""The environment of a custom executor's process: where its agent is, and what it is to the agent.

Pure. Source: Mesos' ``slave/slave.cpp`` (``executorEnvironment``) and ``slave/containerizer/
docker.cpp``. Left out: LIBPROCESS_IP, since an executor binds its container's own address, and
MESOS_NATIVE_LIBRARY, since the image brings its own libmesos.
"""

from __future__ import annotations

from dataclasses import dataclass

from shim.core.executor_ends import duration_text
from shim.model.ids import Pid
from shim.model.orders import LaunchExecutor

_SUBSCRIPTION_BACKOFF_MAX = 2.0
"""Longest pause of an executor between two attempts to subscribe again, as mesos-agent's default.
It has to be well below ``--executor_reregistration_timeout``."""

_RECOVERY_TIMEOUT = 15 * 60.0
"""How long an executor waits for an agent that is away, as mesos-agent's default."""


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    """What is the same for all executors. Times in seconds."""

    pid: Pid
    """The agent, at the address that it advertises."""
    sandbox_directory: str
    shutdown_grace: float


def executor_environment(
    order: LaunchExecutor, settings: EnvironmentSettings, token: str
) -> dict[str, str]:
    """The agent's variables. Those of ``command.environment``, and then those of every container
    (MESOS_SANDBOX, MESOS_CONTAINER_NAME), go over these."""
    info, pid = order.executor, settings.pid
    grace = settings.shutdown_grace
    if info.HasField("shutdown_grace_period"):
        grace = info.shutdown_grace_period.nanoseconds / 1e9
    environment = {
        "LIBPROCESS_PORT": "0",
        "MESOS_FRAMEWORK_ID": info.framework_id.value,
        "MESOS_EXECUTOR_ID": info.executor_id.value,
        "MESOS_DIRECTORY": settings.sandbox_directory,
        "MESOS_SLAVE_ID": order.agent_id,
        "MESOS_SLAVE_PID": str(pid),
        "MESOS_AGENT_ENDPOINT": f"{pid.ip}:{pid.port}",
        "MESOS_CHECKPOINT": "1" if order.framework.checkpoint else "0",
        "MESOS_HTTP_COMMAND_EXECUTOR": "0",
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": duration_text(grace),
        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN": token,
    }
    if order.framework.checkpoint:
        environment["MESOS_RECOVERY_TIMEOUT"] = duration_text(_RECOVERY_TIMEOUT)
        backoff = duration_text(_SUBSCRIPTION_BACKOFF_MAX)
        environment["MESOS_SUBSCRIPTION_BACKOFF_MAX"] = backoff
    return environment
