"""How popgate logs in at a store, and how the store learns who the client is: every way, at a real Dovecot."""

import json
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import mail
import pytest
from certs import Certificates
from clients import PASSWORD, USER
from conftest import running
from popgate import Config, Event, Popgate, run_command, site
from stores import USERS, Dovecot, Peer, fake_store, free_port, required, serve_mailbox

Start = Callable[..., Popgate]

DOMAIN = "LAB"
MASTER, MASTER_PASSWORD = "boss", "all mine"
MESSAGES = [b"Subject: one\n\nfirst\n", b"Subject: two\n\nsecond\n"]


class Versatile(Dovecot):
    """Dovecot that takes every method but NTLM, a master user, and PROXY headers on two more ports."""

    def __init__(self, directory: Path, certificates: Certificates, messages: list[bytes], *,
                 needs_tls: bool = False):
        super().__init__(directory, certificates, messages)
        self.proxy_port = self.proxy_tls_port = 0
        self._needs_tls = "yes" if needs_tls else "no"

    def more(self) -> str:
        self.proxy_port, self.proxy_tls_port = free_port(), free_port()
        (self.directory / "masters").write_text(f"{MASTER}:{{PLAIN}}{MASTER_PASSWORD}\n")
        return f"""
auth_mechanisms = plain login cram-md5 apop
auth_master_user_separator = *
passdb {{
  driver = passwd-file
  args = {self.directory}/masters
  master = yes
}}
disable_plaintext_auth = {self._needs_tls}
haproxy_trusted_networks = 127.0.0.1
service pop3-login {{
  inet_listener pop3_proxy {{
    port = {self.proxy_port}
    haproxy = yes
  }}
  inet_listener pop3s_proxy {{
    port = {self.proxy_tls_port}
    ssl = yes
    haproxy = yes
  }}
}}
"""


class Winbound(Dovecot):
    """Dovecot whose NTLM is Samba's: ntlm_auth judges by one password, without winbindd."""

    def more(self) -> str:
        samba = self.directory / "samba"
        samba.mkdir(exist_ok=True)
        folders = "".join(f"{name} directory = {samba}\n" for name in ("private", "lock", "state", "cache", "pid"))
        (samba / "smb.conf").write_text(f"[global]\nworkgroup = {DOMAIN}\nnetbios name = STORE\n{folders}")
        helper = self.directory / "ntlm_auth"
        helper.write_text(f"#!/bin/sh\nexec {required('ntlm_auth', 'winbind')} --configfile={samba}/smb.conf"
                          f" --username=anna --domain={DOMAIN} --password={shlex.quote(PASSWORD)} \"$@\"\n")
        helper.chmod(0o755)
        return f"""
auth_mechanisms = ntlm
auth_use_winbind = yes
auth_winbind_helper_path = {helper}
auth_username_format = %Ln@test.local
service auth {{
  user = {"root" if os.getuid() == 0 else ""}
}}
"""


@pytest.fixture(scope="module")
def versatile(shared: Path, certificates: Certificates) -> Iterator[Versatile]:
    directory = shared / "versatile"
    directory.mkdir()
    yield from running(Versatile(directory, certificates, MESSAGES))


@pytest.fixture(scope="module")
def careful(shared: Path, certificates: Certificates) -> Iterator[Versatile]:
    """One that takes passwords from those alone who have TLS."""
    directory = shared / "careful"
    directory.mkdir()
    yield from running(Versatile(directory, certificates, MESSAGES, needs_tls=True))


@pytest.fixture(scope="module")
def winbound(shared: Path, certificates: Certificates) -> Iterator[Winbound]:
    directory = shared / "winbound"
    directory.mkdir()
    yield from running(Winbound(directory, certificates, MESSAGES))


def tls_backend(certificates: Certificates, tls: str) -> Config:
    return {"tls": tls} if tls == "none" else {"tls": tls, "ca": certificates.chain("ca"), "verify_name": "store.test"}


def assert_fetched(gate: Popgate, user: str = USER, password: str = PASSWORD, *, mode: str = "implicit",
                   source: str | None = None) -> Event:
    """Logs in and fetches; returns the closing line."""
    with gate.connect(mode, source=source) as client:
        client.login(user, password)
        client.send(b"RETR 2\r\n")
        assert client.read_list().partition(b"\r\n")[2] == mail.stuffed(mail.on_the_wire(MESSAGES[1]))
        client.ask(b"QUIT", b"+OK")
        client.read_to_end()
        return gate.closed(client.port)


def assert_refused(gate: Popgate, user: str, password: str, answer: bytes) -> None:
    """The store says no, and the session goes on."""
    with gate.connect("implicit") as client:
        client.ask(f"USER {user}".encode(), b"+OK")
        client.ask(f"PASS {password}".encode(), answer)
        client.ask(b"QUIT", b"+OK")


# methods

