"""NTLM, APOP and CRAM-MD5 as a whole: real clients log in by users.db and fetch from a Dovecot that knows nothing of it;
who is whose; what is refused looks the same; and NTLM passed through to a store.
"""

import base64
import contextlib
import ctypes
import hashlib
import hmac
import json
import mmap
import os
import shutil
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mail
import proc
import pytest
from certs import Certificates
from clients import DEADLINE, PASSWORD, USER, Raw, curl_by_ntlm, fetchmail_by_ntlm, run, until_it_works
from conftest import running
from ntlm_client import (AV_DOMAIN, AV_TIME, Client, ask_for_challenge, authenticate, binding_of, challenge_of,
                         pairs_of, utf16)
from popgate import LISTENERS, MODES, Config, Event, Popgate, program, run_command, site
from renewing import Pair, Place, renew
from samba import USERS as samba_users
from samba import Samba
from stores import FakeStore, Peer, fake_store
from test_store_logins import MASTER_PASSWORD, MESSAGES, Versatile, Winbound, master

Start = Callable[..., Popgate]

NAME, SECRET = "anna", "S\u00e9same 1"
REFUSAL = b"-ERR [AUTH] That user name or password cannot be right.\r\n"
UNAVAILABLE = b"-ERR [SYS/TEMP] "
ALL_METHODS = ["basic", "ntlm", "digest"]


@pytest.fixture(scope="module")
def store(shared: Path, certificates: Certificates) -> Iterator[Versatile]:
    directory = shared / "ntlm-store"
    directory.mkdir()
    yield from running(Versatile(directory, certificates, MESSAGES))


@pytest.fixture(scope="module")
def winbound(shared: Path, certificates: Certificates) -> Iterator[Winbound]:
    directory = shared / "ntlm-winbound"
    directory.mkdir()
    yield from running(Winbound(directory, certificates, MESSAGES))


