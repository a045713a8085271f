// decision_test.c: which rule decides, when DNS is asked and what its failure
// means, and that it comes to the same whether answers are there already or must
// be waited for.
//
// The functions of rdns.h and hosts.h are this file's own: they say what a row
// wants, when the test wants it.  The real ones are in the contract test.
#include "tests/kit/check.h"

#include <stdlib.h>
#include <unistd.h>

#include "policy/country.h"
#include "policy/decision.h"
#include "policy/geoip.h"
#include "policy/prefixes.h"
#include "policy/tables.h"

enum { RULES_MAX = 8, NAMES_MAX = 4, OUTCOME_SIZE = 512, TRACE_SIZE = 2048 };

// ---- DNS as the test wants it -------------------------------------------

struct rdns {
	struct rdns_name names[NAMES_MAX];
	struct rdns_answer answer;
	bool is_cached;
	unsigned asked;
	struct rdns_query *query; // the one that waits
};

struct hosts {
	enum host_match match; // of all of them
	enum host_match later; // once it was waited for
	struct hosts_wait *wait;
	size_t num;
};

bool rdns_find(struct rdns *rdns, const struct addr *addr, struct rdns_answer *out_answer)
{
	(void)addr;
	if (rdns->is_cached)
		*out_answer = rdns->answer;
	return rdns->is_cached;
}

void rdns_start(struct rdns_query *query, struct rdns *rdns, const struct addr *addr)
{
	(void)addr;
	assert_null(rdns->query);
	query->rdns = rdns;
	rdns->query = query;
	rdns->asked++;
}

void rdns_cancel(struct rdns_query *query)
{
	assert_ptr_equal(query->rdns->query, query);
	query->rdns->query = NULL;
}

size_t hosts_add(struct hosts *hosts, const char *name)
{
	(void)name;
	return hosts->num++;
}

enum host_match hosts_match(const struct hosts *hosts, size_t index, const struct addr *addr)
{
	(void)addr;
	assert_true(index < hosts->num);
	return hosts->match;
}

void hosts_wait_start(struct hosts_wait *wait, struct hosts *hosts, size_t index)
{
	assert_true(index < hosts->num);
	assert_null(hosts->wait);
	hosts->wait = wait;
}

void hosts_wait_cancel(struct hosts_wait *wait)
{
	struct decision *decision = wait->context;
	assert_ptr_equal(decision->sources.hosts->wait, wait);
	decision->sources.hosts->wait = NULL;
}

// ---- a decision and what it needs ---------------------------------------

struct row {
	const char *rules[RULES_MAX];
	const char *exceptions[RULES_MAX];
	const char *addr;             // NULL: 192.0.2.1
	const char *outcome;          // see print_outcome
	const char *names[NAMES_MAX]; // "+" before a name: confirmed, "-": not
	enum rdns_status status;
	enum access fallback, on_dns_failure;
	enum host_match host;
	bool unconfirmed_will_do;
};

struct fixture {
	struct tables *tables;
	struct hosts hosts;
	struct rdns rdns;
	struct policy *policy, *exceptions;
	struct decision decision;
	unsigned done;
};

static struct fixture fixture;

static const char config_path[] = "/etc/popgate/popgate.conf";

static struct policy *compile(
    const char *const *texts, bool is_exceptions, const struct row *row, struct problems *problems)
{
	static struct place places[RULES_MAX];
	struct text_list list = {.at = (char **)texts, .places = places};
	while (list.num < RULES_MAX && texts[list.num])
		list.num++;
	struct policy_source source = {
	    .path = config_path,
	    .title = is_exceptions ? "login_exceptions" : "policy",
	    .rules = &list,
	    .is_exceptions = is_exceptions,
	    .fallback = is_exceptions ? ACCESS_deny : row->fallback,
	    .on_dns_failure = is_exceptions ? ACCESS_deny : row->on_dns_failure,
	    .confirm_names = is_exceptions || !row->unconfirmed_will_do,
	    .methods = LOGIN_METHOD_basic_tls,
	    .country_table = tables_add(fixture.tables, TABLE_COUNTRY, "/country.mmdb"),
	    .asn_table = tables_add(fixture.tables, TABLE_ASN, "/asn.mmdb"),
	    .has_resolver = true,
	};
	return policy_new(&source, fixture.tables, &fixture.hosts, problems);
}

