"""Who may connect: rules, their order, and how those who may not are told."""

import contextlib
import datetime
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from balancers import header_v1, header_v2
from certs import Certificates
from clients import Ending, Raw, until_it_works
from databases import write_database
from dns import Knot, fake_name_server, pairs, silence
from popgate import LISTENERS, MODES, Config, Event, Popgate, site
from stores import Dovecot, Peer, fake_store
from visitors import REFUSAL, edge, knock, let_in, turned_away, unsure, visit

Start = Callable[..., Popgate]

TODAY = datetime.date.today()
DAY = datetime.timedelta(days=1)

# One list entry of each kind that Exchange had, and clients on either side of its borders.
LIST = ["ip 192.0.2.7", "ip 131.107.2.0/255.255.255.0", "host office.contoso.com", "domain contoso.com",
        "range 198.18.0.10-198.18.0.12", "ip 2001:db8:5::/48"]
LISTED = {
    "192.0.2.7": "ip 192.0.2.7",
    "131.107.2.0": "ip 131.107.2.0/24",
    "131.107.2.255": "ip 131.107.2.0/24",
    "198.51.100.77": "host office.contoso.com",
    "2001:db8:b::77": "host office.contoso.com",
    "203.0.113.10": "domain contoso.com",
    "2001:db8:a::10": "domain contoso.com",
    "198.18.0.10": "range 198.18.0.10-198.18.0.12",
    "198.18.0.12": "range 198.18.0.10-198.18.0.12",
    "2001:db8:5:ffff:ffff:ffff:ffff:ffff": "ip 2001:db8:5::/48",
    "::ffff:192.0.2.7": "ip 192.0.2.7",
}
UNLISTED = ["192.0.2.6", "192.0.2.8", "131.107.1.255", "131.107.3.0", "198.51.100.78", "203.0.113.11", "198.18.0.9",
            "198.18.0.13", "2001:db8:6::", "2001:db8:4:ffff::1", "::ffff:192.0.2.8", "2001:db8:a::11"]


@pytest.fixture(scope="module")
def knot(shared: Path) -> Iterator[Knot]:
    zones = pairs({"mail.contoso.com": ["203.0.113.10", "2001:db8:a::10"],
                   "www.other.example": ["203.0.113.11", "2001:db8:a::11"]})
    zones["contoso.com"] += "\noffice A 198.51.100.77\noffice AAAA 2001:db8:b::77"
    server = Knot(shared / "knot-policy", {**zones, "in-addr.arpa": ""})
    server.start()
    yield server
    server.stop()


@pytest.fixture
def gated(start: Start, certificates: Certificates, dovecot: Dovecot) -> Callable[..., Popgate]:
    """Starts a popgate with the policy of these rules."""
    return lambda *rules, **more: start(edge(certificates, dovecot.port, list(rules), **more))


# the page of Exchange

@pytest.mark.parametrize("mode", MODES)
def test_only_the_list_below(gated: Callable[..., Popgate], knot: Knot, mode: str) -> None:
    gate = gated(*(f"allow {entry}" for entry in LIST), server=knot.address)
    for source, entry in LISTED.items():
        event = let_in(gate, source, mode)
        assert (event["policy"], event["rule"]) == ("edge", f"allow {entry}")
    for source in UNLISTED:
        event = turned_away(gate, source, mode)
        assert (event["policy"], event["rule"]) == ("edge", "default")


@pytest.mark.parametrize("mode", MODES)
def test_those_on_the_list_can_fetch_their_mail(gated: Callable[..., Popgate], knot: Knot, mode: str) -> None:
    gate = gated(*(f"allow {entry}" for entry in LIST), server=knot.address)
    for source in ("192.0.2.7", "131.107.2.9", "198.51.100.77", "203.0.113.10", "2001:db8:a::10"):
        with visit(gate, mode, source) as visitor:
            visitor.client.greeting()
            if mode == "stls":
                visitor.client.stls(gate.context)
            visitor.client.login()
            visitor.client.ask(b"STAT", b"+OK 100 ")
            visitor.client.ask(b"QUIT", b"+OK")
            assert visitor.client.read_to_end() == b""
            assert visitor.closed()["reason"] == "done"


