// user.c: the command line of `popgate user`, and what concerns one user.  See
// user.h.
//
// Passwords are asked for before a change begins, so that another command never
// waits for somebody to type.
#include "proxy/user.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/users/fields.h"
#include "proxy/prompt.h"
#include "proxy/server/sandbox.h"
#include "proxy/server/users_trial.h"
#include "proxy/user_command.h"
#include "proxy/verbs.h"

enum { REASON_ROOM = 2048 };

typedef bool verb_fn(struct user_command *command);

#define USER_VERB(name, ...) static verb_fn run_##name;
#include "proxy/user_verbs.def"
#undef USER_VERB

#define USER_VERB(name, ...) run_##name,
static verb_fn *const runs[USER_VERBS] = {
#include "proxy/user_verbs.def"
};
#undef USER_VERB

#define USER_VERB(name, operand, sentence) {#name, operand, sentence},
static const struct verbs_verb verb_rows[USER_VERBS] = {
#include "proxy/user_verbs.def"
};
#undef USER_VERB

#define ON(verb) (1u << USER_VERB_##verb)
#define USER_OPTION(name, option, argument, verbs, sentence) {option, argument, 1, verbs, sentence},
static const struct verbs_option option_rows[USER_OPTIONS] = {
#include "proxy/user_options.def"
};
#undef USER_OPTION
#undef ON

static const struct verbs verbs = {
    .command = "user",
    .verbs = verb_rows,
    .num_verbs = USER_VERBS,
    .options = option_rows,
    .num_options = USER_OPTIONS,
    .config = USER_OPTION_config,
};

bool user_complain_of_database(const struct user_command *command, const char *why)
{
	return verbs_complain("%s: %s", command->config->users.database, why);
}

// ---- opening ------------------------------------------------------------

static bool load_config(struct user_command *command)
{
	struct problems problems;
	problems_init(&problems);
	const char *path = command->options[USER_OPTION_config];
	command->config = config_load(path, &problems);
	if (!command->config) {
		fputs(problems.room, stderr);
		return false;
	}
	return command->config->users.database[0] ||
	       verbs_complain("%s names no database of users; write there: users: { database: "
	                      "users.db }",
	           path);
}

// The key of a database that is there is never made anew.
static bool load_key(const struct user_command *command, enum database_use use, uint8_t *out_key)
{
	const struct users_options *options = &command->config->users;
	char room[REASON_ROOM];
	struct text why = TEXT(room);
	bool has_key = access(options->key, F_OK) == 0;
	bool has_database = access(options->database, F_OK) == 0;
	if (!has_key && has_database)
		return verbs_complain("there is no key file %s; without it nothing in %s can be "
		                      "read: put a copy of it back, or move the database away and "
		                      "begin anew",
		    options->key, options->database);
	if (!has_key && use == DATABASE_MAKE && !users_key_make(options->key, &why))
		return verbs_complain("%s", room);
	if (has_key || use == DATABASE_MAKE)
		return users_key_load(options->key, out_key, &why) || verbs_complain("%s", room);
	return true; // opening will say that there is no database
}

static bool find_group(const struct config *config, struct database_place *place)
{
	struct sandbox_identity identity;
	char room[REASON_ROOM];
	struct text why = TEXT(room);
	if (!sandbox_look_up(
	        str_of(config->site.user), str_of(config->site.group), &identity, &why))
		return verbs_complain("%s", room);
	place->is_shared = identity.change;
	place->group = identity.gid;
	return true;
}

// A file that is there may be damaged, which is told rather than the end of the command.
static bool try_database(
    const struct database_place *place, enum database_use use, const uint8_t *key, struct text *why)
{
	const struct sandbox_identity self = {.change = false};
	struct stat status;
	bool is_there = stat(place->path, &status) == 0 && status.st_size > 0;
	if (use == DATABASE_MAKE && !is_there)
		return true;
	return database_prepare(place, use, why) && users_try(place, &self, key, NULL, why);
}

bool user_open(struct user_command *command, enum database_use use)
{
	uint8_t key[USERS_KEY_SIZE] = {0};
	char room[REASON_ROOM];
	struct text why = TEXT(room);
	if (!load_config(command))
		return false;
	struct database_place place = {
	    .path = command->config->users.database, .size_max = USERS_SIZE_MAX};
	if (!find_group(command->config, &place) || !load_key(command, use, key))
		return false;
	if (try_database(&place, use, key, &why))
		command->users = users_open_at(&place, use, key, &why);
	explicit_bzero(key, sizeof(key));
	return command->users || verbs_complain("%s", room);
}

void user_close(struct user_command *command)
{
	users_close(&command->users);
	config_free(&command->config);
}

