"""Logins that a real domain controller judges, through winbind: real clients fetch mail, by every way into the store;
names in all their forms; whom the domain refuses; and NTLM passed through to a store of the domain's own.
"""

import base64
import contextlib
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mail
import pytest
from certs import Certificates
from clients import fetch_with_curl, fetch_with_fetchmail, plain_response
from conftest import running
from directory import MAILBOX, STORE_PASSWORD, Member, Store, config_of
from ntlm_client import Client, ask_for_challenge, authenticate
from popgate import LISTENERS, MODES, Config, Event, Popgate, run_command, site
from samba import DISABLED, DOMAIN, USERS, Samba
from test_ntlm import REFUSAL, UNAVAILABLE, Users, bound
from test_store_logins import master

Start = Callable[..., Popgate]

ALICE = USERS["alice"]
ON_THE_WIRE = [mail.on_the_wire(message) for message in MAILBOX]


@pytest.fixture(scope="module")
def store(shared: Path, certificates: Certificates) -> Iterator[Store]:
    directory = shared / "directory-store"
    directory.mkdir()
    yield from running(Store(directory, certificates))


@pytest.fixture(scope="module")
def member(shared: Path, certificates: Certificates, samba_running: Samba) -> Iterator[Member]:
    directory = shared / "directory-member"
    directory.mkdir()
    yield from running(Member(directory, certificates, samba_running))


@pytest.fixture
def users(workdir: Path) -> Users:
    """A users.db that knows the domain's alice, and a password for the store, but not her own."""
    directory = workdir / "users"
    directory.mkdir(mode=0o755)
    users = Users(directory)
    add_kept(users, "alice", STORE_PASSWORD)
    return users


def add_kept(users: Users, name: str, store_password: str, *options: str) -> None:
    users.run("add", name, "--no-password", "--stdin", "--backend-password", *options, lines=(store_password,))


@pytest.fixture
def gate(start: Start, certificates: Certificates, samba: Samba, store: Store, workdir: Path) -> Popgate:
    return start_ready(start, config_of(certificates, samba, store.port, master(workdir)))


def start_ready(start: Start, config: Config) -> Popgate:
    gate = start(config)
    gate.log.wait("winbind_ready")
    return gate


# ---- real clients, and the ways into the store

def fetch(client: str, gate: Popgate, certificates: Certificates, mode: str, directory: Path, **who: Any) -> None:
    """Byte for byte what was put into the store."""
    with_client = {"curl": fetch_with_curl, "fetchmail": fetch_with_fetchmail}[client]
    got = with_client(gate.port(LISTENERS[mode]), mode, certificates.chain("ca"), len(MAILBOX), directory, **who)
    wanted = ON_THE_WIRE
    if client == "fetchmail":
        wanted = [text for text in map(mail.delivered_by_fetchmail, ON_THE_WIRE) if text]
        got = [text for text in got if text in wanted]
        assert len(wanted) >= 6
    assert got == wanted


NTLM_CLIENTS = {"curl": {"user": "LAB\\alice", "password": ALICE, "ntlm": True},
                "fetchmail": {"user": "alice", "password": ALICE, "ntlm": True}}
WAYS = ["master", "stored", "ntlm"]


@contextlib.contextmanager
def way_in(way: str, start: Start, certificates: Certificates, samba: Samba, store: Store, member: Member,
           users: Users, workdir: Path, **defaults: Any) -> Iterator[Popgate]:
    """A popgate that logs in at the store in this way, and then did."""
    judges = {"verify": ["winbind"] if way == "master" else ["users", "winbind"]}
    if way == "master":
        backend, at, logged = master(workdir), store, r"Login: user=<alice>, method=PLAIN,"
    elif way == "stored":
        backend, at, logged = {"login": "stored"}, store, r"Login: user=<alice>, method=PLAIN,"
    else:
        users.run("set", "alice", "--backend-password", "--stdin", lines=(ALICE,))
        backend, at, logged = {"login": "ntlm"}, member, r"Login: user=<alice>, method=NTLM,"
    config = config_of(certificates, samba, at.port, backend, **judges, **defaults)
    config["users"] = users.section
    mark = at.mark()
    yield start_ready(start, config)
    at.wait_logged(logged, since=mark)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
