#!/usr/bin/env python3
"""What a session costs popgate's worker in several configurations, in user mode and in the kernel apart.

    tests/bench/costs.py HARNESS popgate=tests/bench/popgate.sh policy=tests/bench/policy.sh

HARNESS is the folder of the load harness.  All run at once on core 0 and are loaded in turn, many times, so that a
kernel that is slower now than a second ago is so for all.  Printed are medians per session, and of the ratios to the
first one within a round.  Instructions hardly move when others use the machine; cycles do, a little.  Needs perf
(linux-perf).
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

EVENTS = ["instructions:u", "instructions:k", "cycles:u", "cycles:k"]
ADDRESS = "127.42.0.1"
BACKEND_PORT = 29110
FIRST_PORT = 29995  # of TLS; those of STLS are 1000 below
WARM_UP = 50  # sessions before those that popload counts; perf sees them too

Costs = dict[str, float]


@dataclass(frozen=True)
class Target:
    name: str
    port: int
    worker: int


def process_name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text()


def workers(pid: int) -> list[int]:
    """The children that are called as the supervisor is; the process that signs has a name of its own."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if process_name(int(child)) == process_name(pid)]


@contextlib.contextmanager
def backend(harness: Path) -> Iterator[None]:
    sink = subprocess.Popen(["taskset", "-c", "1", harness / "popsink", "--bind", ADDRESS, "--port", str(BACKEND_PORT),
                             "--messages", "3", "--size", "4096"])
    try:
        yield
    finally:
        sink.send_signal(signal.SIGTERM)
        sink.wait()


@contextlib.contextmanager
def target(harness: Path, name: str, script: Path, port: int) -> Iterator[Target]:
    environment = {**os.environ, "BENCH_DIR": str(harness), "ADDR": ADDRESS, "TLS_PORT": str(port),
                   "POP_PORT": str(port - 1000), "BACKEND_PORT": str(BACKEND_PORT)}
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run([script, "start", directory], env=environment, check=True, capture_output=True, text=True)
        try:
            worker, = workers(int(done.stdout))
            yield Target(name, port, worker)
        finally:
            subprocess.run([script, "stop", directory], env=environment, check=True)


def measure(harness: Path, one: Target, mode: str, seconds: float) -> Costs:
    """One load; perf counts what the worker does as long as popload runs."""
    with tempfile.NamedTemporaryFile("r") as counts:
        done = subprocess.run(
            ["perf", "stat", "-x,", "-o", counts.name, "-e", ",".join(EVENTS), "-p", str(one.worker), "--",
             "taskset", "-c", "1", harness / "popload", "--mode", mode, "--seconds", str(seconds), "--host", ADDRESS,
             "--port", str(one.port), "--name", one.name, "--target-pid", str(one.worker), "--source-ips", "16",
             "--warmup", str(WARM_UP)],
            check=True, capture_output=True, text=True)
        rows = [line.split(",") for line in counts if "," in line]
    load = json.loads(done.stdout)
    assert load["errors"] == 0, load
    costs = {row[2]: float(row[0]) / (load["count"] + WARM_UP) / 1000 for row in rows}
    return {"processor time, us": load["cpu_us_per_session"], **{f"{event}, 1000": costs[event] for event in EVENTS}}


def report(names: list[str], rounds: list[list[Costs]]) -> None:
    print(f"{'per session':24}" + "".join(f"{name:>12}" for name in names) + f"{'ratio':>12}")
    for what in rounds[0][0]:
        medians = [statistics.median(each[i][what] for each in rounds) for i in range(len(names))]
        ratios = [statistics.median(each[i][what] / each[0][what] for each in rounds) for i in range(1, len(names))]
        print(f"{what:24}" + "".join(f"{median:12.1f}" for median in medians) +
              "".join(f"{ratio:12.3f}" for ratio in ratios), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(usage="costs.py HARNESS NAME=SCRIPT NAME=SCRIPT...")
    parser.add_argument("harness", type=Path)
    parser.add_argument("scripts", nargs="+", metavar="NAME=SCRIPT")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--modes", nargs="+", default=["session", "handshake"])
    options = parser.parse_args()
    harness = options.harness.resolve()
    with contextlib.ExitStack() as stack:
        stack.enter_context(backend(harness))
        targets = []
        for number, script in enumerate(options.scripts):
            name, _, path = script.partition("=")
            targets.append(stack.enter_context(target(harness, name, Path(path).resolve(), FIRST_PORT + number)))
        time.sleep(0.5)  # the sink and the workers are at rest
        for mode in options.modes:
            print(f"\n{mode}")
            rounds = [[measure(harness, one, mode, options.seconds) for one in targets]
                      for _round in range(options.rounds)]
            report([one.name for one in targets], rounds)


if __name__ == "__main__":
    main()
