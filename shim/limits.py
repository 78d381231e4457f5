"""Every limit with its reason. Sizes in bytes, times in seconds."""

from __future__ import annotations

# --- flags ----------------------------------------------------------------------------------

FLAG_FILE_BYTES = 1024 * 1024
"""A file that stands for a flag's value. The largest, a docker config.json, has kilobytes."""

CHECK_TIMEOUT = 15.0
"""One look of `mesos-shim check`: longer than any connect timeout that says more than "late"."""
CHECK_PAGE_BYTES = 65_536
"""Beginning of a master's /state, which goes on for megabytes: the master's own words."""
CHECK_DAYS_LEFT = 30
"""A client certificate that ends sooner should be renewed now."""

# --- the wire -------------------------------------------------------------------------------

MESSAGE_BYTES = 256 * 1024 * 1024
"""Body of one message. A stock agent has no limit; a RunTask with data may have megabytes, and
the answer to a larger one would be a message lost without a trace."""

PIDS_REMEMBERED = 1024
"""Pids taken apart: every message names its sender, and there are few of them."""

LINK_WRITE_BYTES = 256 * 1024
"""Messages that wait for one peer go out together, about so many bytes at a time: a system call
for each would cost more than making it."""

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

ZK_NEW_SESSION = 0.5
"""Before a new session, after one was lost: some refuse us as soon as they begin."""

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
REJECTION_AGE = 14 * 24 * 3600.0
"""A rejection that is not acknowledged for so long is forgotten. A master does not tell the agent
that a framework is gone whose tasks were all rejected. Twice the usual failover timeout."""
PING_TIMEOUT = 75.0
"""Without a ping for so long, the master is lost. A master's own value replaces this default."""

EARLY_KILLS = 10_000
"""Kills remembered that arrived before their launch: one per task of the largest agent."""
EARLY_KILL_AGE = 600.0

FACTS_PER_TURN = 256
"""Facts handled before other coroutines run: about 10 ms of work."""
ORDERS_PER_TURN = 64
"""Orders carried out before other coroutines run: a message takes a tenth of a millisecond."""
DISK_RETRY = 1.0
"""Between two attempts to commit to a disk that does not take records."""
DISK_CLOSE_TIMEOUT = 5.0
"""At exit, for a commit under way."""
AUTHENTICATION_MESSAGES = 16
"""Queued for one CRAM-MD5 exchange, which has four messages."""

WITHDRAW_PATIENCE = 1.0
"""How long a Stop waits for the deregistration from Consul."""

ENDPOINT_RETRY = 5.0
"""At start, between two attempts to reach the Docker endpoint."""

FOREIGN_SENDERS_LOGGED = 16
"""Foreign senders named in the log, each once."""

COMPLETED_FRAMEWORKS = 50
"""Frameworks with completed tasks on pages, as mesos-agent."""
COMPLETED_TASKS = 150
"""Completed tasks of one framework, as mesos-agent's completed executors."""

LEAVE_TIMEOUT = 60.0
"""How long a leaving agent waits for the last acknowledgements after its last task ended."""

GC_THRESHOLDS = (50_000, 20, 20)
"""Python's default of (700, 10, 10) would walk the messages of all tasks all the time: 100 ms for
10,000 tasks. The code makes hardly any reference cycles."""

# --- the engine -----------------------------------------------------------------------------

ENGINE_CONNECTIONS = 64
"""Short calls open at once. More than any useful --max_inflight of a local engine."""
ENGINE_LONG_CONNECTIONS = 512
"""Stops, pulls, logs and events last long, so they have a connection pool of their own. Half of
the usual limit of 1024 open files."""
ENGINE_CONNECT_TIMEOUT = 10.0
ENGINE_CALL_TIMEOUT = 60.0
"""List, inspect, image lookup: milliseconds, or seconds behind a busy daemon's lock."""
ENGINE_WORK_TIMEOUT = 120.0
"""Create, start, remove: seconds, or many on a disk that is busy with a pull."""
ENGINE_STOP_SLACK = 60.0
"""What a daemon may take beyond the grace period to kill a container and say so."""
ENGINE_ARCHIVE_TIMEOUT = 600.0
"""Copying files of a task to or from a remote datacenter."""
ENGINE_STREAM_IDLE = 300.0
"""Silence on a pull or the event stream after which the call is repeated: a broken network path
looks like this."""
ENGINE_ANSWER_BYTES = 256 * 1024 * 1024
"""One answer: a list of 10,000 containers has about 20 MB."""
ENGINE_ERROR_BYTES = 65_536
EXEC_OUTPUT_BYTES = 65_536
"""The output of an exec that is kept: that of a health check, for people."""
LOG_LINE_BYTES = 1024 * 1024
"""One frame of a log stream; engines cut lines at 16 kB."""

