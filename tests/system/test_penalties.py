"""Failed logins: delays, turns and bans, and whom they must not touch.

The clients come from addresses of 127.0.0.0/8.  A fake store takes one password and notes when it was asked for which:
how fast guesses get through is measured there, by the store's own clock, and never by waiting.  Delays are configured
short, so that many of them pass.
"""

import contextlib
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from certs import Certificates
from clients import DEADLINE, Raw, until_it_works
from popgate import Config, Popgate, site
from stores import Peer, fake_store

Start = Callable[..., Popgate]

PATIENCE = b"-ERR [SYS/TEMP] Too many failed logins; please wait and try again.\r\n"
WRONG = b"-ERR [AUTH] no\r\n"
UNAVAILABLE = b"-ERR [SYS/TEMP] The mail store is unavailable; please wait and try again.\r\n"

HOME, OFFICE, HOTEL, THIEF = "127.0.1.1", "127.0.2.1", "127.0.3.1", "127.0.4.1"

AT_ONCE = 16  # logins under way from one address, or of one user, while none has failed
LATE = 3  # guesses that may be on their way to the store, late for their turn, as another one brings the ban


@dataclass
class Judge:
    """A store's script: one password is everybody's; every question is noted."""

    answer: bytes | None = b"-ERR no\r\n"  # None: it hangs up
    asked: list[tuple[float, str, str]] = field(default_factory=list)

    def __call__(self, peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        user = peer.line()[5:].decode()
        peer.send(b"+OK\r\n")
        password = peer.line()[5:].decode()
        if password == "right":
            peer.send(b"+OK\r\n")
            while command := peer.line():
                peer.send(b"+OK\r\n")
                if command == b"QUIT":
                    return
        elif password:
            self.asked.append((time.monotonic(), user, password))
            if self.answer is not None:
                peer.send(self.answer)
                peer.to_end()

    def times(self) -> list[float]:
        return sorted(at for at, _user, _password in list(self.asked))


@contextlib.contextmanager
def guarded(start: Start, certificates: Certificates, judge: Judge, *, backend: Config | None = None,
            **defaults: object) -> Iterator[Popgate]:
    with fake_store(judge) as store:
        yield start(configuration(certificates, store.port, defaults, backend))


def configuration(certificates: Certificates, port: int, defaults: Config, backend: Config | None = None) -> Config:
    return site(certificates, port, workers=4, backend=backend,
                defaults={"max_connections_per_user": 1000, **defaults})


def try_login(client: Raw, user: str, password: str) -> bytes:
    client.ask(f"USER {user}".encode(), b"+OK")
    return client.ask(f"PASS {password}".encode())


def log_in(gate: Popgate, source: str, user: str, password: str = "right") -> bytes:
    """The answer to a login; of a connection that is refused, that refusal."""
    with Raw(gate.port("plain"), source=source) as client:
        return log_in_as(client, user, password)


def log_in_as(client: Raw, user: str, password: str) -> bytes:
    greeting = client.read_line()
    return try_login(client, user, password) if greeting.startswith(b"+OK") else greeting


def get_in(gate: Popgate, source: str, user: str) -> float:
    """Logs in well; returns how many seconds popgate let that wait for others' failures.

    Popgate's own figure, because beside a crowd of guessers on a busy machine everything takes longer.
    """
    mark = gate.log.mark()
    with Raw(gate.port("plain"), source=source) as client:
        answer = log_in_as(client, user, "right")
        assert answer.startswith(b"+OK"), answer
        client.ask(b"QUIT", b"+OK")
    closed = gate.log.wait("session_closed", since=mark, client=f"{source}:{client.port}")
    return closed.get("ms_turn", 0) / 1000


def until_banned(gate: Popgate, source: str, user: str, **fields: str) -> int:
    """Guesses until there is a ban; returns how many guesses it took."""
    for guesses in range(1, 1000):
        log_in(gate, source, user, f"guess {guesses}")
        if gate.log.all("banned", **fields):
            return guesses
    raise AssertionError("no ban")


class Guessers:
    """Threads that guess as fast as they can, each login over a connection of its own, until the `with` block ends."""

    def __init__(self, gate: Popgate, sources: list[str], user: str, *, patient: bool = True):
        self._user, self._patient = user, patient
        self._port = gate.port("plain")
        self._guesses = zip(itertools.count(), itertools.cycle(sources))
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.tried = 0
        self._threads = [threading.Thread(target=self._work, daemon=True) for _thread in range(8)]
        # Thousands of sessions a second are more than this log's reader can take; and the last ones still wait for
        # their turn when the store is gone.
        gate.allow("log_lines_lost", "backend_failed")

    def __enter__(self) -> "Guessers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(DEADLINE)
        assert not any(thread.is_alive() for thread in self._threads)

    def wait_tried(self, count: int) -> None:
        wait_until(lambda: self.tried >= count, f"{count} guesses tried")

    def _work(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                guess = next(self._guesses)
            # Popgate resets and refuses; what matters is what the store was asked.
            with contextlib.suppress(OSError, AssertionError):
                self._guess(*guess)
            with self._lock:
                self.tried += 1

    def _guess(self, number: int, source: str) -> None:
        with Raw(self._port, source=source) as client:
            client.greeting()
            client.ask(f"USER {self._user}".encode(), b"+OK")
            client.send(f"PASS guess {number}\r\n".encode())
            if self._patient:
                client.read_line()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"never {what}"
        time.sleep(0.005)


def wait_asked(judge: Judge, count: int) -> list[float]:
    wait_until(lambda: len(judge.asked) >= count, f"{count} guesses at the store")
    return judge.times()


def assert_rate(times: list[float], seconds: float) -> None:
    """From the fourth failure on, one guess in so many seconds; on a busy machine one may be late for its turn."""
    late = times[AT_ONCE + 4:]
    assert late[-1] - late[0] >= (len(late) - 1) * seconds - 0.1


# delays

def test_answers_to_failed_logins_come_ever_later(start: Start, certificates: Certificates) -> None:
    with guarded(start, certificates, Judge(), login_delay="40ms", login_delay_max="160ms") as gate:
        for wanted in (0.04, 0.08, 0.16, 0.16):
            with Raw(gate.port("plain"), source=THIEF) as client:
                client.greeting()
                client.ask(b"USER anna", b"+OK")
                began = time.monotonic()
                assert client.ask(f"PASS {began}".encode()) == WRONG
                assert time.monotonic() - began >= wanted - 0.005
                times = gate.closed(client.port) if client.ask(b"QUIT", b"+OK") else {}
                assert times["ms_refusal"] >= wanted * 1000 - 2


@pytest.mark.parametrize("patient", [True, False], ids=["waiting for the answer", "leaving at once"])
def test_guesses_in_parallel_are_as_slow_as_one_by_one(start: Start, certificates: Certificates,
                                                       patient: bool) -> None:
    judge = Judge()
    with guarded(start, certificates, judge, login_delay="10ms", login_delay_max="80ms", ban_time="0s") as gate, \
            Guessers(gate, [THIEF], "anna", patient=patient):
        times = wait_asked(judge, AT_ONCE + 30)
        fast = [at for at in times if at < times[0] + 0.08]
        assert len(fast) <= AT_ONCE + 4
        assert_rate(times, 0.08)
        assert get_in(gate, HOME, "bert") == 0


def test_who_would_wait_too_long_is_refused_and_the_store_not_asked(start: Start, certificates: Certificates) -> None:
    judge = Judge()
    with guarded(start, certificates, judge, login_delay="600ms", login_delay_max="900ms") as gate, \
            ThreadPoolExecutor(6) as pool:
        log_in(gate, THIEF, "anna", "first")
        answers = list(pool.map(lambda number: log_in(gate, THIEF, "anna", f"guess {number}"), range(6)))
        # One goes at once, and one has to wait for it, if that one's failure does not come first.
        refused = answers.count(PATIENCE)
        assert refused in (4, 5)
        assert len(judge.asked) == 1 + 6 - refused
        gate.log.wait("session_closed", reason="login_delayed", count=refused)


def test_a_good_login_waits_for_its_turn_only(start: Start, certificates: Certificates) -> None:
    judge = Judge()
    with guarded(start, certificates, judge, login_delay="200ms", login_delay_max="800ms") as gate:
        for number in range(3):
            log_in(gate, OFFICE, "anna", f"wrong {number}")
        with Raw(gate.port("plain"), source=OFFICE) as guesser:
            guesser.greeting()
            guesser.ask(b"USER anna", b"+OK")
            guesser.send(b"PASS wrong 3\r\n")
            wait_asked(judge, 4)
            assert 0 < get_in(gate, OFFICE, "bert") < 0.8 + 0.2
        assert get_in(gate, OFFICE, "bert") == 0


def test_the_delay_is_not_taken_from_the_clients_time(start: Start, certificates: Certificates) -> None:
    with guarded(start, certificates, Judge(), login_delay="1200ms", preauth_timeout="1s") as gate, \
            Raw(gate.port("plain"), source=HOME) as client:
        client.greeting()
        assert try_login(client, "anna", "wrong") == WRONG
        assert try_login(client, "anna", "right").startswith(b"+OK")
        client.ask(b"QUIT", b"+OK")


def test_what_is_not_the_passwords_fault_costs_nothing(start: Start, certificates: Certificates) -> None:
    judge = Judge(answer=b"-ERR [IN-USE] the mailbox is locked\r\n")
    with guarded(start, certificates, judge, login_delay="10s", ban_after=1) as gate:
        for number in range(3):
            assert log_in(gate, HOME, "anna", f"password {number}") == judge.answer
        assert not gate.log.all("banned")


@pytest.mark.parametrize("words", ["Invalid password, please try again", "no such user: sherlock",
                                   "mailbox in use, wait until later", "[IN-USE"])
def test_words_of_the_store_do_not_make_guessing_free(start: Start, certificates: Certificates, words: str) -> None:
    judge = Judge(answer=f"-ERR {words}\r\n".encode())
    with guarded(start, certificates, judge, ban_after=3) as gate:
        assert until_banned(gate, THIEF, "sherlock", address=THIEF) == 3


@pytest.mark.parametrize("answer", [None, b"", b"what?\r\n"], ids=["hangs up", "is silent", "talks nonsense"])
def test_a_store_that_breaks_off_at_the_password_does_not_make_guessing_free(
        start: Start, certificates: Certificates, answer: bytes | None) -> None:
    judge = Judge(answer=answer)
    with guarded(start, certificates, judge, backend={"login_timeout": "1s"}, ban_after=3, login_delay="50ms") as gate:
        gate.expect("login_broken_off")
        get_in(gate, HOME, "anna")
        for wanted in (0.05, 0.1):
            with Raw(gate.port("plain"), source=THIEF) as client:
                client.greeting()
                assert try_login(client, "anna", f"guess {wanted}") == UNAVAILABLE
                client.ask(b"QUIT", b"+OK")
                assert gate.closed(client.port)["ms_refusal"] >= wanted * 1000 - 2
        for _again in range(2):  # the same password, as of a client that tries on while a store is ill
            assert log_in(gate, THIEF, "anna", "guess 0.1") == UNAVAILABLE
        assert until_banned(gate, THIEF, "anna", address=THIEF) == 1
        get_in(gate, HOME, "anna")


@pytest.mark.parametrize("ill", [True, False], ids=["store down", "hangs up on the name"])
def test_a_store_that_fails_before_the_password_costs_nothing(start: Start, certificates: Certificates,
                                                              ill: bool) -> None:
    def script(peer: Peer) -> None:
        if not ill:
            peer.send(b"+OK\r\n")
            peer.line()

    with fake_store(script) as store:
        gate = start(configuration(certificates, store.port, {"login_delay": "10s", "ban_after": 1}))
        gate.expect("backend_failed" if ill else "login_broken_off")
        for number in range(3):
            with Raw(gate.port("plain"), source=HOME) as client:
                client.greeting()
                assert try_login(client, "anna", f"password {number}") == UNAVAILABLE
                client.ask(b"QUIT", b"+OK")
                assert "ms_refusal" not in gate.closed(client.port)
        assert not gate.log.all("banned")


def test_who_leaves_before_the_store_has_answered_has_guessed(start: Start, certificates: Certificates) -> None:
    judge = Judge(answer=b"")
    with guarded(start, certificates, judge, ban_after=3) as gate:
        for number in range(3):
            with Raw(gate.port("plain"), source=THIEF) as client:
                client.greeting()
                client.ask(b"USER anna", b"+OK")
                client.send(f"PASS guess {number}\r\n".encode())
                wait_asked(judge, number + 1)
                client.reset()
                assert gate.closed(client.port)["phase"] == "login"
        gate.log.wait("banned", address=THIEF)
        assert log_in(gate, THIEF, "anna") == PATIENCE


def test_a_stop_ends_who_waits(start: Start, certificates: Certificates) -> None:
    judge = Judge()
    with guarded(start, certificates, judge, login_delay="1m", login_delay_max="1m") as gate, \
            Raw(gate.port("plain"), source=THIEF) as first, Raw(gate.port("plain"), source=THIEF) as second:
        for client in (first, second):
            client.greeting()
            client.ask(b"USER anna", b"+OK")
        first.send(b"PASS one\r\n")
        wait_asked(judge, 1)
        second.send(b"PASS two\r\n")
        gate.signal(signal.SIGTERM)
        gate.log.wait("draining")
        gate.signal(signal.SIGTERM)
        assert {first.read_line()[:15], second.read_line()[:15]} == {b"-ERR [SYS/TEMP]"}
    assert gate.wait_gone() == 0


# bans

def test_an_address_is_banned_with_a_text_and_for_everybody_there(start: Start, certificates: Certificates) -> None:
    judge = Judge()
    with guarded(start, certificates, judge, ban_after=5) as gate:
        assert until_banned(gate, THIEF, "anna", address=THIEF) == 5
        assert log_in(gate, THIEF, "bert") == PATIENCE
        gate.log.wait("session_closed", reason="banned")
        get_in(gate, HOTEL, "bert")
        assert len(gate.log.all("banned")) == 1
        assert len(judge.asked) == 5


def test_a_ban_ends(start: Start, certificates: Certificates) -> None:
    with guarded(start, certificates, Judge(), ban_after=3, ban_time="300ms") as gate:
        until_banned(gate, THIEF, "anna", address=THIEF)
        until_it_works(lambda: get_in(gate, THIEF, "anna"))


def test_the_same_password_again_counts_once(start: Start, certificates: Certificates) -> None:
    judge = Judge()
    with guarded(start, certificates, judge, ban_after=3) as gate:
        for _time in range(12):
            assert log_in(gate, HOME, "anna", "of last year") == WRONG
        assert len(judge.asked) == 12
        get_in(gate, HOME, "bert")
        assert not gate.log.all("banned")


def test_a_user_is_banned_for_strangers_only(start: Start, certificates: Certificates) -> None:
    with guarded(start, certificates, Judge(), ban_after_user=10, login_delay_max="20ms") as gate:
        get_in(gate, HOME, "anna")
        for number in itertools.count():
            log_in(gate, f"127.1.0.{number + 1}", "anna", f"guess {number}")
            assert get_in(gate, HOME, "anna") == 0
            if gate.log.all("banned", user="anna"):
                break
        assert number == 9
        assert log_in(gate, HOTEL, "anna") == PATIENCE
        get_in(gate, HOTEL, "bert")
        get_in(gate, HOME, "anna")


def test_a_user_who_does_not_exist_is_refused_in_the_same_words(start: Start, certificates: Certificates) -> None:
    with guarded(start, certificates, Judge(), ban_after_user=2) as gate:
        get_in(gate, HOME, "anna")
        for user in ("anna", "nobody"):
            log_in(gate, HOTEL, user, "one")
            log_in(gate, HOTEL, user, "two")
        assert log_in(gate, HOTEL, "anna") == log_in(gate, HOTEL, "nobody") == PATIENCE


def test_one_bad_client_does_not_ban_an_office(start: Start, certificates: Certificates) -> None:
    users = [f"user{number}" for number in range(20)]
    with guarded(start, certificates, Judge(), ban_after=2, login_delay="1ms", login_delay_max="1ms") as gate:
        for user in users:
            get_in(gate, OFFICE, user)
        guesses = until_banned(gate, OFFICE, "victim", address=OFFICE)
        assert 12 <= guesses <= 34, guesses
        for user in users:
            assert get_in(gate, OFFICE, user) == 0
        assert log_in(gate, OFFICE, "stranger") == PATIENCE


def test_a_session_of_before_is_not_punished(start: Start, certificates: Certificates) -> None:
    with guarded(start, certificates, Judge(), ban_after=2, ban_after_user=2) as gate, \
            Raw(gate.port("plain"), source=THIEF) as client:
        client.greeting()
        client.login("anna", "right")
        until_banned(gate, THIEF, "bert")
        client.ask(b"STAT", b"+OK")
        client.ask(b"QUIT", b"+OK")


@pytest.mark.parametrize(("number", "done"), [(signal.SIGHUP, "reload_done"), (signal.SIGUSR2, "upgrade_done")],
                         ids=["reload", "upgrade"])
def test_bans_and_known_users_stay_over(start: Start, certificates: Certificates, number: int, done: str) -> None:
    with guarded(start, certificates, Judge(), ban_after=3) as gate:
        get_in(gate, OFFICE, "anna")
        until_banned(gate, THIEF, "bert", address=THIEF)
        until_banned(gate, OFFICE, "bert", address=OFFICE)
        gate.signal(number)
        gate.log.wait(done)
        gate.wait_workers(4)
        assert log_in(gate, THIEF, "bert") == PATIENCE
        assert log_in(gate, OFFICE, "bert") == PATIENCE
        get_in(gate, OFFICE, "anna")


# many guesses

def test_ten_thousand_passwords_from_one_address(start: Start, certificates: Certificates) -> None:
    judge = Judge()
    with guarded(start, certificates, judge, login_delay="10ms", login_delay_max="100ms", ban_after=30) as gate:
        get_in(gate, HOME, "anna")
        with Guessers(gate, [THIEF], "anna") as guessers:
            waits = [get_in(gate, HOME, "anna") for _login in range(200)]
            waits += [get_in(gate, f"127.8.0.{number + 1}", "bert") for number in range(100)]
            wait_until(lambda: bool(gate.log.all("banned", address=THIEF)), "banned")
            guessers.wait_tried(10_000)
        assert 30 <= len(judge.asked) <= 30 + LATE
        assert_rate(judge.times(), 0.1)
        assert max(waits) == 0


def test_ten_thousand_passwords_from_a_thousand_addresses(start: Start, certificates: Certificates) -> None:
    judge = Judge()
    sources = [f"127.9.{number // 250}.{number % 250 + 1}" for number in range(1000)]
    with guarded(start, certificates, judge, login_delay="5ms", login_delay_max="40ms") as gate:
        get_in(gate, HOME, "anna")
        with Guessers(gate, sources, "anna") as guessers:
            waits = [get_in(gate, HOME, "anna") for _login in range(200)]
            waits += [get_in(gate, f"127.8.0.{number + 1}", "bert") for number in range(100)]
            wait_until(lambda: bool(gate.log.all("banned", user="anna", backend="store")), "banned")
            guessers.wait_tried(10_000)
        assert 100 <= len(judge.asked) <= 100 + LATE
        assert_rate(judge.times(), 0.04)
        assert max(waits) == 0


# connections

def test_connection_rate_by_address(start: Start, certificates: Certificates) -> None:
    with guarded(start, certificates, Judge(), max_connection_rate_per_ip=24) as gate:
        for _connection in range(6):  # a quarter of a minute's
            get_in(gate, HOME, "anna")
        with Raw(gate.port("plain"), source=HOME) as client:
            assert client.read_to_end() == b"-ERR [SYS/TEMP] Too many connections; please wait and try again.\r\n"
            assert gate.closed(client.port)["reason"] == "connection_rate"
        get_in(gate, HOTEL, "anna")
        until_it_works(lambda: get_in(gate, HOME, "anna"))
