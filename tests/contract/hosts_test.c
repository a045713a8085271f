// hosts_test.c: the promises of policy/hosts.h, with a name server that answers
// from a table: names are looked up at start and again, the last good answer
// stays, for the next who opens the hosts too, and who waits for the first is
// told once, in time, from the loop, unless cancelled.
#include "policy/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "proxy/net/resolve.h"
#include "proxy/net/timer.h"
#include "tests/kit/check.h"
#include "tests/kit/logged.h"
#include "tests/kit/zone.h"

enum {
	WAITS = 100,
	DEADLINE_MS = 40 * 1000,
	TICK_MS = 2,
	QUICK_MS = 50,
	SOON_MS = 20, // until a name is looked up again, in tests of that
	TTL_S = 600,
	TURNS = 20,
};

struct op {
	struct hosts_wait wait;
	unsigned done;
	struct op *again;   // waits when this is done
	struct op *cancels; // when this is done
};

struct fixture {
	struct net net;
	struct timer ticks;
	uint64_t deadline;
	struct zone zone;
	struct resolver *resolver;
	struct host_answers *answers;
	struct hosts *hosts;
	struct op ops[WAITS];
	unsigned done; // in all
	bool in_call;
};

static struct fixture *fixture;

static void start(struct op *op, size_t index)
{
	bool in_call = fixture->in_call;
	fixture->in_call = true;
	hosts_wait_start(&op->wait, fixture->hosts, index);
	fixture->in_call = in_call;
}

static void cancel(struct op *op)
{
	fixture->in_call = true;
	hosts_wait_cancel(&op->wait);
	hosts_wait_cancel(&op->wait);
	fixture->in_call = false;
}

static void on_done(struct hosts_wait *wait)
{
	struct op *op = wait->context;
	assert_false(fixture->in_call);
	assert_null(wait->net);
	op->done++;
	fixture->done++;
	if (op->cancels)
		cancel(op->cancels);
	if (op->again)
		start(op->again, 0);
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
	for (int i = 0; i < TURNS; i++)
		uv_run(&fixture->net.loop, UV_RUN_NOWAIT);
}

static enum host_match match(size_t index, const char *ip)
{
	struct addr addr;
	assert_true(addr_parse(str_of(ip), 110, &addr));
	return hosts_match(fixture->hosts, index, &addr);
}

static void check_match(size_t index, const char *ip, enum host_match wanted)
{
	check(str_of(ip), match(index, ip) == wanted);
}

// Lets a name be looked up so often from now on, at least.
static void wait_heard(const struct zone_row *row, unsigned times)
{
	unsigned heard = row->heard;
	WAIT(row->heard >= heard + times);
	settle();
}

// ---- the whole ----------------------------------------------------------

static void look_up_often(void)
{
	static const struct hosts_times often = {SOON_MS, SOON_MS, SOON_MS, SOON_MS, SOON_MS};
	hosts_set_times(fixture->hosts, &often);
}

static void open_hosts(uint64_t timeout_ms)
{
	char room[256];
	struct text why = TEXT(room);
	struct resolver_setup setup = {.servers = &fixture->zone.server.addr,
	    .num_servers = 1,
	    .timeout_ms = timeout_ms,
	    .tries = 1};
	fixture->resolver = resolver_new(&fixture->net, &setup, &why);
	assert_non_null(fixture->resolver);
	const struct hosts_options options = {
	    .timeout_ms = timeout_ms, .tries = 1, .answers = fixture->answers};
	fixture->in_call = true;
	hosts_open(fixture->hosts, &fixture->net, fixture->resolver, &options);
	fixture->in_call = false;
}

// As the next worker does.
static void open_again(uint64_t timeout_ms)
{
	hosts_close(&fixture->hosts);
	resolver_close(&fixture->resolver);
	fixture->hosts = hosts_new();
	hosts_add(fixture->hosts, "a.test");
	open_hosts(timeout_ms);
}

// And waits for the first answer.
static void open_and_wait(uint64_t timeout_ms)
{
	open_hosts(timeout_ms);
	start(&fixture->ops[0], 0);
	WAIT(fixture->ops[0].done);
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
	fixture->zone.otherwise = ZONE_NODATA;
	zone_open(&fixture->zone, &fixture->net);
	for (size_t i = 0; i < WAITS; i++)
		fixture->ops[i].wait =
		    (struct hosts_wait){.on_done = on_done, .context = &fixture->ops[i]};
	fixture->hosts = hosts_new();
	logged_open();
	return 0;
}

