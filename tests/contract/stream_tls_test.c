// stream_tls_test.c: proxy/net/stream.h on real connections: going over to TLS,
// broken records and refused certificates.
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/net/watch.h"
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

// ---- TLS behind a preface -------------------------------------------------

static void secure_after_preface(struct end *end)
{
	end->calling++;
	stream_secure_server_after_preface(&end->stream, end->bench->server, NULL);
	end->calling--;
}

static size_t take_preface(struct end *end, struct str bytes)
{
	size_t used = take_line(end, bytes);
	if (used) {
		end->take = NULL;
		secure_after_preface(end);
	}
	return used;
}

static size_t take_preface_and_pause(struct end *end, struct str bytes)
{
	size_t used = take_line(end, bytes);
	if (used)
		end_pause(end);
	return used;
}

// What was left has gone to TLS and is not offered again.
static void forget_left(struct end *end, enum stream_event event)
{
	if (event == STREAM_SECURED)
		buf_done(&end->left);
}

// A preface and the client's hello, ready to be sent to the near end; the far
// end is the client.
struct opening {
	struct middle middle;
	size_t len;
	char bytes[4096];
};

static void prepare_opening(struct bench *bench, struct opening *opening)
{
	*opening = (struct opening){.bytes = "PREFACE\r\n", .len = 9};
	opening->middle = bench_join_middle(bench);
	bench->near.take = take_preface;
	bench->near.heard = forget_left;
	end_secure(&bench->far);
	bench_settle(bench);
	ssize_t n = read(opening->middle.far, opening->bytes + opening->len,
	    sizeof(opening->bytes) - opening->len);
	assert_true(n > 100);
	opening->len += (size_t)n;
}

static void send_opening(struct bench *bench, struct opening *opening, size_t from, size_t to)
{
	ssize_t len = (ssize_t)(to - from);
	assert_int_equal(write(opening->middle.near, opening->bytes + from, to - from), len);
	bench_settle(bench);
}

static void finish_opening(struct bench *bench, struct opening *opening)
{
	while (!both_secured(bench))
		middle_carry(bench, &opening->middle, 4096, 0);
	bench->near.take = NULL;
	end_write(&bench->far, STR("CAPA\r\n"));
	while (bench->near.taken < 15)
		middle_carry(bench, &opening->middle, 4096, 0);
	check_str(STR("near"), buf_str(&bench->near.got), STR("PREFACE\r\nCAPA\r\n"));
	middle_close(&opening->middle);
}

// Its bytes in two pieces, however they are split.
static void test_preface_and_hello(void **state)
{
	struct opening opening;
	(void)state;
	for (size_t split = 0; split < 40; split++) {
		void *each = &clear_accepting;
		assert_int_equal(bench_open(&each), 0);
		prepare_opening(each, &opening);
		send_opening(each, &opening, 0, split);
		send_opening(each, &opening, split, opening.len);
		finish_opening(each, &opening);
		assert_int_equal(bench_close(&each), 0);
	}
}

static void test_preface_and_hello_byte_by_byte(void **state)
{
	struct bench *bench = *state;
	struct opening opening;
	prepare_opening(bench, &opening);
	for (size_t at = 0; at < opening.len; at++)
		send_opening(bench, &opening, at, at + 1);
	finish_opening(bench, &opening);
}

// The owner may take its time between the two.
static void test_preface_and_later_tls(void **state)
{
	struct bench *bench = *state;
	struct opening opening;
	prepare_opening(bench, &opening);
	bench->near.take = take_preface_and_pause;
	send_opening(bench, &opening, 0, opening.len);
	assert_true(stream_has_input(&bench->near.stream));
	secure_after_preface(&bench->near);
	while (!both_secured(bench))
		middle_carry(bench, &opening.middle, 4096, 0);
	end_resume(&bench->near);
	finish_opening(bench, &opening);
}

static size_t take_preface_only(struct end *end, struct str bytes)
{
	size_t used = take_line(end, bytes);
	if (used)
		end->take = take_none;
	return used;
}

struct trigger {
	struct watch watch;
	struct bench *bench;
};

static void on_readable(struct watch *watch)
{
	struct trigger *trigger = (void *)watch;
	watch_close(watch);
	secure_after_preface(&trigger->bench->near);
}

// The same within one turn of the loop with the next bytes, which come after
// those that were kept.
static void test_preface_and_tls_from_elsewhere(void **state)
{
	struct bench *bench = *state;
	struct trigger trigger = {.watch.on_readable = on_readable, .bench = bench};
	struct opening opening;
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	assert_true(watch_open(&trigger.watch, &bench->net, fds[0]));
	prepare_opening(bench, &opening);
	bench->near.take = take_preface_only;
	send_opening(bench, &opening, 0, 20);
	assert_int_equal(write(fds[1], "x", 1), 1);
	send_opening(bench, &opening, 20, opening.len);
	finish_opening(bench, &opening);
	close(fds[0]);
	close(fds[1]);
}

