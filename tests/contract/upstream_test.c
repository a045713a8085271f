// upstream_test.c: the promises of backends/upstream.h, with stores that follow
// a script: on_done and on_challenge never before a call returns, on_done exactly once
// unless cancelled, neither after upstream_cancel; servers in order; who gets the
// stream; and whether a store has got the password.
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>

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
	struct credentials credentials;
	struct addr client, local;
	struct upstream upstream;
	struct stream stream;
	bool in_call;
	unsigned done;
	unsigned challenges;
	char challenge[REPLY_ROOM];
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

static void on_challenge(struct upstream *upstream, struct str challenge)
{
	assert_ptr_equal(upstream, &fixture->upstream);
	assert_false(fixture->in_call);
	assert_int_equal(fixture->done, 0);
	fixture->challenges++;
	assert_true(challenge.len < sizeof(fixture->challenge));
	memcpy(fixture->challenge, challenge.at, challenge.len);
	fixture->challenge[challenge.len] = '\0';
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
	fixture->options.master_separator = fixture->options.ntlm_domain = (char *)"";
	assert_true(addr_parse(STR("192.0.2.1:40000"), 0, &fixture->client));
	assert_true(addr_parse(STR("198.51.100.2:995"), 0, &fixture->local));
	fixture->credentials = (struct credentials){.user = STR("anna"),
	    .password = STR("a secret"),
	    .client = &fixture->client,
	    .local = &fixture->local,
	    .session = 0xab};
	fixture->upstream = (struct upstream){.net = &fixture->net,
	    .stream = &fixture->stream,
	    .timer = &fixture->timer,
	    .backend = &fixture->backend,
	    .credentials = &fixture->credentials,
	    .on_done = on_done,
	    .on_challenge = on_challenge};
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

static void test_logged_in_by_both_at_once(void **state)
{
	static const struct script both = {{"+OK hi\r\n", "+OK\r\n+OK Logged in.\r\n+OK more\r\n"}};
	(void)state;
	fixture->options.capabilities = CAPABILITY_pipelining;
	open_store(0, &both);
	run_to_done();
	assert_int_equal(fixture->result, UPSTREAM_LOGGED_IN);
	assert_string_equal(fixture->answer, "+OK Logged in.");
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

// Its no to PASS, which is on its way, is not waited for.
static void test_refused_at_user_of_both(void **state)
{
	static const struct script script = {{"+OK hi\r\n", "-ERR unknown user\r\n"}};
	(void)state;
	fixture->options.capabilities = CAPABILITY_pipelining;
	check_refused(&script, "-ERR unknown user");
}

// What is awaited is the second of two answers; no other server hears the password.
static void test_no_other_after_both(void **state)
{
	static const struct script script = {{"+OK hi\r\n", "+OK\r\n"}};
	(void)state;
	fixture->options.capabilities = CAPABILITY_pipelining;
	open_store(0, &script);
	open_store(1, &good);
	start();
	while (fixture->upstream.step != UPSTREAM_LOGIN || fixture->upstream.login.ahead)
		step();
	assert_string_equal(fixture->upstream.login.awaited, "its answer to PASS");
	upstream_on_due(&fixture->upstream);
	while (!fixture->done)
		step();
	assert_int_equal(fixture->result, UPSTREAM_UNAVAILABLE);
	assert_int_equal(fixture->stores[1].visits, 0);
}

static int unacknowledged(const struct store *store)
{
	int fd, bytes;
	assert_int_equal(uv_fileno((const uv_handle_t *)&store->streams[0].tcp, &fd), 0);
	assert_int_equal(ioctl(fd, SIOCOUTQ, &bytes), 0);
	return bytes;
}

// A store with Nagle's algorithm sends its second answer once the first has arrived.
static void test_first_answer_of_two_is_acknowledged(void **state)
{
	static const struct script script = {{"+OK hi\r\n", "+OK\r\n"}};
	(void)state;
	fixture->options.capabilities = CAPABILITY_pipelining;
	open_store(0, &script);
	start();
	while (fixture->upstream.step != UPSTREAM_LOGIN || fixture->upstream.login.ahead)
		step();
	assert_int_equal(unacknowledged(&fixture->stores[0]), 0);
	upstream_on_due(&fixture->upstream);
	while (!fixture->done)
		step();
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
	assert_true(upstream_has_asked(&fixture->upstream));
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
	fixture->upstream.login.stage = LOGIN_ASKED; // by an earlier dialogue
	run_to_done();
	assert_int_equal(fixture->result, UPSTREAM_UNAVAILABLE);
	assert_false(upstream_has_asked(&fixture->upstream));
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

// Cancelled while it waits for `step` of a login with so many moves made, it is silent
// for ever, and says whether the stream will still report that it is closed.
static void check_cancel(
    const struct script *slow, enum upstream_step at, unsigned made, bool on_loop)
{
	open_store(0, slow);
	start();
	while (fixture->upstream.step != at || fixture->upstream.login.made != made)
		step();
	fixture->in_call = true;
	assert_int_equal(upstream_cancel(&fixture->upstream), on_loop);
	fixture->in_call = false;
	assert_false(upstream_cancel(&fixture->upstream));
	if (on_loop)
		close_adopted();
	settle();
	assert_int_equal(fixture->done, 0);
}

static const struct script slow = {{""}};

static void test_cancel_before_the_first_turn(void **state)
{
	(void)state;
	check_cancel(&slow, UPSTREAM_CONNECT, 0, false);
	assert_false(upstream_has_asked(&fixture->upstream));
}

static void test_cancel_at_greeting(void **state)
{
	(void)state;
	check_cancel(&slow, UPSTREAM_GREETING, 0, true);
}

static void test_cancel_at_user(void **state)
{
	static const struct script script = {{"+OK\r\n", ""}};
	(void)state;
	check_cancel(&script, UPSTREAM_LOGIN, 1, true);
	assert_false(upstream_has_asked(&fixture->upstream));
}

static void test_cancel_at_pass(void **state)
{
	static const struct script script = {{"+OK\r\n", "+OK\r\n", ""}};
	(void)state;
	check_cancel(&script, UPSTREAM_LOGIN, 2, true);
	assert_true(upstream_has_asked(&fixture->upstream));
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
	assert_null(upstream_untold(&fixture->upstream));
	assert_int_equal(fixture->done, 1);
}

// As free does to what is read or written behind it.
static void be_gone(struct upstream *upstream, enum upstream_result result)
{
	on_done(upstream, result);
	upstream_done(upstream);
	memset(upstream, 0xa5, sizeof(*upstream));
}

static void check_gone(const struct script *script, enum upstream_result result)
{
	struct upstream gone;
	open_store(0, script);
	fixture->upstream.on_done = be_gone;
	run_to_done();
	assert_int_equal(fixture->result, result);
	memset(&gone, 0xa5, sizeof(gone));
	assert_memory_equal(&fixture->upstream, &gone, sizeof(gone));
	fixture->upstream = (struct upstream){0};
}

static void test_freed_as_it_is_logged_in(void **state)
{
	(void)state;
	check_gone(&good, UPSTREAM_LOGGED_IN);
	close_adopted();
}

static void test_freed_as_it_is_refused(void **state)
{
	static const struct script script = {{"+OK hi\r\n", "-ERR no\r\n"}};
	(void)state;
	check_gone(&script, UPSTREAM_REFUSED);
}

static void test_freed_as_nobody_is_there(void **state)
{
	static const struct script gone = {{NULL}};
	(void)state;
	check_gone(&gone, UPSTREAM_UNAVAILABLE);
}

// ---- who the client is --------------------------------------------------

static void check_heard(size_t store, struct str wanted)
{
	check_str(STR("what the store heard"), buf_str(&fixture->stores[store].heard), wanted);
}

static void test_proxy_header_comes_first(void **state)
{
	static const struct script script = {{"", "+OK hi\r\n", "+OK\r\n", "+OK\r\n"}};
	(void)state;
	fixture->options.client_address = CLIENT_ADDRESS_proxy_v1;
	open_store(0, &script);
	start();
	while (fixture->stores[0].said < 2)
		step();
	check_heard(0, STR("PROXY TCP4 192.0.2.1 198.51.100.2 40000 995\r\n"));
	while (!fixture->done)
		step();
	assert_int_equal(fixture->result, UPSTREAM_LOGGED_IN);
	close_adopted();
}

static void test_xclient(void **state)
{
	static const struct script plain = {{"+OK hi\r\n"}};
	static const struct script offer = {
	    {"+OK [XCLIENT] hi\r\n", "+OK Updated\r\n", "+OK\r\n", "+OK\r\n"}};
	(void)state;
	fixture->options.client_address = CLIENT_ADDRESS_xclient;
	open_store(0, &plain);
	open_store(1, &offer);
	run_to_done();
	assert_int_equal(fixture->result, UPSTREAM_LOGGED_IN);
	check_heard(0, STR(""));
	check_heard(1, STR("XCLIENT ADDR=192.0.2.1 PORT=40000 SESSION=00000000000000ab\r\n"
	                   "USER anna\r\nPASS a secret\r\n"));
	close_adopted();
}

// ---- what no store is told ----------------------------------------------

static void test_impossible_name(void **state)
{
	(void)state;
	fixture->credentials.user = STR("anna\r\nDELE 1");
	open_store(0, &good);
	run_to_done();
	assert_int_equal(fixture->result, UPSTREAM_REFUSED);
	assert_string_equal(
	    fixture->answer, "-ERR [AUTH] That user name or password cannot be right.");
	assert_non_null(upstream_untold(&fixture->upstream));
	assert_int_equal(fixture->stores[0].visits, 0);
	assert_int_equal(fixture->backend.servers[0].resting_until, 0);
}

static void test_master_for_a_stranger(void **state)
{
	(void)state;
	fixture->options.login = BACKEND_LOGIN_master;
	fixture->options.master_user = (char *)"boss";
	open_store(0, &good);
	run_to_done();
	assert_int_equal(fixture->result, UPSTREAM_UNAVAILABLE);
	assert_string_equal(fixture->answer, "");
	assert_int_equal(fixture->stores[0].visits, 0);
	assert_int_equal(fixture->backend.servers[0].resting_until, 0);
}

// A store that does not know the method is no use to anybody.
static void test_next_after_unknown_method(void **state)
{
	static const struct script old = {{"+OK hi\r\n", "-ERR unknown command\r\n"}};
	static const struct script modern = {{"+OK hi\r\n", "+ \r\n", "+OK\r\n"}};
	(void)state;
	fixture->options.login = BACKEND_LOGIN_plain;
	open_store(0, &old);
	open_store(1, &modern);
	run_to_done();
	assert_int_equal(fixture->result, UPSTREAM_LOGGED_IN);
	assert_true(fixture->backend.servers[0].resting_until > 0);
	close_adopted();
}

// ---- relayed NTLM -------------------------------------------------------

#define CHALLENGING "+OK hi\r\n", "+\r\n", "+ dHlwZSAy\r\n"
#define TOLD_TYPE_1 "AUTH NTLM\r\ndHlwZSAx\r\n"

static const struct script accepting = {{CHALLENGING, "+OK in\r\n+OK more\r\n"}};
static const struct script refusing = {{CHALLENGING, "-ERR [AUTH] no\r\n"}};
static const struct script silent_then = {{CHALLENGING, ""}};
static const struct script closing = {{CHALLENGING, NULL}};

static void start_relayed(const struct script *script)
{
	fixture->credentials = (struct credentials){.token = STR("type 1")};
	open_store(0, script);
	open_store(1, &good);
	start();
}

static void run_to_challenge(const struct script *script)
{
	start_relayed(script);
	while (!fixture->challenges)
		step();
	assert_string_equal(fixture->challenge, "type 2");
	assert_int_equal(fixture->upstream.step, UPSTREAM_CLIENT);
	assert_false(uv_is_active((uv_handle_t *)&fixture->timer.uv));
	check_heard(0, STR(TOLD_TYPE_1));
}

static void call(void (*what)(void))
{
	fixture->in_call = true;
	what();
	fixture->in_call = false;
}

static void relay(void)
{
	upstream_relay(&fixture->upstream, STR("type 3"));
}

static void abandon(void)
{
	upstream_abandon(&fixture->upstream);
}

// It ends in this way, once, and no other store hears of it.
static void expect(enum upstream_result result, const char *answer)
{
	while (!fixture->done)
		step();
	settle();
	assert_int_equal(fixture->done, 1);
	assert_int_equal(fixture->challenges, 1);
	assert_int_equal(fixture->result, result);
	assert_string_equal(fixture->answer, answer);
	assert_int_equal(fixture->stores[1].visits, 0);
	assert_int_equal(fixture->backend.servers[0].resting_until, 0);
}

static void test_relayed_and_logged_in(void **state)
{
	(void)state;
	run_to_challenge(&accepting);
	call(relay);
	assert_true(uv_is_active((uv_handle_t *)&fixture->timer.uv));
	expect(UPSTREAM_LOGGED_IN, "+OK in");
	check_heard(0, STR(TOLD_TYPE_1 "dHlwZSAz\r\n"));
	check_str(STR("kept"), buf_str(&fixture->stream.kept), STR("+OK more\r\n"));
	close_adopted();
}

static void relay_at_once(struct upstream *upstream, struct str challenge)
{
	on_challenge(upstream, challenge);
	relay();
}

static void test_relayed_within_on_challenge(void **state)
{
	(void)state;
	fixture->upstream.on_challenge = relay_at_once;
	start_relayed(&accepting);
	expect(UPSTREAM_LOGGED_IN, "+OK in");
	close_adopted();
}

static void test_relayed_and_refused(void **state)
{
	(void)state;
	run_to_challenge(&refusing);
	assert_false(upstream_has_asked(&fixture->upstream));
	call(relay);
	expect(UPSTREAM_REFUSED, "-ERR [AUTH] no");
	assert_true(upstream_has_asked(&fixture->upstream));
	assert_false(fixture->stream.open);
}

static void test_relayed_and_broken_off(void **state)
{
	(void)state;
	run_to_challenge(&closing);
	call(relay);
	expect(UPSTREAM_UNAVAILABLE, "");
	assert_true(upstream_has_asked(&fixture->upstream));
}

static void test_type_1_refused(void **state)
{
	static const struct script script = {{"+OK hi\r\n", "+ \r\n", "-ERR [AUTH] bad\r\n"}};
	(void)state;
	start_relayed(&script);
	while (!fixture->done)
		step();
	assert_int_equal(fixture->result, UPSTREAM_REFUSED);
	assert_int_equal(fixture->challenges, 0);
	assert_int_equal(fixture->stores[1].visits, 0);
}

// Of the challenge of a store that cannot go on nobody has heard yet.
static void check_next_challenges(const struct script *first)
{
	static const struct script second = {{CHALLENGING, "+OK in\r\n"}};
	fixture->credentials = (struct credentials){.token = STR("type 1")};
	open_store(0, first);
	open_store(1, &second);
	start();
	while (!fixture->challenges)
		step();
	check_heard(1, STR(TOLD_TYPE_1));
	call(relay);
	while (!fixture->done)
		step();
	assert_int_equal(fixture->result, UPSTREAM_LOGGED_IN);
	close_adopted();
}

static void test_next_after_no_ntlm(void **state)
{
	static const struct script script = {{"+OK hi\r\n", "-ERR unknown\r\n"}};
	(void)state;
	check_next_challenges(&script);
}

static void test_next_after_bad_challenge(void **state)
{
	static const struct script script = {{"+OK hi\r\n", "+\r\n", "+ ???\r\n"}};
	(void)state;
	check_next_challenges(&script);
}

static void (*what_next)(void);

// Runs between what came in and the end of what was closed for it.
static void on_check(uv_check_t *check)
{
	if (fixture->upstream.step != UPSTREAM_CLOSE)
		return;
	call(what_next);
	uv_check_stop(check);
	uv_close((uv_handle_t *)check, NULL);
}

static void do_while_closing(void (*what)(void))
{
	static uv_check_t check;
	what_next = what;
	uv_check_init(&fixture->net.loop, &check);
	uv_check_start(&check, on_check);
}

// The store leaves, or speaks, while it is the client's turn, and the timer the owner's.
static void check_store_fails(
    void (*act)(struct stream *stream), void (*what)(void), enum upstream_result result)
{
	run_to_challenge(&accepting);
	act(&fixture->stores[0].streams[0]);
	timer_set(&fixture->timer, DEADLINE_MS);
	if (what)
		do_while_closing(what);
	expect(result, "");
	assert_int_equal(uv_is_active((uv_handle_t *)&fixture->timer.uv), !what);
	assert_false(upstream_has_asked(&fixture->upstream));
	check_heard(0, STR(TOLD_TYPE_1));
}

static void speak(struct stream *stream)
{
	stream_write(stream, STR("+OK in\r\n"));
}

static void test_store_leaves_before_the_client_answers(void **state)
{
	(void)state;
	check_store_fails(stream_close, NULL, UPSTREAM_UNAVAILABLE);
}

static void test_store_speaks_before_the_client_answers(void **state)
{
	(void)state;
	check_store_fails(speak, NULL, UPSTREAM_UNAVAILABLE);
}

static void test_relay_as_the_store_leaves(void **state)
{
	(void)state;
	check_store_fails(stream_close, relay, UPSTREAM_UNAVAILABLE);
}

static void test_abandon_as_the_store_leaves(void **state)
{
	(void)state;
	check_store_fails(stream_close, abandon, UPSTREAM_ABANDONED);
}

// Whatever the store says to "*", and if it says nothing, it is over.
static void check_abandon(const struct script *script)
{
	run_to_challenge(script);
	call(abandon);
	expect(UPSTREAM_ABANDONED, "");
	check_heard(0, STR(TOLD_TYPE_1 "*\r\n"));
	assert_false(upstream_has_asked(&fixture->upstream));
	assert_false(fixture->stream.open);
}

static void test_abandon(void **state)
{
	(void)state;
	check_abandon(&refusing);
}

static void test_abandon_accepted(void **state)
{
	(void)state;
	check_abandon(&accepting);
}

static void test_abandon_closed(void **state)
{
	(void)state;
	check_abandon(&closing);
}

static void test_abandon_unanswered(void **state)
{
	(void)state;
	run_to_challenge(&silent_then);
	call(abandon);
	while (!buf_len(&fixture->stores[0].heard) || fixture->stores[0].said < 4)
		step();
	assert_true(uv_timer_get_due_in(&fixture->timer.uv) <= 2000);
	upstream_on_due(&fixture->upstream);
	expect(UPSTREAM_ABANDONED, "");
}

static void check_cancel_relayed(const struct script *script, unsigned made)
{
	fixture->credentials = (struct credentials){.token = STR("type 1")};
	check_cancel(script, UPSTREAM_LOGIN, made, true);
	assert_int_equal(fixture->challenges, 0);
}

static void test_cancel_at_auth(void **state)
{
	static const struct script script = {{"+OK\r\n", ""}};
	(void)state;
	check_cancel_relayed(&script, 1);
}

static void test_cancel_at_type_1(void **state)
{
	static const struct script script = {{"+OK\r\n", "+ \r\n", ""}};
	(void)state;
	check_cancel_relayed(&script, 2);
}

// Cancelled after the challenge, when `what` was done.
static void check_cancel_after(void (*what)(void))
{
	run_to_challenge(&silent_then);
	if (what)
		call(what);
	assert_true(upstream_cancel(&fixture->upstream));
	assert_false(upstream_cancel(&fixture->upstream));
	close_adopted();
	settle();
	assert_int_equal(fixture->done, 0);
}

static void test_cancel_at_the_client(void **state)
{
	(void)state;
	check_cancel_after(NULL);
	assert_false(upstream_has_asked(&fixture->upstream));
}

static void test_cancel_at_type_3(void **state)
{
	(void)state;
	check_cancel_after(relay);
	assert_true(upstream_has_asked(&fixture->upstream));
}

static void test_cancel_at_abandon(void **state)
{
	(void)state;
	check_cancel_after(abandon);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_logged_in),
	    TEST(test_logged_in_by_both_at_once),
	    TEST(test_next_after_busy_greeting),
	    TEST(test_next_after_close),
	    TEST(test_next_after_no_pop3),
	    TEST(test_next_after_unasked_bytes),
	    TEST(test_next_after_endless_line),
	    TEST(test_refused_at_user),
	    TEST(test_refused_at_user_of_both),
	    TEST(test_no_other_after_both),
	    TEST(test_first_answer_of_two_is_acknowledged),
	    TEST(test_refused_at_pass),
	    TEST(test_no_other_after_pass),
	    TEST(test_all_deaf),
	    TEST(test_silent),
	    TEST(test_cancel_before_the_first_turn),
	    TEST(test_cancel_at_greeting),
	    TEST(test_cancel_at_user),
	    TEST(test_cancel_at_pass),
	    TEST(test_start_again_within_on_done),
	    TEST(test_freed_as_it_is_logged_in),
	    TEST(test_freed_as_it_is_refused),
	    TEST(test_freed_as_nobody_is_there),
	    TEST(test_proxy_header_comes_first),
	    TEST(test_xclient),
	    TEST(test_impossible_name),
	    TEST(test_master_for_a_stranger),
	    TEST(test_next_after_unknown_method),
	    TEST(test_relayed_and_logged_in),
	    TEST(test_relayed_within_on_challenge),
	    TEST(test_relayed_and_refused),
	    TEST(test_relayed_and_broken_off),
	    TEST(test_type_1_refused),
	    TEST(test_next_after_no_ntlm),
	    TEST(test_next_after_bad_challenge),
	    TEST(test_store_leaves_before_the_client_answers),
	    TEST(test_store_speaks_before_the_client_answers),
	    TEST(test_relay_as_the_store_leaves),
	    TEST(test_abandon_as_the_store_leaves),
	    TEST(test_abandon),
	    TEST(test_abandon_accepted),
	    TEST(test_abandon_closed),
	    TEST(test_abandon_unanswered),
	    TEST(test_cancel_at_auth),
	    TEST(test_cancel_at_type_1),
	    TEST(test_cancel_at_the_client),
	    TEST(test_cancel_at_type_3),
	    TEST(test_cancel_at_abandon),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
