"""Who may log in, how, and what they are told: USER/PASS, AUTH, CAPA, refusals, limits.

What a wrong password is called comes from the store, so these tests stand before Dovecot; a fake store stands in
where a test needs to know that the store was never asked, or that it is down.
"""

import base64
import json
from collections.abc import Callable

import pytest
from certs import Certificates
from clients import PASSWORD, USER, Ending, Raw, plain_response, until_it_works
from popgate import LISTENERS, MODES, Popgate, site
from stores import USERS, Dovecot, Peer, fake_store, free_port, serve_mailbox

Start = Callable[..., Popgate]


def b64(text: str) -> bytes:
    return base64.b64encode(text.encode())


def assert_logged_in(client: Raw) -> None:
    client.ask(b"STAT", b"+OK 100 ")
    client.ask(b"QUIT", b"+OK")


# mechanisms

@pytest.mark.parametrize("mode", MODES)
def test_user_and_pass_log_in(before_dovecot: Popgate, mode: str) -> None:
    with before_dovecot.connect(mode) as client:
        client.login()
        assert_logged_in(client)


@pytest.mark.parametrize("user", list(USERS))
def test_passwords_may_hold_blanks_and_signs(before_dovecot: Popgate, user: str) -> None:
    with before_dovecot.connect("implicit") as client:
        client.login(user, USERS[user])
        client.ask(b"QUIT", b"+OK")


def test_commands_are_known_in_any_case(before_dovecot: Popgate) -> None:
    with before_dovecot.connect("implicit") as client:
        client.ask(b"uSeR " + USER.encode(), b"+OK")
        client.ask(b"pass " + PASSWORD.encode(), b"+OK")


@pytest.mark.parametrize("mode", MODES)
def test_auth_plain_with_initial_response_logs_in(before_dovecot: Popgate, mode: str) -> None:
    with before_dovecot.connect(mode) as client:
        client.ask(b"AUTH PLAIN " + plain_response(), b"+OK")
        assert_logged_in(client)


def test_auth_plain_without_initial_response_logs_in(before_dovecot: Popgate) -> None:
    with before_dovecot.connect("implicit") as client:
        assert client.ask(b"AUTH PLAIN") == b"+ \r\n"
        client.ask(plain_response(), b"+OK")
        assert_logged_in(client)


def test_auth_plain_may_name_the_same_user_twice(before_dovecot: Popgate) -> None:
    with before_dovecot.connect("implicit") as client:
        client.ask(b"AUTH PLAIN " + b64(f"{USER}\0{USER}\0{PASSWORD}"), b"+OK")


def test_auth_plain_for_another_user_is_refused(before_dovecot: Popgate) -> None:
    with before_dovecot.connect("implicit") as client:
        client.ask(b"AUTH PLAIN " + b64(f"bert@test.local\0{USER}\0{PASSWORD}"), b"-ERR")
        client.login()


def test_auth_login_without_initial_response_logs_in(before_dovecot: Popgate) -> None:
    with before_dovecot.connect("implicit") as client:
        assert client.ask(b"AUTH LOGIN") == b"+ VXNlcm5hbWU6\r\n"
        assert client.ask(b64(USER)) == b"+ UGFzc3dvcmQ6\r\n"
        client.ask(b64(PASSWORD), b"+OK")
        assert_logged_in(client)


def test_auth_login_with_initial_response_logs_in(before_dovecot: Popgate) -> None:
    with before_dovecot.connect("stls") as client:
        assert client.ask(b"auth login " + b64(USER)) == b"+ UGFzc3dvcmQ6\r\n"
        client.ask(b64(PASSWORD), b"+OK")
        assert_logged_in(client)


@pytest.mark.parametrize("lines", [
    [b"AUTH PLAIN ="],
    [b"AUTH PLAIN", b""],
    [b"AUTH PLAIN", b"="],
    [b"AUTH PLAIN", b"*"],
    [b"AUTH LOGIN", b"*"],
    [b"AUTH LOGIN", b64(USER), b"*"],
    [b"AUTH PLAIN !!!!"],
    [b"AUTH PLAIN", b"not base64"],
    [b"AUTH PLAIN", plain_response()[:-2] + b"?="],
    [b"AUTH PLAIN", plain_response() + b"A"],
    [b"AUTH PLAIN AGE="],
    [b"AUTH LOGIN", b"%%%"],
    [b"AUTH LOGIN", b64(USER), b"a"],
    [b"AUTH CRAM-MD5"],
    [b"AUTH NTLM"],
    [b"AUTH X" + b"Y" * 100],
    [b"APOP anna 0123456789abcdef0123456789abcdef"],
    [b"PASS before-user"],
    [b"USER"],
    [b"STAT"],
    [b"RETR 1"],
    [b"UTF8"],
])
def test_what_is_refused_leaves_the_session_usable(before_dovecot: Popgate, lines: list[bytes]) -> None:
    with before_dovecot.connect("implicit") as client:
        for line in lines[:-1]:
            client.ask(line, b"+")
        client.ask(lines[-1], b"-ERR")
        client.login()
        assert_logged_in(client)


