// aliases_fuzz.c: any bytes as a file of aliases.
//
// Whatever they are: aliases or a message that names the file, but not both; they
// stand in order, each with a name at the backend, and each line is found by its
// first word.
#include <stdlib.h>

#include "backends/aliases.h"
#include "tests/fuzz/fuzz.h"

static void check_alias(const struct aliases *aliases, size_t index)
{
	const struct alias *alias = aliases_at(aliases, index);
	struct account account;
	account.domain = str_of(alias->name);
	account.user = str_of(account.domain.at + account.domain.len + 1);
	account.mailbox = str_of(account.user.at + account.user.len + 1);
	MUST(account.user.len && *alias->target && alias->line);
	MUST(!str_has_control(str_of(alias->target)));
	MUST(aliases_find(aliases, &account) == index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = {(const char *)data, size};
	char room[512];
	struct text why = TEXT(room);
	struct aliases *aliases = aliases_parse(text, "list", &why);
	MUST(!aliases == (why.len > 0));
	MUST(aliases || str_starts_nocase(text_str(&why), STR("list:")));
	MUST(!why.truncated && !str_has_control(text_str(&why)));
	for (size_t i = 0; aliases && i < aliases_num(aliases); i++)
		check_alias(aliases, i);
	aliases_free(&aliases);
	return 0;
}
