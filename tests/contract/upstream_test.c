// upstream_test.c: the promises of backends/upstream.h, with stores that follow
// a script: on_done never before a call returns, exactly once unless cancelled,
// never after upstream_cancel; servers in order; who gets the stream; and whether
// a store has got the password.
#include <stdlib.h>

#include "backends/upstream.h"
#include "proxy/net/listen.h"
#include "tests/kit/check.h"
#include "tests/kit/tcp.h"

enum { SERVERS = 2, LINES = 5, VISITS = 2, DEADLINE_MS = 20 * 1000, REPLY_ROOM = 600 };

// What a store says: its greeting, then a line for each line it gets.  NULL:
// it closes instead.  "": it says nothing.
struct script {
	const char *lines[LINES];
};

struct store {
	struct listen listen;
	struct stream streams[VISITS];
	const struct script *script;
	size_t said;
	unsigned visits;
	struct buf heard;
};

struct fixture {
	struct net net;
	struct timer timer;
	struct timer deadline;
	struct store stores[SERVERS];
	struct backend backend;
	struct backend_options options;
	struct claim claim;
	struct upstream upstream;
	struct stream stream;
	bool in_call;
	unsigned done;
	enum upstream_result result;
	char answer[REPLY_ROOM];
	bool closed;
};

static struct fixture *fixture;

// ---- stores -------------------------------------------------------------

static void say(struct store *store, struct stream *stream)
{
	const char *line = store->said < LINES ? store->script->lines[store->said++] : "";
	if (line)
		stream_write(stream, str_of(line));
	else
		stream_close(stream);
}

static size_t on_store_bytes(struct stream *stream, struct str bytes)
{
	struct store *store = stream->context;
	assert_true(buf_add(&store->heard, bytes, 4096));
	say(store, stream);
	return bytes.len;
}

static void on_store_event(struct stream *stream, enum stream_event event)
{
	if (event == STREAM_ENDED || event == STREAM_FAILED)
		stream_close(stream);
}

static const struct stream_owner store_owner = {on_store_bytes, on_store_event};

static void on_visit(struct listen *listen, int fd, const struct addr *peer)
{
	struct store *store = listen->context;
	(void)peer;
	assert_true(store->visits < VISITS);
	struct stream *stream = &store->streams[store->visits++];
	store->said = 0;
	assert_true(stream_open(stream, &fixture->net, fd, &store_owner, store));
	stream_resume(stream);
	say(store, stream);
}

static void open_store(size_t i, const struct script *script)
{
	struct store *store = &fixture->stores[i];
	struct backend_server *server = &fixture->backend.servers[i];
	store->script = script;
	store->listen.on_accepted = on_visit;
	store->listen.context = store;
	assert_true(listen_open(&store->listen, &fixture->net, tcp_listen(&server->addr)));
	tcp_set_nonblocking(store->listen.fd);
	server->name = server->host = (char *)"store";
	fixture->backend.num_servers = i + 1;
}

// ---- the dialogue's owner -----------------------------------------------

static void on_done(struct upstream *upstream, enum upstream_result result)
{
	struct str answer = upstream_answer(upstream);
	assert_false(fixture->in_call);
	fixture->done++;
	fixture->result = result;
	assert_true(answer.len < sizeof(fixture->answer));
	memcpy(fixture->answer, answer.at ? answer.at : "", answer.len);
	fixture->answer[answer.len] = '\0';
}

static void start(void)
{
	fixture->in_call = true;
	upstream_start(&fixture->upstream);
	fixture->in_call = false;
	assert_int_equal(fixture->done, 0);
}

static void on_due(struct timer *timer)
{
	(void)timer;
	upstream_on_due(&fixture->upstream);
}

