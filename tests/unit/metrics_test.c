// metrics_test.c: counters never go back, whatever becomes of workers; each number has
// its own place; and what is printed is Prometheus' format to the byte.
#include "proxy/base/metrics.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/base/exposition.h"
#include "tests/kit/check.h"

enum { ADDITIONS = 200000, STARTED = 1795271057 };

static struct metrics *metrics;

static const char *label_of(enum metric metric, size_t label)
{
	static const char *const reasons[] = {"one", "two \"\\\n\xff", NULL};
	return metric == METRIC_sessions_closed ? reasons[label] : NULL;
}

static const char *other_label_of(enum metric metric, size_t label)
{
	return metric == METRIC_sessions_closed && !label ? "another" : NULL;
}

static int open_metrics(void **state)
{
	(void)state;
	metrics = metrics_new(label_of, STARTED);
	return metrics ? 0 : -1;
}

static int close_metrics(void **state)
{
	(void)state;
	metrics_free(&metrics);
	assert_null(metrics);
	return 0;
}

static uint64_t sum(enum metric metric)
{
	return metrics_sum(metrics, metric, 0);
}

// A worker's life: it has one session more than it ends.
static void live(unsigned place, bool is_killed)
{
	metrics_begin_worker(metrics, place);
	pid_t pid = fork();
	if (pid == 0) {
		if (!metrics_be_worker(metrics, place))
			_exit(1);
		metrics_add(METRIC_sessions_opened, 0, 2);
		metrics_add(METRIC_sessions_open, 0, 2);
		metrics_add(METRIC_sessions_open, 0, -1);
		metrics_add(METRIC_sessions_closed, 1, 1);
		if (is_killed)
			kill(getpid(), SIGKILL);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, is_killed ? SIGKILL : 0);
}

static void test_what_workers_count_is_added_up(void **state)
{
	(void)state;
	metrics_be_supervisor(metrics);
	metrics_add(METRIC_workers_died, 0, 3);
	live(0, false);
	live(7, false);
	live(METRICS_WORKERS - 1, false);
	assert_int_equal(sum(METRIC_sessions_opened), 6);
	assert_int_equal(sum(METRIC_sessions_open), 3);
	assert_int_equal(sum(METRIC_sessions_closed), 0);
	assert_int_equal(metrics_sum(metrics, METRIC_sessions_closed, 1), 3);
	assert_int_equal(sum(METRIC_workers_died), 3);
	assert_int_equal(sum(METRIC_workers_started), 0);
	assert_int_equal(metrics_began(metrics), STARTED);
}

static void test_a_dead_worker_leaves_its_counters_and_nothing_else(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 3; i++) {
		live(4, true);
		assert_int_equal(sum(METRIC_sessions_open), 1);
		assert_int_equal(metrics_end_worker(metrics, 4), 1);
		assert_int_equal(sum(METRIC_sessions_open), 0);
		assert_int_equal(sum(METRIC_sessions_opened), 2 * i);
		assert_int_equal(metrics_sum(metrics, METRIC_sessions_closed, 1), i);
	}
	assert_int_equal(metrics_end_worker(metrics, 4), 0);
}

static void test_who_is_nobody_counts_nowhere(void **state)
{
	(void)state;
	metrics_add(METRIC_sessions_opened, 0, 5);
	assert_int_equal(sum(METRIC_sessions_opened), 0);
}

static void test_pages_are_found_again_by_who_counts_the_same(void **state)
{
	(void)state;
	metrics_be_supervisor(metrics);
	metrics_add(METRIC_workers_started, 0, 2);
	struct metrics *again = metrics_open(dup(metrics_fd(metrics)), label_of);
	assert_non_null(again);
	assert_int_equal(metrics_sum(again, METRIC_workers_started, 0), 2);
	metrics_free(&again);
	assert_null(metrics_open(metrics_fd(metrics), other_label_of));
	int other = memfd_create("other", MFD_CLOEXEC);
	assert_null(metrics_open(other, label_of));
	close(other);
}

