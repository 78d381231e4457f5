"""What a task inside an executor writes down, as ``tests.e2e.faults.evidence`` reads it.

Where no directory for diaries is mounted nothing is written, and an executor lives on without
tasks.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

DIRECTORY = Path("/evidence")
IDLE = 2.0
"""Seconds without a task until an executor exits: the next task then starts another one."""
REGISTERED_WITHIN = 8.0
"""An executor that loses its agent before it has registered exits, as Mesos' driver does."""


def say(task_id: str, *words: str) -> None:
    if DIRECTORY.is_dir():
        with (DIRECTORY / task_id).open("a") as diary:
            diary.write(f"{' '.join(words)} {time.monotonic()} {socket.gethostname()}\n")


def watch(registered: Callable[[], bool], busy: Callable[[], bool]) -> None:
    """Exit when the executor is idle, or was not registered in time."""
    if DIRECTORY.is_dir():
        threading.Thread(target=_watch, args=(registered, busy), daemon=True).start()


def _watch(registered: Callable[[], bool], busy: Callable[[], bool]) -> None:
    began = last_busy = time.monotonic()
    while True:
        time.sleep(0.1)
        now = time.monotonic()
        if busy() or not registered():
            last_busy = now
        if not registered() and now - began > REGISTERED_WITHIN:
            os._exit(1)
        if now - last_busy > IDLE:
            os._exit(0)
