"""Session tickets: good at every worker, over reloads and upgrades, on several machines; and for how long.

Resumption is the client's word, and the closing line's.  Which worker answered is looked up in /proc.
"""

import base64
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from certs import Certificates
from clients import DEADLINE, Raw, until_it_works
from popgate import Config, Popgate, run_command, site
from proc import holders, wait_gone

Start = Callable[..., Popgate]

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

NO_STORE = 9  # nobody logs in here


def config_of(certificates: Certificates, **top: Any) -> Config:
    return site(certificates, NO_STORE, **top)


@pytest.fixture(name="context", params=VERSIONS)
def _context(request: pytest.FixtureRequest, certificates: Certificates) -> ssl.SSLContext:
    context = certificates.client_context()
    context.minimum_version = context.maximum_version = VERSIONS[request.param]
    return context


@dataclass(frozen=True)
class Visit:
    """What a greeted client knows."""

    resumed: bool
    session: ssl.SSLSession
    worker: int


def visit(gate: Popgate, context: ssl.SSLContext, session: ssl.SSLSession | None = None,
          listener: str = "pop3s") -> Visit:
    with Raw(gate.port(listener)) as client:
        if listener == "pop3":
            client.greeting()
            client.ask(b"STLS", b"+OK")
        client.start_tls(context, session)
        if listener == "pop3":
            client.ask(b"NOOP")
        else:
            client.greeting()
        assert client.tls and client.tls.session
        worker = holders(gate.workers(), {client.ports}).get(client.ports, 0)
        return Visit(client.tls.session_reused, client.tls.session, worker)


def resumes_at_all(gate: Popgate, context: ssl.SSLContext, session: ssl.SSLSession) -> None:
    """Comes back until every worker has answered, and is known each time."""
    left = set(gate.workers())
    end = time.monotonic() + DEADLINE
    while left:
        assert time.monotonic() < end, f"workers {left} never answered"
        seen = visit(gate, context, session)
        assert seen.resumed
        left.discard(seen.worker)


def upgrade(gate: Popgate) -> None:
    """Also waits until the workers of before are gone."""
    before, mark = gate.workers(), gate.log.mark()
    gate.signal(signal.SIGUSR2)
    gate.log.wait("upgrade_done", since=mark)
    wait_gone(before)


# ---- where

def test_a_ticket_is_good_at_every_worker_and_listener(start: Start, certificates: Certificates,
                                                       context: ssl.SSLContext) -> None:
    gate = start(config_of(certificates, workers=3))
    first = visit(gate, context)
    assert not first.resumed
    resumes_at_all(gate, context, first.session)
    assert visit(gate, context, first.session, "pop3").resumed
    assert visit(gate, context, visit(gate, context, listener="pop3").session).resumed


def test_a_ticket_outlives_workers_reloads_and_upgrades(start: Start, certificates: Certificates,
                                                        context: ssl.SSLContext) -> None:
    config = config_of(certificates)
    gate = start(config)
    session = visit(gate, context).session
    gate.reload_all(config)
    resumes_at_all(gate, context, session)
    upgrade(gate)
    resumes_at_all(gate, context, session)
    gate.expect("worker_died")
    mark = gate.log.mark()
    for worker in gate.workers():
        os.kill(worker, signal.SIGKILL)
    gate.log.wait("worker_died", since=mark, count=2)
    until_it_works(lambda: resumes_at_all(gate, context, session))


def test_a_ticket_counts_for_the_certificate_that_came_with_it(start: Start, certificates: Certificates,
                                                               context: ssl.SSLContext) -> None:
    config = config_of(certificates)
    gate = start(config)
    session = visit(gate, context).session
    gate.reload_all({**config, "certificates": {
        "localhost": {"chain": certificates.chain("renewed"), "key": certificates.key("renewed")}}})
    assert not visit(gate, context, session).resumed
    gate.reload_all(config)
    assert visit(gate, context, session).resumed


def test_the_log_says_that_a_session_was_resumed(start: Start, certificates: Certificates,
                                                 context: ssl.SSLContext) -> None:
    gate = start(config_of(certificates))
    session = visit(gate, context).session
    with Raw(gate.port("pop3s")) as client:
        client.start_tls(context, session)
        client.ask(b"QUIT")
        assert gate.closed(client.port)["resumed"] == "true"


# ---- how long

