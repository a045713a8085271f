"""TLS handshakes under attack: crowds that say nothing or half of it, hellos that are too large or come in crumbs.

How long good clients take beside a crowd is for tests/bench/half_open.py; here they must get in.
"""

import contextlib
import resource
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from certs import Certificates
from clients import DEADLINE, Ending, Raw, until_it_works
from popgate import Config, Popgate, is_sanitized, site
from proc import Usage, at_rest, connections, holders, usage

Start = Callable[..., Popgate]

NO_STORE = 9  # nobody logs in here
MIB = 1024 * 1024
HELLO_MAX = 8192
IP_BIND_ADDRESS_NO_PORT = 24


@pytest.fixture(autouse=True)
def many_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def config_of(certificates: Certificates, defaults: Config | None = None, **top: Any) -> Config:
    return site(certificates, NO_STORE, defaults={"handshake_timeout": "1m", **(defaults or {})}, **top)


def hello_of(context: ssl.SSLContext, name: str = "localhost") -> bytes:
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


class Crowd:
    """Connections from an address each, which send this and then nothing."""

    def __init__(self, port: int, number: int, words: bytes):
        self.port, self.number, self.words = port, number, words
        self.sockets: list[socket.socket] = []

    def __enter__(self) -> "Crowd":
        for number in range(self.number):
            one = socket.socket()
            self.sockets.append(one)
            one.settimeout(DEADLINE)
            one.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            one.bind((f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}", 0))
            one.connect(("127.0.0.1", self.port))
            with contextlib.suppress(ConnectionError):
                one.sendall(self.words)
        return self

    def __exit__(self, *_exc: object) -> None:
        for one in self.sockets:
            one.close()


def settled(gate: Popgate) -> Usage:
    until_it_works(lambda: assert_idle(gate))
    return at_rest(gate.pid)


def assert_idle(gate: Popgate) -> None:
    assert not connections(gate.workers())


def good_clients(gate: Popgate, number: int) -> None:
    for _client in range(number):
        with gate.connect("implicit") as client:
            client.ask(b"QUIT", b"+OK")


# ---- crowds

@pytest.mark.parametrize("kind", ["silent", "half a hello", "a whole hello", "STLS"])
def test_a_crowd_locks_nobody_out(start: Start, certificates: Certificates, kind: str) -> None:
    gate = start(config_of(certificates, max_handshakes=100))
    gate.expect("handshakes_shed")
    gate.allow("log_lines_lost")  # who reads them is not quick enough
    hello = hello_of(gate.context)
    words = {"silent": b"", "half a hello": hello[:100], "a whole hello": hello, "STLS": b"STLS\r\n"}[kind]
    with Crowd(gate.port("pop3" if kind == "STLS" else "pop3s"), 1000, words) as crowd:
        until_it_works(lambda: assert_few_left(crowd, 200))
        good_clients(gate, 20)
        gate.log.wait("session_closed", reason="handshake_shed")
        with gate.connect("stls") as client:
            client.ask(b"QUIT", b"+OK")
    until_it_works(lambda: assert_idle(gate))
    good_clients(gate, 5)
    assert len(gate.log.all("handshakes_shed")) <= 2 * 3  # a worker, ten seconds


def assert_few_left(crowd: Crowd, number: int) -> None:
    assert sum(is_open(one) for one in crowd.sockets) <= number


def test_those_who_say_nothing_go_before_those_who_are_slow(start: Start, certificates: Certificates) -> None:
    gate = start(config_of(certificates, workers=1, max_handshakes=50))
    gate.expect("handshakes_shed")
    port = gate.port("pop3s")
    with Crowd(port, 20, hello_of(gate.context)) as slow:
        for one in slow.sockets:
            assert one.recv(5)[:1] == b"\x16"
        with Crowd(port, 200, b""):
            gate.log.wait("session_closed", reason="handshake_shed", count=170)
            assert all(is_open(one) for one in slow.sockets)


def test_those_who_are_slow_do_not_take_the_place_of_those_who_come(start: Start, certificates: Certificates) -> None:
    gate = start(config_of(certificates, workers=1, max_handshakes=50))
    gate.expect("handshakes_shed")
    port = gate.port("pop3s")
    with Crowd(port, 50, hello_of(gate.context)) as slow:
        for one in slow.sockets:
            assert one.recv(5)[:1] == b"\x16"
        with Raw(port) as good, Crowd(port, 20, b""):
            gate.log.wait("session_closed", reason="handshake_shed", count=21)
            good.start_tls(gate.context)
            good.greeting()


def is_open(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        while one.recv(4096):
            pass
    except BlockingIOError:
        return True
    except ConnectionError:
        pass
    return False


def test_a_crowd_leaves_nothing_behind(start: Start, certificates: Certificates) -> None:
    number = 2000 if is_sanitized() else 8000
    gate = start(config_of(certificates, max_handshakes=10000))
    gate.allow("log_lines_lost")
    good_clients(gate, 20)
    before = settled(gate)
    with Crowd(gate.port("pop3s"), number, b""):
        during = until_it_works(lambda: usage_with(gate, before, number))
        if not is_sanitized():
            assert (during.memory - before.memory) / number < 4096
    settled(gate)
    slack = (64 if is_sanitized() else 3) * MIB
    until_it_works(lambda: usage(gate.pid).assert_as_before(before, slack))
    good_clients(gate, 5)


def usage_with(gate: Popgate, before: Usage, number: int) -> Usage:
    """What popgate holds once it has accepted so many clients; the kernel takes them before popgate does."""
    during = usage(gate.pid)
    assert sum(during.descriptors.values()) - sum(before.descriptors.values()) == number
    return during


# ---- one address

def test_handshakes_of_an_address(start: Start, certificates: Certificates) -> None:
    gate = start(config_of(certificates, {"max_handshakes_per_ip": 3}))
    port = gate.port("pop3s")
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(Raw(port)) for _place in range(3)]
        until_it_works(lambda: assert_accepted(gate, taken))
        assert_turned_away(gate)
        with Raw(port, gate.context, source="127.0.0.2") as neighbour:
            neighbour.greeting()
        with Raw(gate.port("pop3")) as other_listener:
            other_listener.greeting()
            other_listener.stls(gate.context)
        taken[0].socket.close()
        until_it_works(lambda: good_clients(gate, 1))
        # Who has shaken hands no longer counts.
        taken[1].start_tls(gate.context)
        taken[1].greeting()
        greeted = [stack.enter_context(gate.connect("implicit")) for _client in range(5)]
        for client in [taken[1], *greeted]:
            client.ask(b"NOOP")


def assert_accepted(gate: Popgate, clients: list[Raw]) -> None:
    assert len(holders(gate.workers(), {client.ports for client in clients})) == len(clients)


def assert_turned_away(gate: Popgate) -> None:
    with Raw(gate.port("pop3s")) as client:
        assert client.read_to_end() == b"" and client.ending is Ending.RESET
        assert gate.closed(client.port)["reason"] == "max_handshakes_per_ip"


def test_behind_a_load_balancer_clients_are_counted(start: Start, certificates: Certificates) -> None:
    gate = start(config_of(certificates, {"max_handshakes_per_ip": 1, "proxy_from": ["127.0.0.1"]}))
    port = gate.port("pop3s")
    first, second = (f"PROXY TCP4 192.0.2.{host} 192.0.2.9 2000 995\r\n".encode() for host in (1, 2))
    with Raw(port, preface=first), Raw(port, preface=first):
        gate.log.wait("session_closed", reason="max_handshakes_per_ip")
        with Raw(port, gate.context, preface=second) as other:
            other.greeting()


# ---- hellos

class Changed(Raw):
    """Sends its hello otherwise."""

    def __init__(self, gate: Popgate, change: Callable[[bytes], list[bytes]]):
        self._change: Callable[[bytes], list[bytes]] | None = None
        super().__init__(gate.port("pop3s"))
        self._change = change
        self.start_tls(gate.context)

    def _flush(self) -> None:
        if not self._change:
            super()._flush()
            return
        pieces = self._change(self._outgoing.read())
        self._change = None
        for piece in pieces:
            self.socket.sendall(piece)


def record(content: bytes, kind: int = 22) -> bytes:
    return struct.pack(">BHH", kind, 0x301, len(content)) + content


def in_records(size: int) -> Callable[[bytes], list[bytes]]:
    def change(hello: bytes) -> list[bytes]:
        content = hello[5:]
        return [b"".join(record(content[at:at + size]) for at in range(0, len(content), size))]
    return change


GOOD_HELLOS: dict[str, Callable[[bytes], list[bytes]]] = {
    "a byte at a time": lambda hello: [hello[at:at + 1] for at in range(len(hello))],
    "a byte a record": in_records(1),
    "a byte a record, a byte at a time": lambda hello: [bytes([byte]) for byte in in_records(1)(hello)[0]],
    "records of seven": in_records(7),
    "its head alone": lambda hello: [hello[:5], hello[5:9], hello[9:]],
}


@pytest.mark.parametrize("change", GOOD_HELLOS.values(), ids=GOOD_HELLOS)
def test_a_hello_may_come_in_crumbs(start: Start, certificates: Certificates,
                                    change: Callable[[bytes], list[bytes]]) -> None:
    gate = start(config_of(certificates))
    with Changed(gate, change) as client:
        client.greeting()
        client.ask(b"QUIT", b"+OK")


PADDING, KEY_SHARE = b"\0\x15", b"\0\x33"


def split(extensions: bytes) -> Iterator[bytes]:
    while extensions:
        size = 4 + int.from_bytes(extensions[2:4], "big")
        yield extensions[:size]
        extensions = extensions[size:]


def with_extensions(hello: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The hello as a message, with its extensions as `change` has made them."""
    body = hello[9:]
    at = 34 + 1 + body[34]
    at += 2 + int.from_bytes(body[at:at + 2], "big")
    at += 1 + body[at]
    extensions = change(body[at + 2:])
    body = body[:at] + struct.pack(">H", len(extensions)) + extensions
    return b"\1" + len(body).to_bytes(3, "big") + body


def padded(hello: bytes, size: int) -> bytes:
    """The hello with a padding extension (RFC 7685), as a message of this size."""
    def pad(extensions: bytes) -> bytes:
        kept = b"".join(extension for extension in split(extensions) if extension[:2] != PADDING)
        room = size - len(with_extensions(hello, lambda _extensions: kept)) - 4
        return kept + PADDING + struct.pack(">H", room) + bytes(room)
    return with_extensions(hello, pad)


def without_key_share(hello: bytes) -> bytes:
    """The hello, as a message, with none of the keys that it offers: the server asks for another hello."""
    return with_extensions(hello, lambda extensions: b"".join(
        KEY_SHARE + b"\0\2\0\0" if extension[:2] == KEY_SHARE else extension for extension in split(extensions)))


@pytest.fixture(name="gate")
def _gate(start: Start, certificates: Certificates) -> Popgate:
    return start(config_of(certificates))


def refused(gate: Popgate, words: bytes) -> str:
    """Asserts that this is the end, by an alert of TLS; why."""
    with Raw(gate.port("pop3s")) as client:
        with contextlib.suppress(ConnectionError):
            client.send(words)
        answer = client.read_to_end()
        assert answer[:1] == b"\x15" or client.ending is Ending.RESET, answer
        event = gate.closed(client.port)
        assert event["reason"] == "tls_failed"
        return event["why"]


def test_a_large_hello_is_taken_up_to_a_limit(gate: Popgate) -> None:
    hello = hello_of(gate.context)
    for size in (1000, HELLO_MAX - 5):
        with Raw(gate.port("pop3s")) as client:
            client.send(record(padded(hello, size)))
            assert client.socket.recv(1) == b"\x16", size
    for words in (record(padded(hello, HELLO_MAX - 4)), record(padded(hello, 16000)),
                  b"".join(in_records(1000)(record(padded(hello, 12000))))):
        assert "larger than 8 KiB" in refused(gate, words)


def test_a_large_hello_is_refused_before_it_has_come(gate: Popgate) -> None:
    for words in (b"\x16\3\1\x3f\xff", b"\x16\3\1\1\0\1\0\x40\0", b"\x16\3\1\1\0\1\xff\xff\xff"):
        assert "larger than 8 KiB" in refused(gate, words)


def test_a_hello_in_too_many_records(gate: Popgate) -> None:
    crumbs = in_records(1)(record(padded(hello_of(gate.context), 2000)))[0]
    assert "larger than 8 KiB" in refused(gate, crumbs)


# What BoringSSL passes over before it has a version, and after.
BEFORE_FIRST = {"nothing": b"", "an empty record": record(b""), "a warning": record(b"\1\x5a", kind=21)}
BEFORE_SECOND = {**BEFORE_FIRST, "ChangeCipherSpec": record(b"\1", kind=20)}


@pytest.mark.parametrize("before", BEFORE_FIRST.values(), ids=BEFORE_FIRST)
def test_the_limit_holds_behind_other_records(gate: Popgate, before: bytes) -> None:
    hello = hello_of(gate.context)
    with Raw(gate.port("pop3s")) as client:
        client.send(before + record(padded(hello, HELLO_MAX - 5 - len(before))))
        assert client.socket.recv(1) == b"\x16"
    for content in in_records(4000)(record(padded(hello, HELLO_MAX))):
        assert "larger than 8 KiB" in refused(gate, before + content)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("before", BEFORE_SECOND.values(), ids=BEFORE_SECOND)
def test_the_limit_holds_for_a_second_hello(gate: Popgate, before: bytes, at_once: bool) -> None:
    hello = hello_of(gate.context)
    first = record(without_key_share(hello))

    def answered(second: bytes) -> tuple[bytes, int]:
        """The beginnings of the answers to both, and the client's port."""
        with Raw(gate.port("pop3s")) as client:
            client.send(first + before + second if at_once else first)
            retry = client.socket.recv(5)
            client.socket.recv(int.from_bytes(retry[3:], "big") + len(record(b"\1")), socket.MSG_WAITALL)
            if not at_once:
                client.send(before + second)
            return retry[:1] + client.socket.recv(1), client.port

    largest = HELLO_MAX - 5 - len(before)
    assert answered(record(padded(hello, largest)))[0] == b"\x16\x16"
    for second in (record(padded(hello, largest + 1)), in_records(4000)(record(padded(hello, 16000)))[0]):
        answer, port = answered(second)
        assert answer == b"\x16\x15"
        closed = gate.closed(port)
        assert (closed["reason"], closed["why"]) == ("tls_failed", "the ClientHello is larger than 8 KiB")


FLOODS = {
    "empty": record(b""), "alerts": record(b"\1\x5a", kind=21), "ChangeCipherSpec": record(b"\1", kind=20),
    "data": record(b"x", kind=23),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
@pytest.mark.parametrize("place", ["before", "within", "behind"])
def test_floods_of_records_end(gate: Popgate, flood: bytes, place: str) -> None:
    hello = hello_of(gate.context)
    beginning = {"before": b"", "within": record(hello[5:50]), "behind": hello}[place]
    with Raw(gate.port("pop3s")) as client:
        with contextlib.suppress(ConnectionError):
            client.send(beginning + flood * 1000)
        client.read_to_end()
        assert gate.closed(client.port)["reason"] == "tls_failed"
    good_clients(gate, 1)


def test_who_leaves_in_the_middle(gate: Popgate) -> None:
    hello = hello_of(gate.context)
    for words in (b"", hello[:1], hello[:5], hello[:100]):
        with Raw(gate.port("pop3s")) as client:
            client.send(words)
            client.half_close_without_notify()
            client.read_to_end()
            event = gate.closed(client.port)
            assert (event["reason"], event["why"]) == ("tls_failed", "the peer went away")


@pytest.mark.parametrize("leaves", [True, False])
@pytest.mark.parametrize("place", ["before", "ahead of a hello", "behind the flight"])
@pytest.mark.parametrize("mode", ["implicit", "stls"])
def test_who_says_close_notify_in_the_middle_is_let_go_at_once(gate: Popgate, mode: str, place: str,
                                                               leaves: bool) -> None:
    notify = record(b"\1\0", kind=21)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # where such a record is read behind the flight too
    hello = hello_of(context)
    with Raw(gate.port("pop3s" if mode == "implicit" else "pop3")) as client:
        if mode == "stls":
            client.greeting()
            client.ask(b"STLS", b"+OK")
        client.send({"before": notify, "ahead of a hello": notify + hello, "behind the flight": hello}[place])
        if place == "behind the flight":
            client.socket.recv(5, socket.MSG_WAITALL)
            client.send(notify)
        if leaves:
            client.half_close_without_notify()
        event = gate.closed(client.port)
        assert (event["reason"], event["why"]) == ("tls_failed", "the peer gave up the handshake")
    good_clients(gate, 1)


@pytest.mark.parametrize("words", [b"", b"\x16", b"\x16\3\1\2\0\1\0"])
def test_who_says_too_little_has_a_deadline(start: Start, certificates: Certificates, words: bytes) -> None:
    gate = start(config_of(certificates, {"handshake_timeout": "1s"}))
    with Raw(gate.port("pop3s")) as client:
        client.send(words)
        assert client.read_to_end() == b"" and client.ending is Ending.RESET
        assert gate.closed(client.port)["reason"] == "handshake_timeout"
