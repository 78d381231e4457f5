from __future__ import annotations
import asyncio, json, os, signal, base64
from typing import Any
import pytest
from tests.e2e.conftest import System, system
from tests.devmaster.conftest import master
from tests.devmaster.raw_framework import RawFramework
from tests.e2e.agents import agents_of, eventually
from tests.e2e.client import task
from tests.e2e.test_unusual import a_task, GENTLE

STUBBORN = "trap '' TERM; while :; do sleep 0.1; done"


async def launch(f, *tasks, ops=()):
    o = await f.offer()
    r = await f.accept(o, *ops, {"type": "LAUNCH", "launch": {"task_infos": list(tasks)}})
    assert r[0] == 202, r
    return o


def ns(x):
    return {"grace_period": {"nanoseconds": x}}


async def until(f, tid, states, timeout=20):
    async with asyncio.timeout(timeout):
        while True:
            s = await f.status()
            print(
                s["task_id"]["value"],
                s["state"],
                s.get("source"),
                s.get("reason"),
                s.get("message", "")[:90],
            )
            if "uuid" in s:
                await f.call("ACKNOWLEDGE", {n: s[n] for n in ("agent_id", "task_id", "uuid")})
            if s["task_id"]["value"] == tid and s["state"] in states:
                return s


async def test_reconcile(system):
    await system.agent()
    async with RawFramework(system.master) as f:
        o = await launch(f, a_task(system, "run"), a_task(system, "end", "exit 3"))
        await until(f, "end", ["TASK_FAILED"])
        await until(f, "run", ["TASK_RUNNING"]) if not any(
            e["type"] == "UPDATE"
            and e["update"]["status"]["task_id"]["value"] == "run"
            and e["update"]["status"]["state"] == "TASK_RUNNING"
            for e in f.events
        ) else None
        await f.call("RECONCILE", {"tasks": []})
        s = await f.status()
        print("IMPL", json.dumps(s)[:600])
        for t, a in (("run", True), ("end", True), ("nix", True), ("nix", False)):
            x = {"task_id": {"value": t}}
            if a:
                x["agent_id"] = o["agent_id"]
            await f.call("RECONCILE", {"tasks": [x]})
            s = await f.status()
            print("EXPL", t, a, s["state"], s.get("reason"), s.get("container_status"))
        print(
            "MSG",
            await f.call(
                "MESSAGE",
                {
                    "agent_id": o["agent_id"],
                    "executor_id": {"value": "run"},
                    "data": base64.b64encode(b"hi").decode(),
                },
            ),
        )
        # kill of ended and unknown
        print(await f.call("KILL", {"task_id": {"value": "end"}, "agent_id": o["agent_id"]}))
        s = await f.status()
        print("KILL ended", s["state"], s.get("reason"), s.get("source"))
        await f.call("KILL", {"task_id": {"value": "never"}, "agent_id": o["agent_id"]})
        s = await f.status()
        print("KILL never", s["state"], s.get("reason"), s.get("source"))
        print(
            "SHUT",
            await f.call("SHUTDOWN", {"executor_id": {"value": "run"}, "agent_id": o["agent_id"]}),
        )
        await until(f, "run", ["TASK_KILLED", "TASK_FAILED"])


