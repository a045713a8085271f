"""key_isolation: private keys in a process of their own, and what happens when something happens to it.

That nobody else has a key is looked up in the memory of every process; with key_isolation: off the same search must
find it, so that it is known to be able to.
"""

import contextlib
import functools
import os
import re
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import proc
import pytest
from certs import Certificates
from clients import DEADLINE, Raw, until_it_works
from load import Load
from popgate import Config, Popgate, is_sanitized, run_command, site
from stores import USERS, Dovecot

Start = Callable[..., Popgate]

BERT = ("bert@test.local", USERS["bert@test.local"])
MANY = {"max_connections_per_user": 1000}
MIB = 1024 * 1024

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may look into the memory of others")


def keys_of(gate: Popgate) -> list[int]:
    """The processes with the private keys: one, and those of generations that drain."""
    return [pid for pid in proc.children(gate.pid) if proc.name(pid) == "popgate-keys"]


def wait_keys(gate: Popgate, count: int = 1) -> list[int]:
    end = time.monotonic() + DEADLINE
    while len(pids := keys_of(gate)) != count:
        assert time.monotonic() < end, f"{len(pids)} processes with keys, {count} expected"
        time.sleep(0.01)
    return pids


@pytest.fixture
def config(certificates: Certificates, dovecot: Dovecot) -> Config:
    return {**site(certificates, dovecot.port, defaults=MANY), "key_isolation": "on"}


@pytest.fixture
def gate(start: Start, config: Config) -> Popgate:
    return start(config)


@pytest.fixture(scope="module")
def issue(certificates: Certificates) -> Callable[[str], Config]:
    """One certificate of each kind of key: making them takes longer than what is done with them."""
    return functools.cache(lambda key: certificates.issue(f"isolated-{key}", "DNS:localhost,IP:127.0.0.1", key))


def serve_once(gate: Popgate) -> None:
    for mode in ("implicit", "stls"):
        with gate.connect(mode) as client:
            client.login(*BERT)
            client.ask(b"QUIT", b"+OK")
            client.read_to_end()


# who is served

@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
@pytest.mark.parametrize(("key", "signed"), [("P-256", "ECDSA"), ("P-384", "ECDSA"), ("RSA", "RSA"),
                                             ("Ed25519", "ED25519")])
def test_every_kind_of_key_signs_for_every_client(
        start: Start, config: Config, certificates: Certificates, issue: Callable[[str], Config], key: str, signed: str,
        version: str) -> None:
    config["certificates"] = {"one": issue(key)}
    gate = start(config)
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{gate.port('pop3s')}", "-servername", "localhost",
         f"-{version}", "-CAfile", certificates.chain("ca"), "-verify_return_error"],
        input="QUIT\r\n", capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert "Verify return code: 0 (ok)" in done.stdout
    assert re.search(rf"(?i)Peer signature type: {signed}", done.stdout)
    assert version.replace("tls", "TLSv").replace("_", ".") in done.stdout


@pytest.mark.parametrize("algorithm", ["rsa_pss_rsae_sha256", "rsa_pss_rsae_sha512", "rsa_pkcs1_sha256",
                                       "rsa_pkcs1_sha384", "rsa_pkcs1_sha512"])
def test_each_algorithm_of_an_rsa_key(start: Start, config: Config, certificates: Certificates,
                                      issue: Callable[[str], Config], algorithm: str) -> None:
    config["certificates"] = {"one": issue("RSA")}
    gate = start(config)
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{gate.port('pop3s')}", "-sigalgs", algorithm, "-tls1_2",
         "-CAfile", certificates.chain("ca"), "-verify_return_error"],
        input="QUIT\r\n", capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert "Verify return code: 0 (ok)" in done.stdout


# nobody else has the key

def private_parts(key: Path) -> list[bytes]:
    """What must not be found: a scalar or the primes, in either order of bytes, and the file itself."""
    text = subprocess.run(["openssl", "pkey", "-in", str(key), "-noout", "-text"], capture_output=True, text=True,
                          check=True).stdout
    numbers = [bytes.fromhex(re.sub(r"[\s:]", "", digits)).lstrip(b"\0")
               for _name, digits in re.findall(r"^(priv|prime1|prime2|privateExponent):\n((?:    .*\n)+)", text,
                                               re.MULTILINE)]
    assert numbers
    lines = [line.encode() for line in key.read_text().splitlines() if not line.startswith("-")]
    return [*numbers, *(number[::-1] for number in numbers), *lines[:-1]]