def test_curl(start: Start, certificates: Certificates, samba: Samba, store: Store, member: Member, users: Users,
              workdir: Path, way: str, mode: str) -> None:
    with way_in(way, start, certificates, samba, store, member, users, workdir) as gate:
        fetch("curl", gate, certificates, mode, workdir, **NTLM_CLIENTS["curl"])
        closed = gate.log.wait("session_closed")
    assert closed | {"mechanism": "NTLM", "ntlm": "v2", "verifier": "winbind", "user": "LAB\\alice",
                     "mailbox": "alice"} == closed


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
def test_fetchmail_where_ntlm_v1_is_allowed(start: Start, certificates: Certificates, samba: Samba, store: Store,
                                            member: Member, users: Users, workdir: Path, way: str, mode: str) -> None:
    """It logs in to the domain that the challenge names."""
    options = {"ntlm_level": "v1", "ntlm_domain": DOMAIN}
    with way_in(way, start, certificates, samba, store, member, users, workdir, **options) as gate:
        fetch("fetchmail", gate, certificates, mode, workdir, **NTLM_CLIENTS["fetchmail"])
        closed = gate.log.wait("session_closed")
    assert closed | {"mechanism": "NTLM", "ntlm": "v1", "verifier": "winbind", "user": "LAB\\alice"} == closed


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("client", ["curl", "fetchmail"])
def test_passed_through_to_a_store_of_the_domain(start: Start, certificates: Certificates, member: Member,
                                                 workdir: Path, client: str, mode: str) -> None:
    config = site(certificates, member.port, defaults={"ntlm_level": "v1"})
    for listener in config["listeners"].values():
        listener["login"] = ["ntlm"]
    gate = start(config)
    mark = member.mark()
    fetch(client, gate, certificates, mode, workdir, **NTLM_CLIENTS[client])
    closed = gate.log.wait("session_closed")
    assert closed | {"mechanism": "NTLM", "user": "LAB\\alice"} == closed and "verifier" not in closed
    member.wait_logged(r"Login: user=<alice>, method=NTLM,", since=mark)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("client", ["curl", "fetchmail"])
def test_a_plain_password(gate: Popgate, certificates: Certificates, workdir: Path, client: str, mode: str) -> None:
    fetch(client, gate, certificates, mode, workdir, user="LAB\\alice", password=ALICE)
    closed = gate.log.wait("session_closed")
    assert closed | {"verifier": "winbind", "user": "LAB\\alice", "mailbox": "alice"} == closed


# ---- names

NAMES = ["alice", "ALICE", "LAB\\alice", "lab/Alice", "alice@lab.test", "lab.test\\alice", "alice@LAB"]


@pytest.fixture(scope="module")
def judged(shared: Path, certificates: Certificates, samba_running: Samba, store: Store) -> Iterator[Popgate]:
    """One popgate for tests that ask it and change nothing; what it refuses costs nothing."""
    directory = shared / "judged"
    directory.mkdir()
    config = config_of(certificates, samba_running, store.port, master(directory), winbind={"timeout": "10s"},
                       login_delay="0s", ban_after=1000, map=["*\\jürgen to jürgen", "* to {user}"])
    gate = Popgate(directory, config, certificates.client_context())
    try:
        gate.log.wait("winbind_ready")
        yield gate
        gate.stop()
    finally:
        gate.kill()


def opened(gate: Popgate, attempt: Callable[[Any], bytes], mode: str = "implicit") -> Event:
    """Lets the attempt log in; the closing line."""
    with gate.connect(mode) as client:
        answer = attempt(client)
        assert answer.startswith(b"+OK"), answer
        client.ask(b"QUIT", b"+OK")
        return gate.closed(client.port)


