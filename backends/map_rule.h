// map_rule.h: one rule of a listener's `map`, read from its text:
//
//     NAME to TEMPLATE [at BACKEND] [because TEXT]
//     file PATH [because TEXT]
//
// Pure; used by route.c, which compiles many of them.  Whether the backend or the
// file is there is not asked here.
//
// NAME is written in one of the forms of account.h, with "*" in the place of each
// part that may be anything: LAB\*, *@contoso.com, LAB\anna\*.  How a client writes
// the same name, and in which case, does not matter.  A part that is not there must
// not be there: anna is a name without a domain, LAB\anna one without a mailbox.
// "*" alone is every name without a mailbox.
//
// TEMPLATE is the name at the backend: text with {user}, {domain} and {mailbox} for
// these parts in small letters, and {login} for the name as the client wrote it.
#ifndef POPGATE_BACKENDS_MAP_RULE_H
#define POPGATE_BACKENDS_MAP_RULE_H

#include "backends/account.h"
#include "proxy/base/text.h"

// The texts are on the heap.
struct map_rule {
	char *file; // NULL: not of a file, and name and form are there
	char *name; // folded, as the slices below
	char *form;
	char *backend;         // NULL: the listener's
	char *because;         // NULL: not said
	struct account wanted; // parts of `name`
	bool is_for_all;       // "*" alone
};

// Reads a rule into *out, which is the caller's to be given to map_rule_done.
// False with the reason in *why when it is none; *out is empty then.
__attribute__((warn_unused_result)) bool map_rule_parse(
    struct str text, struct map_rule *out, struct text *why);

// Frees what it holds; an all-zero rule is fine.
void map_rule_done(struct map_rule *rule);

// The rule in its shortest form; map_rule_parse reads the same again.
void map_rule_print(const struct map_rule *rule, struct text *out);

// Whether it is for this account, whose parts are folded (fold.h).
bool map_rule_matches(const struct map_rule *rule, const struct account *folded);

// Fills the form in; `lower` is the account in small letters, `login` the name as
// the client wrote it.
void map_rule_fill(
    const struct map_rule *rule, const struct account *lower, struct str login, struct text *out);

#endif
