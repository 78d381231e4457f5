"""The limits of the agent, each with its reason. Sizes in bytes, times in seconds.

The commands, the embedded master, and the rules of one format keep theirs beside their code.
"""

from __future__ import annotations

# --- flags ----------------------------------------------------------------------------------

FLAG_FILE_BYTES = 1024 * 1024
"""A file with the value of a flag. The largest, a docker config.json, has kilobytes."""

CHECK_TIMEOUT = 15.0
"""One probe of `mesos-shim check`: longer than the connect timeouts, whose errors say more."""
CHECK_PAGE_BYTES = 65_536
"""Read of a master's /state, which has megabytes: its first keys describe the master."""
CHECK_DAYS_LEFT = 30
"""A client certificate that expires sooner should be renewed now."""

# --- the wire -------------------------------------------------------------------------------

MESSAGE_BYTES = 256 * 1024 * 1024
"""Body of one message. mesos-agent has no limit. A RunTaskMessage with data may have megabytes, and
a rejected message is lost without a trace."""

PIDS_REMEMBERED = 1024
"""Cache of parsed pids: every message names its sender, and senders are few."""

LINK_WRITE_BYTES = 256 * 1024
"""Queued messages for one peer are written together, in pieces of about this size. One system call
per message would cost more than encoding it."""

LINK_QUEUE_MESSAGES = 65_536
"""Queued for one peer. A burst is one update per task after a registration: ten thousand."""

LINK_QUEUE_BYTES = 512 * 1024 * 1024
"""Queued for one peer: two messages of the largest size."""

LINK_CONNECT_TIMEOUT = 10.0
"""A master answers within milliseconds, unless a firewall drops packets."""

TLS_HANDSHAKE_TIMEOUT = 10.0
"""For a peer to begin and to finish its handshake. As LINK_CONNECT_TIMEOUT."""

TLS_FILES_AGE = 1.0
"""The files of certificate and key are compared with those in use at most this often."""

ACCEPT_PAUSE = 1.0
"""After a connection that could not be taken, for want of file descriptors."""

LINK_BACKOFF_MIN = 0.2
LINK_BACKOFF_MAX = 5.0
"""Between attempts to reach a peer; doubles. The protocol's own retries wait far longer."""

LINK_STALL = 30.0
"""A path is lost when sent bytes have no TCP acknowledgement for this time. Well below the 75 s
after which a master gives up an agent without pongs, so that a new link carries pongs in time."""

LINK_IDLE = 600.0
"""A link without messages is closed after this time. Pings come every 15 s, at most every 15
min."""

LINK_FLUSH = 2.0
"""At exit, for queued messages to be sent."""

ZK_SESSION_TIMEOUT = 10.0
"""The leader counts as unknown after this time without ZooKeeper. As mesos-agent."""

ZK_RETRY = 2.0
"""After an error of ZooKeeper other than a lost connection. As mesos-agent."""

ZK_NEW_SESSION = 0.5
"""Before a new session: a server may end sessions as soon as they begin."""

DNS_RETRY = 2.0
"""Between two attempts to resolve the master's name."""

KEEPALIVE = 10 * 365 * 24 * 3600.0
"""The server never closes an idle connection of a master. When it breaks, the master counts the
agent as disconnected, and tasks of frameworks without checkpointing are lost."""

ACCEPT_BACKLOG = 128
"""Connections that wait to be taken, as aiohttp's."""

HEAD_TIMEOUT = 60.0
"""From the first byte of a connection to the end of its first request's head."""

REQUEST_BODY_TIMEOUT = 300.0
"""For the whole body of a call that is no stream."""

OUTPUT_TIMEOUT = 600.0
"""For a client to take what waits for it. As SESSION_WRITE_TIMEOUT: ctrl-s stops a terminal."""

IDLE_TIMEOUT = 600.0
"""Between two requests of a client that is neither a master, nor a framework or executor. Longer
than proxies keep an idle connection, which would else close it while they send."""

SERVER_CLOSE = 1.0
"""At exit, for requests under way."""

