"""The README's chapter on certificates and TLS: its examples run, and what it names exists and is as it says."""

import re
import shlex
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from authority import Authority
from certs import Certificates, make_intermediate, make_server, openssl
from clients import Raw
from popgate import Popgate, run_command, site
from readme import README, Chapter
from stores import Dovecot

Start = Callable[..., Popgate]

CHAPTER = Chapter("Certificates and TLS")
TEXT = README.read_text().partition("\n## Certificates and TLS\n")[2].partition("\n## ")[0]
TREE = README.parent
WORDS = {word for name in ("proxy/config/options.def", "proxy/config/types.c", "proxy/base/events.def",
                           "proxy/cert_verbs.def", "proxy/mailbox.c")
         for word in re.findall(r"[\w-]+", (TREE / name).read_text())}

FIRST = """
certificates: { pop.example.net: { chain: fullchain.pem, key: privkey.pem } }
backends: { store: { servers: ["192.0.2.110:110"], tls: none } }
listeners: { pop3s: { bind: ["127.0.0.1:0"], tls: implicit, backend: store } }
"""


@pytest.fixture
def place(workdir: Path, certificates: Certificates) -> Path:
    """A folder with the files that the examples name."""
    for name, key in (("pop", "P-256"), ("pop-rsa", "RSA"), ("branch", "P-256"), ("fullchain", "P-256")):
        host = "branch" if name == "branch" else "pop"
        pair = certificates.issue(f"readme-{name}", f"DNS:{host}.example.net", key)
        shutil.copy(pair["chain"], workdir / f"{name}.pem")
        shutil.copy(pair["key"], workdir / ("privkey.pem" if name == "fullchain" else f"{name}.key"))
    company = Authority(workdir, "company")
    shutil.copy(workdir / "company.pem", workdir / "company-ca.pem")
    (workdir / "company-crl.pem").write_bytes(company.revocations())
    (workdir / "edge.secret").write_text("secret\n")
    (workdir / "edge.secret").chmod(0o600)
    CHAPTER.write_files(workdir)
    return workdir


@pytest.mark.parametrize("name", [each.what for each in CHAPTER.examples if each.what.endswith(".conf")])
def test_an_example_is_a_good_configuration(place: Path, name: str) -> None:
    done = run_command("check", "-c", name, cwd=place)
    assert (done.returncode, done.stderr) == (0, "")


def served(port: int, name: str, ciphers: str = "DEFAULT") -> dict:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers(ciphers)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Raw(port, context, name=name) as client:
        return {"cipher": client.tls.cipher()[0], "certificate": client.tls.getpeercert(binary_form=True)}


def test_the_example_chooses_as_it_says(start: Start, place: Path, certificates: Certificates,
                                        dovecot: Dovecot) -> None:
    gate = start(site(certificates, dovecot.port))
    shutil.copytree(place, gate.directory, dirs_exist_ok=True)
    config = re.sub(r"bind: \[.*\](?=, tls)", 'bind: ["127.0.0.1:0"]', CHAPTER.example("certificates.conf"))
    gate.config_file.write_text(config + "log: { format: json }\n")
    gate.reload()
    port = gate.port("pop3s")

    def der(name: str) -> bytes:
        return ssl.PEM_cert_to_DER_cert((place / f"{name}.pem").read_text())

    assert served(port, "pop.example.net")["certificate"] == der("pop")
    assert served(port, "pop.example.net", "aRSA")["certificate"] == der("pop-rsa")
    assert served(port, "branch.example.net")["certificate"] == der("branch")
    assert served(port, "other.example.net")["certificate"] == der("pop")


def test_explain(place: Path) -> None:
    line, = re.findall(r"`(popgate explain [^`]*)`", TEXT.replace("\n", " "))
    done = run_command(*shlex.split(line)[1:], "-c", "certificates.conf", cwd=place)
    assert done.returncode == 0 and "branch" in done.stdout, done.stderr


def test_the_wizard(workdir: Path, certificates: Certificates) -> None:
    """As it stands there, with an authority that nobody but us knows."""
    ca = certificates.chain("ca")
    example = CHAPTER.example("wizard").replace("\\\n", " ").replace("/etc/popgate/popgate.conf", "popgate.conf")
    commands = [shlex.split(line)[1:] for line in example.splitlines() if line.startswith("popgate")]
    assert [command[1] for command in commands] == ["request", "install", "check"]
    make_server(workdir, "fullchain", str(certificates.directory / "ca"), "DNS:pop.example.net")
    shutil.move(workdir / "fullchain.key", workdir / "privkey.pem")
    (workdir / "popgate.conf").write_text(FIRST)
    assert run_command(*commands[0], cwd=workdir).returncode == 0
    make_intermediate(workdir, "intermediate", str(certificates.directory / "ca"))
    (workdir / "answer.ext").write_text("subjectAltName=DNS:pop.example.net\nextendedKeyUsage=serverAuth\n")
    openssl(workdir, "x509", "-req", "-in", "new.csr", "-CA", "intermediate.pem", "-CAkey", "intermediate.key",
            "-CAcreateserial", "-days", "90", "-extfile", "answer.ext", "-out", "answer.pem")
    for command in commands[1:]:
        done = run_command(*command, "--ca", ca, cwd=workdir)
        assert done.returncode == 0, done.stderr + done.stdout
    assert (workdir / "fullchain.pem").read_text().count("BEGIN CERTIFICATE") == 2


def test_names_are_known() -> None:
    """Options, their words, events and verbs in backquotes."""
    named = {word for code in re.findall(r"`([^`\n]*)`", TEXT) for word in re.findall(r"^([a-z][a-z_]+)(?=:|$)", code)}
    assert len(named) > 20 and named - {"engine_problem", "sessionresumption_ticket"} <= WORDS


@pytest.mark.parametrize(("name", "value"), re.findall(r"`(\w+)` \((\d\w*)\b", TEXT))
def test_values_are_the_defaults(name: str, value: str) -> None:
    table = README.read_text().partition("\n## Settings\n")[2]
    assert re.search(rf"`{name}` \| `{value}` \|", table)
