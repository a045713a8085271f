"""Whoever judges fails: helpers that are killed or hang, a domain controller that is gone or silent, a users.db that is
replaced, removed, cut, emptied, locked or on a full disk.

Every login gets an answer within its deadline, which is no doubt about the password and costs nothing; nothing leaks;
and service comes back by itself.
"""

import base64
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import proc
import pytest
from certs import Certificates
from clients import DEADLINE, Raw, until_it_works
from conftest import running
from directory import Store, config_of
from load import Load
from ntlm_client import Client, ask_for_challenge, authenticate
from popgate import Config, Popgate, is_sanitized, program
from samba import DOMAIN, USERS, Samba
from test_ntlm import REFUSAL, SECRET, UNAVAILABLE, Users
from test_store_logins import master

Start = Callable[..., Popgate]
Attempt = Callable[[Raw], bytes]

MIB = 1024 * 1024
TIMEOUT = 1.0  # of popgate's questions to winbind
SLACK = 4.0    # for a machine that has other things to do
WORKERS, HELPERS = 2, 2
# A failure that counted would hold the next login back for longer than anybody here waits.
MERCILESS = {"login_delay": "40s", "login_delay_max": "40s", "ban_after": 1, "ban_after_user": 1}
OUTAGE = ("winbind_failed", "winbind_unusable", "helper_ended", "helper_delayed")


@pytest.fixture(scope="module")
def store(shared: Path, certificates: Certificates) -> Iterator[Store]:
    directory = shared / "outages-store"
    directory.mkdir()
    yield from running(Store(directory, certificates))


def alice(client: Raw) -> bytes:
    return authenticate(client, Client("alice", USERS["alice"], DOMAIN))


def alice_by_password(client: Raw) -> bytes:
    client.ask(b"USER alice", b"+OK")
    return client.ask(f"PASS {USERS['alice']}".encode())


WAYS = pytest.mark.parametrize("attempt", [alice, alice_by_password], ids=["ntlm", "password"])


def unavailable(gate: Popgate, attempt: Attempt = alice, *, within: float = TIMEOUT + SLACK) -> None:
    """Is told in time to come again, and may."""
    with gate.connect("implicit") as client:
        began = time.monotonic()
        assert attempt(client).startswith(UNAVAILABLE)
        assert time.monotonic() - began < within
        client.ask(b"QUIT", b"+OK")


def works(gate: Popgate, attempt: Attempt = alice) -> None:
    with gate.connect("implicit") as client:
        answer = attempt(client)
        assert answer.startswith(b"+OK"), answer
        client.ask(b"QUIT", b"+OK")
        client.read_to_end()


def works_again(gate: Popgate, attempt: Attempt = alice) -> None:
    """After an outage, and nobody was banned or is held back for it."""
    until_it_works(lambda: works(gate, attempt))
    assert not gate.log.all("banned")


class Waiting:
    """Logins under way, each in a thread of its own, up to the answer."""

    def __init__(self, gate: Popgate, count: int, attempt: Attempt = alice):
        self._gate, self._attempt = gate, attempt
        self.answers: list[bytes] = []
        mark = gate.log.mark()
        self._threads = [threading.Thread(target=self._log_in, daemon=True) for _login in range(count)]
        for thread in self._threads:
            thread.start()
        gate.log.wait("session_phase", since=mark, count=count, phase="verify")

    def _log_in(self) -> None:
        with self._gate.connect("implicit") as client:
            self.answers.append(self._attempt(client))
            client.ask(b"QUIT", b"+OK")

    def wait(self, answer: bytes) -> None:
        for thread in self._threads:
            thread.join(DEADLINE)
        assert len(self.answers) == len(self._threads)
        assert all(each.startswith(answer) for each in self.answers), self.answers