static void check_opening_fails(struct bench *bench, const char *error)
{
	WAIT_UNTIL(bench, bench->near.events[STREAM_FAILED]);
	bench_settle(bench);
	assert_non_null(strstr(bench->near.error, error));
	assert_int_equal(bench->near.events[STREAM_SECURED], 0);
	check_str(STR("near"), buf_str(&bench->near.got), STR("PREFACE\r\n"));
}

// What is no hello is refused as if there had been no preface, and never taken.
static void test_preface_and_clear_text(void **state)
{
	struct bench *bench = *state;
	int fd = bench_join_socket(bench);
	bench->near.take = take_preface;
	assert_int_equal(write(fd, "PREFACE\r\nUSER anna\r\n", 20), 20);
	check_opening_fails(bench, "WRONG_VERSION_NUMBER");
	close(fd);
}

static void test_preface_and_nothing(void **state)
{
	struct bench *bench = *state;
	int fd = bench_join_socket(bench);
	bench->near.take = take_preface;
	assert_int_equal(write(fd, "PREFACE\r\n", 9), 9);
	bench_settle(bench);
	assert_int_equal(bench->near.events[STREAM_FAILED], 0);
	close(fd);
	check_opening_fails(bench, "went away");
}

// A client that has ended its side before its TLS began can never shake hands.
static void check_end_before_later_tls(struct bench *bench, struct str opening)
{
	int fd = bench_join_socket(bench);
	bench->near.take = take_preface_and_pause;
	assert_int_equal(write(fd, opening.at, opening.len), (ssize_t)opening.len);
	close(fd);
	WAIT_UNTIL(bench, bench->near.taken == 9);
	bench_settle(bench);
	secure_after_preface(&bench->near);
	check_opening_fails(bench, "went away");
}

static void test_preface_and_end_before_later_tls(void **state)
{
	check_end_before_later_tls(*state, STR("PREFACE\r\n"));
}

static void test_preface_and_bytes_and_end_before_later_tls(void **state)
{
	check_end_before_later_tls(*state, STR("PREFACE\r\n\x16\x03"));
}

// ---- records --------------------------------------------------------------

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

// A hello of TLS 1.2 that asks for the name "a\0b".
static const char malformed_hello[] = "\x16\3\1\0\x3f\1\0\0\x3b\3\3"
                                      "abcdefghijklmnopqrstuvwxyz012345\0"
                                      "\0\2\xc0\x2b\1\0"
                                      "\0\x10\0\0\0\x0c\0\x0a\0\0\7"
                                      "a\0b.tes";

static int send_malformed_hello(struct bench *bench)
{
	int fd = bench_join_socket(bench);
	ssize_t len = sizeof(malformed_hello) - 1;
	end_secure(&bench->near);
	assert_int_equal(write(fd, malformed_hello, (size_t)len), len);
	return fd;
}

static void check_malformed_name_told(struct bench *bench)
{
	WAIT_UNTIL(bench, bench->near.events[STREAM_FAILED]);
	assert_non_null(strstr(bench->near.error, "server name (SNI)"));
}

// What was refused is told, whatever the client does next.
static void test_malformed_name_and_stay(void **state)
{
	int fd = send_malformed_hello(*state);
	check_malformed_name_told(*state);
	close(fd);
}

static void test_malformed_name_and_end(void **state)
{
	int fd = send_malformed_hello(*state);
	shutdown(fd, SHUT_WR);
	check_malformed_name_told(*state);
	close(fd);
}

static void test_malformed_name_and_reset(void **state)
{
	tcp_reset(send_malformed_hello(*state));
	check_malformed_name_told(*state);
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
	    cmocka_unit_test(test_preface_and_hello),
	    ROW(test_preface_and_hello_byte_by_byte, clear_accepting),
	    ROW(test_preface_and_later_tls, clear_accepting),
	    ROW(test_preface_and_tls_from_elsewhere, clear_accepting),
	    ROW(test_preface_and_clear_text, clear_accepting),
	    ROW(test_preface_and_nothing, clear_accepting),
	    ROW(test_preface_and_end_before_later_tls, clear_accepting),
	    ROW(test_preface_and_bytes_and_end_before_later_tls, clear_accepting),
	    SECURE_ROWS(test_split_at_every_byte),
	    SECURE_ROWS(test_changed_record),
	    SECURE_ROWS(test_not_tls_at_all),
	    ROW(test_malformed_name_and_stay, secure_accepting),
	    ROW(test_malformed_name_and_end, secure_accepting),
	    ROW(test_malformed_name_and_reset, secure_accepting),
	    SECURE_ROWS(test_peer_leaves_handshake),
	    SECURE_ROWS(test_refused_certificate),
	    SECURE_ROWS(test_accepted_certificate),
	    SECURE_ROWS(test_write_inside_callbacks),
	    SECURE_ROWS(test_handshake_while_paused),
	};
	return cmocka_run_group_tests_name("stream under TLS", tests, NULL, NULL);
}
