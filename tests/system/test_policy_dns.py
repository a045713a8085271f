"""Rules that ask DNS: names of addresses and addresses of names, and what lies, silence and failure come to.

Name servers are Knot where it can say what is wanted, and a fake one where no real one would.  One worker each, as
every worker asks for itself.
"""

import contextlib
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from certs import Certificates
from clients import DEADLINE
from dns import (FakeNameServer, Knot, Query, Reply, Script, address_record, classless, cname, dead_address,
                 fake_name_server, free_dns_port, nxdomain, pairs, ptr, refused, reverse_name, servfail, silence, slow,
                 table, truncated)
from popgate import MODES, Popgate
from proc import wait_gone
from stores import Dovecot
from visitors import UNSURE, edge, let_in, turned_away, unsure, visit

Start = Callable[..., Popgate]

CLIENT = "203.0.113.10"
V6 = "2001:db8:a::10"

# Many reverse names, all of which lead back.
CROWD = [f"n{number}.crowd.example" for number in range(200)]


@pytest.fixture
def gated(start: Start, certificates: Certificates, dovecot: Dovecot) -> Callable[..., Popgate]:
    """Starts a popgate that asks this name server for these rules."""
    return lambda server, *rules, **more: start(edge(certificates, dovecot.port, list(rules), server=server, **more))


# what zones can say

@pytest.fixture(scope="module")
def knot(shared: Path) -> Iterator[Knot]:
    zones = pairs({
        "mail.contoso.com": [CLIENT, V6],
        "MAIL.Second.CONTOSO.com": ["203.0.113.12", "2001:db8:a::12"],
        "mail.evilcontoso.com": ["203.0.113.13", "2001:db8:a::13"],
        "www.contoso.com.evil.example": ["203.0.113.14"],
        "post.xn--bcher-kva.example": ["203.0.113.15"],
        "two.contoso.com": ["203.0.113.19"],
    }, also={
        "203.0.113.16": ["mail.contoso.com"],  # which has other addresses
        "2001:db8:a::16": ["mail.contoso.com", "nowhere.contoso.com"],
        "203.0.113.17": [r"bad\032name.contoso.com", r"a\013\010-ERR\032b.contoso.com", r"dot\.ted.contoso.com"],
        "203.0.113.18": CROWD,
        "203.0.113.19": ["mail.evilcontoso.com"],
        "203.0.113.20": ["contoso.com"],
        "203.0.113.23": [r"a\013\010b.contoso.com", "fine.contoso.com"],
    })
    zones["contoso.com"] += (
        "\n@ A 203.0.113.20\nrented A 203.0.113.21\nfine A 203.0.113.23\noffice A 198.51.100.77"
        "\n\nalias CNAME rented\n*.wild A 203.0.113.22")
    zones["203.in-addr.arpa"] += "\n" + classless("203.0.113.21", "0/27", "rented.contoso.com")
    zones["203.in-addr.arpa"] += f"\n{reverse_name('203.0.113.22')}. PTR alias.contoso.com."
    zones["203.in-addr.arpa"] += f"\n{reverse_name('203.0.113.24')}. TXT no-name-here"
    zones["crowd.example"] = "\n".join(f"{name}. A 203.0.113.18" for name in CROWD)
    server = Knot(shared / "knot-dns", {**zones, "in-addr.arpa": ""})
    server.start()
    yield server
    server.stop()


@pytest.fixture
def contoso(gated: Callable[..., Popgate], knot: Knot) -> Popgate:
    return gated(knot.address, "allow domain contoso.com")


@pytest.fixture
def no_contoso(gated: Callable[..., Popgate], knot: Knot) -> Popgate:
    return gated(knot.address, "deny domain contoso.com", default="allow")


@pytest.mark.parametrize(("source", "name"), [
    (CLIENT, "mail.contoso.com"),
    (V6, "mail.contoso.com"),
    (f"::ffff:{CLIENT}", "mail.contoso.com"),
    ("203.0.113.12", "mail.second.contoso.com"),
    ("2001:db8:a::12", "mail.second.contoso.com"),
    ("203.0.113.19", "two.contoso.com"),  # which also has a name elsewhere
    ("203.0.113.20", "contoso.com"),
    ("203.0.113.21", "rented.contoso.com"),  # by RFC 2317
    ("203.0.113.23", "fine.contoso.com"),  # beside a name that is none
])
def test_a_confirmed_name_in_the_domain_is_let_in_and_kept_out(contoso: Popgate, no_contoso: Popgate, source: str,
                                                              name: str) -> None:
    event = let_in(contoso, source)
    assert (event["dns"], event["host"]) == ("confirmed", name)
    assert event["rule"] == "allow domain contoso.com"
    event = turned_away(no_contoso, source)
    assert (event["dns"], event["host"]) == ("confirmed", name)
    assert event["rule"] == "deny domain contoso.com"


