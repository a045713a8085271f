#!/usr/bin/env python3
"""How long clients wait for rules about names: with a cold cache, a warm one, and a name server that is silent.

    bazel build //proxy:popgate && tests/bench/policy_dns.py

Each client comes from an address and a network of its own, by PROXY protocol, and waits for the greeting; no TLS,
which would only hide the wait.  Beside the listener whose policy has a `domain` rule there is one with the same policy
without.

popgate's one worker is on core 0; on core 1 are the clients, and a name server that answers each question after the
same time, both in processes of their own.  All go before whatever else runs here, if they may (root): otherwise much
of what is measured is others' work, from 7 ms on a quiet machine to a second on a busy one.  Arrivals are timed by the
kernel, so that a slow client counts for little; what counts is the time from the header that is sent to the greeting
that arrives, and in between, at the name server, from each question's arrival to its answer.

Prints milliseconds, and ends with 1 when a client was not greeted, or one of a cold cache waited more than MAY_COST
longer than DNS took and than any without a rule about names did, whose clients came at the same times.
"""

import collections
import contextlib
import ipaddress
import itertools
import math
import multiprocessing
import os
import resource
import select
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "system"))

from balancers import header_v1
from certs import make_certificates
from dns import TYPES, address_record, decode_name, ptr
from popgate import Popgate, site
from stores import free_port

CLIENTS = 5000
DELAY = 0.05  # of each answer; a name needs two, one after the other
LONG_DELAY = 0.3  # all clients come within two of these
MAY_COST = 0.005
GATE_CORE, CLIENT_CORE = {0}, {1}
GATE_PRIORITY, CLIENT_PRIORITY, SERVER_PRIORITY = 1, 1, 2  # the name server must be there when it is asked
DEADLINE = 30.0

TRIES, TIMEOUT_MS = 2, 250  # of a resolver that nobody answers
BREAKER_ROW = 8  # policy/breaker.h: so many failures open it
LATER = 200  # clients that come when it is open

RULES = ["deny ip 198.51.100.0/24", "allow ip 131.107.2.0/24"]

SO_TIMESTAMPNS = 35  # Linux; Python does not name it
START = time.time_ns()  # where times begin, in seconds; a float is not fine enough for those since 1970
TIMESTAMP_SPACE = socket.CMSG_SPACE(16)


# ---- what both processes need ---------------------------------------------------------------------------------------


def now() -> float:
    return (time.time_ns() - START) / 1e9


