from __future__ import annotations

import dataclasses

import pytest

from shim.config import Config
from shim.config.flags import FLAGS, GROUPS, Flag

CONTRACT = [
    "master",
    "ip",
    "port",
    "advertise_ip",
    "advertise_port",
    "hostname",
    "hostname_lookup",
    "work_dir",
    "resources",
    "ports",
    "attributes",
    "default_role",
    "domain",
    "docker_host",
    "docker_cert_path",
    "docker_tls_verify",
    "engine",
    "docker_config",
    "docker_stop_timeout",
    "docker_remove_delay",
    "docker_kill_orphans",
    "executor_registration_timeout",
    "executor_shutdown_grace_period",
    "sandbox_directory",
    "default_container_dns",
    "credential",
    "authentication_backoff_factor",
    "registration_backoff_factor",
    "http_credentials",
    "authenticate_http_readonly",
    "authenticate_http_readwrite",
    "consul",
    "recover",
    "max_inflight",
    "log_level",
    "log_format",
    "consul_register",
    "default_container_info",
    "pod_image",
    "triton_pods",
    "triton_unsupported",
    "triton_prices",
]


def test_every_documented_flag_exists() -> None:
    assert not {*CONTRACT} - {*FLAGS}


def test_names_are_unique() -> None:
    assert len(FLAGS) == sum(len(group.flags) for group in GROUPS)


@pytest.mark.parametrize("flag", [f for f in FLAGS.values() if f.default], ids=lambda f: f.name)
def test_defaults_can_be_parsed(flag: Flag) -> None:
    assert flag.default is not None
    flag.kind.parse(flag.default)


def test_every_flag_has_a_field_in_config() -> None:
    fields = {field.name for field in dataclasses.fields(Config)}
    assert {*FLAGS} - fields == {"consul", "consul_register", "consul_checks"}
    assert fields - {*FLAGS} == {
        "discovery",
        "notes",
        "require_peer_address_ip_match",
        "texts",
        "tls",
    }


def test_usage_of_a_boolean_shows_its_negation() -> None:
    assert FLAGS["hostname_lookup"].usage == "--[no-]hostname_lookup"
    assert FLAGS["port"].usage == "--port=PORT"
    assert FLAGS["port"].environment == "MESOS_PORT"