static void add(struct table_builder *builder, const char *range_text, uint32_t value)
{
	char room[256];
	struct text why = TEXT(room);
	struct addr_range range;
	assert_true(range_parse(str_of(range_text), &range, &why));
	assert_true(table_builder_add(builder, &range, value, &why));
}

static uint32_t geo(const char *country, const char *continent)
{
	char code[GEOIP_CODE_SIZE];
	uint32_t value = country_code(country) << 16 | country_code(continent);
	assert_true(geoip_country(value, code) && !strcmp(code, country));
	assert_true(geoip_continent(value, code) && !strcmp(code, continent));
	return value;
}

static void put_table(size_t slot, enum table_kind kind)
{
	char room[256];
	struct text why = TEXT(room);
	struct table_builder *builder = table_builder_new((uint32_t)slot, &why);
	if (kind == TABLE_PREFIXES)
		add(builder, "192.0.2.0/28", 1);
	if (kind == TABLE_COUNTRY) {
		add(builder, "192.0.2.0/24", geo("DE", "EU"));
		add(builder, "198.51.100.0/24", geo("KP", "AS"));
	}
	if (kind == TABLE_ASN)
		add(builder, "192.0.2.0/24", 64511);
	struct table *table = table_build(builder, &why);
	assert_non_null(table);
	assert_true(tables_take(fixture.tables, dup(table_fd(table)), &why));
	table_free(&table);
	table_builder_free(&builder);
}

static void set_names(const struct row *row)
{
	struct rdns *rdns = &fixture.rdns;
	rdns->answer = (struct rdns_answer){.status = row->status, .names = rdns->names};
	for (size_t i = 0; i < NAMES_MAX && row->names[i]; i++)
		rdns->names[rdns->answer.num_names++] =
		    (struct rdns_name){str_of(row->names[i] + 1), row->names[i][0] == '+'};
}

static void open_fixture(const struct row *row)
{
	struct problems problems;
	problems_init(&problems);
	fixture = (struct fixture){.tables = tables_new()};
	set_names(row);
	fixture.hosts.match = fixture.hosts.later = row->host;
	fixture.policy = compile(row->rules, false, row, &problems);
	fixture.exceptions = compile(row->exceptions, true, row, &problems);
	check_str(STR("problems"), text_str(&problems.text), STR(""));
	for (size_t i = 0; i < tables_num(fixture.tables); i++)
		put_table(i, tables_describe(fixture.tables, i).kind);
}

static void close_fixture(void)
{
	policy_free(&fixture.policy);
	policy_free(&fixture.exceptions);
	tables_free(&fixture.tables);
}

static void on_done(struct decision *decision)
{
	assert_int_equal(decision->wait, DECISION_WAITS_NOT);
	fixture.done++;
}

static bool start(const char *addr_text)
{
	const struct decision_sources sources = {fixture.tables, &fixture.rdns, &fixture.hosts};
	struct addr addr;
	assert_true(addr_parse(str_of(addr_text ? addr_text : "192.0.2.1"), 1, &addr));
	fixture.decision.on_done = on_done;
	return decision_start(
	    &fixture.decision, fixture.policy, fixture.exceptions, &sources, &addr);
}

static void answer_name(void)
{
	struct rdns_query *query = fixture.rdns.query;
	fixture.rdns.query = NULL;
	query->on_done(query, &fixture.rdns.answer);
}

static void answer_host(void)
{
	struct hosts_wait *wait = fixture.hosts.wait;
	fixture.hosts.wait = NULL;
	fixture.hosts.match = fixture.hosts.later;
	wait->on_done(wait);
}

static void judge(const char *addr_text)
{
	if (start(addr_text))
		return;
	while (!fixture.done) {
		assert_true(!fixture.rdns.query || !fixture.hosts.wait);
		if (fixture.rdns.query)
			answer_name();
		else if (fixture.hosts.wait)
			answer_host();
		else
			fail_msg("it waits for nothing");
	}
	assert_int_equal(fixture.done, 1);
	assert_true(!fixture.rdns.query && !fixture.hosts.wait);
}

