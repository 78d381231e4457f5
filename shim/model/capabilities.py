"""Agent capabilities: the features that the agent announces to a master."""

from __future__ import annotations

from shim.protos.mesos_pb2 import SlaveInfo

AGENT_CAPABILITIES = (
    SlaveInfo.Capability.MULTI_ROLE,
    SlaveInfo.Capability.HIERARCHICAL_ROLE,
    SlaveInfo.Capability.AGENT_DRAINING,
    SlaveInfo.Capability.TASK_RESOURCE_LIMITS,
    SlaveInfo.Capability.RESOURCE_PROVIDER,
    SlaveInfo.Capability.AGENT_OPERATION_FEEDBACK,
)
"""Sent with every (re-)registration and shown in ``/state``.

With RESOURCE_PROVIDER a master since 1.5 sends each operation as one message, and the agent reports
what became of it. With AGENT_OPERATION_FEEDBACK frameworks may ask for that report.
"""

RESIZE_VOLUME = SlaveInfo.Capability.RESIZE_VOLUME
"""Announced only by an agent whose volumes have no size of their own at the endpoint."""