EXECUTOR_CALL_BYTES = 32 * 1024 * 1024
"""One call or message of a custom executor. A status update or a framework message has some kB."""
EXECUTOR_CALL_INLINE = 256 * 1024
"""Larger calls are parsed in a thread: about 5 ms of work."""
EXECUTOR_STREAM_BYTES = 64 * 1024 * 1024
"""Queued for one executor that does not read its events; then it is disconnected."""
EXECUTOR_HEARTBEAT = 30 * 60.0
"""Between two events of an executor's stream, as mesos-agent."""

# --- the core -------------------------------------------------------------------------------

UPDATE_RETRY_MIN = 10.0
"""First wait for an acknowledgement; each further wait is twice as long. As mesos-agent."""
UPDATE_RETRY_MAX = 600.0

REGISTER_RETRY_MAX = 60.0
"""Longest wait between two registration requests, as mesos-agent."""
DETECT_TIMEOUT = 5.0
"""Before the warning that no leader is known: detection takes moments after a start."""
NO_ANSWER_INTERVAL = 120.0
"""Between two warnings that no master answers: a master rejects a registration silently."""
AUTHENTICATION_TIMEOUT_MIN = 5.0
AUTHENTICATION_TIMEOUT_MAX = 60.0
AUTHENTICATION_REFUSED_RETRY = 60.0
"""A wrong secret needs an operator: more attempts only fill the master's log."""
REREGISTER_DELAY = 10.0
"""Delay of a re-registration that settles which tasks the agent has. Messages on their way have
arrived by then."""
EXIT_RETRY = 10.0
"""After the link to the master broke, until lost exits of executors are reported again."""
EXECUTOR_EXITS = 1_000
"""Exits that may be reported again. A master that missed more frees the rest at the next
re-registration."""
REJECTION_AGE = 14 * 24 * 3600.0
"""A rejection is forgotten after this time without an acknowledgement. A master sends no message
when a framework is gone whose tasks were all rejected. Twice the usual failover timeout."""
PING_TIMEOUT = 75.0
"""The master is lost after this time without a ping. A master's own value replaces this default."""

EARLY_KILLS = 10_000
"""Kills remembered that arrived before their launch: one per task of the largest agent."""
EARLY_KILL_AGE = 600.0

REQUEST_AGE = 3600.0
"""A re-registration request has reached its master after this time, or was lost with its link. TCP
gives a link up after half an hour at most."""
ACKNOWLEDGED_ENDS = 10_000
"""Terminal updates kept after their acknowledgement: one per task of the largest agent, about 1 kB
each."""

FACTS_PER_TURN = 256
"""Facts handled before other coroutines run: about 10 ms of work."""
ORDERS_PER_TURN = 64
"""Orders carried out before other coroutines run: a message takes a tenth of a millisecond."""
DISK_RETRY = 1.0
"""Between two attempts to commit to a disk that does not take records."""
JOURNAL_NODE_BYTES = 384 * 1024
"""Of one node of a journal in ZooKeeper, which takes a request of a megabyte (jute.maxbuffer)."""
JOURNAL_NODES = 1024
"""Nodes of the journal before its old ones are cleaned: a thousand are read in half a second."""
JOURNAL_SLACK_BYTES = 4 * 1024 * 1024
"""Of outdated values in ZooKeeper, beside as many bytes as the valid ones have."""
JOURNAL_CLEANED_BYTES = 64 * 1024
"""Old values that one commit may write again while the log is cleaned: less than a millisecond."""
JOURNAL_TASK_BYTES = 512 * 1024
"""The largest TaskInfo that a journal in ZooKeeper takes. Real ones have kilobytes, and ZooKeeper
holds everything in memory, beside the registry of its masters."""
JOURNAL_DELETES = 500
"""Nodes that are deleted in one request."""
JOURNAL_LEASE_SHARE = 0.5
JOURNAL_HOLD_OFF_SHARE = 0.2
JOURNAL_RENEW_SHARE = 0.1
"""Of the session timeout: how long a leader acts after ZooKeeper last confirmed that it leads, how
long a new leader waits before it acts, and how often a leader asks. ZooKeeper ends a session at
the earliest one tick (a fifth of the default timeout) and one renewal before a whole timeout has
passed: the old leader has stopped for half a timeout by the time the new one acts."""
JOURNAL_RELEASE_TIMEOUT = 2.0
"""At exit, for the lock to be given back. Without an answer the session ends by itself."""
FAILOVER_TIMEOUT = 10.0
"""For one run of --failover_command. The agent does not lead meanwhile."""
FAILOVER_OUTPUT_BYTES = 16 * 1024
"""Of its output in the log."""
FAILOVER_ADDRESS_TIMEOUT = 15.0
FAILOVER_ADDRESS_POLL = 0.5
"""For the advertised address to lead to a new leader: neighbours and proxies need seconds."""
STRAY_SWEEP = 60.0
"""After a take-over, before containers are looked for that the old leader's last requests made."""
JOURNAL_READS = 256
"""Nodes of the journal that are asked for at once at a load."""
DISK_CLOSE_TIMEOUT = 5.0
"""At exit, for a commit under way."""
AUTHENTICATION_MESSAGES = 16
"""Queued for one CRAM-MD5 exchange, which has four messages."""

