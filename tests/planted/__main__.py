"""``scripts/planted``: plants one bug after the other in a copy of the tree and runs its tests."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.planted.bugs import BUGS, SIM, Bug

ROOT = Path(__file__).parents[2]
COPIED = ("shim", "tests", "setup.cfg", "pyproject.toml")
SEEDS = 2000
"""A bug that the simulation finds takes far fewer seeds; other bugs need a test."""
TIMEOUT = 300.0
"""Seconds for one run of tests, also on a busy machine. A run beyond it counts as a failure."""
MEMORY = 2_000_000
"""kB: a planted bug may fill the memory."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/planted", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("words", nargs="*", help="only bugs whose description has one of these")
    flags = parser.parse_args()
    bugs = [bug for bug in BUGS if not flags.words or any(w in bug.what for w in flags.words)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="planted-") as directory:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(flags.jobs):
            copies.put(_copy(Path(directory) / str(number)))
        with ThreadPoolExecutor(flags.jobs) as pool:
            missed = [bug for bug in pool.map(lambda bug: _try(bug, copies), bugs) if bug]
    took = time.monotonic() - began
    print(f"{len(bugs)} planted, {len(bugs) - len(missed)} found, in {took:.0f} s")
    return 1 if missed else 0


def _copy(target: Path) -> Path:
    target.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)
    return target


def _try(bug: Bug, copies: SimpleQueue[Path]) -> Bug | None:
    """The bug, if no test found it."""
    copy = copies.get()
    try:
        found = _plant(bug, copy)
    finally:
        copies.put(copy)
    print(f"{'found' if found else 'MISSED'}: {bug.what}: {found or bug.found_by}", flush=True)
    return None if found else bug


def _plant(bug: Bug, copy: Path) -> str | None:
    file = copy / bug.file
    sound = file.read_text(encoding="utf-8")
    if sound.count(bug.old) != 1:
        raise SystemExit(f"{bug.what}: {bug.file} has its text {sound.count(bug.old)} times")
    planted = sound.replace(bug.old, bug.new)
    compile(planted, bug.file, "exec")
    file.write_text(planted, encoding="utf-8")
    try:
        return next(filter(None, (_run(tests, copy) for tests in bug.found_by)), None)
    finally:
        file.write_text(sound, encoding="utf-8")


def _run(tests: str, copy: Path) -> str | None:
    """The first failure; None when all pass."""
    if tests == SIM:
        command = ["-m", "tests.sim", "--first", "0", "--seeds", str(SEEDS), "--jobs", "1"]
        prefix = "seed "
    else:
        command = ["-m", "pytest", "-x", "-q", "--timeout=120", "-p", "no:cacheprovider", tests]
        prefix = "FAILED "
    try:
        done = _python(command, copy)
    except subprocess.TimeoutExpired:
        return f"{tests} does not end"
    if done.returncode == 0:
        return None
    for line in done.stdout.splitlines():
        if line.startswith(prefix):
            return line[:150]
    if "MemoryError" in done.stdout + done.stderr:
        return f"{tests} runs out of memory"
    raise SystemExit(f"{tests} broke:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _python(command: list[str], copy: Path) -> subprocess.CompletedProcess[str]:
    # A file may change twice within one second: bytecode would be stale.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)}
    limited = f'ulimit -v {MEMORY}; exec "$@"'
    return subprocess.run(
        ["bash", "-c", limited, "planted", sys.executable, *command],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main())
