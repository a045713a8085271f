"""Attacks on NTLM, each against a running popgate: what a strict server does where clients lie, where somebody stands
between client and server, and where messages are none.

Who is refused is told so in the one text there is and may go on: after every attack here USER and PASS open the mailbox
in the same session.  The cause is in the log.
"""

import base64
import contextlib
import ctypes
import itertools
import json
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import mail
import pytest
from certs import Certificates
from clients import PASSWORD, USER, Raw, until_it_works
from ntlm_client import (ANONYMOUS, AV_BINDING, AV_COMPUTER, AV_DOMAIN, AV_FLAGS, AV_TIME, DATAGRAM, DOMAIN_AT,
                         DOMAIN_SUPPLIED, EXTENDED, FLAGS, FLAGS_AT, KEY_AT, KEY_EXCHANGE, LM_AT, MIC_END,
                         MIC_PRESENT, NT_AT, OEM, SIGN, UNICODE, USER_AT, WORKSTATION_AT, Client, ask_for_challenge,
                         authenticate, buffer_at, challenge_of, md4, negotiate, pair, pairs_of, patched, pointed, utf16)
from popgate import Config, Event, Popgate, is_sanitized, site
from proc import usage, wait_gone
from stores import FakeStore, Peer, fake_store, serve_mailbox
from test_ntlm import REFUSAL, Users, bound, config_of
from test_store_logins import MESSAGES

Start = Callable[..., Popgate]
Answer = Callable[[bytes], bytes]  # type 3 for a type 2

NAME, SECRET = "anna", "S\u00e9same 1"
ANNA = Client(NAME, SECRET)
MIC_AT = 72
MIB = 1024 * 1024

# Failures cost nothing here, so that many fit into one session.
LOOSE: Config = {"login_delay": "0s", "ban_after": 1000, "ban_after_user": 100000, "max_login_attempts": 1000,
                 "max_bad_commands": 1000}

NOBODY = "users.db has no such user"
WRONG = "wrong password"
WRONG_MIC = "wrong MIC: the messages were changed on their way"
NO_ROOM = "a MIC is promised, and there is no room for one"
OTHER_CHALLENGE = "not an answer to this challenge: names or time differ"
OTHER_CHANNEL = "bound to another TLS channel"
OTHER_SERVICE = "meant for another service"
OUTSIDE = "type 3 points outside itself"
NO_NAME = "a name is no text, too long, or has control characters"
SEPARATOR = "a separator within a name"


@pytest.fixture(scope="module")
def store() -> Iterator[FakeStore]:
    with fake_store(serve_mailbox([mail.on_the_wire(message) for message in MESSAGES])) as store:
        yield store


@pytest.fixture(scope="module")
def users(shared: Path) -> Users:
    """Users of all kinds; the names that enumeration looks for are of one length."""
    directory = shared / "attacked-users"
    directory.mkdir(mode=0o755)
    users = Users(directory)
    stored = {"backend_password": PASSWORD}
    users.add(NAME, SECRET, "--mailbox", USER, **stored)
    for other in ("bo", "root"):
        users.add(other, SECRET, **stored)
    users.add("carl", SECRET, "--disable", **stored)
    users.add("dora", SECRET, "--methods", "basic", **stored)
    for everybody in ("guest", "anonymous"):
        users.add(everybody, SECRET, **stored)
    return users


@pytest.fixture
def edge(start: Start, certificates: Certificates, store: FakeStore, users: Users) -> Callable[..., Popgate]:
    """Starts popgates with the options given."""
    def start_one(*, top: Config | None = None, **defaults: object) -> Popgate:
        return start(config_of(certificates, store, users, **{**LOOSE, **defaults}) | (top or {}))
    return start_one


@pytest.fixture
def gate(edge: Callable[..., Popgate]) -> Popgate:
    return edge()


def base(message: bytes) -> bytes:
    return base64.b64encode(message)


def changed(change: Callable[[bytes], bytes], who: Client = ANNA) -> Answer:
    """What the client answers, changed on its way."""
    return lambda challenge: change(who.authenticate(challenge))


def log_in_and_out(client: Raw) -> None:
    client.login(NAME, SECRET)
    client.ask(b"QUIT", b"+OK")


def refused(gate: Popgate, why: str, answers: Iterable[Client | Answer], *, mode: str = "implicit",
            message: bytes | None = None) -> None:
    """Each is refused, one after the other, for this reason; the session goes on and opens the mailbox."""
    count = 0
    with gate.connect(mode) as client:
        for count, answer in enumerate(answers, 1):
            own = answer.negotiate_message if isinstance(answer, Client) else Client.negotiate_message
            reply = answer.authenticate if isinstance(answer, Client) else answer
            challenge = ask_for_challenge(client, message or own)
            assert client.ask(base(reply(challenge))) == REFUSAL, f"number {count}: {answer}"
        log_in_and_out(client)
        port = client.port
    closed = gate.closed(port)
    assert closed["mechanism"] == "USER"
    failures = gate.log.all("login_failed", session=closed["session"])
    reasons = [event["why"] for event in failures if event["mechanism"] == "NTLM"]
    assert reasons == [why] * max(count, 1)


def accepted(gate: Popgate, who: Client, mode: str = "implicit") -> Event:
    with gate.connect(mode) as client:
        answer = authenticate(client, who)
        assert answer.startswith(b"+OK"), answer
        client.ask(b"QUIT", b"+OK")
        return gate.closed(client.port)


# ---- downgrade

LEVELS = ["v2", "ntlm2", "v1"]
TOO_WEAK = {"ntlm2": "NTLM2 session security is not allowed", "v1": "NTLMv1 is not allowed"}

