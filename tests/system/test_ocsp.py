"""OCSP stapling: what clients are shown, from the responder or a file, and what happens when those fail.

A handshake goes on whatever the responder does.  Which worker a client gets is the kernel's choice, so clients come
often enough that each of the two is asked with near certainty.
"""

import json
import os
import re
import signal
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import proc
import pytest
from certs import Certificates, openssl
from clients import until_it_works
from ocsp import (
    Authority,
    Leaf,
    Script,
    answering,
    fake_responder,
    gnutls_staple,
    openssl_status,
    real_responder,
)
from popgate import Config, Popgate, run_command, site
from stores import Dovecot

Start = Callable[..., Popgate]

TIMES = 8
MANY = 1000


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def authority(workdir: Path) -> Authority:
    return Authority(workdir / "authority")


Serving = Callable[..., Config]


@pytest.fixture
def serving(certificates: Certificates, dovecot: Dovecot) -> Serving:
    """Makes a configuration that serves the certificate with these options."""
    def config(leaf: Leaf, **options: str) -> Config:
        return {**site(certificates, dovecot.port), "certificates": {"edge": leaf.config(**options)}}
    return config


def statuses(gate: Popgate, authority: Authority, *options: str) -> set[str]:
    return {openssl_status(gate.port("pop3s"), authority, *options) for _time in range(TIMES)}


def wait_statuses(gate: Popgate, authority: Authority, wanted: str) -> None:
    """The log speaks of the supervisor; the workers read their channels a moment later."""
    def attempt() -> None:
        assert statuses(gate, authority) == {wanted}
    until_it_works(attempt)


# from the responder

def test_what_the_responder_says_is_stapled_for_every_client(start: Start, serving: Serving, authority: Authority,
                                                             workdir: Path) -> None:
    leaf = authority.issue("edge")
    with real_responder(authority):
        gate = start(serving(leaf, ocsp="fetch"))
        event = gate.log.wait("staple_taken")
    assert event["certificate"] == "edge" and event["url"] == authority.url
    wait_statuses(gate, authority, "good")
    assert statuses(gate, authority, "-tls1_2") == {"good"}
    assert openssl_status(gate.port("pop3"), authority, "-starttls", "pop3") == "good"
    assert gnutls_staple(gate.port("pop3s"), authority, workdir)


def test_nobody_is_asked_unless_the_configuration_says_so(start: Start, serving: Serving,
                                                          authority: Authority) -> None:
    with fake_responder(answering(b"")) as responder:
        authority.url = responder.url
        gate = start(serving(authority.issue("edge")))
        assert statuses(gate, authority) == {"none"}
        assert not responder.requests


def test_the_responder_of_the_configuration_goes_before_the_certificates(start: Start, serving: Serving,
                                                                         authority: Authority) -> None:
    authority.url = "http://127.0.0.1:1/"
    leaf = authority.issue("edge")
    with fake_responder(answering(authority.response(leaf))) as responder:
        gate = start(serving(leaf, ocsp="fetch", ocsp_url=responder.url))
        gate.log.wait("staple_taken", url=responder.url)
        assert responder.paths == ["/said"]
    wait_statuses(gate, authority, "good")


