"""`popgate cert`: from the request to the renewal, with OpenSSL and GnuTLS as judges, and curl as the client."""

import fcntl
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import clients
import pytest
from certs import Certificates
from clients import DEADLINE, PASSWORD, USER
from issuers import AUTHORITY, INTERMEDIATE, Issuer, Kind, key_options, openssl
from popgate import SANITIZER_OPTIONS, Config, Popgate, program, run_command, site
from stores import Dovecot, required

Done = subprocess.CompletedProcess[str]

CURL_DISTRUSTS = 60  # CURLE_PEER_FAILED_VERIFICATION


def cert(*arguments: str, cwd: Path | None = None) -> Done:
    return run_command("cert", *arguments, cwd=cwd)


def do(*arguments: str, cwd: Path) -> str:
    """Runs what must go well, without a complaint; what it prints."""
    done = cert(*arguments, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def complaint(*arguments: str, cwd: Path, status: int = 1) -> str:
    """Runs what must fail; what it says.  Nothing may have changed."""
    before = contents(cwd)
    done = cert(*arguments, cwd=cwd)
    assert (done.returncode, done.stdout) == (status, ""), done
    assert contents(cwd) == before
    return done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def found(output: str) -> list[str]:
    """The tokens of the findings of `check`."""
    return re.findall(r"^(?:error|remark) (\w+):", output, re.MULTILINE)


def site_with(certificates: Certificates, pairs: Config, *, port: int = 1, names: list[str] | None = None,
              **defaults: Any) -> Config:
    """The usual configuration with these certificates, before a store that matters not."""
    if names is not None:
        defaults["public_names"] = names
    return {**site(certificates, port, defaults=defaults), "certificates": pairs}


@pytest.fixture(scope="session")
def issuer(scratch: Path) -> Issuer:
    return Issuer(scratch / "issuer")


# requests

REQUEST = ["request", "--common-name", "mail.example.org", "--key", "new.key", "--request", "new.csr"]
SELF_SIGNED = ["self-signed", "--common-name", "localhost", "--key", "new.key", "--chain", "new.pem"]


def text_of(request: Path) -> str:
    return openssl("req", "-in", str(request), "-noout", "-verify", "-text", "-nameopt", "utf8,sep_comma_plus",
                   cwd=request.parent)


def test_a_request_says_all_that_was_asked_for(workdir: Path) -> None:
    said = do("request", "--common-name", "Mail.Example.ORG", "--name", "pop.example.org", "--name", "mail.example.org",
              "--name", "*.müller.example", "--name", "192.0.2.1", "--name", "2001:DB8::1",
              "--organization", "Ünion & Co", "--unit", "Post", "--country", "DE", "--state", "Berlin",
              "--city", "Köln", "--key", "new.key", "--request", "new.csr", cwd=workdir)
    assert "popgate cert install --chain ANSWER --key new.key" in said
    text = text_of(workdir / "new.csr")
    assert "Subject: C=DE,ST=Berlin,L=Köln,O=Ünion & Co,OU=Post,CN=mail.example.org\n" in text
    assert ("DNS:mail.example.org, DNS:pop.example.org, DNS:*.xn--mller-kva.example, IP Address:192.0.2.1, "
            "IP Address:2001:DB8:0:0:0:0:0:1\n") in text
    assert "CA:FALSE" in text and "Digital Signature\n" in text and "TLS Web Server Authentication" in text
    assert "NIST CURVE: P-256" in text
    assert do("show", "new.csr", cwd=workdir) == (
        "a request for a certificate\n"
        "subject: CN=mail.example.org,OU=Post,O=Ünion & Co,L=Köln,ST=Berlin,C=DE\n"
        "names: mail.example.org, pop.example.org, *.xn--mller-kva.example, 192.0.2.1, 2001:db8::1\n"
        "key: ECDSA P-256\n"
        "signature: good, by this key\n")


@pytest.mark.parametrize("kind, says", [("p256", "NIST CURVE: P-256"), ("p384", "NIST CURVE: P-384"),
                                        ("rsa-2048", "Public-Key: (2048 bit)"), ("rsa-3072", "Public-Key: (3072 bit)")])
def test_other_programs_find_the_request_good(workdir: Path, kind: str, says: str) -> None:
    do(*REQUEST, "--key-type", kind, cwd=workdir)
    assert says in text_of(workdir / "new.csr")
    judged = subprocess.run([required("certtool", "gnutls-bin"), "--crq-info", "--infile", "new.csr"], cwd=workdir,
                            capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert judged.returncode == 0 and "Self signature: verified" in judged.stdout
    public = openssl("req", "-in", "new.csr", "-noout", "-pubkey", cwd=workdir)
    assert public == openssl("pkey", "-in", "new.key", "-pubout", cwd=workdir)
    openssl("pkey", "-in", "new.key", "-check", "-noout", cwd=workdir)


@pytest.mark.parametrize("make", [REQUEST, SELF_SIGNED])
def test_only_the_owner_can_read_a_new_key_whatever_the_umask(workdir: Path, make: list[str]) -> None:
    before = os.umask(0)
    try:
        do(*make, cwd=workdir)
    finally:
        os.umask(before)
    assert (workdir / "new.key").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in workdir.iterdir()) == sorted(["new.key", make[-1]])


@pytest.mark.parametrize("make", [REQUEST, SELF_SIGNED])
def test_no_file_is_written_over(workdir: Path, make: list[str]) -> None:
    for name in ("new.key", make[-1]):
        (workdir / name).write_text("precious")
        assert complaint(*make, cwd=workdir) == (
            f"popgate: there is a file {name} already, which is never written over; name another one, or move it away; "
            "nothing was made\n")
        (workdir / name).unlink()
    (workdir / "new.key").symlink_to("nowhere")
    assert "there is a file new.key already" in complaint(*make, cwd=workdir)


@pytest.mark.parametrize("make, other", [(REQUEST, "request"), (SELF_SIGNED, "certificate")])
def test_one_file_cannot_hold_both(workdir: Path, make: list[str], other: str) -> None:
    assert complaint(*make[:-1], "new.key", cwd=workdir) == (
        f"popgate: new.key cannot hold both the key and the {other}; name two files\n")


LONG = "x" * 65

WRONG_REQUESTS = {
    "no name": (["--organization", "x"], "which host is the certificate for? say --common-name NAME"),
    "underscore": (["--common-name", "a_b.example"], '"a_b.example" is no host name for a certificate'),
    "blank": (["--common-name", "a b"], '"a b" has other characters than letters, digits, - and _'),
    "hyphen": (["--name", "-a.example"], '"-a.example" is no host name for a certificate'),
    "empty label": (["--name", "a..example"], "it has an empty label"),
    "star inside": (["--name", "a.*.example"], "the whole first label"),
    "star of all": (["--name", "*.org"], '"*.org" is no host name for a certificate'),
    "long": (["--common-name", "a.example", "--name", f"{LONG}.example"], "is longer than 63 characters"),
    "long common name": (["--common-name", "a." * 32 + "example"], "longer than 64 characters; give it by --name"),
    "country": (["--common-name", "a.example", "--country", "de"], 'the country "de" is not two capital letters'),
    "long text": (["--common-name", "a.example", "--organization", LONG], "organization is longer than 64 characters"),
    "control": (["--common-name", "a.example", "--unit", "a\nb"], "must be UTF-8 without control characters"),
    "no UTF-8": (["--common-name", "a.example", "--city", "K\udcf6ln"], "must be UTF-8 without control characters"),
    "empty": (["--common-name", "a.example", "--city", ""], "the city is empty; leave the option out"),
    "weak": (["--common-name", "a.example", "--key-type", "rsa-1024"], "keys of RSA below 2048 bits can be broken"),
    "type": (["--common-name", "a.example", "--key-type", "dsa"], 'there is no type of key "dsa"; take p256, p384,'),
}


@pytest.mark.parametrize("row", WRONG_REQUESTS)
def test_what_may_not_stand_in_a_certificate_is_refused(workdir: Path, row: str) -> None:
    arguments, words = WRONG_REQUESTS[row]
    assert words in complaint("request", *arguments, "--key", "new.key", "--request", "new.csr", cwd=workdir)


@pytest.mark.parametrize("name, reason", [
    ("999.1.1.1", "it ends in a number; only addresses do, and it is none"),
    ("..", "it has an empty label; there is one dot between two labels"),
    (".a.net", "it has an empty label; there is one dot between two labels"),
    ("*.a..net", "it has an empty label; there is one dot between two labels"),
])
@pytest.mark.parametrize("option", ["--common-name", "--name"])
def test_of_what_is_no_name_the_reason_is_told(workdir: Path, option: str, name: str, reason: str) -> None:
    said = complaint("request", option, name, "--key", "new.key", "--request", "new.csr", cwd=workdir)
    assert said == f'popgate: "{name.removeprefix("*.")}" is no name: {reason}\n'


def test_a_name_too_long_for_the_common_name_is_asked_for_as_a_name_alone(workdir: Path) -> None:
    name = "a." * 60 + "example"
    do("request", "--name", name, "--key", "new.key", "--request", "new.csr", cwd=workdir)
    text = text_of(workdir / "new.csr")
    assert "Subject: \n" in text
    assert f"X509v3 Subject Alternative Name: critical\n                    DNS:{name}\n" in text


@pytest.mark.parametrize("arguments, words", [
    ([], "what to do?"),
    (["renew"], "unknown verb renew"),
    (["request", "--chain", "x"], "this verb does not take --chain;"),
    (["request", "--nonsense"], "unknown option --nonsense"),
    (["request", "--key"], "an argument is missing after --key"),
    (["request", "--key", "a", "--key", "b"], "given twice: --key"),
    (["request", *65 * ["--name", "a.example"]], "given more than 64 times: --name"),
    (["request", "x"], "needless argument x"),
])
def test_a_wrong_command_line_is_told_so(workdir: Path, arguments: list[str], words: str) -> None:
    said = complaint(*arguments, cwd=workdir, status=2)
    assert words in said and said.endswith("; see `popgate cert help`\n")


def test_how_often_an_option_may_be_given_is_said(workdir: Path) -> None:
    sixty_four = [word for i in range(64) for word in ("--name", f"{i}.example")]
    do("request", *sixty_four, "--key", "new.key", "--request", "new.csr", cwd=workdir)
    assert "may be given again. At most 64 times. For request" in do("help", cwd=workdir)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["request", "--help"], ["install", "-h"]])