def holders(gate: Popgate, key: Path) -> set[int]:
    """Which processes have any of it in their memory."""
    parts = private_parts(key)
    memory = {pid: proc.memory(pid) for pid in (gate.pid, *proc.children(gate.pid))}
    return {pid for pid, bytes_of in memory.items() if any(part in bytes_of for part in parts)}


@as_root
@pytest.mark.parametrize("key", ["P-256", "RSA"])
def test_the_private_key_is_in_one_process_alone(start: Start, config: Config, issue: Callable[[str], Config],
                                                 key: str) -> None:
    config["certificates"] = {"one": issue(key)}
    file = Path(issue(key)["key"])
    gate = start(config)
    serve_once(gate)
    assert holders(gate, file) == set(keys_of(gate))
    gate.reload_all(config)
    wait_keys(gate)
    serve_once(gate)
    assert holders(gate, file) == set(keys_of(gate))


@as_root
@pytest.mark.parametrize("key", ["P-256", "RSA"])
def test_without_isolation_the_same_search_finds_it_everywhere_and_a_reload_takes_it_away(
        start: Start, config: Config, issue: Callable[[str], Config], key: str) -> None:
    config["certificates"] = {"one": issue(key)}
    file = Path(issue(key)["key"])
    gate = start({**config, "key_isolation": "off"})
    serve_once(gate)
    assert not keys_of(gate)
    assert holders(gate, file) == {gate.pid, *gate.workers()}
    gate.reload_all(config)
    serve_once(gate)
    assert holders(gate, file) == set(keys_of(gate))
    gate.reload_all({**config, "key_isolation": "off"})
    wait_keys(gate, 0)
    serve_once(gate)


def test_what_the_process_has_given_up(gate: Popgate) -> None:
    [pid] = keys_of(gate)
    status = proc.status(pid)
    assert os.getuid() != 0 or "0" not in status["Uid"] + status["Gid"]
    assert int(status["CapEff"][0], 16) == int(status["CapPrm"][0], 16) == 0
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == (["0"] if is_sanitized() else ["2"])
    # Its supervisor, two workers, and what every program has, where the log goes too.
    assert proc.descriptors(pid) == ["/dev/null", "/dev/null", "pipe", "socket", "socket", "socket"]


def test_nobody_else_has_its_sockets_or_files(gate: Popgate) -> None:
    for pid in gate.workers():
        assert not [name for name in proc.descriptors(pid) if name.endswith((".pem", ".key"))]


# refused keys

def test_a_key_of_another_certificate_is_refused_at_the_start_and_at_a_reload(
        start: Start, config: Config, certificates: Certificates) -> None:
    wrong = {"localhost": {"chain": certificates.chain("edge"), "key": certificates.key("store")}}
    refused = start({**config, "certificates": wrong}, wait=False)
    refused.expect("key_refused", "start_failed")
    refused.accept_end()
    assert refused.wait_gone() == 1
    assert f"{certificates.key('store')} does not belong" in refused.log.wait("key_refused")["why"]
    gate = start(config)
    gate.expect("key_refused", "reload_refused")
    gate.write({**config, "certificates": wrong})
    gate.signal(signal.SIGHUP)
    gate.log.wait("reload_refused")
    wait_keys(gate)
    serve_once(gate)


def test_a_chain_that_holds_a_key_is_refused(workdir: Path, config: Config, certificates: Certificates) -> None:
    both = workdir / "both.pem"
    both.write_text(Path(certificates.chain("edge")).read_text() + Path(certificates.key("edge")).read_text())
    config["certificates"] = {"localhost": {"chain": str(both), "key": str(both)}}
    (workdir / "popgate.yaml").write_text(str(config).replace("'", '"'))
    done = run_command("check", "-c", str(workdir / "popgate.yaml"))
    assert done.returncode == 1 and str(both) in done.stderr and "key_isolation: off" in done.stderr
    config["key_isolation"] = "off"
    (workdir / "popgate.yaml").write_text(str(config).replace("'", '"'))
    assert run_command("check", "-c", str(workdir / "popgate.yaml")).returncode == 0


def test_check_reads_the_keys_too(workdir: Path, config: Config, certificates: Certificates) -> None:
    config["certificates"] = {"localhost": {"chain": certificates.chain("edge"), "key": certificates.key("store")}}
    (workdir / "popgate.yaml").write_text(str(config).replace("'", '"'))
    done = run_command("check", "-c", str(workdir / "popgate.yaml"))
    assert done.returncode == 1 and "does not belong" in done.stderr


