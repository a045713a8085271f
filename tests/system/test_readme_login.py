"""The README's chapter on who may log in: every sentence, row and block of it, run as it stands there.

How sentences are found, and tests tied to them, is said in readme.py.  Only what cannot be the same on every machine is
put in its place: files of certificates, ports, the store, where winbind's configuration is, and the address of the old
scanner.
"""

import base64
import grp
import pwd
import re
import selectors
import shlex
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import proc
import pytest
from certs import Certificates
from clients import DEADLINE, PASSWORD, Raw, curl_by_ntlm, fetchmail_by_ntlm
from conftest import running
from ntlm_client import (Client, ask_for_challenge, authenticate, binding_of, buffer_at, challenge_of, hmac_md5, md4,
                         utf16)
from popgate import LISTENERS, Config, Popgate, Terminal, program, run_command, site
from readme import Chapter, Row, put_in_force, run
from samba import DISABLED, DOMAIN, Samba
from samba import USERS as ACCOUNTS
from stores import FakeStore, Peer, Script, fake_store, required, serve_logged_in
from test_store_logins import Winbound

Start = Callable[..., Popgate]

CHAPTER = Chapter("Who may log in")
says, example = CHAPTER.says, CHAPTER.example

# How each row of a table is tried.
ON_THE_PAGE = ["Basic (Clear Text)", "Basic (Clear Text) using SSL", "Windows NT Challenge/Response",
               "Windows NT Challenge/Response using SSL", "MCIS Membership System"]
MAILBOXES = ["named after their users", "of a domain", "at another store", "of somebody else", "in a list"]

ANNA, SESAME = "anna", "s\u00e9same, open"
EDGE = "the word of edge"  # the master user's
AT_THE_STORE = "only for the store"
MESSAGES = [b"Subject: first\r\n\r\none\r\n", b"Subject: second\r\n\r\ntwo\r\n"]

REFUSED = b"-ERR [AUTH] That user name or password cannot be right.\r\n"
NOT_OFFERED = b"-ERR [AUTH] That login method is not offered here.\r\n"
IN_CLEAR = b"-ERR [AUTH] Login in clear text is refused here: use TLS on port 995, or STLS.\r\n"
COME_AGAIN = b"-ERR [SYS/TEMP] "


# ---- the world ------------------------------------------------------------------------------------------------------


