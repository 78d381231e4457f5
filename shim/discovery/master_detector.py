"""The detector of the leading master for a value of ``--master``."""

from __future__ import annotations

from shim.model.settings import ConsulMaster, MasterLocation, StaticMaster
from shim.wire.detect import Detector, StaticDetector


def detector_for(master: MasterLocation) -> Detector:
    """The detector for a value of ``--master``. Opens no connection.

    Raises ConfigError for a token or certificate file of Consul that cannot be read.
    """
    # kazoo and python-consul are imported only by the agents that need them.
    if isinstance(master, StaticMaster):
        return StaticDetector(master)
    if isinstance(master, ConsulMaster):
        from shim.discovery.consul_client import ConsulClient
        from shim.discovery.consul_detector import ConsulDetector

        return ConsulDetector(ConsulClient(master.consul), master.service)
    from shim.wire.zookeeper import ZooKeeperDetector

    return ZooKeeperDetector(master)
