"""One process at a time in a work_dir."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shim.agent.work_dir_lock import lock_work_dir
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
