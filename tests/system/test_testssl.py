"""What Debian's testssl.sh finds, and the grade that SSL Labs' guide gives for it."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from certs import Certificates
from grade import FINDINGS, VERSIONS, rate
from popgate import Popgate, site
from readme import README
from stores import Dovecot

Start = Callable[..., Popgate]
Found = dict[str, tuple[str, str]]  # by the check's name: severity, finding

SCAN_DEADLINE = 900.0  # where nothing else runs, a whole scan takes half a minute

# For how many seconds it waits for an answer, which it otherwise takes to be missing after 5 to 10.
PATIENCE = dict.fromkeys(("MAX_WAITSOCK", "CCS_MAX_WAITSOCK", "HEARTBLEED_MAX_WAITSOCK", "STARTTLS_SLEEP"), "60")

# What README.md answers.
ANSWERED = {
    ("sessionresumption_ticket", "check failed because of connect problem"),
    ("engine_problem", "No engine or GOST support via engine with your /usr/bin/openssl"),
}

# What it finds where nothing is to be found.
SPOTLESS = {
    "SSLv2": "not offered",
    "SSLv3": "not offered",
    "TLS1": "not offered",
    "TLS1_1": "not offered",
    "TLS1_2": "offered",
    "TLS1_3": "offered with final",
    "cert_signatureAlgorithm": "ECDSA with SHA256",
    "cert_keySize": "EC 256 bits",
    "cert_trust": "Ok via SAN (same w/o SNI)",
    "cert_chain_of_trust": "passed.",
    "cert_expirationStatus": "89 >= 60 days",
    "heartbleed": "not vulnerable, no heartbeat extension",
    "CCS": "not vulnerable",
    "ROBOT": "not vulnerable, no RSA key transport cipher",
    "secure_renego": "supported",
    "CRIME_TLS": "not vulnerable (not using HTTP anyway)",
    "POODLE_SSL": "not vulnerable, no SSLv3",
    "FREAK": "not vulnerable",
    "DROWN": "not vulnerable on this host and port",
    "LOGJAM": "not vulnerable, no DH EXPORT ciphers,",
}
SUITE = "x1301   TLS_AES_128_GCM_SHA256            ECDH 253   AESGCM      128      TLS_AES_128_GCM_SHA256"


@contextmanager
def scanning(gate: Popgate, listener: str, ca: str, *sections: str) -> Iterator[Callable[[], Found]]:
    """A scan that runs meanwhile; what it found comes when asked for."""
    stls = ["-t", "pop3"] if listener == "pop3" else []
    out = gate.directory / f"{listener}.json"
    with open(out.with_suffix(".txt"), "w+", encoding="utf-8") as said:
        scan = subprocess.Popen(
            ["testssl", "--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none", "--add-ca", ca,
             "--jsonfile", str(out), *sections, *stls, f"localhost:{gate.port(listener)}"],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=gate.directory, start_new_session=True,
            env={**os.environ, **PATIENCE})

        def found() -> Found:
            scan.wait(SCAN_DEADLINE)
            said.seek(0)
            assert out.exists(), said.read()
            findings = {each["id"]: (each["severity"], each["finding"]) for each in json.loads(out.read_text())}
            assert findings.get("scanTime", ("WARN", ""))[0] == "INFO", said.read()
            return findings

        try:
            yield found
        finally:
            if scan.poll() is None:
                os.killpg(scan.pid, 9)
                scan.wait()


def test_the_default_gets_the_best_grade_and_no_finding_unanswered(start: Start, certificates: Certificates,
                                                                   dovecot: Dovecot) -> None:
    """Both listeners side by side, since each takes most of a minute."""
    config = site(certificates, dovecot.port)
    more = "crlDistributionPoints=URI:http://crl.example/ca.crl\n"
    config["certificates"] = {"localhost": certificates.issue("long-lived", "DNS:localhost", days=90, more=more)}
    gate, ca = start(config), certificates.chain("ca")
    with scanning(gate, "pop3s", ca) as implicit, scanning(gate, "pop3", ca) as stls:
        found = {"pop3s": implicit(), "pop3": stls()}
    assert {(listener, name): what for listener, findings in found.items() for name, what in findings.items()
            if what[0] not in ("DEBUG", "INFO", "OK") and (name, what[1]) not in ANSWERED} == {}
    for findings in found.values():
        rating = rate({name: finding for name, (_severity, finding) in findings.items()})
        assert (rating.grade, rating.reasons) == ("A", [])


def test_the_weakest_gets_a_worse_one(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    """What the shorter scan does not look at is taken to be spotless."""
    config = site(certificates, dovecot.port, defaults={"tls_profile": "legacy", "min_cipher_bits": 112},
                  key_isolation="off")
    config["certificates"] = {"rsa": certificates.issue("edge-rsa", "DNS:localhost", "RSA")}
    with scanning(start(config), "pop3s", certificates.chain("ca"), "-p", "-S", "-e") as weakest:
        found = {name: finding for name, (_severity, finding) in weakest().items()}
    rating = rate({**SPOTLESS, **found})
    assert (rating.grade, rating.reasons) == ("C", ["B: TLS 1.0", "B: TLS 1.1", "C: blocks of 64 bits"])


@pytest.mark.parametrize(("grade", "changes"), [
    ("A", {}),
    ("A", {"cert_keySize": "RSA 4096 bits"}),
    ("A", {"TLS1_2": "not offered"}),
    ("A-", {"TLS1_3": "not offered + downgraded to weaker protocol"}),
    ("A-", {"secure_renego": "VULNERABLE"}),
    ("B", {"SSLv3": "offered"}),
    ("B", {"TLS1": "offered (deprecated)"}),
    ("B", {"TLS1_1": "offered (deprecated)"}),
    ("B", {"cert_keySize": "RSA 1024 bits"}),
    ("B", {"cert_keySize": "EC 192 bits"}),
    ("B", {"cipher_x1301": "x9c AES128-GCM-SHA256 RSA AESGCM 128 TLS_RSA_WITH_AES_128_GCM_SHA256"}),
    ("B", {"cipher_x1301": "xc013 ECDHE-RSA-AES128-SHA ECDH 253 AES 128 TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"}),
    ("B", {"cipher_x9e": "x9e DHE-RSA-AES128-GCM-SHA256 DH 1024 AESGCM 128 TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"}),
    ("C", {"cipher_x05": "x05 RC4-SHA RSA RC4 128 TLS_RSA_WITH_RC4_128_SHA"}),
    ("C", {"cipher_x0a": "x0a DES-CBC3-SHA RSA 3DES 168 TLS_RSA_WITH_3DES_EDE_CBC_SHA"}),
    ("C", {"TLS1_1": "offered (deprecated)", "TLS1_2": "not offered", "TLS1_3": "not offered"}),
    ("C", {"CRIME_TLS": "VULNERABLE, but not using HTTP. Probably no exploit known"}),
    ("C", {"POODLE_SSL": "VULNERABLE, uses SSLv3+CBC"}),
    ("F", {"SSLv2": "vulnerable with 3 ciphers"}),
    ("F", {"SSLv3": "offered", "TLS1_2": "not offered", "TLS1_3": "not offered"}),
    ("F", {"cert_keySize": "RSA 768 bits"}),
    ("F", {"cipher_x3b": "x3b NULL-SHA256 RSA None None TLS_RSA_WITH_NULL_SHA256"}),
    ("F", {"cipher_xc019": "xc019 AECDH-AES256-SHA ECDH 253 AES 256 TLS_ECDH_anon_WITH_AES_256_CBC_SHA"}),
    ("F", {"cipher_x03": "x03 EXP-RC4-MD5 RSA(512) RC4 40,exp TLS_RSA_EXPORT_WITH_RC4_40_MD5"}),
    *(("F", {name: "VULNERABLE"}) for name in ("heartbleed", "CCS", "ROBOT", "DROWN", "FREAK", "LOGJAM")),
    ("F", {"heartbleed": "test failed"}),
    ("M", {"cert_trust": "certificate does not match supplied URI"}),
    ("T", {"cert_chain_of_trust": "failed (chain incomplete). "}),
    ("T", {"cert_expirationStatus": "expired"}),
    ("T", {"cert_signatureAlgorithm": "SHA1 with RSA"}),
    ("T", {"cert_trust": "certificate does not match supplied URI", "cert_chain_of_trust": "failed (self signed)"}),
], ids=str)
def test_a_grade_is_as_good_as_what_is_worst(grade: str, changes: dict[str, str]) -> None:
    assert rate({**SPOTLESS, "cipher_x1301": SUITE, **changes}).grade == grade


def test_points_are_those_of_the_guide() -> None:
    """30 for versions, 30 for keys, 40 for ciphers; of versions and ciphers the mean of the best and the worst."""
    aes_256 = "x1302 TLS_AES_256_GCM_SHA384 ECDH 521 AESGCM 256 TLS_AES_256_GCM_SHA384"
    strong = {**SPOTLESS, "cert_keySize": "EC 384 bits", "cipher_x1302": aes_256}
    assert rate(strong).points == pytest.approx(100)
    assert rate({**strong, "cipher_x1301": SUITE}).points == pytest.approx(30 + 27 + 36)
    assert rate({**strong, "TLS1": "offered (deprecated)"}).points == pytest.approx(28.5 + 30 + 40)
    assert rate({**strong, "cert_keySize": "RSA 1024 bits"}).points == pytest.approx(30 + 24 + 40)


@pytest.mark.parametrize("name", [*VERSIONS, "cert_keySize", *(name for name, _good, _grade in FINDINGS)])
def test_what_was_not_looked_at_is_not_graded(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        rate({each: finding for each, finding in {**SPOTLESS, "cipher_x1301": SUITE}.items() if each != name})


def test_the_readme_says_so() -> None:
    text = " ".join(README.read_text().split())
    assert "By SSL Labs' rating guide (2009r) this is an A on both listeners." in text
    assert [name for name, _finding in ANSWERED if f"`{name}`" not in text] == []
