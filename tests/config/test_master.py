from __future__ import annotations

import pytest

from shim.config.master import ConsulMaster, detector_for, parse_master
from shim.discovery.detect import ConsulDetector
from shim.errors import ConfigError
from shim.wire.detect import StaticDetector, StaticMaster


async def test_every_form_has_its_detector() -> None:
    assert parse_master("m:5050") == StaticMaster("m", 5050)
    assert isinstance(detector_for(parse_master("m:5050")), StaticDetector)
    master = parse_master("consul://c:8500/service/mesos-master")
    assert master == ConsulMaster("consul://c:8500/service/mesos-master")
    assert isinstance(detector_for(master), ConsulDetector)


@pytest.mark.parametrize("text", ["consul://c:8500/kv/x", "m", "http://m:5050"])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--master="):
        parse_master(text)