// "allow by 2": the verdict and the rule, from 1 as people count.  Then, where
// it is so: "failed", what DNS said, "+" or "-" and the name, "audit 1 3",
// "methods 1".
static void print_outcome(const struct decision *decision, struct text *out)
{
	text_addf(out, "%s by ", decision->verdict == ACCESS_allow ? "allow" : "deny");
	if (decision->rule == DECISION_DEFAULT)
		text_addf(out, "default");
	else
		text_addf(out, "%zu", decision->rule + 1);
	if (decision->by_dns_failure)
		text_addf(out, ", failed");
	if (decision->dns != DNS_not_asked)
		text_addf(out, ", %s", dns_outcome_token(decision->dns));
	if (decision->name[0])
		text_addf(out, ", %c%s", decision->name_confirmed ? '+' : '-', decision->name);
	for (size_t i = 0; i < decision->num_audits; i++)
		text_addf(out, "%s %u", i ? "" : ", audit", decision->audits[i] + 1);
	if (decision->methods)
		text_addf(out, ", methods %u", decision->methods);
}

static void check_outcome(const char *wanted)
{
	char room[OUTCOME_SIZE];
	struct text outcome = TEXT(room);
	print_outcome(&fixture.decision, &outcome);
	check_str(str_of(wanted), text_str(&outcome), str_of(wanted));
}

// ---- outcomes -----------------------------------------------------------

#define DENY .fallback = ACCESS_deny, .on_dns_failure = ACCESS_deny
#define ALLOW .fallback = ACCESS_allow, .on_dns_failure = ACCESS_allow
#define MIXED .fallback = ACCESS_deny, .on_dns_failure = ACCESS_allow
#define PAST "until 2001-01-01"
#define FUTURE "until 2999-01-01"

