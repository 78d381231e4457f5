"""``--triton_prices``: what an hour of each package costs."""

from __future__ import annotations

from collections.abc import Mapping

from shim.config.files import read_file
from shim.config.resources.value_parsers import parse_json
from shim.config.values import PATH

_DEAREST = 1e9
"""Whatever the currency: with more, sums would lose their small change."""


def prices(text: str) -> Mapping[str, float]:
    """Price per hour by package, from a file with ``{"package": price}``.

    Raises ValueError with a reason.
    """
    document = parse_json(read_file(PATH.parse(text)))
    if not isinstance(document, dict):
        raise ValueError("not an object of package names and prices per hour")
    for package, price in document.items():
        number = isinstance(price, int | float) and not isinstance(price, bool)
        if not number or not 0 <= price <= _DEAREST:
            raise ValueError(f"{package!r}: {repr(price)[:60]} is not a price per hour")
    return {package: float(price) for package, price in document.items()}