@pytest.mark.parametrize("source", ["203.0.113.16", "2001:db8:a::16"])
def test_a_name_that_does_not_lead_back_opens_nothing_but_closes(contoso: Popgate, no_contoso: Popgate,
                                                                 source: str) -> None:
    event = turned_away(contoso, source)
    assert (event["rule"], event["dns"], event["claimed_host"]) == ("default", "mismatch", "mail.contoso.com")
    assert "host" not in event
    event = turned_away(no_contoso, source)
    assert (event["rule"], event["dns"], event["claimed_host"]) == (
        "deny domain contoso.com", "mismatch", "mail.contoso.com")


def test_names_need_not_lead_back_where_the_policy_says_so(gated: Callable[..., Popgate], knot: Knot) -> None:
    gate = gated(knot.address, "allow domain contoso.com", options={"confirm_names": False})
    event = let_in(gate, "203.0.113.16")
    assert (event["dns"], event["claimed_host"]) == ("mismatch", "mail.contoso.com")


@pytest.mark.parametrize(("source", "name"), [
    ("203.0.113.13", "mail.evilcontoso.com"),
    ("2001:db8:a::13", "mail.evilcontoso.com"),
    ("203.0.113.14", "www.contoso.com.evil.example"),
])
def test_a_domain_ends_where_its_labels_end(contoso: Popgate, no_contoso: Popgate, source: str, name: str) -> None:
    event = turned_away(contoso, source)
    assert (event["rule"], event["dns"], event["host"]) == ("default", "confirmed", name)
    assert let_in(no_contoso, source)["rule"] == "default"


@pytest.mark.parametrize("source", ["203.0.113.99", "203.0.113.24", "198.18.3.4", "2001:db8:a::99"])
def test_an_address_without_a_name_is_in_no_domain(contoso: Popgate, no_contoso: Popgate, source: str) -> None:
    event = turned_away(contoso, source)
    assert (event["rule"], event["dns"]) == ("default", "nxdomain")
    assert "host" not in event and "claimed_host" not in event
    assert let_in(no_contoso, source)["dns"] == "nxdomain"


def test_names_of_illegal_characters_count_as_none_and_reach_nobody(contoso: Popgate, no_contoso: Popgate) -> None:
    for event in (turned_away(contoso, "203.0.113.17"), let_in(no_contoso, "203.0.113.17")):
        assert "host" not in event and "claimed_host" not in event
        assert event["dns"] in ("nxdomain", "mismatch")
    assert not contoso.log.noise


def test_two_hundred_names_come_by_tcp_and_are_enough(gated: Callable[..., Popgate], knot: Knot) -> None:
    gate = gated(knot.address, "allow domain crowd.example")
    event = let_in(gate, "203.0.113.18")
    assert event["dns"] == "confirmed" and event["host"] in CROWD


def test_a_name_that_is_an_alias_may_be_asked_through(gated: Callable[..., Popgate], knot: Knot) -> None:
    gate = gated(knot.address, "allow domain contoso.com")
    event = turned_away(gate, "203.0.113.22")  # the alias leads elsewhere
    assert (event["dns"], event["claimed_host"]) == ("mismatch", "alias.contoso.com")


@pytest.mark.parametrize("domain", ["Contoso.COM", "contoso.com.", "second.contoso.com", "MAIL.second.contoso.com"])
def test_case_and_the_last_dot_do_not_matter(gated: Callable[..., Popgate], knot: Knot, domain: str) -> None:
    gate = gated(knot.address, f"allow domain {domain}")
    let_in(gate, "203.0.113.12")


@pytest.mark.parametrize("domain", ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example",
                                    "XN--BCHER-KVA.EXAMPLE", "post.bücher.example"])
def test_an_international_name_may_be_written_either_way(gated: Callable[..., Popgate], knot: Knot,
                                                        domain: str) -> None:
    gate = gated(knot.address, f"allow domain contoso.com {domain}")
    assert let_in(gate, "203.0.113.15")["host"] == "post.xn--bcher-kva.example"


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_of_knot_costs_no_client_anything_it_can_feel(contoso: Popgate, mode: str) -> None:
    events = [let_in(contoso, CLIENT, mode) for _time in range(20)]
    assert max(event["ms"] for event in events[1:]) < 1000
    assert {event["dns"] for event in events} == {"confirmed"}


# what only a fake one says

def name_of(source: str, name: str = "mail.contoso.com") -> Script:
    """Says that the address has this name, and the name this address."""
    return table({(reverse_name(source), "PTR"): Reply([ptr(name)]), (name, "A"): Reply([address_record(source)])})


def everybody_is(domain: str) -> Script:
    """Says that every IPv4 address has a name of its own below this, which leads back."""

    def script(query: Query) -> Reply:
        labels = query.name.split(".")
        if query.type == "PTR" and query.name.endswith(".in-addr.arpa"):
            return Reply([ptr(f"{'-'.join(labels[3::-1])}.{domain}")])
        if query.type == "A" and query.name.endswith(f".{domain}"):
            return Reply([address_record(labels[0].replace("-", "."))])
        return nxdomain(query)

    return script


