// rdns_test.c: the promises of policy/rdns.h, with a name server that answers
// from a table: on_done never before a call returns, exactly once unless
// cancelled, never after rdns_cancel or rdns_close; one question however many
// wait; every kind of failure told apart; and nothing left on the loop.
#include "policy/rdns.h"

#include <stdlib.h>

#include "proxy/net/resolve.h"
#include "proxy/net/timer.h"
#include "tests/kit/check.h"
#include "tests/kit/logged.h"
#include "tests/kit/tcp.h"
#include "tests/kit/zone.h"

enum {
	QUERIES = RDNS_PLACES + 100,
	DEADLINE_MS = 40 * 1000,
	TICK_MS = 2,
	PATIENT_MS = DEADLINE_MS,
	HASTY_MS = 100,
	LONG_MS = 1000 * 1000,
	TTL_S = 600,
	CACHE_BYTES = 1024 * 1024,
	QUERY_MAX = 128,
	AT_A_TIME = 100, // datagrams, of which the kernel holds a few hundred
};

// What a query was told; names as "a.test! b.test", confirmed ones marked.
struct op {
	struct rdns_query query;
	unsigned done;
	enum rdns_status status;
	char names[RDNS_NAMES_MAX * (DNS_NAME_MAX + 2) + 1];
	struct op *again;   // started when this is done
	struct op *cancels; // when this is done
};

struct held {
	struct addr peer;
	size_t len;
	char query[QUERY_MAX];
};

struct fixture {
	struct net net;
	struct timer ticks;
	uint64_t deadline;
	struct zone zone;
	struct resolver *resolver;
	struct rdns *rdns;
	struct op ops[QUERIES];
	unsigned done; // in all
	bool in_call;
	struct held held[RDNS_TURNS]; // questions that are not answered yet
	unsigned num_held;
	void (*answer)(struct name_server *server, struct str query); // NULL: not held
};

static struct fixture *fixture;

// ---- who asks -----------------------------------------------------------

static struct addr addr_of_text(const char *ip)
{
	struct addr addr;
	assert_true(addr_parse(str_of(ip), 110, &addr));
	return addr;
}

// Each in a network of its own.
static struct addr addr_number(unsigned i)
{
	struct addr addr = addr_of_text("10.0.0.1");
	addr.v4.sin_addr.s_addr |= htonl(i << 8);
	return addr;
}

static void print_names(const struct rdns_answer *answer, char *room, size_t size)
{
	struct text text = text_in(room, size);
	for (size_t i = 0; i < answer->num_names; i++) {
		if (i)
			text_add_char(&text, ' ');
		text_add(&text, answer->names[i].name);
		if (answer->names[i].confirmed)
			text_add_char(&text, '!');
	}
}

static void start_at(struct op *op, const struct addr *addr)
{
	bool in_call = fixture->in_call;
	fixture->in_call = true;
	rdns_start(&op->query, fixture->rdns, addr);
	fixture->in_call = in_call;
}

static void cancel(struct op *op)
{
	fixture->in_call = true;
	rdns_cancel(&op->query);
	rdns_cancel(&op->query);
	fixture->in_call = false;
}

static void on_done(struct rdns_query *query, const struct rdns_answer *answer)
{
	struct op *op = query->context;
	assert_false(fixture->in_call);
	assert_null(query->rdns);
	fixture->done++;
	op->done++;
	op->status = answer->status;
	print_names(answer, op->names, sizeof(op->names));
	if (op->cancels)
		cancel(op->cancels);
	if (op->again)
		start_at(op->again, &query->addr);
}

static void start_number(size_t i, unsigned number)
{
	struct addr addr = addr_number(number);
	start_at(&fixture->ops[i], &addr);
}

static void start(size_t i, const char *ip)
{
	struct addr addr = addr_of_text(ip);
	start_at(&fixture->ops[i], &addr);
}

static void step(const char *waiting_for)
{
	uv_run(&fixture->net.loop, UV_RUN_ONCE);
	if (net_now(&fixture->net) >= fixture->deadline)
		fail_msg("too late; still waiting for: %s", waiting_for);
}