static const struct row rows[] = {
    // The first rule that matches; the default.
    {{NULL}, DENY, .outcome = "deny by default"},
    {{NULL}, ALLOW, .outcome = "allow by default"},
    {{"allow ip 192.0.2.1"}, DENY, .outcome = "allow by 1"},
    {{"allow ip 192.0.2.1"}, DENY, .addr = "192.0.2.2", .outcome = "deny by default"},
    {{"deny ip 192.0.2.1", "allow ip 192.0.2.0/24", "deny any"}, ALLOW, .outcome = "deny by 1"},
    {{"deny ip 192.0.2.1", "allow ip 192.0.2.0/24", "deny any"}, ALLOW, .addr = "192.0.2.2",
        .outcome = "allow by 2"},
    {{"deny ip 192.0.2.1", "allow ip 192.0.2.0/24", "deny any"}, ALLOW, .addr = "[2001:db8::1]",
        .outcome = "deny by 3"},
    {{"allow range 192.0.2.1-192.0.2.9"}, DENY, .outcome = "allow by 1"},
    {{"allow ip ::/0"}, DENY, .addr = "[::ffff:192.0.2.1]", .outcome = "deny by default"},
    {{"allow ip 192.0.2.1"}, DENY, .addr = "[::ffff:192.0.2.1]", .outcome = "allow by 1"},
    // Between blocks of addresses stand other rules.
    {{"allow ip 192.0.2.9", "deny file a.txt", "allow ip 192.0.2.0/24"}, DENY,
        .outcome = "deny by 2"},
    {{"allow ip 192.0.2.9", "deny file a.txt", "allow ip 192.0.2.0/24"}, DENY, .addr = "192.0.2.9",
        .outcome = "allow by 1"},
    {{"allow ip 192.0.2.9", "deny file a.txt", "allow ip 192.0.2.0/24"}, DENY, .addr = "192.0.2.16",
        .outcome = "allow by 3"},
    // Databases.
    {{"deny country KP RU", "allow continent EU"}, DENY, .outcome = "allow by 2"},
    {{"deny country KP RU", "allow continent EU"}, DENY, .addr = "198.51.100.1",
        .outcome = "deny by 1"},
    {{"deny country KP RU", "allow continent EU"}, DENY, .addr = "203.0.113.1",
        .outcome = "deny by default"},
    {{"deny asn 1 64511 2"}, ALLOW, .outcome = "deny by 1"},
    {{"deny asn 1 64511 2"}, ALLOW, .addr = "198.51.100.1", .outcome = "allow by default"},
    // Days.
    {{"deny ip 192.0.2.1 " PAST, "allow any " FUTURE}, DENY, .outcome = "allow by 2"},
    {{"deny any " PAST, "deny domain a.example " PAST}, ALLOW, .outcome = "allow by default"},
    // Audits are noted and decide nothing.
    {{"audit deny ip 192.0.2.0/24", "allow ip 192.0.2.1", "audit deny any"}, DENY,
        .outcome = "allow by 2, audit 1"},
    {{"audit deny any", "audit allow asn 64511", "audit deny any " PAST}, ALLOW,
        .outcome = "allow by default, audit 1 2"},
    // Names: only confirmed ones allow, any deny.
    {{"allow domain contoso.com"}, DENY, .names = {"+mail.contoso.com"},
        .outcome = "allow by 1, confirmed, +mail.contoso.com"},
    {{"allow domain contoso.com"}, DENY, .names = {"-mail.contoso.com"},
        .outcome = "deny by default, mismatch, -mail.contoso.com"},
    {{"allow domain contoso.com"}, DENY, .names = {"-mail.contoso.com"},
        .unconfirmed_will_do = true, .outcome = "allow by 1, mismatch, -mail.contoso.com"},
    {{"deny domain contoso.com"}, ALLOW, .names = {"-mail.contoso.com"},
        .outcome = "deny by 1, mismatch, -mail.contoso.com"},
    {{"allow domain contoso.com"}, DENY, .names = {"+badcontoso.com", "-x.contoso.com"},
        .outcome = "deny by default, confirmed, +badcontoso.com"},
    {{"deny domain contoso.com"}, ALLOW, .names = {"+good.example", "-x.contoso.com"},
        .outcome = "deny by 1, confirmed, -x.contoso.com"},
    {{"allow domain b.example a.example"}, DENY, .names = {"-b.example", "+a.example"},
        .outcome = "allow by 1, confirmed, +a.example"},
    {{"allow domain contoso.com"}, DENY, .status = RDNS_NXDOMAIN,
        .outcome = "deny by default, nxdomain"},
    // Failures.
    {{"allow domain contoso.com", "allow any"}, MIXED, .status = RDNS_SERVFAIL,
        .outcome = "allow by 2"},
    {{"allow domain contoso.com"}, DENY, .status = RDNS_SERVFAIL,
        .outcome = "deny by 1, failed, servfail"},
    {{"allow domain contoso.com"}, MIXED, .status = RDNS_TIMEOUT,
        .outcome = "allow by 1, failed, timeout"},
    {{"deny domain contoso.com"}, ALLOW, .status = RDNS_UNAVAILABLE,
        .outcome = "allow by 1, failed, unavailable"},
    {{"deny domain contoso.com"}, ALLOW, .status = RDNS_TIMEOUT, .names = {"-x.contoso.com"},
        .outcome = "deny by 1, timeout, -x.contoso.com"},
    {{"audit deny domain fabrikam.com", "deny domain contoso.com"}, ALLOW, .status = RDNS_TIMEOUT,
        .names = {"-x.contoso.com"}, .outcome = "deny by 2, timeout, -x.contoso.com"},
    {{"audit deny domain contoso.com", "allow ip 192.0.2.1"}, DENY, .status = RDNS_SERVFAIL,
        .outcome = "allow by 2, servfail"},
    // DNS is not asked when it could change nothing.
    {{"deny domain a.example", "deny domain b.example"}, DENY, .outcome = "deny by default"},
    {{"allow domain a.example", "allow ip 192.0.2.1"}, DENY, .outcome = "allow by 2"},
    {{"allow domain a.example", "allow ip 192.0.2.1"}, DENY, .addr = "192.0.2.2",
        .names = {"+x.a.example"}, .outcome = "allow by 1, confirmed, +x.a.example"},
    {{"deny domain a.example", "allow ip 192.0.2.1 " PAST}, DENY, .outcome = "deny by default"},
    {{"deny domain a.example", "audit allow any"}, DENY, .outcome = "deny by default, audit 2"},
    {{"deny domain a.example", "deny host b.example", "allow country DE"}, DENY,
        .names = {"+x.example"}, .host = HOST_DIFFERS,
        .outcome = "allow by 3, confirmed, +x.example"},
    {{"allow domain a.example", "allow host b.example"}, DENY, .host = HOST_MATCHES,
        .outcome = "allow by 2"},
    // Hosts.
    {{"allow host a.example"}, DENY, .host = HOST_MATCHES, .outcome = "allow by 1"},
    {{"allow host a.example"}, DENY, .host = HOST_DIFFERS, .outcome = "deny by default"},
    {{"allow host a.example", "allow ip 192.0.2.1"}, DENY, .host = HOST_FAILED,
        .outcome = "allow by 2"},
    {{"allow host a.example"}, DENY, .host = HOST_FAILED,
        .outcome = "deny by default, failed, host_unknown"},
    {{"allow host a.example", "deny ip 192.0.2.1"}, DENY, .host = HOST_FAILED,
        .outcome = "deny by 2, failed, host_unknown"},
    {{"deny ip 192.0.2.1", "allow host a.example"}, DENY, .host = HOST_FAILED,
        .outcome = "deny by 1"},
    {{"audit allow host a.example"}, DENY, .host = HOST_FAILED, .outcome = "deny by default"},
    {{"allow host a.example"}, MIXED, .host = HOST_FAILED,
        .outcome = "allow by 1, failed, host_unknown"},
    {{"deny host a.example"}, .fallback = ACCESS_allow, .on_dns_failure = ACCESS_deny,
        .host = HOST_FAILED, .outcome = "deny by 1, failed, host_unknown"},
    {{"audit deny host a.example", "allow any"}, DENY, .host = HOST_FAILED,
        .outcome = "allow by 2"},
    // Exceptions: all that match count, failures give nothing, a refused client
    // gets none.  Everybody may use method 2 (basic-tls).
    {{"allow any"}, {"allow basic ip 192.0.2.1"}, DENY, .outcome = "allow by 1, methods 1"},
    {{"allow any"}, {"allow basic ip 192.0.2.2"}, DENY, .outcome = "allow by 1"},
    {{"allow any"}, {"allow basic ip 192.0.2.1 " PAST}, DENY, .outcome = "allow by 1"},
    {{NULL}, {"allow basic ip 192.0.2.1"}, DENY, .outcome = "deny by default"},
    {{NULL}, {"allow basic domain a.example"}, ALLOW, .names = {"+a.example"},
        .outcome = "allow by default, confirmed, +a.example, methods 1"},
    {{NULL}, {"allow basic domain a.example"}, ALLOW, .names = {"-a.example"},
        .unconfirmed_will_do = true, .outcome = "allow by default, mismatch, -a.example"},
    {{NULL}, {"allow basic domain a.example"}, ALLOW, .status = RDNS_SERVFAIL,
        .outcome = "allow by default, servfail"},
    {{NULL}, {"allow basic host a.example"}, ALLOW, .host = HOST_FAILED,
        .outcome = "allow by default"},
    {{NULL}, {"allow basic domain a.example", "allow basic ip 192.0.2.1"}, ALLOW,
        .outcome = "allow by default, methods 1"},
    {{NULL}, {"allow basic-tls domain a.example"}, ALLOW, .outcome = "allow by default"},
    {{NULL}, {"allow basic ip 192.0.2.1", "allow basic domain a.example"}, ALLOW,
        .outcome = "allow by default, methods 1"},
    {{"allow domain a.example"}, {"allow basic domain b.example"}, DENY,
        .names = {"+a.example", "+b.example"},
        .outcome = "allow by 1, confirmed, +b.example, methods 1"},
};

