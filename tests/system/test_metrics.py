"""Numbers for monitoring: right after real sessions, whatever happens to the processes, and read by nobody to harm.

Prometheus' own reader (python3-prometheus-client) judges what is said.
"""

import concurrent.futures
import http.client
import itertools
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import proc
import pytest
from certs import Certificates
from clients import DEADLINE, Raw, plain_response, until_it_works
from databases import write_database
from ocsp import Authority
from popgate import Config, Popgate, is_sanitized, program, run_command, site
from prometheus_client.parser import text_string_to_metric_families
from renewing import Pair, Place, pairs_that_lived, renew
from stores import Dovecot, free_port

Start = Callable[..., Popgate]
Numbers = dict[tuple[str, str], float]

LISTEN = {"metrics": {"listen": "127.0.0.1:0"}}
CONNECTION_S = 10  # that a connection may last
AT_A_TIME = 32     # connections
TYPE = "text/plain; version=0.0.4; charset=utf-8"


@pytest.fixture
def config(certificates: Certificates, dovecot: Dovecot) -> Config:
    return {**site(certificates, dovecot.port), **LISTEN}


@pytest.fixture
def gate(start: Start, config: Config) -> Popgate:
    return start(config)


def port_of(gate: Popgate, since: int = 0) -> int:
    return int(gate.log.wait("metrics_served", since=since)["address"].rpartition(":")[2])


def ask(port: int, method: str = "GET", path: str = "/metrics", body: bytes | None = None, *,
        host: str = "127.0.0.1") -> tuple[http.client.HTTPResponse, str]:
    connection = http.client.HTTPConnection(host, port, timeout=DEADLINE)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response, response.read().decode()
    finally:
        connection.close()


def read(port: int) -> Numbers:
    """Each sample by its name and the value of its label; the reader complains of what is no sound exposition."""
    response, text = ask(port)
    assert (response.status, response.getheader("Content-Type")) == (200, TYPE)
    families = list(text_string_to_metric_families(text))
    assert [family.name for family in families if not family.documentation or family.type == "unknown"] == []
    samples = [(sample.name, "".join(sample.labels.values()), sample.value)
               for family in families for sample in family.samples]
    assert len({sample[:2] for sample in samples}) == len(samples)
    assert all(name.startswith("popgate_") for name, _label, _value in samples)
    return {(name, label): value for name, label, value in samples}


def gain(before: Numbers, after: Numbers) -> Numbers:
    """What has changed; what is said to only grow has not shrunk."""
    assert before.keys() <= after.keys()
    assert [key for key in before if key[0].endswith("_total") and after[key] < before[key]] == []
    return {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}


def wait_gain(port: int, before: Numbers, wanted: Numbers) -> Numbers:
    """A session is counted when it closes, which a client need not have noticed."""
    last: Numbers = {}

    def check() -> None:
        nonlocal last
        last = gain(before, read(port))
        assert {key: last.get(key, 0) for key in wanted} == wanted
    until_it_works(check)
    return last


def counted(**labels: dict[str, float] | float) -> Numbers:
    """popgate_NAME_total by label or, given a number, without one."""
    return {(f"popgate_{name}_total", label): number
            for name, by_label in labels.items()
            for label, number in (by_label if isinstance(by_label, dict) else {"": by_label}).items()}


def server_of(gate: Popgate) -> int:
    """Its process; the one before may end only after a new one serves."""
    return until_it_works(lambda: only_server_of(gate))


def only_server_of(gate: Popgate) -> int:
    pids = [pid for pid in proc.children(gate.pid) if proc.name(pid) == "popgate-metrics"]
    assert len(pids) == 1
    return pids[0]


# what is counted

