from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import tools


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    tools.have.cache_clear()
    yield
    tools.have.cache_clear()


def test_the_list_decides_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIM_TEST_HAVE", "docker, consul")
    assert tools.have("docker")
    assert tools.have("consul")
    assert not tools.have("registry")


def test_without_a_list_it_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHIM_TEST_HAVE", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert not tools.have("consul")
    monkeypatch.setenv("MESOS_MASTER_BIN", "/opt/mesos-master")
    tools.have.cache_clear()
    assert tools.have("master")
