"""Tags and Meta of a service: tags for people, Meta for programs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from shim.discovery.service_names import LABEL
from shim.discovery.task_ports import TaskPort

LABEL_TAGS = "consul.tags"
"""The label of further tags, separated by commas. A label with the value ``tag`` is a tag."""
OWNER = "mesos_owner"
"""The Meta key of the owner mark. A service without the agent's own mark is never changed."""
REVISION = "mesos_revision"
"""The Meta key with the hash of the check definition, which Consul does not return."""

_PAIRS = 64
_KEY_LENGTH = 128
_VALUE_BYTES = 512
"""Consul's limits of a service's Meta."""


def tags_of(labels: Mapping[str, str], port: TaskPort | None) -> tuple[str, ...]:
    """The tags in the order of the labels, each once."""
    tags = ["mesos", *(key for key, value in labels.items() if value == "tag")]
    tags += [tag.strip() for tag in labels.get(LABEL_TAGS, "").split(",")]
    if port is not None:
        tags += [key for key, value in port.labels.items() if value == "tag"]
        tags += [port.name, port.protocol if port.protocol != "tcp" else ""]
    return tuple(dict.fromkeys(tag for tag in tags if tag))


def meta_of(own: Mapping[str, str], labels: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    """``own``, then the task's labels up to Consul's limits. Appends a note for what is cut."""
    meta = {key: _cut(value) for key, value in own.items()}
    cut, lost = [], []
    for label, value in labels.items():
        key = re.sub(r"[^A-Za-z0-9_-]", "_", label)[:_KEY_LENGTH]
        if label in (LABEL, LABEL_TAGS) or value == "tag" or not _is_free(key, meta):
            continue
        if len(meta) == _PAIRS:
            lost.append(label)
            continue
        meta[key] = _cut(value)
        if meta[key] != value:
            cut.append(label)
    if cut:
        notes.append(f"labels {cut} are cut to {_VALUE_BYTES} bytes in Consul's Meta")
    if lost:
        notes.append(f"labels {lost} do not fit into Consul's Meta")
    return meta


def _is_free(key: str, meta: Mapping[str, str]) -> bool:
    """Whether the key is neither reserved by the agent or Consul nor in use."""
    return bool(key) and not key.startswith(("consul-", "mesos_")) and key not in meta


def _cut(value: str) -> str:
    """At most as many bytes as Consul accepts, in whole characters."""
    return value.encode()[:_VALUE_BYTES].decode(errors="ignore")