class Users:
    """A users.db."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.section = {"database": str(directory / "users.db"), "key": str(directory / "users.key")}
        listener = {"bind": ["127.0.0.1:0"], "tls": "none", "login": ["basic"], "backend": "store"}
        self.config = directory / "users.yaml"
        self.config.write_text(json.dumps({
            "users": self.section,
            "backends": {name: {"servers": ["127.0.0.1:1110"], "tls": "none"} for name in ("store", "believing", "gone")},
            "listeners": {"plain": listener}}))

    def run(self, *arguments: str, lines: tuple[str, ...] = ()) -> None:
        subprocess.run([program(), "user", *arguments, "-c", str(self.config)], check=True, timeout=DEADLINE,
                       capture_output=True, input="".join(f"{line}\n" for line in lines).encode())

    def add(self, name: str, password: str = SECRET, *options: str, backend_password: str | None = None) -> None:
        more = () if backend_password is None else (backend_password,)
        self.run("add", name, "--stdin", *options, *(["--backend-password"] if more else []), lines=(password, *more))


@pytest.fixture
def users(workdir: Path) -> Users:
    directory = workdir / "users"
    directory.mkdir(mode=0o755)
    users = Users(directory)
    users.add(NAME, SECRET, "--mailbox", USER, "--keep-password", backend_password=PASSWORD)
    return users


def config_of(certificates: Certificates, store: Versatile, users: Users, *, backend: Config | None = None,
              login: list[str] | None = None, **defaults: object) -> Config:
    config = site(certificates, store.port, backend=backend or {"login": "stored"}, users=users.section,
                  defaults={"verify": ["users"], **defaults})
    for listener in config["listeners"].values():
        listener["login"] = login or ALL_METHODS
    return config


@pytest.fixture
def gate(start: Start, certificates: Certificates, store: Versatile, users: Users) -> Popgate:
    return start(config_of(certificates, store, users))


def fetch(client: Raw) -> None:
    client.send(b"RETR 2\r\n")
    assert client.read_list().partition(b"\r\n")[2] == mail.stuffed(mail.on_the_wire(MESSAGES[1]))
    client.ask(b"QUIT", b"+OK")
    client.read_to_end()


def fetched(gate: Popgate, who: Client, mode: str = "implicit") -> Event:
    """Logs in by NTLM and fetches; the closing line."""
    with gate.connect(mode) as client:
        answer = authenticate(client, who)
        assert answer.startswith(b"+OK"), answer
        fetch(client)
        return gate.closed(client.port)


def refused(gate: Popgate, who: Client, why: str, mode: str = "implicit", answer: bytes = REFUSAL) -> Event:
    """Is refused in the one way there is; the cause is in the log, and the session goes on."""
    mark = gate.log.mark()
    with gate.connect(mode) as client:
        assert authenticate(client, who) == answer
        client.ask(b"QUIT", b"+OK")
    event = gate.log.wait("login_failed", since=mark)
    assert event["why"] == why and event["mechanism"] == "NTLM"
    return event


ANNA = Client(NAME, SECRET)
STRANGER = Client(NAME, "wrong")


# ---- real clients

@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("login", ["stored", "master", "master as authorization identity"])
def test_curl(start: Start, certificates: Certificates, store: Versatile, users: Users, workdir: Path, mode: str,
              login: str) -> None:
    users.add("bo", "open it", "--mailbox", USER, backend_password=PASSWORD)
    backend = {"login": "stored"} if login == "stored" else master(workdir)
    if login.endswith("identity"):
        backend["master_separator"] = ""
    gate = start(config_of(certificates, store, users, backend=backend))
    mark = store.mark()
    done = curl_by_ntlm(gate.port(LISTENERS[mode]), mode, certificates.chain("ca"), "LAB\\bo", "open it", workdir)
    assert done.stdout == mail.on_the_wire(MESSAGES[1]), done
    event = gate.log.wait("session_closed")
    assert event | {"mechanism": "NTLM", "ntlm": "v2", "verifier": "users", "user": "LAB\\bo", "mailbox": USER} == event
    store.wait_logged(rf"Login: user=<{USER}>", since=mark)


@pytest.mark.parametrize("mode", MODES)
def test_fetchmail_where_ntlm_v1_is_allowed(start: Start, certificates: Certificates, store: Versatile, users: Users,
                                            workdir: Path, mode: str) -> None:
    users.add("bo", "open it", "--mailbox", USER, backend_password=PASSWORD)
    gate = start(config_of(certificates, store, users, ntlm_level="v1"))
    done, delivered = fetchmail(gate, certificates, workdir, mode)
    assert done.returncode == 0, done
    assert delivered.count(b"Subject: ") == len(MESSAGES)
    event = gate.log.wait("session_closed")
    assert event | {"mechanism": "NTLM", "ntlm": "v1", "user": "MAIL\\bo"} == event


def fetchmail(gate: Popgate, certificates: Certificates, workdir: Path, mode: str, user: str = "bo",
              password: str = "open it") -> tuple[subprocess.CompletedProcess[bytes], bytes]:
    return fetchmail_by_ntlm(gate.port(LISTENERS[mode]), mode, certificates.chain("ca"), user, password, workdir)


def test_fetchmail_where_it_is_not(gate: Popgate, users: Users, certificates: Certificates, workdir: Path) -> None:
    users.add("bo", "open it")
    done, delivered = fetchmail(gate, certificates, workdir, "implicit")
    assert done.returncode != 0 and not delivered
    assert gate.log.wait("login_failed")["why"] == "NTLMv1 is not allowed"


def test_an_exception_lets_one_client_do_v1(start: Start, certificates: Certificates, store: Versatile, users: Users,
                                            workdir: Path) -> None:
    users.add("bo", "open it", "--mailbox", USER, backend_password=PASSWORD)
    gate = start(config_of(certificates, store, users, login_exceptions=["allow ntlm-v1 ip 127.0.0.1"]))
    done, _delivered = fetchmail(gate, certificates, workdir, "stls")
    assert done.returncode == 0, done
    assert gate.log.wait("session_closed")["exception"] == "ntlm-v1"


# ---- our own client: MIC, channel binding, service, echo

@pytest.mark.parametrize("mode", MODES)
def test_ntlm_v2_with_mic(gate: Popgate, mode: str) -> None:
    event = fetched(gate, ANNA, mode)
    assert event["verifier"] == "users" and event["mailbox"] == USER


def certificate_of(client: Raw) -> bytes:
    assert client.tls
    certificate = client.tls.getpeercert(binary_form=True)
    assert certificate
    return certificate


def bound(gate: Popgate, mode: str = "implicit") -> Client:
    """Anna, bound to the certificate that is served there."""
    with gate.connect(mode) as client:
        certificate = certificate_of(client)
        client.ask(b"QUIT", b"+OK")
    return Client(NAME, SECRET, binding=binding_of(certificate))


@pytest.mark.parametrize("mode", ["implicit", "stls"])
def test_channel_binding(start: Start, certificates: Certificates, store: Versatile, users: Users, mode: str) -> None:
    gate = start(config_of(certificates, store, users, login=["basic-tls", "ntlm-tls"], ntlm_channel_binding="require")
                 | {"listeners": {"pop3s": {"bind": ["127.0.0.1:0"], "tls": "implicit", "login": ["ntlm-tls"]},
                                  "pop3": {"bind": ["127.0.0.1:0"], "tls": "stls", "login": ["ntlm-tls"]}}})
    fetched(gate, bound(gate, mode), mode)
    refused(gate, ANNA, "no channel binding", mode)
    refused(gate, Client(NAME, SECRET, binding=bytes(16)), "no channel binding", mode)
    refused(gate, Client(NAME, SECRET, binding=bytes(range(16))), "bound to another TLS channel", mode)


def test_ntlm_waits_for_tls_where_it_must_be_bound(start: Start, certificates: Certificates, store: Versatile,
                                                   users: Users) -> None:
    config = config_of(certificates, store, users, login=["basic", "ntlm"], ntlm_channel_binding="require")
    del config["listeners"]["plain"]
    gate = start(config)
    with Raw(gate.port("pop3")) as client:
        client.greeting()
        assert "SASL PLAIN LOGIN" in client.capabilities()
        client.ask(b"AUTH NTLM", b"-ERR [AUTH] ")
        client.stls(gate.context)
        assert "SASL PLAIN LOGIN NTLM" in client.capabilities()
        client.ask(b"QUIT", b"+OK")
    fetched(gate, bound(gate, "stls"), "stls")


@pytest.mark.parametrize("mode", ["implicit", "stls"])
def test_the_binding_is_to_the_certificate_that_was_served(start: Start, certificates: Certificates, store: Versatile,
                                                           users: Users, workdir: Path, mode: str) -> None:
    old, new = (Client(NAME, SECRET, binding=binding_of(certificates.der(name))) for name in ("edge", "renewed"))
    place = Place(workdir, Pair.of(certificates, "edge"))
    gate = start({**config_of(certificates, store, users), "certificates": {"localhost": place.section()}})
    with gate.connect(mode) as client:
        renew(place, Pair.of(certificates, "renewed"))
        gate.log.wait("certificate_replaced")
        until_it_works(lambda: fetched(gate, new, mode))
        assert authenticate(client, old).startswith(b"+OK")
        fetch(client)
    refused(gate, old, "bound to another TLS channel", mode)


def test_a_wrong_binding_is_refused_where_none_is_required(gate: Popgate) -> None:
    fetched(gate, ANNA)
    fetched(gate, bound(gate))
    refused(gate, Client(NAME, SECRET, binding=bytes(range(16))), "bound to another TLS channel")
    refused(gate, bound(gate), "bound to another TLS channel", "none")


def test_bindings_may_be_ignored(start: Start, certificates: Certificates, store: Versatile, users: Users) -> None:
    gate = start(config_of(certificates, store, users, ntlm_channel_binding="off"))
    fetched(gate, Client(NAME, SECRET, binding=bytes(range(16))))


def test_mics(start: Start, certificates: Certificates, store: Versatile, users: Users) -> None:
    gate = start(config_of(certificates, store, users, ntlm_mic="require"))
    fetched(gate, ANNA)
    refused(gate, Client(NAME, SECRET, has_mic=False), "no MIC")
    refused(gate, Client(NAME, SECRET, wrong_mic=True), "wrong MIC: the messages were changed on their way")


def test_names_and_time_must_come_back(gate: Popgate) -> None:
    why = "not an answer to this challenge: names or time differ"
    refused(gate, Client(NAME, SECRET, changed={AV_DOMAIN: utf16("OTHER")}), why)
    refused(gate, Client(NAME, SECRET, changed={AV_TIME: bytes(8)}), why)


def test_service(start: Start, certificates: Certificates, store: Versatile, users: Users) -> None:
    gate = start(config_of(certificates, store, users, ntlm_services=["mail.test.local"]))
    fetched(gate, Client(NAME, SECRET, service="POP/mail.test.local"))
    refused(gate, Client(NAME, SECRET, service="pop/other.test.local"), "meant for another service")
    refused(gate, Client(NAME, SECRET, service="imap/mail.test.local"), "meant for another service")


def test_the_challenge_says_what_is_configured_and_no_more(gate: Popgate) -> None:
    with gate.connect("implicit") as client:
        challenge = ask_for_challenge(client)
        client.ask(b"*", b"-ERR ")
        client.ask(b"QUIT", b"+OK")
    size, _most, start = int.from_bytes(challenge[40:42], "little"), 0, int.from_bytes(challenge[44:48], "little")
    named = pairs_of(challenge[start:start + size])
    assert set(named) == {1, 2, AV_TIME} and named[1] == named[2] == utf16("MAIL")


def test_a_type_3_is_good_once(gate: Popgate) -> None:
    with gate.connect("implicit") as client:
        kept = ANNA.authenticate(ask_for_challenge(client))
        client.ask(base64.b64encode(kept), b"+OK")
    mark = gate.log.mark()
    with gate.connect("implicit") as client:
        ask_for_challenge(client)
        assert client.ask(base64.b64encode(kept)) == REFUSAL
    assert gate.log.wait("login_failed", since=mark)["why"].startswith("not an answer to this challenge")


# ---- names

@pytest.mark.parametrize("domain", ["", "LAB", "lab.test"])
def test_names_open_the_mailbox_whatever_their_case(gate: Popgate, domain: str) -> None:
    fetched(gate, Client("ANNA", SECRET, domain=domain))


def test_domain_suzanf_opens_suzanf(start: Start, certificates: Certificates, store: Versatile, users: Users,
                                    workdir: Path) -> None:
    """The store's mailboxes are user@test.local; the name that it hears is the one of the map."""
    users.add("suzanf")
    gate = start(config_of(certificates, store, users, backend=master(workdir)))
    mark = store.mark()
    with gate.connect("implicit") as client:
        assert authenticate(client, Client("Suzanf", SECRET, domain="Domain")).startswith(b"+OK")
        client.ask(b"QUIT", b"+OK")
        assert gate.closed(client.port)["mailbox"] == "suzanf"
    store.wait_logged("Login: user=<suzanf>", since=mark)


