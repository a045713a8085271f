"""What the log says of a handshake that failed: a sentence, and behind it the word that BoringSSL has for it."""

import re
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from certs import Certificates
from clients import DEADLINE, Raw
from popgate import Popgate, site

Start = Callable[..., Popgate]


def begin(start: Start, certificates: Certificates, **defaults: Any) -> Popgate:
    return start(site(certificates, 1, workers=1, defaults=defaults))


def why(gate: Popgate) -> str:
    return str(gate.log.wait("session_closed", reason="tls_failed")["why"])


@pytest.mark.parametrize(("options", "wanted"), [
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-CAMELLIA128-SHA256"], "the client has no cipher suite that is allowed here "
     "(tls_profile, min_cipher_bits) and fits the certificate's key; very old programs need tls_profile: legacy, or "
     "legacy-tls in login_exceptions (NO_SHARED_CIPHER)"),
    (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "the client has no version of TLS that tls_profile, "
     "tls_min and min_cipher_bits allow; programs without TLS 1.3 need tls_profile: intermediate, and very old "
     "programs need tls_profile: legacy, or legacy-tls in login_exceptions (UNSUPPORTED_PROTOCOL)"),
    (["-alpn", "imap,http/1.1"], "the client offers protocols (ALPN), and pop3 is not among them "
     "(NO_APPLICATION_PROTOCOL)"),
    (["-tls1_3", "-groups", "P-521"], "the client has no group for the key exchange that is allowed here "
     "(NO_SHARED_GROUP)"),
    (["-tls1_2", "-verify_return_error"], "the client does not know the authority behind our certificate; see popgate "
     "cert check (TLSV1_ALERT_UNKNOWN_CA)"),
    (["-tls1_3", "-verify_return_error"], "the client does not know the authority behind our certificate; see popgate "
     "cert check (TLSV1_ALERT_UNKNOWN_CA)"),
])
def test_of_a_client_that_does_not_fit(start: Start, certificates: Certificates, options: list[str],
                                       wanted: str) -> None:
    assert why_not(start, certificates, *options) == wanted


OF_RSA, OF_P256, OF_P384 = (
    f"the client cannot use a key of the kind that the certificate has; serve one with {key} beside it, which the "
    "client can use" for key in ("an RSA key", "an ECDSA key (P-256)", "an ECDSA key (P-384)"))


@pytest.mark.parametrize(("key", "options", "advice"), [
    ("P-256", ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], OF_RSA),
    ("P-256", ["-tls1_2", "-sigalgs", "RSA+SHA256"], OF_RSA),
    ("P-256", ["-tls1_3", "-sigalgs", "RSA-PSS+SHA256"], OF_RSA),
    ("P-256", ["-tls1_3", "-sigalgs", "ECDSA+SHA384:RSA-PSS+SHA256"], OF_P384),
    ("P-384", ["-tls1_3", "-sigalgs", "ECDSA+SHA256:RSA-PSS+SHA256"], OF_P256),
    ("Ed25519", ["-tls1_3", "-sigalgs", "RSA-PSS+SHA256"], OF_RSA),
    ("Ed25519", ["-tls1_2", "-sigalgs", "ECDSA+SHA256"], OF_P256),
    ("RSA", ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], OF_P256),
    ("RSA", ["-tls1_3", "-sigalgs", "ECDSA+SHA256"], OF_P256),
])
@pytest.mark.parametrize("unknown_names", ["serve", "refuse"])
def test_of_a_client_that_can_use_another_key(start: Start, certificates: Certificates, key: str, options: list[str],
                                              advice: str, unknown_names: str) -> None:
    """The advice is good: such a certificate beside it serves the client."""
    config = site(certificates, 1, workers=1, defaults={"unknown_names": unknown_names})
    config["certificates"] = {"it": certificates.issue(f"of-{key}", "DNS:a.test", key)}
    gate = start(config)
    come(gate, "-servername", "a.test", *options)
    assert why(gate) == advice
    other = next(name for name, words in (("RSA", OF_RSA), ("P-256", OF_P256), ("P-384", OF_P384)) if words == advice)
    config["certificates"]["other"] = certificates.issue(f"of-{other}", "DNS:a.test", other)
    gate = start(config)
    come(gate, "-servername", "a.test", *options)
    assert gate.log.wait("session_closed")["certificate"] == "other"


def test_of_a_client_that_no_certificate_helps(start: Start, certificates: Certificates) -> None:
    """It takes RSA, but signed with SHA-1."""
    told = why_not(start, certificates, "-tls1_2", "-sigalgs", "RSA+SHA1", "-cipher", "ALL:@SECLEVEL=0")
    assert "very old programs" in told and "beside it" not in told


def test_of_a_client_that_knows_sha_1_alone(start: Start, certificates: Certificates) -> None:
    """Versions of BoringSSL have different words for it; either leads on."""
    told = why_not(start, certificates, "-tls1_2", "-sigalgs", "RSA+SHA1:ECDSA+SHA1", "-cipher", "ALL:@SECLEVEL=0")
    assert re.search(r"very old programs.* need tls_profile: legacy, or legacy-tls in login_exceptions \(\w+\)$", told)