async def test_kill_policies(system):
    await system.agent()
    async with RawFramework(
        system.master, capabilities=[{"type": "TASK_KILLING_STATE"}, {"type": "MULTI_ROLE"}]
    ) as f:
        o = await launch(f, *(a_task(system, n, STUBBORN) for n in ("zero", "huge", "neg")))
        up = set()
        while len(up) < 3:
            s = await until(f, None or "", []) if False else await f.status()
            await f.call("ACKNOWLEDGE", {n: s[n] for n in ("agent_id", "task_id", "uuid")})
            if s["state"] == "TASK_RUNNING":
                up.add(s["task_id"]["value"])
        for n, v in (("zero", 0), ("neg", -5 * 10**9)):
            print(
                n,
                await f.call(
                    "KILL",
                    {"task_id": {"value": n}, "agent_id": o["agent_id"], "kill_policy": ns(v)},
                ),
            )
            if n == "zero":
                await until(f, n, ["TASK_KILLED"], 8)
            else:
                try:
                    await until(f, n, ["TASK_KILLED"], 8)
                except TimeoutError:
                    print("neg: no end")
        print(
            "huge",
            await f.call(
                "KILL",
                {
                    "task_id": {"value": "huge"},
                    "agent_id": o["agent_id"],
                    "kill_policy": ns(2**63 - 1),
                },
            ),
        )
        await until(f, "huge", ["TASK_KILLING"], 8)
        await asyncio.sleep(2)
        print(
            "again",
            await f.call(
                "KILL",
                {"task_id": {"value": "huge"}, "agent_id": o["agent_id"], "kill_policy": ns(0)},
            ),
        )
        await until(f, "huge", ["TASK_KILLED"], 8)
        # double kill
        await launch(f, a_task(system, "dk", STUBBORN))
        await until(f, "dk", ["TASK_RUNNING"])
        for _ in range(5):
            await f.call(
                "KILL",
                {"task_id": {"value": "dk"}, "agent_id": o["agent_id"], "kill_policy": ns(10**9)},
            )
        await until(f, "dk", ["TASK_KILLED"], 12)
        # kill policy huge in task, huge max_completion
        await launch(
            f,
            a_task(
                system,
                "tp",
                STUBBORN,
                kill_policy=ns(2**63 - 1),
                max_completion_time={"nanoseconds": 2**63 - 1},
            ),
        )
        await until(f, "tp", ["TASK_RUNNING"])
        await f.call("KILL", {"task_id": {"value": "tp"}, "agent_id": o["agent_id"]})
        await until(f, "tp", ["TASK_KILLING"])
        await f.call(
            "KILL", {"task_id": {"value": "tp"}, "agent_id": o["agent_id"], "kill_policy": ns(1)}
        )
        await until(f, "tp", ["TASK_KILLED"])
    print(system.agents[0].log[-3000:])


def res(name, v, role, **kw):
    return {
        "name": name,
        "type": "SCALAR",
        "scalar": {"value": v},
        "allocation_info": {"role": role},
        **kw,
    }


async def test_reserve(system):
    agent = await system.agent()
    async with RawFramework(system.master, roles=["eng/x"], principal="p") as f:
        o = await f.offer()
        reservations = [
            {
                "type": "DYNAMIC",
                "role": "eng/x",
                "principal": "p",
                "labels": {"labels": [{"key": "a", "value": "b"}]},
            }
        ]
        r = [
            res("cpus", 0.1, "eng/x", reservations=reservations),
            res("mem", 32, "eng/x", reservations=reservations),
            res("disk", 64, "eng/x", reservations=reservations),
        ]
        t = a_task(system, "res")
        t["resources"] = r[:2]
        print(
            await f.accept(
                o,
                {"type": "RESERVE", "reserve": {"resources": r}},
                {"type": "LAUNCH", "launch": {"task_infos": [t]}},
            )
        )
        await until(f, "res", ["TASK_RUNNING"])
        print(agent.log[-600:])
        o = await f.offer()
        vol = res(
            "disk",
            64,
            "eng/x",
            reservations=reservations,
            disk={
                "persistence": {"id": "v1", "principal": "p"},
                "volume": {"container_path": "data", "mode": "RW"},
            },
        )
        t2 = a_task(system, "vol")
        t2["resources"] = [res("cpus", 0.1, "eng/x"), res("mem", 32, "eng/x"), vol]
        print(
            await f.accept(
                o,
                {"type": "CREATE", "create": {"volumes": [vol]}},
                {"type": "LAUNCH", "launch": {"task_infos": [t2]}},
            )
        )
        await until(f, "vol", ["TASK_FAILED", "TASK_ERROR", "TASK_DROPPED"])
        # restart with reservations, running task
        await agent.kill()
        await agent.start()
        await agent.said("re-registered")
        o = await f.offer()
        print(json.dumps([x for x in o["resources"]])[:1500])
        t3 = a_task(system, "plain")
        t3["resources"] = [res("cpus", 0.1, "eng/x"), res("mem", 32, "eng/x")]
        print(
            await f.accept(
                o,
                {"type": "DESTROY", "destroy": {"volumes": [vol]}},
                {"type": "UNRESERVE", "unreserve": {"resources": [r[2]]}},
                {"type": "LAUNCH", "launch": {"task_infos": [t3]}},
            )
        )
        await until(f, "plain", ["TASK_RUNNING"])
        a = (await agents_of(system.master))[0]
        print(a["reserved_resources"], a["used_resources"])
        for n in ("plain", "res"):
            await f.call("KILL", {"task_id": {"value": n}, "agent_id": o["agent_id"]})
            await until(f, n, ["TASK_KILLED"])
        o = await f.offer()
        print(await f.accept(o, {"type": "UNRESERVE", "unreserve": {"resources": r[:2]}}))
        await asyncio.sleep(2)
        a = (await agents_of(system.master))[0]
        print(a["reserved_resources"], a["used_resources"])
        await agent.kill()
        await agent.start()
        await agent.said("re-registered")
    print(agent.log[-3000:])


