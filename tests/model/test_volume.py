"""Names of volumes: the same for the same parts, and never one name for two volumes."""

from __future__ import annotations

import re

from shim.model.container import LABEL_SHIM
from shim.model.volume import Volume, volume_name, volume_prefix


def test_a_name_is_a_name_for_every_endpoint_whatever_its_parts() -> None:
    for parts in [(), ("A/b",), ("\N{SNOWMAN}", "x" * 1000, "\udc80")]:
        name = volume_name("Shim/1", *parts)
        assert re.fullmatch(r"mesos-[0-9a-f]{12}-[0-9a-f]{40}", name)
        assert len(name) <= 63
        assert name.startswith(volume_prefix("Shim/1"))
        assert name == volume_name("Shim/1", *parts)


def test_other_parts_are_another_volume() -> None:
    names = {
        volume_name(*parts)
        for parts in [("s", "a", "bc"), ("s", "ab", "c"), ("s", "abc"), ("t", "abc"), ("s", "", "")]
    }
    assert len(names) == 5


def test_the_owner_is_a_label() -> None:
    assert Volume("v", {LABEL_SHIM: "me"}).owner == "me"
    assert Volume("v").owner is None
