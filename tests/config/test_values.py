from __future__ import annotations

from pathlib import Path

import pytest

from shim.config import values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5secs", 5.0),
        ("1mins", 60.0),
        ("1.5mins", 90.0),
        ("10ms", 0.01),
        ("0secs", 0.0),
        ("100ns", 1e-7),
        ("20us", 2e-5),
        ("2hrs", 7200.0),
        ("1days", 86400.0),
        ("2weeks", 1209600.0),
    ],
)
def test_durations_of_mesos_agent(text: str, seconds: float) -> None:
    assert values.duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["5", "5s", "5 secs", "secs", "-1secs", "1e3secs", "5SECS", "", "99999999weeks", "\u0665secs"],
)
def test_invalid_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration"):
        values.duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("1KB", 1024), ("64MB", 64 * 2**20), ("2GB", 2 * 2**30), ("1TB", 2**40)],
)
def test_sizes_are_powers_of_1024(text: str, size: int) -> None:
    assert values.size(text) == size


@pytest.mark.parametrize("text", ["2", "2G", "1.5GB", "-1MB", "2gb", ""])
def test_invalid_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        values.size(text)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("false", False)])
def test_booleans(text: str, value: bool) -> None:
    assert values.boolean(text) is value


@pytest.mark.parametrize("text", ["yes", "TRUE", "", "2"])
def test_invalid_booleans(text: str) -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        values.boolean(text)


@pytest.mark.parametrize("text", ["65536", "-1", "http", "1.5", "¹"])
def test_invalid_ports(text: str) -> None:
    with pytest.raises(ValueError, match="not a port"):
        values.port(text)


@pytest.mark.parametrize("text", ["0", "1000000", "-1", "many"])
def test_invalid_counts(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        values.count(text)


@pytest.mark.parametrize("text", ["::1", "localhost", "10.0.0", "10.0.0.256"])
def test_only_ipv4_literals_are_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="not an IPv4 address"):
        values.ipv4(text)


@pytest.mark.parametrize("text", ["a b", "-x", "a/b", "", "x" * 254])
def test_invalid_host_names(text: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        values.hostname(text)


def test_a_path_may_be_a_file_url() -> None:
    assert values.path("file:///etc/x") == values.path("/etc/x") == Path("/etc/x")


def test_one_of_accepts_only_its_words() -> None:
    kind = values.one_of("refuse", "warn")
    assert (kind.placeholder, kind.parse("warn")) == ("refuse|warn", "warn")
    with pytest.raises(ValueError, match="not one of refuse, warn"):
        kind.parse("Warn")
