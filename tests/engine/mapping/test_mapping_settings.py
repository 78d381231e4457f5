from __future__ import annotations

import pytest

from shim.engine.mapping import Dns, DnsDefault, MappingSettings, parse_default_container_dns


def test_default_dns_is_read_as_by_the_stock_agent() -> None:
    text = """{
      "docker": [
        {"network_mode": "BRIDGE", "dns": {"nameservers": ["8.8.8.8"], "search": ["a.example"]}},
        {"network_mode": "USER", "network_name": "back", "dns": {"options": ["ndots:2"]}}
      ],
      "mesos": [{"network_mode": "CNI", "network_name": "net", "dns": {"nameservers": ["::1"]}}]
    }"""
    assert parse_default_container_dns(text) == (
        DnsDefault("BRIDGE", "", Dns(("8.8.8.8",), ("a.example",))),
        DnsDefault("USER", "back", Dns(options=("ndots:2",))),
        DnsDefault("CNI", "net", Dns(("::1",))),
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "'list' object has no attribute"),
        (
            '{"docker": [{"network_mode": "HOST"}]}',
            "docker.network_mode 'HOST' is none of BRIDGE, USER",
        ),
        (
            '{"docker": [{"network_mode": "USER", "dns": {"nameservers": "8.8.8.8"}}]}',
            "dns.nameservers '8.8.8.8' is not a list of strings",
        ),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_wrong_default_dns_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_default_container_dns(text)


def test_versions_are_compared_as_numbers() -> None:
    assert MappingSettings("me", api_version="1.100").supports_api("1.41")
    assert not MappingSettings("me", api_version="1.9").supports_api("1.41")
    assert MappingSettings("me").supports_api("9.99")


@pytest.mark.parametrize(
    ("kind", "ports", "binds"),
    [("docker", "real", True), ("docker", "virtual", False), ("triton", "real", False)],
)
def test_ports_are_bound_only_on_a_local_engine_with_real_ports(
    kind: str, ports: str, binds: bool
) -> None:
    assert MappingSettings("me", kind=kind, ports=ports).binds_ports is binds  # type: ignore[arg-type]