def test_a_domain_that_nobody_has_checked_is_no_way_to_another_mailbox(
        start: Start, certificates: Certificates, store: Versatile, users: Users, workdir: Path) -> None:
    users.add("bo@LAB")
    users.add("bo", "another secret")
    rules = ["LAB\\* to {user}@test.local", "* to {user}.plain"]
    gate = start(config_of(certificates, store, users, backend=master(workdir), map=rules))
    mark = store.mark()
    for who, mailbox in ((Client("bo", SECRET, domain="LAB"), "bo@test.local"),
                         (Client("bo", "another secret", domain="OTHER"), "bo.plain"),
                         (Client("bo", "another secret"), "bo.plain")):
        with gate.connect("implicit") as client:
            assert authenticate(client, who).startswith(b"+OK")
            client.ask(b"QUIT", b"+OK")
            assert gate.closed(client.port)["mailbox"] == mailbox
        store.wait_logged(f"Login: user=<{mailbox}>", since=mark)


def test_another_mailbox_needs_a_rule(start: Start, certificates: Certificates, store: Versatile, users: Users,
                                      workdir: Path) -> None:
    users.add("bo@LAB")
    gate = start(config_of(certificates, store, users, backend=master(workdir), map=["LAB\\bo\\sales to sales@test.local"]))
    with gate.connect("implicit") as client:
        client.login("LAB/bo/Sales", SECRET)
        client.ask(b"QUIT", b"+OK")
        assert gate.closed(client.port)["mailbox"] == "sales@test.local"
    mark = gate.log.mark()
    with gate.connect("implicit") as client:
        client.ask(b"USER LAB/bo/other", b"+OK")
        assert client.ask(f"PASS {SECRET}".encode()) == REFUSAL
    assert gate.log.wait("login_failed", since=mark)["why"] == "no map rule lets the user open another mailbox"


def two_stores(certificates: Certificates, store: Versatile, users: Users, workdir: Path, **defaults: object) -> Config:
    """The listeners' store is told the client's password; the other one believes popgate."""
    config = config_of(certificates, store, users, backend={"login": "pass"}, login=["basic"], **defaults)
    servers = {"servers": [f"127.0.0.1:{store.port}"], "tls": "none"}
    config["backends"]["believing"] = {**servers, **master(workdir)}
    return config


@pytest.mark.parametrize("rules", [[], ["* to {login} at believing"]])
def test_what_nobody_has_checked_is_not_told_to_a_store_that_believes_us(
        start: Start, certificates: Certificates, store: Versatile, users: Users, workdir: Path,
        rules: list[str]) -> None:
    users.add("bob", SECRET, *([] if rules else ["--backend", "believing"]))
    users.add("strasse", SECRET, *([] if rules else ["--backend", "believing"]))
    gate = start(two_stores(certificates, store, users, workdir, map=rules))
    for name, mailbox in (("bob@victim.org", "bob"), ("VICTIM\\Bob", "bob"), ("Stra\u00dfe", "strasse")):
        with gate.connect("implicit") as client:
            client.login(name, SECRET)
            client.ask(b"QUIT", b"+OK")
            event = gate.closed(client.port)
            assert (event["mailbox"], event["backend"]) == (mailbox, "believing")
    mark = gate.log.mark()
    with gate.connect("implicit") as client:
        client.ask(b"USER x\\bob\\anna", b"+OK")
        assert client.ask(f"PASS {SECRET}".encode()) == REFUSAL
    assert gate.log.wait("login_failed", since=mark)["why"] == "no map rule lets the user open another mailbox"