def test_without_tls_there_is_no_such_process(start: Start, config: Config) -> None:
    config["listeners"] = {"plain": config["listeners"]["plain"]}
    gate = start(config)
    assert not keys_of(gate)
    with gate.connect("none") as client:
        client.login(*BERT)


# its life

@contextlib.contextmanager
def sessions(gate: Popgate) -> Iterator[list[Raw]]:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(gate.connect(mode)) for mode in ("implicit", "stls") * 3]
        for client in clients:
            client.login(*BERT)
        yield clients
        for client in clients:
            client.ask(b"NOOP", b"+OK")
            client.ask(b"QUIT", b"+OK")


def test_a_killed_process_is_replaced_and_sessions_go_on(gate: Popgate) -> None:
    gate.expect("keys_ended")
    gate.allow("keys_delayed")
    with sessions(gate):
        [victim] = keys_of(gate)
        os.kill(victim, signal.SIGKILL)
        gate.log.wait("keys_ended", pid=victim)
        gate.log.wait("keys_back")
        [successor] = wait_keys(gate)
        assert successor != victim
        serve_once(gate)


def test_killed_under_load_it_costs_no_more_than_the_handshakes_that_wait(gate: Popgate) -> None:
    gate.expect("keys_ended")
    gate.allow("keys_delayed")
    with Load(gate, threads=8) as load, sessions(gate):
        for kill in range(5):
            load.wait_more(20)
            os.kill(wait_keys(gate)[0], signal.SIGKILL)
            gate.log.wait("keys_back", count=kill + 1)
            until_it_works(lambda: serve_once(gate))
        load.wait_more(20)
    reasons = [event for event in gate.log.all("session_closed") if event["reason"] == "tls_failed"]
    assert len(load.lost) <= 5 * 8
    assert all(lost.step == "connect" for lost in load.lost)
    assert {event["why"] for event in reasons} <= {"the process that has the private keys has ended"}


def test_a_stopped_process_costs_a_handshake_its_deadline_and_nothing_grows(start: Start, config: Config) -> None:
    config["defaults"]["handshake_timeout"] = "1s"
    config["workers"] = 1
    gate = start(config)
    serve_once(gate)
    [keys], [worker] = keys_of(gate), gate.workers()
    with sessions(gate):
        os.kill(keys, signal.SIGSTOP)
        stall(gate)
        before = proc.proportional_size(worker)
        for _round in range(3):
            stall(gate)
        assert proc.proportional_size(worker) - before < (16 if is_sanitized() else 1) * MIB
        os.kill(keys, signal.SIGCONT)
        until_it_works(lambda: serve_once(gate))


def stall(gate: Popgate, clients: int = 200) -> None:
    """Handshakes at once, each of which ends at its deadline."""
    mark = gate.log.mark()
    with contextlib.ExitStack() as stack:
        for _client in range(clients):
            client = stack.enter_context(Raw(gate.port("pop3s")))
            client.send_raw(client_hello(gate.context))
        gate.log.wait("session_closed", since=mark, count=clients, reason="handshake_timeout")


def client_hello(context: ssl.SSLContext) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(("behaviour", "reason"), [
    ("fin", "tls_failed"), ("reset", "tls_failed"), ("garbage", "tls_failed"), ("nothing", "handshake_timeout")])
def test_clients_that_do_not_wait_for_the_signature(start: Start, config: Config, behaviour: str, reason: str) -> None:
    config["workers"] = 1
    config["defaults"]["handshake_timeout"] = "2s"
    gate = start(config)
    [keys] = keys_of(gate)
    os.kill(keys, signal.SIGSTOP)
    with Raw(gate.port("pop3s")) as client:
        client.send_raw(client_hello(gate.context))
        if behaviour == "fin":
            client.half_close_without_notify()
        elif behaviour == "reset":
            client.reset()
        elif behaviour == "garbage":
            client.send_raw(b"\x17\x03\x03\x00\x20" + b"x" * 32 * 1024)
            os.kill(keys, signal.SIGCONT)
        closed = gate.closed(client.port)
    assert closed["reason"] in (reason, "client_failed")
    os.kill(keys, signal.SIGCONT)
    serve_once(gate)


