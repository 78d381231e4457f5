from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.config import resources
from shim.config.resources import (
    Ports,
    complete,
    default_resources,
    domain_at,
    endpoint_attributes,
    parse_attributes,
    parse_domain,
    parse_ports,
    parse_resources,
)
from shim.protos.mesos_pb2 import Attribute, Resource, Value
from shim.wire.resource_rules import total_problems


def said(resource: Resource) -> str:
    """The text form of mesos-agent."""
    value: object
    if resource.type == Value.SCALAR:
        value = f"{resource.scalar.value:g}"
    elif resource.type == Value.RANGES:
        value = [f"{span.begin}-{span.end}" for span in resource.ranges.range]
    else:
        value = {*resource.set.item}
    return f"{resource.name}({resource.role}):{value}"


def parsed(text: str, role: str = "*") -> list[str]:
    return [said(resource) for resource in parse_resources(text, role)]


def test_text() -> None:
    assert parsed("cpus:4; mem(a/b):1024;ports:[5-6, 1-2,9];zones(x):{n}") == [
        "cpus(*):4",
        "mem(a/b):1024",
        "ports(*):['1-2', '5-6', '9-9']",
        "zones(x):{'n'}",
    ]


def test_entries_without_a_role_get_the_default_role() -> None:
    assert parsed("cpus:1;mem(*):2;disk(b):3", "a") == ["cpus(a):1", "mem(*):2", "disk(b):3"]


