// names.c: opens and closes together what belongs together.  See names.h.
#include "policy/names.h"

#include <stdlib.h>

#include "proxy/base/die.h"
#include "proxy/net/resolve.h"

enum { DNS_PORT = 53 };

// The servers of the configuration; `system` stands for none of our own.
static size_t read_servers(const struct text_list *list, struct addr *servers)
{
	size_t num = 0;
	for (size_t i = 0; i < list->num; i++)
		if (addr_parse(str_of(list->at[i]), DNS_PORT, &servers[num]))
			num++;
	return num;
}

static bool open_resolver(
    struct names *names, struct net *net, const struct resolver_options *options, struct text *why)
{
	struct addr *servers = xcalloc(options->servers.num, sizeof(*servers));
	const struct resolver_setup setup = {
	    .servers = servers,
	    .num_servers = read_servers(&options->servers, servers),
	    .timeout_ms = options->timeout,
	    .tries = (unsigned)options->tries,
	};
	names->resolver = resolver_new(net, &setup, why);
	free(servers);
	return names->resolver;
}

bool names_open(struct names *names, struct net *net, const struct config *config,
    struct rulebook *rulebook, struct host_answers *answers, size_t num_shares, struct text *why)
{
	const struct resolver_options *options = &config->resolver;
	const struct rdns_options rdns = {
	    .timeout_ms = options->timeout,
	    .tries = (unsigned)options->tries,
	    .cache_bytes = options->cache_size / num_shares,
	    .min_ttl_ms = options->min_ttl,
	    .max_ttl_ms = options->max_ttl,
	};
	const struct hosts_options hosts = {
	    .timeout_ms = options->timeout,
	    .tries = (unsigned)options->tries,
	    .answers = answers,
	};
	*names = (struct names){.rulebook = rulebook};
	if (!options->servers.num)
		return true;
	if (!open_resolver(names, net, options, why))
		return false;
	names->rdns = rdns_open(net, names->resolver, &rdns);
	hosts_open(rulebook->hosts, net, names->resolver, &hosts);
	return true;
}

void names_close(struct names *names)
{
	hosts_close(&names->rulebook->hosts);
	if (names->rdns)
		rdns_close(&names->rdns);
	resolver_close(&names->resolver);
}

struct decision_sources names_sources(const struct names *names)
{
	return (struct decision_sources){
	    names->rulebook->tables, names->rdns, names->rulebook->hosts};
}
