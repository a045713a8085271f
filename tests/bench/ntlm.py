#!/usr/bin/env python3
"""What NTLM costs: how long logins take under a steady load, processor time beside USER and PASS, and winbind's pace.

    bazel build //proxy:popgate //tests/bench:login_load //tests/bench:quick_store
    tests/bench/ntlm.py load                500 logins a second by users.db, TLS handshakes included, on one core
    tests/bench/ntlm.py costs               processor time of sessions that log in one way or another; needs perf
    tests/bench/ntlm.py winbind             logins a second through 1, 2 and 4 helpers of a Samba domain, beside what as
                                            many helpers do that are asked directly; needs root, winbind and samba

popgate's one worker has core 0 to itself; the clients (login_load.c) and the store (quick_store.c), which takes every
login at once, have core 1.  Where times are measured, all three go before whatever else runs on the machine (SCHED_FIFO),
if the kernel permits it.  `load` ends with 1 when 1 of 100 logins takes more than 20 ms, `costs` when a session by NTLM
costs more than 1.3 times one by USER and PASS.  Where winbind is measured, everything has all cores: what a core does
for the domain controller and the clients, it does not do for popgate, and the column `cores` tells when none is left.
"""

import argparse
import base64
import contextlib
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

import samba
from certs import make_certificates
from costs import EVENTS, Costs, report
from ntlm_client import Client, buffer_at, challenge_of
from popgate import Config, program
from proc import children, name as process_name

PROGRAMS = HERE.parents[1] / "bazel-bin" / "tests" / "bench"
GATE_CORE, CLIENT_CORE = "0", "1"
EVERYWHERE = "0-1023"

USERS = 100_000  # as login_load.c has it
PASSWORD, MASTER_PASSWORD = "S\u00e9same 1", "all mine"

HELPERS = (1, 2, 4)
AT_ONCE = 8  # sessions for each, so that it never waits for one

WANTED_MS = 20.0  # 99 of 100 logins
WANTED_RATIO = 1.3

# What is compared by `costs`: listener and mechanism; the first is what the others are compared with.
WAYS = {
    "pass": ("judged-by-store", "pass"),
    "pass-users": ("users-master", "pass"),
    "ntlm-master": ("users-master", "ntlm"),
    "ntlm-stored": ("users-stored", "ntlm"),
    "ntlm-ir": ("users-master", "ntlm-ir"),
}


@dataclass(frozen=True)
class Gate:
    """A popgate that runs."""

    pid: int
    worker: int
    ports: dict[str, int]


def start(core: str, *command: str | Path, **options: Any) -> subprocess.Popen:
    return subprocess.Popen(["taskset", "-c", core, *command], text=True, **options)


def go_first(*pids: int) -> None:
    """From now on these go before others, for times that are not the other programs'."""
    for pid in pids:
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(10))


@contextlib.contextmanager
def ended(process: subprocess.Popen) -> Iterator[None]:
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextlib.contextmanager
def store() -> Iterator[int]:
    """The store's port."""
    process = start(CLIENT_CORE, PROGRAMS / "quick_store", stdout=subprocess.PIPE)
    assert process.stdout
    with ended(process), process.stdout:
        yield int(process.stdout.readline())


def wait_logged(log: Path, token: str) -> list[dict[str, Any]]:
    """All events of the log once it has this one."""
    end = time.monotonic() + 20
    while True:
        events = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
        if any(event["event"] == token for event in events):
            return events
        assert time.monotonic() < end, f"popgate does not say {token}:\n{log.read_text()}"
        time.sleep(0.02)


@contextlib.contextmanager
def gate(directory: Path, config: Config, core: str = GATE_CORE, token: str = "ready") -> Iterator[Gate]:
    """A popgate with one worker, whose log is a file."""
    file, log = directory / "popgate.conf", directory / "popgate.log"
    file.write_text(json.dumps({**config, "workers": 1, "log": {"target": "stderr", "format": "json"}}))
    with open(log, "w") as stream:
        process = start(core, program(), "serve", "-c", file, stderr=stream)
    with ended(process):
        events = wait_logged(log, token)
        ports = {event["listener"]: int(event["address"].rpartition(":")[2])
                 for event in events if event["event"] == "listening"}
        worker, = (pid for pid in children(process.pid) if process_name(pid) == process_name(process.pid))
        yield Gate(process.pid, worker, ports)


