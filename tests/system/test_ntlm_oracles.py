"""NTLM as others understand it: impacket and gss-ntlmssp as clients of popgate, and as judges of what popgate tells a
store with login: ntlm.  Neither shares a line with popgate, or with the client that the other tests have.

What they cannot do, and what is done about it here:

* impacket makes no MIC and no channel binding of its own.  It answers with whatever pairs the challenge has, so those
  are put into the challenge that it is shown, and the MIC is summed up here, with its key and its functions.
* impacket always says that it means cifs/HOST, unless its own test vectors are computed; that switch is used.
* impacket has no server that judges NTLMv2 with MIC and channel binding: it parses and computes, and is compared here.
* gss-ntlmssp makes a MIC only when SPNEGO asks whether it may; so that is asked.
* gss-ntlmssp as a server refuses a wrong MIC and a wrong channel binding, and has no way to require either.  It always
  shows a time, so that popgate's answer without a MIC is judged by impacket alone.
* gss-ntlmssp does NTLMv2 alone unless an environment variable says otherwise for the whole process, and that is left
  alone: the older answers are impacket's.
"""

import base64
import hashlib
import ssl
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import gssapi
import mail
import pytest
from certs import Certificates
from clients import PASSWORD, USER
from gssapi import raw
from impacket import ntlm
from ntlm_client import ask_for_challenge, patched
from popgate import MODES, Config, Event, Popgate, site
from stores import FakeStore, Peer, fake_store, serve_mailbox
from test_ntlm import REFUSAL, Users, certificate_of, config_of
from test_store_logins import DOMAIN, MESSAGES, assert_fetched, assert_refused, tls_backend

Start = Callable[..., Popgate]

NAME, SECRET = "anna", "S\u00e9same 1"
UMLAUT = "j\u00fcrgen"

MIC_AT, MIC_SIZE = 72, 16

WRONG = "wrong password"
WRONG_MIC = "wrong MIC: the messages were changed on their way"
OTHER_CHANNEL = "bound to another TLS channel"
OTHER_SERVICE = "meant for another service"


def end_point(der: bytes) -> bytes:
    """The application data of a channel binding (RFC 5929 section 4)."""
    return b"tls-server-end-point:" + hashlib.sha256(der).digest()


def binding_hash(data: bytes) -> bytes:
    return hashlib.md5(bytes(16) + struct.pack("<I", len(data)) + data).digest()


def flipped(message: bytes, at: int) -> bytes:
    return patched(message, at, bytes([message[at] ^ 1]))


@pytest.fixture(autouse=True)
def no_service_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ntlm, "TEST_CASE", True)


# ---- impacket

def mic_of(key: bytes, *messages: bytes) -> bytes:
    return ntlm.hmac_md5(key, b"".join(messages))


class ImpacketClient:
    """Computed anew for each login."""

    def __init__(self, user: str = NAME, password: str = SECRET, *, domain: str = "", is_v2: bool = True,
                 has_mic: bool = False, binding: bytes | None = None, service: str | None = None, dropped: int = 0):
        """`binding` is a channel's application data; `dropped` are flags that are not offered."""
        self._login = (user, password, domain)
        self._is_v2, self._has_mic = is_v2, has_mic
        self._more: dict[int, bytes] = {}
        if has_mic:
            self._more[ntlm.NTLMSSP_AV_FLAGS] = struct.pack("<I", 2)
        if binding is not None:
            self._more[ntlm.NTLMSSP_AV_CHANNEL_BINDINGS] = binding_hash(binding)
        if service is not None:
            self._more[ntlm.NTLMSSP_AV_TARGET_NAME] = service.encode("utf-16le")
        self._first = ntlm.getNTLMSSPType1("WORKSTATION", domain, signingRequired=True, use_ntlmv2=is_v2)
        self._first["flags"] &= ~dropped

    def negotiate(self) -> bytes:
        return self._first.getData()

    def _shown(self, challenge: bytes) -> bytes:
        """The challenge with the pairs that are to come back; they stand last."""
        start = struct.unpack_from("<I", challenge, 44)[0]
        pairs = ntlm.AV_PAIRS(challenge[start:])
        for number, value in self._more.items():
            pairs[number] = value
        info = pairs.getData()
        return patched(challenge[:start], 40, struct.pack("<HH", len(info), len(info))) + info

    def authenticate(self, challenge: bytes) -> bytes:
        answer, key = ntlm.getNTLMSSPType3(self._first, self._shown(challenge), *self._login, use_ntlmv2=self._is_v2)
        if self._has_mic:
            answer["flags"] |= ntlm.NTLMSSP_NEGOTIATE_VERSION
            answer["Version"], answer["MIC"] = bytes(8), bytes(MIC_SIZE)
            answer["MIC"] = mic_of(key, self.negotiate(), challenge, answer.getData())
        return answer.getData()


