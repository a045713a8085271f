"""Every row of every list (.def) is used: no option without effect, no reply or event that nobody sends.

USES says for each list which macros its rows are, and what a use of a row looks like; {0}, {1}, ... are the row's
columns.  One match in the program is enough, outside the list itself.  None: a row has its effect by standing there.
"""

import re

from tree import Tree, code_of, line_of, run

USES = {
    "backends/login/logins.def": ("LOGIN", r"\bstruct login_dialogue {1} ="),
    "backends/users/fields.def": ("USER_FIELD", r"\bset_{0}\("),
    "backends/store/store_verbs.def": ("VERB", r"\brun_{0}\("),
    "backends/verify/helper_refusals.def": None,
    "backends/verify/verifiers.def": ("VERIFIER", r"\bVERIFIER_{0}\b"),
    "certs/findings.def": ("FINDING", r"\bFINDING_{0}\b"),
    "certs/key_types.def": None,
    "certs/name_fields.def": ("NAME_FIELD", r"\bNAME_FIELD_{0}\b"),
    "certs/client_names.def": ("CLIENT_NAME", r"\bcollect_{0}\("),
    "policy/dns_outcomes.def": ("DNS_OUTCOME", r"\bDNS_{0}\b"),
    "policy/rule_kinds.def": ("RULE_KIND", r"\bRULE_{0}\b"),
    "proxy/base/events.def": ("EVENT", r"\bLOG_{0}\b"),
    "proxy/base/metrics.def": ("METRIC|FACT", r"\bmetrics_add\(\s*METRIC_{0}\b|\bFACT_{0}\b"),
    "proxy/cert_options.def": ("CERT_OPTION", r"\bCERT_OPTION_{0}\b"),
    "proxy/cert_verbs.def": ("CERT_VERB", r"\bcert_{0}\("),
    "proxy/commands.def": ("COMMAND", r"\b{3}\("),
    "proxy/config/options.def": ("OPTION|REQUIRED|KEYWORD", r"(\.|->){1}_?\b"),
    "proxy/config/types.def": ("TYPE", r"^(?:OPTION|REQUIRED|KEYWORD)\(\w+, \w+, {0},"),
    "proxy/net/tls_errors.def": None,
    "proxy/net/tls_suites.def": None,
    "proxy/pop3/mechanisms.def": ("MECHANISM", r"\b{3}\("),
    "proxy/pop3/replies.def": ("REPLY", r"\bREPLY_{0}\b|^REASON\(\w+, {0},"),
    "proxy/user_options.def": ("USER_OPTION", r"\bUSER_OPTION_{0}\b"),
    "proxy/user_verbs.def": ("USER_VERB", r"\brun_{0}\("),
    "proxy/pop3/verbs.def": ("VERB", r"\bVERB_{0}\b"),
    "proxy/server/channel.def": ("MESSAGE", r"\bCHANNEL_{0}\b"),
    "proxy/server/filter.def": None,
    "proxy/server/generation.def": ("GENERATION_STATE", r"\bGENERATION_{0}\b"),
    "proxy/server/keys_filter.def": None,
    "proxy/server/metrics_filter.def": None,
    "proxy/session/phases.def": ("PHASE", r"\bPHASE_{0}\b"),
    "proxy/session/reasons.def": ("REASON", r"\bREASON_{0}\b"),
}

TEXT = re.compile(r'"(?:\\.|[^"\\])*"')


def rows(macros: str, text: str) -> list[tuple[int, list[str]]]:
    """Line and columns of each row, texts in quotes left out."""
    found = []
    for row in re.finditer(rf"^(?:{macros})\((.*?)\)\n", text, re.MULTILINE | re.DOTALL):
        columns = [column.strip() for column in TEXT.sub("_", row[1]).split(",")]
        found.append((line_of(text, row.start()), columns))
    return found


def check(tree: Tree) -> list[str]:
    findings = []
    code = {path: code_of(text) for path, text in tree.files(".c", ".h", ".def", tests=False).items()}
    for path, text in tree.files(".def", tests=False).items():
        if path not in USES:
            findings.append(f"{path}: a new list; say in tests/lint/used.py what a use of its rows looks like")
            continue
        others = "\n".join(other for name, other in code.items() if name != path)
        if USES[path] is None:
            continue
        macros, pattern = USES[path]
        for line, columns in rows(macros, text):
            use = pattern.format(*map(re.escape, columns))
            if not re.search(use, others, re.MULTILINE):
                findings.append(f"{path}:{line}: {', '.join(columns[:2])}: {use} occurs nowhere; use the row or remove it")
    return findings


EVENTS = "// EVENT(x, y)\n\nEVENT(a, info, \"it's, (a)\")\nEVENT(b, info,\n    \"b\")\n"

run(check, [
    ({"proxy/base/events.def": EVENTS, "proxy/a.c": "log_why(LOG_a, LOG_b);"}, ""),
    ({"proxy/base/events.def": EVENTS, "proxy/a.c": "log_why(LOG_a, LOG_bb); // LOG_b"}, "events.def:4: b, info:"),
    ({"proxy/a.def": EVENTS}, "a new list"),
])
