"""Between popgate and the store: TLS and its checks, several servers in order, greetings of all kinds."""

import base64
import json
import os
import signal
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import mail
import pytest
from certs import Certificates
from clients import DEADLINE, PASSWORD, USER, Ending
from popgate import Config, Popgate, run_command, site
from stores import Dovecot, Peer, Script, fake_store, free_port, serve_mailbox

Start = Callable[..., Popgate]

MAILBOX = serve_mailbox([b"x\r\n"])


def assert_unavailable(gate: Popgate) -> None:
    """A login is refused for a reason that is not the password's, and the session stays usable."""
    with gate.connect("implicit") as client:
        client.ask(b"USER " + USER.encode(), b"+OK")
        client.ask(b"PASS " + PASSWORD.encode(), b"-ERR [SYS/TEMP] ")
        client.ask(b"QUIT", b"+OK")


def assert_served(gate: Popgate) -> None:
    with gate.connect("implicit") as client:
        client.login()
        client.ask(b"STAT", b"+OK ")
        client.ask(b"QUIT", b"+OK")


# TLS

def tls_backend(certificates: Certificates, tls: str, **settings: str) -> Config:
    return {"tls": tls, "ca": certificates.chain("ca"), "verify_name": "store.test", **settings}


@pytest.fixture(params=["stls", "tls"])
def tls(request: pytest.FixtureRequest) -> str:
    """Both ways to protect the connection to the store."""
    return request.param


def port_of(dovecot: Dovecot, tls: str) -> int:
    return dovecot.tls_port if tls == "tls" else dovecot.port


# QUIT comes behind the message: Dovecot (2.3.19) answers QUIT with its last few KiB still unwritten, tries once, and
# where its own TLS process has no room for them drops them and ends the connection with close_notify.
def test_a_verified_store_serves_over_tls(start: Start, certificates: Certificates, dovecot: Dovecot,
                                          tls: str) -> None:
    gate = start(site(certificates, port_of(dovecot, tls), backend=tls_backend(certificates, tls)))
    with gate.connect("implicit") as client:
        client.login()
        client.send(b"RETR 10\r\n")
        assert client.read_list().partition(b"\r\n")[2] == mail.stuffed(dovecot.messages[9])
        client.ask(b"QUIT", b"+OK")
        client.read_to_end()
        assert client.ending is Ending.CLEAN
        assert gate.closed(client.port)["reason"] == "done"


def test_a_client_that_half_closes_gets_its_whole_message_from_a_store_over_tls(
        start: Start, certificates: Certificates, dovecot: Dovecot, tls: str) -> None:
    gate = start(site(certificates, port_of(dovecot, tls), backend=tls_backend(certificates, tls)))
    with gate.connect("implicit") as client:
        client.login()
        client.send(b"RETR 15\r\nQUIT\r\n")
        client.half_close()
        assert mail.stuffed(dovecot.messages[14]) in client.read_to_end()
        assert client.ending is Ending.CLEAN


@pytest.mark.parametrize("change", [
    {"verify_name": "other.test"},
    {"verify_name": "test"},
    {"verify_name": ""},
    {"ca": "other-ca"},
    {"fingerprint": "00" * 32},
], ids=["other name", "shorter name", "address instead of a name", "other authority", "other fingerprint"])
def test_a_store_that_is_somebody_else_is_not_told_the_password(start: Start, certificates: Certificates, tls: str,
                                                               change: dict[str, str]) -> None:
    heard: list[bytes] = []
    settings = tls_backend(certificates, tls) | change
    if "ca" in change:
        settings["ca"] = certificates.chain(change["ca"])
    with fake_store(tls_store(certificates.server_context("store"), tls, heard)) as store:
        gate = start(site(certificates, store.port, backend=settings))
        gate.expect("backend_failed")
        assert_unavailable(gate)
        assert "certificate" in gate.log.wait("backend_failed")["why"].lower()
        assert store.connections == 1
    assert not heard