static int close_fixture(void **state)
{
	(void)state;
	unsigned done = fixture->done;
	hosts_close(&fixture->hosts);
	assert_null(fixture->hosts);
	host_answers_free(&fixture->answers);
	for (size_t i = 0; i < WAITS; i++)
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

static size_t add(const char *name)
{
	return hosts_add(fixture->hosts, name);
}

static struct zone_row *add_v4(const char *name, const char *addrs)
{
	return zone_add(&fixture->zone, name, DNS_TYPE_A, TTL_S, addrs);
}

static struct zone_row *add_v6(const char *name, const char *addrs)
{
	return zone_add(&fixture->zone, name, DNS_TYPE_AAAA, TTL_S, addrs);
}

// ---- the first answer ---------------------------------------------------

static void test_never_opened(void **state)
{
	(void)state;
	assert_int_equal(add("a.test"), 0);
	assert_int_equal(add("b.test"), 1);
	assert_int_equal(add("A.test"), 0);
}

static void test_both_kinds(void **state)
{
	(void)state;
	add_v4("a.test", "192.0.2.1 192.0.2.2");
	add_v6("a.test", "[2001:db8::1]");
	add("a.test");
	open_hosts(DEADLINE_MS);
	check_match(0, "192.0.2.1", HOST_UNKNOWN);
	start(&fixture->ops[0], 0);
	check_match(0, "192.0.2.1", HOST_UNKNOWN);
	WAIT(fixture->ops[0].done);
	check_match(0, "192.0.2.1", HOST_MATCHES);
	check_match(0, "192.0.2.2", HOST_MATCHES);
	check_match(0, "::ffff:192.0.2.2", HOST_MATCHES);
	check_match(0, "2001:db8::1", HOST_MATCHES);
	check_match(0, "192.0.2.3", HOST_DIFFERS);
	check_match(0, "2001:db8::2", HOST_DIFFERS);
	assert_int_equal(fixture->zone.server.heard, 2);
}

static void test_one_kind_only(void **state)
{
	(void)state;
	add_v4("a.test", "192.0.2.1");
	add("a.test");
	open_and_wait(DEADLINE_MS);
	check_match(0, "192.0.2.1", HOST_MATCHES);
	check_match(0, "2001:db8::1", HOST_DIFFERS);
}

// What is known of one kind says nothing of the other.
static void test_one_kind_fails(void **state)
{
	(void)state;
	add_v4("a.test", "192.0.2.1");
	add_v6("a.test", "")->says = ZONE_SERVFAIL;
	add("a.test");
	open_and_wait(DEADLINE_MS);
	check_match(0, "192.0.2.1", HOST_MATCHES);
	check_match(0, "192.0.2.2", HOST_DIFFERS);
	check_match(0, "2001:db8::1", HOST_FAILED);
}

static void test_no_such_name(void **state)
{
	(void)state;
	fixture->zone.otherwise = ZONE_NXDOMAIN;
	add("a.test");
	open_and_wait(DEADLINE_MS);
	check_match(0, "192.0.2.1", HOST_DIFFERS);
	assert_int_equal(logged_lines("host_not_found"), 1);
	assert_int_equal(logged_lines("host=a.test"), 1);
}

static void test_silence(void **state)
{
	(void)state;
	fixture->zone.otherwise = ZONE_NOTHING;
	add("a.test");
	open_and_wait(QUICK_MS);
	check_match(0, "192.0.2.1", HOST_FAILED);
	assert_int_equal(logged_lines("why=timeout"), 1);
	assert_int_equal(logged_lines("host_not_found"), 0);
}

static void test_many_addresses(void **state)
{
	static char many[40 * 16];
	struct text text = TEXT(many);
	(void)state;
	for (unsigned i = 1; i <= 40; i++)
		text_addf(&text, "%s192.0.2.%u", i > 1 ? " " : "", i);
	add_v4("a.test", many);
	add("a.test");
	open_and_wait(DEADLINE_MS);
	check_match(0, "192.0.2.1", HOST_MATCHES);
	check_match(0, "192.0.2.32", HOST_MATCHES);
	check_match(0, "192.0.2.33", HOST_DIFFERS);
}

// More names than are asked for at a time.
static void test_many_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WAITS; i++) {
		char name[16];
		snprintf(name, sizeof(name), "n%u.test", i);
		assert_int_equal(add(name), i);
		if (i % 2)
			add_v4(name, "192.0.2.1");
	}
	open_hosts(DEADLINE_MS);
	for (unsigned i = 0; i < WAITS; i++)
		start(&fixture->ops[i], i);
	WAIT(fixture->done == WAITS);
	for (unsigned i = 0; i < WAITS; i++)
		check_match(i, "192.0.2.1", i % 2 ? HOST_MATCHES : HOST_DIFFERS);
	assert_int_equal(fixture->zone.server.heard, 2 * WAITS);
}