// Answers that are there at once.
static void test_at_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		open_fixture(&rows[i]);
		fixture.rdns.is_cached = true;
		assert_true(start(rows[i].addr));
		check_outcome(rows[i].outcome);
		close_fixture();
	}
}

// The same, waited for; the hosts as well.
static void test_waiting(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		open_fixture(&rows[i]);
		judge(rows[i].addr);
		check_outcome(rows[i].outcome);
		// Asked exactly where its answer is part of the outcome.
		bool is_asked = strstr(rows[i].outcome, "unknown") == NULL &&
		                fixture.decision.dns != DNS_not_asked;
		assert_int_equal(fixture.rdns.asked, is_asked);
		close_fixture();
	}
}

static void test_waiting_for_hosts(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		// A look ahead that could rely on the host cannot, and asks for more.
		bool relies = strstr(rows[i].outcome, "by 2") && rows[i].host == HOST_MATCHES;
		open_fixture(&rows[i]);
		fixture.hosts.match = HOST_UNKNOWN;
		fixture.rdns.is_cached = true;
		judge(rows[i].addr);
		if (!relies)
			check_outcome(rows[i].outcome);
		close_fixture();
	}
}

// ---- compared with asking every rule ------------------------------------

enum { RANDOM_ROUNDS = 5000 };