def tls_store(context: ssl.SSLContext, tls: str, heard: list[bytes]) -> Script:
    """A store that notes what it hears once TLS is up."""

    def script(peer: Peer) -> None:
        greet(peer, context, tls)
        while line := peer.line():
            heard.append(line)
            peer.send(b"+OK\r\n")

    return script


def greet(peer: Peer, context: ssl.SSLContext, tls: str) -> None:
    """A store's part before the login."""
    if tls == "stls":
        peer.send(b"+OK\r\n")
        peer.line()
        peer.send(b"+OK\r\n")
    if tls != "none":
        peer.start_tls(context)
    if tls != "stls":
        peer.send(b"+OK\r\n")


@pytest.mark.parametrize("settings", [{"fingerprint": "store"}, {"verify": "false"}], ids=["fingerprint", "no check"])
def test_the_check_of_the_store_can_be_replaced(start: Start, certificates: Certificates, dovecot: Dovecot, tls: str,
                                                settings: dict[str, str]) -> None:
    settings = dict(settings)
    if "fingerprint" in settings:
        settings["fingerprint"] = certificates.fingerprint("store")
    gate = start(site(certificates, port_of(dovecot, tls), backend={"tls": tls, **settings}))
    assert_served(gate)


def test_missing_authorities_are_told_however_long_the_name_of_their_file(certificates: Certificates,
                                                                         workdir: Path) -> None:
    authorities = str(workdir / "/".join(["x" * 200] * 10))
    file = workdir / "popgate.conf"
    file.write_text(json.dumps(site(certificates, 1, backend={"tls": "tls", "ca": authorities})))
    done = run_command("check", "-c", str(file))
    assert done.returncode == 1 and authorities in done.stderr


def test_a_certificate_of_another_authority_is_refused(start: Start, certificates: Certificates, tls: str) -> None:
    heard: list[bytes] = []
    with fake_store(tls_store(certificates.server_context("stranger"), tls, heard)) as store:
        gate = start(site(certificates, store.port, backend=tls_backend(certificates, tls)))
        gate.expect("backend_failed")
        assert_unavailable(gate)
    assert not heard


