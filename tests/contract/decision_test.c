// decision_test.c: the promises of policy/decision.h over the real resolver,
// cache and hosts, with a name server that has one small zone: on_done never
// before a call returns, exactly once unless cancelled, never after
// decision_cancel; and what each kind of answer leads to.
//
// Which rule decides and when DNS is asked at all is tried out in the unit test.
#include "policy/decision.h"

#include <stdlib.h>

#include "policy/tables.h"
#include "proxy/net/resolve.h"
#include "tests/kit/check.h"
#include "tests/kit/name_server.h"

enum {
	DEADLINE_MS = 30 * 1000,
	TIMEOUT_MS = 150,
	DECISIONS = 100,
	RULES_MAX = 4,
	NAME_ROOM = 256,
	TURNS = 20,
};

enum saying { SAY_PTR, SAY_ADDR, SAY_SERVFAIL, SAY_NOTHING, SAY_NXDOMAIN };

// A name that the server knows, and what it says.
static const struct record {
	const char *name;
	enum saying saying;
	const char *value;
} zone[] = {
    {"1.2.0.192.in-addr.arpa", SAY_PTR, "Mail.Contoso.com"},
    {"2.2.0.192.in-addr.arpa", SAY_PTR, "liar.contoso.com"},
    {"3.2.0.192.in-addr.arpa", SAY_SERVFAIL, NULL},
    {"4.2.0.192.in-addr.arpa", SAY_NOTHING, NULL},
    {"mail.contoso.com", SAY_ADDR, "192.0.2.1"},
    {"liar.contoso.com", SAY_ADDR, "198.51.100.1"},
    {"office.example", SAY_ADDR, "192.0.2.9"},
    {"silent.example", SAY_NOTHING, NULL},
};

struct fixture {
	struct net net;
	struct timer deadline;
	struct name_server server;
	struct resolver *resolver;
	struct tables *tables;
	struct rdns *rdns;
	struct hosts *hosts;
	struct policy *policy;
	struct decision decisions[DECISIONS];
	unsigned done;
	unsigned asked_reverse; // questions for names
	bool in_call;
};

static struct fixture *fixture;
static struct dns_message message;

// ---- the name server ----------------------------------------------------

// The name in the question, and its type.
static unsigned read_question(struct str query, struct text *out_name)
{
	size_t at = DNS_HEADER_SIZE;
	for (size_t len; (len = (unsigned char)query.at[at]); at += 1 + len) {
		text_addf(out_name, "%s", out_name->len ? "." : "");
		text_add(out_name, (struct str){query.at + at + 1, len});
	}
	return (unsigned char)query.at[at + 2];
}

static const struct record *find_record(struct str name)
{
	static const struct record none = {"", SAY_NXDOMAIN, NULL};
	for (size_t i = 0; i < NUM(zone); i++)
		if (str_eq_nocase(str_of(zone[i].name), name))
			return &zone[i];
	return &none;
}

static unsigned rcode_of(enum saying saying)
{
	return saying == SAY_SERVFAIL   ? DNS_RCODE_SERVFAIL
	       : saying == SAY_NXDOMAIN ? DNS_RCODE_NXDOMAIN
	                                : DNS_RCODE_OK;
}

static void on_query(struct name_server *server, struct str query)
{
	char room[NAME_ROOM];
	struct text name = TEXT(room);
	unsigned type = read_question(query, &name);
	const struct record *record = find_record(text_str(&name));
	fixture->asked_reverse += type == DNS_TYPE_PTR;
	if (record->saying == SAY_NOTHING)
		return;
	dns_begin(&message, query, rcode_of(record->saying));
	if (record->saying == SAY_PTR)
		dns_add_name(&message, "@", DNS_TYPE_PTR, 300, record->value);
	else if (record->saying == SAY_ADDR && type == DNS_TYPE_A)
		dns_add_addr(&message, "@", 300, record->value);
	else
		dns_add_soa(&message, 300, 300);
	name_server_send(server, &message);
}

// ---- the rest of a worker -----------------------------------------------

static void on_too_late(struct timer *timer)
{
	(void)timer;
	fail_msg("nothing more happens");
}

