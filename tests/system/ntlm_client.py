"""An NTLM client for tests, which can do what a client may, and much that it may not.

NTLMv2 with MIC, channel binding and service name, by [MS-NLMP] alone: nothing of popgate's.  Every part of the last
message can be replaced, so that a test says what is wrong in one word.  The messages go over AUTH NTLM ([MS-POP3]).
"""

import base64
import hashlib
import hmac
import struct
from dataclasses import dataclass, field

from clients import Raw

SIGNATURE = b"NTLMSSP\0"
UNICODE, REQUEST_TARGET, SIGN, NTLM, ALWAYS_SIGN = 0x1, 0x4, 0x10, 0x200, 0x8000
EXTENDED, TARGET_INFO, KEY_128, KEY_EXCHANGE = 0x80000, 0x800000, 0x20000000, 0x40000000
FLAGS = UNICODE | REQUEST_TARGET | SIGN | NTLM | ALWAYS_SIGN | EXTENDED | TARGET_INFO | KEY_128 | KEY_EXCHANGE

AV_END, AV_COMPUTER, AV_DOMAIN, AV_FLAGS, AV_TIME, AV_SERVICE, AV_BINDING = 0, 1, 2, 6, 7, 9, 10
MIC_PRESENT = 2

AUTHENTICATE_SIZE, MIC_SIZE = 72, 16  # with a version


def rotate(value: int, count: int) -> int:
    value &= 0xFFFFFFFF
    return (value << count | value >> (32 - count)) & 0xFFFFFFFF


def md4(data: bytes) -> bytes:
    """RFC 1320; the system's libraries no longer have it."""
    state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476]
    padded = data + b"\x80" + bytes((55 - len(data)) % 64) + struct.pack("<Q", 8 * len(data))
    rounds = (
        (lambda x, y, z: x & y | ~x & z, 0, list(range(16)), (3, 7, 11, 19)),
        (lambda x, y, z: x & y | x & z | y & z, 0x5A827999, [i % 4 * 4 + i // 4 for i in range(16)], (3, 5, 9, 13)),
        (lambda x, y, z: x ^ y ^ z, 0x6ED9EBA1, [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15], (3, 9, 11, 15)),
    )
    for block in range(0, len(padded), 64):
        words = struct.unpack("<16I", padded[block:block + 64])
        a, b, c, d = state
        for mix, constant, order, shifts in rounds:
            for step, word in enumerate(order):
                a, b, c, d = d, rotate(a + mix(b, c, d) + words[word] + constant, shifts[step % 4]), b, c
        state = [(old + new) & 0xFFFFFFFF for old, new in zip(state, (a, b, c, d))]
    return struct.pack("<4I", *state)


def rc4(key: bytes, data: bytes) -> bytes:
    box, j = list(range(256)), 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) % 256
        box[i], box[j] = box[j], box[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        out.append(byte ^ box[(box[i] + box[j]) % 256])
    return bytes(out)


def hmac_md5(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, "md5").digest()


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le")


def pair(number: int, value: bytes) -> bytes:
    return struct.pack("<HH", number, len(value)) + value


def pairs_of(info: bytes) -> dict[int, bytes]:
    """The AV pairs of a challenge."""
    found = {}
    while True:
        number, size = struct.unpack_from("<HH", info)
        if number == AV_END:
            return found
        found[number] = info[4:4 + size]
        info = info[4 + size:]


def binding_of(certificate: bytes, hash_name: str = "sha256") -> bytes:
    """MsvAvChannelBindings for a certificate (DER): RFC 5929's tls-server-end-point in a gss_channel_bindings."""
    data = b"tls-server-end-point:" + hashlib.new(hash_name, certificate).digest()
    return hashlib.md5(bytes(16) + struct.pack("<I", len(data)) + data).digest()


def buffer_at(message: bytes, offset: int) -> bytes:
    size, _most, start = struct.unpack_from("<HHI", message, offset)
    return message[start:start + size]


@dataclass
class Client:
    """Who logs in, and how; what is None is left out."""

    user: str
    password: str
    domain: str = ""
    binding: bytes | None = None
    service: str | None = None
    has_mic: bool = True
    wrong_mic: bool = False
    changed: dict[int, bytes] = field(default_factory=dict)  # AV pairs that are not as the server sent them

    negotiate_message = SIGNATURE + struct.pack("<II", 1, FLAGS) + bytes(16)

    def authenticate(self, challenge: bytes) -> bytes:
        """Type 3 for the server's type 2."""
        server_challenge, info = challenge[24:32], buffer_at(challenge, 40)
        key = hmac_md5(md4(utf16(self.password)), utf16(self.user.upper() + self.domain))
        temp = self._temp(pairs_of(info))
        proof = hmac_md5(key, server_challenge + temp)
        session_key = bytes(range(16))
        wrapped = rc4(hmac_md5(key, proof), session_key)
        message = self._message(bytes(24), proof + temp, wrapped)
        mic = hmac_md5(session_key, self.negotiate_message + challenge + message)
        if self.wrong_mic:
            mic = bytes([mic[0] ^ 1]) + mic[1:]
        return message[:AUTHENTICATE_SIZE] + mic + message[AUTHENTICATE_SIZE + MIC_SIZE:] if self.has_mic else message

    def _temp(self, pairs: dict[int, bytes]) -> bytes:
        pairs = {**pairs, **self.changed}
        time = pairs.get(AV_TIME, bytes(8))
        if self.has_mic:
            pairs[AV_FLAGS] = struct.pack("<I", MIC_PRESENT)
        if self.binding is not None:
            pairs[AV_BINDING] = self.binding
        if self.service is not None:
            pairs[AV_SERVICE] = utf16(self.service)
        listed = b"".join(pair(number, value) for number, value in pairs.items()) + pair(AV_END, b"")
        return b"\1\1" + bytes(6) + time + bytes(range(8)) + bytes(4) + listed + bytes(4)

    def _message(self, lm: bytes, nt: bytes, session_key: bytes) -> bytes:
        """Type 3 with zeroes for the MIC."""
        header = SIGNATURE + struct.pack("<I", 3)
        start = AUTHENTICATE_SIZE + (MIC_SIZE if self.has_mic else 0)
        payload = b""
        for value in (lm, nt, utf16(self.domain), utf16(self.user), utf16("TEST"), session_key):
            header += struct.pack("<HHI", len(value), len(value), start + len(payload))
            payload += value
        header += struct.pack("<I", FLAGS) + bytes(8)
        return header.ljust(start, b"\0") + payload


def challenge_of(server: str) -> bytes:
    """A store's type 2."""
    name = utf16(server)
    info = pair(AV_DOMAIN, name) + pair(AV_COMPUTER, name) + pair(AV_END, b"")
    flags = UNICODE | REQUEST_TARGET | NTLM | EXTENDED | TARGET_INFO
    header = SIGNATURE + struct.pack("<IHHIIQQHHI", 2, len(name), len(name), 48, flags, 0x0123456789ABCDEF, 0,
                                     len(info), len(info), 48 + len(name))
    return header + name + info


def ask_for_challenge(client: Raw, negotiate: bytes = Client.negotiate_message) -> bytes:
    client.ask(b"AUTH NTLM", b"+ \r\n")
    answer = client.ask(base64.b64encode(negotiate), b"+ ")
    return base64.b64decode(answer[2:].strip(), validate=True)


def authenticate(client: Raw, who: Client) -> bytes:
    """Logs in by AUTH NTLM; returns the answer's first line."""
    challenge = ask_for_challenge(client)
    return client.ask(base64.b64encode(who.authenticate(challenge)))