// ---- again --------------------------------------------------------------

static void test_not_before_its_time(void **state)
{
	(void)state;
	struct zone_row *row = add_v4("a.test", "192.0.2.1");
	add("a.test");
	open_and_wait(DEADLINE_MS);
	uint64_t now = net_now(&fixture->net);
	WAIT(net_now(&fixture->net) > now + 3 * SOON_MS);
	assert_int_equal(row->heard, 1);
}

static void test_new_addresses(void **state)
{
	(void)state;
	struct zone_row *v4 = add_v4("a.test", "192.0.2.1"),
	                *v6 = add_v6("a.test", "[2001:db8::1]");
	add("a.test");
	look_up_often();
	open_and_wait(DEADLINE_MS);
	v4->values = "192.0.2.2";
	v6->says = ZONE_NODATA;
	WAIT(match(0, "192.0.2.2") == HOST_MATCHES);
	check_match(0, "192.0.2.1", HOST_DIFFERS);
	check_match(0, "2001:db8::1", HOST_DIFFERS);
}

// Looked up twice in vain, or half in vain.
static void check_kept(enum zone_says v4_says, enum zone_says v6_says)
{
	struct zone_row *v4 = add_v4("a.test", "192.0.2.1"),
	                *v6 = add_v6("a.test", "[2001:db8::1]");
	add("a.test");
	look_up_often();
	open_and_wait(DEADLINE_MS);
	v4->says = v4_says;
	v6->says = v6_says;
	wait_heard(v6, 3);
	check_match(0, "192.0.2.1", HOST_MATCHES);
	check_match(0, "192.0.2.2", HOST_DIFFERS);
	check_match(0, "2001:db8::1", HOST_MATCHES);
	v4->says = v6->says = ZONE_OK;
	v4->values = "192.0.2.2";
	WAIT(match(0, "192.0.2.2") == HOST_MATCHES);
}

static void test_kept_on_servfail(void **state)
{
	(void)state;
	check_kept(ZONE_SERVFAIL, ZONE_SERVFAIL);
	assert_int_equal(logged_lines("host_not_found"), 0);
	assert_in_range(logged_lines("host_failed"), 2, WAITS);
}

static void test_kept_on_servfail_of_one_kind(void **state)
{
	(void)state;
	check_kept(ZONE_OK, ZONE_SERVFAIL);
}

static void test_kept_on_nxdomain(void **state)
{
	(void)state;
	check_kept(ZONE_NXDOMAIN, ZONE_NXDOMAIN);
	assert_int_equal(logged_lines("host_not_found"), 1);
	for (size_t i = 0; i < fixture->zone.num_rows; i++)
		fixture->zone.rows[i].says = ZONE_NODATA;
	WAIT(logged_lines("host_not_found") == 2); // since it was there in between
	check_match(0, "192.0.2.2", HOST_MATCHES);
}

static void test_found_at_last(void **state)
{
	(void)state;
	struct zone_row *row = add_v4("a.test", "192.0.2.1");
	row->says = ZONE_SERVFAIL;
	fixture->zone.otherwise = ZONE_SERVFAIL;
	add("a.test");
	look_up_often();
	open_and_wait(DEADLINE_MS);
	check_match(0, "192.0.2.1", HOST_FAILED);
	row->says = ZONE_OK;
	WAIT(match(0, "192.0.2.1") == HOST_MATCHES);
}

// ---- what others were told ----------------------------------------------

static void open_remembering(void)
{
	fixture->answers = host_answers_new();
	assert_non_null(fixture->answers);
	add("a.test");
	open_and_wait(DEADLINE_MS);
}

static void fall_silent(void)
{
	for (size_t i = 0; i < fixture->zone.num_rows; i++)
		fixture->zone.rows[i].says = ZONE_NOTHING;
	fixture->zone.otherwise = ZONE_NOTHING;
}

static void test_remembered(void **state)
{
	(void)state;
	add_v4("a.test", "192.0.2.1 192.0.2.2");
	open_remembering();
	fall_silent();
	open_again(QUICK_MS);
	check_match(0, "192.0.2.1", HOST_MATCHES);
	check_match(0, "192.0.2.2", HOST_MATCHES);
	check_match(0, "192.0.2.3", HOST_DIFFERS);
	check_match(0, "2001:db8::1", HOST_DIFFERS);
	start(&fixture->ops[1], 0); // waits for the loop alone
	settle();
	assert_int_equal(fixture->ops[1].done, 1);
	WAIT(logged_lines("host_failed"));
	settle();
	check_match(0, "192.0.2.1", HOST_MATCHES);
}