def why_not(start: Start, certificates: Certificates, *options: str) -> str:
    gate = begin(start, certificates)
    come(gate, *options)
    return why(gate)


def come(gate: Popgate, *options: str) -> None:
    subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gate.port('pop3s')}", *options], input="QUIT\n",
                   capture_output=True, text=True, timeout=DEADLINE, check=False)


@pytest.mark.parametrize(("sent", "wanted"), [
    (b"CAPA\r\n", ["what the client sent is not TLS; it may be set up for no TLS, or for STLS (port 110) "
                   "(WRONG_VERSION_NUMBER)"]),
    (b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", [
        "a message of the client's is malformed (DECODE_ERROR)",
        "the client's first message is malformed (CLIENTHELLO_PARSE_FAILED)"]),  # in newer versions of BoringSSL
    (b"\x14\x03\x01\x00\x01\x01", ["the client sent a record out of turn (UNEXPECTED_RECORD)"]),
], ids=["a command", "an empty hello", "another record"])
def test_of_what_is_no_hello(start: Start, certificates: Certificates, sent: bytes, wanted: list[str]) -> None:
    gate = begin(start, certificates)
    with Raw(gate.port("pop3s")) as client:
        client.send(sent)
        client.read_to_end()
    assert why(gate) in wanted


def hello(server_names: bytes) -> bytes:
    """A first message of TLS 1.2 with this list of names."""
    extension = struct.pack("!HHH", 0, len(server_names) + 2, len(server_names)) + server_names
    body = (b"\x03\x03" + bytes(32) + b"\0" + b"\0\2\xc0\x2b" + b"\1\0" + struct.pack("!H", len(extension)) + extension)
    return struct.pack("!BHHI", 22, 0x301, len(body) + 4, 1 << 24 | len(body)) + body


def name(text: bytes) -> bytes:
    return struct.pack("!BH", 0, len(text)) + text


@pytest.mark.parametrize(("names", "alert"), [
    (b"", 50), (name(b"a.test")[:-1], 50), (name(b"a.test") + name(b"b.test"), 50), (name(b""), 112),
    (name(b"a\0.test"), 112), (name(256 * b"a"), 112), (b"\1" + name(b"a.test")[1:], 112),
], ids=["none", "cut off", "two", "empty", "NUL", "long", "of another type"])
@pytest.mark.parametrize("unknown_names", ["serve", "refuse"])
@pytest.mark.parametrize("ends", [True, False], ids=["ends", "stays"])
def test_of_a_malformed_server_name(start: Start, certificates: Certificates, names: bytes, alert: int,
                                    unknown_names: str, ends: bool) -> None:
    gate = begin(start, certificates, unknown_names=unknown_names)
    with Raw(gate.port("pop3s")) as client:
        client.send(hello(names))
        if ends:
            client.socket.shutdown(socket.SHUT_WR)
        assert client.read_to_end() == struct.pack("!BHHBB", 21, 0x301, 2, 2, alert)
    assert why(gate) in (
        "the server name (SNI) in the client's first message is malformed",
        "an extension that the client sent is malformed, most likely the server name (SNI) "
        "(ERROR_PARSING_EXTENSION)")  # in newer versions of BoringSSL


@pytest.mark.parametrize(("alert", "wanted"), [
    (40, "found nothing that both sides allow (SSLV3_ALERT_HANDSHAKE_FAILURE)"),
    (42, "refuses our certificate as a bad one; see popgate cert check (SSLV3_ALERT_BAD_CERTIFICATE)"),
    (45, "to the client our certificate has expired, or is not valid yet; see popgate cert check, and the client's "
         "clock (SSLV3_ALERT_CERTIFICATE_EXPIRED)"),
    (46, "refuses our certificate, for a reason that it keeps to itself; see popgate cert check "
         "(SSLV3_ALERT_CERTIFICATE_UNKNOWN)"),
    (110, "TLSV1_ALERT_UNSUPPORTED_EXTENSION"),
])
def test_of_what_the_client_says(start: Start, certificates: Certificates, alert: int, wanted: str) -> None:
    """The last one has no sentence."""
    gate = begin(start, certificates)
    with Raw(gate.port("pop3s")) as client:
        client.send(struct.pack("!BHHBB", 21, 0x303, 2, 2, alert))
        client.read_to_end()
    said = why(gate)
    assert said == wanted or said == f"the client {wanted}"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_of_a_client_without_a_certificate(start: Start, certificates: Certificates, version: ssl.TLSVersion) -> None:
    config = site(certificates, 1, workers=1)
    config["listeners"]["pop3s"] |= {"client_certs": "required", "client_ca": certificates.chain("ca")}
    gate = start(config)
    context = certificates.client_context()
    context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)), Raw(gate.port("pop3s"), context) as client:
        client.read_to_end()
    assert why(gate) == ("the client has shown no certificate, and client_certs is required "
                         "(PEER_DID_NOT_RETURN_A_CERTIFICATE)")
