// command.c: from a line to a verb.  See command.h.
#include "proxy/pop3/command.h"

enum argument { NONE, OPTIONAL, NEEDED };

#define VERB(name, argument) [VERB_##name] = {{#name, sizeof(#name) - 1}, argument},
static const struct {
	struct str name;
	enum argument argument;
} verbs[VERBS] = {
#include "proxy/pop3/verbs.def"
};
#undef VERB

// A request line (RFC 9112 section 3), or a header line behind one.
static bool is_http(struct str line)
{
	static const struct str methods[] = {
	    {"GET ", 4}, {"POST ", 5}, {"HEAD ", 5}, {"PUT ", 4}, {"OPTIONS ", 8}, {"CONNECT ", 8}};
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (str_starts_nocase(line, methods[i]))
			return true;
	return str_starts_nocase(line, STR("Host: "));
}

static bool argument_fits(enum verb verb, struct str argument)
{
	switch (verbs[verb].argument) {
	case NONE: return str_is_empty(argument);
	case OPTIONAL: return true;
	case NEEDED: return !str_is_empty(argument);
	}
	return false;
}

enum command_result command_parse(struct str line, enum verb *out_verb, struct str *out_argument)
{
	struct str name;
	str_cut(line, ' ', &name, out_argument);
	for (enum verb verb = 0; verb < VERBS; verb++) {
		if (!str_eq_nocase(name, verbs[verb].name))
			continue;
		*out_verb = verb;
		return argument_fits(verb, *out_argument) ? COMMAND_FOUND : COMMAND_ARGUMENT;
	}
	return is_http(line) ? COMMAND_HTTP : COMMAND_UNKNOWN;
}