def test_help_is_given_however_it_is_asked_for(workdir: Path, arguments: list[str]) -> None:
    assert do(*arguments, cwd=workdir) == do("help", cwd=workdir)


@pytest.mark.parametrize("arguments, missing", [
    (["request", "--common-name", "a.example", "--request", "x"], "--key FILE"),
    (["request", "--common-name", "a.example", "--key", "x"], "--request FILE"),
    (["self-signed", "--common-name", "a.example", "--key", "x"], "--chain FILE"),
    (["install", "--key", "x"], "--chain FILE"),
    (["install", "--chain", "x", "--to-chain", "y"], "--to-key FILE"),
])
def test_a_missing_option_is_named(workdir: Path, arguments: list[str], missing: str) -> None:
    assert complaint(*arguments, cwd=workdir) == f"popgate: say {missing}; see `popgate cert help`\n"


# self-signed

def test_a_self_signed_certificate_is_what_it_says(workdir: Path) -> None:
    said = do(*SELF_SIGNED, "--name", "127.0.0.1", "--days", "10", cwd=workdir)
    assert "every client will warn of it" in said
    text = openssl("x509", "-in", "new.pem", "-noout", "-text", cwd=workdir)
    assert "DNS:localhost, IP Address:127.0.0.1\n" in text and "CA:FALSE" in text
    assert "TLS Web Server Authentication" in text
    openssl("verify", "-x509_strict", "-CAfile", "new.pem", "-purpose", "sslserver", "-verify_hostname", "localhost",
            "new.pem", cwd=workdir)
    assert re.search(r", (9|10) days left\n", do("show", "new.pem", cwd=workdir))
    assert check("--chain", "new.pem", "--key", "new.key", "--ca", "new.pem", "--name", "localhost", cwd=workdir) == (
        0, [])
    serial = openssl("x509", "-in", "new.pem", "-noout", "-serial", cwd=workdir).strip().removeprefix("serial=")
    assert len(serial) == 32 and int(serial[0], 16) < 8
    for path in ("new.key", "new.pem"):
        (workdir / path).unlink()
    do(*SELF_SIGNED, cwd=workdir)
    assert serial not in openssl("x509", "-in", "new.pem", "-noout", "-serial", cwd=workdir)
    for days in ("0", "x", "36501", "-1"):
        assert f"--days {days}: write a number" in complaint(*SELF_SIGNED, "--days", days, cwd=workdir)


# what goes wrong with files

def run_limited(arguments: list[str], cwd: Path, size: int) -> Done:
    """With a limit for the size of a file, as a disk is full in the middle of one."""
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return subprocess.run([program(), "cert", *arguments], cwd=cwd, capture_output=True, text=True, timeout=DEADLINE,
                          check=False, preexec_fn=limit, env={**os.environ, **SANITIZER_OPTIONS})


@pytest.mark.parametrize("make", [REQUEST, SELF_SIGNED])
@pytest.mark.parametrize("size", [0, 100, 300])
def test_a_full_disk_leaves_no_half_of_anything(workdir: Path, make: list[str], size: int) -> None:
    done = run_limited(make, workdir, size)
    assert (done.returncode, done.stdout) == (1, "")
    assert "File too large; make room there, or name another folder; nothing was made" in done.stderr
    assert not contents(workdir)


def as_nobody(arguments: list[str], cwd: Path) -> Done:
    if os.getuid() != 0:
        return run_command(*arguments, cwd=cwd)
    if not all(folder.stat().st_mode & 0o001 for folder in Path(program()).parents):
        pytest.skip("others cannot reach the program")
    command = [required("setpriv", "util-linux"), "--reuid=65534", "--regid=65534", "--clear-groups", program()]
    return subprocess.run([*command, *arguments], cwd=cwd, capture_output=True, text=True, timeout=DEADLINE,
                          check=False)


def test_a_folder_that_may_not_be_written_is_told_so(workdir: Path) -> None:
    workdir.chmod(0o555)
    done = as_nobody(["cert", *REQUEST], workdir)
    assert done.stderr == ("popgate: cannot write new.key: Permission denied; do it as root, or name another folder; "
                           "nothing was made\n")
    workdir.chmod(0o755)
    assert "make the folder first" in complaint(*REQUEST[:-1], "nowhere/new.csr", cwd=workdir)


@pytest.mark.parametrize("make", [REQUEST, SELF_SIGNED])
def test_in_a_folder_that_may_not_be_read_nothing_is_left(workdir: Path, make: list[str]) -> None:
    workdir.chmod(0o333)  # its names cannot be made to last through a crash
    done = as_nobody(["cert", *make], workdir)
    workdir.chmod(0o755)
    assert done.returncode == 1 and done.stderr.endswith("; nothing was made\n")
    assert not contents(workdir)


def test_a_long_argument_leaves_the_reason_whole(workdir: Path) -> None:
    """A path may have 4095 bytes; no reason is lost for that."""
    for name in ("x" * 4000, "x/" * 2000 + "xy.pem"):
        assert complaint("show", name, cwd=workdir).startswith(f"popgate: cannot read the certificate {name}: ")
        said = complaint("install", "--chain", "a.pem", "--key", name, "--to-chain", name, "--to-key", name,
                         cwd=workdir)
        assert said.startswith(("popgate: cannot look at ", f"popgate: {name} cannot hold both")) and name in said
    longest = "x/" * 2048
    for arguments, what in ((["show", longest], "the argument"),
                            (["check", "--chain", longest], "the argument of --chain")):
        assert complaint(*arguments, cwd=workdir, status=2) == (
            f"popgate: {what} is longer than a path or a name can be (4095 bytes); see `popgate cert help`\n")


# installing

@dataclass
class Place:
    """Where a certificate is to be installed: site.pem and site.key, by a configuration or without."""

    folder: Path
    issuer: Issuer

    @property
    def chain(self) -> Path:
        return self.folder / "site.pem"

    @property
    def key(self) -> Path:
        return self.folder / "site.key"

    def issue(self, name: str, kind: Kind | None = None, *, by: str = "intermediate") -> None:
        """NAME.key and NAME.pem of the issuer's, beside the place."""
        self.issuer.make(name, kind or Kind(), by=by)
        for suffix in ("key", "pem"):
            shutil.copy(self.issuer.path(f"{name}.{suffix}"), self.folder)

    def arguments(self, *chains: str, key: str | None = None, to: bool = True) -> list[str]:
        options = [word for chain in chains for word in ("--chain", chain)]
        options += ["--key", key] if key else []
        return ["install", *options, *(["--to-chain", "site.pem", "--to-key", "site.key"] if to else [])]

    def install(self, *chains: str, key: str | None = None, more: tuple[str, ...] = ()) -> str:
        return do(*self.arguments(*chains, key=key), *more, cwd=self.folder)

    def refuse(self, *chains: str, key: str | None = None, more: tuple[str, ...] = ()) -> str:
        said = complaint(*self.arguments(*chains, key=key), *more, cwd=self.folder)
        assert said.endswith("; nothing was installed\n")
        return said

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def place(workdir: Path, issuer: Issuer) -> Place:
    for name in ("root.pem", "intermediate.pem"):
        shutil.copy(issuer.path(name), workdir)
    made = Place(workdir, issuer)
    made.issue("leaf")
    return made


def test_the_chain_comes_in_order_and_the_root_stays_out(place: Place) -> None:
    said = place.install("root.pem", "leaf.pem", "intermediate.pem", key="leaf.key")
    assert "left out, clients have the authority themselves: CN=popgate test root\n" in said
    assert "rm leaf.key" in said and "popgate cert check" in said
    assert place.chain.read_text() == place.issuer.text("leaf", "intermediate")
    assert place.chain.stat().st_mode & 0o777 == 0o644 and place.key.stat().st_mode & 0o777 == 0o600
    openssl("verify", "-CAfile", "root.pem", "-untrusted", "site.pem", "site.pem", cwd=place.folder)
    again = place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    assert "this pair is in place already" in again and "site.pem.old" not in place.names()


def der(place: Place, name: str) -> str:
    openssl("x509", "-in", f"{name}.pem", "-outform", "DER", "-out", f"{name}.der", cwd=place.folder)
    return f"{name}.der"


