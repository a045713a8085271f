"""What TLS is done at least, as sslscan and the clients of OpenSSL and GnuTLS see it; testssl.sh: test_testssl.py."""

import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from certs import Certificates
from popgate import DEADLINE, Popgate, run_command, site
from stores import Dovecot

Start = Callable[..., Popgate]

MODERN = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
INTERMEDIATE = {f"ECDHE-RSA-{cipher}" for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")}
CBC = {"ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA"}
LEGACY = INTERMEDIATE | CBC
BY_RSA = {"AES128-SHA", "AES256-SHA"}


def listening(start: Start, certificates: Certificates, dovecot: Dovecot, *, key_isolation: str = "on",
              **options: Any) -> Popgate:
    """With an RSA key, which all suites of old can use."""
    config = site(certificates, dovecot.port, defaults=options, key_isolation=key_isolation)
    config["certificates"] = {"rsa": certificates.issue("edge-rsa", "DNS:localhost", "RSA")}
    return start(config)


def sslscan(gate: Popgate, listener: str = "pop3s") -> tuple[set[str], dict[str, set[str]]]:
    """The versions that sslscan finds enabled, and for each the suites."""
    options = ["--starttls-pop3"] if listener == "pop3" else []
    done = subprocess.run(["sslscan", "--xml=-", "--no-heartbleed", *options, f"127.0.0.1:{gate.port(listener)}"],
                          capture_output=True, text=True, timeout=DEADLINE, check=True)
    test = ElementTree.fromstring(done.stdout).find("ssltest")
    versions = {each.get("type").upper() + each.get("version") for each in test.findall("protocol")
                if each.get("enabled") == "1"}
    suites: dict[str, set[str]] = {}
    for each in test.findall("cipher"):
        suites.setdefault(each.get("sslversion"), set()).add(each.get("cipher"))
    return versions, suites


def s_client(port: int, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options], input="QUIT\n",
                          capture_output=True, text=True, timeout=DEADLINE, check=False)


def negotiated(port: int, *options: str) -> str | None:
    """The version and suite that OpenSSL's client comes to, or None."""
    found = re.search(r"New, (TLSv[\d.]+), Cipher is (\S+)", s_client(port, *options, "-cipher", "ALL:@SECLEVEL=0").stdout)
    return f"{found[1]} {found[2]}" if found else None


def signed_by_sha1(port: int, client: str = "127.0.0.1") -> bool:
    return bool(negotiated(port, "-tls1_2", "-sigalgs", "RSA+SHA1:ECDSA+SHA1", "-servername", "localhost",
                           "-bind", f"{client}:0"))


def takes_sha1(port: int, client: str = "127.0.0.1") -> bool:
    """Whether a client may prove with SHA-1 that a certificate is its own."""
    said = s_client(port, "-tls1_2", "-cipher", "ALL:@SECLEVEL=0", "-bind", f"{client}:0").stdout
    found = re.search("^Requested Signature Algorithms: (.*)", said, re.MULTILINE)
    assert found and "RSA+SHA256" in found[1]
    return "SHA1" in found[1]


def gnutls(port: int, priority: str, ca: str) -> str | None:
    """What GnuTLS's client comes to, or None."""
    done = subprocess.run(["gnutls-cli", f"--priority={priority}", f"--x509cafile={ca}", "-p", str(port), "localhost"],
                          input="QUIT\r\n", capture_output=True, text=True, timeout=DEADLINE, check=False)
    found = re.search(r"- Description: (.*)", done.stdout)
    return found[1] if found else None


