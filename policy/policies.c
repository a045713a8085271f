// policies.c: from the sections of a configuration to policies.  See policies.h.
#include "policy/policies.h"

#include <stdlib.h>

#include "policy/tables.h"
#include "proxy/base/die.h"

// Where policies are made to.
struct making {
	struct tables *tables;
	struct hosts *hosts;
	struct problems *problems;
};

static size_t add_database(struct tables *tables, enum table_kind kind, const char *path)
{
	return *path ? tables_add(tables, kind, path) : POLICY_NO_TABLE;
}

// What is the same for all of them.
static struct policy_source common_source(const struct config *config, struct tables *tables)
{
	return (struct policy_source){
	    .path = config->path,
	    .country_table = add_database(tables, TABLE_COUNTRY, config->geoip.country),
	    .asn_table = add_database(tables, TABLE_ASN, config->geoip.asn),
	    .has_resolver = config->resolver.servers.num > 0,
	};
}

static struct policy_source source_of_policy(
    struct policy_source source, const struct policy_config *config, const char *title)
{
	source.title = title;
	source.rules = &config->options.rules;
	source.fallback = config->options.default_;
	source.on_dns_failure = config->options.on_dns_failure;
	source.confirm_names = config->options.confirm_names;
	return source;
}

// What cannot be confirmed gives nobody a method.
static struct policy_source source_of_exceptions(
    struct policy_source source, const struct listener_config *config)
{
	source.title = "login_exceptions";
	source.rules = &config->options.login_exceptions;
	source.is_exceptions = true;
	source.fallback = ACCESS_deny;
	source.on_dns_failure = ACCESS_deny;
	source.confirm_names = true;
	source.methods = config->options.login;
	return source;
}

static struct policy *new_policy(const struct policy_source *common,
    const struct policy_config *config, const struct making *making)
{
	struct shown title;
	struct text text = TEXT(title.at);
	text_addf(&text, "policy %s", shown(str_of(config->name)).at);
	struct policy_source source = source_of_policy(*common, config, title.at);
	return policy_new(&source, making->tables, making->hosts, making->problems);
}

static struct policy *new_exceptions(const struct policy_source *common,
    const struct listener_config *config, const struct making *making)
{
	struct policy_source source = source_of_exceptions(*common, config);
	if (!source.rules->num)
		return NULL;
	return policy_new(&source, making->tables, making->hosts, making->problems);
}

struct policies *policies_new(const struct config *config, struct tables *tables,
    struct hosts *hosts, struct problems *problems)
{
	unsigned problems_before = problems->num;
	const struct making making = {tables, hosts, problems};
	const struct policy_source common = common_source(config, tables);
	struct policies *policies = xcalloc(1, sizeof(*policies));
	policies->num_policies = config->num_policies;
	policies->policies = xcalloc(config->num_policies, sizeof(*policies->policies));
	policies->num_listeners = config->num_listeners;
	policies->exceptions = xcalloc(config->num_listeners, sizeof(*policies->exceptions));
	for (size_t i = 0; i < config->num_policies; i++)
		policies->policies[i] = new_policy(&common, &config->policies[i], &making);
	for (size_t i = 0; i < config->num_listeners; i++)
		policies->exceptions[i] = new_exceptions(&common, &config->listeners[i], &making);
	if (problems->num != problems_before)
		policies_free(&policies);
	return policies;
}

void policies_free(struct policies **policies)
{
	struct policies *old = *policies;
	if (!old)
		return;
	for (size_t i = 0; i < old->num_policies; i++)
		policy_free(&old->policies[i]);
	for (size_t i = 0; i < old->num_listeners; i++)
		policy_free(&old->exceptions[i]);
	free(old->policies);
	free(old->exceptions);
	free(old);
	*policies = NULL;
}
