"""Clients from any address, and policies that judge them.

`edge` is a configuration whose three listeners have one policy and sit behind a load balancer, so that a visitor's
address is whatever the header says.  Each visitor has a port of its own, by which the log names it.
"""

import itertools
from dataclasses import dataclass

from balancers import header_v1
from certs import Certificates
from clients import Ending, Raw
from popgate import LISTENERS, Config, Event, Popgate, site

REFUSAL = b"-ERR Connection declined by policy.\r\n"
UNSURE = b"-ERR [SYS/TEMP] Your address cannot be checked now; please wait and try again.\r\n"

_ports = itertools.count(20000)


def edge(certificates: Certificates, port: int, rules: list[str], *, default: str = "deny",
         options: Config | None = None, defaults: Config | None = None, server: str | None = None,
         resolver: Config | None = None, **top: object) -> Config:
    """The policy `edge` with these rules and further options; `server` is where DNS is asked.

    One worker, as each has a memory of its own for what DNS said.
    """
    if server:
        top["resolver"] = {"servers": [server], **(resolver or {})}
    return site(certificates, port,
                defaults={"policy": "edge", "proxy_from": ["127.0.0.1", "::1"], **(defaults or {})},
                policies={"edge": {"rules": rules, "default": default, **(options or {})}}, **{"workers": 1, **top})


@dataclass(frozen=True)
class Visitor:
    """A connection that has heard nothing yet, but for TLS."""

    gate: Popgate
    client: Raw
    source_port: int

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.client.socket.close()

    def closed(self) -> Event:
        return self.gate.closed(self.source_port)


def visit(gate: Popgate, mode: str, source: str) -> Visitor:
    """Connects; in mode "stls" STLS is still to be said."""
    port = next(_ports)
    client = Raw(gate.port(LISTENERS[mode]), gate.context if mode == "implicit" else None,
                 preface=header_v1(source, port))
    return Visitor(gate, client, port)


def knock(gate: Popgate, mode: str, source: str) -> Visitor:
    """Connects and says nothing behind the header, not even TLS where that comes first."""
    port = next(_ports)
    return Visitor(gate, Raw(gate.port(LISTENERS[mode]), preface=header_v1(source, port)), port)


def let_in(gate: Popgate, source: str, mode: str = "none") -> Event:
    """Asserts that this address is greeted; returns the closing line."""
    with visit(gate, mode, source) as visitor:
        visitor.client.greeting()
        visitor.client.ask(b"QUIT", b"+OK")
        assert visitor.client.read_to_end() == b"" and visitor.client.ending is Ending.CLEAN
        event = visitor.closed()
    assert event["reason"] == "quit", event
    return event


def turned_away(gate: Popgate, source: str, mode: str = "none", *, words: bytes = REFUSAL) -> Event:
    """Asserts that this address reads these words and then the end; returns the closing line."""
    with visit(gate, mode, source) as visitor:
        line = visitor.client.read_line()
        assert line == words, line
        assert visitor.client.read_to_end() == b"" and visitor.client.ending is Ending.CLEAN
        event = visitor.closed()
    assert event["reason"] == ("policy_unsure" if words == UNSURE else "policy_denied"), event
    return event


def unsure(gate: Popgate, source: str, mode: str = "none") -> Event:
    return turned_away(gate, source, mode, words=UNSURE)
