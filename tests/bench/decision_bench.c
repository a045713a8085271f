// decision_bench.c: what one decision costs: ten rules, a file of a million
// prefixes, databases as large as those that one can get, and reverse names that
// are known already.
//
// No client matches before the last rule, so that all ten are asked.
#include <stdlib.h>
#include <unistd.h>

#include "policy/country.h"
#include "policy/decision.h"
#include "policy/tables.h"
#include "proxy/base/die.h"
#include "proxy/net/resolve.h"
#include "tests/bench/figures.h"
#include "tests/kit/name_server.h"

enum {
	PREFIXES = 1000 * 1000,
	NETWORKS = 500 * 1000, // of a database
	CLIENTS = 4096,
	ROUNDS = 500,
	RULES = 10,
	TIMEOUT_MS = 2000,
};

// The third is replaced for the last figure.
static const char *rules[RULES] = {
    "deny file banned.txt",
    "allow ip 131.107.2.0/255.255.255.0 2001:db8::/32",
    "deny range 198.51.100.10-198.51.100.40",
    "deny ip 198.51.100.0/24",
    "audit deny asn 64511",
    "deny asn 64496 64497 64498",
    "deny country KP RU",
    "deny continent AN",
    "allow ip 203.0.113.0/24",
    "allow continent EU",
};

struct bench {
	struct net net;
	struct name_server server;
	struct resolver *resolver;
	struct rdns *rdns;
	struct hosts *hosts;
	struct tables *tables;
	struct policy *policy;
	struct decision decision;
	struct addr clients[CLIENTS];
	bool done;
};

static struct dns_message message;

// A name for every address, and no address for the name.
static void on_query(struct name_server *server, struct str query)
{
	bool is_reverse = str_has_nocase(query, STR("\x07in-addr"));
	dns_begin(&message, query, is_reverse ? DNS_RCODE_OK : DNS_RCODE_NXDOMAIN);
	if (is_reverse)
		dns_add_name(&message, "@", DNS_TYPE_PTR, 3600, "client.example.net");
	else
		dns_add_soa(&message, 3600, 3600);
	name_server_send(server, &message);
}

static uint32_t value_of(enum table_kind kind)
{
	uint32_t europe = country_code("DE") << 16 | country_code("EU");
	return kind == TABLE_PREFIXES ? 1
	       : kind == TABLE_ASN    ? 65536 + (uint32_t)draw() % 65536
	                              : europe + (uint32_t)(draw() % 8 << 16);
}

// Networks from 11.0.0.0 on for databases, below 10.0.0.0 for the banned ones.
static void put_table(struct tables *tables, size_t slot, enum table_kind kind)
{
	char room[256];
	struct text why = TEXT(room);
	bool is_file = kind == TABLE_PREFIXES;
	struct table_builder *builder = table_builder_new((uint32_t)slot, &why);
	for (uint32_t i = 0; i < (is_file ? PREFIXES : NETWORKS); i++) {
		uint64_t first = is_file ? 2 * i : (11 << 24) + (uint64_t)i * 4096;
		struct addr_range range = {{0, first}, {0, first + (is_file ? 0 : 4095)}, false};
		BUG_ON(!table_builder_add(builder, &range, value_of(kind), &why));
	}
	struct table *table = table_build(builder, &why);
	BUG_ON(!table || !tables_take(tables, dup(table_fd(table)), &why));
	table_free(&table);
	table_builder_free(&builder);
}

static void compile(struct bench *bench)
{
	static struct place places[RULES];
	struct text_list list = {(char **)rules, places, RULES};
	struct problems problems;
	const struct policy_source source = {
	    .path = "/popgate.conf",
	    .title = "policy",
	    .rules = &list,
	    .fallback = ACCESS_deny,
	    .on_dns_failure = ACCESS_deny,
	    .confirm_names = true,
	    .country_table = tables_add(bench->tables, TABLE_COUNTRY, "/country.mmdb"),
	    .asn_table = tables_add(bench->tables, TABLE_ASN, "/asn.mmdb"),
	    .has_resolver = true,
	};
	problems_init(&problems);
	policy_free(&bench->policy);
	bench->policy = policy_new(&source, bench->tables, bench->hosts, &problems);
	BUG_ON(!bench->policy);
	for (size_t i = 0; i < tables_num(bench->tables); i++)
		if (!tables_get(bench->tables, i))
			put_table(bench->tables, i, tables_describe(bench->tables, i).kind);
}

static void open_bench(struct bench *bench)
{
	const struct rdns_options options = {TIMEOUT_MS, 1, 16 << 20, 60 * 1000, 3600 * 1000};
	char room[256];
	struct text why = TEXT(room);
	net_init(&bench->net);
	bench->server.on_query = on_query;
	name_server_open(&bench->server, &bench->net);
	const struct resolver_setup setup = {
	    .servers = &bench->server.addr, .num_servers = 1, .timeout_ms = TIMEOUT_MS, .tries = 1};
	bench->resolver = resolver_new(&bench->net, &setup, &why);
	BUG_ON(!bench->resolver);
	bench->rdns = rdns_open(&bench->net, bench->resolver, &options);
	bench->tables = tables_new();
	bench->hosts = hosts_new();
	for (size_t i = 0; i < CLIENTS; i++) {
		bench->clients[i].v4.sin_family = AF_INET;
		bench->clients[i].v4.sin_addr.s_addr =
		    htonl((11 << 24) + (uint32_t)draw() % (NETWORKS * 4096U));
	}
}

static void close_bench(struct bench *bench)
{
	policy_free(&bench->policy);
	hosts_close(&bench->hosts);
	rdns_close(&bench->rdns);
	tables_free(&bench->tables);
	resolver_close(&bench->resolver);
	name_server_close(&bench->server);
	net_run(&bench->net);
	net_done(&bench->net);
}

static void on_done(struct decision *decision)
{
	struct bench *bench = (void *)((char *)decision - offsetof(struct bench, decision));
	bench->done = true;
}

static void judge(struct bench *bench, const struct policy *policy, const struct addr *client)
{
	const struct decision_sources sources = {bench->tables, bench->rdns, bench->hosts};
	bench->decision.on_done = on_done;
	bench->done = decision_start(&bench->decision, policy, NULL, &sources, client);
	while (!bench->done)
		uv_run(&bench->net.loop, UV_RUN_ONCE);
	BUG_ON(bench->decision.verdict != ACCESS_allow);
}

// The names of the clients are known from the first round on.
static void measure(struct bench *bench, const char *what, const struct policy *policy)
{
	double start = 0;
	for (int round = 0; round <= ROUNDS; round++) {
		start = round == 1 ? now_s() : start;
		for (size_t i = 0; i < CLIENTS; i++)
			judge(bench, policy, &bench->clients[i]);
	}
	print(what, (now_s() - start) / ROUNDS / CLIENTS * 1e9, "ns");
}

void measure_decisions(void)
{
	struct bench *bench = xcalloc(1, sizeof(*bench));
	open_bench(bench);
	measure(bench, "decision without a policy", NULL);
	compile(bench);
	measure(bench, "decision, 10 rules, 1,000,000 prefixes, 2 databases", bench->policy);
	rules[2] = "deny domain example.org";
	compile(bench);
	measure(bench, "    one of them a domain, its name known", bench->policy);
	close_bench(bench);
	free(bench);
}
