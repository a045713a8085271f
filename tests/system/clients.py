"""POP3 clients: the real ones (curl, fetchmail, poplib) and one that sends exact bytes.

Real clients show that mail programs are served.  `Raw` is for what no well-behaved client does: halves of lines,
several commands in one segment, a connection closed in one direction.  Over TLS it works on memory buffers
(ssl.MemoryBIO), because Python's SSLSocket cannot end its own direction and read on.  Every wait has a deadline.
"""

import base64
import contextlib
import enum
import os
import poplib
import re
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

DEADLINE = 15.0

T = TypeVar("T")

# poplib refuses long lines by default; the mailbox has some on purpose.
poplib._MAXLINE = 1 << 22

USER = "anna@test.local"
PASSWORD = "pass word with  blanks"


def plain_response(user: str = USER, password: str = PASSWORD) -> bytes:
    """The message of SASL PLAIN in base64."""
    return base64.b64encode(f"\0{user}\0{password}".encode())


class Ending(enum.Enum):
    """How a connection ended, as its reader saw it."""

    CLEAN = "FIN, after close_notify when there was TLS"
    TRUNCATED = "FIN without close_notify inside TLS"
    RESET = "RST"


class Raw:
    """A connection on which every byte is the test's own."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None, *, host: str = "127.0.0.1",
                 receive_buffer: int | None = None, source: str | None = None, preface: bytes = b"",
                 name: str | None = "localhost"):
        """`source` is the address to come from; `preface` goes out in one piece with the first bytes of TLS; `name` is
        the host that TLS asks for."""
        self.name = name
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.settimeout(DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.tls: ssl.SSLObject | None = None
        self.buffer = b""
        self.ending: Ending | None = None
        try:
            if source:
                self.socket.bind((source, 0))
            self._connect((host, port))
            # Our own port, by which popgate's log names this connection.
            self.port: int = self.socket.getsockname()[1]
            # Two clients may have one port, towards different listeners.
            self.ports: tuple[int, int] = (self.port, port)
            if context:
                self.start_tls(context, preface=preface)
            elif preface:
                self.socket.sendall(preface)
        except BaseException:
            self.socket.close()
            raise

    def _connect(self, address: tuple[str, int]) -> None:
        """Connects; on loopback a reset of the accepted connection can be quicker than connect(2) returns."""
        try:
            self.socket.connect(address)
        except ConnectionResetError:
            self.ending = Ending.RESET

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.socket.close()

    # TLS

    def start_tls(self, context: ssl.SSLContext, session: ssl.SSLSession | None = None, *,
                  preface: bytes = b"") -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._outgoing.write(preface)
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=self.name, session=session)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                data = self.socket.recv(65536)
                if not data:
                    raise ConnectionError("the connection ended during the TLS handshake") from None
                self._incoming.write(data)
            except ssl.SSLError:
                self._flush()
                raise
        self._flush()
        self.tls = tls
        # The greeting may have come in one piece with the end of the handshake.
        self._decrypt()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.socket.sendall(self._outgoing.read())

    def stls(self, context: ssl.SSLContext) -> None:
        self.ask(b"STLS", b"+OK")
        assert not self.buffer
        self.start_tls(context)

    # sending

    def send(self, data: bytes) -> None:
        if not self.tls:
            self.socket.sendall(data)
            return
        self.tls.write(data)
        self._flush()

    def send_raw(self, data: bytes) -> None:
        """Past TLS, straight on the wire."""
        self.socket.sendall(data)

    def half_close(self) -> None:
        """Ends our direction properly; the other one goes on."""
        if self.tls:
            try:
                self.tls.unwrap()
            except ssl.SSLWantReadError:
                pass  # our close_notify is written, theirs is still to come
            self._flush()
        self._send_fin()

    def half_close_without_notify(self) -> None:
        """Ends our direction as many programs do: FIN, and no word in TLS."""
        self._send_fin()

    def _send_fin(self) -> None:
        # The peer may have reset the connection already; reading will tell.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # receiving

    def _more(self) -> bool:
        """Reads once into the buffer; False when nothing more will come."""
        if self.ending:
            return False
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            self.ending = Ending.RESET
            return False
        if not self.tls:
            self.buffer += data
            self.ending = None if data else Ending.CLEAN
            return bool(data)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        self._decrypt()
        if not data and not self.ending:
            self.ending = Ending.TRUNCATED
        return not self.ending

    def _decrypt(self) -> None:
        parts = [self.buffer]
        try:
            while part := self.tls.read(1 << 18):
                parts.append(part)
            self.ending = Ending.CLEAN
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ending = Ending.CLEAN
        except ssl.SSLError as error:
            if not isinstance(error, ssl.SSLEOFError) and error.reason != "UNEXPECTED_EOF_WHILE_READING":
                raise
            self.ending = Ending.TRUNCATED
        self.buffer = b"".join(parts)

    def read_until(self, pattern: bytes, *, deadline: float = DEADLINE) -> bytes:
        """Everything up to the end of the first match of the regular expression."""
        end = time.monotonic() + deadline
        compiled = re.compile(pattern, re.DOTALL | re.MULTILINE)
        while not (match := compiled.search(self.buffer)):
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                alive = self._more()
            except TimeoutError:
                raise AssertionError(f"no {pattern!r} in time; so far {self.buffer[-500:]!r}") from None
            assert alive or compiled.search(self.buffer), \
                f"the connection ended ({self.ending}) before {pattern!r}; got {self.buffer[-500:]!r}"
        taken, self.buffer = self.buffer[:match.end()], self.buffer[match.end():]
        return taken

    def read_line(self) -> bytes:
        return self.read_until(rb"\r\n")

    def read_list(self) -> bytes:
        """A multi-line answer, status line included; for a refusal only that line."""
        status = self.read_line()
        if not status.startswith(b"+OK"):
            return status
        if self.buffer.startswith(b".\r\n") or not self.buffer:
            return status + self.read_until(rb"(\A|\r\n)\.\r\n")
        return status + self.read_until(rb"\r\n\.\r\n")

    def read_to_end(self, *, deadline: float = DEADLINE) -> bytes:
        """Everything up to the end of the connection; `ending` then says how that was."""
        end = time.monotonic() + deadline
        while not self.ending:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                self._more()
            except TimeoutError:
                raise AssertionError(f"the connection did not end; so far {self.buffer[-500:]!r}") from None
        taken, self.buffer = self.buffer, b""
        return taken

    def skip(self, size: int) -> int:
        """Reads and forgets at least so many bytes; returns how many it were."""
        got = 0
        while True:
            got += len(self.buffer)
            self.buffer = b""
            if got >= size:
                return got
            self.socket.settimeout(DEADLINE)
            assert self._more() or self.buffer, f"the connection ended ({self.ending}) after {got} bytes"

    # dialogue

    def ask(self, command: bytes, expected: bytes = b"") -> bytes:
        """Sends a command line, returns the first line of the answer, which must start as expected."""
        self.send(command + b"\r\n")
        answer = self.read_line()
        assert answer.startswith(expected), f"{command[:60]!r}: {answer!r}"
        return answer

    def greeting(self) -> bytes:
        line = self.read_line()
        assert line.startswith(b"+OK"), line
        return line

    def login(self, user: str = USER, password: str = PASSWORD) -> None:
        self.ask(f"USER {user}".encode(), b"+OK")
        self.ask(f"PASS {password}".encode(), b"+OK")

    def capabilities(self) -> set[str]:
        self.send(b"CAPA\r\n")
        lines = self.read_list().decode().split("\r\n")
        assert lines[0].startswith("+OK"), lines
        return set(lines[1:-2])


def until_it_works(action: Callable[[], T]) -> T:
    """Repeats what becomes possible a moment after the log has announced it, such as a place that is given back."""
    end = time.monotonic() + DEADLINE / 3
    while True:
        try:
            return action()
        except (AssertionError, OSError):
            if time.monotonic() > end:
                raise
        time.sleep(0.01)


# real clients

def run(command: list[str], **options: object) -> subprocess.CompletedProcess:
    """Runs a real client to its end; what it said is in the failure."""
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, **options)
    assert done.returncode == 0, \
        f"{command[0]} ended with {done.returncode}: {done.stdout[-2000:]!r} {done.stderr[-2000:]!r}"
    return done


def fetch_with_poplib(port: int, mode: str, context: ssl.SSLContext, count: int, directory: Path) -> list[bytes]:
    del directory
    if mode == "implicit":
        connection = poplib.POP3_SSL("localhost", port, context=context, timeout=DEADLINE)
    else:
        connection = poplib.POP3("localhost", port, timeout=DEADLINE)
    try:
        if mode == "stls":
            connection.stls(context)
        connection.user(USER)
        connection.pass_(PASSWORD)
        assert connection.stat()[0] == count
        return [b"".join(line + b"\r\n" for line in connection.retr(number)[1]) for number in range(1, count + 1)]
    finally:
        connection.quit()


def quoted(text: str) -> str:
    """As the settings of curl and fetchmail want it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def fetch_with_curl(port: int, mode: str, ca: str, count: int, directory: Path, *, user: str = USER,
                    password: str = PASSWORD, ntlm: bool = False) -> list[bytes]:
    scheme = "pop3s" if mode == "implicit" else "pop3"
    config = directory / "curlrc"
    config.write_text(f"user = {quoted(f'{user}:{password}')}\n")
    run(["curl", "--silent", "--show-error", "--config", str(config), "--cacert", ca, "--ipv4",
         *(["--ssl-reqd"] if mode == "stls" else []), *(["--login-options", "AUTH=NTLM"] if ntlm else []),
         f"{scheme}://localhost:{port}/[1-{count}]", "--output", str(directory / "#1")])
    return [(directory / str(number)).read_bytes() for number in range(1, count + 1)]


