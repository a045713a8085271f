"""The README's chapter on who may connect: its examples are taken from it as they stand, and do what it says.

An example is an indented block behind a comment `<!-- example: WHAT -->`: a file with that name, `run` (commands with
their whole output) or `session from ADDRESS` (what such a client reads).  Only what cannot be the same on every machine
is put in its place: the name server, files of certificates, ports.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from balancers import header_v1
from certs import Certificates
from clients import Raw
from databases import write_database
from dns import Knot, pairs
from popgate import LISTENERS, Popgate, run_command, site
from stores import Dovecot

README = Path(__file__).resolve().parents[2] / "README.md"
EXAMPLE = re.compile(r"^<!-- example: (?P<what>.*?) -->\n\n(?P<block>(?:    .*\n|\n)+)", re.MULTILINE)


def examples() -> list[tuple[str, str]]:
    text = README.read_text()
    return [(found["what"], re.sub(r"^    ", "", found["block"], flags=re.MULTILINE).rstrip("\n") + "\n")
            for found in EXAMPLE.finditer(text)]


def example(what: str) -> str:
    return next(block for name, block in examples() if name == what)


def commands() -> Iterator[tuple[str, str]]:
    """Each command of the chapter and its output."""
    for name, block in examples():
        if name != "run":
            continue
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


COMMANDS = list(commands())


@pytest.fixture
def name_server(workdir: Path) -> Iterator[Knot]:
    knot = Knot(workdir / "knot", pairs({"office.contoso.com": ["203.0.114.1"], "mail.contoso.com": ["203.0.114.2"]}))
    knot.start()
    yield knot
    knot.stop()


@pytest.fixture
def chapter(workdir: Path, certificates: Certificates, name_server: Knot) -> Path:
    """A directory with every file of the chapter, and the files that those name."""
    for name, block in examples():
        if "." in name.split()[0]:
            (workdir / name).write_text(block)
    config = (workdir / "popgate.conf").read_text()
    assert '["127.0.0.1"]' in config
    (workdir / "popgate.conf").write_text(config.replace('["127.0.0.1"]', f'["{name_server.address}"]'))
    (workdir / "fullchain.pem").write_bytes(Path(certificates.chain("edge")).read_bytes())
    (workdir / "privkey.pem").write_bytes(Path(certificates.key("edge")).read_bytes())
    (workdir / "banned.txt").write_text("203.0.113.0/24   # bots\n198.51.100.77\n")
    write_database(workdir / "GeoLite2-Country.mmdb", "country", "192.0.2.0/24 DE EU\n198.51.100.0/24 KP AS\n")
    write_database(workdir / "GeoLite2-ASN.mmdb", "asn", "192.0.2.0/24 64511\n")
    return workdir


def test_there_are_examples() -> None:
    assert len(COMMANDS) >= 4
    assert {"popgate.conf", "verdicts.txt"} <= {name for name, _ in examples()}


@pytest.mark.parametrize("command,output", COMMANDS, ids=[command for command, _ in COMMANDS])
def test_commands(chapter: Path, command: str, output: str) -> None:
    words = shlex.split(command)
    assert words[0] == "popgate"
    result = run_command(*words[1:], cwd=chapter)
    assert (result.stdout, result.stderr, result.returncode) == (output, "", 0)


@pytest.fixture
def edge(start: Callable[..., Popgate], chapter: Path, certificates: Certificates, dovecot: Dovecot,
         name_server: Knot) -> Popgate:
    """The chapter's policy before a real store, behind a load balancer that says who the client is."""
    block = example("popgate.conf")
    rules = re.findall(r"^ +- ((?:audit )?(?:allow|deny) (?!basic).*?)(?: +#.*)?$", block, flags=re.MULTILINE)
    exceptions = re.findall(r"^ +- (allow basic .*)$", block, flags=re.MULTILINE)
    assert len(rules) >= 9 and exceptions
    rules = [rule.replace("file ", f"file {chapter}/") for rule in rules]
    return start(site(
        certificates, dovecot.port,
        policies={"edge": {"rules": rules, "default": "deny"}},
        geoip={"country": str(chapter / "GeoLite2-Country.mmdb"), "asn": str(chapter / "GeoLite2-ASN.mmdb")},
        resolver={"servers": [name_server.address]},
        defaults={"policy": "edge", "login_exceptions": exceptions, "proxy_from": ["127.0.0.1"]}))


@pytest.mark.parametrize("mode", list(LISTENERS))
def test_refused_session(edge: Popgate, mode: str) -> None:
    what, words = next((name, block) for name, block in examples() if name.startswith("session from "))
    address = what.removeprefix("session from ")
    context = edge.context if mode == "implicit" else None
    with Raw(edge.port(LISTENERS[mode]), context, preface=header_v1(address, 40000)) as client:
        assert client.read_to_end().decode() == words.replace("\n", "\r\n")
        assert edge.closed(40000)["reason"] == "policy_denied"


@pytest.mark.parametrize("address", ["131.107.2.7", "203.0.114.1", "203.0.114.2", "192.0.2.200"])
def test_listed_clients(edge: Popgate, address: str) -> None:
    """By address, by host, by domain, by continent."""
    edge.connect("implicit", preface=header_v1(address, 40000)).socket.close()


def test_exception(edge: Popgate) -> None:
    with edge.connect("none", preface=header_v1("131.107.2.99", 40000)) as client:
        client.ask(b"USER anna", b"+OK")