bool user_has_backend(const struct user_command *command, struct str name, struct text *why)
{
	struct suggestion suggestion = {.wanted = name};
	bool found = !name.len;
	for (size_t i = 0; !found && i < command->config->num_backends; i++) {
		found = str_eq(name, str_of(command->config->backends[i].name));
		suggestion_offer(&suggestion, str_of(command->config->backends[i].name));
	}
	if (!found)
		text_addf(why, "backend: the configuration has no backend %s%s", shown(name).at,
		    suggestion_shown(&suggestion).at);
	return found;
}

// ---- one user -----------------------------------------------------------

// A user being changed.
struct change {
	struct user_command *command;
	char room[USER_NAME_ROOM];
	struct text name;
	struct user_record record;
	struct secret password, backend_password; // NULL: not asked for
};

static bool is_given(const struct change *change, enum user_option option)
{
	return change->command->options[option];
}

static bool read_name(struct change *change, struct user_command *command)
{
	struct str operand = str_of(command->operand);
	change->command = command;
	change->name = (struct text)TEXT(change->room);
	if (strpbrk(command->operand, "\\/"))
		return verbs_complain("%s: write it as user@domain", shown(operand).at);
	return user_name_fold(STR(""), operand, &change->name) ||
	       verbs_complain("%s is no name: it must be UTF-8 without control characters, and not "
	                      "too long",
	           shown(operand).at);
}

// Whether the user is there, and as it should be; the record is loaded if so.
static bool find_user(struct change *change, bool should_be)
{
	const char *why = "";
	switch (users_get(change->command->users, text_str(&change->name), &change->record, &why)) {
	case USERS_FOUND:
		return should_be || verbs_complain("there is a user %s already; `popgate user set` "
		                                   "and `passwd` change what is there",
		                        change->room);
	case USERS_UNKNOWN:
		return !should_be ||
		       verbs_complain("there is no user %s; see `popgate user list`", change->room);
	case USERS_UNAVAILABLE: break;
	}
	return user_complain_of_database(change->command, why);
}

static bool ask(const struct change *change, const char *what, struct secret *out)
{
	char question[USER_NAME_ROOM + 64], room[REASON_ROOM];
	struct text text = TEXT(question), why = TEXT(room);
	text_addf(&text, "%s of %s", what, change->room);
	return (is_given(change, USER_OPTION_stdin) ? prompt_read_line(out, &why)
	                                            : prompt_password(question, out, &why)) ||
	       verbs_complain("%s", room);
}

static bool set_field(struct change *change, enum user_field field, struct str value)
{
	char room[REASON_ROOM];
	struct text why = TEXT(room);
	return user_field_set(&change->record, field, value, &why) || verbs_complain("%s", room);
}

static bool set_option(struct change *change, enum user_option option, enum user_field field)
{
	const char *value = change->command->options[option];
	return !value || set_field(change, field, str_of(value));
}

static bool set_backend(struct change *change)
{
	char room[REASON_ROOM];
	struct text why = TEXT(room);
	struct str name = str_of(change->command->options[USER_OPTION_backend]);
	return (user_has_backend(change->command, name, &why) || verbs_complain("%s", room)) &&
	       set_option(change, USER_OPTION_backend, USER_FIELD_backend);
}

// What add and set have in common.
static bool set_options(struct change *change)
{
	if (is_given(change, USER_OPTION_enable) || is_given(change, USER_OPTION_disable))
		change->record.enabled = !is_given(change, USER_OPTION_disable);
	if (is_given(change, USER_OPTION_no_backend_password))
		secret_done(&change->record.backend_password);
	return set_option(change, USER_OPTION_methods, USER_FIELD_methods) &&
	       set_option(change, USER_OPTION_mailbox, USER_FIELD_mailbox) && set_backend(change) &&
	       (!change->backend_password.at || set_field(change, USER_FIELD_backend_password,
	                                            secret_reveal(&change->backend_password)));
}

static bool set_password(struct change *change)
{
	bool was_kept = change->record.password.at;
	bool keeps = is_given(change, USER_OPTION_keep_password);
	if (!change->password.at)
		return true;
	if (!set_field(change, USER_FIELD_password, secret_reveal(&change->password)))
		return false;
	if (!keeps)
		secret_done(&change->record.password);
	if (!keeps && was_kept)
		fprintf(stderr, "popgate: only the NT hash is kept now; for APOP and CRAM-MD5 say "
		                "--keep-password\n");
	return true;
}

static bool ask_for_backend_password(struct change *change)
{
	return !is_given(change, USER_OPTION_backend_password) ||
	       ask(change, "Password at the backend", &change->backend_password);
}

// Puts the record, unless the user has come or gone since it was asked about.
static bool write_record(struct change *change, bool should_be, bool (*edit)(struct change *))
{
	struct users *users = change->command->users;
	const char *why;
	user_record_done(&change->record);
	if (!users_begin(users, &why))
		return user_complain_of_database(change->command, why);
	if (!find_user(change, should_be) || !edit(change)) {
		users_abort(users);
		return false;
	}
	bool put = users_put(users, text_str(&change->name), &change->record, &why);
	if (!put)
		users_abort(users);
	return (put && users_commit(users, &why)) ||
	       user_complain_of_database(change->command, why);
}