static int open_fixture(void **state)
{
	const struct rdns_options options = {.timeout_ms = TIMEOUT_MS,
	    .tries = 1,
	    .cache_bytes = 1 << 20,
	    .min_ttl_ms = 1000,
	    .max_ttl_ms = 60 * 1000};
	char room[256];
	struct text why = TEXT(room);
	(void)state;
	fixture = calloc(1, sizeof(*fixture));
	net_init(&fixture->net);
	timer_init(&fixture->deadline, &fixture->net, on_too_late);
	timer_set(&fixture->deadline, DEADLINE_MS);
	fixture->server.on_query = on_query;
	name_server_open(&fixture->server, &fixture->net);
	const struct resolver_setup setup = {.servers = &fixture->server.addr,
	    .num_servers = 1,
	    .timeout_ms = TIMEOUT_MS,
	    .tries = 1};
	fixture->resolver = resolver_new(&fixture->net, &setup, &why);
	fixture->rdns = rdns_open(&fixture->net, fixture->resolver, &options);
	fixture->tables = tables_new();
	fixture->hosts = hosts_new();
	return 0;
}

static int close_fixture(void **state)
{
	(void)state;
	policy_free(&fixture->policy);
	hosts_close(&fixture->hosts);
	rdns_close(&fixture->rdns);
	tables_free(&fixture->tables);
	resolver_close(&fixture->resolver);
	name_server_close(&fixture->server);
	timer_close(&fixture->deadline, NULL);
	net_run(&fixture->net);
	net_done(&fixture->net);
	free(fixture);
	return 0;
}

// Compiles the rules over `default: deny`, and has their hosts looked up.
static void use_rules(const char *const *texts)
{
	static struct place places[RULES_MAX];
	struct text_list list = {(char **)texts, places, 0};
	struct problems problems;
	const struct hosts_options hosts = {.timeout_ms = TIMEOUT_MS, .tries = 1};
	while (list.num < RULES_MAX && texts[list.num])
		list.num++;
	const struct policy_source source = {
	    .path = "/popgate.conf",
	    .title = "policy",
	    .rules = &list,
	    .fallback = ACCESS_deny,
	    .on_dns_failure = ACCESS_deny,
	    .confirm_names = true,
	    .country_table = POLICY_NO_TABLE,
	    .asn_table = POLICY_NO_TABLE,
	    .has_resolver = true,
	};
	problems_init(&problems);
	fixture->policy = policy_new(&source, fixture->tables, fixture->hosts, &problems);
	check_str(STR("problems"), text_str(&problems.text), STR(""));
	hosts_open(fixture->hosts, &fixture->net, fixture->resolver, &hosts);
}

static void on_done(struct decision *decision)
{
	(void)decision;
	assert_false(fixture->in_call);
	fixture->done++;
}

static bool start(struct decision *decision, const char *ip)
{
	const struct decision_sources sources = {fixture->tables, fixture->rdns, fixture->hosts};
	struct addr addr;
	assert_true(addr_parse_ip(str_of(ip), AF_INET, 0, &addr));
	if (!decision->on_done)
		decision->on_done = on_done;
	fixture->in_call = true;
	bool at_once = decision_start(decision, fixture->policy, NULL, &sources, &addr);
	fixture->in_call = false;
	assert_true(at_once || decision->wait != DECISION_WAITS_NOT);
	return at_once;
}

static void step(void)
{
	uv_run(&fixture->net.loop, UV_RUN_ONCE);
}

static void settle(void)
{
	for (int i = 0; i < TURNS; i++)
		uv_run(&fixture->net.loop, UV_RUN_NOWAIT);
}

static void judge(const char *ip)
{
	unsigned before = fixture->done;
	if (start(&fixture->decisions[0], ip))
		return;
	while (fixture->done == before)
		step();
	assert_int_equal(fixture->done, before + 1);
}

// ---- outcomes -----------------------------------------------------------

static const char *const by_name[] = {
    "allow host office.example", "allow domain contoso.com", NULL};

static const struct {
	const char *ip;
	enum access verdict;
	size_t rule;
	enum dns_outcome dns;
	const char *name;
} outcomes[] = {
    {"192.0.2.1", ACCESS_allow, 1, DNS_confirmed, "mail.contoso.com"},
    {"192.0.2.2", ACCESS_deny, DECISION_DEFAULT, DNS_mismatch, "liar.contoso.com"},
    {"192.0.2.3", ACCESS_deny, 1, DNS_servfail, ""},
    {"192.0.2.4", ACCESS_deny, 1, DNS_timeout, ""},
    {"192.0.2.5", ACCESS_deny, DECISION_DEFAULT, DNS_nxdomain, ""},
    {"192.0.2.9", ACCESS_allow, 0, DNS_not_asked, ""},
};

