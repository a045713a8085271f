"""What README.md shows of the lists (.def) is what the program makes from them.

The arguments are the files as just generated; each must stand in README.md in one piece.
"""

import sys
from pathlib import Path

from tree import ROOT, Tree, run


def check(tree: Tree) -> list[str]:
    readme = tree.texts["README.md"]
    findings = []
    for path, text in tree.texts.items():
        if text.strip() in readme:
            continue
        present = set(readme.split("\n"))
        wrong = next((line for line in text.strip().split("\n") if line not in present), "the order of its lines")
        findings.append(f"README.md: {path} is not in it as it is now; first difference: {wrong}\n"
                        f"put the text of bazel-bin/{path} in the old one's place")
    return findings


def with_files(_tree: Tree) -> list[str]:
    readme = ROOT / "README.md"
    texts = {"README.md": readme.read_text() if readme.exists() else ""}
    return check(Tree(texts | {path: Path(path).read_text() for path in sys.argv[1:]}))


TABLE = "| a | b |\n| c | d |\n"
EXAMPLES = [
    ({"README.md": f"x\n\n{TABLE}\ny", "t.md": TABLE}, ""),
    ({"README.md": "| a | b |\n| c | e |", "t.md": TABLE}, "t.md is not in it as it is now; first difference: | c | d |"),
    ({"README.md": "| c | d |\n| a | b |", "t.md": TABLE}, "the order"),
]

run(lambda tree: check(tree) if "README.md" in tree.texts else with_files(tree), EXAMPLES)