def test_json() -> None:
    text = json.dumps(
        [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 2.5}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 8}, "role": "a"},
            {
                "name": "ports",
                "type": "RANGES",
                "ranges": {"range": [{"begin": 1, "end": 2}]},
                "reservations": [{"role": "b", "type": "STATIC"}],
            },
            {
                "name": "disk",
                "type": "SCALAR",
                "scalar": {"value": 10},
                "disk": {"source": {"type": "PATH", "path": {"root": "/x"}}},
            },
        ]
    )
    found = parse_resources(text, "z")
    assert [said(r) for r in found] == [
        "cpus(z):2.5",
        "mem(a):8",
        "ports(b):['1-2']",
        "disk(z):10",
    ]
    assert not found[2].reservations
    assert found[3].disk.source.path.root == "/x"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cpus", "'cpus' is not name:value"),
        ("cpus=4", "is not name:value"),
        (":4", "is not name:value"),
        ("cpus():4", "has an empty role"),
        ("cpus(a b):4", "is not name:value"),
        ("cpus(..):4", "'..' is not a role"),
        ("cpus(-a):4", "'-a' is not a role"),
        ("cpus(a//b):4", "'a//b' is not a role"),
        ("cpus(a/*):4", "is not a role"),
        ("cpus:four", "cpus: 'four' is not a number"),
        ("cpus:nan", "'nan' is not a number"),
        ("cpus:inf", "'inf' is not a number"),
        ("cpus:1_0", "'1_0' is not a number"),
        ("cpus:-1", "cpus: -1.0 is not an amount"),
        ("mem:1e300", "is not an amount"),
        ("cpus:0.0001", "zero once rounded"),
        ("gpus:1.5", "gpus: 1.5 is not a whole number"),
        ("cpus:[1-2]", "cpus: ranges, where a master expects scalar"),
        ("ports:80", "ports: scalar, where a master expects ranges"),
        ("ports:[2-1]", "2-1 is not within"),
        ("ports:[1-3,3-4]", "1-3 and 3-4 overlap"),
        ("ports:[1-65536]", "1-65536 is not within 0-65535"),
        ("ports:[]", "'' is not a range"),
        ("ports:[1-2", "is not .first-last"),
        ("keys:[1-99999999999999999999]", "is not within"),
        ("zones:{a,}", "has an empty item"),
        ("zones:{a,a}", "duplicate"),
        ("zones:{a", "is not .item"),
        ("a:1;a:{x}", "a: values of two types"),
        ("[", "not JSON"),
        ('[{"name": "cpus"}]', "Resource: type missing"),
        ('[{"name": "cpus", "type": "SCALAR"}]', "type SCALAR, but value none"),
        ('[{"name": "cpus", "type": "TEXT", "scalar": {"value": 1}}]', "type TEXT, but value"),
        ('[{"nam": "cpus"}]', "Resource: .*nam"),
        ("[1]", "Resource: "),
        ("[" * 2000, "not JSON"),
    ],
)
def test_invalid_resources(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_resources(text)


CPUS = {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"allocation_info": {"role": "a"}}, "cpus.allocation_info"),
        ({"reservation": {"principal": "p"}}, "cpus.reservation: dynamic"),
        ({"reservations": [{"type": "DYNAMIC", "role": "a"}]}, "cpus.reservations: only one"),
        ({"reservations": [{"type": "STATIC", "role": "a"}] * 2}, "cpus.reservations: only one"),
        ({"revocable": {}}, "cpus.revocable"),
        ({"shared": {}}, "cpus.shared"),
        ({"disk": {"source": {"type": "PATH"}}}, "cpus.disk: only for the resource named disk"),
        ({"name": "disk", "disk": {"persistence": {"id": "x"}}}, "disk.persistence"),
        ({"name": ""}, "'' is not a name"),
        ({"scalar": {"value": "NaN"}}, "nan is not an amount"),
        ({"scalar": {"value": "Infinity"}}, "inf is not an amount"),
    ],
)
def test_resources_that_an_agent_may_not_offer(more: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_resources(json.dumps([CPUS | more]))


def test_amounts_have_three_decimals() -> None:
    assert parsed("cpus:0.12345;mem:1.0009") == ["cpus(*):0.123", "mem(*):1.001"]


def test_zero_means_none_of_it_and_no_default() -> None:
    found = complete(parse_resources("cpus:0;mem:5"), {"cpus": 4.0, "disk": 7.0}, ())
    assert [said(r) for r in found] == ["mem(*):5", "disk(*):7"]


def test_defaults_and_ports_complete_the_resources() -> None:
    found = complete(parse_resources("mem:5", "a"), {"mem": 9.0, "cpus": 2.0}, ((1, 9),), "a")
    assert [said(r) for r in found] == ["mem(a):5", "cpus(a):2", "ports(a):['1-9']"]


@given(
    st.dictionaries(
        st.sampled_from(["cpus", "mem", "disk", "x"]),
        st.floats(0, 1e9, allow_nan=False).map(lambda n: round(n, 3)),
        min_size=1,
    )
)
def test_masters_accept_all_accepted_resources(amounts: dict[str, float]) -> None:
    text = ";".join(f"{name}:{amount}" for name, amount in amounts.items())
    for resource in complete(parse_resources(text), {}, resources.VIRTUAL_PORTS):
        assert list(total_problems("x", resource)) == []


@given(st.text(st.sampled_from("cpusmem:;()[]{}-,.*019 a/"), max_size=30))
def test_any_text_is_rejected_or_acceptable_for_a_master(text: str) -> None:
    try:
        found = parse_resources(text)
    except ValueError:
        return
    for resource in complete(found, {}, ()):
        assert list(total_problems("x", resource)) == []


def test_the_engine_keeps_a_reserve() -> None:
    assert default_resources(4, 1500, 8000) == {"cpus": 4, "mem": 750, "disk": 4000}
    assert default_resources(0, 0, 0) == {"cpus": 1, "mem": 1024, "disk": 10240}


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("none", Ports("none", ())),
        ("virtual", Ports("virtual", ((1, 65535),))),
        ("[31000-32000]", Ports("real", ((31000, 32000),))),
    ],
)
def test_ports(text: str, ports: Ports) -> None:
    assert parse_ports(text) == ports


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not none, virtual or"),
        ("all", "'all' is not none, virtual or .first-last"),
        ("31000-32000", "is not none, virtual or"),
        ("[0-5]", "port 0 cannot be offered"),
        ("[1-65536]", "1-65536 is not within"),
        ("[a]", "'a' is not a range"),
    ],
)
def test_invalid_ports(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_ports(text)


def test_attributes() -> None:
    number, spans, words, odd = parse_attributes("level:10.5;keys:[1-5];rack:r1:a b;x: inf ;")
    assert number == Attribute(name="level", type=Value.SCALAR, scalar=Value.Scalar(value=10.5))
    assert [(s.begin, s.end) for s in spans.ranges.range] == [(1, 5)]
    assert (words.type, words.text.value) == (Value.TEXT, "r1:a b")
    assert (odd.type, odd.text.value) == (Value.TEXT, "inf")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rack", "'rack' is not name:value"),
        ("rack:", "is not name:value"),
        (":r", "is not name:value"),
        ("rack:{a,b}", "rack: a set"),
        ("keys:[5-1]", "5-1"),
    ],
)
def test_invalid_attributes(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_attributes(text)


def test_an_endpoint_without_a_name_adds_no_datacenter() -> None:
    assert [a.name for a in endpoint_attributes((), "", "docker")] == ["engine"]


def test_domain() -> None:
    text = '{"fault_domain": {"region": {"name": "r"}, "zone": {"name": "z"}}}'
    fault = parse_domain(text).fault_domain
    assert (fault.region.name, fault.zone.name) == ("r", "z")


def test_a_domain_whose_zone_is_the_endpoint_s_datacenter() -> None:
    given = parse_domain("us/endpoint")
    domain = domain_at(given, "us-east-1")
    assert domain is not None
    fault = domain.fault_domain
    assert (fault.region.name, fault.zone.name) == ("us", "us-east-1")
    assert domain.IsInitialized()
    assert not given.fault_domain.HasField("zone"), "it is asked again after a reconnect"
    with pytest.raises(ValueError, match=r"us/endpoint: .* does not report its name"):
        domain_at(given, "")


def test_a_complete_or_absent_domain_is_unchanged() -> None:
    given = parse_domain('{"fault_domain": {"region": {"name": "r"}, "zone": {"name": "z"}}}')
    assert domain_at(given, "us-east-1") == given
    assert domain_at(None, "us-east-1") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/endpoint", "needs a region"),
        ("us/us-east-1", "not JSON"),
        ("x", "not JSON"),
        ("[]", "needs fault_domain"),
        ("[1]", "DomainInfo"),
        ("{}", "needs fault_domain"),
        ('{"fault_domain": {"region": {"name": "r"}}}', "zone"),
        ('{"fault_domain": {"region": {"name": ""}, "zone": {"name": "z"}}}', "needs"),
        ('{"fault": {}}', "fault"),
    ],
)
def test_invalid_domains(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_domain(text)