def winbind_config(certificates: Certificates, samba: Samba, store: Store, workdir: Path, *, timeout: str = "1s",
                   helpers: int = HELPERS, workers: int = WORKERS, **defaults: Any) -> Config:
    config = config_of(certificates, samba, store.port, master(workdir),
                       winbind={"timeout": timeout, "helpers": helpers}, **{**MERCILESS, **defaults})
    return config | {"workers": workers, "log": {"target": "stderr", "format": "json", "level": "debug"}}


@pytest.fixture
def begin(start: Start, certificates: Certificates, samba: Samba, store: Store,
          workdir: Path) -> Callable[..., Popgate]:
    """Starts a popgate whose helpers are all there."""
    def begin_one(**options: Any) -> Popgate:
        config = winbind_config(certificates, samba, store, workdir, **options)
        gate = start(config)
        gate.allow(*OUTAGE)
        gate.log.wait("winbind_ready")
        gate.wait_helpers(config["workers"] * config["winbind"]["helpers"])
        return gate
    return begin_one


@pytest.fixture
def single(begin: Callable[..., Popgate]) -> Popgate:
    """One worker with one helper: it is known whom a question meets."""
    return begin(workers=1, helpers=1)


# ---- helpers

@WAYS
def test_a_helper_that_was_killed_before_it_is_asked(single: Popgate, attempt: Attempt) -> None:
    os.kill(single.helpers()[0], signal.SIGKILL)
    works(single, attempt)


def test_a_helper_that_is_killed_between_challenge_and_answer(single: Popgate) -> None:
    with single.connect("implicit") as client:
        challenge = ask_for_challenge(client)
        helpers = single.helpers()
        os.kill(helpers[0], signal.SIGKILL)
        proc.wait_gone(helpers)
        answer = Client("alice", USERS["alice"], DOMAIN).authenticate(challenge)
        client.ask(base64.b64encode(answer), b"+OK")


@WAYS
def test_a_helper_that_is_killed_while_it_is_asked(single: Popgate, samba: Samba, attempt: Attempt) -> None:
    """The next one is asked, once."""
    samba.freeze()
    waiting = Waiting(single, 1, attempt)
    os.kill(single.helpers()[0], signal.SIGKILL)
    samba.thaw()
    waiting.wait(b"+OK")


def test_a_question_that_kills_helpers(single: Popgate, samba: Samba) -> None:
    """It is asked twice and no more."""
    samba.freeze()
    waiting = Waiting(single, 1)
    for _time in range(2):
        helpers = single.wait_helpers(1)
        os.kill(helpers[0], signal.SIGKILL)
        proc.wait_gone(helpers)
    waiting.wait(UNAVAILABLE)
    samba.thaw()
    works_again(single)


@WAYS
def test_a_helper_that_hangs(single: Popgate, attempt: Attempt) -> None:
    hanging = single.helpers()
    os.kill(hanging[0], signal.SIGSTOP)
    unavailable(single, attempt)
    proc.wait_gone(hanging)
    works_again(single, attempt)


def test_a_helper_that_hangs_for_a_while(begin: Callable[..., Popgate]) -> None:
    """One that answers in time is as good as any."""
    gate = begin(workers=1, helpers=1, timeout="15s")
    helpers = gate.helpers()
    os.kill(helpers[0], signal.SIGSTOP)
    waiting = Waiting(gate, 3)
    os.kill(helpers[0], signal.SIGCONT)
    waiting.wait(b"+OK")
    assert gate.helpers() == helpers


def test_all_helpers_are_killed_while_they_work(begin: Callable[..., Popgate], samba: Samba) -> None:
    gate = begin(timeout="15s")
    samba.freeze()
    waiting = Waiting(gate, 8)
    for pid in gate.helpers():
        os.kill(pid, signal.SIGKILL)
    samba.thaw()
    waiting.wait(b"")
    # What went from a helper that was killed to one that is killed next, nobody is asked a third time.
    lost = [answer for answer in waiting.answers if not answer.startswith(b"+OK")]
    assert all(answer.startswith(UNAVAILABLE) for answer in lost) and len(lost) <= WORKERS * (HELPERS - 1)
    gate.wait_helpers(WORKERS * HELPERS)
    works_again(gate)