def make_users(directory: Path, config: Config) -> None:
    """users.db with USERS users, each with a password for the store."""
    file = directory / "users.conf"
    file.write_text(json.dumps(config))
    rows = "".join(f"user{number:05},{PASSWORD},sesame\n" for number in range(USERS))
    subprocess.run([program(), "user", "import", "-", "-c", file], input="name,password,backend_password\n" + rows,
                   text=True, check=True, stdout=subprocess.DEVNULL)


def config_of(directory: Path, store_port: int) -> Config:
    """Listeners: of NTLM and of passwords judged by users.db, and one whose passwords the store judges."""
    certificates = make_certificates(directory)
    master = directory / "master"
    master.write_text(f"{MASTER_PASSWORD}\n")
    master.chmod(0o600)
    servers = {"servers": [f"127.0.0.1:{store_port}"], "tls": "none"}
    listener = {"bind": ["127.0.0.1:0"], "tls": "implicit", "login": ["basic", "ntlm"], "verify": ["users"]}
    return {
        "certificates": {"localhost": {"chain": certificates.chain("edge"), "key": certificates.key("edge")}},
        "backends": {
            "pass": servers,
            "stored": {**servers, "login": "stored"},
            "master": {**servers, "login": "master", "master_user": "boss",
                       "master_password_file": str(master)},
        },
        "users": {"database": str(directory / "users.db"), "key": str(directory / "users.key")},
        "listeners": {
            "judged-by-store": {**listener, "verify": ["backend"], "login": ["basic"], "backend": "pass"},
            "users-master": {**listener, "backend": "master"},
            "users-stored": {**listener, "backend": "stored"},
        },
    }


@contextlib.contextmanager
def gate_with_users(directory: Path) -> Iterator[Gate]:
    with store() as store_port:
        config = config_of(directory, store_port)
        make_users(directory, config)
        with gate(directory, config) as one:
            yield one


def load_command(port: int, mechanism: str, load: str, seconds: float, *, tls: str = "tls", name: str = "user#",
                 password: str = PASSWORD) -> list[str]:
    return [str(PROGRAMS / "login_load"), str(port), tls, mechanism, name, password, load, str(seconds)]


def outcome(process: subprocess.Popen) -> dict[str, Any]:
    """What login_load says at its end."""
    output, _ = process.communicate()
    result = json.loads(output)
    assert not result["failed"], result
    return result


def waited(pid: int) -> float:
    """Seconds that it could have run, but others did."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def processor_time(pid: int) -> tuple[float, float]:
    """Seconds in user mode and in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


# ---- a steady load ---------------------------------------------------------------------------------------------------


def load_steadily(one: Gate, rate: int, seconds: float) -> dict[str, Any]:
    command = load_command(one.ports["users-master"], "ntlm", f"{rate}/s", seconds)
    process = start(CLIENT_CORE, *command, stdout=subprocess.PIPE)
    go_first(one.worker, *children(os.getpid()))
    return outcome(process)


def measure_load(options: argparse.Namespace, directory: Path) -> int:
    with gate_with_users(directory) as one:
        load_steadily(one, options.rate, 1)
        before, waited_before = processor_time(one.worker), waited(one.worker)
        result = load_steadily(one, options.rate, options.seconds)
        user, kernel = (b - a for a, b in zip(before, processor_time(one.worker)))
        wait = waited(one.worker) - waited_before
    seconds, logins = result["seconds"], result["logins"]
    print(f"{logins} logins in {seconds:.1f} s, {logins / options.seconds:.0f} a second")
    print(f"{'milliseconds':34}{'median':>10}{'99 %':>10}{'largest':>10}")
    for what, times in (("from AUTH to +OK", "login"), ("from the connection to +OK", "whole")):
        print(f"{what:34}" + "".join(f"{ms:10.2f}" for ms in result[times]))
    print(f"{'worker, share of its core':34}{(user + kernel) / seconds:10.2f}{wait / seconds:10.2f} more waiting for it")
    print(f"{'worker, us for each session':34}{1e6 * user / logins:10.0f} user mode,{1e6 * kernel / logins:6.0f} kernel")
    print(f"{'clients, share of theirs':34}{result['processor'] / seconds:10.2f}")
    return int(result["login"][1] > WANTED_MS)