@pytest.mark.parametrize("tls", ["none", "stls", "tls"])
@pytest.mark.parametrize("login", ["pass", "plain", "cram-md5", "apop"])
def test_the_clients_password_is_told_or_proven(start: Start, certificates: Certificates, versatile: Versatile,
                                                login: str, tls: str) -> None:
    port = versatile.tls_port if tls == "tls" else versatile.port
    gate = start(site(certificates, port, backend={"login": login, **tls_backend(certificates, tls)}))
    mark = versatile.mark()
    assert_fetched(gate)
    method = {"pass": "PLAIN"}.get(login, login.upper())
    versatile.wait_logged(rf"Login: user=<{USER}>, method={method},", since=mark)


@pytest.mark.parametrize("login", ["pass", "plain", "cram-md5", "apop"])
@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), ("nobody@test.local", PASSWORD)])
def test_a_wrong_password_is_refused_by_the_store(start: Start, certificates: Certificates, versatile: Versatile,
                                                  login: str, user: str, password: str) -> None:
    gate = start(site(certificates, versatile.port, backend={"login": login}))
    assert_refused(gate, user, password, b"-ERR [AUTH] ")
    assert_fetched(gate)


def test_a_store_with_pipelining_is_told_user_and_pass_together(start: Start, certificates: Certificates) -> None:
    def login(peer: Peer) -> None:
        peer.send(b"+OK fake store\r\n")
        assert peer.line() == f"USER {USER}".encode()
        assert peer.line() == f"PASS {PASSWORD}".encode()
        peer.send(b"+OK\r\n+OK logged in\r\n")

    with fake_store(serve_mailbox([mail.on_the_wire(message) for message in MESSAGES], login)) as store:
        assert_fetched(start(site(certificates, store.port, backend={"capabilities": ["pipelining"]})))


@pytest.mark.parametrize("tls", ["none", "stls"])
@pytest.mark.parametrize("address", ["none", "xclient"])
def test_dovecot_takes_user_and_pass_together(start: Start, certificates: Certificates, versatile: Versatile,
                                              address: str, tls: str) -> None:
    backend = {"capabilities": ["pipelining"], "client_address": address, **tls_backend(certificates, tls)}
    gate = start(site(certificates, versatile.port, backend=backend))
    assert_fetched(gate)
    assert_refused(gate, USER, "wrong", b"-ERR [AUTH] ")


@pytest.mark.parametrize("login", ["plain", "cram-md5", "apop"])
def test_all_bytes_of_a_password_arrive(start: Start, certificates: Certificates, versatile: Versatile,
                                        login: str) -> None:
    gate = start(site(certificates, versatile.port, backend={"login": login}))
    for user, password in USERS.items():
        assert_fetched(gate, user, password)


@pytest.mark.parametrize(("login", "answer"), [("plain", b"-ERR what?\r\n"), ("cram-md5", b"-ERR what?\r\n"),
                                               ("ntlm", b"-ERR what?\r\n"), ("apop", b"")])
def test_a_store_that_lacks_the_method_is_not_a_wrong_password(start: Start, certificates: Certificates, login: str,
                                                               answer: bytes) -> None:
    def script(peer) -> None:
        peer.send(b"+OK old\r\n")
        while peer.line():
            peer.send(answer)

    with fake_store(script) as store:
        gate = start(site(certificates, store.port, backend={"login": login}))
        gate.expect("backend_failed")
        assert_refused(gate, USER, PASSWORD, b"-ERR [SYS/TEMP] ")


# NTLM

@pytest.mark.parametrize("version", ["v2", "v1"])
@pytest.mark.parametrize("domain", [DOMAIN, ""])
def test_a_store_that_wants_ntlm_gets_it(start: Start, certificates: Certificates, winbound: Winbound, version: str,
                                         domain: str) -> None:
    backend = {"login": "ntlm", "ntlm": version, "ntlm_domain": domain}
    gate = start(site(certificates, winbound.port, backend=backend))
    mark = winbound.mark()
    assert_fetched(gate, "anna", PASSWORD)
    winbound.wait_logged(rf"Login: user=<{USER}>, method=NTLM,", since=mark)
    assert_refused(gate, "anna", "wrong", b"-ERR [AUTH] ")
    assert_fetched(gate, "anna", PASSWORD)


# a master user

def test_a_master_user_is_never_used_for_a_client_that_nobody_has_verified(certificates: Certificates,
                                                                          workdir: Path) -> None:
    """Such a configuration is refused; who is verified logs in so in test_ntlm.py."""
    config = workdir / "popgate.yaml"
    config.write_text(json.dumps(site(certificates, free_port(), backend=master(workdir))))
    done = run_command("check", "-c", str(config))
    assert done.returncode == 1
    assert "with login: master the store lets everybody in whom popgate names" in done.stdout + done.stderr


def users_key(workdir: Path) -> Path:
    file = workdir / "users.key"
    file.touch(0o600)
    file.write_text("00" * 32 + "\n")
    (workdir / "users.db").touch()
    return file