async def test_never_acks(system):
    agent = await system.agent()
    async with RawFramework(system.master) as f:
        await launch(f, a_task(system, "na", "sleep 1; exit 5"), a_task(system, "nb"))
        await asyncio.sleep(3)
        fid = f.id
    await asyncio.sleep(1)
    await agent.kill()
    await agent.start()
    await agent.said("re-registered")
    async with RawFramework(system.master, id=fid) as f:
        await until(f, "na", ["TASK_FAILED"])
        st = []
        await f.call("KILL", {"task_id": {"value": "nb"}})
        await until(f, "nb", ["TASK_KILLED"])
        o = await f.offer()
        print([(r["name"], r.get("scalar")) for r in o["resources"]])


async def test_sigstop(system):
    agent = await system.agent()
    async with RawFramework(system.master) as f:
        await launch(f, a_task(system, "st"), a_task(system, "gone", "sleep 4; exit 4"))
        await until(f, "st", ["TASK_RUNNING"])
        os.kill(agent.pid, signal.SIGSTOP)
        await asyncio.sleep(9)
        os.kill(agent.pid, signal.SIGCONT)
        await until(f, "gone", ["TASK_FAILED"])
        await f.call("RECONCILE", {"tasks": []})
        await until(f, "st", ["TASK_RUNNING"])
        await f.call("KILL", {"task_id": {"value": "st"}})
        await until(f, "st", ["TASK_KILLED"])
    print(agent.log[-3000:])


async def test_fast(system):
    agent = await system.agent()
    async with system.framework() as f:
        names = [f"f{n}" for n in range(40)]
        await f.launch(*(a_task(system, n, "exit 0", cpus=0.01, mem=8) for n in names))
        for n in names:
            await f.end(n, 60)
        from collections import Counter

        print(Counter(tuple(f.states(n)) for n in names))


async def test_two_agents_two_frameworks(system):
    a = await system.agent("--resources=cpus:4;mem:8000")
    b = await system.agent("--resources=cpus:4;mem:8000")
    async with system.framework(name="1") as f, system.framework(name="2") as g:
        names = [f"t{n}" for n in range(40)]
        for fw in (f, g):
            for n in names:
                await fw.launch(a_task(system, n, "sleep 1", cpus=0.05, mem=8))
        for fw in (f, g):
            for n in names:
                assert (await fw.end(n, 90))["state"] == "TASK_FINISHED"
        await a.kill()
        await a.start()
        await a.said("re-registered")
    assert "removing" not in a.log


async def test_leave_during_launch(system):
    a = await system.agent()
    async with system.framework() as f:
        await f.launch(*(a_task(system, f"t{n}", cpus=0.01, mem=8) for n in range(20)))
        await f.state("t0", "TASK_STARTING")
        await a.end(signal.SIGTERM)
        await asyncio.sleep(1)
        await a.start()
        await a.said("re-registered")
        for n in range(20):
            await f.state(f"t{n}", "TASK_RUNNING", 40)
        print("usr1", await a.end(signal.SIGUSR1, 40))
        from collections import Counter

        print(Counter(tuple(f.states(f"t{n}")) for n in range(20)))
        print(a.log[-1500:])
        await system.no_containers()
        print([x["id"] for x in await agents_of(system.master)])
        await a.start()
        await a.said("registered with")
        print(a.log[-300:])