WITHDRAW_TIMEOUT = 1.0
"""How long a Stop waits for the deregistration from Consul."""

ENDPOINT_RETRY = 5.0
"""At start, between two attempts to reach the Docker endpoint."""

ADDRESS_CHANGE_POLL = 2.0
ADDRESS_CHANGE_TIMEOUT = 10.0
"""Interval and timeout of requests to a master that may still list the agent at its old address. A
master forgets an agent that does not answer after 75 s by default."""

FOREIGN_SENDERS_LOGGED = 16
"""Foreign senders named in the log, each once."""

COMPLETED_FRAMEWORKS = 50
"""Frameworks with completed tasks on pages, as mesos-agent."""
COMPLETED_TASKS = 150
"""Completed tasks of one framework, as mesos-agent's completed executors."""

DEFAULT_EXECUTOR_GRACE = 3.0
"""Between the signals to a task of a task group: Mesos' default executor has this constant."""
EXECUTOR_CONTACTS = 16
"""Addresses from which a process may register as one executor before its container was seen
running. One of them is the executor's."""
EXECUTOR_RECONNECT_INTERVAL = 1.0
"""After a restart, between two requests to a v0 executor to register again."""
EXECUTOR_SILENCE_TIMEOUT = 10.0
"""For finding out why an executor did not register, before it is given up."""
EXECUTOR_REGISTRATION = 60.0
"""From the start of its container to the registration of a custom executor, as mesos-agent."""

LEAVE_TIMEOUT = 60.0
"""How long a leaving agent waits for the last acknowledgements after its last task ended."""

GC_THRESHOLDS = (2_000, 10, 1_000)
"""Python's default of (700, 10, 10) would walk the objects of all tasks all the time: 45 ms for
10,000 tasks. Here that comes once in twenty million new objects; the collections of younger
objects take 3 ms at most. The code makes hardly any reference cycles."""

# --- the engine -----------------------------------------------------------------------------