def pkcs7(place: Place, form: str) -> str:
    openssl("crl2pkcs7", "-nocrl", "-certfile", "root.pem", "-certfile", "intermediate.pem", "-certfile", "leaf.pem",
            "-outform", form, "-out", f"all.{form}.p7b", cwd=place.folder)
    return f"all.{form}.p7b"


def with_texts(place: Place) -> str:
    text = "Dear customer,\r\n\r\n" + place.issuer.text("intermediate", "leaf", "intermediate", "root")
    (place.folder / "mail.txt").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    return "mail.txt"


def with_key(place: Place) -> str:
    (place.folder / "all.pem").write_text((place.folder / "leaf.key").read_text() +
                                          place.issuer.text("leaf", "intermediate", "root"))
    return "all.pem"


FORMS: dict[str, Callable[[Place], list[str]]] = {
    "DER": lambda place: [der(place, name) for name in ("intermediate", "leaf", "root")],
    "DER and PEM": lambda place: [der(place, "leaf"), "intermediate.pem", "root.pem"],
    "PKCS #7": lambda place: [pkcs7(place, "DER")],
    "PKCS #7 in PEM": lambda place: [pkcs7(place, "PEM")],
    "texts between": lambda place: [with_texts(place)],
    "key beside": lambda place: [with_key(place)],
}


@pytest.mark.parametrize("form", FORMS)
def test_whatever_form_an_authority_sends_is_taken(place: Place, form: str) -> None:
    place.install(*FORMS[form](place), key="leaf.key")
    assert place.chain.read_text() == place.issuer.text("leaf", "intermediate")
    assert "PRIVATE KEY" not in place.chain.read_text()


def test_what_is_not_of_the_chain_is_left_out_and_named(place: Place) -> None:
    place.issue("other", Kind("/CN=other"))
    said = place.install("leaf.pem", "intermediate.pem", "root.pem", "other.pem", "leaf.pem", key="leaf.key")
    assert "left out, not of this chain: CN=other\n" in said
    assert place.chain.read_text() == place.issuer.text("leaf", "intermediate")


def test_a_missing_intermediate_is_named_and_never_overlooked(place: Place) -> None:
    said = place.refuse("leaf.pem", key="leaf.key", more=("--ca", "root.pem"))
    assert ("the chain is incomplete: the certificate of CN=popgate test intermediate is missing, who has issued "
            "CN=localhost; it may be had from http://issuer.test/intermediate.der; get it and add it") in said
    said = place.refuse("leaf.pem", "intermediate.pem", key="leaf.key")
    assert "the certificate of CN=popgate test root is missing" in said
    place.install("leaf.pem", "intermediate.pem", key="leaf.key", more=("--ca", "root.pem"))
    said = place.install("leaf.pem", key="leaf.key", more=("--incomplete",))
    assert "incomplete, many clients will refuse it: nobody vouches for: CN=localhost\n" in said
    assert place.chain.read_text() == place.issuer.text("leaf")


def test_an_issuer_with_a_long_name_is_named_shortly(place: Place) -> None:
    """Two bytes for each letter, so that one of them stands where the name is cut."""
    long = "".join(f"/OU={'ü' * 60}{n % 10}" for n in range(20))
    openssl("req", "-x509", "-utf8", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            "long.key", "-out", "long.pem", "-subj", f"{long}/CN=long", cwd=place.folder)
    for name in ("long.key", "long.pem"):
        shutil.copy(place.folder / name, place.issuer.path(name))
    place.issue("byit", by="long")
    said = place.refuse("byit.pem", key="byit.key")
    assert "the certificate of CN=long,OU=üü" in said and "... is missing, who has issued CN=localhost; " in said
    assert "issuer: CN=long,OU=" in do("show", "byit.pem", cwd=place.folder)


def test_a_given_certificate_that_does_not_count_is_told_why(scratch: Path, workdir: Path) -> None:
    made = Issuer(scratch / "confused")
    made.make("twin", INTERMEDIATE, by="root")
    made.make("one", replace(INTERMEDIATE, subject="/CN=one"), by="root")
    made.make("two", replace(INTERMEDIATE, subject="/CN=two"), by="one")
    made.issue("one", INTERMEDIATE, by="two")
    made.make("server", replace(GOOD, subject="/CN=server"))
    made.make("plain", replace(GOOD, subject="/CN=plain").saying(keyUsage=""))
    made.issue("root", replace(AUTHORITY, start=-30, end=-1), by="root")
    place = Place(workdir, made)
    told = "; a certificate of that name was given, but does not count: "
    for by, given, missing, words in (
            ("intermediate", ("twin",), "popgate test intermediate", "it has another key than the one that has signed"),
            ("one", ("one", "two"), "one", "it stands in the chain already, and they vouch for each other in a circle"),
            ("server", ("server", "intermediate"), "server", "it may not issue any (CA:FALSE, or keyUsage without"),
            ("plain", ("plain", "intermediate"), "plain", "it may not issue any (CA:FALSE, or keyUsage without"),
            ("intermediate", ("intermediate", "root"), "popgate test root", "it has expired")):
        place.issue("leaf", GOOD, by=by)
        (workdir / "answer.pem").write_text(made.text("leaf", *given))
        said = place.refuse("answer.pem", key="leaf.key")
        assert f"the certificate of CN={missing} is missing" in said and told + words in said, given


def with_last_byte_flipped(place: Place, name: str) -> str:
    """Which is the signature's; what is in the certificate stays."""
    damaged = bytearray((place.folder / der(place, name)).read_bytes())
    damaged[-1] ^= 1
    (place.folder / "damaged.der").write_bytes(damaged)
    return "damaged.der"


def test_an_authority_that_clients_would_not_believe_is_none(scratch: Path, workdir: Path) -> None:
    made = Issuer(scratch / "unbelieved")
    made.make("over", replace(AUTHORITY, subject="/CN=over", start=-90, end=-1), by="over")
    made.make("twin", AUTHORITY, by="twin")
    place = Place(workdir, made)
    for name in ("root", "over", "twin", "intermediate"):
        shutil.copy(made.path(f"{name}.pem"), workdir)
    missing = "the certificate of CN={} is missing, who has issued CN={}"
    known = "; an authority of that name is known, but does not count: "
    place.issue("leaf", by="over")
    for others, why in (((), known), (("over.pem",), "; a certificate of that name was given, but does not count: ")):
        said = place.refuse("leaf.pem", *others, key="leaf.key", more=("--ca", "over.pem"))
        assert missing.format("over", "localhost") + why + "it has expired; " in said
    place.issue("leaf", by="root")
    said = place.refuse("leaf.pem", key="leaf.key", more=("--ca", "twin.pem"))
    assert missing.format("popgate test root", "localhost") in said
    assert known + "it has another key than the one that has signed; " in said
    (workdir / "both.pem").write_text(made.text("twin", "root"))
    place.install("leaf.pem", key="leaf.key", more=("--ca", "both.pem"))
    place.issue("leaf")
    said = place.refuse("leaf.pem", with_last_byte_flipped(place, "intermediate"), key="leaf.key", more=("--ca", "root.pem"))
    assert missing.format("popgate test root", "popgate test intermediate") in said


@pytest.fixture(scope="session")
def crossed(scratch: Path) -> Issuer:
    """Its root is vouched for by an older one too, now and, until some days ago, in another certificate.

    The intermediate has a certificate by the older one beside.
    """
    made = Issuer(scratch / "crossed")
    made.make("older", replace(AUTHORITY, subject="/CN=older root"), by="older")
    for name, like, kind in (("cross", "root", AUTHORITY), ("expired", "root", replace(AUTHORITY, start=-90, end=-1)),
                             ("other", "intermediate", INTERMEDIATE)):
        shutil.copy(made.path(f"{like}.csr"), made.path(f"{name}.csr"))
        made.issue(name, kind, by="older")
    return made


@pytest.mark.parametrize("known", ["root", "older"])
@pytest.mark.parametrize("given", [
    ("intermediate", "cross"), ("cross", "intermediate"), ("intermediate", "expired"), ("expired", "intermediate"),
    ("other", "intermediate"), ("intermediate", "other")])
def test_one_way_to_a_known_authority_is_enough(workdir: Path, crossed: Issuer, given: tuple[str, ...],
                                                known: str) -> None:
    place = Place(workdir, crossed)
    place.issue("leaf")
    (workdir / "answer.pem").write_text(crossed.text("leaf", *given))
    ca = str(crossed.path(f"{known}.pem"))
    if known == "older" and "expired" in given:
        said = place.refuse("answer.pem", key="leaf.key", more=("--ca", ca))
        assert "the certificate of CN=popgate test root has expired on" in said
        return
    place.install("answer.pem", key="leaf.key", more=("--ca", ca))
    openssl("verify", "-CAfile", ca, "-untrusted", "site.pem", "site.pem", cwd=workdir)
    assert check("--chain", "site.pem", "--name", "localhost", "--ca", ca, cwd=workdir) == (0, [])


@dataclass(frozen=True)
class Unfit:
    kind: Kind
    words: str


UNFIT = {
    "expired": Unfit(Kind(start=-30, end=-1), "the certificate of CN=localhost has expired on "),
    "too early": Unfit(Kind(start=1, end=30), "the certificate of CN=localhost is valid only from "),
}


