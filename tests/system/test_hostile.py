"""What clients send that they should not, and what each gets: an answer, and a reason in the log."""

import base64
import contextlib
import time
from collections.abc import Callable

import pytest
from certs import Certificates
from clients import PASSWORD, USER, Raw, plain_response
from popgate import LISTENERS, MODES, Popgate, site
from stores import Dovecot, Peer, fake_store

Start = Callable[..., Popgate]

HTTP = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLIENT_HELLO = bytes.fromhex("160301009f0100009b0303") + bytes(155)


def assert_ended(gate: Popgate, client: Raw, reason: str) -> bytes:
    answer = client.read_to_end()
    assert gate.closed(client.port)["reason"] == reason
    return answer


# lines

@pytest.mark.parametrize("mode", MODES)
def test_a_line_of_exactly_the_limit_is_a_command(before_dovecot: Popgate, mode: str) -> None:
    with before_dovecot.connect(mode) as client:
        client.ask(b"USER " + b"u" * (512 - len("USER \r\n")), b"+OK")


@pytest.mark.parametrize("mode", MODES)
def test_a_longer_line_ends_the_session(before_dovecot: Popgate, mode: str) -> None:
    with before_dovecot.connect(mode) as client:
        client.send(b"USER " + b"u" * (513 - len("USER \r\n")) + b"\r\n")
        assert assert_ended(before_dovecot, client, "line_too_long").startswith(b"-ERR")


def test_a_line_that_never_ends_ends_the_session(before_dovecot: Popgate) -> None:
    with before_dovecot.connect("implicit") as client:
        client.send(b"A" * 513)
        assert assert_ended(before_dovecot, client, "line_too_long").startswith(b"-ERR")


def test_the_limit_of_a_line_is_the_administrators(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, defaults={"max_command_size": 64}))
    with gate.connect("none") as client:
        client.ask(b"USER " + b"u" * (64 - len("USER \r\n")), b"+OK")
        client.send(b"USER " + b"u" * (65 - len("USER \r\n")) + b"\r\n")
        assert_ended(gate, client, "line_too_long")


def long_response(size: int) -> bytes:
    """A base64 SASL PLAIN message of exactly this length, with a password far too long to be anybody's."""
    text = f"\0{USER}\0".encode()
    return base64.b64encode(text + b"p" * (size // 4 * 3 - len(text)))


def test_lines_of_an_auth_exchange_may_be_long(before_dovecot: Popgate) -> None:
    with before_dovecot.connect("implicit") as client:
        client.ask(b"AUTH PLAIN", b"+ ")
        client.ask(long_response(12 * 1024 - 4), b"-ERR")
        client.ask(b"AUTH PLAIN " + long_response(12 * 1024 - 16), b"-ERR")
        client.ask(b"AUTH PLAIN " + plain_response(), b"+OK")


@pytest.mark.parametrize("before", [[], [b"AUTH PLAIN"]])
def test_lines_of_an_auth_exchange_have_a_limit_too(before_dovecot: Popgate, before: list[bytes]) -> None:
    with before_dovecot.connect("implicit") as client:
        for line in before:
            client.ask(line, b"+ ")
        client.send((b"" if before else b"AUTH PLAIN ") + long_response(12 * 1024 + 4) + b"\r\n")
        assert assert_ended(before_dovecot, client, "line_too_long").startswith(b"-ERR")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("line", "reason"), [
    (b"USER an\0na\r\n", "nul"),
    (b"USER an\rna\r\n", "bare_cr"),
    (b"USER anna\n", "bare_lf"),
    (b"NOOP\n\r\n", "bare_lf"),
])
def test_forbidden_bytes_end_the_session(before_dovecot: Popgate, mode: str, line: bytes, reason: str) -> None:
    with before_dovecot.connect(mode) as client:
        client.send(line)
        answer = assert_ended(before_dovecot, client, reason)
        assert answer.startswith(b"-ERR") and answer.count(b"\r\n") == 1


def test_forbidden_bytes_in_a_password_never_reach_the_store(start: Start, certificates: Certificates) -> None:
    got: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        got.append(peer.to_end())

    with fake_store(script) as store:
        gate = start(site(certificates, store.port))
        for password in (b"x\r\nDELE 1", b"x\ny", b"x\ry", b"x\0y"):
            with gate.connect("implicit") as client:
                client.ask(b"AUTH PLAIN " + base64.b64encode(b"\0anna\0" + password), b"-ERR")
        assert store.connections == 0
    assert not got


def test_too_many_bad_commands_end_the_session(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, defaults={"max_bad_commands": 3}))
    with gate.connect("implicit") as client:
        for command in (b"HELO", b"EHLO localhost"):
            client.ask(command, b"-ERR")
        client.send(b"SELECT inbox\r\nUSER anna\r\n")
        assert assert_ended(gate, client, "bad_commands").count(b"\r\n") == 1


# other protocols