#define WAIT(condition)                                                                            \
	while (!(condition))                                                                       \
	step(#condition)

static void settle(void)
{
	for (int i = 0; i < 20; i++)
		uv_run(&fixture->net.loop, UV_RUN_NOWAIT);
}

static void wait_done(unsigned num)
{
	WAIT(fixture->done >= num);
	settle();
	assert_int_equal(fixture->done, num);
}

// Asks for an address and compares what is told.
static void check_ask(const char *ip, enum rdns_status status, const char *names)
{
	struct op *op = &fixture->ops[0];
	unsigned done = fixture->done;
	start(0, ip);
	wait_done(done + 1);
	check_str(
	    str_of(ip), str_of(rdns_status_name(op->status)), str_of(rdns_status_name(status)));
	check_str(str_of(ip), str_of(op->names), str_of(names));
}

static bool find(const char *ip, enum rdns_status *out_status)
{
	struct addr addr = addr_of_text(ip);
	struct rdns_answer answer;
	fixture->in_call = true;
	bool found = rdns_find(fixture->rdns, &addr, &answer);
	fixture->in_call = false;
	if (found)
		*out_status = answer.status;
	return found;
}

static void check_found(const char *ip, enum rdns_status status)
{
	enum rdns_status found = RDNS_STATUSES;
	check(str_of(ip), find(ip, &found));
	check(str_of(ip), found == status);
}

static void check_not_found(const char *ip)
{
	enum rdns_status found = RDNS_STATUSES;
	check(str_of(ip), !find(ip, &found));
}

// ---- the whole ----------------------------------------------------------

static void open_resolver(const struct addr *server, uint64_t timeout_ms)
{
	char room[256];
	struct text why = TEXT(room);
	struct resolver_setup setup = {
	    .servers = server, .num_servers = 1, .timeout_ms = timeout_ms, .tries = 1};
	fixture->resolver = resolver_new(&fixture->net, &setup, &why);
	assert_non_null(fixture->resolver);
}

static void open_rdns(uint64_t timeout_ms, uint64_t max_ttl_ms)
{
	struct rdns_options options = {.timeout_ms = timeout_ms,
	    .tries = 1,
	    .cache_bytes = CACHE_BYTES,
	    .min_ttl_ms = 1,
	    .max_ttl_ms = max_ttl_ms};
	if (!fixture->resolver)
		open_resolver(&fixture->zone.server.addr, timeout_ms);
	fixture->rdns = rdns_open(&fixture->net, fixture->resolver, &options);
}

// libuv may block right after it ran what the test waited for.
static void on_tick(struct timer *timer)
{
	timer_set(timer, TICK_MS);
}

static int open_fixture(void **state)
{
	(void)state;
	fixture = calloc(1, sizeof(*fixture));
	net_init(&fixture->net);
	timer_init(&fixture->ticks, &fixture->net, on_tick);
	timer_set(&fixture->ticks, TICK_MS);
	fixture->deadline = net_now(&fixture->net) + DEADLINE_MS;
	zone_open(&fixture->zone, &fixture->net);
	for (size_t i = 0; i < QUERIES; i++)
		fixture->ops[i].query =
		    (struct rdns_query){.on_done = on_done, .context = &fixture->ops[i]};
	logged_open();
	return 0;
}

static int close_fixture(void **state)
{
	(void)state;
	unsigned done = fixture->done;
	rdns_close(&fixture->rdns);
	assert_null(fixture->rdns);
	for (size_t i = 0; i < QUERIES; i++)
		cancel(&fixture->ops[i]); // does no harm
	resolver_close(&fixture->resolver);
	zone_close(&fixture->zone);
	timer_close(&fixture->ticks, NULL);
	net_run(&fixture->net);
	net_done(&fixture->net);
	assert_int_equal(fixture->done, done);
	logged_close();
	free(fixture);
	return 0;
}

static struct zone_row *add_reverse(const char *ip, const char *names)
{
	return zone_add_reverse(&fixture->zone, ip, TTL_S, names);
}

static struct zone_row *add_v4(const char *name, const char *addrs)
{
	return zone_add(&fixture->zone, name, DNS_TYPE_A, TTL_S, addrs);
}

// ---- answers ------------------------------------------------------------

static void test_hit_and_miss(void **state)
{
	(void)state;
	add_reverse("192.0.2.1", "Mail.Test");
	add_v4("mail.test", "192.0.2.9 192.0.2.1");
	open_rdns(PATIENT_MS, LONG_MS);
	check_not_found("192.0.2.1");
	check_ask("192.0.2.1", RDNS_OK, "mail.test!");
	assert_int_equal(fixture->zone.server.heard, 2);
	check_found("192.0.2.1", RDNS_OK);
	check_ask("192.0.2.1", RDNS_OK, "mail.test!");
	check_ask("::ffff:192.0.2.1", RDNS_OK, "mail.test!");
	assert_int_equal(fixture->zone.server.heard, 2);
	assert_int_equal(logged_lines("reverse_looked_up"), 1);
}

static void test_v6(void **state)
{
	(void)state;
	add_reverse("2001:db8::1", "six.test");
	zone_add(&fixture->zone, "six.test", DNS_TYPE_AAAA, TTL_S, "[2001:db8::1]");
	add_v4("six.test", "192.0.2.1");
	open_rdns(PATIENT_MS, LONG_MS);
	check_ask("2001:db8::1", RDNS_OK, "six.test!");
	assert_int_equal(fixture->zone.heard_forward, 1);
}

static void test_mismatch(void **state)
{
	(void)state;
	add_reverse("192.0.2.1", "liar.test nobody.test six.test");
	add_v4("liar.test", "192.0.2.2");
	zone_add(&fixture->zone, "six.test", DNS_TYPE_AAAA, TTL_S, "[2001:db8::1]");
	fixture->zone.otherwise = ZONE_NXDOMAIN;
	open_rdns(PATIENT_MS, LONG_MS);
	check_ask("192.0.2.1", RDNS_OK, "liar.test nobody.test six.test");
	check_found("192.0.2.1", RDNS_OK);
}

static void test_one_of_several_confirmed(void **state)
{
	(void)state;
	add_reverse("192.0.2.1", "a.test b.test c.test");
	add_v4("a.test", "192.0.2.2");
	add_v4("b.test", "192.0.2.1");
	fixture->zone.otherwise = ZONE_NXDOMAIN;
	open_rdns(PATIENT_MS, LONG_MS);
	check_ask("192.0.2.1", RDNS_OK, "a.test b.test! c.test");
}

static void test_no_name(void **state)
{
	(void)state;
	add_reverse("192.0.2.1", "")->says = ZONE_NXDOMAIN;
	add_reverse("192.0.2.2", "")->says = ZONE_NODATA;
	add_reverse("192.0.2.3", "192.0.2.3 a\tb.test");
	open_rdns(PATIENT_MS, LONG_MS);
	check_ask("192.0.2.1", RDNS_NXDOMAIN, "");
	check_ask("192.0.2.2", RDNS_NXDOMAIN, "");
	check_ask("192.0.2.3", RDNS_NXDOMAIN, "");
	assert_int_equal(fixture->zone.heard_forward, 0);
	check_found("192.0.2.1", RDNS_NXDOMAIN);
	assert_int_equal(logged_lines("illegal=192.0.2.3"), 1);
}

static void test_servfail(void **state)
{
	(void)state;
	add_reverse("192.0.2.1", "")->says = ZONE_SERVFAIL;
	open_rdns(PATIENT_MS, LONG_MS);
	check_ask("192.0.2.1", RDNS_SERVFAIL, "");
	check_found("192.0.2.1", RDNS_SERVFAIL);
	assert_int_equal(fixture->zone.server.heard, 1);
}

// The names are told although nobody knows whether they are true.
static void test_servfail_of_the_name(void **state)
{
	(void)state;
	add_reverse("192.0.2.1", "a.test b.test");
	add_v4("a.test", "192.0.2.2");
	add_v4("b.test", "")->says = ZONE_SERVFAIL;
	open_rdns(PATIENT_MS, LONG_MS);
	check_ask("192.0.2.1", RDNS_SERVFAIL, "a.test b.test");
}

static void test_servfail_beside_a_confirmed_name(void **state)
{
	(void)state;
	add_reverse("192.0.2.1", "a.test b.test");
	add_v4("a.test", "")->says = ZONE_SERVFAIL;
	add_v4("b.test", "192.0.2.1");
	open_rdns(PATIENT_MS, LONG_MS);
	check_ask("192.0.2.1", RDNS_OK, "a.test b.test!");
}

static void test_timeout(void **state)
{
	(void)state;
	add_reverse("192.0.2.1", "")->says = ZONE_NOTHING;
	add_reverse("192.0.2.2", "a.test");
	add_v4("a.test", "")->says = ZONE_NOTHING;
	open_rdns(HASTY_MS, LONG_MS);
	check_ask("192.0.2.1", RDNS_TIMEOUT, "");
	check_ask("192.0.2.2", RDNS_TIMEOUT, "a.test");
	check_found("192.0.2.2", RDNS_TIMEOUT);
}

// Eight silent names one after the other would take four times as long.
static void test_deadline(void **state)
{
	(void)state;
	add_reverse("192.0.2.1", "a.test b.test c.test d.test e.test f.test g.test h.test");
	fixture->zone.otherwise = ZONE_NOTHING;
	open_rdns(HASTY_MS, LONG_MS);
	uint64_t before = net_now(&fixture->net);
	check_ask(
	    "192.0.2.1", RDNS_TIMEOUT, "a.test b.test c.test d.test e.test f.test g.test h.test");
	assert_true(net_now(&fixture->net) >= before + HASTY_MS);
	assert_in_range(fixture->zone.heard_forward, 2, 4);
}

// What was confirmed before the deadline counts.
static void test_silent_name_beside_a_confirmed_one(void **state)
{
	(void)state;
	add_reverse("192.0.2.1", "a.test b.test");
	add_v4("a.test", "")->says = ZONE_NOTHING;
	add_v4("b.test", "192.0.2.1");
	open_rdns(HASTY_MS, LONG_MS);
	check_ask("192.0.2.1", RDNS_OK, "a.test b.test!");
}

static void test_unreachable(void **state)
{
	struct addr deaf = tcp_deaf_addr();
	(void)state;
	open_resolver(&deaf, PATIENT_MS);
	open_rdns(PATIENT_MS, LONG_MS);
	check_ask("192.0.2.1", RDNS_UNAVAILABLE, "");
	check_not_found("192.0.2.1");
}

static void test_more_names_than_are_followed(void **state)
{
	static const char many[] = "a.test b.test c.test d.test e.test f.test g.test h.test i.test "
	                           "j.test k.test l.test";
	(void)state;
	add_reverse("192.0.2.1", many);
	add_v4("h.test", "192.0.2.1");
	add_v4("i.test", "192.0.2.1");
	fixture->zone.otherwise = ZONE_NXDOMAIN;
	open_rdns(PATIENT_MS, LONG_MS);
	check_ask("192.0.2.1", RDNS_OK, "a.test b.test c.test d.test e.test f.test g.test h.test!");
	assert_int_equal(fixture->zone.heard_forward, RDNS_NAMES_MAX);
}

// ---- who waits ----------------------------------------------------------

static void test_one_question_for_all(void **state)
{
	(void)state;
	add_reverse("192.0.2.1", "mail.test");
	add_v4("mail.test", "192.0.2.1");
	open_rdns(PATIENT_MS, LONG_MS);
	for (size_t i = 0; i < 50; i++)
		start(i, "192.0.2.1");
	WAIT(fixture->zone.heard_reverse);
	for (size_t i = 50; i < 100; i++)
		start(i, "192.0.2.1");
	wait_done(100);
	for (size_t i = 0; i < 100; i++)
		check_str(STR("names"), str_of(fixture->ops[i].names), STR("mail.test!"));
	assert_int_equal(fixture->zone.heard_reverse, 1);
	assert_int_equal(fixture->zone.heard_forward, 1);
}

static void test_cancel(void **state)
{
	(void)state;
	struct zone_row *row = add_reverse("192.0.2.1", "");
	row->says = ZONE_NXDOMAIN;
	open_rdns(PATIENT_MS, LONG_MS);
	cancel(&fixture->ops[0]); // was never started
	start(0, "192.0.2.1");
	cancel(&fixture->ops[0]); // before the loop came to it
	settle();
	assert_int_equal(row->heard, 0);
	start(0, "192.0.2.1");
	start(1, "192.0.2.1");
	start(2, "192.0.2.1");
	fixture->ops[1].cancels = &fixture->ops[2];
	uv_run(&fixture->net.loop, UV_RUN_NOWAIT);
	cancel(&fixture->ops[0]);
	wait_done(1);
	assert_int_equal(fixture->ops[1].done, 1);
	assert_int_equal(row->heard, 1);
}

// Nobody waits any more: the answer is remembered all the same.
static void test_cancel_all(void **state)
{
	(void)state;
	struct zone_row *row = add_reverse("192.0.2.1", "");
	row->says = ZONE_NXDOMAIN;
	open_rdns(PATIENT_MS, LONG_MS);
	start(0, "192.0.2.1");
	WAIT(row->heard);
	cancel(&fixture->ops[0]);
	WAIT(logged_lines("reverse_looked_up"));
	check_found("192.0.2.1", RDNS_NXDOMAIN);
	assert_int_equal(fixture->done, 0);
}

static void test_again_within_on_done(void **state)
{
	(void)state;
	add_reverse("192.0.2.1", "")->says = ZONE_NXDOMAIN;
	open_rdns(PATIENT_MS, LONG_MS);
	fixture->ops[0].again = &fixture->ops[1];
	fixture->ops[1].again = &fixture->ops[2];
	start(0, "192.0.2.1");
	wait_done(3);
	assert_int_equal(fixture->zone.heard_reverse, 1);
}

static void test_close_drops_all(void **state)
{
	(void)state;
	fixture->zone.otherwise = ZONE_NOTHING;
	add_reverse("192.0.2.1", "a.test b.test c.test");
	open_rdns(PATIENT_MS, LONG_MS);
	start(0, "192.0.2.1");
	WAIT(fixture->zone.heard_forward == 2);
	start(1, "192.0.2.1");
	for (unsigned i = 2; i < QUERIES / 2; i++)
		start_number(i, i / 2);
	settle(); // some ask, some wait for their turn
	start(QUERIES / 2, "192.0.2.2");
	assert_int_equal(fixture->done, 0); // and none when all is closed
}

static void hold(struct name_server *server, struct str query)
{
	assert_true(fixture->num_held < RDNS_TURNS && query.len <= QUERY_MAX);
	struct held *held = &fixture->held[fixture->num_held++];
	held->peer = server->peer;
	held->len = query.len;
	memcpy(held->query, query.at, query.len);
}

// From now on questions are heard, and answered by release_some at the earliest.
static void hold_answers(void)
{
	fixture->answer = fixture->zone.server.on_query;
	fixture->zone.server.on_query = hold;
}

// The later ones are not held any more.
static void release_some(void)
{
	struct name_server *server = &fixture->zone.server;
	server->on_query = fixture->answer;
	for (unsigned i = 0; i < AT_A_TIME && fixture->num_held; i++) {
		const struct held *held = &fixture->held[--fixture->num_held];
		server->peer = held->peer;
		server->on_query(server, (struct str){held->query, held->len});
	}
}

// More than may ask at a time, no more than there is room for.  Nobody is told
// before all have come.
static void test_as_many_as_there_are_places(void **state)
{
	(void)state;
	fixture->zone.otherwise = ZONE_NXDOMAIN;
	open_rdns(PATIENT_MS, LONG_MS);
	hold_answers();
	for (unsigned i = 0; i < RDNS_PLACES; i++) {
		start_number(i, i);
		if (i % AT_A_TIME == 0)
			settle();
	}
	WAIT(fixture->num_held == RDNS_TURNS);
	settle();
	assert_int_equal(fixture->zone.server.heard, RDNS_TURNS);
	assert_int_equal(fixture->done, 0);
	while (fixture->num_held) {
		release_some();
		wait_done(RDNS_PLACES - fixture->num_held);
	}
	for (unsigned i = 0; i < RDNS_PLACES; i++)
		assert_int_equal(fixture->ops[i].status, RDNS_NXDOMAIN);
}

static unsigned num_refused(unsigned num)
{
	unsigned refused = 0;
	for (unsigned i = 0; i < num; i++)
		refused += fixture->ops[i].done && fixture->ops[i].status == RDNS_UNAVAILABLE;
	return refused;
}

static void test_more_than_there_are_places(void **state)
{
	enum { TOO_MANY = 88 };
	(void)state;
	fixture->zone.otherwise = ZONE_NOTHING;
	open_rdns(PATIENT_MS, LONG_MS);
	for (unsigned i = 0; i < RDNS_PLACES + TOO_MANY; i++) {
		start_number(i, i);
		if (i % AT_A_TIME == 0)
			settle();
	}
	wait_done(TOO_MANY);
	assert_int_equal(fixture->zone.server.heard, RDNS_TURNS);
	assert_int_equal(num_refused(QUERIES), TOO_MANY);
	start_at(&fixture->ops[QUERIES - 1], &fixture->ops[0].query.addr); // joins
	settle();
	assert_int_equal(fixture->done, TOO_MANY);
}

// Neighbours too, as far as IPv4 is concerned.
static void test_five_thousand_ask_at_once(void **state)
{
	enum { CLIENTS = 5000, NEIGHBOURS = 250 };
	(void)state;
	fixture->zone.otherwise = ZONE_NOTHING;
	open_rdns(PATIENT_MS, LONG_MS);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct addr addr = addr_number(i / NEIGHBOURS);
		addr.v4.sin_addr.s_addr += htonl(i % NEIGHBOURS);
		start_at(&fixture->ops[i], &addr);
		if (i % AT_A_TIME == 0)
			settle();
	}
	WAIT(fixture->zone.heard_reverse == CLIENTS);
	assert_int_equal(fixture->done, 0);
}

