// verbs.h: the command line of a command that has verbs of its own: `popgate cert
// VERB [OPERAND] [OPTION]...`.
//
// The tables are made from a command's .def files.  What is read here is only which
// verb, operand and options were given, and that the verb takes them.
#ifndef POPGATE_PROXY_VERBS_H
#define POPGATE_PROXY_VERBS_H

#include <stdbool.h>
#include <stddef.h>

enum { VERBS_EXIT_USAGE = 2, VERBS_OPTIONS_MAX = 31, VERBS_VALUES_MAX = 64 };

struct verbs_verb {
	const char *name;
	const char *operand; // "" for none; in brackets: may be left out
	const char *sentence;
};

struct verbs_option {
	const char *name;
	const char *argument; // "" for none
	size_t most;          // how often it may be given
	unsigned verbs;       // bits of those that take it
	const char *sentence;
};

struct verbs {
	const char *command;
	const struct verbs_verb *verbs;
	size_t num_verbs;
	const struct verbs_option *options;
	size_t num_options; // at most VERBS_OPTIONS_MAX
	size_t config;      // the option that -c stands for
};

// The arguments of one option, "" for one without; the command line owns them.
struct verbs_values {
	const char *at[VERBS_VALUES_MAX];
	size_t num;
};

struct verbs_call {
	size_t verb;
	const char *operand; // NULL: none
	struct verbs_values options[VERBS_OPTIONS_MAX];
};

// The argument of an option that was given once; NULL when it was not given.
static inline const char *verbs_value(const struct verbs_call *call, size_t option)
{
	return call->options[option].num ? call->options[option].at[0] : NULL;
}

// argv[0] is the command's name.  0, or the exit status with the reason told.
int verbs_read(const struct verbs *verbs, int argc, char **argv, struct verbs_call *out);

// Prints all verbs and options.
void verbs_help(const struct verbs *verbs);

// Says "popgate: ..." on stderr; false.
__attribute__((format(printf, 1, 2))) bool verbs_complain(const char *format, ...);

#endif