def test_clients_that_leave_while_helpers_work(begin: Callable[..., Popgate], samba: Samba) -> None:
    """What they asked is answered to nobody; the next question gets its own answer."""
    gate = begin(workers=1, helpers=1, timeout="15s", **{"login_delay": "0s", "ban_after": 1000,
                                                         "ban_after_user": 1000})
    samba.freeze()
    wrong = Client("alice", "wrong", DOMAIN)
    with contextlib.ExitStack() as stack:
        for _client in range(3):
            client = stack.enter_context(gate.connect("none"))
            challenge = ask_for_challenge(client)
            mark = gate.log.mark()
            client.send(base64.b64encode(wrong.authenticate(challenge)) + b"\r\n")
            gate.log.wait("session_phase", since=mark, phase="verify")
            client.reset()
    gate.log.wait("session_closed", count=3)
    samba.thaw()
    works(gate)
    with gate.connect("implicit") as client:
        assert authenticate(client, wrong) == REFUSAL
        assert alice(client).startswith(b"+OK")


# ---- the domain controller

@WAYS
def test_a_domain_controller_that_is_gone_and_comes_back(begin: Callable[..., Popgate], samba: Samba,
                                                         attempt: Attempt) -> None:
    gate = begin(workers=1)
    works(gate, attempt)
    samba.stop()
    for _time in range(3):
        unavailable(gate, attempt)
    samba.restart()
    works_again(gate, attempt)
    gate.log.wait("winbind_failed")
    gate.log.wait("winbind_back")


@WAYS
def test_a_silent_domain_controller(begin: Callable[..., Popgate], samba: Samba, attempt: Attempt) -> None:
    """More logins than helpers: all have their answer in time, from the first question on."""
    gate = begin()
    samba.freeze()
    began = time.monotonic()
    waiting = Waiting(gate, 8, attempt)
    waiting.wait(UNAVAILABLE)
    assert time.monotonic() - began < TIMEOUT + SLACK
    samba.thaw()
    works_again(gate, attempt)


def test_started_while_the_domain_controller_is_gone(start: Start, certificates: Certificates, samba: Samba,
                                                     store: Store, workdir: Path) -> None:
    samba.stop()
    gate = start(winbind_config(certificates, samba, store, workdir))
    gate.expect("winbind_unusable")
    gate.allow(*OUTAGE)
    unavailable(gate)
    gate.log.wait("winbind_unusable")
    samba.restart()
    works_again(gate)


@pytest.mark.parametrize(("rule", "is_let_in"), [("refuse", False), ("next", True)])
def test_who_is_asked_when_the_domain_cannot_say(start: Start, certificates: Certificates, samba: Samba, store: Store,
                                                 users: Users, workdir: Path, rule: str, is_let_in: bool) -> None:
    config = winbind_config(certificates, samba, store, workdir, verify=["winbind", "users"], verify_unavailable=rule)
    gate = start(config | {"users": users.section})
    gate.allow(*OUTAGE)
    gate.log.wait("winbind_ready")
    samba.freeze()
    if is_let_in:
        works(gate, anna)
    else:
        unavailable(gate, anna)
    unavailable(gate)
    samba.thaw()
    works_again(gate)


# ---- popgate's own processes

def test_a_worker_that_is_killed_while_helpers_work_leaves_none(begin: Callable[..., Popgate], samba: Samba) -> None:
    gate = begin(timeout="15s")
    gate.expect("worker_died")
    samba.freeze()
    helpers = gate.helpers()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(gate.connect("implicit")) for _client in range(6)]
        for client in clients:
            challenge = ask_for_challenge(client)
            answer = Client("alice", USERS["alice"], DOMAIN).authenticate(challenge)
            client.send(base64.b64encode(answer) + b"\r\n")
        gate.log.wait("session_phase", count=6, phase="verify")
        for worker in gate.workers():
            os.kill(worker, signal.SIGKILL)
        proc.wait_gone(helpers)
    samba.thaw()
    assert not set(gate.wait_helpers(WORKERS * HELPERS)) & set(helpers)
    works_again(gate)