MAX_INFLIGHT = 8
"""Launches at once on a local engine: measured on two cores, 4 reach 85 % and 16 not more."""
ENGINE_RETRY_MIN = 0.2
ENGINE_RETRY_MAX = 30.0
"""Between two attempts at an endpoint that does not answer; doubles."""
RETRY_SPREAD = 30.0
"""Those who were told to come back at the same moment come within so long after it: thousands of
launches are then a hundred calls a second."""
MAINTENANCE_PATIENCE = 4 * 3600.0
"""A launch waits so long for the end of a maintenance that was announced, beyond its own patience.
An operator's window has an hour or two; of a longer one a framework should hear, and decide."""
LAUNCH_BATCH = 4
LAUNCH_BATCH_INTERVAL = 0.02
"""So many launches are begun in each interval, half a millisecond each: a ping may wait behind
thousands. No endpoint takes 200 launches a second."""
LAUNCH_BURST = 16
LAUNCH_BURST_INTERVALS = 50
"""While so many launches arrive in an interval, none is begun, for so many intervals at most.
Beginning them takes half of the loop, and taking them all takes a second or so."""
LAUNCHES_WAITING = 64
"""For a slot; further launches stay queued. A begun launch takes 8 kB more than an order, and slots
change hands a hundred times a second at most."""
AMBIGUOUS_ATTEMPTS = 3
"""An error that may be about the endpoint or about this container: after so many it is final."""
FINAL_LOGS_ATTEMPTS = 3
"""To read a task's last output: within a second or so, since other ended tasks wait."""
AMBIGUOUS_PAUSE = 5.0
"""At least, after an ambiguous error of Triton or of a registry: most of their failures pass in
seconds. Those of a local engine are mostly about the container, so they have no pause."""
HTML_ERROR_CHARS = 200
"""Characters kept of a proxy's HTML page."""
CREATE_SETTLES = 30.0
"""A create whose answer was lost has made its container by then, or never will."""
PULLS_AT_ONCE = 16
"""The daemon itself fetches three layers at a time; more only share the link."""
PULL_REPORT_INTERVAL = 5.0
IMAGES_REMEMBERED = 1024
"""Images known to be there, to save a question; forgotten as soon as a create says otherwise."""
ORPHAN_GRACE = 10.0
"""Docker's own default: nobody knows what the task wanted."""

RELIST_INTERVAL = 10.0
"""Events tell within milliseconds; this is the net below them."""
POLL_INTERVAL = 2.0
POLL_BUSY = 60.0
"""Where there are no events, lists come as often as POLL_INTERVAL until nothing has started or
ended for POLL_BUSY: each makes Triton load an account's packages and firewall rules."""
POLL_SHARE = 0.25
"""As RELIST_SHARE, where a list is the only way to learn of an end. Its time is mostly the
endpoint's: with 10,000 tasks a list takes seconds there, and a fifth of a second here."""
RELIST_SHARE = 0.05
"""At most this part of the time is spent on lists: an interval grows with what a list takes."""
RELIST_ASKED_SHARE = 0.2
"""Lists that are asked for (a stream broke, tasks were taken over) take at most this part of the
time: those asked for meanwhile are one."""
INSPECTS_AT_ONCE = 4
"""After a list that found much changed."""
EVENTS_RETRY = 1.0
"""After the event stream broke."""
ENDPOINT_FRESH = 1.0
"""An answer this young proves that the endpoint is there; nobody asks for lists more often."""
LOG_THROTTLE_INTERVAL = 60.0
"""Between two lines in the log about the same problem."""
RETRY_BLIND = 300.0
"""So long a repetition waits for a list to be answered: then it is tried all the same, in case
only lists hang. Ten thousand of them are 33 calls a second, which cost little."""

