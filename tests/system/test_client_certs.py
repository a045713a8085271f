"""Client certificates: who is let into TLS, who logs in by AUTH EXTERNAL, and how lists of revoked ones are kept."""

import base64
import datetime
import json
import os
import signal
import ssl
import subprocess
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import mail
import proc
import pytest
from authority import Authority, Client, replace
from certs import Certificates
from clients import DEADLINE, PASSWORD, USER, Raw, until_it_works
from conftest import running
from popgate import LISTENERS, Config, Event, Popgate, run_command, site
from test_ntlm import Users
from test_store_logins import MASTER, MESSAGES, Versatile, master

Start = Callable[..., Popgate]

REFUSAL = b"-ERR [AUTH] That user name or password cannot be right.\r\n"
NOT_OFFERED = b"-ERR [AUTH] That login method is not offered here.\r\n"
TLS_VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
TLS_MODES = ["implicit", "stls"]
DELTA = "2.5.29.27=critical,DER:020101"
SCOPE = "issuingDistributionPoint=critical,@scope\n[scope]\n"
UPN = "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:"


@pytest.fixture(scope="module")
def store(shared: Path, certificates: Certificates) -> Iterator[Versatile]:
    directory = shared / "external-store"
    directory.mkdir()
    yield from running(Versatile(directory, certificates, MESSAGES))


@pytest.fixture
def authority(workdir: Path) -> Authority:
    directory = workdir / "authority"
    directory.mkdir()
    return Authority(directory)


@pytest.fixture
def anna(authority: Authority) -> Client:
    return authority.issue("anna", san=f"email:{USER}")


@pytest.fixture
def users(workdir: Path) -> Users:
    directory = workdir / "users"
    directory.mkdir(mode=0o755)
    return Users(directory)


@pytest.fixture
def configure(certificates: Certificates, store: Versatile, authority: Authority,
              workdir: Path) -> Callable[..., Config]:
    """A configuration whose TLS listeners let in whom the authority vouches for, by a store that believes popgate."""

    def config_of(*, backend: Config | None = None, users: Users | None = None, **defaults: object) -> Config:
        more = {"users": users.section} if users else {}
        config = site(certificates, store.port, backend=backend or master(workdir), **more,
                      defaults={"client_certs": "optional", "client_ca": str(authority.certificate),
                                "login": ["external"], "verify": ["certificate"], **defaults})
        del config["listeners"]["plain"]
        return config

    return config_of


def connect(gate: Popgate, context: ssl.SSLContext, mode: str = "implicit") -> Raw:
    client = Raw(gate.port(LISTENERS[mode]), context if mode == "implicit" else None)
    client.greeting()
    if mode == "stls":
        client.stls(context)
    return client


def fetch(client: Raw) -> None:
    client.send(b"RETR 2\r\n")
    assert client.read_list().partition(b"\r\n")[2] == mail.stuffed(mail.on_the_wire(MESSAGES[1]))
    client.ask(b"QUIT", b"+OK")
    client.read_to_end()


def response(name: str) -> bytes:
    return base64.b64encode(name.encode()) or b"="


def fetched(gate: Popgate, context: ssl.SSLContext, mode: str = "implicit", *, acts_for: str = "") -> Event:
    """Logs in by EXTERNAL and fetches; the closing line."""
    with connect(gate, context, mode) as client:
        client.ask(b"AUTH EXTERNAL " + response(acts_for), b"+OK")
        fetch(client)
        return gate.closed(client.port)


def logged_in(gate: Popgate, context: ssl.SSLContext) -> Event:
    """Logs in by EXTERNAL, into whatever mailbox; the closing line."""
    with connect(gate, context) as client:
        client.ask(b"AUTH EXTERNAL =", b"+OK")
        client.ask(b"QUIT", b"+OK")
        client.read_to_end()
        return gate.closed(client.port)


def refused(gate: Popgate, context: ssl.SSLContext, why: str, *, acts_for: str = "",
            answer: bytes = REFUSAL) -> Event:
    """Is refused as a wrong password is; the cause is in the log, and the session goes on."""
    mark = gate.log.mark()
    with connect(gate, context) as client:
        assert client.ask(b"AUTH EXTERNAL " + response(acts_for)) == answer
        client.ask(b"QUIT", b"+OK")
    event = gate.log.wait("login_failed", since=mark)
    assert event["why"] == why and event["mechanism"] == "EXTERNAL"
    return event


def cannot_connect(gate: Popgate, context: ssl.SSLContext, alert: str, mode: str = "implicit",
                   session: ssl.SSLSession | None = None) -> Event:
    """TLS ends with this alert; the closing line.  In TLS 1.3 the client learns it when it reads."""
    with Raw(gate.port(LISTENERS[mode])) as client:
        if mode == "stls":
            client.greeting()
            client.ask(b"STLS", b"+OK")
        with pytest.raises(ssl.SSLError, match=f"(?i){alert.replace(' ', '.')}"):
            client.start_tls(context, session)
            client.read_to_end()
        event = gate.closed(client.port)
    assert event["reason"] == "tls_failed"
    return event


def serial_of(client: Client) -> str:
    done = subprocess.run(["openssl", "x509", "-in", client.chain, "-noout", "-serial"], capture_output=True, text=True,
                          check=True)
    return done.stdout.strip().removeprefix("serial=").lower()


