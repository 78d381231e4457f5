from __future__ import annotations

from shim.config.addresses import source_address


def test_the_kernel_says_which_address_of_ours_leads_there() -> None:
    assert source_address(("127.0.0.1", 9)) == "127.0.0.1"


def test_nowhere_leads_to_an_address_that_cannot_be() -> None:
    assert source_address(("255.255.255.255", 9)) is None