def stls_answer(answer: bytes, heard: list[bytes]) -> Script:
    def script(peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        heard.append(peer.line())
        peer.send(answer)
        heard.append(peer.to_end())

    return script


@pytest.mark.parametrize("answer", [b"-ERR not here\r\n", b"+OK go\r\n+OK injected\r\n", b"+OK go\r\n+", b"hello\r\n"])
def test_there_is_no_way_around_stls(start: Start, certificates: Certificates, answer: bytes) -> None:
    heard: list[bytes] = []
    with fake_store(stls_answer(answer, heard)) as store:
        gate = start(site(certificates, store.port, backend=tls_backend(certificates, "stls")))
        gate.expect("backend_failed")
        assert_unavailable(gate)
    assert heard[0] == b"STLS"
    assert b"USER" not in b"".join(heard) and PASSWORD.encode() not in b"".join(heard)


# several servers

def answers_once(reply: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.send(reply)
        peer.to_end()

    return script


def silent(peer: Peer) -> None:
    peer.to_end()


def test_the_next_server_is_tried_when_one_is_dead_or_refuses_or_is_silent(start: Start,
                                                                          certificates: Certificates) -> None:
    with (fake_store(answers_once(b"-ERR [SYS/TEMP] too busy\r\n")) as refusing, fake_store(silent) as mute,
          fake_store(MAILBOX) as good):
        servers = [f"127.0.0.1:{port}" for port in (free_port(), refusing.port, mute.port, good.port)]
        gate = start(site(certificates, good.port, backend={"servers": servers, "login_timeout": "1s"}))
        gate.expect("backend_failed")
        assert_served(gate)
        gate.log.wait("backend_failed", count=3)
        failed = [event["server"] for event in gate.log.all("backend_failed")]
        assert failed == servers[:3]
        assert (refusing.connections, mute.connections, good.connections) == (1, 1, 1)


def test_a_server_that_failed_is_left_in_peace_for_a_while(start: Start, certificates: Certificates) -> None:
    with fake_store(answers_once(b"-ERR too busy\r\n")) as refusing, fake_store(MAILBOX) as good:
        servers = [f"127.0.0.1:{store.port}" for store in (refusing, good)]
        gate = start(site(certificates, good.port, backend={"servers": servers}, workers=1))
        gate.expect("backend_failed")
        for _login in range(5):
            assert_served(gate)
        assert (refusing.connections, good.connections) == (1, 5)


def test_a_server_that_is_silent_in_the_tls_handshake_is_given_up(start: Start, certificates: Certificates,
                                                                  dovecot: Dovecot) -> None:
    with fake_store(silent) as mute:
        settings = tls_backend(certificates, "tls", connect_timeout="100ms")
        settings["servers"] = [f"127.0.0.1:{mute.port}", f"127.0.0.1:{dovecot.tls_port}"]
        gate = start(site(certificates, mute.port, backend=settings))
        gate.expect("backend_failed")
        assert_served(gate)


def test_a_server_that_gives_up_the_tls_handshake_costs_no_waiting(start: Start, certificates: Certificates,
                                                                   dovecot: Dovecot) -> None:
    with fake_store(lambda peer: peer.send(b"\x15\3\3\0\2\1\0")) as leaver:
        settings = tls_backend(certificates, "tls", connect_timeout="1m")
        settings["servers"] = [f"127.0.0.1:{leaver.port}", f"127.0.0.1:{dovecot.tls_port}"]
        gate = start(site(certificates, leaver.port, backend=settings))
        gate.expect("backend_failed")
        assert_served(gate)
        assert "the peer gave up the handshake" in gate.log.wait("backend_failed")["why"]


def test_the_first_server_serves_again_once_it_is_back(start: Start, certificates: Certificates) -> None:
    port = free_port()
    gate = start(site(certificates, port, workers=1))
    gate.expect("backend_failed")
    assert_unavailable(gate)
    with fake_store(MAILBOX, port=port):
        assert_served(gate)
    gate.log.wait("backend_back")


def test_a_killed_store_is_found_again(start: Start, certificates: Certificates, workdir: Path) -> None:
    directory = workdir / "dovecot"
    directory.mkdir()
    store = Dovecot(directory, certificates, [b"Subject: x\n\nx\n"])
    try:
        store.start()
        gate = start(site(certificates, store.port))
        gate.expect("backend_failed")
        assert_served(gate)
        store.kill()
        assert_unavailable(gate)
        store.restart()
        assert_served(gate)
    finally:
        store.stop()


# the last word

ANSWER = b"+OK\r\n" + mail.stuffed(b"Subject: x\r\n\r\n" + b".all of this must arrive\r\n" * 500) + b"+OK bye\r\n"


class LastWord:
    """A store that says its last word and goes while popgate's worker is stopped, which then finds all at once."""

    def __init__(self, context: ssl.SSLContext, tls: str, answer: bytes, leave: Callable[[Peer], None]):
        self._context, self._tls, self._answer, self._leave = context, tls, answer, leave
        self._asked, self._stopped, self._gone = threading.Event(), threading.Event(), threading.Event()

    def script(self, peer: Peer) -> None:
        greet(peer, self._context, self._tls)
        peer.login(b"")
        assert (peer.line(), peer.line()) == (b"RETR 1", b"QUIT")
        self._asked.set()
        assert self._stopped.wait(DEADLINE)
        peer.send(self._answer)
        if self._tls != "none":
            peer.end_tls()
        peer.wait_delivered()
        self._leave(peer)
        self._gone.set()

    def heard_by(self, worker: int) -> None:
        """Returns when the store has gone and the worker may find out."""
        assert self._asked.wait(DEADLINE)
        os.kill(worker, signal.SIGSTOP)
        try:
            self._stopped.set()
            assert self._gone.wait(DEADLINE)
        finally:
            os.kill(worker, signal.SIGCONT)


# A store that closes with bytes of ours unread, be it our close_notify, resets; Dovecot ends in order with half a mail.
@pytest.mark.parametrize("leave", [Peer.reset, lambda peer: peer.socket.close()], ids=["reset", "close"])
@pytest.mark.parametrize("missing", [0, 2000])
@pytest.mark.parametrize("tls", ["none", "stls", "tls"])
def test_what_came_before_a_stores_end_tells_whether_it_was_in_order(start: Start, certificates: Certificates,
                                                                    tls: str, missing: int,
                                                                    leave: Callable[[Peer], None]) -> None:
    answer = ANSWER[:len(ANSWER) - missing]
    last_word = LastWord(certificates.server_context("store"), tls, answer, leave)
    backend = {} if tls == "none" else tls_backend(certificates, tls)
    with fake_store(last_word.script) as store:
        gate = start(site(certificates, store.port, backend=backend, workers=1))
        with gate.connect("implicit") as client:
            client.login()
            client.send(b"RETR 1\r\nQUIT\r\n")
            last_word.heard_by(gate.workers()[0])
            got = client.read_to_end()
            reason = gate.closed(client.port)["reason"]
    if missing:
        assert answer.startswith(got) and client.ending is not Ending.CLEAN and reason == "store_lost"
    else:
        assert got == answer and client.ending is Ending.CLEAN and reason == "done"


# greetings and answers

def greets_with(*pieces: bytes) -> Script:
    def script(peer: Peer) -> None:
        for piece in pieces:
            peer.send(piece)
            time.sleep(0.05)
        MAILBOX(AlreadyGreeted(peer))

    return script


class AlreadyGreeted(Peer):
    """A peer that has had its greeting."""

    def __init__(self, peer: Peer):
        super().__init__(peer.socket)

    def login(self, greeting: bytes = b"") -> None:
        super().login(greeting)


@pytest.mark.parametrize("pieces", [
    [b"+OK\r\n"],
    [b"+OK " + b"x" * 600 + b"\r\n"],
    [b"+", b"O", b"K", b" slow", b"\r", b"\n"],
    [b"+OK only LF\n"],
    [b"+OK POP3 <1896.697170952@dbc.mtview.ca.us>\r\n"],
], ids=["bare", "long", "in pieces", "LF only", "with a timestamp"])
def test_old_stores_greetings_are_taken(start: Start, certificates: Certificates, pieces: list[bytes]) -> None:
    with fake_store(greets_with(*pieces)) as store:
        assert_served(start(site(certificates, store.port)))


@pytest.mark.parametrize("greeting", [
    b"-ERR [SYS/TEMP] maintenance\r\n",
    b"220 mail.example.org ESMTP\r\n",
    b"* OK IMAP4rev1\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"+OKAY\r\n",
    b"+OK ready\r\n+OK once more\r\n",
    b"x" * 100_000,
    b"\0\0\0\0\r\n",
    b"",
], ids=["-ERR", "SMTP", "IMAP", "SSH", "+OKAY", "two lines", "endless", "NUL", "end at once"])
def test_what_does_not_greet_as_pop3_is_no_store(start: Start, certificates: Certificates, greeting: bytes) -> None:
    heard: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.send(greeting)
        if greeting:
            heard.append(peer.to_end())

    with fake_store(script) as store:
        gate = start(site(certificates, store.port))
        gate.expect("backend_failed")
        assert_unavailable(gate)
    assert b"PASS" not in b"".join(heard)


def dies_at(step: str) -> Script:
    def script(peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        peer.line()
        if step == "USER":
            return
        peer.send(b"+OK\r\n")
        peer.line()
        if step == "never answers PASS":
            peer.to_end()
        elif step == "garbage after PASS":
            peer.send(b"what?\r\n")
            peer.to_end()

    return script


@pytest.mark.parametrize("step", ["USER", "PASS", "never answers PASS", "garbage after PASS"])
def test_a_store_that_breaks_off_during_the_login_is_not_called_a_bad_password(start: Start,
                                                                              certificates: Certificates,
                                                                              step: str) -> None:
    with fake_store(dies_at(step)) as store:
        gate = start(site(certificates, store.port, backend={"login_timeout": "1s"}))
        gate.expect("login_broken_off")
        assert_unavailable(gate)
        assert store.connections == 1


def test_a_store_that_hangs_up_on_passwords_does_not_make_guessing_free(start: Start,
                                                                        certificates: Certificates) -> None:
    with fake_store(dies_at("PASS")) as store:
        gate = start(site(certificates, store.port, defaults={"max_login_attempts": 3}))
        gate.expect("login_broken_off")
        with gate.connect("implicit") as client:
            for _guess in range(3):
                client.ask(b"USER anna", b"+OK")
                client.ask(b"PASS guess", b"-ERR [SYS/TEMP] ")
            client.read_to_end()
            closed = gate.closed(client.port)
            assert closed["reason"] == "login_attempts" and closed["failed_logins"] == 3


@pytest.mark.parametrize("answer", [b"+OK " + b"x" * 506, b"-ERR " + b"x" * 505])
def test_the_longest_answer_to_a_login_is_a_line_of_its_own(start: Start, certificates: Certificates,
                                                            answer: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        peer.line()
        peer.send(b"+OK\r\n")
        peer.line()
        peer.send(answer[:510] + b"\r\n")
        if answer.startswith(b"+OK"):
            peer.line()
            peer.send(b"+OK 0 0\r\n")
            peer.to_end()

    with fake_store(script) as store:
        gate = start(site(certificates, store.port))
        with gate.connect("implicit") as client:
            client.ask(b"USER anna", b"+OK")
            client.ask(b"PASS secret", answer[:4])
            client.ask(b"STAT", b"+OK 0 0" if answer.startswith(b"+OK") else b"-ERR")


def test_the_time_that_the_store_takes_is_not_the_clients(start: Start, certificates: Certificates) -> None:
    def script(peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        peer.line()
        time.sleep(1.2)
        peer.send(b"+OK\r\n")
        peer.line()
        peer.send(b"-ERR no\r\n")

    with fake_store(script) as store:
        gate = start(site(certificates, store.port, defaults={"preauth_timeout": "1s"}))
        with gate.connect("implicit") as client:
            client.ask(b"USER anna", b"+OK")
            client.ask(b"PASS x", b"-ERR")
            client.ask(b"QUIT", b"+OK")


def test_a_client_that_leaves_during_the_login_is_not_waited_for(start: Start, certificates: Certificates) -> None:
    asked, gone = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        peer.line()
        asked.set()
        try:
            peer.to_end()
        finally:
            gone.set()

    with fake_store(script) as store:
        gate = start(site(certificates, store.port))
        with gate.connect("implicit") as client:
            client.send(b"USER anna\r\nPASS x\r\n")
            assert asked.wait(DEADLINE)
            client.reset()
        assert gone.wait(DEADLINE)


def test_what_a_store_sends_behind_its_yes_reaches_the_client(start: Start, certificates: Certificates) -> None:
    def script(peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        peer.line()
        peer.send(b"+OK\r\n")
        peer.line()
        peer.send(b"+OK in\r\n+OK early\r\n")
        peer.to_end()

    with fake_store(script) as store:
        gate = start(site(certificates, store.port))
        with gate.connect("implicit") as client:
            client.login()
            assert client.read_line() == b"+OK early\r\n"


def test_a_very_long_password_reaches_the_store_whole_or_is_refused(start: Start, certificates: Certificates) -> None:
    heard: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        peer.line()
        peer.send(b"+OK\r\n")
        heard.append(peer.line())
        peer.send(b"-ERR no\r\n")

    password = b"p" * 4000
    with fake_store(script) as store:
        gate = start(site(certificates, store.port))
        with gate.connect("implicit") as client:
            client.ask(b"AUTH PLAIN " + base64.b64encode(b"\0anna\0" + password), b"-ERR")
    assert heard in ([], [b"PASS " + password])