@pytest.mark.parametrize("row", UNFIT)
def test_a_certificate_out_of_its_time_is_not_installed(place: Place, row: str) -> None:
    place.issue("unfit", UNFIT[row].kind)
    assert UNFIT[row].words in place.refuse("unfit.pem", "intermediate.pem", "root.pem", key="unfit.key")


def test_a_key_of_another_certificate_is_not_installed(place: Place) -> None:
    place.issue("other")
    said = place.refuse("leaf.pem", "intermediate.pem", "root.pem", key="other.key")
    assert "the private key other.key belongs to no certificate in leaf.pem and the others; name the key" in said
    openssl("req", "-new", "-key", "leaf.key", "-subj", "/CN=localhost", "-out", "leaf.csr", cwd=place.issuer.directory)
    shutil.copy(place.issuer.path("leaf.pem"), place.folder / "first.pem")
    place.issuer.issue("leaf", Kind())
    said = place.refuse("first.pem", str(place.issuer.path("leaf.pem")), "intermediate.pem", "root.pem", key="leaf.key")
    assert "there are several certificates for the private key leaf.key; leave out the old one" in said


def wrong_files(place: Place) -> dict[str, tuple[str, str, str]]:
    """What is given as --chain and --key, and the words of the refusal."""
    files = {"half.pem": place.issuer.text("leaf")[:400], "empty.pem": "", "text.pem": "a certificate\n",
             "cut.key": (place.folder / "leaf.key").read_text()[:-80],
             "ssh.key": "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"}
    for name, text in files.items():
        (place.folder / name).write_text(text)
    openssl("pkey", "-in", "leaf.key", "-aes256", "-passout", "pass:x", "-out", "sealed.key", cwd=place.folder)
    openssl("pkcs12", "-export", "-in", "leaf.pem", "-inkey", "leaf.key", "-passout", "pass:", "-out", "leaf.p12",
            cwd=place.folder)
    openssl("pkcs8", "-topk8", "-in", "leaf.key", "-outform", "DER", "-passout", "pass:x", "-out", "sealed.der",
            cwd=place.folder)
    openssl("pkey", "-in", "leaf.key", "-pubout", "-out", "public.pem", cwd=place.folder)
    openssl("req", "-x509", *key_options("secp256k1"), "-nodes", "-subj", "/CN=x", "-keyout", "koblitz.key", "-out",
            "koblitz.pem", cwd=place.folder)
    openssl("ec", "-in", "koblitz.key", "-out", "old-koblitz.key", cwd=place.folder)
    openssl("pkey", "-in", "leaf.key", "-traditional", "-camellia256", "-passout", "pass:x", "-out", "camellia.key",
            cwd=place.folder)
    os.mkfifo(place.folder / "pipe")
    openssl("genpkey", "-algorithm", "RSA-PSS", "-out", "pss.key", cwd=place.folder)
    return {
        "a public key": ("public.pem", "leaf.key", "from public.pem: it is a public key; name the file of the certif"),
        "curve": ("koblitz.pem", "koblitz.key", "the private key koblitz.key is of a kind that popgate does not know;"),
        "RSA-PSS": ("leaf.pem", "pss.key", "the private key pss.key is of a kind that popgate does not know; get a"),
        "absent": ("no.pem", "leaf.key", "cannot read the certificate no.pem: No such file or directory; see whether "
                   "its name is right"),
        "folder": (".", "leaf.key", "cannot read the certificate .: Is a directory; name an ordinary file"),
        "pipe": ("pipe", "leaf.key", "cannot read the certificate pipe: it is no ordinary file; name an ordinary file"),
        "half": ("half.pem", "leaf.key", "from half.pem: a block of it is damaged or cut off; fetch the file again"),
        "empty": ("empty.pem", "leaf.key", "the certificate empty.pem is empty; name the right file"),
        "text": ("text.pem", "leaf.key", "from text.pem: it holds no certificate (-----BEGIN CERTIFICATE-----)"),
        "a request": (str(place.issuer.path("leaf.csr")), "leaf.key", "it is a request for a certificate"),
        "a key": ("leaf.key", "leaf.key", "it is a private key; name the file of the certificate"),
        "PKCS #12": ("leaf.p12", "leaf.key", "it is a PKCS #12 file (.p12, .pfx); take it apart first"),
        "no key": ("leaf.pem", "leaf.pem", "leaf.pem holds no private key (-----BEGIN PRIVATE KEY-----)"),
        "absent key": ("leaf.pem", "no.key", "cannot read the private key no.key: No such file or directory; see "
                       "whether its name is right"),
        "cut off key": ("leaf.pem", "cut.key", "the private key cut.key is cut off or damaged; take it from a backup"),
        "OpenSSH": ("leaf.pem", "ssh.key", "the private key ssh.key is in OpenSSH's own form, which popgate does not "
                    "read; change a copy of it (cp ssh.key NEW.key && ssh-keygen -p -N '' -m PKCS8 -f NEW.key)"),
        "Camellia": ("leaf.pem", "camellia.key", "the private key camellia.key is encrypted; take the passphrase off"),
        "old curve": ("koblitz.pem", "old-koblitz.key", "the private key old-koblitz.key is of a kind that popgate "
                      "does not know; get a certificate"),
        "PKCS #12 as key": ("leaf.pem", "leaf.p12", "leaf.p12 is a PKCS #12 file (.p12, .pfx); take the key out first"),
        "sealed DER": ("leaf.pem", "sealed.der", "the private key sealed.der is encrypted; take the passphrase off"),
        "certificate as key": ("leaf.pem", der(place, "leaf"), "leaf.der holds no private key"),
        "sealed": ("leaf.pem", "sealed.key", "the private key sealed.key is encrypted; take the passphrase off"),
    }


def test_files_that_are_something_else_are_named_for_what_they_are(place: Place) -> None:
    for row, (chain, key, words) in wrong_files(place).items():
        said = place.refuse(chain, key=key)
        assert words in said, row


