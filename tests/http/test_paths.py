"""Which sandbox a virtual path names, and which paths are refused."""

from __future__ import annotations

import pytest

from shim.http.paths import Inaccessible, SandboxPath, resolve
from shim.model.container import Ref
from shim.model.ids import ContainerId
from tests.http.page_data import FRAMEWORK, PageData, accept_task, end_task, run_task

WORK_DIR = "/var/lib/shim"


def path(ref: Ref, run: str = "", base: str = WORK_DIR + "/slaves/any") -> str:
    key = ref.task_key
    run = run or ref.container_id
    return f"{base}/frameworks/{key.framework_id}/executors/{key.task_id}/runs/{run}"


def find(page_data: PageData, wanted: str, work_dir: str = WORK_DIR) -> SandboxPath | None:
    return resolve(wanted, work_dir, page_data.core.view, page_data.outputs)


def running(page_data: PageData, task: str = "t") -> Ref:
    ref = accept_task(page_data.core, task)
    run_task(page_data.core, ref)
    return ref


@pytest.mark.parametrize("base", [WORK_DIR + "/slaves/any", "/slaves/any", ""])
@pytest.mark.parametrize("which", ["", "latest"])
def test_each_path_of_a_sandbox_finds_it(page_data: PageData, base: str, which: str) -> None:
    ref = running(page_data)
    assert find(page_data, path(ref, which, base)) == SandboxPath(ref, True, "")


@pytest.mark.parametrize(
    ("after", "inside"),
    [("", ""), ("/", ""), ("/stdout", "stdout"), ("//logs//a.txt/", "logs/a.txt"), ("/..a", "..a")],
)
def test_the_rest_of_a_path_is_inside_the_sandbox(
    page_data: PageData, after: str, inside: str
) -> None:
    ref = running(page_data)
    assert find(page_data, path(ref) + after) == SandboxPath(ref, True, inside)


@pytest.mark.parametrize("after", ["/..", "/../x", "/a/../b", "/.", "/a\0b"])
def test_dot_segments_and_nul_are_inaccessible(page_data: PageData, after: str) -> None:
    with pytest.raises(Inaccessible):
        find(page_data, path(running(page_data)) + after)


@pytest.mark.parametrize("wanted", ["", "/", "/etc/passwd", WORK_DIR, WORK_DIR + "/slaves/S"])
def test_other_paths_are_not_found(page_data: PageData, wanted: str) -> None:
    running(page_data)
    assert find(page_data, wanted) is None


def test_an_unknown_container_or_task_is_not_found(page_data: PageData) -> None:
    ref = running(page_data)
    assert find(page_data, path(ref, "other")) is None
    assert find(page_data, path(Ref(ref.task_key._replace(task_id="x"), ref.container_id))) is None  # type: ignore[arg-type]


def test_the_sandbox_of_an_ended_task_is_found_and_not_live(page_data: PageData) -> None:
    ref = running(page_data)
    end_task(page_data.core, ref, acknowledged=True)
    page_data.core.tasks.pending_removals.removed(ref)
    assert find(page_data, path(ref)) == SandboxPath(ref, False, "")
    assert find(page_data, path(ref, "latest")) == SandboxPath(ref, False, "")


def test_latest_is_the_newest_run(page_data: PageData) -> None:
    first = running(page_data)
    end_task(page_data.core, first, acknowledged=True)
    second = running(page_data)
    assert find(page_data, path(first, "latest")) == SandboxPath(second, True, "")
    found = find(page_data, path(first))
    assert found is not None
    assert found.ref == first


def test_a_task_of_an_earlier_process_is_found_through_its_outputs(page_data: PageData) -> None:
    old = Ref(running(page_data, "other").task_key._replace(task_id="old"), ContainerId("c"))  # type: ignore[arg-type]
    assert find(page_data, path(old)) is None
    page_data.outputs.known.add(old)
    assert find(page_data, path(old)) == SandboxPath(old, False, "")
    assert find(page_data, path(old, "latest")) == SandboxPath(old, False, "")
    assert FRAMEWORK in path(old)