def test_a_user_without_password_is_let_in_by_no_store_that_believes_us(
        start: Start, certificates: Certificates, store: Versatile, users: Users, workdir: Path) -> None:
    users.run("add", "dora", "--no-password", "--mailbox", USER, "--backend", "believing")
    gate = start(two_stores(certificates, store, users, workdir, verify=["users", "backend"]))
    with gate.connect("implicit") as client:
        client.ask(b"USER dora", b"+OK")
        client.ask(b"PASS anything", UNAVAILABLE)
    assert "nobody has judged" in gate.log.wait("login_failed")["why"]


def test_a_backend_that_is_not_configured_is_not_the_users_fault(
        start: Start, certificates: Certificates, store: Versatile, users: Users) -> None:
    users.add("bo", SECRET, "--backend", "gone")
    gate = start(config_of(certificates, store, users, ban_after=1))
    for _try in range(2):
        with gate.connect("implicit") as client:
            assert authenticate(client, Client("bo", SECRET)).startswith(UNAVAILABLE)


def test_denied_users(gate: Popgate, users: Users) -> None:
    users.add("root")
    users.add("Administrator")
    for who in (Client("root", SECRET), Client("ROOT", SECRET, domain="LAB"), Client("administrator@lab.test", SECRET)):
        refused(gate, who, "deny_users")
    with gate.connect("implicit") as client:
        client.ask(b"USER Root", b"+OK")
        assert client.ask(f"PASS {SECRET}".encode()) == REFUSAL


# ---- after a failure

def test_failures_look_the_same(gate: Popgate, users: Users) -> None:
    users.add("carl", SECRET, "--disable")
    users.add("dora", SECRET, "--methods", "basic")
    assert refused(gate, STRANGER, "wrong password")["verifier"] == "users"
    refused(gate, Client("nobody", SECRET), "users.db has no such user")
    refused(gate, Client("carl", SECRET), "the user is disabled in users.db")
    refused(gate, Client("dora", SECRET), "the user may not log in by this method")


def test_failures_take_the_same_time(start: Start, certificates: Certificates, store: Versatile, users: Users) -> None:
    """The answer comes one login_delay after the question, whatever had to be done for it."""
    delay = 0.4
    gate = start(config_of(certificates, store, users, login_delay="400ms", login_delay_max="400ms"))
    for number, who in enumerate((STRANGER, Client("nobody", SECRET), Client("root", SECRET))):
        with gate.connect("implicit", source=f"127.0.0.{number + 2}") as client:
            answer = base64.b64encode(who.authenticate(ask_for_challenge(client)))
            began = time.monotonic()
            assert client.ask(answer) == REFUSAL
            taken = time.monotonic() - began
        assert delay - 0.01 <= taken < delay + 0.3, (who.user, taken)


def test_user_and_pass_after_ntlm_that_failed(gate: Popgate) -> None:
    with gate.connect("implicit") as client:
        assert authenticate(client, STRANGER) == REFUSAL
        client.login(NAME, SECRET)
        fetch(client)
        assert gate.closed(client.port)["mechanism"] == "USER"


def test_ntlm_after_ntlm_that_was_cancelled(gate: Popgate) -> None:
    with gate.connect("implicit") as client:
        ask_for_challenge(client)
        client.ask(b"*", b"-ERR ")
        assert authenticate(client, ANNA).startswith(b"+OK")
        fetch(client)


def test_an_earlier_user_does_not_matter(gate: Popgate, users: Users) -> None:
    users.add("bo")
    with gate.connect("implicit") as client:
        client.ask(b"USER bo", b"+OK")
        assert authenticate(client, ANNA).startswith(b"+OK")
        fetch(client)
        assert gate.closed(client.port)["user"] == NAME


def test_ntlm_that_failed_counts(start: Start, certificates: Certificates, store: Versatile, users: Users) -> None:
    gate = start(config_of(certificates, store, users, ban_after=2, ban_after_user=1000))
    for _try in range(2):
        refused(gate, STRANGER, "wrong password")
    assert gate.log.wait("banned")["address"] == "127.0.0.1"
    with pytest.raises(ConnectionError):
        gate.connect("implicit")
    gate.log.wait("session_closed", reason="banned")


def test_guesses_are_counted_by_user_whatever_the_domain(
        start: Start, certificates: Certificates, store: Versatile, users: Users, workdir: Path) -> None:
    gate = start(config_of(certificates, store, users, backend=master(workdir), map=["*@* to {user}@{domain}"],
                           login_delay="100ms", login_delay_max="30s"))
    users.add("sam")
    began = time.monotonic()
    for number, name in enumerate(("sam@d1", "sam@d2", "\u017fam@d3", "SAM")):
        with gate.connect("implicit", source=f"127.0.0.{number + 2}") as client:
            client.ask(f"USER {name}".encode(), b"+OK")
            assert client.ask(b"PASS wrong%d" % number) == REFUSAL
    assert time.monotonic() - began > 0.7


def test_what_the_store_refuses_is_not_the_clients_fault(start: Start, certificates: Certificates, store: Versatile,
                                                         users: Users) -> None:
    users.add("bo", SECRET, "--mailbox", USER, backend_password="not that")
    gate = start(config_of(certificates, store, users, ban_after=1))
    for _try in range(2):
        mark = gate.log.mark()
        with gate.connect("implicit") as client:
            assert authenticate(client, Client("bo", SECRET)).startswith(UNAVAILABLE)
        assert gate.log.wait("login_failed", since=mark)["why"] == "the store refuses whom a verifier has accepted"


@pytest.mark.parametrize("name", [NAME, "nobody"])
def test_a_stores_refusal_does_not_tell_who_is_in_users_db(start: Start, certificates: Certificates, store: Versatile,
                                                           users: Users, name: str) -> None:
    gate = start(config_of(certificates, store, users, backend={"login": "pass"}, login=["basic"],
                           verify=["users", "backend"]))
    with gate.connect("implicit") as client:
        client.ask(f"USER {name}".encode(), b"+OK")
        assert client.ask(b"PASS wrong") == REFUSAL


# ---- another users.db

