"""What a service says about its task: tags for people, Meta for programs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from shim.discovery.names import LABEL
from shim.discovery.ports import Port

LABEL_TAGS = "consul.tags"
"""Further tags, separated by commas. A label whose value is ``tag`` is a tag itself."""
OWNER = "mesos_owner"
"""The Meta key of the owner mark: nothing without ours is ever touched."""
REVISION = "mesos_revision"
"""The Meta key that tells a changed check: Consul does not give a check's definition back."""

_PAIRS = 64
_KEY_LENGTH = 128
_VALUE_BYTES = 512


def tags_of(labels: Mapping[str, str], port: Port | None) -> tuple[str, ...]:
    """In the order they are given, each once."""
    tags = ["mesos", *(key for key, value in labels.items() if value == "tag")]
    tags += [tag.strip() for tag in labels.get(LABEL_TAGS, "").split(",")]
    if port is not None:
        tags += [key for key, value in port.labels.items() if value == "tag"]
        tags += [port.name, port.protocol if port.protocol != "tcp" else ""]
    return tuple(dict.fromkeys(tag for tag in tags if tag))


def meta_of(own: Mapping[str, str], labels: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    """``own`` first, then the task's labels while Consul has room; what is lost is noted."""
    meta = {key: _cut(value) for key, value in own.items()}
    cut, lost = [], []
    for label, value in labels.items():
        key = re.sub(r"[^A-Za-z0-9_-]", "_", label)[:_KEY_LENGTH]
        if label in (LABEL, LABEL_TAGS) or value == "tag" or not _free(key, meta):
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


def _free(key: str, meta: Mapping[str, str]) -> bool:
    """Not ours, and not reserved by Consul."""
    return bool(key) and not key.startswith(("consul-", "mesos_")) and key not in meta


def _cut(value: str) -> str:
    """At most as many bytes as Consul takes, never half a character."""
    return value.encode()[:_VALUE_BYTES].decode(errors="ignore")
