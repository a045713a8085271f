"""OCSP for the tests: an authority with its responder (the openssl program), responders that lie, clients that look.

The authority's index is openssl's: a line for each certificate, V for a good one and R for one that was revoked.
`faketime` makes responses of the past.
"""

import contextlib
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from certs import make_authority, openssl
from clients import DEADLINE
from popgate import Config
from stores import free_port, required

NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1\n"


@dataclass(frozen=True)
class Leaf:
    """A certificate that popgate serves, with its issuer behind it in the chain."""

    name: str
    serial: int
    directory: Path

    @property
    def chain(self) -> Path:
        return self.directory / f"{self.name}-chain.pem"

    def config(self, **options: str) -> Config:
        return {"chain": str(self.chain), "key": str(self.directory / f"{self.name}.key"), **options}


class Authority:
    """Issues certificates, says what it thinks of them, and keeps them in its index."""

    def __init__(self, directory: Path):
        directory.mkdir()
        self.directory = directory
        self.certificate = directory / "ca.pem"
        # What certificates to come say of their responder.
        self.url = f"http://127.0.0.1:{free_port()}/"
        self._lines: dict[Leaf, str] = {}
        make_authority(directory, "ca")
        self._write_index()

    def issue(self, name: str, key: str = "ec", *, more: str = "") -> Leaf:
        """`more` are lines for its extensions."""
        leaf = Leaf(name, 0x1000 + len(self._lines), self.directory)
        extensions = NAMES + more + (f"authorityInfoAccess=OCSP;URI:{self.url}\n" if self.url else "")
        (self.directory / f"{name}.ext").write_text(extensions)
        size = "ec_paramgen_curve:P-256" if key == "ec" else "rsa_keygen_bits:2048"
        openssl(self.directory, "req", "-new", "-newkey", key, "-pkeyopt", size, "-nodes",
                "-subj", "/CN=localhost", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl(self.directory, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-days", "90", "-set_serial", hex(leaf.serial), "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        leaf.chain.write_text((self.directory / f"{name}.pem").read_text() + self.certificate.read_text())
        self._lines[leaf] = "V\t301231235959Z\t\t"
        self._write_index()
        return leaf

    def revoke(self, leaf: Leaf) -> None:
        self._lines[leaf] = "R\t301231235959Z\t260101000000Z,keyCompromise\t"
        self._write_index()

    def _write_index(self) -> None:
        lines = [f"{state}{leaf.serial:04X}\tunknown\t/CN={leaf.name}\n" for leaf, state in self._lines.items()]
        (self.directory / "index.txt").write_text("".join(lines))

    def response(self, leaf: Leaf, *, minutes: int = 60, shift: int = 0) -> bytes:
        """What the authority says of a certificate now, or would have said `shift` seconds ago."""
        ask = ["openssl", "ocsp", "-issuer", "ca.pem", "-cert", f"{leaf.name}.pem", "-no_nonce", "-reqout", "request"]
        answer = ["openssl", "ocsp", "-index", "index.txt", "-CA", "ca.pem", "-rsigner", "ca.pem", "-rkey", "ca.key",
                  "-reqin", "request", "-nmin", str(minutes), "-respout", "response"]
        then = [required("faketime", "faketime"), "-f", f"{-shift:+}s"] if shift else []
        for command in (ask, then + answer):
            subprocess.run(command, cwd=self.directory, check=True, capture_output=True, timeout=DEADLINE)
        return (self.directory / "response").read_bytes()


@contextlib.contextmanager
def real_responder(authority: Authority) -> Iterator[None]:
    """`openssl ocsp` where the authority's certificates say it is; it knows those that there are by now."""
    process = subprocess.Popen(
        ["openssl", "ocsp", "-port", authority.url.rpartition(":")[2].rstrip("/"), "-index", "index.txt",
         "-CA", "ca.pem", "-rsigner", "ca.pem", "-rkey", "ca.key", "-nmin", "60"],
        cwd=authority.directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        line = process.stderr.readline()
        assert "waiting for OCSP client connections" in line, f"openssl ocsp says {line!r}"
        yield
    finally:
        process.kill()
        process.communicate()


Script = Callable[[BaseHTTPRequestHandler, bytes], None]


def answering(body: bytes, *, status: int = 200, **headers: str) -> Script:
    def answer(handler: BaseHTTPRequestHandler, _request: bytes) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Type", "application/ocsp-response")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        with contextlib.suppress(OSError):
            handler.wfile.write(body)
    return answer


class FakeResponder:
    """Says whatever its script says; the script may be changed."""

    def __init__(self, script: Script):
        self.script = script
        self.requests: list[bytes] = []
        self.paths: list[str] = []
        self.asked = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append(request)
                outer.paths.append(self.path)
                assert self.headers["Content-Type"] == "application/ocsp-request"
                outer.asked.set()
                outer.script(self, request)

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/said"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(DEADLINE)


@contextlib.contextmanager
def fake_responder(script: Script) -> Iterator[FakeResponder]:
    responder = FakeResponder(script)
    try:
        yield responder
    finally:
        responder.close()


# clients

def openssl_status(port: int, authority: Authority, *options: str) -> str:
    """What `openssl s_client -status` says of the staple: the status of the certificate, or "none"."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-status", "-CAfile", str(authority.certificate),
         "-verify_return_error", *options],
        input="", capture_output=True, text=True, timeout=DEADLINE, check=True)
    if "OCSP response: no response sent" in done.stdout:
        return "none"
    assert "OCSP Response Status: successful" in done.stdout
    found = re.search(r"Cert Status: (\w+)", done.stdout)
    assert found
    return found[1]


def gnutls_staple(port: int, authority: Authority, directory: Path) -> bytes:
    """The staple as gnutls-cli got it and found it to be good; empty when there was none."""
    saved = directory / "stapled"
    saved.write_bytes(b"")
    done = subprocess.run(
        [required("gnutls-cli", "gnutls-bin"), "--x509cafile", str(authority.certificate), f"--save-ocsp={saved}",
         "-p", str(port), "localhost"],
        input="", capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert "The certificate is trusted" in done.stdout, done.stdout
    return saved.read_bytes()