class Store(FakeStore):
    """A store that lets in whoever comes, in each way there is, and keeps what it heard until then."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        super().__init__(self._serve)

    def _hear(self, peer: Peer) -> bytes:
        line = peer.line()
        if line:  # else the peer has left, perhaps long after its session was judged
            self.heard.append(line)
        return line

    def _serve(self, peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        while command := self._hear(peer):
            if command.startswith(b"USER "):
                peer.send(b"+OK\r\n")
                continue
            if command == b"AUTH NTLM":
                peer.send(b"+ \r\n")
                self._hear(peer)
                peer.send(b"+ " + base64.b64encode(challenge_of("STORE")) + b"\r\n")
                if self._hear(peer) == b"*":
                    peer.send(b"-ERR\r\n")
                    continue
            elif command == b"AUTH PLAIN":
                peer.send(b"+ \r\n")
                self._hear(peer)
            peer.send(b"+OK\r\n")
            serve_logged_in(peer, MESSAGES)
            return

    def take_heard(self) -> list[str]:
        heard, self.heard = self.heard, []
        return [line.decode() for line in heard]


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.close()


@pytest.fixture(scope="module")
def beside(shared: Path, certificates: Certificates) -> Path:
    """A directory with every file of the chapter, and the files that those name; no users as yet."""
    directory = shared / "beside-login"
    directory.mkdir()
    shutil.copy(certificates.chain("edge"), directory / "fullchain.pem")
    shutil.copy(certificates.key("edge"), directory / "privkey.pem")
    (directory / "edge.password").write_text(EDGE + "\n")
    (directory / "edge.password").chmod(0o600)
    CHAPTER.write_files(directory)
    return directory


@pytest.fixture
def chapter(workdir: Path, beside: Path) -> Path:
    return Path(shutil.copytree(beside, workdir / "chapter"))


def add_at_terminal(directory: Path) -> str:
    """The block with a terminal, and what it shows there."""
    (command, _shown), = CHAPTER.commands("terminal")
    terminal = Terminal(*command.split()[1:], cwd=directory)
    for question in ("Password of anna: ", "Again, Password of anna: "):
        terminal.wait_for(question)
        terminal.type(f"{SESAME}\n")
    assert terminal.end() == 0
    return "".join(f"{line.rstrip()}\n" for line in terminal.shown.splitlines())


def add(directory: Path, name: str, password: str, backend_password: str | None = None) -> None:
    """Adds a user without a terminal."""
    more = [] if backend_password is None else ["--backend-password"]
    lines = [password, *([] if backend_password is None else [backend_password])]
    subprocess.run([program(), "user", "add", name, "--stdin", *more, "-c", "users.conf"], cwd=directory, check=True,
                   input="".join(f"{line}\n" for line in lines).encode(), capture_output=True, timeout=DEADLINE)


def commands_for(config: str) -> list[tuple[str, str]]:
    return [(command, output) for command, output in CHAPTER.commands() if command.endswith(f"-c {config}")]


def add_everybody(directory: Path) -> None:
    """All users of the chapter, as it adds them."""
    add_at_terminal(directory)
    command, _output = commands_for("users.conf")[0]
    run(command, directory)


def change(config: str, wanted: str, change_to: str) -> str:
    assert config.count(wanted) == 1, wanted
    return config.replace(wanted, change_to)


class Place:
    """Starts gates of the chapter."""

    def __init__(self, start: Start, certificates: Certificates, chapter: Path, store: Store, workdir: Path):
        self._start, self._certificates, self._chapter = start, certificates, chapter
        self.store, self.workdir, self.ca = store, workdir, certificates.chain("ca")

    def gate(self, config: str, *, port: int = 0) -> Popgate:
        """With a text like that of a block."""
        gate = self._start(site(self._certificates, self.store.port))
        shutil.copytree(self._chapter, gate.directory, dirs_exist_ok=True)
        if "users:" in config:
            add_everybody(gate.directory)
        impatient = change(config, "\ndefaults:\n", "\ndefaults:\n  login_delay: 5ms\n")
        put_in_force(gate, self._chapter, impatient, port or self.store.port)
        return gate

    def users(self, *more: str, backend: str = "") -> Popgate:
        """users.conf, with more options for its listeners."""
        config = example("users.conf")
        config = change(config, "  verify: [users]\n", "".join(f"  {line}\n" for line in ("verify: [users]", *more)))
        if backend:
            config = re.sub(r"(?m)^    login: master\n    master_user: .*\n    master_password_file: .*\n",
                            "".join(f"    {line}\n" for line in backend.split("\n")), config)
            assert backend in config.replace("\n    ", "\n")
        return self.gate(config)

    def in_clear(self, *login: str) -> Popgate:
        """users.conf, with these methods instead."""
        return self.gate(change(example("users.conf"), "login: [basic-tls, ntlm-tls]", f"login: [{', '.join(login)}]"))

    def curl(self, gate: Popgate, user: str, password: str, *, mode: str = "implicit",
             port: int = 0) -> subprocess.CompletedProcess[bytes]:
        return curl_by_ntlm(port or gate.port(LISTENERS[mode]), mode, self.ca, user, password, self.workdir)

    def fetched(self, gate: Popgate, user: str, password: str, **options: object) -> None:
        done = self.curl(gate, user, password, **options)
        assert done.stdout == MESSAGES[1], done


@pytest.fixture
def place(start: Start, certificates: Certificates, chapter: Path, store: Store, workdir: Path) -> Place:
    return Place(start, certificates, chapter, store, workdir)


class Old(Client):
    """A client whose answers are not NTLMv2; that they are wrong is of no interest here."""

    nt = bytes(range(24))

    def authenticate(self, challenge: bytes) -> bytes:
        del challenge
        return self._message(bytes(range(24)), self.nt, bytes(16))


class Older(Old):
    """One that knows LM alone."""

    nt = b""


def quit_(client: Raw) -> None:
    client.ask(b"QUIT", b"+OK")


def login(gate: Popgate, who: Client, mode: str = "implicit") -> bytes:
    """The answer to a login by NTLM."""
    with gate.connect(mode) as client:
        answer = authenticate(client, who)
        quit_(client)
        return answer


def login_by_password(gate: Popgate, user: str, password: str) -> bytes:
    with gate.connect("implicit") as client:
        client.ask(f"USER {user}".encode(), b"+OK")
        answer = client.ask(f"PASS {password}".encode())
        quit_(client)
        return answer


def is_in(answer: bytes) -> bool:
    return answer.startswith(b"+OK")


# ---- everything is tied to a test -----------------------------------------------------------------------------------


def test_every_sentence_has_a_test() -> None:
    CHAPTER.assert_sentences_are_tied()


def test_every_row_has_a_test() -> None:
    assert [(row.table, str(row)) for row in CHAPTER.rows] == [
        *(("on the page", words) for words in ON_THE_PAGE), *(("the store has", words) for words in TOLD),
        *(("mailboxes", words) for words in MAILBOXES)]


def test_every_block_has_a_test() -> None:
    there = [each.what for each in CHAPTER.examples if each.what != "run"]
    assert sorted(there) == sorted(["users.conf", "members.csv", "terminal", "smb.conf", "shell", "domain.conf",
                                    "through.conf", "aliases.txt"])
    assert {command for command, _output in CHAPTER.commands()} == {
        command for config in ("users.conf", "domain.conf") for command, _output in commands_for(config)}


# ---- how ------------------------------------------------------------------------------------------------------------


def options_of(*codes: str) -> Config:
    """Options as they stand in the text: "login: [basic, ntlm]"."""
    options: Config = {}
    for code in codes:
        name, value = code.split(": ", 1)
        is_list = value.startswith("[")
        options[name] = value.strip("[]").split(", ") if is_list else value.strip('"')
    return options


WAYS = {"USER": b"USER anna", "AUTH PLAIN": b"AUTH PLAIN", "AUTH LOGIN": b"AUTH LOGIN", "AUTH NTLM": b"AUTH NTLM"}


def announced(client: Raw) -> set[str]:
    sasl = [line.split()[1:] for line in client.capabilities() if line.startswith("SASL ")]
    return {f"AUTH {name}" for names in sasl for name in names} | ({"USER"} & client.capabilities())


def assert_ways(client: Raw, cell: list[str]) -> None:
    """These ways of logging in are announced and open, and no others."""
    assert announced(client) == set(cell)
    for way, command in WAYS.items():
        answer = client.ask(command)
        if way not in cell:
            assert answer in (IN_CLEAR, NOT_OFFERED) and not (client.tls and answer == IN_CLEAR), answer
        elif way == "USER":
            assert answer.startswith(b"+OK")
        else:
            assert answer.startswith(b"+ ")
            client.ask(b"*", b"-ERR")


@pytest.mark.parametrize("row", [row for row in CHAPTER.rows if row.table == "on the page"], ids=str)
def test_check_boxes(start: Start, certificates: Certificates, chapter: Path, row: Row) -> None:
    options = options_of(*row.cells["at the listener"].codes)
    add_everybody(chapter)
    gate = start(site(certificates, 110, defaults=options, users={"database": str(chapter / "users.db"),
                                                                  "key": str(chapter / "users.key")}))
    with gate.connect("stls") as client:
        assert_ways(client, row.cells["inside TLS"].codes)
        quit_(client)
    with Raw(gate.port("pop3")) as client:
        client.greeting()
        cell = row.cells["in the clear"]
        assert cell.codes or cell.words == "nothing"
        assert_ways(client, cell.codes)
        quit_(client)


@says('Exchange\'s "Authentication" page has five check boxes.')
def test_five_boxes() -> None:
    assert len(ON_THE_PAGE) == 5


@says("Here … says how users may log in, and … who judges them;")
def test_how_and_who(chapter: Path, codes: list[str]) -> None:
    for code in codes:
        assert re.search(rf"(?m)^  {code}: \[", example("users.conf"))


@says("boxes that are ticked together stand in one list, ….")
def test_boxes_add_up(start: Start, certificates: Certificates, codes: list[str]) -> None:
    gate = start(site(certificates, 110, defaults=options_of(*codes)))
    with gate.connect("implicit") as client:
        assert announced(client) == set(WAYS)


@says("Without … it is ….")
def test_default(start: Start, certificates: Certificates, codes: list[str]) -> None:
    gate = start(site(certificates, 110))
    option, words = codes
    effective = run_command("config", "-c", str(gate.config_file)).stdout
    assert re.search(rf'(?m)^ +{option}: \["?{words.strip("[]")}"?\]', effective), effective


@says("What is not allowed is not announced, and is refused before a password is sent.")
def test_refused_early(start: Start, certificates: Certificates) -> None:
    gate = start(site(certificates, 110))
    with Raw(gate.port("pop3")) as client:
        client.greeting()
        assert_ways(client, [])


@says("After NTLM that failed a client may go on with …, where that is allowed.")
def test_user_after_ntlm(place: Place, codes: list[str]) -> None:
    gate = place.users()
    with gate.connect("implicit") as client:
        assert authenticate(client, Client(ANNA, "wrong")) == REFUSED
        client.ask(f"{codes[0]} {ANNA}".encode(), b"+OK")
        client.ask(f"PASS {SESAME}".encode(), b"+OK")
        quit_(client)
    gate = place.in_clear("ntlm-tls")
    with gate.connect("implicit") as client:
        assert authenticate(client, Client(ANNA, "wrong")) == REFUSED
        assert client.ask(f"{codes[0]} {ANNA}".encode()) == NOT_OFFERED
        quit_(client)


@says("The verifiers in … are asked in their order, until one knows the user: … are popgate's own, … is a Windows "
      "domain, and …, which is the default, leaves it to the store.")
def test_order_of_verifiers(place: Place, codes: list[str]) -> None:
    option, own, winbind, default = codes
    assert f"{option}: [{own}]" in example("users.conf") and f"{option}: [{winbind}]" in example("domain.conf")
    config = change(example("users.conf"), "verify: [users]", f"{option}: [{own}, {default}]")
    gate = place.gate(re.sub(r"(?m)^    (login: master|master_.*)\n", "", config))
    assert login_by_password(gate, ANNA, "wrong") == REFUSED
    assert place.store.take_heard() == []
    assert is_in(login_by_password(gate, "stranger", "wrong"))
    assert place.store.take_heard() == ["USER stranger", "PASS wrong"]
    effective = run_command("config", "-c", "through.conf", cwd=place.workdir / "chapter").stdout
    assert re.search(rf'(?m)^ +{option}: \["?{default}"?\] +# default', effective), effective


# ---- without a domain -----------------------------------------------------------------------------------------------


def test_commands_for_users(chapter: Path) -> None:
    (_command, shown), = CHAPTER.commands("terminal")
    assert add_at_terminal(chapter) == shown
    for command, output in commands_for("users.conf"):
        assert run(command, chapter) == output


def test_users_log_in(place: Place) -> None:
    gate = place.gate(example("users.conf"))
    for user, password, mailbox in ((ANNA, SESAME, ANNA), ("bert", "SecREt01!", "bert"),
                                    ("lab\\suzanf", "another secret", "suzanf")):
        for mode in ("implicit", "stls"):
            if password.isascii():  # curl sends OEM
                place.fetched(gate, user, password, mode=mode)
            else:
                assert is_in(login(gate, Client(user, password), mode))
            assert place.store.take_heard() == [f"USER {mailbox}*edge", f"PASS {EDGE}"]


@says("The first … makes the database and the key that seals it.")
def test_files(chapter: Path, codes: list[str]) -> None:
    (command, _shown), = CHAPTER.commands("terminal")
    assert command.startswith(codes[0])
    made = [chapter / name for name in ("users.db", "users.key")]
    assert not any(file.exists() for file in made)
    add_at_terminal(chapter)
    assert all(file.exists() for file in made)
    made[1].write_text("0" * 64 + "\n")
    assert run_command("user", "show", ANNA, "-c", "users.conf", cwd=chapter).returncode != 0


@says("Changes hold at once, in running workers too:")
def test_changes(place: Place) -> None:
    gate = place.users()
    assert is_in(login(gate, Client(ANNA, SESAME)))
    run("popgate user set anna --disable -c users.conf", gate.directory)
    assert login(gate, Client(ANNA, SESAME)) == REFUSED


@says("Many users come from a file, such as an export of the Membership directory.")
def test_many_users(chapter: Path) -> None:
    add_everybody(chapter)
    assert run("popgate user list -c users.conf", chapter).splitlines() == ["anna", "bert", "suzanf@lab"]


@says("Instead of … a column … will do:")
def test_column_of_hashes(place: Place, codes: list[str]) -> None:
    password, nt_hash = codes
    assert password in example("members.csv").partition("\n")[0].split(",")
    gate = place.users()
    (gate.directory / "more.csv").write_text(f"name,{nt_hash}\ncarla,{md4(utf16('open')).hex()}\n")
    run("popgate user import more.csv -c users.conf", gate.directory)
    assert is_in(login(gate, Client("carla", "open")))


@says("A client that logs in by NTLM never tells its password, so the store must let popgate in by another one:")
def test_password_is_never_told(place: Place) -> None:
    gate = place.in_clear("ntlm")
    with recorded(gate.port("pop3")) as (port, seen):
        place.fetched(gate, "bert", "SecREt01!", mode="none", port=port)
    assert b"SecREt01!" not in seen and all(b"SecREt01!" not in line for line in decoded(seen))
    assert f"PASS {EDGE}" in place.store.take_heard()


def decoded(seen: bytes) -> list[bytes]:
    """What is told in base64."""
    return [base64.b64decode(each) for each in re.findall(rb"(?m)^(?:\+ )?([A-Za-z0-9+/]{8,}=*)\r$", seen)]


def is_told_of_master(heard: list[str], user: str, edge: str) -> bool:
    return user == f"USER {ANNA}*{edge}" and heard == [user, f"PASS {EDGE}"]


def is_told_for_another(heard: list[str], auth: str, edge: str, user: str) -> bool:
    return heard == [auth, base64.b64encode(f"{user}\0{edge}\0{EDGE}".encode()).decode()]


def is_told_its_own(heard: list[str], user: str, command: str) -> bool:
    return command == "popgate user add --backend-password" and heard == [user, f"PASS {AT_THE_STORE}"]


def is_proof(heard: list[str], auth: str) -> bool:
    challenge, answer = challenge_of("STORE"), base64.b64decode(heard[2])
    proof = buffer_at(answer, 20)
    domain, user = (buffer_at(answer, at).decode("utf-16-le") for at in (28, 36))
    key = hmac_md5(md4(utf16(AT_THE_STORE)), utf16(user.upper() + domain))
    return heard[0] == auth and user == ANNA and hmac_md5(key, challenge[24:32] + proof[16:]) == proof[:16]


# Whether the store has been told what the row says.
TOLD: dict[str, Callable[..., bool]] = {
    "a user who may open every mailbox": is_told_of_master,
    "one who may act for others": is_told_for_another,
    "passwords of its own": is_told_its_own,
    "NTLM": is_proof,
}


@pytest.mark.parametrize("row", [row for row in CHAPTER.rows if row.table == "the store has"], ids=str)
def test_stores(place: Place, row: Row) -> None:
    options = row.cells["in its backend"].codes
    if "login: master" in options:
        options = [*options, "master_password_file: edge.password"]
    gate = place.users(backend="\n".join(options))
    run("popgate user remove anna -c users.conf", gate.directory)
    add(gate.directory, ANNA, SESAME, AT_THE_STORE)
    assert is_in(login(gate, Client(ANNA, SESAME)))
    told = row.cells["what it is told of `anna`"]
    assert TOLD[str(row)](place.store.take_heard(), *told.codes)


# ---- with Active Directory ------------------------------------------------------------------------------------------

ALICE, ALICES = "alice", ACCOUNTS["alice"]
WINBIND = "winbind: { domain: LAB }"
SCANNER = "192.0.2.99"


def asking(samba: Samba) -> str:
    """domain.conf, where the tests' winbind is, and a system user who is here."""
    command, *arguments = samba.ntlm_auth
    config = change(example("domain.conf"), "user: popgate", "user: daemon")
    return change(config, WINBIND,
                  f"winbind: {{ domain: LAB, command: {command}, arguments: {arguments}, helpers: 1 }}")


