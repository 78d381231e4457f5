"""The commands that talk to a running agent: ``ps``, ``status``, ``logs``, ``exec`` and others.

``shim.cli`` imports it; ``shim.run`` takes from it how files are read and how TLS is spoken. The
commands read what the live page reads. Begin with :mod:`~shim.client.commands`.
"""
