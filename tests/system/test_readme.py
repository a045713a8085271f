"""The README's chapter on who may connect: every sentence, row and block of it, run as it stands there.

How sentences are found, and tests tied to them, is said in readme.py.  Only what cannot be the same on every machine is
put in its place: the name server, files of certificates, ports, today's date.
"""

import contextlib
import datetime
import ipaddress
import itertools
import json
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import proc
import pytest
from balancers import header_v1, header_v2
from certs import Certificates
from clients import DEADLINE, Ending, Raw, until_it_works
from databases import write_database
from dns import (FakeNameServer, Knot, Query, Reply, address_record, fake_name_server, pairs, ptr, reverse_name,
                 servfail, silence)
from popgate import MODES, Popgate, site
from readme import Chapter, Row, put_in_force, run
from stores import FakeStore, fake_store, serve_mailbox
from test_penalties import (HOME, HOTEL, OFFICE, PATIENCE, THIEF, WRONG, Judge, get_in, guarded, log_in, try_login,
                            until_banned)
from test_policy_dns import everybody_is, wait_let_in
from visitors import edge, knock, let_in, turned_away, unsure, visit

Start = Callable[..., Popgate]

CHAPTER = Chapter("Who may connect")
ROWS, EXAMPLES = CHAPTER.rows, CHAPTER.examples
example, says = CHAPTER.example, CHAPTER.says

TODAY = datetime.date.today()
YESTERDAY = TODAY - datetime.timedelta(days=1)

# The world of the chapter.
HOSTS = {"office.contoso.com": "203.0.114.1", "mail.contoso.com": "203.0.114.2", "mail.example.org": "203.0.114.3"}
LIAR = "203.0.114.9"  # says that it is mail.contoso.com
NAMELESS = "203.0.114.10"
COUNTRIES = "192.0.2.0/24 DE EU\n198.51.100.0/24 KP AS\n"
NETWORKS = "192.0.2.0/24 64511\n"
BANNED = "203.0.113.9"


@pytest.fixture(scope="module")
def name_server(shared: Path) -> Iterator[Knot]:
    zones = pairs({name: [address] for name, address in HOSTS.items()}, also={LIAR: ["mail.contoso.com"]})
    knot = Knot(shared / "knot-readme", {**zones, "in-addr.arpa": "", "ip6.arpa": ""})
    knot.start()
    yield knot
    knot.stop()


@pytest.fixture(scope="module")
def beside(shared: Path, certificates: Certificates) -> Path:
    """A directory with the files that popgate.conf names."""
    directory = shared / "beside"
    directory.mkdir()
    shutil.copy(certificates.chain("edge"), directory / "fullchain.pem")
    shutil.copy(certificates.key("edge"), directory / "privkey.pem")
    write_database(directory / "GeoLite2-Country.mmdb", "country", COUNTRIES)
    write_database(directory / "GeoLite2-ASN.mmdb", "asn", NETWORKS)
    return directory


@pytest.fixture
def chapter(workdir: Path, beside: Path, name_server: Knot) -> Path:
    """A directory with every file of the chapter, and the files that those name."""
    directory = Path(shutil.copytree(beside, workdir / "chapter"))
    CHAPTER.write_files(directory)
    config = (directory / "popgate.conf").read_text()
    assert '["127.0.0.1"]' in config
    (directory / "popgate.conf").write_text(config.replace('["127.0.0.1"]', f'["{name_server.address}"]'))
    return directory


@pytest.fixture
def policy(start: Start, chapter: Path, certificates: Certificates, name_server: Knot) -> Callable[..., Popgate]:
    """Starts a popgate with these rules, in the world of the chapter; no session of it reaches a store."""
    world = {"server": name_server.address, "geoip": {"country": str(chapter / "GeoLite2-Country.mmdb"),
                                                      "asn": str(chapter / "GeoLite2-ASN.mmdb")}}

    def start_one(*rules: str, **more: object) -> Popgate:
        there = [rule.replace("file ", f"file {chapter}/") for rule in rules]
        return start(edge(certificates, 110, there, **{**world, **more}))

    return start_one


@pytest.fixture
def store() -> Iterator[FakeStore]:
    with fake_store(serve_mailbox([])) as store:
        yield store


@pytest.fixture
def gate(start: Start, chapter: Path, certificates: Certificates, store: FakeStore) -> Popgate:
    """popgate.conf in force, before a store, and behind a load balancer that says who the client is."""
    gate = start(site(certificates, store.port))
    config, balancers = re.subn(r"^defaults:\n", r'\g<0>  proxy_from: ["127.0.0.1"]\n',
                                (chapter / "popgate.conf").read_text(), flags=re.MULTILINE)
    assert balancers == 1
    put_in_force(gate, chapter, config, store.port)
    return gate