@pytest.fixture
def liar() -> Iterator[FakeNameServer]:
    with fake_name_server(name_of(CLIENT)) as server:
        yield server


def test_truncated_answers_are_fetched_by_tcp(gated: Callable[..., Popgate], liar: FakeNameServer) -> None:
    liar.script = truncated(name_of(CLIENT))
    gate = gated(liar.address, "allow domain contoso.com")
    assert let_in(gate, CLIENT)["dns"] == "confirmed"
    assert [query.over_tcp for query in liar.asked(reverse_name(CLIENT), "PTR")] == [False, True]
    assert [query.over_tcp for query in liar.asked("mail.contoso.com", "A")] == [False, True]


def test_of_many_names_only_some_are_followed(gated: Callable[..., Popgate], liar: FakeNameServer) -> None:
    def many(query: Query) -> Reply:
        if query.type == "PTR":
            return Reply([ptr(f"n{number}.contoso.com") for number in range(200)])
        return nxdomain(query)

    liar.script = truncated(many)
    gate = gated(liar.address, "allow domain contoso.com")
    event = turned_away(gate, CLIENT)
    assert event["dns"] == "mismatch" and event["claimed_host"].endswith(".contoso.com")
    names = {query.name for query in liar.queries if query.type == "A"}
    assert 1 <= len(names) <= 16


def test_a_chain_of_aliases_without_end_is_not_followed_for_ever(gated: Callable[..., Popgate],
                                                                liar: FakeNameServer) -> None:
    here = reverse_name(CLIENT)
    liar.script = table({(here, "PTR"): Reply([cname(here)] * 2 + [cname("x.example", owner=here),
                                                                  cname(here, owner="x.example")])})
    gate = gated(liar.address, "deny domain contoso.com", default="allow", options={"on_dns_failure": "allow"})
    assert let_in(gate, CLIENT)["dns"] in ("nxdomain", "servfail")
    assert len(liar.queries) < 20


@pytest.mark.parametrize("raw", [b"", b"\0", b"\xff" * 600, bytes(12)])
def test_nonsense_is_a_failure_and_nothing_worse(gated: Callable[..., Popgate], liar: FakeNameServer,
                                                 raw: bytes) -> None:
    liar.script = lambda query: Reply(raw=raw and query.message[:2] + raw[2:])
    gate = gated(liar.address, "allow domain contoso.com", resolver={"timeout": "100ms", "tries": 1})
    assert unsure(gate, CLIENT)["dns"] in ("servfail", "timeout", "unavailable")


