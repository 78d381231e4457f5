"""The secret of executors' tokens outlives restarts and is for nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.agent.executor_service import load_or_make_secret
from shim.errors import FatalError


def test_the_secret_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "executor_secret"
    secret = load_or_make_secret(path)
    assert len(secret) == 32
    assert load_or_make_secret(path) == secret
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_make_secret(tmp_path / "other") != secret


def test_a_damaged_or_unreadable_secret_is_fatal(tmp_path: Path) -> None:
    path = tmp_path / "executor_secret"
    path.write_bytes(b"short")
    with pytest.raises(FatalError, match="5 bytes"):
        load_or_make_secret(path)
    with pytest.raises(FatalError, match="No such file"):
        load_or_make_secret(tmp_path / "missing" / "executor_secret")
