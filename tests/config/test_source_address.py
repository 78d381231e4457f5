from __future__ import annotations

from shim.config.addresses import source_address


def test_the_kernel_chooses_the_source_address() -> None:
    assert source_address(("127.0.0.1", 9)) == "127.0.0.1"


def test_an_invalid_peer_has_no_source_address() -> None:
    assert source_address(("255.255.255.255", 9)) is None