def test_numbers_are_right_after_real_sessions(gate: Popgate) -> None:
    port = port_of(gate)
    before = read(port)
    with gate.connect("implicit") as client:
        client.login()
        client.ask(b"QUIT", b"+OK")
        client.read_to_end()
    with gate.connect("stls") as client:
        client.ask(b"AUTH PLAIN " + plain_response(), b"+OK")
        client.ask(b"QUIT", b"+OK")
        client.read_to_end()
    with gate.connect("none") as client:
        client.ask(b"USER anna", b"+OK")
        client.ask(b"PASS wrong", b"-ERR")
        client.ask(b"QUIT", b"+OK")
        client.read_to_end()
    got = wait_gain(port, before, {
        **counted(sessions_opened=3, sessions_closed={"done": 2, "quit": 1}, tls_handshakes={"TLSv1.3": 2},
                  logins_accepted={"USER": 1, "PLAIN": 1}, logins_failed={"USER": 1}),
        ("popgate_sessions_open", ""): 0})
    gate.log.wait("session_closed", count=3)
    closed = gate.log.all("session_closed")
    assert got["popgate_client_bytes_total", "in"] == sum(event["bytes_in"] for event in closed)
    assert got["popgate_client_bytes_total", "out"] == sum(event["bytes_out"] for event in closed)
    assert len(got) == 9


def test_an_outage_is_told_from_a_wrong_password(start: Start, config: Config) -> None:
    config["backends"]["store"]["servers"] = [f"127.0.0.1:{free_port()}"]
    gate = start(config)
    gate.expect("backend_failed")
    port = port_of(gate)
    before = read(port)
    with gate.connect("none") as client:
        for _time in range(2):
            client.ask(b"AUTH PLAIN " + plain_response(), b"-ERR [SYS/TEMP]")
        client.ask(b"AUTH PLAIN ====", b"-ERR")
        wait_gain(port, before, counted(logins_unjudged={"PLAIN": 2}, logins_failed={"PLAIN": 1},
                                        logins_accepted={"PLAIN": 0}))


def test_who_leaves_before_the_answer_has_failed_too(start: Start, config: Config) -> None:
    config["defaults"]["login_delay"] = "1m"
    gate = start(config)
    port = port_of(gate)
    before = read(port)
    with gate.connect("none") as client:
        client.ask(b"USER anna", b"+OK")
        client.send(b"PASS wrong\r\n")
        wait_gain(port, before, {**counted(logins_failed={"USER": 1}), ("popgate_sessions_open", ""): 1})
        client.reset()
        wait_gain(port, before, {**counted(logins_failed={"USER": 1}), ("popgate_sessions_open", ""): 0})


def test_sessions_that_last_are_open(gate: Popgate) -> None:
    port = port_of(gate)
    before = read(port)
    with gate.connect("implicit"), gate.connect("none"):
        wait_gain(port, before, {**counted(sessions_opened=2), ("popgate_sessions_open", ""): 2})
    wait_gain(port, before, {**counted(sessions_closed={"client_left": 2}), ("popgate_sessions_open", ""): 0})