CHECKS_AT_ONCE = 256
"""Probes over the network: 1,000 checks at 10 s intervals need this many when each takes 2.5 s."""
EXECS_AT_ONCE = 8
"""Probes in containers on a local engine: each costs the daemon some 50 ms of a core, which
launches want too."""
TRITON_EXECS_AT_ONCE = 128
"""Each waits about a second for its compute node."""
CHECK_CONNECT_TIMEOUT = 5.0
"""An address that does not answer by then is tried otherwise; a handshake takes milliseconds."""
CHECK_SETTLE = 0.5
"""From a probe that failed to the question whether the container still runs: what an engine needs
to tell of an end."""
CHECK_INTERVAL_MIN = 0.1
"""For an interval of 0: back to back, without keeping the loop from anything else."""
CHECK_TIMEOUT_MAX = 3600.0
"""For a timeout of 0, no limit: a probe that hangs must not hold its place for ever."""
CHECK_BODY = 65_536
"""Of an answer to a probe: read, so that small ones end well, and thrown away."""
CHECK_REDIRECTS = 10

FETCH_URIS = 256
"""Of one task; tasks have a handful."""
FETCH_BYTES = 2 * 1024**3
"""One download: as much as the whole default cache. It goes through this process's link twice."""
UNPACKED_BYTES = 4 * 1024**3
"""All files of one task, unpacked: an archive of zeros grows a thousandfold."""
UNPACKED_MEMBERS = 100_000
ARCHIVE_HEADER_BYTES = 1024 * 1024
"""Long names and attributes of one member, which are held in memory."""
ARCHIVE_DIRECTORY_BYTES = 32 * 1024 * 1024
"""A zip's table of contents, held in memory: about 100 bytes a member."""
XZ_MEMORY = 128 * 1024 * 1024
"""What xz -9 needs, twice: an archive may ask for 4 GB."""
FETCH_REDIRECTS = 10
"""More of them lead nowhere."""
FETCH_STALL = 60.0
"""Without a byte; as mesos-agent."""
FETCH_CONNECT_TIMEOUT = 15.0
FETCHES_AT_ONCE = 16
"""Downloads; more would only share the link."""
FETCH_THREADS = 4
"""For writing and unpacking: a core's work each, kept away from the loop."""
FETCH_PIECE = 1024 * 1024
"""Written at once."""
DOCKER_CONFIG_BYTES = 1024 * 1024
"""A fetched .docker/config.json; real ones have kilobytes."""

# --- Triton ---------------------------------------------------------------------------------

LIST_SLICE = 200
"""Entries of a list that are parsed before other coroutines run: about 3 ms."""
TRITON_MAX_INFLIGHT = 4096
"""Launches at once: a create waits for its whole provisioning, and a waiting one is cheap."""
TRITON_CALL_TIMEOUT = 125.0
"""Triton itself cuts every short call after two minutes; an answer until then is received."""
TRITON_CREATE_TIMEOUT = 3660.0
"""Triton cuts a create after an hour."""
TRITON_PULL_IDLE = 160.0
"""Triton cuts a silent pull after 150 s."""
TRITON_TLS_BUFFER = 16 * 1024
"""Read buffer of one TLS connection: one record of the largest size. asyncio's default of 256 KiB
is of no use to the creates that are held on their connections."""
CREATES_HELD = 64
"""Creates that wait for an answer on their connection (about 70 kB each). One list shows the
outcome of all others."""
CREATES_SENT_AT_ONCE = 32
"""TLS handshakes under way: each takes about 2 ms of the loop, which has pings to answer."""
CREATE_HELD_MIN = 0.5
"""A create keeps its connection at least so long: most refusals come before provisioning begins.
A later refusal is the answer when the create is tried again. With CREATES_HELD this bounds the
creates sent in a second: 2,000 are under way before the first has its machine."""
CREATE_RELEASE_INTERVAL = 0.1
"""Between two looks for connections to release, while queued creates wait for one."""
CREATE_POLL = 2.0
"""Between two lists while creates wait for their outcome."""
CREATE_CALLBACK_INTERVAL = 0.002
"""Between two callbacks for creates that have ended: each is followed by 1 to 3 ms of work."""
CREATE_UNSEEN_MAX = 60.0
"""A create without an answer that no list has shown for so long did not arrive."""
EXIT_STATUS_WAIT = 15.0
"""Triton's own wait call asks so long for the exit status of a machine that stopped."""
NO_STATUS_WAIT = 300.0
"""A machine that is listed without status for so long counts as ended: its server failed."""
STOP_POLL = 2.0
"""Between two inspects of a container whose stop was cut off."""
BILLS_KEPT = 10_000
"""Bills of removed containers: one per task of the largest agent."""
WITHOUT_TASK_ALARM = 120.0
"""A container of this agent that belongs to no task for so long: a removal takes seconds."""
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
"""Consul removes a service that is critical for so long: well above a restart or an upgrade."""
CONSUL_BLOCK = 60
"""Seconds of one blocking query. Consul adds up to a sixteenth."""
CONSUL_BLOCK_PAUSE = 1.0
"""Between two blocking queries, for a Consul that answers each at once."""