@pytest.mark.parametrize("mode", MODES)
def test_all_except_the_list_below(gated: Callable[..., Popgate], knot: Knot, mode: str) -> None:
    gate = gated(*(f"deny {entry}" for entry in LIST), default="allow", server=knot.address)
    for source, entry in LISTED.items():
        assert turned_away(gate, source, mode)["rule"] == f"deny {entry}"
    for source in UNLISTED:
        assert let_in(gate, source, mode)["rule"] == "default"


# order, and which listener

def test_the_first_rule_that_matches_decides(gated: Callable[..., Popgate]) -> None:
    gate = gated("allow ip 192.0.2.128", "deny range 192.0.2.100-192.0.2.200", "allow ip 192.0.2.0/24",
                 "deny ip 192.0.0.0/16", "allow any")
    assert let_in(gate, "192.0.2.128")["rule"] == "allow ip 192.0.2.128"
    assert turned_away(gate, "192.0.2.127")["rule"] == "deny range 192.0.2.100-192.0.2.200"
    assert let_in(gate, "192.0.2.201")["rule"] == "allow ip 192.0.2.0/24"
    assert turned_away(gate, "192.0.3.1")["rule"] == "deny ip 192.0.0.0/16"
    assert let_in(gate, "198.51.100.1")["rule"] == "allow any"
    assert let_in(gate, "2001:db8::1")["rule"] == "allow any"


def test_each_listener_has_the_policy_it_names_or_none(start: Start, certificates: Certificates,
                                                       dovecot: Dovecot) -> None:
    config = edge(certificates, dovecot.port, ["allow ip 192.0.2.1"])
    config["policies"]["inner"] = {"rules": ["allow ip 192.0.2.2"], "default": "deny"}
    config["listeners"]["pop3"]["policy"] = "inner"
    config["listeners"]["plain"]["policy"] = ""
    gate = start(config)
    let_in(gate, "192.0.2.1", "implicit")
    turned_away(gate, "192.0.2.2", "implicit")
    assert let_in(gate, "192.0.2.2", "stls")["policy"] == "inner"
    assert turned_away(gate, "192.0.2.1", "stls")["policy"] == "inner"
    assert "policy" not in let_in(gate, "192.0.2.9", "none")


def test_a_rule_holds_until_the_end_of_its_last_day(gated: Callable[..., Popgate]) -> None:
    gate = gated(f"allow ip 192.0.2.1 until {TODAY}", f"allow ip 192.0.2.2 until {TODAY - DAY}",
                 f"deny ip 192.0.2.3 until {TODAY - DAY}", f"allow ip 192.0.2.3 192.0.2.4 until {TODAY + DAY}")
    let_in(gate, "192.0.2.1")
    turned_away(gate, "192.0.2.2")
    let_in(gate, "192.0.2.3")
    let_in(gate, "192.0.2.4")


def test_the_reason_of_a_rule_is_in_the_log(gated: Callable[..., Popgate]) -> None:
    gate = gated("deny ip 192.0.2.1 because a bill, \"pending\" until 2027", default="allow")
    assert turned_away(gate, "192.0.2.1")["rule"] == "deny ip 192.0.2.1 because a bill, \"pending\" until 2027"


def test_the_reason_of_a_rule_is_in_the_log_in_its_own_letters(gated: Callable[..., Popgate]) -> None:
    gate = gated("deny ip 192.0.2.1 because Müller & Söhne", default="allow")
    assert turned_away(gate, "192.0.2.1")["rule"] == "deny ip 192.0.2.1 because Müller & Söhne"


@pytest.mark.parametrize("header", [header_v1, header_v2])
def test_a_mapped_address_is_judged_as_ipv4(gated: Callable[..., Popgate],
                                            header: Callable[[str, int], bytes]) -> None:
    gate = gated("allow ip 192.0.2.0/24")
    with gate.connect("none", preface=header("::ffff:192.0.2.9", 40000)) as client:
        client.ask(b"QUIT", b"+OK")
    with Raw(gate.port("plain"), preface=header("::ffff:192.0.3.9", 40001)) as client:
        assert client.read_to_end() == REFUSAL
    assert gate.closed(40001)["client"] == "192.0.3.9:40001"


