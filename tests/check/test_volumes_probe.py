"""What the check says of persistent volumes."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.agent.journal import SqliteJournal, peek
from shim.check import volumes_probe
from shim.check.report import CheckFailed
from shim.check.volumes_probe import volumes
from shim.config import Config, load
from shim.errors import FatalError
from shim.model.container import LABEL_SHIM
from shim.model.records import SaveShimId, SaveVolume
from shim.model.volume import Volume, persistent_volume_name
from shim.protos.journal_pb2 import PersistentVolume
from tests.fakes.engine import FakeEngine

OWNER = "host-5051-1"


class Engine(FakeEngine):
    kind = "docker"
    missing = ""

    async def volumes_missing(self) -> str:
        return self.missing

    async def close(self) -> None:
        pass


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine(OWNER)

    async def connect(config: Config, shim_id: str) -> Engine:
        assert shim_id == OWNER
        return made

    monkeypatch.setattr(volumes_probe, "connect", connect)
    return made


def config(work_dir: Path, *flags: str) -> Config:
    arguments = ["--master=127.0.0.1:5050", "--ip=127.0.0.1", f"--work_dir={work_dir}"]
    return load([*arguments, f"--shim_id={OWNER}", *flags], {})


def name_of(persistence_id: str) -> str:
    return persistent_volume_name(OWNER, "db", persistence_id, 0)


def put(engine: Engine, *names: str) -> None:
    for name in names:
        engine.volumes[name] = Volume(name, {LABEL_SHIM: OWNER})


async def test_volumes_that_no_record_knows_are_named_with_the_command(
    engine: Engine, tmp_path: Path
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    kept = PersistentVolume(role="db", persistence_id="known").SerializeToString()
    await journal.commit([SaveShimId(OWNER), SaveVolume(name_of("known"), kept)])
    put(engine, name_of("known"), name_of("lost"), "another")
    # The agent may run meanwhile.
    found = await volumes(config(tmp_path))
    journal.close()
    assert found == (
        "local: 2 persistent volumes of this agent; 1 that no record knows are kept; to remove "
        f"them: docker volume rm {name_of('lost')}"
    )
    assert set(engine.volumes) == {name_of("known"), name_of("lost"), "another"}


async def test_without_a_journal_no_volume_is_known(engine: Engine, tmp_path: Path) -> None:
    assert (await volumes(config(tmp_path))).endswith(
        "0 persistent volumes of this agent, all of them known"
    )
    put(engine, name_of("lost"))
    assert f"docker volume rm {name_of('lost')}" in await volumes(config(tmp_path))


async def test_a_driver_that_does_not_exist_fails(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="--volume_driver=nosuch: error looking up"):
        await volumes(config(tmp_path, "--volume_driver=nosuch"))
    assert not engine.volumes


async def test_an_endpoint_without_volumes_is_no_failure(engine: Engine, tmp_path: Path) -> None:
    engine.missing = "Volumes are not supported"
    assert await volumes(config(tmp_path)) == (
        "none: Volumes are not supported; tasks with persistent volumes are refused by name"
    )


async def test_a_damaged_journal_is_named(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(FatalError, match="journal"):
        peek(path)
    with pytest.raises(CheckFailed, match="journal"):
        await volumes(config(tmp_path))
