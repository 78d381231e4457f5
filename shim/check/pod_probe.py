"""Whether the endpoint runs task groups, and has the image of their infra containers."""

from __future__ import annotations

from shim.check.report import behind_endpoint
from shim.config import Config
from shim.engine.api import Engine, ImageLoader
from shim.engine.connect import connect
from shim.engine.images.image_reference import parse_image
from shim.engine.infra.image import IMAGE, image_archive

_UNUSED_ID = "mesos-shim-check"


async def pods(config: Config) -> str:
    """The infra image can be loaded, or is there, or is pulled by the first task group."""
    with behind_endpoint():
        engine = await connect(config, config.shim_id or _UNUSED_ID)
        try:
            return await _described(engine, config)
        finally:
            await engine.close()


async def _described(engine: Engine, config: Config) -> str:
    if engine.kind == "triton":
        if config.triton_pods == "separate":
            return "task groups run, each task with an address of its own"
        return "task groups are refused: containers of Triton share no network (--triton_pods)"
    name = config.pod_image or IMAGE
    if await engine.has_image(parse_image(name)):
        return f"task groups run; the engine has {name}"
    if config.pod_image:
        return f"task groups run; the first one pulls {name}"
    assert isinstance(engine, ImageLoader)
    await engine.load_image(image_archive((await engine.info()).architecture))
    return f"task groups run; {name} was missing, and is loaded"
