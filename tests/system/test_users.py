"""`popgate user`: the command that keeps users of popgate's own, as an administrator runs it."""

import csv
import io
import json
import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from certs import Certificates
from clients import DEADLINE
from popgate import SANITIZER_OPTIONS, Terminal, program, run_command, site

NT_HASH = "a4f49c406510bdcab6824ee7c30fd852"  # of "Password", MS-NLMP 4.2.2.1.2
OTHER_HASH = "00112233445566778899aabbccddeeff"
LM_HASH = "e52cac67419a9a224a3b108f3fa6cb6d"

Done = subprocess.CompletedProcess[str]


class Users:
    """A configuration with users, and the command that keeps them."""

    def __init__(self, directory: Path, certificates: Certificates):
        self.directory = directory
        self.config = directory / "popgate.yaml"
        self.database = directory / "users.db"
        self.key = directory / "users.key"
        self.config.write_text(json.dumps(site(certificates, 1110, users={"database": "users.db"})))

    def run(self, *arguments: str, stdin: str | bytes = "") -> Done:
        data = stdin if isinstance(stdin, bytes) else stdin.encode()
        done = subprocess.run([program(), "user", *arguments, "-c", str(self.config)], input=data, capture_output=True,
                              timeout=DEADLINE, check=False, env={**os.environ, **SANITIZER_OPTIONS})
        return Done(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def do(self, *arguments: str, stdin: str | bytes = "") -> str:
        """Runs what must go well, without a complaint; what it prints."""
        done = self.run(*arguments, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def complaint(self, *arguments: str, stdin: str | bytes = "", status: int = 1) -> str:
        """Runs what must fail; what it says."""
        done = self.run(*arguments, stdin=stdin)
        assert (done.returncode, done.stdout) == (status, "")
        return done.stderr

    def add(self, name: str, password: str = "sesame", *options: str) -> None:
        self.do("add", name, "--stdin", *options, stdin=f"{password}\n")

    def names(self) -> list[str]:
        return self.do("list").splitlines()

    def show(self, name: str) -> dict[str, str]:
        return dict(re.split(": ?", line, maxsplit=1) for line in self.do("show", name).splitlines())

    def hashes(self) -> dict[str, str]:
        return {row["name"]: row["nt_hash"] for row in csv.DictReader(io.StringIO(self.do("export", "--nt-hashes")))}

    def file(self, text: str | bytes, name: str = "users.csv") -> str:
        path = self.directory / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def imported(self, text: str | bytes, *options: str) -> str:
        return self.do("import", *options, self.file(text))

    def import_complaint(self, text: str | bytes, *options: str) -> str:
        """What is said of a file that is wrong: nothing of it may be imported."""
        before = self.do("export", "--nt-hashes") if self.database.exists() else None
        said = self.complaint("import", *options, self.file(text))
        assert said.endswith("popgate: nothing was imported\n")
        assert before is None or self.do("export", "--nt-hashes") == before
        return said


@pytest.fixture
def users(workdir: Path, certificates: Certificates) -> Users:
    return Users(workdir, certificates)


# one user

def test_a_user_is_added_shown_changed_and_removed(users: Users) -> None:
    users.add("Anna")
    assert users.names() == ["anna"]
    assert users.show("ANNA") == {"name": "anna", "enabled": "yes", "methods": "all", "mailbox": "", "backend": "",
                                  "password": "only its NT hash is kept", "backend_password": "none"}
    users.do("set", "anna", "--disable", "--methods", "basic-tls", "--mailbox", "suzanf", "--backend", "store")
    assert users.names() == ["anna disabled"]
    assert users.show("anna") == {"name": "anna", "enabled": "no", "methods": "basic-tls", "mailbox": "suzanf",
                                  "backend": "store", "password": "only its NT hash is kept",
                                  "backend_password": "none"}
    users.do("set", "anna", "--enable", "--methods", "all", "--mailbox", "")
    assert users.show("anna")["enabled"] == "yes" and users.show("anna")["mailbox"] == ""
    users.add("anna@example.org", "another")
    assert users.names() == ["anna", "anna@example.org"]
    users.do("remove", "anna")
    assert users.names() == ["anna@example.org"]


def test_the_nt_hash_is_that_of_the_password(users: Users) -> None:
    users.add("anna", "Password")
    assert users.hashes() == {"anna": NT_HASH}
    users.do("passwd", "anna", "--stdin", stdin="other")  # a last line without an end
    assert users.hashes()["anna"] != NT_HASH
    users.do("passwd", "anna", "--stdin", stdin="Password\r\n")
    assert users.hashes() == {"anna": NT_HASH}


def test_the_password_itself_is_kept_on_request_only(users: Users) -> None:
    users.add("anna", "sesame", "--keep-password")
    assert users.show("anna")["password"] == "kept"
    done = users.run("passwd", "anna", "--stdin", stdin="another\n")
    assert done.returncode == 0 and "--keep-password" in done.stderr
    assert users.show("anna")["password"] == "only its NT hash is kept"


def test_a_user_may_have_no_password_here(users: Users) -> None:
    users.do("add", "anna", "--no-password", "--mailbox", "box")
    assert users.show("anna")["password"] == "none"
    assert users.hashes() == {"anna": ""}


def test_the_password_for_the_backend_is_one_of_its_own(users: Users) -> None:
    users.do("add", "anna", "--stdin", "--backend-password", stdin="sesame\nat the store\n")
    assert users.show("anna")["backend_password"] == "kept"
    users.do("set", "anna", "--no-backend-password")
    assert users.show("anna")["backend_password"] == "none"
    users.do("set", "anna", "--backend-password", "--stdin", stdin="again\n")
    assert users.show("anna")["backend_password"] == "kept"


def test_no_secret_is_in_the_files_or_in_what_is_printed(users: Users) -> None:
    secrets = ["open sesame", "at the store"]
    users.do("add", "anna", "--stdin", "--keep-password", "--backend-password", stdin="\n".join(secrets) + "\n")
    files = b"".join(path.read_bytes() for path in users.directory.iterdir())
    printed = users.do("show", "anna") + users.do("export") + users.do("list")
    for secret in secrets:
        assert secret.encode() not in files and secret not in printed
    assert bytes.fromhex(users.hashes()["anna"]) not in files


def test_files_are_for_root_and_the_workers_group(users: Users) -> None:
    users.add("anna")
    assert stat.S_IMODE(users.key.stat().st_mode) == 0o600
    if os.geteuid() == 0:
        nogroup = 65534
        for name, mode in (("users.db", 0o640), ("users.db-lock", 0o660)):
            status = (users.directory / name).stat()
            assert (stat.S_IMODE(status.st_mode), status.st_gid) == (mode, nogroup)


# the terminal

def at_terminal(users: Users, *arguments: str) -> Terminal:
    return Terminal("user", *arguments, "-c", str(users.config))


def test_a_password_is_asked_for_twice_and_not_shown(users: Users) -> None:
    terminal = at_terminal(users, "add", "anna")
    terminal.wait_for("Password of anna: ")
    terminal.type("Password\n")
    terminal.wait_for("Again, ")
    terminal.type("Password\n")
    assert terminal.end() == 0
    assert "Password\r\n" not in terminal.shown
    assert users.hashes() == {"anna": NT_HASH}


def test_two_different_passwords_change_nothing(users: Users) -> None:
    users.add("anna", "Password")
    terminal = at_terminal(users, "passwd", "anna")
    terminal.wait_for("password of anna: ")
    terminal.type("sesame\n")
    terminal.wait_for("Again, ")
    terminal.type("seasme\n")
    assert terminal.end() == 1
    assert "not the same" in terminal.shown
    assert users.hashes() == {"anna": NT_HASH}


def test_giving_up_changes_nothing(users: Users) -> None:
    users.add("anna", "Password")
    terminal = at_terminal(users, "passwd", "anna")
    terminal.wait_for("password of anna: ")
    terminal.type("half\x03")
    assert terminal.end() == -signal.SIGINT
    terminal = at_terminal(users, "passwd", "anna")
    terminal.wait_for("password of anna: ")
    terminal.type("\x04")  # the end of input
    assert terminal.end() == 1
    assert "no password came" in terminal.shown
    assert users.hashes() == {"anna": NT_HASH}


def test_a_question_keeps_no_other_command_waiting(users: Users) -> None:
    users.add("anna", "Password")
    terminal = at_terminal(users, "passwd", "anna")
    terminal.wait_for("password of anna: ")
    users.add("bert")
    users.do("remove", "anna")
    terminal.type("sesame\n")
    terminal.wait_for("Again, ")
    terminal.type("sesame\n")
    assert terminal.end() == 1
    assert "there is no user anna" in terminal.shown
    assert users.names() == ["bert"]


def test_without_a_terminal_it_says_what_to_do(users: Users) -> None:
    done = subprocess.run([program(), "user", "add", "anna", "-c", str(users.config)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=DEADLINE, check=False, start_new_session=True,
                          env={**os.environ, **SANITIZER_OPTIONS})
    assert done.returncode == 1 and "--stdin" in done.stderr


# mistakes

@pytest.mark.parametrize(("arguments", "words"), [
    ([], "what to do"),
    (["ad"], "ad"),
    (["add"], "an argument is missing: NAME"),
    (["import"], "an argument is missing: FILE"),
    (["add", "anna", "bert"], "needless argument bert"),
    (["list", "anna"], "needless argument anna"),
    (["add", "anna", "--update"], "--update"),
    (["list", "--stdin"], "--stdin"),
    (["add", "anna", "--password", "sesame"], "unknown option --password"),
    (["add", "anna", "--mailbox"], "missing after --mailbox"),
])
def test_a_wrong_command_line_is_told(arguments: list[str], words: str) -> None:
    done = run_command("user", *arguments)
    assert done.returncode == 2 and not done.stdout
    assert words in done.stderr and "popgate user help" in done.stderr


def test_help_names_every_verb_and_option() -> None:
    done = run_command("user", "help")
    assert (done.returncode, done.stderr) == (0, "")
    for verb in ("add", "set", "passwd", "remove", "list", "show", "import", "export"):
        assert f"popgate user {verb}" in done.stdout
    assert "--nt-hashes" in done.stdout


@pytest.mark.parametrize(("arguments", "stdin", "words"), [
    (["add", "anna", "--stdin"], "sesame\n", "there is a user anna already"),
    (["passwd", "bert", "--stdin"], "sesame\n", "there is no user bert"),
    (["remove", "bert"], "", "there is no user bert"),
    (["show", "bert"], "", "there is no user bert"),
    (["set", "bert", "--disable"], "", "there is no user bert"),
    (["set", "anna", "--backend", "stoer"], "", 'did you mean "store"'),
    (["set", "anna", "--methods", "basic-tsl"], "", 'did you mean "basic-tls"'),
    (["set", "anna", "--mailbox", "x" * 249], "", "248"),
    (["add", "DOMAIN\\bert", "--stdin"], "sesame\n", "user@domain"),
    (["add", "be\nrt", "--stdin"], "sesame\n", "is no name"),
    (["add", "bert", "--stdin"], "", "no password came from standard input"),
    (["add", "bert", "--stdin"], "\n", "password"),
    (["add", "bert", "--stdin"], "x" * 249 + "\n", "248"),
    (["add", "bert", "--stdin"], "x" * 5000 + "\n", "longer than"),
    (["add", "bert", "--stdin"], b"\xfcber\n", "UTF-8"),
    (["import", "/nowhere.csv"], "", "/nowhere.csv cannot be read"),
    (["import", "/"], "", "/ cannot be read"),
])
def test_what_cannot_be_done_is_told_and_changes_nothing(users: Users, arguments: list[str], stdin: str,
                                                         words: str) -> None:
    users.add("anna", "Password")
    assert words in users.complaint(*arguments, stdin=stdin)
    assert users.hashes() == {"anna": NT_HASH} and users.show("anna")["backend"] == ""


def test_before_the_first_user_it_says_how_to_begin(users: Users) -> None:
    for verb in (["list"], ["show", "anna"], ["remove", "anna"], ["passwd", "anna", "--stdin"], ["export"]):
        said = users.complaint(*verb, stdin="sesame\n")
        assert "there is no" in said and "popgate user add" in said
    assert not users.database.exists() and not users.key.exists()


def test_without_a_database_in_the_configuration_it_says_what_to_write(workdir: Path,
                                                                       certificates: Certificates) -> None:
    file = workdir / "popgate.yaml"
    file.write_text(json.dumps(site(certificates, 1110)))
    done = run_command("user", "list", "-c", str(file))
    assert done.returncode == 1 and "users: { database: users.db }" in done.stderr


def test_a_key_file_that_others_can_read_is_refused(users: Users) -> None:
    users.add("anna")
    users.key.chmod(0o644)
    assert "chmod 600" in users.complaint("list")


def test_a_lost_key_is_not_made_anew(users: Users) -> None:
    users.add("anna")
    users.key.rename(users.directory / "elsewhere")
    for verb in (["list"], ["add", "bert", "--stdin"]):
        assert "there is no key file" in users.complaint(*verb, stdin="sesame\n")
    assert not users.key.exists()


def test_a_wrong_key_is_told(users: Users) -> None:
    users.add("anna")
    users.key.unlink()
    users.key.write_text("0" * 64 + "\n")
    users.key.chmod(0o600)
    assert "another key" in users.complaint("list")
    assert "another key" in users.complaint("add", "bert", "--stdin", stdin="sesame\n")


def test_a_file_that_is_no_database_is_told(users: Users) -> None:
    users.add("anna")
    users.database.write_bytes(b"this is no database\n" * 1000)
    assert "damaged" in users.complaint("list")


@pytest.mark.parametrize("part", [0.9, 0.5, 0.2, 12288])
def test_a_file_that_was_cut_off_is_told(users: Users, part: float) -> None:
    users.imported("name,nt_hash,mailbox\n" + "".join(f"user{n},{n:032x},box{n}\n" for n in range(5003)))
    whole = users.database.read_bytes()
    cut = whole[:int(part if part > 1 else len(whole) * part)]
    users.database.unlink()
    users.database.write_bytes(cut)
    for verb in (["list"], ["show", "user7"], ["add", "bo", "--no-password"]):
        assert "it is damaged; move it away and put a copy" in users.complaint(*verb)
    assert users.database.read_bytes() == cut


def test_a_copy_can_be_put_in_its_place(users: Users) -> None:
    users.add("anna")
    shutil.copy(users.database, users.directory / "copy")
    users.add("bert")
    (users.directory / "copy").rename(users.database)
    assert users.names() == ["anna"]
    users.add("clara")
    assert users.names() == ["anna", "clara"]


# import and export

def test_a_csv_file_is_imported(users: Users) -> None:
    assert users.imported(
        "\ufeffname,password,mailbox,enabled,methods,backend,backend_password\r\n"
        "Anna,Password,box 1,yes,all,store,\r\n"
        '"bert@Example.org","a ""b"", c",,no,basic-tls,,open\r\n'
        "\r\n"
        "clara,,,,,,\r\n") == "3 users added, 0 changed\n"
    assert users.names() == ["anna", "bert@example.org disabled", "clara"]
    assert users.hashes()["anna"] == NT_HASH
    assert users.show("bert@example.org") == {
        "name": "bert@example.org", "enabled": "no", "methods": "basic-tls", "mailbox": "", "backend": "",
        "password": "only its NT hash is kept", "backend_password": "kept"}
    assert users.show("clara")["password"] == "none"


def test_a_smbpasswd_file_is_imported(users: Users) -> None:
    none = "X" * 32
    text = (f"anna:1000:{LM_HASH}:{NT_HASH.upper()}:[U          ]:LCT-5F000000:\n"
            f"bert:1001:{none}:{OTHER_HASH.upper()}:[DU         ]:LCT-5F000000:\n"
            f"clara:1002:{none}:{none}:[U          ]:LCT-5F000000:\n"
            f"pc1$:1003:{LM_HASH}:{NT_HASH}:[W          ]:LCT-5F000000:\n")
    assert users.imported(text, "--smbpasswd") == "3 users added, 0 changed\n"
    assert users.hashes() == {"anna": NT_HASH, "bert": OTHER_HASH, "clara": ""}
    assert users.names() == ["anna", "bert disabled", "clara disabled"]


def test_an_import_comes_from_standard_input_too(users: Users) -> None:
    assert users.do("import", "-", stdin="name\nanna\n") == "1 users added, 0 changed\n"
    assert users.names() == ["anna"]


def test_an_export_is_imported_again(users: Users) -> None:
    users.imported('name,password,mailbox,methods,enabled\nanna,Password,"a, b",basic-tls,yes\nbert,x,,,no\n')
    exported = users.do("export", "--nt-hashes")
    assert "nt_hash" not in users.do("export") and NT_HASH not in users.do("export")
    for path in (users.database, users.key):
        path.unlink()
    users.imported(exported)
    assert users.do("export", "--nt-hashes") == exported


def test_users_who_are_there_are_changed_only_when_that_is_said(users: Users) -> None:
    users.do("add", "anna", "--stdin", "--keep-password", "--mailbox", "box", stdin="sesame\n")
    text = f"name,nt_hash\nbert,{OTHER_HASH}\nanna,{NT_HASH}\n"
    said = users.import_complaint(text)
    assert "users.csv:3: there is a user anna already" in said and "--update" in said
    assert users.imported(text, "--update") == "1 users added, 1 changed\n"
    assert users.hashes() == {"anna": NT_HASH, "bert": OTHER_HASH}
    shown = users.show("anna")
    assert shown["mailbox"] == "box" and shown["password"] == "only its NT hash is kept"


def test_an_empty_field_changes_nothing(users: Users) -> None:
    users.do("add", "anna", "--stdin", "--keep-password", "--mailbox", "box", "--methods", "basic-tls", "--disable",
             "--backend", "store", stdin="sesame\n")
    before = users.do("export", "--nt-hashes"), users.show("anna")
    users.imported("name,enabled,methods,mailbox,backend,password,backend_password\nanna,,,,,,\n", "--update")
    assert (users.do("export", "--nt-hashes"), users.show("anna")) == before


@pytest.mark.parametrize(("text", "words"), [
    ("anna,hunter2\nbert,hunter2\n", ["users.csv:1: column names are wanted"]),
    ("name;password\nanna;hunter2\n", ["users.csv:1: column names are wanted"]),
    ("name,pasword\n", ["users.csv:1:", 'did you mean "password"']),
    ("name,password\nanna,x\nbert\nclara,\"hunter2\n\ndora,hunter2,\n",
     ["users.csv:3: it has 1 columns", "users.csv:4: column 2: a quote", "users.csv:6: it has 3 columns"]),
    ("name\nanna\nbert\nANNA\n", ["users.csv:4: anna stands in line 2 already"]),
    ("name,enabled\nanna,maybe\n", ["users.csv:2: enabled: write yes or no"]),
    ("name,backend\nanna,stoer\n", ['users.csv:2: backend: the configuration has no backend "stoer"']),
    ("name,methods\nanna,telepathy\n", ["users.csv:2: methods:"]),
    ("name,nt_hash\nanna,hunter2\n", ["users.csv:2: nt_hash: an NT hash is 32"]),
    (f"name,password,nt_hash\nanna,hunter2,{NT_HASH}\n", ["users.csv:2:", "not both"]),
    ("name\nDOMAIN\\anna\n", ["users.csv:2:", "user@domain"]),
    (b"name\n\xfcber\n", ["users.csv:2:", "save the file as UTF-8"]),
    ("name\n,\n".encode("utf-16"), ["users.csv:1:", "save the file as UTF-8"]),
    ("name\n" + "x" * 5000 + "\n", ["users.csv:2: the line is too long"]),
    ("name\n" + "x" * 600 + "\n", ["users.csv:2: the name is"]),
    ("name\n" + "a,b\n" * 50, ["users.csv:21:", "and 30 more"]),
])
def test_a_file_with_a_wrong_line_is_not_imported_at_all(users: Users, text: str | bytes, words: list[str]) -> None:
    users.add("zoe")
    said = users.import_complaint(text)
    for word in words:
        assert word in said
    assert "hunter2" not in said


def test_a_cut_smbpasswd_file_is_not_imported_at_all(users: Users) -> None:
    text = f"anna:1000:{LM_HASH}:{NT_HASH}:[U          ]:LCT-5F000000:\nbert:1001:{LM_HASH}:{NT_HASH[:9]}"
    assert "users.csv:2: this is no line of smbpasswd" in users.import_complaint(text, "--smbpasswd")


def test_a_full_disk_is_told_and_changes_nothing(users: Users) -> None:
    users.add("zoe")
    text = "name,mailbox\n" + "".join(f"user{number},box\n" for number in range(20000))
    done = subprocess.run(["sh", "-c", "trap '' XFSZ; ulimit -f 1000; exec \"$@\"", "sh", program(), "user", "import",
                           users.file(text), "-c", str(users.config)], capture_output=True, text=True,
                          timeout=DEADLINE, check=False, env={**os.environ, **SANITIZER_OPTIONS})
    assert done.returncode == 1
    assert str(users.database) in done.stderr and "nothing was imported" in done.stderr
    assert users.names() == ["zoe"]
    users.imported(text)
    assert len(users.names()) == 20001


def test_an_import_that_is_killed_changes_nothing(users: Users) -> None:
    users.add("zoe")
    process = subprocess.Popen([program(), "user", "import", "-", "-c", str(users.config)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(b"name\n" + b"".join(b"user%d\n" % number for number in range(20000)))
    process.stdin.flush()  # more than a pipe holds: most of it is read now
    process.kill()
    process.communicate()
    assert users.names() == ["zoe"]
    users.add("anna")
    assert users.names() == ["anna", "zoe"]


def test_a_hundred_thousand_users_are_imported(users: Users) -> None:
    text = "name,nt_hash,mailbox\n" + "".join(
        f"user{number}@example.org,{number:032x},box{number}\n" for number in range(100_000))
    assert users.imported(text) == "100000 users added, 0 changed\n"
    assert users.show("USER77777@example.org")["mailbox"] == "box77777"
    assert users.hashes()["user99999@example.org"] == f"{99999:032x}"