ENGINE_CONNECTIONS = 64
"""For short calls. More than any useful --max_inflight of a local engine."""
ENGINE_LONG_CONNECTIONS = 512
"""Stops, pulls, logs and events last long, so they have a connection pool of their own. Half of
the usual limit of 1024 open files."""
ENGINE_CONNECT_TIMEOUT = 10.0
ENGINE_CALL_TIMEOUT = 60.0
"""List, inspect, image lookup: milliseconds, or seconds behind a busy daemon's lock."""
ENGINE_WORK_TIMEOUT = 120.0
"""Create, start, remove: seconds, or many on a disk that is busy with a pull."""
ENGINE_STOP_SLACK = 60.0
"""For a daemon to kill a container and answer, beyond the grace period."""
ENGINE_ARCHIVE_TIMEOUT = 600.0
"""Copying files of a task to or from a remote datacenter."""
ENGINE_STREAM_IDLE = 300.0
"""Silence on a pull or the event stream after which the call is repeated: a broken network path
looks like this."""
ENGINE_ANSWER_BYTES = 256 * 1024 * 1024
"""One answer: a list of 10,000 containers has about 20 MB."""
ENGINE_ERROR_BYTES = 65_536
EXEC_OUTPUT_BYTES = 65_536
"""Kept output of an exec: that of a health check, shown to people."""
EXEC_PIECE_BYTES = 32 * 1024
"""Read at once of the output of a process that someone watches."""
HALF_CLOSE_ATTEMPTS = 100
HALF_CLOSE_PAUSE = 0.01
"""Between two looks whether received data is read, before the end of an input is sent in TLS."""
EXEC_EXIT_ATTEMPTS = 20
EXEC_EXIT_PAUSE = 0.05
"""Between two inspects of an exec whose output has ended, until it has its exit code."""
LOG_LINE_BYTES = 1024 * 1024
"""One frame of a log stream; engines cut lines at 16 kB."""

MAX_INFLIGHT = 8
"""Launches at once on a local engine: measured on two cores, 4 reach 85 % and 16 not more."""
ENGINE_RETRY_MIN = 0.2
ENGINE_RETRY_MAX = 30.0
"""Between two attempts at an endpoint that does not answer; doubles."""
RETRY_SPREAD = 30.0
"""Retries that are due at the same moment are spread over this time. Thousands of launches then
make a hundred calls a second."""
MAINTENANCE_WAIT_MAX = 4 * 3600.0
"""How long a launch waits for the end of an announced maintenance, beyond its own timeout. Most
windows take an hour or two. After a longer wait the launch fails, and the framework decides."""
LAUNCH_BATCH = 4
LAUNCH_BATCH_INTERVAL = 0.02
"""LAUNCH_BATCH launches begin in each interval. Each takes half a millisecond of the event loop,
and a ping must not wait for thousands. No endpoint takes 200 launches a second."""
LAUNCH_BURST = 16
LAUNCH_BURST_INTERVALS = 50
"""New launches wait while a burst arrives, for at most LAUNCH_BURST_INTERVALS intervals. A burst is
LAUNCH_BURST launches or more in one interval. To begin launches takes half of the event loop's
time; to accept a whole burst takes about a second."""
LAUNCHES_WAITING = 64
"""Begun launches that wait for a slot; further launches stay queued. A begun launch takes 8 kB more
than an order. At most a hundred slots a second become free."""
AMBIGUOUS_ATTEMPTS = 3
"""Number of Ambiguous errors after which a launch fails."""
FINAL_LOGS_ATTEMPTS = 3
"""Attempts to read a task's last output, within about a second: other ended tasks wait."""
AMBIGUOUS_PAUSE = 5.0
"""At least, after an ambiguous error of Triton or of a registry: most of their failures pass in
seconds. Those of a local engine are mostly about the container, so they have no pause."""
HTML_ERROR_CHARS = 200
"""Characters kept of a proxy's HTML page."""
CREATE_SETTLES = 30.0
"""A create without an answer has made its container by then, or never will."""
TRITON_VOLUME_SETTLES = 15 * 60.0
"""The same of a volume on Triton, whose jobs end within ten minutes."""
VOLUME_CALLS_AT_ONCE = 8
"""Volumes made or removed at once: a daemon takes a lock for each, and a thousand may be destroyed
in one operation."""
TRITON_VOLUME_CALLS_AT_ONCE = 64
"""The same on Triton, where each takes a minute or two and waits on a connection of its own."""
PULLS_AT_ONCE = 16
"""Pulls at once. The daemon itself fetches three layers at a time; more only share the link."""
PULL_REPORT_INTERVAL = 5.0
IMAGES_REMEMBERED = 1024
"""Cache of images at the endpoint. A create that misses its image removes it from the cache."""
IMAGE_CONFIG_AGE = 10.0
"""How long an image's configuration is believed: launches of one pod ask for it once."""
ORPHAN_GRACE = 10.0
"""Docker's own default: the task's grace period is unknown."""

