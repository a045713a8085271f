"""Which of several certificates a client is served: by name, by what it can use, by listener, and to none of these."""

import re
import ssl
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from certs import Certificates
from clients import Raw
from popgate import Config, Popgate, site

Start = Callable[..., Popgate]

NO_STORE = 1  # the port of a store that nobody asks for

# Names and kind of key of each, in the order of the file.
SERVED = {
    "first": ("DNS:a.test,DNS:localhost", "P-256"),
    "first-rsa": ("DNS:A.test", "RSA"),
    "wild": ("DNS:b.test,DNS:*.b.test", "P-256"),
    "exact": ("DNS:x.b.test", "RSA"),
    "large": ("DNS:c.test", "P-384"),
    "large-rsa": ("DNS:c.test", "RSA"),
    "modern": ("DNS:d.test", "Ed25519"),
    "modern-ec": ("DNS:d.test", "P-256"),
}


@pytest.fixture(scope="module", name="sections")
def fixture_sections(certificates: Certificates) -> dict[str, Config]:
    return {name: certificates.issue(name, names, key) for name, (names, key) in SERVED.items()}


def served_to(gate: Popgate, *arguments: str, listener: str = "pop3s") -> str:
    """What `openssl s_client` says."""
    stls = ["-starttls", "pop3"] if listener == "pop3" else []
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{gate.port(listener)}", *stls, *arguments],
        input="", capture_output=True, text=True, timeout=15, check=False)
    return done.stdout + done.stderr


def der_of(said: str) -> bytes:
    found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", said, re.DOTALL)
    assert found, said
    return ssl.PEM_cert_to_DER_cert(found.group())


TLS12, TLS13 = "-tls1_2", "-tls1_3"
ONLY_RSA = ["-sigalgs", "RSA-PSS+SHA256:RSA+SHA256"]
ONLY_P256 = ["-sigalgs", "ECDSA+SHA256:RSA-PSS+SHA256:RSA+SHA256"]
ECDSA_BY_SHA1 = ["-sigalgs", "ECDSA+SHA1:RSA+SHA256", "-cipher", "ALL:@SECLEVEL=0"]


