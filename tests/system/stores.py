"""POP3 stores for popgate to stand before: two real ones, and one that misbehaves on command.

Dovecot and GNU mailutils run with configuration, mail and ports of their own; nothing of the system's is used.
Neither can bind port 0 and tell the result, so a port is chosen by binding and closing, and the start is tried again
when somebody else was faster.  FakeStore is for what real stores do not do when asked: late greetings, garbage, death
in the middle of a message.  It runs one script (a plain function) in a thread for each connection.
"""

import contextlib
import fcntl
import os
import pwd
import random
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mail
from certs import Certificates
from clients import DEADLINE, PASSWORD, USER

# Other users of the stores: for limits by user, and for tests that change nothing for anna.
USERS = {USER: PASSWORD, "bert@test.local": "bert's own", "carla@test.local": "=*0 \\\"%"}


def free_port() -> int:
    """For a server that has to be told its port.

    None of those that the kernel gives to whoever asks for any: another process of pytest might have it before the server.
    """
    lowest_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(lowest_given // 2, lowest_given)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def mail_owner() -> pwd.struct_passwd:
    """Who owns the mail: nobody, or we ourselves when we are not root."""
    return pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())


def give_away(tree: Path) -> None:
    owner = mail_owner()
    if os.getuid() == 0:
        for path in [tree, *tree.rglob("*")]:
            os.chown(path, owner.pw_uid, owner.pw_gid)


def required(program: str, package: str) -> str:
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    assert path, f"{program} is missing: install the Debian package {package}"
    return path