// The n-th address of a network whose zone is silent.
static void start_flood(size_t i, unsigned n)
{
	struct addr addr = addr_of_text("2001:db8:1::");
	addr.v6.sin6_addr.s6_addr32[2] = htonl(n);
	start_at(&fixture->ops[i], &addr);
}

// Half of all places are for whoever comes; then others have room all the same,
// and are answered although the flood never is.
static void test_flood_from_one_network(void **state)
{
	enum { TOO_MANY = 88, FLOOD = RDNS_PLACES / 2 + TOO_MANY, OTHERS = 300 };
	(void)state;
	fixture->zone.otherwise = ZONE_NOTHING;
	open_rdns(PATIENT_MS, LONG_MS);
	for (unsigned i = 0; i < FLOOD; i++) {
		start_flood(i, i);
		if (i % AT_A_TIME == 0)
			settle();
	}
	wait_done(TOO_MANY);
	assert_int_equal(num_refused(FLOOD), TOO_MANY);
	assert_int_equal(fixture->zone.heard_reverse, RDNS_TURNS_SHARE);
	fixture->zone.otherwise = ZONE_NXDOMAIN;
	for (unsigned i = 0; i < OTHERS; i++)
		start_number(FLOOD + i, i);
	wait_done(TOO_MANY + OTHERS);
	for (unsigned i = 0; i < OTHERS; i++)
		assert_int_equal(fixture->ops[FLOOD + i].status, RDNS_NXDOMAIN);
}