@pytest.fixture
def domain(place: Place, samba: Samba) -> Popgate:
    gate = place.gate(asking(samba))
    gate.log.wait("winbind_ready")
    return gate


@pytest.mark.parametrize("mode", ["implicit", "stls"])
def test_domain_users_log_in(place: Place, domain: Popgate, mode: str) -> None:
    place.fetched(domain, f"{DOMAIN}\\{ALICE}", ALICES, mode=mode)
    assert place.store.take_heard() == [f"USER {ALICE}*edge", f"PASS {EDGE}"]
    assert is_in(login_by_password(domain, f"{DOMAIN}\\{ALICE}", ALICES))
    assert login(domain, Client(ALICE, "wrong", domain=DOMAIN), mode) == REFUSED


def test_commands_for_the_domain(samba: Samba, chapter: Path) -> None:
    (chapter / "domain.conf").write_text(asking(samba))
    for command, output in commands_for("domain.conf"):
        assert run(command, chapter) == output


@says("popgate asks winbind of Samba on the same machine, which must be a member of the domain.")
def test_member(place: Place, chapter: Path) -> None:
    """The tests' domain controller is one; its smb.conf is the chapter's where that says who asks whom."""
    asked = run_command("config", "-c", "domain.conf", cwd=chapter).stdout
    assert re.search(r'(?m)^ +command: "?/usr/bin/ntlm_auth"? ', asked), asked
    shown = subprocess.run([required("testparm", "samba-common-bin"), "-s", str(chapter / "smb.conf")], check=True,
                           capture_output=True, text=True, timeout=DEADLINE)
    assert "Server role: ROLE_DOMAIN_MEMBER" in shown.stderr and "ERROR" not in shown.stderr


