"""An NTLM client for tests, which can do what a client may, and much that it may not.

NTLMv2 with MIC, channel binding and service name, and the older responses, by [MS-NLMP] alone: nothing of popgate's.
Every part of the last message can be replaced, so that a test says what is wrong in one word; `patched` and `pointed`
change a message that is made already, as somebody between client and server would.  The messages go over AUTH NTLM
([MS-POP3]).
"""

import base64
import hashlib
import hmac
import struct
from dataclasses import dataclass, field

from clients import Raw
from Cryptodome.Cipher import DES

SIGNATURE = b"NTLMSSP\0"
UNICODE, OEM, REQUEST_TARGET, SIGN, DATAGRAM, NTLM, ANONYMOUS = 0x1, 0x2, 0x4, 0x10, 0x40, 0x200, 0x800
DOMAIN_SUPPLIED, ALWAYS_SIGN = 0x1000, 0x8000
EXTENDED, TARGET_INFO, KEY_128, KEY_EXCHANGE = 0x80000, 0x800000, 0x20000000, 0x40000000
FLAGS = UNICODE | REQUEST_TARGET | SIGN | NTLM | ALWAYS_SIGN | EXTENDED | TARGET_INFO | KEY_128 | KEY_EXCHANGE

AV_END, AV_COMPUTER, AV_DOMAIN, AV_FLAGS, AV_TIME, AV_SERVICE, AV_BINDING = 0, 1, 2, 6, 7, 9, 10
MIC_PRESENT = 2

AUTHENTICATE_SIZE, MIC_SIZE = 72, 16  # with a version
MIC_END = AUTHENTICATE_SIZE + MIC_SIZE

# Where in type 3 the fields stand that point to its payload.
LM_AT, NT_AT, DOMAIN_AT, USER_AT, WORKSTATION_AT, KEY_AT = range(12, 60, 8)
FLAGS_AT = 60


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


def des(key: bytes, block: bytes) -> bytes:
    """With a key of 56 bits, whose parity bits are left to be anything."""
    bits = int.from_bytes(key, "big")
    return DES.new(bytes((bits >> shift & 0x7F) << 1 for shift in range(49, -1, -7)), DES.MODE_ECB).encrypt(block)


def des_thrice(key: bytes, challenge: bytes) -> bytes:
    """DESL: what NTLMv1 answers with."""
    padded = key.ljust(21, b"\0")
    return b"".join(des(padded[at:at + 7], challenge) for at in (0, 7, 14))


def lm_hash(password: str) -> bytes:
    padded = password.upper().encode("cp850", "replace")[:14].ljust(14, b"\0")
    return des(padded[:7], b"KGS!@#$%") + des(padded[7:], b"KGS!@#$%")


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


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


def patched(message: bytes, offset: int, data: bytes) -> bytes:
    return message[:offset] + data + message[offset + len(data):]


def pointed(message: bytes, field_at: int, size: int | None = None, start: int | None = None) -> bytes:
    """With a field that points elsewhere; what is None stays."""
    old_size, _most, old_start = struct.unpack_from("<HHI", message, field_at)
    size, start = old_size if size is None else size, old_start if start is None else start
    return patched(message, field_at, struct.pack("<HHI", size, size, start))


