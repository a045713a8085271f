"""A chapter of the README, taken apart into what it claims.

Each sentence is a claim, and so is each row of a table and each block.  A sentence ends at a full stop or a semicolon.
A test is tied to it by its words:

    CHAPTER = Chapter("Who may connect")
    says = CHAPTER.says

    @says("A database older than … is warned about (…).")
    def test_old_database(codes: list[str], ...): ...

Each … stands for what the README has in backquotes, which the test is given and uses; so one cannot change a word of
the chapter without looking at the test, nor a value without the test running with it.  A block is an example: an
indented one behind a comment `<!-- example: WHAT -->`.
"""

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import proc
import pytest
from popgate import Popgate, run_command

README = Path(__file__).resolve().parents[2] / "README.md"
CODE = re.compile(r"`([^`]*)`")
EXAMPLE = re.compile(r"<!-- example: (.*) -->")


@dataclass(frozen=True)
class Claim:
    """Words with … for each part in backquotes, and those parts."""

    words: str
    codes: list[str]

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Row:
    """A row of a table, by the names of its columns."""

    table: str  # what the first column is called
    cells: dict[str, Claim]

    def __str__(self) -> str:
        return self.cells[self.table].words


@dataclass(frozen=True)
class Example:
    what: str
    text: str


def claim(text: str) -> Claim:
    return Claim(CODE.sub("…", " ".join(text.replace("**", "").split())), CODE.findall(text))


def sentences_of(paragraph: str) -> Iterator[Claim]:
    hidden = CODE.sub(lambda code: "`" + "x" * len(code[1]) + "`", paragraph)
    start = 0
    for end in [*(found.end() for found in re.finditer(r"[.;](?=\s)", hidden)), len(hidden)]:
        if paragraph[start:end].strip():
            yield claim(paragraph[start:end])
        start = end


def rows_of(paragraph: str) -> Iterator[Row]:
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in paragraph.splitlines()]
    columns = lines[0]
    for cells in lines[2:]:
        yield Row(columns[0], dict(zip(columns, map(claim, cells), strict=True)))


def paragraphs_of(title: str) -> list[str]:
    """What has an empty line before and behind, and the bullets of a list."""
    text = README.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [part.strip("\n") for part in re.split(r"\n\s*\n|\n(?=\* )", text) if part.strip()]


def claims_of(title: str) -> Iterator[Claim | Row | Example]:
    """In the order of the chapter.  Fails where something stands in it that is none of these, nor a heading."""
    what: str | None = None
    for paragraph in paragraphs_of(title):
        if paragraph.startswith("    "):
            assert what, f"a block that is no example:\n{paragraph}"
            yield Example(what, re.sub(r"^    ", "", paragraph, flags=re.MULTILINE) + "\n")
            what = None
            continue
        assert not what, f"no block behind the comment on the example {what}"
        if comment := EXAMPLE.fullmatch(paragraph):
            what = comment[1]
        elif paragraph.startswith("|"):
            yield from rows_of(paragraph)
        elif not paragraph.startswith("### "):
            assert re.match(r"\* |[A-Za-z`]", paragraph), f"neither text nor table nor example:\n{paragraph}"
            yield from sentences_of(paragraph.removeprefix("* "))


class Chapter:
    def __init__(self, title: str):
        self.claims = list(claims_of(title))
        self.sentences = [each for each in self.claims if isinstance(each, Claim)]
        self.rows = [each for each in self.claims if isinstance(each, Row)]
        self.examples = [each for each in self.claims if isinstance(each, Example)]
        self._said: list[str] = []  # the sentences that tests are tied to

    def says(self, words: str) -> Callable[[Callable], Callable]:
        """Ties a test to the sentence of these words; what it has in backquotes, if any, the test gets as `codes`."""
        self._said.append(words)
        if "…" not in words:
            return lambda test: test
        return pytest.mark.parametrize("codes", [pytest.param(each.codes, id="says") for each in self.sentences
                                                 if each.words == words])

    def example(self, what: str) -> str:
        text, = (each.text for each in self.examples if each.what == what)
        return text

    def commands(self, what: str = "run") -> Iterator[tuple[str, str]]:
        """Each command of the examples that are called so, and its output."""
        for block in (each.text for each in self.examples if each.what == what):
            first, *parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
            assert not first and parts, block
            for part in parts:
                command, _, output = part.partition("\n")
                yield command, output

    def write_files(self, directory: Path) -> None:
        """Writes the examples that are files."""
        for each in self.examples:
            if "." in each.what.split()[0]:
                (directory / each.what).write_text(each.text)

    def assert_sentences_are_tied(self) -> None:
        there = [each.words for each in self.sentences]
        assert [words for words in there if words not in self._said] == []
        assert [words for words in self._said if words not in there] == []
        assert len(set(there)) == len(there) and len(set(self._said)) == len(self._said)


def run(command: str, directory: Path, *, status: int = 0) -> str:
    """What a command of an example prints; nothing is complained of."""
    name, *arguments = shlex.split(command)
    assert name == "popgate"
    result = run_command(*arguments, cwd=directory)
    assert (result.stderr, result.returncode) == ("", status)
    return result.stdout


def put_in_force(gate: Popgate, directory: Path, config: str, store_port: int) -> None:
    """A configuration of the chapter takes the place of a gate's own, with all that lies beside it in the directory.

    It gets free ports, this store, and what tests want of a gate.
    """
    config, ports = re.subn(r"bind: \[.*\](?=, tls)", 'bind: ["127.0.0.1:0"]', config)
    config, servers = re.subn(r'"192\.0\.2\.110:110"', f'"127.0.0.1:{store_port}"', config)
    assert (ports, servers) == (2, 1)
    shutil.copytree(directory, gate.directory, dirs_exist_ok=True)
    gate.config_file.write_text(config + "workers: 1\nlog: { format: json }\n")
    before = gate.workers()
    gate.reload()
    proc.wait_gone(before)