@pytest.mark.parametrize("command", [b"AUTH", b"AUTH "])
def test_auth_alone_lists_the_mechanisms(before_dovecot: Popgate, command: bytes) -> None:
    with before_dovecot.connect("implicit") as client:
        client.send(command + b"\r\n")
        assert client.read_list().split(b"\r\n")[1:] == [b"PLAIN", b"LOGIN", b".", b""]
        client.login()


def test_quit_before_login_is_answered(before_dovecot: Popgate) -> None:
    for mode in MODES:
        with before_dovecot.connect(mode) as client:
            client.ask(b"QUIT", b"+OK")
            assert client.read_to_end() == b""
            assert client.ending is Ending.CLEAN


# capabilities

BEFORE_LOGIN = {"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE"}


def test_capabilities_differ_before_and_inside_tls(before_dovecot: Popgate) -> None:
    gate = before_dovecot
    with Raw(gate.port("pop3")) as client:
        client.greeting()
        outside = client.capabilities()
        client.stls(gate.context)
        inside = client.capabilities()
    assert outside == BEFORE_LOGIN | {"STLS"}
    assert inside == BEFORE_LOGIN | {"USER", "SASL PLAIN LOGIN"}
    with gate.connect("implicit") as client:
        assert client.capabilities() == inside


def test_capabilities_without_tls_follow_the_login_methods(before_dovecot: Popgate) -> None:
    with before_dovecot.connect("none") as client:
        assert client.capabilities() == BEFORE_LOGIN | {"USER", "SASL PLAIN LOGIN"}


def test_capabilities_where_both_methods_are_allowed_offer_stls_and_user(start: Start, certificates: Certificates,
                                                                         dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, defaults={"login": ["basic", "basic-tls"]}))
    with Raw(gate.port("pop3")) as client:
        client.greeting()
        assert client.capabilities() == BEFORE_LOGIN | {"STLS", "USER", "SASL PLAIN LOGIN"}


def test_capabilities_promise_what_the_store_was_said_to_do(start: Start, certificates: Certificates,
                                                            dovecot: Dovecot) -> None:
    bare = start(site(certificates, dovecot.port, backend={"capabilities": []}))
    full = start(site(certificates, dovecot.port, backend={"capabilities": ["top", "uidl", "pipelining"]}))
    with bare.connect("implicit") as client:
        assert not client.capabilities() & {"TOP", "UIDL", "PIPELINING"}
    with full.connect("implicit") as client:
        assert {"TOP", "UIDL", "PIPELINING"} <= client.capabilities()


# refusals

@pytest.mark.parametrize("command", [b"USER " + USER.encode(), b"AUTH PLAIN", b"AUTH PLAIN " + plain_response(),
                                     b"AUTH LOGIN"])
def test_logging_in_before_tls_is_refused_at_once_with_a_hint(start: Start, certificates: Certificates,
                                                              command: bytes) -> None:
    with fake_store(serve_mailbox([])) as store:
        gate = start(site(certificates, store.port))
        with Raw(gate.port("pop3")) as client:
            client.greeting()
            answer = client.ask(command, b"-ERR [AUTH] ")
            assert b"use TLS on port 995, or STLS" in answer
            client.ask(b"PASS never-asked-for", b"-ERR")
            client.stls(gate.context)
            client.login()
        assert store.connections == 1


def test_the_hint_is_the_administrators(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, defaults={"refusal_hint": "ask Suzan, extension 1997"}))
    with Raw(gate.port("pop3")) as client:
        client.greeting()
        assert b"ask Suzan, extension 1997" in client.ask(b"USER anna", b"-ERR [AUTH] ")


def test_the_greeting_is_the_administrators(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, defaults={"greeting": "Contoso mail, at your service"}))
    with Raw(gate.port("pop3")) as client:
        assert client.read_line() == b"+OK Contoso mail, at your service\r\n"


@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_password_gets_the_stores_text_and_another_try(before_dovecot: Popgate, mode: str) -> None:
    with before_dovecot.connect(mode) as client:
        client.ask(b"USER " + USER.encode(), b"+OK")
        assert client.ask(b"PASS wrong") == b"-ERR [AUTH] Authentication failed.\r\n"
        assert client.ask(b"AUTH PLAIN " + plain_response(password="wrong")) == \
            b"-ERR [AUTH] Authentication failed.\r\n"
        client.ask(b"PASS " + PASSWORD.encode(), b"-ERR")
        client.login()
        assert_logged_in(client)


