"""Supervisor and workers: reload, upgrade, death, draining, and that nothing leaks or is lost over any of them.

Two kinds of clients tell: a load of short sessions, none of which may fail, and long sessions that sit there while
things happen and must still work afterwards.  Which worker holds which session is looked up in /proc, so that after
the death of a worker exactly its sessions are gone.
"""

import contextlib
import datetime
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certs import Certificates
from clients import DEADLINE, Ending, Raw, until_it_works
from load import Load, Lost
from popgate import LISTENERS, Config, Event, Popgate, client_port_of, is_sanitized, program, run_command, site
from proc import Usage, at_rest, connections, holders, state, usage, wait_gone
from stores import USERS, Dovecot

Start = Callable[..., Popgate]

MIB = 1024 * 1024
BERT = ("bert@test.local", USERS["bert@test.local"])
MANY = {"max_connections_per_user": 1000}


@pytest.fixture
def gate(start: Start, certificates: Certificates, dovecot: Dovecot) -> Popgate:
    return start(site(certificates, dovecot.port, defaults=MANY))


@contextlib.contextmanager
def long_sessions(gate: Popgate, number: int) -> Iterator[list[Raw]]:
    """Logged-in sessions that sit there, of all modes."""
    with contextlib.ExitStack() as stack:
        modes = itertools.islice(itertools.cycle(LISTENERS), number)
        clients = [stack.enter_context(gate.connect(mode)) for mode in modes]
        for client in clients:
            client.login(*BERT)
        yield clients


def assert_alive(clients: list[Raw]) -> None:
    for client in clients:
        client.ask(b"NOOP", b"+OK")


def finish(clients: list[Raw]) -> None:
    for client in clients:
        client.ask(b"QUIT", b"+OK")
        client.read_to_end()


def settled(gate: Popgate, workers: int) -> Usage:
    """What the processes hold when no session runs and no worker drains.

    Every worker has served somebody by then: the first session makes a worker hold a little more for good.
    """
    fresh = set(gate.wait_workers(workers))
    for mode in itertools.islice(itertools.cycle(LISTENERS), 1000):
        with gate.connect(mode) as client:
            client.login(*BERT)
            fresh -= set(holders(list(fresh), {client.ports}).values())
            finish([client])
        if not fresh:
            until_it_works(lambda: assert_idle(gate))
            return at_rest(gate.pid)
    raise AssertionError(f"workers {fresh} get no sessions")


def assert_idle(gate: Popgate) -> None:
    """A connection outlives its session's closing line until popgate has heard that the client ended it too."""
    assert not connections(gate.workers())


def assert_nothing_leaked(gate: Popgate, before: Usage, workers: int) -> None:
    settled(gate, workers)
    slack = (64 if is_sanitized() else 2) * MIB
    until_it_works(lambda: usage(gate.pid).assert_as_before(before, slack))


# reload

def test_two_hundred_reloads_under_load_lose_no_session_and_leak_nothing(gate: Popgate) -> None:
    gate.reload()
    before = settled(gate, 2)
    with Load(gate) as load, long_sessions(gate, 6) as clients:
        load.wait_more(10)
        for _reload in range(200):
            gate.reload()
        load.wait_more(10)
        assert_alive(clients)
        finish(clients)
    assert not load.lost
    assert load.done > 50
    assert_nothing_leaked(gate, before, 2)


def test_sessions_of_before_a_reload_go_on_and_new_ones_get_the_new_settings(start: Start, certificates: Certificates,
                                                                            dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, defaults=MANY))
    with long_sessions(gate, 3) as clients:
        gate.reload(site(certificates, dovecot.port, defaults={**MANY, "greeting": "the new one"}))
        until_it_works(lambda: assert_greeting(gate, b"+OK the new one\r\n"))
        assert_alive(clients)
        finish(clients)
    gate.wait_workers(2)


def assert_greeting(gate: Popgate, greeting: bytes) -> None:
    with Raw(gate.port("plain")) as client:
        assert client.read_line() == greeting


def test_a_reload_can_change_listeners_and_the_number_of_workers(start: Start, certificates: Certificates,
                                                                dovecot: Dovecot) -> None:
    config = site(certificates, dovecot.port)
    gate = start(config)
    gone = gate.port("plain")
    config["listeners"]["extra"] = {"bind": ["127.0.0.2:0"], "tls": "none", "login": ["basic"]}
    del config["listeners"]["plain"]
    config["workers"] = 3
    gate.reload(config)
    gate.wait_workers(3)
    with Raw(gate.port("extra"), host="127.0.0.2") as client:
        client.greeting()
        client.login()
    wait_refused(gone)
    with gate.connect("implicit") as client:
        client.login()


