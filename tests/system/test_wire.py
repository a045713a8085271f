"""What can be read from outside: bytes on the wire, the libraries in the process, the lines of the log.

The wire is looked at by a tap, a small forwarder that stands in the connection and keeps every byte.  It sees exactly
what a sniffer would, needs no privilege, and cannot miss packets.
"""

import base64
import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from certs import Certificates
from clients import DEADLINE, PASSWORD, USER, Raw, plain_response
from popgate import LISTENERS, Popgate, program, site
from proc import wait_gone
from stores import Dovecot, required

Start = Callable[..., Popgate]


class Tap:
    """Forwards one connection to a port of 127.0.0.1 and keeps what passes, each way."""

    def __init__(self, target: int):
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.out = bytearray()
        self.back = bytearray()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        near, _address = self._listener.accept()
        with near, socket.create_connection(("127.0.0.1", self._target), DEADLINE) as far:
            near.settimeout(DEADLINE)
            back = threading.Thread(target=self._pump, args=(far, near, self.back), daemon=True)
            back.start()
            self._pump(near, far, self.out)
            back.join(DEADLINE)

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
        try:
            while data := source.recv(65536):
                kept += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            sink.close()

    def __enter__(self) -> "Tap":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._listener.close()
        self._thread.join(DEADLINE)


def readable(wire: bytes) -> list[str]:
    """Which of the session's secrets stand in the bytes, plainly or in base64."""
    secrets = {"user": USER, "password": PASSWORD, "message": "Subject: message 10"}
    found = [name for name, text in secrets.items()
             if text.encode() in wire or base64.b64encode(text.encode())[:-4] in wire]
    return found + ["response"] * (plain_response() in wire)


def whole_session(client: Raw) -> None:
    client.ask(b"AUTH PLAIN " + plain_response(), b"+OK")
    client.send(b"RETR 10\r\n")
    assert b"Subject: message 10" in client.read_list()
    client.ask(b"QUIT", b"+OK")
    client.read_to_end()


@pytest.mark.parametrize("mode", ["implicit", "stls"])
def test_nothing_is_readable_on_the_clients_wire_under_tls(before_dovecot: Popgate, mode: str) -> None:
    gate = before_dovecot
    with Tap(gate.port(LISTENERS[mode])) as tap:
        with Raw(tap.port, gate.context if mode == "implicit" else None) as client:
            client.greeting()
            if mode == "stls":
                client.stls(gate.context)
            whole_session(client)
    assert len(tap.back) > 2_000_000
    assert not readable(bytes(tap.out)) and not readable(bytes(tap.back))
    assert (b"STLS" in tap.out) == (mode == "stls")


def test_the_look_at_the_wire_sees_what_is_not_hidden(before_dovecot: Popgate) -> None:
    with Tap(before_dovecot.port("plain")) as tap:
        with Raw(tap.port) as client:
            client.greeting()
            whole_session(client)
    assert readable(bytes(tap.out)) == ["response"]
    assert readable(bytes(tap.back)) == ["user", "message"]


@pytest.mark.parametrize("tls", ["stls", "tls"])
def test_nothing_is_readable_on_the_stores_wire_under_tls(start: Start, certificates: Certificates, dovecot: Dovecot,
                                                          tls: str) -> None:
    with Tap(dovecot.tls_port if tls == "tls" else dovecot.port) as tap:
        gate = start(site(certificates, tap.port,
                          backend={"tls": tls, "ca": certificates.chain("ca"), "verify_name": "store.test"}))
        with gate.connect("implicit") as client:
            whole_session(client)
    assert len(tap.back) > 2_000_000
    assert not readable(bytes(tap.out)) and not readable(bytes(tap.back))


# the process

def output_of(*command: str) -> str:
    return subprocess.run([required(command[0], "binutils or libc-bin"), *command[1:]], capture_output=True, text=True,
                          check=True, timeout=DEADLINE).stdout


def test_no_openssl_is_linked() -> None:
    libraries = output_of("ldd", program())
    assert "libc.so" in libraries
    assert not re.search(r"libssl|libcrypto|libgnutls-openssl", libraries)


def test_no_openssl_is_in_the_running_processes(before_dovecot: Popgate) -> None:
    with before_dovecot.connect("implicit") as client:
        client.login()
        for pid in (before_dovecot.pid, *before_dovecot.workers()):
            mapped = Path(f"/proc/{pid}/maps").read_text()
            assert not re.search(r"libssl|libcrypto", mapped)


