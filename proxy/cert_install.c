// cert_install.c: `popgate cert install`.  See cert_command.h.
#include <stdio.h>
#include <stdlib.h>

#include "certs/install.h"
#include "proxy/base/die.h"
#include "proxy/cert_command.h"

enum { NOTES_ROOM = 64 * 1024 };

// Where both places are given, the configuration need not be there, nor be sound.
static bool take_places(struct cert_command *command)
{
	struct problems problems;
	if (!cert_needs(command, CERT_OPTION_to_chain) || !cert_needs(command, CERT_OPTION_to_key))
		return false;
	if (command->call.operand)
		return verbs_complain("--to-chain and the name of a configured certificate do "
		                      "not go together; leave one out");
	problems_init(&problems);
	command->config = config_load(command->config_path, &problems);
	return true;
}

static bool find_places(struct cert_command *command, struct installation *installation)
{
	installation->to_chain = cert_value(command, CERT_OPTION_to_chain);
	installation->to_key = cert_value(command, CERT_OPTION_to_key);
	if (installation->to_chain || installation->to_key)
		return take_places(command);
	if (!cert_load_config(command))
		return false;
	const struct certificate_config *found = cert_find(command, command->call.operand);
	if (!found)
		return false;
	installation->to_chain = found->options.chain;
	installation->to_key = found->options.key;
	return true;
}

// What the configuration's certificates are made of, on the heap.
static const char **needed_files(const struct config *config, size_t *out_num)
{
	size_t num = config ? config->num_certificates : 0;
	const char **paths = xcalloc(2 * num + 1, sizeof(*paths));
	for (size_t i = 0; i < num; i++) {
		paths[2 * i] = config->certificates[i].options.chain;
		paths[2 * i + 1] = config->certificates[i].options.key;
	}
	*out_num = 2 * num;
	return paths;
}

static void tell_next_step(const struct installation *installation)
{
	printf("certificate: %s\nprivate key: %s\n", installation->to_chain, installation->to_key);
	puts("next: a running popgate takes the pair by itself; see what clients will say of it: "
	     "popgate cert check");
}

bool cert_install(struct cert_command *command)
{
	static char notes_room[NOTES_ROOM];
	char room[CERT_REASON_ROOM];
	struct text why = TEXT(room), notes = TEXT(notes_room);
	struct installation installation = {
	    .chain_paths = command->call.options[CERT_OPTION_chain].at,
	    .num_chain_paths = command->call.options[CERT_OPTION_chain].num,
	    .key_path = cert_value(command, CERT_OPTION_key),
	    .ca_path = cert_value(command, CERT_OPTION_ca),
	    .is_incomplete_allowed = cert_value(command, CERT_OPTION_incomplete),
	    .now = command->now,
	};
	if (!cert_needs(command, CERT_OPTION_chain) || !find_places(command, &installation))
		return false;
	const char **needed = needed_files(command->config, &installation.num_needed);
	installation.needed = needed;
	bool installed = install_pair(&installation, &notes, &why);
	free(needed);
	if (!installed)
		return verbs_complain("%s; nothing was installed", room);
	fputs(notes_room, stdout);
	tell_next_step(&installation);
	return true;
}
