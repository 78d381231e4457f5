"""What ``mesos-shim check`` says of a journal in ZooKeeper."""

from __future__ import annotations

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

from shim import limits
from shim.agent.journal_lock import Holder
from shim.check import probes
from shim.check.report import CheckFailed
from shim.model.settings import ZooKeeperUrl
from tests.wire.conftest import zk, zookeeper  # noqa: F401 - fixtures

pytestmark = pytest.mark.needs_zookeeper


async def test_a_journal_in_zookeeper_and_its_leader(zookeeper: int, zk: KazooClient) -> None:  # noqa: F811
    url = ZooKeeperUrl((f"127.0.0.1:{zookeeper}",), "/mesos/shim", "user:s3cret")
    assert (await probes.journal(url)).endswith("ZooKeeper answers, and no agent leads")
    holder = Holder("10.0.0.9", 5051, "", "machine", "/work")
    zk.create("/mesos/shim/leader", holder.data, makepath=True)
    assert (await probes.journal(url)).endswith("/mesos/shim: 10.0.0.9:5051 leads")
    zk.set_acls("/mesos/shim/leader", [make_digest_acl("other", "x", all=True)])
    with pytest.raises(CheckFailed, match="ACL") as failed:
        await probes.journal(url)
    assert "s3cret" not in str(failed.value)


async def test_an_ensemble_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ZK_SESSION_TIMEOUT", 0.3)
    with pytest.raises(CheckFailed, match="ZooKeeper does not answer"):
        await probes.journal(ZooKeeperUrl(("127.0.0.1:1",), "/x"))