def test_what_a_client_sends_while_it_waits_is_used(start: Start, config: Config) -> None:
    """TLS 1.2 over STLS: the client's records come in pieces around a stop of the process."""
    config["workers"] = 1
    gate = start(config)
    [keys] = keys_of(gate)
    for stop_at in range(1, 4):
        hello = client_hello(gate.context)
        with Raw(gate.port("pop3s")) as client:
            os.kill(keys, signal.SIGSTOP)
            client.send_raw(hello[:100 * stop_at])
            client.send_raw(hello[100 * stop_at:])
            client.send_raw(b"\x14\x03\x03\x00\x01\x01")  # a change of ciphers that TLS 1.3 passes over
            os.kill(keys, signal.SIGCONT)
            assert client.socket.recv(1) == b"\x16"
    serve_once(gate)


def test_a_worker_in_the_place_of_a_dead_one_is_joined(gate: Popgate) -> None:
    gate.expect("worker_died")
    [keys] = keys_of(gate)
    for victim in gate.workers():
        mark = gate.log.mark()
        os.kill(victim, signal.SIGKILL)
        gate.log.wait("worker_died", since=mark)
    gate.wait_workers(2)
    until_it_works(lambda: serve_once(gate))
    assert keys_of(gate) == [keys]
    until_it_works(lambda: assert_sockets(keys, 3))


def assert_sockets(pid: int, count: int) -> None:
    assert proc.descriptors(pid).count("socket") == count


def test_after_a_reload_the_old_one_serves_those_that_drain(gate: Popgate, config: Config) -> None:
    [old] = keys_of(gate)
    with Raw(gate.port("pop3")) as late:
        late.greeting()
        gate.reload(config)
        assert old in wait_keys(gate, 2)
        late.stls(gate.context)
        late.login(*BERT)
        late.ask(b"QUIT", b"+OK")
        late.read_to_end()
    assert wait_keys(gate) != [old]
    serve_once(gate)


def test_an_upgrade_keeps_the_old_one_for_those_that_drain(gate: Popgate) -> None:
    [old] = keys_of(gate)
    with Raw(gate.port("pop3")) as late:
        late.greeting()
        gate.signal(signal.SIGUSR2)
        gate.log.wait("upgrade_done")
        assert old in wait_keys(gate, 2)
        late.stls(gate.context)
        late.login(*BERT)
        late.ask(b"QUIT", b"+OK")
        late.read_to_end()
    assert wait_keys(gate) != [old]
    serve_once(gate)


def test_reloads_and_upgrades_leak_nothing(gate: Popgate, config: Config) -> None:
    gate.reload_all(config)
    before = proc.at_rest(gate.pid)
    for turn in range(20):
        gate.reload_all(config)
        mark = gate.log.mark()
        gate.signal(signal.SIGUSR2)
        gate.log.wait("upgrade_done", since=mark)
        gate.wait_workers(2)
        if turn % 5 == 0:
            serve_once(gate)
    wait_keys(gate)
    until_it_works(lambda: proc.usage(gate.pid).assert_as_before(before, 64 * MIB))


def test_a_stopped_process_does_not_hold_up_the_end(gate: Popgate) -> None:
    [keys] = keys_of(gate)
    os.kill(keys, signal.SIGSTOP)
    gate.signal(signal.SIGTERM)
    assert gate.wait_gone() == 0


def test_without_its_supervisor_it_ends_with_the_last_worker(gate: Popgate) -> None:
    [keys], workers = keys_of(gate), gate.workers()
    with Raw(gate.port("pop3")) as late:
        late.greeting()
        os.kill(gate.pid, signal.SIGKILL)
        gate.accept_end()
        late.stls(gate.context)
        late.login(*BERT)
        late.ask(b"QUIT", b"+OK")
        late.read_to_end()
    proc.wait_gone([*workers, keys])


# renewals

@pytest.fixture
def live(workdir: Path, config: Config, certificates: Certificates) -> tuple[Path, Path]:
    """Chain and key where a renewal replaces them."""
    chain, key = workdir / "live.pem", workdir / "live.key"
    renew(chain, key, certificates.section("edge"))
    config["certificates"] = {"one": {"chain": str(chain), "key": str(key)}}
    return chain, key


def renew(chain: Path, key: Path, section: Config) -> None:
    for path, source in ((key, section["key"]), (chain, section["chain"])):
        shutil.copy(source, path.with_suffix(".new"))
        path.with_suffix(".new").rename(path)


def assert_served(gate: Popgate, der: bytes) -> None:
    for mode in ("implicit", "stls") * 4:
        with gate.connect(mode) as client:
            assert client.tls and client.tls.getpeercert(binary_form=True) == der


def assert_nowhere(gate: Popgate, key: Path) -> None:
    assert not holders(gate, key)


