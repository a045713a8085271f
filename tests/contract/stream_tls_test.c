// stream_tls_test.c: proxy/net/stream.h on real connections: going over to TLS,
// broken records and refused certificates.
#include <stdio.h>
#include <unistd.h>

#include "tests/kit/bench.h"
#include "tests/kit/tcp.h"

static bool both_secured(const struct bench *bench)
{
	return bench->near.events[STREAM_SECURED] && bench->far.events[STREAM_SECURED];
}

static void test_session(void **state)
{
	struct bench *bench = *state;
	bench_join(bench);
	assert_string_equal(tls_version(bench->near.stream.tls), "TLSv1.3");
	assert_non_null(strstr(tls_cipher(bench->near.stream.tls), "TLS_"));
	assert_false(tls_was_resumed(bench->near.stream.tls));
}

// Takes one line and goes over to TLS with it, as STLS does.
static size_t take_line_and_secure(struct end *end, struct str bytes)
{
	size_t used = take_line(end, bytes);
	if (used) {
		end->take = NULL;
		end_secure(end);
	}
	return used;
}

// RFC 2595 section 4: TLS begins right behind the CR LF.
static void test_upgrade(void **state)
{
	struct bench *bench = *state;
	bench_join_clear(bench);
	bench->near.take = take_line_and_secure;
	end_write(&bench->far, STR("STLS\r\n"));
	WAIT_UNTIL(bench, bench->near.taken == 6);
	end_secure(&bench->far);
	WAIT_UNTIL(bench, both_secured(bench));
	end_write(&bench->far, STR("CAPA\r\n"));
	end_write(&bench->near, STR("+OK\r\n"));
	WAIT_UNTIL(bench, bench->near.taken == 12 && bench->far.taken == 5);
	check_str(STR("near"), buf_str(&bench->near.got), STR("STLS\r\nCAPA\r\n"));
}

static size_t take_line_and_secure_only(struct end *end, struct str bytes)
{
	size_t used = take_line_and_secure(end, bytes);
	end->take = take_none;
	return used;
}

// RFC 2595 section 4, CVE-2011-0411: what came in the clear behind STLS is
// neither taken as if it had come under TLS nor lost without a word, whether
// its owner would take it or not.
static void check_bytes_from_before_tls(
    struct bench *bench, size_t (*take)(struct end *end, struct str bytes))
{
	bench_join_clear(bench);
	bench->near.take = take;
	end_write(&bench->far, STR("STLS\r\nUSER anna\r\n"));
	WAIT_UNTIL(bench, bench->near.taken >= 6);
	end_secure(&bench->far);
	WAIT_UNTIL(bench, bench->near.events[STREAM_FAILED] || bench->near.events[STREAM_SECURED]);
	check_str(STR("near"), buf_str(&bench->near.got), STR("STLS\r\n"));
	assert_string_equal(bench->near.error, "bytes from before TLS were left");
	assert_int_equal(bench->near.events[STREAM_SECURED], 0);
}

static void test_bytes_from_before_tls(void **state)
{
	check_bytes_from_before_tls(*state, take_line_and_secure_only);
}

static void test_bytes_from_before_tls_wanted(void **state)
{
	check_bytes_from_before_tls(*state, take_line_and_secure);
}

// The same for bytes that came while the stream was paused.
static void test_bytes_kept_before_tls(void **state)
{
	struct bench *bench = *state;
	bench_join_clear(bench);
	end_pause(&bench->near);
	end_write(&bench->far, STR("USER anna\r\n"));
	WAIT_UNTIL(bench, stream_has_input(&bench->near.stream));
	end_secure(&bench->near);
	end_resume(&bench->near);
	end_secure(&bench->far);
	WAIT_UNTIL(bench, bench->near.events[STREAM_FAILED] || bench->near.events[STREAM_SECURED]);
	assert_int_equal(bench->near.offers, 0);
	assert_int_equal(bench->near.events[STREAM_SECURED], 0);
}

