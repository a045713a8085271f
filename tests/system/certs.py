"""Certificates for the tests, made by the openssl program.

Two authorities, so that "issued by somebody else" can be tried, and one server certificate for each part that a
test needs.  Keys are on P-256 where nothing else is said: they are made in a millisecond.  The openssl program, and no
Python library, makes them, because every Debian has it and because it is not the TLS library under test.
"""

import hashlib
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

# What openssl's -newkey needs for each kind of key.
KEYS = {
    "P-256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "P-384": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "Ed25519": ["ed25519"],
    "RSA": ["rsa:2048"],
}

# What each certificate is for: file name -> (issuing authority, names).
SERVERS = {
    "edge": ("ca", "DNS:localhost,IP:127.0.0.1,IP:::1"),
    "renewed": ("ca", "DNS:localhost,IP:127.0.0.1,IP:::1"),
    "store": ("ca", "DNS:store.test"),
    "stranger": ("other-ca", "DNS:store.test"),
}


def openssl(directory: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr}"


def make_authority(directory: Path, name: str) -> None:
    openssl(directory, "req", "-x509", "-newkey", *KEYS["P-256"], "-nodes", "-days", "90",
            "-subj", f"/CN=popgate test {name}", "-keyout", f"{name}.key", "-out", f"{name}.pem",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def make_intermediate(directory: Path, name: str, authority: str) -> None:
    """An authority that another one vouches for; what it issues comes in chains of two."""
    openssl(directory, "req", "-new", "-newkey", *KEYS["P-256"], "-nodes", "-subj", f"/CN=popgate test {name}",
            "-keyout", f"{name}.key", "-out", f"{name}.csr")
    (directory / f"{name}.ext").write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n")
    openssl(directory, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
            "-CAcreateserial", "-days", "90", "-extfile", f"{name}.ext", "-out", f"{name}.pem")


def make_server(directory: Path, name: str, authority: str, names: str, key: str = "P-256", *, days: int = 90,
                more: str = "") -> None:
    """A key NAME.key and a certificate NAME.pem; `more` are lines for its extensions."""
    common_name = names.split(",")[0].removeprefix("DNS:")
    openssl(directory, "req", "-new", "-newkey", *KEYS[key], "-nodes",
            "-subj", f"/CN={common_name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    (directory / f"{name}.ext").write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n{more}")
    openssl(directory, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
            "-CAcreateserial", "-days", str(days), "-extfile", f"{name}.ext", "-out", f"{name}.pem")


@dataclass(frozen=True)
class Certificates:
    """A directory with NAME.pem and NAME.key for each name in SERVERS, ca.pem and other-ca.pem."""

    directory: Path

    def chain(self, name: str) -> str:
        return str(self.directory / f"{name}.pem")

    def key(self, name: str) -> str:
        return str(self.directory / f"{name}.key")

    def issue(self, name: str, names: str, key: str = "P-256", *, authority: str = "ca",
              days: int = 90, more: str = "") -> dict[str, str]:
        """Makes another one; what a section of `certificates` says of it."""
        make_server(self.directory, name, authority, names, key, days=days, more=more)
        if authority != "ca":
            with open(self.chain(name), "a", encoding="ascii") as chain:
                chain.write(Path(self.chain(authority)).read_text())
        return self.section(name)

    def section(self, name: str) -> dict[str, str]:
        return {"chain": self.chain(name), "key": self.key(name)}

    def der(self, name: str) -> bytes:
        """Of the certificate itself, the first of its chain."""
        first, end, _others = Path(self.chain(name)).read_text().partition("-----END CERTIFICATE-----\n")
        return ssl.PEM_cert_to_DER_cert(first + end)

    def fingerprint(self, name: str) -> str:
        """SHA-256 of the certificate in hexadecimal, as the `fingerprint` option wants it."""
        return hashlib.sha256(self.der(name)).hexdigest()

    def client_context(self, *, alpn: list[str] | None = None) -> ssl.SSLContext:
        """For a client that trusts the tests' authority and checks the name."""
        context = ssl.create_default_context(cafile=self.chain("ca"))
        # A FIN without close_notify must be told from a proper end.
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def server_context(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain(name), self.key(name))
        return context


def make_certificates(directory: Path) -> Certificates:
    for authority in ("ca", "other-ca"):
        make_authority(directory, authority)
    for name, (authority, names) in SERVERS.items():
        make_server(directory, name, authority, names)
    return Certificates(directory)