@pytest.mark.parametrize("occasion", ["reload", "upgrade"])
def test_logins_under_way_are_judged_by_those_who_began(begin: Callable[..., Popgate], occasion: str) -> None:
    gate = begin(timeout="15s")
    before, helpers = gate.workers(), gate.helpers()
    for pid in helpers:
        os.kill(pid, signal.SIGSTOP)
    waiting = Waiting(gate, 6)
    if occasion == "reload":
        gate.reload()
    else:
        gate.signal(signal.SIGUSR2)
        gate.log.wait("upgrade_done")
    for pid in helpers:
        with contextlib.suppress(ProcessLookupError):  # a worker without such a login has gone, and its helpers with it
            os.kill(pid, signal.SIGCONT)
    waiting.wait(b"+OK")
    proc.wait_gone(before + helpers)
    gate.wait_helpers(WORKERS * HELPERS)
    works(gate)


def test_reloads_and_upgrades_under_load_lose_no_login(begin: Callable[..., Popgate], samba: Samba) -> None:
    gate = begin(timeout="15s", map=["* to bert@test.local"], max_connections_per_user=1000)
    assert samba
    with Load(gate, threads=3, log_in=lambda client: require_ok(alice(client))) as load:
        for _time in range(3):
            load.wait_more(6)
            gate.reload()
            load.wait_more(6)
            mark = gate.log.mark()
            gate.signal(signal.SIGUSR2)
            gate.log.wait("upgrade_done", since=mark)
    assert not load.lost
    gate.wait_helpers(WORKERS * HELPERS)


def require_ok(answer: bytes) -> None:
    assert answer.startswith(b"+OK"), answer


def test_nothing_leaks_whatever_fails(begin: Callable[..., Popgate], samba: Samba) -> None:
    gate = begin(workers=1, max_connections_per_user=1000,
                 **{**MERCILESS, "login_delay": "0s", "ban_after": 1000, "ban_after_user": 1000})
    wrong = Client("alice", "wrong", DOMAIN)

    def trouble(times: int) -> None:
        samba.freeze()
        Waiting(gate, 4).wait(UNAVAILABLE)
        samba.thaw()
        gate.wait_helpers(HELPERS)
        os.kill(gate.helpers()[0], signal.SIGKILL)
        gate.wait_helpers(HELPERS)
        for _time in range(times):
            until_it_works(lambda: works(gate))
            until_it_works(lambda: works(gate, alice_by_password))
            until_it_works(lambda: is_refused(gate, wrong))
            with gate.connect("none") as client:
                challenge = ask_for_challenge(client)
                client.send(base64.b64encode(wrong.authenticate(challenge)) + b"\r\n")
                client.reset()

    def held() -> list[list[str]]:
        proc.at_rest(gate.pid)
        return [proc.descriptors(pid) for pid in [gate.pid, *gate.workers(), *gate.wait_helpers(HELPERS)]]

    def memory() -> int:
        return sum(proc.proportional_size(pid) for pid in [gate.pid, *gate.workers()])

    before = held()
    trouble(20)
    size = memory()
    trouble(60)
    until_it_works(lambda: assert_equal(held(), before))
    assert memory() - size < (64 if is_sanitized() else 1) * MIB


def is_refused(gate: Popgate, who: Client) -> None:
    with gate.connect("implicit") as client:
        assert authenticate(client, who) == REFUSAL


def assert_equal(found: object, wanted: object) -> None:
    assert found == wanted


# ---- users.db

@pytest.fixture
def users(workdir: Path) -> Users:
    directory = workdir / "users"
    directory.mkdir(mode=0o755)
    users = Users(directory)
    for name in ("anna", "suzanf"):
        users.add(name)
    return users


