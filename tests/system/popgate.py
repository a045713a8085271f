"""The program under test: one running popgate, its log and its processes.

Everything binds port 0; the ports are learnt from the `listening` lines of the log.  A test waits for log events with
a deadline and never for time.  Whatever popgate logs as a warning or an error must have been declared by the test
with `expect`, and what was declared must come: an unexpected complaint fails the test, and so does any report of a
sanitizer.  The program's path is in the environment variable POPGATE.
"""

import contextlib
import functools
import json
import os
import pty
import select
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import proc
from certs import Certificates
from clients import DEADLINE, Raw

Config = dict[str, Any]
Event = dict[str, Any]

# The listeners of `site` by what they are called in tests' parameters.
LISTENERS = {"implicit": "pop3s", "stls": "pop3", "none": "plain"}
MODES = list(LISTENERS)

# What popgate may say while this process is busy with something else, before it begins to drop lines: as much as anybody
# may ask of a pipe.
LOG_ROOM = 1024 * 1024

SANITIZER_WORDS = ("ERROR: AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")

SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=2:malloc_context_size=8",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def program() -> str:
    """The binary's absolute path."""
    default = Path(__file__).resolve().parents[2] / "bazel-bin" / "proxy" / "popgate"
    path = os.environ.get("POPGATE", str(default))
    assert os.access(path, os.X_OK), f"no program at {path}: build it, or say in POPGATE where it is"
    return path


@functools.cache
def is_sanitized() -> bool:
    """Whether the binary was built with AddressSanitizer, whose own memory makes numbers larger."""
    return b"__asan_init" in Path(program()).read_bytes()


