from __future__ import annotations

import json

import pytest

from shim.http.protojson import to_json
from shim.protos.mesos_pb2 import CommandInfo, Parameter, Secret, Volume
from shim.telemetry.log import HIDDEN


def test_environment_and_secrets_are_hidden() -> None:
    command = CommandInfo(value="run --password=hunter2 x")
    command.environment.variables.add(name="A", value="secret-a")
    secret = command.environment.variables.add(name="B", type=2)
    secret.secret.value.data = b"secret-b"
    command.uris.add(value="http://user:secret-c@host/x?token=secret-d")
    text = json.dumps(to_json(command))
    for word in ("secret-a", "c2VjcmV0LWI=", "secret-c", "secret-d", "hunter2"):
        assert word not in text
    assert '"A"' in text
    assert "http://***@host/x" in text


def test_the_reference_of_a_secret_is_shown() -> None:
    secret = Secret(type=Secret.REFERENCE)
    secret.reference.name = "vault/db"
    assert to_json(secret)["reference"] == {"name": "vault/db"}


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("env", "A=b", f"A={HIDDEN}"),
        ("env", "A", HIDDEN),
        ("e", "A=b=c", f"A={HIDDEN}"),
        ("env-file", "/etc/x", HIDDEN),
        ("o", "username=u,password=p", f"username={HIDDEN}"),
        ("password", "p", HIDDEN),
        ("api-token", "p", HIDDEN),
        ("label", "tier=front", "tier=front"),
        ("volume", "a:/b", "a:/b"),
        ("memory", "1g", "1g"),
    ],
)
def test_parameters_that_may_hold_a_secret_are_hidden(key: str, value: str, shown: str) -> None:
    assert to_json(Parameter(key=key, value=value))["value"] == shown


def test_driver_options_are_hidden_like_parameters() -> None:
    volume = Volume(mode=Volume.RW, container_path="/x")
    volume.source.docker_volume.driver_options.parameter.add(key="password", value="p")
    options = to_json(volume)["source"]["docker_volume"]["driver_options"]
    assert options == {"parameter": [{"key": "password", "value": HIDDEN}]}
