// resolve_test.c: the promises of proxy/net/resolve.h, with name servers that
// follow a script: on_done never before a call returns, exactly once unless
// cancelled, never after resolve_cancel or resolver_close; servers in order;
// ids and ports that cannot be guessed; and nothing left on the loop.
//
// A real name server answers the whole program in tests/system.
#include "proxy/net/resolve.h"

#include <stdlib.h>

#include "tests/kit/check.h"
#include "tests/kit/name_server.h"
#include "tests/kit/tcp.h"

enum {
	SERVERS = 2,
	OPS = RESOLVER_BUSY_AT + 500,
	DEADLINE_MS = 30 * 1000,
	PATIENT_MS = DEADLINE_MS,
	HASTY_MS = 150,
	TRIES = 2,
	NOT_DONE = -1,
};

struct op {
	struct resolve resolve;
	int status; // as told, or NOT_DONE
	unsigned done;
};

struct fixture {
	struct net net;
	struct timer deadline;
	struct name_server servers[SERVERS];
	struct addr addrs[SERVERS];
	unsigned num_servers;
	struct resolver *resolver;
	struct op ops[OPS];
	unsigned done; // ops in all
	bool in_call;
	// of the last answer
	uint32_t ttl_s;
	size_t num_names, num_addrs, num_illegal;
	char name[DNS_NAME_MAX + 1];
	struct addr addr;
};

static struct fixture *fixture;
static struct dns_message message;

static const struct str host = {"mail.contoso.com", 16};

// ---- what servers say ---------------------------------------------------

static void say_nothing(struct name_server *server, struct str query)
{
	(void)server;
	(void)query;
}

// A name for whatever address, an address for whatever name.
static void say_yes(struct name_server *server, struct str query)
{
	bool is_reverse = str_has_nocase(query, STR("\x04"
	                                            "arpa\0\0\x0c"));
	dns_begin(&message, query, DNS_RCODE_OK);
	if (is_reverse)
		dns_add_name(&message, "@", DNS_TYPE_PTR, 300, "Mail.Contoso.com");
	else
		dns_add_addr(&message, "@", 200, "192.0.2.9");
	name_server_send(server, &message);
}

static void say_code(struct name_server *server, struct str query, unsigned rcode)
{
	dns_begin(&message, query, rcode);
	name_server_send(server, &message);
}

static void say_servfail(struct name_server *server, struct str query)
{
	say_code(server, query, DNS_RCODE_SERVFAIL);
}

static void say_refused(struct name_server *server, struct str query)
{
	say_code(server, query, DNS_RCODE_REFUSED);
}

static void say_nxdomain(struct name_server *server, struct str query)
{
	dns_begin(&message, query, DNS_RCODE_NXDOMAIN);
	dns_add_soa(&message, 300, 55);
	name_server_send(server, &message);
}

static void say_nodata(struct name_server *server, struct str query)
{
	dns_begin(&message, query, DNS_RCODE_OK);
	dns_add_soa(&message, 44, 55);
	name_server_send(server, &message);
}

static void say_no_answer(struct name_server *server, struct str query)
{
	dns_begin(&message, query, DNS_RCODE_OK);
	message.at[2] = 0; // a query
	name_server_send(server, &message);
}

static void say_more_by_tcp(struct name_server *server, struct str query)
{
	if (server->is_tcp) {
		say_yes(server, query);
		return;
	}
	dns_begin(&message, query, DNS_RCODE_OK);
	message.at[2] |= 0x02;
	name_server_send(server, &message);
}

// What is not the answer comes first.
static void say_wrong_first(struct name_server *server, struct str query)
{
	dns_begin(&message, query, DNS_RCODE_SERVFAIL);
	message.at[0] ^= 1;
	name_server_send(server, &message);
	message.at[0] ^= 1;
	message.at[DNS_HEADER_SIZE + 1] ^= 1;
	name_server_send(server, &message);
	message.len = 0;
	name_server_send(server, &message);
	message.len = 5;
	name_server_send(server, &message);
	say_yes(server, query);
}

// As servers did before EDNS.
static void say_formerr_to_edns(struct name_server *server, struct str query)
{
	bool has_edns = query.at[11];
	if (has_edns)
		say_code(server, query, DNS_RCODE_FORMERR);
	else
		say_yes(server, query);
}