def test_changing_the_number_of_workers_under_load_loses_no_session(start: Start, certificates: Certificates,
                                                                   dovecot: Dovecot) -> None:
    config = site(certificates, dovecot.port, defaults=MANY)
    gate = start(config)
    with Load(gate) as load:
        for workers in (4, 1, 3, 2, 5, 1, 2):
            gate.reload({**config, "workers": workers})
            load.wait_more(workers * 4)
    assert not load.lost
    gate.wait_workers(2)


def broken(config: Config, **changes: object) -> Config:
    return {**config, **changes}


@pytest.mark.parametrize(("changes", "wanted"), [
    ({"wrokers": 2}, "workers"),
    ({"workers": "many"}, "workers"),
    ({"certificates": {"localhost": {"chain": "/nowhere.pem", "key": "/nowhere.key"}}}, "/nowhere.pem"),
], ids=["unknown key", "bad value", "missing file"])
def test_a_bad_new_configuration_changes_nothing_and_is_reported_by_line(
        start: Start, certificates: Certificates, dovecot: Dovecot, changes: Config, wanted: str) -> None:
    config = site(certificates, dovecot.port, defaults=MANY)
    gate = start(config)
    gate.expect("reload_refused")
    with long_sessions(gate, 2) as clients:
        workers = gate.workers()
        gate.write(broken(config, **changes))
        gate.signal(signal.SIGHUP)
        why = gate.log.wait("reload_refused")["why"]
        assert f"{gate.config_file}:" in why and wanted in why
        line = int(why.partition(f"{gate.config_file}:")[2].partition(":")[0])
        first = next(iter(changes))
        assert first in "".join(gate.config_file.read_text().splitlines()[max(0, line - 4):line])
        assert gate.workers() == workers
        assert_alive(clients)
        with gate.connect("implicit") as client:
            client.login(*BERT)
            finish([client, *clients])
    gate.reload(config)


def test_a_taken_port_at_reload_changes_nothing(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    config = site(certificates, dovecot.port)
    gate = start(config)
    gate.expect("reload_refused")
    workers = gate.workers()
    with socket.create_server(("127.0.0.1", 0)) as other:
        config["listeners"]["extra"] = {"bind": [f"127.0.0.1:{other.getsockname()[1]}"], "tls": "stls"}
        gate.write(config)
        gate.signal(signal.SIGHUP)
        assert f"127.0.0.1:{other.getsockname()[1]}" in gate.log.wait("reload_refused")["why"]
    assert gate.workers() == workers


# upgrade

def test_twenty_upgrades_under_load_lose_no_session_and_leak_nothing(gate: Popgate) -> None:
    upgrade(gate)
    before, pid = settled(gate, 2), gate.pid
    with Load(gate) as load, long_sessions(gate, 6) as clients:
        load.wait_more(10)
        for _upgrade in range(20):
            upgrade(gate)
        load.wait_more(10)
        assert_alive(clients)
        finish(clients)
    assert not load.lost
    assert load.done > 20
    assert gate.pid == pid and state(pid) not in "XZ"
    assert_nothing_leaked(gate, before, 2)


def upgrade(gate: Popgate) -> None:
    mark = gate.log.mark()
    gate.signal(signal.SIGUSR2)
    gate.log.wait("upgrade_done", since=mark)


def test_limits_are_kept_over_an_upgrade(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, defaults={"max_connections_per_user": 1}))
    with gate.connect("implicit") as first, gate.connect("none") as second:
        first.login(*BERT)
        upgrade(gate)
        second.ask(b"USER " + BERT[0].encode(), b"+OK")
        second.ask(b"PASS " + BERT[1].encode(), b"-ERR [IN-USE] ")
        finish([first])
        until_it_works(lambda: log_in_and_out(gate))


def log_in_and_out(gate: Popgate) -> None:
    with gate.connect("stls") as client:
        client.login(*BERT)
        finish([client])


def test_an_upgrade_with_a_bad_configuration_goes_on_as_before(start: Start, certificates: Certificates,
                                                              dovecot: Dovecot) -> None:
    config = site(certificates, dovecot.port, defaults=MANY)
    gate = start(config)
    gate.expect("upgrade_check", "upgrade_refused")
    with long_sessions(gate, 2) as clients:
        gate.write({**config, "wrokers": 1})
        gate.signal(signal.SIGUSR2)
        assert gate.log.wait("upgrade_refused")["why"].endswith("its check of the configuration ended with status 1")
        assert_alive(clients)
        with gate.connect("implicit") as client:
            client.login(*BERT)
            finish([client, *clients])