@pytest.mark.parametrize("listener", ["pop3s", "pop3"])
@pytest.mark.parametrize(("options", "versions", "suites"), [
    ({}, {"TLS1.2", "TLS1.3"}, {"TLSv1.3": MODERN, "TLSv1.2": INTERMEDIATE}),
    ({"tls_profile": "modern"}, {"TLS1.3"}, {"TLSv1.3": MODERN}),
    ({"tls_min": "1.3"}, {"TLS1.3"}, {"TLSv1.3": MODERN}),
    ({"tls_profile": "legacy"}, {"TLS1.0", "TLS1.1", "TLS1.2", "TLS1.3"},
     {"TLSv1.3": MODERN, "TLSv1.2": LEGACY, "TLSv1.1": CBC, "TLSv1.0": CBC}),
    ({"tls_profile": "legacy", "tls_min": "1.1"}, {"TLS1.1", "TLS1.2", "TLS1.3"},
     {"TLSv1.3": MODERN, "TLSv1.2": LEGACY, "TLSv1.1": CBC}),
    ({"min_cipher_bits": 256}, {"TLS1.2"}, {"TLSv1.2": INTERMEDIATE - {"ECDHE-RSA-AES128-GCM-SHA256"}}),
], ids=["default", "modern", "1.3", "legacy", "legacy from 1.1", "256 bits"])
def test_versions_and_suites_by_sslscan(start: Start, certificates: Certificates, dovecot: Dovecot, listener: str,
                                        options: dict[str, Any], versions: set[str],
                                        suites: dict[str, set[str]]) -> None:
    assert sslscan(listening(start, certificates, dovecot, **options), listener) == (versions, suites)


def test_key_exchange_by_rsa_needs_keys_that_decrypt(start: Start, certificates: Certificates,
                                                      dovecot: Dovecot) -> None:
    gate = listening(start, certificates, dovecot, key_isolation="off", tls_profile="legacy")
    by_gcm = {"AES128-GCM-SHA256", "AES256-GCM-SHA384"}
    assert sslscan(gate)[1] == {"TLSv1.3": MODERN, "TLSv1.2": LEGACY | BY_RSA | by_gcm, "TLSv1.1": CBC | BY_RSA,
                                "TLSv1.0": CBC | BY_RSA}