RELIST_INTERVAL = 10.0
"""Between two lists where there are events: events come within milliseconds, but may be lost."""
POLL_INTERVAL = 2.0
POLL_BUSY = 60.0
"""Without events, lists come every POLL_INTERVAL until no container has started or ended for
POLL_BUSY. Each list makes Triton load an account's packages and firewall rules."""
POLL_SHARE = 0.25
"""As RELIST_SHARE, where a list is the only source of ends. Most of its time is the endpoint's:
with 10,000 tasks a list takes seconds there, and a fifth of a second here."""
RELIST_SHARE = 0.05
"""The share of time spent on lists, at most: the interval grows with the duration of a list."""
RELIST_ASKED_SHARE = 0.2
"""The share of time for lists out of turn (a stream broke, tasks were adopted), at most. Requests
during a list share the next one."""
INSPECTS_AT_ONCE = 4
"""Inspects under way after a list with many changes."""
EVENTS_RETRY = 1.0
"""Before a broken event stream is opened again."""
ENDPOINT_FRESH = 1.0
"""A younger answer proves that the endpoint is reachable. Lists come no more often than this."""
LOG_THROTTLE_INTERVAL = 60.0
"""Between two lines in the log about the same problem."""
RETRY_WITHOUT_LIST = 300.0
"""How long a retry waits for the answer to a list. Then it is tried all the same, in case only
lists hang. Ten thousand such retries are 33 calls a second, which cost little."""

CHECKS_AT_ONCE = 256
"""Probes over the network: 1,000 checks at 10 s intervals need this many when each takes 2.5 s."""
EXECS_AT_ONCE = 8
"""Probes in containers on a local engine: each costs the daemon some 50 ms of a core, which
launches need as well."""
TRITON_EXECS_AT_ONCE = 128
"""Probes in containers on Triton: each waits about a second for its compute node."""
CHECK_CONNECT_TIMEOUT = 5.0
"""After this the next way to the container is tried; a handshake takes milliseconds."""
CHECK_SETTLE = 0.5
"""From a failed probe to the inspect of its container: the time in which an engine notices an
exit."""
CHECK_INTERVAL_MIN = 0.1
"""In place of an interval of 0: probes follow each other without blocking the event loop."""
CHECK_TIMEOUT_MAX = 3600.0
"""In place of a timeout of 0 (no limit): a hanging probe must free its slot."""
CHECK_BODY = 65_536
"""Read of the answer to a probe, so that a small answer ends regularly; the data is dropped."""
CHECK_REDIRECTS = 10

FETCH_URIS = 256
"""URIs of one task; tasks have a handful."""
FETCH_BYTES = 2 * 1024**3
"""One download: the size of the default cache. A download uses this process's link twice."""
UNPACKED_BYTES = 4 * 1024**3
"""All unpacked files of one task: an archive of zeros grows a thousandfold."""
UNPACKED_MEMBERS = 100_000
ARCHIVE_HEADER_BYTES = 1024 * 1024
"""Long names and attributes of one member, which are held in memory."""
ARCHIVE_DIRECTORY_BYTES = 32 * 1024 * 1024
"""A zip's central directory, held in memory: about 100 bytes per member."""
XZ_MEMORY = 128 * 1024 * 1024
"""Twice the need of xz -9. An archive may ask for 4 GB."""
FETCH_REDIRECTS = 10
"""A longer chain of redirects is most likely a loop."""
FETCH_STALL = 60.0
"""A download fails after this time without a byte. As mesos-agent."""
FETCH_CONNECT_TIMEOUT = 15.0
FETCHES_AT_ONCE = 16
"""Downloads at once; more only share the link."""
FETCH_THREADS = 4
"""For writing and unpacking, which would block the event loop."""
FETCH_PIECE = 1024 * 1024
"""Size of one write."""
DOCKER_CONFIG_BYTES = 1024 * 1024
"""A fetched .docker/config.json; real ones have kilobytes."""