// ---- time ---------------------------------------------------------------

static void test_expiry(void **state)
{
	enum { LIFE_MS = 30 };
	(void)state;
	struct zone_row *row = add_reverse("192.0.2.1", "mail.test");
	add_v4("mail.test", "192.0.2.1");
	open_rdns(PATIENT_MS, LIFE_MS);
	check_ask("192.0.2.1", RDNS_OK, "mail.test!");
	uint64_t now = net_now(&fixture->net);
	WAIT(net_now(&fixture->net) > now + LIFE_MS);
	check_not_found("192.0.2.1");
	row->says = ZONE_NXDOMAIN;
	check_ask("192.0.2.1", RDNS_NXDOMAIN, "");
	assert_int_equal(row->heard, 2);
}

// Uses what is known until it was asked for anew, without ever waiting; begins
// again when this machine slept through the last tenth.
static void use_until_refreshed(const struct zone_row *row)
{
	enum rdns_status status;
	unsigned heard = row->heard;
	while (row->heard == heard) {
		step("a refresh");
		if (find("192.0.2.1", &status))
			continue;
		check_ask("192.0.2.1", RDNS_OK, "mail.test!");
		heard = row->heard;
	}
}

static void test_refresh_ahead(void **state)
{
	(void)state;
	struct zone_row *row = add_reverse("192.0.2.1", "mail.test");
	add_v4("mail.test", "192.0.2.1");
	open_rdns(PATIENT_MS, 1500);
	check_ask("192.0.2.1", RDNS_OK, "mail.test!");
	for (int i = 0; i < 2; i++) {
		unsigned lines = logged_lines("reverse_looked_up");
		use_until_refreshed(row);
		WAIT(logged_lines("reverse_looked_up") > lines);
		check_found("192.0.2.1", RDNS_OK);
	}
	row->says = ZONE_NXDOMAIN;
	use_until_refreshed(row);
	WAIT(logged_lines("status=nxdomain"));
	check_found("192.0.2.1", RDNS_NXDOMAIN);
}

