"""Behind a load balancer: who the client is, and what happens to a header that is wrong, slow, missing or not to be
believed."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from balancers import LOCAL, SIGNATURE, HAProxy, header_v1, header_v2
from certs import Certificates
from clients import Ending, Raw
from popgate import LISTENERS, MODES, Config, Event, Popgate, run_command, site
from stores import Dovecot

Start = Callable[..., Popgate]

PORT = 40000


@pytest.fixture
def behind(start: Start, certificates: Certificates, dovecot: Dovecot) -> Callable[..., Popgate]:
    """Starts a popgate that takes headers from 127.0.0.1 only, with these further defaults of its listeners."""
    return lambda **defaults: start(site(certificates, dovecot.port,
                                         defaults={"proxy_from": ["127.0.0.1"], **defaults}))


def ended(gate: Popgate, client: Raw) -> Event:
    """The closing line of a session that was never known by another address than the connection's own."""
    with contextlib.suppress(ConnectionResetError):
        client.read_to_end()
    event = gate.closed(client.port)
    assert "via" not in event
    return event


# the real address

@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("header", [header_v1, header_v2])
@pytest.mark.parametrize(("source", "shown"), [
    ("203.0.113.7", "203.0.113.7:40000"),
    ("2001:db8:7::7", "[2001:db8:7::7]:40000"),
    ("::ffff:203.0.113.7", "203.0.113.7:40000"),
])
def test_the_client_is_the_one_in_the_header(behind: Callable[..., Popgate], mode: str,
                                             header: Callable[[str, int], bytes], source: str, shown: str) -> None:
    gate = behind()
    with gate.connect(mode, preface=header(source, PORT)) as client:
        client.login()
        client.ask(b"STAT", b"+OK 100 ")
        client.ask(b"QUIT", b"+OK")
        assert client.read_to_end() == b"" and client.ending is Ending.CLEAN
    event = gate.closed(PORT)
    assert (event["client"], event["via"]) == (shown, f"127.0.0.1:{client.port}")
    assert event["reason"] == "done"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("header", [header_v1, header_v2])
def test_a_header_may_come_in_pieces(behind: Callable[..., Popgate], mode: str,
                                     header: Callable[[str, int], bytes]) -> None:
    gate = behind()
    with Raw(gate.port(LISTENERS[mode])) as client:
        for byte in header("203.0.113.7", PORT):
            client.send(bytes([byte]))
        if mode == "implicit":
            client.start_tls(gate.context)
        client.greeting()
        client.ask(b"NOOP", b"-ERR")
        client.ask(b"QUIT", b"+OK")
    assert gate.closed(PORT)["client"] == "203.0.113.7:40000"


def test_commands_in_one_piece_with_the_header_are_answered(behind: Callable[..., Popgate]) -> None:
    gate = behind()
    with Raw(gate.port("plain"), preface=header_v1("203.0.113.7", PORT) + b"NOOP\r\nQUIT\r\n") as client:
        lines = client.read_to_end().split(b"\r\n")
    assert [line[:4].rstrip() for line in lines] == [b"+OK", b"-ERR", b"+OK", b""]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("header", [LOCAL, LOCAL[:12] + b"\x21\0\0\0", b"PROXY UNKNOWN\r\n"])
def test_a_load_balancer_may_speak_for_itself(behind: Callable[..., Popgate], mode: str, header: bytes) -> None:
    gate = behind()
    with gate.connect(mode, preface=header) as client:
        client.ask(b"QUIT", b"+OK")
        event = ended(gate, client)
    assert (event["client"], event["reason"]) == (f"127.0.0.1:{client.port}", "quit")