def test_handshakes_by_version_resumed_and_failed(gate: Popgate, certificates: Certificates) -> None:
    port = port_of(gate)
    before = read(port)
    context = ssl.create_default_context(cafile=certificates.chain("ca"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    listener = gate.port("pop3s")
    with Raw(listener, context) as client:
        client.greeting()
        assert client.tls
        session = client.tls.session
    with Raw(listener) as client:
        client.start_tls(context, session)
        client.greeting()
        assert client.tls and client.tls.session_reused
    with socket.create_connection(("127.0.0.1", listener)) as raw:
        raw.sendall(b"QUIT\r\n")
        assert raw.recv(100)
    wait_gain(port, before, counted(tls_handshakes={"TLSv1.2": 2}, tls_resumed={"TLSv1.2": 1},
                                    sessions_closed={"client_left": 2, "tls_failed": 1}))


def test_refusals_and_exceptions(start: Start, config: Config) -> None:
    config["policies"] = {"nobody": {"rules": ["deny ip 127.0.0.1"], "default": "allow"}}
    config["listeners"]["plain"] = {"bind": ["127.0.0.1:0"], "tls": "none", "login": ["basic"], "policy": "nobody"}
    config["listeners"]["pop3"]["login_exceptions"] = ["allow basic ip 127.0.0.0/8"]
    gate = start(config)
    port = port_of(gate)
    before = read(port)
    with Raw(gate.port("plain")) as client:
        assert client.read_line().startswith(b"-ERR")
    with Raw(gate.port("pop3")) as client:
        client.greeting()
        client.login()
    wait_gain(port, before, counted(sessions_closed={"policy_denied": 1}, logins_accepted={"USER": 1},
                                    logins_by_exception={"basic": 1}))


def test_it_is_the_sum_over_all_workers(start: Start, config: Config) -> None:
    gate = start({**config, "workers": 4})
    port = port_of(gate)
    before = read(port)
    clients = [gate.connect("none") for _client in range(40)]
    held = set(proc.holders(gate.workers(), {client.ports for client in clients}).values())
    assert len(held) > 1
    wait_gain(port, before, {**counted(sessions_opened=40), ("popgate_sessions_open", ""): 40})
    for client in clients:
        client.__exit__(None, None, None)
    wait_gain(port, before, {("popgate_sessions_open", ""): 0})


# processes

def test_a_dead_worker_takes_only_its_open_sessions_along(gate: Popgate) -> None:
    gate.expect("worker_died")
    port = port_of(gate)
    before = read(port)
    with gate.connect("none") as client:
        client.ask(b"QUIT", b"+OK")
        client.read_to_end()
    with gate.connect("none") as client:
        wait_gain(port, before, {**counted(sessions_opened=2), ("popgate_sessions_open", ""): 1})
        os.kill(proc.holders(gate.workers(), {client.ports})[client.ports], signal.SIGKILL)
        wait_gain(port, before, {
            **counted(sessions_opened=2, sessions_closed={"quit": 1}, sessions_lost=1, workers_died=1,
                      workers_started=1),
            ("popgate_sessions_open", ""): 0})
    gate.wait_workers(2)


def test_reloads_go_on_counting(gate: Popgate, config: Config) -> None:
    port, pid = port_of(gate), server_of(gate)
    before = read(port)
    with gate.connect("none"):
        for _reload in range(3):
            gate.reload(config)
        wait_gain(port, before, {**counted(sessions_opened=1, workers_started=6), ("popgate_sessions_open", ""): 1})
    wait_gain(port, before, {("popgate_sessions_open", ""): 0})
    assert server_of(gate) == pid


def upgrade(gate: Popgate) -> None:
    mark = gate.log.mark()
    gate.signal(signal.SIGUSR2)
    gate.log.wait("upgrade_done", since=mark)


def test_an_upgrade_goes_on_counting_at_the_same_address(gate: Popgate) -> None:
    port, pid = port_of(gate), server_of(gate)
    before = read(port)
    with gate.connect("none") as client:
        client.login()
        mark = gate.log.mark()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            reader = pool.submit(lambda: [read(port) for _time in range(200)])
            upgrade(gate)
            for earlier, later in itertools.pairwise(reader.result()):
                gain(earlier, later)
        assert port_of(gate, since=mark) == port
        client.ask(b"QUIT", b"+OK")
    wait_gain(port, before, {
        **counted(sessions_opened=1, logins_accepted={"USER": 1}, workers_started=2, sessions_closed={"done": 1}),
        ("popgate_sessions_open", ""): 0})
    proc.wait_gone([pid])


def test_an_upgrade_whose_configuration_is_refused_goes_on_too(gate: Popgate, config: Config) -> None:
    gate.expect("reload_refused")
    port, pid = port_of(gate), server_of(gate)
    before = read(port)
    with socket.socket() as taken:  # which the new binary's check does not see
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config["listeners"]["plain"]["bind"].append("127.0.0.1:%d" % taken.getsockname()[1])
        gate.write(config)
        mark = gate.log.mark()
        gate.signal(signal.SIGUSR2)
        gate.log.wait("reload_refused", since=mark)
    assert port_of(gate, since=mark) == port
    after = read(port)  # all but the facts of a configuration that nobody has
    assert {name for name, _label in before.keys() - after.keys()} == {
        "popgate_certificate_not_after_seconds", "popgate_certificate_expiring"}
    assert {key: number for key, number in after.items() if before[key] != number} == {}
    proc.wait_gone([pid])
    status = proc.status(server_of(gate))
    assert os.geteuid() or status["Uid"] == ["65534"] * 4


def test_who_serves_is_started_again(gate: Popgate) -> None:
    gate.expect("metrics_ended")
    port = port_of(gate)
    for _death in range(2):
        before, pid, mark = read(port), server_of(gate), gate.log.mark()
        os.kill(pid, signal.SIGKILL)
        assert gain(before, read(port)) == {}  # who asks meanwhile waits
        assert gate.log.wait("metrics_ended", since=mark)["why"] == "was killed by signal 9 (Killed)"
        assert port_of(gate, since=mark) == port and server_of(gate) != pid


def test_without_the_library_everything_else_goes_on(start: Start, config: Config, workdir: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    library = workdir / "libmicrohttpd.so.12"
    library.touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(workdir))
    gate = start(config)
    gate.expect("metrics_not_served")
    assert gate.log.wait("metrics_not_served")["why"].endswith("file too short; install libmicrohttpd12")
    with gate.connect("implicit") as client:
        client.login()
    library.unlink()
    assert read(port_of(gate))["popgate_sessions_opened_total", ""] == 1  # it is tried again by itself


def test_a_supervisor_with_many_descriptors(start: Start, config: Config) -> None:
    config["listeners"]["plain"]["bind"] = ["127.0.0.1:0"] * 100  # a socket for each of two workers
    gate = start(config)
    assert read(port_of(gate))["popgate_sessions_open", ""] == 0
    assert len(proc.descriptors(gate.pid)) > 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_a_program_that_is_for_root_alone_is_told(start: Start, config: Config, workdir: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    binary = workdir / "popgate"
    shutil.copyfile(program(), binary)
    binary.chmod(0o700)
    monkeypatch.setenv("POPGATE", str(binary))
    gate = start(config)
    gate.expect("metrics_not_served")
    assert "must be allowed to do: Permission denied" in gate.log.wait("metrics_not_served")["why"]
    binary.chmod(0o755)
    assert read(port_of(gate))["popgate_sessions_open", ""] == 0


def test_who_serves_has_no_rights_and_workers_have_none_of_its_libraries(gate: Popgate) -> None:
    pid = (port_of(gate), server_of(gate))[1]
    status = proc.status(pid)
    assert status["NoNewPrivs"] == ["1"] and status["CapEff"] == ["0000000000000000"]
    assert is_sanitized() or status["Seccomp"] == ["2"]
    assert os.geteuid() or status["Uid"] == ["65534"] * 4
    assert proc.descriptors(pid) == ["/dev/null"] * 3 + ["anon_inode", "socket", "socket"]
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert "libmicrohttpd" in maps and not re.search("libssl|libcrypto", maps)
    pages = [line for line in maps.splitlines() if "memfd:popgate" in line]
    assert [line.split()[1] for line in pages] == ["r--s"]
    for other in (gate.pid, *gate.workers()):
        assert not re.search("libmicrohttpd|libgnutls", Path(f"/proc/{other}/maps").read_text())
    assert "libmicrohttpd" not in subprocess.run(["ldd", program()], capture_output=True, text=True, check=True).stdout


def test_a_worker_reaches_no_page_but_its_own(gate: Popgate) -> None:
    port_of(gate)  # until it executes, who serves looks like a worker
    for pid in gate.workers():
        pages, = [line.split()[0].split("-") for line in Path(f"/proc/{pid}/maps").read_text().splitlines()
                  if "memfd:popgate-metrics" in line]
        assert int(pages[1], 16) - int(pages[0], 16) == 65536  # as large as any kernel's pages
        assert not [name for name in proc.descriptors(pid) if "popgate-metrics" in name]


def test_the_end(gate: Popgate) -> None:
    pid = (port_of(gate), server_of(gate))[1]
    gate.signal(signal.SIGTERM)
    gate.wait_gone()
    assert proc.state(pid) == "X"


# reloads of the section

def wait_closed(port: int) -> None:
    def check() -> None:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), DEADLINE).close()
    until_it_works(check)


def test_it_is_off_by_default_and_a_reload_changes_where(start: Start, config: Config) -> None:
    off = {name: value for name, value in config.items() if name != "metrics"}
    gate = start(off)
    with gate.connect("none"):
        pass
    first, second = free_port(), free_port()
    for port, former in ((first, None), (second, first)):
        mark = gate.log.mark()
        gate.reload({**config, "metrics": {"listen": f"127.0.0.1:{port}"}})
        assert port_of(gate, since=mark) == port
        assert read(port)["popgate_sessions_opened_total", ""] == 1  # counted from the start
        if former:
            wait_closed(former)
    pid = server_of(gate)
    gate.reload(off)
    proc.wait_gone([pid])
    wait_closed(second)
    gate.reload(config)
    assert read(port_of(gate, since=gate.log.mark() - 1))["popgate_sessions_opened_total", ""] == 1


def test_a_reload_opens_the_same_port_to_others_and_back(start: Start, config: Config) -> None:
    port = free_port()
    config["metrics"] = {"listen": f"127.0.0.1:{port}"}
    gate = start(config)
    gate.expect("metrics_exposed")
    gate.log.wait("metrics_served")
    for listen in (f"0.0.0.0:{port}", f"127.0.0.1:{port}"):
        mark = gate.log.mark()
        gate.reload({**config, "metrics": {"listen": listen}})
        assert gate.log.wait("metrics_served", since=mark)["address"] == listen
        # Who came to the address that is being left, a moment before it is, may be reset.
        assert until_it_works(lambda: read(port))["popgate_sessions_open", ""] == 0


def test_ipv6(start: Start, config: Config) -> None:
    gate = start({**config, "metrics": {"listen": "[::1]:0"}})
    assert ask(port_of(gate), host="::1")[0].status == 200


@pytest.mark.parametrize("is_upgrade", [False, True], ids=["reload", "upgrade"])
def test_who_does_not_end_is_killed(gate: Popgate, config: Config, is_upgrade: bool) -> None:
    pid = (port_of(gate), server_of(gate))[1]
    os.kill(pid, signal.SIGSTOP)
    if is_upgrade:
        upgrade(gate)
    else:
        del config["metrics"]
        gate.reload(config)
    proc.wait_gone([pid])


def test_a_port_that_is_taken_is_told_with_who_has_it(gate: Popgate, config: Config) -> None:
    gate.expect("reload_refused")
    port = port_of(gate)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        mark = gate.log.mark()
        gate.write({**config, "metrics": {"listen": "127.0.0.1:%d" % taken.getsockname()[1]}})
        gate.signal(signal.SIGHUP)
        why = gate.log.wait("reload_refused", since=mark)["why"]
        assert why.startswith("cannot listen on 127.0.0.1:%d (metrics): the port is taken by " % taken.getsockname()[1])
        assert why.endswith(f"pid {os.getpid()}; stop it or choose another port")
    assert read(port)["popgate_sessions_open", ""] == 0


def test_a_reload_that_is_refused_leaves_it_where_it_is(gate: Popgate, config: Config) -> None:
    gate.expect("reload_refused")
    port, wanted = port_of(gate), free_port()
    mark = gate.log.mark()
    gate.write({**config, "metrics": {"listen": f"127.0.0.1:{wanted}"},
                "log": {"target": "/nowhere/log", "format": "json"}})
    gate.signal(signal.SIGHUP)
    gate.log.wait("reload_refused", since=mark)
    assert read(port)["popgate_sessions_open", ""] == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", wanted))


def test_an_address_that_others_reach_is_warned_of(start: Start, config: Config, workdir: Path) -> None:
    gate = start({**config, "metrics": {"listen": "0.0.0.0:0"}})
    gate.expect("metrics_exposed")
    assert read(port_of(gate))["popgate_sessions_open", ""] == 0
    done = run_command("check", "-c", str(gate.config_file), cwd=workdir)
    assert (done.returncode, done.stderr) == (0, "")
    assert "metrics: listen 0.0.0.0:0: everybody who reaches this address can read the numbers" in done.stdout
    assert done.stdout.endswith("no problems, but metrics should be looked at\n")


# facts

def not_after(pair: Pair) -> float:
    end = subprocess.run(["openssl", "x509", "-noout", "-enddate"], input=pair.chain, capture_output=True, text=True,
                         check=True).stdout.strip().partition("=")[2]
    return float(ssl.cert_time_to_seconds(end))


def test_a_certificate_that_ends_soon_shows_as_the_log_says(start: Start, config: Config, workdir: Path) -> None:
    lived = pairs_that_lived(workdir / "issuer", "DNS:localhost")
    ending, renewed = lived(85, 5), lived(1, 89)
    place = Place(workdir, ending)
    config["certificates"]["renewed"] = place.section()
    gate = start(config)
    port = port_of(gate)

    def show(pair: Pair, is_ending: int) -> None:
        numbers = read(port)
        assert numbers["popgate_certificate_not_after_seconds", "renewed"] == not_after(pair)
        assert numbers["popgate_certificate_expiring", "renewed"] == is_ending
        assert numbers["popgate_certificate_expiring", "localhost"] == 0

    show(ending, 1)
    gate.expect("certificate_expires")
    assert gate.log.wait("certificate_expires")["certificate"] == "renewed"
    renew(place, renewed)
    gate.log.wait("certificate_replaced")
    until_it_works(lambda: show(renewed, 0))
    early = lived(-1, 89)
    gate.expect("certificate_not_yet_valid")
    renew(place, early)
    gate.reload()
    until_it_works(lambda: show(early, 1))


def test_a_staple_and_its_end_show(start: Start, config: Config, workdir: Path) -> None:
    authority = Authority(workdir / "authority")
    leaf, staple = authority.issue("stapled"), workdir / "staple.der"
    staple.write_bytes(authority.response(leaf, minutes=60))
    now = time.time()
    config["certificates"]["stapled"] = leaf.config(ocsp="file", ocsp_file=str(staple))
    gate = start(config)
    port = port_of(gate)

    def check() -> None:
        numbers = read(port)
        assert abs(numbers.get(("popgate_staple_next_update_seconds", "stapled"), 0) - now - 3600) < 60
        assert ("popgate_staple_next_update_seconds", "localhost") not in numbers
    until_it_works(check)


def test_the_age_of_databases_shows(start: Start, config: Config, workdir: Path) -> None:
    built = int(time.time()) - 1000
    path = write_database(workdir / "both.mmdb", "country", "192.0.2.0/24 AT EU\n", built=built)
    config["geoip"] = {"country": path}
    config["policies"] = {"edge": {"rules": ["deny country KP"], "default": "allow"}}
    gate = start({**config, "defaults": {**config["defaults"], "policy": "edge"}})
    assert read(port_of(gate))["popgate_geoip_built_seconds", path] == built


def test_what_is_told_of_itself(gate: Popgate) -> None:
    numbers = read(port_of(gate))
    version = run_command("version").stdout.split()[1]
    assert numbers["popgate_info", version] == 1
    assert 0 <= time.time() - numbers["popgate_start_time_seconds", ""] < DEADLINE


# who asks

@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/", 404), ("GET", "/metrics/", 404), ("GET", "/etc/passwd", 404), ("POST", "/", 404),
    ("POST", "/metrics", 405), ("PUT", "/metrics", 405), ("DELETE", "/metrics", 405), ("OPTIONS", "/metrics", 405)])
