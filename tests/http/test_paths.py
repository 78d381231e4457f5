"""Which task's sandbox a path means, under each of its names, and what leads out of all."""

from __future__ import annotations

import pytest

from shim.http.paths import Inaccessible, Sandbox, resolve
from shim.model.container import Ref
from shim.model.ids import ContainerId
from tests.http.world import FRAMEWORK, World, accept, end, run

WORK_DIR = "/var/lib/shim"


def path(ref: Ref, run: str = "", base: str = WORK_DIR + "/slaves/any") -> str:
    key = ref.key
    run = run or ref.container_id
    return f"{base}/frameworks/{key.framework_id}/executors/{key.task_id}/runs/{run}"


def look(world: World, wanted: str, work_dir: str = WORK_DIR) -> Sandbox | None:
    return resolve(wanted, work_dir, world.core.view, world.outputs)


def running(world: World, task: str = "t") -> Ref:
    ref = accept(world.core, task)
    run(world.core, ref)
    return ref


@pytest.mark.parametrize("base", [WORK_DIR + "/slaves/any", "/slaves/any", ""])
@pytest.mark.parametrize("which", ["", "latest"])
def test_each_name_of_a_sandbox_means_it(world: World, base: str, which: str) -> None:
    ref = running(world)
    assert look(world, path(ref, which, base)) == Sandbox(ref, True, "")


@pytest.mark.parametrize(
    ("after", "inside"),
    [("", ""), ("/", ""), ("/stdout", "stdout"), ("//logs//a.txt/", "logs/a.txt"), ("/..a", "..a")],
)
def test_what_follows_is_inside(world: World, after: str, inside: str) -> None:
    ref = running(world)
    assert look(world, path(ref) + after) == Sandbox(ref, True, inside)


@pytest.mark.parametrize("after", ["/..", "/../x", "/a/../b", "/.", "/a\0b"])
def test_what_leads_out_is_inaccessible(world: World, after: str) -> None:
    with pytest.raises(Inaccessible):
        look(world, path(running(world)) + after)


@pytest.mark.parametrize("wanted", ["", "/", "/etc/passwd", WORK_DIR, WORK_DIR + "/slaves/S"])
def test_other_paths_are_no_sandbox(world: World, wanted: str) -> None:
    running(world)
    assert look(world, wanted) is None


def test_an_unknown_container_is_no_sandbox(world: World) -> None:
    ref = running(world)
    assert look(world, path(ref, "other")) is None
    assert look(world, path(Ref(ref.key._replace(task_id="x"), ref.container_id))) is None  # type: ignore[arg-type]


def test_an_ended_task_has_one_but_nothing_lives_in_it(world: World) -> None:
    ref = running(world)
    end(world.core, ref, acknowledged=True)
    world.core.tasks.pending_removals.removed(ref)
    assert look(world, path(ref)) == Sandbox(ref, False, "")
    assert look(world, path(ref, "latest")) == Sandbox(ref, False, "")


def test_latest_is_the_newest_of_several_runs(world: World) -> None:
    first = running(world)
    end(world.core, first, acknowledged=True)
    second = running(world)
    assert look(world, path(first, "latest")) == Sandbox(second, True, "")
    found = look(world, path(first))
    assert found is not None
    assert found.ref == first


def test_of_an_earlier_life_the_outputs_know(world: World) -> None:
    old = Ref(running(world, "other").key._replace(task_id="old"), ContainerId("c"))  # type: ignore[arg-type]
    assert look(world, path(old)) is None
    world.outputs.latest = lambda key: old if key == old.key else None  # type: ignore[method-assign,assignment]
    world.outputs.knows = old.__eq__  # type: ignore[method-assign,assignment]
    assert look(world, path(old)) == Sandbox(old, False, "")
    assert look(world, path(old, "latest")) == Sandbox(old, False, "")
    assert FRAMEWORK in path(old)