# --- Triton ---------------------------------------------------------------------------------

LIST_SLICE = 200
"""Entries of a list that are parsed before other coroutines run: about 3 ms."""
TRITON_MAX_INFLIGHT = 4096
"""Launches at once: a create waits for its whole provisioning, and waiting costs little."""
TRITON_MAINTENANCE_SHOWN = 120.0
"""A 503 without an announced end is shown to operators for so long: work is tried again sooner."""
TRITON_CALL_TIMEOUT = 125.0
"""Triton itself cuts every short call after two minutes; an answer until then is received."""
TRITON_CREATE_TIMEOUT = 3660.0
"""Longer than Triton's own limit of an hour."""
TRITON_PULL_IDLE = 160.0
"""Longer than Triton's own limit of 150 s without data."""
TRITON_TLS_BUFFER = 16 * 1024
"""Read buffer of one TLS connection: one record of the largest size. asyncio's default of 256 KiB
is of no use to the creates that are held on their connections."""
CREATES_HELD = 64
"""Creates that wait for an answer on their connection (about 70 kB each). One list shows the
outcome of all others."""
CREATES_SENT_AT_ONCE = 32
"""TLS handshakes under way: each takes about 2 ms of the loop, which has pings to answer."""
CREATE_HELD_MIN = 0.5
"""A create keeps its connection for at least this time: most refusals come before provisioning
begins. A later refusal is the answer when the create is tried again. With CREATES_HELD this bounds
the creates sent in a second: 2,000 are under way before the first has its machine."""
CREATE_RELEASE_INTERVAL = 0.1
"""Between two searches for connections to release, while queued creates wait for one."""
CREATE_POLL = 2.0
"""Between two lists while creates wait for their outcome."""
CREATE_CALLBACK_INTERVAL = 0.002
"""Between two callbacks for creates that have ended: each is followed by 1 to 3 ms of work."""
CREATE_UNSEEN_MAX = 60.0
"""A create without an answer did not arrive if no list shows its container for this time."""
EXIT_STATUS_WAIT = 15.0
"""Time to wait for the exit status of a stopped machine. As Triton's own wait call."""
NO_STATUS_WAIT = 300.0
"""A machine that is listed without a status for this time counts as ended: its server failed."""
STOP_POLL = 2.0
"""Between two inspects of a container whose stop was cut off."""
BILLS_KEPT = 10_000
"""Bills of removed containers: one per task of the largest agent."""
WITHOUT_TASK_ALARM = 120.0
"""Age at which a container without a task is reported. A removal takes seconds."""
LOGIN_WARN_DAYS = 30.0
LOGIN_WARN_INTERVAL = 86_400.0
"""Between two warnings that the certificate expires soon."""

# --- discovery ------------------------------------------------------------------------------

CONSUL_CONNECTIONS = 8
"""An agent does about 100 writes a second on one connection: 10,000 tasks in seconds, not minutes,
and still a small share of what an agent serves at once."""
CONSUL_TIMEOUT = 10.0
"""For one answer. A Consul agent answers from memory; a write takes tens of milliseconds."""
CONSUL_CONNECT_TIMEOUT = 3.0
CONSUL_ATTEMPTS = 3
"""Attempts of one call, for a connection that breaks between two calls. ConsulSync handles longer
outages."""
CONSUL_BODY = 64 * 1024 * 1024
"""Of an answer. One service and its check take about 1.5 KB in the lists."""
CONSUL_SERVICES = 50_000
"""Desired services: 10,000 tasks of five ports. This bounds the write queue as well."""
CONSUL_PORTS = 32
"""Services of one task. A task with whole ranges of ports does not listen on each of them."""
CONSUL_RESYNC_INTERVAL = 60.0
"""Between two resyncs with Consul. Consul's own anti-entropy runs as often."""
CONSUL_RETRY_MIN = 0.5
CONSUL_RETRY_MAX = 30.0
"""Between two attempts to reach a Consul that does not answer; doubles in between."""
CONSUL_REFUSED_RETRY = 600.0
"""Before a write that Consul refused (400, missing permission) is tried again unchanged."""
CONSUL_TASK_TTL = 6 * 3600.0
"""TTL of a task's check. A change of health is written at once; the TTL only shows that the agent
is alive. Updates come at a third of the TTL: 10,000 tasks cost 1.4 small writes a second, and an
agent may be down for four hours. A shorter TTL would take healthy tasks out of DNS because their
agent is down."""
CONSUL_AGENT_TTL = 60.0
"""TTL of the agent's own check, also updated at a third of it."""
CONSUL_DEREGISTER_AFTER = 6 * 3600
"""Consul removes a service that is critical for this time: well above a restart or an upgrade."""
CONSUL_BLOCK = 60
"""Seconds of one blocking query. Consul adds up to a sixteenth."""
CONSUL_BLOCK_PAUSE = 1.0
"""Between two blocking queries, for a Consul that answers each at once."""