def owner_of(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid, status.st_mode & 0o777


def test_the_old_pair_is_kept_and_its_owners_and_modes_too(place: Place) -> None:
    place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    if os.getuid() == 0:
        os.chown(place.key, 65534, 65534)
    place.key.chmod(0o644)  # for everybody, which is put right
    place.chain.chmod(0o640)
    wanted = [owner_of(place.chain), (*owner_of(place.key)[:2], 0o640)]
    old = {name: (place.folder / name).read_bytes() for name in ("site.pem", "site.key")}
    place.issue("renewed")
    said = place.install("renewed.pem", "intermediate.pem", "root.pem", key="renewed.key")
    assert "kept: site.pem.old\nkept: site.key.old\n" in said
    assert {name: (place.folder / f"{name}.old").read_bytes() for name in old} == old
    assert [owner_of(place.chain), owner_of(place.key)] == wanted
    assert place.chain.read_text() == place.issuer.text("renewed", "intermediate")
    assert not drafts(place.folder)


def test_a_renewal_for_the_same_key_needs_no_key(place: Place) -> None:
    place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    key = place.key.read_bytes()
    place.key.chmod(0o644)
    place.issuer.issue("leaf", Kind(end=120))
    shutil.copy(place.issuer.path("leaf.pem"), place.folder)
    said = place.install("leaf.pem", "intermediate.pem", "root.pem")
    assert "rm " not in said
    assert place.chain.read_text() == place.issuer.text("leaf", "intermediate") and place.key.read_bytes() == key
    kept = place.folder / "site.key.old"
    assert kept.read_bytes() == key  # with site.pem.old it is a pair
    assert owner_of(kept)[2] == 0o640  # a key is never for everybody
    place.key.write_bytes(b"written in place")
    assert kept.read_bytes() == key


def test_whatever_lies_in_a_place_is_kept_as_it_is(place: Place) -> None:
    """Also what is no certificate or key, is empty, or larger than any of them."""
    old = {place.chain: b"", place.key: os.urandom(3 * 1024 * 1024)}
    for path, content in old.items():
        path.write_bytes(content)
    place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    assert {path: Path(f"{path}.unfit").read_bytes() for path in old} == old


def configured_pairs(place: Place, certificates: Certificates, *names: str) -> None:
    """popgate.yaml with a certificate of each name, NAME.pem and NAME.key in its folder."""
    pairs = {name: {"chain": f"{name}.pem", "key": f"{name}.key"} for name in names}
    (place.folder / "popgate.yaml").write_text(json.dumps(site_with(certificates, pairs)))


def test_nobody_is_told_to_remove_a_key_in_use(place: Place, certificates: Certificates) -> None:
    """The only copy, however it is named; another certificate's; certbot's; what has a second name."""
    folder = place.folder
    chains = ("--chain", "answer.pem", "--chain", "intermediate.pem", "--chain", "root.pem", "-c", "popgate.yaml")

    def install(key: str, name: str = "site") -> str:
        return do("install", *chains, "--key", key, name, cwd=folder)

    configured_pairs(place, certificates, "site", "other")
    (folder / "leaf.pem").rename(folder / "answer.pem")
    (folder / "leaf.key").rename(place.key)  # as `request --key site.key` leaves it
    place.issue("other")
    place.chain.write_text(place.issuer.text("other"))
    said = install("site.key")
    assert "kept: site.pem.unfit" not in said and f"kept: {folder}/site.pem.unfit\n" in said
    assert "rm " not in said and "site.key.unfit" not in place.names()
    assert "rm " not in install("./site.key") and "rm " not in install(str(folder / "." / "site.key"))
    (folder / "link.key").symlink_to("site.key")
    (folder / "inner").symlink_to(".")
    assert "rm " not in install("link.key") and "rm " not in install("inner/site.key")
    assert "rm " not in install("site.key", "other")
    shutil.copy(place.key, folder / "archive.key")
    (folder / "privkey.pem").symlink_to("archive.key")
    assert "rm " not in install("privkey.pem")
    (folder / "hard.key").hardlink_to(folder / "archive.key")
    assert "rm " not in install("hard.key")
    (folder / "hard.key").unlink()
    assert "unless something else uses it there, it is needed no more: rm archive.key\n" in install("archive.key")
    assert place.key.is_file() and (folder / "other.key").read_bytes() == place.key.read_bytes()


def test_going_back_to_the_kept_pair_takes_its_place(place: Place) -> None:
    for name in ("leaf", "second"):
        place.issue(name)
        place.install(f"{name}.pem", "intermediate.pem", "root.pem", key=f"{name}.key")
    said = place.install("site.pem.old", "root.pem", key="site.key.old")
    assert "rm " not in said  # site.key.old is the second's from now on
    assert (place.folder / "site.key.old").read_bytes() == (place.folder / "second.key").read_bytes()


def test_an_authority_is_not_told_to_remove_its_key(place: Place) -> None:
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
            "-out", "ca.pem", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", cwd=place.folder)
    assert "rm " not in place.install("ca.pem", key="ca.key")


def test_a_pair_that_does_not_fit_is_not_kept_in_the_place_of_one_that_does(place: Place) -> None:
    place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    place.issue("second")
    place.install("second.pem", "intermediate.pem", "root.pem", key="second.key")
    place.issue("third")
    shutil.copy(place.folder / "third.key", place.key)  # as after a crash between the two
    said = place.install("third.pem", "intermediate.pem", "root.pem", key="third.key")
    assert "kept: site.pem.unfit\n" in said
    assert (place.folder / "site.key.old").read_text() != (place.folder / "third.key").read_text()
    assert (place.folder / "site.pem.old").read_text() == place.issuer.text("leaf", "intermediate")


def test_a_symbolic_link_is_not_replaced(place: Place) -> None:
    place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    place.chain.rename(place.folder / "archive.pem")
    place.chain.symlink_to("archive.pem")
    assert "site.pem is no ordinary file, and will not be replaced" in place.refuse(
        "leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    said = complaint("install", "--chain", "leaf.pem", "--key", "leaf.key", "--ca", "root.pem", "--to-chain", "x",
                     "--to-key", "x", cwd=place.folder)
    assert "x cannot hold both the certificate and the key; name two files" in said


@pytest.mark.parametrize("size", [0, 300, 1000])
def test_a_full_disk_leaves_the_old_pair(place: Place, size: int) -> None:
    place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    place.issue("renewed")
    before = contents(place.folder)
    done = run_limited(place.arguments("renewed.pem", "intermediate.pem", "root.pem", key="renewed.key"), place.folder,
                       size)
    assert done.returncode == 1 and "make room there" in done.stderr and "nothing was installed" in done.stderr
    assert contents(place.folder) == before


def test_a_kept_pair_gives_way_to_a_whole_pair_only(place: Place) -> None:
    """Whatever befalls the copy of either file, or its folder; the first of two calls of sendfile(2) copies a file."""
    for name in ("first", "second", "renewed"):
        place.issue(name)
    for name in ("first", "second"):
        place.install(f"{name}.pem", "intermediate.pem", "root.pem", key=f"{name}.key")
    before = contents(place.folder)
    for inject in ("/^sendfile:error=ENOSPC:when=1", "/^sendfile:error=ENOSPC:when=3", "/^fsync:error=EIO:when=5"):
        done = install_traced(place, inject)
        assert done.returncode == 1 and done.stderr.endswith("; nothing was installed\n") and "kept:" not in done.stdout
        assert contents(place.folder) == before, inject
    place.install("renewed.pem", "intermediate.pem", "root.pem", key="renewed.key")
    assert (place.folder / "site.pem.old").read_text() == place.issuer.text("second", "intermediate")


def test_who_may_not_read_the_old_key_leaves_nothing_beside_it(place: Place) -> None:
    place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    place.issue("renewed")
    before = contents(place.folder)
    place.folder.chmod(0o777)
    place.key.chmod(0)
    (place.folder / "renewed.key").chmod(0o644)
    done = as_nobody(["cert", *place.arguments("renewed.pem", "intermediate.pem", "root.pem", key="renewed.key")],
                     place.folder)
    place.key.chmod(0o600)
    assert done.stderr == ("popgate: cannot read site.key: Permission denied; do it as root; "
                           "nothing was installed\n")
    assert contents(place.folder) == before


def install_traced(place: Place, inject: str) -> Done:
    """Installs renewed.pem while something befalls the process at a call of the kernel."""
    arguments = place.arguments("renewed.pem", "intermediate.pem", "root.pem", key="renewed.key")
    return subprocess.run(
        [required("strace", "strace"), "-f", "-o", "/dev/null", "-e", f"inject={inject}", program(), "cert",
         *arguments], cwd=place.folder, capture_output=True, text=True, timeout=DEADLINE, check=False,
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})  # which cannot be traced


def test_installs_at_a_time_leave_a_pair_that_fits(place: Place) -> None:
    """Each is stopped where it has one of the two in place already, and the others come meanwhile."""
    names = ["first", "second", "third"]
    for name in names:
        place.issue(name)
    command = [required("strace", "strace"), "-o", "/dev/null", "-e", "inject=/^rename:delay_exit=20000", program(),
               "cert"]
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    for _ in range(3):
        running = [subprocess.Popen([*command, *place.arguments(f"{name}.pem", "intermediate.pem", "root.pem",
                                                                key=f"{name}.key")], cwd=place.folder,
                                    stdout=subprocess.DEVNULL, env=environment) for name in names]
        assert [process.wait(DEADLINE) for process in running] == [0] * len(names)
        assert fits(place) and fits(place, ".old")


