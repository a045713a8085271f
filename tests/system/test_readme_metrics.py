"""The README's chapter on numbers for monitoring: its example is asked, and what it names is there."""

import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import proc
import pytest
from certs import Certificates
from clients import DEADLINE, until_it_works
from popgate import Config, Popgate, run_command, site
from readme import README, Chapter
from renewing import Place, pairs_that_lived
from stores import Dovecot, free_port

Start = Callable[..., Popgate]

CHAPTER = Chapter("Numbers for monitoring")
TREE = README.parent
says = CHAPTER.says

PORT = "9110"


@pytest.fixture
def config(certificates: Certificates, dovecot: Dovecot) -> Config:
    return site(certificates, dovecot.port)


def listening(section: str) -> tuple[Config, str]:
    """The example's section with a free port in the place of its own."""
    found = re.fullmatch(r"metrics: \{ listen: ([0-9.]+):9110 \}", section)
    assert found
    port = str(free_port())
    return {"metrics": {"listen": f"{found[1]}:{port}"}}, port


SECTION = CHAPTER.sentences[0].codes[0]


@pytest.fixture(name="url")
def fixture_url(gate: Popgate) -> str:
    return f"http://{gate.log.wait('metrics_served')['address']}/metrics"


@pytest.fixture
def gate(start: Start, config: Config) -> Popgate:
    return start({**config, **listening(SECTION)[0]})


def numbers(url: str) -> str:
    with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
        return answer.read().decode()


def value(url: str, sample: str) -> float:
    found = re.search(rf"^{re.escape(sample)} (\S+)$", numbers(url), re.MULTILINE)
    assert found, sample
    return float(found[1])


@says("With … Prometheus, or whatever reads its text format, gets popgate's numbers from ….")
def test_where_they_are(start: Start, config: Config, codes: list[str]) -> None:
    section, port = listening(codes[0])
    assert PORT in codes[1]
    gate = start({**config, **section})
    gate.log.wait("metrics_served")
    assert "# TYPE popgate_sessions_open gauge\n" in numbers(codes[1].replace(PORT, port))


@says("popgate(8) says what each of them means.")
def test_the_manual_has_each(url: str) -> None:
    """It is made from the list that they all are in."""
    rows = re.findall(r"^(?:METRIC|FACT)\((\w+),", (TREE / "proxy/base/metrics.def").read_text(), re.MULTILINE)
    families = re.findall(r"^# TYPE popgate_(\w+)", numbers(url), re.MULTILINE)
    assert {name.removesuffix("_total") for name in families} == set(rows)
    assert '#include "proxy/base/metrics.def"' in (TREE / "proxy/manual.c").read_text()


@says("How sessions ended is counted by the reasons above, and so is what the policy refused, what handshakes failed"
      " and what limits were reached.")
def test_reasons(url: str) -> None:
    table = README.read_text().partition("\n| reason | when |\n")[2].partition("\n\n")[0]
    reasons = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert {"policy_denied", "tls_failed", "max_connections"} <= set(reasons)
    assert re.findall(r'^popgate_sessions_closed_total\{reason="(\w+)"\}', numbers(url), re.MULTILINE) == reasons


@says("Counters never go back: not at a reload, not at an upgrade, and not when a worker dies.")
def test_counters_never_go_back(gate: Popgate) -> None:
    gate.expect("worker_died")
    url = f"http://{gate.log.wait('metrics_served')['address']}/metrics"
    with gate.connect("implicit") as client:
        client.login()
    until_it_works(lambda: assert_positive(counters(url)["popgate_client_bytes_total", '{direction="in"}']))

    def die() -> None:
        os.kill(gate.wait_workers(2)[0], signal.SIGKILL)
        gate.log.wait("worker_died")
    steps: list[Callable[[], None]] = [gate.reload, lambda: upgrade(gate), die]
    for step in steps:
        before = counters(url)
        step()
        after = counters(url)
        assert [key for key in before if after[key] < before[key]] == []


