"""Limits are exact: whatever number of clients comes at once, to however many workers, and whichever of these dies."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from certs import Certificates
from clients import DEADLINE, Raw, until_it_works
from popgate import Popgate, site
from proc import holders
from stores import fake_store, serve_mailbox

Start = Callable[..., Popgate]

CLIENTS, WORKERS, MOST = 200, 4, 60


@pytest.fixture(name="before_store")
def _before_store(start: Start, certificates: Certificates) -> Iterator[Callable[..., Popgate]]:
    with fake_store(serve_mailbox([])) as store:
        yield lambda **defaults: start(site(certificates, store.port, workers=WORKERS, defaults=defaults))


@contextmanager
def connected(gate: Popgate, number: int) -> Iterator[tuple[list[Raw], list[bytes]]]:
    """Clients that all come at once, and the first line that each reads."""
    port = gate.port("plain")
    with ExitStack() as stack, ThreadPoolExecutor(number) as pool:
        clients = list(pool.map(lambda _number: stack.enter_context(Raw(port)), range(number)))
        yield clients, list(pool.map(Raw.read_line, clients))


def refused(lines: list[bytes]) -> int:
    return Counter(line[:15] for line in lines)[b"-ERR [SYS/TEMP]"]


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_ip"])
def test_connections_at_once(before_store: Callable[..., Popgate], limit: str) -> None:
    gate = before_store(**{limit: MOST})
    for _round in range(3):
        with connected(gate, CLIENTS) as (clients, lines):
            assert refused(lines) == CLIENTS - MOST
            for client, line in zip(clients, lines, strict=True):
                if line.startswith(b"+OK"):
                    client.ask(b"QUIT", b"+OK")
        until_it_works(lambda: all_free(gate))


def all_free(gate: Popgate) -> None:
    """Fails while one of the places is still taken."""
    with connected(gate, MOST) as (clients, lines):
        assert not refused(lines)
        for client in clients:
            client.ask(b"QUIT", b"+OK")


def test_sessions_of_a_user_at_once(before_store: Callable[..., Popgate]) -> None:
    gate = before_store(max_connections_per_user=MOST)

    def log_in(client: Raw) -> bytes:
        client.ask(b"USER anna", b"+OK")
        return client.ask(b"PASS x")

    with connected(gate, CLIENTS) as (clients, _greetings), ThreadPoolExecutor(CLIENTS) as pool:
        answers = Counter(answer[:13] for answer in pool.map(log_in, clients))
        assert answers == {b"+OK logged in": MOST, b"-ERR [IN-USE]": CLIENTS - MOST}


def test_a_killed_worker_gives_its_places_back_within_a_second(before_store: Callable[..., Popgate]) -> None:
    gate = before_store(max_connections_per_ip=MOST)
    gate.expect("worker_died")
    with connected(gate, MOST) as (clients, lines):
        assert not refused(lines)
        owners = until_it_works(lambda: owners_of(gate, clients))
        victim, lost = Counter(owners.values()).most_common(1)[0]
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        with ExitStack() as stack:
            wait_let_in(gate, stack, lost)
            assert time.monotonic() - began < 1
            with Raw(gate.port("plain")) as one_more:
                assert refused([one_more.read_line()]) == 1


def owners_of(gate: Popgate, clients: list[Raw]) -> dict[tuple[int, int], int]:
    """Client's and listener's port -> worker."""
    owners = holders(gate.workers(), {client.ports for client in clients})
    assert len(owners) == len(clients)
    return owners


def wait_let_in(gate: Popgate, stack: ExitStack, number: int) -> None:
    """Comes again until so many clients have been greeted."""
    end = time.monotonic() + DEADLINE
    while number:
        assert time.monotonic() < end, f"{number} places do not come back"
        client = Raw(gate.port("plain"))
        # A connection that waited for the killed worker is reset.
        if client.read_until(rb"\A\+OK[^\n]*\n|\A-ERR[^\n]*\n").startswith(b"+OK"):
            stack.enter_context(client)
            number -= 1
        else:
            client.socket.close()
