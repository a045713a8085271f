// user_command.h: one run of `popgate user`: what was asked for, and the database
// that it is asked of.
//
// Between user.c, which reads the command line and carries out what concerns one
// user, and user_files.c, which imports and exports.
#ifndef POPGATE_PROXY_USER_COMMAND_H
#define POPGATE_PROXY_USER_COMMAND_H

#include "backends/users/users.h"
#include "proxy/config/config.h"

#define USER_VERB(name, ...) USER_VERB_##name,
enum user_verb {
#include "proxy/user_verbs.def"
	USER_VERBS
};
#undef USER_VERB

#define USER_OPTION(name, ...) USER_OPTION_##name,
enum user_option {
#include "proxy/user_options.def"
	USER_OPTIONS
};
#undef USER_OPTION

struct user_command {
	const char *operand;               // NULL: none
	const char *options[USER_OPTIONS]; // the argument, or "" for one without; NULL: not given
	struct config *config;
	struct users *users;
};

// Complains of the database, with a reason of users.h.
bool user_complain_of_database(const struct user_command *command, const char *why);

// Reads the configuration and opens the database, which is made when `use` allows
// it.  False with the reason told; user_close is due in any case.
__attribute__((warn_unused_result)) bool user_open(
    struct user_command *command, enum database_use use);
void user_close(struct user_command *command);

// Whether there is a backend of this name in the configuration, or it is empty.
__attribute__((warn_unused_result)) bool user_has_backend(
    const struct user_command *command, struct str name, struct text *why);

// user_files.c
bool user_import(struct user_command *command);
bool user_export(struct user_command *command);

#endif