def run_command(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a popgate command that ends by itself."""
    return subprocess.run([program(), *arguments], cwd=cwd, capture_output=True, text=True, timeout=DEADLINE,
                          check=False, env={**os.environ, **SANITIZER_OPTIONS})


class Terminal:
    """A popgate command with a terminal of its own."""

    def __init__(self, *arguments: str, cwd: Path | None = None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it, and so would this
            os.chdir(cwd or ".")
            os.execve(program(), ["popgate", *arguments], {**os.environ, **SANITIZER_OPTIONS})
        self.shown = ""

    def wait_for(self, words: str) -> None:
        end = time.monotonic() + DEADLINE
        while words not in self.shown:
            self.shown += self._read(end).decode()

    def _read(self, end: float) -> bytes:
        poll = select.poll()  # unlike select(), it takes any descriptor
        poll.register(self.fd, select.POLLIN)
        assert poll.poll(max(0.0, end - time.monotonic()) * 1000), f"only {self.shown!r} was shown"
        return os.read(self.fd, 1024)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def end(self) -> int:
        """Waits for the end; the exit status, negative for a signal."""
        end = time.monotonic() + DEADLINE
        with contextlib.suppress(OSError):  # the other end of the terminal is closed
            while piece := self._read(end):
                self.shown += piece.decode()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def site(certificates: Certificates, port: int, *, backend: Config | None = None, defaults: Config | None = None,
         **top: Any) -> Config:
    """A configuration with one backend and three listeners: pop3s, pop3 (STLS) and plain (no TLS, login basic).

    Failed logins are answered nearly at once; what they cost by default is for the tests of penalties.
    """
    return {
        "workers": 2,
        "drain_timeout": "10s",
        "log": {"target": "stderr", "format": "json"},
        "certificates": {"localhost": {"chain": certificates.chain("edge"), "key": certificates.key("edge")}},
        "backends": {"store": {"servers": [f"127.0.0.1:{port}"], "tls": "none", **(backend or {})}},
        "defaults": {"backend": "store", "login_delay": "5ms", **(defaults or {})},
        "listeners": {
            "pop3s": {"bind": ["127.0.0.1:0"], "tls": "implicit"},
            "pop3": {"bind": ["127.0.0.1:0"], "tls": "stls"},
            "plain": {"bind": ["127.0.0.1:0"], "tls": "none", "login": ["basic"]},
        },
        **top,
    }


class Log:
    """The events that popgate writes, read in a thread of their own."""

    def __init__(self, stream: Any):
        self.events: list[Event] = []
        self.noise: list[str] = []
        self.ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: Any) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    self._take(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def _take(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if isinstance(event, dict) and "event" in event:
            self.events.append(event)
        else:
            self.noise.append(line)

    def mark(self) -> int:
        """A place in the log, to look only at what comes after it."""
        with self._changed:
            return len(self.events)

    def wait_until(self, condition: Callable[[list[Event]], Any], what: str, deadline: float = DEADLINE) -> Any:
        """Waits until the condition on all events is true; returns its value."""
        end = time.monotonic() + deadline
        with self._changed:
            while not (value := condition(self.events)):
                if self.ended or not self._changed.wait(end - time.monotonic()):
                    raise AssertionError(f"the log never had {what}")
            return value

    def wait_ended(self) -> None:
        self._thread.join(DEADLINE)

    def all(self, token: str, *, since: int = 0, **fields: Any) -> list[Event]:
        with self._changed:
            return matching(self.events[since:], token, fields)

    def wait(self, token: str, *, since: int = 0, count: int = 1, deadline: float = DEADLINE, **fields: Any) -> Event:
        """Waits for `count` events with the token and these fields; returns the last of them."""
        def found(events: list[Event]) -> Event | None:
            matches = matching(events[since:], token, fields)
            return matches[count - 1] if len(matches) >= count else None
        return self.wait_until(found, f"{count} x {token} {fields}", deadline)


def matching(events: list[Event], token: str, fields: Config) -> list[Event]:
    return [event for event in events
            if event["event"] == token and all(event.get(name) == value for name, value in fields.items())]


class Popgate:
    """A `popgate serve` process."""

    def __init__(self, directory: Path, config: Config, context: ssl.SSLContext):
        self.directory = directory
        self.context = context
        self.config_file = directory / "popgate.yaml"
        self.expected: list[str] = []
        self.allowed = ["winbind_exposed"]  # tests run workers as nobody
        self._end_accepted = False
        self.write(config)
        self._process = subprocess.Popen(
            [program(), "serve", "-c", str(self.config_file)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, pipesize=LOG_ROOM, text=True, errors="replace", start_new_session=True,
            env={**os.environ, **SANITIZER_OPTIONS})
        self.pid = self._process.pid
        self.log = Log(self._process.stderr)

    def write(self, config: Config) -> None:
        """Writes the configuration file: JSON is YAML too."""
        self.config_file.write_text(json.dumps(config, indent=2) + "\n")

    def wait_ready(self) -> None:
        self.log.wait("ready")

    def expect(self, *tokens: str) -> None:
        """Declares warnings or errors that this test provokes."""
        self.expected.extend(tokens)

    def allow(self, *tokens: str) -> None:
        """Declares warnings or errors that may come or not, depending on how fast things go."""
        self.allowed.extend(tokens)

    def port(self, listener: str) -> int:
        """The port that a listener's first address got."""
        return int(self.log.wait("listening", listener=listener)["address"].rpartition(":")[2])

    def connect(self, mode: str, **options: Any) -> Raw:
        """A greeted connection: implicit TLS, after STLS, or no TLS (see `site`)."""
        client = Raw(self.port(LISTENERS[mode]), self.context if mode == "implicit" else None, **options)
        client.greeting()
        if mode == "stls":
            client.stls(self.context)
        return client

    def workers(self) -> list[int]:
        return [pid for pid in proc.children(self.pid) if proc.name(pid) == proc.name(self.pid)]

    def helpers(self) -> list[int]:
        """Those that ask winbind for workers; unlike those of the probe they complain to nobody."""
        return [pid for pid in proc.children(self.pid)
                if proc.name(pid) == "ntlm_auth" and proc.descriptor(pid, 2) == "/dev/null"]

    def wait_helpers(self, count: int) -> list[int]:
        end = time.monotonic() + DEADLINE
        while len(helpers := self.helpers()) != count:
            assert time.monotonic() < end, f"{len(helpers)} helpers, {count} expected"
            time.sleep(0.01)
        return helpers

    def wait_workers(self, count: int) -> list[int]:
        """Waits until exactly this many workers run; drained ones leave without a line at the usual log level."""
        end = time.monotonic() + DEADLINE
        while len(workers := self.workers()) != count:
            assert time.monotonic() < end, f"{len(workers)} workers, {count} expected"
            time.sleep(0.01)
        return workers

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def reload(self, config: Config | None = None) -> None:
        if config is not None:
            self.write(config)
        mark = self.log.mark()
        self.signal(signal.SIGHUP)
        self.log.wait("reload_done", since=mark)

    def reload_all(self, config: Config) -> None:
        """Reloads and waits until the workers of before are gone, which needs that they have no sessions."""
        before = self.workers()
        self.reload(config)
        proc.wait_gone(before)

    def closed(self, client_port: int) -> Event:
        """The closing line of the session of a client, named by its own port."""
        return self.log.wait_until(
            lambda events: next((event for event in matching(events, "session_closed", {})
                                 if client_port_of(event) == client_port), None),
            f"session_closed for port {client_port}")

    # the end

    def accept_end(self) -> None:
        """Says that this popgate has ended as the test wanted, though not in good order."""
        self._end_accepted = True

    def stop(self) -> None:
        """Ends popgate in good order and complains about whatever was not in order."""
        if self._end_accepted:
            self.check_log()
            return
        if self._process.poll() is None:
            self._process.terminate()
        self.wait_gone()
        assert self._process.returncode == 0, f"popgate ended with {self._process.returncode}"
        assert self.log.all("stopped"), "popgate did not say that it stopped"
        self.check_log()

    def wait_gone(self) -> int:
        """Waits for the end of the supervisor and everything it started; returns the exit status."""
        try:
            self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError("popgate does not stop") from None
        self.log.wait_ended()
        return self._process.returncode

    def check_log(self) -> None:
        complaints = [event for event in self.log.events if event["level"] in ("warn", "error")]
        unexpected = [event for event in complaints if event["event"] not in self.expected + self.allowed]
        assert not unexpected, f"unexpected in the log: {unexpected}"
        missing = set(self.expected) - {event["event"] for event in complaints}
        assert not missing, f"expected in the log, but not there: {missing}"
        assert not self.log.noise, "not a log line: " + "\n".join(self.log.noise)

    def kill(self) -> None:
        """Ends whatever is left, for the end of a failed test."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self.log.wait_ended()

    def report(self) -> str:
        lines = [json.dumps(event) for event in self.log.events[-200:]] + self.log.noise[-200:]
        return "\n".join(lines)

    def sanitizer_reports(self) -> list[str]:
        return [line for line in self.log.noise if any(word in line for word in SANITIZER_WORDS)]


def client_port_of(event: Event) -> int:
    return int(event["client"].rpartition(":")[2])