def fetch_with_fetchmail(port: int, mode: str, ca: str, count: int, directory: Path, *, user: str = USER,
                         password: str = PASSWORD, ntlm: bool = False) -> list[bytes]:
    """Messages as fetchmail delivers them: with LF, some edited or left out (see mail.delivered_by_fetchmail)."""
    del count
    delivered, end = directory / "delivered", b"-- end of message --\n"
    security = {"implicit": "ssl", "stls": 'sslproto "TLS1.2+"', "none": 'sslproto ""'}[mode]
    verify = f'sslcertck sslcertfile "{ca}" sslcommonname "localhost"' if mode != "none" else ""
    settings = directory / "fetchmailrc"
    method = "auth ntlm" if ntlm else ""
    settings.write_text(f'poll localhost via 127.0.0.1 proto POP3 {method} service "{port}" timeout 15\n'
                        f'user {quoted(user)} password {quoted(password)} {security} {verify}\n'
                        f'fetchall keep no rewrite no mimedecode pass8bits no dropstatus\n'
                        f'mda "(cat; echo \'{end.decode().strip()}\') >> {delivered}"\n')
    settings.chmod(0o600)
    run(["fetchmail", "--silent", "--nosyslog", "--invisible", "--fetchmailrc", str(settings),
         "--pidfile", str(directory / "pid")],
        env={**os.environ, "FETCHMAILHOME": str(directory), "LC_ALL": "C"})
    return delivered.read_bytes().split(end)[:-1]