def greets(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
        return probe.recv(3) == b"+OK"
    return False


class RealStore:
    """A server process with its directory; subclasses say how it is configured and started."""

    package: str
    messages: list[bytes]  # anna's, as they look on the wire

    def __init__(self, directory: Path):
        self.directory = directory
        self.log = directory / "log"
        self.port = 0
        self._process: subprocess.Popen | None = None

    def configure(self) -> list[str]:
        """Writes the configuration for self.port; returns the command that runs the server in the foreground."""
        raise NotImplementedError

    def start(self) -> None:
        for _attempt in range(5):
            self.port = free_port()
            if self._try_start():
                return
        raise AssertionError(f"{type(self).__name__} does not start:\n{self.read_log()}")

    def restart(self) -> None:
        """Starts again on the port that it had."""
        assert self._try_start(), f"{type(self).__name__} does not start again:\n{self.read_log()}"

    def _try_start(self) -> bool:
        command = self.configure()
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             start_new_session=True)
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end and self._process.poll() is None:
            if greets(self.port):
                return True
            time.sleep(0.02)
        self.stop()
        return False

    def _signal_all(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._signal_all(signal.SIGKILL)
            self._process.wait()
        self._signal_all(signal.SIGKILL)
        self._process = None

    def kill(self) -> None:
        """Ends every process of the store at once, as a crash of its machine would."""
        self._signal_all(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def mark(self) -> int:
        """A place in the store's log, to look only at what comes after it."""
        return self.log.stat().st_size

    def wait_logged(self, pattern: str, *, since: int = 0) -> str:
        """Waits for a line of the store's log that matches the regular expression; returns the match."""
        end = time.monotonic() + DEADLINE
        while not (match := re.search(pattern.encode(), self.log.read_bytes()[since:])):
            assert time.monotonic() < end, f"{pattern!r} is not in the log:\n{self.read_log()}"
            time.sleep(0.02)
        return match[0].decode()

    def read_log(self) -> str:
        return self.log.read_text(errors="replace")[-8000:] if self.log.exists() else ""


class Dovecot(RealStore):
    """Dovecot with a Maildir for each user; plain POP3 with STLS on `port`, implicit TLS on `tls_port`."""

    package = "dovecot-pop3d"

    def __init__(self, directory: Path, certificates: Certificates, messages: list[bytes]):
        super().__init__(directory)
        self._certificates = certificates
        self.messages = [mail.on_the_wire(message) for message in messages]
        self.tls_port = 0
        for user in USERS:
            mail.fill_maildir(directory / "mail" / user, messages if user == USER else messages[:3])
        give_away(directory / "mail")
        (directory / "users").write_text("".join(f"{user}:{{PLAIN}}{password}\n" for user, password in USERS.items()))

    def more(self) -> str:
        """What a subclass has in its configuration beyond, or instead of, what stands here."""
        return ""

    def configure(self) -> list[str]:
        program = required("dovecot", self.package)
        owner, here = mail_owner(), self.directory
        self.tls_port = self.tls_port or free_port()
        accounts = "" if os.getuid() == 0 else (
            f"default_login_user = {owner.pw_name}\ndefault_internal_user = {owner.pw_name}\n"
            f"default_internal_group = {os.getgid()}\nservice pop3-login {{\n  chroot =\n}}\n")
        (here / "dovecot.conf").write_text(f"""
protocols = pop3
listen = 127.0.0.1
base_dir = {here}/run
state_dir = {here}/state
log_path = {self.log}
{accounts}
ssl = yes
ssl_cert = <{self._certificates.chain("store")}
ssl_key = <{self._certificates.key("store")}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
login_trusted_networks = 127.0.0.1
mail_location = maildir:{here}/mail/%u
mail_max_userip_connections = 10000
maildir_very_dirty_syncs = yes
pop3_no_flag_updates = yes
default_process_limit = 2000
default_client_limit = 10000
passdb {{
  driver = passwd-file
  args = {here}/users
}}
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={here}/mail/%u allow_all_users=yes
}}
first_valid_uid = 1
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service pop3-login {{
  service_count = 0
  process_min_avail = 1
  process_limit = 1
  vsz_limit = 1G
  inet_listener pop3 {{
    port = {self.port}
  }}
  inet_listener pop3s {{
    port = {self.tls_port}
    ssl = yes
  }}
}}
service pop3 {{
  service_count = 0
  client_limit = 1
}}
{self.more()}
""")
        return [program, "-F", "-c", str(here / "dovecot.conf")]


class Mailutils(RealStore):
    """GNU mailutils' pop3d with one Maildir.  A message that has no empty line at all, it serves as an empty one."""

    package = "mailutils-pop3d"

    def __init__(self, directory: Path, messages: list[bytes]):
        super().__init__(directory)
        self.messages = [mail.on_the_wire(message) if b"\n\n" in message else b"\r\n" for message in messages]
        user, domain = USER.split("@")
        home, owner = directory / "mail" / user, mail_owner()
        mail.fill_maildir(home / "INBOX", messages)
        give_away(directory / "mail")
        for name in ("domains", "locks"):
            (directory / name).mkdir()
        (directory / "locks").chmod(0o1777)
        openssl = subprocess.run([required("openssl", "openssl"), "passwd", "-6", "-stdin"], input=PASSWORD,
                                 capture_output=True, text=True, check=True)
        (directory / "domains" / domain).write_text(
            f"{user}:{openssl.stdout.strip()}:{owner.pw_uid}:{owner.pw_gid}:Anna:{home}:/bin/false\n")

    def configure(self) -> list[str]:
        program = required("pop3d", self.package)
        (self.directory / "pop3d.conf").write_text(f"""
logging {{ syslog no; }};
mailbox {{ mailbox-type maildir; mail-spool "{self.directory}/mail"; }};
auth {{ authentication generic; authorization virtdomain; }};
virtdomain {{ passwd-dir "{self.directory}/domains"; }};
mandatory-locking {{ enable yes; lock-directory "{self.directory}/locks"; }};
tcp-wrappers {{ enable no; }};
undelete no;
pidfile "{self.directory}/pid";
mode daemon; foreground yes; max-children 100;
server 127.0.0.1:{self.port} {{ single-process no; }};
""")
        return [program, "--no-config", f"--config-file={self.directory}/pop3d.conf"]


class Peer:
    """The fake store's end of one connection."""

    def __init__(self, connection: socket.socket):
        self.socket = connection
        self.received = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        """The next line without its CR LF; empty at the end of the client's direction."""
        while b"\r\n" not in self.received:
            data = self.socket.recv(65536)
            if not data:
                rest, self.received = self.received, b""
                return rest
            self.received += data
        line, self.received = self.received.split(b"\r\n", 1)
        return line

    def to_end(self) -> bytes:
        """Everything up to the end of the client's direction."""
        while data := self.socket.recv(65536):
            self.received += data
        rest, self.received = self.received, b""
        return rest

    def login(self, greeting: bytes = b"+OK fake store\r\n") -> None:
        """A store's usual part up to the +OK for the password."""
        self.send(greeting)
        assert self.line().upper().startswith(b"USER ")
        self.send(b"+OK\r\n")
        assert self.line().upper().startswith(b"PASS ")
        self.send(b"+OK logged in\r\n")

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def end_tls(self) -> None:
        """Sends TLS's close_notify and does not wait for the other side's."""
        self.socket.settimeout(0)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.socket.unwrap()

    def wait_delivered(self) -> None:
        """Waits until the other side's kernel has all that was sent, so that a reset cannot overtake it."""
        end = time.monotonic() + DEADLINE
        while fcntl.ioctl(self.socket, termios.TIOCOUTQ, bytes(4)) != bytes(4):
            assert time.monotonic() < end, "what was sent is not taken"
            time.sleep(0.001)

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Script = Callable[[Peer], None]


class FakeStore:
    """Listens on a port of its own and plays one script for each connection, all at the same time."""

    def __init__(self, script: Script, *, port: int = 0, send_buffer: int | None = None):
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        if send_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._peers: set[Peer] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            connection.settimeout(DEADLINE * 2)
            peer = Peer(connection)
            with self._lock:
                self.connections += 1
                self._peers.add(peer)
                self._threads.append(threading.Thread(target=self._play, args=(peer,), daemon=True))
                self._threads[-1].start()

    def _play(self, peer: Peer) -> None:
        # A script ends early when popgate hangs up on it; the tests look at popgate's side.
        with contextlib.suppress(OSError, AssertionError):
            self._script(peer)
        with contextlib.suppress(OSError):
            peer.socket.close()
        with self._lock:
            self._peers.discard(peer)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            peers, threads = list(self._peers), list(self._threads)
        for peer in peers:
            with contextlib.suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(DEADLINE)


@contextlib.contextmanager
def fake_store(script: Script, **options: int) -> Iterator[FakeStore]:
    store = FakeStore(script, **options)
    try:
        yield store
    finally:
        store.close()


def serve_logged_in(peer: Peer, messages: list[bytes]) -> None:
    """A small but proper store's part after the login."""
    while command := peer.line().upper().split():
        if command[0] == b"QUIT":
            peer.send(b"+OK bye\r\n")
            return
        if command[0] == b"RETR":
            peer.send(b"+OK\r\n" + mail.stuffed(messages[int(command[1]) - 1]))
        elif command[0] == b"STAT":
            peer.send(b"+OK %d %d\r\n" % (len(messages), sum(map(len, messages))))
        elif command == [b"LIST"]:
            sizes = (b"%d %d\r\n" % (number, len(message)) for number, message in enumerate(messages, 1))
            peer.send(b"+OK\r\n" + b"".join(sizes) + b".\r\n")
        else:
            peer.send(b"+OK\r\n")


def serve_mailbox(messages: list[bytes], login: Script = Peer.login) -> Script:
    """The script of a small but proper store that takes any password, or who comes through the login given."""

    def script(peer: Peer) -> None:
        login(peer)
        serve_logged_in(peer, messages)

    return script