class ImpacketJudge:
    """Says what is wrong with an answer: "" if nothing is."""

    def __init__(self, password: str, binding: bytes | None, *, has_time: bool = True):
        self._password, self._binding, self._has_time = password, binding, has_time
        self.has_mic = self.is_bound = False

    def challenge(self, negotiate: bytes) -> bytes:
        self._first = negotiate
        asked = ntlm.NTLMAuthNegotiate()
        asked.fromString(negotiate)
        pairs = ntlm.AV_PAIRS()
        pairs[ntlm.NTLMSSP_AV_DOMAINNAME] = pairs[ntlm.NTLMSSP_AV_HOSTNAME] = DOMAIN.encode("utf-16le")
        if self._has_time:
            pairs[ntlm.NTLMSSP_AV_TIME] = struct.pack("<Q", 0x01DA0000DEADBEEF)
        name = DOMAIN.encode("utf-16le")
        message = ntlm.NTLMAuthChallenge()
        message["flags"] = asked["flags"] | ntlm.NTLMSSP_NEGOTIATE_TARGET_INFO | ntlm.NTLMSSP_NEGOTIATE_VERSION
        message["flags"] &= ~ntlm.NTLM_NEGOTIATE_OEM
        message["challenge"], message["Version"] = b"\1\2\3\4\5\6\7\x08", b"\6\1\0\0\0\0\0\x0f"
        message["domain_len"] = message["domain_max_len"] = len(name)
        message["domain_offset"], message["domain_name"] = 56, name
        message["TargetInfoFields_len"] = message["TargetInfoFields_max_len"] = len(pairs)
        message["TargetInfoFields_offset"], message["TargetInfoFields"] = 56 + len(name), pairs
        self._second = message.getData()
        return self._second

    def problem(self, authenticate: bytes) -> str:
        answer = ntlm.NTLMAuthChallengeResponse()
        answer.fromString(authenticate)
        if len(answer["ntlm"]) == 24:
            return self._problem_of_v1(answer)
        user, domain = (answer[name].decode("utf-16le") for name in ("user_name", "domain_name"))
        key = ntlm.NTOWFv2(user, self._password, domain)
        proof, rest = answer["ntlm"][:16], answer["ntlm"][16:]
        if ntlm.hmac_md5(key, self._second[24:32] + rest) != proof or answer["lanman"] != bytes(24):
            return "proof"
        return self._problem_of_pairs(ntlm.AV_PAIRS(rest[28:]), ntlm.hmac_md5(key, proof), authenticate)

    def _problem_of_v1(self, answer: ntlm.NTLMAuthChallengeResponse) -> str:
        wanted = ntlm.get_ntlmv1_response(ntlm.compute_nthash(self._password), self._second[24:32])
        return "" if answer["ntlm"] == answer["lanman"] == wanted else "proof"

    def _problem_of_pairs(self, pairs: ntlm.AV_PAIRS, key: bytes, authenticate: bytes) -> str:
        flags, binding = pairs[ntlm.NTLMSSP_AV_FLAGS], pairs[ntlm.NTLMSSP_AV_CHANNEL_BINDINGS]
        self.has_mic, self.is_bound = flags is not None and bool(flags[1][0] & 2), binding is not None
        blank = patched(authenticate, MIC_AT, bytes(MIC_SIZE))
        if self.has_mic and authenticate[MIC_AT:MIC_AT + MIC_SIZE] != mic_of(key, self._first, self._second, blank):
            return "MIC"
        wanted = binding_hash(self._binding) if self._binding else None
        return "" if (binding and binding[1]) == wanted else "binding"


