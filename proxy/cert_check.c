// cert_check.c: `popgate cert check`: what clients would complain of.  See
// cert_command.h.
//
// What the files say is found out in certs/; which names clients come by is known
// here, and DNS is asked here.
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "certs/leaf.h"
#include "certs/naming.h"
#include "certs/survey.h"
#include "proxy/base/addr.h"
#include "proxy/base/die.h"
#include "proxy/cert_command.h"

// The names by which clients come, as certificates have them.
struct names {
	char **at;
	size_t num;
};

static void names_done(struct names *names)
{
	for (size_t i = 0; i < names->num; i++)
		free(names->at[i]);
	free(names->at);
}

// One that is no host name is a finding.
static void names_add(struct names *names, const char *given, struct survey *survey)
{
	char room[CERT_REASON_ROOM];
	struct text why = TEXT(room);
	char *name = cert_read_name(given, &why);
	bool is_new = name && naming_is_host(str_of(name));
	if (!is_new)
		survey_add(survey, FINDING_name_no_host, "%s", shown(str_of(given)).at);
	for (size_t i = 0; is_new && i < names->num; i++)
		is_new = strcmp(name, names->at[i]) != 0;
	if (is_new) {
		names->at = xrealloc(names->at, (names->num + 1) * sizeof(*names->at));
		names->at[names->num++] = name;
	} else {
		free(name);
	}
}

// ---- DNS ----------------------------------------------------------------

static const struct {
	uint32_t network;
	int bits;
} private_v4[] = {
    {0x0a000000, 8},  // RFC 1918
    {0xac100000, 12}, // RFC 1918
    {0xc0a80000, 16}, // RFC 1918
    {0x64400000, 10}, // RFC 6598
    {0xa9fe0000, 16}, // RFC 3927
    {0x7f000000, 8},  // RFC 1122
};

static bool is_private_v4(uint32_t address)
{
	for (size_t i = 0; i < sizeof(private_v4) / sizeof(private_v4[0]); i++)
		if ((address ^ private_v4[i].network) >> (32 - private_v4[i].bits) == 0)
			return true;
	return false;
}

// fc00::/7 (RFC 4193), fe80::/10 (RFC 4291), ::1.
static bool is_private(const struct addr *addr)
{
	const uint8_t *v6 = addr->v6.sin6_addr.s6_addr;
	if (addr->any.sa_family == AF_INET)
		return is_private_v4(ntohl(addr->v4.sin_addr.s_addr));
	return addr_is_loopback(addr) || (v6[0] & 0xfe) == 0xfc ||
	       (v6[0] == 0xfe && (v6[1] & 0xc0) == 0x80);
}

static void look_at_addresses(const char *name, const struct addrinfo *found, struct survey *survey)
{
	for (; found; found = found->ai_next) {
		char room[ADDR_TEXT_SIZE];
		struct text text = TEXT(room);
		struct addr addr = addr_of(found->ai_addr);
		addr_print_ip(&addr, &text);
		if (is_private(&addr))
			survey_add(survey, FINDING_name_private, "%s is %s", name, room);
	}
}

static void ask_dns(const char *name, struct survey *survey)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addr addr;
	struct addrinfo *found = NULL;
	if (name[0] == '*' || addr_parse(str_of(name), 1, &addr))
		return;
	int failed = getaddrinfo(name, NULL, &hints, &found);
	if (!failed)
		look_at_addresses(name, found, survey);
	else
		survey_add(survey,
		    failed == EAI_NONAME || failed == EAI_NODATA ? FINDING_name_not_in_dns
		                                                 : FINDING_name_unanswered,
		    "%s: %s", name, gai_strerror(failed));
	if (found)
		freeaddrinfo(found);
}

// ---- what was found -----------------------------------------------------

// A sentence of the table without its full stop, and what it is about.
static void print_finding(const struct finding *finding)
{
	const struct finding_row *row = &finding_rows[finding->token];
	struct str sentence = str_of(row->sentence);
	printf("%s %s: %.*s: %s\n  %s\n  Next: %s\n", row->is_error ? "error" : "remark",
	    row->token, STR_ARG(str_take(sentence, sentence.len - 1)), finding->detail, row->effect,
	    row->step);
}

static void print_survey(const struct survey *survey, const char *chain_path)
{
	for (size_t i = 0; i < survey->num; i++)
		print_finding(&survey->at[i]);
	if (survey->num_errors)
		printf("%s: clients will complain of %zu thing%s\n", chain_path, survey->num_errors,
		    survey->num_errors > 1 ? "s" : "");
	else
		printf("%s: no client will complain%s\n", chain_path,
		    survey->num ? ", but there are remarks" : "");
}

