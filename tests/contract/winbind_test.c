// winbind_test.c: the promises of backends/verify/winbind.h, with helpers (processes)
// that follow a script: on_done never before winbind_start returns, exactly once and in
// time unless cancelled, never after winbind_cancel, never with the answer to another
// question; and helpers that misbehave are replaced.
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/verify/winbind.h"
#include "tests/kit/check.h"
#include "tests/kit/logged.h"

enum {
	ANSWERS = 4,
	HELPERS = 4,
	REQUESTS = 3,
	PROCESSES = 12,
	PATIENCE_MS = 20 * 1000, // of a test
	SOON_MS = 300,           // of a request whose end is waited for
};

#define NO_REASON "Authenticated: No\n.\n"
#define NO(reason) "Authenticated: No\nAuthentication-Error: " reason "\n.\n.\n"
#define UNKNOWN "The specified account does not exist."
#define DOWN "Reading winbind reply failed!"
#define YES "Authenticated: Yes\n.\n"
#define KEY "8DE40CCADBC14A82F15CB0AD0DE95CA3"
#define YES_KEY "Authenticated: Yes\nUser-Session-Key: " KEY "\n.\n"

// What a helper says to each question it gets.  NULL: it ends instead.  "": it hangs.
// What it says "at_once" it says before any question.
struct script {
	const char *at_once;
	const char *answers[ANSWERS];
	bool ends; // behind an answer
};

// An owner's request, and what became of it.
struct asker {
	struct winbind_request request;
	unsigned done;
	enum winbind_result result;
	const char *why;
	bool has_key;
	unsigned place; // the how manieth was done
	bool again;     // starts once more from within on_done
};

static struct fixture {
	struct net net;
	struct timer patience;
	struct net_task supply;
	struct winbind *winbind;
	const struct script *scripts; // of the helpers as they come; the last of all others
	size_t num_scripts;
	size_t wanted; // not supplied yet
	pid_t pids[PROCESSES];
	size_t num_helpers; // supplied
	bool refuses;       // supplies none
	bool in_call;
	unsigned num_done;
	struct asker askers[REQUESTS];
} fixture;

// ---- helpers ------------------------------------------------------------

static bool read_question(int fd)
{
	char last[3] = "";
	do {
		memmove(last, last + 1, 2);
		if (read(fd, &last[2], 1) != 1)
			return false;
	} while (memcmp(last, "\n.\n", 3) != 0);
	return true;
}

static void say(int fd, const char *text)
{
	size_t len = strlen(text);
	while (len) {
		ssize_t n = write(fd, text, len);
		if (n <= 0)
			_exit(0);
		text += n;
		len -= (size_t)n;
	}
}

static _Noreturn void be_helper(const struct script *script, int fd)
{
	if (script->at_once)
		say(fd, script->at_once);
	for (size_t i = 0; read_question(fd); i++) {
		const char *answer = i < ANSWERS ? script->answers[i] : NULL;
		while (answer && !*answer)
			pause();
		if (!answer)
			_exit(0);
		say(fd, answer);
		if (script->ends)
			_exit(0);
	}
	_exit(0);
}

static void start_helper(void)
{
	size_t number = fixture.num_helpers++;
	int ends[2];
	assert_true(number < PROCESSES);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	fixture.pids[number] = fork();
	if (fixture.pids[number] == 0) {
		close(ends[0]);
		be_helper(&fixture.scripts[number < fixture.num_scripts ? number
		                                                        : fixture.num_scripts - 1],
		    ends[1]);
	}
	close(ends[1]);
	winbind_add_helper(fixture.winbind, ends[0]);
}

static void run_supply(struct net_task *task)
{
	(void)task;
	for (; fixture.wanted; fixture.wanted--)
		if (!fixture.refuses)
			start_helper();
}

static void want_helper(void *context)
{
	assert_ptr_equal(context, &fixture);
	fixture.wanted++;
	net_defer(&fixture.net, &fixture.supply);
}

