"""Name servers for popgate to ask: a real one, and one that misbehaves on command.

Knot is an authoritative server with a configuration, zones and a port of its own, on loopback, for UDP and TCP.  Zones
are texts in master file form, without SOA and NS, by their names; `pairs` makes forward and reverse zones that fit:

    knot = Knot(directory, pairs({"mail.contoso.com": ["192.0.2.9", "2001:db8::9"]}))
    knot.start()
    config = {"resolver": {"servers": [knot.address]}, ...}
    knot.replace("contoso.com", "mail A 192.0.2.10")       # the new zone is served when it returns
    knot.stop()

What real zones can say, lies included, is said there: a PTR without a forward record, other addresses (`also=`), RFC
2317's CNAMEs (`classless`), 200 PTR records (which also makes Knot truncate and TCP begin), names with spaces or CR LF
("bad\\032name", "bad\\013\\010name").

FakeNameServer is for what no real server does when asked.  Its script is a function from a Query to a Reply, or None for
silence; it runs in the server's own thread and must not wait (Reply has `after`).  Other scripts can be put in its place
while it runs, and `queries` tells what was asked, when, and over what:

    with fake_name_server(lambda query: Reply([ptr("mail.contoso.com")], after=0.3)) as server:
        config = {"resolver": {"servers": [server.address]}, ...}
        server.script = silence
        assert len(server.asked("9.2.0.192.in-addr.arpa", "PTR")) == 1

Scripts that are ready: silence, servfail, refused, nxdomain; truncated(script) and slow(script, seconds) change another
one; table({(name, type): Reply}) answers what is in it and says NXDOMAIN to the rest.  A name is a text, in which bytes
beyond ASCII are Latin-1 ("a\\r\\nb.contoso.com"), or a list of labels where one has a dot inside.  An address at which
nobody listens is `dead_address()`.
"""

import contextlib
import heapq
import ipaddress
import os
import selectors
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from clients import DEADLINE
from stores import free_port, required

TYPES = {"A": 1, "CNAME": 5, "SOA": 6, "PTR": 12, "AAAA": 28}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
RCODES = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}

REFRESH = 3600  # stands behind the serial in a zone's SOA record

Name = str | list[bytes]


def bind_both(port: int = 0) -> tuple[socket.socket, socket.socket]:
    """A UDP socket and a listening TCP socket on one port of loopback."""
    for _attempt in range(100):
        tcp = socket.create_server(("127.0.0.1", port), backlog=512)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
            return udp, tcp
        except OSError:
            udp.close()
            tcp.close()
    raise AssertionError("no port is free for UDP and TCP")


def free_dns_port() -> int:
    port = free_port()
    udp, tcp = bind_both(port)
    with udp, tcp:
        return port


def dead_address() -> str:
    """Where nobody listens, so that the kernel refuses at once."""
    return f"127.0.0.1:{free_dns_port()}"


# ---- zones ----------------------------------------------------------------------------------------------------------


def reverse_name(address: str) -> str:
    """in-addr.arpa or ip6.arpa, without the dot at the end."""
    return ipaddress.ip_address(address).reverse_pointer


def reverse_zone(address: str) -> str:
    """The zone that `pairs` puts the address into: of IPv4 the /8, of IPv6 all."""
    if ipaddress.ip_address(address).version == 6:
        return "ip6.arpa"
    return ".".join(reverse_name(address).split(".")[3:])


def pairs(hosts: dict[str, list[str]], *, also: dict[str, list[str]] | None = None) -> dict[str, str]:
    """Zones in which each host has these addresses and each address this host; `also` adds PTR records by address.

    A host's zone is what follows its first label.
    """
    zones: dict[str, list[str]] = {}
    names: dict[str, list[str]] = {address: list(more) for address, more in (also or {}).items()}
    for host, addresses in hosts.items():
        zone = zones.setdefault(host.partition(".")[2], [])
        for address in addresses:
            zone.append(f"{host}. {'AAAA' if ':' in address else 'A'} {address}")
            names.setdefault(address, []).insert(0, host)
    for address, hosts_there in names.items():
        zones.setdefault(reverse_zone(address), []).extend(
            f"{reverse_name(address)}. PTR {host}." for host in hosts_there)
    return {zone: "\n".join(lines) for zone, lines in zones.items()}


