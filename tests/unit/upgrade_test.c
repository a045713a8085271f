// upgrade_test.c: the state that an upgrade hands on is read back as it was
// written; one that is damaged is refused, one of another version is not.
#include "tests/kit/check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/base/text.h"
#include "proxy/net/tickets.h"
#include "proxy/server/clock.h"
#include "proxy/server/upgrade.h"
#include "proxy/session/session_metrics.h"

static int any_fd(void)
{
	return memfd_create("any", MFD_CLOEXEC);
}

static void note_end(void *context, const struct helper_process *helper)
{
	(void)context;
	assert_int_equal(helper->worker, 4711);
}

// Lets everything go that a state has brought.
static void done(struct generations *generations)
{
	for (struct generation *g = generations->newest; g; g = g->next) {
		g->state = GENERATION_killed;
		for (size_t i = 0; i < g->num_workers; i++) {
			g->workers[i].pid = 0;
			if (g->workers[i].channel >= 0)
				close(g->workers[i].channel);
		}
		if (g->keys)
			g->keys->pid = 0;
	}
	// A plan of all sockets, released, closes them all.
	struct socket_plan *plan = sockets_plan_all(&generations->sockets);
	generations_tick(generations, 0);
	sockets_release(&generations->sockets, &plan);
	while (generations->helpers.first)
		helpers_reaped(&generations->helpers, generations->helpers.first->pid, 0, note_end,
		    generations);
	limits_free(&generations->limits);
	ledger_free(&generations->ledger);
	host_answers_free(&generations->host_answers);
	tickets_free(&generations->tickets);
	metrics_free(&generations->metrics);
	if (generations->metrics_socket.is_open)
		close(generations->metrics_socket.fd);
	assert_null(generations->newest);
	assert_null(generations->sockets.bounds);
}

static void add_bound(struct generations *generations)
{
	struct addr wanted, actual;
	assert_true(addr_parse(STR("127.0.0.1:0"), 0, &wanted));
	assert_true(addr_parse(STR("127.0.0.1:4321"), 0, &actual));
	struct bound *bound =
	    sockets_adopt_bound(&generations->sockets, &wanted, &actual, STR("a name"));
	sockets_adopt_fd(bound, any_fd());
	sockets_adopt_fd(bound, any_fd());
}

static struct generation *add_generation(
    struct generations *generations, unsigned number, enum generation_state state)
{
	struct generation *generation = generation_new(generations);
	generation->number = number;
	generation->state = state;
	return generation;
}

