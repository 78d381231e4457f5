from __future__ import annotations

import pytest

from tests.engine.mapping.tasks import (
    MESOS,
    body,
    host,
    refusal,
    resources,
    spec,
    spec_of,
    task,
)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ('shell: true value: "echo $HOME"', (["/bin/sh"], ["-c", "echo $HOME"])),
        ('shell: true value: "" ', (["/bin/sh"], ["-c", ""])),
        ('shell: true value: "a" arguments: "ignored"', (["/bin/sh"], ["-c", "a"])),
        ("shell: false", (None, None)),
        ('shell: false value: "v"', (None, ["v"])),
        ('shell: false value: "v" arguments: "a" arguments: "b"', (None, ["v", "a", "b"])),
        ('shell: false arguments: "a"', (None, ["a"])),
        ('shell: false value: "v" arguments: ""', (None, ["v", ""])),
    ],
)
def test_command_forms(command: str, expected: tuple[object, object]) -> None:
    made = body(f"command {{ {command} }}")
    assert (made.get("Entrypoint"), made.get("Cmd")) == expected


def test_shell_is_the_default() -> None:
    info = task('command { value: "a" }')
    info.command.ClearField("shell")
    assert spec_of(info).body["Entrypoint"] == ["/bin/sh"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ('shell: true value: "x"', (["/bin/sh"], ["-c", "x"])),
        ('value: "v" arguments: "v" arguments: "a"', (["v"], ["a"])),
        ('value: "v"', (["v"], [])),
        ('arguments: "a"', (None, ["a"])),
    ],
)
def test_command_forms_of_a_mesos_container(command: str, expected: tuple[object, object]) -> None:
    made = body(f"command {{ {command} }} {MESOS}")
    assert (made.get("Entrypoint"), made.get("Cmd")) == expected


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("shell: true", "Shell specified but no command value provided: command.value"),
        ('value: "a\\000b"', "NUL byte: command.value"),
        ('value: "a" arguments: "b" arguments: "\\000"', "NUL byte: command.arguments[1]"),
    ],
)
def test_refused_commands(command: str, message: str) -> None:
    assert refusal(f"command {{ {command} }}") == message


def test_command_user_does_not_set_the_containers_user() -> None:
    made = spec('command { user: "jo" }')
    assert "User" not in made.body
    assert made.warnings == ()
    assert spec('command { user: "jo" }' + MESOS).warnings == (
        "command.user 'jo': not used, the image's USER runs the task",
    )


def variables(*pairs: tuple[str, str]) -> str:
    inner = "".join(f'variables {{ name: "{name}" {rest} }}' for name, rest in pairs)
    return f"command {{ environment {{ {inner} }} }}"


def test_environment_is_sorted_and_the_agents_variables_win() -> None:
    text = variables(
        ("Z", 'value: "1"'),
        ("A", 'value: "x=y\\nz"'),
        ("A", 'value: "last"'),
        ("EMPTY", ""),
        ("MESOS_SANDBOX", 'value: "mine"'),
        ("HOST", 'value: "10.0.0.1"'),
    )
    role = 'resources { name: "cpus" type: SCALAR allocation_info { role: "ops" } }'
    assert body(text + role)["Env"] == [
        "A=last",
        "EMPTY=",
        "HOST=10.0.0.1",
        "MESOS_ALLOCATION_ROLE=ops",
        "MESOS_CONTAINER_NAME=mesos-0c2f-11",
        "MESOS_SANDBOX=/mnt/mesos/sandbox",
        "Z=1",
    ]


def test_the_role_comes_from_the_resource_where_there_is_no_allocation() -> None:
    assert "MESOS_ALLOCATION_ROLE=*" in body(resources(cpus=1))["Env"]
    assert "MESOS_ALLOCATION_ROLE=" in body()["Env"]


def test_mesos_sandbox_is_the_agents_sandbox_directory() -> None:
    assert "MESOS_SANDBOX=/sand" in body(sandbox_directory="/sand")["Env"]


def test_a_secrets_value_is_resolved() -> None:
    secret = 'type: SECRET secret { type: VALUE value { data: "pw" } }'
    assert "PW=pw" in body(variables(("PW", secret)))["Env"]


FIELD = "command.environment.variables[PW]"


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (
            'type: SECRET secret { type: REFERENCE reference { name: "vault" } }',
            f"There is no secret store to look it up in: {FIELD}.secret.reference 'vault'",
        ),
        ("type: SECRET", f"Secret without a value: {FIELD}.secret"),
        (
            'type: SECRET secret { type: VALUE value { data: "hush\\377" } }',
            f"Secret is not UTF-8 text: {FIELD}.secret.value.data",
        ),
        (
            'type: SECRET secret { type: VALUE value { data: "hush\\000" } }',
            f"NUL byte: {FIELD}.secret",
        ),
        ('value: "a\\000"', f"NUL byte: {FIELD}.value"),
        ('type: UNKNOWN value: "a"', f"Unknown type of environment variable: {FIELD}.type '0'"),
    ],
)
def test_refused_variables(variable: str, message: str) -> None:
    assert refusal(variables(("PW", variable))) == message


@pytest.mark.parametrize("name", ["", "A=B", "A\\000"])
def test_refused_names(name: str) -> None:
    message = refusal(variables((name, 'value: "hush"')))
    assert message.startswith(
        "An environment variable's name must not be empty nor hold '=' or NUL"
    )
    assert "command.environment.variables[0].name" in message
    assert "hush" not in message


def test_the_engine_restarts_no_container() -> None:
    assert host()["RestartPolicy"] == {"Name": "no"}
