"""Renewed certificates: taken by themselves and whole, whatever tool puts them there, while sessions and logins go on.

Each pair is issued by an intermediate authority, so that a chain that is not whole is one that clients refuse.
"""

import functools
import os
import signal
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from certs import Certificates, make_intermediate
from clients import Raw, until_it_works
from issuers import INTERMEDIATE, Issuer, Kind
from popgate import Config, Event, Popgate, is_sanitized, run_command, site
from proc import Usage, memory, usage, wait_gone
from renewing import WAYS, Pair, Place, pairs_that_lived, renew, write_private
from stores import Dovecot

Start = Callable[..., Popgate]

NAMES = "DNS:localhost,DNS:pop.test"
PAIRS = 6
IN_TIME = 1.0  # from the last step until it is served
LASTS = 5.0    # a refusal is told then
GROWTH = 256 * 1024
DAY = 24 * 60 * 60


@pytest.fixture(scope="module", name="pairs")
def fixture_pairs(certificates: Certificates) -> list[Pair]:
    make_intermediate(certificates.directory, "middle", "ca")
    for number in range(PAIRS):
        certificates.issue(f"pair{number}", NAMES, "RSA" if number == 1 else "P-256", authority="middle")
    return [Pair.of(certificates, f"pair{number}") for number in range(PAIRS)]


@pytest.fixture
def place(workdir: Path, pairs: list[Pair]) -> Place:
    return Place(workdir, pairs[0])


@pytest.fixture
def config(certificates: Certificates, dovecot: Dovecot, place: Place) -> Config:
    return {**site(certificates, dovecot.port), "certificates": {"renewed": place.section()}}


@pytest.fixture
def gate(start: Start, config: Config) -> Popgate:
    return start(config)


def served(gate: Popgate, mode: str = "implicit") -> bytes:
    with gate.connect(mode) as client:
        return client.tls.getpeercert(binary_form=True)


def wait_replaced(gate: Popgate, certificates: Certificates, pair: Pair, since: int) -> Event:
    return gate.log.wait("certificate_replaced", since=since, fingerprint=certificates.fingerprint(pair.name))


def assert_served(gate: Popgate, certificates: Certificates, pair: Pair) -> None:
    for _time in range(8):  # by each of the workers, nearly for sure
        assert served(gate) == certificates.der(pair.name)


@pytest.mark.parametrize("way", WAYS)
def test_a_renewed_pair_is_served_within_a_second_by_all_workers(
        gate: Popgate, certificates: Certificates, place: Place, pairs: list[Pair], way: str) -> None:
    workers = gate.workers()
    assert_served(gate, certificates, pairs[0])
    for pair in pairs[1:]:
        mark = gate.log.mark()
        renew(place, pair, way)
        done = time.monotonic()
        event = wait_replaced(gate, certificates, pair, mark)
        assert time.monotonic() - done < IN_TIME
        assert event["certificate"] == "renewed" and event["path"] == str(place.chain)
        assert event["names"] == "localhost pop.test" and event["not_after"].endswith("Z")
        until_it_works(functools.partial(assert_served, gate, certificates, pair))
    assert served(gate, "stls") == certificates.der(pairs[-1].name)
    assert gate.workers() == workers


def test_a_worker_that_takes_the_place_of_a_dead_one_has_the_new_pair(gate: Popgate, certificates: Certificates,
                                                                      place: Place, pairs: list[Pair]) -> None:
    gate.expect("worker_died")
    mark = gate.log.mark()
    renew(place, pairs[1])
    wait_replaced(gate, certificates, pairs[1], mark)
    before = gate.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_gone(before)
    gate.wait_workers(len(before))
    until_it_works(lambda: assert_served(gate, certificates, pairs[1]))