@pytest.mark.parametrize("listener", ["pop3", "plain"])
def test_a_tls_hello_on_a_port_without_tls_ends_the_session(before_dovecot: Popgate, listener: str) -> None:
    with Raw(before_dovecot.port(listener)) as client:
        client.greeting()
        client.send(CLIENT_HELLO)
        assert_ended(before_dovecot, client, "tls_on_plain_port")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("request_", [HTTP, HTTP.replace(b"GET", b"POST")], ids=["GET", "POST"])
def test_http_ends_the_session_at_once(before_dovecot: Popgate, mode: str, request_: bytes) -> None:
    with before_dovecot.connect(mode) as client:
        client.send(request_)
        answer = assert_ended(before_dovecot, client, "http")
        assert answer.count(b"\r\n") <= 1 and b"localhost" not in answer


@pytest.mark.parametrize("data", [HTTP, b"USER anna\r\nPASS x\r\n", b"\x00" * 100])
def test_what_is_not_tls_on_the_tls_port_ends_the_session(before_dovecot: Popgate, data: bytes) -> None:
    with Raw(before_dovecot.port("pop3s")) as client:
        client.send(data)
        answer = client.read_to_end()
        assert b"-ERR" not in answer and b"+OK" not in answer
        assert before_dovecot.closed(client.port)["reason"] in ("tls_failed", "http")


# silence

@pytest.mark.parametrize("mode", MODES)
def test_silence_before_the_login_has_a_deadline(start: Start, certificates: Certificates, dovecot: Dovecot,
                                                 mode: str) -> None:
    gate = start(site(certificates, dovecot.port, defaults={"preauth_timeout": "1s"}))
    with gate.connect(mode) as client:
        client.ask(b"USER " + USER.encode(), b"+OK")
        assert_ended(gate, client, "preauth_timeout")


def test_silence_in_the_tls_handshake_has_a_deadline(start: Start, certificates: Certificates,
                                                     dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, defaults={"handshake_timeout": "1s"}))
    with Raw(gate.port("pop3s")) as silent, Raw(gate.port("pop3s")) as halting, Raw(gate.port("pop3")) as stls:
        halting.send(CLIENT_HELLO[:50])
        stls.greeting()
        stls.ask(b"STLS", b"+OK")
        for client in silent, halting, stls:
            assert_ended(gate, client, "handshake_timeout")


def test_a_dribbling_client_does_not_outlive_the_deadline(start: Start, certificates: Certificates,
                                                          dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, defaults={"preauth_timeout": "1s"}))
    with gate.connect("implicit") as client:
        while not gate.log.all("session_closed"):
            with contextlib.suppress(ConnectionError):
                client.send(b"U")
            time.sleep(0.02)
        assert gate.closed(client.port)["reason"] == "preauth_timeout"


# odd but allowed

@pytest.mark.parametrize("mode", MODES)
def test_a_client_may_send_one_byte_at_a_time(before_dovecot: Popgate, mode: str) -> None:
    with before_dovecot.connect(mode) as client:
        for byte in f"USER {USER}\r\nPASS {PASSWORD}\r\nSTAT\r\nQUIT\r\n".encode():
            client.send(bytes([byte]))
        lines = client.read_to_end().split(b"\r\n")
    assert [line[:3] for line in lines] == [b"+OK"] * 4 + [b""]


def test_even_the_tls_handshake_may_come_one_byte_at_a_time(before_dovecot: Popgate) -> None:
    with Raw(before_dovecot.port("pop3s")) as client:
        whole, client.socket = client.socket, OneByteAtATime(client.socket)
        client.start_tls(before_dovecot.context)
        client.greeting()
        client.socket = whole
        client.login()


class OneByteAtATime:
    """A socket that sends so."""

    def __init__(self, inner: object):
        self._inner = inner

    def sendall(self, data: bytes) -> None:
        for byte in data:
            self._inner.sendall(bytes([byte]))

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


@pytest.mark.parametrize("mode", MODES)
def test_a_thousand_commands_without_reading_are_all_answered(before_dovecot: Popgate, mode: str) -> None:
    with before_dovecot.connect(mode) as client:
        client.send(b"CAPA\r\n" * 1000 + b"QUIT\r\n")
        answer = client.read_to_end()
        assert answer.count(b"\r\n.\r\n") == 1000
        assert answer.rpartition(b"\r\n.\r\n")[2].startswith(b"+OK")


def test_a_flood_of_commands_without_reading_is_held_back(before_dovecot: Popgate) -> None:
    """Answers that nobody reads must stop the reading of commands, not fill memory."""
    with before_dovecot.connect("none", receive_buffer=4096) as client:
        client.socket.setblocking(False)
        sent = 0
        try:
            while sent < 64 * 1024 * 1024:
                sent += client.socket.send(b"CAPA\r\n" * 10_000)
        except BlockingIOError:
            pass
        assert sent < 64 * 1024 * 1024
        client.reset()


@pytest.mark.parametrize("listener", list(LISTENERS.values()))
def test_a_port_scan_is_no_news(before_dovecot: Popgate, listener: str) -> None:
    with Raw(before_dovecot.port(listener)) as client:
        port = client.port
        client.reset()
    assert before_dovecot.closed(port)["level"] == "info"