# --- sandboxes ------------------------------------------------------------------------------

SANDBOX_SEGMENT_BYTES = 2 * 1024 * 1024
SANDBOX_STREAM_BYTES = 16 * 1024 * 1024
"""Kept of one task's stdout or stderr: its first segment and its newest segments."""
SANDBOX_TOTAL_BYTES = 1024 * 1024 * 1024
"""Of all sandboxes on disk. Beyond it, sandboxes of ended tasks are removed, oldest first."""
SANDBOXES_KEPT = 20_000
"""Twice the tasks of the largest agent. Bounds the directories and the index in memory."""
SANDBOX_AGE = 7 * 24 * 3600.0
"""After the end of its task. As mesos-agent's --gc_delay."""
SANDBOX_SWEEP = 60.0
SANDBOXES_CHECKED = 16
"""Idle sandboxes whose container a sweep looks up, so that those of removed ones can age."""
LOG_FETCH_BYTES = 8 * 1024 * 1024
"""Read from an engine in one call, about half a second of the event loop. Of a larger output only
the end is read."""
LOG_TAIL_LINES = 5000
"""Lines read of a larger output. Engines find the end without reading the whole output."""
LOG_FETCHES_AT_ONCE = 4
"""For ended containers on a local engine. Launches need the daemon and the event loop as well."""
TRITON_LOG_FETCHES_AT_ONCE = 64
"""For ended containers on Triton: each waits a second or two for its compute node."""
LOG_SLOT_TIMEOUT = 120.0
"""How long a removal waits for a slot to read the last output, when many containers end at once."""
LOG_FETCH_TIMEOUT = 20.0
"""How long a removal waits for the last output. A stopped container costs money."""
LOG_OVERLAP = 1.0
"""Read again when a log is resumed: engines timestamp the two streams independently."""
LOGS_FOLLOWED = 32
"""Tasks whose output is followed, on one connection each. Beyond it, the output read least recently
is no longer followed; it catches up at the next read."""
LOG_WATCHED = 60.0
"""How long an output is followed after its last read. A browser's tail reads every second."""
LOG_READ_TIMEOUT = 2.0
"""How long a read waits for the engine before it returns what is stored. Tools give up after 5
s."""
LOG_SLICE_BYTES = 64 * 1024
LOG_SLICE_PAUSE = 0.02
"""All followed logs together are read at 3 MB/s, at most a tenth of the event loop's time."""
LOG_RETRY = 2.0
ARCHIVE_BYTES = 32 * 1024 * 1024
"""A file, or a directory with everything below it, read from a running container for a page."""
ARCHIVE_AGE = 3.0
"""How long a file read from a container is reused: a browser's tail asks every second."""
ARCHIVES_HELD_BYTES = 64 * 1024 * 1024
ARCHIVES_AT_ONCE = 2