# ---- gss-ntlmssp

NTLMSSP = gssapi.OID.from_int_seq("1.3.6.1.4.1.311.2.2.10")
SPNEGO_ASKS_FOR_A_MIC = gssapi.OID.from_int_seq("1.3.6.1.4.1.7165.655.1.2")


@pytest.fixture(autouse=True)
def gss_environment(monkeypatch: pytest.MonkeyPatch, workdir: Path) -> None:
    """What its server side knows: one user, and who it is itself."""
    (workdir / "gss-users").write_text(f"{DOMAIN}:{NAME}:{PASSWORD}\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(workdir / "gss-users"))
    monkeypatch.setenv("NETBIOS_COMPUTER_NAME", "STORE")
    monkeypatch.setenv("NETBIOS_DOMAIN_NAME", DOMAIN)


def channel(binding: bytes | None) -> raw.ChannelBindings | None:
    return None if binding is None else raw.ChannelBindings(application_data=binding)


class GssClient:
    """Computed anew for each login; it means the service pop at localhost."""

    def __init__(self, user: str = NAME, password: str = SECRET, *, domain: str = "", has_mic: bool = False,
                 binding: bytes | None = None, service: str = "pop@localhost"):
        name = gssapi.Name(f"{domain}\\{user}" if domain else user, gssapi.NameType.user)
        credentials = raw.acquire_cred_with_password(name, password.encode(), mechs=[NTLMSSP], usage="initiate").creds
        self._context = gssapi.SecurityContext(
            name=gssapi.Name(service, gssapi.NameType.hostbased_service), creds=gssapi.Credentials(base=credentials),
            mech=NTLMSSP, usage="initiate", channel_bindings=channel(binding))
        self._first = self._context.step()
        if has_mic:
            raw.inquire_sec_context_by_oid(self._context, SPNEGO_ASKS_FOR_A_MIC)

    def negotiate(self) -> bytes:
        return self._first

    def authenticate(self, challenge: bytes) -> bytes:
        return self._context.step(challenge)


class GssJudge:
    """It has one word for all that is wrong."""

    def __init__(self, password: str, binding: bytes | None):
        del password  # stands in its file
        credentials = gssapi.Credentials(usage="accept", mechs=[NTLMSSP])
        self._context = gssapi.SecurityContext(creds=credentials, usage="accept", channel_bindings=channel(binding))

    def challenge(self, negotiate: bytes) -> bytes:
        return self._context.step(negotiate)

    def problem(self, authenticate: bytes) -> str:
        try:
            self._context.step(authenticate)
        except gssapi.exceptions.GSSError:
            return "refused"
        who = str(self._context.initiator_name).rstrip("\0").rpartition("\\")[2]
        return "" if self._context.complete and who == NAME else f"let {who!r} in"


# ---- as clients of popgate

Client = ImpacketClient | GssClient
CLIENTS = [ImpacketClient, GssClient]


@pytest.fixture(scope="module")
def store() -> Iterator[FakeStore]:
    with fake_store(serve_mailbox([mail.on_the_wire(message) for message in MESSAGES])) as store:
        yield store


@pytest.fixture(scope="module")
def users(shared: Path) -> Users:
    directory = shared / "oracle-users"
    directory.mkdir(mode=0o755)
    users = Users(directory)
    for name in (NAME, UMLAUT):
        users.add(name, SECRET, "--mailbox", USER, backend_password=PASSWORD)
    return users


@pytest.fixture
def edge(start: Start, certificates: Certificates, store: FakeStore, users: Users) -> Callable[..., Popgate]:
    """Starts popgates with the options given."""
    def start_one(**defaults: object) -> Popgate:
        options = {"login_delay": "0s", "max_login_attempts": 100, **defaults}
        config = config_of(certificates, store, users, **options)
        if defaults.get("ntlm_channel_binding") == "require":
            del config["listeners"]["plain"]
            for listener in config["listeners"].values():
                listener["login"] = ["ntlm-tls"]
        return start(config)
    return start_one


def accepted(gate: Popgate, who: Client, mode: str = "implicit") -> Event:
    with gate.connect(mode) as client:
        client.ask(base64.b64encode(who.authenticate(ask_for_challenge(client, who.negotiate()))), b"+OK")
        client.ask(b"QUIT", b"+OK")
        return gate.closed(client.port)


def refused(gate: Popgate, why: str, who: Client, mode: str = "implicit", *,
            change: Callable[[bytes], bytes] = lambda message: message,
            shown: Callable[[bytes], bytes] = lambda challenge: challenge) -> None:
    with gate.connect(mode) as client:
        answer = who.authenticate(shown(ask_for_challenge(client, who.negotiate())))
        assert client.ask(base64.b64encode(change(answer))) == REFUSAL
        client.ask(b"QUIT", b"+OK")
        session = gate.closed(client.port)["session"]
    assert [event["why"] for event in gate.log.all("login_failed", session=session)] == [why]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("make", CLIENTS)
def test_they_log_in(edge: Callable[..., Popgate], make: type[Client], mode: str) -> None:
    gate = edge()
    for domain, has_mic in (("", False), ("LAB", True), ("lab", False)):
        event = accepted(gate, make(domain=domain, has_mic=has_mic), mode)
        assert event | {"ntlm": "v2", "verifier": "users", "mailbox": USER} == event
        refused(gate, WRONG, make(password="wrong", domain=domain, has_mic=has_mic), mode)


@pytest.mark.parametrize("make", CLIENTS)
def test_names_beyond_ascii_are_hashed_alike(edge: Callable[..., Popgate], make: type[Client]) -> None:
    gate = edge()
    for name in (UMLAUT, UMLAUT.upper()):
        assert accepted(gate, make(name, has_mic=True, domain="K\u00f6ln"))["user"] == f"K\u00f6ln\\{name}"


@pytest.mark.parametrize("make", CLIENTS)
def test_their_mics(edge: Callable[..., Popgate], make: type[Client]) -> None:
    lenient, strict = edge(), edge(ntlm_mic="require")
    for gate in (lenient, strict):
        accepted(gate, make(has_mic=True))
        for at in (MIC_AT, MIC_AT + MIC_SIZE - 1, 64):  # two bits of the MIC, one of the version beside it
            refused(gate, WRONG_MIC, make(has_mic=True), change=lambda message, at=at: flipped(message, at))
        # A flag of the challenge that is of no use to anybody.
        refused(gate, WRONG_MIC, make(has_mic=True), shown=lambda challenge: flipped(challenge, 22))
    accepted(lenient, make())
    refused(strict, "no MIC", make())


@pytest.mark.parametrize("mode", ["implicit", "stls"])
@pytest.mark.parametrize("policy", ["off", "allow", "require"])
@pytest.mark.parametrize("make", CLIENTS)
def test_their_channel_bindings(edge: Callable[..., Popgate], make: type[Client], policy: str, mode: str) -> None:
    gate = edge(ntlm_channel_binding=policy)
    with gate.connect(mode) as client:
        right = end_point(certificate_of(client))
        client.ask(b"QUIT", b"+OK")
    wrong = end_point(b"another certificate")
    accepted(gate, make(binding=right, has_mic=True), mode)
    accepted(gate, make(binding=right), mode)
    if policy == "off":
        accepted(gate, make(binding=wrong), mode)
    else:
        refused(gate, OTHER_CHANNEL, make(binding=wrong), mode)
    if policy == "require":
        refused(gate, "no channel binding", make(), mode)
    else:
        accepted(gate, make(), mode)


@pytest.mark.parametrize("make", CLIENTS)
def test_a_binding_without_tls_is_of_another_channel(edge: Callable[..., Popgate], make: type[Client]) -> None:
    refused(edge(), OTHER_CHANNEL, make(binding=end_point(b"somebody's")), "none")


def test_the_services_that_they_mean(edge: Callable[..., Popgate], monkeypatch: pytest.MonkeyPatch) -> None:
    gate = edge(ntlm_services=["mail.test.local"])
    accepted(gate, GssClient(service="pop@mail.test.local"))
    refused(gate, OTHER_SERVICE, GssClient(service="pop@localhost"))
    refused(gate, OTHER_SERVICE, GssClient(service="imap@mail.test.local"))
    accepted(gate, ImpacketClient(service="POP3/mail.test.local:995"))
    monkeypatch.setattr(ntlm, "TEST_CASE", False)
    refused(gate, OTHER_SERVICE, ImpacketClient())  # cifs/MAIL
    refused(edge(), OTHER_SERVICE, ImpacketClient())


def test_older_answers_of_impacket(edge: Callable[..., Popgate]) -> None:
    def older(kind: str, password: str = SECRET) -> ImpacketClient:
        return ImpacketClient(password=password, is_v2=False,
                              dropped=0 if kind == "ntlm2" else ntlm.NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY)

    weak = {"ntlm2": "NTLM2 session security is not allowed", "v1": "NTLMv1 is not allowed"}
    gates = {level: edge(ntlm_level=level) for level in ("v2", "ntlm2", "v1")}
    for level, taken in (("v2", []), ("ntlm2", ["ntlm2"]), ("v1", ["ntlm2", "v1"])):
        for kind, why in weak.items():
            if kind in taken:
                assert accepted(gates[level], older(kind, SECRET))["ntlm"] == kind
            refused(gates[level], WRONG if kind in taken else why, older(kind, "wrong"))


# ---- as judges of popgate

@dataclass
class Trial:
    """What a store asks its judge, what may be changed on the way, and what came of it."""

    make: Callable[[], ImpacketJudge | GssJudge]
    context: ssl.SSLContext | None = None
    is_stls: bool = False
    negotiate: Callable[[bytes], bytes] = lambda message: message
    authenticate: Callable[[bytes], bytes] = lambda message: message
    problems: list[str] = field(default_factory=list)
    judges: list[ImpacketJudge | GssJudge] = field(default_factory=list)

    def login(self, peer: Peer) -> None:
        """A store's part up to the login."""
        if self.context and not self.is_stls:
            peer.start_tls(self.context)
        peer.send(b"+OK\r\n")
        if self.context and self.is_stls:
            assert peer.line() == b"STLS"
            peer.send(b"+OK\r\n")
            peer.start_tls(self.context)
        assert peer.line() == b"AUTH NTLM"
        peer.send(b"+ \r\n")
        judge = self.make()
        challenge = judge.challenge(self.negotiate(base64.b64decode(peer.line(), validate=True)))
        peer.send(b"+ " + base64.b64encode(challenge) + b"\r\n")
        problem = judge.problem(self.authenticate(base64.b64decode(peer.line(), validate=True)))
        self.problems.append(problem)
        self.judges.append(judge)
        peer.send(b"-ERR no\r\n" if problem else b"+OK\r\n")
        assert not problem


JUDGES = [ImpacketJudge, GssJudge]


@pytest.fixture
def tried(start: Start, certificates: Certificates) -> Callable[..., None]:
    """Logs in and fetches, or is refused, at a store that has this trial's judge."""
    def try_one(trial: Trial, *problems: str, password: str = PASSWORD, **backend: object) -> None:
        with fake_store(serve_mailbox([mail.on_the_wire(message) for message in MESSAGES], trial.login)) as store:
            tls = "none" if not trial.context else "stls" if trial.is_stls else "tls"
            options: Config = {"login": "ntlm", **tls_backend(certificates, tls), **backend}
            gate = start(site(certificates, store.port, backend=options))
            if problems:
                assert_refused(gate, NAME, password, b"-ERR ")
            else:
                assert_fetched(gate, NAME, password)
        assert trial.problems == list(problems or [""])
    return try_one


def refusal_of(make: type, word: str) -> str:
    return word if make is ImpacketJudge else "refused"


@pytest.mark.parametrize("domain", ["", DOMAIN])
@pytest.mark.parametrize("make", JUDGES)
def test_popgates_answer_is_right(tried: Callable[..., None], make: type, domain: str) -> None:
    tried(Trial(lambda: make(PASSWORD, None)), ntlm_domain=domain)


@pytest.mark.parametrize("make", JUDGES)
def test_popgates_answer_with_a_wrong_password(tried: Callable[..., None], make: type) -> None:
    tried(Trial(lambda: make(PASSWORD, None)), refusal_of(make, "proof"), password="wrong")


def test_popgates_answer_for_stores_that_know_ntlm_v1_alone(tried: Callable[..., None]) -> None:
    tried(Trial(lambda: ImpacketJudge(PASSWORD, None)), ntlm="v1")
    tried(Trial(lambda: ImpacketJudge(PASSWORD, None)), "proof", ntlm="v1", password="wrong")


@pytest.mark.parametrize("make", JUDGES)
def test_popgates_mic_covers_what_was_said(tried: Callable[..., None], make: type) -> None:
    wrong = refusal_of(make, "MIC")
    for at in (MIC_AT, MIC_AT + MIC_SIZE - 1, 64):
        tried(Trial(lambda: make(PASSWORD, None), authenticate=lambda message, at=at: flipped(message, at)), wrong)
    # A bit of the version in type 1, which nobody looks at.
    tried(Trial(lambda: make(PASSWORD, None), negotiate=lambda message: flipped(message, 32)), wrong)


def test_popgate_makes_a_mic_where_the_store_shows_a_time(tried: Callable[..., None]) -> None:
    for has_time in (True, False):
        trial = Trial(lambda has_time=has_time: ImpacketJudge(PASSWORD, None, has_time=has_time))
        tried(trial)
        assert [judge.has_mic for judge in trial.judges] == [has_time]


@pytest.mark.parametrize("is_stls", [False, True])
@pytest.mark.parametrize("make", JUDGES)
def test_popgate_binds_itself_to_the_stores_certificate(tried: Callable[..., None], certificates: Certificates,
                                                        make: type, is_stls: bool) -> None:
    def binding(name: str) -> bytes:
        return end_point(ssl.PEM_cert_to_DER_cert(Path(certificates.chain(name)).read_text()))

    context = certificates.server_context("store")
    trial = Trial(lambda: make(PASSWORD, binding("store")), context, is_stls)
    tried(trial)
    if make is ImpacketJudge:
        assert [judge.is_bound and judge.has_mic for judge in trial.judges] == [True]
    # The same login, told to a store that has another certificate by somebody in between.
    tried(Trial(lambda: make(PASSWORD, binding("stranger")), context, is_stls), refusal_of(make, "binding"))
    # Nobody's word for the certificate is needed.
    tried(Trial(lambda: make(PASSWORD, binding("store")), context, is_stls), verify=False)


def test_popgate_binds_itself_to_nothing_without_tls(tried: Callable[..., None]) -> None:
    trial = Trial(lambda: ImpacketJudge(PASSWORD, None))
    tried(trial)
    assert [judge.is_bound for judge in trial.judges] == [False]
    # gss-ntlmssp, which has a channel here, takes a login without.
    tried(Trial(lambda: GssJudge(PASSWORD, end_point(b"any"))))