static void open_server(void (*on_query)(struct name_server *, struct str))
{
	struct name_server *server = &fixture->servers[fixture->num_servers];
	server->on_query = on_query;
	name_server_open(server, &fixture->net);
	fixture->addrs[fixture->num_servers++] = server->addr;
}

static void open_resolver_that_rechecks(uint64_t timeout_ms, uint64_t recheck_ms)
{
	struct text why = TEXT(((char[256]){0}));
	struct resolver_setup options = {.servers = fixture->addrs,
	    .num_servers = fixture->num_servers,
	    .timeout_ms = timeout_ms,
	    .tries = TRIES,
	    .recheck_ms = recheck_ms};
	fixture->resolver = resolver_new(&fixture->net, &options, &why);
	assert_non_null(fixture->resolver);
}

static void open_resolver(uint64_t timeout_ms)
{
	open_resolver_that_rechecks(timeout_ms, 0);
}

// ---- who asks -----------------------------------------------------------

static void on_done(struct resolve *resolve, const struct resolve_answer *answer)
{
	struct op *op = resolve->context;
	assert_false(fixture->in_call);
	op->done++;
	op->status = (int)answer->status;
	fixture->done++;
	fixture->ttl_s = answer->ttl_s;
	fixture->num_names = answer->num_names;
	fixture->num_addrs = answer->num_addrs;
	fixture->num_illegal = answer->num_illegal;
	if (answer->num_addrs)
		fixture->addr = answer->addrs[0];
	if (answer->num_names) {
		memcpy(fixture->name, answer->names[0].at, answer->names[0].len);
		fixture->name[answer->names[0].len] = '\0';
	}
}

static void start(size_t i)
{
	struct addr addr;
	struct op *op = &fixture->ops[i];
	assert_true(addr_parse(STR("192.0.2.9:1"), 0, &addr));
	fixture->in_call = true;
	resolve_start_reverse(&op->resolve, fixture->resolver, &addr);
	fixture->in_call = false;
}

static void start_host(size_t i, struct str name)
{
	fixture->in_call = true;
	resolve_start(&fixture->ops[i].resolve, fixture->resolver, DNS_TYPE_A, name);
	fixture->in_call = false;
}

static void cancel(size_t i)
{
	fixture->in_call = true;
	resolve_cancel(&fixture->ops[i].resolve);
	resolve_cancel(&fixture->ops[i].resolve);
	fixture->in_call = false;
}

static void close_resolver(void)
{
	fixture->in_call = true;
	resolver_close(&fixture->resolver);
	fixture->in_call = false;
	assert_null(fixture->resolver);
}

static void step(void)
{
	uv_run(&fixture->net.loop, UV_RUN_ONCE);
}

static void settle(void)
{
	for (int i = 0; i < 20; i++)
		uv_run(&fixture->net.loop, UV_RUN_NOWAIT);
}

static void wait_done(unsigned num)
{
	while (fixture->done < num)
		step();
	settle();
	assert_int_equal(fixture->done, num);
}

static void check_ask(enum resolve_status status)
{
	start(0);
	wait_done(1);
	check_str(STR("status"),
	    str_of(resolve_status_name((enum resolve_status)fixture->ops[0].status)),
	    str_of(resolve_status_name(status)));
	assert_null(fixture->ops[0].resolve.resolver);
}

static void on_too_late(struct timer *timer)
{
	(void)timer;
	fail_msg("nothing more happens");
}

static int open_fixture(void **state)
{
	(void)state;
	fixture = calloc(1, sizeof(*fixture));
	net_init(&fixture->net);
	timer_init(&fixture->deadline, &fixture->net, on_too_late);
	timer_set(&fixture->deadline, DEADLINE_MS);
	for (size_t i = 0; i < OPS; i++) {
		fixture->ops[i].resolve =
		    (struct resolve){.on_done = on_done, .context = &fixture->ops[i]};
		fixture->ops[i].status = NOT_DONE;
	}
	return 0;
}

static int close_fixture(void **state)
{
	(void)state;
	close_resolver();
	for (size_t i = 0; i < fixture->num_servers; i++)
		if (fixture->servers[i].net)
			name_server_close(&fixture->servers[i]);
	timer_close(&fixture->deadline, NULL);
	net_run(&fixture->net);
	net_done(&fixture->net);
	free(fixture);
	return 0;
}

// ---- answers ------------------------------------------------------------

