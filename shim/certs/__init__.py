"""``mesos-shim certs``: makes the TLS client certificate that Triton requires, from an SSH key.

Imports ``engine.client`` (TLS, error texts) and ``engine.triton.certificate_info``; imported by
``cli`` alone. Begin with ``command.py``.
"""