@says("On Debian this is done with such a …, in which names are your own:")
def test_on_debian(codes: list[str]) -> None:
    """Packages, programs and services are there by these names; the tests' machine joins no domain."""
    install, _adduser, join, restart = (line.split() for line in example("shell").splitlines())
    assert install[:2] == ["apt-get", "install"] and restart[:2] == ["systemctl", "restart"]
    listed = subprocess.run(["dpkg", "-L", install[2]], check=True, capture_output=True, text=True, timeout=DEADLINE)
    assert f"/lib/systemd/system/{restart[2]}.service" in listed.stdout
    assert "/usr/bin/ntlm_auth" in listed.stdout
    shown = subprocess.run([required("testparm", "samba-common-bin"), "-s"], capture_output=True, text=True,
                           check=False, timeout=DEADLINE)
    assert f"Load smb config files from {codes[0]}\n" in shown.stderr
    known = subprocess.run([required(join[0], "samba-common-bin"), "help", *join[1:3]], capture_output=True, text=True,
                           check=False, timeout=DEADLINE)
    assert known.stdout.startswith(" ".join(join[:3]))


@says("… asks the domain too, and says what is wrong:")
def test_check_asks(samba: Samba, chapter: Path, codes: list[str]) -> None:
    (chapter / "domain.conf").write_text(asking(samba))
    samba.stop()
    said = run(f"{codes[0]} -c domain.conf", chapter)
    assert said.endswith("winbind: it does not answer; is winbindd running?\n"
                         "domain.conf: no problems, but winbind should be looked at\n")


