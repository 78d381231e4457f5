"""Docker's HTTP API, as far as every kind of endpoint answers it alike.

Imports the common packages, ``engine.api`` and the pull progress of ``engine.images``; imported by
the engines, by ``engine`` as a whole, and by ``certs`` and ``check`` for TLS and error texts. Begin
with ``transport.py`` (HTTP), then ``http_engine.py`` (verbs). ``parse.py``, ``errors.py`` and
``frames.py`` are pure.
"""
