"""Small questions that a shell cannot ask by itself, with nothing but Python's own library.

probe.py get URL [PATH]   the answer's text, or the JSON value at PATH (a.b.0); else 1
probe.py tasks URL        a line for each task of a master's /tasks
probe.py free ADDRESS PORT...   the first port that somebody listens on; 1 where all are free
"""

from __future__ import annotations

import json
import socket
import sys
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

SECONDS = 5.0


def get(url: str, path: str = "") -> str:
    # No proxy: these are addresses of this machine and of containers.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=SECONDS) as answer:
        text: str = answer.read().decode(errors="replace")
    if not path:
        return text
    value: Any = json.loads(text)
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value if isinstance(value, str) else json.dumps(value)


def tasks(url: str) -> str:
    found = json.loads(get(url))["tasks"]
    return "\n".join(f"task {task['id']} {task['state']}" for task in found) or "no task runs"


def taken(address: str, ports: list[str]) -> str | None:
    for port in ports:
        with socket.socket() as probe:
            # Connections of a server that has just ended do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, int(port)))
            except OSError:
                return port
    return None


ASK: Mapping[str, Callable[..., str]] = {"get": get, "tasks": tasks}


def main(argv: list[str]) -> int:
    if argv[0] in ASK:
        try:
            print(ASK[argv[0]](*argv[1:]))
        except (OSError, ValueError, LookupError, TypeError):
            return 1
        return 0
    port = taken(argv[1], argv[2:])
    if port is not None:
        print(port)
    return 0 if port is not None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
