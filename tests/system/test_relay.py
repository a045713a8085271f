"""The relay after the login: memory that does not grow, back-pressure in both directions, the idle deadline."""

import threading
import time
from collections.abc import Callable

import pytest
from certs import Certificates
from clients import DEADLINE, Ending
from popgate import MODES, Popgate, is_sanitized, site
from proc import usage
from stores import Peer, Script, fake_store, serve_mailbox

Start = Callable[..., Popgate]

MIB = 1024 * 1024
GIB = 1024 * MIB
LINE = b"x" * 1022 + b"\r\n"


def slack() -> int:
    """What heap, stacks and log may move about; AddressSanitizer keeps freed memory for a while."""
    return (64 if is_sanitized() else 5) * MIB


class Counter:
    """Bytes that a fake store has handed over, in all its connections."""

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()

    def add(self, number: int) -> None:
        with self._lock:
            self.total += number

    def wait_still(self) -> int:
        """Waits until nothing was added for a while: everybody is held back."""
        end = time.monotonic() + DEADLINE
        last, since = self.total, time.monotonic()
        while time.monotonic() - since < 0.4:
            assert time.monotonic() < end, "the store is never held back"
            time.sleep(0.02)
            if self.total != last:
                last, since = self.total, time.monotonic()
        return last


def endless_message(size: int, counter: Counter) -> Script:
    """Answers each RETR with a message of this size."""
    block = LINE * (MIB // len(LINE))

    def script(peer: Peer) -> None:
        peer.login()
        while peer.line().startswith(b"RETR"):
            peer.send(b"+OK\r\n")
            for _part in range(size // len(block)):
                sent = 0
                while sent < len(block):
                    number = peer.socket.send(memoryview(block)[sent:])
                    counter.add(number)
                    sent += number
            peer.send(b".\r\n")

    return script


def wait_memory(gate: Popgate, limit: int) -> None:
    """Waits until popgate's processes hold no more than this; what a session held goes a moment after its last line."""
    end = time.monotonic() + DEADLINE / 3
    while (memory := usage(gate.pid).memory) > limit:
        assert time.monotonic() < end, f"{memory - limit} bytes too much"
        time.sleep(0.05)


@pytest.mark.parametrize("mode", ["none", "implicit"])
def test_a_message_of_one_gibibyte_leaves_memory_where_it_was(start: Start, certificates: Certificates,
                                                             mode: str) -> None:
    with fake_store(endless_message(GIB, Counter())) as store:
        gate = start(site(certificates, store.port))
        with gate.connect(mode) as client:
            client.login()
            before = usage(gate.pid).memory
            client.send(b"RETR 1\r\n")
            got = client.skip(GIB // 2)
            assert usage(gate.pid).memory - before < slack()
            size = len(b"+OK\r\n") + GIB + len(b".\r\n")
            assert got + client.skip(size - got) == size
            assert usage(gate.pid).memory - before < slack()


@pytest.mark.parametrize("mode", MODES)
def test_clients_that_do_not_read_hold_their_stores_back_and_no_memory(start: Start, certificates: Certificates,
                                                                      mode: str) -> None:
    number, buffer = 64, 64 * 1024
    counter = Counter()
    with fake_store(endless_message(GIB, counter), send_buffer=65536) as store:
        gate = start(site(certificates, store.port, defaults={"relay_buffer": "64K", "max_connections_per_user": 100}))
        clients = [gate.connect(mode, receive_buffer=16384) for _client in range(number)]
        for client in clients:
            client.login()
        before = usage(gate.pid).memory
        for client in clients:
            client.send(b"RETR 1\r\n")
        held = counter.wait_still()
        assert held < number * 64 * MIB  # what the kernels' buffers on the way hold, which grow with time; of 1 GiB
        # Each may hold its relay_buffer, what one read brought on top, and what a buffer grows ahead.
        assert usage(gate.pid).memory - before < number * 3 * buffer + slack()
        for client in clients:
            client.reset()
        gate.log.wait("session_closed", count=number)
        wait_memory(gate, before + slack())


def test_a_store_that_does_not_read_holds_its_client_back(start: Start, certificates: Certificates) -> None:
    done = threading.Event()

    def script(peer: Peer) -> None:
        peer.login()
        done.wait(DEADLINE)

    with fake_store(script) as store:
        gate = start(site(certificates, store.port))
        with gate.connect("none") as client:
            client.login()
            before = usage(gate.pid).memory
            client.socket.settimeout(0.5)
            sent = 0
            with pytest.raises(TimeoutError):
                while sent < GIB:
                    sent += client.socket.send(LINE * 1000)
            assert sent < 64 * MIB
            assert usage(gate.pid).memory - before < slack()
            done.set()


@pytest.mark.parametrize("mode", MODES)
def test_a_silent_session_ends_at_its_deadline(start: Start, certificates: Certificates, mode: str) -> None:
    with fake_store(serve_mailbox([])) as store:
        gate = start(site(certificates, store.port, defaults={"session_timeout": "1s"}))
        with gate.connect(mode) as client:
            began = time.monotonic()
            client.login()
            assert client.read_to_end() == b""
            assert time.monotonic() - began > 0.9
            assert gate.closed(client.port)["reason"] == "session_timeout"


@pytest.mark.parametrize("mode", MODES)
def test_a_store_that_falls_silent_in_a_message_does_not_make_it_look_whole(start: Start, certificates: Certificates,
                                                                            mode: str) -> None:
    def script(peer: Peer) -> None:
        peer.login()
        peer.line()
        peer.send(b"+OK\r\n" + LINE + b"half a li")
        peer.to_end()

    with fake_store(script) as store:
        gate = start(site(certificates, store.port, defaults={"session_timeout": "1s"}))
        with gate.connect(mode) as client:
            client.login()
            client.send(b"RETR 1\r\n")
            client.read_to_end()
            assert client.ending is not Ending.CLEAN
            assert gate.closed(client.port)["reason"] == "session_stalled"


def test_a_session_that_is_not_silent_outlives_the_deadline(start: Start, certificates: Certificates) -> None:
    with fake_store(serve_mailbox([])) as store:
        gate = start(site(certificates, store.port, defaults={"session_timeout": "1s"}))
        with gate.connect("implicit") as client, gate.connect("implicit") as quiet:
            client.login()
            quiet.login()
            while not gate.log.all("session_closed"):
                client.ask(b"NOOP", b"+OK")
                time.sleep(0.05)
            client.ask(b"QUIT", b"+OK")
            assert gate.closed(quiet.port)["reason"] == "session_timeout"
            assert gate.closed(client.port)["reason"] == "done"


def test_a_message_that_moves_slowly_outlives_the_deadline(start: Start, certificates: Certificates) -> None:
    def script(peer: Peer) -> None:
        peer.login()
        peer.line()
        for _part in range(8):
            peer.send(LINE)
            time.sleep(0.2)
        peer.send(b".\r\n")
        peer.to_end()

    with fake_store(script) as store:
        gate = start(site(certificates, store.port, defaults={"session_timeout": "1s"}))
        with gate.connect("implicit") as client:
            client.login()
            client.send(b"RETR 1\r\n")
            assert len(client.read_until(rb"^\.\r\n")) == 8 * len(LINE) + 3