static void on_too_late(struct timer *timer)
{
	(void)timer;
	fail_msg("nothing more happens");
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

static size_t no_bytes(struct stream *stream, struct str bytes)
{
	(void)stream;
	return bytes.len;
}

static void on_adopted_event(struct stream *stream, enum stream_event event)
{
	(void)stream;
	fixture->closed |= event == STREAM_CLOSED;
}

static const struct stream_owner adopter = {no_bytes, on_adopted_event};

static void close_adopted(void)
{
	fixture->stream.owner = &adopter;
	stream_close(&fixture->stream);
	while (!fixture->closed)
		step();
}

static void run_to_done(void)
{
	start();
	while (!fixture->done)
		step();
	settle();
	assert_int_equal(fixture->done, 1);
}

static int open_fixture(void **state)
{
	(void)state;
	fixture = calloc(1, sizeof(*fixture));
	net_init(&fixture->net);
	timer_init(&fixture->timer, &fixture->net, on_due);
	timer_init(&fixture->deadline, &fixture->net, on_too_late);
	timer_set(&fixture->deadline, DEADLINE_MS);
	fixture->options = (struct backend_options){.tls = BACKEND_TLS_none,
	    .verify_name = (char *)"",
	    .connect_timeout = DEADLINE_MS,
	    .login_timeout = DEADLINE_MS};
	fixture->backend.name = "test";
	fixture->backend.options = &fixture->options;
	assert_true(claim_plain(&fixture->claim, "USER", STR("anna"), STR("a secret")));
	fixture->upstream = (struct upstream){.net = &fixture->net,
	    .stream = &fixture->stream,
	    .timer = &fixture->timer,
	    .backend = &fixture->backend,
	    .claim = &fixture->claim,
	    .on_done = on_done};
	return 0;
}

static int close_fixture(void **state)
{
	(void)state;
	for (size_t i = 0; i < fixture->backend.num_servers; i++) {
		struct store *store = &fixture->stores[i];
		if (store->listen.context)
			listen_close(&store->listen);
		for (unsigned visit = 0; visit < store->visits; visit++)
			stream_close(&store->streams[visit]);
		buf_done(&store->heard);
	}
	timer_close(&fixture->timer, NULL);
	timer_close(&fixture->deadline, NULL);
	net_run(&fixture->net);
	net_done(&fixture->net);
	upstream_done(&fixture->upstream);
	claim_done(&fixture->claim);
	free(fixture);
	return 0;
}

// ---- tests --------------------------------------------------------------

static const struct script good = {{"+OK hi\r\n", "+OK\n", "+OK Logged in.\r\n+OK more\r\n"}};

static void test_logged_in(void **state)
{
	(void)state;
	open_store(0, &good);
	run_to_done();
	assert_int_equal(fixture->result, UPSTREAM_LOGGED_IN);
	assert_string_equal(fixture->answer, "+OK Logged in.");
	check_str(STR("what the store heard"), buf_str(&fixture->stores[0].heard),
	    STR("USER anna\r\nPASS a secret\r\n"));
	// What came behind the answer is the owner's.
	assert_true(fixture->stream.open && fixture->stream.paused);
	check_str(STR("kept"), buf_str(&fixture->stream.kept), STR("+OK more\r\n"));
	close_adopted();
}

// A store that does not take us up: the second one is asked.  It rests for a
// while, unless its trouble may be with this one user.
static void check_second_is_tried(const struct script *first, bool rests)
{
	open_store(0, first);
	open_store(1, &good);
	run_to_done();
	assert_int_equal(fixture->result, UPSTREAM_LOGGED_IN);
	assert_int_equal(fixture->stores[0].visits, 1);
	assert_ptr_equal(fixture->upstream.server, &fixture->backend.servers[1]);
	assert_int_equal(fixture->backend.servers[0].resting_until > 0, rests);
	close_adopted();
}

static void test_next_after_busy_greeting(void **state)
{
	static const struct script busy = {{"-ERR too many connections\r\n"}};
	(void)state;
	check_second_is_tried(&busy, true);
}

static void test_next_after_close(void **state)
{
	static const struct script gone = {{"+OK hi\r\n", NULL}};
	(void)state;
	check_second_is_tried(&gone, false);
}

static void test_next_after_no_pop3(void **state)
{
	static const struct script smtp = {{"220 mail ESMTP\r\n"}};
	(void)state;
	check_second_is_tried(&smtp, true);
}

static void test_next_after_unasked_bytes(void **state)
{
	static const struct script chatty = {{"+OK hi\r\n+OK and more\r\n"}};
	(void)state;
	check_second_is_tried(&chatty, true);
}

static void test_next_after_endless_line(void **state)
{
	static char endless[5000];
	static const struct script noise = {{endless}};
	(void)state;
	memset(endless, 'x', sizeof(endless) - 1);
	check_second_is_tried(&noise, true);
}

static void check_refused(const struct script *script, const char *answer)
{
	open_store(0, script);
	open_store(1, &good);
	run_to_done();
	assert_int_equal(fixture->result, UPSTREAM_REFUSED);
	assert_string_equal(fixture->answer, answer);
	assert_int_equal(fixture->stores[1].visits, 0);
	assert_false(fixture->stream.open);
}

static void test_refused_at_user(void **state)
{
	static const struct script script = {{"+OK hi\r\n", "-ERR unknown user\r\n"}};
	(void)state;
	check_refused(&script, "-ERR unknown user");
}

static void test_refused_at_pass(void **state)
{
	static const struct script script = {{"+OK hi\r\n", "+OK\r\n", "-ERR [AUTH] no\r\n"}};
	(void)state;
	check_refused(&script, "-ERR [AUTH] no");
}

// Once the password was sent, no other server hears it.
static void test_no_other_after_pass(void **state)
{
	static const struct script script = {{"+OK hi\r\n", "+OK\r\n", NULL}};
	(void)state;
	open_store(0, &script);
	open_store(1, &good);
	run_to_done();
	assert_int_equal(fixture->result, UPSTREAM_UNAVAILABLE);
	assert_int_equal(fixture->stores[1].visits, 0);
	assert_true(fixture->upstream.asked);
	assert_string_equal(fixture->answer, "");
}

static void test_all_deaf(void **state)
{
	(void)state;
	for (size_t i = 0; i < SERVERS; i++) {
		fixture->backend.servers[i].addr = tcp_deaf_addr();
		fixture->backend.servers[i].name = (char *)"deaf";
	}
	fixture->backend.num_servers = SERVERS;
	fixture->upstream.asked = true; // by an earlier dialogue
	run_to_done();
	assert_int_equal(fixture->result, UPSTREAM_UNAVAILABLE);
	assert_false(fixture->upstream.asked);
}

// The deadline is the owner's timer; here it is due at once.
static void test_silent(void **state)
{
	static const struct script silent = {{""}};
	(void)state;
	open_store(0, &silent);
	start();
	while (fixture->upstream.step != UPSTREAM_GREETING)
		step();
	upstream_on_due(&fixture->upstream);
	while (!fixture->done)
		step();
	assert_int_equal(fixture->result, UPSTREAM_UNAVAILABLE);
}

// Cancelled while it waits for `step`, it is silent for ever, and says whether
// the stream will still report that it is closed.
static void check_cancel(enum upstream_step at, bool on_loop)
{
	static const struct script slow[] = {
	    [UPSTREAM_CONNECT] = {{""}},
	    [UPSTREAM_GREETING] = {{""}},
	    [UPSTREAM_USER] = {{"+OK\r\n", ""}},
	    [UPSTREAM_PASS] = {{"+OK\r\n", "+OK\r\n", ""}},
	};
	open_store(0, &slow[at]);
	start();
	while (fixture->upstream.step != at)
		step();
	fixture->in_call = true;
	assert_int_equal(upstream_cancel(&fixture->upstream), on_loop);
	fixture->in_call = false;
	assert_int_equal(fixture->upstream.asked, at == UPSTREAM_PASS);
	assert_false(upstream_cancel(&fixture->upstream));
	if (on_loop)
		close_adopted();
	settle();
	assert_int_equal(fixture->done, 0);
}

static void test_cancel_before_the_first_turn(void **state)
{
	(void)state;
	check_cancel(UPSTREAM_CONNECT, false);
}

static void test_cancel_at_greeting(void **state)
{
	(void)state;
	check_cancel(UPSTREAM_GREETING, true);
}

static void test_cancel_at_user(void **state)
{
	(void)state;
	check_cancel(UPSTREAM_USER, true);
}

static void test_cancel_at_pass(void **state)
{
	(void)state;
	check_cancel(UPSTREAM_PASS, true);
}

static void restart(struct upstream *upstream, enum upstream_result result)
{
	on_done(upstream, result);
	fixture->done = 0;
	upstream->on_done = on_done;
	upstream_start(upstream);
}

static void test_start_again_within_on_done(void **state)
{
	static const struct script script = {{"+OK hi\r\n", "-ERR no\r\n"}};
	(void)state;
	open_store(0, &script);
	fixture->upstream.on_done = restart;
	start();
	while (fixture->stores[0].visits < 2 || !fixture->done)
		step();
	assert_int_equal(fixture->result, UPSTREAM_REFUSED);
	assert_int_equal(fixture->done, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_logged_in),
	    TEST(test_next_after_busy_greeting),
	    TEST(test_next_after_close),
	    TEST(test_next_after_no_pop3),
	    TEST(test_next_after_unasked_bytes),
	    TEST(test_next_after_endless_line),
	    TEST(test_refused_at_user),
	    TEST(test_refused_at_pass),
	    TEST(test_no_other_after_pass),
	    TEST(test_all_deaf),
	    TEST(test_silent),
	    TEST(test_cancel_before_the_first_turn),
	    TEST(test_cancel_at_greeting),
	    TEST(test_cancel_at_user),
	    TEST(test_cancel_at_pass),
	    TEST(test_start_again_within_on_done),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
