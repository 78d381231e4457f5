"""The mapping of launches to create requests, with the settings of this agent and its endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shim.config import Config
from shim.engine.api import ContainerSpec, EngineInfo
from shim.engine.fetch.sandbox_archive import with_sandbox_volume
from shim.engine.infra.image import IMAGE
from shim.engine.mapping import MappingSettings, container_spec
from shim.engine.mapping.executor import executor_launch
from shim.engine.mapping.pod import is_infra
from shim.engine.mapping.resources import limits_of
from shim.errors import InvalidTask
from shim.model.ids import ExecutorKey
from shim.model.orders import Launch, LaunchExecutor, MemberOf
from shim.protos.mesos_pb2 import FrameworkInfo, Resource


def mapping_settings(
    config: Config, info: EngineInfo, shim_id: str, engine_ip: str | None, volumes_missing: str
) -> MappingSettings:
    """``engine_ip`` is the address of containers on the network of the engine's host.

    ``volumes_missing`` is why the endpoint has no volumes, empty where it has.
    """
    return MappingSettings(
        shim_id=shim_id,
        kind="triton" if info.kind == "triton" else "docker",
        api_version=info.api_version,
        sandbox_directory=config.sandbox_directory,
        default_container_dns=config.default_container_dns,
        ports=config.ports.mode,
        host_memory_mb=info.memory_mb,
        enable_cfs=config.cgroups_enable_cfs,
        triton_unsupported=config.triton_unsupported,
        default_container_info=config.default_container_info,
        pod_image=config.pod_image or IMAGE,
        host_address=engine_ip or "",
        volumes_missing=volumes_missing,
    )


class LaunchSpecs:
    """Pure: every method depends on its arguments and the settings alone."""

    def __init__(self, settings: MappingSettings) -> None:
        self.settings = settings

    def spec(self, order: Launch) -> ContainerSpec:
        """The create request of a launch. Raises InvalidTask."""
        try:
            return self._spec(order)
        except InvalidTask as error:
            if isinstance(order.ref.key, ExecutorKey):
                raise InvalidTask(f"executor: {error}") from None
            raise

    def _spec(self, order: Launch) -> ContainerSpec:
        settings = self.settings
        spec = container_spec(
            order.ref,
            order.task,
            agent_id=order.agent_id,
            executor_id=_executor_id(order),
            settings=settings,
            member=order.executor,
            persistent=order.volumes,
        )
        if settings.triton or is_infra(order.ref, order.task):
            return spec
        return with_sandbox_volume(spec, settings.sandbox_directory)

    def executor_launch(self, order: LaunchExecutor, environment: Mapping[str, str]) -> Launch:
        """The launch of an executor's own container.

        ``environment``: the variables that the agent gives a CUSTOM executor.
        """
        return executor_launch(order, self.settings, environment)

    def limits(self, resources: Iterable[Resource]) -> Mapping[str, int]:
        """What an update of a container to these resources sets. Raises InvalidTask."""
        return limits_of(resources, self.settings)

    def problem(self, order: Launch) -> str | None:
        """What the endpoint cannot do of a launch, with the name of the field; None: nothing.

        With the first task of an executor, its infra container is looked at as well.
        """
        member = order.executor
        try:
            if (
                member is not None
                and member.infra
                and member.group[:1] == ((order.ref, order.task),)
            ):
                self.spec(self.executor_launch(_infra_order(member, order.agent_id), {}))
            self.spec(order)
        except InvalidTask as error:
            return str(error)
        return None


def _infra_order(member: MemberOf, agent_id: str) -> LaunchExecutor:
    """The launch of an infra container as the core orders it, but for the framework."""
    resources = [
        *member.executor.resources,
        *(r for _, task in member.group for r in task.resources),
    ]
    framework = FrameworkInfo(user="", name="")
    return LaunchExecutor(member.ref, member.executor, framework, agent_id, tuple(resources))


def _executor_id(order: Launch) -> str:
    if order.executor is not None:
        return order.executor.executor.executor_id.value
    # A command task's executor has its id, as in Mesos.
    key = order.ref.key
    return key.executor_id if isinstance(key, ExecutorKey) else key.task_id