FAILURES: dict[str, tuple[Script | None, str]] = {
    "servfail": (servfail, "servfail"),
    "refused": (refused, "servfail"),
    "silence": (silence, "timeout"),
    "nobody there": (None, "unavailable"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("mode", MODES)
def test_when_dns_fails_the_policy_says_what_holds(gated: Callable[..., Popgate], liar: FakeNameServer, mode: str,
                                                   failure: str) -> None:
    script, kind = FAILURES[failure]
    liar.script = script or silence
    server = liar.address if script else dead_address()
    quick = {"timeout": "100ms", "tries": 1}
    for rule, default in (("allow", "deny"), ("deny", "allow")):
        gate = gated(server, f"{rule} domain contoso.com", default=default, resolver=quick)
        event = unsure(gate, CLIENT, mode)
        assert (event["dns"], event["rule"]) == (kind, f"{rule} domain contoso.com")
        assert "host" not in event and "claimed_host" not in event
        gate = gated(server, f"{rule} domain contoso.com", default=default, resolver=quick,
                     options={"on_dns_failure": "allow"})
        event = let_in(gate, CLIENT, mode)
        assert (event["dns"], event["rule"]) == (kind, f"{rule} domain contoso.com")


@pytest.mark.parametrize("refusal", ["drop", "reset"])
def test_when_dns_fails_the_manner_of_refusing_stays(gated: Callable[..., Popgate], liar: FakeNameServer,
                                                     refusal: str) -> None:
    liar.script = servfail
    gate = gated(liar.address, "allow domain contoso.com", options={"refusal": refusal})
    with visit(gate, "none", CLIENT) as visitor:
        assert visitor.client.read_to_end() == b""
        event = visitor.closed()
    assert event["reason"] == {"drop": "policy_dropped", "reset": "policy_reset"}[refusal]
    assert event["dns"] == "servfail"


@pytest.mark.parametrize(("script", "kind"), [(servfail, "servfail"), (silence, "timeout")])
def test_a_name_that_cannot_be_confirmed_is_a_failure_and_no_mismatch(
        gated: Callable[..., Popgate], liar: FakeNameServer, script: Script, kind: str) -> None:
    liar.script = lambda query: Reply([ptr("mail.contoso.com")]) if query.type == "PTR" else script(query)
    gate = gated(liar.address, "allow domain contoso.com", resolver={"timeout": "100ms", "tries": 1})
    assert unsure(gate, CLIENT)["dns"] == kind
    gate = gated(liar.address, "deny domain contoso.com", default="allow", resolver={"timeout": "100ms", "tries": 1})
    assert turned_away(gate, CLIENT)["rule"] == "deny domain contoso.com"  # no need to confirm it


def test_a_lost_packet_is_asked_for_again(gated: Callable[..., Popgate], liar: FakeNameServer) -> None:
    said = name_of(CLIENT)
    liar.script = lambda query: said(query) if len(liar.asked(query.name, query.type)) > 1 else None
    gate = gated(liar.address, "allow domain contoso.com", resolver={"timeout": "100ms", "tries": 2})
    assert let_in(gate, CLIENT)["dns"] == "confirmed"


def test_the_next_server_is_asked_when_one_is_dead(gated: Callable[..., Popgate], liar: FakeNameServer) -> None:
    gate = gated(liar.address, "allow domain contoso.com",
                 resolver={"servers": [dead_address(), liar.address], "timeout": "100ms"})
    assert let_in(gate, CLIENT)["dns"] == "confirmed"


# how long a client waits

SLOW = 1.5


@pytest.mark.parametrize("mode", MODES)
def test_a_session_waits_for_the_answer_and_not_much_longer(gated: Callable[..., Popgate], liar: FakeNameServer,
                                                           mode: str) -> None:
    said = name_of(CLIENT)
    liar.script = lambda query: slow(said, SLOW)(query) if query.type == "PTR" else said(query)
    gate = gated(liar.address, "allow domain contoso.com", resolver={"timeout": "10s"})
    with visit(gate, mode, CLIENT) as visitor:  # TLS has shaken hands when this returns
        liar.wait_asked(1)
        answered = liar.queries[0].time + SLOW
        assert time.monotonic() < answered
        assert not visitor.client.buffer
        visitor.client.greeting()
        assert 0 <= time.monotonic() - answered < 0.5
        visitor.client.ask(b"QUIT", b"+OK")
        event = visitor.closed()
    assert SLOW * 1000 - 50 < event["ms_greeting"] < SLOW * 1000 + 500
    assert event["dns"] == "confirmed"


def test_waiting_for_dns_takes_no_place_for_ever(gated: Callable[..., Popgate], liar: FakeNameServer) -> None:
    liar.script = silence
    gate = gated(liar.address, "allow domain contoso.com", resolver={"timeout": "200ms", "tries": 1},
                 defaults={"max_connections": 4})
    gate.allow("resolver_down")
    for number in range(12):
        with visit(gate, "none", f"10.{number}.0.1") as visitor:
            if number % 2:
                assert visitor.client.read_line().startswith(b"-ERR [SYS/TEMP] ")
            else:
                visitor.client.reset()
    liar.script = everybody_is("contoso.com")
    wait_let_in(gate, (f"10.{number % 250}.1.1" for number in itertools.count()))


def test_who_talks_or_leaves_before_the_answer_does_no_harm(gated: Callable[..., Popgate],
                                                           liar: FakeNameServer) -> None:
    liar.script = slow(name_of(CLIENT), 0.5)
    gate = gated(liar.address, "allow domain contoso.com", resolver={"timeout": "10s"})
    with visit(gate, "none", CLIENT) as early, visit(gate, "none", CLIENT) as leaving, \
            visit(gate, "none", CLIENT) as ending, visit(gate, "implicit", CLIENT) as resetting:
        early.client.send(b"NOOP\r\nQUIT\r\n")
        leaving.client.socket.close()
        ending.client.half_close()
        resetting.client.reset()
        lines = early.client.read_to_end().split(b"\r\n")
        assert [line[:4].rstrip() for line in lines] == [b"+OK", b"-ERR", b"+OK", b""]
        for visitor in (early, leaving, ending, resetting):
            visitor.closed()
    let_in(gate, CLIENT)
    assert len(liar.asked(reverse_name(CLIENT), "PTR")) == 1


def test_one_question_is_asked_for_many_sessions_of_one_address(gated: Callable[..., Popgate],
                                                               liar: FakeNameServer) -> None:
    liar.script = slow(name_of(CLIENT), 0.5)
    gate = gated(liar.address, "allow domain contoso.com", resolver={"timeout": "10s"})
    with contextlib.ExitStack() as stack:
        visitors = [stack.enter_context(visit(gate, "none", CLIENT)) for _number in range(20)]
        for visitor in visitors:
            visitor.client.greeting()
    let_in(gate, CLIENT)
    assert len(liar.asked(reverse_name(CLIENT), "PTR")) == 1
    assert len(liar.asked("mail.contoso.com", "A")) == 1


def test_what_dns_said_no_to_is_remembered_too(gated: Callable[..., Popgate], liar: FakeNameServer) -> None:
    liar.script = nxdomain
    gate = gated(liar.address, "allow domain contoso.com")
    for _time in range(3):
        assert turned_away(gate, CLIENT)["dns"] == "nxdomain"
    liar.script = servfail
    for _time in range(3):
        assert unsure(gate, "203.0.113.77")["dns"] == "servfail"
    assert len(liar.queries) == 2


# when nobody is asked

@pytest.mark.parametrize(("rules", "default", "source", "rule"), [
    (["allow ip 203.0.113.10", "allow domain contoso.com"], "deny", CLIENT, "allow ip 203.0.113.10"),
    (["deny ip 203.0.113.0/24", "allow domain contoso.com"], "deny", CLIENT, "deny ip 203.0.113.0/24"),
    (["allow domain contoso.com"], "allow", CLIENT, "default"),
    (["deny domain contoso.com", "deny any"], "allow", CLIENT, "deny any"),
    (["allow domain contoso.com", "allow ip 203.0.113.0/24"], "deny", CLIENT, "allow ip 203.0.113.0/24"),
    (["deny domain contoso.com", "deny domain example.org", "deny ip 2001:db8::/32"], "allow", V6,
     "deny ip 2001:db8::/32"),
])
def test_dns_is_not_asked_when_it_could_change_nothing(gated: Callable[..., Popgate], liar: FakeNameServer,
                                                       rules: list[str], default: str, source: str, rule: str) -> None:
    liar.script = silence
    gate = gated(liar.address, *rules, default=default)
    judge = turned_away if rule.startswith("deny") else let_in
    for mode in MODES:
        event = judge(gate, source, mode)
        assert event["rule"] == rule
        assert "dns" not in event
    assert not liar.queries


def test_a_rule_on_trial_asks_and_its_failure_means_nothing(gated: Callable[..., Popgate],
                                                           liar: FakeNameServer) -> None:
    gate = gated(liar.address, "audit deny domain contoso.com", "allow ip 203.0.113.0/24")
    event = let_in(gate, CLIENT)
    assert (event["rule"], event["dns"]) == ("allow ip 203.0.113.0/24", "confirmed")
    assert gate.log.wait("policy_audit")["rule"] == "audit deny domain contoso.com"
    liar.script = servfail
    event = let_in(gate, "203.0.113.77")
    assert (event["rule"], event["dns"]) == ("allow ip 203.0.113.0/24", "servfail")
    assert len(gate.log.all("policy_audit")) == 1


# dead name servers

TIMEOUT = 2.0


def wait_let_in(gate: Popgate, sources: Iterable[str]) -> None:
    """Comes from one address after the other until one is greeted."""
    end = time.monotonic() + DEADLINE
    for source in sources:
        with visit(gate, "none", source) as visitor:
            if visitor.client.read_line().startswith(b"+OK"):
                return
        assert time.monotonic() < end, "name servers that answer again are not asked"
        time.sleep(0.02)


def test_a_dead_resolver_costs_its_deadline_and_then_nothing(gated: Callable[..., Popgate],
                                                            liar: FakeNameServer) -> None:
    liar.script = silence
    gate = gated(liar.address, "allow domain contoso.com", resolver={"timeout": "2s", "tries": 1})
    gate.expect("resolver_down")
    with contextlib.ExitStack() as stack:
        visitors = [stack.enter_context(visit(gate, "none", f"10.{number}.0.1")) for number in range(12)]
        for visitor in visitors:
            assert visitor.client.read_to_end() == UNSURE
            event = visitor.closed()
            assert event["dns"] == "timeout" and event["ms"] < 1000 * TIMEOUT * 2 + 500
    down = gate.log.wait("resolver_down")
    assert down["why"] == "timeout"
    asked = len(liar.queries)
    for number in range(20):  # within the second that the breaker stays open first
        event = unsure(gate, f"10.{number}.0.2", "none")
        assert event["dns"] == "unavailable" and event["ms"] < 1000 * TIMEOUT / 2
    assert len(liar.queries) <= asked + 1
    liar.script = everybody_is("contoso.com")

    wait_let_in(gate, (f"10.{number % 250}.1.{number // 250}" for number in itertools.count()))
    gate.log.wait("resolver_up")
    for number in range(5):
        assert let_in(gate, f"10.{number}.2.1")["dns"] == "confirmed"
    assert len(gate.log.all("resolver_down")) == len(gate.log.all("resolver_up")) == 1


def test_a_real_server_that_dies_and_comes_back(gated: Callable[..., Popgate], workdir: Path) -> None:
    sources = [f"10.{number}.0.1" for number in range(40)]
    knot = Knot(workdir / "knot", pairs({f"n{number}.contoso.com": [source] for number, source in enumerate(sources)}))
    knot.start()
    try:
        gate = gated(knot.address, "allow domain contoso.com", resolver={"timeout": "500ms", "tries": 1})
        gate.expect("resolver_down")
        assert let_in(gate, sources[0])["dns"] == "confirmed"
        knot.kill()
        for source in sources[1:10]:
            assert unsure(gate, source)["dns"] in ("timeout", "unavailable")
        gate.log.wait("resolver_down")
        assert let_in(gate, sources[0])["dns"] == "confirmed"  # known from before
        knot.restart()
        wait_let_in(gate, itertools.cycle(sources[10:]))
        gate.log.wait("resolver_up")
    finally:
        knot.stop()


@pytest.mark.parametrize(("script", "visits"), [(servfail, 60), (silence, 12)])
def test_one_network_whose_zone_fails_spoils_dns_for_nobody_else(
        gated: Callable[..., Popgate], liar: FakeNameServer, script: Script, visits: int) -> None:
    good = everybody_is("contoso.com")
    liar.script = lambda query: (script if query.name.endswith(".66.10.in-addr.arpa") else good)(query)
    gate = gated(liar.address, "allow domain contoso.com", resolver={"timeout": "100ms", "tries": 1})
    let_in(gate, "10.1.0.1")
    for number in range(visits):
        unsure(gate, f"10.66.0.{number}")
    assert let_in(gate, "10.2.0.1")["dns"] == "confirmed"
    assert not gate.log.all("resolver_down")


def test_where_nobody_else_comes_a_dead_resolver_costs_one_network_its_deadline_only(
        gated: Callable[..., Popgate], liar: FakeNameServer) -> None:
    liar.script = silence
    gate = gated(liar.address, "allow domain contoso.com", resolver={"timeout": "100ms", "tries": 1})
    gate.expect("resolver_down")
    for number in range(8):
        assert unsure(gate, f"10.66.0.{number}", "none")["dns"] == "timeout"
    gate.log.wait("resolver_down")
    assert unsure(gate, "10.66.0.99", "none")["dns"] == "unavailable"
    liar.script = everybody_is("contoso.com")
    assert let_in(gate, "10.2.0.1")["dns"] == "confirmed"  # of a network that has not failed
    gate.log.wait("resolver_up")
    assert let_in(gate, "10.66.0.100")["dns"] == "confirmed"


# names of hosts

def host_is(*addresses: str, name: str = "office.contoso.com", ttl: int = 300) -> Script:
    rows: dict[tuple[str, str], Reply | None] = {(name, "A"): Reply(), (name, "AAAA"): Reply()}
    for address in addresses:
        rows[name, "AAAA" if ":" in address else "A"].records.append(address_record(address, ttl))
    return table(rows)


@pytest.mark.parametrize("mode", MODES)
def test_a_host_is_known_from_the_start(gated: Callable[..., Popgate], knot: Knot, mode: str) -> None:
    gate = gated(knot.address, "allow host OFFICE.contoso.com")
    let_in(gate, "198.51.100.77", mode)
    turned_away(gate, "198.51.100.78", mode)


def test_a_host_may_be_an_alias(gated: Callable[..., Popgate], knot: Knot) -> None:
    gate = gated(knot.address, "allow host alias.contoso.com")
    let_in(gate, "203.0.113.21")
    turned_away(gate, "203.0.113.22")


def test_a_host_may_have_many_addresses(gated: Callable[..., Popgate], liar: FakeNameServer) -> None:
    addresses = [f"198.51.100.{number}" for number in range(1, 9)] + ["2001:db8::1", "2001:db8::2"]
    liar.script = host_is(*addresses)
    gate = gated(liar.address, "allow host office.contoso.com")
    for address in addresses:
        let_in(gate, address)
    turned_away(gate, "198.51.100.9")
    assert len(liar.queries) == 2


def test_the_first_clients_wait_until_a_host_is_known(gated: Callable[..., Popgate], liar: FakeNameServer) -> None:
    liar.script = slow(host_is("198.51.100.77"), SLOW)
    gate = gated(liar.address, "allow host office.contoso.com", resolver={"timeout": "10s"})
    liar.wait_asked(2)
    answered = liar.queries[0].time + SLOW
    with visit(gate, "implicit", "198.51.100.77") as friend, visit(gate, "none", "198.51.100.78") as stranger:
        assert time.monotonic() < answered
        friend.client.greeting()
        assert stranger.client.read_line().startswith(b"-ERR")
        assert time.monotonic() >= answered
    assert stranger.closed()["rule"] == "default"


def test_a_reload_asks_for_hosts_again(gated: Callable[..., Popgate], liar: FakeNameServer) -> None:
    liar.script = host_is("198.51.100.77")
    gate = gated(liar.address, "allow host office.contoso.com")
    let_in(gate, "198.51.100.77")
    liar.script = host_is("198.51.100.78")
    gate.reload_all(json.loads(gate.config_file.read_text()))
    wait_let_in(gate, itertools.repeat("198.51.100.78"))  # at first it has the address of before
    turned_away(gate, "198.51.100.77")


def test_a_host_that_nobody_knows_is_told_once(gated: Callable[..., Popgate], liar: FakeNameServer) -> None:
    liar.script = nxdomain
    gate = gated(liar.address, "allow host office.contoso.com", "allow ip 192.0.2.1")
    gate.expect("host_not_found")
    turned_away(gate, "198.51.100.77")
    let_in(gate, "192.0.2.1")
    assert gate.log.wait("host_not_found")["host"] == "office.contoso.com"
    assert len(gate.log.all("host_not_found")) == 1


def test_a_host_that_nobody_knows_is_no_failure_of_dns(gated: Callable[..., Popgate], liar: FakeNameServer) -> None:
    """A name that was mistyped must not let everybody in where failures do."""
    liar.script = nxdomain
    gate = gated(liar.address, "allow host ofice.contoso.com", options={"on_dns_failure": "allow"})
    gate.expect("host_not_found")
    turned_away(gate, "198.51.100.77")


def test_with_dead_servers_at_the_start_the_other_rules_hold(gated: Callable[..., Popgate]) -> None:
    port = free_dns_port()
    gate = gated(f"127.0.0.1:{port}", "allow ip 192.0.2.1", "allow host office.contoso.com", "allow ip 192.0.2.2",
                 resolver={"timeout": "100ms", "tries": 1})
    gate.allow("resolver_down")
    let_in(gate, "192.0.2.1")
    let_in(gate, "192.0.2.2")
    with visit(gate, "none", "198.51.100.77") as visitor:
        assert visitor.client.read_line().startswith(b"-ERR")
    with fake_name_server(host_is("198.51.100.77"), port=port) as server:
        server.wait_asked(2)  # by itself, seconds later
        wait_let_in(gate, itertools.repeat("198.51.100.77"))


def test_with_dead_servers_at_the_start_the_client_is_told_that_it_may_try_again(
        gated: Callable[..., Popgate]) -> None:
    """A permanent refusal would have the user's mail program ask for another password, or give up."""
    gate = gated(dead_address(), "allow host office.contoso.com", resolver={"timeout": "100ms", "tries": 1})
    assert unsure(gate, "198.51.100.77")["dns"] == "host_unknown"


def test_when_a_host_was_never_known_the_policy_says_what_holds(gated: Callable[..., Popgate]) -> None:
    quick = {"timeout": "100ms", "tries": 1}
    gate = gated(dead_address(), "deny host office.contoso.com", default="allow", resolver=quick)
    assert unsure(gate, "198.51.100.77")["dns"] == "host_unknown"
    gate = gated(dead_address(), "allow host office.contoso.com", resolver=quick, options={"on_dns_failure": "allow"})
    event = let_in(gate, "198.51.100.77")
    assert (event["dns"], event["rule"]) == ("host_unknown", "allow host office.contoso.com")


def test_a_host_keeps_its_address_when_the_servers_die(gated: Callable[..., Popgate], liar: FakeNameServer) -> None:
    """min_ttl is for reverse names; hosts have 30 s at least, and here they need not run out."""
    liar.script = host_is("198.51.100.77", ttl=1)
    gate = gated(liar.address, "allow host office.contoso.com")
    let_in(gate, "198.51.100.77")
    liar.script = servfail
    for _time in range(5):
        let_in(gate, "198.51.100.77")
    turned_away(gate, "198.51.100.78")


def replace_worker(gate: Popgate, how: int) -> None:
    """A reload, an upgrade, or the death of the only worker."""
    before, mark = gate.workers(), gate.log.mark()
    if how == signal.SIGKILL:
        gate.expect("worker_died")
        gate.allow("worker_delayed")
        os.kill(before[0], how)
    else:
        gate.signal(how)
        gate.log.wait("reload_done" if how == signal.SIGHUP else "upgrade_done", since=mark)
    wait_gone(before)
    gate.wait_workers(1)


@pytest.mark.parametrize("failure", [servfail, silence])
@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGUSR2, signal.SIGKILL])
def test_new_workers_keep_the_address_of_a_host_when_the_servers_are_dead(
        gated: Callable[..., Popgate], liar: FakeNameServer, how: int, failure: Script) -> None:
    """At once: nobody waits for servers that are silent."""
    liar.script = host_is("198.51.100.77")
    gate = gated(liar.address, "allow host office.contoso.com", resolver={"timeout": "10s"})
    let_in(gate, "198.51.100.77")
    liar.script = failure
    for _time in range(2):
        replace_worker(gate, how)
        let_in(gate, "198.51.100.77")
        assert turned_away(gate, "198.51.100.78")["ms"] < 2000
    liar.script = host_is("198.51.100.78")
    if failure is servfail:
        wait_let_in(gate, itertools.repeat("198.51.100.78"))  # it asks on


