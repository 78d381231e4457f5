"""TaskInfos as frameworks send them, and Publish orders for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from google.protobuf import text_format

from shim.discovery.services import ServiceContext
from shim.model.container import Ref
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from shim.model.orders import Publish
from shim.protos.mesos_pb2 import TaskInfo

CONTEXT = ServiceContext(owner="shim-1", datacenter="us-east-1", engine_host="192.0.2.1")
OWN = ("10.0.0.7",)


def task(text: str = "", *, name: str = "web", labels: Mapping[str, str] | None = None) -> TaskInfo:
    """A TaskInfo from protobuf text, completed with the required fields."""
    info = TaskInfo()
    info.CopyFrom(_parsed(f'name: "{name}" task_id {{ value: "{name}.1" }} {text}'))
    for key, value in (labels or {}).items():
        info.labels.labels.add(key=key, value=value)
    return info


@cache
def _parsed(text: str) -> TaskInfo:
    return text_format.Parse(f'{text} slave_id {{ value: "S0" }}', TaskInfo())


def bridged(*mappings: tuple[int, int], protocol: str = "") -> str:
    """A container in a bridge network with port mappings ``(host port, container port)``."""
    ports = "".join(
        f"port_mappings {{ host_port: {host} container_port: {inside} "
        + (f'protocol: "{protocol}" }}' if protocol else "}")
        for host, inside in mappings
    )
    return f'container {{ type: DOCKER docker {{ image: "i" network: BRIDGE {ports} }} }}'


def discovery(*ports: str, name: str = "") -> str:
    """DiscoveryInfo as protobuf text; ``ports`` are the insides of ``Port``."""
    named = f'name: "{name}"' if name else ""
    inner = "".join(f"ports {{ {port} }}" for port in ports)
    return f"discovery {{ visibility: FRAMEWORK {named} ports {{ {inner} }} }}"


def ref(number: int = 1) -> Ref:
    key = TaskKey(FrameworkId("F0"), TaskId(f"web.{number}"))
    return Ref(key, ContainerId(f"00000000-0000-0000-0000-{number:012}"))


def publish(
    info: TaskInfo,
    addresses: Iterable[str] = OWN,
    healthy: bool | None = None,
    number: int = 1,
) -> Publish:
    return Publish(ref(number), info, tuple(addresses), healthy)