static void test_name(void **state)
{
	(void)state;
	open_server(say_yes);
	open_resolver(PATIENT_MS);
	check_ask(RESOLVE_OK);
	assert_int_equal(fixture->ttl_s, 300);
	assert_int_equal(fixture->num_names, 1);
	assert_string_equal(fixture->name, "mail.contoso.com");
	assert_int_equal(fixture->servers[0].heard, 1);
}

static void test_address(void **state)
{
	struct addr wanted;
	(void)state;
	open_server(say_yes);
	open_resolver(PATIENT_MS);
	start_host(0, host);
	wait_done(1);
	assert_int_equal(fixture->ops[0].status, RESOLVE_OK);
	assert_int_equal(fixture->num_addrs, 1);
	assert_true(addr_parse(STR("192.0.2.9:0"), 0, &wanted));
	assert_true(addr_eq(&fixture->addr, &wanted));
}

static void test_no_such_name(void **state)
{
	(void)state;
	open_server(say_nxdomain);
	open_resolver(PATIENT_MS);
	check_ask(RESOLVE_NXDOMAIN);
	assert_int_equal(fixture->ttl_s, 55);
}

static void test_no_such_record(void **state)
{
	(void)state;
	open_server(say_nodata);
	open_resolver(PATIENT_MS);
	check_ask(RESOLVE_NODATA);
	assert_int_equal(fixture->ttl_s, 44);
}

// Nobody is asked for what is no host name.
static void test_no_host_name(void **state)
{
	(void)state;
	open_server(say_yes);
	open_resolver(PATIENT_MS);
	start_host(0, STR("192.0.2.9"));
	wait_done(1);
	assert_int_equal(fixture->ops[0].status, RESOLVE_NXDOMAIN);
	assert_int_equal(fixture->servers[0].heard, 0);
}

static void test_truncated(void **state)
{
	(void)state;
	open_server(say_more_by_tcp);
	open_resolver(PATIENT_MS);
	check_ask(RESOLVE_OK);
	assert_string_equal(fixture->name, "mail.contoso.com");
	assert_int_equal(fixture->servers[0].num_visits, 1);
}

static void test_wrong_answers_before(void **state)
{
	(void)state;
	open_server(say_wrong_first);
	open_resolver(PATIENT_MS);
	check_ask(RESOLVE_OK);
	assert_int_equal(fixture->servers[0].heard, 1);
}

static void test_without_edns(void **state)
{
	(void)state;
	open_server(say_formerr_to_edns);
	open_resolver(PATIENT_MS);
	check_ask(RESOLVE_OK);
	assert_int_equal(fixture->servers[0].heard, 2);
	for (unsigned i = 1; i <= 3; i++) {
		fixture->done = 0;
		check_ask(RESOLVE_OK);
	}
	assert_in_range(fixture->servers[0].heard, 5, 6);
}

// ---- failures -----------------------------------------------------------

static void test_servfail(void **state)
{
	(void)state;
	open_server(say_servfail);
	open_resolver(PATIENT_MS);
	check_ask(RESOLVE_SERVFAIL);
	assert_int_equal(fixture->servers[0].heard, 1);
}

static void test_refused(void **state)
{
	(void)state;
	open_server(say_refused);
	open_resolver(PATIENT_MS);
	check_ask(RESOLVE_REFUSED);
}

static void test_nonsense(void **state)
{
	(void)state;
	open_server(say_no_answer);
	open_resolver(PATIENT_MS);
	check_ask(RESOLVE_REFUSED);
}

static void test_silence(void **state)
{
	(void)state;
	open_server(say_nothing);
	open_resolver(HASTY_MS);
	uint64_t began = net_now(&fixture->net);
	check_ask(RESOLVE_TIMEOUT);
	assert_in_range(net_now(&fixture->net) - began, TRIES * HASTY_MS, TRIES * HASTY_MS + 5000);
	assert_int_equal(fixture->servers[0].heard, TRIES);
}

// The kernel gives port 1 to nobody as a source, so that no question of ours can
// come back to us as its own answer.
static void test_unreachable(void **state)
{
	(void)state;
	assert_true(addr_parse(STR("127.0.0.1:1"), 0, &fixture->addrs[0]));
	fixture->num_servers = 1;
	open_resolver(PATIENT_MS);
	for (unsigned num = 1; num <= 81; num += 8) {
		fixture->done = 0;
		for (size_t i = 0; i < num; i++)
			start(i);
		wait_done(num);
		for (size_t i = 0; i < num; i++)
			assert_int_equal(fixture->ops[i].status, RESOLVE_UNREACHABLE);
	}
}