// ---- the owner ----------------------------------------------------------

static void start(size_t i)
{
	fixture.in_call = true;
	winbind_start(&fixture.askers[i].request);
	fixture.in_call = false;
}

static void on_done(struct winbind_request *request, enum winbind_result result)
{
	struct asker *asker = (struct asker *)request;
	assert_false(fixture.in_call);
	asker->done++;
	asker->place = ++fixture.num_done;
	asker->result = result;
	asker->why = request->why;
	asker->has_key = request->session_key != NULL;
	assert_true(asker->why || result == WINBIND_ACCEPTED);
	if (asker->again) {
		asker->again = false;
		start((size_t)(asker - fixture.askers));
	}
}

static void on_out_of_patience(struct timer *timer)
{
	(void)timer;
	fail_msg("nothing more happens");
}

static void wait_done(unsigned count)
{
	while (fixture.num_done < count)
		net_turn(&fixture.net);
	for (int i = 0; i < 20; i++)
		uv_run(&fixture.net.loop, UV_RUN_NOWAIT);
	assert_int_equal(fixture.num_done, count);
}

static void wait_helpers(size_t count)
{
	while (fixture.num_helpers < count)
		net_turn(&fixture.net);
}

static void use(const struct script *scripts, size_t num, size_t helpers, uint64_t timeout_ms)
{
	struct winbind_settings settings = {
	    .helpers = helpers,
	    .timeout_ms = timeout_ms,
	    .domain = STR("LAB"),
	    .want_helper = want_helper,
	    .context = &fixture,
	};
	fixture.scripts = scripts;
	fixture.num_scripts = num;
	fixture.winbind = winbind_open(&fixture.net, &settings);
	for (size_t i = 0; i < REQUESTS; i++)
		fixture.askers[i].request = (struct winbind_request){
		    .winbind = fixture.winbind,
		    .question =
		        {
		            .by_password = true,
		            .password = STR("secret"),
		            .about = {.user = STR("alice"), .domain = STR("LAB")},
		        },
		    .on_done = on_done,
		};
}

// Asks and looks at what comes of it.
static void check_result(const char *row, size_t i, enum winbind_result result, const char *why)
{
	unsigned before = fixture.num_done;
	start(i);
	wait_done(before + 1);
	check(str_of(row), fixture.askers[i].result == result);
	check_str(str_of(row), str_of(fixture.askers[i].why), str_of(why));
}

static int open_fixture(void **state)
{
	(void)state;
	fixture = (struct fixture){.supply.run = run_supply};
	logged_open();
	net_init(&fixture.net);
	timer_init(&fixture.patience, &fixture.net, on_out_of_patience);
	timer_set(&fixture.patience, PATIENCE_MS);
	return 0;
}

static int close_fixture(void **state)
{
	(void)state;
	for (size_t i = 0; i < REQUESTS; i++)
		winbind_cancel(&fixture.askers[i].request);
	winbind_close(fixture.winbind);
	winbind_close(fixture.winbind);
	timer_close(&fixture.patience, NULL);
	net_run(&fixture.net);
	net_done(&fixture.net);
	winbind_free(&fixture.winbind);
	winbind_free(&fixture.winbind);
	for (size_t i = 0; i < fixture.num_helpers; i++) {
		kill(fixture.pids[i], SIGKILL);
		waitpid(fixture.pids[i], NULL, 0);
	}
	logged_close();
	return 0;
}

#define USE(helpers, timeout_ms, ...)                                                              \
	static const struct script scripts[] = {__VA_ARGS__};                                      \
	use(scripts, NUM(scripts), (helpers), (timeout_ms))

// ---- answers ------------------------------------------------------------

static void test_accepted(void **state)
{
	(void)state;
	USE(1, PATIENCE_MS, {.answers = {YES}});
	check_result("yes", 0, WINBIND_ACCEPTED, NULL);
	assert_false(fixture.askers[0].has_key);
}

