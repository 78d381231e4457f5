"""Addresses of the demo's network, and the shares of several agents at one endpoint. Pure.

demo_layout.py addresses SUBNET
    the gateway, the shim's fixed address, and the range that Docker may choose from
demo_layout.py ha SUBNET
    the fixed addresses of --ha: three masters, Marathon, two machines of the agent, three Consuls
demo_layout.py further SHIM_ADDRESS NUMBER
    the fixed address of agent NUMBER; SHIM_ADDRESS is the first agent's
demo_layout.py share COUNT CPUS MEMORY_BYTES PORTS
    what each agent offers: RESOURCES, then PORTS, one line for each agent
demo_layout.py agent TEMPLATE NUMBER SHIM_ID RESOURCES PORTS SHIM_ADDRESS SUBNET
    the service of one further agent
"""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Sequence
from pathlib import Path

HA = (*range(2, 8), *range(11, 14))
"""The places of --ha, counted from the network's address. The last three are else those of further
agents."""
FIXED = 10
"""The shim's place in its network, counted from the network's address."""
SMALLEST_PREFIX = 26
"""A network of 64 addresses: 32 for Docker to choose from, 32 fixed ones."""
DISK_MB = 4096
MEMORY_KEPT = 0.9
"""The share of the engine's memory that the agents offer together."""


def addresses(subnet: str) -> str:
    """ValueError for what is no IPv4 network of at least 64 addresses."""
    network = ipaddress.IPv4Network(subnet)
    if network.prefixlen > SMALLEST_PREFIX:
        raise ValueError(f"{subnet}: too small")
    _, dynamic = network.subnets(prefixlen_diff=1)
    return f"{network[1]} {network[FIXED]} {dynamic}"


def ha(subnet: str) -> str:
    network = ipaddress.IPv4Network(subnet)
    return " ".join(str(network[place]) for place in HA)


def further(first: str, number: int) -> str:
    return str(ipaddress.IPv4Address(first) + number - 1)


def share(count: int, cpus: float, memory: int, ports: str) -> list[str]:
    """``RESOURCES PORTS`` for each of ``count`` agents."""
    megabytes = int(memory / 2**20 * MEMORY_KEPT) // count
    # A master counts thousandths: rounded up, the shares would be more than there is.
    resources = f"cpus:{int(cpus * 1000) // count / 1000:g};mem:{megabytes};disk:{DISK_MB}"
    return [f"{resources} {part}" for part in split_ports(ports, count)]


def split_ports(ports: str, count: int) -> list[str]:
    """``[first-last]`` in equal parts; ``none`` and ``virtual`` are the same for all."""
    if ports in ("none", "virtual"):
        return [ports] * count
    found = re.fullmatch(r"\[(\d+)-(\d+)\]", ports)
    if not found or (size := (int(found[2]) - int(found[1]) + 1) // count) < 1:
        raise ValueError(f"{ports}: not none, virtual or one range of at least {count} ports")
    first = int(found[1])
    return [f"[{first + n * size}-{first + (n + 1) * size - 1}]" for n in range(count)]


def agent(
    template: str, number: int, shim_id: str, resources: str, ports: str, address: str, subnet: str
) -> str:
    values = {
        "NUMBER": str(number),
        "SHIM_ID": shim_id,
        "RESOURCES": resources,
        "PORTS": ports,
        "SHIM_ADDRESS": address,
        "SUBNET": subnet,
        "HOST_ADDRESS": addresses(subnet).split()[0],
    }
    return re.sub(r"@([A-Z_]+)@", lambda found: values.get(found[1], found[0]), template)


def main(argv: Sequence[str]) -> int:
    try:
        match argv:
            case ["addresses", subnet]:
                print(addresses(subnet))
            case ["ha", subnet]:
                print(ha(subnet))
            case ["further", first, number]:
                print(further(first, int(number)))
            case ["share", count, cpus, memory, ports]:
                print("\n".join(share(int(count), float(cpus), int(memory), ports)))
            case ["agent", template, number, *rest]:
                text = Path(template).read_text(encoding="utf-8")
                print(agent(text, int(number), *rest), end="")
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