// The kernel refuses at once, within resolve_start.
static void test_no_way(void **state)
{
	(void)state;
	assert_true(addr_parse(STR("255.255.255.255:53"), 0, &fixture->addrs[0]));
	fixture->num_servers = 1;
	open_resolver(PATIENT_MS);
	check_ask(RESOLVE_UNREACHABLE);
}

static void check_second_is_asked(void (*first)(struct name_server *, struct str), unsigned heard)
{
	open_server(first);
	open_server(say_yes);
	open_resolver(HASTY_MS);
	check_ask(RESOLVE_OK);
	assert_int_equal(fixture->servers[0].heard, heard);
	assert_int_equal(fixture->servers[1].heard, 1);
}

static void test_second_after_silence(void **state)
{
	(void)state;
	check_second_is_asked(say_nothing, 1);
}

static void test_second_after_servfail(void **state)
{
	(void)state;
	check_second_is_asked(say_servfail, 1);
}

static void test_second_after_none(void **state)
{
	(void)state;
	fixture->addrs[fixture->num_servers++] = tcp_deaf_addr();
	open_server(say_yes);
	open_resolver(PATIENT_MS);
	check_ask(RESOLVE_OK);
}

// Who answered with a failure is left alone; who was silent is asked again.
static void test_failure_then_silence(void **state)
{
	(void)state;
	open_server(say_servfail);
	open_server(say_nothing);
	open_resolver(HASTY_MS);
	check_ask(RESOLVE_TIMEOUT);
	assert_int_equal(fixture->servers[0].heard, 1);
	assert_int_equal(fixture->servers[1].heard, TRIES);
}

// ---- servers that are down ----------------------------------------------

static void ask_often(unsigned num)
{
	for (unsigned i = 0; i < num; i++) {
		fixture->done = 0;
		check_ask(RESOLVE_OK);
	}
}

static void check_passed_over(void)
{
	unsigned first = fixture->servers[0].heard, second = fixture->servers[1].heard;
	ask_often(20);
	assert_int_equal(fixture->servers[0].heard, first);
	assert_int_equal(fixture->servers[1].heard, second + 20);
}

static void test_silent_server_is_passed_over(void **state)
{
	(void)state;
	open_server(say_nothing);
	open_server(say_yes);
	open_resolver(HASTY_MS);
	ask_often(RESOLVER_DOWN_AT);
	assert_int_equal(fixture->servers[0].heard, RESOLVER_DOWN_AT);
	check_passed_over();
}

static void test_absent_server_is_passed_over(void **state)
{
	(void)state;
	assert_true(addr_parse(STR("127.0.0.1:1"), 0, &fixture->addrs[0]));
	fixture->num_servers = 1;
	open_server(say_yes);
	open_resolver(PATIENT_MS);
	assert_int_equal(resolver_num_servers(fixture->resolver), 2);
	ask_often(40);
	assert_int_equal(fixture->servers[1].heard, 40);
}

// Its answers are failures, too, but it is there.
static void test_failing_server_is_not_passed_over(void **state)
{
	(void)state;
	open_server(say_servfail);
	open_server(say_yes);
	open_resolver(PATIENT_MS);
	ask_often(10);
	assert_int_equal(fixture->servers[0].heard, 10);
}

// Nobody waits for it meanwhile.
static void test_silent_server_comes_back(void **state)
{
	enum { RECHECK_MS = 100, TIMEOUT_MS = 1000 };
	(void)state;
	open_server(say_nothing);
	open_server(say_yes);
	open_resolver_that_rechecks(TIMEOUT_MS, RECHECK_MS);
	// Not the moment of the last answer: the server is down before it comes.
	uint64_t down_since = net_now(&fixture->net) + TIMEOUT_MS;
	for (size_t i = 0; i < RESOLVER_DOWN_AT; i++)
		start(i);
	wait_done(RESOLVER_DOWN_AT);
	while (fixture->servers[0].heard == RESOLVER_DOWN_AT)
		ask_often(1);
	assert_in_range(net_now(&fixture->net) - down_since, RECHECK_MS, TIMEOUT_MS - 1);
	check_passed_over();
	fixture->servers[0].on_query = say_yes;
	while (fixture->servers[0].heard < RESOLVER_DOWN_AT + 3)
		ask_often(1);
	unsigned second = fixture->servers[1].heard;
	ask_often(20);
	assert_int_equal(fixture->servers[1].heard, second);
}