def fingerprint_of(client: Client) -> str:
    done = subprocess.run(["openssl", "x509", "-in", client.chain, "-noout", "-fingerprint", "-sha256"],
                          capture_output=True, text=True, check=True)
    return done.stdout.strip().partition("=")[2].replace(":", "").lower()


# ---- logging in

@pytest.mark.parametrize("version", TLS_VERSIONS)
@pytest.mark.parametrize("mode", TLS_MODES)
@pytest.mark.parametrize("asked", ["optional", "required"])
def test_a_certificate_logs_in(start: Start, certificates: Certificates, configure: Callable[..., Config], anna: Client,
                               asked: str, mode: str, version: ssl.TLSVersion) -> None:
    gate = start(configure(client_certs=asked))
    context = anna.context(certificates, version)
    event = fetched(gate, context, mode)
    shown = {"subject": "CN=Anna,O=Test", "serial": serial_of(anna), "fingerprint": fingerprint_of(anna)}
    wanted = {"user": USER, "mechanism": "EXTERNAL", "verifier": "certificate", "reason": "done", **shown}
    assert {key: event.get(key) for key in wanted} == wanted
    for name in (USER, "ANNA@Test.Local"):
        fetched(gate, context, mode, acts_for=name)
    with connect(gate, context, mode) as client:  # the response by itself
        assert "SASL EXTERNAL" in client.capabilities()
        assert client.ask(b"AUTH EXTERNAL") == b"+ \r\n"
        client.ask(b"", b"+OK")
        fetch(client)


@pytest.mark.parametrize("mode", TLS_MODES)
def test_external_is_for_those_who_have_shown_a_certificate(start: Start, configure: Callable[..., Config],
                                                            mode: str) -> None:
    gate = start(configure())
    with gate.connect("implicit") if mode == "implicit" else Raw(gate.port("pop3")) as client:
        if mode == "stls":
            client.greeting()
            assert not any("EXTERNAL" in line for line in client.capabilities())
            client.ask(b"AUTH EXTERNAL =", b"-ERR [AUTH] ")
            client.stls(gate.context)
        assert not any(line.startswith("SASL") for line in client.capabilities())
        assert client.ask(b"AUTH EXTERNAL =") == NOT_OFFERED
        client.ask(b"QUIT", b"+OK")


def test_passwords_go_on_beside_certificates(start: Start, certificates: Certificates, store: Versatile,
                                             configure: Callable[..., Config], users: Users, anna: Client) -> None:
    users.add("anna", PASSWORD, "--mailbox", USER)
    users.add(USER, PASSWORD, "--mailbox", USER)
    config = configure(users=users, login=["basic-tls", "external"], verify=["users"])
    gate = start(config)
    for context in (gate.context, anna.context(certificates)):
        with connect(gate, context) as client:
            client.login("anna")
            fetch(client)
            event = gate.closed(client.port)
            assert event["mechanism"] == "USER" and ("serial" in event) == (context is not gate.context)
    assert fetched(gate, anna.context(certificates))["verifier"] == "users"


@pytest.mark.parametrize("acts_for", ["bert@test.local", "anna", f"{USER} ", f"{USER}\0", "x" * 3000])
def test_nobody_acts_for_somebody_else(start: Start, certificates: Certificates, configure: Callable[..., Config],
                                       anna: Client, acts_for: str) -> None:
    event = refused(start(configure()), anna.context(certificates), acts_for=acts_for,
                    why="the client wants to act for a user whom its certificate does not name")
    assert event["serial"] == serial_of(anna) and "user" not in event


@pytest.mark.parametrize(("order", "subject", "san", "user"), [
    (["email"], "/CN=x", "email:anna@test.local,email:bert@test.local", "anna@test.local"),
    (["upn"], "/CN=x", f"email:bert@test.local,{UPN}anna@test.local", "anna@test.local"),
    (["common-name"], "/CN=bert@test.local/CN=anna@test.local", "", "anna@test.local"),
    (["dns"], "/CN=x", "DNS:anna.test.local", "anna.test.local"),
    (["upn", "email"], "/CN=x", "email:anna@test.local", "anna@test.local"),
    (["common-name"], "/CN=J\u00f6rg", "", "j\u00f6rg"),
])
def test_the_name_is_the_one_that_the_option_says(
        start: Start, certificates: Certificates, authority: Authority, configure: Callable[..., Config],
        order: list[str], subject: str, san: str, user: str) -> None:
    gate = start(configure(client_cert_user=order, map=[f"{user} to {USER}"]))
    fetched(gate, authority.issue("named", subject, san=san).context(certificates))


@pytest.mark.parametrize("twin", ["mar\u212a", "\u017ftra\u017f\u017fe", "stra\u00dfe", "\ufb06rasse", "J\u00d6RG",
                                  "jo\u0308rg"])
@pytest.mark.parametrize("verify", [["certificate"], ["users"]])
def test_no_two_names_open_one_mailbox(start: Start, certificates: Certificates, authority: Authority, users: Users,
                                       configure: Callable[..., Config], verify: list[str], twin: str) -> None:
    """Whatever folding makes of a name: of a certificate, only the case of A to Z does not matter."""
    plain = unicodedata.normalize("NFC", twin.casefold())
    users.add(f"{plain}@test.local", "secret", "--mailbox", USER)
    gate = start(configure(users=users, verify=verify, client_cert_user=["common-name"],
                           map=[f"*@test.local to {USER}"]))
    mine = authority.issue("mine", f"/CN={plain}@Test.Local")
    other = authority.issue("other", f"/CN={twin}@test.local")
    fetched(gate, mine.context(certificates))
    for acts_for in ("", f"{plain}@test.local"):
        refused(gate, other.context(certificates), acts_for=acts_for, why=(
            "the certificate's name of the user has letters beyond ASCII that are read as others, such as capitals"))


