"""Applies ``container.docker.parameters`` to a container's spec, after the rest of the task.

A parameter is one ``--key=value`` of ``docker run``, after the agent's own arguments. The last
value of a scalar option wins, also over the agent's value. List options grow. An option of the
docker client is refused by name.
"""

from __future__ import annotations

import difflib
from typing import Any

from shim.engine.mapping.options import BY_KEY, SHORT, Option, Setter
from shim.engine.mapping.spec_builder import (
    NET,
    SpecBuilder,
    TritonSupport,
    printable,
    reject,
    without_nul,
)
from shim.engine.mapping.values import scalars

_MAY_HOLD_SECRETS = frozenset({"env", "label"})
"""Options of which error texts show only the part before ``=``."""

_LONGEST_KEY = max(len(key) for key in BY_KEY)


def apply_parameters(builder: SpecBuilder) -> None:
    """Apply all parameters in their order. Raises InvalidTask."""
    parameters = list(builder.container.docker.parameters)
    keys = [_long_key(parameter.key, i) for i, parameter in enumerate(parameters)]
    if "cpus" in keys:
        builder.remove("HostConfig.CpuQuota")
    network_replaced = False
    for i, (key, parameter) in enumerate(zip(keys, parameters, strict=True)):
        if key in ("net", "network") and not network_replaced:
            network_replaced = True
            _apply(builder, i, key, parameter.value, _replace_network)
        else:
            _apply(builder, i, key, parameter.value, BY_KEY[key].set)
    _check_health_options(builder, keys)


def _long_key(text: str, i: int) -> str:
    key = SHORT.get(text, text)
    if key not in BY_KEY:
        near = difflib.get_close_matches(text[:_LONGEST_KEY], BY_KEY, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        reject(f"Unknown option of docker run{hint}", f"container.docker.parameters[{i}].key", text)
    return key


def _apply(builder: SpecBuilder, i: int, key: str, text: str, setter: Setter) -> None:
    """Parse one parameter, check that the endpoint honours it, and set it in the spec."""
    option, field = BY_KEY[key], f"container.docker.parameters[{i}]"
    shown = f"{key}={text.partition('=')[0] if key in _MAY_HOLD_SECRETS else text}"
    without_nul(f"{field} {key}", text)
    try:
        value = option.parse(text)
        _check_version(builder, option)
        if not _is_off_anyway(builder, option, value) and builder.check_support(
            option.triton, field, shown
        ):
            setter(builder, option.api, value)
    except ValueError as error:
        reject(str(error), field, shown)


def _is_off_anyway(builder: SpecBuilder, option: Option, value: Any) -> bool:
    """Whether a parameter switches off a feature that Triton does not have."""
    without_effect = (TritonSupport.IGNORED, TritonSupport.UNSUPPORTED)
    return value is False and builder.settings.triton and option.triton in without_effect


def _check_version(builder: SpecBuilder, option: Option) -> None:
    if not builder.settings.triton and not builder.settings.supports_api(option.since):
        raise ValueError(
            f"Needs Docker API {option.since}, this engine speaks {builder.settings.api_version}"
        )


def _replace_network(builder: SpecBuilder, path: str, value: tuple[str, dict[str, Any]]) -> None:
    name, options = value
    if builder.settings.triton:
        if name == "none" or name.startswith("container:"):
            raise ValueError("Triton has no containers without a network of their own")
        name = builder.settings.default_network if name in ("host", "bridge", "default") else name
        if options and not builder.check_support(
            TritonSupport.UNSUPPORTED,
            f"network options of {printable(name)}",
            ", ".join(options),
        ):
            options = {}
    builder.network = name
    for key, option in options.items():
        builder.extend(f"{NET}.{key}", option)


def _check_health_options(builder: SpecBuilder, keys: list[str]) -> None:
    """Refuse ``no-healthcheck`` beside another health option, in either order."""
    values = zip(keys, builder.container.docker.parameters, strict=True)
    off = any(key == "no-healthcheck" and scalars.boolean(p.value) for key, p in values)
    health = [key for key in keys if key.startswith("health-")]
    if off and health:
        field = "container.docker.parameters"
        reject("no-healthcheck excludes the other health options", field, ", ".join(health))
