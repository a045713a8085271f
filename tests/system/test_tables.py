"""Files of addresses: a changed one is in force in every worker without a reload, a bad one changes nothing.

Which worker gets a connection is the kernel's choice, so what holds for every worker is asked often enough that each of
the two is asked with near certainty.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from certs import Certificates
from clients import Raw, until_it_works
from databases import write_database
from popgate import Config, Event, Popgate, is_sanitized, run_command, site
from proc import usage, wait_gone
from stores import Dovecot

Start = Callable[..., Popgate]

REFUSAL = b"-ERR Connection declined by policy.\r\n"
TIMES = 20
MIB = 1024 * 1024
DAY = 24 * 60 * 60


class Files:
    """A configuration whose policy is `rules`, and the files beside it."""

    def __init__(self, directory: Path, certificates: Certificates, dovecot: Dovecot):
        self.directory = directory
        self._certificates = certificates
        self._port = dovecot.port

    def path(self, name: str) -> Path:
        return self.directory / name

    def put(self, name: str, content: str) -> None:
        """In one step, as careful programs do."""
        self.path("new").write_text(content)
        self.path("new").rename(self.path(name))

    def put_database(self, name: str, kind: str, content: str, **options: int) -> None:
        write_database(self.path(name), kind, content, **options)

    def config(self, *rules: str, default: str = "allow", **top: object) -> Config:
        return site(self._certificates, self._port, defaults={"policy": "edge"},
                    policies={"edge": {"rules": list(rules), "default": default}}, **top)


@pytest.fixture
def files(workdir: Path, certificates: Certificates, dovecot: Dovecot) -> Files:
    return Files(workdir, certificates, dovecot)


def first_line(gate: Popgate, source: str) -> bytes:
    with Raw(gate.port("plain"), source=source) as client:
        return client.read_line()


def assert_all(gate: Popgate, source: str, *, refused: bool) -> None:
    for _time in range(TIMES):
        assert (first_line(gate, source) == REFUSAL) is refused


def wait_all(gate: Popgate, source: str, *, refused: bool) -> None:
    """The log speaks of the supervisor; the workers read their channels a moment later."""
    until_it_works(lambda: assert_all(gate, source, refused=refused))


def wait_replaced(gate: Popgate, since: int) -> Event:
    return gate.log.wait("table_replaced", since=since)


@pytest.fixture
def banning(start: Start, files: Files) -> Popgate:
    files.put("banned", "127.0.0.2\n")
    return start(files.config(f"deny file {files.path('banned')}"))


def test_a_changed_file_is_in_force_in_every_worker_without_a_reload(banning: Popgate, files: Files) -> None:
    workers = banning.workers()
    assert_all(banning, "127.0.0.2", refused=True)
    assert_all(banning, "127.0.0.3", refused=False)
    mark = banning.log.mark()
    files.put("banned", "# other people\n127.0.0.3/32\n127.0.0.8-127.0.0.10\n")
    event = wait_replaced(banning, mark)
    assert event["path"] == str(files.path("banned"))
    assert event["ranges"] == 2
    wait_all(banning, "127.0.0.3", refused=True)
    assert_all(banning, "127.0.0.9", refused=True)
    assert_all(banning, "127.0.0.2", refused=False)
    assert banning.workers() == workers


def test_a_file_written_in_place_is_taken_when_it_is_complete(banning: Popgate, files: Files) -> None:
    mark = banning.log.mark()
    files.path("banned").write_text("127.0.0.2\n127.0.0.3\n")
    assert wait_replaced(banning, mark)["ranges"] == 1  # two addresses that touch
    wait_all(banning, "127.0.0.3", refused=True)


@contextmanager
def appending(file: Path, line: str, every: float) -> Iterator[None]:
    """Appends the line again and again meanwhile."""
    is_over = threading.Event()

    def append() -> None:
        while not is_over.wait(every):
            with file.open("a") as end:
                end.write(line)

    thread = threading.Thread(target=append)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_a_file_that_never_rests_is_taken_within_seconds(banning: Popgate, files: Files) -> None:
    mark, began = banning.log.mark(), time.monotonic()
    with appending(files.path("banned"), "127.0.0.3\n", every=0.2):
        wait_replaced(banning, mark)
        assert time.monotonic() - began < 10
        wait_all(banning, "127.0.0.3", refused=True)
    assert_all(banning, "127.0.0.2", refused=True)
    assert_all(banning, "127.0.0.4", refused=False)


@pytest.mark.parametrize("spoil", [
    lambda file: file.write_text("127.0.0.3\n127.0.0.300\n"),
    lambda file: file.unlink(),
    lambda file: (file.unlink(), file.mkdir()),
], ids=["bad line", "missing", "folder"])
def test_a_bad_file_is_reported_once_and_the_old_table_stays(banning: Popgate, files: Files,
                                                            spoil: Callable[[Path], object]) -> None:
    banning.expect("table_refused")
    spoil(files.path("banned"))
    why = banning.log.wait("table_refused")["why"]
    assert why.startswith(str(files.path("banned")))
    assert_all(banning, "127.0.0.2", refused=True)
    assert_all(banning, "127.0.0.3", refused=False)
    if files.path("banned").is_dir():
        files.path("banned").rmdir()
    mark = banning.log.mark()
    files.put("banned", "127.0.0.4\n")
    wait_replaced(banning, mark)
    wait_all(banning, "127.0.0.4", refused=True)
    assert len(banning.log.all("table_refused")) == 1


def test_a_bad_line_is_named(banning: Popgate, files: Files) -> None:
    banning.expect("table_refused")
    files.put("banned", "127.0.0.3\n\n127.0.0.7/8\n")
    assert banning.log.wait("table_refused")["why"] == (
        f"{files.path('banned')}:3: 127.0.0.7/8 has bits beyond its mask; write 127.0.0.0/8")


def test_a_worker_that_takes_the_place_of_a_dead_one_has_the_newest_table(banning: Popgate, files: Files) -> None:
    banning.expect("worker_died")
    mark = banning.log.mark()
    files.put("banned", "127.0.0.3\n")
    wait_replaced(banning, mark)
    before = banning.workers()
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    wait_gone(before)
    banning.wait_workers(2)
    until_it_works(lambda: first_line(banning, "127.0.0.1"))
    assert_all(banning, "127.0.0.3", refused=True)
    assert_all(banning, "127.0.0.2", refused=False)


def test_files_are_watched_after_a_reload_and_after_an_upgrade(banning: Popgate, files: Files) -> None:
    banning.reload()
    replace_and_wait(banning, files, "127.0.0.3")
    mark = banning.log.mark()
    banning.signal(signal.SIGUSR2)
    banning.log.wait("upgrade_done", since=mark)
    replace_and_wait(banning, files, "127.0.0.4")


def replace_and_wait(gate: Popgate, files: Files, address: str) -> None:
    mark = gate.log.mark()
    files.put("banned", f"{address}\n")
    wait_replaced(gate, mark)
    wait_all(gate, address, refused=True)


def test_only_the_tables_in_force_are_kept(banning: Popgate, files: Files) -> None:
    for number in range(3, 6):
        replace_and_wait(banning, files, f"127.0.0.{number}")
    banning.reload_all(json.loads(banning.config_file.read_text()))
    replace_and_wait(banning, files, "127.0.0.6")
    kept = [maps.read_text().count("memfd:popgate-table") for maps in maps_of(banning)]
    assert kept == [1, 1, 1]
    assert usage(banning.pid).descriptors["/memfd:popgate-table (deleted)"] == 3


def maps_of(gate: Popgate) -> list[Path]:
    return [Path(f"/proc/{pid}/maps") for pid in (gate.pid, *gate.workers())]


# databases

def test_a_new_database_is_in_force_without_a_reload(start: Start, files: Files) -> None:
    files.put_database("country.mmdb", "country", "127.0.0.2/32 KP AS\n127.0.0.3/32 DE EU\n")
    files.put_database("asn.mmdb", "asn", "127.0.0.4/32 64511\n")
    gate = start(files.config("deny country KP", "deny asn 64511", "allow continent EU", default="deny",
                              geoip={"country": str(files.path("country.mmdb")), "asn": str(files.path("asn.mmdb"))}))
    assert_all(gate, "127.0.0.2", refused=True)
    assert_all(gate, "127.0.0.3", refused=False)
    assert_all(gate, "127.0.0.4", refused=True)
    mark = gate.log.mark()
    files.put_database("country.mmdb", "country", "127.0.0.2/32 FR EU\n127.0.0.3/32 KP AS\n127.0.0.4/32 SE EU\n")
    wait_replaced(gate, mark)
    wait_all(gate, "127.0.0.2", refused=False)
    wait_all(gate, "127.0.0.3", refused=True)
    assert_all(gate, "127.0.0.4", refused=True)
    mark = gate.log.mark()
    files.put_database("asn.mmdb", "asn", "127.0.0.2/32 64511\n")
    wait_replaced(gate, mark)
    wait_all(gate, "127.0.0.2", refused=True)
    wait_all(gate, "127.0.0.4", refused=False)


def test_a_damaged_database_is_refused_and_the_old_one_stays(start: Start, files: Files) -> None:
    files.put_database("country.mmdb", "country", "127.0.0.2/32 KP AS\n")
    gate = start(files.config("deny country KP", geoip={"country": str(files.path("country.mmdb"))}))
    gate.expect("table_refused")
    whole = files.path("country.mmdb").read_bytes()
    files.path("country.mmdb").write_bytes(whole[:-20])
    assert "country.mmdb: it is no GeoIP database, or cut off" in gate.log.wait("table_refused")["why"]
    mark = gate.log.mark()
    files.put_database("country.mmdb", "asn", "127.0.0.2/32 64511\n")
    assert "GeoLite2-ASN" in gate.log.wait("table_refused", since=mark)["why"]
    assert_all(gate, "127.0.0.2", refused=True)


def test_an_old_database_is_warned_of_and_a_young_one_is_not(start: Start, files: Files) -> None:
    now = int(time.time())
    files.put_database("country.mmdb", "country", "127.0.0.2/32 KP AS\n", built=now - 50 * DAY - 60)
    files.put_database("asn.mmdb", "asn", "127.0.0.2/32 64511\n", built=now - 40 * DAY)
    gate = start(files.config(
        "deny country KP", "deny asn 64511",
        geoip={"country": str(files.path("country.mmdb")), "asn": str(files.path("asn.mmdb")), "max_age": "45d"}))
    gate.expect("geoip_old")
    assert gate.log.wait("geoip_old")["why"].startswith(f"{files.path('country.mmdb')}: it is 50 days old;")
    assert_all(gate, "127.0.0.2", refused=True)
    assert len(gate.log.all("geoip_old")) == 1


# what a configuration cannot start with

def check_refused(files: Files, config: Config, *parts: str) -> None:
    config_file = files.path("popgate.yaml")
    config_file.write_text(json.dumps(config, indent=2))
    result = run_command("check", "-c", str(config_file))
    assert result.returncode == 1
    for part in parts:
        assert part in result.stderr


def test_a_missing_or_bad_file_is_an_error_of_the_configuration(files: Files) -> None:
    files.put("bad", "127.0.0.1\n127.0.0.1/8\n")
    check_refused(files, files.config(f"deny file {files.path('bad')}", f"deny file {files.path('missing')}"),
                  f"{files.path('bad')}:2: ", f"{files.path('missing')}: cannot open it")


def test_a_missing_or_wrong_database_is_an_error_of_the_configuration(files: Files) -> None:
    files.put_database("asn.mmdb", "asn", "127.0.0.2/32 64511\n")
    check_refused(files, files.config("deny country KP", geoip={"country": str(files.path("asn.mmdb"))}),
                  f"{files.path('asn.mmdb')}: no address in it has a country or continent")
    check_refused(files, files.config("deny country KP", geoip={"country": str(files.path("none.mmdb"))}),
                  f"{files.path('none.mmdb')}: cannot open it")


# size

@pytest.mark.skipif(is_sanitized(), reason="AddressSanitizer's own memory is what would be measured")
def test_a_million_prefixes_are_loaded_in_two_seconds_and_shared_by_all_workers(start: Start, files: Files) -> None:
    small = files.config(f"deny file {files.path('banned')}", workers=4)
    files.put("banned", "127.0.0.2\n")
    gate = start(small)
    assert_all(gate, "127.0.0.2", refused=True)
    before = usage(gate.pid).memory
    lines = [f"{16 + number // 62500}.{number // 250 % 250}.{number % 250}.{number % 7 * 32}/27\n"
             for number in range(1_000_000)]
    files.put("banned", "127.0.0.3\n" + "".join(lines))
    mark, began = gate.log.mark(), time.monotonic()
    assert wait_replaced(gate, mark)["ranges"] == 1_000_001
    assert time.monotonic() - began < 2 + 2  # the looks are a second apart
    wait_all(gate, "127.0.0.3", refused=True)
    assert_all(gate, "127.0.0.2", refused=False)
    assert usage(gate.pid).memory - before < 64 * MIB