def test_no_tls_symbols_are_shared_with_other_libraries() -> None:
    names = [line.split()[-1] for line in output_of("nm", "-D", "--defined-only", program()).splitlines()]
    assert not [name for name in names if re.match(r"(OPENSSL|SSL|EVP|X509|CRYPTO|BIO|ERR)_", name)]


def test_the_binary_is_hardened() -> None:
    header = output_of("readelf", "-hW", program())
    dynamic = output_of("readelf", "-dW", program())
    segments = output_of("readelf", "-lW", program())
    assert re.search(r"Type:\s+DYN", header), "not position independent"
    assert "BIND_NOW" in dynamic or re.search(r"FLAGS.*NOW", dynamic)
    assert "GNU_RELRO" in segments
    assert not re.search(r"GNU_STACK.*E\s", segments)


# the log

def test_the_closing_line_tells_the_whole_session(before_dovecot: Popgate) -> None:
    with before_dovecot.connect("implicit") as client:
        client.ask(b"AUTH PLAIN " + plain_response(password="wrong"), b"-ERR")
        whole_session(client)
        event = before_dovecot.closed(client.port)
    assert event["level"] == "info"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
    assert event["client"] == f"127.0.0.1:{client.port}" and event["listener"] == "pop3s"
    assert event["tls"] == "TLSv1.3" and event["cipher"]
    assert event["mechanism"] == "PLAIN" and event["user"] == USER and event["failed_logins"] == 1
    assert event["backend"] == "store" and event["server"].startswith("127.0.0.1:")
    assert event["bytes_from_store"] > 2_000_000 and event["bytes_to_store"] == len(b"RETR 10\r\nQUIT\r\n")
    assert event["bytes_out"] > event["bytes_from_store"] and event["bytes_in"] > event["bytes_to_store"]
    assert (event["phase"], event["reason"]) == ("relay", "done")
    assert isinstance(event["ms"], int)


def test_every_session_has_exactly_one_closing_line_and_a_name_of_its_own(before_dovecot: Popgate) -> None:
    ports = []
    for mode in list(LISTENERS) * 5:
        with before_dovecot.connect(mode) as client:
            client.ask(b"QUIT", b"+OK")
            client.read_to_end()
            ports.append(client.port)
            before_dovecot.closed(client.port)
    events = before_dovecot.log.all("session_closed")
    assert len(events) == len(ports) and len({event["session"] for event in events}) == len(ports)


def test_a_name_full_of_tricks_cannot_forge_a_line(before_dovecot: Popgate) -> None:
    name = '","event":"ready\xe4\\"'.encode("latin-1")
    with before_dovecot.connect("implicit") as client:
        client.ask(b"USER " + name, b"+OK")
        client.ask(b"PASS x", b"-ERR")
        client.ask(b"QUIT", b"+OK")
        assert before_dovecot.closed(client.port)["user"].encode("latin-1") == name
    assert len(before_dovecot.log.all("ready")) == 1


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_log_can_go_to_a_file(start: Start, certificates: Certificates, dovecot: Dovecot, workdir: Path,
                                  log_format: str) -> None:
    file = workdir / "popgate.log"
    config = site(certificates, dovecot.port)
    gate = start(config)
    before = gate.workers()
    gate.write({**config, "log": {"target": str(file), "format": log_format}})
    gate.signal(signal.SIGHUP)
    wait_for_line(file, "reload_done")
    wait_gone(before)
    with gate.connect("none") as client:
        client.login()
        client.ask(b"QUIT", b"+OK")
        client.read_to_end()
    line = wait_for_line(file, "session_closed")
    gate.reload(config)
    assert line.isascii() and file.read_text().count("session_closed") == 1
    if log_format == "json":
        assert json.loads(line)["user"] == USER
    else:
        assert re.match(r"\S+Z info session_closed session=[0-9a-f]{16} client=127\.0\.0\.1:\d+ listener=plain ", line)
        assert f" user={USER} " in line and " reason=done" in line


def wait_for_line(file: Path, word: str) -> str:
    end = time.monotonic() + DEADLINE
    while not (lines := [line for line in read_if_there(file).splitlines() if word in line]):
        assert time.monotonic() < end, f"{word} never came: {read_if_there(file)}"
        time.sleep(0.01)
    return lines[0]


def read_if_there(file: Path) -> str:
    return file.read_text() if file.exists() else ""
