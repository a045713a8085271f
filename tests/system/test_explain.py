"""What administrators are told about their policy: `popgate check`, `popgate explain`, `popgate policy test`."""

import datetime
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from certs import Certificates
from databases import write_database
from dns import Knot, dead_address, fake_name_server, pairs, servfail, silence
from popgate import Config, run_command
from visitors import edge

TODAY = datetime.date.today()
DAY = datetime.timedelta(days=1)


class Site:
    """A configuration file, and the commands that read it."""

    def __init__(self, directory: Path, certificates: Certificates):
        self.directory = directory
        self.file = directory / "popgate.yaml"
        self._certificates = certificates

    def write(self, *rules: str, **more: Any) -> "Site":
        self.save(edge(self._certificates, 110, list(rules), **more))
        return self

    def save(self, config: Config) -> None:
        # YAML has no pairs of escapes for one character, which JSON else has.
        self.file.write_text(json.dumps(config, indent=2, ensure_ascii=False), encoding="utf-8")

    def config(self, *rules: str, **more: Any) -> Config:
        return edge(self._certificates, 110, list(rules), **more)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_command(*arguments, "-c", str(self.file))

    def check(self) -> str:
        """What a check prints that finds no error."""
        done = self.run("check")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1].startswith(f"{self.file}: no problems")
        return done.stdout

    def errors(self) -> str:
        done = self.run("check")
        assert done.returncode == 1 and "no problems" not in done.stdout
        return done.stderr

    def warnings(self) -> list[str]:
        """What is said about single rules; without the place in the file, which must be there."""
        *lines, last = self.check().splitlines()
        said = [line for line in lines if line.startswith(str(self.file))]
        assert last.removeprefix(f"{self.file}: ") == (
            f"no problems, but {len(said)} of the rules should be looked at" if said else "no problems")
        for line in said:
            number = int(line.removeprefix(f"{self.file}:").partition(":")[0])
            rule = line.partition("(")[2].partition(" ")[0]
            assert rule in self.file.read_text().splitlines()[number - 1], line
        return [line.split(": ", 1)[1] for line in said]

    def explain(self, address: str, *arguments: str) -> str:
        done = self.run("explain", address, "--listener", "plain", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def explain_json(self, address: str, *arguments: str) -> dict[str, Any]:
        explained, = json.loads(self.explain(address, "--json", *arguments))
        return explained

    def table(self, text: str) -> subprocess.CompletedProcess[str]:
        (self.directory / "table").write_text(text)
        return self.run("policy", "test", str(self.directory / "table"))


@pytest.fixture
def here(workdir: Path, certificates: Certificates) -> Site:
    return Site(workdir, certificates)


@pytest.fixture(scope="module")
def knot(shared: Path) -> Iterator[Knot]:
    zones = pairs({"mail.contoso.com": ["203.0.113.10", "2001:db8:a::10"], "mail.other.example": ["203.0.113.11"]},
                  also={"203.0.113.12": ["mail.contoso.com"]})
    zones["contoso.com"] += "\noffice A 198.51.100.77"
    server = Knot(shared / "knot-explain", {**zones, "in-addr.arpa": ""})
    server.start()
    yield server
    server.stop()


@pytest.fixture
def geoip(workdir: Path) -> Config:
    return {
        "country": write_database(workdir / "country.mmdb", "country",
                                  "192.0.2.0/24 KP AS\n198.51.100.0/25 DE EU\n2001:db8::/32 SE EU\n"),
        "asn": write_database(workdir / "asn.mmdb", "asn", "198.51.100.0/26 64511\n"),
    }


# check: how many addresses

@pytest.mark.parametrize(("rule", "count"), [
    ("allow ip 192.0.2.4/255.255.255.252", "4 IPv4 addresses: allow ip 192.0.2.4/30"),  # and not six
    ("allow ip 192.0.2.0/255.255.255.0", "256 IPv4 addresses: allow ip 192.0.2.0/24"),
    ("allow ip 192.0.2.1", "1 IPv4 address: allow ip 192.0.2.1"),
    ("allow ip 192.0.2.1/32", "1 IPv4 address: allow ip 192.0.2.1"),
    ("allow ip 0.0.0.0/0", "4294967296 IPv4 addresses: allow ip 0.0.0.0/0"),
    ("allow ip 2001:db8::1", "1 IPv6 address: allow ip 2001:db8::1"),
    ("allow ip 2001:db8::/126", "4 IPv6 addresses: allow ip 2001:db8::/126"),
    ("allow ip 2001:db8::/32", "2^96 IPv6 addresses: allow ip 2001:db8::/32"),
    ("allow ip 192.0.2.0/24 192.0.2.128/25 2001:db8::/127",
     "256 IPv4 addresses and 2 IPv6 addresses: allow ip 192.0.2.0/24 192.0.2.128/25 2001:db8::/127"),
    ("allow range 192.0.2.10-192.0.2.40", "31 IPv4 addresses: allow range 192.0.2.10-192.0.2.40"),
    ("allow range 10.0.0.0-10.255.255.255", "16777216 IPv4 addresses: "),
    ("deny country KP", "256 IPv4 addresses: deny country KP"),
    ("allow continent EU", "128 IPv4 addresses and 2^96 IPv6 addresses: allow continent EU"),
    ("deny asn AS64511", "64 IPv4 addresses: deny asn 64511"),
    ("deny country FR", "no address: deny country FR"),
    ("allow domain contoso.com", "by name: allow domain contoso.com"),
    ("allow host office.contoso.com", "by name: allow host office.contoso.com"),
    ("allow any", "every address: allow any"),
])
def test_check_tells_how_many_addresses_a_rule_has(here: Site, geoip: Config, rule: str, count: str) -> None:
    said = here.write(rule, geoip=geoip, server=dead_address()).check()
    assert f"\n  rule 1, {count}" in said
    assert said.startswith("policy edge\n")


def test_check_counts_the_addresses_of_a_file(here: Site) -> None:
    (here.directory / "banned.txt").write_text(
        "# ours\r\n192.0.2.0/24\r\n192.0.2.7\r\n\r\n10.0.0.1-10.0.0.9\r\n198.51.100.0/255.255.255.252  # four\n"
        "2001:db8::/127")
    said = here.write("deny file banned.txt", default="allow").check()  # beside the configuration
    assert "\n  rule 1, 269 IPv4 addresses and 2 IPv6 addresses: deny file banned.txt\n" in said


# check: rules without effect

@pytest.mark.parametrize(("rules", "default", "warnings"), [
    (["allow ip 192.0.2.0/24", "deny ip 192.0.2.7", "deny any"], "deny",
     ['policy "edge", rule 2 (deny ip 192.0.2.7) can never match: rule 1 covers it']),
    (["allow ip 192.0.2.0/25", "allow range 192.0.2.128-192.0.2.255", "deny ip 192.0.2.0/24"], "allow",
     ['policy "edge", rule 3 (deny ip 192.0.2.0/24) can never match: rules 1 to 2 together cover it']),
    (["deny ip 192.0.2.7", "allow ip 192.0.2.0/24"], "deny", []),
    (["audit allow ip 192.0.2.0/24", f"allow ip 192.0.2.0/24 until {TODAY + 400 * DAY}", "deny ip 192.0.2.7"], "allow",
     []),
    (["allow ip 0.0.0.0/0", "allow ip ::/0", "deny domain contoso.com"], "deny",
     ['policy "edge", rule 3 (deny domain contoso.com) can never match: rules 1 to 2 together cover it']),
    (["deny any", "allow country KP"], "deny",
     ['policy "edge", rule 2 (allow country KP) can never match: rule 1 covers it']),
    (["deny country KP RU", "allow country RU"], "deny",
     ['policy "edge", rule 2 (allow country RU) can never match: rule 1 covers it']),
    (["deny domain contoso.com", "allow domain mail.contoso.com"], "allow",
     ['policy "edge", rule 2 (allow domain mail.contoso.com) can never match: rule 1 covers it']),
    (["allow domain contoso.com", "deny domain mail.contoso.com"], "allow", []),  # which needs no confirmed name
    (["deny domain contoso.com", "allow domain evilcontoso.com"], "deny", []),
    (["allow ip 192.0.2.1", "deny ip 192.0.2.9"], "deny",
     ['policy "edge", rule 2 (deny ip 192.0.2.9) changes nothing: all that follows says deny too']),
    ([f"allow ip 192.0.2.1 until {TODAY - DAY}"], "deny",
     [f'policy "edge", rule 1 (allow ip 192.0.2.1 until {TODAY - DAY}) has expired; remove it, or give it a later '
      'day']),
    ([f"allow ip 192.0.2.1 until {TODAY + 9 * DAY}"], "deny",
     [f'policy "edge", rule 1 (allow ip 192.0.2.1 until {TODAY + 9 * DAY}) expires in 10 days']),
])
def test_check_tells_which_rules_have_no_effect(here: Site, geoip: Config, rules: list[str], default: str,
                                                warnings: list[str]) -> None:
    assert here.write(*rules, default=default, geoip=geoip, server=dead_address()).warnings() == warnings


def test_check_lists_exceptions_and_which_of_them_are_over(here: Site) -> None:
    over = f"allow basic ip 10.1.2.4 until {TODAY - DAY}"
    exceptions = [f"allow basic ip 10.1.2.3 until {TODAY + 90 * DAY} because old scanner, facilities", over]
    config = here.config("allow any")
    config["listeners"]["pop3"]["login_exceptions"] = exceptions
    here.save(config)
    said = here.check()
    assert (f"login exceptions of listener pop3\n  rule 1, 1 IPv4 address: {exceptions[0]}\n"
            f"  rule 2, 1 IPv4 address: {over}\n") in said
    warning, = here.warnings()
    assert over in warning and "has expired" in warning


# check: errors

def test_check_wants_a_resolver_for_rules_that_ask_dns(here: Site) -> None:
    said = here.write("allow domain contoso.com", "allow host office.contoso.com").errors().splitlines()
    assert len(said) == 2
    for number, (kind, line) in enumerate(zip(["domain", "host"], said, strict=True)):
        assert f'policy "edge", rule {number + 1}: {kind} asks DNS, and there is no name server' in line
        assert "resolver: { servers: [system] }" in line
        place = int(line.removeprefix(f"{here.file}:").partition(":")[0])
        assert f"allow {kind}" in here.file.read_text().splitlines()[place - 1]


@pytest.mark.parametrize(("rule", "option"), [("deny country KP", "country"), ("deny continent AS", "country"),
                                             ("deny asn 64511", "asn")])
def test_check_wants_a_database_for_rules_that_need_one(here: Site, geoip: Config, rule: str, option: str) -> None:
    other, = {"country", "asn"} - {option}
    for configured in ({}, {"geoip": {other: geoip[other]}}):
        said = here.write(rule, **configured).errors()
        assert f'policy "edge", rule 1: {rule.split()[1]} needs a database; add geoip: {{ {option}: FILE }}' in said


def test_check_names_a_missing_file_and_why(here: Site) -> None:
    said = here.write("deny file banned.txt").errors()
    assert f"{here.directory / 'banned.txt'}: cannot open it: No such file or directory" in said


def test_check_shows_every_error_at_once(here: Site) -> None:
    config = here.config("allow ip 192.0.2.300", "alow any", "deny any", "allow ip 10.1.2.3/8", "deny contry KP",
                         "allow domain *.contoso.com", "deny any until 2027-02-30", "allow ip 192.0.2.1, 192.0.2.2",
                         "allow basic ip 10.0.0.1", "allow range 10.0.0.9-10.0.0.1", "deny country XKX", "deny", "",
                         "deny ip 10.0.0.1 becuase typo")
    config["defaults"]["policy"] = "egde"
    here.save(config)
    said = here.errors()
    assert "egde" in said and "edge" in said
    config["defaults"]["policy"] = "edge"
    here.save(config)
    lines = here.errors().splitlines()
    for number, part in {1: "192.0.2.300", 2: 'did you mean "allow"', 4: "10.0.0.0/8", 5: "country", 6: "contoso.com",
                         7: "2027-02-30", 8: "comma", 9: "login_exceptions", 10: "10.0.0.1-10.0.0.9", 11: "XKX",
                         12: "it does not say whom", 13: "allow ip", 14: "becuase"}.items():
        line, = [line for line in lines if f'policy "edge", rule {number}: ' in line]
        assert part in line, line


# explain

RULES = ["deny ip 192.0.2.0/24", "allow host office.contoso.com", "allow domain contoso.com", "audit deny country DE",
         "allow asn 64511", "deny any"]


@pytest.fixture
def explained(here: Site, knot: Knot, geoip: Config) -> Site:
    return here.write(*RULES, server=knot.address, geoip=geoip)


def test_explain_goes_from_rule_to_rule(explained: Site) -> None:
    assert explained.explain("203.0.113.10") == """\
203.0.113.10 at listener plain, policy edge
  rule 1: deny ip 192.0.2.0/24
      differs: the address is not in it
  rule 2: allow host office.contoso.com
      differs: the host is not known to have this address
  rule 3: allow domain contoso.com
      matches: the name is mail.contoso.com, which leads back to the address
  verdict: allow, by rule 3
  login: basic
"""


@pytest.mark.parametrize(("address", "rule", "verdict", "parts"), [
    ("192.0.2.77", 1, "deny", ["matches: the address is in it"]),
    ("::ffff:192.0.2.77", 1, "deny", ["192.0.2.77 at listener plain"]),
    ("198.51.100.77", 2, "allow", ["matches: the host has this address"]),
    ("2001:db8:a::10", 3, "allow", ["mail.contoso.com, which leads back to the address"]),
    ("203.0.113.11", 6, "deny", ["the name is mail.other.example, which leads back to the address and is not below "
                                 "contoso.com"]),
    ("203.0.113.12", 6, "deny", ["the name is mail.contoso.com, which does not lead back to the address"]),
    ("198.51.100.9", 5, "allow", ["not asked: it could not change the outcome", "the country is DE",
                                  "the network is AS64511"]),
    ("198.51.100.99", 6, "deny", ["the address has no reverse name (NXDOMAIN)", "the country is DE",
                                  "the network is not known", "every address does"]),
    ("100.64.0.1", 6, "deny", ["the country is not known"]),
])
def test_explain_tells_what_it_knows(explained: Site, address: str, rule: int, verdict: str, parts: list[str]) -> None:
    said = explained.explain(address)
    for part in parts:
        assert part in said, said
    assert f"\n  verdict: {verdict}, by rule {rule}\n" in said
    assert ("\n  login: " in said) is (verdict == "allow")


@pytest.mark.parametrize(("address", "facts"), [
    ("192.0.2.77", {"verdict": "deny", "rule": 1, "dns": "not_asked"}),
    ("203.0.113.10", {"verdict": "allow", "rule": 3, "dns": "confirmed", "name": "mail.contoso.com",
                      "name_confirmed": True, "login": ["basic"]}),
    ("203.0.113.12", {"verdict": "deny", "rule": 6, "dns": "mismatch", "name": "mail.contoso.com",
                      "name_confirmed": False}),
    ("198.51.100.99", {"verdict": "deny", "rule": 6, "dns": "nxdomain", "country": "DE", "name": None}),
    ("198.51.100.9", {"verdict": "allow", "rule": 5, "dns": "not_asked", "country": "DE", "asn": 64511}),
])
def test_explain_as_json(explained: Site, address: str, facts: Config) -> None:
    said = explained.explain_json(address)
    assert {name: said.get(name) for name in facts} == facts
    assert (said["address"], said["listener"], said["policy"]) == (address, "plain", "edge")
    assert [step["rule"] for step in said["steps"]] == list(range(1, facts["rule"] + 1))
    assert [step["text"] for step in said["steps"]] == RULES[:facts["rule"]]
    assert said["steps"][-1]["step"] == "matches"
    assert all(step["detail"] for step in said["steps"])


def test_explain_as_json_survives_any_text(here: Site) -> None:
    reasons = ["Müller & Söhne \U0001f4e8", 'so "called" \\ it', "</script>", "100 %s"]
    rules = [f"deny ip 192.0.2.{number} because {reason}" for number, reason in enumerate(reasons)]
    here.write(*rules, default="allow")
    for number, rule in enumerate(rules):
        assert here.explain_json(f"192.0.2.{number}")["steps"][-1]["text"] == rule
        assert rule in here.explain(f"192.0.2.{number}")


def test_explain_without_a_listener_speaks_of_all(here: Site) -> None:
    config = here.config("allow ip 192.0.2.1")
    config["listeners"]["plain"]["policy"] = ""
    here.save(config)
    said = here.run("explain", "192.0.2.2")
    assert said.returncode == 0
    assert [line for line in said.stdout.splitlines() if line.startswith("192.0.2.2 at listener ")] == [
        "192.0.2.2 at listener pop3s, policy edge", "192.0.2.2 at listener pop3, policy edge",
        "192.0.2.2 at listener plain, no policy"]
    listed = json.loads(here.run("explain", "192.0.2.2", "--json").stdout)
    assert [(each["listener"], each["verdict"]) for each in listed] == [
        ("pop3s", "deny"), ("pop3", "deny"), ("plain", "allow")]


def test_explain_tells_of_exceptions_and_users(here: Site) -> None:
    config = here.config("allow ip 10.0.0.0/8", server=dead_address())
    config["listeners"]["pop3"]["login_exceptions"] = [
        f"allow basic ip 10.1.2.3 until {TODAY} because old scanner", f"allow basic ip 10.1.2.4 until {TODAY - DAY}"]
    here.save(config)

    def login(address: str) -> list[str]:
        explained, = json.loads(here.run("explain", address, "--listener", "pop3", "--json").stdout)
        return explained["login"]

    assert login("10.1.2.3") == ["basic", "basic-tls"]
    assert login("10.1.2.4") == login("10.1.2.5") == ["basic-tls"]
    assert login("192.0.2.1") == []
    said = here.run("explain", "10.1.2.4", "--listener", "pop3", "--user", "anna").stdout
    assert "  exception 2: allow basic ip 10.1.2.4" in said and "expired: its last day is over" in said
    assert "user: anna logs in at backend store, at most 16 sessions at a time" in said


@pytest.mark.parametrize(("user", "said", "facts"), [
    ("anna", "logs in at backend store, at most 16", {"backend": "store", "mailbox": "anna"}),
    ("LAB\\Suzanf", "logs in at backend store as suzanf@lab, at most 16", {"backend": "store", "mailbox": "suzanf@lab"}),
    ("bo@other.test", "logs in at backend other as bo, at most 16", {"backend": "other", "mailbox": "bo"}),
    ("Root", "is refused: deny_users", {"refused": "deny_users"}),
    ("CO/bo/sales", "logs in at backend store, at most 16", {"backend": "store", "mailbox": "CO/bo/sales"}),
    ("bert", "is refused: the map has a problem; see `popgate check`",
     {"refused": "the map has a problem; see `popgate check`"}),
])
def test_explain_goes_by_the_map(here: Site, user: str, said: str, facts: Config) -> None:
    config = here.config("allow any", server=dead_address())
    config["backends"]["other"] = config["backends"]["store"]
    config["defaults"]["map"] = ["LAB\\* to {user}@lab", "*@other.test to {user} at other",
                                 *(["file nowhere"] if user == "bert" else [])]
    here.save(config)
    assert f"\n  user: {user} {said}" in here.explain("192.0.2.1", "--user", user)
    explained = here.explain_json("192.0.2.1", "--user", user)
    assert {name: explained[name] for name in explained if name in ("backend", "mailbox", "refused")} == facts


@pytest.mark.parametrize("failure", ["silence", "servfail", "nobody"])
def test_explain_tells_when_dns_fails(here: Site, failure: str) -> None:
    with fake_name_server({"silence": silence}.get(failure, servfail)) as server:
        address = dead_address() if failure == "nobody" else server.address
        here.write("allow domain contoso.com", "allow ip 192.0.2.1", server=address,
                   resolver={"timeout": "100ms", "tries": 1})
        said = here.explain("203.0.113.10")
        assert "\n      DNS failed: " in said
        assert "\n  verdict: deny, by rule 1 and on_dns_failure\n" in said
        steps = here.explain_json("203.0.113.10")["steps"]
        assert [step["step"] for step in steps] == ["DNS failed"]


def test_explain_says_why_an_unreachable_name_server_gave_no_answer(here: Site) -> None:
    here.write("allow domain contoso.com", server=dead_address(), resolver={"timeout": "100ms", "tries": 1})
    assert "reached" in here.explain("203.0.113.10")


def test_explain_says_when_a_host_without_an_answer_may_have_made_the_verdict(here: Site) -> None:
    here.write("allow host office.contoso.com", server=dead_address(), resolver={"timeout": "100ms", "tries": 1})
    assert "\n  verdict: deny, by default and on_dns_failure\n" in here.explain("198.51.100.77")
    assert here.explain_json("198.51.100.77")["dns"] == "host_unknown"


def test_explain_does_not_ask_what_could_change_nothing(here: Site) -> None:
    with fake_name_server(silence) as server:
        here.write("allow domain contoso.com", "allow ip 192.0.2.1", server=server.address)
        assert "\n      not asked: it could not change the outcome\n" in here.explain("192.0.2.1")
        assert not server.queries


@pytest.mark.parametrize("address", ["10.0", "192.0.2.300", "192.0.2.0/24", "mail.contoso.com", "", "1.2.3.4\n"])
def test_explain_wants_an_address(here: Site, address: str) -> None:
    done = here.write("allow any").run("explain", address)
    assert done.returncode == 1 and done.stdout == ""
    assert "is not an address, such as 192.0.2.7 or 2001:db8::7" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_explain_wants_a_listener_that_there_is(here: Site, arguments: list[str]) -> None:
    done = here.write("allow any").run("explain", "192.0.2.1", "--listener", "popp3", *arguments)
    assert done.returncode == 1 and done.stdout == ""
    assert 'no listener is called "popp3"' in done.stderr


@pytest.mark.parametrize("arguments", [["explain"], ["explain", "192.0.2.1", "192.0.2.2"], ["explain", "--listener"],
                                      ["explain", "192.0.2.1", "--xml"], ["policy"], ["policy", "test"],
                                      ["policy", "tset", "table"], ["policy", "test", "table", "more"]])
def test_a_command_that_is_not_understood_does_nothing(here: Site, arguments: list[str]) -> None:
    here.write("allow any")
    done = run_command(*arguments, cwd=here.directory)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith("popgate: ")


def test_a_bad_configuration_is_not_explained(here: Site) -> None:
    here.write("alow any")
    for arguments in (["explain", "192.0.2.1"], ["policy", "test", str(here.file)]):
        done = here.run(*arguments)
        assert done.returncode == 1 and done.stdout == "" and f"{here.file}:" in done.stderr


# policy test

GOOD = """\
# who may, and who may not
131.107.2.5    allow
131.107.2.255 -> allow

203.0.113.9 -> deny      pop3s   # from outside
203.0.113.9\tallow\tplain\r
2001:db8:5::1  allow
::ffff:131.107.2.1 allow
"""


@pytest.fixture
def tabled(here: Site) -> Callable[[str], subprocess.CompletedProcess[str]]:
    config = here.config("allow ip 131.107.2.0/255.255.255.0 2001:db8:5::/48")
    config["policies"]["open"] = {"rules": ["allow any"], "default": "deny"}
    config["listeners"]["plain"]["policy"] = "open"
    here.save(config)
    return here.table


def test_a_table_that_is_right(tabled: Callable[[str], subprocess.CompletedProcess[str]], here: Site) -> None:
    done = tabled(GOOD)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{here.directory / 'table'}: 14 of 14 verdicts as expected\n"


def test_a_table_that_is_wrong(tabled: Callable[[str], subprocess.CompletedProcess[str]], here: Site) -> None:
    done = tabled(GOOD + "131.107.3.1 allow\n131.107.2.1 deny pop3\n")
    table = here.directory / "table"
    assert done.returncode == 1 and done.stderr == ""
    assert done.stdout.splitlines() == [
        f"{table}:9: 131.107.3.1 at pop3s: allow was expected, but it is deny by default",
        f"{table}:9: 131.107.3.1 at pop3: allow was expected, but it is deny by default",
        f"{table}:10: 131.107.2.1 at pop3: deny was expected, but it is allow by "
        "allow ip 131.107.2.0/24 2001:db8:5::/48",
        f"{table}: 15 of 18 verdicts as expected"]


@pytest.mark.parametrize(("line", "problem"), [
    ("10.0.0.300 allow", '"10.0.0.300" is not an address'),
    ("10.0.0.0/8 allow", '"10.0.0.0/8" is not an address'),
    ("10.0.0.1 maybe", '"maybe" is neither allow nor deny'),
    ("10.0.0.1", "is neither allow nor deny"),
    ("10.0.0.1 allow popp3", '"popp3"'),
    ("10.0.0.1 allow pop3 plain", '"plain" stands behind the end'),
])
def test_a_table_that_is_not_understood(tabled: Callable[[str], subprocess.CompletedProcess[str]], here: Site,
                                        line: str, problem: str) -> None:
    done = tabled(GOOD + line + "\n")
    assert done.returncode == 1
    assert problem in done.stderr
    assert f"{here.directory / 'table'}:9: " in done.stderr
    assert "14 of 14 verdicts as expected" in done.stdout  # the other lines count all the same


def test_a_table_that_is_missing(here: Site) -> None:
    done = here.write("allow any").run("policy", "test", str(here.directory / "none"))
    assert done.returncode == 1 and "No such file or directory" in done.stderr and done.stdout == ""


def test_a_table_may_need_dns(here: Site, knot: Knot) -> None:
    here.write("allow domain contoso.com", server=knot.address)
    done = here.table("203.0.113.10 allow\n2001:db8:a::10 allow\n203.0.113.11 deny\n203.0.113.12 deny\n")
    assert done.returncode == 0 and "12 of 12 verdicts" in done.stdout


def test_a_table_tells_when_dns_failed(here: Site) -> None:
    here.write("allow domain contoso.com", server=dead_address(), resolver={"timeout": "100ms", "tries": 1})
    done = here.table("203.0.113.10 allow plain\n")
    assert done.returncode == 1
    assert "it is deny by allow domain contoso.com and on_dns_failure" in done.stdout
