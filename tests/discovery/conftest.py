"""A fake Consul, and real Consul servers: plain, with ACLs, with TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.discovery.fake_consul import FakeConsul
from tests.discovery.real_consul import RealConsul


@pytest.fixture
async def fake() -> AsyncIterator[FakeConsul]:
    consul = FakeConsul()
    await consul.start()
    yield consul
    await consul.stop()


@pytest.fixture(scope="session")
def plain_consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealConsul]:
    """Without ACLs and TLS. Tests share it: each test uses its own owner."""
    with RealConsul(tmp_path_factory.mktemp("consul")) as consul:
        yield consul


@pytest.fixture
def own_consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealConsul]:
    """A server that the test may kill."""
    with RealConsul(tmp_path_factory.mktemp("consul")) as consul:
        yield consul


@pytest.fixture(scope="session")
def acl_consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealConsul]:
    """With ACLs and the default policy ``deny``."""
    with RealConsul(tmp_path_factory.mktemp("consul"), acl=True) as consul:
        yield consul


@pytest.fixture(scope="session")
def tls_consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealConsul]:
    """HTTPS only, with required client certificates."""
    with RealConsul(tmp_path_factory.mktemp("consul"), tls=True) as consul:
        yield consul