# What clients answer -> what that is.
KINDS = {"v2": "v2", "ntlm2": "ntlm2", "v1": "v1", "v1 twice": "v1", "v1 without LM": "v1"}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("has_mic", [True, False])
def test_what_each_level_takes_and_what_it_does_not(edge: Callable[..., Popgate], level: str, has_mic: bool) -> None:
    gate = edge(ntlm_level=level)
    for responses, kind in KINDS.items():
        who = Client(NAME, SECRET, responses=responses, has_mic=has_mic)
        if LEVELS.index(kind) <= LEVELS.index(level):
            assert accepted(gate, who)["ntlm"] == kind
            refused(gate, WRONG, [Client(NAME, "wrong", responses=responses, has_mic=has_mic)])
        else:
            refused(gate, TOO_WEAK[kind], [who, Client(NAME, "wrong", responses=responses, has_mic=has_mic)])


@pytest.mark.parametrize("level", LEVELS)
def test_lm_is_never_taken(edge: Callable[..., Popgate], level: str) -> None:
    gate = edge(ntlm_level=level)
    refused(gate, "LM alone", [Client(NAME, SECRET, responses="LM alone"),
                               Client(NAME, SECRET, responses="LM alone", flags=FLAGS & ~EXTENDED),
                               # LMv2 without NTLMv2
                               changed(lambda message: pointed(patched(message, MIC_END, bytes(range(24))), NT_AT, 0))])
    refused(gate, WRONG if level == "v1" else TOO_WEAK["v1"],
            [Client(NAME, SECRET, responses="LM in the place of NT")])


@pytest.mark.parametrize("level", LEVELS)
def test_one_kind_dressed_as_another(edge: Callable[..., Popgate], level: str) -> None:
    """What the flags and the LM response say decides which formula is tried, and not whether the answer is true."""
    gate = edge(ntlm_level=level)
    weakest = LEVELS.index(level)
    refused(gate, WRONG if weakest >= 1 else TOO_WEAK["ntlm2"],
            [Client(NAME, SECRET, responses="v1 that looks like ntlm2")])
    refused(gate, WRONG if weakest >= 2 else TOO_WEAK["v1"],
            [Client(NAME, SECRET, responses="ntlm2", flags=FLAGS & ~EXTENDED)])
    # Neither is a version of NTLMv2's answer that nobody knows.
    refused(gate, "a response of no known kind",
            [changed(lambda message: pointed(message, NT_AT, size)) for size in (1, 16, 23, 25, 43, 47)]
            + [changed(lambda message: at_response(message, 16, version)) for version in (b"\1\2", b"\2\1", b"\0\0")])


def at_response(message: bytes, offset: int, data: bytes) -> bytes:
    """With these bytes within the NT response."""
    start = struct.unpack_from("<I", message, NT_AT + 4)[0]
    return patched(message, start + offset, data)


def test_types_1_and_2_and_3_cannot_be_weakened_on_their_way(edge: Callable[..., Popgate]) -> None:
    """Somebody in between takes flags away, from what the server sees or the client: the MIC covers all messages."""
    gate = edge(ntlm_level="v1")
    accepted(gate, ANNA)
    for flag in (SIGN, EXTENDED, KEY_EXCHANGE, SIGN | KEY_EXCHANGE, EXTENDED | SIGN | KEY_EXCHANGE):
        refused(gate, WRONG_MIC, [ANNA.authenticate], message=negotiate(FLAGS & ~flag))
        refused(gate, WRONG_MIC, [lambda challenge: ANNA.authenticate(without(challenge, 20, flag)),
                                  changed(lambda message: without(message, FLAGS_AT, flag))])


def without(message: bytes, flags_at: int, flag: int) -> bytes:
    flags = struct.unpack_from("<I", message, flags_at)[0]
    return patched(message, flags_at, struct.pack("<I", flags & ~flag))


# ---- the MIC

