"""Helpers that ask winbind: as whom they run, that each lost one is replaced and none is left over; and what popgate
says of winbind when it starts and in `check`.
"""

import grp
import json
import os
import pwd
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import proc
import pytest
from certs import Certificates
from popgate import Config, Event, Popgate, run_command, site
from samba import DOMAIN, GROUP, Samba

Start = Callable[..., Popgate]

WORKERS, HELPERS = 2, 2
ALL = WORKERS * HELPERS
NOWHERE = 1  # no store is needed here


def config_of(samba: Samba, certificates: Certificates, **winbind: Any) -> Config:
    return site(certificates, NOWHERE, defaults={"verify": ["winbind"]},
                winbind=samba.section(helpers=HELPERS, **winbind))


@pytest.fixture
def gate(start: Start, samba: Samba, certificates: Certificates) -> Popgate:
    gate = start(config_of(samba, certificates))
    gate.wait_helpers(ALL)
    gate.log.wait("winbind_ready")
    return gate


def replaced(gate: Popgate, lost: set[int]) -> set[int]:
    """Waits until there are all helpers again, and none of the lost ones."""
    proc.wait_gone(list(lost))
    helpers = set(gate.wait_helpers(ALL))
    assert not helpers & lost
    return helpers


def assert_steady(gate: Popgate, helpers: set[int]) -> None:
    """A moment later nothing has changed."""
    time.sleep(0.3)
    assert set(gate.helpers()) == helpers


# ---- who they are


def test_they_run_as_the_workers_user_with_one_group_more(gate: Popgate) -> None:
    user = pwd.getpwnam("nobody")
    for pid in gate.helpers():
        status = proc.status(pid)
        assert set(status["Uid"]) == {str(user.pw_uid)}
        assert set(status["Gid"]) == {str(user.pw_gid)}
        assert status["Groups"] == [str(grp.getgrnam(GROUP).gr_gid)]
        assert status["NoNewPrivs"] == ["1"]
        assert status["CapEff"] == ["0000000000000000"]
        assert "Max core file size        0                    0" in Path(f"/proc/{pid}/limits").read_text()
        assert proc.descriptors(pid)[:3] == ["/dev/null", "socket", "socket"]


def test_workers_do_not_get_the_group(gate: Popgate) -> None:
    assert all(not proc.status(pid)["Groups"] for pid in gate.workers())


def test_without_winbind_there_are_none(start: Start, samba: Samba, certificates: Certificates) -> None:
    gate = start(site(certificates, NOWHERE, winbind=samba.section()))
    assert not gate.helpers()
    assert not gate.log.all("winbind_ready")


# ---- lost and replaced


def test_a_killed_helper_is_replaced(gate: Popgate) -> None:
    helpers = gate.helpers()
    gate.expect("helper_ended")
    os.kill(helpers[0], signal.SIGKILL)
    after = replaced(gate, {helpers[0]})
    assert set(helpers[1:]) < after
    assert gate.log.wait("helper_ended", pid=helpers[0])["why"] == "was killed by signal 9 (Killed)"


def test_all_of_them_again_and_again(gate: Popgate) -> None:
    """The first death costs no time, the next ones do."""
    gate.expect("helper_ended", "helper_delayed")
    for _time in range(3):
        helpers = gate.helpers()
        for pid in helpers:
            os.kill(pid, signal.SIGKILL)
        replaced(gate, set(helpers))


def test_a_command_that_ends_at_once_is_not_started_without_end(start: Start, certificates: Certificates) -> None:
    gate = start(site(certificates, NOWHERE, workers=1, defaults={"verify": ["winbind"]},
                      winbind={"command": "/bin/false", "helpers": 1}))
    gate.expect("helper_ended", "helper_delayed", "winbind_unusable")
    mark = time.monotonic()
    gate.log.wait("helper_ended", count=5, why="ended with status 1")
    assert time.monotonic() - mark > 0.1 + 0.2 + 0.4 - 0.1
    assert gate.log.wait("winbind_unusable")["why"] == "/bin/false ended without an answer"


def test_a_dead_worker_takes_its_helpers_along_even_one_that_hangs(gate: Popgate) -> None:
    helpers = set(gate.helpers())
    gate.expect("worker_died")
    hanging = next(iter(helpers))
    os.kill(hanging, signal.SIGSTOP)
    for worker in gate.workers():
        os.kill(worker, signal.SIGKILL)
    assert_steady(gate, replaced(gate, helpers))


def test_a_reload_replaces_them(gate: Popgate) -> None:
    helpers = set(gate.helpers())
    os.kill(next(iter(helpers)), signal.SIGSTOP)
    gate.reload()
    assert_steady(gate, replaced(gate, helpers))


def test_a_reload_without_winbind_ends_them(gate: Popgate, certificates: Certificates) -> None:
    gate.reload(site(certificates, NOWHERE))
    gate.wait_helpers(0)


def test_an_upgrade_replaces_them(gate: Popgate) -> None:
    """The new binary has not started those that the old workers give up."""
    helpers = set(gate.helpers())
    os.kill(next(iter(helpers)), signal.SIGSTOP)
    gate.signal(signal.SIGUSR2)
    gate.log.wait("upgrade_done")
    assert_steady(gate, replaced(gate, helpers))