def test_a_rule_may_be_written_with_a_mapped_address(gated: Callable[..., Popgate]) -> None:
    gate = gated("allow ip ::ffff:192.0.2.9")
    let_in(gate, "192.0.2.9")
    turned_away(gate, "192.0.2.8")


# without a load balancer

@pytest.fixture
def direct(start: Start, certificates: Certificates, dovecot: Dovecot) -> Popgate:
    """Four workers that see their clients' own addresses, of both families."""
    config = site(certificates, dovecot.port, workers=4, defaults={"policy": "edge"}, policies={
        "edge": {"rules": ["deny ip 127.0.0.9", "allow ip 127.0.0.0/255.255.255.0", "allow ip ::1"],
                 "default": "deny"}})
    for listener in config["listeners"].values():
        listener["bind"].append("[::1]:0")
    return start(config)


@pytest.mark.parametrize("mode", MODES)
def test_clients_are_judged_by_the_address_they_come_from(direct: Popgate, mode: str) -> None:
    port, context = direct.port(LISTENERS[mode]), direct.context if mode == "implicit" else None
    for _time in range(8):  # every worker is asked
        with direct.connect(mode, source="127.0.0.200") as client:
            client.ask(b"NOOP", b"-ERR")
        for source in ("127.0.0.9", "127.0.1.1"):
            with Raw(port, context, source=source) as client:
                assert client.read_to_end() == REFUSAL and client.ending is Ending.CLEAN
                direct.log.wait("session_closed", client=f"{source}:{client.port}", reason="policy_denied")


@pytest.mark.parametrize("mode", MODES)
def test_clients_come_by_ipv6_too(direct: Popgate, mode: str) -> None:
    addresses = [event["address"] for event in direct.log.all("listening", listener=LISTENERS[mode])]
    port = next(int(address.rpartition(":")[2]) for address in addresses if address.startswith("[::1]"))
    with Raw(port, direct.context if mode == "implicit" else None, host="::1") as client:
        client.greeting()
        client.ask(b"QUIT", b"+OK")
        event = direct.closed(client.port)
    assert (event["client"], event["rule"]) == (f"[::1]:{client.port}", "allow ip ::1")


# how a client is refused

@pytest.mark.parametrize("mode", MODES)
def test_the_words_of_a_refusal_can_be_chosen(gated: Callable[..., Popgate], mode: str) -> None:
    gate = gated("deny any", options={"refusal_text": "Ask the help desk, extension 100% 7."})
    turned_away(gate, "192.0.2.1", mode, words=b"-ERR Ask the help desk, extension 100% 7.\r\n")


def test_nothing_is_said_before_tls_where_tls_comes_first(gated: Callable[..., Popgate]) -> None:
    gate = gated("deny any", defaults={"handshake_timeout": "1s"})
    with knock(gate, "implicit", "192.0.2.1") as visitor:
        assert visitor.client.read_to_end() == b""
        assert visitor.closed()["reason"] == "handshake_timeout"


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_client_that_talks_on_still_reads_the_refusal(gated: Callable[..., Popgate], mode: str) -> None:
    gate = gated("deny any")
    with visit(gate, mode, "192.0.2.1") as visitor:
        with contextlib.suppress(OSError):
            for _time in range(20):
                visitor.client.send(b"USER anna\r\nPASS secret\r\nSTAT\r\n" * 10)
        assert visitor.client.read_to_end() == REFUSAL
        event = visitor.closed()
    assert event["reason"] == "policy_denied"
    assert "user" not in event


def test_a_refused_client_that_hangs_on_is_let_go(gated: Callable[..., Popgate]) -> None:
    gate = gated("deny any", drain_timeout="1h")
    with visit(gate, "none", "192.0.2.1") as visitor:
        assert visitor.client.read_line() == REFUSAL
        gate.reload_all(json.loads(gate.config_file.read_text()))  # the old worker does not wait for it