// One that knows the answer asks all the same, and the next knows what it got.
static void test_remembered_and_asked_anew(void **state)
{
	(void)state;
	struct zone_row *row = add_v4("a.test", "192.0.2.1");
	open_remembering();
	row->values = "192.0.2.2";
	open_again(DEADLINE_MS);
	check_match(0, "192.0.2.2", HOST_DIFFERS);
	WAIT(match(0, "192.0.2.2") == HOST_MATCHES);
	check_match(0, "192.0.2.1", HOST_DIFFERS);
	fall_silent();
	open_again(DEADLINE_MS);
	check_match(0, "192.0.2.1", HOST_DIFFERS);
	check_match(0, "192.0.2.2", HOST_MATCHES);
}

// A vanished name keeps what it had, over a worker that never saw it.
static void test_remembered_on_nxdomain(void **state)
{
	(void)state;
	struct zone_row *row = add_v4("a.test", "192.0.2.1");
	open_remembering();
	fixture->zone.otherwise = row->says = ZONE_NXDOMAIN;
	for (unsigned i = 1; i <= 2; i++) {
		open_again(DEADLINE_MS);
		WAIT(logged_lines("host_not_found") == i);
		check_match(0, "192.0.2.1", HOST_MATCHES);
	}
}

static void test_no_failure_is_remembered(void **state)
{
	(void)state;
	fixture->zone.otherwise = ZONE_NXDOMAIN;
	open_remembering();
	check_match(0, "192.0.2.1", HOST_DIFFERS);
	open_again(DEADLINE_MS);
	check_match(0, "192.0.2.1", HOST_UNKNOWN);
}

static void test_one_kind_remembered(void **state)
{
	(void)state;
	add_v4("a.test", "192.0.2.1");
	add_v6("a.test", "")->says = ZONE_SERVFAIL;
	open_remembering();
	fall_silent();
	open_again(QUICK_MS);
	check_match(0, "192.0.2.1", HOST_MATCHES);
	check_match(0, "2001:db8::1", HOST_UNKNOWN);
	start(&fixture->ops[1], 0);
	WAIT(fixture->ops[1].done);
	check_match(0, "192.0.2.1", HOST_MATCHES);
	check_match(0, "2001:db8::1", HOST_FAILED);
}

// As whoever dies while writing leaves it.
static void spoil(const char *ip)
{
	struct addr addr;
	struct stat stat;
	int fd = host_answers_fd(fixture->answers);
	assert_true(addr_parse(str_of(ip), 110, &addr));
	assert_int_equal(fstat(fd, &stat), 0);
	struct rdns_key key = rdns_key_of(&addr);
	size_t size = (size_t)stat.st_size;
	char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(pages != MAP_FAILED);
	char *at = memmem(pages, size, &key, sizeof(key));
	assert_non_null(at);
	at[sizeof(key) - 1] ^= 1;
	munmap(pages, size);
}

static void test_half_written_is_unknown(void **state)
{
	(void)state;
	add_v4("a.test", "192.0.2.2 192.0.2.4");
	open_remembering();
	spoil("192.0.2.4");
	open_again(DEADLINE_MS);
	check_match(0, "192.0.2.2", HOST_UNKNOWN);
	check_match(0, "192.0.2.4", HOST_UNKNOWN);
	check_match(0, "192.0.2.5", HOST_UNKNOWN);
	start(&fixture->ops[1], 0);
	WAIT(fixture->ops[1].done);
	open_again(DEADLINE_MS); // it was written over
	check_match(0, "192.0.2.4", HOST_MATCHES);
}

// ---- who waits ----------------------------------------------------------

// Four silent servers take four times as long to ask.
static void open_with_silent_servers(uint64_t timeout_ms)
{
	char room[256];
	struct text why = TEXT(room);
	const struct addr *one = &fixture->zone.server.addr;
	const struct addr servers[] = {*one, *one, *one, *one};
	const struct resolver_setup setup = {
	    .servers = servers, .num_servers = NUM(servers), .timeout_ms = timeout_ms, .tries = 1};
	const struct hosts_options options = {.timeout_ms = timeout_ms, .tries = 1};
	fixture->zone.otherwise = ZONE_NOTHING;
	fixture->resolver = resolver_new(&fixture->net, &setup, &why);
	assert_non_null(fixture->resolver);
	hosts_open(fixture->hosts, &fixture->net, fixture->resolver, &options);
}