// Whatever pieces the network makes of the records, the text is the same.
static void test_split_at_every_byte(void **state)
{
	struct bench *bench = *state;
	struct middle middle = bench_join_middle(bench);
	bench->near.is_pattern = bench->far.is_pattern = true;
	while (!both_secured(bench))
		middle_carry(bench, &middle, 1, 0);
	end_write_pattern(&bench->near, 700);
	end_write_pattern(&bench->far, 700);
	end_finish(&bench->near);
	while (bench->near.taken < 700 || !bench->far.events[STREAM_ENDED])
		middle_carry(bench, &middle, 1, 0);
	assert_int_equal(bench->far.taken_at_end, 700);
	assert_false(bench->far.stream.truncated);
	middle_close(&middle);
}

static void join_middle(struct bench *bench, struct middle *middle)
{
	*middle = bench_join_middle(bench);
	while (!both_secured(bench))
		middle_carry(bench, middle, 4096, 0);
	while (middle_carry(bench, middle, 4096, 0))
		;
}

// A record that was changed on its way is not taken, and the peer is told by
// an alert (RFC 8446 section 6.2) instead of a silent end.
static void test_changed_record(void **state)
{
	struct bench *bench = *state;
	struct middle middle;
	join_middle(bench, &middle);
	end_write(&bench->far, STR("secret"));
	while (!bench->near.events[STREAM_FAILED])
		middle_carry(bench, &middle, 4096, 0x20);
	assert_int_equal(bench->near.offers, 0);
	for (int i = 0; i < 100 && !bench->far.events[STREAM_FAILED]; i++)
		middle_carry(bench, &middle, 4096, 0);
	assert_non_null(strstr(bench->far.error, "ALERT"));
	middle_close(&middle);
}

// Clear text where TLS should begin fails, once.
static void test_not_tls_at_all(void **state)
{
	struct bench *bench = *state;
	int fd = bench_join_socket(bench);
	end_secure(&bench->near);
	assert_int_equal(write(fd, "+OK this is no TLS\r\n", 20), 20);
	WAIT_UNTIL(bench, bench->near.events[STREAM_FAILED]);
	bench_settle(bench);
	assert_int_equal(bench->near.events[STREAM_FAILED], 1);
	assert_int_equal(bench->near.events[STREAM_SECURED], 0);
	close(fd);
}

static void test_peer_leaves_handshake(void **state)
{
	struct bench *bench = *state;
	int fd = bench_join_socket(bench);
	end_secure(&bench->near);
	bench_settle(bench);
	close(fd);
	WAIT_UNTIL(bench, bench->near.events[STREAM_FAILED]);
	assert_int_equal(bench->near.events[STREAM_SECURED], 0);
	assert_int_equal(bench->near.events[STREAM_ENDED], 0);
}

static bool refuse(
    void *context, const struct str *chain, size_t num_chain, const char *name, struct text *why)
{
	struct bench *bench = context;
	if (num_chain != 1 || chain[0].len < 100 || strcmp(name, "pop.test") != 0)
		bench->broken = "the verifier gets the chain and the name";
	text_add(why, STR("nobody knows this certificate"));
	return false;
}

static void replace_client(struct bench *bench, tls_verify_fn *verify)
{
	char room[256];
	struct text why = TEXT(room);
	tls_client_free(&bench->client);
	bench->client = tls_client_new(verify, bench, &why);
	assert_non_null(bench->client);
}

static char error_when_closed[256];

static void look_at_error(struct end *end, enum stream_event event)
{
	if (event == STREAM_CLOSED)
		snprintf(
		    error_when_closed, sizeof(error_when_closed), "%s", stream_error(&end->stream));
}