def test_a_change_is_live_at_once(gate: Popgate, users: Users) -> None:
    refused(gate, Client("bo", SECRET), "users.db has no such user")
    users.add("bo", SECRET, "--mailbox", USER, backend_password=PASSWORD)
    fetched(gate, Client("bo", SECRET))


def test_another_users_db_in_the_place_of_the_first(gate: Popgate, users: Users, workdir: Path) -> None:
    """Sessions of before go on, and workers that have the new file take the next ones."""
    (workdir / "others").mkdir()
    others = Users(workdir / "others")
    shutil.copy(users.directory / "users.key", others.directory / "users.key")
    others.add("bo", SECRET, "--mailbox", USER, backend_password=PASSWORD)
    before = gate.workers()
    mark = gate.log.mark()
    with gate.connect("implicit") as client:
        authenticate(client, ANNA)
        os.replace(others.directory / "users.db", users.directory / "users.db")
        gate.log.wait("users_replaced", since=mark)
        gate.log.wait("reload_done", since=mark)
        until_it_works(lambda: fetched(gate, Client("bo", SECRET)))  # a worker of before may still take one
        until_it_works(lambda: refused(gate, ANNA, "users.db has no such user"))
        fetch(client)
    proc.wait_gone(before)


def test_a_users_db_that_is_none_changes_nothing(gate: Popgate, users: Users, workdir: Path) -> None:
    gate.expect("reload_refused")
    broken = workdir / "broken"
    broken.write_text("no database\n" * 1000)
    mark = gate.log.mark()
    os.replace(broken, users.directory / "users.db")
    gate.log.wait("reload_refused", since=mark)
    fetched(gate, ANNA)


def test_secrets_of_before_a_reload_are_not_in_new_workers(start: Start, certificates: Certificates, store: Versatile,
                                                           users: Users, workdir: Path) -> None:
    secrets = [bytes.fromhex((users.directory / "users.key").read_text()), MASTER_PASSWORD.encode()]
    gate = start(config_of(certificates, store, users, backend=master(workdir)))
    assert any(MASTER_PASSWORD.encode() in proc.memory(pid) for pid in gate.workers())
    gate.reload_all(site(certificates, store.port))
    for pid in gate.workers():
        memory = proc.memory(pid)
        assert not [secret for secret in secrets if secret in memory]


@pytest.mark.parametrize("part", [0.9, 0.5, 0.2, 12288])
def test_a_users_db_that_was_cut_off_changes_nothing(gate: Popgate, users: Users, workdir: Path, part: float) -> None:
    gate.expect("reload_refused")
    (workdir / "others").mkdir()
    others = Users(workdir / "others")
    shutil.copy(users.directory / "users.key", others.directory / "users.key")
    table = others.directory / "users.csv"
    table.write_text("name,nt_hash,mailbox\n" + "".join(f"user{n},{n:032x},box{n}\n" for n in range(5003)))
    others.run("import", str(table))
    file = others.directory / "users.db"
    size = file.stat().st_size
    os.truncate(file, int(part if part > 1 else size * part))
    mark = gate.log.mark()
    os.replace(file, users.directory / "users.db")
    assert "it is damaged" in gate.log.wait("reload_refused", since=mark)["why"]
    fetched(gate, ANNA)


def test_a_damaged_lock_file_is_not_the_supervisors_end(gate: Popgate, users: Users) -> None:
    """Everybody in the workers' group can write to it."""
    gate.expect("reload_refused")
    mark = gate.log.mark()
    with (users.directory / "users.db-lock").open("r+b") as lock:
        lock.seek(56)
        lock.write(b"\xff" * 4)
    gate.signal(signal.SIGHUP)
    assert "lock file beside it is damaged" in gate.log.wait("reload_refused", since=mark)["why"]
    fetched(gate, ANNA)


@contextlib.contextmanager
def held_lock(users: Users) -> Iterator[None]:
    libc = ctypes.CDLL(None)
    with (users.directory / "users.db-lock").open("r+b") as file, mmap.mmap(file.fileno(), 0) as lock:
        mutex = ctypes.byref(ctypes.c_char.from_buffer(lock), 8)
        libc.pthread_mutex_lock(mutex)
        try:
            yield
        finally:
            libc.pthread_mutex_unlock(mutex)
            del mutex


def test_a_lock_that_is_held_does_not_hold_the_supervisor(gate: Popgate, users: Users) -> None:
    gate.expect("reload_refused")
    mark = gate.log.mark()
    with held_lock(users):
        gate.signal(signal.SIGHUP)
        assert "holds its lock file" in gate.log.wait("reload_refused", since=mark)["why"]
    gate.reload()
    fetched(gate, ANNA)


def test_who_tries_users_db_has_no_other_secrets(start: Start, certificates: Certificates, store: Versatile,
                                                 users: Users, workdir: Path) -> None:
    """The file, and its lock file, are others' to write to, so that it may come to act for them."""
    key = ssl.PEM_cert_to_DER_cert(Path(certificates.key("edge")).read_text().replace("PRIVATE KEY", "CERTIFICATE"))
    scalar = key.partition(b"\x02\x01\x01\x04\x20")[2][:32]
    gate = start({**config_of(certificates, store, users, backend=master(workdir)), "key_isolation": "off"})
    gate.expect("reload_refused")
    before = proc.children(gate.pid)

    def found_trier() -> int:
        new = set(proc.children(gate.pid)) - set(before)
        assert new and all(proc.status(pid)["NoNewPrivs"] == ["1"] for pid in new)  # it has begun
        return new.pop()

    with held_lock(users):
        gate.signal(signal.SIGHUP)
        trier = until_it_works(found_trier)
        maps, memory = Path(f"/proc/{trier}/maps").read_text(), proc.memory(trier)
        opened = proc.descriptors(trier)
        gate.log.wait("reload_refused")
    assert any(each in proc.memory(gate.pid) for each in (scalar, scalar[::-1]))
    assert "popgate-tickets" in Path(f"/proc/{gate.pid}/maps").read_text() and "memfd" not in maps
    assert not [each for each in (scalar, scalar[::-1], MASTER_PASSWORD.encode()) if each in memory]
    assert not [name for name in opened if "memfd" in name or "socket" in name or "eventfd" in name], opened