def test_a_host_is_not_waited_for_longer_than_reverse_names_are(gated: Callable[..., Popgate],
                                                                liar: FakeNameServer) -> None:
    """However many name servers are silent: from the worker's start twice tries and timeout for all hosts together."""
    liar.script = silence
    gate = gated(liar.address, "allow host office.contoso.com", "allow host home.contoso.com",
                 resolver={"servers": [liar.address] * 4, "timeout": "1s", "tries": 1})
    assert unsure(gate, "198.51.100.77")["ms"] < 2000 + 1500
    assert unsure(gate, "198.51.100.77")["ms"] < 1000


# reload, upgrade, stop

def start_busy(gated: Callable[..., Popgate], liar: FakeNameServer) -> Popgate:
    """With sessions that wait for a silent name server, and a host that is asked for."""
    liar.script = silence
    return gated(liar.address, "allow ip 192.0.2.1", "allow domain contoso.com", "allow host office.contoso.com",
                 resolver={"timeout": "2s", "tries": 1}, workers=2)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2])
def test_drained_workers_end_though_they_were_asking(gated: Callable[..., Popgate], liar: FakeNameServer,
                                                     number: int) -> None:
    gate = start_busy(gated, liar)
    gate.allow("resolver_down")
    with contextlib.ExitStack() as stack:
        visitors = [stack.enter_context(visit(gate, "none", f"10.{n}.0.1")) for n in range(6)]
        liar.wait_asked(4)
        before, mark = gate.workers(), gate.log.mark()
        gate.signal(number)
        gate.log.wait("reload_done" if number == signal.SIGHUP else "upgrade_done", since=mark)
        for visitor in visitors:
            assert visitor.client.read_to_end() == UNSURE
    wait_gone(before)
    gate.wait_workers(2)
    let_in(gate, "192.0.2.1")


