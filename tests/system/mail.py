"""The mail that stores hold in these tests, and how it looks on the wire.

A mailbox of a hundred messages whose bodies are what POP3 programs get wrong: dots at the start of lines, lines far
longer than any line buffer, bytes above 127, no newline at the end, from one byte to two mebibytes.  It is the same
in every run (a seeded generator), so that a failure can be repeated.
"""

import random
import re
from pathlib import Path

MIB = 1024 * 1024


def _headers(number: int) -> bytes:
    return (f"From: Anna Example <anna@example.org>\nTo: anna@test.local\nSubject: message {number}\n"
            f"Message-ID: <{number}@example.org>\nDate: Mon, 02 Mar 2026 10:00:{number % 60:02} +0000\n\n").encode()


def _lines(generator: random.Random, size: int) -> bytes:
    """About `size` bytes of text lines, some with dots in front, some with bytes above 127."""
    starts = [b"", b"", b"", b".", b"..", b". ", b"From ", b"\xe4\xf6\xfc "]
    text = b"".join(generator.choice(starts) + generator.randbytes(generator.randrange(36)).hex().encode() + b"\n"
                    for _ in range(size // 36 + 1))
    return text[:size - 1].rstrip(b"\n") + b"\n"


def sample_messages(count: int = 100) -> list[bytes]:
    """Messages as a Maildir holds them: lines end in LF."""
    special = [
        b"x",
        b"Subject: only a header\n",
        _headers(3) + b".",
        _headers(4) + b".\n..\n...\n.hidden\n\n.\n",
        _headers(5) + b"no newline at the end",
        _headers(6) + b"long " * 30_000 + b"\n",
        _headers(7) + bytes(range(128, 256)) * 20 + b"\n",
        _headers(8) + b"\n" * 2000,
        _headers(9) + b".\n" * 5000,
    ]
    generator = random.Random(1939)
    sizes = [2 * MIB, MIB, 65_536, 65_535, 65_537, 16_384, 16_383, 16_385, 4096, 1460]
    sizes += [generator.randrange(1, 40_000) for _ in range(count - len(special) - len(sizes))]
    plain = [_headers(len(special) + n + 1) + _lines(generator, size) for n, size in enumerate(sizes)]
    return (special + plain)[:count]


def message_id(message: bytes) -> bytes | None:
    match = re.search(rb"^Message-ID: (\S+)", message, re.MULTILINE)
    return match and match[1]


def delivered_by_fetchmail(message: bytes) -> bytes | None:
    """What fetchmail makes of a message on the wire; None when that cannot be foretold.

    It delivers with LF, drops or replaces messages without a header, and spoils lines that outgrow its buffer.
    """
    if not message_id(message) or max(map(len, message.split(b"\n"))) > 4096:
        return None
    return message.replace(b"\r\n", b"\n")


def fill_maildir(maildir: Path, messages: list[bytes]) -> None:
    for name in ("cur", "new", "tmp"):
        (maildir / name).mkdir(parents=True, exist_ok=True)
    for number, message in enumerate(messages, 1):
        (maildir / "cur" / f"{1_700_000_000 + number}.{number:04}.test:2,").write_bytes(message)


def on_the_wire(message: bytes) -> bytes:
    """A stored message as a client sees it after undoing the dots: CR LF, and an end of line at the end."""
    text = message.replace(b"\n", b"\r\n")
    return text if text.endswith(b"\r\n") else text + b"\r\n"


def stuffed(message: bytes) -> bytes:
    """The answer to RETR for a message with CR LF lines, without the status line."""
    text = b"\r\n" + message
    return text.replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
