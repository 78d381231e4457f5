"""One process at a time in a work_dir."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shim.agent.work_dir_lock import lock_work_dir, work_dir_id
from shim.errors import FatalError


def test_a_second_process_is_rejected_until_the_first_has_ended(tmp_path: Path) -> None:
    held = lock_work_dir(tmp_path / "new")
    with pytest.raises(FatalError, match=rf"in use by another shim \(pid {os.getpid()}\)"):
        lock_work_dir(tmp_path / "new")
    os.close(held)
    os.close(lock_work_dir(tmp_path / "new"))


def test_a_path_that_is_no_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FatalError, match=f"--work_dir {tmp_path}/file/below"):
        lock_work_dir(tmp_path / "file" / "below")


def test_a_work_dir_has_an_id_of_its_own_at_each_start(tmp_path: Path) -> None:
    """Two containers with one host name and one path must not take each other for themselves."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    assert work_dir_id(one) == work_dir_id(one) != work_dir_id(two)
    (one / "journal.id").write_text("")
    assert len(work_dir_id(one)) == 32


def test_an_id_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match=r"journal\.id"):
        work_dir_id(tmp_path / "missing")
