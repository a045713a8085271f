"""Key exchange: which group a client gets, by a client whose TLS is not ours.

What is the best depends on the BoringSSL inside.  Debian's, in the ordinary run, has X25519, and openssl s_client is
the client.  When BORINGSSL_ROOT names another one that has X25519MLKEM768, that must come first, and its own client
(bin/bssl) has to say so; see "Another BoringSSL" in tests/README.md.
"""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from certs import Certificates
from clients import DEADLINE
from popgate import Popgate, site
from stores import Dovecot, required

ROOT = os.environ.get("BORINGSSL_ROOT")
HAS_MLKEM = ROOT is not None and "SSL_GROUP_X25519_MLKEM768" in Path(ROOT, "include/openssl/ssl.h").read_text()
BEST = "X25519MLKEM768" if HAS_MLKEM else "X25519"


def seen_by_openssl(port: int, ca: str, *offered: str) -> str:
    return seen(r"Server Temp Key: (?:ECDH, )?([\w-]+)",
                required("openssl", "openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", ca,
                "-verify_return_error", *(["-groups", ":".join(offered)] if offered else []))


def seen_by_bssl(port: int, ca: str, *offered: str) -> str:
    bssl = Path(ROOT or "", "bin/bssl")
    assert os.access(bssl, os.X_OK), f"no program at {bssl}: put BoringSSL's tool there, whose client is wanted here"
    return seen(r"ECDHE group: ([\w-]+)",
                str(bssl), "client", "-connect", f"127.0.0.1:{port}", "-root-certs", ca,
                *(["-curves", ":".join(offered)] if offered else []))


def seen(pattern: str, *command: str) -> str:
    """Runs a client that sends what it reads from its input; the group as it names it."""
    done = subprocess.run(command, input="QUIT\r\n", capture_output=True, text=True, timeout=DEADLINE, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    assert done.returncode == 0 and found, done.stdout + done.stderr
    return found[1]


@pytest.mark.parametrize("offered", [[], ["P-256", BEST]], ids=["by default", "last"])
def test_the_best_group_is_taken_wherever_a_client_names_it(before_dovecot: Popgate, certificates: Certificates,
                                                            offered: list[str]) -> None:
    by_client = seen_by_bssl if HAS_MLKEM else seen_by_openssl
    assert by_client(before_dovecot.port("pop3s"), certificates.chain("ca"), *offered) == BEST
    assert before_dovecot.log.wait("session_closed")["tls_group"] == BEST


@pytest.mark.parametrize(("offered", "taken"), [
    (["P-384", "P-256", "X25519"], "X25519"), (["P-384", "P-256"], "P-256")], ids=["X25519", "P-256"])
def test_a_client_without_the_best_gets_the_next(before_dovecot: Popgate, certificates: Certificates,
                                                 offered: list[str], taken: str) -> None:
    seen_by_openssl(before_dovecot.port("pop3s"), certificates.chain("ca"), *offered)
    assert before_dovecot.log.wait("session_closed")["tls_group"] == taken


def test_a_store_is_offered_the_best_too(start: Callable[..., Popgate], certificates: Certificates,
                                         dovecot: Dovecot) -> None:
    store = start(site(certificates, dovecot.port))
    gate = start(site(certificates, store.port("pop3s"),
                      backend={"tls": "tls", "ca": certificates.chain("ca"), "verify_name": "localhost"}))
    with gate.connect("none") as client:
        client.login()
        client.ask(b"QUIT", b"+OK")
    assert store.log.wait("session_closed")["tls_group"] == BEST