// Those that are not asked for yet, as too many are, have waited as long.
static void test_first_answers_have_one_deadline(void **state)
{
	enum { TIMEOUT_MS = 1000 };
	(void)state;
	for (unsigned i = 0; i < WAITS; i++) {
		char name[16];
		snprintf(name, sizeof(name), "n%u.test", i);
		add(name);
	}
	uint64_t began = net_now(&fixture->net);
	open_with_silent_servers(TIMEOUT_MS);
	for (unsigned i = 0; i + 1 < WAITS; i++)
		start(&fixture->ops[i], i);
	WAIT(fixture->done == WAITS - 1);
	uint64_t took = net_now(&fixture->net) - began;
	assert_in_range(took, 2 * TIMEOUT_MS, 3 * TIMEOUT_MS);
	assert_int_equal(logged_lines("host_failed"), 0); // all are asked on
	check_match(0, "192.0.2.1", HOST_FAILED);
	check_match(WAITS - 1, "192.0.2.1", HOST_FAILED);
	start(&fixture->ops[WAITS - 1], WAITS - 1); // waits for the loop alone
	settle();
	assert_int_equal(fixture->done, WAITS);
}

static void test_late_answer(void **state)
{
	(void)state;
	add("a.test");
	open_with_silent_servers(QUICK_MS);
	start(&fixture->ops[0], 0);
	WAIT(fixture->ops[0].done);
	check_match(0, "192.0.2.1", HOST_FAILED);
	add_v4("a.test", "192.0.2.1");
	WAIT(match(0, "192.0.2.1") == HOST_MATCHES);
}

static void test_told_once_from_the_loop(void **state)
{
	(void)state;
	add_v4("a.test", "192.0.2.1");
	add("a.test");
	look_up_often();
	open_hosts(DEADLINE_MS);
	fixture->ops[0].again = &fixture->ops[1]; // when it is known already
	start(&fixture->ops[0], 0);
	WAIT(fixture->done == 2);
	start(&fixture->ops[2], 0);
	wait_heard(&fixture->zone.rows[0], 2);
	assert_int_equal(fixture->done, 3);
}

static void test_cancel(void **state)
{
	(void)state;
	add("a.test");
	open_hosts(DEADLINE_MS);
	cancel(&fixture->ops[0]); // was never started
	for (size_t i = 0; i < 4; i++)
		start(&fixture->ops[i], 0);
	cancel(&fixture->ops[1]);
	fixture->ops[0].cancels = &fixture->ops[2];
	WAIT(fixture->done == 2);
	settle();
	assert_int_equal(fixture->done, 2);
	assert_int_equal(fixture->ops[0].done + fixture->ops[3].done, 2);
	start(&fixture->ops[1], 0); // is known: waits for the loop alone
	cancel(&fixture->ops[1]);
	settle();
	assert_int_equal(fixture->done, 2);
}

static void test_close_drops_all(void **state)
{
	(void)state;
	fixture->zone.otherwise = ZONE_NOTHING;
	add_v4("known.test", "192.0.2.1");
	add_v6("known.test", "[2001:db8::1]");
	add("known.test");
	add("silent.test");
	open_and_wait(DEADLINE_MS);
	start(&fixture->ops[1], 0);
	start(&fixture->ops[2], 1);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ROW(test_never_opened),
	    ROW(test_both_kinds),
	    ROW(test_one_kind_only),
	    ROW(test_one_kind_fails),
	    ROW(test_no_such_name),
	    ROW(test_silence),
	    ROW(test_many_addresses),
	    ROW(test_many_names),
	    ROW(test_not_before_its_time),
	    ROW(test_new_addresses),
	    ROW(test_kept_on_servfail),
	    ROW(test_kept_on_servfail_of_one_kind),
	    ROW(test_kept_on_nxdomain),
	    ROW(test_found_at_last),
	    ROW(test_remembered),
	    ROW(test_remembered_and_asked_anew),
	    ROW(test_remembered_on_nxdomain),
	    ROW(test_no_failure_is_remembered),
	    ROW(test_one_kind_remembered),
	    ROW(test_half_written_is_unknown),
	    ROW(test_first_answers_have_one_deadline),
	    ROW(test_late_answer),
	    ROW(test_told_once_from_the_loop),
	    ROW(test_cancel),
	    ROW(test_close_drops_all),
	};
	return cmocka_run_group_tests_name("hosts", tests, NULL, NULL);
}
