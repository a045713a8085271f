"""The rules that other POP3 proxies break: half-closed connections, pipelining, STLS, truncation.

Stores here are fake where the order of events matters.
"""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import mail
import pytest
from certs import Certificates
from clients import DEADLINE, PASSWORD, USER, Ending, Raw
from popgate import LISTENERS, MODES, Popgate, site
from stores import Dovecot, Peer, Script, fake_store, serve_mailbox

Start = Callable[..., Popgate]

MESSAGE = b"Subject: large\r\n\r\n" + b".all of this must arrive\r\n" * 14_000
ANSWER = b"+OK\r\n" + mail.stuffed(MESSAGE) + b"+OK bye\r\n"


def slow_store(commands: list[bytes]) -> Script:
    """Answers only when it has seen the end of the client's direction."""

    def script(peer: Peer) -> None:
        peer.login()
        commands.append(peer.to_end())
        peer.send(ANSWER)

    return script


def touchy_store(commands: list[bytes]) -> Script:
    """Takes a moment for its answers, and sends none when it sees the end of the client's direction before."""

    def script(peer: Peer) -> None:
        peer.login()
        peer.socket.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            peer.to_end()
            return
        commands.append(peer.received)
        peer.socket.settimeout(DEADLINE)
        peer.send(ANSWER)

    return script


# half-close

@pytest.fixture(params=[(b"RETR 1\r\n", slow_store), (b"RETR 1\r\nQUIT\r\n", touchy_store)], ids=["RETR", "RETR, QUIT"])
def half_closing(request: pytest.FixtureRequest) -> tuple[bytes, Callable]:
    """What a client says before its half-close, and a store that needs to see that half-close, or not to see it."""
    return request.param


@pytest.mark.parametrize("mode", MODES)
def test_a_client_that_half_closes_gets_its_whole_message(start: Start, certificates: Certificates, mode: str,
                                                         half_closing: tuple[bytes, Callable]) -> None:
    said, make_store = half_closing
    commands: list[bytes] = []
    with fake_store(make_store(commands)) as store:
        gate = start(site(certificates, store.port))
        with gate.connect(mode) as client:
            client.login()
            client.send(said)
            client.half_close()
            assert client.read_to_end() == ANSWER
            assert client.ending is Ending.CLEAN
    assert commands == [said]


@pytest.mark.parametrize("mode", ["implicit", "stls"])
def test_a_tls_client_that_ends_without_close_notify_gets_its_whole_message(
        start: Start, certificates: Certificates, mode: str, half_closing: tuple[bytes, Callable]) -> None:
    said, make_store = half_closing
    commands: list[bytes] = []
    with fake_store(make_store(commands)) as store:
        gate = start(site(certificates, store.port))
        with gate.connect(mode) as client:
            client.login()
            client.send(said)
            client.half_close_without_notify()
            assert client.read_to_end() == ANSWER
    assert commands == [said]


@pytest.mark.parametrize("mode", MODES)
def test_a_half_close_behind_the_end_of_the_session_costs_no_message(start: Start, certificates: Certificates,
                                                                    mode: str) -> None:
    with fake_store(serve_mailbox([MESSAGE])) as store:
        gate = start(site(certificates, store.port))
        with gate.connect(mode) as client:
            client.login()
            client.send(b"RETR 1\r\nQUIT\r\n")
            assert gate.closed(client.port)["reason"] == "done"
            client.half_close()
            assert client.read_to_end() == ANSWER
            assert client.ending is Ending.CLEAN


@pytest.mark.parametrize("mode", MODES)
def test_a_client_that_logs_in_and_leaves_has_lost_nothing(start: Start, certificates: Certificates,
                                                           mode: str) -> None:
    with fake_store(serve_mailbox([MESSAGE])) as store:
        gate = start(site(certificates, store.port))
        with gate.connect(mode) as client:
            client.login()
            client.half_close()
            assert client.read_to_end() == b""
            assert client.ending is Ending.CLEAN
            assert gate.closed(client.port)["reason"] == "done"


@pytest.mark.parametrize("mode", MODES)
def test_a_client_that_says_everything_at_once_and_half_closes_gets_every_answer(
        before_dovecot: Popgate, dovecot: Dovecot, mode: str) -> None:
    with before_dovecot.connect(mode) as client:
        client.send(f"USER {USER}\r\nPASS {PASSWORD}\r\nRETR 10\r\nQUIT\r\n".encode())
        client.half_close()
        answer = client.read_to_end()
        assert client.ending is Ending.CLEAN
    assert mail.stuffed(dovecot.messages[9]) in answer
    assert answer.rpartition(b"\r\n.\r\n")[2].startswith(b"+OK")


def test_a_store_that_half_closes_still_gets_what_the_client_sends(start: Start, certificates: Certificates) -> None:
    got: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.login()
        got.append(peer.line())
        peer.send(b"+OK bye\r\n")
        peer.socket.shutdown(1)
        got.append(peer.to_end())

    with fake_store(script) as store:
        gate = start(site(certificates, store.port))
        with gate.connect("none") as client:
            client.login()
            client.send(b"QUIT\r\n")
            assert client.read_to_end() == b"+OK bye\r\n"
        assert gate.closed(client.port)
    assert got == [b"QUIT", b""]


# pipelining

@pytest.mark.parametrize("mode", MODES)
def test_four_commands_in_one_segment_get_four_answers(before_dovecot: Popgate, mode: str) -> None:
    with before_dovecot.connect(mode) as client:
        client.send(f"USER {USER}\r\nPASS {PASSWORD}\r\nSTAT\r\nQUIT\r\n".encode())
        lines = client.read_to_end().split(b"\r\n")
        assert client.ending is Ending.CLEAN
    assert [line[:3] for line in lines] == [b"+OK"] * 4 + [b""]
    assert lines[2].startswith(b"+OK 100 ")