def test_triple_des_where_112_bits_are_enough(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    """Neither sslscan's OpenSSL nor the openssl program of Debian has it any more; GnuTLS does."""
    priority = "NONE:+VERS-TLS1.0:+VERS-TLS1.2:+3DES-CBC:+RSA:+SHA1:+COMP-NULL:+SIGN-ALL:+GROUP-ALL:+CTYPE-ALL:%COMPAT"
    ca = certificates.chain("ca")
    gate = listening(start, certificates, dovecot, key_isolation="off", tls_profile="legacy")
    assert not gnutls(gate.port("pop3s"), priority, ca)
    gate = listening(start, certificates, dovecot, key_isolation="off", tls_profile="legacy", min_cipher_bits=112)
    assert "3DES" in (gnutls(gate.port("pop3s"), priority, ca) or "")


def test_openssl_and_gnutls_agree(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    gate = listening(start, certificates, dovecot)
    port, ca = gate.port("pop3s"), certificates.chain("ca")
    assert negotiated(port) == "TLSv1.3 TLS_AES_256_GCM_SHA384"
    assert negotiated(port, "-tls1_2") == "TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256", "the order is the server's"
    assert negotiated(port, "-tls1_1") is None
    assert gnutls(port, "NORMAL", ca) == "(TLS1.3-X.509)-(ECDHE-X25519)-(RSA-PSS-RSAE-SHA256)-(AES-256-GCM)"
    assert gnutls(port, "NORMAL:-VERS-ALL:+VERS-TLS1.2", ca) == \
        "(TLS1.2-X.509)-(ECDHE-X25519)-(RSA-PSS-RSAE-SHA256)-(AES-128-GCM)"
    assert gnutls(port, "NORMAL:-VERS-ALL:+VERS-TLS1.1", ca) is None
    assert gnutls(port, "NORMAL:-GROUP-ALL:+GROUP-SECP521R1", ca) is None


@pytest.mark.parametrize("certificate", ["P-256", "RSA"])
@pytest.mark.parametrize("isolation", ["on", "off"])
def test_sha1_signs_for_nobody_but_legacy(start: Start, certificates: Certificates, dovecot: Dovecot, certificate: str,
                                          isolation: str) -> None:
    def port(**options: Any) -> int:
        config = site(certificates, dovecot.port, defaults=options, key_isolation=isolation)
        other = certificates.section("edge")
        config["certificates"] = {"named": certificates.issue("by-sha1", "DNS:localhost", certificate), "other": other}
        return start(config).port("pop3s")

    assert not signed_by_sha1(port())
    assert signed_by_sha1(port(tls_profile="legacy"))
    excepted = port(login_exceptions=["allow legacy-tls ip 127.0.0.2 until 2099-12-31 because old scanner"])
    assert signed_by_sha1(excepted, "127.0.0.2") and not signed_by_sha1(excepted, "127.0.0.3")


def test_clients_sign_by_sha1_in_legacy_alone(start: Start, certificates: Certificates, dovecot: Dovecot) -> None:
    def port(**options: Any) -> int:
        config = site(certificates, dovecot.port, defaults=options)
        config["listeners"]["pop3s"] |= {"client_certs": "optional", "client_ca": certificates.chain("ca")}
        return start(config).port("pop3s")

    assert not takes_sha1(port())
    assert takes_sha1(port(tls_profile="legacy"))
    excepted = port(login_exceptions=["allow legacy-tls ip 127.0.0.2 until 2099-12-31 because old scanner"])
    assert takes_sha1(excepted, "127.0.0.2") and not takes_sha1(excepted, "127.0.0.3")


@pytest.mark.parametrize("listener", ["pop3s", "pop3"])
def test_an_exception_is_for_the_listed_clients_until_its_day(start: Start, certificates: Certificates,
                                                              dovecot: Dovecot, listener: str) -> None:
    def versions(rule: str, client: str) -> list[str | None]:
        gate = listening(start, certificates, dovecot, login_exceptions=[rule])
        options = ["-bind", f"{client}:0", *(["-starttls", "pop3"] if listener == "pop3" else [])]
        return [negotiated(gate.port(listener), *options, version) for version in ("-tls1", "-tls1_2", "-tls1_3")]

    usual = [None, "TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256", "TLSv1.3 TLS_AES_256_GCM_SHA384"]
    rule = "allow legacy-tls ip 127.0.0.2 until {} because old scanner"
    assert versions(rule.format("2099-12-31"), "127.0.0.2") == ["TLSv1.0 ECDHE-RSA-AES128-SHA", *usual[1:]]
    assert versions(rule.format("2099-12-31"), "127.0.0.3") == usual
    assert versions(rule.format("2020-01-01"), "127.0.0.2") == usual


@pytest.mark.parametrize(("options", "complaint"), [
    ({"tls_min": "1.0"}, "tls_min: versions before 1.2 need the suites of tls_profile: legacy"),
    ({"tls_profile": "modern", "min_cipher_bits": 256}, "min_cipher_bits: above 128 there is no TLS 1.3"),
    ({"login_exceptions": ["allow legacy-tls domain example.org"]}, "legacy-tls must be known before"),
    ({"login_exceptions": ["allow legacy-tls any until 2099-12-31"]}, "legacy-tls needs whom it is for, and an end"),
    ({"login_exceptions": ["allow legacy-tls ip 192.0.2.1"]}, "legacy-tls needs whom it is for, and an end"),
    ({"login": ["basic-tls", "legacy-tls"]}, "for all clients this is tls_profile: legacy"),
    ({"tls_profile": "old"}, "modern"),
], ids=["version", "bits", "exception by name", "for all", "for ever", "no method", "profile"])
def test_what_leaves_nothing_to_agree_on_is_refused(certificates: Certificates, workdir: Path, options: dict[str, Any],
                                                    complaint: str) -> None:
    (workdir / "popgate.yaml").write_text(json.dumps(site(certificates, 1, defaults=options)))
    done = run_command("check", "-c", "popgate.yaml", cwd=workdir)
    assert (done.returncode, complaint in done.stderr) == (1, True), done.stderr