// What could not be refreshed stays to its end, and is not asked for again and
// again until then.
static void test_refresh_fails(void **state)
{
	enum rdns_status status;
	(void)state;
	struct zone_row *row = add_reverse("192.0.2.1", "mail.test");
	add_v4("mail.test", "192.0.2.1");
	open_rdns(PATIENT_MS, 1500);
	check_ask("192.0.2.1", RDNS_OK, "mail.test!");
	row->says = ZONE_SERVFAIL;
	unsigned heard = row->heard;
	while (find("192.0.2.1", &status)) {
		assert_int_equal(status, RDNS_OK);
		step("the entry's end");
	}
	assert_in_range(row->heard, heard, heard + 1);
	check_ask("192.0.2.1", RDNS_SERVFAIL, "");
}

// ---- the breaker --------------------------------------------------------

static void fail_often(unsigned num)
{
	for (unsigned i = 0; i < num; i++)
		start_number(i, i);
	wait_done(num);
}

static void test_breaker(void **state)
{
	(void)state;
	fixture->zone.otherwise = ZONE_NOTHING;
	open_rdns(HASTY_MS, LONG_MS);
	fail_often(8);
	assert_int_equal(logged_lines("resolver_down"), 1);
	unsigned heard = fixture->zone.server.heard;
	check_ask("192.0.2.1", RDNS_UNAVAILABLE, "");
	check_ask("10.0.0.1", RDNS_TIMEOUT, ""); // is still known
	assert_int_equal(fixture->zone.server.heard, heard);
	fixture->zone.otherwise = ZONE_NXDOMAIN;
	while (fixture->zone.server.heard == heard) {
		start(0, "192.0.2.1");
		WAIT(!fixture->ops[0].query.rdns);
		step("the breaker to let one through");
	}
	check_ask("192.0.2.1", RDNS_NXDOMAIN, "");
	check_ask("192.0.2.2", RDNS_NXDOMAIN, "");
	assert_int_equal(fixture->zone.server.heard, heard + 2);
	assert_int_equal(logged_lines("resolver_down"), 1);
	assert_int_equal(logged_lines("resolver_up"), 1);
}