STATS_AGE = 10.0
"""Older samples are replaced at the next request."""
STATS_AGE_OF_ONE = 3.0
"""Of a container that a reader names: the rows in sight of the live page."""
STATS_AT_ONCE = 64
"""Stats calls under way: a Docker daemon answers with its next collection, up to 1 s later."""
STATS_SLICE = 1000
"""Containers that are looked at before other coroutines run: about 2 ms."""
STATS_TIMEOUT = 0.25
"""How long a page waits for new samples before it shows the stored ones."""
STATS_PAUSE = 0.05
"""After each sample, for an endpoint that answers or fails at once."""

SUPERVISE_RETRY = 5.0
"""Pause before failed background work (pages, sandboxes, Consul) is restarted."""

# --- http -----------------------------------------------------------------------------------

PAGE_SLICE_SECONDS = 0.003
"""Work on a page before other coroutines run. A page of 10,000 tasks has many slices. The last
piece of a slice, and its bytes on their way to the socket, make it up to twice as long."""
PAGE_SLICE_BYTES = 256 * 1024
"""Of a page that are sent at once."""
STREAM_WRITE_TIMEOUT = 60.0
"""For a reader that takes nothing of a large page or an event stream: it holds what others need."""
PAGE_WARM_INTERVAL = 2.0
"""Between two rounds that build the JSON of changed tasks, so that no request waits for it."""
FILE_READ_BYTES = 65_536
"""In one answer of /files/read, as a stock agent (16 pages of memory)."""
API_CALL_BYTES = 1024 * 1024
"""One call to the operator API, or one record of input. Calls have hundreds of bytes."""
API_WAITS = 256
"""Calls that wait for the end of a container at once."""
API_WAIT_POLL = 0.5
"""Between two looks whether a container that is waited for has ended."""
SESSION_STREAMS = 64
"""Connections to processes in containers at once: sessions of exec and attached clients."""
SESSIONS_REMEMBERED = 256
"""Ended sessions whose exit status can still be asked for; clients ask at once."""
SESSION_HEARTBEAT = 15.0
"""Between two heartbeats on a silent output: half of the time after which Mesos' CLI gives up."""
SESSION_POLL = 1.0
"""Between two looks whether the client of a silent output is still there."""
SESSION_IDLE = 4 * 3600.0
"""Without input or output a session ends: longer than a person leaves a shell alone on purpose."""
SESSION_WRITE_TIMEOUT = 600.0
"""For a client that does not read what a process printed. The process waits meanwhile."""
SESSION_WAITING_BYTES = 1024 * 1024
"""Kept for a second client of a session that reads slowly. Beyond it, that client is cut off."""
SESSION_CLOSE_TIMEOUT = 5.0
"""For ending the processes of all sessions when the agent stops."""
SIGNAL_TIMEOUT = 20.0
"""For the program in a container that sends a signal to the process of a session."""
SIGNAL_ATTEMPTS = 3
SIGNAL_RETRY = 5.0
"""Between two attempts to kill the process of a session whose client has gone."""
HEALTH_RELIST_AGE = 90.0
"""/health answers 503 after this time without an answered list. A list is due every 10 s."""
AGENT_LOG_BYTES = 1024 * 1024
"""Of the agent's own log kept in memory for /slave/log; up to twice as much between two cuts."""

# --- the embedded master --------------------------------------------------------------------

STREAM_EVENTS = 100_000
"""Queued for one framework: ten for each of ten thousand tasks. A framework with more is
disconnected, since it does not read."""
LIVE_INTERVAL = 1.0
"""Between two rounds of the live page, while a stream is open."""
LIVE_STREAMS = 200
"""Open event streams. Each costs a connection and one write a round."""
LIVE_ROWS = 500
"""Tasks in one event."""
LIVE_GONE = 5_000
"""Removed rows that are remembered for streams that are behind; others get all rows again."""
LIVE_MESSAGE = 300
"""Characters of a status message in a row. The page of the task has all of it."""
LAUNCH_STEPS = 12
"""Stages of one launch that pages show. Most launches have three; repeated ones have more."""
LIVE_USAGES = 100
"""Containers whose use one request asks for: the rows in sight."""
LIVE_FAILURES = 20
LIVE_FAILURES_AGE = 3600.0
"""Groups of failures that are shown, and the age of the oldest."""
