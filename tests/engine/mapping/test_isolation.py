from __future__ import annotations

import pytest

from tests.engine.mapping.tasks import body, host, refusal, spec


def linux(text: str) -> str:
    return f"container {{ linux_info {{ {text} }} }}"


def rlimit(text: str) -> str:
    return f"container {{ rlimit_info {{ rlimits {{ {text} }} }} }}"


PRIVILEGED = "container { docker { privileged: true } }"
CAPABILITIES = "capabilities: NET_ADMIN capabilities: CHOWN"
SETTINGS = [
    (PRIVILEGED, {"Privileged": True}),
    (linux("shm_size: 64"), {"ShmSize": 64 * 2**20}),
    (linux("ipc_mode: PRIVATE"), {"IpcMode": "private"}),
    (linux("ipc_mode: SHARE_PARENT"), {"IpcMode": "host"}),
    (linux("share_pid_namespace: true"), {"PidMode": "host"}),
    (linux("seccomp { unconfined: true }"), {"SecurityOpt": ["seccomp=unconfined"]}),
    *(
        (
            linux(f"{name} {{ {CAPABILITIES} }}"),
            {"CapDrop": ["ALL"], "CapAdd": ["NET_ADMIN", "CHOWN"]},
        )
        for name in ("effective_capabilities", "bounding_capabilities", "capability_info")
    ),
    (linux("effective_capabilities { }"), {"CapDrop": ["ALL"], "CapAdd": []}),
    (
        rlimit("type: RLMT_NOFILE soft: 10 hard: 20"),
        {"Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}]},
    ),
    (rlimit("type: RLMT_CORE"), {"Ulimits": [{"Name": "core", "Soft": -1, "Hard": -1}]}),
    (
        rlimit("type: RLMT_NPROC soft: 5 hard: 18446744073709551615"),
        {"Ulimits": [{"Name": "nproc", "Soft": 5, "Hard": -1}]},
    ),
]


@pytest.mark.parametrize(("text", "expected"), SETTINGS)
def test_isolation_settings(text: str, expected: dict[str, object]) -> None:
    made = host(text)
    assert {name: made[name] for name in expected} == expected
    assert set(made) == set(host()) | set(expected)


@pytest.mark.parametrize(("text", "expected"), SETTINGS)
def test_on_triton_each_setting_is_refused_or_a_warning(
    text: str, expected: dict[str, object]
) -> None:
    assert refusal(text, kind="triton").startswith("Triton would ignore it")
    made = spec(text, kind="triton", triton_unsupported="warn")
    assert not set(expected) & set(made.body["HostConfig"])
    assert len(made.warnings) == 1


def test_the_effective_capabilities_win_over_the_bounding_ones() -> None:
    text = linux(
        "effective_capabilities { capabilities: KILL }"
        f" bounding_capabilities {{ {CAPABILITIES} }}"
    )
    assert host(text)["CapAdd"] == ["KILL"]


@pytest.mark.parametrize("kind", ["docker", "triton"])
def test_tty_info_allocates_a_terminal(kind: str) -> None:
    made = body("container { tty_info { } }", kind=kind)
    assert (made["Tty"], made["OpenStdin"]) == (True, True)
    made = spec("container { tty_info { window_size { rows: 2 columns: 3 } } }", kind=kind)
    assert made.warnings == (
        "container.tty_info.window_size: not used, a client that attaches sets its own",
    )


def test_settings_that_are_off_set_nothing() -> None:
    text = "container { docker { privileged: false } linux_info { share_pid_namespace: false } }"
    assert host(text, kind="triton") == host(kind="triton")


def test_a_cgroup_that_is_not_shared_is_a_warning() -> None:
    assert spec(linux("share_cgroups: false")).warnings == (
        "container.linux_info.share_cgroups false: not used, a container's cgroup is its own",
    )


FIELD = "container.linux_info"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            linux('seccomp { profile_name: "p.json" }'),
            "Seccomp profile names are not supported, only unconfined:"
            f" {FIELD}.seccomp.profile_name 'p.json'",
        ),
        (linux("ipc_mode: UNKNOWN"), f"Unknown IPC mode: {FIELD}.ipc_mode 'UNKNOWN'"),
        (
            linux("effective_capabilities { capabilities: KILL capabilities: UNKNOWN }"),
            f"Unknown capability: {FIELD}.effective_capabilities 'KILL, UNKNOWN'",
        ),
        (
            rlimit("type: UNKNOWN"),
            "Unknown resource limit: container.rlimit_info.rlimits[0].type 'UNKNOWN'",
        ),
        (
            rlimit("type: RLMT_NOFILE soft: 20 hard: 10"),
            "The soft limit must not be above the hard one:"
            " container.rlimit_info.rlimits[0].soft '20'",
        ),
    ],
)
def test_refused(text: str, message: str) -> None:
    assert refusal(text) == message