# ---- what sessions cost ----------------------------------------------------------------------------------------------


def measure_cost(one: Gate, listener: str, mechanism: str, seconds: float) -> Costs:
    """One load; perf counts what the worker does as long as it runs."""
    before = Path(f"/proc/{one.worker}/schedstat").read_text()
    command = load_command(one.ports[listener], mechanism, "8", seconds)
    with tempfile.NamedTemporaryFile("r") as counts:
        result = outcome(start(CLIENT_CORE, "perf", "stat", "-x,", "-o", counts.name, "-e", ",".join(EVENTS),
                               "-p", str(one.worker), "--", *command, stdout=subprocess.PIPE))
        rows = [line.split(",") for line in counts if "," in line]
    after = Path(f"/proc/{one.worker}/schedstat").read_text()
    spent = int(after.split()[0]) - int(before.split()[0])
    costs = {row[2]: float(row[0]) / result["logins"] / 1000 for row in rows}
    return {"processor time, us": spent / result["logins"] / 1000,
            **{f"{event}, 1000": costs[event] for event in EVENTS}}


def measure_costs(options: argparse.Namespace, directory: Path) -> int:
    with gate_with_users(directory) as one:
        for way in WAYS.values():
            measure_cost(one, *way, 0.5)
        rounds = [[measure_cost(one, *way, options.seconds) for way in WAYS.values()]
                  for _round in range(options.rounds)]
    report(list(WAYS), rounds)
    what = "processor time, us"
    ratio = statistics.median(costs[list(WAYS).index("ntlm-master")][what] / costs[0][what] for costs in rounds)
    return int(ratio > WANTED_RATIO)


# ---- winbind ---------------------------------------------------------------------------------------------------------


Pace = tuple[float, float]  # logins a second, and the cores that all our processes took


def question(user: str) -> bytes:
    """An NTLM login as a helper is asked about it."""
    challenge = challenge_of("MAIL")
    message = Client(user, samba.USERS[user], samba.DOMAIN, has_mic=False).authenticate(challenge)
    name, domain = (base64.b64encode(text.encode()).decode() for text in (user, samba.DOMAIN))
    return (f"LANMAN-Challenge: {challenge[24:32].hex()}\nNT-Response: {buffer_at(message, 20).hex()}\n"
            f"Username:: {name}\nNT-Domain:: {domain}\nRequest-User-Session-Key: Yes\n.\n").encode()