@pytest.mark.parametrize("mic", ["allow", "require"])
def test_drop_the_mic(edge: Callable[..., Popgate], mic: str) -> None:
    gate = edge(ntlm_mic=mic)
    promised = pair(AV_FLAGS, struct.pack("<I", MIC_PRESENT))
    accepted(gate, ANNA)
    refused(gate, WRONG_MIC, [
        changed(lambda message: patched(message, MIC_AT, bytes(16))),
        changed(lambda message: patched(message, MIC_AT, b"\xff" * 16)),
        *[changed(lambda message, bit=bit: patched(message, MIC_AT + bit // 8,
                                                   bytes([message[MIC_AT + bit // 8] ^ 1 << bit % 8])))
          for bit in (0, 7, 64, 127)]])
    # The promise stands under the proof: without it the proof is of something else.
    for withdrawn in (pair(AV_FLAGS, bytes(4)), pair(AV_FLAGS, struct.pack("<I", 4))):
        refused(gate, WRONG if mic == "allow" else "no MIC",
                [changed(lambda message: patched(message.replace(promised, withdrawn), MIC_AT, bytes(16)))])
    refused(gate, NO_ROOM, [Client(NAME, SECRET, has_mic=False, changed={AV_FLAGS: struct.pack("<I", MIC_PRESENT)}),
                            # a payload that begins where the MIC stands
                            *[changed(lambda message, at=at: pointed(message, LM_AT, 24, at))
                              for at in range(64, MIC_END)],
                            *[changed(lambda message, at=at: pointed(message, KEY_AT, 16, at))
                              for at in range(64, MIC_END)]])


def test_who_never_promised_a_mic_needs_none_unless_it_is_required(edge: Callable[..., Popgate]) -> None:
    plain = Client(NAME, SECRET, has_mic=False)
    lenient, strict = edge(ntlm_mic="allow", ntlm_level="v1"), edge(ntlm_mic="require", ntlm_level="v1")
    accepted(lenient, plain)
    accepted(strict, ANNA)
    refused(strict, "no MIC", [plain, Client(NAME, SECRET, has_mic=False, changed={AV_FLAGS: bytes(4)}),
                               Client(NAME, SECRET, responses="ntlm2"), Client(NAME, SECRET, responses="v1")])


@pytest.mark.parametrize("responses", ["v2", "v1"])
def test_a_session_key_of_another_length(edge: Callable[..., Popgate], responses: str) -> None:
    gate = edge(ntlm_level="v1")
    who = Client(NAME, SECRET, responses=responses)
    refused(gate, "no session key where one was agreed on",
            [changed(lambda message, size=size: pointed(message, KEY_AT, size), who) for size in (0, 1, 8, 15)]
            + [changed(lambda message: pointed(message, KEY_AT, 17) + b"\0", who)])


@pytest.mark.parametrize("who", [ANNA, Client(NAME, SECRET, has_mic=False), Client(NAME, SECRET, responses="v1")])
def test_messages_that_end_too_soon(edge: Callable[..., Popgate], who: Client) -> None:
    """Every length from nothing to one byte less than all."""
    gate = edge(ntlm_level="v1")
    with gate.connect("none") as client:
        length = len(who.authenticate(ask_for_challenge(client)))
        client.ask(b"*", b"-ERR ")
        for size in range(length):
            answer = who.authenticate(ask_for_challenge(client))
            assert client.ask(base(answer[:size])) == REFUSAL, size
        log_in_and_out(client)
    gate.log.wait("login_failed", count=length)
    assert {event["why"] for event in gate.log.all("login_failed")} == {"not an NTLM message of type 3", OUTSIDE}


# ---- replay, and messages out of turn

@pytest.mark.parametrize("responses", ["v2", "ntlm2", "v1"])
def test_a_type_3_is_good_once(edge: Callable[..., Popgate], responses: str) -> None:
    """On the connection that it was made for and on another, to this popgate and to another."""
    gate, other = edge(ntlm_level="v1"), edge(ntlm_level="v1")
    who = Client(NAME, SECRET, responses=responses)
    with gate.connect("implicit") as client:
        challenge = ask_for_challenge(client)
        kept = who.authenticate(challenge)
        client.ask(b"*", b"-ERR ")
        mark = gate.log.mark()
        ask_for_challenge(client)
        assert client.ask(base(kept)) == REFUSAL
        why = OTHER_CHALLENGE if responses == "v2" else WRONG
        gate.log.wait("login_failed", since=mark, why=why)
        log_in_and_out(client)
    for each in (gate, other):
        refused(each, why, [lambda _challenge: kept] * 2)
    accepted(gate, who)


def test_what_was_good_is_not_good_again(gate: Popgate) -> None:
    with gate.connect("none") as client:
        kept = ANNA.authenticate(ask_for_challenge(client))
        client.ask(base(kept), b"+OK")
        client.ask(b"QUIT", b"+OK")
    refused(gate, OTHER_CHALLENGE, [lambda _challenge: kept], mode="none")


def test_the_challenge_itself_is_proven_and_not_only_what_comes_back_of_it(gate: Popgate) -> None:
    """The right names and time, as of this challenge, but the proof is of another's eight bytes."""
    old = bytes(8)
    refused(gate, WRONG, [lambda challenge: ANNA.authenticate(patched(challenge, 24, old))])


def test_challenges_are_never_the_same(gate: Popgate) -> None:
    with gate.connect("none") as client:
        seen = set()
        for _try in range(50):
            seen.add(ask_for_challenge(client)[24:32])
            client.ask(b"*", b"-ERR ")
    assert len(seen) == 50


def test_messages_out_of_turn(gate: Popgate) -> None:
    with gate.connect("none") as client:
        challenge = ask_for_challenge(client)
        client.ask(b"*", b"-ERR ")
        first, third = Client.negotiate_message, ANNA.authenticate(challenge)
        for message in (third, challenge, b"", b"\0", first[:15], b"NTLMSSP\0", b"ntlmssp\0" + first[8:]):
            client.ask(b"AUTH NTLM", b"+ \r\n")
            assert client.ask(base(message)) == REFUSAL, message
            assert client.ask(b"AUTH NTLM " + (base(message) or b"=")) == REFUSAL, message
        for message in (first, lambda challenge: challenge, b""):
            challenge = ask_for_challenge(client)
            assert client.ask(base(message(challenge) if callable(message) else message)) == REFUSAL
        log_in_and_out(client)
        gate.closed(client.port)
    reasons = [event["why"] for event in gate.log.all("login_failed")]
    assert reasons == ["not an NTLM message of type 1"] * 14 + ["not an NTLM message of type 3"] * 3, reasons


def test_nothing_is_left_of_an_exchange_that_has_failed(gate: Popgate) -> None:
    """A second type 3 is a command like any other."""
    with gate.connect("none") as client:
        challenge = ask_for_challenge(client)
        assert client.ask(base(Client(NAME, "wrong").authenticate(challenge))) == REFUSAL
        client.ask(base(ANNA.authenticate(challenge)), b"-ERR Unknown command")
        client.ask(b"AUTH NTLM", b"+ \r\n")
        assert client.ask(base(ANNA.authenticate(challenge))) == REFUSAL
        log_in_and_out(client)


def test_commands_within_an_exchange_are_no_base64(gate: Popgate) -> None:
    with gate.connect("none") as client:
        for line in (b"AUTH NTLM", b"USER anna", b"QUIT ", b"====", b"TlRMTVNTUA", base(ANNA.negotiate_message) + b" "):
            client.ask(b"AUTH NTLM", b"+ \r\n")
            client.ask(line, b"-ERR That is not base64.\r\n")
            ask_for_challenge(client)
            client.ask(line, b"-ERR That is not base64.\r\n")
        log_in_and_out(client)


def test_all_three_messages_at_once(gate: Popgate) -> None:
    """A client that does not wait for the challenge cannot know it."""
    with gate.connect("none") as client:
        stale = ANNA.authenticate(ask_for_challenge(client))
        client.ask(b"*", b"-ERR ")
        client.send(b"AUTH NTLM\r\n" + base(Client.negotiate_message) + b"\r\n" + base(stale) + b"\r\n")
        assert client.read_line() == b"+ \r\n" and client.read_line().startswith(b"+ TlRMTVNTUA")
        assert client.read_line() == REFUSAL
        log_in_and_out(client)


# ---- wild offsets and lengths

FIELDS = [LM_AT, NT_AT, DOMAIN_AT, USER_AT, WORKSTATION_AT, KEY_AT]


def test_offsets_outside_of_type_3(gate: Popgate) -> None:
    def places(message: bytes) -> Iterator[tuple[int, int]]:
        for start in (0, 1, 8, 12, 51, len(message), len(message) + 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF):
            yield 2, start
        for start in (88, len(message) - 1, len(message) - 2):
            yield 0xFFFF, start
            yield 0xFFFE, start
        yield 0xFFFE, 0xFFFF0002  # the sum is 0 in 32 bits

    wild = len(list(places(bytes(300))))
    refused(gate, OUTSIDE, [
        lambda challenge, at=at, number=number: pointed(message := ANNA.authenticate(challenge), at,
                                                        *list(places(message))[number])
        for at in FIELDS for number in range(wild)], mode="none")


def test_what_is_empty_may_be_anywhere(edge: Callable[..., Popgate]) -> None:
    """Clients of before say so; an empty field is no reason to look where it points."""
    gate = edge(ntlm_level="v1")
    mute = Client(NAME, SECRET, responses="v1 without LM", workstation="", has_mic=False)
    for start, at in itertools.product((0, 8, 0xFFFFFFFF), (LM_AT, DOMAIN_AT, WORKSTATION_AT)):
        with gate.connect("none") as client:
            answer = pointed(mute.authenticate(ask_for_challenge(client)), at, 0, start)
            client.ask(base(answer), b"+OK")
            client.ask(b"QUIT", b"+OK")


def test_fields_that_overlap_say_nothing_new(gate: Popgate) -> None:
    """Names that are read from where the answer stands, or from one another, are not those that were proven."""
    who = Client(NAME, SECRET, domain="bo", workstation="dora")
    refused(gate, WRONG, [changed(lambda message, one=one, other=other: over(message, one, other), who)
                          for one, other in itertools.permutations((DOMAIN_AT, USER_AT, WORKSTATION_AT), 2)
                          if one != WORKSTATION_AT])
    refused(gate, WRONG, [changed(lambda message: pointed(message, DOMAIN_AT, 0), who)])
    # The proof of a client without a domain is good with any; then the MIC tells.
    refused(gate, WRONG_MIC, [changed(lambda message: over(message, DOMAIN_AT, USER_AT))])
    # The same bytes for both at once are what the client meant.
    with gate.connect("none") as client:
        answer = Client(NAME, SECRET, domain=NAME, has_mic=False).authenticate(ask_for_challenge(client))
        client.ask(base(over(answer, DOMAIN_AT, USER_AT)), b"+OK")
        client.ask(b"QUIT", b"+OK")


def over(message: bytes, one: int, other: int) -> bytes:
    """With one field where the other is."""
    return patched(message, one, message[other:other + 8])


def test_names_that_are_read_from_the_header_or_the_keys(gate: Popgate) -> None:
    """Whatever text these bytes are, it is not a name that was proven."""
    mark = gate.log.mark()
    with gate.connect("none") as client:
        for at, size, start in itertools.product((USER_AT, DOMAIN_AT), (2, 8, 16, 200), (52, 60, 64, 72, 88, 112)):
            answer = ANNA.authenticate(ask_for_challenge(client))
            assert client.ask(base(pointed(answer, at, size, start))) == REFUSAL
        log_in_and_out(client)
    assert len(gate.log.all("login_failed", since=mark)) == 48


def test_wild_type_1(gate: Popgate) -> None:
    with gate.connect("none") as client:
        supplied = FLAGS | DOMAIN_SUPPLIED
        for size, start in ((1, 0), (1, 31), (1, 32), (4, 30), (0xFFFF, 32), (1, 0xFFFFFFFF), (0xFFFF, 0xFFFF0001)):
            field = struct.pack("<HHIHHI", size, size, start, 0, 0, 0)
            assert client.ask(b"AUTH NTLM " + base(negotiate(supplied, field))) == REFUSAL
            # A domain that is not said to be there is not looked for.
            client.ask(b"AUTH NTLM " + base(negotiate(FLAGS, field)), b"+ TlRMTVNTUA")
            client.ask(b"*", b"-ERR ")
        for flags in (FLAGS & ~UNICODE, 0, FLAGS | DATAGRAM):
            assert client.ask(b"AUTH NTLM " + base(negotiate(flags))) == REFUSAL
        for rest in range(17):
            client.ask(b"AUTH NTLM " + base(negotiate(FLAGS, bytes(rest))), b"+ TlRMTVNTUA")
            client.ask(b"*", b"-ERR ")
        log_in_and_out(client)


def test_malformed_pairs(gate: Popgate) -> None:
    """The list of pairs within the proof: cut short, without an end, one twice, or of a length that it cannot have."""
    refused(gate, "malformed AV pairs", [
        *[Client(NAME, SECRET, changed={number: value}) for number, value in
          ((AV_TIME, bytes(7)), (AV_TIME, bytes(9)), (AV_BINDING, bytes(15)), (AV_BINDING, bytes(17)))],
        Client(NAME, SECRET, has_mic=False, changed={AV_FLAGS: bytes(3)}),
        *[changed(lambda message, end=end: at_response(message, len(buffer_at(message, NT_AT)) - 8, end))
          for end in (struct.pack("<HHI", 11, 0xFFFF, 0), struct.pack("<HHI", 0, 5, 0), pair(AV_FLAGS, bytes(4)),
                      pair(AV_COMPUTER, bytes(4)), struct.pack("<HHHH", 11, 0, 12, 0))]])


# ---- tokens of a mebibyte

def test_a_mebibyte_of_base64_ends_the_session_and_takes_no_memory(gate: Popgate) -> None:
    """As an initial response, and in the place of each message."""
    huge = base(b"NTLMSSP\0" + bytes(MIB))
    openings: list[Callable[[Raw], object]] = [
        lambda _client: None, lambda client: client.ask(b"AUTH NTLM", b"+ \r\n"), ask_for_challenge]

    def send_all() -> None:
        for number, (opening, mode) in enumerate(itertools.product(openings, ("none", "implicit"))):
            with gate.connect(mode) as client:
                opening(client)
                with contextlib.suppress(ConnectionError):
                    client.send((b"AUTH NTLM " if number < 2 else b"") + huge + b"\r\n")
                assert client.read_to_end() in (b"-ERR Line too long.\r\n", b"")
                assert gate.closed(client.port)["reason"] == "line_too_long"

    send_all()
    before = usage(gate.pid).memory
    for _round in range(10):
        send_all()
    assert usage(gate.pid).memory - before < (64 if is_sanitized() else 1) * MIB


def test_the_longest_line_has_no_message(gate: Popgate) -> None:
    """12 KiB is a line, 8 KiB a message."""
    refused(gate, "not an NTLM message of type 3",
            [changed(lambda message, size=size: message.ljust(size, b"\0")) for size in (8193, 9 * 1024 - 6)])
    refused(gate, WRONG_MIC, [changed(lambda message: message.ljust(8192, b"\0"))])
    with gate.connect("none") as client:
        client.ask(b"AUTH NTLM", b"+ \r\n")
        assert client.ask(base(Client.negotiate_message.ljust(8193, b"\0"))) == REFUSAL
        long = Client(NAME, SECRET, negotiate_message=Client.negotiate_message.ljust(8192, b"\0"))
        assert authenticate(client, long).startswith(b"+OK")


def test_many_half_tokens_at_once_hold_no_more_than_a_line_each(gate: Popgate) -> None:
    before, number = usage(gate.pid).memory, 64
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(gate.connect("none")) for _number in range(number)]
        for client in clients:
            ask_for_challenge(client)
            client.send(b"A" * (12 * 1024 - 2))
        held = usage(gate.pid).memory - before
        assert held < number * 64 * 1024 + (64 if is_sanitized() else 2) * MIB
        for client in clients:
            client.send(b"\r\n")
            assert client.read_line() in (REFUSAL, b"-ERR That is not base64.\r\n")


# ---- nobody, everybody, and names that are none

def test_anonymous(edge: Callable[..., Popgate]) -> None:
    gate = edge(ntlm_level="v1")
    refused(gate, "anonymous: says so", [Client(NAME, SECRET, flags=FLAGS | ANONYMOUS),
                                         Client("", "", responses="none but a zero", flags=FLAGS | ANONYMOUS)])
    refused(gate, "anonymous: no user", [Client("", password, domain=domain, responses=responses)
                                         for password, domain in (("", ""), (SECRET, "LAB"))
                                         for responses in ("none", "none but a zero", "v1", "v2", "LM alone")])
    refused(gate, "anonymous: no response", [Client(NAME, SECRET, responses="none"),
                                             Client(NAME, SECRET, responses="none but a zero")])


def test_guests_that_are_in_the_database_with_their_password(edge: Callable[..., Popgate]) -> None:
    """Even where the administrator denies nobody."""
    gate = edge(deny_users=[])
    refused(gate, "an account of everybody's", [
        Client(user, SECRET, domain=domain) for user in ("guest", "Guest", "ANONYMOUS", "Anonymous Logon")
        for domain in ("", "LAB")] + [Client("Guest@lab.test", SECRET)])
    accepted(gate, ANNA)


def test_control_characters_in_names(gate: Popgate) -> None:
    names = [f"an{chr(code)}na" for code in (*range(0x20), 0x7F, 0x80, 0x85, 0x9F)] + ["anna\r\nDELE 1", "anna\0", "\0"]
    refused(gate, NO_NAME, [Client(name, SECRET) for name in names], mode="none")
    refused(gate, NO_NAME, [Client(NAME, SECRET, domain=name) for name in names], mode="none")
    refused(gate, NO_NAME, [Client(NAME, SECRET, workstation=name) for name in names], mode="none")
    assert not [event for event in gate.log.events if "DELE" in json.dumps(event)]


def test_names_that_are_no_text(gate: Popgate) -> None:
    halves = ("\ud800", "\udc00", "a\udfff\ud800", "\ud800a")
    refused(gate, NO_NAME, [Client(name, SECRET) for name in halves]
            + [Client(NAME, SECRET, domain=name) for name in halves]
            + [Client(NAME, SECRET, workstation=name) for name in halves]
            + [changed(lambda message, at=at: pointed(message, at, len(buffer_at(message, at)) - 1),
                       Client(NAME, SECRET, domain="LAB")) for at in (DOMAIN_AT, USER_AT, WORKSTATION_AT)])


def test_names_that_are_too_long(gate: Popgate) -> None:
    refused(gate, NOBODY, [Client("a" * 248, SECRET), Client("\u00e4" * 124, SECRET),
                           Client("a" * 124, SECRET, domain="d" * 123)])
    refused(gate, "domain and user are too long together", [Client("a" * 249, SECRET), Client("a" * 255, SECRET),
                                                            Client("a" * 124, SECRET, domain="d" * 124)])
    refused(gate, NO_NAME, [Client("a" * 256, SECRET), Client(NAME, SECRET, domain="d" * 256),
                            Client(NAME, SECRET, workstation="w" * 3000), Client("\u00e4" * 128, SECRET)])


def test_names_with_separators(gate: Popgate) -> None:
    """None is taken apart once more, so none becomes another name than the one that was proven."""
    refused(gate, SEPARATOR, [Client(user, SECRET, domain=domain) for user, domain in (
        *((name.replace("|", mark), "") for mark in "\\/:" for name in ("LAB|anna", "|anna", "anna|")),
        *((NAME, f"LAB{mark}X") for mark in "\\/:@"), ("LAB\\anna\\sales", ""), ("anna@lab\\x", ""))])
    refused(gate, "user@domain beside a domain", [Client(user, SECRET, domain=domain) for user, domain in (
        ("anna@lab", "LAB"), ("@", ""), ("anna@", ""), ("@lab", ""), ("anna@lab@test", ""))])


@pytest.mark.parametrize("name", ["an\x01na", "anna\n", "LAB\\anna", "\u00e4nna", "an\x80na", ""])
def test_names_of_clients_without_unicode(gate: Popgate, name: str) -> None:
    flags = FLAGS ^ (UNICODE | OEM)
    oem = {"flags": flags, "negotiate_message": negotiate(flags)}
    accepted(gate, Client("ANNA", SECRET, **oem))
    why = SEPARATOR if "\\" in name else NO_NAME if name else "anonymous: no user"
    refused(gate, why, [Client(name, SECRET, **oem)])


# ---- channel binding

@pytest.mark.parametrize("mode", ["implicit", "stls", "none"])
@pytest.mark.parametrize("policy", ["off", "allow", "require"])
def test_channel_bindings(edge: Callable[..., Popgate], policy: str, mode: str) -> None:
    """`require` cannot be had without TLS, and the configuration is refused (tests of options)."""
    listeners = {name: {"bind": ["127.0.0.1:0"], "tls": tls, "login": ["basic-tls", "ntlm-tls"]}
                 for name, tls in (("pop3s", "implicit"), ("pop3", "stls"))}
    if policy == "require" and mode == "none":
        return
    gate = edge(ntlm_channel_binding=policy, top={"listeners": listeners} if policy == "require" else {})
    right = bound(gate, mode if mode != "none" else "implicit")
    wrong = [Client(NAME, SECRET, binding=bytes([right.binding[0] ^ 1]) + right.binding[1:]),
             Client(NAME, SECRET, binding=bytes(15) + b"\1"), Client(NAME, SECRET, binding=bytes(range(16)))]
    absent = [ANNA, Client(NAME, SECRET, binding=bytes(16))]
    if mode == "none":
        wrong.append(right)
    elif policy != "off":
        accepted(gate, right, mode)
    if policy == "off":
        for who in (right, *wrong, *absent):
            accepted(gate, who, mode)
        return
    refused(gate, OTHER_CHANNEL, wrong, mode=mode)
    if policy == "require":
        refused(gate, "no channel binding", absent, mode=mode)
    else:
        for who in absent:
            accepted(gate, who, mode)


def test_a_required_binding_is_required_of_older_answers_too(edge: Callable[..., Popgate]) -> None:
    """They have none: where it is required, NTLMv2 is all that can be had."""
    gate = edge(ntlm_level="v1", ntlm_channel_binding="require", top={"listeners": {
        "pop3s": {"bind": ["127.0.0.1:0"], "tls": "implicit", "login": ["basic-tls", "ntlm-tls"]}}})
    refused(gate, "no channel binding", [Client(NAME, SECRET, responses=responses) for responses in ("v1", "ntlm2")])


def test_the_certificate_is_that_of_this_very_connection(edge: Callable[..., Popgate], certificates: Certificates,
                                                         store: FakeStore, users: Users) -> None:
    """After a reload with another one, sessions of before go on with theirs."""
    gate = edge()
    before, workers = bound(gate), gate.workers()
    renewed = config_of(certificates, store, users, **LOOSE)
    renewed["certificates"]["localhost"] = {"chain": certificates.chain("renewed"), "key": certificates.key("renewed")}
    with gate.connect("implicit") as client:
        gate.reload(renewed)
        # A worker of before may still take a connection.
        after = until_it_works(lambda: bound_anew(gate, before))
        assert authenticate(client, after) == REFUSAL
        assert authenticate(client, before).startswith(b"+OK")
        client.ask(b"QUIT", b"+OK")
    wait_gone(workers)
    refused(gate, OTHER_CHANNEL, [before])
    accepted(gate, after)


def bound_anew(gate: Popgate, before: Client) -> Client:
    found = bound(gate)
    assert found.binding != before.binding
    return found


def test_a_binding_cannot_be_changed_on_its_way(gate: Popgate) -> None:
    """Whoever terminates the client's TLS himself has the client bind to him, and cannot make it another's."""
    right, his = bound(gate).binding, bytes(range(16))
    victim = Client(NAME, SECRET, binding=his)
    refused(gate, WRONG, [changed(lambda message: message.replace(his, right), victim),
                          changed(lambda message: message.replace(pair(AV_BINDING, his), pair(AV_BINDING, bytes(16))),
                                  victim),
                          changed(lambda message: message.replace(pair(AV_BINDING, his), pair(0xB, his)), victim)])


# ---- names and time, service

def test_names_and_time_of_the_challenge_come_back_as_they_were(edge: Callable[..., Popgate]) -> None:
    gate = edge(ntlm_dns_domain="test.local", ntlm_dns_computer="mail.test.local")
    with gate.connect("none") as client:
        asked = pairs_of(buffer_at(ask_for_challenge(client), 40))
    assert set(asked) == {1, 2, 3, 4, AV_TIME}
    accepted(gate, ANNA)
    for number, value in asked.items():
        later = struct.pack("<Q", struct.unpack("<Q", value)[0] + 1) if number == AV_TIME else value + b"x\0"
        refused(gate, OTHER_CHALLENGE, [
            Client(NAME, SECRET, changed={number: other}) for other in (later, bytes(len(value)))]
            # left out: somebody took it out of the challenge that the client saw
            + [lambda challenge, number=number: ANNA.authenticate(without_pair(challenge, number))])
    # A pair that we do not know does no harm.
    accepted(gate, Client(NAME, SECRET, changed={8: bytes(48), 0x1234: b"anything"}))


def without_pair(challenge: bytes, number: int) -> bytes:
    """A type 2 that lacks one of its pairs; the info stands last."""
    info, start = buffer_at(challenge, 40), struct.unpack_from("<I", challenge, 44)[0]
    rest = info.replace(pair(number, pairs_of(info)[number]), b"")
    return pointed(challenge[:start] + rest, 40, len(rest))


def test_without_the_time_a_client_makes_no_mic_and_that_helps_nobody(gate: Popgate) -> None:
    """Somebody in between takes the time out of the challenge, so that he may change the rest."""
    victim = Client(NAME, SECRET, has_mic=False)
    refused(gate, OTHER_CHALLENGE, [lambda challenge: victim.authenticate(without_pair(challenge, AV_TIME))])


def test_services(edge: Callable[..., Popgate]) -> None:
    gate = edge(ntlm_services=["mail.test.local", "localhost"])
    for service in ("POP/mail.test.local", "pop3/LOCALHOST", "pop/localhost:995", "POP3/mail.test.local/x", ""):
        accepted(gate, Client(NAME, SECRET, service=service))
    wrong = ("pop/other.test.local", "imap/mail.test.local", "cifs/mail.test.local", "pop/", "pop", "mail.test.local",
             "pop/mail.test.local.", "pop/xmail.test.local", "/mail.test.local", "pop/mail.test.local\0", "\ud800",
             "p" * 300)
    refused(gate, OTHER_SERVICE, [Client(NAME, SECRET, service=service) for service in wrong])
    # The client says itself that the name comes from somebody whom it does not trust.
    accepted(gate, Client(NAME, SECRET, service="pop/other.test.local", has_mic=False,
                          changed={AV_FLAGS: struct.pack("<I", 4)}))
    refused(gate, WRONG, [changed(lambda message: message.replace(utf16("pop/localhosx"), utf16("pop/localhost")),
                                  Client(NAME, SECRET, service="pop/localhosx"))])


def test_another_service_is_refused_where_no_host_is_named(gate: Popgate) -> None:
    accepted(gate, Client(NAME, SECRET, service="pop/whatever.test.local"))
    refused(gate, OTHER_SERVICE, [Client(NAME, SECRET, service="cifs/whatever.test.local")])


# ---- relayed challenges

def test_a_challenge_of_another_connection(edge: Callable[..., Popgate]) -> None:
    """Somebody shows a client the challenge of a connection of his own, and gives the answer to another: of the same
    popgate, and of another one, whatever names they show."""
    gate, twin, other = edge(), edge(), edge(ntlm_domain="OTHER", ntlm_computer="OTHER")
    for source in (gate, twin, other):
        with source.connect("implicit") as his:
            for who in (ANNA, Client(NAME, SECRET, has_mic=False)):
                challenge = ask_for_challenge(his)
                refused(gate, OTHER_CHALLENGE, [lambda _own, asked=challenge, who=who: who.authenticate(asked)])
                his.ask(b"*", b"-ERR ")


def test_a_challenge_that_is_passed_on_to_a_client_elsewhere(gate: Popgate) -> None:
    """The classic relay, and what stops it: the victim's TLS ends at the man in the middle, and says so; or the victim
    meant another service; or the MIC covers what he had to change.  A victim that does none of these is relayed:
    NTLM itself has nothing against it, and `require` is the answer.
    """
    refused(gate, OTHER_CHANNEL, [Client(NAME, SECRET, binding=bytes(range(16)))])
    refused(gate, OTHER_SERVICE, [Client(NAME, SECRET, service="HTTP/intranet.test.local")])
    refused(gate, WRONG_MIC, [ANNA.authenticate], message=negotiate(FLAGS | 0x20))
    accepted(gate, Client(NAME, SECRET, has_mic=False))


# ---- NTLM passed through

@pytest.fixture
def heard() -> list[bytes]:
    """What the store hears in answer to its challenge."""
    return []


@pytest.fixture
def passing(start: Start, certificates: Certificates, heard: list[bytes]) -> Iterator[Popgate]:
    def script(peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        if peer.line() != b"AUTH NTLM":
            return
        peer.send(b"+ \r\n")
        peer.line()
        peer.send(b"+ " + base(challenge_of("STORE")) + b"\r\n")
        heard.append(peer.line())
        peer.send(b"-ERR no\r\n")
        peer.to_end()

    with fake_store(script) as store:
        config = site(certificates, store.port, defaults=LOOSE)
        for listener in config["listeners"].values():
            listener["login"] = ["basic", "ntlm"]
        yield start(config)


@pytest.mark.parametrize("who", [
    Client(NAME, SECRET, responses="v1"), Client(NAME, SECRET, responses="ntlm2"),
    Client(NAME, SECRET, responses="LM alone"), Client(NAME, SECRET, responses="none"), Client("", ""),
    Client("Guest", SECRET), Client("administrator", SECRET), Client("anna\r\nDELE 1", SECRET), Client("a\\b", SECRET),
    Client(NAME, SECRET, binding=bytes(range(16))), Client(NAME, SECRET, service="cifs/store"),
    Client(NAME, SECRET, changed={AV_DOMAIN: utf16("OTHER")}),
    Client(NAME, SECRET, has_mic=False, changed={AV_FLAGS: struct.pack("<I", MIC_PRESENT)}),
], ids=lambda who: f"{who.responses} {who.user!r}")
def test_what_is_refused_never_reaches_the_store_that_would_judge_it(passing: Popgate, heard: list[bytes],
                                                                     who: Client) -> None:
    with passing.connect("implicit") as client:
        for count in (1, 2):
            assert authenticate(client, who) == REFUSAL
            assert heard == [b"*"] * count


def test_what_is_passed_through_is_the_clients_to_the_byte(passing: Popgate, heard: list[bytes]) -> None:
    with passing.connect("implicit") as client:
        answer = ANNA.authenticate(ask_for_challenge(client)) + b"whatever stands behind it"
        client.ask(base(answer), b"-ERR ")
    assert heard == [base(answer)]


# ---- who exists

# Why a login fails -> who tries.
FAILURES = {
    NOBODY: Client("nemo", SECRET),
    WRONG: Client(NAME, "wrong"),
    "deny_users": Client("root", SECRET),
    "the user is disabled in users.db": Client("carl", SECRET),
    "the user may not log in by this method": Client("dora", SECRET),
    WRONG_MIC: Client(NAME, SECRET, wrong_mic=True),
}


@pytest.mark.parametrize("domain", ["", "LAB"])
def test_who_exists_shows_in_nothing(edge: Callable[..., Popgate], domain: str) -> None:
    """One text, and one way through the session: every cause is judged, held back for the same delay, and counted.

    Each cause has an address of its own, so that none waits for what another has done.
    """
    gate = edge(login_delay="20ms", login_delay_max="20ms", ban_after=2, ban_time="1h",
                top={"log": {"target": "stderr", "format": "json", "level": "debug"}})
    ways = {}
    for number, (why, who) in enumerate(FAILURES.items(), 2):
        who = Client(**{**vars(who), "domain": domain})
        source = f"127.0.0.{number}"
        mark = gate.log.mark()
        with gate.connect("none", source=source) as client:
            assert authenticate(client, who) == REFUSAL
            client.ask(b"QUIT", b"+OK")
            closed = gate.closed(client.port)
        assert gate.log.wait("login_failed", since=mark)["why"] == why
        phases = [event["phase"] for event in gate.log.all("session_phase", since=mark, session=closed["session"])]
        assert "refusal" in phases and "login" not in phases
        ways[why] = (phases, closed["bytes_in"], closed["bytes_out"], closed["failed_logins"])
        with gate.connect("none", source=source) as client:
            assert authenticate(client, who) == REFUSAL
        gate.log.wait("banned", address=source)
        gate.closed(client.port)
    assert len(set(map(repr, ways.values()))) == 1, ways


class Instructions:
    """What processes execute outside of the kernel: perf_event_open(2), since clocks tell little on a busy machine."""

    HARDWARE, INSTRUCTIONS, EXCLUDE_KERNEL = 0, 1, 1 << 5 | 1 << 6
    NUMBER = {"x86_64": 298, "aarch64": 241}

    def __init__(self, pid: int):
        attributes = ctypes.create_string_buffer(struct.pack(
            "<IIQQQQQ", self.HARDWARE, 128, self.INSTRUCTIONS, 0, 0, 0, self.EXCLUDE_KERNEL), 128)
        call = ctypes.CDLL(None, use_errno=True).syscall
        self._fd = call(self.NUMBER.get(os.uname().machine, -1), attributes, pid, -1, -1, 0)

    def read(self) -> int:
        return struct.unpack("<Q", os.read(self._fd, 8))[0] if self._fd >= 0 else 0


def test_who_exists_costs_no_work(edge: Callable[..., Popgate]) -> None:
    """Users whom the database does not have are judged like those whom it has.

    What deny_users names is refused without; that it is denied is no secret of the database, and the delay hides it.
    """
    gate = edge(top={"workers": 1})
    [worker] = gate.workers()
    counter, rounds = Instructions(worker), 40
    work: dict[str, list[int]] = {who: [] for who in ("nemo", NAME, "carl")}
    with gate.connect("none") as client:
        if not counter.read():
            pytest.skip("this kernel counts no instructions")
        for _round in range(rounds):
            for who, counts in work.items():
                before = counter.read()
                assert authenticate(client, Client(who, "wrong")) == REFUSAL
                counts.append(counter.read() - before)
        log_in_and_out(client)
    medians = {who: sorted(counts)[rounds // 2] for who, counts in work.items()}
    assert max(medians.values()) < 1.05 * min(medians.values()), medians


# ---- the session afterwards

def test_no_password_after_a_failure_where_passwords_are_not_taken(edge: Callable[..., Popgate]) -> None:
    gate = edge(top={"listeners": {"pop3s": {"bind": ["127.0.0.1:0"], "tls": "implicit", "login": ["ntlm-tls"]}}})
    with gate.connect("implicit") as client:
        assert authenticate(client, Client(NAME, "wrong")) == REFUSAL
        client.ask(b"USER anna", b"-ERR ")
        client.ask(b"PASS x", b"-ERR ")
        assert authenticate(client, ANNA).startswith(b"+OK")


def test_attempts_have_a_number_whatever_is_wrong_with_them(edge: Callable[..., Popgate]) -> None:
    gate = edge(max_login_attempts=3)
    with gate.connect("none") as client:
        assert client.ask(b"AUTH NTLM " + base(b"nonsense")) == REFUSAL
        assert authenticate(client, Client(NAME, "wrong")) == REFUSAL
        assert authenticate(client, Client("guest", SECRET)) == REFUSAL
        client.read_to_end()
        assert gate.closed(client.port)["reason"] == "login_attempts"


# ---- the log

def secrets_of(tokens: Iterable[bytes]) -> set[str]:
    """Pieces of them, in every form in which somebody could have written them down."""
    pieces = set()
    for token in tokens:
        for text in (token.hex(), token.hex().upper(), base(token).decode()):
            pieces.update(text[at:at + 12] for at in range(0, len(text) - 11, 4))
    # Signature and zeros are in every message.
    return {piece for piece in pieces if piece.strip("0A") and not base(b"NTLMSSP\0").decode().startswith(piece[:8])}


def test_nothing_secret_is_in_the_log_at_its_loudest(edge: Callable[..., Popgate]) -> None:
    gate = edge(ntlm_level="v1", top={"log": {"target": "stderr", "format": "json", "level": "debug"}})
    tokens: list[bytes] = [md4(utf16(SECRET)), md4(utf16(PASSWORD)), SECRET.encode(), PASSWORD.encode()]
    with gate.connect("implicit") as client:
        for who in (Client(NAME, "wrong"), Client(NAME, SECRET, wrong_mic=True), Client(NAME, SECRET, responses="none"),
                    Client(NAME, SECRET, binding=bytes(range(16))), Client("nemo", SECRET), Client("root", SECRET),
                    Client(NAME, "wrong", responses="v1"), Client("a\\b", SECRET), ANNA):
            challenge = ask_for_challenge(client)
            answer = who.authenticate(challenge)
            tokens += [challenge[24:], buffer_at(answer, LM_AT), buffer_at(answer, NT_AT), buffer_at(answer, KEY_AT),
                       answer[MIC_AT:MIC_END], challenge, answer]
            client.ask(base(answer))
        client.ask(b"QUIT", b"+OK")
        gate.closed(client.port)
    text = gate.log.noise + [json.dumps(event, ensure_ascii=False) for event in gate.log.events]
    for secret in (*secrets_of(tokens), SECRET, PASSWORD):
        assert not [line for line in text if secret in line], secret