// From a cold cache and from a warm one.
static void test_outcomes(void **state)
{
	(void)state;
	use_rules(by_name);
	for (size_t i = 0; i < 2 * NUM(outcomes); i++) {
		struct str row = str_of(outcomes[i / 2].ip);
		judge(row.at);
		check(row, fixture->decisions[0].verdict == outcomes[i / 2].verdict);
		check(row, fixture->decisions[0].rule == outcomes[i / 2].rule);
		check(row, fixture->decisions[0].dns == outcomes[i / 2].dns);
		check_str(row, str_of(fixture->decisions[0].name), str_of(outcomes[i / 2].name));
	}
	assert_int_equal(fixture->asked_reverse, NUM(outcomes) - 1);
}

static void test_warm_is_at_once(void **state)
{
	(void)state;
	use_rules(by_name);
	judge("192.0.2.1");
	assert_true(start(&fixture->decisions[1], "192.0.2.1"));
	assert_true(start(&fixture->decisions[1], "192.0.2.9"));
}

static void test_dead_host(void **state)
{
	static const char *const rules[] = {
	    "allow host silent.example", "allow ip 192.0.2.7", "deny host silent.example", NULL};
	(void)state;
	use_rules(rules);
	judge("192.0.2.7");
	assert_int_equal(fixture->decisions[0].rule, 1);
	judge("192.0.2.8");
	assert_int_equal(fixture->decisions[0].verdict, ACCESS_deny);
}

// ---- waiting ------------------------------------------------------------

static void test_once_each(void **state)
{
	(void)state;
	use_rules(by_name);
	for (size_t i = 0; i < DECISIONS; i++)
		assert_false(start(&fixture->decisions[i], "192.0.2.1"));
	while (fixture->done < DECISIONS)
		step();
	settle();
	assert_int_equal(fixture->done, DECISIONS);
	assert_int_equal(fixture->asked_reverse, 1);
	for (size_t i = 0; i < DECISIONS; i++)
		assert_int_equal(fixture->decisions[i].rule, 1);
}

static void check_cancel(const char *ip, enum decision_wait at)
{
	struct decision *decision = &fixture->decisions[0];
	use_rules(by_name);
	assert_false(start(decision, ip));
	while (decision->wait != at)
		step();
	assert_int_equal(fixture->done, 0);
	decision_cancel(decision);
	decision_cancel(decision);
	memset(decision, 0xee, sizeof(*decision)); // the memory is its owner's
	settle();
	assert_int_equal(fixture->done, 0);
	memset(decision, 0, sizeof(*decision));
	judge(ip);
	assert_int_equal(fixture->done, 1);
}

static void test_cancel_at_host(void **state)
{
	(void)state;
	check_cancel("192.0.2.1", DECISION_WAITS_HOST);
}

static void test_cancel_at_name(void **state)
{
	(void)state;
	check_cancel("192.0.2.4", DECISION_WAITS_NAME);
}

static void test_cancel_others(void **state)
{
	(void)state;
	use_rules(by_name);
	for (size_t i = 0; i < DECISIONS; i++)
		assert_false(start(&fixture->decisions[i], "192.0.2.1"));
	for (size_t i = 1; i < DECISIONS; i += 2)
		decision_cancel(&fixture->decisions[i]);
	while (fixture->done < DECISIONS / 2)
		step();
	settle();
	assert_int_equal(fixture->done, DECISIONS / 2);
}

static void cancel_the_rest(struct decision *decision)
{
	on_done(decision);
	for (size_t i = 0; i < DECISIONS; i++)
		decision_cancel(&fixture->decisions[i]);
}

static void test_cancel_within_on_done(void **state)
{
	(void)state;
	use_rules(by_name);
	for (size_t i = 0; i < DECISIONS; i++) {
		fixture->decisions[i].on_done = cancel_the_rest;
		assert_false(start(&fixture->decisions[i], "192.0.2.1"));
	}
	while (!fixture->done)
		step();
	settle();
	assert_int_equal(fixture->done, 1);
}

static void start_again(struct decision *decision)
{
	on_done(decision);
	decision->on_done = on_done;
	assert_false(start(decision, "192.0.2.5"));
}

static void test_start_again_within_on_done(void **state)
{
	(void)state;
	use_rules(by_name);
	fixture->decisions[0].on_done = start_again;
	assert_false(start(&fixture->decisions[0], "192.0.2.1"));
	while (fixture->done < 2)
		step();
	settle();
	assert_int_equal(fixture->done, 2);
	assert_int_equal(fixture->decisions[0].dns, DNS_nxdomain);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_outcomes),
	    TEST(test_warm_is_at_once),
	    TEST(test_dead_host),
	    TEST(test_once_each),
	    TEST(test_cancel_at_host),
	    TEST(test_cancel_at_name),
	    TEST(test_cancel_others),
	    TEST(test_cancel_within_on_done),
	    TEST(test_start_again_within_on_done),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
