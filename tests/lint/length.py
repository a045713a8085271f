"""No function is longer than 80 lines; prints the ten longest and the median.

A function is counted from its opening brace to its closing one, both in column 0, as clang-format writes them.
"""

import re
import statistics

from tree import Tree, code_of, line_of, run

MOST = 80
BODY = re.compile(r"^(\w[^;{}=]*?\b(\w+)\([^;{}]*)\n\{\n.*?^\}", re.MULTILINE | re.DOTALL)


def functions(tree: Tree, *, tests: bool) -> list[tuple[int, str]]:
    found = []
    for path, text in tree.files(".c", ".h", tests=tests).items():
        code = code_of(text)
        for body in BODY.finditer(code):
            start = body.end(1) + 1
            found.append((code.count("\n", start, body.end()) + 1, f"{path}:{line_of(code, start)}: {body[2]}"))
    return sorted(found, reverse=True)


def check(tree: Tree) -> list[str]:
    return [f"{where} has {lines} lines, more than {MOST}; make a table of its cases or give its steps names of their own"
            for lines, where in functions(tree, tests=True) if lines > MOST]


def statistic(tree: Tree) -> None:
    found = functions(tree, tests=False)
    lengths = [lines for lines, _where in found]
    print(f"{len(found)} functions, median {statistics.median(lengths):g} lines, "
          f"p90 {sorted(lengths)[int(len(lengths) * 0.9)]}; the longest:")
    for lines, where in found[:10]:
        print(f"{lines:4} {where}")


def example(lines: int) -> dict[str, str]:
    return {"a.c": "int f(int a,\n    int b)\n{\n" + "\tg();\n" * (lines - 2) + "}\n"}


statistic(Tree.real())
run(check, [
    (example(MOST), ""),
    (example(MOST + 1), "a.c:3: f has 81 lines"),
])