def test_a_ticket_of_an_old_key_is_good_and_replaced(start: Start, certificates: Certificates,
                                                     context: ssl.SSLContext) -> None:
    gate = start(config_of(certificates, ticket_rotation="1s", ticket_lifetime="30s"))
    session = visit(gate, context).session
    for _rotation in range(3):
        mark = gate.log.mark()
        gate.log.wait("ticket_key_made", since=mark)
        seen = visit(gate, context, session)
        assert seen.resumed
        if context.maximum_version == VERSIONS["1.3"]:
            session = seen.session


def test_a_ticket_ends(start: Start, certificates: Certificates, context: ssl.SSLContext) -> None:
    gate = start(config_of(certificates, ticket_lifetime="2s"))
    session = visit(gate, context).session
    assert visit(gate, context, session).resumed
    until_it_works(lambda: assert_not_resumed(gate, context, session))
    assert visit(gate, context, visit(gate, context).session).resumed


def assert_not_resumed(gate: Popgate, context: ssl.SSLContext, session: ssl.SSLSession) -> None:
    assert not visit(gate, context, session).resumed


def test_a_key_is_gone_when_its_last_ticket_has_ended(start: Start, certificates: Certificates,
                                                      context: ssl.SSLContext) -> None:
    gate = start(config_of(certificates, ticket_rotation="1s", ticket_lifetime="1s"))
    visit(gate, context)
    first = shared_keys(gate)
    assert len(first) >= 1
    until_it_works(lambda: assert_none_left(gate, first))


def shared_keys(gate: Popgate) -> set[bytes]:
    """The names and secrets in the pages: 48 bytes behind the serial number and the time of each slot."""
    pages = next(Path(f"/proc/{gate.pid}/fd/{number}") for number in os.listdir(f"/proc/{gate.pid}/fd")
                 if os.readlink(f"/proc/{gate.pid}/fd/{number}").startswith("/memfd:popgate-tickets"))
    content = pages.read_bytes()[64:]
    slots = [content[at:at + 128] for at in range(0, len(content), 128)]
    return {slot[16:64] for slot in slots if any(slot[16:64])}


def assert_none_left(gate: Popgate, keys: set[bytes]) -> None:
    assert not shared_keys(gate) & keys


def test_a_worker_cannot_write_the_keys(start: Start, certificates: Certificates) -> None:
    gate = start(config_of(certificates))
    for worker in gate.workers():
        lines = [line for line in Path(f"/proc/{worker}/maps").read_text().splitlines() if "popgate-tickets" in line]
        assert [line.split()[1] for line in lines] == ["r--s"]
        links = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{worker}/fd")]
        assert not [link for link in links if "popgate-tickets" in link]


@pytest.mark.parametrize(("options", "reason"), [
    ({"ticket_lifetime": "7d", "ticket_rotation": "1h"}, "ticket_lifetime: may be 32 times ticket_rotation at most"),
    ({"ticket_rotation": "1s"}, "ticket_lifetime: may be 32 times ticket_rotation at most"),
    ({"ticket_lifetime": "8d"}, "from 1s to 7d"),
])
def test_lifetimes_that_cannot_be(workdir: Path, certificates: Certificates, options: Config, reason: str) -> None:
    assert reason in complaint(workdir, config_of(certificates, **options))


def complaint(workdir: Path, config: Config) -> str:
    file = workdir / "checked.yaml"
    file.write_text(str(config).replace("'", '"'))
    done = run_command("check", "-c", str(file))
    assert done.returncode != 0
    return done.stdout + done.stderr


# ---- several machines

class KeyFile:
    """Keys that several popgates have."""

    def __init__(self, path: Path):
        self.path = path

    @staticmethod
    def key(size: int = 48) -> str:
        return base64.b64encode(secrets.token_bytes(size)).decode() + "\n"

    def write(self, *keys: str, mode: int = 0o600) -> None:
        """As administrators should: beside it, and then in its place."""
        new = self.path.with_suffix(".new")
        new.write_text("".join(keys))
        new.chmod(mode)
        new.rename(self.path)


@pytest.fixture(name="keys")
def _keys(workdir: Path) -> KeyFile:
    return KeyFile(workdir / "tickets.keys")


@pytest.fixture(name="pair")
def _pair(start: Start, certificates: Certificates, keys: KeyFile) -> Iterator[tuple[Popgate, Popgate]]:
    keys.write(KeyFile.key())
    config = config_of(certificates, ticket_keys=str(keys.path))
    yield start(config), start(config)


def read_again(*gates: Popgate) -> Callable[[], None]:
    marks = [gate.log.mark() for gate in gates]

    def wait() -> None:
        for gate, mark in zip(gates, marks, strict=True):
            gate.log.wait("ticket_keys_read", since=mark)
    return wait


