"""Starts and ends a real single-node ``consul`` server on free ports."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.ports import free_ports
from tests.support.wait import PATIENCE

MASTER_TOKEN = "6d3f5a0e-0000-4000-8000-000000000001"


class RealConsul:
    """A context manager: starts the process, waits for a leader, kills the process."""

    def __init__(self, directory: Path, *, acl: bool = False, tls: bool = False) -> None:
        self.directory, self.acl, self.tls = directory, acl, tls
        self.port, lan, server = free_ports(3)
        self._process: subprocess.Popen[bytes] | None = None
        config: dict[str, Any] = {
            "datacenter": "dc1",
            "data_dir": str(directory / "data"),
            "server": True,
            "bootstrap_expect": 1,
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "disable_update_check": True,
            "performance": {"raft_multiplier": 1},
            "ports": {
                "http": -1 if tls else self.port,
                "https": self.port if tls else -1,
                "dns": -1,
                "grpc": -1,
                "serf_lan": lan,
                "serf_wan": -1,
                "server": server,
            },
        }
        if acl:
            tokens = {"master": MASTER_TOKEN, "agent": MASTER_TOKEN}
            config["acl"] = {"enabled": True, "default_policy": "deny", "tokens": tokens}
        if tls:
            make_certificates(directory)
            config |= {
                "ca_file": str(directory / "ca.pem"),
                "cert_file": str(directory / "server.pem"),
                "key_file": str(directory / "server.key"),
                "verify_incoming": True,
            }
        (directory / "config.json").write_text(json.dumps(config))

    @property
    def address(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> RealConsul:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["consul", "agent", f"-config-file={self.directory / 'config.json'}"],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + PATIENCE
        while not self._has_leader():
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError((self.directory / "log").read_text()[-2000:])
            time.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Call the API with all permissions. JSON in, JSON or None out."""
        request = urllib.request.Request(
            f"{self.address}{path}",
            None if body is None else json.dumps(body).encode(),
            {"X-Consul-Token": MASTER_TOKEN} if self.acl else {},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=PATIENCE, context=self._context()) as answer:
            return json.loads(answer.read() or b"null")

    def passing(self, name: str) -> list[tuple[str, int]]:
        """The addresses at which clients find a service."""
        nodes = self.call("GET", f"/v1/health/service/{name}?passing")
        return [(node["Service"]["Address"], node["Service"]["Port"]) for node in nodes]

    def token(self, rules: str) -> str:
        """A new token with only these permissions."""
        name = f"p{time.monotonic_ns()}"
        self.call("PUT", "/v1/acl/policy", {"Name": name, "Rules": rules})
        made = self.call("PUT", "/v1/acl/token", {"Policies": [{"Name": name}]})
        return str(made["SecretID"])

    def _has_leader(self) -> bool:
        try:
            if not self.call("GET", "/v1/status/leader"):
                return False
            # ACLs become usable after the leader election, for reading before for writing.
            return not self.acl or bool(self.token(""))
        except OSError:
            return False

    def _context(self) -> ssl.SSLContext | None:
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=str(self.directory / "ca.pem"))
        context.load_cert_chain(self.directory / "client.pem", self.directory / "client.key")
        return context


def make_certificates(directory: Path) -> None:
    """``ca.pem`` and, signed by it, ``server`` (for 127.0.0.1) and ``client`` pairs."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    ca = _builder(ca_name, ca_name, ca_key).add_extension(x509.BasicConstraints(True, None), True)
    _write(directory / "ca.pem", ca.sign(ca_key, hashes.SHA256()))
    for name in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}.dc1.consul")])
        names = [
            x509.DNSName(f"{name}.dc1.consul"),
            x509.DNSName("localhost"),
            x509.IPAddress(IPv4Address("127.0.0.1")),
        ]
        cert = _builder(subject, ca_name, key).add_extension(
            x509.SubjectAlternativeName(names), False
        )
        _write(directory / f"{name}.pem", cert.sign(ca_key, hashes.SHA256()))
        (directory / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _write(path: Path, cert: x509.Certificate) -> None:
    path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
