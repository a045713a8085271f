"""The source tree as the checks of this folder see it, and the frame they run in.

A check is a function from a Tree to a list of findings, each a line that says where, what, and what to do.  Beside it
stand examples of what it must find; they are tried first, so that a check which finds nothing can be believed.
"""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("proxy", "policy", "backends", "certs", "tests")


@dataclass
class Tree:
    """Path (from the top, with slashes) to text; of the real tree or of an example."""

    texts: dict[str, str] = field(default_factory=dict)

    @classmethod
    def real(cls) -> "Tree":
        texts = {}
        for top in FOLDERS:
            for folder, _folders, names in os.walk(ROOT / top):
                for name in names:
                    if name.endswith((".c", ".h", ".def")):
                        path = Path(folder, name)
                        texts[path.relative_to(ROOT).as_posix()] = path.read_text()
        return cls(dict(sorted(texts.items())))

    def files(self, *suffixes: str, tests: bool = True) -> dict[str, str]:
        return {path: text for path, text in self.texts.items()
                if path.endswith(suffixes) and (tests or not path.startswith("tests/"))}


_NO_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def code_of(text: str) -> str:
    """The text with comments and literals blanked out; lines stay where they are."""
    return _NO_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


Check = Callable[[Tree], list[str]]


def fails(examples: list[tuple[dict[str, str], str]], check: Check) -> list[str]:
    """What the check gets wrong: each example must give one finding that holds the words; no words: none at all."""
    wrong = []
    for texts, words in examples:
        findings = check(Tree(texts))
        if (len(findings) != 1 or words not in findings[0]) if words else findings:
            wrong.append(f"self-test: wanted {words or 'nothing'!r} from {texts}, got {findings}")
    return wrong


def run(check: Check, examples: list[tuple[dict[str, str], str]]) -> None:
    """The main function of a check: exit status 1 and the findings when there are any."""
    findings = fails(examples, check) or check(Tree.real())
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)
