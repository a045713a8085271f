// ticket_keys_test.c: when the administrator's file of ticket keys is read: not while it
// is being written.  What comes of what it says is in tests/system.
#include "tests/kit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/net/tickets.h"
#include "proxy/server/ticket_keys.h"
#include "tests/kit/logged.h"

enum { LOOKS = 10 };

struct bench {
	char path[64];
	struct config config;
	struct snapshot snapshot;
	struct generation generation;
	struct generations generations;
	struct ticket_keys keys;
	uint64_t now_ms;
};

static struct bench bench;

// Written over in place, as an editor does it.
static void write_keys(size_t num, char first, bool is_whole)
{
	FILE *file = fopen(bench.path, "w");
	assert_non_null(file);
	assert_int_equal(fchmod(fileno(file), 0600), 0);
	for (size_t i = 0; i < num; i++)
		fprintf(file, "%c%063d%s", first, (int)i, i + 1 < num || is_whole ? "\n" : "");
	fclose(file);
}

static int open_bench(void **state)
{
	(void)state;
	logged_open();
	bench = (struct bench){.path = "/tmp/popgate-ticket-keys-XXXXXX"};
	close(mkstemp(bench.path));
	bench.config.site = (struct site_options){
	    .ticket_keys = bench.path, .ticket_lifetime = 1000, .ticket_rotation = 1000};
	bench.snapshot = (struct snapshot){.config = &bench.config};
	bench.generation = (struct generation){
	    .number = 1, .state = GENERATION_serving, .snapshot = &bench.snapshot};
	bench.generations.newest = &bench.generation;
	bench.generations.tickets = tickets_new();
	assert_non_null(bench.generations.tickets);
	write_keys(1, 'A', true);
	ticket_keys_prepare(&bench.keys, &bench.generations, &bench.config, bench.now_ms);
	assert_int_equal(logged_lines("ticket_keys_read"), 1);
	return 0;
}

static int close_bench(void **state)
{
	(void)state;
	tickets_free(&bench.generations.tickets);
	unlink(bench.path);
	logged_close();
	return 0;
}

// Returns how long it is until the next look.
static uint64_t look(void)
{
	bench.now_ms = ticket_keys_next_due(&bench.keys, &bench.generations);
	ticket_keys_tick(&bench.keys, &bench.generations, bench.now_ms);
	return ticket_keys_next_due(&bench.keys, &bench.generations) - bench.now_ms;
}

static void test_a_file_that_rests_is_read_at_the_second_look(void **state)
{
	(void)state;
	look();
	write_keys(2, 'B', true);
	uint64_t rest_ms = look();
	assert_in_range(rest_ms, 1, 100);
	assert_int_equal(logged_lines("ticket_keys_read"), 1);
	look();
	assert_int_equal(logged_lines("ticket_keys_read"), 2);
	look();
	assert_int_equal(logged_lines("ticket_keys_read"), 2);
}

static void test_a_file_that_is_being_written_is_let_be(void **state)
{
	(void)state;
	look();
	for (size_t i = 1; i <= LOOKS; i++) {
		write_keys(i, 'C', false);
		look();
	}
	assert_int_equal(logged_lines("ticket_keys_refused"), 0);
	write_keys(LOOKS, 'C', true);
	look();
	look();
	assert_int_equal(logged_lines("ticket_keys_refused"), 0);
	assert_int_equal(logged_lines("ticket_keys_read"), 2);
}

static void test_half_a_file_that_rests_is_refused_once(void **state)
{
	(void)state;
	look();
	write_keys(1, 'D', false);
	for (size_t i = 0; i < LOOKS; i++)
		look();
	assert_int_equal(logged_lines("ticket_keys_refused"), 1);
	assert_int_equal(logged_lines("ticket_keys_read"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
	        test_a_file_that_rests_is_read_at_the_second_look, open_bench, close_bench),
	    cmocka_unit_test_setup_teardown(
	        test_a_file_that_is_being_written_is_let_be, open_bench, close_bench),
	    cmocka_unit_test_setup_teardown(
	        test_half_a_file_that_rests_is_refused_once, open_bench, close_bench),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
