"""The program as an administrator meets it: its commands, its exit statuses, what it says about mistakes."""

import os
import contextlib
import json
import poplib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import mail
import pytest
from certs import Certificates
from clients import DEADLINE
from popgate import Config, program, run_command, site


@pytest.fixture
def config(certificates: Certificates) -> Config:
    """A good configuration; nothing has to listen on the store's port."""
    return site(certificates, 1110)


def write(directory: Path, config: Config) -> str:
    file = directory / "popgate.yaml"
    file.write_text(json.dumps(config, indent=2))
    return str(file)


def complaint(workdir: Path, config: Config) -> str:
    """What `check` says about a bad configuration; `serve` must refuse it too."""
    file = write(workdir, config)
    done = run_command("check", "-c", file)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith(f"{file}:")
    assert run_command("serve", "-c", file).returncode == 1
    return done.stderr


# check

def test_check_finds_a_good_configuration_good(workdir: Path, config: Config) -> None:
    done = run_command("check", "-c", write(workdir, config))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_example_of_the_documentation_works_as_it_stands(workdir: Path, certificates: Certificates) -> None:
    shutil.copy(certificates.chain("edge"), workdir / "cert.pem")
    shutil.copy(certificates.key("edge"), workdir / "key.pem")
    (workdir / "popgate.conf").write_text("""\
workers: 2
log: { target: stderr, format: json }
certificates:
  localhost: { chain: cert.pem, key: key.pem }
backends:
  store: { servers: ["127.0.0.1:1110"], tls: none }
defaults:
  backend: store
  login: [basic-tls]
  preauth_timeout: 60s
  session_timeout: 30m
listeners:
  pop3s: { bind: ["127.0.0.1:9955", "[::1]:9955"], tls: implicit }
  pop3: { bind: ["127.0.0.1:1100"], tls: stls }
""")
    done = run_command("check", "-c", str(workdir / "popgate.conf"))
    assert (done.returncode, done.stderr) == (0, "")
    done = run_command("check", "-c", "popgate.conf", cwd=workdir)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("options", "wanted"), [
    ({"user": "root"}, "user: workers, who meet the clients, may not be root"),
    ({"user": "nobody-knows"}, 'there is no system user "nobody-knows" for the workers; set user'),
    ({"user": "nobody", "group": "root"}, "workers may not have the group of root; set group")])
def test_workers_need_a_user_who_is_not_root(workdir: Path, config: Config, options: Config, wanted: str) -> None:
    if "root" in options["user"] or os.getuid() == 0:
        assert wanted in complaint(workdir, {**config, **options})


def test_authorities_of_clients_in_defaults_are_for_the_listeners_that_ask(workdir: Path, config: Config) -> None:
    config["defaults"]["client_ca"] = "/nowhere/ca.pem"
    assert run_command("check", "-c", write(workdir, config)).returncode == 0
    config["listeners"]["pop3"]["client_ca"] = "/nowhere/ca.pem"
    assert "client_ca: clients are asked for no certificate; leave it out" in complaint(workdir, config)


def test_check_binds_nothing(workdir: Path, config: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config["listeners"]["pop3"]["bind"] = [f"127.0.0.1:{taken.getsockname()[1]}"]
        assert run_command("check", "-c", write(workdir, config)).returncode == 0


def test_an_unknown_key_is_named_with_its_place_and_the_nearest_known_one(workdir: Path, config: Config) -> None:
    config["defaults"]["preauth_timeuot"] = "1m"
    said = complaint(workdir, config)
    lines = Path(write(workdir, config)).read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "preauth_timeuot" in text)
    column = lines[line - 1].index('"') + 1
    assert f"popgate.yaml:{line}:{column}: " in said
    assert '"preauth_timeuot"' in said and '"preauth_timeout"' in said


