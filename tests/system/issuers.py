"""Authorities that issue certificates with every flaw that a test wants, by the openssl program.

Two levels, as public authorities have them: a root, and an intermediate that issues.  Each certificate says where its
issuer's may be had.
"""

import subprocess
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

CONFIG = """
[ca]
default_ca = issuer
[issuer]
database = index.txt
new_certs_dir = .
rand_serial = yes
policy = anything
copy_extensions = none
unique_subject = no
email_in_dn = no
[anything]
commonName = supplied
countryName = optional
localityName = optional
organizationName = optional
"""


def openssl(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(["openssl", *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def key_options(kind: str) -> list[str]:
    """Of `openssl req -newkey`: rsa:2048, or the name of a curve."""
    return ["-newkey", kind] if ":" in kind else ["-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{kind}"]


@dataclass(frozen=True)
class Kind:
    """What a certificate says; the default is a good one for localhost."""

    subject: str = "/CN=localhost"
    names: str = "DNS:localhost"
    key: str = "P-256"
    start: float = -1  # days from now
    end: float = 90
    digest: str = "sha256"
    extensions: dict[str, str] = field(default_factory=lambda: {
        "basicConstraints": "critical,CA:FALSE", "keyUsage": "critical,digitalSignature",
        "extendedKeyUsage": "serverAuth"})

    def saying(self, **extensions: str) -> "Kind":
        return replace(self, extensions={**self.extensions, **extensions})


AUTHORITY = Kind("/CN=popgate test root", "", end=3650, extensions={
    "basicConstraints": "critical,CA:TRUE", "keyUsage": "critical,keyCertSign,cRLSign"})
INTERMEDIATE = replace(AUTHORITY, subject="/CN=popgate test intermediate", end=1000)


class Issuer:
    """A directory with root.pem, intermediate.pem, their keys, and what they have issued."""

    def __init__(self, directory: Path, *, intermediate: Kind = INTERMEDIATE):
        self.directory = directory
        directory.mkdir(exist_ok=True)
        (directory / "index.txt").write_text("")
        (directory / "ca.cnf").write_text(CONFIG)
        self.make_request("root", AUTHORITY)
        self.issue("root", AUTHORITY, by="root")
        self.make_request("intermediate", intermediate)
        self.issue("intermediate", intermediate, by="root")

    def path(self, name: str) -> Path:
        return self.directory / name

    def text(self, *names: str) -> str:
        """The certificates of these names in one file, in this order."""
        return "".join(self.path(f"{name}.pem").read_text() for name in names)

    def make_request(self, name: str, kind: Kind) -> None:
        openssl("req", "-new", *key_options(kind.key), "-nodes", "-subj", kind.subject,
                "-keyout", f"{name}.key", "-out", f"{name}.csr", cwd=self.directory)

    def issue(self, name: str, kind: Kind, *, by: str = "intermediate") -> None:
        """Answers NAME.csr with NAME.pem."""
        now = datetime.now(timezone.utc)
        lines = [f"{what}={value}" for what, value in kind.extensions.items() if value]
        lines += [f"subjectAltName={kind.names}"] if kind.names else []
        lines += [f"authorityInfoAccess=caIssuers;URI:http://issuer.test/{by}.der"] if by != name else []
        (self.directory / f"{name}.ext").write_text("\n".join(lines) + "\n")
        own = ["-selfsign"] if by == name else ["-cert", f"{by}.pem"]
        dates = [(now + timedelta(days=days)).strftime("%Y%m%d%H%M%SZ") for days in (kind.start, kind.end)]
        openssl("ca", "-batch", "-notext", "-config", "ca.cnf", "-md", kind.digest, *own, "-keyfile", f"{by}.key",
                "-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", f"{name}.ext", "-startdate", dates[0],
                "-enddate", dates[1], cwd=self.directory)

    def make(self, name: str, kind: Kind, *, by: str = "intermediate") -> None:
        self.make_request(name, kind)
        self.issue(name, kind, by=by)
