"""The README's chapter on who may connect, taken apart into what it claims.

Each sentence is a claim, and so is each row of a table and each block.  A sentence ends at a full stop or a semicolon.
A test is tied to it by its words:

    @says("A database older than … is warned about (…).")
    def test_old_database(codes: list[str], ...): ...

Each … stands for what the README has in backquotes, which the test is given and uses; so one cannot change a word of
the chapter without looking at the test, nor a value without the test running with it.  A block is an example: an
indented one behind a comment `<!-- example: WHAT -->`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"
TITLE = "Who may connect"
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


def chapter() -> list[str]:
    """The paragraphs: what has an empty line before and behind, and the bullets of a list."""
    text = README.read_text().partition(f"\n## {TITLE}\n")[2].partition("\n## ")[0]
    return [part.strip("\n") for part in re.split(r"\n\s*\n|\n(?=\* )", text) if part.strip()]


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


def claims() -> Iterator[Claim | Row | Example]:
    """In the order of the chapter.  Fails where something stands in it that is none of these."""
    what: str | None = None
    for paragraph in chapter():
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
        else:
            assert re.match(r"\* |[A-Za-z`]", paragraph), f"neither text nor table nor example:\n{paragraph}"
            yield from sentences_of(paragraph.removeprefix("* "))


CLAIMS = list(claims())
SENTENCES = [each for each in CLAIMS if isinstance(each, Claim)]
ROWS = [each for each in CLAIMS if isinstance(each, Row)]
EXAMPLES = [each for each in CLAIMS if isinstance(each, Example)]

# The sentences that tests are tied to.
said: list[str] = []


def says(words: str) -> Callable[[Callable], Callable]:
    """Ties a test to the sentence of these words; what it has in backquotes, if any, the test gets as `codes`."""
    said.append(words)
    if "…" not in words:
        return lambda test: test
    return pytest.mark.parametrize("codes", [pytest.param(each.codes, id="says") for each in SENTENCES
                                             if each.words == words])


def example(what: str) -> str:
    text, = (each.text for each in EXAMPLES if each.what == what)
    return text