SCHEMES = {"implicit": "pop3s", "stls": "pop3", "none": "pop3"}


def curl_by_ntlm(port: int, mode: str, ca: str, user: str, password: str,
                 directory: Path) -> subprocess.CompletedProcess[bytes]:
    """curl logs in by NTLM and fetches the second message, which is in stdout; it may fail."""
    config = directory / "curlrc"
    quoted = f"{user}:{password}".replace("\\", "\\\\").replace('"', '\\"')
    config.write_text(f'user = "{quoted}"\n')
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--config", str(config), "--cacert", ca, "--ipv4",
         *(["--ssl-reqd"] if mode == "stls" else []), "--login-options", "AUTH=NTLM",
         f"{SCHEMES[mode]}://localhost:{port}/2"], capture_output=True, timeout=60, check=False)


def fetchmail_by_ntlm(port: int, mode: str, ca: str, user: str, password: str,
                      directory: Path) -> tuple[subprocess.CompletedProcess[bytes], bytes]:
    """fetchmail logs in by NTLMv1 and fetches everything, which is the second part; it may fail."""
    security = {"implicit": "ssl", "stls": 'sslproto "TLS1.2+"', "none": 'sslproto ""'}[mode]
    verify = f'sslcertck sslcertfile "{ca}" sslcommonname "localhost"' if mode != "none" else ""
    settings, delivered = directory / "fetchmailrc", directory / "delivered"
    settings.write_text(f'poll localhost via 127.0.0.1 proto POP3 auth ntlm service "{port}" timeout 15\n'
                        f'user "{user}" password "{password}" {security} {verify}\n'
                        f'fetchall keep no rewrite no mimedecode pass8bits no dropstatus mda "cat >> {delivered}"\n')
    settings.chmod(0o600)
    done = subprocess.run(["fetchmail", "--silent", "--nosyslog", "--fetchmailrc", str(settings), "--pidfile",
                           str(directory / "pid")], capture_output=True, timeout=60, check=False,
                          env={**os.environ, "FETCHMAILHOME": str(directory), "LC_ALL": "C"})
    return done, delivered.read_bytes() if delivered.exists() else b""