def classless(address: str, network: str, *hosts: str) -> str:
    """Lines for a reverse zone by which the address's name is delegated within it (RFC 2317), as "0/27"."""
    last, zone = reverse_name(address).split(".", 1)
    target = f"{last}.{network}.{zone}."
    return "\n".join([f"{reverse_name(address)}. CNAME {target}", *(f"{target} PTR {host}." for host in hosts)])


class Knot:
    """Knot DNS with these zones; `ttl` is that of all records, `negative_ttl` the SOA's minimum."""

    package = "knot"

    def __init__(self, directory: Path, zones: dict[str, str], *, ttl: int = 300, negative_ttl: int = 60):
        self.directory = directory
        self.log = directory / "log"
        self.port = 0
        self._zones = dict(zones)
        self._ttl, self._negative_ttl = ttl, negative_ttl
        self._serial = 0
        self._process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        for part in ("zones", "db"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        for _attempt in range(5):
            self.port = free_dns_port()
            if self._try_start():
                return
        raise AssertionError(f"Knot does not start:\n{self.read_log()}")

    def restart(self) -> None:
        """Starts again on the port that it had."""
        assert self._try_start(), f"Knot does not start again:\n{self.read_log()}"

    def replace(self, zone: str, text: str) -> None:
        """Serves other records in a zone that there was at the start."""
        assert zone in self._zones and self._process
        self._zones[zone] = text
        self._write_zones()
        self._process.send_signal(signal.SIGHUP)
        assert self._wait_served(), f"Knot does not take the new zone:\n{self.read_log()}"

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def freeze(self) -> None:
        """From now on it is silent, though it is there."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process = None

    def read_log(self) -> str:
        return self.log.read_text(errors="replace")[-8000:] if self.log.exists() else ""

    def _write_zones(self) -> None:
        self._serial += 1
        for zone, text in self._zones.items():
            (self.directory / "zones" / zone).write_text(
                f"$ORIGIN {zone}.\n$TTL {self._ttl}\n"
                f"@ SOA ns.invalid. post.invalid. {self._serial} {REFRESH} 600 86400 {self._negative_ttl}\n"
                f"@ NS ns.invalid.\n{text}\n")

    def _configure(self) -> list[str]:
        program = required("knotd", self.package)
        here = self.directory
        zones = "".join(f"  - domain: {zone}.\n    file: {zone}\n" for zone in self._zones)
        (here / "knot.conf").write_text(f"""
server:
    rundir: {here}
    listen: 127.0.0.1@{self.port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {here}/db
log:
  - target: stderr
    any: info
template:
  - id: default
    storage: {here}/zones
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
    semantic-checks: off
zone:
{zones}""")
        return [program, "-c", str(here / "knot.conf")]

    def _try_start(self) -> bool:
        self._write_zones()
        command = self._configure()
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if self._wait_served():
            return True
        self.stop()
        return False

    def _wait_served(self) -> bool:
        end = time.monotonic() + DEADLINE
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.2)
            probe.connect(("127.0.0.1", self.port))
            while time.monotonic() < end and self._process.poll() is None:
                if all(self._is_served(probe, zone) for zone in self._zones):
                    return True
                time.sleep(0.02)
        return False

    def _is_served(self, probe: socket.socket, zone: str) -> bool:
        """Whether Knot has the zone as it was written last: its SOA record has the serial."""
        question = encode_name(zone) + struct.pack("!HH", TYPES["SOA"], 1)
        with contextlib.suppress(OSError):
            probe.send(struct.pack("!6H", self._serial % 65536, 0, 1, 0, 0, 0) + question)
            answer = probe.recv(4096)
            return question in answer and struct.pack("!2I", self._serial, REFRESH) in answer
        return False


# ---- messages -------------------------------------------------------------------------------------------------------


def encode_name(name: Name) -> bytes:
    labels = [label.encode("latin-1") for label in name.split(".")] if isinstance(name, str) else name
    return b"".join(bytes([len(label)]) + label for label in labels if label) + b"\0"


def decode_name(message: bytes, at: int) -> tuple[str, int]:
    """An uncompressed name in lower case, and where it ends."""
    labels = []
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode("latin-1").lower())
        at += 1 + message[at]
    return ".".join(labels), at + 1


@dataclass(frozen=True)
class Record:
    type: str
    data: bytes
    ttl: int = 300
    owner: Name | None = None  # None: the name asked for

    def encode(self) -> bytes:
        owner = b"\xc0\x0c" if self.owner is None else encode_name(self.owner)
        return owner + struct.pack("!HHIH", TYPES[self.type], 1, self.ttl, len(self.data)) + self.data


def ptr(name: Name, ttl: int = 300, owner: Name | None = None) -> Record:
    return Record("PTR", encode_name(name), ttl, owner)


def cname(target: Name, ttl: int = 300, owner: Name | None = None) -> Record:
    return Record("CNAME", encode_name(target), ttl, owner)


def address_record(address: str, ttl: int = 300, owner: Name | None = None) -> Record:
    packed = ipaddress.ip_address(address).packed
    return Record("A" if len(packed) == 4 else "AAAA", packed, ttl, owner)


def soa(ttl: int = 60, minimum: int = 60) -> Record:
    return Record("SOA", encode_name("ns.invalid") + encode_name("post.invalid") + struct.pack("!5I", 1, 1, 1, 1, minimum),
                  ttl)


@dataclass(frozen=True)
class Reply:
    """What is sent back; `raw` instead of all the rest, if given."""

    records: list[Record] = field(default_factory=list)
    authority: list[Record] = field(default_factory=list)
    rcode: str = "NOERROR"
    truncated: bool = False
    after: float = 0
    raw: bytes | None = None


@dataclass(frozen=True)
class Query:
    name: str  # lower case
    type: str
    over_tcp: bool
    peer: tuple[str, int]
    time: float
    message: bytes

    def encode(self, reply: Reply) -> bytes:
        if reply.raw is not None:
            return reply.raw
        question = self.message[12:decode_name(self.message, 12)[1] + 4]
        flags = 0x8180 | 0x0200 * reply.truncated | RCODES[reply.rcode]
        header = self.message[:2] + struct.pack("!5H", flags, 1, len(reply.records), len(reply.authority), 0)
        return header + question + b"".join(record.encode() for record in reply.records + reply.authority)


Script = Callable[[Query], Reply | None]


def silence(_query: Query) -> None:
    return None


def servfail(_query: Query) -> Reply:
    return Reply(rcode="SERVFAIL")


def refused(_query: Query) -> Reply:
    return Reply(rcode="REFUSED")


def nxdomain(_query: Query) -> Reply:
    return Reply(authority=[soa()], rcode="NXDOMAIN")


def slow(script: Script, seconds: float) -> Script:
    def later(query: Query) -> Reply | None:
        reply = script(query)
        return reply and replace(reply, after=reply.after + seconds)

    return later


def truncated(script: Script) -> Script:
    """By UDP nothing but that there is more, by TCP all."""
    return lambda query: script(query) if query.over_tcp else Reply(truncated=True)


def table(rows: dict[tuple[str, str], Reply | None]) -> Script:
    return lambda query: rows.get((query.name, query.type), nxdomain(query))


# ---- the server -----------------------------------------------------------------------------------------------------


@dataclass
class Visit:
    """One TCP connection."""

    socket: socket.socket
    peer: tuple[str, int]
    received: bytes = b""


class FakeNameServer:
    """Answers as its script says, from a thread of its own."""

    def __init__(self, script: Script, *, port: int = 0):
        self.script = script
        self.queries: list[Query] = []
        self._udp, self._tcp = bind_both(port)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.port = self._tcp.getsockname()[1]
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._visits: set[socket.socket] = set()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        for source, action in ((self._udp, self._on_datagram), (self._tcp, self._on_visit)):
            source.setblocking(False)
            self._selector.register(source, selectors.EVENT_READ, action)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._closing = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def asked(self, name: str, kind: str) -> list[Query]:
        """The queries so far for this name and type."""
        return [query for query in list(self.queries) if (query.name, query.type) == (name, kind)]

    def wait_asked(self, number: int) -> None:
        """Waits until there were so many queries in all."""
        end = time.monotonic() + DEADLINE
        while len(self.queries) < number:
            assert time.monotonic() < end and self._thread.is_alive(), f"only {len(self.queries)} queries of {number}"
            time.sleep(0.005)

    def close(self) -> None:
        self._closing = True
        os.write(self._wake_write, b"x")
        self._thread.join(DEADLINE)
        for each in (self._udp, self._tcp, self._selector, *self._visits):
            each.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        if self._failure:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._closing:
                wait = max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
                for key, _events in self._selector.select(wait):
                    if key.data:
                        key.data(key.fileobj)
                while self._later and self._later[0][0] <= time.monotonic():
                    heapq.heappop(self._later)[2]()
        except BaseException as failure:  # a mistake in a script; close raises it in the test
            self._failure = failure

    def _on_datagram(self, _source: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                message, peer = self._udp.recvfrom(4096)
                self._hear(message, peer, False, lambda answer, peer=peer: self._udp.sendto(answer, peer))

    def _on_visit(self, _source: socket.socket) -> None:
        connection, peer = self._tcp.accept()
        visit = Visit(connection, peer)
        connection.settimeout(DEADLINE)
        self._visits.add(connection)
        self._selector.register(connection, selectors.EVENT_READ, lambda _source: self._on_bytes(visit))

    def _on_bytes(self, visit: Visit) -> None:
        received = b""
        with contextlib.suppress(OSError):
            received = visit.socket.recv(65536)
        if not received:
            self._selector.unregister(visit.socket)
            self._visits.discard(visit.socket)
            visit.socket.close()
            return
        visit.received += received
        while len(visit.received) >= 2 and len(visit.received) >= 2 + int.from_bytes(visit.received[:2], "big"):
            length = int.from_bytes(visit.received[:2], "big")
            message, visit.received = visit.received[2:2 + length], visit.received[2 + length:]
            self._hear(message, visit.peer, True,
                       lambda answer: visit.socket.sendall(len(answer).to_bytes(2, "big") + answer))

    def _hear(self, message: bytes, peer: tuple[str, int], over_tcp: bool, send: Callable[[bytes], object]) -> None:
        name, end = decode_name(message, 12)
        kind, = struct.unpack_from("!H", message, end)
        query = Query(name, TYPE_NAMES.get(kind, str(kind)), over_tcp, peer, time.monotonic(), message)
        self.queries.append(query)
        reply = self.script(query)
        if reply is None:
            return
        answer = query.encode(reply)

        def deliver() -> None:
            with contextlib.suppress(OSError):  # who asked may have gone
                send(answer)

        if reply.after:
            heapq.heappush(self._later, (query.time + reply.after, len(self.queries), deliver))
        else:
            deliver()


@contextlib.contextmanager
def fake_name_server(script: Script, *, port: int = 0) -> Iterator[FakeNameServer]:
    server = FakeNameServer(script, port=port)
    try:
        yield server
    finally:
        server.close()