@pytest.fixture(scope="module", autouse=True)
def moving(shared: Path, certificates: Certificates) -> Iterator[tuple[Popgate, FakeNameServer]]:
    """A rule with a host that has moved to 198.18.0.2; from the first test on, as it takes half a minute to be seen."""
    directory = shared / "moving"
    directory.mkdir()
    reply = Reply([address_record("198.18.0.1", ttl=1)])
    with fake_name_server(lambda query: reply if query.type == "A" else Reply()) as server:
        gate = Popgate(directory, edge(certificates, 110, ["allow host office.contoso.com"], server=server.address),
                       certificates.client_context())
        try:
            let_in(gate, "198.18.0.1")
            reply = Reply([address_record("198.18.0.2", ttl=1)])
            yield gate, server
            gate.stop()
        finally:
            gate.kill()


def check(chapter: Path) -> str:
    return run("popgate check -c popgate.conf", chapter)


def explain(chapter: Path, address: str) -> str:
    return run(f"popgate explain {address} --listener pop3s -c popgate.conf", chapter)


# ---- everything is tied to a test -----------------------------------------------------------------------------------


def test_every_sentence_has_a_test() -> None:
    CHAPTER.assert_sentences_are_tied()


def test_every_row_has_a_test() -> None:
    assert [(row.table, str(row)) for row in ROWS] == [*(("on the page", words) for words in PAGE),
                                                        *(("beyond the page", words) for words in BEYOND)]


def test_every_block_has_a_test() -> None:
    files = {"popgate.conf", "banned.txt", "verdicts.txt"}
    kinds = [each.what for each in EXAMPLES]
    assert [kind for kind in kinds if kind not in files | {"run", f"session from {BANNED}"}] == []
    assert files < set(kinds)


# ---- blocks ---------------------------------------------------------------------------------------------------------


COMMANDS = list(CHAPTER.commands())


@pytest.mark.parametrize("command,output", COMMANDS, ids=[command for command, _ in COMMANDS])
def test_commands(chapter: Path, command: str, output: str) -> None:
    assert run(command, chapter) == output


# ---- tables ---------------------------------------------------------------------------------------------------------


def names(address: str) -> list[str]:
    return [name for name, each in HOSTS.items() if each == address]


# What Exchange lets in that has this on its page.
PAGE: dict[str, Callable[..., bool]] = {
    "Only the list below: …": lambda address, listed: address == listed,
    "All except the list below: …": lambda address, listed: address != listed,
    "Single computer, IP address: …": lambda address, listed: address == listed,
    "Single computer, DNS Lookup: …": lambda address, name: name in names(address),
    "Group of computers: …, mask …":
        lambda address, subnet, mask: ipaddress.ip_address(address) in ipaddress.ip_network(f"{subnet}/{mask}"),
    "Domain: …": lambda address, domain: any(name.endswith(f".{domain}") for name in names(address)),
}

# The kind of rule that lets or keeps out what is called so.
BEYOND = {"A range": "range", "IPv6": "ip", "A file": "file", "Countries": "country", "A continent": "continent",
          "A provider's network": "asn", "Everybody": "any"}


def addresses(row: Row, column: str) -> list[str]:
    """Those of a cell, in which hosts stand by name."""
    cell = row.cells[column]
    assert cell.codes or cell.words == "nobody"
    return [HOSTS.get(code, code) for code in cell.codes]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_rows(policy: Callable[..., Popgate], row: Row) -> None:
    rule, default, *more = [*row.cells["in the policy"].codes, "default: deny"]
    assert default.startswith("default: ") and more in ([], ["default: deny"])
    gate = policy(rule, default=default.removeprefix("default: "))
    for address in addresses(row, "may connect"):
        let_in(gate, address)
    for address in addresses(row, "may not"):
        turned_away(gate, address)


@pytest.mark.parametrize("row", [row for row in ROWS if row.table == "on the page"], ids=str)
def test_exchange_says_the_same(row: Row) -> None:
    on_the_page = row.cells["on the page"]
    lets_in = PAGE[on_the_page.words]
    assert all(lets_in(address, *on_the_page.codes) for address in addresses(row, "may connect"))
    assert not any(lets_in(address, *on_the_page.codes) for address in addresses(row, "may not"))