@says("Only members of the group … may ask winbind about NTLM: popgate, started as root, gives this group to its helpers "
      "and to nobody else;")
def test_group(place: Place, domain: Popgate, samba: Samba, codes: list[str]) -> None:
    group = str(grp.getgrnam(codes[0]).gr_gid)
    assert [proc.status(pid)["Groups"] for pid in domain.wait_helpers(1)] == [[group]]
    assert all(not proc.status(pid)["Groups"] for pid in domain.workers())
    gate = place.gate(asking(samba).replace("helpers: 1", "helpers: 1, group: nogroup"))
    gate.expect("winbind_unusable")
    gate.allow("winbind_failed")
    gate.log.wait("winbind_unusable")
    assert login(gate, Client(ALICE, ALICES, domain=DOMAIN)).startswith(COME_AGAIN)


@says("they run as …, which should be nobody else's either (…).")
def test_user(place: Place, domain: Popgate, samba: Samba, codes: list[str]) -> None:
    option, event = codes
    assert f"{option}: popgate\n" in example("domain.conf")
    assert not domain.log.all(event)
    gate = place.gate(asking(samba).replace(f"{option}: daemon", f"{option}: nobody"))
    gate.log.wait(event)
    assert proc.status(gate.wait_helpers(1)[0])["Uid"][0] == str(pwd.getpwnam("nobody").pw_uid)
    assert proc.status(domain.wait_helpers(1)[0])["Uid"][0] == str(pwd.getpwnam("daemon").pw_uid)


@says("A user without a domain is one of …;")
def test_own_domain(place: Place, domain: Popgate, codes: list[str]) -> None:
    assert f"{codes[0]}: {DOMAIN} " in WINBIND
    place.fetched(domain, ALICE, ALICES)
    assert is_in(login_by_password(domain, ALICE, ALICES))


@says("… is the domain that clients are shown, and that old ones log in to.")
def test_shown_domain(place: Place, samba: Samba, codes: list[str]) -> None:
    assert f"  {codes[0]}: {DOMAIN}\n" in example("domain.conf")
    gate = place.gate(change(asking(samba), SCANNER, "127.0.0.1"))
    done, delivered = fetchmail_by_ntlm(gate.port("pop3s"), "implicit", place.ca, ALICE, ALICES, place.workdir)
    assert done.returncode == 0 and delivered.count(b"Subject: ") == len(MESSAGES), done
    assert gate.log.wait("session_closed", exception="ntlm-v1")["user"] == f"{DOMAIN}\\{ALICE}"


@says("Whom the domain refuses, such as a disabled account, popgate refuses, and the log says why (…).")
def test_refused_by_the_domain(domain: Popgate, codes: list[str]) -> None:
    assert login(domain, Client(DISABLED, ALICES, domain=DOMAIN)) == REFUSED
    assert domain.log.wait(codes[0])["why"] == "the account is disabled"


@says("While winbind or the domain does not answer, clients are told to come again (…).")
def test_no_answer(domain: Popgate, samba: Samba, codes: list[str]) -> None:
    domain.expect("winbind_failed")
    samba.stop()
    assert login(domain, Client(ALICE, ALICES, domain=DOMAIN)).startswith(f"-ERR {codes[0]} ".encode())


# ---- passed through -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def winbound(shared: Path, certificates: Certificates) -> Iterator[Winbound]:
    """A Dovecot that speaks NTLM."""
    directory = shared / "readme-winbound"
    directory.mkdir()
    yield from running(Winbound(directory, certificates, MESSAGES))


