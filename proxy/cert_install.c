// cert_install.c: `popgate cert install`.  See cert_command.h.
#include <stdio.h>

#include "certs/install.h"
#include "proxy/cert_command.h"

enum { NOTES_ROOM = 64 * 1024 };

static bool find_places(struct cert_command *command, struct installation *installation)
{
	installation->to_chain = cert_value(command, CERT_OPTION_to_chain);
	installation->to_key = cert_value(command, CERT_OPTION_to_key);
	if (installation->to_chain || installation->to_key)
		return cert_needs(command, CERT_OPTION_to_chain) &&
		       cert_needs(command, CERT_OPTION_to_key) &&
		       (!command->call.operand ||
		           verbs_complain("--to-chain and the name of a configured certificate do "
		                          "not go together; leave one out"));
	if (!cert_load_config(command))
		return false;
	const struct certificate_config *found = cert_find(command, command->call.operand);
	if (!found)
		return false;
	installation->to_chain = found->options.chain;
	installation->to_key = found->options.key;
	return true;
}

static void tell_next_step(const struct installation *installation)
{
	const char *key = installation->key_path;
	printf("certificate: %s\nprivate key: %s\n", installation->to_chain, installation->to_key);
	if (key && strcmp(key, installation->to_key) != 0) {
		printf("The key is in %s too, which is needed no more: rm ", key);
		cert_print_shell_word(key);
		puts("");
	}
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
	if (!install_pair(&installation, &notes, &why))
		return verbs_complain("%s; nothing was installed", room);
	fputs(notes_room, stdout);
	tell_next_step(&installation);
	return true;
}
