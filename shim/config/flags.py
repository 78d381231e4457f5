"""The table of the agent's flags: the source of parser, help, README and ``/flags``.

A value comes from ``--name=value`` (or ``--name value``; ``--name`` and ``--no-name`` for
booleans), else from the environment as ``MESOS_NAME``, else it is the default. ``file:///path``
means the contents of that file, except where the value is a path itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from shim.config.container_info import image, parse_container_info
from shim.config.file_values import (
    credential,
    docker_config,
    environment_variables,
    http_credentials,
    prices,
    secret_key,
    volume_driver_options,
)
from shim.config.master import parse_journal, parse_master
from shim.config.resources import parse_attributes, parse_domain, parse_ports, role
from shim.config.values import (
    BOOLEAN,
    COUNT,
    DURATION,
    HOSTNAME,
    IPV4,
    NUMBER,
    PATH,
    PORT,
    SIZE,
    TEXT,
    ValueKind,
    identifier,
    one_of,
)
from shim.engine.mapping.mapping_settings import parse_default_container_dns

PREFIX = "MESOS_"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of the agent."""

    name: str
    kind: ValueKind
    default: str | None
    """As a user writes it; None: not set."""
    help: str
    absent: str = ""
    """The meaning of an unset flag, for help texts."""
    secret: bool = False
    """The value may hold a secret, so it is never shown."""

    @property
    def environment(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def is_boolean(self) -> bool:
        return self.kind is BOOLEAN

    @property
    def usage(self) -> str:
        """``--name=VALUE``, or ``--[no-]name``."""
        if self.is_boolean:
            return f"--[no-]{self.name}"
        return f"--{self.name}={self.kind.placeholder}"


@dataclass(frozen=True, slots=True)
class FlagGroup:
    title: str
    flags: tuple[Flag, ...]


GROUPS = (
    FlagGroup(
        "Master and addresses",
        (
            Flag(
                "master",
                ValueKind("MASTER", parse_master),
                None,
                "the master: `host:port`, `zk://[user:password@]h1:p1,h2:p2/path`, "
                "`consul://host:port/service/NAME`, or a `file://` that holds one of them",
                absent="required",
                secret=True,
            ),
            Flag(
                "ip",
                IPV4,
                None,
                "address to listen on, and to advertise unless `--advertise_ip` says otherwise",
                absent="listens on all; advertises the address from which the master is reached",
            ),
            Flag("port", PORT, "5051", "port to listen on; 0 takes a free one"),
            Flag(
                "advertise_ip",
                IPV4,
                None,
                "address at which the master reaches the agent",
                absent="as `--ip`",
            ),
            Flag(
                "advertise_port",
                PORT,
                None,
                "port at which the master reaches the agent",
                absent="`--port`",
            ),
            Flag(
                "hostname",
                HOSTNAME,
                None,
                "name shown in offers and used by frameworks and browsers",
                absent="looked up for the advertised address",
            ),
            Flag(
                "hostname_lookup",
                BOOLEAN,
                "true",
                "look the host name up in DNS; otherwise it is the advertised address",
            ),
            Flag(
                "registration_backoff_factor",
                DURATION,
                "1secs",
                "longest random delay before the first registration; retries double it, up to "
                "1mins",
            ),
            Flag(
                "authentication_backoff_factor",
                DURATION,
                "1secs",
                "base of the random delay between authentication attempts",
            ),
            Flag(
                "credential",
                ValueKind("PATH|JSON", credential, from_file=False),
                None,
                'principal and secret for the master: a file with `{"principal": ..., "secret": '
                "...}` or with the two words, or that JSON itself",
                absent="does not authenticate",
                secret=True,
            ),
        ),
    ),
    FlagGroup(
        "What the agent offers",
        (
            Flag(
                "resources",
                ValueKind("RESOURCES", TEXT.parse),
                None,
                "total resources, as `cpus:100;mem(role):4096` or JSON; cpus, mem and disk that "
                "are not named come from the endpoint",
                absent="local: the engine's own; Triton: `cpus:100;mem:245760;disk:4096`",
            ),
            Flag(
                "ports",
                ValueKind("none|virtual|[FIRST-LAST,...]", parse_ports),
                "none",
                "`none`: no `ports` resource; `virtual`: ports 1-65535 that are never bound; "
                "ranges: bound on a local engine",
            ),
            Flag(
                "attributes",
                ValueKind("ATTRIBUTES", parse_attributes),
                None,
                "attributes, as `rack:r1;level:10;keys:[1-5]`",
            ),
            Flag("default_role", ValueKind("ROLE", role), "*", "role of resources without one"),
            Flag(
                "domain",
                ValueKind("JSON", parse_domain),
                None,
                'fault domain: `{"fault_domain": {"region": {"name": ...}, "zone": ...}}`, or '
                "`REGION/endpoint`: the zone is the endpoint's datacenter",
            ),
        ),
    ),
    FlagGroup(
        "State",
        (
            Flag("work_dir", PATH, "/var/lib/mesos-shim", "journal and kept logs of tasks"),
            Flag(
                "journal",
                ValueKind("sqlite|zk://...", parse_journal),
                "sqlite",
                "where the journal is: `sqlite`, below `--work_dir`; or "
                "`zk://[user:password@]h1:p1,h2:p2/path`, which agents on several machines share: "
                "one leads, the others take over",
                secret=True,
            ),
            Flag(
                "zk_session_timeout",
                DURATION,
                "10secs",
                "with `--journal=zk://...`: how long the leader may be silent before another agent "
                "takes over",
            ),
            Flag(
                "failover_command",
                TEXT,
                None,
                "shell command that takes or gives back `--advertise_ip`: run with `acquire` or "
                "`release` as `$1` and `$FAILOVER`",
                absent="the address leads to the leader by other means, or to all agents",
            ),
            Flag(
                "recover",
                one_of("reconnect", "cleanup"),
                "reconnect",
                "the tasks of the previous process: adopt them, or kill them and exit",
            ),
            Flag(
                "executor_registration_timeout",
                DURATION,
                "15mins",
                "how long a launch may take, image and provisioning included",
            ),
            Flag(
                "executor_shutdown_grace_period",
                DURATION,
                "5secs",
                "time between the first signal and the kill of a task",
            ),
            Flag(
                "executor_reregistration_timeout",
                DURATION,
                "20secs",
                "after a restart, how long a custom executor has to come back before its "
                "container is stopped; the agent takes launches meanwhile",
            ),
            Flag(
                "executor_environment_variables",
                ValueKind("JSON", environment_variables),
                None,
                "environment of custom executors, as a JSON object; the agent's own variables and "
                "those of the ExecutorInfo win",
                secret=True,
            ),
        ),
    ),
    FlagGroup(
        "Docker endpoint",
        (
            Flag(
                "docker_host",
                ValueKind("URL", TEXT.parse),
                None,
                "the endpoint: `unix:///path`, `tcp://host:port` or `https://host:port`",
                absent="`DOCKER_HOST`, else the current docker context",
            ),
            Flag(
                "docker_cert_path",
                ValueKind("PATH", TEXT.parse, from_file=False),
                None,
                "directory of ca.pem, cert.pem and key.pem",
                absent="`DOCKER_CERT_PATH`",
            ),
            Flag(
                "docker_tls_verify",
                BOOLEAN,
                None,
                "use TLS and verify the endpoint's certificate",
                absent="`DOCKER_TLS_VERIFY`",
            ),
            Flag(
                "engine",
                one_of("auto", "docker", "triton"),
                "auto",
                "kind of the endpoint; `auto` asks it",
            ),
            Flag(
                "max_inflight",
                COUNT,
                None,
                "launches under way at once",
                absent="local: 8; Triton: 4096",
            ),
            Flag(
                "docker_config",
                ValueKind("PATH|JSON", docker_config, from_file=False),
                None,
                "registry credentials for every pull: a docker `config.json`, as path or JSON",
                secret=True,
            ),
            Flag(
                "docker_stop_timeout",
                DURATION,
                "0secs",
                "grace period of a container that is stopped and whose task names none",
            ),
            Flag(
                "docker_remove_delay",
                DURATION,
                "0secs",
                "how long a stopped container is kept",
            ),
            Flag(
                "shim_id",
                ValueKind("NAME", identifier),
                None,
                "owner label on containers: shims that share an endpoint need different ids; "
                "the id of a used work_dir does not change",
                absent="`<hostname>-<port>-<hash of this machine>`",
            ),
            Flag(
                "docker_kill_orphans",
                BOOLEAN,
                "true",
                "remove containers with this shim's id that belong to no known task",
            ),
            Flag(
                "sandbox_directory",
                TEXT,
                "/mnt/mesos/sandbox",
                "path of the sandbox inside the containers",
            ),
            Flag(
                "default_container_dns",
                ValueKind("JSON", parse_default_container_dns),
                None,
                "resolvers of containers whose task names none, as mesos-agent's JSON",
            ),
            Flag(
                "default_container_info",
                ValueKind("JSON", parse_container_info),
                None,
                "the container of tasks and executors that have none, as mesos-agent's JSON; its "
                "image is also that of `MESOS` containers without one",
            ),
            Flag(
                "pod_image",
                ValueKind("IMAGE", image),
                None,
                "image of the container that holds the network of a task group",
                absent="the agent's own, which needs no registry",
            ),
            Flag(
                "cgroups_enable_cfs",
                BOOLEAN,
                "false",
                "cpus are a hard limit as well as shares",
            ),
            Flag(
                "volume_driver",
                TEXT,
                "local",
                "the engine's driver of persistent volumes; Triton's is always `tritonnfs`",
            ),
            Flag(
                "volume_driver_options",
                ValueKind("OPTIONS", volume_driver_options),
                None,
                "options of that driver, `key=value,key=value` or a JSON object; in a value "
                "`{name}` is the volume's name and `{size}` its size in MB",
                secret=True,
            ),
            Flag(
                "fetcher_cache_size",
                SIZE,
                "2GB",
                "size limit of the fetcher cache",
            ),
            Flag(
                "fetcher_cache_dir",
                PATH,
                None,
                "directory of the fetcher cache",
                absent="`fetch` below `--work_dir`",
            ),
            Flag(
                "fetcher_file_root",
                PATH,
                None,
                "directory of this host below which tasks may fetch `file://` URIs",
                absent="no such URI is fetched",
            ),
        ),
    ),
    FlagGroup(
        "Triton",
        (
            Flag(
                "triton_unsupported",
                one_of("refuse", "warn"),
                "refuse",
                "whether tasks with options that Triton ignores fail or run with a warning",
            ),
            Flag(
                "triton_pods",
                one_of("refuse", "separate"),
                "refuse",
                "whether task groups are refused, since containers cannot share a network there, "
                "or each task gets an address of its own",
            ),
            Flag(
                "triton_prices",
                ValueKind("PATH", prices, from_file=False),
                None,
                "JSON file, package -> price per hour, for the running cost in state and metrics",
            ),
        ),
    ),
    FlagGroup(
        "Consul",
        (
            Flag(
                "consul",
                ValueKind("URL", TEXT.parse),
                None,
                "a Consul agent, `http(s)://host:8500`; token, CA and certificate come from "
                "Consul's own `CONSUL_*` variables",
                absent="`CONSUL_HTTP_ADDR`, else nothing is registered",
            ),
            Flag(
                "consul_register",
                one_of("all", "labelled", "none"),
                "all",
                "tasks to register: every one, those with a label `consul`, or none",
            ),
            Flag(
                "consul_checks",
                one_of("mesos", "consul"),
                "mesos",
                "`mesos`: the agent reports the task's health check to Consul; `consul`: Consul's "
                "agent reaches the containers and runs HTTP and TCP checks itself",
            ),
        ),
    ),
    FlagGroup(
        "HTTP and log",
        (
            Flag(
                "http_credentials",
                ValueKind("PATH|JSON", http_credentials, from_file=False),
                None,
                'accounts for the agent\'s pages: a file with `{"credentials": [{"principal": '
                '..., "secret": ...}]}`, or that JSON itself',
                secret=True,
            ),
            Flag("authenticate_http_readonly", BOOLEAN, "false", "pages that read need a password"),
            Flag(
                "authenticate_http_readwrite",
                BOOLEAN,
                "false",
                "calls that change something need a password",
            ),
            Flag(
                "unsafe_exec",
                BOOLEAN,
                "false",
                "calls that run commands in tasks, kill containers or change the log level are "
                "open to everybody who reaches the port, unless `--authenticate_http_readwrite` "
                "is set as well",
            ),
            Flag(
                "authenticate_http_executors",
                BOOLEAN,
                "false",
                "each call of a v1 executor needs the token that its container was given; "
                "otherwise an executor that never sends it is accepted (pymesos)",
            ),
            Flag(
                "jwt_secret_key",
                ValueKind("PATH", secret_key, from_file=False),
                None,
                "file with the secret that signs the tokens of executors",
                absent="a random one, kept in `--work_dir`",
                secret=True,
            ),
            Flag(
                "metrics_max_tasks",
                NUMBER,
                "1000",
                "running tasks with metrics of their own in `/metrics`: those that were accepted "
                "first; 0: none",
            ),
            Flag(
                "log_level",
                one_of("debug", "info", "warning", "error"),
                "info",
                "lowest level of the log",
            ),
            Flag("log_format", one_of("text", "json"), "text", "format of the log on stderr"),
        ),
    ),
)

FLAGS: dict[str, Flag] = {flag.name: flag for group in GROUPS for flag in group.flags}