@pytest.mark.parametrize("row", [row for row in ROWS if row.table == "beyond the page"], ids=str)
def test_beyond_the_page_is_the_kind_that_it_says(row: Row) -> None:
    assert row.cells["in the policy"].codes[0].split()[1] == BEYOND[str(row)]
    assert str(row) != "IPv6" or ":" in row.cells["in the policy"].codes[0]


# ---- rules ----------------------------------------------------------------------------------------------------------


@says('Exchange\'s "Connection control" page (Access, Connection) becomes a policy: rules that are asked in order '
      "until one matches, and a default.")
def test_order(chapter: Path) -> None:
    twice = "131.107.2.66"  # in rules 1 and 2
    assert explain(chapter, twice).endswith("  verdict: deny, by rule 1\n")
    assert "rule 2: " not in explain(chapter, twice)
    default = explain(chapter, "100.64.0.1")
    assert re.findall(r"^  rule (\d): ", default, flags=re.MULTILINE) == list("123456789")
    assert default.endswith("  verdict: deny, by default\n")
    head, first, second, *rest = re.split(r"(?=^ +- )", example("popgate.conf"), flags=re.MULTILINE)
    (chapter / "popgate.conf").write_text("".join([head, second, first, *rest]))
    assert "  verdict: allow, by rule 1\n" in explain(chapter, twice)


@says("popgate judges a client before it greets it.")
@pytest.mark.parametrize("mode", MODES[:2])
def test_judged_before_the_greeting(gate: Popgate, store: FakeStore, mode: str) -> None:
    turned_away(gate, BANNED, mode)
    assert store.connections == 0
    let_in(gate, "131.107.2.7", mode)


@says("… before a rule has it logged (…) and decide nothing.")
def test_audit(policy: Callable[..., Popgate], codes: list[str]) -> None:
    audit, event = codes
    rule, = re.findall(rf"^ +- ({audit} .*?) +#", example("popgate.conf"), flags=re.MULTILINE)
    gate = policy(rule, default="allow")
    let_in(gate, "192.0.2.9")
    assert gate.log.wait(event)["rule"] == rule
    gate = policy(rule.removeprefix(f"{audit} "), default="allow")
    turned_away(gate, "192.0.2.9")
    assert not gate.log.all(event)


@says("Any rule may end in …, the last day on which it matches, and in …, which the log repeats.")
def test_until_and_because(policy: Callable[..., Popgate], codes: list[str]) -> None:
    until, because = codes
    word, date = until.split()
    datetime.date.fromisoformat(date)  # raises where it is none
    gate = policy(f"allow ip 192.0.2.1 {word} {TODAY} {because}", f"allow ip 192.0.2.2 {word} {YESTERDAY} {because}")
    assert let_in(gate, "192.0.2.1")["rule"].endswith(because)
    turned_away(gate, "192.0.2.2")


@says("An IPv4 address that comes in an IPv6 one, such as …, is judged as IPv4.")
def test_mapped(policy: Callable[..., Popgate], codes: list[str]) -> None:
    mapped, = codes
    plain = str(ipaddress.IPv6Address(mapped).ipv4_mapped)
    assert let_in(policy(f"allow ip {plain}"), mapped)["client"].startswith(f"{plain}:")
    turned_away(policy("deny ip 0.0.0.0/0", default="allow"), mapped)


# ---- files and commands ---------------------------------------------------------------------------------------------


@says("A file such as … has a prefix, a range or an address on each line, a million of them if need be, and comments "
      "behind …:")
def test_file(policy: Callable[..., Popgate], chapter: Path, codes: list[str]) -> None:
    name, mark = codes
    assert mark in example(name)
    prefix, ends, single = (line.split(mark)[0].strip() for line in example(name).splitlines())
    network, (low, high) = ipaddress.ip_network(prefix), ends.split("-")
    gate = policy(f"deny file {name}", default="allow")
    for address in (network[0], network[-1], low, high, single):
        turned_away(gate, str(address))
    for address in (network[0] - 1, ipaddress.ip_address(high) + 1, ipaddress.ip_address(single) + 1):
        let_in(gate, str(address))
    (chapter / name).write_text("".join(f"10.{n >> 15}.{n >> 7 & 255}.{2 * n & 255}\n" for n in range(1_000_000)))
    assert f"rule 1, 1000000 IPv4 addresses: deny file {name}\n" in check(chapter)


