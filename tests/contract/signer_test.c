// signer_test.c: proxy/net/signer.h, with this test in the place of the process that
// has the keys.
#include "tests/kit/check.h"

#include <sys/socket.h>
#include <unistd.h>

#include "proxy/net/signer.h"
#include "proxy/net/timer.h"

enum { ALGORITHM = 0x403, TEXT_LEN = 130, DEADLINE_MS = 10 * 1000 };

struct asked {
	struct signing signing;
	unsigned calls;
	bool starting;
	char signature[SIGNATURE_MAX];
	size_t len;
	const char *problem;
	struct asked *then_cancel;
};

static struct {
	struct net net;
	struct timer busy; // handshakes keep a worker's loop running, and this the test's
	struct signer *signer;
	int keys; // our end
	unsigned lost;
	char text[TEXT_LEN];
} bench;

static void on_due(struct timer *timer)
{
	(void)timer;
	fail_msg("the test takes too long");
}

static void on_lost(void *context)
{
	assert_ptr_equal(context, &bench);
	bench.lost++;
}

static void give_socket(void)
{
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	bench.keys = ends[0];
	signer_use(bench.signer, ends[1]);
}

static int open_bench(void **state)
{
	static const char context[] = "TLS 1.3, server CertificateVerify";
	(void)state;
	net_init(&bench.net);
	timer_init(&bench.busy, &bench.net, on_due);
	timer_set(&bench.busy, DEADLINE_MS);
	memset(bench.text, ' ', TEXT_LEN);
	memcpy(bench.text + 64, context, sizeof(context));
	bench.lost = 0;
	bench.signer = signer_new();
	signer_open(bench.signer, &bench.net, on_lost, &bench);
	give_socket();
	return 0;
}

static int close_bench(void **state)
{
	(void)state;
	signer_close(bench.signer);
	timer_close(&bench.busy, NULL);
	net_done(&bench.net);
	signer_free(&bench.signer);
	close(bench.keys);
	return 0;
}

static void on_done(struct signing *signing)
{
	struct asked *asked = (struct asked *)signing;
	assert_false(asked->starting);
	asked->calls++;
	asked->len = signing->signature.len;
	asked->problem = signing->problem;
	if (asked->len)
		memcpy(asked->signature, signing->signature.at, asked->len);
	if (asked->then_cancel)
		signer_cancel(bench.signer, &asked->then_cancel->signing);
}

static void start(struct asked *asked, uint32_t slot)
{
	*asked = (struct asked){.signing.on_done = on_done, .starting = true};
	assert_true(signer_start(
	    bench.signer, &asked->signing, slot, ALGORITHM, (struct str){bench.text, TEXT_LEN}));
	asked->starting = false;
}

// All that can happen by itself.
static void settle(void)
{
	for (int i = 0; i < 10; i++)
		uv_run(&bench.net.loop, UV_RUN_NOWAIT);
}

// One packet; its questions, and how many.
static size_t hear(struct signing_head heads[SIGNING_BATCH])
{
	char room[SIGNING_QUESTIONS_MAX];
	struct signing_frame frame;
	const struct str text = {bench.text, TEXT_LEN};
	size_t num = 0;
	settle();
	ssize_t n = recv(bench.keys, room, sizeof(room), MSG_DONTWAIT);
	if (n <= 0)
		return 0;
	struct str packet = {room, (size_t)n};
	while (signing_take(&packet, SIGNING_TEXT_MAX, &frame)) {
		check_str(STR("text"), frame.bytes, text);
		assert_int_equal(frame.head.algorithm, ALGORITHM);
		heads[num++] = frame.head;
	}
	assert_int_equal(packet.len, 0);
	return num;
}

static void answer(const struct signing_head *heads, size_t num, struct str signature)
{
	char room[SIGNING_ANSWERS_MAX];
	size_t len = 0;
	for (size_t i = 0; i < num; i++)
		len = signing_add(room, len, &heads[i], signature);
	assert_int_equal(send(bench.keys, room, len, 0), len);
	settle();
}

static void test_answered(void **state)
{
	struct signing_head heads[SIGNING_BATCH];
	struct asked asked;
	(void)state;
	start(&asked, 7);
	assert_int_equal(hear(heads), 1);
	assert_int_equal(heads[0].slot, 7);
	answer(heads, 1, STR("signature"));
	assert_int_equal(asked.calls, 1);
	const struct str got = {asked.signature, asked.len};
	check_str(STR("got"), got, STR("signature"));
	assert_null(asked.problem);
}

static void test_refused(void **state)
{
	struct signing_head heads[SIGNING_BATCH];
	struct asked asked;
	(void)state;
	start(&asked, 7);
	assert_int_equal(hear(heads), 1);
	answer(heads, 1, STR(""));
	assert_int_equal(asked.calls, 1);
	assert_int_equal(asked.len, 0);
	assert_non_null(asked.problem);
	assert_int_equal(bench.lost, 0);
}

static void test_no_text_of_tls(void **state)
{
	struct asked asked = {.signing.on_done = on_done};
	char room[SIGNING_TEXT_MAX + 1] = {0};
	(void)state;
	assert_false(signer_start(bench.signer, &asked.signing, 0, ALGORITHM, STR("a text")));
	assert_false(signer_start(
	    bench.signer, &asked.signing, 0, ALGORITHM, (struct str){room, sizeof(room)}));
	signer_cancel(bench.signer, &asked.signing);
	settle();
	assert_int_equal(asked.calls, 0);
}