def test_nothing_else_is_answered(gate: Popgate, method: str, path: str, status: int) -> None:
    response, _text = ask(port_of(gate), method, path, b"x" * 100000 if method in ("POST", "PUT") else None)
    assert response.status == status
    assert status == 404 or response.getheader("Allow") == "GET, HEAD"


def test_head_has_the_head_alone(gate: Popgate) -> None:
    port = port_of(gate)
    response, text = ask(port, "HEAD")
    assert (response.status, response.getheader("Content-Type"), text) == (200, TYPE, "")
    assert int(response.getheader("Content-Length") or 0) > 1000
    assert ask(port, path="/metrics?x=y")[0].status == 200


def exchange(port: int, question: bytes) -> bytes:
    """The beginning of an answer; what is no whole question has none for ten seconds."""
    with socket.create_connection(("127.0.0.1", port), 0.2) as client:
        try:
            client.sendall(question)
            return client.recv(12)
        except (ConnectionResetError, BrokenPipeError, TimeoutError):
            return b""


@pytest.mark.parametrize("question", [
    b"", b"\0" * 5000, b"\r\n" * 5000, b"GET /metrics", b"GET " + b"/" * 100000 + b" HTTP/1.1\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 50000 + b"\r\n", b"GET /metrics HTTP/9.9\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 600], ids=lambda question: repr(question[:20]))
