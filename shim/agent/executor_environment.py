"""The environment of a custom executor's process: where its agent is, and what it is to the agent.

Pure. Source: Mesos' ``slave/slave.cpp`` (``executorEnvironment``) and ``slave/containerizer/
docker.cpp``. A stock agent's other variables are about its host, so they are left out:

* LIBPROCESS_IP: an executor binds its container's own address;
* MESOS_NATIVE_LIBRARY, MESOS_NATIVE_JAVA_LIBRARY: the image brings its own libmesos;
* MESOS_DOMAIN_SOCKET: there is no common file system.

``--executor_environment_variables`` can set all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    variables: Mapping[str, str]
    """``--executor_environment_variables``."""


def executor_environment(
    order: LaunchExecutor, settings: EnvironmentSettings, token: str
) -> dict[str, str]:
    """Those of the flag, and over them the agent's own.

    Those of ``command.environment``, and then those of every container (MESOS_SANDBOX,
    MESOS_CONTAINER_NAME, MESOS_ALLOCATION_ROLE), go over these.
    """
    info, pid = order.executor, settings.pid
    grace = settings.shutdown_grace
    if info.HasField("shutdown_grace_period"):
        grace = info.shutdown_grace_period.nanoseconds / 1e9
    environment = {
        **settings.variables,
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