@says("… says what each rule really covers, and which of them can never match.")
def test_check(chapter: Path, codes: list[str]) -> None:
    command = f"{codes[0]} -c popgate.conf"
    config = example("popgate.conf")
    rules = len(re.findall(r"^ +- (?!allow basic)", config, flags=re.MULTILINE))
    listed = re.findall(r"^  rule \d, (?:by name|\d+ IPv4 addresses): ", run(command, chapter), flags=re.MULTILINE)
    assert len(listed) == rules
    config = config.replace("    default: ", "      - allow ip 131.107.2.9\n    default: ")
    (chapter / "popgate.conf").write_text(config)
    assert f"rule {rules + 1} (allow ip 131.107.2.9) can never match: rule 2 covers it" in run(command, chapter)


@says("A mask of … is four addresses, not six:")
def test_mask(chapter: Path, codes: list[str]) -> None:
    mask, = codes
    rule, = re.findall(rf"allow ip \S+/{re.escape(mask)}", example("popgate.conf"))
    network = ipaddress.ip_network(rule.split()[-1])
    assert network.num_addresses == 4
    assert f", 4 IPv4 addresses: allow ip {network}\n" in check(chapter)


@says("… tells the way to a verdict, with the answers of DNS and of the databases;")
def test_explain(chapter: Path, codes: list[str]) -> None:
    def explained(address: str) -> str:
        return run(f"{codes[0]} {address} --listener pop3s -c popgate.conf", chapter)

    assert ("rule 6: allow domain contoso.com\n"
            "      matches: the name is mail.contoso.com, which leads back to the address\n"
            ) in explained(HOSTS["mail.contoso.com"])
    assert "the address has no reverse name (NXDOMAIN)" in explained(NAMELESS)
    for part in ("the network is AS64511", "the country is DE", "the continent is EU"):
        assert part in explained("192.0.2.9")


@says("… is for tools:")
def test_explain_for_tools(chapter: Path, codes: list[str]) -> None:
    explained, = json.loads(run(f"popgate explain {BANNED} --listener pop3s {codes[0]} -c popgate.conf", chapter))
    assert (explained["verdict"], explained["rule"]) == ("deny", 1)


@says("Keep a table of what the policy is meant to do beside it, and let it be checked after each change:")
def test_table_after_a_change(chapter: Path) -> None:
    config = chapter / "popgate.conf"
    config.write_text(config.read_text().replace("- deny file banned.txt", "- audit deny file banned.txt")
                      .replace("default: deny", "default: allow"))
    command, = (command for command, _output in COMMANDS if "policy test" in command)
    assert "verdicts.txt:3: 203.0.113.9 at pop3: deny was expected, but it is allow by default\n" in run(
        command, chapter, status=1)


# ---- how a client is refused ----------------------------------------------------------------------------------------


@says("Otherwise the client is told, inside TLS where TLS comes first:")
@pytest.mark.parametrize("mode", MODES[:2])
def test_refusal(gate: Popgate, mode: str) -> None:
    what, words = next((each.what, each.text) for each in EXAMPLES if each.what.startswith("session from "))
    with visit(gate, mode, what.removeprefix("session from ")) as visitor:
        assert (visitor.client.tls is not None) is (mode == "implicit")
        assert visitor.client.read_to_end().decode() == words.replace("\n", "\r\n")
        assert visitor.closed()["reason"] == "policy_denied"


@says("With … the connection of a refused client is closed, with … it is reset, without a word and without a "
      "handshake.")
@pytest.mark.parametrize("mode", MODES)
def test_refusal_without_a_word(policy: Callable[..., Popgate], codes: list[str], mode: str) -> None:
    for code, ending in zip(codes, (Ending.CLEAN, Ending.RESET), strict=True):
        option, manner = code.split(": ")
        gate = policy("deny file banned.txt", options={option: manner})
        with knock(gate, mode, BANNED) as visitor:
            assert visitor.client.read_to_end() == b"" and visitor.client.ending is ending
            assert visitor.closed()["bytes_out"] == 0


# ---- files and databases --------------------------------------------------------------------------------------------

WATCHED = {"deny file banned.txt": BANNED, "deny country KP RU": "198.51.100.9", "deny asn 64511": "192.0.2.9"}


@pytest.fixture
def watching(policy: Callable[..., Popgate]) -> Popgate:
    gate = policy(*WATCHED, default="allow")
    for rule, address in WATCHED.items():
        assert turned_away(gate, address)["rule"].endswith(rule.split()[-1])
    let_in(gate, "198.18.1.9")
    return gate


