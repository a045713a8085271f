// staples_test.c: when a source of OCSP responses is tried again, by a file that is not
// there.  What comes of one that is there, and of responders, is in tests/system.
#include "tests/kit/check.h"

#include "proxy/server/staples.h"
#include "tests/kit/cert.h"
#include "tests/kit/logged.h"

enum { MINUTE_MS = 60 * 1000 };

struct bench {
	struct certificate_config certificate;
	struct config config;
	struct tls_certificate *served;
	struct snapshot snapshot;
	struct generation generation;
	struct generations generations;
	struct staples staples;
};

static struct bench bench;
static char name[] = "edge", path[] = "/nowhere/edge.ocsp";

static int open_bench(void **state)
{
	(void)state;
	logged_open();
	bench = (struct bench){
	    .certificate =
	        {
	            .name = name,
	            .options = {.ocsp = CERTIFICATE_OCSP_file, .ocsp_file = path},
	        },
	    .served = cert_certificate(),
	};
	bench.config = (struct config){.certificates = &bench.certificate, .num_certificates = 1};
	bench.snapshot = (struct snapshot){.config = &bench.config, .certificates = &bench.served};
	bench.generation = (struct generation){
	    .number = 1, .state = GENERATION_serving, .snapshot = &bench.snapshot};
	bench.generations.newest = &bench.generation;
	staples_init(&bench.staples);
	return 0;
}

static int close_bench(void **state)
{
	(void)state;
	staples_done(&bench.staples);
	tls_certificate_free(&bench.served);
	logged_close();
	return 0;
}

// How often it was complained of, looking every second up to `end_ms`.
static unsigned complaints_until(uint64_t end_ms)
{
	static const uint64_t step_ms = 1000;
	uint64_t now_ms;
	while ((now_ms = staples_next_due(&bench.staples, &bench.generations)) < end_ms)
		staples_tick(&bench.staples, &bench.generations, now_ms);
	assert_in_range(now_ms, end_ms, end_ms + step_ms);
	return logged_lines("staple_refused");
}

static void test_patience_doubles_up_to_an_hour(void **state)
{
	(void)state;
	static const unsigned minutes[] = {0, 1, 3, 7, 15, 31, 63, 123, 183, 243};
	for (unsigned i = 0; i < NUM(minutes); i++) {
		uint64_t due_ms = minutes[i] * (uint64_t)MINUTE_MS;
		assert_int_equal(complaints_until(due_ms), i);
		assert_int_equal(complaints_until(due_ms + 10 * 1000), i + 1);
	}
}

static void test_a_reload_tries_at_once(void **state)
{
	(void)state;
	assert_int_equal(complaints_until(30 * MINUTE_MS), 5);
	bench.generation.number = 2;
	assert_int_equal(complaints_until(30 * MINUTE_MS + 2000), 6);
	assert_int_equal(complaints_until(31 * MINUTE_MS + 5000), 7);
}

static void test_without_ocsp_nothing_is_due(void **state)
{
	(void)state;
	bench.certificate.options.ocsp = CERTIFICATE_OCSP_off;
	assert_true(staples_next_due(&bench.staples, &bench.generations) == UINT64_MAX);
	staples_tick(&bench.staples, &bench.generations, 0);
	assert_null(bench.staples.first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
	        test_patience_doubles_up_to_an_hour, open_bench, close_bench),
	    cmocka_unit_test_setup_teardown(test_a_reload_tries_at_once, open_bench, close_bench),
	    cmocka_unit_test_setup_teardown(
	        test_without_ocsp_nothing_is_due, open_bench, close_bench),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