@says("A store that speaks NTLM may go on judging by itself, and popgate needs to know no user and no domain:")
@pytest.mark.parametrize("mode", ["implicit", "stls"])
def test_store_judges(place: Place, winbound: Winbound, mode: str) -> None:
    gate = place.gate(example("through.conf"), port=winbound.port)
    done = place.curl(gate, f"{DOMAIN}\\{ANNA}", PASSWORD, mode=mode)
    assert done.stdout == MESSAGES[1], done
    assert not place.curl(gate, f"{DOMAIN}\\{ANNA}", "wrong", mode=mode).stdout


@says("The client gets the store's challenge, and the store the client's answer, both unchanged.")
def test_unchanged(place: Place) -> None:
    gate = place.gate(example("through.conf"))
    with gate.connect("implicit") as client:
        challenge = ask_for_challenge(client)
        answer = Client(ANNA, SESAME).authenticate(challenge)
        client.ask(base64.b64encode(answer), b"+OK")
        quit_(client)
    told = [base64.b64encode(message).decode() for message in (Client.negotiate_message, answer)]
    assert challenge == challenge_of("STORE") and place.store.take_heard() == ["AUTH NTLM", *told]


@says("What popgate refuses by …, … or …, the store does not hear of.")
def test_refused_before(place: Place, codes: list[str]) -> None:
    level, binding, denied = codes
    config = change(example("through.conf"), "  backend: exchange\n",
                    f"  backend: exchange\n  {level}: v2\n  {binding}: require\n  {denied}: [{ANNA}]\n")
    gate = place.gate(config)
    with gate.connect("implicit") as client:
        assert client.tls
        bound = binding_of(client.tls.getpeercert(binary_form=True))
        quit_(client)
    for who, why in ((Old(ANNA, SESAME), "NTLMv1 is not allowed"), (Client("bert", SESAME), "no channel binding"),
                     (Client(ANNA, SESAME, binding=bound), "deny_users")):
        mark = gate.log.mark()
        assert login(gate, who) == REFUSED
        assert gate.log.wait("login_failed", since=mark)["why"] == why
        negotiate = base64.b64encode(Client.negotiate_message).decode()
        assert place.store.take_heard()[:3] == ["AUTH NTLM", negotiate, "*"]
    assert is_in(login(gate, Client("bert", SESAME, binding=bound)))


# ---- whose mailbox --------------------------------------------------------------------------------------------------


SUZANF, SECRET = "suzanf@lab", "another secret"


def mapped(place: Place, rules: list[str], other_port: int = 0) -> Popgate:
    config = example("users.conf")
    config = change(config, "  verify: [users]\n", "  verify: [users]\n" + "".join(f"  map: ['{rule}']\n" for rule in rules))
    store = re.search(r"(?ms)^  store:\n(.*?)^defaults:\n", config)
    assert store
    other = store[0].replace("  store:", "  other:").replace('"192.0.2.110:110"', f'"127.0.0.1:{other_port or 1}"')
    return place.gate(config.replace("defaults:\n", other, 1) if other_port else config)


@pytest.mark.parametrize("row", [row for row in CHAPTER.rows if row.table == "mailboxes"], ids=str)
def test_mailboxes(place: Place, row: Row) -> None:
    rules, (user,), (mailbox, *backend) = (row.cells[column].codes for column in
                                           ("in `map`", "who logs in", "what the store hears"))
    other = Store()
    try:
        gate = mapped(place, rules, other.port)
        assert is_in(login_by_password(gate, user, SECRET))
        at = {"store": place.store, "other": other}[backend[0] if backend else "store"]
        assert at.take_heard()[0] == f"USER {mailbox}*edge"
        said = run_command("explain", "192.0.2.1", "--listener", "pop3", "--user", user, "-c", str(gate.config_file))
        assert f"  user: {user} logs in at backend {(backend or ['store'])[0]} as {mailbox}, at most" in said.stdout
        assert user.count("\\") + user.count("/") > 1 or is_in(login(gate, Client("SUZANF", SECRET, domain="LAB")))
    finally:
        other.close()


@says("… says where a user's mailbox is.")
def test_explain(place: Place, codes: list[str]) -> None:
    gate = mapped(place, ["LAB\\* to {user}@lab.example"])
    assert "logs in at backend store as suzanf@lab.example, " in run(f"{codes[0]} -c {gate.config_file}", place.workdir)


@says("Where the store judges a password, it gets the name as the client wrote it, unless a rule matches.")
def test_names_that_the_store_judges(place: Place) -> None:
    config = example("through.conf")
    mapped_config = change(config, "  backend: exchange\n", "  backend: exchange\n  map: ['LAB\\* to {user}.lab']\n")
    for text, name in ((config, "LAB/Suzanf"), (mapped_config, "suzanf.lab")):
        assert is_in(login_by_password(place.gate(text), "LAB/Suzanf", SECRET))
        assert place.store.take_heard()[0] == f"USER {name}"


@says("Under NTLM an earlier … does not matter.")
def test_earlier_user(place: Place, codes: list[str]) -> None:
    gate = place.users()
    with gate.connect("implicit") as client:
        client.ask(f"{codes[0]} bert".encode(), b"+OK")
        assert is_in(authenticate(client, Client(ANNA, SESAME)))
        quit_(client)
    assert place.store.take_heard()[0] == "USER anna*edge"


