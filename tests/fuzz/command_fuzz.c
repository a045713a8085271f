// command_fuzz.c: taking a client's line apart.
//
// Whatever the line is: the argument lies within it, behind one space; a verb
// is found for its own name only, and case never matters.
#include <string.h>

#include "proxy/pop3/command.h"
#include "tests/fuzz/fuzz.h"

#define VERB(name, argument) {#name, sizeof(#name) - 1},
static const struct str names[VERBS] = {
#include "proxy/pop3/verbs.def"
};
#undef VERB

static void check_found(struct str line, enum verb verb, struct str argument)
{
	MUST(verb < VERBS);
	size_t name_len = names[verb].len;
	MUST(str_starts_nocase(line, names[verb]));
	MUST(line.len == name_len || line.at[name_len] == ' ');
	MUST(argument.len == (line.len > name_len ? line.len - name_len - 1 : 0));
	MUST(str_eq(argument, str_drop(line, name_len + 1)));
}

// The same line in capitals is the same command.
static void check_case(struct str line, enum command_result wanted, enum verb wanted_verb)
{
	enum verb verb = VERBS;
	struct str argument;
	char *other = str_dup(line);
	for (size_t i = 0; i < line.len; i++)
		if (other[i] >= 'a' && other[i] <= 'z')
			other[i] = (char)(other[i] - 'a' + 'A');
	MUST(command_parse((struct str){other, line.len}, &verb, &argument) == wanted);
	MUST(wanted != COMMAND_FOUND || verb == wanted_verb);
	free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str line = {(const char *)data, size}, argument = {0};
	enum verb verb = VERBS;
	enum command_result result = command_parse(line, &verb, &argument);
	switch (result) {
	case COMMAND_FOUND:
	case COMMAND_ARGUMENT: check_found(line, verb, argument); break;
	case COMMAND_HTTP: MUST(line.len >= 4); break;
	case COMMAND_UNKNOWN:
		for (enum verb other = 0; other < VERBS; other++)
			MUST(!str_eq_nocase(line, names[other]));
		break;
	}
	check_case(line, result, verb);
	return 0;
}
