"""Backends by the host name that a client asks for in TLS."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import mail
import pytest
from certs import Certificates
from clients import PASSWORD, USER, Raw
from conftest import running
from ntlm_client import Client, authenticate
from popgate import LISTENERS, Config, Popgate, run_command, site
from stores import Dovecot, Mailutils
from test_store_logins import Winbound

Start = Callable[..., Popgate]

RULES = ["a.test at other", "*.b.test at other", "x.b.test at store", "c.test at winbound"]


@pytest.fixture(scope="module", name="winbound")
def fixture_winbound(shared: Path, certificates: Certificates) -> Iterator[Winbound]:
    directory = shared / "names-winbound"
    directory.mkdir()
    yield from running(Winbound(directory, certificates, mail.sample_messages()[:3]))


@pytest.fixture
def config(certificates: Certificates, dovecot: Dovecot, mailutils: Mailutils, winbound: Winbound) -> Config:
    """`defaults` has the rules: a listener without TLS does not mind them."""
    config = site(certificates, dovecot.port, workers=1,
                  defaults={"server_names": RULES, "login": ["basic-tls", "ntlm-tls"]})
    for name, port in (("other", mailutils.port), ("winbound", winbound.port)):
        config["backends"][name] = {"servers": [f"127.0.0.1:{port}"], "tls": "none"}
    return config


def connected(gate: Popgate, mode: str, name: str | None) -> Raw:
    """A client that asks for the name; what the certificate says is not what is tried here."""
    gate.context.check_hostname = False
    client = Raw(gate.port(LISTENERS[mode]), gate.context if mode == "implicit" else None, name=name)
    client.greeting()
    if mode == "stls":
        client.stls(gate.context)
    return client


def backend_of(gate: Popgate, mode: str, name: str | None) -> str:
    with connected(gate, mode, name) as client:
        client.login()
        client.ask(b"QUIT", b"+OK")
        return str(gate.closed(client.port)["backend"])


@pytest.mark.parametrize("mode", ["implicit", "stls"])
def test_a_session_has_the_backend_of_the_name_that_its_client_asks_for(start: Start, config: Config,
                                                                        mode: str) -> None:
    gate = start(config)
    wanted = {"a.test": "other", "A.Test": "other", "a.test.": "other", "y.b.test": "other", "x.b.test": "store",
              "X.B.test": "store", "b.test": "store", "z.y.b.test": "store", "unknown.test": "store", None: "store"}
    assert {name: backend_of(gate, mode, name) for name in wanted} == wanted


def test_without_tls_nobody_asks(start: Start, config: Config) -> None:
    config["listeners"]["plain"]["login"] = ["basic"]
    assert backend_of(start(config), "none", "a.test") == "store"


def test_a_failed_login_leads_nowhere_else(start: Start, config: Config) -> None:
    gate = start(config)
    with connected(gate, "implicit", "a.test") as client:
        client.ask(f"USER {USER}".encode(), b"+OK")
        client.ask(b"PASS wrong", b"-ERR")
        client.login()
        client.ask(b"QUIT", b"+OK")
        assert gate.closed(client.port)["backend"] == "other"


def test_a_resumed_session_asks_anew(start: Start, config: Config) -> None:
    gate = start(config)
    with connected(gate, "implicit", "unknown.test") as client:
        session = client.tls.session
    with Raw(gate.port("pop3s"), name="a.test") as client:
        client.start_tls(gate.context, session=session)
        client.greeting()
        assert client.tls.session_reused
        client.login()
        client.ask(b"QUIT", b"+OK")
        assert gate.closed(client.port)["backend"] == "other"


@pytest.mark.parametrize(("rule", "wanted"), [
    ("* to {login}", "other"), ("* to {login} at store", "store"), ("bo@* to {login} at store", "other")])
def test_a_map_rule_that_names_a_backend_goes_first(start: Start, config: Config, rule: str, wanted: str) -> None:
    config["defaults"]["map"] = [rule]
    assert backend_of(start(config), "implicit", "a.test") == wanted


@pytest.mark.parametrize("mode", ["implicit", "stls"])
def test_ntlm_is_passed_through_to_the_backend_of_the_name(start: Start, config: Config, mode: str) -> None:
    gate = start(config)
    with connected(gate, mode, "c.test") as client:
        assert authenticate(client, Client("anna", PASSWORD, domain="LAB")).startswith(b"+OK")
        client.ask(b"QUIT", b"+OK")
        assert gate.closed(client.port)["backend"] == "winbound"


def test_with_openssl_too(start: Start, config: Config) -> None:
    gate = start(config)
    done = subprocess.run(
        ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{gate.port('pop3s')}", "-servername", "a.test"],
        input=f"USER {USER}\r\nPASS {PASSWORD}\r\nQUIT\r\n", capture_output=True, text=True, timeout=15, check=False)
    assert done.stdout.count("+OK") >= 3
    assert gate.log.wait("session_closed")["backend"] == "other"


def test_what_a_listener_cannot_do_at_its_own_backend_it_cannot_do_there(config: Config, workdir: Path) -> None:
    config["backends"]["other"] |= {"login": "stored"}
    (workdir / "popgate.yaml").write_text(json.dumps(config))
    done = run_command("check", "-c", str(workdir / "popgate.yaml"))
    assert done.returncode == 1
    assert 'listener "pop3s" cannot log in at backend "other"' in done.stderr + done.stdout


@pytest.mark.parametrize(("name", "wanted"), [("y.b.test", "other"), ("unknown.test", "store"), (None, "store")])
def test_explain_says_where_the_name_leads(config: Config, workdir: Path, name: str | None, wanted: str) -> None:
    (workdir / "popgate.yaml").write_text(json.dumps(config))
    asked = ["--server-name", name] if name else []
    said = run_command("explain", "192.0.2.1", "--listener", "pop3s", "--user", "anna", *asked, "-c",
                       str(workdir / "popgate.yaml")).stdout
    assert f"user: anna logs in at backend {wanted}," in said


@pytest.mark.parametrize(("name", "refused"), [
    ("localhost", False), ("LocalHost", False), ("unknown.test", True), ("localhost.", False),
    ("localhost..", True), (None, False)])
def test_explain_says_that_an_unknown_name_is_refused(config: Config, workdir: Path, name: str | None,
                                                      refused: bool) -> None:
    config["defaults"]["unknown_names"] = "refuse"
    (workdir / "popgate.yaml").write_text(json.dumps(config))
    arguments = ["--listener", "pop3s", "--user", "anna", *(["--server-name", name] if name else []), "-c",
                 str(workdir / "popgate.yaml")]
    said = run_command("explain", "192.0.2.1", *arguments).stdout
    facts, = json.loads(run_command("explain", "192.0.2.1", "--json", *arguments).stdout)
    assert ("user: anna logs in" not in said) == ("user" not in facts) == refused
    assert (f'TLS: the handshake is refused: no certificate has the name "{name}", and unknown_names is refuse' in said
            ) == (facts.get("handshake") == "refused") == refused


def test_explain_says_when_it_cannot_know_whether_a_name_is_refused(config: Config, workdir: Path) -> None:
    config["defaults"]["unknown_names"] = "refuse"
    config["certificates"]["localhost"]["chain"] = str(workdir / "missing.pem")
    (workdir / "popgate.yaml").write_text(json.dumps(config))
    said = run_command("explain", "192.0.2.1", "--listener", "pop3s", "--server-name", "a.test", "-c",
                       str(workdir / "popgate.yaml")).stdout
    assert ('TLS: whether "a.test" is refused by unknown_names is not known: cannot read the certificate '
            f'{workdir}/missing.pem') in said