@pytest.mark.parametrize(("name", "arguments", "wanted"), [
    ("a.test", [], "first"),
    ("A.TEST", [], "first"),
    ("a.test", [TLS13, *ONLY_RSA], "first-rsa"),
    ("a.test", [TLS12, *ONLY_RSA], "first-rsa"),
    ("a.test", [TLS12, "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "first-rsa"),
    ("a.test", [TLS12, "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "first"),
    ("a.test", [TLS12], "first"),
    ("a.test", [TLS12, "-curves", "X25519"], "first-rsa"),
    ("a.test", [TLS13, "-curves", "X25519"], "first"),
    ("a.test", [TLS12, *ECDSA_BY_SHA1], "first-rsa"),
    ("b.test", [], "wild"),
    ("y.b.test", [], "wild"),
    ("x.b.test", [], "exact"),
    ("x.b.test", [TLS12, "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "wild"),
    ("c.test", [], "large"),
    ("c.test", [TLS13, *ONLY_P256], "large-rsa"),
    ("c.test", [TLS12, "-curves", "X25519:P-256"], "large-rsa"),
    ("c.test", [TLS12, "-curves", "X25519:P-384"], "large"),
    ("d.test", [], "modern"),
    ("d.test", [TLS13, *ONLY_P256], "modern-ec"),
    ("unknown.test", [], "first"),
    ("unknown.test", [TLS13, *ONLY_RSA], "first-rsa"),
    ("z.y.b.test", [], "first"),
    ("b.test.", [], "wild"),
    ("x.b.test.", [], "exact"),
    ("b.test..", [], "first"),
    ("", [TLS13, *ONLY_RSA], "first-rsa"),
    ("", [], "first"),
])
@pytest.mark.parametrize("listener", ["pop3s", "pop3"])
def test_a_certificate_is_chosen_by_name_and_by_what_the_client_can_use(
        serving: Popgate, certificates: Certificates, name: str, arguments: list[str], wanted: str,
        listener: str) -> None:
    asked = ["-servername", name] if name else ["-noservername"]
    assert der_of(served_to(serving, *asked, *arguments, listener=listener)) == certificates.der(wanted)


def before_no_store(certificates: Certificates, sections: dict[str, Config], **defaults: Any) -> Config:
    return {**site(certificates, NO_STORE, workers=1, defaults=defaults), "certificates": sections}


@pytest.fixture
def serving(start: Start, certificates: Certificates, sections: dict[str, Config]) -> Popgate:
    return start(before_no_store(certificates, sections))


@pytest.mark.parametrize("profile", ["intermediate", "legacy"])
def test_sha1_can_be_used_in_legacy_alone(start: Start, certificates: Certificates, sections: dict[str, Config],
                                          profile: str) -> None:
    gate = start(before_no_store(certificates, sections, tls_profile=profile))
    said = served_to(gate, "-servername", "a.test", TLS12, *ECDSA_BY_SHA1)
    assert der_of(said) == certificates.der("first" if profile == "legacy" else "first-rsa")
    assert "Cipher is ECDHE-" in said


@pytest.mark.parametrize(("name", "known"), [("b.test", True), ("Y.B.Test", True), ("unknown.test", False),
                                             ("b.test.", True), ("b.test..", False), ("127.0.0.1", False),
                                             ("*.b.test", False), ("", True)])
@pytest.mark.parametrize("listener", ["pop3s", "pop3"])
def test_unknown_names_are_refused_where_the_listener_says_so(start: Start, certificates: Certificates,
                                                              sections: dict[str, Config], name: str, known: bool,
                                                              listener: str) -> None:
    gate = start(before_no_store(certificates, {"wild": sections["wild"]}, unknown_names="refuse"))
    said = served_to(gate, *(["-servername", name] if name else ["-noservername"]), listener=listener)
    if known:
        assert der_of(said) == certificates.der("wild")
        assert gate.log.wait("session_closed")["reason"] != "unknown_name"
    else:
        assert "unrecognized name" in said
        closed = gate.log.wait("session_closed", reason="unknown_name")
        assert closed["why"] == f'no certificate has the name "{name}"'


@pytest.mark.parametrize(("name", "wanted"), [("x.b.test", "exact"), ("Y.B.Test", "wild"), ("b.test.", "wild"),
                                              ("unknown.test", "first"), ("", "first")])
@pytest.mark.parametrize("listener", ["pop3s", "pop3"])
def test_the_closing_line_names_what_was_asked_for_and_served(serving: Popgate, name: str, wanted: str,
                                                              listener: str) -> None:
    served_to(serving, *(["-servername", name] if name else ["-noservername"]), listener=listener)
    closed = serving.log.wait("session_closed")
    assert (closed.get("server_name", ""), closed["certificate"]) == (name, wanted)


def test_of_a_handshake_that_fails_too(start: Start, certificates: Certificates,
                                       sections: dict[str, Config]) -> None:
    gate = start(before_no_store(certificates, sections))
    with pytest.raises(ssl.SSLError), Raw(gate.port("pop3s"), ssl.create_default_context(), name="b.test"):
        pass
    closed = gate.log.wait("session_closed", reason="tls_failed")
    assert (closed["server_name"], closed["certificate"]) == ("b.test", "wild")
    served_to(gate, "-servername", "c.test", TLS12, "-cipher", "AES128-SHA")
    closed = gate.log.wait("session_closed", server_name="c.test")
    assert closed["reason"] == "tls_failed" and "certificate" not in closed


def test_a_hostile_name_is_escaped_and_crowds_out_nothing(serving: Popgate) -> None:
    name = "\x01\"\n\x7f" + 251 * "\x1f"
    served_to(serving, "-servername", name)
    closed = serving.log.wait("session_closed")
    assert closed["certificate"] == "first" and "ms" in closed and "reason" in closed
    assert closed["server_name"] == name


def test_each_listener_serves_the_certificates_of_its_own_list(start: Start, certificates: Certificates,
                                                               sections: dict[str, Config]) -> None:
    config = before_no_store(certificates, sections)
    config["defaults"]["certificates"] = ["wild", "first"]
    config["listeners"]["pop3"]["certificates"] = ["first-rsa"]
    gate = start(config)
    wanted = {("pop3s", "unknown.test"): "wild", ("pop3s", "a.test"): "first", ("pop3", "a.test"): "first-rsa",
              ("pop3", "b.test"): "first-rsa"}
    found = {key: der_of(served_to(gate, "-servername", key[1], listener=key[0])) for key in wanted}
    assert found == {key: certificates.der(name) for key, name in wanted.items()}


def test_a_name_that_was_acknowledged_is_one_that_a_certificate_has(serving: Popgate) -> None:
    for name, known in (("b.test", True), ("unknown.test", False)):
        said = served_to(serving, "-servername", name, "-tlsextdebug", TLS12)
        assert ('TLS server extension "server name"' in said) == known


def test_a_ticket_resumes_only_under_the_certificate_that_came_with_it(serving: Popgate,
                                                                       certificates: Certificates) -> None:
    context = certificates.client_context()
    context.check_hostname = False
    sessions = {}
    for name in ("a.test", "y.b.test"):
        with Raw(serving.port("pop3s"), context, name=name) as client:
            client.greeting()
            sessions[name] = client.tls.session
    for name, of, resumes in (("a.test", "a.test", True), ("localhost", "a.test", True), ("y.b.test", "a.test", False),
                              ("b.test", "y.b.test", True), ("a.test", "y.b.test", False)):
        with Raw(serving.port("pop3s"), name=name) as client:
            client.start_tls(context, session=sessions[of])
            client.greeting()
            assert client.tls.session_reused == resumes, (name, of)