static void test_session_key(void **state)
{
	(void)state;
	USE(1, PATIENCE_MS, {.answers = {YES_KEY}});
	fixture.askers[0].request.question.by_password = false;
	check_result("yes", 0, WINBIND_ACCEPTED, NULL);
	assert_true(fixture.askers[0].has_key);
}

// The second terminator of a refusal is no answer to the next question.
static void test_refused_and_next(void **state)
{
	(void)state;
	USE(1, PATIENCE_MS, {.answers = {NO(UNKNOWN), YES, NO(UNKNOWN), YES}});
	for (unsigned i = 0; i < 2; i++) {
		check_result("refused", 0, WINBIND_REJECTED, "no such account");
		check_result("accepted", 1, WINBIND_ACCEPTED, NULL);
	}
	assert_int_equal(fixture.num_helpers, 1);
}

// Asked by password, a helper says No in any case.
static void test_doubtful(void **state)
{
	(void)state;
	USE(1, PATIENCE_MS, {.answers = {NO_REASON, NO(UNKNOWN), NO_REASON, NO(DOWN)}});
	check_result("judged", 0, WINBIND_REJECTED, "no such account, or wrong password");
	check_result("not judged", 0, WINBIND_UNAVAILABLE, "winbind could not judge");
	assert_int_equal(fixture.num_helpers, 1);
}

// That nobody is let in says nothing about the one who was asked about.
static void test_nobody_accepted(void **state)
{
	(void)state;
	USE(1, PATIENCE_MS, {.answers = {NO_REASON, YES}});
	check_result("yes", 0, WINBIND_UNAVAILABLE, "winbind could not judge");
}

static void test_down_and_back(void **state)
{
	(void)state;
	USE(1, PATIENCE_MS, {.answers = {NO(DOWN), NO(DOWN), NO(UNKNOWN), YES}});
	check_result("down", 0, WINBIND_UNAVAILABLE, "winbind could not judge");
	check_result("down", 0, WINBIND_UNAVAILABLE, "winbind could not judge");
	assert_int_equal(logged_lines("winbind_failed"), 1);
	assert_int_equal(logged_lines(DOWN), 1);
	assert_int_equal(logged_lines("winbind_back"), 0);
	check_result("back", 0, WINBIND_REJECTED, "no such account");
	check_result("back", 0, WINBIND_ACCEPTED, NULL);
	assert_int_equal(logged_lines("winbind_back"), 1);
}

// By response there is always a reason.
static void test_no_reason_to_response(void **state)
{
	(void)state;
	USE(1, PATIENCE_MS, {.answers = {NO_REASON}});
	fixture.askers[0].request.question.by_password = false;
	check_result("no reason", 0, WINBIND_UNAVAILABLE, "winbind could not judge");
}

static void test_unaskable(void **state)
{
	(void)state;
	USE(1, PATIENCE_MS, {.answers = {YES}});
	fixture.askers[0].request.question.password = STR("right\0and more");
	check_result("NUL", 0, WINBIND_REJECTED, "such a name or password cannot be asked about");
	check_result("after that", 1, WINBIND_ACCEPTED, NULL);
	assert_int_equal(fixture.num_helpers, 1);
}

// ---- helpers that misbehave ---------------------------------------------

static char huge[1024 * 1024];

// The request goes to the next one, and the former is replaced.
static void check_replaced(const char *row, const struct script *bad)
{
	struct script scripts[] = {*bad, {.answers = {YES, YES}}};
	use(scripts, NUM(scripts), 1, PATIENCE_MS);
	check_result(row, 0, WINBIND_ACCEPTED, NULL);
	check_result(row, 1, WINBIND_ACCEPTED, NULL);
	check(str_of(row), fixture.num_helpers == 2);
	check(str_of(row), logged_lines("winbind_failed") == 0);
}

static void test_ends(void **state)
{
	(void)state;
	check_replaced("ends", &(struct script){.answers = {NULL}});
}

