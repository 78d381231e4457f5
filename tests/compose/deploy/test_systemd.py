from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from shim.config.flags import FLAGS

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "compose/deploy/systemd/mesos-shim.service"


@pytest.mark.needs_systemd
def test_the_unit_is_valid_and_hardened(tmp_path: Path) -> None:
    program = shutil.which("true")
    assert program is not None
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/mesos-shim/bin/mesos-shim", program))
    secrets = tmp_path / f"{UNIT.name}.d" / "secrets.conf"
    secrets.parent.mkdir()
    secrets.write_text((UNIT.parent / "secrets.conf.example").read_text())
    for arguments in (
        ["verify", "--man=no", str(unit)],
        ["security", "--offline=true", "--threshold=20", "--no-pager", str(unit)],
    ):
        done = subprocess.run(
            ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_the_watchdog_is_answered_often_enough_and_wrong_flags_end_the_service() -> None:
    text = UNIT.read_text()
    for line in ("Type=notify", "WatchdogSec=60", "RestartPreventExitStatus=2", "StateDirectory="):
        assert f"\n{line}" in text


def test_the_example_names_flags_of_the_agent() -> None:
    examples = (UNIT.parent / name for name in ("agent.env.example", "secrets.conf.example"))
    text = UNIT.read_text() + "".join(example.read_text() for example in examples)
    names = re.findall(r"\bMESOS_([A-Z_]+)=", text)
    assert len(names) >= 5
    assert [name for name in names if name.lower() not in FLAGS] == []