static void test_a_reader_can_only_read(void **state)
{
	(void)state;
	int fd = metrics_reader_fd(metrics);
	assert_true(fd >= 0);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	struct metrics *reader = metrics_read(fd, label_of);
	assert_non_null(reader);
	live(0, false);
	assert_int_equal(metrics_sum(reader, METRIC_sessions_opened, 0), 2);
	metrics_free(&reader);
}

// ---- one writes, another reads ------------------------------------------

static _Atomic bool is_over;

static void *read_on(void *context)
{
	uint64_t last = 0;
	(void)context;
	while (!is_over) {
		uint64_t now = sum(METRIC_sessions_opened);
		if (now < last || now > ADDITIONS)
			return (void *)"it went back";
		last = now;
	}
	return NULL;
}

static void test_a_sum_never_goes_back(void **state)
{
	pthread_t reader;
	void *wrong;
	(void)state;
	is_over = false;
	metrics_be_supervisor(metrics);
	assert_int_equal(pthread_create(&reader, NULL, read_on, NULL), 0);
	for (int i = 0; i < ADDITIONS; i++)
		metrics_add(METRIC_sessions_opened, 0, 1);
	is_over = true;
	assert_int_equal(pthread_join(reader, &wrong), 0);
	assert_null(wrong);
	assert_int_equal(sum(METRIC_sessions_opened), ADDITIONS);
}

// ---- the format ---------------------------------------------------------

static char *printed(void)
{
	char *at = NULL;
	size_t len;
	FILE *out = open_memstream(&at, &len);
	metrics_print(metrics, label_of, out);
	fclose(out);
	return at;
}

static void test_what_is_printed(void **state)
{
	(void)state;
	metrics_be_supervisor(metrics);
	metrics_add(METRIC_sessions_opened, 0, INT64_MAX);
	metrics_add(METRIC_sessions_closed, 1, 4);
	char *text = printed();
	assert_non_null(strstr(text, "# HELP popgate_sessions_opened_total Sessions begun, one for "
	                             "each connection that was accepted.\n"
	                             "# TYPE popgate_sessions_opened_total counter\n"
	                             "popgate_sessions_opened_total 9223372036854775807\n"));
	assert_non_null(strstr(text, "# TYPE popgate_sessions_closed_total counter\n"
	                             "popgate_sessions_closed_total{reason=\"one\"} 0\n"
	                             "popgate_sessions_closed_total{reason=\"two "
	                             "\\\"\\\\\\n?\"} 4\n# HELP "));
	assert_non_null(
	    strstr(text, "# TYPE popgate_sessions_open gauge\npopgate_sessions_open 0\n"));
	free(text);
}

static void test_labels_keep_what_is_utf8(void **state)
{
	static const struct exposition_family family = {"popgate_x", "gauge", "name", "x"};
	char *at = NULL;
	size_t len;
	(void)state;
	FILE *out = open_memstream(&at, &len);
	exposition_sample(&family, STR("a\tgr\xc3\xbc\xc3\x9f\xc3"), 7, out);
	exposition_sample(&family, STR(""), 0, out);
	fclose(out);
	assert_string_equal(
	    at, "popgate_x{name=\"a\tgr\xc3\xbc\xc3\x9f?\"} 7\npopgate_x{name=\"\"} 0\n");
	free(at);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, open_metrics, close_metrics)
	const struct CMUnitTest tests[] = {
	    TEST(what_workers_count_is_added_up),
	    TEST(a_dead_worker_leaves_its_counters_and_nothing_else),
	    TEST(who_is_nobody_counts_nowhere),
	    TEST(pages_are_found_again_by_who_counts_the_same),
	    TEST(a_reader_can_only_read),
	    TEST(a_sum_never_goes_back),
	    TEST(what_is_printed),
	    TEST(labels_keep_what_is_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