static uint32_t draw(uint32_t below)
{
	static uint64_t state = 1;
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(state >> 33) % below;
}

// Rules about 192.0.2.1, of country DE, whose confirmed name is a.example, and
// which is no host's; and whether they match.
static const struct {
	const char *text;
	bool matches, decides;
} random_rules[] = {
    {"allow ip 192.0.2.1", true, true},
    {"deny ip 192.0.2.1", true, true},
    {"allow ip 192.0.2.2 10.0.0.0/8", false, true},
    {"deny range 192.0.2.2-192.0.2.9", false, true},
    {"deny range 192.0.2.0-192.0.2.9 " PAST, false, true},
    {"allow ip 192.0.2.0/24 " FUTURE, true, true},
    {"audit deny ip 192.0.2.1", true, false},
    {"audit allow domain a.example", true, false},
    {"allow domain a.example", true, true},
    {"deny domain a.example", true, true},
    {"allow domain b.example", false, true},
    {"deny domain b.example", false, true},
    {"deny country DE", true, true},
    {"allow country KP", false, true},
    {"allow host x.example", false, true},
    {"deny host x.example", false, true},
    {"deny file a.txt", true, true},
};

static void draw_rules(struct row *row, enum access *out_verdict)
{
	bool is_decided = false;
	*out_verdict = row->fallback;
	for (size_t i = 0, num = draw(RULES_MAX); i < num; i++) {
		uint32_t drawn = draw(NUM(random_rules));
		row->rules[i] = random_rules[drawn].text;
		if (is_decided || !random_rules[drawn].matches || !random_rules[drawn].decides)
			continue;
		is_decided = true;
		*out_verdict = row->rules[i][0] == 'a' ? ACCESS_allow : ACCESS_deny;
	}
}

// Whatever is not asked, the verdict is as if everything were.
static void test_random(void **state)
{
	(void)state;
	for (int round = 0; round < RANDOM_ROUNDS; round++) {
		struct row row = {.fallback = draw(2) ? ACCESS_allow : ACCESS_deny,
		    .names = {"+a.example"},
		    .host = HOST_DIFFERS};
		enum access wanted;
		draw_rules(&row, &wanted);
		open_fixture(&row);
		fixture.rdns.is_cached = draw(2);
		fixture.hosts.match = draw(2) ? HOST_UNKNOWN : HOST_DIFFERS;
		judge(NULL);
		assert_int_equal(fixture.decision.verdict, wanted);
		close_fixture();
	}
}

// ---- waiting ------------------------------------------------------------

static const struct row two_waits = {
    {"deny host a.example", "allow domain contoso.com"},
    {"allow basic host b.example", "allow basic domain contoso.com"},
    DENY,
    .names = {"+x.contoso.com"},
    .host = HOST_DIFFERS,
};

static void test_two_waits(void **state)
{
	(void)state;
	open_fixture(&two_waits);
	fixture.hosts.match = HOST_UNKNOWN;
	assert_false(start(NULL));
	assert_int_equal(fixture.decision.wait, DECISION_WAITS_HOST);
	assert_int_equal(fixture.done, 0);
	answer_host();
	assert_int_equal(fixture.decision.wait, DECISION_WAITS_NAME);
	assert_int_equal(fixture.done, 0);
	answer_name();
	assert_int_equal(fixture.done, 1);
	check_outcome("allow by 2, confirmed, +x.contoso.com, methods 1");
	close_fixture();
}