@pytest.fixture
def gate(start: Start, certificates: Certificates, store: Store, users: Users, workdir: Path) -> Popgate:
    """It asks users.db alone."""
    return start(users_config(certificates, store, users, workdir))


def users_config(certificates: Certificates, store: Store, users: Users, workdir: Path) -> Config:
    config = config_of(certificates, Samba(workdir), store.port, master(workdir), map=["* to alice"],
                       verify=["users"], **MERCILESS)
    del config["winbind"]
    return config | {"users": users.section}


def user(name: str, password: str = SECRET) -> Attempt:
    return lambda client: authenticate(client, Client(name, password))


anna = user("anna")


def database(users: Users) -> Path:
    return Path(users.section["database"])


def copy_of(users: Users, directory: Path) -> Users:
    """Another users.db with the same key, and a user more."""
    directory.mkdir(mode=0o755)
    other = Users(directory)
    shutil.copy(users.section["key"], other.section["key"])
    for name in ("anna", "suzanf", "new"):
        other.add(name)
    return other


def put_in_place(new: Path, old: Path) -> None:
    os.replace(new, old)


def refused_and_mended(gate: Popgate, bad: Callable[[], None], why: str, good: Callable[[], None]) -> None:
    """What is bad changes nothing; what is good is taken by itself."""
    gate.expect("reload_refused")
    mark = gate.log.mark()
    bad()
    assert why in gate.log.wait("reload_refused", since=mark)["why"]
    works(gate, anna)
    with taken(gate):
        good()
    works(gate, user("new"))
    works(gate, anna)


@contextlib.contextmanager
def taken(gate: Popgate) -> Iterator[None]:
    """What is done meanwhile makes all workers new ones."""
    before, mark = gate.workers(), gate.log.mark()
    yield
    gate.log.wait("users_replaced", since=mark)
    gate.log.wait("reload_done", since=mark)
    proc.wait_gone(before)