// The client says why, and its server learns by an alert.  The reason can be
// read for as long as there is the stream.
static void test_refused_certificate(void **state)
{
	struct bench *bench = *state;
	replace_client(bench, refuse);
	bench_join_clear(bench);
	bench->near.heard = look_at_error;
	end_secure(&bench->near);
	end_secure(&bench->far);
	WAIT_UNTIL(bench, bench->near.events[STREAM_FAILED] || bench->far.events[STREAM_FAILED]);
	bench_settle(bench);
	struct end *client = bench->wiring->near_accepts ? &bench->far : &bench->near;
	struct end *server = bench->wiring->near_accepts ? &bench->near : &bench->far;
	assert_string_equal(client->error, "nobody knows this certificate");
	assert_non_null(strstr(server->error, "ALERT"));
	assert_int_equal(
	    bench->near.events[STREAM_SECURED] && bench->far.events[STREAM_SECURED], 0);
	end_close(&bench->near);
	WAIT_UNTIL(bench, bench->near.events[STREAM_CLOSED]);
	assert_string_equal(error_when_closed, bench->near.error);
}

static bool accept_it(
    void *context, const struct str *chain, size_t num_chain, const char *name, struct text *why)
{
	(void)chain;
	(void)num_chain;
	(void)name;
	(void)why;
	return context != NULL;
}

static void test_accepted_certificate(void **state)
{
	struct bench *bench = *state;
	replace_client(bench, accept_it);
	bench_join(bench);
	end_write(&bench->near, STR("hello"));
	WAIT_UNTIL(bench, bench->far.taken == 5);
}

static size_t take_and_answer(struct end *end, struct str bytes)
{
	end_write(end, STR("+OK\r\n"));
	return bytes.len;
}

static void greet(struct end *end, enum stream_event event)
{
	if (event == STREAM_SECURED)
		end_write(end, STR("+OK ready\r\n"));
}

// Writing from inside STREAM_SECURED (a greeting) and on_bytes (an answer).
static void test_write_inside_callbacks(void **state)
{
	struct bench *bench = *state;
	bench_join_clear(bench);
	bench->near.heard = greet;
	bench->near.take = take_and_answer;
	end_secure(&bench->near);
	end_secure(&bench->far);
	WAIT_UNTIL(bench, bench->far.taken == 11);
	end_write(&bench->far, STR("NOOP\r\n"));
	WAIT_UNTIL(bench, bench->far.taken == 16);
	check_str(STR("far"), buf_str(&bench->far.got), STR("+OK ready\r\n+OK\r\n"));
}

// A pause holds bytes back, not the handshake: it is nobody's bytes.
static void test_handshake_while_paused(void **state)
{
	struct bench *bench = *state;
	bench_join_clear(bench);
	end_pause(&bench->near);
	end_secure(&bench->near);
	end_secure(&bench->far);
	WAIT_UNTIL(bench, both_secured(bench));
	end_write(&bench->far, STR("abc"));
	bench_settle(bench);
	assert_int_equal(bench->near.offers, 0);
	end_resume(&bench->near);
	WAIT_UNTIL(bench, bench->near.taken == 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SECURE_ROWS(test_session),
	    SECURE_ROWS(test_upgrade),
	    ROW(test_bytes_from_before_tls, secure_accepting),
	    ROW(test_bytes_from_before_tls_wanted, secure_accepting),
	    ROW(test_bytes_kept_before_tls, secure_accepting),
	    SECURE_ROWS(test_split_at_every_byte),
	    SECURE_ROWS(test_changed_record),
	    SECURE_ROWS(test_not_tls_at_all),
	    SECURE_ROWS(test_peer_leaves_handshake),
	    SECURE_ROWS(test_refused_certificate),
	    SECURE_ROWS(test_accepted_certificate),
	    SECURE_ROWS(test_write_inside_callbacks),
	    SECURE_ROWS(test_handshake_while_paused),
	};
	return cmocka_run_group_tests_name("stream under TLS", tests, NULL, NULL);
}
