"""TLS as clients see it: versions, names, ALPN, resumption, and what cannot be negotiated."""

import contextlib
import ssl
from collections.abc import Callable

import pytest
from certs import Certificates
from clients import Ending, Raw
from popgate import Popgate, site
from stores import Dovecot

Start = Callable[..., Popgate]


def visit(port: int, context: ssl.SSLContext) -> Raw:
    client = Raw(port, context)
    client.greeting()
    return client


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_mailbox_is_served_over_each_tls_version(before_dovecot: Popgate, certificates: Certificates,
                                                   version: ssl.TLSVersion) -> None:
    context = certificates.client_context()
    context.minimum_version = context.maximum_version = version
    with visit(before_dovecot.port("pop3s"), context) as client:
        client.login()
        client.ask(b"STAT", b"+OK 100 ")
        client.ask(b"QUIT", b"+OK")
        assert client.tls.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_older_tls_is_refused(before_dovecot: Popgate) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="(?i)protocol.version"):
        visit(before_dovecot.port("pop3s"), context)


def test_alpn_pop3_is_accepted(before_dovecot: Popgate, certificates: Certificates) -> None:
    with visit(before_dovecot.port("pop3s"), certificates.client_context(alpn=["http/1.1", "pop3"])) as client:
        assert client.tls.selected_alpn_protocol() == "pop3"


@pytest.mark.parametrize("listener", ["pop3s", "pop3"])
def test_alpn_without_pop3_is_refused(before_dovecot: Popgate, certificates: Certificates, listener: str) -> None:
    context = certificates.client_context(alpn=["h2", "http/1.1"])
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        if listener == "pop3s":
            visit(before_dovecot.port(listener), context)
        else:
            with Raw(before_dovecot.port(listener)) as client:
                client.greeting()
                client.stls(context)


@pytest.mark.parametrize("tickets", [True, False])
def test_sessions_resume_by_ticket_when_allowed(start: Start, certificates: Certificates, dovecot: Dovecot,
                                                tickets: bool) -> None:
    gate = start(site(certificates, dovecot.port, workers=1, defaults={"session_tickets": str(tickets).lower()}))
    context = certificates.client_context()
    with visit(gate.port("pop3s"), context) as client:
        session = client.tls.session
    resumed = []
    for _visit in range(12):
        with Raw(gate.port("pop3s")) as client:
            client.start_tls(context, session=session)
            client.greeting()
            resumed.append(client.tls.session_reused)
    assert resumed == [tickets] * 12


def test_a_reload_serves_the_new_certificate(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    config = site(certificates, dovecot.port)
    gate = start(config)
    with gate.connect("implicit") as client:
        before = client.tls.getpeercert(binary_form=True)
    config["certificates"]["localhost"] = {"chain": certificates.chain("renewed"), "key": certificates.key("renewed")}
    gate.reload_all(config)
    with gate.connect("implicit") as client:
        assert client.tls.getpeercert(binary_form=True) != before


def test_a_broken_handshake_is_answered_with_an_alert_and_named_in_the_log(before_dovecot: Popgate) -> None:
    with Raw(before_dovecot.port("pop3s")) as client:
        client.send(b"\x16\x03\x01\x00\x04\x01\x00\x00\x00")
        assert client.read_to_end()[:1] == b"\x15"
        assert before_dovecot.closed(client.port)["reason"] == "tls_failed"


def test_garbage_inside_tls_ends_the_session(before_dovecot: Popgate) -> None:
    with before_dovecot.connect("implicit") as client:
        client.login()
        client.send_raw(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        with contextlib.suppress(ConnectionResetError):
            while client.socket.recv(4096):
                pass
        assert before_dovecot.closed(client.port)["reason"] == "client_failed"


def test_a_listener_on_ipv6_serves_too(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    config = site(certificates, dovecot.port)
    config["listeners"] = {"six": {"bind": ["[::1]:0"], "tls": "implicit"}}
    gate = start(config)
    with Raw(gate.port("six"), gate.context, host="::1") as client:
        client.greeting()
        client.login()
        client.ask(b"QUIT", b"+OK")
        assert client.read_to_end() == b"" and client.ending is Ending.CLEAN