def test_drained_workers_do_not_wait_for_answers_that_nobody_needs(gated: Callable[..., Popgate],
                                                                  liar: FakeNameServer) -> None:
    liar.script = silence
    gate = gated(liar.address, "allow host office.contoso.com", "allow domain contoso.com", "allow ip 192.0.2.1",
                 resolver={"timeout": "30s", "tries": 5})
    liar.wait_asked(2)
    gate.reload_all(json.loads(gate.config_file.read_text()))  # has the deadline of all tests, which is shorter


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2])
def test_new_workers_have_policy_hosts_and_names_too(gated: Callable[..., Popgate], knot: Knot, workdir: Path,
                                                     number: int) -> None:
    (workdir / "friends").write_text("192.0.2.0/24\n")
    gate = gated(knot.address, "allow host office.contoso.com", "allow domain contoso.com",
                 f"allow file {workdir / 'friends'}", workers=2)

    def assert_policy() -> None:
        for _time in range(6):
            for source in ("198.51.100.77", CLIENT, V6, "192.0.2.99"):
                let_in(gate, source)
            for source in ("198.51.100.78", "203.0.113.13", "192.0.3.1"):
                turned_away(gate, source)

    assert_policy()
    for _time in range(2):
        before, mark = gate.workers(), gate.log.mark()
        gate.signal(number)
        gate.log.wait("reload_done" if number == signal.SIGHUP else "upgrade_done", since=mark)
        wait_gone(before)
        assert_policy()
    gate.wait_workers(2)


