"""Calls and constructs that popgate does without.

A line may be excepted by a comment on it that begins with "lint:" and gives the reason.
"""

import re

from tree import Tree, code_of, line_of, run

CALLS = {
    "strcpy": "copy a struct str, or build with struct text",
    "strcat": "build with struct text",
    "sprintf": "build with struct text",
    "vsprintf": "build with struct text",
    "strtok": "use str_cut",
    "gets": "read into a buffer with a limit",
    "atoi": "use str_to_u64, which tells a mistake",
    "atol": "use str_to_u64, which tells a mistake",
}
BASE_ONLY = {name: f"use x{name} (proxy/base/die.h); memory that a peer sizes belongs into struct buf"
             for name in ("malloc", "calloc", "realloc")}
ALLOCATORS = ("proxy/base/", "tests/")

SWITCH = re.compile(r"^([ \t]*)switch \(.*?^\1\}", re.MULTILINE | re.DOTALL)
ENUM = re.compile(r"\benum\s*\w*\s*\{([^{}]*)\}")
PASTED = re.compile(r"\b([A-Z]\w*_)##")


def excepted(text: str, line: int) -> bool:
    return "// lint:" in text.split("\n")[line - 1]


def forbidden_calls(path: str, code: str) -> list[tuple[int, str]]:
    names = CALLS | ({} if path.startswith(ALLOCATORS) else BASE_ONLY)
    return [(line_of(code, found.start()), f"{found[1]}() is not used here: {names[found[1]]}")
            for found in re.finditer(rf"(?<![\w.>])({'|'.join(names)})\s*\(", code)]


def our_enumerators(tree: Tree) -> tuple[set[str], tuple[str, ...]]:
    """Their names, and the prefixes of those that are made from lists."""
    names: set[str] = set()
    prefixes: set[str] = set()
    for text in tree.files(".c", ".h").values():
        code = code_of(text)
        for body in ENUM.findall(code):
            names.update(re.findall(r"^\s*(\w+)", re.sub(r",", "\n", body), re.MULTILINE))
        prefixes.update(PASTED.findall(code))
    return names, tuple(prefixes)


def needless_defaults(code: str, names: set[str], prefixes: tuple[str, ...]) -> list[tuple[int, str]]:
    found = []
    for switch in SWITCH.finditer(code):
        default = re.search(r"\bdefault\s*:", switch[0])
        labels = re.findall(r"\bcase\s+([A-Za-z_]\w*)\s*:", switch[0])
        if default and any(label in names or label.startswith(prefixes) for label in labels):
            found.append((line_of(code, switch.start() + default.start()),
                          "default: hides a value that is added later; list the values of the enum instead"))
    return found


def check(tree: Tree) -> list[str]:
    names, prefixes = our_enumerators(tree)
    findings = []
    for path, text in tree.files(".c", ".h").items():
        code = code_of(text)
        for line, what in forbidden_calls(path, code) + needless_defaults(code, names, prefixes):
            if not excepted(text, line):
                findings.append(f"{path}:{line}: {what}")
    return findings


SWITCH_EXAMPLE = "enum e { A, B };\n\tswitch (x) {\n\tcase %s: break;\n\tdefault: break;\n\t}\n"

run(check, [
    ({"policy/a.c": "\tx = xmalloc(4); // never malloc(4)\n\ttext_add(t, STR(\"gets(\"));\n"}, ""),
    ({"policy/a.c": "\tp = malloc(4);\n"}, "policy/a.c:1: malloc() is not used"),
    ({"policy/a.c": "\tp = malloc(4); // lint: freed by the library\n"}, ""),
    ({"proxy/base/a.c": "\tp = malloc(4);\n"}, ""),
    ({"proxy/base/a.c": "\n\tstrcpy(a, b);\n"}, "a.c:2: strcpy()"),
    ({"tests/a.c": "\tn = atoi(a);\n"}, "str_to_u64"),
    ({"policy/a.c": SWITCH_EXAMPLE % "A"}, "a.c:4: default:"),
    ({"policy/a.c": SWITCH_EXAMPLE % "'A'"}, ""),
    ({"policy/a.c": SWITCH_EXAMPLE % "SIGTERM"}, ""),
    ({"policy/a.c": SWITCH_EXAMPLE % "X_a", "policy/a.h": "#define X(name) X_##name,\n"}, "a.c:4: default:"),
])