def test_sessions_go_on_and_tickets_of_the_old_pair_are_none(gate: Popgate, certificates: Certificates, place: Place,
                                                             pairs: list[Pair]) -> None:
    with gate.connect("implicit") as client, gate.connect("stls") as other:
        client.login()
        mark = gate.log.mark()
        renew(place, pairs[1])
        wait_replaced(gate, certificates, pairs[1], mark)
        until_it_works(lambda: assert_served(gate, certificates, pairs[1]))
        client.ask(b"STAT", b"+OK 100 ")
        client.ask(b"QUIT", b"+OK")
        other.login()
        other.ask(b"QUIT", b"+OK")
        with Raw(gate.port("pop3s")) as again:
            again.start_tls(gate.context, session=client.tls.session)
            again.greeting()
            assert not again.tls.session_reused
            assert again.tls.getpeercert(binary_form=True) == certificates.der("pair1")


def scalar_of(pair: Pair) -> bytes:
    """The private number of a key on P-256, which stands in RFC 5915's structure behind its version."""
    der = ssl.PEM_cert_to_DER_cert(pair.key.replace("PRIVATE KEY", "CERTIFICATE"))
    head = b"\x02\x01\x01\x04\x20"
    return der.partition(head)[2][:32]


def holders_of(scalar: bytes, pids: list[int]) -> list[int]:
    return [pid for pid in pids if any(number in memory(pid) for number in (scalar, scalar[::-1]))]


def test_a_key_that_is_served_no_more_is_in_no_memory(start: Start, config: Config, certificates: Certificates,
                                                      place: Place, pairs: list[Pair]) -> None:
    """Of key_isolation, test_key_isolation.py says the same."""
    gate = start({**config, "key_isolation": "off"})
    pids = [gate.pid, *gate.workers()]
    old, new = scalar_of(pairs[0]), scalar_of(pairs[2])
    with gate.connect("implicit") as client, gate.connect("stls") as other:
        assert holders_of(old, pids) == pids
        renew(place, pairs[2])
        until_it_works(lambda: assert_served(gate, certificates, pairs[2]))
        assert holders_of(new, pids) == pids
        assert not holders_of(old, pids)
        for each in (client, other):
            each.login()
            each.ask(b"QUIT", b"+OK")


def test_a_key_of_before_a_reload_is_in_no_memory(start: Start, config: Config, certificates: Certificates,
                                                  pairs: list[Pair]) -> None:
    """Workers are forked while the generation of before has it; of key_isolation, nobody of those has any."""
    config["key_isolation"] = "off"
    gate = start(config)
    old, new = scalar_of(pairs[0]), scalar_of(pairs[2])
    section = {"chain": certificates.chain(pairs[2].name), "key": certificates.key(pairs[2].name)}
    gate.reload_all({**config, "certificates": {"another": section}})
    pids = [gate.pid, *gate.workers()]
    assert_served(gate, certificates, pairs[2])
    assert holders_of(new, pids) == pids
    assert not holders_of(old, pids)


# ---- keys that everybody may read


def test_a_key_that_everybody_may_read_is_told_once_for_each_change(start: Start, config: Config,
                                                                    certificates: Certificates, place: Place,
                                                                    pairs: list[Pair]) -> None:
    place.key.chmod(0o644)
    gate = start(config)
    gate.expect("key_exposed")
    event = gate.log.wait("key_exposed")
    assert (event["level"], event["certificate"], event["path"]) == ("warn", "renewed", str(place.key))
    assert event["why"] == f"mode 0644; do: chmod 600 {place.key}"
    gate.reload()
    gate.log.wait("key_exposed", count=2)
    mark = gate.log.mark()
    renew(place, pairs[1])
    wait_replaced(gate, certificates, pairs[1], mark)
    place.key.chmod(0o640)
    mark = gate.log.mark()
    renew(place, pairs[2])
    wait_replaced(gate, certificates, pairs[2], mark)
    assert not gate.log.all("key_exposed", since=mark) and len(gate.log.all("key_exposed")) == 2
    place.key.chmod(0o602)
    assert gate.log.wait("key_exposed", since=mark)["why"] == f"mode 0602; do: chmod 600 {place.key}"