def stamp_arrivals(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def receive(one: socket.socket) -> tuple[bytes, float, Any]:
    """What came, when, and from whom."""
    data, extra, _flags, peer = one.recvmsg(4096, TIMESTAMP_SPACE)
    if not extra:
        return data, now(), peer
    seconds, nanoseconds = struct.unpack("qq", extra[0][2])
    return data, (seconds * 10**9 + nanoseconds - START) / 1e9, peer


def go_first(pid: int, priority: int) -> None:
    """From now on the process is not kept from its core by usual ones."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(priority))


class Helper:
    """A process on the clients' core that does what it is told by `ask`."""

    def __init__(self, body: Callable[..., None], *arguments: Any):
        self._ours, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=self._run, args=(body, theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    @staticmethod
    def _run(body: Callable[..., None], *arguments: Any) -> None:
        os.sched_setaffinity(0, CLIENT_CORE)
        body(*arguments)

    def ask(self, order: Any) -> Any:
        self._ours.send(order)
        return self._ours.recv()


# ---- the name server ------------------------------------------------------------------------------------------------


@dataclass
class Asked:
    """About one address: when each question arrived, and when its answer went."""

    questions: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)


def name_of(address: str) -> str:
    return f"client-{address.replace('.', '-')}.contoso.com"


def answer(message: bytes) -> tuple[str, bytes]:
    """The address that the question is about, and the answer: names and addresses fit each other."""
    name, end = decode_name(message, 12)
    if message[end:end + 2] == TYPES["PTR"].to_bytes(2, "big"):
        address = ".".join(reversed(name.split(".")[:4]))
        record = ptr(name_of(address))
    else:
        address = name.partition(".")[0].removeprefix("client-").replace("-", ".")
        record = address_record(address)
    return address, message[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + message[12:end + 4] + record.encode()


def serve_names(orders: Connection, udp: socket.socket) -> None:
    """Body of the name server's process; told the delay from now on, it tells what it was asked since the last time."""
    go_first(0, SERVER_PRIORITY)
    delay = DELAY
    stamp_arrivals(udp)
    udp.setblocking(False)
    asked: dict[str, Asked] = collections.defaultdict(Asked)
    waiting: collections.deque[tuple[float, str, bytes, Any]] = collections.deque()  # in order, as all wait as long
    while True:
        left = max(0.0, waiting[0][0] - now()) if waiting else None
        ready, _, _ = select.select([udp, orders], [], [], left)
        if udp in ready:
            with contextlib.suppress(BlockingIOError):
                while True:
                    message, when, peer = receive(udp)
                    address, reply = answer(message)
                    asked[address].questions.append(when)
                    waiting.append((when + delay, address, reply, peer))
        while waiting and waiting[0][0] <= now():
            _due, address, reply, peer = waiting.popleft()
            udp.sendto(reply, peer)
            asked[address].answers.append(now())
        if orders in ready:
            delay = orders.recv()
            orders.send(dict(asked))
            asked.clear()


# ---- the clients ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """Visits, each a listener's port and a client's address, in this order."""

    visits: list[tuple[int, str]]
    at_once: int = 1
    starts: list[float] | None = None  # when each begins; None: as soon as there are less than `at_once` under way


@dataclass
class Visit:
    address: str
    start: float  # since the first one
    sent: float = 0
    heard: float = 0
    greeting: bytes = b""

    @property
    def wait(self) -> float:
        return self.heard - self.sent


class Clients:
    """The visits of one plan, under way."""

    def __init__(self, plan: Plan):
        self._plan = plan
        self._poll = select.epoll()
        self._open: dict[int, tuple[socket.socket, Visit]] = {}
        self._began = now()
        self.visits: list[Visit] = []

    def run(self) -> list[Visit]:
        end = time.monotonic() + DEADLINE
        while (len(self.visits) < len(self._plan.visits) or self._open) and time.monotonic() < end:
            for _few in range(16):  # and then look after the others
                if not self._is_next_due():
                    break
                self._begin(*self._plan.visits[len(self.visits)])
            for fd, _events in self._poll.poll(0 if self._is_next_due() else 0.001, 64):
                self._hear(fd)
        for one, _visit in self._open.values():
            one.close()
        return self.visits

    def _is_next_due(self) -> bool:
        number, plan = len(self.visits), self._plan
        if number == len(plan.visits):
            return False
        if plan.starts:
            return now() - self._began >= plan.starts[number]
        return len(self._open) < plan.at_once

    def _begin(self, port: int, address: str) -> None:
        visit = Visit(address, now() - self._began)
        one = socket.create_connection(("127.0.0.1", port), DEADLINE)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # or ports run out
        stamp_arrivals(one)
        self._open[one.fileno()] = one, visit
        self._poll.register(one.fileno(), select.EPOLLIN)
        self.visits.append(visit)
        visit.sent = now()
        one.send(header_v1(address, 40000))

    def _hear(self, fd: int) -> None:
        one, visit = self._open.pop(fd)
        with contextlib.suppress(ConnectionError), one:
            visit.greeting, visit.heard, _peer = receive(one)


def visit_all(orders: Connection) -> None:
    """Body of the clients' process."""
    go_first(0, CLIENT_PRIORITY)
    while True:
        orders.send(Clients(orders.recv()).run())


# ---- figures --------------------------------------------------------------------------------------------------------

failures = 0


def greeted(visits: list[Visit]) -> list[Visit]:
    """Those who were; counts the others."""
    global failures
    good = [visit for visit in visits if visit.greeting.startswith(b"+OK")]
    if len(good) < len(visits):
        heard = next(visit.greeting for visit in visits if visit not in good)
        print(f"    {len(visits) - len(good)} of {len(visits)} were not greeted; the first heard {heard!r}")
    failures += len(visits) - len(good)
    return good


def spread(seconds: list[float]) -> list[float]:
    """Median, 99th percentile and largest, in ms."""
    ranked = sorted(seconds)
    if not ranked:
        return [math.nan] * 3
    return [1000 * ranked[len(ranked) // 2], 1000 * ranked[len(ranked) * 99 // 100], 1000 * ranked[-1]]


def most_at_once(spans: list[tuple[float, float]]) -> int:
    ends = sorted([(begin, 1) for begin, _end in spans] + [(end, -1) for _begin, end in spans])
    return max(itertools.accumulate(step for _when, step in ends), default=0)


def title(what: str) -> None:
    print(f"\n{what:50}    median      99 %   largest", flush=True)


def show(what: str, figures: list[float]) -> list[float]:
    print(f"    {what:46}" + "".join(f"{figure:10.3f}" for figure in figures), flush=True)
    return figures


def addresses(first: int, number: int) -> list[str]:
    """Of as many networks, from 10.0.0.0 on."""
    return [str(ipaddress.ip_address("10.0.0.7") + 256 * (first + i)) for i in range(number)]


@contextlib.contextmanager
def gate_for(directory: Path, server: str, on_dns_failure: str, **resolver: Any) -> Iterator[Popgate]:
    """A popgate with two listeners, `named` and `bare`; one worker, on its own core."""
    directory.mkdir()
    certificates = make_certificates(directory)
    listener = {"bind": ["127.0.0.1:0"], "tls": "none", "login": ["basic"], "proxy_from": ["127.0.0.1"]}
    gate = Popgate(directory, site(
        certificates, free_port(), workers=1,
        policies={"named": {"rules": [*RULES, "allow domain contoso.com"], "on_dns_failure": on_dns_failure},
                  "bare": {"rules": [*RULES, "allow ip 10.0.0.0/8"]}},
        resolver={"servers": [server], **resolver},
        listeners={name: {**listener, "policy": name} for name in ("named", "bare")}), certificates.client_context())
    try:
        gate.wait_ready()
        gate.allow("log_lines_lost")  # nobody reads as fast as this
        for worker in gate.workers():
            os.sched_setaffinity(worker, GATE_CORE)
            go_first(worker, GATE_PRIORITY)
        yield gate
        gate.stop()
    finally:
        gate.kill()


def measure_cold(gate: Popgate, clients: Helper, server: Helper, first: int, at_once: int, delay: float) -> None:
    """Addresses that nobody has asked for yet; then the same at the same times, without a name's being asked for."""
    global failures
    sources = addresses(first, CLIENTS)
    ports = gate.port("named"), gate.port("bare")
    title(f"cold cache, {CLIENTS} clients, {at_once} at once")
    server.ask(delay)
    named = clients.ask(Plan([(ports[0], source) for source in sources], at_once))
    bare = clients.ask(Plan([(ports[1], source) for source in sources], starts=[v.start for v in named]))
    asked = server.ask(DELAY)
    visits = [(visit, asked[visit.address]) for visit in greeted(named)]
    spent = [sum(one.answers) - sum(one.questions) for _visit, one in visits]
    show("at the name server", spread(spent))
    show("before the first question", spread([one.questions[0] - visit.sent for visit, one in visits]))
    show("between answer and question", spread([one.questions[-1] - one.answers[0] for _visit, one in visits]))
    after = show("after the last answer", spread([visit.heard - one.answers[-1] for visit, one in visits]))
    beyond = show("in all, but for the time at the name server",
                  spread([visit.wait - time_there for (visit, _one), time_there in zip(visits, spent)]))
    without = show("without a rule about names", spread([visit.wait for visit in greeted(bare)]))
    show("after the last answer, over that", [a - b for a, b in zip(after, without)])
    over = show("in all, over that", [a - b for a, b in zip(beyond, without)])
    if over[-1] > 1000 * MAY_COST:
        failures += 1
        print(f"    the largest is more than {1000 * MAY_COST:g}")
    waiting = most_at_once([(visit.sent, visit.heard) for visit, _one in visits])
    print(f"    {'waiting at a time, at most':46}{waiting:10}")
    if more := sum(len(one.questions) != 2 for _visit, one in visits):
        print(f"    {more} were asked for again")


def measure_warm(gate: Popgate, clients: Helper, server: Helper) -> None:
    """Addresses whose names are known, on both listeners in turn."""
    sources = addresses(0, CLIENTS)
    title(f"warm cache, {CLIENTS} clients, one after the other")
    ports = gate.port("named"), gate.port("bare")
    greeted(clients.ask(Plan([(ports[0], source) for source in sources])))
    server.ask(DELAY)
    plan = Plan([(port, source) for i, source in enumerate(sources) for port in (ports, ports[::-1])[i % 2]])
    waits: dict[int, list[float]] = {port: [] for port in ports}
    visits = clients.ask(plan)
    greeted(visits)
    for (port, _source), visit in zip(plan.visits, visits):
        waits[port].append(visit.wait)
    named, bare = (show(what, spread(waits[port])) for what, port in
                   zip(("with a rule about names", "without a rule about names"), ports))
    show("ratio", [a / b for a, b in zip(named, bare)])
    if asked := server.ask(DELAY):
        print(f"    {len(asked)} were asked for all the same")


def measure_dead(directory: Path, clients: Helper, number: int, at_once: int) -> None:
    """Nobody answers; on_dns_failure lets clients in, so that they are greeted."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{silent.getsockname()[1]}"
        title(f"no answers, deadline {2 * TRIES * TIMEOUT_MS} ms")
        with gate_for(directory, server, "allow", tries=TRIES, timeout=f"{TIMEOUT_MS}ms") as gate:
            gate.expect("resolver_down")
            named, bare = gate.port("named"), gate.port("bare")
            first = clients.ask(Plan([(named, source) for source in addresses(0, number)], at_once))
            then = clients.ask(Plan([(named, source) for source in addresses(number, LATER)]))
            without = clients.ask(Plan([(bare, source) for source in addresses(number, LATER)]))
    show(f"{number} clients, {at_once} at once", spread([visit.wait for visit in greeted(first)]))
    show(f"{LATER} later, one after the other", spread([visit.wait for visit in greeted(then)]))
    show("without a rule about names", spread([visit.wait for visit in greeted(without)]))


def main() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 1 << 20)), hard))
    multiprocessing.set_start_method("fork")
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    udp.bind(("127.0.0.1", 0))
    server, clients = Helper(serve_names, udp), Helper(visit_all)
    with tempfile.TemporaryDirectory(prefix="popgate-bench-") as scratch:
        os.chmod(scratch, 0o755)
        with gate_for(Path(scratch, "alive"), f"127.0.0.1:{udp.getsockname()[1]}", "deny") as gate:
            for number, (at_once, delay) in enumerate(((100, DELAY), (1000, DELAY), (CLIENTS, LONG_DELAY))):
                measure_cold(gate, clients, server, number * CLIENTS, at_once, delay)
            measure_warm(gate, clients, server)
        measure_dead(Path(scratch, "one"), clients, BREAKER_ROW, 1)
        measure_dead(Path(scratch, "many"), clients, CLIENTS, 1000)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
