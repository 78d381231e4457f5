"""Agent capabilities: the features that the agent announces to a master."""

from __future__ import annotations

from shim.protos.mesos_pb2 import SlaveInfo

AGENT_CAPABILITIES = (
    SlaveInfo.Capability.MULTI_ROLE,
    SlaveInfo.Capability.HIERARCHICAL_ROLE,
    SlaveInfo.Capability.AGENT_DRAINING,
    SlaveInfo.Capability.TASK_RESOURCE_LIMITS,
)
"""Sent with every (re-)registration and shown in ``/state``.

RESOURCE_PROVIDER is absent on purpose: a master therefore sends reservations and volumes as one
CheckpointResourcesMessage.
"""
