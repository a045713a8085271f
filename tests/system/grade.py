"""The grade of a server by SSL Labs' SSL Server Rating Guide (2009r), from what testssl.sh finds.

Debian 12's testssl.sh (3.0) finds what the guide asks for, but leaves the grading to its reader; 3.2 grades.  All must
have been looked at: a finding that is missing is an error, and one that is none of the good ones costs what the bad one
costs.  Where the guide leaves room, the lower grade is given: bits of curves and of 3DES count for what they are worth
(NIST SP 800-57, part 1, table 2), and a suite is held against a server whether or not newer clients would come to it.
What belongs to HTTP is left out; without its HSTS nothing is better than A.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Findings = dict[str, str]  # by testssl.sh's name of the check

# From the best to the worst; the last two are for a certificate with another name, and for one that is not trusted.
GRADES = ("A", "A-", "B", "C", "D", "E", "F", "M", "T")

LETTERS = ((80, "A"), (65, "B"), (50, "C"), (35, "D"), (20, "E"), (0, "F"))  # for so many points of 100
WEIGHTS = (0.3, 0.3, 0.4)  # of versions, keys, ciphers

VERSIONS = {"SSLv2": 0, "SSLv3": 80, "TLS1": 90, "TLS1_1": 95, "TLS1_2": 100, "TLS1_3": 100}
FIELD = ((512, 20), (1024, 40), (2048, 80), (4096, 90), (math.inf, 100))  # with fewer bits than this
CURVE = ((112, 20), (160, 40), (224, 80), (384, 90), (math.inf, 100))
KEYS = {"RSA": FIELD, "DSA": FIELD, "DH": FIELD, "EC": CURVE, "ECDH": CURVE}
CIPHERS = ((1, 0), (128, 20), (256, 80), (math.inf, 100))

AEADS = {"AESGCM", "AESCCM", "AESCCM8", "ChaCha20", "CamelliaGCM", "ARIAGCM"}
SMALL_BLOCKS = {"3DES", "DES", "IDEA", "RC2"}


@dataclass(frozen=True)
class Suite:
    name: str
    exchange: str  # RSA, or the kind of keys made for the connection
    exchange_bits: int  # of these
    cipher: str
    bits: int
    is_export: bool
    is_anonymous: bool


@dataclass(frozen=True)
class Server:
    versions: set[str]
    suites: list[Suite]
    key: tuple[str, int]  # the certificate's: kind, bits


@dataclass(frozen=True)
class Rating:
    grade: str
    points: float  # of 100
    reasons: list[str]  # why the grade is no better, whatever the points


# What must be found, or else the grade is at most this.
FINDINGS = (
    ("cert_chain_of_trust", r"passed", "T"),
    ("cert_expirationStatus", r"\d+ >= \d+ days|expires < \d+ days", "T"),
    ("cert_signatureAlgorithm", r".* with SHA(224|256|384|512)", "T"),
    ("cert_trust", r"Ok via", "M"),
    ("heartbleed", r"not vulnerable", "F"),
    ("CCS", r"not vulnerable", "F"),
    ("ROBOT", r"not vulnerable", "F"),
    ("DROWN", r"not vulnerable", "F"),
    ("FREAK", r"not vulnerable", "F"),
    ("LOGJAM", r"not vulnerable", "F"),
    ("POODLE_SSL", r"not vulnerable", "C"),
    ("CRIME_TLS", r"not vulnerable|TLS 1.3 only", "C"),
    ("secure_renego", r"supported|TLS 1.3 only", "A-"),
)


def any_suite(is_bad: Callable[[Suite], bool]) -> Callable[[Server], bool]:
    return lambda server: any(map(is_bad, server.suites))


def no_suite(is_good: Callable[[Suite], bool]) -> Callable[[Server], bool]:
    return lambda server: not any(map(is_good, server.suites))


# What must not be, or else the grade is at most this.
RULES: tuple[tuple[str, str, Callable[[Server], bool]], ...] = (
    ("SSL 2", "F", lambda server: "SSLv2" in server.versions),
    ("nothing newer than SSL 3", "F", lambda server: server.versions <= {"SSLv2", "SSLv3"}),
    ("SSL 3", "B", lambda server: "SSLv3" in server.versions),
    ("TLS 1.0", "B", lambda server: "TLS1" in server.versions),
    ("TLS 1.1", "B", lambda server: "TLS1_1" in server.versions),
    ("neither TLS 1.2 nor 1.3", "C", lambda server: not server.versions & {"TLS1_2", "TLS1_3"}),
    ("no TLS 1.3", "A-", lambda server: "TLS1_3" not in server.versions),
    ("insecure keys", "F", lambda server: score_of_keys(server) <= 40),
    ("weak keys", "B", lambda server: 40 < score_of_keys(server) <= 80),
    ("ciphers below 112 bits", "F", any_suite(lambda suite: suite.bits < 112)),
    ("export suites", "F", any_suite(lambda suite: suite.is_export)),
    ("RC4", "C", any_suite(lambda suite: suite.cipher == "RC4")),
    ("blocks of 64 bits", "C", any_suite(lambda suite: suite.cipher in SMALL_BLOCKS)),
    ("no forward secrecy", "B", no_suite(lambda suite: suite.exchange_bits > 0)),
    ("no authenticated encryption", "B", no_suite(lambda suite: suite.cipher in AEADS)),
)


def is_offered(finding: str) -> bool:
    found = re.match(r"(likely )?(not )?offered|vulnerable with \d+ ciphers", finding)
    assert found, f"testssl.sh could not tell: {finding}"
    return not found[2]


def suite_of(line: str) -> Suite:
    """Of a line such as: x9e DHE-RSA-AES128-GCM-SHA256 DH 2048 AESGCM 128 TLS_DHE_RSA_WITH_AES_128_GCM_SHA256."""
    found = re.match(r"x\w+ +(\S+) +(?:((?:EC)?DH) (\d+)|(\S+)) +(\S+) +(\d+|None)(,exp)? +(\S+)", line)
    assert found, f"testssl.sh has another way to name suites: {line}"
    name, ephemeral, exchange_bits, exchange, cipher, bits, is_export, standard_name = found.groups()
    return Suite(name, ephemeral or exchange, int(exchange_bits or 0), cipher,
                 112 if cipher == "3DES" else 0 if bits == "None" else int(bits), bool(is_export),
                 "_anon_" in standard_name)


def server_of(findings: Findings) -> Server:
    key = re.match(r"(\w+) (\d+) bits", findings["cert_keySize"])
    assert key, f"testssl.sh has another way to name keys: {findings['cert_keySize']}"
    suites = [suite_of(line) for name, line in findings.items() if name.startswith("cipher_x")]
    assert suites, "testssl.sh listed no suites"
    return Server({each for each in VERSIONS if is_offered(findings[each])}, suites, (key[1], int(key[2])))


def score(bits: int, scale: tuple[tuple[float, int], ...]) -> int:
    return next(points for limit, points in scale if bits < limit)


def mean_of_ends(scores: list[int]) -> float:
    return (min(scores) + max(scores)) / 2


def score_of_keys(server: Server) -> int:
    """By the weakest."""
    kind, bits = server.key
    return min([score(bits, KEYS[kind]),
                *(score(each.exchange_bits, KEYS[each.exchange]) for each in server.suites if each.exchange_bits),
                *(40 for each in server.suites if each.is_export),
                *(0 for each in server.suites if each.is_anonymous)])


def caps(server: Server, findings: Findings) -> Iterator[tuple[str, str]]:
    """The grades that are not surpassed, each with its reason."""
    for name, good, grade in FINDINGS:
        if not re.match(good, findings[name]):
            yield grade, f"{name}: {findings[name]}"
    for what, grade, is_so in RULES:
        if is_so(server):
            yield grade, what


def rate(findings: Findings) -> Rating:
    server = server_of(findings)
    scores = (mean_of_ends([VERSIONS[each] for each in server.versions]), score_of_keys(server),
              mean_of_ends([score(each.bits, CIPHERS) for each in server.suites]))
    points = sum(each * weight for each, weight in zip(scores, WEIGHTS, strict=True)) if all(scores) else 0
    capped = list(caps(server, findings))
    by_points = next(letter for least, letter in LETTERS if points >= least)
    return Rating(max([by_points, *(grade for grade, _why in capped)], key=GRADES.index), points,
                  [f"{grade}: {why}" for grade, why in capped])