static void test_breaker_on_silence(void **state)
{
	(void)state;
	fixture->zone.otherwise = ZONE_NOTHING;
	open_rdns(HASTY_MS, LONG_MS);
	fail_often(20);
	check_ask("192.0.2.1", RDNS_UNAVAILABLE, "");
	assert_int_equal(logged_lines("resolver_down"), 1);
	assert_int_equal(logged_lines("why=timeout"), 1);
}

static void test_breaker_on_nobody(void **state)
{
	struct addr deaf = tcp_deaf_addr();
	(void)state;
	open_resolver(&deaf, PATIENT_MS);
	open_rdns(PATIENT_MS, LONG_MS);
	fail_often(8);
	assert_int_equal(logged_lines("resolver_down"), 1);
	assert_int_equal(logged_lines("why=unreachable"), 1);
}

// Who says that, answers; nobody waits.
static void test_no_breaker_on_servfail(void **state)
{
	(void)state;
	fixture->zone.otherwise = ZONE_SERVFAIL;
	open_rdns(PATIENT_MS, LONG_MS);
	fail_often(40);
	assert_int_equal(logged_lines("resolver_down"), 0);
	check_ask("192.0.2.1", RDNS_SERVFAIL, "");
}

// It is spared the wait where there is no other, and no other is kept out.
static void test_breaker_for_one_network_alone(void **state)
{
	(void)state;
	fixture->zone.otherwise = ZONE_NOTHING;
	add_reverse("192.0.2.1", "")->says = ZONE_NXDOMAIN;
	open_rdns(HASTY_MS, LONG_MS);
	for (unsigned i = 0; i < 8; i++)
		start_flood(i, i);
	wait_done(8);
	assert_int_equal(logged_lines("resolver_down"), 1);
	check_ask("2001:db8:1:1::1", RDNS_UNAVAILABLE, "");
	check_ask("192.0.2.1", RDNS_NXDOMAIN, "");
	assert_int_equal(logged_lines("resolver_up"), 1);
}