static void test_cancel(void **state)
{
	(void)state;
	open_fixture(&two_waits);
	decision_cancel(&fixture.decision); // never started
	fixture.hosts.match = HOST_UNKNOWN;
	assert_false(start(NULL));
	decision_cancel(&fixture.decision);
	assert_null(fixture.hosts.wait);
	assert_false(start(NULL));
	answer_host();
	decision_cancel(&fixture.decision);
	assert_null(fixture.rdns.query);
	decision_cancel(&fixture.decision);
	assert_int_equal(fixture.done, 0);
	fixture.rdns.is_cached = true;
	assert_true(start(NULL));
	decision_cancel(&fixture.decision); // done
	close_fixture();
}

static void start_again(struct decision *decision)
{
	fixture.done++;
	decision->on_done = on_done;
	assert_false(decision_start(
	    decision, decision->policy, decision->exceptions, &decision->sources, &decision->addr));
}

static void test_start_again_within_on_done(void **state)
{
	(void)state;
	open_fixture(&two_waits);
	assert_false(start(NULL));
	fixture.decision.on_done = start_again;
	answer_name();
	assert_int_equal(fixture.done, 1);
	answer_name();
	assert_int_equal(fixture.done, 2);
	check_outcome("allow by 2, confirmed, +x.contoso.com, methods 1");
	close_fixture();
}

static void test_no_policy(void **state)
{
	static const struct row none = {{NULL}, DENY};
	(void)state;
	open_fixture(&none);
	policy_free(&fixture.policy);
	policy_free(&fixture.exceptions);
	assert_true(start(NULL));
	check_outcome("allow by default");
	assert_string_equal(decision_rule(&fixture.decision), "default");
	close_fixture();
}

static void test_long_name(void **state)
{
	static char name[254];
	const struct row row = {{"allow domain contoso.com"}, DENY, .names = {name}};
	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	name[0] = '+';
	memcpy(name + sizeof(name) - 1 - 12, ".contoso.com", 12);
	open_fixture(&row);
	judge(NULL);
	const char *kept = fixture.decision.name;
	assert_int_equal(fixture.decision.verdict, ACCESS_allow);
	assert_int_equal(strlen(kept), DECISION_NAME_SIZE - 1);
	assert_int_equal(strncmp(kept, "...aaa", 6), 0);
	assert_string_equal(kept + strlen(kept) - 12, ".contoso.com");
	close_fixture();
}

// More audit rules than there is room for.
static void test_many_audits(void **state)
{
	enum { MANY = 20 };
	static char *texts[MANY];
	static struct place places[MANY];
	struct text_list list = {texts, places, MANY};
	struct problems problems;
	const struct policy_source source = {
	    .path = config_path, .title = "policy", .rules = &list, .fallback = ACCESS_allow};
	static const struct row none = {{NULL}, ALLOW};
	(void)state;
	for (size_t i = 0; i < MANY; i++)
		texts[i] = (char *)"audit deny any";
	problems_init(&problems);
	open_fixture(&none);
	policy_free(&fixture.policy);
	fixture.policy = policy_new(&source, fixture.tables, &fixture.hosts, &problems);
	assert_true(start(NULL));
	assert_int_equal(fixture.decision.num_audits, MANY);
	assert_int_equal(fixture.decision.audits[DECISION_AUDITS_MAX - 1], DECISION_AUDITS_MAX - 1);
	close_fixture();
}

// ---- the trace ----------------------------------------------------------

static char trace_room[TRACE_SIZE];
static struct text trace_text;

static void on_step(struct decision_trace *trace, const struct policy *policy, size_t rule,
    enum decision_step step, struct str detail)
{
	static const char *const words[] = {
	    [DECISION_STEP_MATCHES] = "matches",
	    [DECISION_STEP_DIFFERS] = "differs",
	    [DECISION_STEP_FAILS] = "fails",
	    [DECISION_STEP_EXPIRED] = "expired",
	    [DECISION_STEP_NEEDLESS] = "needless",
	};
	(void)trace;
	text_addf(&trace_text, "%s%zu %s: %.*s\n", policy == fixture.policy ? "" : "exception ",
	    rule + 1, words[step], STR_ARG(detail));
}

