"""A fake Consul, and a real one of this machine's package in each shape it is used in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.discovery.fake import FakeConsul
from tests.discovery.real import RealConsul


@pytest.fixture
async def fake() -> AsyncIterator[FakeConsul]:
    consul = FakeConsul()
    await consul.start()
    yield consul
    await consul.stop()


@pytest.fixture(scope="session")
def plain_consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealConsul]:
    """No ACLs, no TLS. Shared: each test uses an owner of its own."""
    with RealConsul(tmp_path_factory.mktemp("consul")) as consul:
        yield consul


@pytest.fixture
def own_consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealConsul]:
    """One that may be killed."""
    with RealConsul(tmp_path_factory.mktemp("consul")) as consul:
        yield consul


@pytest.fixture(scope="session")
def acl_consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealConsul]:
    """Denies what no token allows."""
    with RealConsul(tmp_path_factory.mktemp("consul"), acl=True) as consul:
        yield consul


@pytest.fixture(scope="session")
def tls_consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealConsul]:
    """HTTPS only, and wants a client certificate."""
    with RealConsul(tmp_path_factory.mktemp("consul"), tls=True) as consul:
        yield consul