@says("The mailbox of somebody else opens only by a rule that says so.")
def test_mailbox_of_somebody_else(place: Place) -> None:
    row, = (row for row in CHAPTER.rows if str(row) == "of somebody else")
    gate = mapped(place, row.cells["in `map`"].codes)
    assert is_in(login_by_password(gate, "LAB/suzanf/sales", SECRET))
    place.store.take_heard()
    assert login_by_password(gate, "LAB/suzanf/anna", SECRET) == REFUSED
    assert login_by_password(gate, "anna/sales", SESAME) == REFUSED
    assert place.store.take_heard() == []


@says("A domain counts where it has been checked: by …, or by … where the user was added as ….")
def test_domains_that_count(place: Place, samba: Samba, codes: list[str]) -> None:
    winbind, users, added = codes
    assert (added, f"verify: [{users}]" in example("users.conf")) == (SUZANF, True)
    rules = "  map: ['LAB\\* to {user}@lab.example']\n"
    gate = place.gate(change(example("users.conf"), f"  verify: [{users}]\n", f"  verify: [{users}]\n{rules}"))
    for user, password, mailbox in (("LAB\\suzanf", SECRET, "suzanf@lab.example"), (f"LAB\\{ANNA}", SESAME, ANNA)):
        assert is_in(login_by_password(gate, user, password))
        assert place.store.take_heard()[0] == f"USER {mailbox}*edge"
    gate = place.gate(change(asking(samba), f"  verify: [{winbind}]\n", f"  verify: [{winbind}]\n{rules}"))
    assert is_in(login(gate, Client(ALICE, ALICES, domain=DOMAIN)))
    assert place.store.take_heard()[0] == f"USER {ALICE}@lab.example*edge"


@says("Users in …, unless it says otherwise …, …, … and …, are refused whatever their domain and password.")
def test_denied(place: Place, codes: list[str]) -> None:
    option, *names = codes
    gate = place.users()
    for name in names:
        add(gate.directory, name, SESAME)
        for domain in ("", "LAB"):
            assert login(gate, Client(name, SESAME, domain=domain)) == REFUSED
    listed = run_command("config", "-c", "users.conf", cwd=gate.directory).stdout
    assert re.search(rf"(?m)^ +{option}: \[(.*?)\]", listed)[1].replace('"', "").split(", ") == names
    gate = place.users(f"{option}: [bert]")
    add(gate.directory, names[0], SESAME)
    assert is_in(login(gate, Client(names[0], SESAME)))
    assert login(gate, Client("bert", "SecREt01!")) == REFUSED


# ---- what NTLM does not protect -------------------------------------------------------------------------------------


@contextmanager
def recorded(port: int, change_bytes: Callable[[bytes], bytes] = bytes) -> Iterator[tuple[int, bytearray]]:
    """A port before this one, where somebody sits who keeps, and perhaps changes, what passes."""
    seen = bytearray()

    def script(peer: Peer) -> None:
        with socket.create_connection(("127.0.0.1", port)) as inside:
            with selectors.DefaultSelector() as ready:
                ready.register(peer.socket, selectors.EVENT_READ, inside)
                ready.register(inside, selectors.EVENT_READ, peer.socket)
                while True:
                    for end, _events in ready.select(DEADLINE):
                        data = end.fileobj.recv(65536)
                        if not data:
                            return
                        seen.extend(data)
                        end.data.sendall(change_bytes(data))

    with fake_store(script) as between:
        yield between.port, seen


@says("The mail: without TLS everything but the password can be read, and changed, on its way.")
def test_mail(place: Place) -> None:
    gate = place.in_clear("ntlm")
    with recorded(gate.port("pop3"), lambda data: data.replace(b"two", b"six")) as (port, seen):
        done = place.curl(gate, "bert", "SecREt01!", mode="none", port=port)
    assert MESSAGES[1] in seen and b"SecREt01!" not in seen
    assert done.stdout == MESSAGES[1].replace(b"two", b"six")


def try_to_relay(gate: Popgate, victim: Client) -> bytes:
    """Somebody in between, who has a certificate of his own, takes the victim's messages for his session; STAT there."""
    with gate.connect("implicit") as thief:
        answer = authenticate(thief, victim)
        if is_in(answer):
            return thief.ask(b"STAT")
        quit_(thief)
        return answer


@says("The connection: somebody in between can pass on what the client says and have the session, unless the client "
      "binds its answer to its TLS connection.")
def test_relay(place: Place, certificates: Certificates) -> None:
    gate = place.users()
    assert try_to_relay(gate, Client(ANNA, SESAME)) .startswith(b"+OK 2 ")
    his = his_certificate(certificates)
    assert try_to_relay(gate, Client(ANNA, SESAME, binding=binding_of(his))) == REFUSED


def his_certificate(certificates: Certificates) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(certificates.chain("renewed")).read_text())


@says("A wrong binding is refused;")
def test_wrong_binding(place: Place) -> None:
    gate = place.users()
    assert login(gate, Client(ANNA, SESAME, binding=bytes(range(16)))) == REFUSED


@says("… refuses a missing one too, and with it clients such as curl, which do not bind.")
def test_missing_binding(place: Place, certificates: Certificates, codes: list[str]) -> None:
    gate = place.users(*codes)
    assert not place.curl(gate, "bert", "SecREt01!").stdout
    assert gate.log.wait("login_failed")["why"] == "no channel binding"
    ours = ssl.PEM_cert_to_DER_cert(Path(certificates.chain("edge")).read_text())
    assert is_in(login(gate, Client(ANNA, SESAME, binding=binding_of(ours))))
    place.fetched(place.users(), "bert", "SecREt01!")


def messages_of(seen: bytes) -> dict[int, bytes]:
    """NTLM's messages by their numbers."""
    return {message[8]: message for message in decoded(seen) if message.startswith(b"NTLMSSP\0")}