@says("Files and databases are watched: a changed one is taken within seconds, without a reload;")
def test_files_are_watched(watching: Popgate, chapter: Path) -> None:
    workers = watching.workers()
    (chapter / "banned.txt").write_text("198.18.1.9\n")
    write_database(chapter / "GeoLite2-Country.mmdb", "country", "198.18.2.0/24 RU EU\n")
    write_database(chapter / "GeoLite2-ASN.mmdb", "asn", "198.18.3.0/24 64511\n")
    written = time.monotonic()
    watching.log.wait("table_replaced", count=3)
    assert time.monotonic() - written < 10
    for address in ("198.18.1.9", "198.18.2.9", "198.18.3.9"):  # the worker hears of it a moment after the log
        until_it_works(lambda address=address: turned_away(watching, address))
    for address in WATCHED.values():
        let_in(watching, address)
    assert watching.workers() == workers and not watching.log.all("reload_started")


@says("a bad one is refused with a line in the log (…), and the old one stays.")
def test_bad_files(watching: Popgate, chapter: Path, codes: list[str]) -> None:
    event, = codes
    watching.expect(event)
    for name in ("banned.txt", "GeoLite2-Country.mmdb", "GeoLite2-ASN.mmdb"):
        (chapter / name).write_text("198.18.1.0/99\n")
    watching.log.wait(event, count=3)
    for address in WATCHED.values():
        turned_away(watching, address)
    let_in(watching, "198.18.1.9")


@says("A database older than … is warned about (…).")
def test_old_database(policy: Callable[..., Popgate], workdir: Path, codes: list[str]) -> None:
    option, event = codes
    day = 24 * 60 * 60
    databases = {f"{days} days": write_database(workdir / f"{days}.mmdb", "country", COUNTRIES,
                                                built=int(time.time()) - days * day - 60) for days in (5, 7)}
    for age, told in (("5 days", False), ("7 days", True)):
        gate = policy("deny country KP", default="allow", geoip={"country": databases[age], option: "6d"})
        turned_away(gate, "198.51.100.9")
        if told:
            gate.expect(event)
            assert f"it is {age} old" in gate.log.wait(event)["why"]


# ---- DNS ------------------------------------------------------------------------------------------------------------

DOMAIN = "allow domain contoso.com"


@says("DNS is asked only where the answer can still change the verdict, while TLS shakes hands.")
def test_when_dns_is_asked(policy: Callable[..., Popgate]) -> None:
    with fake_name_server(silence) as server:
        gate = policy("deny file banned.txt", DOMAIN, "allow ip 192.0.2.0/24", server=server.address,
                      resolver={"timeout": "500ms", "tries": 5})
        turned_away(gate, BANNED)
        let_in(gate, "192.0.2.9")
        assert not server.queries
        with knock(gate, "implicit", "198.18.0.9") as visitor:
            server.wait_asked(1)
            server.script = everybody_is("contoso.com")
            visitor.client.start_tls(gate.context)
            visitor.client.greeting()


@says("Each worker asks once for an address, however many sessions wait, and remembers the answer for its time to "
      "live, and for … at least.")
def test_dns_is_asked_once(policy: Callable[..., Popgate], codes: list[str]) -> None:
    shortest, = codes
    ttls = {"198.18.0.9": 2, "198.18.0.10": 0}  # in the order of what is asked for last
    kept = {"198.18.0.9": 2, "198.18.0.10": 1}

    def script(query: Query) -> Reply:
        if query.type != "PTR":
            return everybody_is("contoso.com")(query)
        address = next(address for address in ttls if reverse_name(address) == query.name)
        return Reply([ptr(f"{address.replace('.', '-')}.contoso.com", ttl=ttls[address])], after=0.2)

    with fake_name_server(script) as server:
        gate = policy(DOMAIN, server=server.address, resolver={"timeout": "10s", shortest: "1s"})
        for address in ttls:
            waiting = [visit(gate, "none", address) for _number in range(10)]
            for visitor in waiting:
                visitor.client.greeting()
                visitor.client.socket.close()
            assert len(server.asked(reverse_name(address), "PTR")) == 1
        end = time.monotonic() + DEADLINE
        for address, seconds in kept.items():
            while len(asked := server.asked(reverse_name(address), "PTR")) < 2:
                assert time.monotonic() < end
                let_in(gate, address)
            assert asked[1].time - asked[0].time > seconds


