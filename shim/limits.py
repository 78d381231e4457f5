"""Every bound, with its reason. Sizes in bytes, times in seconds."""

from __future__ import annotations

# --- the wire -------------------------------------------------------------------------------

MESSAGE_BYTES = 256 * 1024 * 1024
"""Body of one message. A stock agent has no limit; a RunTask with data may have megabytes, and
the answer to a larger one would be a message lost without a trace."""

LINK_QUEUE_MESSAGES = 65_536
"""Waiting for one peer. A burst is one update per task after a registration: ten thousands."""

LINK_QUEUE_BYTES = 512 * 1024 * 1024
"""Waiting for one peer: two messages of the largest size."""

LINK_CONNECT_TIMEOUT = 10.0
"""A master answers within milliseconds, or a firewall drops our packets."""

LINK_BACKOFF_MIN = 0.2
LINK_BACKOFF_MAX = 5.0
"""Between attempts to reach a peer. Short: the protocol's own retries wait far longer."""

LINK_STALL = 30.0
"""Bytes unacknowledged this long: the path is gone. Well below the 75 s after which a master
that gets no pong gives an agent up, so that pongs find their way again in time."""

LINK_IDLE = 600.0
"""Nothing to say: pings come every 15 s, at most every 15 min, so this is a peer of the past."""

LINK_FLUSH = 2.0
"""For the last messages to leave when we stop: the peer is near, or nothing is lost."""

ZK_SESSION_TIMEOUT = 10.0
"""As long as mesos-agent's: after this without ZooKeeper, there is no leader."""

ZK_RETRY = 2.0
"""After an answer of ZooKeeper that is no leader and not "connection lost"; as mesos-agent."""

DNS_RETRY = 2.0
"""The master's name cannot be resolved (yet)."""

MASTER_FILE_BYTES = 65_536
"""A file that holds the value of --master."""

KEEPALIVE = 10 * 365 * 24 * 3600.0
"""The server never closes an idle connection: if the master's breaks, the agent counts as
disconnected and tasks of frameworks without checkpointing are lost."""

SERVER_CLOSE = 1.0
"""For requests under way when we stop listening."""

# --- the core -------------------------------------------------------------------------------

UPDATE_RETRY_MIN = 10.0
"""First wait for an acknowledgement; doubles. A stock agent's figures, which schedulers expect."""
UPDATE_RETRY_MAX = 600.0

REGISTER_RETRY_MAX = 60.0
"""Longest wait between two registrations, as a stock agent."""
REGISTER_SILENCE = 120.0
"""A master that refuses a registration says nothing: after this long we tell people."""
AUTHENTICATION_TIMEOUT_MIN = 5.0
AUTHENTICATION_TIMEOUT_MAX = 60.0
AUTHENTICATION_REFUSED_RETRY = 60.0
"""A wrong secret is a human's to mend: asking more often only fills the master's log."""
PING_TIMEOUT = 75.0
"""Silence after which the master is taken for lost, until it names another figure."""

TOMBSTONES = 10_000
"""Kills remembered that came before their launch: one a task of the largest agent."""
TOMBSTONE_AGE = 600.0

COMPLETED_FRAMEWORKS = 50
"""History kept for people, as a stock agent's."""
COMPLETED_TASKS = 1000
"""A framework."""

LEAVE_PATIENCE = 60.0
"""How long a leaving agent waits for the last acknowledgements once its tasks have ended."""
# --- the engine -----------------------------------------------------------------------------
# --- discovery ------------------------------------------------------------------------------
# --- http -----------------------------------------------------------------------------------
