"""Alert rules by Debian's promtool, and every panel of the dashboard by its Prometheus."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.compose.deploy.metrics_page import HISTOGRAMS, PROCESS, documented, page
from tests.support.ports import free_port
from tests.support.wait import until

ROOT = Path(__file__).parents[3]
RULES = ROOT / "compose/deploy/prometheus/mesos-shim.rules.yml"
DASHBOARD = json.loads(
    (ROOT / "compose/deploy/grafana/mesos-shim.json").read_text(encoding="utf-8")
)
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
CONFIG = """
global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}
rule_files: ['{rules}']
scrape_configs:
  - job_name: mesos-shim
    static_configs: [targets: ['127.0.0.1:{port}']]
"""


def test_rules_and_dashboard_use_documented_metrics() -> None:
    known = {f"mesos_shim_{name}" for name in documented()}
    for name in HISTOGRAMS:
        known |= {f"mesos_shim_{name}_{part}" for part in ("bucket", "count", "sum")}
    text = RULES.read_text(encoding="utf-8")
    recorded = set(re.findall(r"record: (\S+)", text))
    for query in [*QUERIES, text]:
        used = set(re.findall(r"\bmesos_shim_\w+", query))
        assert used <= known, used - known
        assert set(re.findall(r"\bmesos_shim:[\w:]+", query)) <= recorded
    assert set(re.findall(r"\bprocess_\w+", str(QUERIES))) <= set(PROCESS)


def test_every_alarm_of_the_readme_has_an_alert() -> None:
    readme = (ROOT / "shim/http/README.md").read_text(encoding="utf-8")
    alarms = readme[readme.index("### Alarms") : readme.index("## Sandboxes and logs")]
    names = re.findall(r"^\| `(\w+)", alarms, re.MULTILINE)
    alerts = RULES.read_text(encoding="utf-8").partition("mesos-shim-alerts")[2]
    assert len(names) >= 8
    assert [name for name in names if f"mesos_shim_{name}" not in alerts] == []


def test_grafana_is_given_the_dashboard_and_its_data_source() -> None:
    """Where the compose file mounts the dashboard is where Grafana is told to look."""
    provisioning = ROOT / "compose/deploy/grafana/provisioning"
    compose = (ROOT / "compose/docker-compose.yml").read_text(encoding="utf-8")
    providers = (provisioning / "dashboards/mesos-shim.yml").read_text(encoding="utf-8")
    found = re.search(r"^ +path: (\S+)$", providers, re.MULTILINE)
    assert found is not None
    assert f"mesos-shim.json:{found[1]}/mesos-shim.json:ro" in compose
    source = (provisioning / "datasources/prometheus.yml").read_text(encoding="utf-8")
    assert "    type: prometheus\n" in source
    assert "    url: http://prometheus:9090\n" in source
    assert DASHBOARD["templating"]["list"][0]["query"] == "prometheus"
    assert "\n  prometheus:\n" in compose


@pytest.mark.needs_promtool
def test_rules_are_valid_and_alerts_fire_when_they_should() -> None:
    tests = ROOT / "tests/compose/deploy/alerts.yml"
    for arguments in (["check", "rules", str(RULES)], ["test", "rules", str(tests)]):
        done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    tested = tests.read_text(encoding="utf-8")
    alerts = re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8"))
    assert [alert for alert in alerts if f"alertname: {alert}}}" not in tested] == []
    assert f"value: {len(alerts)}}}" in tested


@asynccontextmanager
async def metrics_server() -> AsyncIterator[int]:
    """The port of a server whose counters grow with each scrape."""
    scrapes = itertools.count(1)

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(text=page(next(scrapes)))

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def prometheus(directory: Path, target: int) -> AsyncIterator[str]:
    """The URL of a Prometheus that scrapes ``target`` and evaluates the rules."""
    config, port = directory / "prometheus.yml", free_port()
    config.write_text(CONFIG.format(rules=RULES, port=target))
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.needs_prometheus
async def test_every_panel_of_the_dashboard_shows_something(tmp_path: Path) -> None:
    async with (
        metrics_server() as target,
        prometheus(tmp_path, target) as url,
        aiohttp.ClientSession() as session,
    ):

        async def result(query: str) -> list[Any]:
            given = query.replace("$__rate_interval", "1m").replace("$instance", ".*")
            try:
                params = {"query": given}
                async with session.get(f"{url}/api/v1/query", params=params) as answer:
                    if answer.status == 503:  # it starts
                        return []
                    body = await answer.json()
                    assert answer.status == 200, f"{query}: {body}"
                    return list(body["data"]["result"])
            except aiohttp.ClientConnectionError:
                return []

        missing = list(QUERIES)

        async def all_show() -> bool:
            missing[:] = [query for query in missing if not await result(query)]
            return not missing

        await until(all_show, lambda: f"something to show of {missing}")
    assert len(QUERIES) >= 30
