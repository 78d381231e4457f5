"""An ordinary framework in a process of its own: unmodified pymesos, driven by JSON lines.

    python tests/e2e/scheduler.py '{"master": "127.0.0.1:5050", "framework": {...}}'

One command a line on stdin (``{"do": ...}``), one event a line on stdout (``{"event": ...}``).
Offers are held until a launch wants one. See ``tests/e2e/client.py`` for the other side.
"""

# ruff: noqa: N802, N803 - pymesos names its callbacks so

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from shim.run import http_parser_compat

http_parser_compat.provide()

from pymesos import MesosSchedulerDriver, Scheduler  # noqa: E402

Json = dict[str, Any]

FRAMEWORK: Json = {
    "user": "root",
    "name": "e2e",
    "roles": ["*"],
    "capabilities": [
        {"type": "MULTI_ROLE"},
        {"type": "PARTITION_AWARE"},
        {"type": "TASK_KILLING_STATE"},
    ],
    "checkpoint": True,
    "failover_timeout": 600,
}

_printing = threading.Lock()


def say(event: str, **body: object) -> None:
    with _printing:
        print(json.dumps({"event": event, **body}), flush=True)


class Reporter(Scheduler):  # type: ignore[misc]
    """Tells everything that happens; launches when told to and offers are there."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.offers: dict[str, Json] = {}
        self.waiting: list[Json] = []
        self.acknowledge = True

    # ---- events -----------------------------------------------------------------------------

    def registered(self, driver: Any, frameworkId: Json, masterInfo: Json) -> None:
        say("registered", framework_id=frameworkId["value"], master=masterInfo)

    def reregistered(self, driver: Any, masterInfo: Json) -> None:
        with self.lock:
            self.offers.clear()
        say("reregistered", framework_id=driver.framework_id, master=masterInfo)

    def disconnected(self, driver: Any) -> None:
        with self.lock:
            self.offers.clear()
        say("disconnected")

    def processHeartBeat(self, driver: Any) -> None:
        say("heartbeat")

    def resourceOffers(self, driver: Any, offers: list[Json]) -> None:
        say("offers", offers=offers)
        with self.lock:
            self.offers.update({offer["id"]["value"]: offer for offer in offers})
            self.use(driver)

    def offerRescinded(self, driver: Any, offerId: Json) -> None:
        with self.lock:
            self.offers.pop(offerId["value"], None)
        say("rescinded", offer_id=offerId["value"])

    def statusUpdate(self, driver: Any, update: Json) -> None:
        say("update", status=update)
        if self.acknowledge:
            driver.acknowledgeStatusUpdate(update)

    def operationStatusUpdate(self, driver: Any, update: Json) -> None:
        say("operation", status=update)
        if self.acknowledge and "uuid" in update:
            acknowledge_operation(driver, update)

    def frameworkMessage(self, driver: Any, executorId: Json, slaveId: Json, message: str) -> None:
        say("message", executor_id=executorId["value"], agent_id=slaveId["value"], data=message)

    def slaveLost(self, driver: Any, slaveId: Json) -> None:
        say("agent_lost", agent_id=slaveId["value"])

    def executorLost(self, driver: Any, executorId: Json, slaveId: Json, status: int) -> None:
        say("executor_lost", executor_id=executorId["value"], status=status)

    def error(self, driver: Any, message: str) -> None:
        say("error", message=message)

    # ---- commands ---------------------------------------------------------------------------

    def use(self, driver: Any) -> None:
        """Spend held offers on waiting operations, all of a command on one offer."""
        for command in list(self.waiting):
            fitting = [o for o in self.offers.values() if meets(o, command.get("where", {}))]
            if "volume" in command:
                fitting = [o for o in fitting if command["volume"] in volumes_of(o)]
            if not fitting:
                continue
            offer = self.offers.pop(fitting[-1]["id"]["value"])
            self.waiting.remove(command)
            operations = [place(o, offer["agent_id"]) for o in command["operations"]]
            filters = {"refuse_seconds": command.get("refuse_seconds", 0)}
            driver.acceptOffers(offer["id"], operations, filters)
            for task_id in command.get("kill", ()):
                driver.killTask({"value": task_id})

    def obey(self, driver: Any, command: Json) -> bool:
        """False: the end."""
        do = command["do"]
        with self.lock:
            if do == "accept":
                self.waiting.append(command)
                self.use(driver)
            elif do == "decline":
                for offer in list(self.offers.values()):
                    seconds = command.get("refuse_seconds", 5)
                    driver.declineOffer(offer["id"], {"refuse_seconds": seconds})
                self.offers.clear()
            elif do == "kill":
                kill(driver, command["task_id"], command.get("policy"))
            elif do == "reconcile":
                driver.reconcileTasks([{"task_id": {"value": t}} for t in command["tasks"]])
            elif do == "acknowledging":
                self.acknowledge = command["on"]
            elif do == "acknowledge":
                driver.acknowledgeStatusUpdate(command["status"])
            elif do == "revive":
                driver.reviveOffers(command.get("roles", ()))
            elif do == "suppress":
                driver.suppressOffers(command.get("roles", ()))
            elif do == "message":
                driver.sendFrameworkMessage(
                    {"value": command["executor_id"]},
                    {"value": command["agent_id"]},
                    command["data"],
                )
            elif do == "stop":
                driver.stop(command.get("failover", False))
                return False
            else:
                say("error", message=f"unknown command {do}")
        return True


def kill(driver: Any, task_id: str, policy: Json | None) -> None:
    """With a kill policy, which pymesos has no word for."""
    if policy is None:
        driver.killTask({"value": task_id})
        return
    wanted = {"task_id": {"value": task_id}, "kill_policy": policy}
    framework_id = {"value": driver.framework_id}
    driver._send({"type": "KILL", "framework_id": framework_id, "kill": wanted})


def acknowledge_operation(driver: Any, update: Json) -> None:
    """For which pymesos has no word either."""
    body = {
        "agent_id": update["agent_id"],
        "operation_id": update["operation_id"],
        "uuid": update["uuid"]["value"],
    }
    kind = "ACKNOWLEDGE_OPERATION_STATUS"
    framework_id = {"value": driver.framework_id}
    driver._send({"type": kind, "framework_id": framework_id, kind.lower(): body})


def meets(offer: Json, where: dict[str, str]) -> bool:
    """Whether the offer's agent has these attributes, as Marathon's CLUSTER demands it."""
    texts = {a["name"]: a["text"]["value"] for a in offer.get("attributes", ()) if "text" in a}
    return where.items() <= texts.items()


def volumes_of(offer: Json) -> set[str]:
    """The ids of the persistent volumes among its resources."""
    disks = [each["disk"] for each in offer["resources"] if "disk" in each]
    return {disk["persistence"]["id"] for disk in disks if "persistence" in disk}


def place(operation: Json, agent_id: Json) -> Json:
    """The operation with the offer's agent filled in where a TaskInfo needs it."""
    for task in operation.get("launch", {}).get("task_infos", []):
        task["agent_id"] = agent_id
    for task in operation.get("launch_group", {}).get("task_group", {}).get("tasks", []):
        task["agent_id"] = agent_id
    return operation


def main() -> None:
    settings = json.loads(sys.argv[1])
    framework = {**FRAMEWORK, **settings.get("framework", {})}
    reporter = Reporter()
    driver = MesosSchedulerDriver(
        reporter,
        {name: value for name, value in framework.items() if value is not None},
        settings["master"],
        implicit_acknowledgements=False,
    )
    driver.start()
    try:
        for line in sys.stdin:
            if not reporter.obey(driver, json.loads(line)):
                break
        else:
            driver.stop(failover=True)
        driver.join()
    except KeyboardInterrupt:
        say("error", message="the driver aborted")
        sys.exit(1)


if __name__ == "__main__":
    main()