def negotiate(flags: int, rest: bytes = bytes(16)) -> bytes:
    """Type 1."""
    return SIGNATURE + struct.pack("<II", 1, flags) + rest


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
    responses: str = "v2"  # or one of `old_responses`
    flags: int = FLAGS  # of type 3; names are as these say
    negotiate_message: bytes = negotiate(FLAGS)
    workstation: str = "TEST"

    def nt_hash(self) -> bytes:
        return md4(utf16(self.password))

    def authenticate(self, challenge: bytes) -> bytes:
        """Type 3 for the server's type 2."""
        session_key = bytes(range(16))
        if self.responses == "v2":
            lm, nt, base_key = self._new_responses(challenge)
        else:
            lm, nt = old_responses(self.responses, self.password, challenge[24:32])
            base_key = md4(md4(utf16(self.password)))
        message = self._message(lm, nt, rc4(base_key, session_key))
        mic = hmac_md5(session_key, self.negotiate_message + challenge + message)
        if self.wrong_mic:
            mic = bytes([mic[0] ^ 1]) + mic[1:]
        return patched(message, AUTHENTICATE_SIZE, mic) if self.has_mic else message

    def _new_responses(self, challenge: bytes) -> tuple[bytes, bytes, bytes]:
        """NTLMv2: for LM, for NT, and the session base key."""
        key = hmac_md5(self.nt_hash(), utf16(self.user.upper() + self.domain))
        temp = self._temp(pairs_of(buffer_at(challenge, 40)))
        proof = hmac_md5(key, challenge[24:32] + temp)
        return bytes(24), proof + temp, hmac_md5(key, proof)

    def _temp(self, pairs: dict[int, bytes]) -> bytes:
        pairs = {**pairs, **self.changed}
        time = pairs.get(AV_TIME, b"")[:8].ljust(8, b"\0")
        if self.has_mic:
            pairs[AV_FLAGS] = struct.pack("<I", MIC_PRESENT)
        if self.binding is not None:
            pairs[AV_BINDING] = self.binding
        if self.service is not None:
            pairs[AV_SERVICE] = utf16(self.service)
        listed = b"".join(pair(number, value) for number, value in pairs.items()) + pair(AV_END, b"")
        return b"\1\1" + bytes(6) + time + bytes(range(8)) + bytes(4) + listed + bytes(4)

    def _encode(self, name: str) -> bytes:
        return utf16(name) if self.flags & UNICODE else name.encode("latin-1")

    def _message(self, lm: bytes, nt: bytes, session_key: bytes) -> bytes:
        """Type 3 with zeroes for the MIC."""
        header = SIGNATURE + struct.pack("<I", 3)
        start = MIC_END if self.has_mic else AUTHENTICATE_SIZE
        names = [self._encode(name) for name in (self.domain, self.user, self.workstation)]
        payload = b""
        for value in (lm, nt, *names, session_key):
            header += struct.pack("<HHI", len(value), len(value), start + len(payload))
            payload += value
        header += struct.pack("<I", self.flags) + bytes(8)
        return header.ljust(start, b"\0") + payload


CLIENT_CHALLENGE = bytes(range(8))


def old_responses(kind: str, password: str, challenge: bytes) -> tuple[bytes, bytes]:
    """What clients before NTLMv2 answer: for LM, for NT."""
    nt_hash = md4(utf16(password))
    nt = des_thrice(nt_hash, challenge)
    both = hashlib.md5(challenge + CLIENT_CHALLENGE).digest()[:8]
    lm = des_thrice(lm_hash(password), challenge)
    return {
        "v1": (lm, nt),
        "v1 twice": (nt, nt),
        "v1 without LM": (b"", nt),
        "v1 that looks like ntlm2": (CLIENT_CHALLENGE + bytes(16), nt),
        "ntlm2": (CLIENT_CHALLENGE + bytes(16), des_thrice(nt_hash, both)),
        "LM alone": (lm, b""),
        "LM in the place of NT": (lm, lm),
        "none": (b"", b""),
        "none but a zero": (b"\0", b""),
    }[kind]


def challenge_of(server: str) -> bytes:
    """A store's type 2."""
    name = utf16(server)
    info = pair(AV_DOMAIN, name) + pair(AV_COMPUTER, name) + pair(AV_END, b"")
    flags = UNICODE | REQUEST_TARGET | NTLM | EXTENDED | TARGET_INFO
    header = SIGNATURE + struct.pack("<IHHIIQQHHI", 2, len(name), len(name), 48, flags, 0x0123456789ABCDEF, 0,
                                     len(info), len(info), 48 + len(name))
    return header + name + info


def ask_for_challenge(client: Raw, message: bytes = Client.negotiate_message) -> bytes:
    client.ask(b"AUTH NTLM", b"+ \r\n")
    answer = client.ask(base64.b64encode(message), b"+ ")
    return base64.b64decode(answer[2:].strip(), validate=True)


def authenticate(client: Raw, who: Client) -> bytes:
    """Logs in by AUTH NTLM; returns the answer's first line."""
    challenge = ask_for_challenge(client, who.negotiate_message)
    return client.ask(base64.b64encode(who.authenticate(challenge)))
