"""``mesos-shim certs``: the TLS client certificate that Triton wants, from an SSH key."""