def test_a_key_that_everybody_may_replace_is_told(start: Start, config: Config, place: Place) -> None:
    place.key.parent.chmod(0o777)
    gate = start(config)
    gate.expect("key_replaceable")
    event = gate.log.wait("key_replaceable")
    assert (event["level"], event["certificate"], event["path"]) == ("warn", "renewed", str(place.key))
    assert event["why"] == f"everybody may write to a folder above it; do: chmod o-w {place.key.parent}"


# ---- what is not taken

NO_PAIR = ("the private key {} does not belong to the first certificate in {}; put the two that belong together there "
           "by popgate cert install")


def spoil_key(place: Place, pairs: list[Pair]) -> str:
    place.key.write_text(pairs[1].key)
    return NO_PAIR.format(place.key, place.chain)


def spoil_chain(place: Place, pairs: list[Pair]) -> str:
    place.chain.write_text(pairs[1].chain)
    return NO_PAIR.format(place.key, place.chain)


def empty_key(place: Place, _pairs: list[Pair]) -> str:
    place.key.write_text("")
    return f"the private key {place.key} is empty; name the right file"


def half_a_chain(place: Place, pairs: list[Pair]) -> str:
    """The right certificate, but the one that issued it is cut off."""
    place.chain.write_text(pairs[0].chain[:-100])
    return (f"the certificate {place.chain} is cut off or damaged behind certificate 1; get it again from the "
            "authority, and put it there by popgate cert install")


def no_file(place: Place, _pairs: list[Pair]) -> str:
    place.chain.unlink()
    return f"cannot read the certificate {place.chain}: No such file or directory; see whether its name is right"


def a_folder(place: Place, _pairs: list[Pair]) -> str:
    place.key.unlink()
    place.key.mkdir()
    return f"cannot read the private key {place.key}: Is a directory"


SPOILT = [spoil_key, spoil_chain, empty_key, half_a_chain, no_file, a_folder]


def served_by(gate: Popgate, listener: str) -> bytes:
    with Raw(gate.port(listener), gate.context) as client:
        client.greeting()
        return client.tls.getpeercert(binary_form=True)


def test_what_cannot_be_served_is_told_when_it_lasts_and_the_old_pair_stays(
        start: Start, config: Config, workdir: Path, certificates: Certificates, pairs: list[Pair]) -> None:
    places = {spoil.__name__: Place(new_folder(workdir / spoil.__name__), pairs[0]) for spoil in SPOILT}
    config["certificates"] = {name: place.section() for name, place in places.items()}
    config["listeners"] = {name: {"bind": ["127.0.0.1:0"], "tls": "implicit", "certificates": [name]}
                           for name in places}
    gate = start(config)
    gate.expect("certificate_refused")
    begun = time.monotonic()
    why = {spoil.__name__: spoil(places[spoil.__name__], pairs) for spoil in SPOILT}
    for name in places:
        assert gate.log.wait("certificate_refused", certificate=name)["why"] == why[name]
        assert LASTS <= time.monotonic() - begun < LASTS + IN_TIME
        assert served_by(gate, name) == certificates.der(pairs[0].name)
    places["a_folder"].key.rmdir()
    for place in places.values():
        renew(place, pairs[2])
    gate.log.wait("certificate_replaced", count=len(places))
    for name in places:
        until_it_works(functools.partial(assert_served_by, gate, name, certificates.der(pairs[2].name)))
    assert len(gate.log.all("certificate_refused")) == len(places)


def new_folder(path: Path) -> Path:
    path.mkdir()
    return path


def assert_served_by(gate: Popgate, listener: str, wanted: bytes) -> None:
    assert served_by(gate, listener) == wanted


def test_the_same_pair_again_is_no_news(gate: Popgate, certificates: Certificates, place: Place,
                                        pairs: list[Pair]) -> None:
    renew(place, pairs[0], "over_key_first")
    renew(place, pairs[0], "renamed_chain_first")
    mark = gate.log.mark()
    renew(place, pairs[1])
    wait_replaced(gate, certificates, pairs[1], mark)
    assert len(gate.log.all("certificate_replaced")) == 1