// A client whose zones are silent breaks nothing for others.
static void test_no_breaker_for_one_network(void **state)
{
	(void)state;
	fixture->zone.otherwise = ZONE_NOTHING;
	add_reverse("192.0.2.1", "")->says = ZONE_NXDOMAIN;
	add_reverse("192.0.3.1", "")->says = ZONE_NXDOMAIN;
	add_reverse("192.0.4.1", "a.test b.test c.test d.test e.test f.test g.test h.test");
	open_rdns(HASTY_MS, LONG_MS);
	check_ask("192.0.2.1", RDNS_NXDOMAIN, "");
	check_ask(
	    "192.0.4.1", RDNS_TIMEOUT, "a.test b.test c.test d.test e.test f.test g.test h.test");
	for (unsigned i = 0; i < 100; i++)
		start_flood(i, i);
	wait_done(102);
	check_ask("192.0.3.1", RDNS_NXDOMAIN, "");
	assert_int_equal(logged_lines("resolver_down"), 0);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ROW(test_hit_and_miss),
	    ROW(test_v6),
	    ROW(test_mismatch),
	    ROW(test_one_of_several_confirmed),
	    ROW(test_no_name),
	    ROW(test_servfail),
	    ROW(test_servfail_of_the_name),
	    ROW(test_servfail_beside_a_confirmed_name),
	    ROW(test_timeout),
	    ROW(test_deadline),
	    ROW(test_silent_name_beside_a_confirmed_one),
	    ROW(test_unreachable),
	    ROW(test_more_names_than_are_followed),
	    ROW(test_one_question_for_all),
	    ROW(test_cancel),
	    ROW(test_cancel_all),
	    ROW(test_again_within_on_done),
	    ROW(test_close_drops_all),
	    ROW(test_as_many_as_there_are_places),
	    ROW(test_more_than_there_are_places),
	    ROW(test_five_thousand_ask_at_once),
	    ROW(test_flood_from_one_network),
	    ROW(test_expiry),
	    ROW(test_refresh_ahead),
	    ROW(test_refresh_fails),
	    ROW(test_breaker),
	    ROW(test_breaker_on_silence),
	    ROW(test_breaker_on_nobody),
	    ROW(test_no_breaker_on_servfail),
	    ROW(test_breaker_for_one_network_alone),
	    ROW(test_no_breaker_for_one_network),
	};
	return cmocka_run_group_tests_name("rdns", tests, NULL, NULL);
}