@pytest.mark.parametrize(("section", "change", "words"), [
    ("workers", "many", ["workers", "many"]),
    ("workers", 0, ["workers", "1"]),
    ("workers", 257, ["workers", "256"]),
    ("drain_timeout", "10", ["drain_timeout"]),
    ("drain_timeout", "10 parsecs", ["drain_timeout", "10 parsecs"]),
    ("drain_timeout", "8d", ["drain_timeout", "7d"]),
    ("log", {"format": "xml"}, ["format", "xml", "json"]),
    ("log", {"target": "/nowhere/popgate.log"}, ["/nowhere/popgate.log"]),
    ("log", ["stderr"], ["log"]),
    ("defaults", {"backend": "stoer"}, ["stoer"]),
    ("defaults", {"backend": "store", "login": ["basic", "telepathy"]}, ["telepathy"]),
    ("defaults", {"backend": "store", "login": ["membership"]}, ["membership"]),
    ("defaults", {"backend": "store", "max_command_size": "39"}, ["max_command_size", "40"]),
    ("defaults", {"backend": "store", "session_timeout": "-1s"}, ["session_timeout"]),
    ("defaults", {"backend": "store", "greeting": "two\nlines"}, ["greeting"]),
    ("defaults", {}, ["backend"]),
    ("listeners", {}, ["listener"]),
    ("listeners", {"pop3s": {"tls": "implicit"}}, ["bind"]),
    ("listeners", {"pop3s": {"bind": ["127.0.0.1:0"]}}, ["tls"]),
    ("listeners", {"pop3s": {"bind": ["127.0.0.1:0"], "tls": "yes"}}, ["tls", "implicit"]),
    ("listeners", {"plain": {"bind": ["127.0.0.1:0"], "tls": "none", "login": ["basic-tls"]}}, ["plain", "login"]),
    ("listeners", {"pop3s": {"bind": ["localhost"], "tls": "stls"}}, ["localhost"]),
    ("listeners", {"pop3s": {"bind": ["127.0.0.1:99999"], "tls": "stls"}}, ["99999"]),
    ("listeners", {"pop3s": {"bind": ["127.0.0.1:0"], "tls": "stls", "certificates": ["other"]}}, ["other"]),
    ("backends", {"store": {"tls": "none"}}, ["servers"]),
    ("backends", {"store": {"servers": ["127.0.0.1"], "tls": "none"}}, ["127.0.0.1"]),
    ("backends", {"store": {"servers": [], "tls": "none"}}, ["servers"]),
    ("backends", {"store": {"servers": ["127.0.0.1:995"], "ca": "/nowhere.pem"}}, ["/nowhere.pem"]),
    ("backends", {"store": {"servers": ["127.0.0.1:995"], "fingerprint": "xyz"}}, ["fingerprint"]),
    ("certificates", {"localhost": {"chain": "/nowhere.pem"}}, ["key"]),
    ("certificates", {"localhost": {"chain": "/nowhere.pem", "key": "/nowhere.key"}}, ["/nowhere.pem"]),
    ("certificates", {}, ["certificate"]),
])
def test_a_bad_value_is_refused_with_a_sentence_about_it(workdir: Path, config: Config, section: str, change: object,
                                                         words: list[str]) -> None:
    said = complaint(workdir, {**config, section: change})
    for word in words:
        assert word in said


def test_all_mistakes_are_named_in_one_run(workdir: Path, config: Config) -> None:
    config["wrokers"] = 1
    config["drain_timeout"] = "soon"
    config["listeners"]["pop3"]["tls"] = "sometimes"
    said = complaint(workdir, config)
    assert all(word in said for word in ("wrokers", "soon", "sometimes"))
    assert len(said.splitlines()) == 3


@pytest.mark.parametrize("text", ["listeners: [", "a: b: c", "- 1\n- 2\n", "", "\0", "workers: 1\nworkers: 2\n",
                                  "%YAML 9.9\n---\n", "a: *b\n", "listeners: \xff\n"])
def test_what_is_no_configuration_is_refused_without_a_crash(workdir: Path, text: str) -> None:
    file = workdir / "popgate.yaml"
    file.write_bytes(text.encode("latin-1"))
    done = run_command("check", "-c", str(file))
    assert done.returncode == 1
    assert done.stderr.startswith(str(file))


def test_a_missing_file_is_named(workdir: Path) -> None:
    for command in ("check", "config", "serve"):
        done = run_command(command, "-c", str(workdir / "none.yaml"))
        assert done.returncode == 1
        assert "none.yaml" in done.stderr and "No such file" in done.stderr


# certificates and keys

def with_files(config: Config, chain: str, key: str) -> Config:
    return {**config, "certificates": {"localhost": {"chain": chain, "key": key}}}


def test_a_fifo_is_refused_and_not_waited_for(workdir: Path, config: Config, certificates: Certificates) -> None:
    fifo = workdir / "fifo.pem"
    os.mkfifo(fifo)
    said = complaint(workdir, with_files(config, certificates.chain("edge"), str(fifo)))
    assert str(fifo) in said and "no ordinary file" in said


def test_a_key_of_another_certificate_is_refused(workdir: Path, config: Config, certificates: Certificates) -> None:
    said = complaint(workdir, with_files(config, certificates.chain("edge"), certificates.key("store")))
    assert certificates.key("store") in said and "does not belong" in said