static void check_read_back(const struct generations *generations)
{
	const struct generation *serving = generations->newest;
	const struct bound *bound = generations->sockets.bounds;
	assert_int_equal(generations->last_number, 9);
	assert_int_equal(serving->number, 9);
	assert_int_equal(serving->state, GENERATION_serving);
	assert_true(serving->deadline_ms == CLOCK_NEVER);
	assert_int_equal(serving->num_workers, 2);
	assert_int_equal(serving->workers[0].pid, 4711);
	assert_int_equal(serving->workers[0].id, 7);
	assert_true(serving->workers[0].is_ready);
	assert_int_equal(serving->workers[0].started_ms, 99);
	assert_int_equal(serving->workers[1].channel, -1);
	assert_int_equal(serving->keys->pid, 4710);
	assert_int_equal(serving->keys->started_ms, 97);
	assert_true(fcntl(serving->keys->channel, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(serving->next->state, GENERATION_draining);
	assert_int_equal(serving->next->deadline_ms, 12345);
	assert_null(serving->next->next);
	assert_string_equal(bound->listener, "a name");
	assert_int_equal(addr_port(&bound->actual), 4321);
	assert_int_equal(addr_port(&bound->wanted), 0);
	assert_int_equal(bound->num_fds, 2);
	assert_true(fcntl(bound->fds[1], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(serving->plan->num_items, 1);
	assert_non_null(generations->limits);
	assert_non_null(generations->ledger);
	assert_non_null(generations->host_answers);
	assert_non_null(generations->tickets);
	assert_int_equal(metrics_began(generations->metrics), 1795271057);
	assert_true(generations->metrics_socket.is_open);
	assert_int_equal(addr_port(&generations->metrics_socket.wanted), 9110);
	assert_int_equal(generations->metrics_socket.former, 4715);
	assert_true(generations->metrics_socket.identity.change);
	assert_int_equal(generations->metrics_socket.identity.uid, 65534);
	assert_int_equal(generations->metrics_socket.identity.gid, 65533);
	assert_true(fcntl(generations->metrics_socket.fd, F_GETFD) & FD_CLOEXEC);
	const struct helper_process *helper = generations->helpers.first;
	assert_int_equal(helper->pid, 4713);
	assert_int_equal(helper->worker, 4711);
	assert_int_equal(helper->started_ms, 98);
	assert_true(fcntl(helper->end, F_GETFD) & FD_CLOEXEC);
	assert_null(helper->next);
}

static void test_write_and_read(void **state)
{
	struct generations before = {
	    .last_number = 9,
	    .limits = limits_new(),
	    .ledger = ledger_new(),
	    .host_answers = host_answers_new(),
	    .tickets = tickets_new(),
	    .metrics = metrics_new(session_metric_label, 1795271057),
	    .metrics_socket = {.is_open = true,
	        .fd = any_fd(),
	        .identity = {.change = true, .uid = 65534, .gid = 65533}},
	};
	struct generations after = {0};
	struct upgrade_state written = {
	    .generations = &before, .drain_timeout_ms = 3600000, .metrics_pid = 4715};
	char room[256];
	struct text why = TEXT(room);
	uint64_t drain_timeout_ms = 0;
	(void)state;
	assert_true(addr_parse(STR("127.0.0.1:9110"), 0, &before.metrics_socket.wanted));
	add_bound(&before);
	add_generation(&before, 8, GENERATION_draining)->deadline_ms = 12345;
	struct generation *serving = add_generation(&before, 9, GENERATION_serving);
	*generation_add_worker(serving) = (struct worker_process){
	    .pid = 4711, .id = 7, .channel = any_fd(), .is_ready = true, .started_ms = 99};
	serving->keys = keys_process_adopt(4710, any_fd(), 97);
	generation_add_worker(serving); // ended, not yet replaced: not handed on
	*generation_add_worker(serving) = (struct worker_process){.pid = 4712, .channel = -1};
	helpers_adopt(&before.helpers, &(struct helper_process){.pid = 4714, .end = -1});
	helpers_adopt(
	    &before.helpers, &(struct helper_process){
	                         .pid = 4713, .end = any_fd(), .worker = 4711, .started_ms = 98});
	int fd = upgrade_write(&written);
	assert_true(fd >= 0);
	assert_true(upgrade_read(fd, &after, &drain_timeout_ms, &why));
	assert_int_equal(drain_timeout_ms, 3600000);
	check_read_back(&after);
	// Both have the same descriptors; closing them twice does no harm here.
	done(&before);
	done(&after);
}

static bool reads(struct str text)
{
	struct generations generations = {0};
	char room[256];
	struct text why = TEXT(room);
	uint64_t drain_timeout_ms;
	int fd = any_fd();
	assert_int_equal(write(fd, text.at, text.len), text.len);
	bool read = upgrade_read(fd, &generations, &drain_timeout_ms, &why);
	check(text, read == (why.len == 0));
	done(&generations);
	return read;
}

#define FIRST "popgate-state 6\n"

static const struct str refused[] = {
    STR(""),
    STR("end\n"),
    STR(FIRST),
    STR(FIRST "end"),
    STR(FIRST "end\nend\n"),
    STR(FIRST "end\ndrain-timeout 1\n"),
    STR(FIRST "\nend\n"),
    STR(FIRST "unknown 1\nend\n"),
    STR(FIRST "drain-timeout\nend\n"),
    STR(FIRST "drain-timeout x\nend\n"),
    STR(FIRST "drain-timeout 1 2\nend\n"),
    STR(FIRST "drain-timeout -1\nend\n"),
    STR(FIRST "log 0 9 stderr\nend\n"),
    STR(FIRST "limits 99999\nend\n"),
    STR(FIRST "limits -\nend\n"),
    STR(FIRST "ledger 99999\nend\n"),
    STR(FIRST "host-answers 99999\nend\n"),
    STR(FIRST "tickets 99999\nend\n"),
    STR(FIRST "socket 0\nend\n"),
    STR(FIRST "bound 127.0.0.1:0 127.0.0.1:1\nend\n"),
    STR(FIRST "bound localhost:0 127.0.0.1:1 a\nend\n"),
    STR(FIRST "bound 127.0.0.1:0 127.0.0.1:1 a\nsocket 99999\nend\n"),
    STR(FIRST "generation 1 resting -\nend\n"),
    STR(FIRST "generation 1 serving x\nend\n"),
    STR(FIRST "worker 4711 0 - 1 1\nend\n"),
    STR(FIRST "generation 1 serving -\nworker 0 0 - 1 1\nend\n"),
    STR(FIRST "generation 1 serving -\nworker 4711 512 - 1 1\nend\n"),
    STR(FIRST "generation 1 serving -\nworker 4711 0 - 2 1\nend\n"),
    STR(FIRST "generation 1 serving -\nworker 4711 0 99999 1 1\nend\n"),
    STR(FIRST "keys 4710 - 1\nend\n"),
    STR(FIRST "generation 1 serving -\nkeys 0 - 1\nend\n"),
    STR(FIRST "generation 1 serving -\nkeys 4710 99999 1\nend\n"),
    STR(FIRST "generation 1 serving -\nkeys 4710 - 1\nkeys 4710 - 1\nend\n"),
    STR("popgate-state x\nend\n"),
    STR(FIRST "helper 0 1 4711 1\nend\n"),
    STR(FIRST "helper 4713 99999 4711 1\nend\n"),
    STR(FIRST "helper 4713 - 4711 1\nend\n"),
    STR(FIRST "metrics 99999\nend\n"),
    STR(FIRST "metrics-socket 99999 127.0.0.1:9110 1 65534 65534\nend\n"),
    STR(FIRST "metrics-socket 0 127.0.0.1:9110 - 65534 65534\nend\n"),
    STR(FIRST "metrics-socket 0 localhost:9110 1 65534 65534\nend\n"),
    STR(FIRST "metrics-socket 0 127.0.0.1:9110 1 nobody 65534\nend\n"),
    STR(FIRST "metrics-socket 0 127.0.0.1:9110 1 65534 4294967296\nend\n"),
    STR("popgate-state 7\ndrain-timeout x\nend\n"),
};

static const struct str accepted[] = {
    STR(FIRST "end\n"),
    STR(FIRST "drain-timeout 0\nend\n"),
    STR(FIRST "bound 127.0.0.1:0 127.0.0.1:1 a name\nend\n"),
    STR(FIRST "generation 1 serving -\nworker 4711 0 - 1 1\nend\n"),
    STR(FIRST "generation 1 serving -\nkeys 4710 - 1\nend\n"),
    STR("popgate-state 7\nunknown 1\ndrain-timeout 1 2 3\nend\n"),
    STR("popgate-state 5\nend\n"),
    STR("popgate-state 4\nend\n"),
    STR("popgate-state 3\nend\n"),
    STR("popgate-state 2\nend\n"),
    STR("popgate-state 1\nend\n"),
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(refused); i++)
		check(refused[i], !reads(refused[i]));
}

static void test_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(accepted); i++)
		check(accepted[i], reads(accepted[i]));
}

static void test_inherited(void **state)
{
	(void)state;
	assert_int_equal(upgrade_inherited(), -1);
	setenv("POPGATE_UPGRADE", "17", true);
	assert_int_equal(upgrade_inherited(), 17);
	assert_null(getenv("POPGATE_UPGRADE"));
	setenv("POPGATE_UPGRADE", "seventeen", true);
	assert_int_equal(fcntl(upgrade_inherited(), F_GETFD), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_write_and_read),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_accepted),
	    cmocka_unit_test(test_inherited),
	};
	return cmocka_run_group_tests_name("upgrade", tests, NULL, NULL);
}
