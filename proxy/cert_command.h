// cert_command.h: one run of `popgate cert`: what was asked for.
//
// Between cert.c, which reads the command line, and the cert_*.c that carry it out.
#ifndef POPGATE_PROXY_CERT_COMMAND_H
#define POPGATE_PROXY_CERT_COMMAND_H

#include <limits.h>

#include "proxy/base/text.h"
#include "proxy/config/config.h"
#include "proxy/verbs.h"

// Longest reason of a refusal: one that names three paths, of which none is longer than the
// command line takes.
enum { CERT_ARGUMENT_MAX = PATH_MAX - 1, CERT_REASON_ROOM = 4 * PATH_MAX };

#define CERT_OPTION(name, ...) CERT_OPTION_##name,
enum cert_option {
#include "proxy/cert_options.def"
	CERT_OPTIONS
};
#undef CERT_OPTION

struct cert_command {
	struct verbs_call call;
	const char *config_path;
	struct config *config; // NULL until cert_load_config
	int64_t now;           // seconds since 1970
};

// The argument of an option; NULL when it was not given.
const char *cert_value(const struct cert_command *command, enum cert_option option);

// Says which option is missing, unless it was given.
bool cert_needs(const struct cert_command *command, enum cert_option option);

// False with the problems told.
__attribute__((warn_unused_result)) bool cert_load_config(struct cert_command *command);

// The certificate of this name; of no name, the only one.  NULL with the reason told.
const struct certificate_config *cert_find(const struct cert_command *command, const char *name);

// A host name or address as certificates have it, on the heap.  NULL with the reason
// in *why.
char *cert_read_name(const char *given, struct text *why);

// Prints the path of a file that was read or written as a word of a command to run.
void cert_print_shell_word(const char *path);

// What the verbs do; true when all went well.
bool cert_request(struct cert_command *command);
bool cert_self_signed(struct cert_command *command);
bool cert_install(struct cert_command *command);
bool cert_show(struct cert_command *command);
bool cert_check(struct cert_command *command);

#endif
