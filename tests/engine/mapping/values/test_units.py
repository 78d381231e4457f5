from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.engine.mapping.values import units


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_true(text: str) -> None:
    assert units.boolean(text) is True


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False"])
def test_false(text: str) -> None:
    assert units.boolean(text) is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("32", 32),
        ("32b", 32),
        ("32B", 32),
        ("32kb", 32 * 1024),
        ("32Ki", 32 * 1024),
        ("32KiB", 32 * 1024),
        ("32 mb", 32 * 1024**2),
        ("1.5g", 3 * 512 * 1024**2),
        ("2T", 2 * 1024**4),
        ("3p", 3 * 1024**5),
        ("0.3b", 0),
    ],
)
def test_size(text: str, expected: int) -> None:
    assert units.size(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1m30s", 90 * 10**9),
        ("1h", 3600 * 10**9),
        ("250ms", 250 * 10**6),
        ("1.5us", 1500),
        ("2\u00b5s", 2000),
        ("2\u03bcs", 2000),
        (".5s", 500 * 10**6),
        ("1.s", 10**9),
        ("7ns", 7),
    ],
)
def test_duration(text: str, expected: int) -> None:
    assert units.duration(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("1.5", 1500000000), (".25", 250000000), ("2", 2 * 10**9)]
)
def test_nano_cpus(text: str, expected: int) -> None:
    assert units.nano_cpus(text) == expected


@pytest.mark.parametrize(
    ("convert", "text", "reason"),
    [
        (units.boolean, "", "Not a boolean (true or false)"),
        (units.boolean, "yes", "Not a boolean (true or false)"),
        (units.boolean, "tRUE", "Not a boolean (true or false)"),
        (units.whole, "1.0", "Not a whole number"),
        (units.whole, "", "Not a whole number"),
        (units.whole, "1\n", "Not a whole number"),
        (units.whole, str(2**63), "Not a whole number"),
        (units.whole, "9" * 5000, "Not a whole number"),
        (units.size, "12q", "Not a size (like 512k, 64m or 1.5g)"),
        (units.size, "-1", "Not a size (like 512k, 64m or 1.5g)"),
        (units.size, "", "Not a size (like 512k, 64m or 1.5g)"),
        (units.size, "1e3", "Not a size (like 512k, 64m or 1.5g)"),
        (units.size, "9999999p", "Too large a size"),
        (units.duration, "", "Not a duration (like 1m30s or 250ms)"),
        (units.duration, "5", "Not a duration (like 1m30s or 250ms)"),
        (units.duration, "soon", "Not a duration (like 1m30s or 250ms)"),
        (units.duration, "-1s", "Not a duration (like 1m30s or 250ms)"),
        (units.duration, ".s", "Not a duration (like 1m30s or 250ms)"),
        (units.duration, "9999999h", "Too large a duration"),
        (units.nano_cpus, "1.0000000001", "Not a number of CPUs (like 1.5, at most 9 decimals)"),
        (units.nano_cpus, "-1", "Not a number of CPUs (like 1.5, at most 9 decimals)"),
        (units.key_value, "a", "Not of the form key=value"),
        (units.key_value, "=b", "Not of the form key=value"),
        (units.port_range, "0", "Ports must be in 1..65535, the smaller first"),
        (units.port_range, "65536", "Ports must be in 1..65535, the smaller first"),
        (units.port_range, "9-8", "Ports must be in 1..65535, the smaller first"),
        (units.port_range, "http", "Not a port or a range of ports (like 80 or 8000-8010)"),
        (units.protocol, "icmp", "Not a protocol (tcp, udp or sctp)"),
        (units.fields, "a,,b", "Not a list of comma-separated values"),
        (units.fields, "", "Not a list of comma-separated values"),
    ],
)
def test_refuses_by_reason(convert: Callable[[str], Any], text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the reason is compared below)
        convert(text)
    assert str(caught.value) == reason


def test_lists_and_pairs() -> None:
    assert units.fields('a,"b,c"') == ["a", "b,c"]
    assert units.key_value("a=b=c") == ("a", "b=c")
    assert list(units.port_range("80-82")) == [80, 81, 82]
    assert units.protocol("UDP") == "udp"
    assert units.protocol("") == "tcp"


@settings(derandomize=True)
@given(
    st.sampled_from(
        [
            units.boolean,
            units.whole,
            units.size,
            units.duration,
            units.nano_cpus,
            units.key_value,
            units.fields,
            units.port_range,
            units.protocol,
            units.address,
            units.ipv4,
            units.ipv6,
        ]
    ),
    st.text() | st.text(alphabet='0123456789.-+bkmgpinsuh" ,=:\n', max_size=60),
)
def test_only_value_errors(convert: Callable[[str], Any], text: str) -> None:
    with contextlib.suppress(ValueError):
        convert(text)


@settings(derandomize=True)
@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_durations_and_sizes_are_exact(value: int) -> None:
    assert units.duration(f"{value}ns") == value
    assert units.size(f"{value}b") == value