def test_nonsense_harms_nobody(gate: Popgate, question: bytes) -> None:
    port, pid = port_of(gate), server_of(gate)
    assert not exchange(port, question).startswith(b"HTTP/1.1 200")
    assert read(port) and server_of(gate) == pid


@pytest.fixture(name="crowd")
def fixture_crowd(gate: Popgate) -> Iterator[list[socket.socket]]:
    crowd = [socket.create_connection(("127.0.0.1", port_of(gate)), DEADLINE) for _client in range(4 * AT_A_TIME)]
    yield crowd
    for client in crowd:
        client.close()


def test_who_says_nothing_keeps_nobody_out(gate: Popgate, crowd: list[socket.socket]) -> None:
    port, pid = port_of(gate), server_of(gate)
    begun = time.monotonic()
    for _time in range(10):
        read(port)
    assert time.monotonic() - begun < CONNECTION_S / 2
    assert len(proc.descriptors(pid)) < 6 + 2 * AT_A_TIME
    crowd[0].settimeout(DEADLINE)
    assert crowd[0].recv(1) == b""  # the first that came had to go


def test_a_slow_client_has_ten_seconds_however_busy_it_is(gate: Popgate) -> None:
    port, pid = port_of(gate), server_of(gate)
    before = len(proc.descriptors(pid))
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 0.2) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: ")
        ended = False
        while not ended:
            assert time.monotonic() - begun < CONNECTION_S + 5
            try:
                client.sendall(b"y")
                ended = client.recv(1) == b""
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                ended = True
    assert time.monotonic() - begun > CONNECTION_S - 1
    until_it_works(lambda: assert_equal(len(proc.descriptors(pid)), before))


def assert_equal(one: object, other: object) -> None:
    assert one == other


def test_answers_cost_no_memory(gate: Popgate) -> None:
    port, pid = port_of(gate), server_of(gate)

    def many() -> int:
        for _time in range(500):
            ask(port)
        return proc.proportional_size(pid)
    before = many()
    assert many() - before < (8 if is_sanitized() else 0.25) * 1024 * 1024