@pytest.mark.parametrize("mode", MODES)
def test_a_dropped_client_hears_nothing(gated: Callable[..., Popgate], mode: str) -> None:
    gate = gated("deny ip 192.0.2.1", default="allow", options={"refusal": "drop"})
    with knock(gate, mode, "192.0.2.1") as visitor:
        assert visitor.client.read_to_end() == b""
        assert visitor.client.ending is Ending.CLEAN
        event = visitor.closed()
    assert (event["reason"], event["rule"]) == ("policy_dropped", "deny ip 192.0.2.1")
    assert event["bytes_out"] == 0
    let_in(gate, "192.0.2.2", mode)


@pytest.mark.parametrize("mode", MODES)
def test_a_reset_client_is_reset(gated: Callable[..., Popgate], mode: str) -> None:
    gate = gated("deny ip 192.0.2.1", default="allow", options={"refusal": "reset"})
    with knock(gate, mode, "192.0.2.1") as visitor:
        assert visitor.client.read_to_end() == b""
        assert visitor.client.ending is Ending.RESET
        event = visitor.closed()
    assert (event["reason"], event["rule"]) == ("policy_reset", "deny ip 192.0.2.1")
    assert event["bytes_out"] == 0
    let_in(gate, "192.0.2.2", mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("refusal", ["message", "drop", "reset"])
def test_refused_clients_give_their_places_back(gated: Callable[..., Popgate], mode: str, refusal: str) -> None:
    gate = gated("deny ip 192.0.2.1", default="allow", options={"refusal": refusal}, defaults={"max_connections": 4})
    for _time in range(20):
        with contextlib.suppress(OSError), visit(gate, mode, "192.0.2.1") as visitor:
            assert not visitor.client.read_to_end().startswith(b"+OK")
    until_it_works(lambda: let_in(gate, "192.0.2.2", mode))


@pytest.mark.parametrize("refusal", ["drop", "reset"])
def test_refusals_without_words_come_before_tls(gated: Callable[..., Popgate], refusal: str) -> None:
    gate = gated("deny any", options={"refusal": refusal})
    with pytest.raises(OSError):
        visit(gate, "implicit", "192.0.2.1")
    assert "tls" not in gate.log.wait("session_closed")


def test_the_store_never_hears_of_those_who_are_refused(start: Start, certificates: Certificates) -> None:
    with fake_store(Peer.login) as store:
        gate = start(edge(certificates, store.port, ["allow ip 192.0.2.7"]))
        for mode in MODES:
            with visit(gate, mode, "192.0.2.6") as visitor:
                with contextlib.suppress(OSError):
                    visitor.client.send(b"USER anna\r\nPASS secret\r\n")
                assert visitor.client.read_to_end() == REFUSAL
        assert store.connections == 0


# countries and networks

@pytest.fixture
def geoip(workdir: Path) -> Config:
    return {
        "country": write_database(workdir / "country.mmdb", "country",
                                  "192.0.2.0/24 KP AS\n198.51.100.0/24 DE EU\n203.0.113.0/24 - EU\n"
                                  "2001:db8::/32 SE EU\n2001:db8:1::/48 KP AS\n192.0.2.128/25 - AS RU\n"),
        "asn": write_database(workdir / "asn.mmdb", "asn", "198.51.100.128/25 64511\n2001:db8:2::/48 4200000000\n"),
    }


@pytest.mark.parametrize("mode", MODES)
def test_countries_continents_and_networks(gated: Callable[..., Popgate], geoip: Config, mode: str) -> None:
    gate = gated("deny country KP RU", "deny asn AS64511 4200000000", "allow continent EU", geoip=geoip)

    def facts(event: Event) -> tuple[object, ...]:
        return tuple(event.get(name) for name in ("country", "asn"))

    assert facts(turned_away(gate, "192.0.2.1", mode)) == ("KP", None)
    assert facts(turned_away(gate, "192.0.2.200", mode)) == ("RU", None)
    assert facts(turned_away(gate, "2001:db8:1::1", mode)) == ("KP", None)
    event = turned_away(gate, "198.51.100.200", mode)
    assert facts(event) == ("DE", 64511)
    assert event["rule"] == "deny asn 64511 4200000000"
    assert facts(turned_away(gate, "2001:db8:2::1", mode)) == ("SE", 4200000000)
    assert facts(let_in(gate, "198.51.100.1", mode)) == ("DE", None)
    assert facts(let_in(gate, "203.0.113.1", mode)) == (None, None)
    event = turned_away(gate, "100.64.0.1", mode)
    assert facts(event) == (None, None) and event["rule"] == "default"


# files

def test_a_file_behind_a_symbolic_link_is_replaced_for_every_worker(gated: Callable[..., Popgate],
                                                                   workdir: Path) -> None:
    (workdir / "monday").write_text("192.0.2.0/24\n")
    (workdir / "tuesday").write_text("198.51.100.0/24\n2001:db8::/32\n")
    link = workdir / "banned.txt"
    link.symlink_to("monday")
    gate = gated(f"deny file {link}", default="allow", workers=4)
    for _time in range(16):
        turned_away(gate, "192.0.2.1")
        let_in(gate, "198.51.100.1")
    (workdir / "new").symlink_to("tuesday")
    (workdir / "new").rename(link)
    assert gate.log.wait("table_replaced")["path"] == str(link)

    def assert_new() -> None:
        for _time in range(16):
            turned_away(gate, "198.51.100.1")
            turned_away(gate, "2001:db8::1")
            assert let_in(gate, "192.0.2.1")["rule"] == "default"

    until_it_works(assert_new)  # the workers hear of it a moment after the log


# rules on trial

@pytest.mark.parametrize("mode", MODES)
def test_rules_on_trial_are_logged_and_decide_nothing(gated: Callable[..., Popgate], geoip: Config, mode: str) -> None:
    gate = gated("audit deny country DE", "audit allow ip 192.0.2.1", "deny ip 192.0.2.0/24",
                 "audit deny ip 198.51.100.7", default="allow", geoip=geoip)
    event = let_in(gate, "198.51.100.7", mode)
    audits = gate.log.all("policy_audit")
    assert [audit["rule"] for audit in audits] == ["audit deny country DE", "audit deny ip 198.51.100.7"]
    for audit in audits:
        assert {name: audit[name] for name in ("client", "session", "listener", "policy")} == {
            name: event[name] for name in ("client", "session", "listener", "policy")}
    assert event["rule"] == "default"
    mark = gate.log.mark()
    assert turned_away(gate, "192.0.2.1", mode)["rule"] == "deny ip 192.0.2.0/24"
    assert [audit["rule"] for audit in gate.log.all("policy_audit", since=mark)] == ["audit allow ip 192.0.2.1"]
    mark = gate.log.mark()
    let_in(gate, "203.0.113.1", mode)
    assert not gate.log.all("policy_audit", since=mark)


# a new policy

def test_a_reload_brings_a_new_policy_and_a_bad_one_changes_nothing(start: Start, certificates: Certificates,
                                                                    dovecot: Dovecot) -> None:
    config = edge(certificates, dovecot.port, ["allow ip 192.0.2.1"], workers=4)
    gate = start(config)
    with gate.connect("none", preface=header_v1("192.0.2.1", 40000)) as early:
        config["policies"]["edge"]["rules"] = ["allow ip 192.0.2.2"]
        gate.reload(config)

        def assert_new() -> None:
            for _time in range(8):
                turned_away(gate, "192.0.2.1")
                let_in(gate, "192.0.2.2")

        until_it_works(assert_new)  # the old workers hear of their end a moment after the log
        early.login()  # who is in stays in
        early.ask(b"QUIT", b"+OK")
    gate.expect("reload_refused")
    config["policies"]["edge"]["rules"] = ["allow ip 192.0.2.300"]
    gate.write(config)
    gate.signal(1)
    assert "192.0.2.300" in gate.log.wait("reload_refused")["why"]
    turned_away(gate, "192.0.2.1")
    let_in(gate, "192.0.2.2")


# exceptions for old programs

def answers_to_user(gate: Popgate, source: str) -> tuple[bool, bytes]:
    """Whether CAPA offers USER, and the answer to USER, both in clear text on the listener with STLS."""
    with visit(gate, "stls", source) as visitor:
        visitor.client.greeting()
        capabilities = visitor.client.capabilities()
        return "USER" in capabilities, visitor.client.ask(b"USER anna")


def test_a_password_in_clear_text_is_taken_from_one_source_only(gated: Callable[..., Popgate]) -> None:
    gate = gated("allow any", defaults={"login_exceptions": [
        f"allow basic ip 10.1.2.3 until {TODAY} because old scanner, facilities",
        f"allow basic ip 10.1.2.4 until {TODAY - DAY}", "allow basic range 2001:db8::1-2001:db8::3"]})
    for source in ("10.1.2.3", "2001:db8::2"):
        offered, answer = answers_to_user(gate, source)
        assert offered and answer.startswith(b"+OK")
    for source in ("10.1.2.2", "10.1.2.4", "2001:db8::4"):
        offered, answer = answers_to_user(gate, source)
        assert not offered and answer.startswith(b"-ERR [AUTH]")
    with visit(gate, "stls", "10.1.2.3") as visitor:
        visitor.client.greeting()
        visitor.client.login()
        visitor.client.ask(b"STAT", b"+OK 100 ")


def test_an_exception_for_a_method_does_not_let_in_whom_the_policy_refuses(gated: Callable[..., Popgate]) -> None:
    gate = gated("allow ip 10.1.2.0/24", defaults={"login_exceptions": ["allow basic ip 10.0.0.0/8"]})
    assert answers_to_user(gate, "10.1.2.3")[0]
    turned_away(gate, "10.1.3.3", "stls")


def test_an_exception_may_go_by_name(gated: Callable[..., Popgate], knot: Knot) -> None:
    gate = gated("allow any", server=knot.address, defaults={"login_exceptions": [
        "allow basic domain contoso.com", "allow basic host office.contoso.com"]})
    assert answers_to_user(gate, "203.0.113.10")[0]
    assert answers_to_user(gate, "198.51.100.77")[0]
    assert answers_to_user(gate, "2001:db8:b::77")[0]
    assert not answers_to_user(gate, "203.0.113.11")[0]


def test_after_stls_the_exception_makes_no_difference(gated: Callable[..., Popgate]) -> None:
    gate = gated("allow any", defaults={"login_exceptions": ["allow basic ip 10.1.2.3"]})
    for source in ("10.1.2.3", "10.1.2.4"):
        with visit(gate, "stls", source) as visitor:
            visitor.client.greeting()
            visitor.client.stls(gate.context)
            visitor.client.login()


def test_exception_in_the_log(gated: Callable[..., Popgate]) -> None:
    gate = gated("allow any", defaults={"login_exceptions": ["allow basic ip 10.1.2.3"]})
    for source, exception in (("10.1.2.3", "basic"), ("10.1.2.4", None)):
        with visit(gate, "stls", source) as visitor:
            visitor.client.greeting()
            visitor.client.ask(b"QUIT", b"+OK")
            assert visitor.closed().get("exception") == exception


# the client's own time

def test_a_verdict_that_does_not_come_in_time(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    with fake_name_server(silence) as server:
        gate = start(edge(certificates, dovecot.port, ["allow domain contoso.com"], server=server.address,
                          resolver={"timeout": "30s"}, defaults={"preauth_timeout": "1s"}))
        event = unsure(gate, "192.0.2.9")
        assert (event["policy"], event["dns"]) == ("edge", "timeout")


# many at once

def test_a_crowd_of_friends_and_strangers_is_told_apart(gated: Callable[..., Popgate]) -> None:
    gate = gated("allow ip 10.0.0.0/255.255.255.128", "deny any", workers=4)
    visitors = [visit(gate, "none", f"10.0.0.{number}") for number in range(256)]
    try:
        for number, visitor in enumerate(visitors):
            line = visitor.client.read_line()
            assert (line == REFUSAL) is (number >= 128)
            assert line == REFUSAL or line.startswith(b"+OK")
    finally:
        for visitor in visitors:
            visitor.client.socket.close()
    gate.log.wait("session_closed", count=256)
    events = gate.log.all("session_closed")
    assert sum(event["reason"] == "policy_denied" for event in events) == 128
    assert sorted({event["rule"] for event in events}) == ["allow ip 10.0.0.0/25", "deny any"]
