"""Against a server of its own in a thread: asyncio's TLS has no half-closed connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from pathlib import Path

import pytest

from shim.engine.client.half_close import write_eof
from tests.triton.tls import server_context, write_server_certificate


def _answer_after_the_end(listening: socket.socket, context: ssl.SSLContext | None) -> None:
    """Send back what was received, but only once its end was received as well."""
    connection: socket.socket = listening.accept()[0]
    if context is not None:
        connection = context.wrap_socket(connection, server_side=True)
    received = b""
    while data := connection.recv(1000):
        received += data
    connection.sendall(b"all of " + received)
    if isinstance(connection, ssl.SSLSocket):
        with contextlib.suppress(OSError):
            connection.unwrap()
    connection.close()


@pytest.mark.parametrize("secure", [False, True])
async def test_the_peer_reads_the_end_and_still_answers(tmp_path: Path, secure: bool) -> None:
    server = client = None
    if secure:
        ca, server_pem = write_server_certificate(tmp_path)
        server = server_context(server_pem)
        server.verify_mode = ssl.CERT_NONE
        client = ssl.create_default_context(cafile=str(ca))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_answer_after_the_end, args=(listening, server))
    thread.start()
    reader, writer = await asyncio.open_connection(
        "localhost", listening.getsockname()[1], ssl=client
    )
    writer.write(b"hello")
    await write_eof(writer)
    await asyncio.sleep(0.05)
    assert await reader.read() == b"all of hello", "also what came before the peer's own end"
    writer.close()
    await asyncio.to_thread(thread.join)
    listening.close()