def test_a_folder_that_others_hold_is_told_after_a_while(place: Place) -> None:
    descriptor = os.open(place.folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert "another process is at work in the folder .; let it finish, or see which one that is (fuser -v .)" in \
            place.refuse("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    finally:
        os.close(descriptor)
    (place.folder / "keys").mkdir()
    chains = place.arguments("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key", to=False)
    do(*chains, "--to-chain", "site.pem", "--to-key", "keys/site.key", cwd=place.folder)
    assert "nowhere/site.key: No such file or directory; make the folder first" in complaint(
        *chains, "--to-chain", "site.pem", "--to-key", "nowhere/site.key", cwd=place.folder)


def public_key(path: Path) -> str:
    kind = ["pkey", "-pubout"] if ".key" in path.name else ["x509", "-noout", "-pubkey"]
    return openssl(*kind, "-in", str(path), cwd=path.parent)


def fits(place: Place, ending: str = "") -> bool:
    return public_key(place.folder / f"site.pem{ending}") == public_key(place.folder / f"site.key{ending}")


def test_a_crash_at_any_point_leaves_a_pair_that_fits(place: Place) -> None:
    """The process is killed at its first, second, ... call of each kind; the pair in place, or at worst .old, fits."""
    place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    place.issue("renewed")
    original = {path: path.read_bytes() for path in (place.chain, place.key)}
    kills = torn = 0
    for call in ("/^fsync", "/chmod", "/^link", "/^rename", "/^unlink"):
        for when in range(1, 10):
            for path, text in original.items():
                path.unlink()  # .old may be the same file
                path.write_bytes(text)
            done = install_traced(place, f"{call}:signal=KILL:when={when}")
            if done.returncode == 0:
                break
            assert done.returncode == -signal.SIGKILL
            kills += 1
            torn += not fits(place)
            assert fits(place) or fits(place, ".old"), f"killed at {call} {when}"
    assert kills > 10 and torn <= 1  # between the two renames
    place.install("renewed.pem", "intermediate.pem", "root.pem", key="renewed.key")
    assert fits(place)


def drafts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if "draft" in path.name)


# what is none of ours: other endings, other files' drafts, and what is no file
STRANGE = ["site.key.backup", "site.key.popgate-draft-old", "other.key.popgate-draft-Ab3dEf",
           "site.key.popgate-draft-Ab3dEfg"]


def test_what_an_interrupted_install_has_left_is_removed_by_the_next(place: Place) -> None:
    place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    place.issue("renewed")
    for name in STRANGE:
        (place.folder / name).write_text("precious")
    (place.folder / "site.key.popgate-draft-folder").mkdir()
    (place.folder / "site.pem.popgate-draft-tolink").symlink_to("site.pem")
    before = drafts(place.folder)
    for when in (1, 2, 3, 4):
        assert install_traced(place, f"/^rename:signal=KILL:when={when}").returncode == -signal.SIGKILL
    left = set(drafts(place.folder)) - set(before)
    assert left and all(re.fullmatch(r"site\.(pem|key)(\.\w+)?\.popgate-draft-\w{6}", name) for name in left)
    said = place.install("renewed.pem", "intermediate.pem", "root.pem", key="renewed.key")
    assert drafts(place.folder) == before and all((place.folder / name).read_text() == "precious" for name in STRANGE)
    assert set(re.findall("^removed, an interrupted run had left it: (.*)$", said, re.MULTILINE)) <= left


def test_what_an_interrupted_request_has_left_is_removed_by_the_next(workdir: Path) -> None:
    trace = [required("strace", "strace"), "-o", "/dev/null", "-e", "inject=/^link:signal=KILL:when=1"]
    done = subprocess.run([*trace, program(), "cert", *REQUEST], cwd=workdir, capture_output=True, timeout=DEADLINE,
                          check=False, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    left = drafts(workdir)
    assert done.returncode == -signal.SIGKILL and len(left) == 2
    (workdir / "new.key").unlink(missing_ok=True)
    said = do(*REQUEST, cwd=workdir)
    assert sorted(re.findall("^removed, an interrupted run had left it: (.*)$", said, re.MULTILINE)) == left
    assert sorted(path.name for path in workdir.iterdir()) == ["new.csr", "new.key"]


def test_the_old_pair_is_kept_on_the_disk_before_it_is_replaced(place: Place) -> None:
    place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    place.issue("renewed")
    subprocess.run([required("strace", "strace"), "-o", "calls", "-e", "trace=/^(fsync|rename)", program(), "cert",
                    *place.arguments("renewed.pem", "intermediate.pem", "root.pem", key="renewed.key")],
                   cwd=place.folder, capture_output=True, timeout=DEADLINE, check=True,
                   env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    calls = re.findall(r'^(?:(fsync)|rename.*, "(.*)"\))', (place.folder / "calls").read_text(), re.MULTILINE)
    steps = [sync or name for sync, name in calls]
    assert steps == [*["fsync"] * 6, "site.pem.old", "site.key.old", *["fsync"] * 2, "site.key", "site.pem",
                     *["fsync"] * 2]


@pytest.mark.parametrize("isolation", ["on", "off"])
@pytest.mark.parametrize("torn", ["site.pem", "site.key"])
def test_half_a_pair_is_told_with_what_brings_the_old_one_back(
        start: Callable[..., Popgate], certificates: Certificates, place: Place, torn: str, isolation: str) -> None:
    place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    place.issue("renewed")
    place.install("renewed.pem", "intermediate.pem", "root.pem", key="renewed.key")
    shutil.copy(place.folder / f"{torn}.old", place.folder / torn)  # as after a power cut between the two
    config = {**site(certificates, 1, key_isolation=isolation),
              "certificates": {"site": {"chain": str(place.chain), "key": str(place.key)}}}
    file = place.folder / "popgate.conf"
    file.write_text(json.dumps(config))
    command = f"cp -p {place.chain}.old {place.chain} && cp -p {place.key}.old {place.key}"
    said = f"the pair of before is still there, and comes back by: {command}"
    assert said in run_command("check", "-c", str(file)).stderr
    assert said in run_command("serve", "-c", str(file)).stderr
    subprocess.run(["sh", "-c", command], check=True)
    assert run_command("check", "-c", str(file)).returncode == 0
    start(config)


def test_commands_to_run_are_right_whatever_the_files_are_called(certificates: Certificates, place: Place) -> None:
    said = do("request", "--name", "pop.example.org", "--key", "it's new.key", "--request", "new.csr", cwd=place.folder)
    assert "popgate cert install --chain ANSWER --key 'it'\\''s new.key'\n" in said
    shutil.copy(place.folder / "leaf.key", place.folder / "leaf key")
    assert "rm 'leaf key'\n" in place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf key")
    place.issue("renewed")
    place.install("renewed.pem", "intermediate.pem", "root.pem", key="renewed.key")
    other = Place(place.folder / "it's $HOME", place.issuer)
    shutil.copytree(place.folder, other.folder)
    other.key.write_text("torn")
    file = other.folder / "popgate.conf"
    file.write_text(json.dumps(site_with(certificates, {"site": {"chain": str(other.chain), "key": str(other.key)}})))
    command = run_command("check", "-c", str(file)).stderr.partition("comes back by: ")[2]
    subprocess.run(["sh", "-c", command], check=True)
    assert run_command("check", "-c", str(file)).returncode == 0


def test_there_is_no_way_back_to_a_pair_that_has_expired(certificates: Certificates, place: Place) -> None:
    place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    place.issue("renewed")
    place.install("renewed.pem", "intermediate.pem", "root.pem", key="renewed.key")
    place.issuer.issue("leaf", Kind(start=-30, end=-1))
    shutil.copy(place.issuer.path("leaf.pem"), place.folder / "site.pem.old")
    place.key.unlink()
    file = place.folder / "popgate.conf"
    file.write_text(json.dumps({**site(certificates, 1), "certificates": {
        "site": {"chain": str(place.chain), "key": str(place.key)}}}))
    said = run_command("check", "-c", str(file)).stderr
    assert f"cannot read the private key {place.key}: No such file" in said and ".old" not in said


def test_who_may_not_read_the_key_is_told_of_no_way_back(certificates: Certificates, place: Place) -> None:
    place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    place.issue("renewed")
    place.install("renewed.pem", "intermediate.pem", "root.pem", key="renewed.key")
    place.key.chmod(0)
    file = place.folder / "popgate.conf"
    file.write_text(json.dumps({**site(certificates, 1, key_isolation="off"), "certificates": {
        "site": {"chain": str(place.chain), "key": str(place.key)}}}))
    said = as_nobody(["check", "-c", str(file)], place.folder).stderr
    assert said.endswith(f"cannot read the private key {place.key}: Permission denied; do it as root, or let "
                         "this user read it\n")


def test_when_the_second_file_does_not_come_the_first_goes_back(place: Place) -> None:
    place.install("leaf.pem", "intermediate.pem", "root.pem", key="leaf.key")
    place.issue("renewed")
    before = {path: (path.read_bytes(), owner_of(path)) for path in (place.chain, place.key)}
    done = install_traced(place, "/^rename:error=EIO:when=4")
    assert done.returncode == 1 and "cannot write site.pem: Input/output error; nothing was installed" in done.stderr
    assert {path: (path.read_bytes(), owner_of(path)) for path in before} == before
    for path in (*before, *(Path(f"{path}.old") for path in before)):
        path.unlink()
    done = install_traced(place, "/^rename:error=EIO:when=2")
    assert done.returncode == 1 and not place.names() & {"site.pem", "site.key"}


# showing

def test_show_says_what_a_certificate_is(place: Place) -> None:
    said = do("show", "leaf.pem", cwd=place.folder)
    fingerprint = openssl("x509", "-in", "leaf.pem", "-noout", "-fingerprint", "-sha256", cwd=place.folder)
    serial = openssl("x509", "-in", "leaf.pem", "-noout", "-serial", cwd=place.folder)
    lines = dict(line.split(": ", 1) for line in said.splitlines())
    assert lines["subject"] == "CN=localhost" and lines["names"] == "localhost"
    assert lines["issuer"] == "CN=popgate test intermediate"
    assert re.search(r" UTC, (89|90) days left$", lines["valid"])
    assert (lines["key"], lines["signature"]) == ("ECDSA P-256", "ecdsa-with-SHA256")
    assert lines["serial"].replace(":", "") == serial.strip().removeprefix("serial=")
    assert lines["SHA-256"] == fingerprint.strip().partition("=")[2]
    (place.folder / "all.pem").write_text(place.issuer.text("leaf", "intermediate", "root"))
    said = do("show", "all.pem", cwd=place.folder)
    assert re.findall(r"^certificate . of 3$", said, re.MULTILINE) == [f"certificate {n} of 3" for n in (1, 2, 3)]
    assert "issuer: CN=popgate test root (itself)\n" in said


def test_hostile_texts_in_a_certificate_do_not_reach_the_terminal(place: Place) -> None:
    place.issue("hostile", Kind("/CN=a\x1b[31mb", "DNS:a\x1b]0;x\x07b.example"))
    said = do("show", "hostile.pem", cwd=place.folder)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said)


def test_show_of_the_configuration(place: Place, certificates: Certificates) -> None:
    config = place.folder / "popgate.yaml"
    pair = {"chain": "leaf.pem", "key": "leaf.key"}
    config.write_text(json.dumps(site_with(certificates, {"one": pair, "two": {**pair, "chain": "no.pem"}})))
    done = cert("show", "-c", str(config))
    assert done.returncode == 1 and f"one ({place.folder}/leaf.pem)\nsubject: CN=localhost\n" in done.stdout
    assert "cannot read the certificate" in done.stderr
    assert do("show", "one", "-c", str(config), cwd=place.folder).startswith("one (")
    assert 'has no certificate "three"; there are: one, two' in complaint("show", "three", "-c", str(config),
                                                                          cwd=place.folder)


# checking: what is wrong, what is found, and whether curl does not believe it either

@dataclass(frozen=True)
class Flaw:
    """A certificate with a flaw, the chain it comes with, and what is found."""

    kind: Kind
    found: list[str]
    refused: bool | None = True  # by curl; None: it depends on the client
    chain: tuple[str, ...] = ("flawed", "intermediate")
    by: str = "intermediate"
    known: str = "root"  # the authority that clients know


GOOD = Kind()

FLAWS = {
    "none": Flaw(GOOD, [], False),
    "wildcard": Flaw(replace(GOOD, names="DNS:localhost,DNS:*.example.org"), [], False),
    "expired": Flaw(replace(GOOD, start=-90, end=-1), ["expired"]),
    "not yet valid": Flaw(replace(GOOD, start=1), ["not_yet_valid"]),
    "expires soon": Flaw(replace(GOOD, start=-60, end=20), ["expires_soon"], False),
    "short-lived": Flaw(replace(GOOD, start=-2, end=4.5), [], False),
    "wrong name": Flaw(replace(GOOD, subject="/CN=localhost", names="DNS:mail.example.org"), ["name_missing"]),
    "wildcard above": Flaw(replace(GOOD, names="DNS:*.localhost"), ["wildcard_label"]),
    "common name alone": Flaw(replace(GOOD, names=""), ["no_names"], None),
    "e-mail alone": Flaw(replace(GOOD, names="email:a@example.org"), ["no_names"], None),
    "no intermediate": Flaw(GOOD, ["chain_incomplete"], chain=("flawed",)),
    "other authority": Flaw(GOOD, ["chain_incomplete", "needless_certificate"], by="stranger"),
    "other root": Flaw(GOOD, ["authority_unknown", "root_in_chain"], by="stranger", chain=("flawed", "stranger")),
    "itself": Flaw(GOOD, ["self_signed"], by="flawed", chain=("flawed",)),
    "wrong order": Flaw(GOOD, ["chain_order", "root_in_chain"], None, chain=("flawed", "root", "intermediate")),
    "root too": Flaw(GOOD, ["root_in_chain"], False, chain=("flawed", "intermediate", "root")),
    "stranger too": Flaw(GOOD, ["needless_certificate"], False, chain=("flawed", "intermediate", "stranger")),
    "twice": Flaw(GOOD, ["needless_certificate"], False, chain=("flawed", "intermediate", "intermediate")),
    "weak key": Flaw(replace(GOOD, key="rsa:1024"), ["key_weak"]),
    "SHA-1": Flaw(replace(GOOD, digest="sha1"), ["signature_weak"]),
    "old intermediate": Flaw(GOOD, ["issuer_out_of_time"], by="old", chain=("flawed", "old")),
    "old root": Flaw(GOOD, ["authority_out_of_time"], by="over", chain=("flawed",), known="over"),
    "old root too": Flaw(GOOD, ["authority_out_of_time", "root_in_chain"], by="over", chain=("flawed", "over"),
                         known="over"),
    "early root": Flaw(GOOD, ["authority_out_of_time"], by="early", chain=("flawed",), known="early"),
    "renewed root": Flaw(GOOD, [], False, by="again", chain=("flawed",), known="both"),
    "weak root": Flaw(GOOD, ["issuer_key_weak"], by="weak", chain=("flawed",), known="weak"),
    "weak root too": Flaw(GOOD, ["issuer_key_weak", "root_in_chain"], by="weak", chain=("flawed", "weak"), known="weak"),
    "weak intermediate": Flaw(GOOD, ["issuer_key_weak"], by="small", chain=("flawed", "small")),
    "authority": Flaw(GOOD.saying(basicConstraints="CA:TRUE", keyUsage="digitalSignature,keyCertSign"),
                      ["leaf_is_authority"], None),
    "for clients": Flaw(GOOD.saying(extendedKeyUsage="clientAuth"), ["not_for_servers"]),
    "to be stapled": Flaw(GOOD.saying(tlsfeature="status_request"), ["staple_unknown"], None),
    "another feature": Flaw(GOOD.saying(tlsfeature="17"), [], None),
    "not for signing": Flaw(GOOD.saying(keyUsage="keyAgreement"), ["cannot_sign"], None),
    "issued by a server": Flaw(GOOD, ["chain_incomplete", "needless_certificate", "needless_certificate"], by="leaf",
                               chain=("flawed", "leaf", "intermediate")),
    "not to be issued": Flaw(GOOD, ["chain_wrong"], by="constrained", chain=("flawed", "constrained")),
    "too long": Flaw(replace(GOOD, end=900), ["valid_too_long"], False),
}


@pytest.fixture(scope="session")
def flaws(scratch: Path) -> Issuer:
    """An issuer with others beside: a stranger, old and weak ones, and a server's certificate."""
    made = Issuer(scratch / "flaws")
    made.make("stranger", replace(AUTHORITY, subject="/CN=stranger"), by="stranger")
    made.make("old", replace(INTERMEDIATE, subject="/CN=old intermediate", start=-90, end=-1), by="root")
    for name, kind in (("over", replace(AUTHORITY, start=-90, end=-1)), ("early", replace(AUTHORITY, start=1)),
                       ("again", AUTHORITY), ("weak", replace(AUTHORITY, key="rsa:1024"))):
        made.make(name, replace(kind, subject=f"/CN={name} root"), by=name)
    for name in ("csr", "key"):
        shutil.copy(made.path(f"again.{name}"), made.path(f"before.{name}"))
    made.issue("before", replace(AUTHORITY, subject="/CN=again root", start=-90, end=-1), by="before")
    made.path("both.pem").write_text(made.text("before", "again"))
    made.make("small", replace(INTERMEDIATE, subject="/CN=small intermediate", key="rsa:1024"), by="root")
    made.make("constrained", replace(INTERMEDIATE, subject="/CN=constrained").saying(
        nameConstraints="critical,permitted;DNS:example.org"), by="root")
    made.make("leaf", Kind("/CN=leaf"))
    return made


def check(*arguments: str, cwd: Path) -> tuple[int, list[str]]:
    done = cert("check", *arguments, cwd=cwd)
    assert done.stderr == ""
    tokens = [token for token in found(done.stdout) if token != "name_private"]  # which localhost is
    assert done.returncode == ("\nerror " in f"\n{done.stdout}")
    return done.returncode, tokens


def pair_in(folder: Path) -> Config:
    return {"site": {"chain": str(folder / "site.pem"), "key": str(folder / "site.key")}}


def curl(port: int, ca: Path) -> Done:
    return subprocess.run(["curl", "--silent", "--show-error", "--cacert", str(ca), "--ipv4",
                           f"pop3s://localhost:{port}/", "-X", "CAPA", "--list-only"],
                          capture_output=True, text=True, timeout=DEADLINE, check=False)


@pytest.mark.parametrize("row", FLAWS)
def test_check_finds_what_a_client_complains_of(start: Callable[..., Popgate], certificates: Certificates,
                                                flaws: Issuer, workdir: Path, row: str) -> None:
    flaw = FLAWS[row]
    flaws.make("flawed", flaw.kind, by=flaw.by)
    (workdir / "site.pem").write_text(flaws.text(*flaw.chain))
    shutil.copy(flaws.path("flawed.key"), workdir / "site.key")
    ca = flaws.path(f"{flaw.known}.pem")
    status, tokens = check("--chain", "site.pem", "--key", "site.key", "--name", "localhost", "--ca", str(ca),
                           cwd=workdir)
    assert tokens == flaw.found
    if flaw.refused is None:
        return
    assert status == 1 or not flaw.refused
    gate = start(site_with(certificates, pair_in(workdir)))
    gate.allow("certificate_expires", "certificate_expired", "certificate_not_yet_valid")
    done = curl(gate.port("pop3s"), ca)
    assert (done.returncode == CURL_DISTRUSTS) == flaw.refused, done


def test_check_finds_a_key_that_does_not_belong(place: Place) -> None:
    place.issue("other")
    (place.folder / "site.pem").write_text(place.issuer.text("leaf", "intermediate"))
    options = ["--name", "localhost", "--ca", "root.pem"]
    assert check("--chain", "site.pem", "--key", "other.key", *options, cwd=place.folder) == (1, ["key_mismatch"])
    (place.folder / "site.pem").write_text(place.issuer.text("intermediate", "leaf"))
    assert check("--chain", "site.pem", "--key", "leaf.key", *options, cwd=place.folder) == (
        1, ["leaf_not_first", "chain_order"])
    (place.folder / "site.pem").write_text(place.issuer.text("leaf", "intermediate"))
    (place.folder / "leaf.key").chmod(0o604)
    assert check("--chain", "site.pem", "--key", "leaf.key", *options, cwd=place.folder) == (1, ["key_exposed"])
    assert check("--chain", "site.pem", *options, cwd=place.folder) == (0, [])


def test_check_finds_a_key_that_everybody_may_replace(place: Place) -> None:
    shutil.copy(place.folder / "leaf.pem", place.folder / "site.pem")
    folder, inner = place.folder / "open", place.folder / "open" / "inner"
    inner.mkdir(parents=True)
    shutil.move(place.folder / "leaf.key", inner / "leaf.key")
    (place.folder / "link.key").symlink_to(inner / "leaf.key")
    options = ["check", "--chain", "site.pem", "--name", "localhost", "--ca", "root.pem", "--key"]

    def told(key: str) -> str | None:
        match = re.search(r"^error key_replaceable: .*: (.*)$", cert(*options, key, cwd=place.folder).stdout, re.MULTILINE)
        return match and match[1]

    for mode, told_of in ((0o775, False), (0o1777, False), (0o777, True)):
        folder.chmod(mode)
        for key in ("open/inner/leaf.key", "link.key", str(inner / "leaf.key")):
            assert told(key) == (f"{key}, by folder {folder}" if told_of else None)
    shutil.copy(inner / "leaf.key", place.folder)
    (folder / "back.key").symlink_to(place.folder / "leaf.key")
    assert told("open/back.key") == f"open/back.key, by folder {folder}"
    assert told("leaf.key") is None


def test_check_of_an_unusual_key(place: Place) -> None:
    place.issue("large", Kind(key="P-521"))
    (place.folder / "site.pem").write_text(place.issuer.text("large", "intermediate"))
    assert check("--chain", "site.pem", "--name", "localhost", "--ca", "root.pem", cwd=place.folder) == (
        0, ["key_uncommon"])


@pytest.fixture
def configured(place: Place, certificates: Certificates) -> Iterator[Callable[..., Config]]:
    """Makes a configuration with the leaf as its certificate, and these names for listeners."""
    (place.folder / "site.pem").write_text(place.issuer.text("leaf", "intermediate"))
    shutil.copy(place.folder / "leaf.key", place.key)

    def make(defaults: list[str], pop3s: list[str] | None = None) -> Config:
        config = site_with(certificates, pair_in(place.folder), names=defaults)
        if pop3s is not None:
            config["listeners"]["pop3s"]["public_names"] = pop3s
        (place.folder / "popgate.yaml").write_text(json.dumps(config))
        return config

    yield make


def lost_first_line(text: str) -> str:
    return text.partition("\n")[2]


def pkcs7_in_order(place: Place) -> Path:
    openssl("crl2pkcs7", "-nocrl", "-certfile", "site.pem", "-out", "chain.p7b", cwd=place.folder)
    return place.folder / "chain.p7b"


NOT_TAKEN: dict[str, tuple[Callable[[Place], bytes], str]] = {
    "DER": (lambda place: (place.folder / der(place, "leaf")).read_bytes(), "holds no certificate in PEM form"),
    "PKCS #7": (lambda place: pkcs7_in_order(place).read_bytes(), "holds no certificate in PEM form"),
    "old word": (lambda place: place.chain.read_bytes().replace(b" CERTIFICATE", b" X509 CERTIFICATE"),
                 "holds no certificate in PEM form"),
    "key beside": (lambda place: place.chain.read_bytes() + place.key.read_bytes(), "key_isolation: off"),
    "lost line": (lambda place: (place.issuer.text("leaf") + lost_first_line(place.issuer.text("intermediate"))
                                 + place.issuer.text("intermediate")).encode(), "cut off or damaged"),
}


@pytest.mark.parametrize("row", NOT_TAKEN)
def test_check_finds_what_popgate_itself_does_not_take(place: Place, configured: Callable[..., Config],
                                                       row: str) -> None:
    configured(["localhost"])
    make, words = NOT_TAKEN[row]
    place.chain.write_bytes(make(place))
    arguments = ["--ca", "root.pem", "-c", "popgate.yaml"]
    done = cert("check", *arguments, cwd=place.folder)
    assert done.returncode == 1
    assert re.search(rf"^error not_taken: .*{re.escape(str(place.chain))}.*{words}", done.stdout, re.MULTILINE), done
    assert "Next: Let popgate cert install put the pair there" in done.stdout
    do("install", "--chain", "site.pem", "--chain", "intermediate.pem", "--key", "site.key", *arguments,
       cwd=place.folder)
    assert check(*arguments, cwd=place.folder) == (0, [])


def test_check_compares_with_the_names_of_the_configuration(place: Place, configured: Callable[..., Config]) -> None:
    arguments = ["-c", "popgate.yaml", "--ca", "root.pem"]
    configured(["localhost"])
    assert check(*arguments, cwd=place.folder) == (0, [])
    configured([])
    assert check(*arguments, "site", cwd=place.folder) == (0, ["names_unknown"])
    configured(["localhost"], ["LOCALHOST", "127.0.0.1", "a_b"])
    status, tokens = check(*arguments, cwd=place.folder)
    assert (status, tokens) == (1, ["name_no_host", "name_missing"])
    assert 'has no certificate "two"; there are: site' in complaint("check", "two", *arguments, cwd=place.folder)


def test_a_name_must_be_in_one_of_the_certificates_of_a_listener(place: Place, certificates: Certificates) -> None:
    place.issue("other", Kind("/CN=other", "IP:127.0.0.2,DNS:*.example.org"))
    pairs = {}
    for name in ("leaf", "other"):
        (place.folder / f"{name}-chain.pem").write_text(place.issuer.text(name, "intermediate"))
        pairs[name] = {"chain": f"{name}-chain.pem", "key": f"{name}.key"}

    def findings(names: list[str], served: list[str]) -> dict[str, list[str]]:
        config = site_with(certificates, pairs, names=names)
        config["defaults"]["certificates"] = served
        (place.folder / "popgate.yaml").write_text(json.dumps(config))
        return {name: check("-c", "popgate.yaml", "--ca", "root.pem", name, cwd=place.folder)[1] for name in pairs}

    assert findings(["localhost", "127.0.0.2"], []) == {"leaf": [], "other": []}
    assert findings(["localhost", "127.0.0.2"], ["leaf"]) == {"leaf": ["name_missing"], "other": ["names_unknown"]}
    # what no certificate has is served the first
    assert findings(["localhost", "127.0.0.1"], ["other", "leaf"]) == {"leaf": [], "other": ["name_missing"]}


# DNS, with a name server of our own where the system asks

IN_NAMESPACE = """
import subprocess, sys
sys.path.insert(0, {tests!r})
from dns import FakeNameServer, Reply, address_record, nxdomain, servfail
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
for name, text in (("resolv.conf", "nameserver 127.0.0.1\\noptions timeout:1 attempts:1\\n"),
                   ("nsswitch.conf", "hosts: files dns\\n")):
    with open(name, "w") as file:
        file.write(text)
    subprocess.run(["mount", "--bind", name, f"/etc/{{name}}"], check=True)
ADDRESSES = {{"public.example": "192.0.2.1", "inside.example": "10.1.2.3"}}
def answer(query):
    if query.name == "silent.example":
        return servfail(query)
    if query.name in ADDRESSES and query.type == "A":
        return Reply([address_record(ADDRESSES[query.name])])
    return Reply() if query.name in ADDRESSES else nxdomain(query)
server = FakeNameServer(answer, port=53)
status = subprocess.run(sys.argv[1:]).returncode
server.close()
sys.exit(status)
"""


def test_check_asks_dns_for_the_names(place: Place) -> None:
    if os.getuid() != 0:
        pytest.skip("a name server of our own needs namespaces, and those need root")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("the root is no mount point (a chroot), so a mount of ours might be seen by others")
    names = ["public.example", "inside.example", "absent.example", "silent.example"]
    place.issue("named", replace(GOOD, names=",".join(f"DNS:{name}" for name in names)))
    (place.folder / "site.pem").write_text(place.issuer.text("named", "intermediate"))
    script = place.folder / "in_namespace.py"
    script.write_text(IN_NAMESPACE.format(tests=str(Path(__file__).parent)))
    options = [word for name in names for word in ("--name", name)]
    done = subprocess.run(["unshare", "--net", "--mount", sys.executable, str(script), program(), "cert", "check",
                           "--chain", "site.pem", "--ca", "root.pem", *options], cwd=place.folder, capture_output=True,
                          text=True, timeout=DEADLINE, check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 1, done
    assert re.findall(r"^(?:error|remark) (\w+): .*?: (\S+)", done.stdout, re.MULTILINE) == [
        ("name_private", "inside.example"), ("name_not_in_dns", "absent.example:"),
        ("name_unanswered", "silent.example:")]


# the whole way

def test_from_the_request_to_a_client_that_believes(start: Callable[..., Popgate], certificates: Certificates,
                                                    dovecot: Dovecot, issuer: Issuer, workdir: Path) -> None:
    """The wizard: request, signed by an authority, installed under a running popgate, fetched by curl."""
    do("self-signed", "--common-name", "localhost", "--key", "site.key", "--chain", "site.pem", cwd=workdir)
    config = site_with(certificates, pair_in(workdir), port=dovecot.port, names=["localhost"])
    file = workdir / "popgate.yaml"
    file.write_text(json.dumps(config))
    assert check("-c", str(file), cwd=workdir) == (1, ["self_signed"])
    gate = start(config)
    ca = issuer.path("root.pem")
    assert curl(gate.port("pop3s"), ca).returncode == CURL_DISTRUSTS

    do("request", "--common-name", "localhost", "--organization", "Contoso", "--key", "new.key", "--request", "new.csr",
       cwd=workdir)
    shutil.copy(workdir / "new.csr", issuer.path("answer.csr"))
    issuer.issue("answer", Kind())
    shutil.copy(issuer.path("answer.pem"), workdir)
    install = ["install", "--chain", "answer.pem", "--key", "new.key", "--ca", str(ca), "-c", str(file), "site"]
    said = complaint(*install, cwd=workdir)
    assert "the certificate of CN=popgate test intermediate is missing" in said
    do(*install, "--chain", str(issuer.path("intermediate.pem")), cwd=workdir)
    assert check("-c", str(file), "--ca", str(ca), cwd=workdir) == (0, [])

    gate.log.wait("certificate_replaced")
    for mode, listener in (("implicit", "pop3s"), ("stls", "pop3")):
        got = clients.fetch_with_curl(gate.port(listener), mode, str(ca), 1, workdir, user=USER, password=PASSWORD)
        assert got == dovecot.messages[:1]