# ---- certificates that end


@pytest.fixture(name="lived")
def fixture_lived(workdir: Path) -> Callable[[float, float], Pair]:
    return pairs_that_lived(workdir / "issuer", NAMES)


@pytest.fixture(name="below")
def fixture_below(workdir: Path) -> Callable[..., Pair]:
    """A maker of pairs that are valid, behind which stands an intermediate certificate, or a root, of those days."""
    issuer = Issuer(workdir / "below")

    def make(start: float, end: float, *, self_signed: bool = False) -> Pair:
        issuer.make("below", replace(INTERMEDIATE, subject="/CN=below", start=start, end=end),
                    by="below" if self_signed else "root")
        issuer.make("leaf", Kind(names=NAMES), by="below")
        return Pair("leaf", issuer.text("leaf", "below"), issuer.path("leaf.key").read_text())

    return make


def test_a_certificate_that_ends_is_told_at_the_start_and_at_a_reload(
        start: Start, config: Config, certificates: Certificates, place: Place,
        lived: Callable[[float, float], Pair]) -> None:
    certificates.issue("over", NAMES, days=-1)
    renew(place, lived(80, 10))
    gate = start(config)
    gate.expect("certificate_expires", "certificate_expired")
    event = gate.log.wait("certificate_expires")
    assert event["certificate"] == "renewed" and event["path"] == str(place.chain) and event["days"] in (9, 10)
    renew(place, Pair.of(certificates, "over"))
    gate.reload()
    assert gate.log.wait("certificate_expired")["names"] == "localhost pop.test"


@pytest.mark.parametrize(("since", "left", "warning", "is_told"), [
    (61, 29, "30d", True), (59, 31, "30d", False),                           # of 90 days
    (4.1, 1.9, "30d", True), (3.9, 2.1, "30d", False), (0, 6, "30d", False),  # of 6 days
    (300, 98, "30d", False), (300, 98, "100d", True), (200, 198, "365d", False)])
def test_the_log_and_the_check_warn_at_the_same_time(start: Start, config: Config, place: Place,
                                                     lived: Callable[[float, float], Pair], since: float, left: float,
                                                     warning: str, is_told: bool) -> None:
    config["certificate_warning"] = warning
    renew(place, lived(since, left))
    gate = start(config)
    done = run_command("cert", "check", "renewed", "-c", str(gate.config_file))
    assert not done.stderr and ("\nremark expires_soon: " in f"\n{done.stdout}") == is_told
    if is_told:
        gate.expect("certificate_expires")
        assert gate.log.wait("certificate_expires")["days"] in (int(left), int(left - 0.001))  # asked a moment later
    gate.reload()  # any warning of the start was before that


def test_one_that_is_over_does_not_take_the_place_of_a_valid_one(gate: Popgate, certificates: Certificates,
                                                                 place: Place, pairs: list[Pair]) -> None:
    certificates.issue("over", NAMES, days=-1)
    gate.expect("certificate_refused")
    renew(place, Pair.of(certificates, "over"))
    why = gate.log.wait("certificate_refused")["why"]
    assert f"the certificate in {place.chain} has expired on 2" in why and "get a new one from the authority" in why
    assert_served(gate, certificates, pairs[0])
    renew(place, pairs[2])
    gate.log.wait("certificate_replaced")
    until_it_works(lambda: assert_served(gate, certificates, pairs[2]))
    assert len(gate.log.all("certificate_refused")) == 1


def test_one_below_an_intermediate_that_is_over_does_not_take_the_place_of_a_valid_one(
        gate: Popgate, certificates: Certificates, place: Place, pairs: list[Pair], below: Callable[..., Pair]) -> None:
    gate.expect("certificate_refused")
    renew(place, below(start=-30, end=-1))
    why = gate.log.wait("certificate_refused")["why"]
    assert f"the intermediate certificate of CN=below in {place.chain} has expired on 2" in why
    assert_served(gate, certificates, pairs[0])
    early = 8
    renew(place, below(start=early / DAY, end=30))
    why = gate.log.wait("certificate_refused", count=2)["why"]
    assert f"the intermediate certificate of CN=below in {place.chain} is valid only from 2" in why
    gate.log.wait("certificate_replaced")  # in its time


