"""The --failover_command of start.sh --ha: the agent's address moves to the machine that leads.

virtual_ip.py acquire   ADVERTISE_IP is an address of this machine, and its neighbours know
virtual_ip.py release   it is not

In a network of its own, as Docker's are, no more is needed. For Linux, with the right to change
addresses (NET_ADMIN).
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import socket
import struct
import sys

_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B
_NEW_ADDRESS, _DELETE_ADDRESS = 20, 21
_REQUEST_WITH_ANSWER, _CREATE_OR_REPLACE = 0x05, 0x500
_LOCAL = 2
_NOT_THERE = 99  # EADDRNOTAVAIL
_ARP = 0x0806


def interface_towards(address: ipaddress.IPv4Address) -> str:
    """The interface whose network has the address. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:

        def ask(question: int, name: str) -> str:
            request = struct.pack("256s", name.encode())
            return socket.inet_ntoa(fcntl.ioctl(asking, question, request)[20:24])

        for _, name in socket.if_nameindex():
            try:
                found = f"{ask(_SIOCGIFADDR, name)}/{ask(_SIOCGIFNETMASK, name)}"
            except OSError:
                continue  # it has no address
            if address in ipaddress.IPv4Network(found, strict=False):
                return name
    raise OSError(f"no interface has a network with {address}")


def change(kind: int, flags: int, name: str, address: ipaddress.IPv4Address) -> int:
    """Ask the kernel (rtnetlink); returns its error number, or 0."""
    body = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, socket.if_nametoindex(name))
    body += struct.pack("=HH4s", 8, _LOCAL, address.packed)
    head = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST_WITH_ANSWER | flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(head + body)
        (code,) = struct.unpack_from("=i", kernel.recv(4096), 16)
    return -int(code)


def announce(name: str, address: ipaddress.IPv4Address) -> None:
    """Tell the neighbours, who may still know another machine by this address (RFC 5227)."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ARP)) as link:
        link.bind((name, _ARP))
        own = link.getsockname()[4]
        everyone = b"\xff" * 6
        arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + own + address.packed + bytes(6)
        link.send(everyone + own + struct.pack("!H", _ARP) + arp + address.packed)


def main(event: str) -> None:
    address = ipaddress.IPv4Address(os.environ["ADVERTISE_IP"])
    name = interface_towards(address)
    if event == "acquire":
        error = change(_NEW_ADDRESS, _CREATE_OR_REPLACE, name, address)
    else:
        error = change(_DELETE_ADDRESS, 0, name, address)
        error = 0 if error == _NOT_THERE else error
    if error:
        raise OSError(error, f"{name} {address}: {os.strerror(error)}")
    if event == "acquire":
        announce(name, address)
    print(f"{event} {address} on {name}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except OSError as error:
        sys.exit(f"{error}")
