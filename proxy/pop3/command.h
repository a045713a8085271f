// command.h: a client's line, taken apart into a verb and its argument.
//
// Pure.  Called by the session for each line outside an AUTH exchange.
#ifndef POPGATE_PROXY_POP3_COMMAND_H
#define POPGATE_PROXY_POP3_COMMAND_H

#include "proxy/base/str.h"

#define VERB(name, argument) VERB_##name,
enum verb {
#include "proxy/pop3/verbs.def"
	VERBS
};
#undef VERB

enum command_result {
	COMMAND_FOUND,
	COMMAND_UNKNOWN,
	COMMAND_ARGUMENT, // one is missing, or one is too many
	COMMAND_HTTP,     // a web client, led here by somebody (ALPACA)
};

// RFC 1939 section 3: the keyword is compared without regard to case and one
// space stands before the argument.  *out_argument is a slice of the line.
enum command_result command_parse(struct str line, enum verb *out_verb, struct str *out_argument);

#endif
