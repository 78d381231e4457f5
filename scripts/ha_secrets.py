"""Certificates and credentials of a demo that asks for them, and the shim's rights in Consul.

ha_secrets.py make DIRECTORY HOST MASTERS MARATHON SHIMS
    once; a directory that is complete is left as it is, unless the addresses have changed. Each of
    the others is a list of addresses with commas: HOST those at which people reach the demo
ha_secrets.py grant DIRECTORY URL   gives the shim's token its rights; may be repeated
"""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import secrets
import ssl
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = timedelta(days=365)
CONSULS = ("consul", "consul2", "consul3")
KEYSTORE_PASSWORD = b"changeit"
"""As compose/docker-compose.ha.yml gives it to Marathon: no secret, but Java wants one."""
RULES = 'service_prefix "" { policy = "write" }'


class Authority:
    """Signs with a key that is never written to disk, so no more certificates can be issued."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("mesos-shim demo authority")
        self.certificate = self._builder(self._name, self._key, True).sign(
            self._key, hashes.SHA256()
        )

    def issue(self, directory: Path, name: str, hosts: Sequence[str], java: bool = False) -> None:
        """cert.pem, key.pem and ca.pem, for servers and clients alike; ``java``: keystore.p12 too.

        ``hosts`` are names and addresses.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = [_alternative(host) for host in {*hosts, "localhost", "127.0.0.1"}]
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        signed = (
            self._builder(_name(name), key, False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        write(directory / "cert.pem", signed.public_bytes(serialization.Encoding.PEM))
        write(directory / "ca.pem", self.certificate.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write(directory / "key.pem", private)
        if java:
            write(directory / "keystore.p12", self._keystore(name, key, signed))

    def _keystore(
        self, name: str, key: ec.EllipticCurvePrivateKey, signed: x509.Certificate
    ) -> bytes:
        """PKCS 12 as Java 8 reads it."""
        protection = (
            serialization.PrivateFormat.PKCS12.encryption_builder()
            .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
            .hmac_hash(hashes.SHA1())
            .build(KEYSTORE_PASSWORD)
        )
        return pkcs12.serialize_key_and_certificates(
            name.encode(), key, signed, [self.certificate], protection
        )

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, is_authority: bool
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        constraints = x509.BasicConstraints(ca=is_authority, path_length=None)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + LIFE)
            .add_extension(constraints, critical=True)
        )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def write(path: Path, content: bytes | str | dict[str, Any]) -> None:
    if isinstance(content, dict):
        content = json.dumps(content, indent=2)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    # Readable for any user of the container; only the owner can enter the directory above.
    path.chmod(0o644)


def make(top: Path, host: str, masters: str, marathon: str, shims: str) -> None:
    addresses = f"{host} {masters} {marathon} {shims}"
    if (top / "addresses").exists() and (top / "addresses").read_text() == addresses:
        return
    # Only its owner comes in; a container sees one directory, mounted, as its own user.
    top.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("consul", "master", "marathon", "shim", "operator", "prometheus"):
        (top / name).mkdir(exist_ok=True)
        (top / name).chmod(0o755)
    authority = Authority()
    here = host.split(",")
    authority.issue(top / "consul", "server.dc1.consul", (*CONSULS, *here, "server.dc1.consul"))
    authority.issue(top / "master", "master", (*here, *masters.split(",")))
    authority.issue(top / "marathon", "marathon", (*here, *marathon.split(",")), java=True)
    # The agent's host name is an address of the engine's host.
    authority.issue(top / "shim", "mesos-shim", (*here, *shims.split(",")))
    authority.issue(top / "operator", "operator", here)
    authority.issue(top / "prometheus", "prometheus", here)
    holders = ("agent", "marathon", "operator", "journal")
    words = {who: secrets.token_urlsafe(24) for who in holders}
    management, token = str(uuid.uuid4()), str(uuid.uuid4())
    write(top / "consul/consul.json", consul_config(management))
    pairs = [{"principal": who, "secret": words[who]} for who in holders[:3]]
    write(top / "master/credentials.json", {"credentials": pairs})
    write(top / "marathon/secret", words["marathon"])
    write(top / "shim/credential.json", {"principal": "agent", "secret": words["agent"]})
    operator = {"principal": "operator", "secret": words["operator"]}
    write(top / "shim/http.json", {"credentials": [operator]})
    write(top / "shim/token", token)
    write(top / "prometheus/password", words["operator"])
    write(top / "operator.sh", operator_lines(top / "operator", management, words))
    write(top / "addresses", addresses)


def consul_config(management: str) -> dict[str, Any]:
    """Settings that Consul 1.8 and 1.15 both know."""
    return {
        "server": True,
        "ui": True,
        "bootstrap_expect": len(CONSULS),
        "retry_join": list(CONSULS),
        "client_addr": "0.0.0.0",
        "addresses": {"http": "127.0.0.1"},
        "ports": {"https": 8501},
        "encrypt": base64.b64encode(secrets.token_bytes(32)).decode(),
        "ca_file": "/secrets/ca.pem",
        "cert_file": "/secrets/cert.pem",
        "key_file": "/secrets/key.pem",
        "verify_incoming": True,
        "verify_outgoing": True,
        "verify_server_hostname": True,
        "acl": {
            "enabled": True,
            "default_policy": "deny",
            "tokens": {"master": management, "agent": management},
        },
    }


def operator_lines(directory: Path, management: str, words: Mapping[str, str]) -> str:
    """For a shell: what Consul's own clients read, the masters' user:password, and the password of
    the journal in ZooKeeper."""
    return "".join(
        f"export {name}='{value}'\n"
        for name, value in (
            ("CONSUL_CACERT", directory / "ca.pem"),
            ("CONSUL_CLIENT_CERT", directory / "cert.pem"),
            ("CONSUL_CLIENT_KEY", directory / "key.pem"),
            ("CONSUL_HTTP_TOKEN", management),
            ("MESOS_HTTP_AUTH", f"operator:{words['operator']}"),
            ("JOURNAL_SECRET", words["journal"]),
        )
    )


def grant(top: Path, url: str) -> None:
    """With the environment that operator.sh sets."""
    policy = {"Name": "mesos-shim", "Rules": RULES}
    token = (top / "shim/token").read_text()
    wanted = {"SecretID": token, "Policies": [{"Name": "mesos-shim"}]}
    for path, body, there in (
        ("policy", policy, "already exists"),
        ("token", wanted, "already in use"),
    ):
        try:
            put(f"{url}/v1/acl/{path}", body)
        except urllib.error.HTTPError as error:
            if there not in error.read().decode(errors="replace"):
                raise


def put(url: str, body: dict[str, Any]) -> None:
    context = ssl.create_default_context(cafile=os.environ["CONSUL_CACERT"])
    context.load_cert_chain(os.environ["CONSUL_CLIENT_CERT"], os.environ["CONSUL_CLIENT_KEY"])
    request = urllib.request.Request(url, json.dumps(body).encode(), method="PUT")
    request.add_header("X-Consul-Token", os.environ["CONSUL_HTTP_TOKEN"])
    urllib.request.urlopen(request, timeout=10, context=context).close()


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), *sys.argv[3:])
    else:
        try:
            grant(Path(sys.argv[2]), sys.argv[3])
        except OSError as error:
            sys.exit(f"{error}")
