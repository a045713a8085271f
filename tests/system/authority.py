"""An authority that vouches for clients, made by the openssl program: certificates with any names, revocation lists.

`openssl ca` keeps the books, since a list of revoked certificates needs some.
"""

import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path

from certs import Certificates, openssl

LONG_AGO = ("20200101000000Z", "20200201000000Z")

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

CONFIG = """
[ca]
default_ca = books
[books]
database = {name}.index
serial = {name}.serial
crlnumber = {name}.number
new_certs_dir = .
certificate = {name}.pem
private_key = {name}.key
default_md = sha256
default_days = 30
default_crl_days = 7
policy = any
unique_subject = no
string_mask = utf8only
[any]
organizationName = optional
commonName = optional
"""


@dataclass(frozen=True)
class Client:
    """Somebody's certificate, with what must be shown beside it."""

    chain: Path
    key: Path

    def context(self, certificates: Certificates, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        context = certificates.client_context()
        context.load_cert_chain(self.chain, self.key)
        if version:
            context.minimum_version = context.maximum_version = version
        return context


class Authority:
    """An authority in a directory; `issuer` vouches for it, or it does so itself."""

    def __init__(self, directory: Path, name: str = "clients", issuer: "Authority | None" = None,
                 key: tuple[str, ...] = KEY, digest: str = "sha256"):
        self.directory, self.name = directory, name
        self.certificate = directory / f"{name}.pem"
        self.beside = b""  # what clients must show beside their own
        self._file("config").write_text(CONFIG.format(name=name))
        self._file("index").touch()
        for counter in ("serial", "number"):
            self._file(counter).write_text("1000\n")
        if issuer:
            made = issuer.issue(name, f"/CN={name}", "basicConstraints=critical,CA:true\nkeyUsage=keyCertSign,cRLSign",
                                key=key, digest=digest)
            self.beside = made.chain.read_bytes()
            return
        openssl(directory, "req", "-x509", *key, f"-{digest}", "-days", "30", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                "-out", f"{name}.pem", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def _file(self, suffix: str) -> Path:
        return self.directory / f"{self.name}.{suffix}"

    def _keep_books(self, *arguments: str) -> None:
        openssl(self.directory, "ca", "-batch", "-utf8", "-config", f"{self.name}.config", *arguments)

    def issue(self, name: str, subject: str = "/O=Test/CN=Anna", extensions: str = "", *, san: str = "",
              expired: bool = False, until: datetime.datetime | None = None, key: tuple[str, ...] = KEY,
              digest: str = "sha256") -> Client:
        """`san` as openssl-x509v3_config(5) has it, such as email:anna@test.local."""
        openssl(self.directory, "req", "-new", "-utf8", *key, "-subj", subject, "-keyout", f"{name}.key",
                "-out", f"{name}.csr")
        (self.directory / f"{name}.ext").write_text((f"subjectAltName={san}\n" if san else "") +
                                                    (extensions or "extendedKeyUsage=clientAuth") + "\n")
        dates = ["-startdate", LONG_AGO[0], "-enddate", LONG_AGO[1]] if expired else []
        if until:
            dates = ["-enddate", until.strftime("%Y%m%d%H%M%SZ")]
        self._keep_books("-md", digest, "-in", f"{name}.csr", "-out", f"{name}.pem", "-notext", "-extfile", f"{name}.ext", *dates)
        chain = self.directory / f"{name}.pem"
        chain.write_bytes(chain.read_bytes() + self.beside)
        return Client(chain, self.directory / f"{name}.key")

    def revoke(self, client: Client) -> None:
        self._keep_books("-revoke", str(client.chain))

    def revocations(self, extensions: str = "", *, expired: bool = False) -> bytes:
        """A list of those who are revoked so far; extensions as openssl-x509v3_config(5) has them."""
        options = ["-crl_lastupdate", LONG_AGO[0], "-crl_nextupdate", LONG_AGO[1]] if expired else []
        if extensions:
            self._file("config").write_text(f"{CONFIG.format(name=self.name)}[list]\n{extensions}\n")
            options += ["-crlexts", "list"]
        self._keep_books("-gencrl", "-out", f"{self.name}.crl", *options)
        return self._file("crl").read_bytes()


def replace(path: Path, content: bytes) -> None:
    """As a careful updater does: beside it, and then into its place in one step."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.rename(path)