@as_root
def test_renewed_keys_are_in_that_process_alone_and_old_ones_nowhere(
        start: Start, config: Config, certificates: Certificates, live: tuple[Path, Path]) -> None:
    gate = start(config)
    keys = keys_of(gate)
    names = [f"isolated-renewal-{number}" for number in range(4)]
    with sessions(gate):
        for name in names:
            mark = gate.log.mark()
            renew(*live, certificates.issue(name, "DNS:localhost,IP:127.0.0.1"))
            gate.log.wait("certificate_replaced", since=mark)
            until_it_works(functools.partial(assert_served, gate, certificates.der(name)))
        assert holders(gate, Path(certificates.key(names[-1]))) == set(keys)
        for name in ("edge", *names[:-2]):
            assert not holders(gate, Path(certificates.key(name)))
        until_it_works(lambda: assert_nowhere(gate, Path(certificates.key(names[-2]))))
        assert holders(gate, Path(certificates.key(names[-1]))) == set(keys)
    assert keys_of(gate) == keys


def test_a_key_that_does_not_belong_is_told_though_the_chain_is_the_old_one(
        start: Start, config: Config, certificates: Certificates, live: tuple[Path, Path]) -> None:
    gate = start(config)
    gate.expect("certificate_refused")
    renew(*live, {"chain": certificates.chain("edge"), "key": certificates.key("store")})
    assert "does not belong" in gate.log.wait("certificate_refused")["why"]
    assert_served(gate, certificates.der("edge"))


def test_a_renewal_while_the_process_is_stopped_or_gone_is_made_up_for(
        start: Start, config: Config, certificates: Certificates, live: tuple[Path, Path]) -> None:
    gate = start(config)
    gate.expect("keys_ended")
    gate.allow("keys_delayed")
    for number, name in enumerate(("renewed", "edge")):
        [keys] = wait_keys(gate)
        os.kill(keys, signal.SIGKILL if number else signal.SIGSTOP)
        renew(*live, certificates.section(name))
        gate.log.wait("keys_back", count=number + 1)
        gate.log.wait("certificate_replaced", count=number + 1)
        until_it_works(functools.partial(assert_served, gate, certificates.der(name)))


def test_a_key_that_a_new_process_did_not_get_is_taken_when_it_is_right_again(
        start: Start, config: Config, certificates: Certificates, live: tuple[Path, Path]) -> None:
    """Written over in place: the descriptor that is kept leads to the wrong one too."""
    gate = start(config)
    gate.expect("certificate_refused", "keys_ended", "key_refused")
    gate.allow("keys_delayed")
    shutil.copy(certificates.key("store"), live[1])
    gate.log.wait("certificate_refused")
    os.kill(keys_of(gate)[0], signal.SIGKILL)
    gate.log.wait("key_refused")
    for _ in range(2):
        shutil.copy(certificates.key("edge"), live[1])
        until_it_works(lambda: assert_served(gate, certificates.der("edge")))
        os.kill(wait_keys(gate)[0], signal.SIGKILL)
        gate.log.wait("keys_back")
        until_it_works(lambda: assert_served(gate, certificates.der("edge")))


def assert_open(pid: int, path: Path) -> None:
    assert any(one.exists() and one.samefile(path) for one in Path(f"/proc/{pid}/fd").iterdir())


def test_a_key_that_was_put_right_by_a_rename_outlives_the_process(
        start: Start, config: Config, certificates: Certificates, live: tuple[Path, Path]) -> None:
    gate = start(config)
    gate.expect("certificate_refused", "keys_ended")
    shutil.copy(certificates.key("store"), live[1])
    gate.log.wait("certificate_refused")
    renew(*live, certificates.section("edge"))
    until_it_works(lambda: assert_open(gate.pid, live[1]))
    os.kill(keys_of(gate)[0], signal.SIGKILL)
    gate.log.wait("keys_back")
    until_it_works(lambda: assert_served(gate, certificates.der("edge")))


def test_after_its_death_the_keys_that_are_served_come_back_whatever_the_files_are_by_then(
        start: Start, config: Config, certificates: Certificates, live: tuple[Path, Path]) -> None:
    gate = start(config)
    gate.expect("keys_ended", "certificate_refused")
    live[1].unlink()
    gate.log.wait("certificate_refused")
    os.kill(keys_of(gate)[0], signal.SIGKILL)
    gate.log.wait("keys_back")
    until_it_works(lambda: assert_served(gate, certificates.der("edge")))