# --- sandboxes ------------------------------------------------------------------------------

SANDBOX_SEGMENT_BYTES = 2 * 1024 * 1024
SANDBOX_STREAM_BYTES = 16 * 1024 * 1024
"""Kept of one task's stdout, or stderr: its first segment, and the newest."""
SANDBOX_TOTAL_BYTES = 1024 * 1024 * 1024
"""Of all sandboxes on disk. Beyond, completed ones go, oldest first."""
SANDBOXES_KEPT = 20_000
"""Twice the tasks of the largest agent: bounds the directories, and the index in memory."""
SANDBOX_AGE = 7 * 24 * 3600.0
"""After its task ended; a stock agent's --gc_delay."""
SANDBOX_SWEEP = 60.0
LOG_FETCH_BYTES = 8 * 1024 * 1024
"""Read from an engine in one go, about half a second of this loop; beyond, only the end is asked
for."""
LOG_TAIL_LINES = 5000
"""Of an output that is larger. Engines find the end without reading what is before it."""
LOG_FETCHES_AT_ONCE = 4
"""Of ended containers, on a local engine. Launches want the daemon and this loop, too."""
TRITON_LOG_FETCHES_AT_ONCE = 64
"""Each waits a second or two for its compute node."""
LOG_TURN_PATIENCE = 120.0
"""How long a removal waits for its turn to fetch, when many containers end at once."""
LOG_FETCH_PATIENCE = 20.0
"""A stopped container costs money: its removal waits no longer for its last output."""
LOG_OVERLAP = 1.0
"""Asked for again when a log is resumed: engines stamp the two streams independently."""
LOGS_FOLLOWED = 32
"""Tasks whose output somebody watches, each a connection. Of one more, the one that was read
least recently is followed no longer; it catches up when it is read again."""
LOG_WATCHED = 60.0
"""An output is followed so long after it was last read. A browser's tail reads every second."""
LOG_READ_PATIENCE = 2.0
"""How long a reader waits for an engine; then it gets what there is. Tools give up after 5 s."""
LOG_SLICE_BYTES = 64 * 1024
LOG_SLICE_PAUSE = 0.02
"""All followed logs together come in at 3 MB/s, at most a tenth of this loop's time."""
LOG_RETRY = 2.0
ARCHIVE_BYTES = 32 * 1024 * 1024
"""A file, or a directory with all below it, fetched out of a running container for a page."""
ARCHIVE_AGE = 3.0
"""A page's tail asks every second."""
ARCHIVES_HELD_BYTES = 64 * 1024 * 1024
ARCHIVES_AT_ONCE = 2

STATS_AGE = 10.0
"""Samples this old are taken anew when somebody looks."""
STATS_AT_ONCE = 64
"""A Docker daemon answers with its next collection, up to a second later."""
STATS_PATIENCE = 0.25
"""A page waits so long for fresh samples; then it gets the ones there are."""
STATS_PAUSE = 0.05
"""After each sample, for an endpoint that answers at once, or refuses."""

SUPERVISE_RETRY = 5.0
"""Before background work that failed (pages, sandboxes, Consul) is restarted."""

# --- http -----------------------------------------------------------------------------------

PAGE_SLICE_SECONDS = 0.004
"""Work on a page before other coroutines run. A page of 10,000 tasks has many slices."""
PAGE_SLICE_BYTES = 256 * 1024
"""Of a page that are sent at once."""
PAGE_WARM_INTERVAL = 2.0
"""Between two rounds that build the JSON of changed tasks, so that no request waits for it."""
FILE_READ_BYTES = 65_536
"""In one answer of /files/read, as a stock agent (16 pages of memory)."""
HEALTH_RELIST_AGE = 90.0
"""Without an answered list for so long, /health answers 503. A list is due every 10 s."""
AGENT_LOG_BYTES = 1024 * 1024
"""Of the agent's own log kept in memory for /slave/log; up to twice as much between two cuts."""

# --- the embedded master --------------------------------------------------------------------

STREAM_EVENTS = 100_000
"""Waiting for one framework: ten for each of ten thousand tasks. More, and it does not read."""