# death of a worker

def test_twenty_killed_workers_lose_only_their_own_sessions(start: Start, certificates: Certificates,
                                                           dovecot: Dovecot) -> None:
    """Ten workers, each killed twice: one that dies often would be started ever more slowly."""
    gate = start(site(certificates, dovecot.port, workers=10, defaults=MANY))
    gate.expect("worker_died")
    gate.allow("worker_delayed")
    before = settled(gate, 10)
    with Load(gate) as load:
        for victim in (min(gate.wait_workers(10)) for _kill in range(20)):
            kill_one(gate, victim)
            load.wait_more(2)
    assert not [lost for lost in load.lost if "Refused" in lost.error]
    # A killed worker writes no closing line: what was lost and has one was in another worker.
    closed = gate.log.all("session_closed")
    assert not [(lost, event) for lost in load.lost for event in closed if is_of(event, lost)]
    assert_nothing_leaked(gate, before, 10)


def owners_of(gate: Popgate, clients: list[Raw]) -> dict[tuple[int, int], int]:
    """Client's and listener's port -> worker.  While connections come and go, /proc/net/tcp may leave one out."""
    owners = holders(gate.workers(), {client.ports for client in clients})
    assert len(owners) == len(clients)
    return owners


def is_of(event: Event, lost: Lost) -> bool:
    """Whether a closing line is that session's: ports are used again, and two clients of two listeners may have one."""
    at = datetime.datetime.fromisoformat(event["time"]).timestamp()
    is_same = client_port_of(event) == lost.port and event["listener"] == LISTENERS[lost.mode]
    return is_same and lost.began - 0.01 < at < lost.ended + 0.1


def kill_one(gate: Popgate, victim: int) -> None:
    """Kills a worker, and checks that of a dozen sessions exactly its own are gone."""
    with long_sessions(gate, 12) as clients:
        mark = gate.log.mark()
        owners = until_it_works(lambda: owners_of(gate, clients))
        os.kill(victim, signal.SIGKILL)
        gate.log.wait("worker_died", since=mark, pid=victim, why="was killed by signal 9 (Killed)")
        assert_alive([client for client in clients if owners[client.ports] != victim])
        for client in (client for client in clients if owners[client.ports] == victim):
            client.read_to_end()
            # Without TLS the kernel's FIN for a dead process looks like any other.
            assert client.ending is not Ending.CLEAN or not client.tls


def test_the_places_of_a_killed_workers_sessions_come_back(start: Start, certificates: Certificates,
                                                          dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, workers=1,
                      defaults={"max_connections_per_user": 1, "max_connections": 2, "max_connections_per_ip": 2}))
    gate.expect("worker_died")
    with gate.connect("implicit") as first, gate.connect("implicit"):
        first.login(*BERT)
        os.kill(gate.workers()[0], signal.SIGKILL)
        gate.log.wait("worker_died")
        until_it_works(lambda: log_in_and_out(gate))


def test_workers_that_keep_dying_are_started_ever_more_slowly(start: Start, certificates: Certificates,
                                                             dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, workers=1))
    gate.expect("worker_died", "worker_delayed")
    end = time.monotonic() + DEADLINE
    while not gate.log.all("worker_delayed"):
        assert time.monotonic() < end
        for pid in gate.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    with gate.connect("implicit") as client:
        client.login(*BERT)


def test_a_dead_supervisor_takes_its_workers_along_when_their_sessions_are_over(gate: Popgate) -> None:
    with long_sessions(gate, 2) as clients:
        workers = gate.workers()
        gate.signal(signal.SIGKILL)
        assert_alive(clients)
        finish(clients)
    wait_gone(workers)
    assert gate.wait_gone() == -signal.SIGKILL
    gate.accept_end()


# the end

def test_a_stop_waits_for_running_sessions_and_takes_no_new_ones(gate: Popgate) -> None:
    port = gate.port("plain")
    with long_sessions(gate, 3) as clients:
        gate.signal(signal.SIGTERM)
        gate.log.wait("draining")
        wait_refused(port)
        assert_alive(clients)
        finish(clients)
    assert gate.wait_gone() == 0