@says("… believes a name only if it leads back to the address, … believes any;")
def test_names_that_lie(policy: Callable[..., Popgate], codes: list[str]) -> None:
    allow, deny = codes
    gate = policy(f"{allow} contoso.com")
    let_in(gate, HOSTS["mail.contoso.com"])
    assert turned_away(gate, LIAR)["claimed_host"] == "mail.contoso.com"
    gate = policy(f"{deny} contoso.com", default="allow")
    turned_away(gate, HOSTS["mail.contoso.com"])
    turned_away(gate, LIAR)


@says("an address without a name matches neither.")
def test_no_name(policy: Callable[..., Popgate]) -> None:
    assert turned_away(policy(DOMAIN), NAMELESS)["rule"] == "default"
    assert let_in(policy("deny domain contoso.com", default="allow"), NAMELESS)["rule"] == "default"


@says("When DNS fails, … holds, and the log says how it failed.")
@pytest.mark.parametrize(("script", "how"), [(servfail, "servfail"), (silence, "timeout")])
def test_dns_fails(policy: Callable[..., Popgate], codes: list[str], script: Callable, how: str) -> None:
    option, = codes
    with fake_name_server(script) as server:
        for verdict, judge in (("deny", unsure), ("allow", let_in)):
            gate = policy(DOMAIN, server=server.address, resolver={"timeout": "100ms", "tries": 1},
                          options={option: verdict})
            assert judge(gate, "198.18.0.9")["dns"] == how


@says("When the name servers stop answering, popgate stops asking for a while (…), so that clients do not wait.")
def test_dns_is_dead(policy: Callable[..., Popgate], codes: list[str]) -> None:
    event, = codes
    with fake_name_server(silence) as server:
        gate = policy(DOMAIN, server=server.address, resolver={"timeout": "1s", "tries": 1})
        gate.expect(event)
        waiting = [visit(gate, "none", f"10.{number}.0.1") for number in range(12)]
        for visitor in waiting:
            with visitor:
                assert visitor.closed()["dns"] == "timeout"
        gate.log.wait(event)
        asked, told = len(server.queries), unsure(gate, "10.66.0.1")
        assert told["dns"] == "unavailable" and told["ms"] < 500 and len(server.queries) <= asked + 1
        server.script = everybody_is("contoso.com")
        wait_let_in(gate, (f"10.{number % 250}.1.1" for number in itertools.count()))


# ---- who may log in how ---------------------------------------------------------------------------------------------

PROTECTED = b"-ERR [AUTH]"


def says_user(gate: Popgate, source: str, answer: bytes) -> None:
    """Asserts what is answered to a login in clear text, at the listener with STLS."""
    with visit(gate, "stls", source) as visitor:
        visitor.client.greeting()
        visitor.client.ask(b"USER anna", answer)


@says("Exceptions (…) allow a login method to some clients only.")
def test_exceptions(policy: Callable[..., Popgate], codes: list[str]) -> None:
    option, = codes
    rule, = re.findall(rf"^ +{option}:\n +- (.*)\n", example("popgate.conf"), flags=re.MULTILINE)
    gate = policy("allow any", defaults={option: [rule]})
    says_user(gate, "131.107.2.99", b"+OK")
    says_user(gate, "131.107.2.98", PROTECTED)


@says("An expired one is no longer there, and … lists it.")
def test_expired_exceptions(policy: Callable[..., Popgate], chapter: Path, codes: list[str]) -> None:
    rule = f"allow basic ip 131.107.2.99 until {YESTERDAY}"
    says_user(policy("allow any", defaults={"login_exceptions": [rule]}), "131.107.2.99", PROTECTED)
    config = chapter / "popgate.conf"
    config.write_text(config.read_text().replace("until 2099-06-30", f"until {YESTERDAY}"))
    assert re.search(rf"\({rule} because .*\) has expired", run(f"{codes[0]} -c popgate.conf", chapter))


@says("A policy encrypts nothing;")
def test_a_policy_encrypts_nothing(gate: Popgate) -> None:
    with visit(gate, "stls", "131.107.2.99") as visitor:
        visitor.client.greeting()
        visitor.client.login()
        visitor.client.ask(b"QUIT", b"+OK")


@says("what is readable on the wire is decided by … and ….")
def test_what_is_readable(start: Start, certificates: Certificates, codes: list[str]) -> None:
    tls, login = codes
    config = edge(certificates, 110, ["allow any"])
    for clear, answer in (("basic", b"+OK"), ("basic-tls", PROTECTED)):
        config["listeners"]["pop3"].update({tls: "stls", login: [clear]})
        config["listeners"]["pop3s"].update({tls: "implicit", login: [clear]})
        gate = start(config)
        says_user(gate, "192.0.2.9", answer)
        with knock(gate, "implicit", "192.0.2.9") as visitor:
            visitor.client.send(b"USER anna\r\n")
            assert b"+OK" not in visitor.client.read_to_end()
            assert visitor.closed()["reason"] == "tls_failed"