static void change_done(struct change *change)
{
	user_record_done(&change->record);
	secret_done(&change->password);
	secret_done(&change->backend_password);
}

static bool edit_new(struct change *change)
{
	change->record.enabled = true;
	return set_options(change) && set_password(change);
}

static bool run_add(struct user_command *command)
{
	struct change change = {.command = NULL};
	bool added = read_name(&change, command) && user_open(command, DATABASE_MAKE) &&
	             find_user(&change, false) &&
	             (is_given(&change, USER_OPTION_no_password) ||
	                 ask(&change, "Password", &change.password)) &&
	             ask_for_backend_password(&change) && write_record(&change, false, edit_new);
	change_done(&change);
	return added;
}

static bool run_set(struct user_command *command)
{
	struct change change = {.command = NULL};
	bool changed = read_name(&change, command) && user_open(command, DATABASE_CHANGE) &&
	               find_user(&change, true) && ask_for_backend_password(&change) &&
	               write_record(&change, true, set_options);
	change_done(&change);
	return changed;
}

static bool run_passwd(struct user_command *command)
{
	struct change change = {.command = NULL};
	bool changed = read_name(&change, command) && user_open(command, DATABASE_CHANGE) &&
	               find_user(&change, true) && ask(&change, "New password", &change.password) &&
	               write_record(&change, true, set_password);
	change_done(&change);
	return changed;
}

static bool remove_user(struct change *change)
{
	struct users *users = change->command->users;
	const char *why;
	if (!users_begin(users, &why))
		return user_complain_of_database(change->command, why);
	switch (users_remove(users, text_str(&change->name), &why)) {
	case USERS_FOUND:
		return users_commit(users, &why) || user_complain_of_database(change->command, why);
	case USERS_UNKNOWN:
		users_abort(users);
		return verbs_complain("there is no user %s; see `popgate user list`", change->room);
	case USERS_UNAVAILABLE: break;
	}
	users_abort(users);
	return user_complain_of_database(change->command, why);
}

static bool run_remove(struct user_command *command)
{
	struct change change = {.command = NULL};
	return read_name(&change, command) && user_open(command, DATABASE_CHANGE) &&
	       remove_user(&change);
}

// ---- showing ------------------------------------------------------------

static bool print_name(
    struct users_visitor *visitor, struct str name, const struct user_record *record)
{
	(void)visitor;
	printf("%.*s%s\n", STR_ARG(name), record->enabled ? "" : " disabled");
	return !ferror(stdout);
}

static bool run_list(struct user_command *command)
{
	struct users_visitor visitor = {print_name};
	const char *why;
	if (!user_open(command, DATABASE_READ))
		return false;
	switch (users_walk(command->users, &visitor, &why)) {
	case USERS_FOUND: return true;
	case USERS_UNAVAILABLE: return user_complain_of_database(command, why);
	case USERS_UNKNOWN: break;
	}
	return false;
}

static void print_record(const struct change *change)
{
	const struct user_record *record = &change->record;
	printf("name: %s\n", change->room);
	for (int field = 0; field < USER_FIELDS; field++) {
		char room[USER_FIELD_ROOM];
		struct text value = TEXT(room);
		if (user_fields[field].is_secret)
			continue;
		user_field_print(record, (enum user_field)field, &value);
		printf("%s: %s\n", user_fields[field].name, room);
	}
	printf("password: %s\n", record->password.at   ? "kept"
	                         : record->has_nt_hash ? "only its NT hash is kept"
	                                               : "none");
	printf("backend_password: %s\n", record->backend_password.at ? "kept" : "none");
}

static bool run_show(struct user_command *command)
{
	struct change change = {.command = NULL};
	bool found = read_name(&change, command) && user_open(command, DATABASE_READ) &&
	             find_user(&change, true);
	if (found)
		print_record(&change);
	change_done(&change);
	return found;
}

static bool run_import(struct user_command *command)
{
	return user_open(command, DATABASE_MAKE) && user_import(command);
}

static bool run_export(struct user_command *command)
{
	return user_open(command, DATABASE_READ) && user_export(command);
}

static bool run_help(struct user_command *command)
{
	(void)command;
	verbs_help(&verbs);
	return true;
}

int user_run(int argc, char **argv, const char *default_config)
{
	struct verbs_call call;
	int status = verbs_read(&verbs, argc, argv, &call);
	if (status)
		return status;
	struct user_command command = {.operand = call.operand};
	for (size_t i = 0; i < USER_OPTIONS; i++)
		command.options[i] = verbs_value(&call, i);
	if (!command.options[USER_OPTION_config])
		command.options[USER_OPTION_config] = default_config;
	bool done = runs[call.verb](&command) && !fflush(stdout) && !ferror(stdout);
	user_close(&command);
	return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