static const struct {
	struct row row;
	const char *told;
} traces[] = {
    {{{"allow ip 192.0.2.9", "deny range 192.0.2.2-192.0.2.3", "allow ip 192.0.2.1"}, DENY},
        "1 differs: the address is not in it\n"
        "2 differs: the address is not in it\n"
        "3 matches: the address is in it\n"},
    {{{"deny any until 2001-01-01", "deny file a.txt", "deny country KP", "deny continent AS",
          "deny asn 1", "deny host a.example", "audit deny any"},
         ALLOW, .host = HOST_DIFFERS, .addr = "192.0.2.99"},
        "1 expired: its last day is over\n"
        "2 differs: the address is not in it\n"
        "3 differs: the country is DE\n"
        "4 differs: the continent is EU\n"
        "5 differs: the network is AS64511\n"
        "6 differs: the host is not known to have this address\n"
        "7 matches: every address does\n"},
    {{{"deny country KP", "deny asn 1"}, ALLOW, .addr = "203.0.113.1"},
        "1 differs: the country is not known\n"
        "2 differs: the network is not known\n"},
    {{{"deny domain b.example c.example", "allow domain contoso.com"}, DENY,
         .names = {"+mail.contoso.com"}},
        "1 differs: the name is mail.contoso.com, which leads back to the address and is not "
        "below any of these\n"
        "2 matches: the name is mail.contoso.com, which leads back to the address\n"},
    {{{"allow domain contoso.com", "allow domain example.org"}, DENY,
         .names = {"-mail.contoso.com"}},
        "1 differs: the name is mail.contoso.com, which does not lead back to the address\n"
        "2 differs: the name is mail.contoso.com, which does not lead back to the address and "
        "is not below example.org\n"},
    {{{"allow domain contoso.com"}, DENY, .status = RDNS_NXDOMAIN},
        "1 differs: the address has no reverse name (NXDOMAIN)\n"},
    {{{"allow domain contoso.com"}, DENY, .status = RDNS_TIMEOUT},
        "1 fails: the name server did not answer in time\n"},
    {{{"deny host a.example"}, .fallback = ACCESS_allow, .on_dns_failure = ACCESS_deny,
         .host = HOST_FAILED},
        "1 fails: the name of a host never had an answer\n"},
    {{{"deny domain a.example"}, DENY}, "1 needless: it could not change the outcome\n"},
    {{{"allow host a.example"},
         {"allow basic domain a.example", "allow basic asn 64511", "allow basic-tls ip 192.0.2.1"},
         DENY, .host = HOST_MATCHES},
        "1 matches: the host has this address\n"
        "exception 1 needless: it could not change the outcome\n"
        "exception 2 matches: the network is AS64511\n"
        "exception 3 needless: it could not change the outcome\n"},
};

// Each rule once, however often the walk began again.
static void test_trace(void **state)
{
	struct decision_trace trace = {on_step};
	(void)state;
	for (size_t i = 0; i < NUM(traces); i++)
		for (int waits = 0; waits < 2; waits++) {
			struct str row = str_of(traces[i].told);
			trace_text = TEXT(trace_room);
			open_fixture(&traces[i].row);
			fixture.decision.trace = &trace;
			fixture.rdns.is_cached = !waits;
			if (waits)
				fixture.hosts.match = HOST_UNKNOWN;
			judge(traces[i].row.addr);
			check_str(row, text_str(&trace_text), row);
			close_fixture();
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_at_once),
	    cmocka_unit_test(test_waiting),
	    cmocka_unit_test(test_waiting_for_hosts),
	    cmocka_unit_test(test_random),
	    cmocka_unit_test(test_two_waits),
	    cmocka_unit_test(test_cancel),
	    cmocka_unit_test(test_start_again_within_on_done),
	    cmocka_unit_test(test_no_policy),
	    cmocka_unit_test(test_long_name),
	    cmocka_unit_test(test_many_audits),
	    cmocka_unit_test(test_trace),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
