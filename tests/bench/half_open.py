#!/usr/bin/env python3
"""What half-open TLS handshakes cost: memory, and the time that good clients need meanwhile.

    bazel build //proxy:popgate && tests/bench/half_open.py

CROWD connections, each from an address of its own, say nothing, or half of a ClientHello, and stay.  Whoever is thrown
out comes again at once, PRESSURE a second at most.  Meanwhile good clients, GOOD a second, connect, shake hands in full
and wait for the greeting.

popgate's one worker is on core 0, all clients are on core 1, the good ones before the crowd.  First with the default
of max_handshakes, then with room for all of the crowd, so that the memory of one is seen.

Prints milliseconds and MiB, and ends with 1 when a good client was not greeted, 99 of 100 took longer than MAY_TAKE, or
memory did not come back to within MAY_KEEP of where it was.
"""

import contextlib
import itertools
import os
import resource
import select
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import Event, Process, Queue
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "system"))

from certs import Certificates, make_certificates
from popgate import Popgate, site
from proc import proportional_size

CROWD, PRESSURE = 10000, 2000
GOOD, SECONDS = 50, 20
MAY_TAKE, MAY_KEEP = 0.050, 1 << 20
GATE_CORE, CLIENT_CORE = {0}, {1}
NO_STORE = 9
MIB = 1 << 20


def addresses() -> Iterator[str]:
    """127.1.0.1 and on, round and round."""
    numbers = itertools.cycle(range(CROWD + 1000))
    return (f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}" for number in numbers)


def half_a_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()[:200]


class Crowd:
    """Half-open connections, kept at their number."""

    def __init__(self, port: int):
        self.port = port
        self.sources = addresses()
        self.hello = half_a_hello()
        self.open: dict[int, socket.socket] = {}
        self.poll = select.epoll()
        self.turned_away = 0

    def fill(self, limit: int) -> int:
        number = min(limit, CROWD - len(self.open))
        for _connection in range(number):
            one = socket.socket()
            one.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            one.bind((next(self.sources), 0))
            one.connect(("127.0.0.1", self.port))
            one.setblocking(False)
            if one.fileno() % 2:
                with contextlib.suppress(OSError):
                    one.send(self.hello)
            self.open[one.fileno()] = one
            self.poll.register(one, select.EPOLLIN)
        return number

    def drop_ended(self, wait: float) -> None:
        for number, _events in self.poll.poll(wait):
            self.poll.unregister(number)
            self.open.pop(number).close()
            self.turned_away += 1

    def run(self, ready: Any, over: Any, result: Any) -> None:
        os.sched_setaffinity(0, CLIENT_CORE)
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        began, opened = time.monotonic(), 0
        while not over.is_set():
            allowed = int((time.monotonic() - began) * PRESSURE) - opened
            opened += self.fill(min(allowed, 50))
            self.drop_ended(0.005)
            if len(self.open) > CROWD * 0.95 or self.turned_away:
                ready.set()
        result.put((len(self.open), self.turned_away))
        for one in self.open.values():
            one.close()


def greet(port: int, context: ssl.SSLContext) -> float:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain, server_hostname="localhost") as tls:
            assert tls.recv(100).startswith(b"+OK")
            return time.monotonic() - began


def come(port: int, context: ssl.SSLContext, seconds: float) -> list[float]:
    """Good clients, one after the other, each when it is due; a late one counts from when it was."""
    times, due, end = [], time.monotonic(), time.monotonic() + seconds
    while due < end:
        time.sleep(max(0.0, due - time.monotonic()))
        late = time.monotonic() - due
        times.append(greet(port, context) + late)
        due += 1 / GOOD
    return sorted(times)


def go_first(pid: int, priority: int) -> None:
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(priority))


def memory(gate: Popgate) -> int:
    return sum(proportional_size(pid) for pid in gate.workers())


def settled_memory(gate: Popgate, limit: int) -> int:
    """As soon as it is within the limit, or after ten seconds."""
    end = time.monotonic() + 10
    while (now := memory(gate)) > limit and time.monotonic() < end:
        time.sleep(0.1)
    return now


def show(what: str, times: list[float]) -> float:
    p99 = times[len(times) * 99 // 100]
    print(f"  {what:24} {len(times):5} handshakes, ms: median {times[len(times) // 2] * 1e3:.2f}, 99 % {p99 * 1e3:.2f},"
          f" longest {times[-1] * 1e3:.2f}")
    return p99


def measure(certificates: Certificates, directory: Path, room: int) -> bool:
    context = certificates.client_context()
    config = site(certificates, NO_STORE, workers=1, max_handshakes=room,
                  defaults={"handshake_timeout": "5m", "max_connections": 100000})
    gate = Popgate(directory, config, context)
    gate.wait_ready()
    worker, = gate.workers()
    os.sched_setaffinity(worker, GATE_CORE)
    go_first(worker, 1)
    port = gate.port("pop3s")
    print(f"max_handshakes: {room}")
    show("alone", come(port, context, 2))
    before = memory(gate)
    ready, over = Event(), Event()
    result: Any = Queue()
    crowd = Process(target=Crowd(port).run, args=(ready, over, result), daemon=True)
    crowd.start()
    assert ready.wait(60)
    p99 = show("beside the crowd", come(port, context, SECONDS))
    during = memory(gate)
    over.set()
    number, turned_away = result.get()
    crowd.join()
    after = settled_memory(gate, before + MAY_KEEP)
    show("afterwards", come(port, context, 2))
    live = min(number, room)
    print(f"  {number} half-open clients, {turned_away} were thrown out; memory, MiB: before {before / MIB:.1f},"
          f" at {during / MIB:.1f} ({(during - before) / live / 1024:.1f} KiB for each of {live}),"
          f" after {after / MIB:.1f}")
    gate.allow("handshakes_shed", "log_lines_lost")
    gate.stop()
    return p99 <= MAY_TAKE and after <= before + MAY_KEEP


def main() -> int:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.sched_setaffinity(0, CLIENT_CORE)
    go_first(0, 1)
    with tempfile.TemporaryDirectory(prefix="popgate-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        certificates = make_certificates(directory)
        good = [measure(certificates, directory, room) for room in (4096, 16384)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