def test_popgates_with_one_key_file_know_each_others_tickets(pair: tuple[Popgate, Popgate], keys: KeyFile,
                                                             context: ssl.SSLContext) -> None:
    one, other = pair
    old = visit(one, context).session
    resumes_at_all(other, context, old)
    first, second = keys.path.read_text(), KeyFile.key(80)
    for content in ([first, second], [second, first]):
        wait = read_again(one, other)
        keys.write(*content)
        wait()
        assert visit(other, context, old).resumed
        assert visit(one, context, visit(other, context).session).resumed
    new = visit(one, context).session
    wait = read_again(one, other)
    keys.write(second)
    wait()
    assert not visit(other, context, old).resumed
    assert visit(other, context, new).resumed


def test_a_key_file_that_cannot_be_used_changes_nothing(pair: tuple[Popgate, Popgate], keys: KeyFile,
                                                        context: ssl.SSLContext) -> None:
    one, _other = pair
    for gate in pair:
        gate.expect("ticket_keys_refused")
    session = visit(one, context).session
    good = keys.path.read_text()
    for content, mode, reason in ((good, 0o644, "chmod 600"), ("", 0o600, "holds no key"),
                                  (good.rstrip("\n"), 0o600, "has no end"), ("x\n", 0o600, "line 1")):
        marks = [gate.log.mark() for gate in pair]
        keys.write(content, mode=mode)
        for gate, mark in zip(pair, marks, strict=True):
            assert reason in gate.log.wait("ticket_keys_refused", since=mark)["why"]
        assert visit(one, context, session).resumed
    wait = read_again(one)
    keys.write(KeyFile.key(), good)
    wait()
    assert visit(one, context, session).resumed


def test_from_keys_of_its_own_to_a_file_and_back(start: Start, certificates: Certificates, keys: KeyFile,
                                                 context: ssl.SSLContext) -> None:
    config = config_of(certificates)
    gate = start(config)
    own = visit(gate, context).session
    keys.write(KeyFile.key())
    wait = read_again(gate)
    gate.reload_all({**config, "ticket_keys": str(keys.path)})
    wait()
    given = visit(gate, context).session
    mark = gate.log.mark()
    gate.reload_all(config)
    gate.log.wait("ticket_key_made", since=mark)
    for session in (own, given, visit(gate, context).session):
        assert visit(gate, context, session).resumed


def test_a_key_file_is_kept_over_an_upgrade(pair: tuple[Popgate, Popgate], context: ssl.SSLContext) -> None:
    one, other = pair
    session = visit(one, context).session
    upgrade(other)
    resumes_at_all(other, context, session)


@pytest.mark.parametrize(("content", "reason"), [
    (None, "No such file"), ("abc\n", "is no key"), ("", "holds no key"),
    (KeyFile.key(32), "openssl rand -base64 48"),
], ids=["missing", "garbage", "empty", "too short"])
def test_check_tells_of_a_bad_key_file(workdir: Path, certificates: Certificates, keys: KeyFile, content: str | None,
                                       reason: str) -> None:
    if content is not None:
        keys.write(content)
    said = complaint(workdir, config_of(certificates, ticket_keys=str(keys.path)))
    assert reason in said and str(keys.path) in said


# ---- other clients

def s_client(gate: Popgate, certificates: Certificates, version: str, *arguments: str) -> str:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{gate.port('pop3s')}", "-servername", "localhost", "-CAfile",
         certificates.chain("ca"), f"-tls{version.replace('.', '_')}", "-ign_eof", *arguments],
        input="QUIT\r\n", capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0 and "+OK" in done.stdout, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(name="gate")
def _gate(start: Start, certificates: Certificates) -> Popgate:
    return start(config_of(certificates))


@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_resumes(gate: Popgate, certificates: Certificates, workdir: Path, version: str) -> None:
    file = str(workdir / "session.pem")
    assert "\nNew, TLSv1." in s_client(gate, certificates, version, "-sess_out", file)
    assert "\nReused, TLSv1." in s_client(gate, certificates, version, "-sess_in", file)


@pytest.mark.parametrize("extra", [[], ["-allow_no_dhe_kex"]], ids=["as usual", "without, if the server likes"])
def test_a_resumed_session_has_keys_of_its_own(gate: Popgate, certificates: Certificates, workdir: Path,
                                               extra: list[str]) -> None:
    file = str(workdir / "session.pem")
    s_client(gate, certificates, "1.3", "-sess_out", file)
    said = s_client(gate, certificates, "1.3", "-sess_in", file, *extra)
    assert "\nReused, TLSv1.3" in said and re.search("Server Temp Key: X25519|Negotiated TLS1.3 group: X25519", said)