def test_what_comes_behind_stls_in_the_clear_is_still_refused(behind: Callable[..., Popgate]) -> None:
    gate = behind()
    with Raw(gate.port("pop3"), preface=header_v1("203.0.113.7", PORT) + b"STLS\r\nCAPA\r\n") as client:
        client.read_to_end()
    assert gate.closed(PORT)["reason"] == "stls_injection"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_haproxy_is_understood(behind: Callable[..., Popgate], workdir: Path, mode: str, options: str) -> None:
    gate = behind()
    with HAProxy(workdir, gate.port(LISTENERS[mode]), options) as balancer, \
            Raw(balancer.port, gate.context if mode == "implicit" else None, source="127.0.0.9") as client:
        client.greeting()
        if mode == "stls":
            client.stls(gate.context)
        client.login()
        client.ask(b"QUIT", b"+OK")
        client.read_to_end()
    event = gate.closed(client.port)
    assert event["client"] == f"127.0.0.9:{client.port}" and event["via"].startswith("127.0.0.1:")


def test_health_checks_of_haproxy_are_its_own(behind: Callable[..., Popgate], workdir: Path) -> None:
    gate = behind()
    with HAProxy(workdir, gate.port("plain"), "send-proxy-v2 check check-send-proxy inter 100"):
        event = gate.log.wait("session_closed", count=2)
    assert event["client"].startswith("127.0.0.1:") and "via" not in event
    assert event["reason"] in ("client_left", "client_failed") and event["phase"] != "proxy"


# limits

def test_places_are_counted_by_the_real_address(behind: Callable[..., Popgate]) -> None:
    gate = behind(max_connections_per_ip=2)
    with contextlib.ExitStack() as stack:
        for _silent in range(3):
            stack.enter_context(Raw(gate.port("plain"), preface=b"PROXY "))
        clients = [stack.enter_context(gate.connect("none", preface=header_v1(source, PORT)))
                   for source in ("203.0.113.7", "203.0.113.7", "203.0.113.8", "203.0.113.8", "2001:db8::1")]
        with Raw(gate.port("plain"), preface=header_v1("203.0.113.7", PORT + 1)) as refused:
            assert refused.read_to_end().startswith(b"-ERR [SYS/TEMP]")
        event = gate.closed(PORT + 1)
        assert (event["reason"], event["client"]) == ("max_connections_per_ip", f"203.0.113.7:{PORT + 1}")
        clients[0].ask(b"QUIT", b"+OK")
        clients[0].read_to_end()
        gate.closed(PORT)
        with gate.connect("none", preface=header_v2("203.0.113.7", PORT + 2)) as admitted:
            admitted.ask(b"QUIT", b"+OK")


def test_connections_without_a_header_yet_count_too(behind: Callable[..., Popgate]) -> None:
    gate = behind(max_connections=2)
    with Raw(gate.port("plain")), Raw(gate.port("plain")), Raw(gate.port("plain")):
        gate.log.wait("session_closed", reason="max_connections")


# whom to believe

@pytest.mark.parametrize("mode", MODES)
def test_a_connection_from_elsewhere_is_reset_before_its_header(behind: Callable[..., Popgate], mode: str) -> None:
    gate = behind()
    with Raw(gate.port(LISTENERS[mode]), source="127.0.0.2") as client:
        event = ended(gate, client)
    assert client.ending is Ending.RESET
    assert (event["reason"], event["client"]) == ("proxy_untrusted", f"127.0.0.2:{client.port}")


@pytest.mark.parametrize("listed", ["127.0.0.0/8", "127.0.0.2", "::ffff:127.0.0.2", "127.0.0.1-127.0.0.3"])
def test_load_balancers_can_be_listed_in_several_ways(behind: Callable[..., Popgate], listed: str) -> None:
    gate = behind(proxy_from=["192.0.2.1", "2001:db8::/32", listed])
    with gate.connect("implicit", source="127.0.0.2", preface=header_v2("203.0.113.7", PORT)) as client:
        client.ask(b"QUIT", b"+OK")


def test_only_the_listener_that_says_so_takes_headers(start: Start, certificates: Certificates,
                                                      dovecot: Dovecot) -> None:
    config = site(certificates, dovecot.port)
    config["listeners"]["pop3s"]["proxy_from"] = ["127.0.0.1"]
    gate = start(config)
    with gate.connect("none") as client:
        client.ask(b"PROXY TCP4 203.0.113.7 198.51.100.1 40000 995", b"-ERR")
    with gate.connect("implicit", preface=header_v1("203.0.113.7", PORT)) as client:
        client.ask(b"QUIT", b"+OK")


