"""Which chain and key are a pair that popgate serves: the same for a check, a start, a renewal and an install."""

import json
import shutil
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from certs import Certificates
from clients import Raw
from issuers import Issuer, Kind
from popgate import Config, Popgate, run_command, site

Start = Callable[..., Popgate]

GOOD = Kind()
INSTALL = "popgate cert install"


@pytest.fixture(scope="module", name="issuer")
def fixture_issuer(scratch: Path) -> Issuer:
    return Issuer(scratch / "pairs")


@dataclass(frozen=True)
class Wrong:
    """A pair that cannot be served: what it is issued as, what is done to its chain, and what is said of it."""

    words: tuple[str, ...]
    kind: Kind = GOOD
    spoil: Callable[[str, Issuer], str] = lambda chain, issuer: chain


def block(base64: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n"


def cut_inside(chain: str) -> str:
    """The last certificate lacks its end, in a block that is whole."""
    return chain.replace(chain.splitlines()[-2] + "\n", "", 1)


def turned(_chain: str, issuer: Issuer) -> str:
    return issuer.text("intermediate", "wrong")


WRONG = {
    "no certificate": Wrong(("certificate 3 in {} is damaged", INSTALL),
                            spoil=lambda chain, issuer: chain + block("AAAA")),
    "cut inside": Wrong(("certificate 2 in {} is damaged", INSTALL), spoil=lambda chain, issuer: cut_inside(chain)),
    "cut off": Wrong(("the certificate {} is cut off or damaged behind certificate 1", INSTALL),
                     spoil=lambda chain, issuer: chain[:-100]),
    "cut off at once": Wrong(("the first certificate in {} is cut off or damaged;", INSTALL),
                             spoil=lambda chain, issuer: chain[:300]),
    "other file": Wrong(("{} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----);", INSTALL),
                        spoil=lambda chain, issuer: "a certificate"),
    "wrong order": Wrong(("2", "; popgate cert install puts them in order"), spoil=turned),
    "authority": Wrong(("the certificate of CN=localhost in {} is that of an authority and", "CA:FALSE"),
                       GOOD.saying(basicConstraints="CA:TRUE", keyUsage="digitalSignature,keyCertSign")),
    "no signature": Wrong(("the certificate of CN=localhost in {} has a key that may not sign", "digitalSignature"),
                          GOOD.saying(keyUsage="keyEncipherment")),
    "too large": Wrong((" bytes long, and with more than 65536 clients may refuse them", "popgate cert request"),
                       replace(GOOD, names=",".join(f"DNS:host-{number}.{'x' * 50}.test" for number in range(1000)))),
    "unknown curve": Wrong(("of a kind that ", " does not know", "popgate cert request"), Kind(key="secp256k1")),
    "curve": Wrong(("the certificate of CN=localhost in {} has a key with which popgate cannot sign (ECDSA P-224)",
                    "popgate cert request"), Kind(key="P-224")),
}


def put(issuer: Issuer, row: Wrong, chain: Path, key: Path) -> None:
    """Writes over both files."""
    issuer.make("wrong", row.kind)
    chain.write_text(row.spoil(issuer.text("wrong", "intermediate"), issuer))
    shutil.copy(issuer.path("wrong.key"), key)


def put_good(issuer: Issuer, chain: Path, key: Path) -> None:
    put(issuer, Wrong(()), chain, key)


def section(folder: Path, name: str) -> dict[str, str]:
    return {"chain": str(folder / f"{name}.pem"), "key": str(folder / f"{name}.key")}


def config_with(certificates: Certificates, folder: Path, names: list[str]) -> Config:
    pairs = {name: section(folder, name) for name in names}
    listeners = {name: {"bind": ["127.0.0.1:0"], "tls": "implicit", "certificates": [name]} for name in names}
    return {**site(certificates, 1), "certificates": pairs, "listeners": listeners}


@pytest.mark.parametrize("isolation", ["on", "off"])
@pytest.mark.parametrize("row", WRONG)
def test_the_check_refuses_it_with_the_file_the_reason_and_a_next_step(
        workdir: Path, certificates: Certificates, issuer: Issuer, row: str, isolation: str) -> None:
    config = {**config_with(certificates, workdir, ["site"]), "key_isolation": isolation}
    (workdir / "popgate.yaml").write_text(json.dumps(config))
    put(issuer, WRONG[row], workdir / "site.pem", workdir / "site.key")
    done = run_command("check", "-c", "popgate.yaml", cwd=workdir)
    assert done.returncode == 1
    for words in WRONG[row].words:
        assert words.format(workdir / "site.pem") in done.stderr, done


def test_texts_of_dashes_between_the_certificates_do_no_harm(workdir: Path, certificates: Certificates,
                                                             issuer: Issuer) -> None:
    (workdir / "popgate.yaml").write_text(json.dumps(config_with(certificates, workdir, ["site"])))
    texts = Wrong((), spoil=lambda chain, issuer: chain.replace("-----BEGIN", "----- My CA ------\n-----\n-----BEGIN"))
    put(issuer, texts, workdir / "site.pem", workdir / "site.key")
    done = run_command("check", "-c", "popgate.yaml", cwd=workdir)
    assert done.returncode == 0, done


@pytest.mark.parametrize("row", [name for name, row in WRONG.items() if row.kind != GOOD])
def test_it_is_not_installed_either(workdir: Path, issuer: Issuer, row: str) -> None:
    put(issuer, WRONG[row], workdir / "new.pem", workdir / "new.key")
    done = run_command("cert", "install", "--chain", "new.pem", "--key", "new.key", "--ca",
                       str(issuer.path("root.pem")), "--to-chain", "site.pem", "--to-key", "site.key", cwd=workdir)
    assert (done.returncode, done.stdout) == (1, "")
    for words in WRONG[row].words:
        assert words.format("new.pem") in done.stderr
    assert done.stderr.endswith("; nothing was installed\n")
    assert {path.name for path in workdir.iterdir()} == {"new.pem", "new.key"}


@pytest.mark.parametrize("isolation", ["on", "off"])
def test_the_order_is_told_by_the_key_too(workdir: Path, certificates: Certificates, issuer: Issuer,
                                          isolation: str) -> None:
    """Two certificates of servers: only the private key says which is meant."""
    config = {**config_with(certificates, workdir, ["site"]), "key_isolation": isolation}
    (workdir / "popgate.yaml").write_text(json.dumps(config))
    issuer.make("other", GOOD)
    put(issuer, Wrong((), spoil=lambda chain, issuer: issuer.text("other") + chain), workdir / "site.pem",
        workdir / "site.key")
    said = run_command("check", "-c", "popgate.yaml", cwd=workdir).stderr
    assert f"{workdir}/site.key belongs to certificate 2 in {workdir}/site.pem, which must be the first" in said


def served_by(gate: Popgate, listener: str) -> bytes:
    with Raw(gate.port(listener), gate.context) as client:
        client.greeting()
        return client.tls.getpeercert(binary_form=True)


@pytest.mark.parametrize("isolation", ["on", "off"])
def test_a_renewal_by_it_is_refused_and_the_old_pair_stays(start: Start, workdir: Path, certificates: Certificates,
                                                           issuer: Issuer, isolation: str) -> None:
    names = {row: row.replace(" ", "-") for row in WRONG}
    for name in names.values():
        put_good(issuer, workdir / f"{name}.pem", workdir / f"{name}.key")
    gate = start({**config_with(certificates, workdir, list(names.values())), "key_isolation": isolation})
    gate.context.load_verify_locations(issuer.path("root.pem"))
    before = {name: served_by(gate, name) for name in names.values()}
    gate.expect("certificate_refused")
    for row, name in names.items():
        put(issuer, WRONG[row], workdir / f"{name}.pem", workdir / f"{name}.key")
    for row, name in names.items():
        why = gate.log.wait("certificate_refused", certificate=name)["why"]
        for words in WRONG[row].words:
            assert words.format(workdir / f"{name}.pem") in why
        assert served_by(gate, name) == before[name]
    assert not gate.log.all("certificate_replaced")


def test_a_byte_order_mark_is_passed_over(start: Start, workdir: Path, certificates: Certificates,
                                          issuer: Issuer) -> None:
    put_good(issuer, workdir / "site.pem", workdir / "site.key")
    for path in (workdir / "site.pem", workdir / "site.key"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    gate = start(config_with(certificates, workdir, ["site"]))
    gate.context.load_verify_locations(issuer.path("root.pem"))
    assert served_by(gate, "site") == ssl.PEM_cert_to_DER_cert(issuer.text("wrong"))
    done = run_command("cert", "check", "-c", str(gate.config_file), "--ca", str(issuer.path("root.pem")), "--name",
                       "localhost")
    assert done.returncode == 0, done


def test_what_some_clients_can_be_served_is_served(workdir: Path, certificates: Certificates, issuer: Issuer) -> None:
    """Such as `openssl req -x509` makes it, and RSA with the usage that is its own."""
    (workdir / "popgate.yaml").write_text(json.dumps(config_with(certificates, workdir, ["site"])))
    for kind, by in ((GOOD.saying(basicConstraints="CA:TRUE", keyUsage=""), "served"),
                     (Kind(key="rsa:2048").saying(keyUsage="keyEncipherment"), "intermediate")):
        issuer.make("served", kind, by=by)
        (workdir / "site.pem").write_text(issuer.text("served"))
        shutil.copy(issuer.path("served.key"), workdir / "site.key")
        done = run_command("check", "-c", "popgate.yaml", cwd=workdir)
        assert (done.returncode, done.stderr) == (0, "")
