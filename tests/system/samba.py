"""A real Active Directory domain controller (Samba), with users of its own, and the winbind that popgate's helpers ask.

It runs in namespaces of its own for network and processes: its ports are nobody's, and its processes end with the one
that was started, however the tests end.  What it shares with the machine is one socket in /run/samba/winbindd, the place
that is compiled into ntlm_auth; so there is one such controller on a machine at a time, and a second run of the tests
waits for the first.

    samba.start()
    config = {"winbind": samba.section(), ...}           # popgate's section `winbind`
    samba.ntlm_auth                                      # the command, for anybody who asks winbind himself
    samba.stop(); samba.restart()                        # gone, and there again with the same users
    samba.freeze(); samba.thaw()                         # there, but silent

`USERS` are the accounts and their passwords, `DISABLED` one that may not log in.  What the controller takes of NTLM is
`level`, in the words of smb.conf's `ntlm auth`; a restart puts another one in force.  winbind judges as many logins at a
time as `connections` says (smb.conf's `winbind max domain connections`, whose default is 1), whoever asks.
"""

import contextlib
import fcntl
import grp
import itertools
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import proc
from clients import DEADLINE
from stores import required

DOMAIN = "LAB"
REALM = "LAB.TEST"
ADDRESS = "10.53.57.1"
USERS = {"alice": "SecREt01!", "suzanf": "an0ther=PassWord", "jürgen": "Grüße, 2 Wörter"}
DISABLED = "carol"

GROUP = "winbindd_priv"
SOCKETS = Path("/run/samba/winbindd")
LOCK = Path("/run/lock/popgate-test-samba")

# samba-tool needs a second for each.  The last one is disabled.
MAKE_USERS = """
import sys
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB
config, *users = sys.argv[1:]
lp = LoadParm(config)
sam = SamDB(session_info=system_session(lp), lp=lp)
for user, password in zip(users[::2], users[1::2]):
    sam.newuser(user, password)
sam.disable_account(f"(sAMAccountName={users[-2]})")
"""


