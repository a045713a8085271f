// rule.h: one rule of a policy, or one exception of a listener, read from its
// text:
//
//     [audit] allow|deny KIND ARGUMENT... [until YYYY-MM-DD] [because TEXT]
//     allow METHOD[,METHOD] KIND ARGUMENT... [until YYYY-MM-DD] [because TEXT]
//
// Used by policy.c, which compiles many of them.  Reads text only: whether a
// file exists, a name resolves or a database is there is not asked here.
//
// The words between spaces are arguments; an argument with spaces in it stands
// in double quotes.  What follows "because" is one text, to the end.
#ifndef POPGATE_POLICY_RULE_H
#define POPGATE_POLICY_RULE_H

#include <time.h>

#include "policy/range.h"
#include "proxy/config/config.h"

#define RULE_KIND(kind, ...) RULE_##kind,
enum rule_kind {
#include "policy/rule_kinds.def"
	RULE_KINDS
};
#undef RULE_KIND

struct rule {
	enum rule_kind kind;
	enum access verdict;
	bool is_audit;    // matching is only logged
	unsigned methods; // bits of enum login_method that an exception allows; else 0
	time_t until;     // the first second in which it no longer matches; 0: for ever
	char *because;    // NULL: not said
	size_t num;       // arguments; of the three arrays the kind has one
	struct addr_range *ranges;
	char **names;      // of a file as written, others as domain_read gives them
	uint32_t *numbers; // AS numbers, or codes as in country.h
};

// Reads a rule, or with is_exception an exception, into *out, which is the
// caller's to be given to rule_done.  False with the reason in *why when it is
// none; *out is empty then.
__attribute__((warn_unused_result)) bool rule_parse(
    struct str text, bool is_exception, struct rule *out, struct text *why);

// Frees what it holds; an all-zero rule is fine.
void rule_done(struct rule *rule);

// The rule in its shortest form; rule_parse reads the same again.
void rule_print(const struct rule *rule, struct text *out);

// Brings names and numbers in the order in which they can be searched.
void rule_sort(struct rule *rule);

// Whether the number is among those of a sorted rule.
bool rule_has_number(const struct rule *rule, uint32_t number);

// How the kind is written: "country".
const char *rule_kind_name(enum rule_kind kind);

#endif
