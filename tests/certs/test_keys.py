"""Keys in files of every format and kind."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from shim.certs import keys, ssh_wire
from shim.certs.ssh_wire import pack_string as packed
from shim.errors import ConfigError
from tests.certs.conftest import KEYS, WriteKey, public_line


def no_passphrase() -> None:
    return None


def load_error(path: Path, given: bytes | None = None, ask: keys.Passphrase = no_passphrase) -> str:
    with pytest.raises(ConfigError) as caught:
        keys.load_key(path, ask, given)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("form", ["openssh", "pkcs1", "pkcs8"])
@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521"])
@pytest.mark.parametrize("passphrase", [None, b"secret"])
def test_each_supported_key_is_read(
    write_key: WriteKey, kind: str, form: str, passphrase: bytes | None
) -> None:
    key = keys.load_key(write_key(kind, form, passphrase), no_passphrase, passphrase)
    assert key.public_key() == KEYS[kind].public_key()


def test_the_passphrase_is_asked_for_only_if_needed(write_key: WriteKey) -> None:
    asked: list[int] = []

    def ask() -> bytes:
        asked.append(1)
        return b"secret"

    keys.load_key(write_key("p256"), ask)
    assert asked == []
    keys.load_key(write_key("p256", passphrase=b"secret"), ask)
    assert asked == [1]


@pytest.mark.parametrize("form", ["openssh", "pkcs1", "pkcs8"])
def test_wrong_passphrases(write_key: WriteKey, form: str) -> None:
    assert "is not encrypted, but a passphrase" in load_error(write_key("rsa", form), b"x")
    encrypted = write_key("rsa", form, b"secret")
    assert "wrong passphrase" in load_error(encrypted, b"x")
    assert "wrong passphrase" in load_error(encrypted, None, lambda: b"x")
    assert "wrong passphrase" in load_error(encrypted, None, lambda: b"")
    assert "TRITON_KEY_PASSPHRASE" in load_error(encrypted)


def test_kinds_of_keys_that_triton_refuses(write_key: WriteKey) -> None:
    assert "kind Ed25519" in load_error(write_key("ed25519"))
    assert "kind Ed25519" in load_error(write_key("ed25519", passphrase=b"s"), b"s")
    assert "is a DSA key" in load_error(write_key("dsa", "pkcs1"))
    assert "kind DSA" in load_error(write_key("dsa", "pkcs8"))


@pytest.mark.parametrize(
    ("kind", "curve"), [("p224", "secp224r1"), ("secp256k1",) * 2, ("brainpool", "brainpoolP256r1")]
)
@pytest.mark.parametrize("passphrase", [None, b"secret"])
def test_curves_that_ssh_does_not_have(
    write_key: WriteKey, kind: str, curve: str, passphrase: bytes | None
) -> None:
    text = load_error(write_key(kind, "pkcs8", passphrase), passphrase)
    assert f"on the curve {curve}" in text
    assert "P-256, P-384, P-521 or RSA is needed" in text


def openssh(kind: bytes, comment: bytes = b"") -> bytes:
    """The beginning of a private key file, up to where the private half would come."""
    public = packed(packed(kind) + packed(b"...")) + packed(comment)
    body = (
        keys.OPENSSH_MAGIC + packed(b"none") + packed(b"none") + packed(b"") + b"\0\0\0\1" + public
    )
    encoded = base64.b64encode(body)
    return b"-----BEGIN OPENSSH PRIVATE KEY-----\n%s\n-----END OPENSSH PRIVATE KEY-----\n" % encoded


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(public_line("rsa"), "is a public key", id="rsa.pub"),
        pytest.param(public_line("ed25519"), "is a public key", id="ed25519.pub"),
        (b"-----BEGIN PUBLIC KEY-----\n", "is a public key"),
        (b"ecdsa-sha2-nistp256-cert-v01@openssh.com AAAA", "is an SSH certificate"),
        (b"PuTTY-User-Key-File-3: ssh-rsa\n", "puttygen"),
        (b"-----BEGIN CERTIFICATE-----\n", "is a certificate, not"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n", "cannot be read"),
        (b"-----BEGIN RSA PRIVATE KEY-----\nnonsense\n", "cannot be read"),
        (openssh(b"sk-ssh-ed25519@openssh.com"), "FIDO key (sk-ssh-ed25519@openssh.com)"),
        (openssh(b"ssh-dss"), "is a DSA key"),
        (openssh(b"ssh-rsa", b"not my sk-ssh- or ssh-dss key"), "cannot be read"),
        (b"---- BEGIN SSH2 PUBLIC KEY ----\n", "is a public key"),
        (b"", "not an SSH private key"),
        (b"\x00\xff" * 100, "not an SSH private key"),
        (b"x" * 70000, "larger than"),
    ],
)
def test_a_file_that_is_no_private_key_is_named_by_its_kind(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "id_test"
    path.write_bytes(content)
    assert words in load_error(path)


def test_unreadable_files(tmp_path: Path) -> None:
    assert "No such file" in load_error(tmp_path / "none")
    assert "Is a directory" in load_error(tmp_path)


def test_fingerprints() -> None:
    public = KEYS["p256"].public_key()
    assert re.fullmatch("([0-9a-f]{2}:){15}[0-9a-f]{2}", ssh_wire.fingerprint(public))
    short = ssh_wire.issuer_fingerprint(public)
    digest = base64.b64decode(short.removeprefix("MD5:") + "==")
    assert digest.hex(":") == ssh_wire.fingerprint(public)


def test_is_public_key(write_key: WriteKey, tmp_path: Path) -> None:
    public = tmp_path / "id.pub"
    public.write_bytes(public_line("rsa"))
    assert keys.is_public_key(public)
    assert not keys.is_public_key(write_key("rsa"))
    public.write_bytes(b"ssh-rsa-cert-v01@openssh.com AAAA")
    assert not keys.is_public_key(public)
    assert not keys.is_public_key(tmp_path / "none")