def test_of_several_names_the_client_may_choose(start: Start, certificates: Certificates, authority: Authority,
                                                configure: Callable[..., Config]) -> None:
    both = authority.issue("both", san=f"email:bert@test.local,email:{USER}")
    gate = start(configure())
    assert fetched(gate, both.context(certificates), acts_for=USER)["user"] == USER
    assert logged_in(gate, both.context(certificates))["user"] == "bert@test.local"


@pytest.mark.parametrize(("san", "why"), [
    ("", "the certificate has no name that client_cert_user wants"),
    ("DNS:anna.test.local", "the certificate has no name that client_cert_user wants"),
    ("email:anna@test.local/boss", "the certificate's name of the user has a \\ or /"),
    ("email:anna", "the certificate's name of the user is no user@domain, as it must be"),
    ("email:anna @test.local", "a part of the certificate's name of the user begins or ends with a blank"),
])
def test_a_certificate_without_a_user_is_refused(start: Start, certificates: Certificates, authority: Authority,
                                                 configure: Callable[..., Config], san: str, why: str) -> None:
    refused(start(configure()), authority.issue("nobody", san=san).context(certificates), why)


# ---- who may log in

def test_users_db_judges_certificates(start: Start, certificates: Certificates, authority: Authority, users: Users,
                                      configure: Callable[..., Config], anna: Client) -> None:
    users.add(USER, "secret", "--mailbox", USER)
    users.add("bert@test.local", "secret", "--disable")
    users.add("carla@test.local", "secret", "--methods", "basic-tls")
    users.add("dora", "secret")
    gate = start(configure(users=users, verify=["users"]))
    fetched(gate, anna.context(certificates))
    for email, why in (("bert@test.local", "the user is disabled in users.db"),
                       ("carla@test.local", "the user may not log in by this method"),
                       ("dora@test.local", "users.db has a user of that name, but not of the certificate's domain"),
                       ("emil@test.local", "users.db has no such user")):
        name = email.partition("@")[0]
        refused(gate, authority.issue(name, f"/CN={name}", san=f"email:{email}").context(certificates), why)


def test_a_namesake_is_no_user_of_ours(start: Start, certificates: Certificates, authority: Authority, users: Users,
                                       configure: Callable[..., Config], anna: Client) -> None:
    """Where the authority's word will do, whom users.db keeps out stays out; what it says of others does not hold."""
    users.add("anna", "secret", "--mailbox", "bert@test.local")
    users.add("dora", "secret", "--disable")
    users.add("emil", "secret", "--methods", "basic-tls")
    gate = start(configure(users=users, verify=["users", "certificate"]))
    event = fetched(gate, anna.context(certificates))
    assert event["verifier"] == "certificate" and "mailbox" not in event
    for name, why in (("dora", "the user is disabled in users.db"), ("emil", "the user may not log in by this method")):
        client = authority.issue(name, f"/CN={name}", san=f"email:{name}@elsewhere.example")
        refused(gate, client.context(certificates), why)


def test_what_users_db_keeps_is_told_to_the_store(start: Start, certificates: Certificates, users: Users,
                                                  configure: Callable[..., Config], anna: Client) -> None:
    users.add(USER, "secret", "--mailbox", USER, backend_password=PASSWORD)
    for login in ("stored", "pass", "cram-md5"):
        fetched(start(configure(backend={"login": login}, users=users, verify=["users"])), anna.context(certificates))


def test_denied_users_and_rules_go_by_the_certificates_name(
        start: Start, certificates: Certificates, authority: Authority, configure: Callable[..., Config],
        anna: Client) -> None:
    root = authority.issue("root", "/CN=root", san="email:Root@anywhere.example")
    clerk = authority.issue("clerk", "/CN=clerk", san="email:Anna@Example.Org")
    gate = start(configure(map=["*@example.org to {user}@test.local"]))
    refused(gate, root.context(certificates), "deny_users")
    assert fetched(gate, clerk.context(certificates))["mailbox"] == USER
    fetched(gate, anna.context(certificates))  # no rule: a mailbox of the whole name


def test_a_bare_name_is_no_user_of_a_domain(start: Start, certificates: Certificates, authority: Authority,
                                            users: Users, configure: Callable[..., Config]) -> None:
    """Of a certificate.  Those who have a password say who they are by it, as ever."""
    users.add("anna", PASSWORD)
    clerk = authority.issue("clerk", "/CN=Anna@Example.Net").context(certificates)
    bare = authority.issue("bare", "/CN=anna").context(certificates)
    rules = ["*@example.net to {user}"]
    gate = start(configure(client_cert_user=["common-name"], map=rules))
    assert logged_in(gate, clerk)["mailbox"] == "anna"
    refused(gate, bare, "the certificate's name of the user has no domain, and no map rule is for it")
    for more in (["anna to {user}"], ["* to {login}"]):
        assert logged_in(start(configure(client_cert_user=["common-name"], map=rules + more)), bare)["user"] == "anna"
    gate = start(configure(users=users, login=["basic-tls"], verify=["users"], map=rules))
    with connect(gate, gate.context) as client:
        client.login("anna")