def test_what_follows_a_wrong_password_in_one_segment_is_not_lost(before_dovecot: Popgate) -> None:
    with before_dovecot.connect("implicit") as client:
        client.send(f"USER {USER}\r\nPASS wrong\r\nUSER {USER}\r\nPASS {PASSWORD}\r\nSTAT\r\nQUIT\r\n".encode())
        lines = client.read_to_end().split(b"\r\n")
    assert [line[:4].rstrip() for line in lines] == [b"+OK", b"-ERR", b"+OK", b"+OK", b"+OK", b"+OK", b""]


def test_a_long_pipeline_behind_the_login_reaches_the_store_whole(start: Start, certificates: Certificates) -> None:
    pipeline = b"".join(b"NOOP %d\r\n" % number for number in range(20_000)) + b"QUIT\r\n"
    got: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.login()
        while not peer.received.endswith(b"QUIT\r\n"):
            peer.received += peer.socket.recv(65536)
        got.append(peer.received)
        peer.send(b"+OK bye\r\n")

    with fake_store(script) as store:
        gate = start(site(certificates, store.port))
        with gate.connect("implicit") as client:
            client.send(b"USER anna\r\nPASS x\r\n" + pipeline)
            client.half_close()
            assert client.read_to_end().endswith(b"+OK bye\r\n")
    assert got == [pipeline]


# STLS

def test_bytes_behind_stls_in_the_same_segment_end_the_session(before_dovecot: Popgate) -> None:
    with Raw(before_dovecot.port("pop3")) as client:
        client.greeting()
        client.send(b"STLS\r\nUSER mallory\r\n")
        answer = client.read_to_end()
        assert answer.count(b"\r\n") <= 1
        assert before_dovecot.closed(client.port)["reason"] == "stls_injection"


def test_a_user_name_from_before_stls_is_forgotten(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, defaults={"login": ["basic", "basic-tls"]}))
    with Raw(gate.port("pop3")) as client:
        client.greeting()
        client.ask(b"USER " + USER.encode(), b"+OK")
        client.stls(gate.context)
        client.ask(b"PASS " + PASSWORD.encode(), b"-ERR")
        client.login()


@pytest.mark.parametrize("mode", MODES)
def test_stls_is_refused_inside_tls_and_where_there_is_none(before_dovecot: Popgate, mode: str) -> None:
    with before_dovecot.connect(mode) as client:
        client.ask(b"STLS", b"-ERR")
        client.login()


def test_stls_with_an_argument_is_refused(before_dovecot: Popgate) -> None:
    with Raw(before_dovecot.port("pop3")) as client:
        client.greeting()
        client.ask(b"STLS now", b"-ERR")
        client.stls(before_dovecot.context)


# truncation

def dying_store(die: Callable[[Peer], None]) -> Script:
    def script(peer: Peer) -> None:
        peer.login()
        peer.line()
        peer.send(ANSWER[:100_000])
        die(peer)

    return script


@pytest.mark.parametrize("death", [Peer.reset, lambda peer: peer.socket.close()], ids=["reset", "close"])
@pytest.mark.parametrize("mode", MODES)
def test_a_message_cut_off_by_the_store_does_not_look_complete(start: Start, certificates: Certificates, mode: str,
                                                              death: Callable[[Peer], None]) -> None:
    with fake_store(dying_store(death)) as store:
        gate = start(site(certificates, store.port))
        with gate.connect(mode) as client:
            client.login()
            client.send(b"RETR 1\r\n")
            assert ANSWER.startswith(client.read_to_end())
            assert client.ending is not Ending.CLEAN
            assert gate.closed(client.port)["reason"] == "store_lost"


@pytest.mark.parametrize("mode", MODES)
def test_a_message_cut_off_by_the_death_of_a_real_store_does_not_look_complete(
        start: Start, certificates: Certificates, workdir: Path, mode: str) -> None:
    message = b"Subject: x\n\n" + b"y" * 70 * 1000 * 1000
    directory = workdir / "dovecot"
    directory.mkdir()
    store = Dovecot(directory, certificates, [message])
    try:
        store.start()
        gate = start(site(certificates, store.port))
        with gate.connect(mode, receive_buffer=4096) as client:
            client.login()
            client.ask(b"RETR 1", b"+OK")
            store.kill()
            assert len(client.read_to_end()) < len(message)
            assert client.ending is not Ending.CLEAN
    finally:
        store.stop()


# the client's own end

@pytest.mark.parametrize("mode", MODES)
def test_a_client_that_resets_takes_its_connection_to_the_store_along(start: Start, certificates: Certificates,
                                                                     mode: str) -> None:
    gone = threading.Event()

    def script(peer: Peer) -> None:
        peer.login()
        try:
            peer.to_end()
        finally:
            gone.set()

    with fake_store(script) as store:
        gate = start(site(certificates, store.port))
        with gate.connect(mode) as client:
            client.login()
            port = client.port
            client.reset()
        assert gone.wait(10)
        assert gate.closed(port)["reason"] == "client_failed"


@pytest.mark.parametrize("listener", list(LISTENERS.values()))
def test_a_client_that_leaves_at_once_leaves_nothing_behind(start: Start, certificates: Certificates,
                                                           listener: str) -> None:
    with fake_store(serve_mailbox([])) as store:
        gate = start(site(certificates, store.port))
        for _visit in range(20):
            with Raw(gate.port(listener)) as client:
                port = client.port
            gate.closed(port)
        assert store.connections == 0
