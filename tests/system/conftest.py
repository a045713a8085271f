"""Fixtures: certificates, the stores, and a maker of popgates that is strict about how they end.

The stores run once for all tests (nothing here deletes mail); every test has a popgate of its own, because starting
one takes less time than making tests independent of each other's sessions.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import mail
import proc
import pytest
from certs import Certificates, make_certificates
from popgate import Config, Popgate, site
from samba import Samba, make_samba
from stores import Dovecot, Mailutils, RealStore


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Shows the logs of the program and of the stores beside a failure; tells fixtures how the test went."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.stash[FAILED] = report.failed
    if report.failed:
        for gate in item.stash.get(GATES, []):
            report.sections.append(("log of popgate", gate.report()))
        for store in (item.funcargs.get(name) for name in ("dovecot", "mailutils", "real_store", "samba")):
            if store:
                report.sections.append((f"log of {type(store).__name__}", store.read_log()))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Says what several processes must not take apart: a file's tests, and those of the one domain controller.

    First of all hooks, because pytest-xdist reads these marks in its own.
    """
    for item in items:
        uses_samba = "samba_running" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("samba" if uses_samba else item.path.stem))


FAILED = pytest.StashKey[bool]()
GATES = pytest.StashKey[list[Popgate]]()


@pytest.fixture(scope="session", autouse=True)
def descriptors() -> Iterator[None]:
    """Sees that the tests keep nothing open one after the other: past 1024, what they call begins to fail."""
    yield
    left = [proc.descriptor(os.getpid(), int(number)) for number in os.listdir("/proc/self/fd")]
    assert len(left) < 200, f"the tests left {len(left)} descriptors: {left}"


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A directory that is gone after the run; readable, because stores and workers are not root."""
    directory = Path(tempfile.mkdtemp(prefix="popgate-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def workdir(scratch: Path) -> Iterator[Path]:
    """A directory for one test."""
    directory = Path(tempfile.mkdtemp(dir=scratch))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def shared(scratch: Path) -> Iterator[Path]:
    """A directory for what a file's tests share."""
    directory = Path(tempfile.mkdtemp(dir=scratch))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def certificates(scratch: Path) -> Certificates:
    directory = scratch / "certificates"
    directory.mkdir()
    return make_certificates(directory)


@pytest.fixture(scope="session")
def dovecot(scratch: Path, certificates: Certificates) -> Iterator[Dovecot]:
    yield from running(Dovecot(new(scratch / "dovecot"), certificates, mail.sample_messages()))


@pytest.fixture(scope="session")
def mailutils(scratch: Path) -> Iterator[Mailutils]:
    yield from running(Mailutils(new(scratch / "mailutils"), mail.sample_messages()))


@pytest.fixture(scope="session")
def samba_running(scratch: Path) -> Iterator[Samba]:
    """The domain controller; `samba` is what tests ask for."""
    if os.getuid() != 0:
        pytest.skip("a domain controller needs namespaces, and those need root")
    controller = make_samba(scratch / "samba")
    yield controller
    controller.end()


@pytest.fixture
def samba(samba_running: Samba) -> Iterator[Samba]:
    """A domain controller that runs, whatever the test before did to it and this one does."""
    yield samba_running
    samba_running.recover()


@pytest.fixture(params=["dovecot", "mailutils"])
def real_store(request: pytest.FixtureRequest) -> RealStore:
    """Each of the real stores in turn."""
    return request.getfixturevalue(request.param)


def new(directory: Path) -> Path:
    directory.mkdir()
    return directory


def running(store: RealStore) -> Iterator[RealStore]:
    try:
        store.start()
        yield store
    finally:
        store.stop()


@pytest.fixture
def start(request: pytest.FixtureRequest, workdir: Path,
          certificates: Certificates) -> Iterator[Callable[..., Popgate]]:
    """Starts popgates; at the end of the test each is stopped, and its log checked if the test went well so far."""
    gates: list[Popgate] = request.node.stash.setdefault(GATES, [])

    def start_one(config: Config, *, wait: bool = True) -> Popgate:
        directory = Path(tempfile.mkdtemp(dir=workdir))
        directory.chmod(0o755)
        gates.append(Popgate(directory, config, certificates.client_context()))
        if wait:
            gates[-1].wait_ready()
        return gates[-1]

    yield start_one
    try:
        if not request.node.stash.get(FAILED, True):
            for gate in gates:
                gate.stop()
    finally:
        for gate in gates:
            gate.kill()
        reports = [line for gate in gates for line in gate.sanitizer_reports()]
    assert not reports, reports


@pytest.fixture
def before_dovecot(start: Callable[..., Popgate], certificates: Certificates, dovecot: Dovecot) -> Popgate:
    """A popgate with everything at its default before Dovecot."""
    return start(site(certificates, dovecot.port))
