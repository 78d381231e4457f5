from __future__ import annotations

import pytest
from google.protobuf import text_format

from shim.engine.api import ContainerSpec
from shim.engine.mapping.command import complete_command, complete_workdir
from shim.errors import InvalidTask
from shim.protos.mesos_pb2 import ContainerInfo, TaskInfo
from tests.engine.mapping import pods
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


NO_PROGRAM: dict[str, list[str]] = {}
ONLY_CMD = {"Cmd": ["/bin/echo", "C0", "C1"]}
ONLY_ENTRYPOINT = {"Entrypoint": ["/entry", "E1"]}
BOTH = {**ONLY_CMD, **ONLY_ENTRYPOINT}
ANY_IMAGE = (NO_PROGRAM, ONLY_CMD, ONLY_ENTRYPOINT, BOTH)
SHELL_WITHOUT_VALUE = "Shell specified but no command value provided: command.value"
NO_EXECUTABLE = "No executable is found in the image and command.value is not set: command"
ARGUMENTS = 'arguments: "A0" arguments: "A1"'


def argv(command: str, image: dict[str, list[str]]) -> list[str] | str:
    """What Docker runs for a MESOS container of the image, or why the task is refused."""
    try:
        made = spec(f"command {{ {command} }} {MESOS}")
        if made.completes_image_command:
            made = complete_command(made, image)
    except InvalidTask as error:
        return str(error)
    entrypoint, cmd = made.body.get("Entrypoint"), made.body.get("Cmd")
    if entrypoint is None:
        entrypoint = image.get("Entrypoint", [])
        cmd = image.get("Cmd", []) if cmd is None else cmd
    return [*entrypoint, *(cmd or [])]


@pytest.mark.parametrize(
    ("command", "images", "expected"),
    [
        # The engine itself refuses a container without a command.
        ("shell: false", [NO_PROGRAM], []),
        ("shell: false", [ONLY_CMD], ["/bin/echo", "C0", "C1"]),
        ("shell: false", [ONLY_ENTRYPOINT], ["/entry", "E1"]),
        ("shell: false", [BOTH], ["/entry", "E1", "/bin/echo", "C0", "C1"]),
        (f"shell: false {ARGUMENTS}", [NO_PROGRAM], NO_EXECUTABLE),
        (f"shell: false {ARGUMENTS}", [{"Entrypoint": [], "Cmd": []}], NO_EXECUTABLE),
        (f"shell: false {ARGUMENTS}", [ONLY_CMD], ["/bin/echo", "A0", "A1"]),
        (f"shell: false {ARGUMENTS}", [ONLY_ENTRYPOINT, BOTH], ["/entry", "E1", "A0", "A1"]),
        ('shell: false value: "/v"', ANY_IMAGE, ["/v"]),
        (f'shell: false value: "/v" {ARGUMENTS}', ANY_IMAGE, ["/v", "A1"]),
        ("shell: true", ANY_IMAGE, SHELL_WITHOUT_VALUE),
        (f"shell: true {ARGUMENTS}", ANY_IMAGE, SHELL_WITHOUT_VALUE),
        ('shell: true value: "v"', ANY_IMAGE, ["/bin/sh", "-c", "v"]),
        (f'shell: true value: "v" {ARGUMENTS}', ANY_IMAGE, ["/bin/sh", "-c", "v"]),
    ],
)
def test_the_command_table_of_mesos_docker_runtime_isolator(
    command: str, images: list[dict[str, list[str]]], expected: list[str] | str
) -> None:
    assert [argv(command, image) for image in images] == [expected] * len(images)


def test_arguments_of_a_docker_container_replace_the_images_cmd() -> None:
    made = spec(f"command {{ shell: false {ARGUMENTS} }}")
    assert (made.body["Cmd"], made.completes_image_command) == (["A0", "A1"], False)


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
            f"Secrets by reference are not supported: {FIELD}.secret.reference 'vault'",
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


# --- where the command begins -----------------------------------------------------------------

SANDBOX = "/mnt/mesos/sandbox"
DEFAULT = {
    kind: text_format.Parse(text, ContainerInfo())
    for kind, text in {
        "MESOS": 'type: MESOS mesos { image { type: DOCKER docker { name: "base" } } }',
        "DOCKER": 'type: DOCKER docker { image: "base" }',
    }.items()
}


def begins_in(made: ContainerSpec, image: str = "") -> str | None:
    """The WorkingDir of the create, for an image with this WORKDIR; None: the image's own."""
    if made.default_workdir:
        made = complete_workdir(made, {"WorkingDir": image})
    workdir: str | None = made.body.get("WorkingDir")
    return workdir


def imageless() -> TaskInfo:
    bare = task()
    bare.ClearField("container")
    bare.container.type = ContainerInfo.MESOS
    return bare


def without_container(kind: str) -> ContainerSpec:
    bare = task()
    bare.ClearField("container")
    return spec_of(bare, default_container_info=DEFAULT[kind])


@pytest.mark.parametrize(
    ("made", "plain", "with_workdir"),
    [
        (spec(), None, None),
        (spec(MESOS), SANDBOX, None),
        (spec(MESOS, kind="triton"), SANDBOX, None),
        (pods.spec(pods.task()), SANDBOX, None),
        # The image stands for the host of a stock agent: its own directory does not count.
        (spec_of(imageless(), default_container_info=DEFAULT["DOCKER"]), SANDBOX, SANDBOX),
        (without_container("MESOS"), SANDBOX, None),
        (without_container("DOCKER"), None, None),
        (pods.own_container(pods.executor()), None, None),
    ],
    ids=["docker", "mesos", "triton", "pod", "no image", "default", "docker default", "infra"],
)
def test_a_command_begins_where_a_stock_agent_begins_it(
    made: ContainerSpec, plain: str | None, with_workdir: str | None
) -> None:
    assert (begins_in(made), begins_in(made, "/app")) == (plain, with_workdir)


@pytest.mark.parametrize("kind", ["MESOS", "DOCKER"])
def test_a_task_of_a_pod_without_a_container_begins_in_its_sandbox(kind: str) -> None:
    bare = pods.task()
    bare.ClearField("container")
    made = pods.spec(bare, default_container_info=DEFAULT[kind])
    assert begins_in(made, "/app") == SANDBOX


def test_a_parameter_says_where_the_command_begins() -> None:
    text = 'container { docker { parameters { key: "workdir" value: "/x" } } }'
    for made in (spec(text), spec(MESOS + text), pods.spec(pods.task(text))):
        assert begins_in(made, "/app") == "/x"