class Helper:
    """ntlm_auth, asked directly and without a pause."""

    def __init__(self, controller: samba.Samba, line: bytes):
        self._process = subprocess.Popen([*controller.ntlm_auth, "--helper-protocol=ntlm-server-1"],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin and self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._line, self._heard = line, b""
        self._stdin.write(line)

    def fileno(self) -> int:
        return self._stdout.fileno()

    def hear(self) -> int:
        """How many answers are there now, 0 or 1, and it must be a yes; asks again."""
        self._heard += self._stdout.read(4096)
        if not self._heard.endswith(b".\n"):
            return 0
        assert self._heard.startswith(b"Authenticated: Yes\n"), self._heard
        self._heard = b""
        self._stdin.write(self._line)
        return 1

    def end(self) -> None:
        self._stdin.close()
        self._process.wait()
        self._stdout.close()


def family(pid: int) -> list[int]:
    """The process, and all that descend from it."""
    return [pid, *(each for child in children(pid) for each in family(child))]


class Cores:
    """How many cores all processes of ours take, those that are there from now on."""

    def __init__(self) -> None:
        self._began, self._spent = time.monotonic(), self._read()

    @staticmethod
    def _read() -> dict[int, float]:
        return {pid: int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9 for pid in family(os.getpid())}

    def used(self, more: float = 0) -> float:
        """Since then; `more` are seconds of one that is gone."""
        now = self._read()
        return (more + sum(now[pid] - spent for pid, spent in self._spent.items())) / (time.monotonic() - self._began)


def pace_of_helpers(controller: samba.Samba, number: int, seconds: float) -> Pace:
    """When so many are asked directly."""
    line = question("alice")
    helpers, done = [Helper(controller, line) for _helper in range(number)], 0
    for helper in helpers:
        while not helper.hear():  # it has begun
            pass
    cores, began = Cores(), time.monotonic()
    while time.monotonic() < began + seconds:
        done += sum(helper.hear() for helper in select.select(helpers, [], [])[0])
    pace = done / (time.monotonic() - began), cores.used()
    for helper in helpers:
        helper.end()
    return pace


def pace_of_popgate(one: Gate, number: int, seconds: float) -> Pace:
    """Through popgate, with always some waiting for each helper."""
    command = load_command(one.ports["clear"], "ntlm", str(AT_ONCE * number), seconds, tls="clear",
                           name=f"{samba.DOMAIN}\\alice", password=samba.USERS["alice"])
    cores = Cores()
    result = outcome(start(EVERYWHERE, *command, stdout=subprocess.PIPE))
    return result["logins"] / result["seconds"], cores.used(result["processor"])


def winbind_config(directory: Path, controller: samba.Samba, store_port: int, number: int) -> Config:
    config = config_of(directory, store_port)
    clear = {**config["listeners"]["users-master"], "tls": "none", "verify": ["winbind"],
             "max_connections_per_user": 1000}
    return {**{name: config[name] for name in ("certificates", "backends")}, "listeners": {"clear": clear},
            "winbind": controller.section(helpers=number)}


@contextlib.contextmanager
def gates_with_helpers(directory: Path, controller: samba.Samba) -> Iterator[dict[int, Gate]]:
    """A popgate for each number of helpers."""
    with store() as store_port, contextlib.ExitStack() as stack:
        gates = {}
        for number in HELPERS:
            here = directory / str(number)
            here.mkdir(mode=0o755)
            config = winbind_config(here, controller, store_port, number)
            gates[number] = stack.enter_context(gate(here, config, EVERYWHERE, "winbind_ready"))
        yield gates


Ways = dict[int, tuple[Pace, Pace]]  # by number of helpers: directly, by popgate


def report_paces(rounds: list[Ways]) -> None:
    most = os.cpu_count() or 1
    print(f"{'logins a second':18}{'directly':>12}{'cores':>8}{'by popgate':>14}{'cores':>8}{'of directly':>14}"
          f"{f'of one alone, times {most} at most':>34}")
    for number in HELPERS:
        row = [statistics.median(each[number][way][what] for each in rounds) for way in (0, 1) for what in (0, 1)]
        of_directly = statistics.median(each[number][1][0] / each[number][0][0] for each in rounds)
        of_one = statistics.median(each[number][1][0] / each[1][0][0] / min(number, most) for each in rounds)
        print(f"{f'helpers: {number}':18}{row[0]:12.0f}{row[1]:8.2f}{row[2]:14.0f}{row[3]:8.2f}"
              f"{of_directly:14.2f}{of_one:34.2f}", flush=True)


def measure_winbind(options: argparse.Namespace, directory: Path) -> int:
    controller = samba.make_samba(directory / "samba", connections=max(HELPERS))
    try:
        with gates_with_helpers(directory, controller) as gates:
            go_first(*family(os.getpid()))
            rounds = [{number: (pace_of_helpers(controller, number, options.seconds),
                                pace_of_popgate(gates[number], number, options.seconds)) for number in HELPERS}
                      for _round in range(options.rounds)]
    finally:
        controller.end()
    report_paces(rounds)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(required=True)
    for name, function, seconds, rounds in (("load", measure_load, 20, 1), ("costs", measure_costs, 0.5, 20),
                                            ("winbind", measure_winbind, 1, 5)):
        one = what.add_parser(name)
        one.set_defaults(measure=function)
        one.add_argument("--seconds", type=float, default=seconds)
        one.add_argument("--rounds", type=int, default=rounds)
        one.add_argument("--rate", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="popgate-bench-") as scratch:
        os.chmod(scratch, 0o755)
        return options.measure(options, Path(scratch))


if __name__ == "__main__":
    sys.exit(main())
