"""``--default_container_info`` and ``--pod_image``: images of containers that name none."""

from __future__ import annotations

from shim.config.resources.value_parsers import fill, parse_json
from shim.engine.images.image_reference import parse_image
from shim.errors import InvalidTask
from shim.protos.mesos_pb2 import ContainerInfo


def image(text: str) -> str:
    """The reference of an image, with the tag ``latest`` where it has none."""
    try:
        return parse_image(text).text
    except InvalidTask as error:
        raise ValueError(str(error)) from None


def parse_container_info(text: str) -> ContainerInfo:
    """A ContainerInfo as JSON. It must name a Docker image: nothing runs without one here."""
    info = ContainerInfo()
    fill(parse_json(text), info)
    if info.type == ContainerInfo.DOCKER:
        field, name = "docker.image", info.docker.image
    else:
        field, name = "mesos.image.docker.name", info.mesos.image.docker.name
    if not name:
        raise ValueError(f"ContainerInfo: {field} is missing, and nothing runs without an image")
    image(name)
    return info
