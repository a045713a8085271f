// cert.c: the command line of `popgate cert`, and what its verbs share.  See cert.h.
#include "proxy/cert.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/domain.h"
#include "proxy/base/addr.h"
#include "proxy/cert_command.h"

#define CERT_VERB(name, ...) CERT_VERB_##name,
enum cert_verb {
#include "proxy/cert_verbs.def"
	CERT_VERBS
};
#undef CERT_VERB

static bool cert_help(struct cert_command *command);

#define CERT_VERB(name, word, operand, sentence) {word, operand, sentence},
static const struct verbs_verb verb_rows[CERT_VERBS] = {
#include "proxy/cert_verbs.def"
};
#undef CERT_VERB

#define CERT_VERB(name, ...) cert_##name,
static bool (*const runs[CERT_VERBS])(struct cert_command *command) = {
#include "proxy/cert_verbs.def"
};
#undef CERT_VERB

#define ON(verb) (1u << CERT_VERB_##verb)
#define CERT_OPTION(name, option, argument, most, verbs, sentence)                                 \
	{option, argument, most, verbs, sentence},
static const struct verbs_option option_rows[CERT_OPTIONS] = {
#include "proxy/cert_options.def"
};
#undef CERT_OPTION
#undef ON

static const struct verbs verbs = {
    .command = "cert",
    .verbs = verb_rows,
    .num_verbs = CERT_VERBS,
    .options = option_rows,
    .num_options = CERT_OPTIONS,
    .config = CERT_OPTION_config,
};

const char *cert_value(const struct cert_command *command, enum cert_option option)
{
	return verbs_value(&command->call, option);
}

bool cert_needs(const struct cert_command *command, enum cert_option option)
{
	return cert_value(command, option) ||
	       verbs_complain("say --%s %s; see `popgate cert help`", option_rows[option].name,
	           option_rows[option].argument);
}

bool cert_load_config(struct cert_command *command)
{
	struct problems problems;
	problems_init(&problems);
	command->config = config_load(command->config_path, &problems);
	if (!command->config)
		fputs(problems.room, stderr);
	return command->config;
}

static void complain_of_name(const struct config *config, const char *name)
{
	char room[CERT_REASON_ROOM];
	struct text names = TEXT(room);
	for (size_t i = 0; i < config->num_certificates; i++)
		text_addf(&names, "%s%s", i ? ", " : "", config->certificates[i].name);
	if (!config->num_certificates)
		verbs_complain(
		    "%s names no certificates; give one there under certificates", config->path);
	else if (name)
		verbs_complain("%s has no certificate %s; there are: %s", config->path,
		    shown(str_of(name)).at, room);
	else
		verbs_complain("which certificate? %s has several: %s", config->path, room);
}

const struct certificate_config *cert_find(const struct cert_command *command, const char *name)
{
	const struct config *config = command->config;
	if (!name && config->num_certificates == 1)
		return &config->certificates[0];
	for (size_t i = 0; name && i < config->num_certificates; i++)
		if (!strcmp(name, config->certificates[i].name))
			return &config->certificates[i];
	complain_of_name(config, name);
	return NULL;
}

static char *read_address(struct str given)
{
	struct addr addr;
	char room[ADDR_TEXT_SIZE];
	struct text text = TEXT(room);
	if (!addr_parse_ip(given, AF_INET, 0, &addr) && !addr_parse_ip(given, AF_INET6, 0, &addr))
		return NULL;
	addr_print_ip(&addr, &text);
	return str_dup(text_str(&text));
}

char *cert_read_name(const char *given, struct text *why)
{
	char room[DOMAIN_MAX + 3];
	struct text name = TEXT(room);
	struct str text = str_of(given);
	char *address = read_address(text);
	if (address)
		return address;
	if (text.len > 2 && text.at[0] == '*' && text.at[1] == '.') {
		text_add(&name, STR("*."));
		text = str_drop(text, 2);
	}
	if (text.len && memchr(text.at, '*', text.len)) {
		text_addf(
		    why, "a wildcard stands for the whole first label alone, as in *.example.org");
		return NULL;
	}
	char *domain = domain_read_host(text, why);
	if (!domain)
		return NULL;
	text_add(&name, str_of(domain));
	free(domain);
	return str_dup(text_str(&name));
}

void cert_print_shell_word(const char *path)
{
	char room[4 * PATH_MAX]; // each may be a single quote
	struct text word = TEXT(room);
	text_add_shell_word(&word, str_of(path));
	fputs(room, stdout);
}

static bool cert_help(struct cert_command *command)
{
	(void)command;
	verbs_help(&verbs);
	return true;
}

static bool is_short(const char *what, const char *argument)
{
	return strlen(argument) <= CERT_ARGUMENT_MAX ||
	       verbs_complain("%s is longer than a path or a name can be (%d bytes); see `popgate "
	                      "cert help`",
	           what, CERT_ARGUMENT_MAX);
}

static bool are_short(const struct verbs_call *call)
{
	bool good = !call->operand || is_short("the argument", call->operand);
	for (size_t i = 0; good && i < CERT_OPTIONS; i++) {
		char what[64];
		struct text text = TEXT(what);
		text_addf(&text, "the argument of --%s", option_rows[i].name);
		for (size_t j = 0; good && j < call->options[i].num; j++)
			good = is_short(what, call->options[i].at[j]);
	}
	return good;
}

int cert_run(int argc, char **argv, const char *default_config)
{
	struct cert_command command = {.now = time(NULL)};
	int status = verbs_read(&verbs, argc, argv, &command.call);
	if (status)
		return status;
	if (!are_short(&command.call))
		return VERBS_EXIT_USAGE;
	command.config_path = cert_value(&command, CERT_OPTION_config);
	if (!command.config_path)
		command.config_path = default_config;
	bool done = runs[command.call.verb](&command) && !fflush(stdout) && !ferror(stdout);
	config_free(&command.config);
	return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