def wait_refused(port: int) -> None:
    end = time.monotonic() + DEADLINE
    while True:
        assert time.monotonic() < end, "still accepting"
        try:
            with socket.create_connection(("127.0.0.1", port), DEADLINE):
                time.sleep(0.01)
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            continue  # was in the queue of a socket that is being closed


def test_a_second_signal_ends_at_once(gate: Popgate) -> None:
    with long_sessions(gate, 3) as clients:
        gate.signal(signal.SIGTERM)
        gate.log.wait("draining")
        assert_alive(clients)
        gate.signal(signal.SIGTERM)
        for client in clients:
            client.read_to_end()
        assert gate.wait_gone() == 0
        assert {gate.closed(client.port)["reason"] for client in clients} == {"shutdown"}


def test_a_worker_that_does_not_end_is_killed(gate: Popgate) -> None:
    gate.expect("worker_killed")
    [stuck, *_] = gate.workers()
    os.kill(stuck, signal.SIGSTOP)
    gate.signal(signal.SIGTERM)
    gate.log.wait("draining")
    gate.signal(signal.SIGTERM)
    assert gate.wait_gone() == 0
    assert gate.log.wait("worker_killed")["pid"] == stuck


def test_draining_has_a_deadline(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, drain_timeout="500ms", defaults=MANY))
    gate.expect("drain_over")
    with long_sessions(gate, 2) as clients:
        gate.signal(signal.SIGTERM)
        for client in clients:
            client.read_to_end()
        assert gate.wait_gone() == 0


def test_draining_after_a_reload_has_a_deadline_too(start: Start, certificates: Certificates,
                                                   dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port, drain_timeout="500ms", defaults=MANY))
    gate.expect("drain_over")
    with long_sessions(gate, 2) as clients:
        gate.reload()
        for client in clients:
            client.read_to_end()
    gate.wait_workers(2)


def test_an_interrupt_from_the_keyboard_stops_too(gate: Popgate) -> None:
    gate.signal(signal.SIGINT)
    assert gate.wait_gone() == 0


# the start

def test_a_taken_port_is_reported_with_the_program_that_holds_it(certificates: Certificates, workdir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        config = site(certificates, 1)
        config["listeners"]["pop3"]["bind"] = [f"127.0.0.1:{port}"]
        file = workdir / "popgate.yaml"
        file.write_text(json.dumps(config))
        done = run_command("serve", "-c", str(file))
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr and f"{own_name()}, pid {os.getpid()}" in done.stderr


def own_name() -> str:
    """What the kernel calls the program that runs these tests."""
    return Path("/proc/self/comm").read_text().strip()


def test_workers_are_not_root_and_gain_nothing(gate: Popgate) -> None:
    for pid in gate.workers():
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        assert os.getuid() != 0 or "0" not in fields["Uid"].split()
        assert os.getuid() != 0 or "0" not in fields["Gid"].split()
        assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0
        assert fields["NoNewPrivs"] == "1"
        # The sanitizers' own system calls would not pass the filter.
        assert fields["Seccomp"] == ("0" if is_sanitized() else "2")


# Makes the kernel refuse seccomp(2), and prctl(2) with PR_SET_SECCOMP, and then is the program.
WITHOUT_FILTER = """
import ctypes, os, struct, sys
ALLOW, REFUSE = 0x7fff0000, 0x00050001
rules = [(0x20, 0, 0, 0), (0x15, 4, 0, %d), (0x15, 0, 2, %d), (0x20, 0, 0, 16), (0x15, 1, 0, 22),
         (0x06, 0, 0, ALLOW), (0x06, 0, 0, REFUSE)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
program = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0
os.execv(sys.argv[1], sys.argv[1:])
""" % {"x86_64": (317, 157), "aarch64": (277, 167)}[os.uname().machine]


@pytest.mark.skipif(is_sanitized(), reason="without the filter")
def test_why_a_worker_does_not_start_is_told(certificates: Certificates, dovecot: Dovecot, workdir: Path) -> None:
    file = workdir / "popgate.yaml"
    file.write_text(json.dumps(site(certificates, dovecot.port)))
    done = subprocess.run([sys.executable, "-c", WITHOUT_FILTER, program(), "serve", "-c", str(file)],
                          capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 1
    assert "the kernel refuses the filter of system calls" in done.stderr


def test_a_worker_has_nothing_open_that_it_does_not_need(gate: Popgate) -> None:
    for pid in gate.workers():
        paths = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        assert not [path for path in paths if path.endswith((".pem", ".key", ".yaml"))]
