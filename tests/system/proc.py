"""What /proc tells about processes: children, descriptors, memory, and which process holds a connection.

Read directly, because these tests compare exact numbers before and after and must see every process of a tree.
"""

import contextlib
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from clients import DEADLINE, until_it_works


def children(pid: int) -> list[int]:
    """Pids of the children that still run (the dead ones that wait to be collected are left out)."""
    try:
        pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [int(child) for child in pids if state(int(child)) not in "ZX"]


def state(pid: int) -> str:
    """One letter as ps shows it; X for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def name(pid: int) -> str:
    """What it executes, cut to 15 letters; nothing for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def status(pid: int) -> dict[str, list[str]]:
    """The words of each line of its status, by the line's name."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.partition(":")[0]: line.partition(":")[2].split() for line in lines}


def wait_gone(pids: list[int]) -> None:
    """Waits until none of them runs."""
    end = time.monotonic() + DEADLINE
    while running := [pid for pid in pids if state(pid) not in "XZ"]:
        assert time.monotonic() < end, f"processes {running} do not end"
        time.sleep(0.01)


def descriptors(pid: int) -> list[str]:
    """What the process has open, sorted; sockets and pipes without their numbers."""
    names = []
    for entry in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            names.append(os.readlink(entry.path).partition(":[")[0])
    return sorted(names)


def descriptor(pid: int, number: int) -> str:
    """What one of them is; nothing when there is none."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{number}").partition(":[")[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def proportional_size(pid: int) -> int:
    """Memory of the process in bytes, shared pages divided among those who share them (PSS).

    Without those of files: whoever else runs the same program or libraries shares them, and gives them back by ending.
    """
    sizes = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return sum(int(sizes[name].split()[0]) * 1024 for name in ("Pss_Anon", "Pss_Shmem"))


def memory(pid: int) -> bytes:
    """What it can write to."""
    pieces = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for line in maps:
            span, rights = line.split()[:2]
            start, end = (int(number, 16) for number in span.split("-"))
            if rights.startswith("rw") and end - start < 1 << 30:
                file.seek(start)
                pieces.append(file.read(end - start))
    return b"".join(pieces)


@dataclass(frozen=True)
class Usage:
    """What a tree of processes holds."""

    processes: int
    descriptors: Counter[str]
    memory: int

    def assert_as_before(self, before: "Usage", memory: int) -> None:
        assert (self.processes, self.descriptors) == (before.processes, before.descriptors)
        assert self.memory - before.memory < memory


def usage(root: int) -> Usage:
    pids = [root, *children(root)]
    names = Counter(name for pid in pids for name in descriptors(pid))
    return Usage(len(pids), names, sum(proportional_size(pid) for pid in pids))


def at_rest(root: int) -> Usage:
    """When no key is being judged or handed over, which opens it once more, and no former process with keys is left."""
    return until_it_works(lambda: _usage_at_rest(root))


def _usage_at_rest(root: int) -> Usage:
    found = usage(root)
    assert not [key for key, number in found.descriptors.items() if key.endswith(".key") and number > 1]
    assert [name(pid) for pid in children(root)].count("popgate-keys") <= 1
    return found


def _sockets(clients: set[tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """The other side's sockets of loopback IPv4 connections, each with the client's and the listener's port."""
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        listener, client = (int(field.rpartition(":")[2], 16) for field in fields[1:3])
        if (client, listener) in clients and fields[9] != "0":
            found[f"socket:[{fields[9]}]"] = (client, listener)
    return found


def holders(pids: list[int], clients: set[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Which of the processes holds the server's side of each client's connection: client's and listener's port -> pid."""
    sockets, found = _sockets(clients), {}
    for pid in pids:
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                if ports := sockets.get(os.readlink(entry.path)):
                    found[ports] = pid
    return found


def _idle_sockets() -> set[str]:
    """Sockets that listen, and those between processes of this machine."""
    unix = [line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {f"socket:[{inode}]" for inode in [*unix, *(row[9] for row in rows if row[3] == "0A")]}


def connections(pids: list[int]) -> list[str]:
    """Other sockets that the processes hold.

    No table has a connection that both sides have ended, though the process may not have heard of it, nor closed it.
    """
    idle = _idle_sockets()
    links = {os.readlink(entry.path) for pid in pids for entry in os.scandir(f"/proc/{pid}/fd")}
    return sorted(link for link in links - idle if link.startswith("socket:"))