def test_a_proxy_of_the_environment_is_used(start: Start, serving: Serving, authority: Authority,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    authority.url = "http://ocsp.test/here"
    leaf = authority.issue("edge")
    with fake_responder(answering(authority.response(leaf))) as proxy:
        monkeypatch.delenv("no_proxy")
        monkeypatch.setenv("http_proxy", proxy.url)
        gate = start(serving(leaf, ocsp="fetch"))
        gate.log.wait("staple_taken")
        assert proxy.paths == ["http://ocsp.test/here"]


def redirecting(url: str) -> Script:
    return answering(b"", status=302, Location=url)


def of_another(authority: Authority, _leaf: Leaf) -> Script:
    return answering(authority.response(authority.issue("other")))


def of_a_stranger(authority: Authority, leaf: Leaf) -> Script:
    stranger = Authority(authority.directory / "stranger")
    namesake = stranger.issue("edge")
    assert namesake.serial == leaf.serial
    return answering(stranger.response(namesake))


LIES: dict[str, tuple[Callable[[Authority, Leaf], Script], str]] = {
    "garbage": (lambda _authority, _leaf: answering(b"<html>welcome</html>"), "it is no OCSP response, or damaged"),
    "nothing": (lambda _authority, _leaf: answering(b""), "it is no OCSP response, or damaged"),
    "truncated": (lambda authority, leaf: answering(authority.response(leaf)[:-1]),
                  "it is no OCSP response, or damaged"),
    "one MiB": (lambda _authority, _leaf: answering(bytes(1 << 20)), "the answer is longer than 65536 bytes"),
    "an error": (lambda _authority, _leaf: answering(b"", status=500), "the responder answers with HTTP status 500"),
    "try later": (lambda _authority, _leaf: answering(b"0\3\n\1\3"), "the responder answers tryLater"),
    "a redirection": (lambda _authority, _leaf: redirecting("file:///etc/hostname"),
                      "the responder answers with HTTP status 302"),
    "another certificate": (of_another, "it is about another certificate"),
    "another issuer": (of_a_stranger, "it is about another certificate"),
    "yesterday": (lambda authority, leaf: answering(authority.response(leaf, shift=86400)), "it was valid until 20"),
    "tomorrow": (lambda authority, leaf: answering(authority.response(leaf, shift=-86400)), "it is valid only from 20"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_responder_is_not_believed(start: Start, serving: Serving, authority: Authority, lie: str) -> None:
    make, why = LIES[lie]
    with fake_responder(answering(b"")) as responder:
        authority.url = responder.url
        leaf = authority.issue("edge")
        responder.script = make(authority, leaf)
        gate = start(serving(leaf, ocsp="fetch"))
        gate.expect("staple_refused")
        event = gate.log.wait("staple_refused")
    assert event["why"].startswith(why) and event["url"] == authority.url
    assert statuses(gate, authority) == {"none"}


def test_a_responder_that_is_down_is_asked_again_by_a_reload(start: Start, serving: Serving,
                                                             authority: Authority) -> None:
    leaf = authority.issue("edge")
    gate = start(serving(leaf, ocsp="fetch"))
    gate.expect("staple_refused")
    assert "connect" in gate.log.wait("staple_refused")["why"]
    assert statuses(gate, authority) == {"none"}
    with fake_responder(answering(authority.response(leaf))) as responder:
        gate.reload(serving(leaf, ocsp="fetch", ocsp_url=responder.url))
        gate.log.wait("staple_taken")
    wait_statuses(gate, authority, "good")


class Silence:
    """Hears the question and says nothing until it is broken."""

    def __init__(self) -> None:
        self.broken = threading.Event()

    def __call__(self, _handler: BaseHTTPRequestHandler, _request: bytes) -> None:
        self.broken.wait(60)


def test_a_silent_responder_delays_nobody(start: Start, serving: Serving, authority: Authority) -> None:
    silence = Silence()
    with fake_responder(silence) as responder:
        authority.url = responder.url
        config = serving(authority.issue("edge"), ocsp="fetch")
        gate = start(config)
        assert responder.asked.wait(10)
        assert statuses(gate, authority) == {"none"}
        gate.reload(config)
        assert statuses(gate, authority) == {"none"}
        gate.expect("staple_refused")
        why = gate.log.wait("staple_refused")["why"]
        silence.broken.set()
    assert re.search("time", why, re.IGNORECASE), why


def who_asks(gate: Popgate) -> int:
    return next(pid for pid in proc.children(gate.pid) if proc.name(pid) == "popgate-fetch")


def test_who_asks_may_nothing_and_ends_with_popgate(start: Start, serving: Serving, authority: Authority) -> None:
    silence = Silence()
    with fake_responder(silence) as responder:
        authority.url = responder.url
        gate = start(serving(authority.issue("edge"), ocsp="fetch"))
        assert responder.asked.wait(10)
        child = who_asks(gate)
        assert proc.status(child)["NoNewPrivs"] == ["1"]
        if os.getuid() == 0:
            assert "0" not in proc.status(child)["Uid"] + proc.status(child)["Gid"] + proc.status(child)["Groups"]
            # Its memory is none of the supervisor's, which has the key.
            assert b"PRIVATE KEY" not in proc.memory(child)
        opened = proc.descriptors(child)
        assert len(opened) < 10 and not any("popgate" in each for each in opened), opened
        for pid in (gate.pid, *gate.workers()):
            assert not re.search("libcurl|libcrypto|libgnutls", Path(f"/proc/{pid}/maps").read_text())
        gate.stop()
        proc.wait_gone([child])
        silence.broken.set()


def test_that_who_asks_was_killed_is_told(start: Start, serving: Serving, authority: Authority) -> None:
    silence = Silence()
    with fake_responder(silence) as responder:
        authority.url = responder.url
        gate = start(serving(authority.issue("edge"), ocsp="fetch"))
        gate.expect("staple_refused")
        assert responder.asked.wait(10)
        os.kill(who_asks(gate), signal.SIGKILL)
        why = gate.log.wait("staple_refused")["why"]
        silence.broken.set()
    assert why == "the process that asked was killed by signal 9 (Killed)"


def test_of_a_revoked_certificate_nothing_is_stapled(start: Start, serving: Serving, authority: Authority) -> None:
    leaf = authority.issue("edge")
    authority.revoke(leaf)
    with real_responder(authority):
        gate = start(serving(leaf, ocsp="fetch"))
        gate.expect("certificate_revoked")
        event = gate.log.wait("certificate_revoked")
    assert event["level"] == "error" and event["revoked"] == "2026-01-01T00:00:00Z"
    assert statuses(gate, authority) == {"none"}


# over reloads and the like

def test_a_reload_and_a_new_worker_need_not_ask_again(start: Start, serving: Serving, authority: Authority) -> None:
    with fake_responder(answering(b"")) as responder:
        authority.url = responder.url
        leaf = authority.issue("edge")
        responder.script = answering(authority.response(leaf))
        config = serving(leaf, ocsp="fetch")
        gate = start(config)
        gate.log.wait("staple_taken")
        gate.reload_all(config)
        assert statuses(gate, authority) == {"good"}
        gate.expect("worker_died")
        victim = gate.workers()[0]
        os.kill(victim, signal.SIGKILL)
        proc.wait_gone([victim])
        gate.wait_workers(2)
        gate.log.wait("worker_died")
        wait_statuses(gate, authority, "good")
        assert len(responder.requests) == 1


def test_another_certificate_gets_its_own_response(start: Start, serving: Serving, authority: Authority,
                                                   workdir: Path) -> None:
    old, new = authority.issue("old"), authority.issue("new")
    by_leaf = {leaf: authority.response(leaf) for leaf in (old, new)}
    with fake_responder(answering(by_leaf[old])) as responder:
        gate = start(serving(old, ocsp="fetch", ocsp_url=responder.url))
        gate.log.wait("staple_taken")
        responder.script = answering(by_leaf[new])
        mark = gate.log.mark()
        gate.reload_all(serving(new, ocsp="fetch", ocsp_url=responder.url))
        gate.log.wait("staple_taken", since=mark)
        wait_statuses(gate, authority, "good")
        assert gnutls_staple(gate.port("pop3s"), authority, workdir) == by_leaf[new]
        assert len(responder.requests) == 2 and responder.requests[0] != responder.requests[1]


def test_a_certificate_renewed_in_its_files_gets_its_own_response(start: Start, serving: Serving, authority: Authority,
                                                                  workdir: Path) -> None:
    served, new = authority.issue("served"), authority.issue("new")
    old_response, new_response = authority.response(served), authority.response(new)
    with fake_responder(answering(old_response)) as responder:
        gate = start(serving(served, ocsp="fetch", ocsp_url=responder.url))
        gate.log.wait("staple_taken")
        until_it_works(lambda: check_staple(gate, authority, workdir, old_response))
        responder.script = answering(new_response)
        mark = gate.log.mark()
        for end in ("-chain.pem", ".key"):
            (authority.directory / f"new{end}").rename(authority.directory / f"served{end}")
        gate.log.wait("certificate_replaced", since=mark)
        gate.log.wait("staple_taken", since=mark)
        until_it_works(lambda: check_staple(gate, authority, workdir, new_response))
    assert len(responder.requests) == 2


def test_stapling_goes_on_after_an_upgrade(start: Start, serving: Serving, authority: Authority) -> None:
    leaf = authority.issue("edge")
    with real_responder(authority):
        gate = start(serving(leaf, ocsp="fetch"))
        gate.log.wait("staple_taken")
        before, mark = gate.workers(), gate.log.mark()
        gate.signal(signal.SIGUSR2)
        gate.log.wait("upgrade_done", since=mark)
        proc.wait_gone(before)
        gate.log.wait("staple_taken", since=mark)
    wait_statuses(gate, authority, "good")


# from a file

def put(path: Path, content: bytes) -> None:
    """In one step, as careful programs do."""
    path.with_suffix(".new").write_bytes(content)
    path.with_suffix(".new").rename(path)


def test_a_file_is_stapled_as_it_is_and_as_it_becomes(start: Start, serving: Serving, authority: Authority,
                                                      workdir: Path) -> None:
    leaf, file = authority.issue("edge"), workdir / "edge.ocsp"
    first, second = authority.response(leaf, shift=60), authority.response(leaf)
    assert first != second
    put(file, first)
    gate = start(serving(leaf, ocsp="file", ocsp_file=str(file)))
    gate.log.wait("staple_taken", path=str(file))
    until_it_works(lambda: check_staple(gate, authority, workdir, first))
    mark = gate.log.mark()
    put(file, second)
    gate.log.wait("staple_taken", since=mark)
    until_it_works(lambda: check_staple(gate, authority, workdir, second))


def test_more_certificates_than_a_channel_holds_are_all_stapled(start: Start, serving: Serving, authority: Authority,
                                                                workdir: Path) -> None:
    """Of RSA, which workers need longer to take in; and these still hear at once that they are to drain."""
    leaf, file = authority.issue("edge", "rsa"), workdir / "edge.ocsp"
    config = serving(leaf, ocsp="file", ocsp_file=str(file)) | {"key_isolation": "off"}
    section = config["certificates"]["edge"]
    config["certificates"] = {f"edge{number}": section for number in range(MANY)}
    config["listeners"]["pop3s"]["certificates"] = [f"edge{MANY - 1}"]
    put(file, authority.response(leaf))
    gate = start(config)
    wait_statuses(gate, authority, "good")


def check_staple(gate: Popgate, authority: Authority, workdir: Path, wanted: bytes) -> None:
    for _time in range(TIMES):
        assert gnutls_staple(gate.port("pop3s"), authority, workdir) == wanted


def test_a_bad_file_changes_nothing(start: Start, serving: Serving, authority: Authority, workdir: Path) -> None:
    leaf, file = authority.issue("edge"), workdir / "edge.ocsp"
    put(file, authority.response(leaf))
    gate = start(serving(leaf, ocsp="file", ocsp_file=str(file)))
    gate.log.wait("staple_taken")
    gate.expect("staple_refused")
    put(file, authority.response(authority.issue("other")))
    event = gate.log.wait("staple_refused", path=str(file))
    assert event["why"] == "it is about another certificate"
    wait_statuses(gate, authority, "good")


def test_a_file_may_come_later(start: Start, serving: Serving, authority: Authority, workdir: Path) -> None:
    leaf, file = authority.issue("edge"), workdir / "edge.ocsp"
    gate = start(serving(leaf, ocsp="file", ocsp_file=str(file)))
    gate.expect("staple_refused")
    assert gate.log.wait("staple_refused")["why"] == "cannot read it: No such file or directory"
    put(file, authority.response(leaf))
    gate.log.wait("staple_taken")
    wait_statuses(gate, authority, "good")


def test_a_file_that_says_revoked_ends_stapling(start: Start, serving: Serving, authority: Authority,
                                                workdir: Path) -> None:
    leaf, file = authority.issue("edge"), workdir / "edge.ocsp"
    put(file, authority.response(leaf))
    gate = start(serving(leaf, ocsp="file", ocsp_file=str(file)))
    gate.log.wait("staple_taken")
    authority.revoke(leaf)
    put(file, authority.response(leaf))
    gate.expect("certificate_revoked")
    gate.log.wait("certificate_revoked")
    wait_statuses(gate, authority, "none")


def test_a_response_is_dropped_when_it_is_stale(start: Start, serving: Serving, authority: Authority,
                                                workdir: Path) -> None:
    leaf, file = authority.issue("edge"), workdir / "edge.ocsp"
    put(file, authority.response(leaf, minutes=1, shift=54))
    gate = start(serving(leaf, ocsp="file", ocsp_file=str(file)))
    taken = gate.log.wait("staple_taken")
    wait_statuses(gate, authority, "good")
    gate.expect("staple_stale")
    stale = gate.log.wait("staple_stale")
    assert stale["next_update"] == taken["next_update"]
    assert stale["time"] >= taken["next_update"].removesuffix("Z")
    wait_statuses(gate, authority, "none")


# popgate check

def check(directory: Path, config: Config) -> tuple[int, str]:
    gate_file = directory / "popgate.yaml"
    gate_file.write_text(json.dumps(config))
    done = run_command("check", "-c", str(gate_file))
    return done.returncode, done.stdout + done.stderr


def test_check_wants_a_responder_for_the_certificate(workdir: Path, serving: Serving, authority: Authority) -> None:
    authority.url = ""
    status, said = check(workdir, serving(authority.issue("edge"), ocsp="fetch"))
    assert status == 1
    assert 'certificate "edge": ocsp: the certificate names no responder; set ocsp_url, or leave ocsp out' in said


@pytest.mark.parametrize(("ocsp", "more"), [("fetch", {}), ("file", {"ocsp_file": "edge.ocsp"})])
def test_check_wants_the_issuer_in_the_chain(workdir: Path, serving: Serving, authority: Authority, ocsp: str,
                                             more: dict[str, str]) -> None:
    leaf = authority.issue("edge")
    leaf.chain.write_text((authority.directory / "edge.pem").read_text())
    status, said = check(workdir, serving(leaf, ocsp=ocsp, **more))
    assert status == 1 and "the chain ends with the certificate itself; append its issuer's" in said


def test_check_knows_that_a_self_signed_certificate_has_no_responder(workdir: Path, certificates: Certificates) -> None:
    openssl(workdir, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a",
            "-addext", "keyUsage=digitalSignature", "-keyout", "own.key", "-out", "own.pem")
    pair = {"chain": "own.pem", "key": "own.key", "ocsp": "fetch"}
    status, said = check(workdir, {**site(certificates, 110), "certificates": {"edge": pair}})
    assert status == 1 and "ocsp: the certificate is self-signed, so no responder speaks of it" in said


def wants_staple(authority: Authority, feature: str = "status_request") -> Leaf:
    return authority.issue("edge", more=f"tlsfeature={feature}\n")


def test_a_certificate_that_asks_for_responses_and_gets_none_is_told(start: Start, workdir: Path, serving: Serving,
                                                                     authority: Authority) -> None:
    config = serving(wants_staple(authority))
    status, said = check(workdir, config)
    assert status == 0 and said.endswith("no problems, but OCSP responses should be looked at\n")
    assert "certificate edge: it asks for OCSP responses (tlsfeature), and ocsp is off; " in said
    assert "set ocsp: fetch\n" in said
    done = run_command("cert", "check", "-c", str(workdir / "popgate.yaml"), "edge", "--ca", str(authority.certificate))
    assert done.returncode == 1 and "error staple_missing: " in done.stdout and "Set ocsp: fetch" in done.stdout
    gate = start(config)
    gate.expect("staple_missing")
    event = gate.log.wait("staple_missing")
    assert (event["level"], event["certificate"]) == ("warn", "edge")


@pytest.mark.parametrize(("ocsp", "feature"), [("fetch", "status_request"), ("off", "17")])
def test_nothing_is_told_where_it_gets_them_or_does_not_ask(start: Start, workdir: Path, serving: Serving,
                                                            authority: Authority, ocsp: str, feature: str) -> None:
    config = serving(wants_staple(authority, feature), ocsp=ocsp)
    with real_responder(authority):
        assert check(workdir, config)[1].endswith("no problems\n")
        done = run_command("cert", "check", "-c", str(workdir / "popgate.yaml"), "edge",
                           "--ca", str(authority.certificate))
        assert "staple" not in done.stdout
        gate = start(config)
        if ocsp == "fetch":
            gate.log.wait("staple_taken")
        gate.reload()
        assert not gate.log.all("staple_missing")


def test_check_lets_a_file_come_later(workdir: Path, serving: Serving, authority: Authority) -> None:
    leaf = authority.issue("edge")
    config = serving(leaf, ocsp="file", ocsp_file="edge.ocsp")
    status, said = check(workdir, config)
    assert status == 0 and said.endswith("no problems, but OCSP responses should be looked at\n")
    assert f"certificate edge: ocsp_file {workdir}/edge.ocsp: cannot read it: No such file or directory\n" in said
    put(workdir / "edge.ocsp", authority.response(leaf))
    status, said = check(workdir, config)
    assert status == 0 and said.endswith("no problems\n")