@pytest.mark.parametrize("content", [b"", b"not a key",
                                     b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_broken_key_is_refused(workdir: Path, config: Config, certificates: Certificates, content: bytes) -> None:
    key = workdir / "broken.key"
    key.write_bytes(content)
    assert str(key) in complaint(workdir, with_files(config, certificates.chain("edge"), str(key)))


def test_a_key_that_cannot_be_read_is_refused(workdir: Path, config: Config, certificates: Certificates) -> None:
    """A directory: unreadable for root as well."""
    key = workdir / "directory.key"
    key.mkdir()
    assert str(key) in complaint(workdir, with_files(config, certificates.chain("edge"), str(key)))


def test_a_chain_without_a_certificate_is_refused(workdir: Path, config: Config, certificates: Certificates) -> None:
    assert certificates.key("edge") in complaint(
        workdir, with_files(config, certificates.key("edge"), certificates.key("edge")))


# the other commands

def test_config_prints_every_value_and_where_it_comes_from(workdir: Path, config: Config) -> None:
    config["defaults"]["preauth_timeout"] = "90s"
    config["listeners"]["pop3"]["max_login_attempts"] = 7
    done = run_command("config", "-c", write(workdir, config))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line for line in lines if "max_login_attempts" in line and "7" in line]
    assert len([line for line in lines if "preauth_timeout" in line and "defaults" in line]) == 3
    assert len([line for line in lines if "session_timeout" in line and "30m" in line and "default" in line]) == 3


def test_what_config_prints_is_a_configuration_of_the_same_meaning(workdir: Path, config: Config) -> None:
    first = run_command("config", "-c", write(workdir, config))
    again = workdir / "again.yaml"
    again.write_text(first.stdout)
    assert run_command("check", "-c", str(again)).returncode == 0


@pytest.mark.parametrize("arguments", [["--help"], ["help"], ["-h"]])
def test_help_names_every_command(arguments: list[str]) -> None:
    done = run_command(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("serve", "check", "config", "store", "-c FILE"):
        assert word in done.stdout


def test_version_names_the_tls_library() -> None:
    done = run_command("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("popgate ") and "BoringSSL" in done.stdout


@pytest.mark.parametrize("arguments", [[], ["srve"], ["serve", "-x"], ["serve", "-c"], ["check", "-c", "a", "b"],
                                       ["--nonsense"], ["store"], ["store", "--maildir"]])
def test_a_wrong_command_line_is_explained(arguments: list[str]) -> None:
    done = run_command(*arguments)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("popgate") and len(done.stderr.splitlines()) == 1


# the sample store

@contextlib.contextmanager
def sample_store(*arguments: str) -> Iterator[int]:
    """`popgate store` on a free port, which it prints."""
    store = subprocess.Popen([program(), "store", "--listen", "127.0.0.1:0", *arguments], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    try:
        yield int(store.stdout.readline().strip().removeprefix("listening on 127.0.0.1:"))
    finally:
        store.terminate()
        _, errors = store.communicate(timeout=DEADLINE)
    assert "not for real mail" in errors and "Sanitizer" not in errors and "runtime error" not in errors


def test_the_sample_store_serves_a_maildir(workdir: Path) -> None:
    messages = mail.sample_messages(30)
    mail.fill_maildir(workdir / "mail", messages)
    (workdir / "password").write_text("two words\n")
    with sample_store("--maildir", str(workdir / "mail"), "--user", "anna",
                      "--password-file", str(workdir / "password")) as port:
        client = poplib.POP3("127.0.0.1", port, timeout=DEADLINE)
        client.user("anna")
        with pytest.raises(poplib.error_proto):
            client.pass_("wrong")
        client.user("anna")
        client.pass_("two words")
        assert client.stat() == (30, sum(len(mail.on_the_wire(message)) for message in messages))
        for number, message in enumerate(messages, 1):
            assert b"".join(line + b"\r\n" for line in client.retr(number)[1]) == mail.on_the_wire(message)
        client.dele(1)
        client.quit()
        client = poplib.POP3("127.0.0.1", port, timeout=DEADLINE)
        client.user("anna")
        client.pass_("two words")
        assert client.stat()[0] == 29
        client.quit()


def test_the_sample_store_listens_on_loopback_only(workdir: Path) -> None:
    mail.fill_maildir(workdir / "mail", [])
    done = run_command("store", "--maildir", str(workdir / "mail"), "--listen", "0.0.0.0:0")
    assert done.returncode == 2 and "loopback" in done.stderr


def test_the_sample_store_refuses_what_is_no_maildir(workdir: Path) -> None:
    done = run_command("store", "--maildir", str(workdir), "--listen", "127.0.0.1:0")
    assert done.returncode == 1 and str(workdir) in done.stderr