static void test_dies_in_answer(void **state)
{
	(void)state;
	check_replaced("in its answer",
	    &(struct script){.answers = {"Authenticated: Yes\nUser-Sess"}, .ends = true});
}

static void test_dies_before_end(void **state)
{
	(void)state;
	check_replaced(
	    "before the dot", &(struct script){.answers = {"Authenticated: No\n"}, .ends = true});
}

static void test_garbage(void **state)
{
	(void)state;
	check_replaced("garbage", &(struct script){.answers = {"\x7f"
	                                                       "ELF garbage\n"}});
}

static void test_error(void **state)
{
	(void)state;
	check_replaced("error", &(struct script){.answers = {"Error: No password supplied!\n.\n"}});
}

static void test_endless_line(void **state)
{
	(void)state;
	memset(huge, 'x', sizeof(huge) - 1);
	check_replaced("endless", &(struct script){.answers = {huge}});
}

static void test_two_answers(void **state)
{
	(void)state;
	USE(1, PATIENCE_MS, {.answers = {YES NO(UNKNOWN), YES}}, {.answers = {YES}});
	check_result("first", 0, WINBIND_ACCEPTED, NULL);
	wait_helpers(2);
	check_result("second", 1, WINBIND_ACCEPTED, NULL);
	assert_int_equal(fixture.num_helpers, 2);
}

static void test_unasked(void **state)
{
	(void)state;
	USE(1, PATIENCE_MS, {.at_once = YES, .answers = {""}}, {.answers = {NO(UNKNOWN)}});
	wait_helpers(2);
	check_result("unasked", 0, WINBIND_REJECTED, "no such account");
}

// A question that kills two helpers is asked no third.
static void test_killer(void **state)
{
	(void)state;
	USE(1, PATIENCE_MS, {.answers = {NULL}}, {.answers = {NULL}}, {.answers = {YES}});
	check_result("killer", 0, WINBIND_UNAVAILABLE, "a helper ended");
	check_result("next", 1, WINBIND_ACCEPTED, NULL);
	assert_int_equal(fixture.num_helpers, 3);
}

static void test_hangs(void **state)
{
	(void)state;
	USE(1, SOON_MS, {.answers = {""}}, {.answers = {YES}});
	check_result("hangs", 0, WINBIND_UNAVAILABLE, "a helper did not answer in time");
	assert_int_equal(logged_lines("winbind_failed"), 1);
	check_result("replaced", 1, WINBIND_ACCEPTED, NULL);
	assert_int_equal(fixture.num_helpers, 2);
}

static void test_hangs_in_answer(void **state)
{
	(void)state;
	USE(1, SOON_MS, {.answers = {"Authenticated: Yes\n"}}, {.answers = {YES}});
	check_result("hangs", 0, WINBIND_UNAVAILABLE, "a helper did not answer in time");
	check_result("replaced", 1, WINBIND_ACCEPTED, NULL);
}

static void test_no_helper(void **state)
{
	(void)state;
	fixture.refuses = true;
	USE(HELPERS, SOON_MS, {.answers = {YES}});
	check_result("none", 0, WINBIND_UNAVAILABLE, "no helper was there in time");
	assert_int_equal(fixture.num_helpers, 0);
}

// ---- several ------------------------------------------------------------

static void test_in_order(void **state)
{
	(void)state;
	USE(1, PATIENCE_MS, {.answers = {YES, NO(UNKNOWN), YES}});
	for (size_t i = 0; i < REQUESTS; i++)
		start(i);
	wait_done(REQUESTS);
	for (unsigned i = 0; i < REQUESTS; i++) {
		assert_int_equal(fixture.askers[i].place, i + 1);
		assert_int_equal(
		    fixture.askers[i].result, i == 1 ? WINBIND_REJECTED : WINBIND_ACCEPTED);
	}
}