class Samba:
    """A domain controller in a directory; `provision` once, then `start`.  Needs to be root."""

    package = "samba"

    def __init__(self, directory: Path, *, level: str = "ntlmv1-permitted", connections: int = 4):
        self.directory = directory
        self.level = level
        self.connections = connections
        self.config = directory / "smb.conf"
        self._process: subprocess.Popen | None = None
        self._lock: Any = None

    @property
    def ntlm_auth(self) -> list[str]:
        return [required("ntlm_auth", "winbind"), f"--configfile={self.config}"]

    def section(self, **more: Any) -> dict[str, Any]:
        """The section `winbind` of popgate's configuration."""
        command, *arguments = self.ntlm_auth
        return {"command": command, "arguments": arguments, **more}

    def provision(self) -> None:
        """Makes the domain and its users, which takes four seconds; nothing runs yet."""
        self._run([required("samba-tool", self.package), "domain", "provision", f"--realm={REALM}",
                   f"--domain={DOMAIN}", "--server-role=dc", "--dns-backend=NONE",
                   "--adminpass=Adm1n-Passw0rd!", "--host-name=dc1", f"--host-ip={ADDRESS}",
                   f"--targetdir={self.directory}", "--option=interfaces=lo", "--option=bind interfaces only=yes",
                   "--option=netbios name=DC1"])
        for part in ("cache", "ncalrpc", "state/winbindd_privileged"):
            (self.directory / part).mkdir(exist_ok=True)
        # As Debian's package has it: who may ask winbind about NTLM.
        privileged = self.directory / "state/winbindd_privileged"
        privileged.chmod(0o750)
        os.chown(privileged, 0, grp.getgrnam(GROUP).gr_gid)
        self._configure()
        self._run(["/usr/bin/python3", "-c", MAKE_USERS, str(self.config),
                   *itertools.chain(*USERS.items(), (DISABLED, USERS["alice"]))])

    def start(self) -> None:
        self._take_turn()
        try:
            self.restart()
        except BaseException:
            self.end()
            raise

    def restart(self) -> None:
        """Starts again after `stop`, or puts another level in force."""
        self.stop()
        self._configure()
        inside = f'ip link set lo up && ip addr add {ADDRESS}/32 dev lo && exec "$@"'
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", "unshare", "--net", "--pid", "--fork", "--kill-child=KILL",
                 "--propagation=unchanged", "--mount-proc",  # whether or not / is a mount point
                 "sh", "-c", inside, "sh", required("samba", self.package), "--foreground", "--model=prefork",
                 "--no-process-group", f"--configfile={self.config}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + DEADLINE
        while not self.knows("alice", USERS["alice"]):
            running = self._process.poll() is None and time.monotonic() < end
            assert running, f"Samba does not start:\n{self.read_log()}"
            time.sleep(0.05)

    def recover(self) -> None:
        """Undoes `stop` and `freeze`."""
        if self._process is None:
            self.restart()
        self.thaw()

    def stop(self) -> None:
        """Ends it at once; the place stays ours, for a restart."""
        if self._process is None:
            return
        everything = self._pids()
        for pid in everything[1:2]:  # the first in its namespace, with which all others end
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(DEADLINE)
        self._process.kill()
        self._process.wait()
        self._process = None
        proc.wait_gone(everything)

    def end(self) -> None:
        """Ends it and lets others have their turn."""
        self.stop()
        if self._lock:
            self._lock.close()
            self._lock = None

    def freeze(self) -> None:
        """From now on it is silent, though it is there."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def knows(self, user: str, password: str) -> bool:
        """Whether winbind takes this password, asked through ntlm_auth."""
        asked = subprocess.run([*self.ntlm_auth, f"--username={user}", f"--password={password}", f"--domain={DOMAIN}"],
                               stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE, check=False)
        return asked.returncode == 0

    def read_log(self) -> str:
        logs = [self.directory / "log", *sorted(self.directory.glob("log.*"))]
        return "\n".join(log.read_text(errors="replace")[-4000:] for log in logs if log.exists())

    def _take_turn(self) -> None:
        """Waits until no other run has its controller; a winbind of the machine's own would be in the way for good."""
        self._lock = open(LOCK, "w")  # noqa: SIM115  closed by `end`
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        pid_file = Path("/run/samba/winbindd.pid")
        with contextlib.suppress(FileNotFoundError, ValueError):
            assert proc.state(int(pid_file.read_text())) == "X", "a winbind of this machine's own runs here"

    def _pids(self) -> list[int]:
        found, left = [], [self._process.pid] if self._process else []
        while left:
            pid = left.pop()
            found.append(pid)
            left += proc.children(pid)
        return found

    def _signal(self, number: int) -> None:
        assert self._process
        for pid in self._pids()[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                              check=False)
        assert done.returncode == 0, f"{command[0]}:\n{done.stdout}{done.stderr}"

    def _configure(self) -> None:
        here = self.directory
        self.config.write_text(f"""[global]
    workgroup = {DOMAIN}
    realm = {REALM}
    netbios name = DC1
    server role = active directory domain controller
    server services = rpc, ldap, cldap, winbindd
    interfaces = lo
    bind interfaces only = yes
    map to guest = Bad User
    ntlm auth = {self.level}
    winbind max domain connections = {self.connections}
    winbindd socket directory = {SOCKETS}
    private dir = {here}/private
    state directory = {here}/state
    cache directory = {here}/cache
    lock directory = {here}
    pid directory = {here}
    ncalrpc dir = {here}/ncalrpc
    binddns dir = {here}/bind-dns
    logging = file
    log file = {here}/log.%m
""")


def make_samba(directory: Path, **options: Any) -> Samba:
    """A domain controller that runs; raises when something is missing."""
    directory.mkdir()
    samba = Samba(directory, **options)
    samba.provision()
    samba.start()
    return samba
