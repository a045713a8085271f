"""All C is as clang-format writes it, with the .clang-format at the top of the tree."""

import re
import subprocess

from tree import ROOT, Tree, run

CLANG_FORMAT = "clang-format-14"  # other versions write other things
COMPLAINT = re.compile(r"^(\S+?):(\d+):\d+: error:", re.MULTILINE)


def complaints(*arguments: str, text: str | None = None) -> str:
    command = [CLANG_FORMAT, "--dry-run", "-Werror", "--ferror-limit=1", *arguments]
    return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True).stderr


def check(tree: Tree) -> list[str]:
    """The real tree at once; an example through standard input."""
    files = tree.files(".c", ".h")
    if all((ROOT / path).exists() for path in files):
        output = complaints(*files)
    else:
        output = "".join(complaints(f"--assume-filename={ROOT}/{path}", text=text) for path, text in files.items())
    first = {path.removeprefix(f"{ROOT}/"): line for path, line in reversed(COMPLAINT.findall(output))}
    return [f"{path}:{line}: not formatted; run: {CLANG_FORMAT} -i {path}" for path, line in sorted(first.items())]


run(check, [
    ({"absent.c": "int f(void)\n{\n\treturn 1;\n}\n"}, ""),
    ({"absent.c": "int f(void)\n{\n    return 1;\n}\n"}, "absent.c:2: not formatted"),
])