// One helper hangs, the others go on.
static void test_side_by_side(void **state)
{
	(void)state;
	USE(2, SOON_MS, {.answers = {""}}, {.answers = {YES, YES}});
	wait_helpers(2);
	for (size_t i = 0; i < REQUESTS; i++)
		start(i);
	wait_done(REQUESTS);
	assert_int_equal(fixture.askers[0].result, WINBIND_UNAVAILABLE);
	assert_int_equal(fixture.askers[0].place, 3);
	assert_int_equal(fixture.askers[1].result, WINBIND_ACCEPTED);
	assert_int_equal(fixture.askers[2].result, WINBIND_ACCEPTED);
}

// The answer to a question that nobody cares about any more is nobody else's.
static void test_cancelled(void **state)
{
	(void)state;
	USE(1, PATIENCE_MS, {.answers = {YES, NO(UNKNOWN)}});
	start(0);
	wait_helpers(1);
	uv_run(&fixture.net.loop, UV_RUN_NOWAIT); // it is asked now
	assert_non_null(fixture.askers[0].request.helper);
	winbind_cancel(&fixture.askers[0].request);
	start(1);
	start(2);
	winbind_cancel(&fixture.askers[2].request);
	wait_done(1);
	assert_int_equal(fixture.askers[1].result, WINBIND_REJECTED);
	assert_int_equal(fixture.askers[0].done + fixture.askers[2].done, 0);
	winbind_cancel(&fixture.askers[1].request);
	assert_int_equal(fixture.num_helpers, 1);
}

// Nobody waits for it, but it is not idle either.
static void test_cancelled_hangs(void **state)
{
	(void)state;
	USE(1, SOON_MS, {.answers = {""}}, {.answers = {YES}});
	start(0);
	wait_helpers(1);
	uv_run(&fixture.net.loop, UV_RUN_NOWAIT);
	winbind_cancel(&fixture.askers[0].request);
	wait_helpers(2);
	check_result("replaced", 1, WINBIND_ACCEPTED, NULL);
	assert_int_equal(fixture.askers[0].done, 0);
}

static void test_again_within(void **state)
{
	(void)state;
	USE(1, PATIENCE_MS, {.answers = {YES, NO(UNKNOWN)}});
	fixture.askers[0].again = true;
	start(0);
	wait_done(2);
	assert_int_equal(fixture.askers[0].result, WINBIND_REJECTED);
}

static void count_done(struct winbind_request *request, enum winbind_result result)
{
	assert_int_equal(result, WINBIND_UNAVAILABLE);
	assert_string_equal(request->why, "too many logins wait for winbind");
	fixture.num_done++;
}

// One more than may wait is told at once, the others in time.
static void test_too_many(void **state)
{
	static struct winbind_request many[WINBIND_REQUESTS + 2];
	(void)state;
	fixture.refuses = true;
	USE(1, PATIENCE_MS, {.answers = {YES}});
	for (size_t i = 0; i < NUM(many); i++) {
		many[i] = fixture.askers[0].request;
		many[i].on_done = count_done;
		winbind_start(&many[i]);
	}
	wait_done(2);
	for (size_t i = 0; i < NUM(many); i++)
		winbind_cancel(&many[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_accepted),
	    TEST(test_session_key),
	    TEST(test_refused_and_next),
	    TEST(test_doubtful),
	    TEST(test_nobody_accepted),
	    TEST(test_down_and_back),
	    TEST(test_no_reason_to_response),
	    TEST(test_unaskable),
	    TEST(test_ends),
	    TEST(test_dies_in_answer),
	    TEST(test_dies_before_end),
	    TEST(test_garbage),
	    TEST(test_error),
	    TEST(test_endless_line),
	    TEST(test_two_answers),
	    TEST(test_unasked),
	    TEST(test_killer),
	    TEST(test_hangs),
	    TEST(test_hangs_in_answer),
	    TEST(test_no_helper),
	    TEST(test_in_order),
	    TEST(test_side_by_side),
	    TEST(test_cancelled),
	    TEST(test_cancelled_hangs),
	    TEST(test_again_within),
	    TEST(test_too_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