// As when one's zone is silent: the dead one is still not the first.
static void test_last_good_server_when_all_are_down(void **state)
{
	(void)state;
	open_server(say_nothing);
	open_server(say_yes);
	open_resolver(HASTY_MS);
	ask_often(RESOLVER_DOWN_AT);
	fixture->servers[1].on_query = say_nothing;
	for (unsigned i = 0; i < RESOLVER_DOWN_AT; i++) {
		fixture->done = 0;
		check_ask(RESOLVE_TIMEOUT);
	}
	fixture->servers[1].on_query = say_yes;
	check_passed_over();
}

// Its questions to servers that are down are dropped with it.
static void test_close_while_rechecking(void **state)
{
	(void)state;
	open_server(say_nothing);
	open_server(say_yes);
	open_resolver_that_rechecks(HASTY_MS, 1);
	ask_often(RESOLVER_DOWN_AT + 1);
	while (fixture->servers[0].heard == RESOLVER_DOWN_AT)
		ask_often(1);
}

// ---- promises -----------------------------------------------------------

static void test_cancel(void **state)
{
	(void)state;
	open_server(say_yes);
	open_resolver(PATIENT_MS);
	start(0);
	cancel(0);
	start(1);
	start(2);
	while (!fixture->servers[0].heard)
		step();
	cancel(1);
	wait_done(1);
	assert_int_equal(fixture->ops[0].done + fixture->ops[1].done, 0);
	assert_int_equal(fixture->ops[2].status, RESOLVE_OK);
	cancel(2);
}

static void on_done_cancel_others(struct resolve *resolve, const struct resolve_answer *answer)
{
	on_done(resolve, answer);
	for (size_t i = 0; i < 10; i++)
		resolve_cancel(&fixture->ops[i].resolve);
}

// Answers that came together are told one by one; the first one's owner can
// still drop the others.
static void test_cancel_within_on_done(void **state)
{
	(void)state;
	open_server(say_yes);
	open_resolver(PATIENT_MS);
	for (size_t i = 0; i < 10; i++) {
		fixture->ops[i].resolve.on_done = on_done_cancel_others;
		start(i);
	}
	wait_done(1);
}

static void on_done_start_again(struct resolve *resolve, const struct resolve_answer *answer)
{
	on_done(resolve, answer);
	if (fixture->done < 5)
		start(0);
}

static void test_start_within_on_done(void **state)
{
	(void)state;
	open_server(say_yes);
	open_resolver(PATIENT_MS);
	fixture->ops[0].resolve.on_done = on_done_start_again;
	start(0);
	wait_done(5);
	assert_int_equal(fixture->servers[0].heard, 5);
}

// The server hears nothing while they are sent, and the kernel does not hold them
// all for it, again and again; so some are never heard.
static void test_many(void **state)
{
	unsigned num[RESOLVE_STATUSES] = {0};
	(void)state;
	open_server(say_yes);
	open_resolver(HASTY_MS * 4);
	for (size_t i = 0; i < OPS; i++)
		start(i);
	wait_done(OPS);
	for (size_t i = 0; i < OPS; i++) {
		assert_int_equal(fixture->ops[i].done, 1);
		num[fixture->ops[i].status]++;
	}
	assert_int_equal(num[RESOLVE_OK] + num[RESOLVE_TIMEOUT], RESOLVER_BUSY_AT);
	assert_true(num[RESOLVE_OK] > RESOLVER_BUSY_AT / 32);
	assert_int_equal(num[RESOLVE_BUSY], OPS - RESOLVER_BUSY_AT);
	fixture->done = 0;
	check_ask(RESOLVE_OK);
}

// Dropped ones count until their time is over.
static void test_many_dropped(void **state)
{
	(void)state;
	open_server(say_nothing);
	open_resolver(HASTY_MS);
	for (size_t i = 0; i < RESOLVER_BUSY_AT; i++) {
		start(i);
		cancel(i);
	}
	check_ask(RESOLVE_BUSY);
	fixture->servers[0].on_query = say_yes;
	do {
		step();
		fixture->done = 0;
		start(0);
		wait_done(1);
	} while (fixture->ops[0].status == RESOLVE_BUSY);
	assert_int_equal(fixture->ops[0].status, RESOLVE_OK);
}

