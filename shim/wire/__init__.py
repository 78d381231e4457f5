"""libprocess: messages between an agent and a master as HTTP requests.

``agent``, ``dev.master`` and ``discovery`` import this package. It imports only ``model``,
``errors``, ``limits`` and the protobuf classes. Begin with ``server`` (messages in) and ``link``
(messages out). ``codec`` and ``framing`` turn messages into bytes and back. ``safety`` (with
``registration_rules``, ``resource_rules`` and ``field_rules``) rejects outgoing messages that would
abort a master. ``tls`` has the settings of Mesos; ``connect`` and ``listener`` speak it, and
``tls_errors`` says why they could not. ``cram_md5`` is the authentication; ``detect`` and
``zookeeper`` find the leading master.
"""
