"""What ``--master`` may say: the wire's own forms, or a service's name in Consul."""

from __future__ import annotations

import os
from dataclasses import dataclass

from shim.wire import detect


@dataclass(frozen=True, slots=True)
class ConsulMaster:
    """Whichever instance of a service leads, as Consul tells."""

    url: str
    """``consul://host:port/service/NAME``."""

    def __str__(self) -> str:
        return self.url


Master = detect.MasterAddress | ConsulMaster


def parse_master(text: str) -> Master:
    """Raises ConfigError naming the value, without its password."""
    if not text.startswith("consul://"):
        return detect.parse_master(text)
    master = ConsulMaster(text)
    detector_for(master)
    return master


def detector_for(master: Master) -> detect.Detector:
    """The detector for what ``parse_master`` returned. Talks to nobody yet."""
    if not isinstance(master, ConsulMaster):
        return detect.detector_for(master)
    from shim.discovery.detect import consul_detector  # loads python-consul, needed by few

    return consul_detector(master.url, os.environ)