def test_an_intermediate_that_is_over_is_told_at_a_start(start: Start, config: Config, place: Place, pairs: list[Pair],
                                                         below: Callable[..., Pair]) -> None:
    renew(place, below(start=-30, end=-1))
    gate = start(config)
    gate.expect("certificate_expired")
    event = gate.log.wait("certificate_expired")
    assert (event["certificate"], event["path"]) == ("renewed", str(place.chain))
    assert event["why"].startswith("the intermediate certificate of CN=below has expired on 2")
    done = run_command("check", "-c", str(gate.config_file))
    assert f"certificate renewed: the intermediate certificate of CN=below in {place.chain} has expired on 2" in done.stdout
    assert done.returncode == 0 and done.stdout.endswith("no problems, but certificates should be looked at\n")
    renew(place, below(start=-29, end=-1))  # which is no worse
    gate.log.wait("certificate_replaced")
    gate.log.wait("certificate_expired", count=2)
    renew(place, below(start=-1, end=-0.5, self_signed=True))  # clients have the root themselves
    gate.log.wait("certificate_replaced", count=2)
    renew(place, pairs[1])
    gate.log.wait("certificate_replaced", count=3)
    assert len(gate.log.all("certificate_expired")) == 2


@pytest.mark.parametrize("isolation", ["on", "off"])
def test_one_that_is_not_valid_yet_takes_the_place_of_a_valid_one_in_its_time(
        start: Start, config: Config, certificates: Certificates, place: Place, pairs: list[Pair], workdir: Path,
        lived: Callable[[float, float], Pair], isolation: str) -> None:
    gate = start({**config, "key_isolation": isolation})
    gate.context.load_verify_locations(workdir / "issuer" / "root.pem")
    gate.expect("certificate_refused")
    begun, early = time.time(), 8
    pair = lived(-early / DAY, 90)
    renew(place, pair)
    why = gate.log.wait("certificate_refused")["why"]
    assert f"the certificate in {place.chain} is valid only from 2" in why and "it is taken when its time" in why
    assert_served(gate, certificates, pairs[0])
    gate.log.wait("certificate_replaced")
    assert time.time() >= begun + early - 1
    until_it_works(lambda: assert_served_by(gate, "pop3s", ssl.PEM_cert_to_DER_cert(first_of(pair.chain))))
    assert len(gate.log.all("certificate_refused")) == 1


def first_of(chain: str) -> str:
    first, end, _others = chain.partition("-----END CERTIFICATE-----\n")
    return first + end


def test_one_that_is_not_valid_yet_is_served_at_a_start_and_told_as_an_error(
        start: Start, config: Config, place: Place, lived: Callable[[float, float], Pair], pairs: list[Pair]) -> None:
    renew(place, lived(-2, 90))
    gate = start(config)
    gate.expect("certificate_not_yet_valid")
    event = gate.log.wait("certificate_not_yet_valid")
    assert (event["level"], event["certificate"], event["path"]) == ("error", "renewed", str(place.chain))
    assert event["names"] == "localhost pop.test" and event["not_before"].endswith("Z")
    done = run_command("check", "-c", str(gate.config_file))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"certificate renewed: the certificate in {place.chain} is valid only from 2" in done.stdout
    assert done.stdout.endswith("no problems, but certificates should be looked at\n")
    renew(place, lived(-3, 90))  # which is no worse
    gate.log.wait("certificate_replaced")
    gate.log.wait("certificate_not_yet_valid", count=2)
    renew(place, pairs[1])
    gate.log.wait("certificate_replaced", count=2)


# ---- a year in a minute