# ---- APOP and CRAM-MD5

def test_apop(gate: Popgate) -> None:
    with Raw(gate.port("pop3s"), gate.context) as client:
        timestamp = client.greeting().strip().rpartition(b" ")[2]
        assert timestamp.startswith(b"<") and timestamp.endswith(b">")
        wrong = hashlib.md5(timestamp + b"wrong").hexdigest()
        assert client.ask(f"APOP {NAME} {wrong}".encode()) == REFUSAL
        right = hashlib.md5(timestamp + SECRET.encode()).hexdigest()
        client.ask(f"APOP {NAME} {right}".encode(), b"+OK")
        fetch(client)
        assert gate.closed(client.port)["mechanism"] == "APOP"


def test_no_timestamp_where_apop_needs_tls_that_there_is_not(start: Start, certificates: Certificates,
                                                             store: Versatile, users: Users) -> None:
    gate = start(config_of(certificates, store, users, login=["basic", "digest-tls"]))
    with Raw(gate.port("plain")) as client:
        assert b"<" not in client.greeting()
        client.ask(b"APOP anna 00112233445566778899aabbccddeeff", b"-ERR [AUTH] That login method")
    with Raw(gate.port("pop3")) as client:
        assert b"<" in client.greeting()


def test_no_timestamp_where_apop_is_not_allowed(start: Start, certificates: Certificates, store: Versatile,
                                                users: Users) -> None:
    gate = start(config_of(certificates, store, users, login=["basic", "ntlm"]))
    with Raw(gate.port("pop3s"), gate.context) as client:
        assert b"<" not in client.greeting()
        client.ask(b"APOP anna 00112233445566778899aabbccddeeff", b"-ERR [AUTH] That login method")


def test_cram_md5(gate: Popgate) -> None:
    with gate.connect("implicit") as client:
        assert "SASL PLAIN LOGIN NTLM CRAM-MD5" in client.capabilities()
        challenge = base64.b64decode(client.ask(b"AUTH CRAM-MD5", b"+ ")[2:])
        digest = hmac.new(SECRET.encode(), challenge, "md5").hexdigest()
        client.ask(base64.b64encode(f"{NAME} {digest}".encode()), b"+OK")
        fetch(client)


# ---- passed through

def passing(certificates: Certificates, winbound: Winbound, **defaults: object) -> Config:
    config = site(certificates, winbound.port, defaults=defaults)
    for listener in config["listeners"].values():
        listener["login"] = ["basic", "ntlm"]
    return config


@pytest.mark.parametrize("mode", MODES)
def test_passed_through(start: Start, certificates: Certificates, winbound: Winbound, mode: str) -> None:
    gate = start(passing(certificates, winbound))
    event = fetched(gate, Client("anna", PASSWORD, domain="LAB"), mode)
    assert event | {"mechanism": "NTLM", "ntlm": "v2", "user": "LAB\\anna"} == event
    assert "verifier" not in event


def test_passed_through_and_refused(start: Start, certificates: Certificates, winbound: Winbound) -> None:
    gate = start(passing(certificates, winbound))
    with gate.connect("implicit") as client:
        for _try in range(2):
            assert authenticate(client, Client("anna", "wrong", domain="LAB")).startswith(b"-ERR [AUTH] ")
        ask_for_challenge(client)
        client.ask(b"*", b"-ERR ")
        assert authenticate(client, Client("anna", PASSWORD, domain="LAB")).startswith(b"+OK")
        fetch(client)


def test_passed_through_and_denied(start: Start, certificates: Certificates, winbound: Winbound) -> None:
    """The store's challenge has been answered, and the store never hears of it."""
    gate = start(passing(certificates, winbound, deny_users=["bo"]))
    with gate.connect("implicit") as client:
        assert authenticate(client, Client("BO", PASSWORD, domain="LAB")) == REFUSAL
        assert authenticate(client, Client("anna", PASSWORD, domain="LAB")).startswith(b"+OK")
        fetch(client)
    assert gate.log.wait("login_failed")["why"] == "deny_users"


def mapped_elsewhere(certificates: Certificates, port: int, winbound: Winbound, rule: str) -> Config:
    """Logins of a kind go to another store than the listener's."""
    config = site(certificates, port, defaults={"map": [rule], "login": ["basic-tls", "ntlm-tls"], "ban_after": 1})
    config["backends"]["winbound"] = {"servers": [f"127.0.0.1:{winbound.port}"], "tls": "none"}
    return config


@pytest.mark.parametrize("domain", ["", "LAB"])
def test_passed_through_where_a_rule_for_all_leads_elsewhere(start: Start, certificates: Certificates,
                                                             winbound: Winbound, domain: str) -> None:
    """The challenge is that store's too."""
    gate = start(mapped_elsewhere(certificates, 1, winbound, "* to {user} at winbound"))
    fetched(gate, Client("anna", PASSWORD, domain=domain))


def test_who_comes_to_another_store_than_the_challenge_is_no_failure(start: Start, certificates: Certificates,
                                                                     winbound: Winbound) -> None:
    """Clients seldom say in type 1 of which domain they are."""
    leaver = Leaver()
    with fake_store(leaver.script) as store:
        gate = start(mapped_elsewhere(certificates, store.port, winbound, "LAB\\* to {user} at winbound"))
        for _try in range(2):
            refused(gate, Client("anna", PASSWORD, domain="LAB"),
                    "the map leads to another backend than the one that gave the challenge",
                    answer=b"-ERR [SYS/TEMP] The mail store is unavailable; please wait and try again.\r\n")
        leaver.leave()