def master(workdir: Path) -> Config:
    file = workdir / "master"
    file.touch(0o600)
    file.write_text(MASTER_PASSWORD + "\n")
    return {"login": "master", "master_user": MASTER, "master_password_file": str(file)}


@pytest.mark.parametrize(("mode", "status"), [(0o604, 1), (0o640, 0)])
def test_a_master_password_that_others_may_read_is_not_taken(certificates: Certificates, workdir: Path, mode: int,
                                                             status: int) -> None:
    backend = master(workdir)
    Path(backend["master_password_file"]).chmod(mode)
    config = workdir / "popgate.yaml"
    config.write_text(json.dumps(site(certificates, free_port(), backend=backend,
                                      users={"database": "users.db", "key": str(users_key(workdir))},
                                      defaults={"verify": ["users"]})))
    done = run_command("check", "-c", str(config))
    assert done.returncode == status
    assert ("others than its owner" in done.stdout + done.stderr) == bool(status)


# who the client is

SOURCE = "127.0.0.7"


@pytest.mark.parametrize("tls", ["none", "stls", "tls"])
def test_xclient_tells_the_store_who_the_client_is(start: Start, certificates: Certificates, versatile: Versatile,
                                                   tls: str) -> None:
    port = versatile.tls_port if tls == "tls" else versatile.port
    gate = start(site(certificates, port, backend={"client_address": "xclient", **tls_backend(certificates, tls)}))
    closed = assert_fetched(gate, source=SOURCE)
    versatile.wait_logged(rf"Login: .* rip={SOURCE}, .* session=<{closed['session']}>")


def test_a_store_that_offers_no_xclient_is_not_logged_in_at(start: Start, certificates: Certificates) -> None:
    heard: list[bytes] = []

    def script(peer) -> None:
        peer.send(b"+OK\r\n")
        heard.append(peer.to_end())

    with fake_store(script) as store:
        gate = start(site(certificates, store.port, backend={"client_address": "xclient"}))
        gate.expect("backend_failed")
        assert_refused(gate, USER, PASSWORD, b"-ERR [SYS/TEMP] ")
        assert "XCLIENT" in gate.log.wait("backend_failed")["why"]
    assert heard == [b""]


@pytest.mark.parametrize("tls", ["none", "stls", "tls"])
@pytest.mark.parametrize("version", ["proxy-v1", "proxy-v2"])
@pytest.mark.parametrize("login", ["pass", "apop"])
def test_a_proxy_header_tells_the_store_who_the_client_is(start: Start, certificates: Certificates,
                                                          versatile: Versatile, version: str, tls: str,
                                                          login: str) -> None:
    port = versatile.proxy_tls_port if tls == "tls" else versatile.proxy_port
    backend = {"login": login, "client_address": version, **tls_backend(certificates, tls)}
    gate = start(site(certificates, port, backend=backend))
    mark = versatile.mark()
    assert_fetched(gate, source=SOURCE)
    line = versatile.wait_logged(rf"Login: .* rip={SOURCE}, lip=127.0.0.1, .*", since=mark)
    assert (", TLS," in line, ", secured," in line) == (tls != "none", tls == "none" and version == "proxy-v2")


@pytest.mark.parametrize(("version", "mode", "answer"), [
    ("proxy-v1", "implicit", b"-ERR [AUTH] "), ("proxy-v2", "none", b"-ERR [AUTH] "), ("proxy-v2", "implicit", b"+OK"),
    ("proxy-v2", "stls", b"+OK"),
])
def test_a_store_that_takes_passwords_inside_tls_alone_knows_whether_the_client_has_it(
        start: Start, certificates: Certificates, careful: Versatile, version: str, mode: str, answer: bytes) -> None:
    gate = start(site(certificates, careful.proxy_port, backend={"client_address": version}))
    with gate.connect(mode, source=SOURCE) as client:
        client.ask(f"USER {USER}".encode(), b"+OK")
        client.ask(f"PASS {PASSWORD}".encode(), answer)


def test_who_comes_through_a_load_balancer_is_told_as_the_balancer_tells(start: Start, certificates: Certificates,
                                                                         versatile: Versatile) -> None:
    gate = start(site(certificates, versatile.proxy_port, backend={"client_address": "proxy-v2"},
                      defaults={"proxy_from": ["127.0.0.1"]}))
    preface = b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 995\r\n"
    with gate.connect("implicit", preface=preface) as client:
        client.login()
        versatile.wait_logged(r"Login: .* rip=2001:db8::7, lip=2001:db8::1, ")


def test_a_store_without_the_proxy_protocol_lets_nobody_in(start: Start, certificates: Certificates,
                                                           versatile: Versatile) -> None:
    """It takes the header for a command; how soon it says so decides what that looks like."""
    gate = start(site(certificates, versatile.port, backend={"client_address": "proxy-v1"}))
    gate.allow("backend_failed", "login_broken_off")
    assert_refused(gate, USER, PASSWORD, b"-ERR ")