def test_stopping_ends_them(gate: Popgate) -> None:
    helpers = gate.helpers()
    os.kill(helpers[0], signal.SIGSTOP)
    gate.stop()
    assert all(proc.state(pid) == "X" for pid in helpers)


def test_they_end_when_the_supervisor_was_killed(gate: Popgate) -> None:
    helpers = gate.helpers()
    gate.accept_end()
    gate.signal(signal.SIGKILL)
    proc.wait_gone(helpers)


def test_a_terminals_interrupt_leaves_them_alone(gate: Popgate) -> None:
    for pid in gate.helpers():
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    assert_steady(gate, set(gate.helpers()))


# ---- what is said of winbind, at start and by `check`


def log_of_start(start: Start, config: Config, token: str) -> Event:
    gate = start(config)
    if token != "winbind_ready":
        gate.expect(token)
    return gate.log.wait(token)


def check(directory: Path, config: Config) -> tuple[int, str]:
    """Exit status and all that it says."""
    file = directory / "check.yaml"
    file.write_text(json.dumps(config))
    done = run_command("check", "-c", str(file))
    return done.returncode, done.stdout + done.stderr


def test_all_is_well(start: Start, samba: Samba, certificates: Certificates, workdir: Path) -> None:
    for domain in ("", DOMAIN, DOMAIN.lower()):
        config = config_of(samba, certificates, domain=domain)
        assert log_of_start(start, config, "winbind_ready")["why"] == f"the domain is {DOMAIN}"
        status, text = check(workdir, config)
        assert status == 0
        assert f"winbind: the domain is {DOMAIN}\n" in text
        assert text.endswith(": no problems\n")


def test_the_user_nobody_is_not_for_helpers(start: Start, samba: Samba, certificates: Certificates,
                                            workdir: Path) -> None:
    config = config_of(samba, certificates)
    assert "set user to it" in log_of_start(start, config, "winbind_exposed")["why"]
    assert "winbind: other processes of the user nobody could trace helpers" in check(workdir, config)[1]
    assert "nobody" not in check(workdir, {**config, "user": "daemon"})[1]


def test_winbind_is_down(start: Start, samba: Samba, certificates: Certificates, workdir: Path) -> None:
    samba.stop()
    config = config_of(samba, certificates)
    why = "it does not answer; is winbindd running?"
    assert log_of_start(start, config, "winbind_unusable")["why"] == why
    status, text = check(workdir, config)
    assert status == 0
    assert f"winbind: {why}\n" in text
    assert text.endswith(": no problems, but winbind should be looked at\n")


def test_winbind_hangs(start: Start, samba: Samba, certificates: Certificates, workdir: Path) -> None:
    samba.freeze()
    config = config_of(samba, certificates, timeout="300ms")
    event = log_of_start(start, config, "winbind_unusable")
    assert event["why"].endswith("does not answer within 300 ms; winbindd or the domain controller hangs")
    assert "does not answer within 300 ms" in check(workdir, config)[1]


@pytest.mark.parametrize("group", ["nogroup", ""])
def test_the_group_may_not_ask(start: Start, samba: Samba, certificates: Certificates, workdir: Path,
                               group: str) -> None:
    config = config_of(samba, certificates, group=group)
    event = log_of_start(start, config, "winbind_unusable")
    assert event["why"].startswith("it does not let the helpers ask about NTLM; group must be")
    status, text = check(workdir, config)
    assert status == 0
    assert "it does not let the helpers ask about NTLM" in text


def test_another_domain(start: Start, samba: Samba, certificates: Certificates, workdir: Path) -> None:
    config = config_of(samba, certificates, domain="CONTOSO")
    why = f"domain is CONTOSO, and winbind's own is {DOMAIN}; that is right only where {DOMAIN} trusts CONTOSO"
    assert log_of_start(start, config, "winbind_domain")["why"] == why
    assert why in check(workdir, config)[1]


def test_another_program(start: Start, samba: Samba, certificates: Certificates) -> None:
    config = config_of(samba, certificates, command="/bin/echo")
    gate = start(config)
    gate.expect("winbind_unusable")
    gate.allow("helper_delayed", "helper_ended")  # depends on whether its worker gives it up before it ends
    assert gate.log.wait("winbind_unusable")["why"].startswith("/bin/echo says: --helper-protocol=")


@pytest.mark.parametrize(("winbind", "why"), [
    ({"command": "/nowhere"}, "cannot execute /nowhere: No such file or directory; install Samba's winbind"),
    ({"command": "/etc/passwd"}, "cannot execute /etc/passwd: Permission denied; install Samba's winbind"),
    ({"group": "nosuchgroup"}, 'there is no system group "nosuchgroup"; install Samba\'s winbind, or set group to'),
], ids=["command", "no program", "group"])
def test_what_is_missing_is_refused(start: Start, samba: Samba, certificates: Certificates, workdir: Path,
                                    winbind: dict[str, str], why: str) -> None:
    good = config_of(samba, certificates)
    bad = config_of(samba, certificates, **winbind)
    status, text = check(workdir, bad)
    assert status == 1
    assert why in text
    gate = start(good)
    helpers = set(gate.wait_helpers(ALL))
    gate.expect("reload_refused")
    gate.write(bad)
    gate.signal(signal.SIGHUP)
    assert why in gate.log.wait("reload_refused")["why"]
    assert_steady(gate, helpers)