@pytest.mark.parametrize("damage", [lambda data: data[:len(data) // 2], lambda data: data[:8192],
                                    lambda data: data[:8192] + bytes(len(data) - 8192), lambda data: b"",
                                    lambda data: b"no database\n" * 1000],
                         ids=["half of it", "its head", "zeroes", "nothing", "something else"])
def test_a_damaged_users_db_is_refused_and_a_good_one_taken(gate: Popgate, users: Users, workdir: Path,
                                                            damage: Callable[[bytes], bytes]) -> None:
    other = copy_of(users, workdir / "other")
    damaged = workdir / "damaged"
    damaged.write_bytes(damage(database(users).read_bytes()))
    refused_and_mended(gate, lambda: put_in_place(damaged, database(users)), "users.db",
                       lambda: put_in_place(database(other), database(users)))


def test_a_users_db_and_its_key_come_one_after_the_other(gate: Popgate, users: Users, workdir: Path) -> None:
    directory = workdir / "other"
    directory.mkdir(mode=0o755)
    other = Users(directory)
    for name in ("anna", "new"):
        other.add(name)
    refused_and_mended(gate, lambda: put_in_place(database(other), database(users)), "sealed with another key",
                       lambda: put_in_place(Path(other.section["key"]), Path(users.section["key"])))


def test_a_users_db_that_was_removed(gate: Popgate, users: Users) -> None:
    """It goes on as long as there is none; one that is made is taken."""
    database(users).unlink()
    works(gate, anna)
    with taken(gate):
        users.add("new")
    works(gate, user("new"))


def test_a_worker_that_dies_while_there_is_no_users_db(gate: Popgate, users: Users, workdir: Path) -> None:
    """Nobody waits for the one in its place, which cannot judge; with a users.db, all can again."""
    gate.expect("worker_died", "users_unusable")
    mark = gate.log.mark()
    elsewhere = workdir / "elsewhere"
    put_in_place(database(users), elsewhere)
    os.kill(gate.workers()[0], signal.SIGKILL)
    gate.log.wait("users_unusable", since=mark)
    for _login in range(20):
        try_anna(gate)
    with taken(gate):
        put_in_place(elsewhere, database(users))
    for _login in range(8):
        works(gate, anna)
    assert not gate.log.all("banned")


def try_anna(gate: Popgate) -> None:
    """Whatever comes, it is no doubt about her."""
    with gate.connect("implicit") as client:
        answer = anna(client)
        client.ask(b"QUIT", b"+OK")
    assert answer.startswith((b"+OK", UNAVAILABLE)), answer


def test_a_users_db_that_was_emptied(gate: Popgate, users: Users) -> None:
    gate.expect("reload_refused")
    mark = gate.log.mark()
    os.truncate(database(users), 0)
    for _time in range(3):
        unavailable(gate, anna)
    gate.log.wait("reload_refused", since=mark)
    unavailable(gate, anna)
    with taken(gate):
        users.add("new")
    works(gate, user("new"))
    assert not gate.log.all("banned")


def test_a_damaged_record_is_one_users_only(gate: Popgate, users: Users) -> None:
    data = database(users).read_bytes()
    with open(database(users), "r+b") as file:
        file.seek(data.rindex(b"anna") + 40)
        file.write(b"damaged")
    for _time in range(3):
        unavailable(gate, anna)
    works(gate, user("suzanf"))
    users.run("remove", "anna")
    users.add("anna")
    works(gate, anna)


@contextlib.contextmanager
def changing(users: Users) -> Iterator[None]:
    """A command has begun to change users.db, and is stopped: another one has to wait for it.  At last it is killed."""
    lines = "name\n" + "".join(f"user{number}\n" for number in range(300_000))
    command = [program(), "user", "import", "-", "-c", str(users.config)]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert writer.stdin
    try:
        writer.stdin.write(lines.encode())
        writer.stdin.close()
        work_a_while(writer)
        os.kill(writer.pid, signal.SIGSTOP)
        while not waits(users):
            os.kill(writer.pid, signal.SIGCONT)
            work_a_while(writer)
            os.kill(writer.pid, signal.SIGSTOP)
        yield
    finally:
        writer.kill()
        writer.wait()


def work_a_while(process: "subprocess.Popen[bytes]") -> None:
    def ticks() -> list[str]:
        return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    before = ticks()
    while ticks() == before:
        assert process.poll() is None, "it was too fast"


def waits(users: Users) -> bool:
    """Whether another command has to wait for the one that is stopped."""
    other = subprocess.Popen([program(), "user", "set", "suzanf", "--enable", "-c", str(users.config)],
                             stdout=subprocess.DEVNULL)
    try:
        other.wait(1)
        return False
    except subprocess.TimeoutExpired:
        other.kill()
        other.wait()
        return True


def test_a_users_db_that_is_locked_by_a_command_that_was_stopped(gate: Popgate, users: Users) -> None:
    with changing(users):
        works(gate, anna)
        gate.reload()
        works(gate, anna)
    users.add("new")
    works(gate, user("new"))
    works(gate, anna)


@pytest.fixture
def small_disk(workdir: Path) -> Iterator[Path]:
    if os.getuid() != 0:
        pytest.skip("only root can mount a disk")
    disk = workdir / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk(start: Start, certificates: Certificates, store: Store, workdir: Path, small_disk: Path) -> None:
    """Users cannot be added, those who are there log in, also at workers that start now; with room it goes on."""
    users = Users(small_disk)
    for name in ("anna", "suzanf"):
        users.add(name)
    gate = start(users_config(certificates, store, users, workdir))
    works(gate, anna)
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(subprocess.CalledProcessError) as failed:
        users.add("new")
    assert b"the disk is full" in failed.value.stderr
    works(gate, anna)
    for _time in range(3):
        gate.reload()
    gate.expect("worker_died")
    for pid in gate.wait_workers(WORKERS):
        os.kill(pid, signal.SIGKILL)
    until_it_works(lambda: works(gate, anna))
    filler.unlink()
    users.add("new")
    works(gate, user("new"))