# ---- load balancers -------------------------------------------------------------------------------------------------


@says("Behind a load balancer name its addresses in …: each connection must then come from one of them and begin with "
      "a PROXY protocol header (version 1 or 2).")
def test_load_balancer(start: Start, certificates: Certificates, codes: list[str]) -> None:
    gate = start(site(certificates, 110, defaults={codes[0]: ["127.0.0.1"]}))
    for header in (header_v1, header_v2):
        with gate.connect("none", preface=header("192.0.2.9", 40000)) as client:
            client.ask(b"QUIT", b"+OK")
    for reason, options in (("proxy_untrusted", {"source": "127.0.0.2", "preface": header_v1("192.0.2.9", 40000)}),
                            ("proxy_bad_header", {"preface": b"CAPA\r\n"})):
        with contextlib.suppress(OSError), Raw(gate.port("plain"), **options) as client:
            assert client.read_to_end() == b"" and client.ending is Ending.RESET
        gate.log.wait("session_closed", reason=reason)


@says("The client in it is the one that is judged, counted and logged.")
def test_client_behind_a_load_balancer(policy: Callable[..., Popgate]) -> None:
    gate = policy("allow ip 192.0.2.0/24", defaults={"max_connections_per_ip": 1})
    turned_away(gate, "198.18.0.9")
    with visit(gate, "none", "192.0.2.9") as first, visit(gate, "none", "192.0.2.9") as second, \
            visit(gate, "none", "192.0.2.10") as other:
        for visitor in (first, other):
            visitor.client.greeting()
        assert second.client.read_to_end().startswith(b"-ERR [SYS/TEMP]")
        closed = second.closed()
    assert (closed["reason"], closed["client"]) == ("max_connections_per_ip", f"192.0.2.9:{second.source_port}")


# ---- failed logins --------------------------------------------------------------------------------------------------


def refusal_ms(gate: Popgate, source: str, user: str, password: str) -> int:
    """How long the answer to a wrong password waits."""
    with Raw(gate.port("plain"), source=source) as client:
        client.greeting()
        assert try_login(client, user, password) == WRONG
        client.ask(b"QUIT", b"+OK")
        return gate.closed(client.port)["ms_refusal"]


@says("Failed logins cost time: the answer waits …, and twice as long with each one more of that address or that user, "
      "up to ….")
@pytest.mark.parametrize("same", ["address", "user"])
def test_delays(start: Start, certificates: Certificates, codes: list[str], same: str) -> None:
    first, most = codes
    with guarded(start, certificates, Judge(), **{first: "100ms", most: "400ms"}) as gate:
        took = [refusal_ms(gate, THIEF if same == "address" else f"127.1.0.{number}",
                           "anna" if same == "user" else f"user{number}", f"guess {number}") for number in range(1, 5)]
    assert all(ms >= wanted - 2 for ms, wanted in zip(took, (100, 200, 400, 400), strict=True)), took
    assert took[3] < 800


@says("Once one has failed, parallel guesses take turns.")
def test_turns(start: Start, certificates: Certificates) -> None:
    judge = Judge()
    with guarded(start, certificates, judge, login_delay="100ms", login_delay_max="10s") as gate, \
            ThreadPoolExecutor(3) as pool:
        log_in(gate, THIEF, "anna", "first")
        assert list(pool.map(lambda number: log_in(gate, THIEF, "anna", f"guess {number}"), range(3))) == [WRONG] * 3
    times = judge.times()[1:]
    assert len(times) == 3 and all(later - earlier > 0.1 for earlier, later in zip(times, times[1:])), times


@says("After … of them the address is refused for …;")
def test_ban_of_an_address(start: Start, certificates: Certificates, codes: list[str]) -> None:
    most, time_of_ban = codes
    with guarded(start, certificates, Judge(), **{most: 3, time_of_ban: "1s"}) as gate:
        began = time.monotonic()
        assert until_banned(gate, THIEF, "anna", address=THIEF) == 3
        assert log_in(gate, THIEF, "bert") == PATIENCE
        get_in(gate, HOTEL, "bert")
        until_it_works(lambda: get_in(gate, THIEF, "bert"))
        assert time.monotonic() - began > 1


