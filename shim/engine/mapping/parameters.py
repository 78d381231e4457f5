"""``container.docker.parameters`` applied, over what the rest of the task gave.

A parameter is ``--key=value`` after all that the agent itself says: a scalar's last value wins,
also over the agent's; lists grow; a flag that speaks to the ``docker`` client is refused by name.
"""

from __future__ import annotations

import difflib
from typing import Any

from shim.engine.mapping.options import BY_KEY, SHORT, Fold, Option
from shim.engine.mapping.spec_builder import NET, SpecBuilder, Triton, invalid, no_nul, plain
from shim.engine.mapping.values import units

_SECRETIVE = frozenset({"env", "label"})
"""Options whose values may be secrets: only the part before ``=`` is shown."""

_LONGEST_KEY = max(len(key) for key in BY_KEY)


def apply_parameters(draft: SpecBuilder) -> None:
    """Apply all parameters, in order, over what the rest of the task gave."""
    parameters = list(draft.container.docker.parameters)
    keys = [_key(parameter.key, i) for i, parameter in enumerate(parameters)]
    if "cpus" in keys:
        draft.discard("HostConfig.CpuQuota")
    network_replaced = False
    for i, (key, parameter) in enumerate(zip(keys, parameters, strict=True)):
        if key in ("net", "network") and not network_replaced:
            network_replaced = True
            _guard(draft, i, key, parameter.value, _replace_network)
        else:
            _guard(draft, i, key, parameter.value, BY_KEY[key].fold)
    _check_health(draft, keys)


def _key(text: str, i: int) -> str:
    key = SHORT.get(text, text)
    if key not in BY_KEY:
        near = difflib.get_close_matches(text[:_LONGEST_KEY], BY_KEY, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        invalid(
            f"Unknown option of docker run{hint}", f"container.docker.parameters[{i}].key", text
        )
    return key


def _guard(draft: SpecBuilder, i: int, key: str, text: str, fold: Fold) -> None:
    """Convert, ask the rules of the place, fold; a ValueError becomes the task's error."""
    option, field = BY_KEY[key], f"container.docker.parameters[{i}]"
    words = f"{key}={text.partition('=')[0] if key in _SECRETIVE else text}"
    no_nul(f"{field} {key}", text)
    try:
        value = option.convert(text)
        _check_version(draft, option)
        if _demands(draft, option, value) and draft.honoured(option.triton, field, words):
            fold(draft, option.api, value)
    except ValueError as error:
        invalid(str(error), field, words)


def _demands(draft: SpecBuilder, option: Option, value: Any) -> bool:
    """Switching off what a place does not have anyway asks it for nothing."""
    return not (value is False and draft.rules.triton and option.triton in (Triton.HINT, Triton.NO))


def _check_version(draft: SpecBuilder, option: Option) -> None:
    if not draft.rules.triton and not draft.rules.speaks(option.since):
        raise ValueError(
            f"Needs Docker API {option.since}, this engine speaks {draft.rules.api_version}"
        )


def _replace_network(draft: SpecBuilder, path: str, value: tuple[str, dict[str, Any]]) -> None:
    name, options = value
    if draft.rules.triton:
        if name == "none" or name.startswith("container:"):
            raise ValueError("Triton has no containers without a network of their own")
        name = draft.rules.default_network if name in ("host", "bridge", "default") else name
        if options and not draft.honoured(
            Triton.NO, f"network options of {plain(name)}", ", ".join(options)
        ):
            options = {}
    draft.network = name
    for key, option in options.items():
        draft.add(f"{NET}.{key}", option)


def _check_health(draft: SpecBuilder, keys: list[str]) -> None:
    """No matter which comes first; so it is only known at the end."""
    values = zip(keys, draft.container.docker.parameters, strict=True)
    off = any(key == "no-healthcheck" and units.boolean(p.value) for key, p in values)
    health = [key for key in keys if key.startswith("health-")]
    if off and health:
        field = "container.docker.parameters"
        invalid("no-healthcheck excludes the other health options", field, ", ".join(health))
