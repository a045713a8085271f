"""A steady load of whole sessions, to see that none is lost while popgate is reloaded, upgraded or hurt.

Each thread does one session after the other: connect, TLS, log in, fetch, quit.  A session that did not go to its
end is kept with all that is known about it.
"""

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from clients import Raw
from popgate import MODES, Popgate


@dataclass(frozen=True)
class Lost:
    """A session that did not go to its end; times are those of the clock that the log shows."""

    mode: str
    port: int | None
    began: float
    ended: float
    step: str
    error: str


class Load:
    """Sessions from several threads until the `with` block ends; of bert, unless somebody else is to log in."""

    def __init__(self, gate: Popgate, *, threads: int = 4, log_in: Callable[[Raw], None] | None = None):
        self._gate = gate
        self._log_in = log_in or (lambda client: client.login("bert@test.local", "bert's own"))
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.done = 0
        self.lost: list[Lost] = []
        self._threads = [threading.Thread(target=self._work, args=(MODES[number % len(MODES)],), daemon=True)
                         for number in range(threads)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def wait_more(self, sessions: int) -> None:
        """Waits until so many more sessions have gone to their end."""
        goal, end = self.done + sessions, time.monotonic() + 30
        while self.done < goal:
            assert time.monotonic() < end, f"the load does not go on: {self.lost[-3:]}"
            time.sleep(0.002)

    def _work(self, mode: str) -> None:
        while not self._stopping.is_set():
            lost = self._visit(mode)
            with self._lock:
                if lost:
                    self.lost.append(lost)
                else:
                    self.done += 1

    def _visit(self, mode: str) -> Lost | None:
        port, step, began = None, "connect", time.time()
        try:
            with self._gate.connect(mode) as client:
                port, step = client.port, "log in"
                self._log_in(client)
                step = "fetch"
                client.ask(b"STAT", b"+OK 3 ")
                client.send(b"RETR 3\r\n")
                client.read_list()
                step = "quit"
                client.ask(b"QUIT", b"+OK")
                client.read_to_end()
        except (OSError, AssertionError, ssl.SSLError) as error:
            return Lost(mode, port, began, time.time(), step, repr(error))
        return None