def test_a_ticket_says_how_long_it_lives(gate: Popgate, certificates: Certificates) -> None:
    said = s_client(gate, certificates, "1.3")
    assert f"TLS session ticket lifetime hint: {12 * 3600} (seconds)" in said


@pytest.mark.parametrize(("version", "words"), [("1.2", "VERS-TLS1.2"), ("1.3", "VERS-TLS1.3")])
def test_gnutls_resumes(gate: Popgate, certificates: Certificates, version: str, words: str) -> None:
    done = subprocess.run(
        ["gnutls-cli", "--resume", "--waitresumption", "--x509cafile", certificates.chain("ca"), "--priority",
         f"NORMAL:-VERS-ALL:+{words}", "-p", str(gate.port("pop3s")), "localhost"],
        input="QUIT\r\n", capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert "This is a resumed session" in done.stdout, done.stdout + done.stderr
    assert f"TLS{version}" in done.stdout


# ---- tickets that are none

Node = tuple[int, bytes]


def der_nodes(data: bytes) -> Iterator[Node]:
    while data:
        tag, length, at = data[0], data[1], 2
        if length & 0x80:
            at = 2 + (length & 0x7F)
            length = int.from_bytes(data[2:at], "big")
        yield tag, data[at:at + length]
        data = data[at + length:]


def der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


TICKET = 0xAA  # [10] of OpenSSL's SSL_SESSION


def with_ticket(pem: str, change: Callable[[bytes], bytes]) -> str:
    """The session that s_client has written, with another ticket in it."""
    body = "".join(line for line in pem.splitlines() if not line.startswith("-"))
    (_tag, session), = der_nodes(base64.b64decode(body))
    nodes = [(tag, der(4, change(next(der_nodes(content))[1])) if tag == TICKET else content)
             for tag, content in der_nodes(session)]
    assert TICKET in [tag for tag, _content in nodes]
    changed = der(0x30, b"".join(der(tag, content) for tag, content in nodes))
    return "-----BEGIN SSL SESSION PARAMETERS-----\n" + base64.encodebytes(changed).decode() + \
        "-----END SSL SESSION PARAMETERS-----\n"


def flipped(at: int) -> Callable[[bytes], bytes]:
    def change(ticket: bytes) -> bytes:
        place = at % len(ticket)
        return ticket[:place] + bytes([ticket[place] ^ 1]) + ticket[place + 1:]
    return change


FORGED: dict[str, Callable[[bytes], bytes]] = {
    "name": flipped(0), "nonce": flipped(20), "session": flipped(40), "tag": flipped(-1),
    "1 byte": lambda ticket: ticket[:1], "only a name": lambda ticket: ticket[:16],
    "no session": lambda ticket: ticket[:28], "no tag": lambda ticket: ticket[:-16], "cut": lambda ticket: ticket[:-1],
    "longer": lambda ticket: ticket + b"\0", "foreign": lambda ticket: secrets.token_bytes(len(ticket)),
    "zeros": lambda ticket: bytes(len(ticket)), "large": lambda ticket: ticket[:16] + secrets.token_bytes(4000),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_no_ticket_of_ours_costs_a_full_handshake(gate: Popgate, certificates: Certificates, workdir: Path,
                                                          version: str) -> None:
    file = workdir / "session.pem"
    s_client(gate, certificates, version, "-sess_out", str(file))
    good = file.read_text()
    file.write_text(with_ticket(good, lambda ticket: ticket))
    assert "\nReused, " in s_client(gate, certificates, version, "-sess_in", str(file))
    for name, change in FORGED.items():
        file.write_text(with_ticket(good, change))
        assert "\nNew, " in s_client(gate, certificates, version, "-sess_in", str(file)), name


def test_another_popgate_does_not_know_it(start: Start, certificates: Certificates, context: ssl.SSLContext) -> None:
    one, other = start(config_of(certificates)), start(config_of(certificates))
    assert not visit(other, context, visit(one, context).session).resumed


def test_a_connection_that_ends_early_leaves_the_others_be(gate: Popgate, context: ssl.SSLContext) -> None:
    session = visit(gate, context).session
    with socket.create_connection(("127.0.0.1", gate.port("pop3s"))) as early:
        early.send(b"\x16\x03\x01\x00\x10")
    assert visit(gate, context, session).resumed
