"""The container's health check: does the agent answer? A password it asks for is an answer.

It runs every few seconds as long as the agent does: it imports no more than it needs.
"""

from __future__ import annotations

import os
import socket
import sys

_SSL = "LIBPROCESS_SSL_"


def connect() -> socket.socket:
    """With TLS if the agent speaks it, and with the agent's own certificate: it may ask for one."""
    address = ("127.0.0.1", int(os.environ.get("MESOS_PORT", "5051")))
    link = socket.create_connection(address, timeout=3)
    settings = {
        name.upper().removeprefix(_SSL): value.removeprefix("file://")
        for name, value in os.environ.items()
        if name.upper().startswith(_SSL)
    }
    if settings.get("ENABLED") not in ("1", "true"):
        return link
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Both ends are in this container: there is no name to check.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL")
    context.load_cert_chain(settings["CERT_FILE"], settings["KEY_FILE"])
    return context.wrap_socket(link)


def status() -> int:
    """The status code of /health. Raises OSError or ValueError."""
    with connect() as link, link.makefile("rb") as answer:
        link.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return int(answer.readline(256).split()[1])


try:
    sys.exit(status() >= 500)
except (OSError, LookupError, ValueError):
    sys.exit(1)