def test_a_name_that_the_store_would_cut_is_refused(start: Start, certificates: Certificates, authority: Authority,
                                                    configure: Callable[..., Config], anna: Client) -> None:
    """No outage, after which to try again."""
    gate = start(configure())
    for number, name in enumerate((f"anna*{MASTER}@test.local", "*@test.local", f"{USER}*")):
        starred = authority.issue(f"starred{number}", "/CN=starred", san=f"email:{name}")
        event = refused(gate, starred.context(certificates),
                        "the name at the store has master_separator in it, where the store would cut it")
        assert event["user"] == name
    fetched(gate, anna.context(certificates))


def test_failures_count_as_wrong_passwords_do(start: Start, certificates: Certificates, authority: Authority,
                                              configure: Callable[..., Config]) -> None:
    root = authority.issue("root", "/CN=root", san="email:root@test.local")
    gate = start(configure(max_login_attempts=2))
    with connect(gate, root.context(certificates)) as client:
        for _attempt in range(2):
            assert client.ask(b"AUTH EXTERNAL =") == REFUSAL
        client.read_to_end()
        event = gate.closed(client.port)
    assert (event["reason"], event["failed_logins"]) == ("login_attempts", 2)


# ---- who is let into TLS

@pytest.mark.parametrize("version", TLS_VERSIONS)
@pytest.mark.parametrize("key", ["rsa:2048", "ec P-384", "ec P-521", "ed25519"])
def test_a_key_may_be_of_any_kind(start: Start, certificates: Certificates, authority: Authority,
                                  configure: Callable[..., Config], key: str, version: ssl.TLSVersion) -> None:
    anna = authority.issue("anna", san=f"email:{USER}", key=key_of(key))
    fetched(start(configure(client_certs="required")), anna.context(certificates, version))


def key_of(kind: str) -> tuple[str, ...]:
    """Of `openssl req`: rsa:2048, or ec and the curve."""
    name, _space, curve = kind.partition(" ")
    return ("-newkey", name, "-nodes", *(("-pkeyopt", f"ec_paramgen_curve:{curve}") if curve else ()))


WEAK_KEY = "the key is too weak for this tls_profile: "
WEAK_SIGNATURE = "the signature is too weak for this tls_profile: "

# Newer versions of BoringSSL do not know these at all.
WORDS_OF_NEWER = {"rsa:2048 md5": "certificate signature failure", "ec P-224 sha256": "UNSUPPORTED_ALGORITHM"}


