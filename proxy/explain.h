// explain.h: the commands that show what the policies do without a client:
// `popgate explain` tells the way to a verdict, `popgate policy test` compares
// verdicts with a table of what they should be.
//
// Called by main.  Each returns the exit status: 0 all well, 1 not (a verdict
// that differs, a configuration with problems), 2 a wrong command line.
#ifndef POPGATE_PROXY_EXPLAIN_H
#define POPGATE_PROXY_EXPLAIN_H

#include <stdbool.h>

// argv[0] is the word "explain"; path is that of the configuration.
struct explain_options {
	const char *config;
	const char *address;
	const char *listener;    // NULL: all
	const char *user;        // NULL: not asked
	const char *server_name; // that the client asks for in TLS; NULL: none
	bool json;
};

int explain_run(const struct explain_options *options);

// The table in the file `table`.
int policy_test_run(const char *config, const char *table);

#endif