@says("A version that counts other things begins anew (…).")
def test_another_version_begins_anew(gate: Popgate, codes: list[str]) -> None:
    gate.expect(codes[0])
    url = f"http://{gate.log.wait('metrics_served')['address']}/metrics"
    with gate.connect("implicit"):
        pass
    until_it_works(lambda: assert_positive(value(url, "popgate_sessions_opened_total")))
    with open_pages(gate) as pages:
        pages.write(bytes(8))  # which things they are, as the next version would have it
    upgrade(gate)
    assert value(url, "popgate_sessions_opened_total") == 0


def open_pages(gate: Popgate) -> BinaryIO:
    """Those that the supervisor shares."""
    [pages] = [each for each in Path(f"/proc/{gate.pid}/fd").iterdir()
               if os.readlink(each).startswith("/memfd:popgate-metrics ")]
    return open(pages, "r+b", buffering=0)


def upgrade(gate: Popgate) -> None:
    mark = gate.log.mark()
    gate.signal(signal.SIGUSR2)
    gate.log.wait("upgrade_done", since=mark)
    gate.log.wait("metrics_served", since=mark)


def counters(url: str) -> dict[tuple[str, str], float]:
    found = re.findall(r"^(popgate_\w+_total)(\{.*\})? (\d+)$", numbers(url), re.MULTILINE)
    return {(name, label): float(number) for name, label, number in found}


def assert_positive(number: float) -> None:
    assert number > 0


@says("A process of its own answers, …, which may read the numbers and nothing else.")
def test_a_process_of_its_own(gate: Popgate, url: str, codes: list[str]) -> None:
    assert numbers(url)
    assert codes[0] in [proc.name(pid) for pid in proc.children(gate.pid)]


@says("It alone needs Debian's ….")
def test_what_it_needs(codes: list[str]) -> None:
    library, = re.findall(r'#define LIBRARY "(.*)"', (TREE / "proxy/server/metrics_server.c").read_text())
    files = subprocess.run(["dpkg", "-L", codes[0]], capture_output=True, text=True, check=True).stdout
    assert f"/{library}\n" in files


@says("There is no password and no TLS: an address that others reach is warned of, by … and by the event ….")
def test_warnings(start: Start, config: Config, codes: list[str]) -> None:
    gate = start({**config, "metrics": {"listen": "0.0.0.0:0"}})
    gate.expect(codes[1])
    gate.log.wait(codes[1])
    assert "password" in run_command(*codes[0].split()[1:], "-c", str(gate.config_file)).stdout


# the table

def expressions() -> list[str]:
    return [row.cells[row.table].codes[0] for row in CHAPTER.rows]


def test_what_expressions_name_is_there(url: str) -> None:
    text = numbers(url)
    codes = [*expressions(), *(code for row in CHAPTER.rows for code in row.cells["what it tells"].codes)]
    names = {name for code in codes for name in re.findall(r"popgate_\w+", code)}
    assert len(names) > 4 and [name for name in names if f"# TYPE {name} " not in text] == []
    known = (TREE / "proxy/config/options.def").read_text() + (TREE / "proxy/base/events.def").read_text()
    assert [code for code in codes if re.fullmatch(r"[a-z_]+", code) and not code.startswith("popgate_")
            and f"{code}," not in known] == []


def test_an_alarm_comes_with_the_warning_of_the_log(start: Start, config: Config, workdir: Path) -> None:
    ending = pairs_that_lived(workdir / "issuer", "DNS:localhost")(85, 5)
    config["certificates"] = {"localhost": Place(workdir, ending).section()}
    gate = start({**config, **listening(SECTION)[0]})
    gate.expect("certificate_expires")
    url = f"http://{gate.log.wait('metrics_served')['address']}/metrics"
    sample, equals, wanted = expressions()[0].split()
    assert equals == "=="

    def check() -> None:
        assert value(url, f'{sample}{{certificate="localhost"}}') == float(wanted)
    until_it_works(check)


# what is claimed and not tested

def test_every_sentence_has_a_test() -> None:
    CHAPTER.assert_sentences_are_tied()


def test_every_row_is_known() -> None:
    assert [re.findall(r"popgate_(\w+)", expression) for expression in expressions()] == [
        ["certificate_expiring"], ["workers_died_total"], ["logins_unjudged_total"], ["sessions_closed_total"],
        ["logins_by_exception_total"]]