static void test_close(void **state)
{
	(void)state;
	open_server(say_nothing);
	open_resolver(PATIENT_MS);
	for (size_t i = 0; i < OPS; i++)
		start(i);
	while (!fixture->servers[0].heard)
		step();
	cancel(5);
	close_resolver();
	cancel(6);
	settle();
	assert_int_equal(fixture->done, OPS - RESOLVER_BUSY_AT);
}

static void on_done_close(struct resolve *resolve, const struct resolve_answer *answer)
{
	on_done(resolve, answer);
	resolver_close(&fixture->resolver);
	assert_int_equal(answer->num_names, 1);
	check_str(STR("name"), answer->names[0], host);
}

static void test_close_within_on_done(void **state)
{
	(void)state;
	open_server(say_yes);
	open_resolver(PATIENT_MS);
	for (size_t i = 0; i < 10; i++) {
		fixture->ops[i].resolve.on_done = on_done_close;
		start(i);
	}
	wait_done(1);
}

// An idle resolver does not keep the loop running.
static void test_idle(void **state)
{
	(void)state;
	open_server(say_more_by_tcp);
	open_resolver(PATIENT_MS);
	check_ask(RESOLVE_OK);
	name_server_close(&fixture->servers[0]);
	fixture->num_servers = 0;
	timer_clear(&fixture->deadline);
	net_run(&fixture->net);
}

static void test_system_servers(void **state)
{
	(void)state;
	open_resolver(PATIENT_MS);
}

// ---- ids and ports ------------------------------------------------------

enum { ASKED = 1000, AT_A_TIME = 20 };

static unsigned char seen_ids[1 << 16], seen_ports[1 << 16];

static void note_and_say_yes(struct name_server *server, struct str query)
{
	seen_ids[(unsigned char)query.at[0] << 8 | (unsigned char)query.at[1]] = 1;
	seen_ports[addr_port(&server->peer)] = 1;
	say_yes(server, query);
}

static void on_done_ask_more(struct resolve *resolve, const struct resolve_answer *answer)
{
	struct op *op = resolve->context;
	on_done(resolve, answer);
	if (fixture->done + AT_A_TIME <= ASKED)
		start((size_t)(op - fixture->ops));
}

static unsigned count(const unsigned char *seen)
{
	unsigned num = 0;
	for (size_t i = 0; i < 1 << 16; i++)
		num += seen[i];
	return num;
}

// Although there is never a moment without a question under way.
static void test_ids_and_ports_change(void **state)
{
	(void)state;
	memset(seen_ids, 0, sizeof(seen_ids));
	memset(seen_ports, 0, sizeof(seen_ports));
	open_server(note_and_say_yes);
	open_resolver(PATIENT_MS);
	for (size_t i = 0; i < AT_A_TIME; i++) {
		fixture->ops[i].resolve.on_done = on_done_ask_more;
		start(i);
	}
	wait_done(ASKED);
	// Some 8 of 1000 ids meet another by chance.
	assert_in_range(count(seen_ids), ASKED - 60, ASKED);
	assert_in_range(count(seen_ports), 10, ASKED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_name),
	    TEST(test_address),
	    TEST(test_no_such_name),
	    TEST(test_no_such_record),
	    TEST(test_no_host_name),
	    TEST(test_truncated),
	    TEST(test_wrong_answers_before),
	    TEST(test_without_edns),
	    TEST(test_servfail),
	    TEST(test_refused),
	    TEST(test_nonsense),
	    TEST(test_silence),
	    TEST(test_unreachable),
	    TEST(test_no_way),
	    TEST(test_second_after_silence),
	    TEST(test_second_after_servfail),
	    TEST(test_second_after_none),
	    TEST(test_failure_then_silence),
	    TEST(test_silent_server_is_passed_over),
	    TEST(test_absent_server_is_passed_over),
	    TEST(test_failing_server_is_not_passed_over),
	    TEST(test_silent_server_comes_back),
	    TEST(test_last_good_server_when_all_are_down),
	    TEST(test_close_while_rechecking),
	    TEST(test_cancel),
	    TEST(test_cancel_within_on_done),
	    TEST(test_start_within_on_done),
	    TEST(test_many),
	    TEST(test_many_dropped),
	    TEST(test_close),
	    TEST(test_close_within_on_done),
	    TEST(test_idle),
	    TEST(test_system_servers),
	    TEST(test_ids_and_ports_change),
	};
	return cmocka_run_group_tests_name("resolve", tests, NULL, NULL);
}
