"""Parsers of single values and of ports: accepted texts, refused texts, and no other exception."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.engine.mapping.values import ports, scalars


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_words_of_go_that_mean_true(text: str) -> None:
    assert scalars.boolean(text) is True


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False"])
def test_words_of_go_that_mean_false(text: str) -> None:
    assert scalars.boolean(text) is False


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
    assert scalars.size(text) == expected


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
    assert scalars.duration(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("1.5", 1500000000), (".25", 250000000), ("2", 2 * 10**9)]
)
def test_nano_cpus(text: str, expected: int) -> None:
    assert scalars.nano_cpus(text) == expected


@pytest.mark.parametrize(
    ("parse", "text", "reason"),
    [
        (scalars.boolean, "", "Not a boolean (true or false)"),
        (scalars.boolean, "yes", "Not a boolean (true or false)"),
        (scalars.boolean, "tRUE", "Not a boolean (true or false)"),
        (scalars.whole, "1.0", "Not a whole number"),
        (scalars.whole, "", "Not a whole number"),
        (scalars.whole, "1\n", "Not a whole number"),
        (scalars.whole, str(2**63), "Not a whole number"),
        (scalars.whole, "9" * 5000, "Not a whole number"),
        (scalars.size, "12q", "Not a size (like 512k, 64m or 1.5g)"),
        (scalars.size, "-1", "Not a size (like 512k, 64m or 1.5g)"),
        (scalars.size, "", "Not a size (like 512k, 64m or 1.5g)"),
        (scalars.size, "1e3", "Not a size (like 512k, 64m or 1.5g)"),
        (scalars.size, "9999999p", "Too large a size"),
        (scalars.duration, "", "Not a duration (like 1m30s or 250ms)"),
        (scalars.duration, "5", "Not a duration (like 1m30s or 250ms)"),
        (scalars.duration, "soon", "Not a duration (like 1m30s or 250ms)"),
        (scalars.duration, "-1s", "Not a duration (like 1m30s or 250ms)"),
        (scalars.duration, ".s", "Not a duration (like 1m30s or 250ms)"),
        (scalars.duration, "9999999h", "Too large a duration"),
        (scalars.nano_cpus, "1.0000000001", "Not a number of CPUs (like 1.5, at most 9 decimals)"),
        (scalars.nano_cpus, "-1", "Not a number of CPUs (like 1.5, at most 9 decimals)"),
        (scalars.key_value, "a", "Not of the form key=value"),
        (scalars.key_value, "=b", "Not of the form key=value"),
        (ports.port_range, "0", "Ports must be in 1..65535, the smaller first"),
        (ports.port_range, "65536", "Ports must be in 1..65535, the smaller first"),
        (ports.port_range, "9-8", "Ports must be in 1..65535, the smaller first"),
        (ports.port_range, "http", "Not a port or a range of ports (like 80 or 8000-8010)"),
        (ports.protocol, "icmp", "Not a protocol (tcp, udp or sctp)"),
        (scalars.csv_fields, "a,,b", "Not a list of comma-separated values"),
        (scalars.csv_fields, "", "Not a list of comma-separated values"),
    ],
)
def test_a_wrong_value_is_refused_with_its_reason(
    parse: Callable[[str], Any], text: str, reason: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the reason is compared below)
        parse(text)
    assert str(caught.value) == reason


def test_lists_and_pairs() -> None:
    assert scalars.csv_fields('a,"b,c"') == ["a", "b,c"]
    assert scalars.key_value("a=b=c") == ("a", "b=c")
    assert list(ports.port_range("80-82")) == [80, 81, 82]
    assert ports.protocol("UDP") == "udp"
    assert ports.protocol("") == "tcp"


@settings(derandomize=True)
@given(
    st.sampled_from(
        [
            scalars.boolean,
            scalars.whole,
            scalars.size,
            scalars.duration,
            scalars.nano_cpus,
            scalars.key_value,
            scalars.csv_fields,
            ports.port_range,
            ports.protocol,
            scalars.address,
            scalars.ipv4,
            scalars.ipv6,
        ]
    ),
    st.text() | st.text(alphabet='0123456789.-+bkmgpinsuh" ,=:\n', max_size=60),
)
def test_a_parser_raises_only_value_errors(parse: Callable[[str], Any], text: str) -> None:
    with contextlib.suppress(ValueError):
        parse(text)


@settings(derandomize=True)
@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_durations_and_sizes_are_exact(value: int) -> None:
    assert scalars.duration(f"{value}ns") == value
    assert scalars.size(f"{value}b") == value
