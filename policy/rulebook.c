// rulebook.c: the parts of a rulebook, in the order in which they need each
// other.  See rulebook.h.
#include "policy/rulebook.h"

#include "policy/hosts.h"
#include "policy/tables.h"

// Where problems with files go.
struct complaints {
	const struct config *config;
	struct problems *problems;
};

static void on_news(void *context, enum tables_news news, size_t index, struct str why)
{
	const struct complaints *complaints = context;
	(void)index;
	if (news == TABLES_REFUSED)
		problems_add(complaints->problems, complaints->config->path, (struct place){0},
		    "%.*s", STR_ARG(why));
}

bool rulebook_load(
    struct rulebook *rulebook, const struct config *config, struct problems *problems)
{
	struct complaints complaints = {config, problems};
	rulebook->tables = tables_new();
	rulebook->hosts = hosts_new();
	rulebook->policies = policies_new(config, rulebook->tables, rulebook->hosts, problems);
	bool are_loaded = tables_load(rulebook->tables, on_news, &complaints);
	return rulebook->policies && are_loaded;
}

void rulebook_close(struct rulebook *rulebook)
{
	policies_free(&rulebook->policies);
	hosts_close(&rulebook->hosts);
	tables_free(&rulebook->tables);
}

const struct policy *rulebook_policy(
    const struct rulebook *rulebook, const struct listener_config *listener)
{
	size_t index = listener->policy;
	return index == NO_POLICY ? NULL : rulebook->policies->policies[index];
}