def test_a_stop_does_not_wait_for_dns(gated: Callable[..., Popgate], liar: FakeNameServer) -> None:
    liar.script = silence
    gate = gated(liar.address, "allow domain contoso.com", "allow host office.contoso.com", drain_timeout="0s",
                 resolver={"timeout": "30s", "tries": 5})
    gate.allow("drain_over")
    with visit(gate, "none", CLIENT) as plain, visit(gate, "implicit", CLIENT) as secure:
        liar.wait_asked(3)
        gate.signal(signal.SIGTERM)
        for visitor in (plain, secure):
            assert visitor.client.read_to_end().startswith(b"-ERR [SYS/TEMP] ")
    gate.wait_gone()  # by itself: else it would say worker_killed


def test_a_worker_that_dies_while_asking_is_replaced(gated: Callable[..., Popgate], liar: FakeNameServer) -> None:
    liar.script = silence
    gate = gated(liar.address, "allow domain contoso.com", "allow ip 192.0.2.1", resolver={"timeout": "10s"})
    gate.expect("worker_died")
    with visit(gate, "none", CLIENT) as visitor:
        liar.wait_asked(1)
        os.kill(gate.workers()[0], signal.SIGKILL)
        visitor.client.read_to_end()
    gate.wait_workers(1)
    liar.script = name_of(CLIENT)
    assert let_in(gate, CLIENT)["dns"] == "confirmed"


# many addresses

def test_a_crowd_from_everywhere_waits_for_its_own_answers_only(gated: Callable[..., Popgate],
                                                               liar: FakeNameServer) -> None:
    good = everybody_is("contoso.com")
    liar.script = lambda query: slow(good, 0.3)(query) if query.type == "PTR" else good(query)
    gate = gated(liar.address, "allow domain contoso.com", resolver={"timeout": "5s"})
    failures: list[BaseException] = []

    def come(number: int) -> None:
        try:
            assert let_in(gate, f"10.{number}.0.1")["dns"] == "confirmed"
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=come, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert max(event["ms"] for event in gate.log.all("session_closed")) < 300 + 1500
