"""``command.uris`` and the sandbox: fetched here, unpacked on the way, put into the container."""