class Visitors:
    """Clients that shake hands without end, and check what they are shown."""

    def __init__(self, gate: Popgate, known: set[bytes], count: int):
        self.seen: dict[bytes, int] = {}
        self.errors: list[str] = []
        self._gate, self._known = gate, known
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(number,)) for number in range(count)]

    def _visit(self, number: int) -> None:
        while not self._over.is_set():
            try:
                der = served(self._gate, ["implicit", "stls"][number % 2])
                assert der in self._known, "a certificate that nobody issued"
                self.seen[der] = self.seen.get(der, 0) + 1
            except (OSError, AssertionError) as problem:
                self.errors.append(repr(problem))

    def __enter__(self) -> "Visitors":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


RENEWALS, WARM_UP, SLOW = 200, 40, 10
STEP = 0.12  # longer than popgate waits for a file to rest


def spoil_first(place: Place, pairs: list[Pair], number: int) -> None:
    """Something that cannot be served lies there for a while."""
    bad = pairs[number % len(pairs)]
    for path, content in ((place.chain, bad.chain[:-300]), (place.key, pairs[number % 2].key[:90])):
        rename_over(path, content)
        time.sleep(STEP)


def rename_over(path: Path, content: str) -> None:
    new = path.with_suffix(".bad")
    write_private(new, content)
    new.rename(path)


def renew_as_tools_do(place: Place, pairs: list[Pair], number: int) -> Pair:
    """The way and the speed change from one to the next; every tenth is slow, or wrong at first."""
    pair = pairs[(number + 1) % len(pairs)]
    is_slow, is_spoilt = number % SLOW == 3, number % SLOW == 7
    if is_spoilt:
        spoil_first(place, pairs, number)
    for _step in list(WAYS.values())[number % len(WAYS)](place, pair):
        if is_slow:
            time.sleep(STEP)
    return pair


def renew_under_load(gate: Popgate, certificates: Certificates, place: Place, pairs: list[Pair],
                     numbers: range) -> Visitors:
    with Visitors(gate, {certificates.der(pair.name) for pair in pairs}, 3) as visitors:
        for number in numbers:
            mark = gate.log.mark()
            pair = renew_as_tools_do(place, pairs, number)
            done = time.monotonic()
            wait_replaced(gate, certificates, pair, mark)
            assert time.monotonic() - done < IN_TIME
    return visitors


def test_a_year_of_renewals_in_a_minute(gate: Popgate, certificates: Certificates, place: Place,
                                        pairs: list[Pair]) -> None:
    begun, mark = time.monotonic(), gate.log.mark()
    with gate.connect("implicit") as session, gate.connect("stls") as idle:
        session.login()
        first = renew_under_load(gate, certificates, place, pairs, range(WARM_UP))
        before = usage(gate.pid)
        second = renew_under_load(gate, certificates, place, pairs, range(WARM_UP, RENEWALS))
        until_it_works(lambda: assert_no_more(before, usage(gate.pid)))
        session.ask(b"STAT", b"+OK 100 ")
        session.ask(b"QUIT", b"+OK")
        idle.login()
        idle.ask(b"QUIT", b"+OK")
    assert time.monotonic() - begun < 60
    for visitors in (first, second):
        assert not visitors.errors
        assert set(visitors.seen) == {certificates.der(pair.name) for pair in pairs}
    assert len(gate.log.all("certificate_replaced", since=mark)) == RENEWALS
    assert_served(gate, certificates, pairs[RENEWALS % PAIRS])


def kinds(names: dict[str, int]) -> Counter[str]:
    """Whatever files of certificates and keys are called."""
    counts: Counter[str] = Counter()
    for name, number in names.items():
        counts[".pem" if name.removesuffix(" (deleted)").endswith(".pem") else name] += number
    return counts


def assert_no_more(before: Usage, after: Usage) -> None:
    assert after.processes == before.processes and not kinds(after.descriptors) - kinds(before.descriptors)
    if not is_sanitized():
        assert after.memory - before.memory < GROWTH