def refused(gate: Popgate, attempt: Callable[[Any], bytes], why: str, answer: bytes = REFUSAL) -> Event:
    """The attempt fails in the one way there is; the cause is in the log."""
    with gate.connect("implicit") as client:
        mark = gate.log.mark()
        assert attempt(client) == answer
        event = gate.log.wait("login_failed", since=mark, client=f"127.0.0.1:{client.port}")
        client.ask(b"QUIT", b"+OK")
    assert event["why"] == why
    return event


def by_password(user: str, password: str = ALICE) -> Callable[[Any], bytes]:
    def attempt(client: Any) -> bytes:
        client.ask(f"USER {user}".encode(), b"+OK")
        return client.ask(f"PASS {password}".encode())
    return attempt


def by_plain(user: str, password: str = ALICE) -> Callable[[Any], bytes]:
    return lambda client: client.ask(b"AUTH PLAIN " + plain_response(user, password))


def by_ntlm(user: str, password: str = ALICE, domain: str = "", **more: Any) -> Callable[[Any], bytes]:
    return lambda client: authenticate(client, Client(user, password, domain, **more))


@pytest.mark.parametrize("name", NAMES)
def test_a_password_and_a_name_of_any_form(judged: Popgate, name: str) -> None:
    assert opened(judged, by_password(name))["mailbox" if name != "alice" else "user"] == "alice"
    opened(judged, by_plain(name))


@pytest.mark.parametrize(("user", "domain"), [
    ("alice", DOMAIN), ("alice", ""), ("ALICE", "lab"), ("alice@lab.test", ""), ("alice", "lab.test"),
    ("Alice@LAB.TEST", "")])
def test_ntlm_and_a_name_of_any_form(judged: Popgate, user: str, domain: str) -> None:
    event = opened(judged, by_ntlm(user, domain=domain))
    assert event["server"] and event.get("mailbox", event["user"]) == "alice"


@pytest.mark.parametrize("attempt", [by_password("LAB\\jürgen", USERS["jürgen"]), by_plain("jürgen", USERS["jürgen"]),
                                     by_ntlm("jürgen", USERS["jürgen"], DOMAIN), by_ntlm("JÜRGEN", USERS["jürgen"])],
                         ids=["pass", "plain", "ntlm", "upper case"])
def test_names_and_passwords_beyond_ascii(judged: Popgate, store: Store, attempt: Callable[[Any], bytes]) -> None:
    mark = store.mark()
    opened(judged, attempt)
    store.wait_logged("Login: user=<jürgen>", since=mark)


def test_domain_suzanf_opens_suzanf(judged: Popgate, store: Store) -> None:
    mark = store.mark()
    opened(judged, by_ntlm("Suzanf", USERS["suzanf"], DOMAIN))
    store.wait_logged("Login: user=<suzanf>", since=mark)


def test_a_map_knows_the_domain(start: Start, certificates: Certificates, samba: Samba, store: Store,
                                workdir: Path) -> None:
    rules = [f"{DOMAIN}\\alice\\suzanf to {{mailbox}} because her deputy", f"{DOMAIN}\\* to {{user}}"]
    gate = start_ready(start, config_of(certificates, samba, store.port, master(workdir), map=rules))
    assert opened(gate, by_password("LAB\\alice\\Suzanf"))["mailbox"] == "suzanf"
    assert opened(gate, by_ntlm("alice", domain=DOMAIN))["mailbox"] == "alice"
    refused(gate, by_password("LAB\\suzanf\\alice", USERS["suzanf"]), "no map rule lets the user open another mailbox")


# ---- whom the domain refuses, or popgate before it

