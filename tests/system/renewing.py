"""What tools that renew certificates do to the files, step by step, so that a test can look in between."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from certs import Certificates
from issuers import Issuer, Kind

# The files change at each turn; after the last they are the new pair.
Steps = Iterator[None]


@dataclass(frozen=True)
class Pair:
    """Chain and key in PEM form."""

    name: str
    chain: str
    key: str

    @classmethod
    def of(cls, certificates: Certificates, name: str) -> "Pair":
        return cls(name, Path(certificates.chain(name)).read_text(), Path(certificates.key(name)).read_text())


def pairs_that_lived(directory: Path, names: str) -> Callable[[float, float], Pair]:
    """A maker of pairs that have been valid for so many days, and will be for so many more."""
    issuer = Issuer(directory)

    def make(since: float, left: float) -> Pair:
        issuer.make("lived", Kind(names=names, start=-since, end=left))
        return Pair("lived", issuer.text("lived", "intermediate"), issuer.path("lived.key").read_text())

    return make


def write_private(path: Path, content: str) -> None:
    """As tools write keys: nobody else may read the file."""
    path.touch(mode=0o600)
    path.write_text(content)


class Place:
    """Where popgate looks for a pair: links, as certbot has them, with the files in another folder."""

    def __init__(self, directory: Path, first: Pair):
        self.live, self.archive = directory / "live", directory / "archive"
        self.chain, self.key = self.live / "fullchain.pem", self.live / "privkey.pem"
        self._versions = itertools.count()
        for folder in (self.live, self.archive):
            folder.mkdir(mode=0o700)
        for _step in by_links(self, first):
            pass

    def section(self) -> dict[str, str]:
        return {"chain": str(self.chain), "key": str(self.key)}

    def in_archive(self, content: str) -> Path:
        path = self.archive / f"{next(self._versions)}.pem"
        write_private(path, content)
        return path


def link(link: Path, target: Path) -> Steps:
    """Gone for a moment, as certbot does it."""
    link.unlink(missing_ok=True)
    yield
    link.symlink_to(Path("..") / "archive" / target.name)


def by_links(place: Place, pair: Pair) -> Steps:
    """certbot: new files beside the old ones, then one link after the other is made anew."""
    key, chain = place.in_archive(pair.key), place.in_archive(pair.chain)
    old = [path.resolve() for path in (place.key, place.chain) if path.is_symlink()]
    yield from link(place.key, key)
    yield
    yield from link(place.chain, chain)
    for path in old:
        path.unlink(missing_ok=True)


def write_over(path: Path, content: str) -> Steps:
    """Into the same file, which is empty for a moment and then half written."""
    with path.open("w") as file:
        yield
        file.write(content[:len(content) // 2])
        file.flush()
        yield
        file.write(content[len(content) // 2:])


def over_key_first(place: Place, pair: Pair) -> Steps:
    """acme.sh --install-cert, which redirects cat(1) into the files."""
    yield from write_over(place.key, pair.key)
    yield
    yield from write_over(place.chain, pair.chain)


def over_chain_first(place: Place, pair: Pair) -> Steps:
    """lego, which writes NAME.crt and then NAME.key."""
    yield from write_over(place.chain, pair.chain)
    yield
    yield from write_over(place.key, pair.key)


def rename(path: Path, content: str) -> None:
    new = path.with_suffix(".new")
    write_private(new, content)
    new.rename(path)


def renamed_key_first(place: Place, pair: Pair) -> Steps:
    """Careful tools, and install(1)."""
    rename(place.key, pair.key)
    yield
    rename(place.chain, pair.chain)


def renamed_chain_first(place: Place, pair: Pair) -> Steps:
    rename(place.chain, pair.chain)
    yield
    rename(place.key, pair.key)


def mv_folder(place: Place, pair: Pair) -> Steps:
    """The folder as a whole: there is none for a moment."""
    new, old = place.live.with_name("new"), place.live.with_name("old")
    new.mkdir(mode=0o700)
    write_private(new / place.key.name, pair.key)
    (new / place.chain.name).write_text(pair.chain)
    place.live.rename(old)
    yield
    new.rename(place.live)
    for path in old.iterdir():
        path.unlink()
    old.rmdir()


WAYS: dict[str, Callable[[Place, Pair], Steps]] = {
    way.__name__: way for way in (by_links, over_key_first, over_chain_first, renamed_key_first, renamed_chain_first,
                                  mv_folder)
}


def renew(place: Place, pair: Pair, way: str = "renamed_key_first") -> None:
    """At once."""
    for _step in WAYS[way](place, pair):
        pass