def test_a_list_entry_that_is_no_address_is_named(workdir: Path, certificates: Certificates) -> None:
    config: Config = site(certificates, 110, defaults={"proxy_from": ["127.0.0.1", "10.1.2.3/8"]})
    file = workdir / "popgate.yaml"
    file.write_text(json.dumps(config, indent=2))
    done = run_command("check", "-c", str(file))
    line = 1 + next(number for number, text in enumerate(file.read_text().splitlines()) if "10.1.2.3/8" in text)
    assert done.returncode == 1
    assert f"{file}:{line}:" in done.stderr and "proxy_from" in done.stderr and "10.0.0.0/8" in done.stderr


# wrong, missing, slow

@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("header", "why"), [
    (b"CAPA\r\n", "no PROXY protocol header"),
    (bytes.fromhex("160301009f0100009b0303"), "no PROXY protocol header"),
    (b"PROXY TCP4 203.0.113.7 198.51.100.1 040000 995\r\n", "version 1: a port"),
    (b"PROXY TCP6 203.0.113.7 198.51.100.1 40000 995\r\n", "version 1: an address"),
    (b"PROXY UNKNOWN " + b"x" * 200, "version 1: no CR LF within 107 bytes"),
    (SIGNATURE + b"\x21\x12\0\x0c" + bytes(12), "by UDP"),
    (SIGNATURE + b"\x21\x11\xff\xff" + bytes(12), "longer than 2064 bytes"),
])
def test_what_is_no_header_ends_the_session_at_once(behind: Callable[..., Popgate], mode: str, header: bytes,
                                                    why: str) -> None:
    gate = behind()
    with Raw(gate.port(LISTENERS[mode]), preface=header) as client:
        event = ended(gate, client)
    assert client.ending is Ending.RESET
    assert (event["reason"], event["phase"]) == ("proxy_bad_header", "proxy")
    assert why in event["why"]


def test_a_client_that_comes_past_the_load_balancer_is_refused(behind: Callable[..., Popgate]) -> None:
    gate = behind()
    with pytest.raises(ConnectionResetError):
        Raw(gate.port("pop3s"), gate.context)
    gate.log.wait("session_closed", reason="proxy_bad_header")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("part", [b"", b"PROXY TCP4 203.0.113.7", SIGNATURE])
def test_a_slow_header_ends_the_session(behind: Callable[..., Popgate], mode: str, part: bytes) -> None:
    gate = behind(proxy_timeout="100ms")
    with Raw(gate.port(LISTENERS[mode]), preface=part) as client:
        event = ended(gate, client)
    assert client.ending is Ending.RESET
    assert (event["reason"], event["phase"]) == ("proxy_timeout", "proxy")
    assert 100 <= event["ms_proxy"] < 5000


def test_a_header_in_time_stops_the_clock(behind: Callable[..., Popgate]) -> None:
    gate = behind(proxy_timeout="100ms", preauth_timeout="1s")
    with gate.connect("none", preface=header_v1("203.0.113.7", PORT)) as client:
        assert client.read_to_end().startswith(b"-ERR")
    assert gate.closed(PORT)["reason"] == "preauth_timeout"


def test_a_connection_that_ends_inside_its_header_is_a_client_that_left(behind: Callable[..., Popgate]) -> None:
    gate = behind()
    with Raw(gate.port("pop3s"), preface=b"PROXY TCP4 203.0.113.7") as client:
        client.half_close()
        event = ended(gate, client)
    assert (event["reason"], event["phase"]) == ("client_left", "proxy")


def test_a_header_and_no_tls_behind_it_is_a_handshake_that_failed(behind: Callable[..., Popgate]) -> None:
    gate = behind(handshake_timeout="1s")
    with Raw(gate.port("pop3s"), preface=header_v1("203.0.113.7", PORT) + b"CAPA\r\n") as client:
        client.read_to_end()
    assert gate.closed(PORT)["reason"] == "tls_failed"
    with Raw(gate.port("pop3s"), preface=header_v1("203.0.113.7", PORT + 1)) as client:
        client.read_to_end()
    assert gate.closed(PORT + 1)["reason"] == "handshake_timeout"