// As the log of what the configuration says goes by it.
static int64_t warning_of(const struct cert_command *command)
{
	enum { MS_PER_S = 1000 };
	return command->config ? (int64_t)(command->config->site.certificate_warning / MS_PER_S)
	                       : LEAF_WARNING_S;
}

// The question has the files, and what is known of their serving.
static bool check_pair(const struct cert_command *command, struct survey_question question,
    const struct names *names, struct survey *survey)
{
	char room[CERT_REASON_ROOM];
	struct text why = TEXT(room);
	question.ca_path = cert_value(command, CERT_OPTION_ca);
	question.names = (const char *const *)names->at;
	question.num_names = names->num;
	question.now = command->now;
	question.warning_s = warning_of(command);
	if (!survey_files(&question, survey, &why))
		return verbs_complain("%s", room);
	for (size_t i = 0; i < names->num; i++)
		ask_dns(names->at[i], survey);
	print_survey(survey, question.chain_path);
	return !survey->num_errors;
}

// ---- files --------------------------------------------------------------

static bool check_files(const struct cert_command *command)
{
	const struct verbs_values *given = &command->call.options[CERT_OPTION_name];
	const struct verbs_values *chains = &command->call.options[CERT_OPTION_chain];
	struct survey survey = {.num = 0};
	struct names names = {.num = 0};
	if (command->call.operand)
		return verbs_complain("--chain and the name of a configured certificate do not go "
		                      "together; leave one out");
	if (chains->num > 1)
		return verbs_complain("say --chain once; check takes one file, as it is served");
	for (size_t i = 0; i < given->num; i++)
		names_add(&names, given->at[i], &survey);
	const struct survey_question question = {
	    .chain_path = chains->at[0], .key_path = cert_value(command, CERT_OPTION_key)};
	bool good = check_pair(command, question, &names, &survey);
	names_done(&names);
	return good;
}

// ---- the configuration's ------------------------------------------------

static bool has_name(const struct config *config, size_t certificate, const char *name)
{
	return survey_file_has_name(config->certificates[certificate].options.chain, name);
}

// Whether a client that comes to the listener for this name gets the certificate: one
// that has the name or, where none does, the listener's first.
static bool is_served(const struct config *config, const struct listener_config *listener,
    size_t certificate, const char *name)
{
	bool is_among = false, is_elsewhere = false;
	for (size_t i = 0; i < listener->num_certificates; i++) {
		size_t other = listener->certificates[i];
		is_among |= other == certificate;
		is_elsewhere |= other != certificate && has_name(config, other, name);
	}
	return is_among && (has_name(config, certificate, name) ||
	                       (!is_elsewhere && listener->certificates[0] == certificate));
}

static void collect_names(
    const struct config *config, size_t certificate, struct names *names, struct survey *survey)
{
	for (size_t i = 0; i < config->num_listeners; i++) {
		const struct listener_config *listener = &config->listeners[i];
		const struct text_list *list = &listener->options.public_names;
		for (size_t j = 0; j < list->num; j++)
			if (is_served(config, listener, certificate, list->at[j]))
				names_add(names, list->at[j], survey);
	}
}

static bool check_configured(const struct cert_command *command, size_t index)
{
	const struct certificate_options *options = &command->config->certificates[index].options;
	const struct verbs_values *given = &command->call.options[CERT_OPTION_name];
	struct survey survey = {.num = 0};
	struct names names = {.num = 0};
	collect_names(command->config, index, &names, &survey);
	for (size_t i = 0; i < given->num; i++)
		names_add(&names, given->at[i], &survey);
	const struct survey_question question = {
	    .chain_path = options->chain,
	    .key_path = options->key,
	    .is_configured = true,
	    .is_isolated = command->config->site.key_isolation == KEY_ISOLATION_on,
	    .stapling =
	        options->ocsp == CERTIFICATE_OCSP_off ? SURVEY_STAPLING_off : SURVEY_STAPLING_on,
	};
	bool good = check_pair(command, question, &names, &survey);
	names_done(&names);
	return good;
}

static bool check_all(const struct cert_command *command)
{
	bool good = true;
	for (size_t i = 0; i < command->config->num_certificates; i++)
		good &= check_configured(command, i);
	if (!command->config->num_certificates)
		printf("%s names no certificates\n", command->config->path);
	return good;
}

bool cert_check(struct cert_command *command)
{
	if (cert_value(command, CERT_OPTION_chain))
		return check_files(command);
	if (!cert_load_config(command))
		return false;
	if (!command->call.operand)
		return check_all(command);
	const struct certificate_config *found = cert_find(command, command->call.operand);
	return found && check_configured(command, (size_t)(found - command->config->certificates));
}
