from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.engine.api import Auth
from shim.engine.images.credentials import (
    DockerConfig,
    docker_config_of_agent,
    docker_config_of_task,
)
from shim.engine.images.image_reference import parse_image
from shim.errors import ConfigError, InvalidTask
from shim.protos.mesos_pb2 import Secret, TaskInfo

SECRET = "s3cret:x"


def encoded(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def entry(user: str = "jo") -> dict[str, str]:
    return {"auth": encoded(user, SECRET)}


@pytest.mark.parametrize(
    "key",
    ["reg:5000", "https://reg:5000", "https://reg:5000/v1/", "http://REG:5000/v2", "reg:5000/team"],
)
def test_keys_match_without_scheme_and_path(key: str) -> None:
    config = docker_config_of_agent({"auths": {key: entry()}})
    assert config.auth(parse_image("reg:5000/a/b:1")) == Auth("jo", SECRET, server="reg:5000")
    assert config.auth(parse_image("reg:5001/a")) is None
    assert config.auth(parse_image("a/b")) is None


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
@pytest.mark.parametrize("image", ["nginx", "team/app:1", "docker.io/library/nginx"])
def test_the_keys_of_docker_hub_match(key: str, image: str) -> None:
    auth = docker_config_of_agent({"auths": {key: entry()}}).auth(parse_image(image))
    assert auth == Auth("jo", SECRET, server="https://index.docker.io/v1/")


def test_the_registrys_own_key_wins_over_one_with_a_path() -> None:
    config = docker_config_of_agent({"auths": {"https://r.io/v1/": entry("a"), "r.io": entry("b")}})
    auth = config.auth(parse_image("r.io/x"))
    assert auth is not None
    assert auth.username == "b"


def test_dockercfg_has_registries_at_its_top_level() -> None:
    config = docker_config_of_agent({"r.io": entry()})
    assert config.auth(parse_image("r.io/x")) == Auth("jo", SECRET, server="r.io")


def test_identity_token_and_plain_user() -> None:
    token = {"identitytoken": "tok", "auth": encoded("jo", "")}
    plain = {"username": "jo", "password": "pw"}
    config = docker_config_of_agent({"auths": {"a.io": token, "b.io": plain}})
    assert config.auth(parse_image("a.io/x")) == Auth(identity_token="tok", server="a.io")
    assert config.auth(parse_image("b.io/x")) == Auth("jo", "pw", server="b.io")


def test_credential_helpers_cause_a_warning() -> None:
    config = docker_config_of_agent({"auths": {"r.io": {}}, "credsStore": "desktop"})
    assert config.auth(parse_image("r.io/x")) is None
    assert config.warnings == ("credsStore names programs of a host and is not used",)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"auths": []}, "auths is not an object"),
        ({"auths": {"r.io": {"auth": "%%%"}}}, "the auth of 'r.io' is not base64 of user:password"),
        (
            {"auths": {"r.io": {"auth": base64.b64encode(b"nocolon").decode()}}},
            "the auth of 'r.io' is not base64 of user:password",
        ),
        ({"auths": {"r.io": {"auth": 7}}}, "the auth of 'r.io' is not base64 of user:password"),
    ],
)
def test_an_invalid_docker_config_flag_is_rejected(document: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        docker_config_of_agent(document)
    assert str(caught.value) == f"--docker_config is not a Docker config: {reason}"


def test_the_tasks_own_config_replaces_the_agents() -> None:
    new, old = json.dumps({"auths": {"a.io": entry("new")}}), json.dumps({"a.io": entry("old")})
    sandbox = {".docker/config.json": new.encode(), ".dockercfg": old.encode()}
    config = docker_config_of_task(TaskInfo(), sandbox)
    assert config is not None
    assert config.auths["a.io"].username == "new"
    del sandbox[".docker/config.json"]
    config = docker_config_of_task(TaskInfo(), sandbox)
    assert config is not None
    assert config.auths["a.io"].username == "old"
    assert docker_config_of_task(TaskInfo(), {}) is None


def test_a_mesos_image_may_have_its_own_config() -> None:
    task = TaskInfo()
    secret = task.container.mesos.image.docker.config
    secret.type, secret.value.data = Secret.VALUE, json.dumps({"auths": {"a.io": entry()}}).encode()
    config = docker_config_of_task(task, {".dockercfg": b"{}"})
    assert config is not None
    assert config.auths["a.io"].password == SECRET


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff", "Not a Docker config ("),
        (b"[]", "Not a Docker config (not a JSON object): fetched .dockercfg"),
        (b"{", "Not a Docker config (not JSON): fetched .dockercfg"),
        (b"[" * 100_000, "Not a Docker config (not JSON): fetched .dockercfg"),
    ],
)
def test_a_broken_config_of_a_task_fails_the_task(data: bytes, message: str) -> None:
    with pytest.raises(InvalidTask) as caught:
        docker_config_of_task(TaskInfo(), {".dockercfg": data})
    assert str(caught.value).startswith(message)


def test_secret_references_are_rejected() -> None:
    task = TaskInfo()
    secret = task.container.mesos.image.docker.config
    secret.type, secret.reference.name = Secret.REFERENCE, "vault"
    with pytest.raises(
        InvalidTask,
        match=r"by reference are not supported: container\.mesos\.image\.docker\.config",
    ):
        docker_config_of_task(task, {})


def test_no_repr_or_message_shows_a_secret() -> None:
    config = docker_config_of_agent({"auths": {"a.io": entry(), "b.io": {"identitytoken": "tok!"}}})
    assert isinstance(config, DockerConfig)
    assert SECRET not in repr(config)
    assert "tok!" not in repr(config)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["auths", "auth", "r.io", "credsStore", "username"])
            | st.text(max_size=5),
            inner,
        )
    ),
    max_leaves=12,
)


@settings(derandomize=True)
@given(JSON)
def test_any_json_is_a_config_or_rejected(document: object) -> None:
    with contextlib.suppress(InvalidTask):
        docker_config_of_task(TaskInfo(), {".dockercfg": json.dumps(document).encode()})