def test_a_store_that_does_not_wait_for_the_answer(start: Start, certificates: Certificates) -> None:
    """The client is told once it has sent what it was asked for."""
    def script(peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        assert peer.line() == b"AUTH NTLM"
        peer.send(b"+ \r\n")
        peer.line()
        peer.send(b"+ " + base64.b64encode(challenge_of("STORE")) + b"\r\n")

    with fake_store(script) as store:
        gate = start(site(certificates, store.port, defaults={"login": ["ntlm-tls"]},
                          listeners={"pop3s": {"bind": ["127.0.0.1:0"], "tls": "implicit"}}))
        gate.expect("login_broken_off")
        with gate.connect("implicit") as client:
            answer = ANNA.authenticate(ask_for_challenge(client))
            gate.log.wait("login_broken_off")
            client.ask(base64.b64encode(answer), UNAVAILABLE)
            client.ask(b"QUIT", b"+OK")


class Leaver:
    """A store that sends a challenge and leaves when it is told to; it knows no password."""

    def __init__(self) -> None:
        self.refused, self.leaves, self.left = threading.Event(), threading.Event(), threading.Event()

    def script(self, peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        if peer.line() == b"AUTH NTLM":
            self._challenge(peer)
            return
        peer.send(b"+OK\r\n")
        peer.line()
        peer.send(b"-ERR [AUTH] no\r\n")
        peer.wait_delivered()
        self.refused.set()

    def _challenge(self, peer: Peer) -> None:
        peer.send(b"+ \r\n")
        peer.line()
        peer.send(b"+ " + base64.b64encode(challenge_of("STORE")) + b"\r\n")
        assert self.leaves.wait(DEADLINE)
        peer.socket.close()
        self.left.set()

    def leave(self) -> None:
        self.leaves.set()
        assert self.left.wait(DEADLINE)


def left_alone(certificates: Certificates, store: FakeStore, **defaults: object) -> Config:
    return site(certificates, store.port, defaults=defaults) | {
        "workers": 1, "listeners": {"plain": {"bind": ["127.0.0.1:0"], "tls": "none", "login": ["basic", "ntlm"]}}}


@pytest.mark.parametrize("answer", [None, b"*", b"?"])
def test_what_is_pipelined_waits_until_a_store_has_gone(start: Start, certificates: Certificates,
                                                        answer: bytes | None) -> None:
    """The worker finds the store's end and the client's answer at the same time, and behind the answer another login."""
    leaver = Leaver()
    with fake_store(leaver.script) as store:
        gate = start(left_alone(certificates, store))
        gate.expect("login_broken_off")
        worker, = gate.workers()
        with gate.connect("none") as client:
            challenge = ask_for_challenge(client)
            said = answer or base64.b64encode(ANNA.authenticate(challenge))
            os.kill(worker, signal.SIGSTOP)
            try:
                leaver.leave()
                client.send(said + b"\r\nUSER anna\r\nPASS secret\r\n")
            finally:
                os.kill(worker, signal.SIGCONT)
            assert client.read_line().startswith(b"-ERR " if answer else UNAVAILABLE)
            assert client.read_line().startswith(b"+OK")
            assert client.read_line().startswith(b"-ERR [AUTH] no")
            client.ask(b"QUIT", b"+OK")
        assert gate.workers() == [worker]


def test_a_client_and_a_store_that_leave_together(start: Start, certificates: Certificates) -> None:
    leaver = Leaver()
    with fake_store(leaver.script) as store:
        gate = start(left_alone(certificates, store))
        gate.expect("login_broken_off")
        worker, = gate.workers()
        with gate.connect("none") as client:
            ask_for_challenge(client)
            os.kill(worker, signal.SIGSTOP)
            try:
                leaver.leave()
                client.socket.close()
            finally:
                os.kill(worker, signal.SIGCONT)
            assert gate.closed(client.port)["reason"] == "client_left"
        assert gate.workers() == [worker]


def test_a_client_that_is_silent_where_the_store_has_left(start: Start, certificates: Certificates) -> None:
    leaver = Leaver()
    with fake_store(leaver.script) as store:
        gate = start(left_alone(certificates, store, preauth_timeout="2s"))
        gate.expect("login_broken_off")
        with gate.connect("none") as client:
            ask_for_challenge(client)
            leaver.leave()
            event = gate.closed(client.port)
        assert event["phase"] == "sasl" and event["reason"] == "preauth_timeout"


def test_a_turn_comes_where_the_store_has_left(start: Start, certificates: Certificates) -> None:
    """The second try waits for its turn, since the first one failed."""
    leaver = Leaver()
    with fake_store(leaver.script) as store:
        gate = start(left_alone(certificates, store, login_delay="1s"))
        gate.expect("login_broken_off")
        with gate.connect("none") as other, gate.connect("none") as client:
            other.ask(b"USER anna", b"+OK")
            other.send(b"PASS wrong\r\n")
            said = base64.b64encode(ANNA.authenticate(ask_for_challenge(client)))
            assert leaver.refused.wait(DEADLINE)
            client.send(said + b"\r\n")
            leaver.leave()
            assert client.read_line().startswith(UNAVAILABLE)
            client.ask(b"QUIT", b"+OK")


def test_a_client_that_leaves_before_it_answers(start: Start, certificates: Certificates, winbound: Winbound) -> None:
    gate = start(passing(certificates, winbound))
    with gate.connect("implicit") as client:
        ask_for_challenge(client)
        port = client.port
    assert gate.closed(port)["phase"] == "sasl"
    fetched(gate, Client("anna", PASSWORD, domain="LAB"))


def test_passed_through_with_curl(start: Start, certificates: Certificates, winbound: Winbound, workdir: Path) -> None:
    gate = start(passing(certificates, winbound))
    done = curl_by_ntlm(gate.port("pop3s"), "implicit", certificates.chain("ca"), "LAB\\anna", PASSWORD, workdir)
    assert done.stdout == mail.on_the_wire(MESSAGES[1]), done


def test_no_store_to_make_a_challenge(start: Start, certificates: Certificates) -> None:
    gate = start(site(certificates, 1, defaults={"login": ["ntlm-tls"]},
                      listeners={"pop3s": {"bind": ["127.0.0.1:0"], "tls": "implicit"}}))
    gate.expect("backend_failed")
    with gate.connect("implicit") as client:
        client.ask(b"AUTH NTLM", b"+ \r\n")
        client.ask(base64.b64encode(Client.negotiate_message), UNAVAILABLE)
        client.ask(b"QUIT", b"+OK")


# ---- a Windows domain

ALICE, SUZANF = "alice", "suzanf"


def domain_config(certificates: Certificates, store: Versatile, samba: Samba, workdir: Path,
                  **defaults: object) -> Config:
    config = site(certificates, store.port, backend=master(workdir), winbind=samba.section(helpers=1),
                  defaults={"verify": ["winbind"], "map": ["* to anna@test.local"], **defaults})
    for listener in config["listeners"].values():
        listener["login"] = ["basic", "ntlm"]
    return config


def start_with_helpers(start: Start, config: Config) -> Popgate:
    gate = start(config)
    gate.log.wait("winbind_ready")
    return gate


@pytest.mark.parametrize("mode", MODES)
def test_users_of_a_domain(start: Start, certificates: Certificates, store: Versatile, samba: Samba, workdir: Path,
                           mode: str) -> None:
    gate = start_with_helpers(start, domain_config(certificates, store, samba, workdir))
    for who in (Client(ALICE, samba_users[ALICE], domain="LAB"), Client("Alice", samba_users[ALICE], domain="lab"),
                Client("alice@lab.test", samba_users[ALICE]), Client("jürgen", samba_users["jürgen"], domain="LAB")):
        event = fetched(gate, who, mode)
        assert event["verifier"] == "winbind" and event["mailbox"] == USER
    with gate.connect(mode) as client:
        client.login(f"LAB\\{SUZANF}", samba_users[SUZANF])
        fetch(client)
        assert gate.closed(client.port)["verifier"] == "winbind"


def test_who_is_refused_by_a_domain(start: Start, certificates: Certificates, store: Versatile, samba: Samba,
                                    workdir: Path) -> None:
    gate = start_with_helpers(start, domain_config(certificates, store, samba, workdir))
    right = samba_users[ALICE]
    whys = set()
    for who in (Client(ALICE, "wrong", domain="LAB"), Client("nobody", right, domain="LAB"),
                Client("carol", right, domain="LAB"), Client(ALICE, right, domain="OTHER"),
                Client(ALICE, right, domain="LAB", wrong_mic=True),
                Client(ALICE, right, domain="LAB", binding=bytes(range(16))),
                Client("Administrator", right, domain="LAB")):
        mark = gate.log.mark()
        with gate.connect("implicit") as client:
            assert authenticate(client, who) == REFUSAL
        whys.add(gate.log.wait("login_failed", since=mark)["why"])
    assert len(whys) > 3
    fetched(gate, Client(ALICE, right, domain="LAB", has_mic=False))
    fetched(gate, Client(ALICE, right, domain="LAB", binding=bound(gate).binding))


def test_curl_and_fetchmail_in_a_domain(start: Start, certificates: Certificates, store: Versatile, samba: Samba,
                                        workdir: Path) -> None:
    config = domain_config(certificates, store, samba, workdir, ntlm_level="v1", ntlm_domain="LAB")
    gate = start_with_helpers(start, config)
    settings, output = workdir / "curlrc", workdir / "mail"
    settings.write_text(f'user = "LAB\\\\{ALICE}:{samba_users[ALICE]}"\n')
    run(["curl", "--silent", "--show-error", "--config", str(settings), "--cacert", certificates.chain("ca"), "--ipv4",
         "--login-options", "AUTH=NTLM", f"pop3s://localhost:{gate.port('pop3s')}/2", "--output", str(output)])
    assert output.read_bytes() == mail.on_the_wire(MESSAGES[1])
    done, delivered = fetchmail(gate, certificates, workdir, "stls", ALICE, samba_users[ALICE])
    assert done.returncode == 0 and delivered.count(b"Subject: ") == len(MESSAGES), done


def test_users_before_the_domain(start: Start, certificates: Certificates, store: Versatile, samba: Samba,
                                 users: Users, workdir: Path) -> None:
    config = domain_config(certificates, store, samba, workdir, verify=["users", "winbind"])
    gate = start_with_helpers(start, config | {"users": users.section})
    assert fetched(gate, ANNA)["verifier"] == "users"
    assert fetched(gate, Client(ALICE, samba_users[ALICE]))["verifier"] == "winbind"


def test_a_domain_that_is_away(start: Start, certificates: Certificates, store: Versatile, samba: Samba,
                               workdir: Path) -> None:
    """Nobody is called wrong, and service returns by itself."""
    gate = start_with_helpers(start, domain_config(certificates, store, samba, workdir, ban_after=1))
    alice = Client(ALICE, samba_users[ALICE], domain="LAB")
    fetched(gate, alice)
    gate.expect("winbind_failed")
    samba.stop()
    with gate.connect("implicit") as client:
        assert authenticate(client, alice).startswith(UNAVAILABLE)
    samba.restart()
    until_it_works(lambda: fetched(gate, alice))


# ---- configurations that cannot work

@pytest.mark.parametrize(("backend", "defaults", "problem"), [
    ({}, {"verify": ["users"]}, "verify: users needs a database; say under \"users\" where it is"),
    ({}, {"login": ["digest-tls"]}, "login: APOP and CRAM-MD5 can be judged by users alone"),
    ({}, {"login_exceptions": ["allow digest-tls ip 127.0.0.1"]},
     "login_exceptions: APOP and CRAM-MD5 can be judged by users alone"),
    ({}, {"verify": ["users"], "greeting": "x" * 490, "login_exceptions": ["allow basic,digest-tls any"]},
     "greeting: with APOP a timestamp follows it"),
    ({}, {"verify": ["winbind"], "login_exceptions": ["allow  ntlm any"]}, "NTLM leaves nobody with a password"),
    ({}, {"ntlm_channel_binding": "require", "login_exceptions": ["allow ntlm any"]},
     "ntlm_channel_binding: without TLS there is nothing to be bound to"),
    ({}, {"verify": ["backend", "users"]}, "verify: backend must stand last"),
    ({"login": "stored"}, {}, "verify has backend, but with login: stored"),
    ({}, {"map": ["LAB\\* to {name}"]}, "map: {name} stands for nothing"),
    ({}, {"map": ["* to {user} at elsewhere"]}, "map: unknown backend \"elsewhere\""),
])
def test_refused_configurations(certificates: Certificates, workdir: Path, backend: Config, defaults: Config,
                                problem: str) -> None:
    file = workdir / "popgate.yaml"
    file.write_text(json.dumps(site(certificates, 1110, backend=backend, defaults=defaults)))
    done = run_command("check", "-c", str(file))
    assert done.returncode == 1 and problem in done.stderr + done.stdout