@pytest.mark.parametrize(("attempt", "why"), [
    (by_ntlm("alice", "wrong", DOMAIN), "wrong password"),
    (by_ntlm("nobody", ALICE, DOMAIN), "no such account"),
    (by_ntlm(DISABLED, ALICE, DOMAIN), "the account is disabled"),
    (by_password("alice", "wrong"), "no such account, or wrong password"),
    (by_password("nobody"), "no such account, or wrong password"),
    (by_plain(f"LAB\\{DISABLED}"), "no such account, or wrong password"),
    (by_ntlm("alice", domain="CONTOSO"), "no such account"),
    (by_ntlm("alice@contoso.test"), "no such account"),
    (by_password("CONTOSO\\alice"), "no such account, or wrong password"),
    (by_password("alice@contoso.test"), "no such account, or wrong password"),
    (by_ntlm("alice", domain=DOMAIN, wrong_mic=True), "wrong MIC: the messages were changed on their way"),
    (by_ntlm("alice", domain=DOMAIN, binding=bytes(range(16))), "bound to another TLS channel"),
    (by_password("Administrator", "Adm1n-Passw0rd!"), "deny_users"),
    (by_ntlm("administrator", "Adm1n-Passw0rd!", DOMAIN), "deny_users"),
    (by_ntlm("krbtgt@lab.test", "whatever"), "deny_users"),
    (by_password("LAB\\Guest", "any"), "deny_users"),
])
def test_refusals_look_the_same(judged: Popgate, attempt: Callable[[Any], bytes], why: str) -> None:
    refused(judged, attempt, why)


def test_guests_are_nobody_even_when_they_are_not_denied(start: Start, certificates: Certificates, samba: Samba,
                                                         store: Store, workdir: Path) -> None:
    gate = start_ready(start, config_of(certificates, samba, store.port, master(workdir), deny_users=[]))
    refused(gate, by_ntlm("guest", "", DOMAIN), "an account of everybody's")
    refused(gate, by_password("LAB\\guest", "any"), "no such account, or wrong password")
    opened(gate, by_password("administrator", "Adm1n-Passw0rd!"))


def test_bound_to_the_certificate(judged: Popgate) -> None:
    who = bound(judged)
    opened(judged, by_ntlm("alice", domain=DOMAIN, binding=who.binding))


def test_v1_is_refused_before_the_domain_is_asked(judged: Popgate, certificates: Certificates, workdir: Path) -> None:
    mark = judged.log.mark()
    with pytest.raises(AssertionError, match="fetchmail ended with"):
        fetch("fetchmail", judged, certificates, "implicit", workdir, **NTLM_CLIENTS["fetchmail"])
    assert judged.log.wait("login_failed", since=mark)["why"] == "NTLMv1 is not allowed"


def test_an_answer_to_another_challenge(judged: Popgate) -> None:
    with judged.connect("implicit") as client:
        kept = Client("alice", ALICE, DOMAIN).authenticate(ask_for_challenge(client))
        client.ask(base64.b64encode(kept), b"+OK")
    def attempt(client: Any) -> bytes:
        ask_for_challenge(client)
        return client.ask(base64.b64encode(kept))
    refused(judged, attempt, "not an answer to this challenge: names or time differ")


# ---- users.db beside winbind

def test_what_users_db_says_holds_for_users_of_the_domain(start: Start, certificates: Certificates, samba: Samba,
                                                          store: Store, users: Users) -> None:
    """Mailbox, password for the store, methods, and whether the user may log in at all; the domain judges."""
    users.run("set", "alice", "--mailbox", "suzanf", "--methods", "ntlm")
    config = config_of(certificates, samba, store.port, {"login": "stored"}, verify=["users", "winbind"])
    gate = start_ready(start, config | {"users": users.section})
    event = opened(gate, by_ntlm("alice", domain=DOMAIN))
    assert event | {"verifier": "winbind", "mailbox": "suzanf"} == event
    refused(gate, by_ntlm("alice", "wrong", DOMAIN), "wrong password")
    refused(gate, by_password("alice"), "the user may not log in by this method")
    refused(gate, by_password("alice", "wrong"), "no such account, or wrong password")
    users.run("set", "alice", "--disable")
    refused(gate, by_ntlm("alice", domain=DOMAIN), "the user is disabled in users.db")


