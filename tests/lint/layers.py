"""Includes point down the layers, and each third-party library is included in one place.

The layers are those of the design: L0 base, L1 plumbing, L2 judgement, L3 session, L4 server, L5 programs.  A folder
may include itself and any lower layer; folders of one layer do not know each other.
"""

import re

from tree import Tree, line_of, run

LAYERS = {
    "proxy/base/": 0,
    "proxy/net/": 1, "proxy/pop3/": 1, "proxy/config/": 1,
    "policy/": 2, "backends/": 2, "certs/": 2,
    "proxy/session/": 3,
    "proxy/server/": 4,
    "proxy/": 5,
}

# Header, or folder of headers, to the places that may include it; the longest match counts.
LIBRARIES = {
    "dlfcn.h": ["proxy/base/library.c"],
    "uv.h": ["proxy/net/"],
    "ares.h": ["proxy/net/resolve.c"],
    "curl/": ["proxy/net/fetch.c"],
    "microhttpd.h": ["proxy/server/metrics_server.c"],
    "yaml.h": ["proxy/config/"],
    "systemd/": ["proxy/server/"],
    "seccomp.h": ["proxy/server/"],
    "maxminddb.h": ["policy/geoip.c"],
    "idn2.h": ["policy/domain.c"],
    "ntlm.h": ["proxy/pop3/ntlm/client_v1.c"],
    "unicase.h": ["backends/fold.c", "backends/users/name.c", "proxy/pop3/ntlm/unicode.c"],
    "unistr.h": ["backends/fold.c", "backends/users/name.c", "proxy/pop3/ntlm/unicode.c"],
    "lmdb.h": ["backends/users/database.c"],
    "openssl/": [],
    "openssl/aead.h": ["backends/users/seal.c", "proxy/net/tls_tickets.c"],
    "openssl/hkdf.h": ["certs/ticket_file.c"],
    "openssl/pkcs7.h": ["certs/bundle.c"],
    "openssl/rand.h": ["certs/issue.c", "backends/users/seal.c", "backends/users/key.c", "proxy/net/tls_tickets.c"],
    "openssl/ssl.h": ["proxy/net/"],
    "openssl/bio.h": ["proxy/net/", "certs/"],
    "openssl/pool.h": ["proxy/net/", "certs/"],
    "openssl/err.h": ["proxy/net/", "certs/"],
    "openssl/x509.h": ["certs/"],
    "openssl/x509v3.h": ["certs/"],
    "openssl/pem.h": ["certs/"],
    "openssl/sha.h": ["certs/", "proxy/net/"],
    "openssl/nid.h": ["certs/", "proxy/net/"],
    "openssl/bytestring.h": ["proxy/net/", "certs/"],
    "openssl/evp.h": ["certs/"],
    "openssl/ec_key.h": ["proxy/net/"],
    "openssl/obj.h": ["certs/"],
    "openssl/mem.h": ["certs/", "proxy/pop3/", "backends/verify/"],
    "openssl/crypto.h": ["proxy/net/"],
    "openssl/base64.h": ["proxy/pop3/", "backends/", "certs/"],
    "openssl/des.h": ["proxy/pop3/ntlm/crypto.c"],
    "openssl/digest.h": ["certs/", "proxy/pop3/"],
    "openssl/hmac.h": ["proxy/pop3/"],
    "openssl/md4.h": ["proxy/pop3/ntlm/crypto.c"],
    "openssl/md5.h": ["proxy/pop3/"],
    "openssl/rc4.h": ["proxy/pop3/ntlm/crypto.c"],
}

# What the C library and the kernel bring may be included anywhere above proxy/base, and there too.
SYSTEM = re.compile(r"""(sys|arpa|netinet|net|linux)/\w+\.h$|
    (assert|ctype|dirent|errno|fcntl|ftw|getopt|grp|inttypes|libgen|limits|malloc|math|netdb|poll|pthread|pwd|sched|
     setjmp|signal|spawn|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|
     syslog|termios|time|unistd)\.h$""", re.VERBOSE)

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.MULTILINE)


def folder_of(path: str) -> str:
    return max((folder for folder in LAYERS if path.startswith(folder)), key=len, default="")


def judge_own(path: str, header: str, tree: Tree) -> str | None:
    if header not in tree.texts:
        return f'"{header}" is no file of ours; write the path from the top of the tree'
    here, there = folder_of(path), folder_of(header)
    if here == there or there and LAYERS[there] < LAYERS[here]:
        return None
    if not there:
        return f'the program may not use "{header}"; only tests may'
    kind = "another folder of its layer" if LAYERS[there] == LAYERS[here] else "a higher layer"
    return f'{here} (L{LAYERS[here]}) may not include "{header}": {there} (L{LAYERS[there]}) is {kind}; ' \
           "pass what it needs as an argument, or let a layer above introduce the two"


def judge_library(path: str, header: str) -> str | None:
    if SYSTEM.match(header):
        return None
    known = max((key for key in LIBRARIES if header == key or key.endswith("/") and header.startswith(key)), key=len,
                default=None)
    places = LIBRARIES.get(known, [])
    if path.startswith(tuple(places)):
        return None
    if known is None:
        return f"<{header}> is unknown; say in tests/lint/layers.py where it may be included"
    return f"<{header}> may be included only in {', '.join(places) or 'the places named in tests/lint/layers.py'}; " \
           "call what is there, or give it the function you miss"


def check(tree: Tree) -> list[str]:
    findings = []
    for path, text in tree.files(".c", ".h", ".def", tests=False).items():
        for found in INCLUDE.finditer(text):
            quote, header = found.groups()
            wrong = judge_own(path, header, tree) if quote == '"' else judge_library(path, header)
            if wrong:
                findings.append(f"{path}:{line_of(text, found.start(1))}: {wrong}")
    return findings


def example(path: str, include: str) -> dict[str, str]:
    headers = ("proxy/base/str.h", "proxy/net/net.h", "proxy/pop3/line.h", "proxy/session/session.h", "tests/kit/a.h")
    return {**dict.fromkeys(headers, ""), path: f"// x\n#include {include}\n"}


run(check, [
    (example("proxy/net/a.c", '"proxy/base/str.h"'), ""),
    (example("proxy/main.c", '"proxy/session/session.h"'), ""),
    (example("proxy/net/a.c", "<uv.h>"), ""),
    (example("proxy/net/a.c", "<sys/socket.h>"), ""),
    (example("proxy/net/a.c", '"proxy/pop3/line.h"'), "another folder of its layer"),
    (example("proxy/base/a.h", '"proxy/net/net.h"'), "proxy/base/a.h:2: proxy/base/ (L0) may not include"),
    (example("policy/a.c", '"proxy/session/session.h"'), "a higher layer"),
    (example("policy/a.c", '"tests/kit/a.h"'), "only tests may"),
    (example("policy/a.c", '"a.h"'), "no file of ours"),
    (example("policy/a.c", "<uv.h>"), "only in proxy/net/"),
    (example("proxy/session/a.c", "<openssl/ssl.h>"), "only in proxy/net/"),
    (example("proxy/net/a.c", "<openssl/dsa.h>"), "the places named"),
    (example("proxy/net/a.c", "<zlib.h>"), "unknown"),
])