def lenient(client: Client, certificates: Certificates, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that shows a weak certificate."""
    context = certificates.client_context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(client.chain, client.key)
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize(("key", "digest", "why", "is_for_legacy", "versions"), [
    ("rsa:2048", "md5", f"{WEAK_SIGNATURE}MD5", False, TLS_VERSIONS),
    ("rsa:2048", "sha1", f"{WEAK_SIGNATURE}SHA1", True, TLS_VERSIONS),
    ("rsa:2040", "sha256", f"{WEAK_KEY}RSA 2040 bits", True, TLS_VERSIONS),
    ("rsa:1024", "sha256", f"{WEAK_KEY}RSA 1024 bits", True, TLS_VERSIONS),
    ("rsa:1016", "sha256", f"{WEAK_KEY}RSA 1016 bits", False, TLS_VERSIONS),
    ("ec P-224", "sha256", f"{WEAK_KEY}ECDSA P-224", False, TLS_VERSIONS[:1]),  # TLS 1.3 does not have it
])
def test_weak_certificates_are_for_legacy_at_most(
        start: Start, certificates: Certificates, authority: Authority, configure: Callable[..., Config], key: str,
        digest: str, why: str, is_for_legacy: bool, versions: list[ssl.TLSVersion]) -> None:
    signer = Authority(authority.directory, "signer", key=key_of("rsa:2048"))
    weak = signer.issue("weak", san=f"email:{USER}", key=key_of(key), digest=digest)
    exception = "allow legacy-tls ip 127.0.0.1 until 2099-12-31 because old program"
    usual, legacy, excepted = (
        start(configure(client_ca=str(signer.certificate), **options))
        for options in ({}, {"tls_profile": "legacy"}, {"login_exceptions": [exception]}))
    newer = WORDS_OF_NEWER.get(f"{key} {digest}")
    alert = "bad certificate|decode error" if newer else "bad certificate"
    for version in versions:
        context = lenient(weak, certificates, version)
        told = cannot_connect(usual, context, alert)["why"]
        assert told.endswith((f" is refused: {why}", newer or f" is refused: {why}"))
        for gate in (legacy, excepted):
            if is_for_legacy:
                fetched(gate, context)
            else:
                cannot_connect(gate, context, alert)


@pytest.mark.parametrize(("root", "between", "why"), [
    (("rsa:2048", "sha1"), ("rsa:2048", "sha256"), ""),  # its own signature proves nothing
    (("rsa:1024", "sha256"), ("rsa:2048", "sha256"), f"{WEAK_KEY}RSA 1024 bits, for an authority in its chain"),
    (("rsa:2048", "sha256"), ("rsa:1024", "sha256"), f"{WEAK_KEY}RSA 1024 bits, for an authority in its chain"),
    (("rsa:2048", "sha256"), ("rsa:2048", "sha1"), f"{WEAK_SIGNATURE}SHA1, for an authority in its chain"),
])
def test_authorities_must_be_strong_too(
        start: Start, certificates: Certificates, authority: Authority, configure: Callable[..., Config],
        root: tuple[str, str], between: tuple[str, str], why: str) -> None:
    top = Authority(authority.directory, "top", key=key_of(root[0]), digest=root[1])
    below = Authority(authority.directory, "below", top, key_of(between[0]), between[1])
    client = below.issue("client", san=f"email:{USER}")
    context = lenient(client, certificates, ssl.TLSVersion.TLSv1_3)
    gate = start(configure(client_ca=str(top.certificate)))
    if why:
        assert cannot_connect(gate, context, "bad certificate")["why"].endswith(f" is refused: {why}")
    else:
        fetched(gate, context)


@pytest.mark.parametrize("version", TLS_VERSIONS)
@pytest.mark.parametrize("mode", TLS_MODES)
def test_who_has_none_is_let_in_where_it_is_not_required(start: Start, certificates: Certificates, mode: str,
                                                         configure: Callable[..., Config],
                                                         version: ssl.TLSVersion) -> None:
    context = certificates.client_context()
    context.minimum_version = context.maximum_version = version
    connect(start(configure()), context, mode).socket.close()
    alert = "certificate required" if version is ssl.TLSVersion.TLSv1_3 else "handshake failure"
    cannot_connect(start(configure(client_certs="required")), context, alert, mode)


@pytest.mark.parametrize("version", TLS_VERSIONS)
@pytest.mark.parametrize("asked", ["optional", "required"])
def test_a_wrong_certificate_is_never_passed_over(
        start: Start, certificates: Certificates, workdir: Path, authority: Authority,
        configure: Callable[..., Config], asked: str, version: ssl.TLSVersion) -> None:
    san = f"email:{USER}"
    stranger = Authority(authority.directory, "stranger")
    half = Authority(authority.directory, "half", authority)
    half.beside = b""
    revoked = authority.issue("revoked", san=san)
    authority.revoke(revoked)
    crl = workdir / "crl.pem"
    crl.write_bytes(authority.revocations())
    gate = start(configure(client_certs=asked, client_crl=str(crl)))
    for client, alert, why in (
            (stranger.issue("other", san=san), "unknown ca", "unable to get local issuer certificate"),
            (half.issue("halved", san=san), "unknown ca", "unable to get local issuer certificate"),
            (authority.issue("old", san=san, expired=True), "certificate expired", "certificate has expired"),
            (authority.issue("server", san=san, extensions="extendedKeyUsage=serverAuth"), "bad certificate",
             "unsupported certificate purpose"),
            (revoked, "certificate revoked", "certificate revoked")):
        event = cannot_connect(gate, client.context(certificates, version), alert)
        assert event["why"] == (f"the client's certificate (CN=Anna,O=Test, serial {serial_of(client)}) is refused: "
                                f"{why}")


def test_a_chain_that_is_too_long_is_refused(start: Start, certificates: Certificates, configure: Callable[..., Config],
                                             anna: Client) -> None:
    gate = start(configure())
    leaf = anna.chain.read_bytes()
    anna.chain.write_bytes(leaf * 17)
    event = cannot_connect(gate, anna.context(certificates), "bad certificate")
    assert event["why"] == "the client sent more than 16 certificates"
    anna.chain.write_bytes(leaf * 40)  # more bytes than are read at all
    cannot_connect(gate, anna.context(certificates), "illegal parameter")


def test_an_authority_between_may_come_with_the_client_or_stand_in_the_file(
        start: Start, certificates: Certificates, authority: Authority, configure: Callable[..., Config]) -> None:
    between = Authority(authority.directory, "between", authority)
    shows = between.issue("shows", san=f"email:{USER}")
    fetched(start(configure()), shows.context(certificates))
    between.beside, beside = b"", between.beside
    alone = between.issue("alone", san=f"email:{USER}")
    both = authority.directory / "both.pem"
    both.write_bytes(authority.certificate.read_bytes() + beside)
    fetched(start(configure(client_ca=str(both))), alone.context(certificates))


def test_clients_are_told_who_may_vouch_for_them(start: Start, configure: Callable[..., Config]) -> None:
    gate = start(configure())
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gate.port('pop3s')}"], capture_output=True,
                          text=True, input="", timeout=DEADLINE, check=False)
    assert "Acceptable client certificate CA names\nCN = clients\n" in done.stdout


# ---- what is revoked while popgate runs

@pytest.mark.parametrize("version", TLS_VERSIONS)
@pytest.mark.parametrize("place", [replace, Path.write_bytes])
def test_a_new_revocation_list_is_taken_by_itself(
        start: Start, certificates: Certificates, workdir: Path, authority: Authority, anna: Client,
        configure: Callable[..., Config], place: Callable[[Path, bytes], None], version: ssl.TLSVersion) -> None:
    crl = workdir / "crl.pem"
    crl.write_bytes(authority.revocations())
    config = configure(client_crl=str(crl), client_certs="required")
    gate = start(config)
    context = anna.context(certificates, version)
    fetched(gate, context)
    with connect(gate, context) as staying:
        staying.ask(b"AUTH EXTERNAL =", b"+OK")
        mark = gate.log.mark()
        authority.revoke(anna)
        place(crl, authority.revocations())
        gate.log.wait("client_trust_replaced", since=mark, count=2)  # of each listener
        for _worker in range(4):
            until_it_works(lambda: cannot_connect(gate, context, "certificate revoked"))
        fetch(staying)  # who is in stays
    bert = authority.issue("bert", san="email:bert@test.local")
    logged_in(gate, bert.context(certificates))
    # a worker to come knows it too
    workers = gate.workers()
    gate.expect("worker_died")
    os.kill(workers[0], signal.SIGKILL)
    proc.wait_gone(workers[:1])
    gate.wait_workers(2)
    for _worker in range(4):
        cannot_connect(gate, context, "certificate revoked")


@pytest.mark.parametrize("version", TLS_VERSIONS)
def test_a_ticket_does_not_outlive_its_certificates_time(
        start: Start, certificates: Certificates, authority: Authority, configure: Callable[..., Config],
        version: ssl.TLSVersion) -> None:
    gate = start({**configure(), "workers": 1})
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
    mayfly = authority.issue("mayfly", san=f"email:{USER}", until=end)
    context = mayfly.context(certificates, version)
    with connect(gate, context) as client:
        session = client.tls.session

    def refused_once_it_has_expired() -> Event:
        with Raw(gate.port("pop3s")) as client:
            with pytest.raises((ssl.SSLError, AssertionError)) as raised:
                client.start_tls(context, session)
                client.greeting()
                raise AssertionError("it is let in")
            assert "certificate expired" in str(raised.value).lower().replace("_", " ")
            return gate.closed(client.port)

    assert until_it_works(refused_once_it_has_expired)["why"].endswith("certificate has expired")


@pytest.mark.parametrize("version", TLS_VERSIONS)
@pytest.mark.parametrize("ours", [1, 2])
def test_a_ticket_does_not_outlive_its_certificate(
        start: Start, certificates: Certificates, workdir: Path, authority: Authority, anna: Client,
        configure: Callable[..., Config], ours: int, version: ssl.TLSVersion) -> None:
    crl = workdir / "crl.pem"
    crl.write_bytes(authority.revocations())
    config: Config = {**configure(client_crl=str(crl)), "workers": 1}
    if ours == 2:  # then there is a choice, and each has a context of its own
        first = {"chain": certificates.chain("stranger"), "key": certificates.key("stranger")}
        config["certificates"] = {"first": first, **config["certificates"]}
    gate = start(config)
    context = anna.context(certificates, version)

    def resume() -> tuple[bool, Event]:
        with Raw(gate.port("pop3s")) as client:
            client.start_tls(context, session=session)
            client.greeting()
            client.ask(b"AUTH EXTERNAL =", b"+OK")
            client.ask(b"QUIT", b"+OK")
            client.read_to_end()
            return client.tls.session_reused, gate.closed(client.port)

    with connect(gate, context) as client:
        session = client.tls.session
    reused, event = resume()
    assert reused and event["resumed"] == "true" and event["serial"] == serial_of(anna)
    # another list, which does not hold the certificate: no resumption, and all is well
    mark = gate.log.mark()
    replace(crl, authority.revocations())
    gate.log.wait("client_trust_replaced", since=mark, count=2)
    until_it_works(lambda: check(not resume()[0]))
    # one that does
    authority.revoke(anna)
    mark = gate.log.mark()
    replace(crl, authority.revocations())
    gate.log.wait("client_trust_replaced", since=mark, count=2)
    until_it_works(lambda: cannot_connect(gate, context, "certificate revoked", session=session))


def check(condition: bool) -> None:
    assert condition


@pytest.mark.parametrize("version", TLS_VERSIONS)
def test_a_ticket_without_a_certificate_does_not_count_where_one_is_required(
        start: Start, certificates: Certificates, configure: Callable[..., Config], anna: Client,
        version: ssl.TLSVersion) -> None:
    gate = start(configure())
    context = certificates.client_context()
    context.minimum_version = context.maximum_version = version
    with connect(gate, context) as client:
        session = client.tls.session
        client.ask(b"QUIT", b"+OK")
        client.read_to_end()
    gate.reload_all(configure(client_certs="required"))
    alert = "certificate required" if version is ssl.TLSVersion.TLSv1_3 else "handshake failure"
    cannot_connect(gate, context, alert, session=session)
    context.load_cert_chain(anna.chain, anna.key)
    with Raw(gate.port("pop3s")) as client:
        client.start_tls(context, session)
        client.greeting()
        assert not client.tls.session_reused
        client.ask(b"AUTH EXTERNAL =", b"+OK")
        fetch(client)


def test_a_revocation_list_that_cannot_be_used_changes_nothing(
        start: Start, certificates: Certificates, workdir: Path, authority: Authority, anna: Client,
        configure: Callable[..., Config]) -> None:
    crl = workdir / "crl.pem"
    good = authority.revocations()
    crl.write_bytes(good)
    gate = start(configure(client_crl=str(crl)))
    gate.expect("client_trust_refused")
    stranger = Authority(authority.directory, "stranger")
    for content, why in ((b"", "is empty"), (b"no list\n", "nothing in PEM form"),
                         (good[:200], "was not written to its end"),
                         (authority.revocations(expired=True), "has expired"),
                         (stranger.revocations(), "that no authority of client_ca has made"),
                         (authority.certificate.read_bytes(), "something else than -----BEGIN X509 CRL-----")):
        mark = gate.log.mark()
        replace(crl, content)
        assert why in gate.log.wait("client_trust_refused", since=mark, count=2)["why"]
        fetched(gate, anna.context(certificates))
    mark = gate.log.mark()
    crl.unlink()
    assert "No such file" in gate.log.wait("client_trust_refused", since=mark, count=2)["why"]
    mark = gate.log.mark()
    authority.revoke(anna)
    replace(crl, authority.revocations())
    gate.log.wait("client_trust_replaced", since=mark, count=2)
    until_it_works(lambda: cannot_connect(gate, anna.context(certificates), "certificate revoked"))


def test_without_a_list_in_force_nobody_with_a_certificate_is_let_in(
        start: Start, certificates: Certificates, workdir: Path, authority: Authority, anna: Client,
        configure: Callable[..., Config]) -> None:
    crl = workdir / "crl.pem"
    crl.write_bytes(authority.revocations(expired=True))
    gate = start(configure(client_crl=str(crl)))
    gate.expect("client_trust_expired")
    assert gate.log.wait("client_trust_expired", count=2)["why"].endswith("has expired")
    assert cannot_connect(gate, anna.context(certificates), "bad certificate")["why"].endswith("CRL has expired")
    gate.connect("implicit").socket.close()
    mark = gate.log.mark()
    replace(crl, authority.revocations())
    gate.log.wait("client_trust_replaced", since=mark, count=2)
    until_it_works(lambda: fetched(gate, anna.context(certificates)))


def test_new_authorities_are_taken_by_themselves(
        start: Start, certificates: Certificates, workdir: Path, authority: Authority, anna: Client,
        configure: Callable[..., Config]) -> None:
    ca = workdir / "ca.pem"
    ca.write_bytes(authority.certificate.read_bytes())
    gate = start(configure(client_ca=str(ca)))
    other = Authority(authority.directory, "other")
    newcomer = other.issue("newcomer", san=f"email:{USER}")
    cannot_connect(gate, newcomer.context(certificates), "unknown ca")
    mark = gate.log.mark()
    replace(ca, other.certificate.read_bytes())
    gate.log.wait("client_trust_replaced", since=mark, count=2)
    until_it_works(lambda: fetched(gate, newcomer.context(certificates)))
    cannot_connect(gate, anna.context(certificates), "unknown ca")


def test_the_lists_of_all_authorities_in_the_chain_are_wanted(
        start: Start, certificates: Certificates, workdir: Path, authority: Authority,
        configure: Callable[..., Config]) -> None:
    between = Authority(authority.directory, "between", authority)
    both, crl = workdir / "both.pem", workdir / "crl.pem"
    both.write_bytes(authority.certificate.read_bytes() + between.beside)
    crl.write_bytes(authority.revocations() + between.revocations())
    client = between.issue("client", san=f"email:{USER}")
    gate = start(configure(client_ca=str(both), client_crl=str(crl)))
    fetched(gate, client.context(certificates))
    authority.revoke(Client(between.certificate, between.certificate))
    mark = gate.log.mark()
    replace(crl, authority.revocations() + between.revocations())
    gate.log.wait("client_trust_replaced", since=mark, count=2)
    event = until_it_works(lambda: cannot_connect(gate, client.context(certificates), "certificate revoked"))
    assert event["why"].endswith("certificate revoked, for an authority in its chain")


@pytest.mark.parametrize(("ca", "crl", "why"), [
    ("gone", "", "cannot read {}/gone: No such file or directory"),
    ("clients.key", "", "{}/clients.key holds something else than -----BEGIN CERTIFICATE-----: a PRIVATE KEY"),
    ("anna.pem", "", "{}/anna.pem holds a certificate that is no authority's: /O=Test/CN=Anna; client_ca names those "
     "who vouch for users"),
    ("between.pem", "", "{}/between.pem holds the authority /CN=between, but not the one that vouches for it; add "
     "that, up to the one that vouches for itself"),
    ("both.pem", "clients.crl", "{}/clients.crl holds no revocation list of the authority /CN=between, so that none "
     "of its users could log in; add its list"),
    ("clients.pem", "between.crl", "{}/between.crl holds a revocation list that no authority of client_ca has made: "
     "that of /CN=between; give the authority's certificate there, or leave the list out"),
    ("clients.pem", "clients.pem", "{}/clients.pem holds something else than -----BEGIN X509 CRL-----: a CERTIFICATE"),
])
def test_files_that_cannot_be_used_are_named(workdir: Path, authority: Authority, anna: Client, ca: str, crl: str,
                                             why: str, configure: Callable[..., Config]) -> None:
    assert anna
    here = authority.directory
    between = Authority(here, "between", authority)
    (here / "both.pem").write_bytes(authority.certificate.read_bytes() + between.beside)
    authority.revocations()
    between.revocations()
    config = workdir / "popgate.yaml"
    content = configure(client_ca=str(here / ca), client_crl=str(here / crl) if crl else "")
    config.write_text(json.dumps(content, indent=1))
    done = run_command("check", "-c", str(config))
    assert done.returncode == 1
    option = "client_crl" if crl else "client_ca"
    line, = [number for number, line in enumerate(config.read_text().splitlines(), 1) if f'"{option}": ' in line]
    column = config.read_text().splitlines()[line - 1].index(": ") + 3
    assert f"{config}:{line}:{column}: {option}: {why.format(here)}\n" in done.stderr


@pytest.mark.parametrize("order", [1, -1])
def test_a_list_of_what_has_changed_revokes_and_pardons_nobody(
        start: Start, certificates: Certificates, workdir: Path, authority: Authority, anna: Client,
        configure: Callable[..., Config], order: int) -> None:
    index = authority.directory / "clients.index"
    before = index.read_bytes()
    authority.revoke(anna)
    base = authority.revocations()
    index.write_bytes(before)
    delta = authority.revocations(DELTA)  # the newer one, and she is not in it
    crl = workdir / "crl.pem"
    crl.write_bytes(base)
    gate = start(configure(client_crl=str(crl)))
    gate.expect("client_trust_refused")
    mark = gate.log.mark()
    replace(crl, b"".join([base, delta][::order]))
    event = gate.log.wait("client_trust_refused", since=mark, count=2)
    assert event["why"].endswith(f"{crl} holds a revocation list that tells only what has changed (a delta): that of "
                                 "/CN=clients; give the complete list, alone")
    cannot_connect(gate, anna.context(certificates), "certificate revoked")


@pytest.mark.parametrize(("root", "below", "why"), [
    ("onlyCA=true", "onlyuser=true", ""),
    ("", "fullname=URI:http://test.local/list", ""),
    ("", "onlyCA=true", "/CN=between that tells of users"),
    ("", "onlyAA=true", "/CN=between that tells of users"),
    ("", "indirectCRL=true", "/CN=between that tells of users"),
    ("", "onlysomereasons=keyCompromise", "/CN=between that tells of users"),
    ("onlyuser=true", "", "/CN=clients that tells of /CN=clients"),
    ("fullname=URI:http://test.local/list", "", "/CN=clients that tells of /CN=clients"),
])
def test_lists_must_tell_of_all(start: Start, certificates: Certificates, authority: Authority,
                                configure: Callable[..., Config], root: str, below: str, why: str) -> None:
    between = Authority(authority.directory, "between", authority)
    ca, crl = authority.directory / "both.pem", authority.directory / "both.crl"
    ca.write_bytes(authority.certificate.read_bytes() + between.beside)
    crl.write_bytes(authority.revocations(SCOPE + root if root else "") +
                    between.revocations(SCOPE + below if below else ""))
    content = configure(client_ca=str(ca), client_crl=str(crl))
    config = authority.directory / "popgate.yaml"
    config.write_text(json.dumps(content))
    done = run_command("check", "-c", str(config))
    if why:
        assert f"client_crl: {crl} holds no revocation list of the authority {why}, so that none" in done.stderr
    else:
        assert done.returncode == 0
    if "onlyuser" in below:
        fetched(start(content), between.issue("client", san=f"email:{USER}").context(certificates))


# ---- real clients

@pytest.mark.parametrize("mode", TLS_MODES)
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl_fetches_by_certificate(start: Start, certificates: Certificates, configure: Callable[..., Config],
                                     anna: Client, mode: str, version: str) -> None:
    gate = start(configure(client_certs="required"))
    scheme, port = "pop3s" if mode == "implicit" else "pop3", gate.port(LISTENERS[mode])
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--cacert", certificates.chain("ca"), "--ipv4", "--cert", anna.chain,
         "--key", anna.key, "--user", f"{USER}:", "--login-options", "AUTH=EXTERNAL", f"--tlsv{version}", "--tls-max", version,
         *(["--ssl-reqd"] if mode == "stls" else []), f"{scheme}://localhost:{port}/2"],
        capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, mail.on_the_wire(MESSAGES[1]), b"")


@pytest.mark.parametrize("mode", TLS_MODES)
def test_s_client_logs_in_by_certificate(start: Start, certificates: Certificates, configure: Callable[..., Config],
                                         anna: Client, mode: str) -> None:
    gate = start(configure())
    process = subprocess.Popen(
        ["openssl", "s_client", "-quiet", "-verify_return_error", "-CAfile", certificates.chain("ca"), "-cert",
         anna.chain, "-key", anna.key, *(["-starttls", "pop3"] if mode == "stls" else []), "-connect",
         f"localhost:{gate.port(LISTENERS[mode])}", "-4"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with process:
        process.stdin.write(b"AUTH EXTERNAL =\r\nSTAT\r\nQUIT\r\n")
        process.stdin.flush()
        said = process.stdout.read()
    assert b"+OK 2 " in said


def test_fetchmail_fetches_by_password_where_a_certificate_is_required(
        start: Start, certificates: Certificates, configure: Callable[..., Config], users: Users, anna: Client,
        workdir: Path) -> None:
    """fetchmail 6 knows EXTERNAL for IMAP alone, but shows its certificate."""
    users.add(USER, PASSWORD, "--mailbox", USER)
    gate = start(configure(users=users, client_certs="required", login=["basic-tls"], verify=["users"]))
    settings, delivered = workdir / "fetchmailrc", workdir / "delivered"
    settings.write_text(f'poll localhost via 127.0.0.1 proto POP3 service "{gate.port("pop3s")}" timeout 15\n'
                        f'user "{USER}" password "{PASSWORD}" ssl sslcert "{anna.chain}" sslkey "{anna.key}"\n'
                        f'sslcertck sslcertfile "{certificates.chain("ca")}" sslcommonname "localhost"\n'
                        f'fetchall keep no rewrite no mimedecode pass8bits no dropstatus mda "cat >> {delivered}"\n')
    settings.chmod(0o600)
    subprocess.run(["fetchmail", "--silent", "--nosyslog", "--fetchmailrc", str(settings), "--pidfile",
                    str(workdir / "pid")], timeout=60, check=True,
                   env={**os.environ, "FETCHMAILHOME": str(workdir), "LC_ALL": "C"})
    assert b"second" in delivered.read_bytes()
    assert gate.log.wait("session_closed", reason="done")["serial"] == serial_of(anna)