def test_a_user_of_the_domain_whose_password_at_the_store_nobody_knows(
        start: Start, certificates: Certificates, samba: Samba, store: Store, users: Users) -> None:
    """It is not the user who is at fault."""
    config = config_of(certificates, samba, store.port, {"login": "stored"}, verify=["users", "winbind"])
    gate = start_ready(start, config | {"users": users.section})
    gate.expect("login_not_asked")
    with gate.connect("implicit") as client:
        assert by_ntlm("suzanf", USERS["suzanf"], DOMAIN)(client).startswith(UNAVAILABLE)
        client.ask(b"QUIT", b"+OK")


def test_users_of_users_db_need_no_domain(start: Start, certificates: Certificates, samba: Samba, store: Store,
                                          users: Users) -> None:
    """The same name there and in the domain: users.db has the password, so it decides."""
    users.add("suzanf", "of users.db", backend_password=STORE_PASSWORD)
    config = config_of(certificates, samba, store.port, {"login": "stored"}, verify=["users", "winbind"])
    gate = start_ready(start, config | {"users": users.section})
    assert opened(gate, by_ntlm("suzanf", "of users.db"))["verifier"] == "users"
    refused(gate, by_ntlm("suzanf", USERS["suzanf"], DOMAIN), "wrong password")
    assert opened(gate, by_ntlm("alice", domain=DOMAIN))["verifier"] == "winbind"


# ---- a helper that does not say what ntlm_auth says

def helper(directory: Path, answer: str) -> Config:
    """Stands in for ntlm_auth and answers every question so."""
    command = directory / "helper"
    command.write_text(f"#!/bin/sh\nwhile read -r line; do [ \"$line\" != . ] || printf '{answer}'; done\n")
    command.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
    return {"command": str(command), "helpers": 1, "group": ""}


KEY = "User-Session-Key: {}\\n"
OTHERS_KEY, NO_KEY = KEY.format("0123456789ABCDEF" * 2), KEY.format("0" * 32)


@pytest.mark.parametrize(("answer", "said"), [
    ("Authenticated: Yes\\n" + OTHERS_KEY + ".\\n", REFUSAL),
    ("Authenticated: Yes\\n" + NO_KEY + ".\\n", REFUSAL),
    ("Authenticated: Yes\\n.\\n", UNAVAILABLE),
    ("Authenticated: Perhaps\\n.\\n", UNAVAILABLE),
    ("Authenticated: No\\nAuthentication-Error: Out of paper\\n.\\n.\\n", UNAVAILABLE),
], ids=["key of another account", "key of a guest", "no key", "no verdict", "no refusal"])
def test_another_account_in_the_answer(start: Start, certificates: Certificates, store: Store, workdir: Path,
                                       answer: str, said: bytes) -> None:
    """The key in the answer is the account's: with a signed login, that of another one does not fit."""
    config = config_of(certificates, Samba(workdir), store.port, master(workdir))
    config["winbind"] = helper(workdir, answer)
    gate = start(config)
    gate.expect("winbind_unusable")
    gate.allow("helper_ended", "helper_delayed", "winbind_failed")
    gate.log.wait("winbind_unusable")
    with gate.connect("implicit") as client:
        assert by_ntlm("alice", domain=DOMAIN)(client).startswith(said)
        client.ask(b"QUIT", b"+OK")


# ---- configurations

@pytest.mark.parametrize(("login", "verify", "status"), [
    ("stored", ["winbind"], 1), ("stored", ["winbind", "users"], 1), ("stored", ["users", "winbind"], 0),
    ("ntlm", ["winbind"], 1), ("ntlm", ["users", "winbind"], 0)])
def test_a_password_for_the_store_comes_from_users_db(certificates: Certificates, samba: Samba, users: Users,
                                                      workdir: Path, login: str, verify: list[str],
                                                      status: int) -> None:
    file = workdir / "popgate.yaml"
    config = config_of(certificates, samba, 1110, {"login": login}, verify=verify) | {"users": users.section}
    file.write_text(json.dumps(config))
    done = run_command("check", "-c", str(file))
    assert done.returncode == status, done.stderr
    assert status == 0 or "users before" in done.stderr + done.stdout