def test_a_store_that_is_down_is_not_called_a_bad_password(start: Start, certificates: Certificates) -> None:
    port = free_port()
    gate = start(site(certificates, port))
    gate.expect("backend_failed")
    with gate.connect("implicit") as client:
        client.ask(b"USER " + USER.encode(), b"+OK")
        client.ask(b"PASS " + PASSWORD.encode(), b"-ERR [SYS/TEMP] ")
        client.ask(b"AUTH PLAIN " + plain_response(), b"-ERR [SYS/TEMP] ")
        with fake_store(serve_mailbox([b"x\r\n"]), port=port):
            client.login()
            client.ask(b"STAT", b"+OK 1 ")


@pytest.mark.parametrize("refusal", [b"-ERR [IN-USE] the mailbox is locked\r\n", b"-ERR [LOGIN-DELAY] too soon\r\n",
                                     b"-ERR\r\n", b"-ERR you cannot come in\r\n"])
def test_the_stores_refusal_is_passed_on_as_it_is(start: Start, certificates: Certificates, refusal: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        peer.line()
        peer.send(b"+OK\r\n")
        peer.line()
        peer.send(refusal)
        peer.to_end()

    with fake_store(script) as store:
        gate = start(site(certificates, store.port))
        with gate.connect("implicit") as client:
            client.ask(b"USER anna", b"+OK")
            answer = client.ask(b"PASS x", b"-ERR")
    assert answer.strip().endswith(refusal[4:].strip())


# limits

def test_too_many_failed_logins_end_the_session(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, defaults={"max_login_attempts": 3}))
    with gate.connect("implicit") as client:
        for _attempt in range(3):
            client.ask(b"USER " + USER.encode(), b"+OK")
            client.ask(b"PASS wrong", b"-ERR [AUTH] ")
        client.read_to_end()
        assert client.ending is Ending.CLEAN
        assert gate.closed(client.port)["reason"] == "login_attempts"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_ip"])
def test_no_more_connections_than_allowed_and_places_come_back(start: Start, certificates: Certificates,
                                                               dovecot: Dovecot, mode: str, limit: str) -> None:
    gate = start(site(certificates, dovecot.port, defaults={limit: 2}))
    with gate.connect(mode) as first, gate.connect(mode), Raw(gate.port(LISTENERS[mode])) as third:
        answer = third.read_to_end()
        # Where TLS is promised from the first byte on, nothing can be said without it.
        assert answer == b"" if mode == "implicit" else answer.startswith(b"-ERR [SYS/TEMP] ")
        assert gate.closed(third.port)["reason"] == limit
        first.ask(b"QUIT", b"+OK")
        first.read_to_end()
        with until_it_works(lambda: gate.connect(mode)) as fourth:
            fourth.ask(b"QUIT", b"+OK")


def test_one_listeners_limit_is_not_anothers(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, defaults={"max_connections": 1, "max_connections_per_ip": 1}))
    with gate.connect("implicit") as first, gate.connect("stls") as second, gate.connect("none") as third:
        for client in first, second, third:
            client.ask(b"QUIT", b"+OK")


def test_one_user_has_no_more_sessions_than_allowed_and_places_come_back(start: Start, certificates: Certificates,
                                                                        dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, defaults={"max_connections_per_user": 2}))
    with gate.connect("implicit") as first, gate.connect("none") as second, gate.connect("stls") as third:
        first.login()
        second.login()
        third.ask(b"USER " + USER.encode(), b"+OK")
        third.ask(b"PASS " + PASSWORD.encode(), b"-ERR [IN-USE] ")
        third.read_to_end()
        assert gate.closed(third.port)["reason"] == "max_connections_per_user"
        with gate.connect("implicit") as other:
            other.login("bert@test.local", USERS["bert@test.local"])
            other.ask(b"QUIT", b"+OK")
        first.ask(b"QUIT", b"+OK")
        until_it_works(lambda: log_in_and_out(gate))


def log_in_and_out(gate: Popgate) -> None:
    with gate.connect("stls") as client:
        client.login()
        client.ask(b"QUIT", b"+OK")


# what the log must not hold

def test_a_password_is_never_in_the_log(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    secrets = [PASSWORD, "Wrong-Secret-1", "Wrong-Secret-2", "Early-Secret"]
    log = {"target": "stderr", "format": "json", "level": "debug"}
    gate = start(site(certificates, dovecot.port, log=log))
    for mode in MODES:
        with gate.connect(mode) as client:
            client.ask(b"PASS Early-Secret", b"-ERR")
            client.ask(b"USER " + USER.encode(), b"+OK")
            client.ask(b"PASS Wrong-Secret-1", b"-ERR")
            client.ask(b"AUTH PLAIN " + plain_response(password="Wrong-Secret-2"), b"-ERR")
            client.ask(b"AUTH LOGIN", b"+ ")
            client.ask(b64(USER), b"+ ")
            client.ask(b64(PASSWORD), b"+OK")
            client.ask(b"QUIT", b"+OK")
            gate.closed(client.port)
    text = json.dumps(gate.log.events)
    assert USER in text
    for secret in secrets:
        for form in (secret, b64(secret).decode(), plain_response(password=secret).decode()):
            assert form not in text