@says("Weak passwords: who has recorded an exchange can try passwords on it at home, where no delay and no ban is in "
      "the way.")
def test_guessing(place: Place) -> None:
    gate = place.in_clear("ntlm")
    with recorded(gate.port("pop3")) as (port, seen):
        place.fetched(gate, "bert", "SecREt01!", mode="none", port=port)
    messages = messages_of(bytes(seen))
    response = buffer_at(messages[3], 20)
    mark = gate.log.mark()

    def is_right(password: str) -> bool:
        key = hmac_md5(md4(utf16(password)), utf16("BERT"))
        return hmac_md5(key, messages[2][24:32] + response[16:]) == response[:16]

    assert [guess for guess in ("123456", "password", "SecREt01!", "qwerty") if is_right(guess)] == ["SecREt01!"]
    assert gate.log.mark() == mark


def des(key: bytes, block: bytes) -> bytes:
    """One block under 56 bits."""
    bits = int.from_bytes(key, "big")
    spread = bytes((bits >> 49 - 7 * number & 0x7F) << 1 for number in range(8))
    return subprocess.run(["openssl", "enc", "-des-ecb", "-nopad", "-K", spread.hex(), "-provider", "legacy",
                           "-provider", "default"], input=block, capture_output=True, check=True).stdout


@says("Any password, with NTLMv1: its answer is three blocks of DES under the hash of the password, and the keys can be "
      "searched.")
def test_version_1(place: Place) -> None:
    """Of the third key only 16 bits are unknown."""
    gate = place.gate(change(change(example("users.conf"), "login: [basic-tls, ntlm-tls]", "login: [ntlm]"),
                             "  verify: [users]\n", "  verify: [users]\n  ntlm_level: v1\n"))
    with recorded(gate.port("pop3")) as (port, seen):
        done, _delivered = fetchmail_by_ntlm(port, "none", place.ca, "bert", "SecREt01!", place.workdir)
    assert done.returncode == 0, done
    messages = messages_of(bytes(seen))
    challenge, nt_hash = messages[2][24:32], md4(utf16("SecREt01!"))
    keys = (nt_hash[:7], nt_hash[7:14], nt_hash[14:] + bytes(5))
    assert buffer_at(messages[3], 20) == b"".join(des(key, challenge) for key in keys)


@says("So … is the default;")
def test_default_level(place: Place, codes: list[str]) -> None:
    option, level = codes[0].split(": ")
    listed = run_command("config", "-c", "users.conf", cwd=place.workdir / "chapter").stdout
    assert re.search(rf'(?m)^ +{option}: "?{level}"? +# default', listed), listed


@says("programs that cannot do better, such as fetchmail, need …, or an exception for their address, …, which ends by "
      "itself.")
def test_version_1_by_exception(place: Place, codes: list[str]) -> None:
    level, exception = codes
    assert f"- {exception} " in example("domain.conf")

    def gets_in(*options: str) -> bool:
        gate = place.users(*options)
        done, _ = fetchmail_by_ntlm(gate.port("pop3s"), "implicit", place.ca, "bert", "SecREt01!", place.workdir)
        return done.returncode == 0

    here = exception.replace(SCANNER, "127.0.0.1")
    assert [gets_in(), gets_in(f"ntlm_level: {level}"), gets_in(f"login_exceptions: ['{here}']"),
            gets_in(f"login_exceptions: ['{exception}']"),
            gets_in(f"login_exceptions: ['{here.replace('2099', '2019')}']")] == [False, True, True, False, False]


@says("LM is never taken.")
def test_lm(place: Place) -> None:
    gate = place.users("ntlm_level: v1")
    assert login(gate, Older(ANNA, SESAME)) == REFUSED
    assert gate.log.wait("login_failed")["why"] == "LM alone"


class Thief(Client):
    """Has a hash in the place of the password."""

    def nt_hash(self) -> bytes:
        return bytes.fromhex(self.password)


@says("Stolen hashes: who has the NT hash of a password needs no password.")
def test_stolen_hashes(place: Place) -> None:
    gate = place.users()
    assert is_in(login(gate, Thief(ANNA, md4(utf16(SESAME)).hex())))


@says("… and what … prints are as secret as passwords.")
def test_what_is_secret(place: Place, codes: list[str]) -> None:
    """Without its key the database says nothing."""
    key, command = codes
    gate = place.users()
    printed = run(f"{command} -c users.conf", gate.directory)
    stolen = md4(utf16(SESAME)).hex()
    assert stolen in printed
    files = [path.read_bytes() for path in gate.directory.iterdir() if path.is_file()]
    assert not any(bytes.fromhex(stolen) in data or stolen.encode() in data for data in files)
    (gate.directory / key).rename(gate.directory / "elsewhere")
    shown = run_command(*shlex.split(command)[1:], "-c", "users.conf", cwd=gate.directory)
    assert shown.returncode != 0 and stolen not in shown.stdout


@says("Inside TLS nobody reads or records an exchange, so all examples allow … and … alone.")
def test_examples_want_tls(place: Place, codes: list[str]) -> None:
    for config in ("users.conf", "domain.conf", "through.conf"):
        assert f"  login: [{', '.join(codes)}]\n" in example(config)
    gate = place.users()
    with recorded(gate.port("pop3s")) as (port, seen):
        place.fetched(gate, "bert", "SecREt01!", port=port)
    assert not any(word in seen for word in (b"NTLM", b"Subject", b"AUTH"))