def ban(gate: Popgate, user: str, guesses: int) -> None:
    """Guesses so often, from everywhere; asserts that the user is banned then."""
    for number in range(1, guesses + 1):
        assert log_in(gate, f"127.1.0.{number}", user, f"guess {number}") == WRONG
    assert log_in(gate, HOTEL, user) == PATIENCE


@says("after … the user is, where this user has not logged in well before.")
def test_ban_of_a_user(start: Start, certificates: Certificates, codes: list[str]) -> None:
    with guarded(start, certificates, Judge(), **{codes[0]: 3}) as gate:
        get_in(gate, HOME, "anna")
        ban(gate, "anna", 3)
        get_in(gate, HOME, "anna")
        get_in(gate, HOTEL, "bert")


@says("The same wrong password counts once;")
def test_the_same_password(start: Start, certificates: Certificates) -> None:
    with guarded(start, certificates, Judge(), ban_after=2) as gate:
        assert [log_in(gate, HOME, "anna", "of last year") for _time in range(4)] == [WRONG] * 4
        assert log_in(gate, HOME, "anna", "another") == WRONG
        assert log_in(gate, HOME, "carla") == PATIENCE


@says("running sessions go on;")
def test_running_sessions(start: Start, certificates: Certificates) -> None:
    with guarded(start, certificates, Judge(), ban_after=2, ban_after_user=5) as gate, \
            Raw(gate.port("plain"), source=THIEF) as client:
        client.greeting()
        client.login("anna", "right")
        until_banned(gate, THIEF, "bert", address=THIEF)
        assert log_in(gate, THIEF, "carla") == PATIENCE
        ban(gate, "anna", 5)
        client.ask(b"STAT", b"+OK")
        client.ask(b"QUIT", b"+OK")


@says("users known at an address are let in even when a stranger there, or elsewhere, is banned.")
def test_known_users(start: Start, certificates: Certificates) -> None:
    with guarded(start, certificates, Judge(), ban_after=2, ban_after_user=4) as gate:
        get_in(gate, OFFICE, "anna")
        until_banned(gate, OFFICE, "bert", address=OFFICE)
        assert log_in(gate, OFFICE, "carla") == PATIENCE
        get_in(gate, OFFICE, "anna")
        ban(gate, "anna", 4)
        get_in(gate, OFFICE, "anna")


@says("Bans outlive reloads and upgrades.")
@pytest.mark.parametrize(("number", "done"), [(signal.SIGHUP, "reload_done"), (signal.SIGUSR2, "upgrade_done")])
def test_bans_stay(start: Start, certificates: Certificates, number: int, done: str) -> None:
    with guarded(start, certificates, Judge(), ban_after=2, ban_after_user=2) as gate:
        until_banned(gate, THIEF, "anna", address=THIEF)
        ban(gate, "bert", 2)
        before = gate.workers()
        gate.signal(number)
        gate.log.wait(done)
        proc.wait_gone(before)
        assert log_in(gate, THIEF, "carla") == PATIENCE  # the address
        assert log_in(gate, HOTEL, "bert") == PATIENCE  # the user
        get_in(gate, HOTEL, "carla")


@says("Users are told apart as they are written, case aside: … and … count as two.")
def test_who_is_the_same_user(start: Start, certificates: Certificates, codes: list[str]) -> None:
    short, long = codes
    with guarded(start, certificates, Judge(), ban_after_user=2) as gate:
        log_in(gate, "127.1.0.1", short, "guess 1")
        log_in(gate, "127.1.0.2", long, "guess 2")
        get_in(gate, HOTEL, short)
        get_in(gate, HOTEL, long)
        log_in(gate, "127.1.0.3", short.upper(), "guess 3")
        assert log_in(gate, HOME, short) == PATIENCE


# ---- last, as it takes time -----------------------------------------------------------------------------------------


@says("A … is looked up again when its time to live is over, but not within half a minute.")
def test_host_that_moves(moving: tuple[Popgate, FakeNameServer], codes: list[str]) -> None:
    gate, server = moving
    assert f"allow {codes[0]} office.contoso.com" in gate.config_file.read_text()
    for _time in range(3):
        with contextlib.suppress(AssertionError):
            server.wait_asked(4)  # A and AAAA, twice
    until_it_works(lambda: let_in(gate, "198.18.0.2"))
    turned_away(gate, "198.18.0.1")
    first, second = (query.time for query in server.asked("office.contoso.com", "A")[:2])
    assert 29 < second - first < 40