// Questions of one turn go in packets as full as they may be, in their order.
static void test_batches(void **state)
{
	struct signing_head heads[SIGNING_BATCH];
	struct asked asked[SIGNING_BATCH + 2];
	(void)state;
	for (uint32_t i = 0; i < NUM(asked); i++)
		start(&asked[i], i);
	assert_int_equal(hear(heads), SIGNING_BATCH);
	for (uint32_t i = 0; i < SIGNING_BATCH; i++)
		assert_int_equal(heads[i].slot, i);
	answer(heads, SIGNING_BATCH, STR("s"));
	assert_int_equal(hear(heads), 2);
	answer(heads, 2, STR("s"));
	for (size_t i = 0; i < NUM(asked); i++)
		assert_int_equal(asked[i].calls, 1);
}

// What is out is bounded, and the rest follows as answers come.
static void test_window(void **state)
{
	static struct asked asked[2 * SIGNER_WINDOW];
	struct signing_head heads[SIGNER_WINDOW + SIGNING_BATCH];
	size_t num = 0, more;
	(void)state;
	for (uint32_t i = 0; i < NUM(asked); i++)
		start(&asked[i], i);
	while ((more = hear(heads + num)))
		num += more;
	assert_int_equal(num, SIGNER_WINDOW);
	for (size_t i = 0; i < num; i += SIGNING_BATCH)
		answer(heads + i, SIGNING_BATCH, STR("s"));
	for (num = 0; (more = hear(heads + num)); num += more)
		;
	assert_int_equal(num, SIGNER_WINDOW);
	assert_int_equal(heads[0].slot, SIGNER_WINDOW);
	for (size_t i = 0; i < num; i += SIGNING_BATCH)
		answer(heads + i, SIGNING_BATCH, STR("s"));
	for (size_t i = 0; i < NUM(asked); i++)
		assert_int_equal(asked[i].calls, 1);
}

static void test_cancelled(void **state)
{
	struct signing_head heads[SIGNING_BATCH];
	struct asked waiting, out, other;
	(void)state;
	start(&out, 1);
	start(&other, 2);
	assert_int_equal(hear(heads), 2);
	start(&waiting, 3);
	signer_cancel(bench.signer, &waiting.signing);
	signer_cancel(bench.signer, &out.signing);
	answer(heads, 2, STR("s"));
	assert_int_equal(waiting.calls, 0);
	assert_int_equal(out.calls, 0);
	assert_int_equal(other.calls, 1);
	assert_int_equal(hear(heads), 0);
}

// Whoever is answered may cancel one that is in the same packet.
static void test_cancelled_by_another(void **state)
{
	struct signing_head heads[SIGNING_BATCH];
	struct asked first, second;
	(void)state;
	start(&first, 1);
	start(&second, 2);
	first.then_cancel = &second;
	assert_int_equal(hear(heads), 2);
	answer(heads, 2, STR("s"));
	assert_int_equal(first.calls, 1);
	assert_int_equal(second.calls, 0);
}

// What was out fails; what was not goes to the next socket.
static void test_lost(void **state)
{
	struct signing_head heads[SIGNING_BATCH];
	struct asked out, after;
	(void)state;
	start(&out, 1);
	assert_int_equal(hear(heads), 1);
	close(bench.keys);
	settle();
	assert_int_equal(bench.lost, 1);
	assert_int_equal(out.calls, 1);
	assert_int_equal(out.len, 0);
	assert_non_null(out.problem);
	start(&after, 2);
	settle();
	assert_int_equal(after.calls, 0);
	give_socket();
	assert_int_equal(hear(heads), 1);
	assert_int_equal(heads[0].slot, 2);
	answer(heads, 1, STR("s"));
	assert_int_equal(after.calls, 1);
	assert_int_equal(after.len, 1);
}

static void test_another_socket_before_the_end_of_the_first(void **state)
{
	struct signing_head heads[SIGNING_BATCH];
	struct asked out, after;
	int first = bench.keys;
	(void)state;
	start(&out, 1);
	assert_int_equal(hear(heads), 1);
	give_socket();
	assert_int_equal(out.calls, 1);
	assert_int_equal(out.len, 0);
	close(first);
	start(&after, 2);
	assert_int_equal(hear(heads), 1);
	answer(heads, 1, STR("s"));
	assert_int_equal(after.len, 1);
	assert_int_equal(bench.lost, 0);
}

// A process that answers out of order, what nobody asked, or garbage, is not believed.
static void test_broken_answers(void **state)
{
	static const struct str garbage[] = {STR("x"), STR("0123456789abcdef"),
	    STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")};
	struct signing_head heads[SIGNING_BATCH] = {{0}};
	(void)state;
	for (size_t i = 0; i < NUM(garbage) + 2; i++) {
		struct asked asked;
		bench.lost = 0;
		start(&asked, 1);
		assert_int_equal(hear(heads), 1);
		heads[1] = heads[0];
		heads[i == NUM(garbage)].id++;
		if (i < NUM(garbage))
			assert_true(send(bench.keys, garbage[i].at, garbage[i].len, 0) > 0);
		else
			answer(heads, 2, STR("s"));
		settle();
		assert_int_equal(bench.lost, 1);
		assert_int_equal(asked.calls, 1);
		close(bench.keys);
		give_socket();
	}
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ROW(test_answered),
	    ROW(test_refused),
	    ROW(test_no_text_of_tls),
	    ROW(test_batches),
	    ROW(test_window),
	    ROW(test_cancelled),
	    ROW(test_cancelled_by_another),
	    ROW(test_lost),
	    ROW(test_another_socket_before_the_end_of_the_first),
	    ROW(test_broken_answers),
	};
	return cmocka_run_group_tests_name("signer", tests, NULL, NULL);
}
