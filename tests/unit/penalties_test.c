// penalties_test.c: what failed logins lead to, moment by moment; that it is
// counted exactly by several processes; and that no flood of other addresses
// makes it forgotten.  Time is passed in: nothing waits.
#include "tests/kit/check.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/penalties.h"

enum {
	SECOND = 1000,
	MINUTE = 60 * SECOND,
	HOUR = 60 * MINUTE,
	DAY = 24 * HOUR,
	START = 1000 * SECOND, // of the clock
	WORKERS = 4,
	MANY = 100000,
};

static struct ledger *ledger;
static struct limits *limits;
static uint64_t now;

static const struct listener_options defaults = {
    .login_delay = SECOND,
    .login_delay_max = 16 * SECOND,
    .ban_after = 20,
    .ban_after_user = 100,
    .ban_time = 15 * MINUTE,
};

static int open_books(void **state)
{
	(void)state;
	ledger = ledger_new();
	limits = limits_new();
	now = START;
	if (limits)
		limits_be_worker(limits, 0);
	return ledger && limits ? 0 : -1;
}

static int close_books(void **state)
{
	(void)state;
	ledger_free(&ledger);
	limits_free(&limits);
	return 0;
}

// ---- what clients do ----------------------------------------------------

static struct addr address(const char *text)
{
	struct addr addr;
	assert_true(addr_parse(str_of(text), 1, &addr));
	return addr;
}

static struct addr address_number(uint32_t number)
{
	struct addr addr = address("10.0.0.0");
	addr.v4.sin_addr.s_addr = htonl(0x0a000000 | number);
	return addr;
}

static void begin_with(struct attempt *attempt, const struct listener_options *options,
    const struct addr *ip, const char *user)
{
	struct attempt_claim claim = {ip, STR("store"), str_of(user)};
	*attempt = (struct attempt){0};
	attempt_begin(attempt, ledger, limits, options, &claim, now);
}

static void begin(struct attempt *attempt, const struct addr *ip, const char *user)
{
	begin_with(attempt, &defaults, ip, user);
}

static struct str number_text(char room[16], unsigned number)
{
	struct text text = text_in(room, 16);
	text_add_u64(&text, number);
	return text_str(&text);
}

// Moves on to the moment when it is this login's turn; whoever is refused comes
// again.
static void wait_for_turn(struct attempt *attempt, const struct listener_options *options,
    const struct addr *ip, const char *user)
{
	uint64_t wait = 0;
	enum turn turn;
	begin_with(attempt, options, ip, user);
	while ((turn = attempt_next_turn(attempt, now, &wait)) != TURN_NOW) {
		assert_int_not_equal(turn, TURN_BANNED);
		now += turn == TURN_LATER ? wait : 50;
		if (turn == TURN_TOO_LATE)
			begin_with(attempt, options, ip, user);
	}
}

// Fails with a password that nobody used before; returns the delay of the answer.
static uint64_t miss_with(
    const struct listener_options *options, const struct addr *ip, const char *user)
{
	static unsigned passwords;
	struct attempt attempt;
	char room[16];
	wait_for_turn(&attempt, options, ip, user);
	return attempt_failed(&attempt, number_text(room, ++passwords), now);
}

static uint64_t miss(const struct addr *ip, const char *user)
{
	return miss_with(&defaults, ip, user);
}

static void succeed(const struct addr *ip, const char *user)
{
	struct attempt attempt;
	uint64_t wait;
	begin(&attempt, ip, user);
	assert_int_equal(attempt_next_turn(&attempt, now, &wait), TURN_NOW);
	attempt_succeeded(&attempt, now);
}

// What a login of this user from there would meet now.
static enum turn look(const struct addr *ip, const char *user, uint64_t *out_wait)
{
	struct attempt attempt;
	*out_wait = 0;
	begin(&attempt, ip, user);
	enum turn turn = attempt_next_turn(&attempt, now, out_wait);
	attempt_end(&attempt);
	return turn;
}

static enum turn look_at(const struct addr *ip, const char *user)
{
	uint64_t wait;
	return look(ip, user, &wait);
}

static unsigned failures_until_banned(const struct addr *ip, const char *user)
{
	for (unsigned failures = 0;; failures++) {
		if (look_at(ip, user) == TURN_BANNED)
			return failures;
		miss(ip, user);
		now += 17 * SECOND;
	}
}

static bool is_banned(const struct addr *ip)
{
	return penalties_is_banned(ledger, &defaults, ip, now);
}

// ---- connections --------------------------------------------------------

static unsigned connections(const char *listener, const struct addr *ip, uint64_t per_minute)
{
	unsigned taken = 0;
	while (
	    taken < 1000 && ledger_take_connection(ledger, str_of(listener), ip, per_minute, now))
		taken++;
	return taken;
}

static void test_connection_rate(void **state)
{
	struct addr ip = address("192.0.2.1"), other = address("192.0.2.2");
	(void)state;
	assert_int_equal(connections("a", &ip, 60), 15);
	assert_int_equal(connections("b", &ip, 60), 15);
	assert_int_equal(connections("a", &other, 60), 15);
	now += 999;
	assert_int_equal(connections("a", &ip, 60), 0);
	now += 1;
	assert_int_equal(connections("a", &ip, 60), 1);
	now += 5 * SECOND;
	assert_int_equal(connections("a", &ip, 60), 5);
	now += HOUR;
	assert_int_equal(connections("a", &ip, 60), 15);
}

static void test_connection_rate_over_a_long_time(void **state)
{
	static const uint64_t rates[] = {1, 3, 7, 60, 600, 50000};
	(void)state;
	for (size_t i = 0; i < NUM(rates); i++) {
		struct addr ip = address_number((uint32_t)i);
		uint64_t taken = 0, minutes = 10;
		for (uint64_t end = now + minutes * MINUTE; now < end; now += 7)
			taken += connections("a", &ip, rates[i]);
		assert_in_range(taken, rates[i] * minutes, rates[i] * minutes + rates[i] / 4 + 1);
	}
}

static void test_connection_rate_off(void **state)
{
	struct addr ip = address("192.0.2.1");
	(void)state;
	assert_int_equal(connections("a", &ip, 2147483647), 1000);
}

static void test_ipv6_by_site(void **state)
{
	struct addr one = address("[2001:db8:0:1::1]"), same = address("[2001:db8:0:1:ffff::2]"),
	            other = address("[2001:db8:0:2::1]");
	(void)state;
	assert_int_equal(connections("a", &one, 60), 15);
	assert_int_equal(connections("a", &same, 60), 0);
	assert_int_equal(connections("a", &other, 60), 15);
	failures_until_banned(&one, "anna");
	assert_true(is_banned(&same));
	assert_false(is_banned(&other));
}

// ---- delays and turns ---------------------------------------------------

static void test_delay_doubles(void **state)
{
	static const uint64_t seconds[] = {1, 2, 4, 8, 16, 16, 16};
	struct addr ip = address("192.0.2.1");
	(void)state;
	for (size_t i = 0; i < NUM(seconds); i++) {
		assert_int_equal(miss(&ip, "anna"), seconds[i] * SECOND);
		now += seconds[i] * SECOND;
	}
}

static void test_one_is_forgiven_every_ten_minutes(void **state)
{
	struct addr ip = address("192.0.2.1");
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		miss(&ip, "anna");
	now = START + 10 * MINUTE; // 3 are left
	assert_int_equal(miss(&ip, "anna"), 8 * SECOND);
	now = START + 41 * MINUTE;
	assert_int_equal(miss(&ip, "anna"), SECOND * 2);
	now += 21 * MINUTE;
	assert_int_equal(look_at(&ip, "anna"), TURN_NOW);
	assert_int_equal(miss(&ip, "anna"), SECOND);
}

static void test_others_wait_for_the_delay(void **state)
{
	struct addr ip = address("192.0.2.1"), other = address("192.0.2.2");
	uint64_t wait;
	(void)state;
	miss(&ip, "anna");
	now += 300;
	assert_int_equal(look(&ip, "bert", &wait), TURN_LATER);
	assert_int_equal(wait, 700);
	now += 5 * SECOND;
	miss(&ip, "anna");
	assert_int_equal(look(&other, "anna", &wait), TURN_LATER);
	assert_int_equal(wait, 2 * SECOND);
	assert_int_equal(look_at(&other, "bert"), TURN_NOW);
}

// In how many milliseconds each of these logins gets to the store; those that are
// refused, never.
static unsigned let_in(
    struct attempt *attempts, bool *open, unsigned num, const struct addr *ip, uint64_t ms)
{
	unsigned asked = 0;
	for (unsigned i = 0; i < num; i++) {
		begin(&attempts[i], ip, "anna");
		open[i] = true;
	}
	for (uint64_t end = now + ms; now <= end; now += 50)
		for (unsigned i = 0; i < num; i++) {
			uint64_t wait;
			enum turn turn =
			    open[i] ? attempt_next_turn(&attempts[i], now, &wait) : TURN_TOO_LATE;
			open[i] = turn == TURN_LATER;
			asked += turn == TURN_NOW;
		}
	return asked;
}

static void end_all(struct attempt *attempts, unsigned num)
{
	for (unsigned i = 0; i < num; i++)
		attempt_end(&attempts[i]);
}

static void test_parallel_guesses_before_the_first_answer(void **state)
{
	struct attempt attempts[200];
	bool open[200];
	struct addr ip = address("192.0.2.1"), other = address("192.0.2.2");
	(void)state;
	assert_int_equal(let_in(attempts, open, NUM(attempts), &ip, 10 * SECOND), 16);
	// Nobody learns more about one user by coming from elsewhere too.
	assert_int_equal(look_at(&other, "anna"), TURN_LATER);
	assert_int_equal(look_at(&other, "bert"), TURN_NOW);
	attempt_succeeded(&attempts[0], now);
	attempt_end(&attempts[0]);
	assert_int_equal(look_at(&ip, "anna"), TURN_NOW);
	end_all(attempts, NUM(attempts));
	assert_int_equal(look_at(&other, "anna"), TURN_NOW);
}

static void test_parallel_guesses_take_turns(void **state)
{
	struct attempt attempts[40];
	struct addr ip = address("192.0.2.1");
	uint64_t began = now, last = 0;
	unsigned asked = 0, late = 0;
	(void)state;
	miss(&ip, "anna");
	miss(&ip, "anna"); // two seconds from here on
	for (unsigned i = 0; i < NUM(attempts); i++) {
		uint64_t wait = 0;
		begin(&attempts[i], &ip, "anna");
		enum turn turn = attempt_next_turn(&attempts[i], now, &wait);
		asked += turn == TURN_LATER && wait > 50;
		late += turn == TURN_TOO_LATE;
		last = turn == TURN_LATER && wait > last ? wait : last;
	}
	assert_in_range(asked, 7, 8);
	assert_int_equal(asked + late, NUM(attempts));
	assert_in_range(last, 14 * SECOND, 16 * SECOND);
	assert_in_range(now - began, 0, 2 * SECOND);
	end_all(attempts, NUM(attempts));
}

static void test_no_delay(void **state)
{
	struct listener_options options = defaults;
	struct addr ip = address("192.0.2.1");
	(void)state;
	options.login_delay = 0;
	options.ban_time = 0;
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(miss_with(&options, &ip, "anna"), 0);
	assert_int_equal(now, START);
	assert_false(penalties_is_banned(ledger, &options, &ip, now));
}

static void test_without_bans_the_rate_is_the_longest_delay(void **state)
{
	struct listener_options options = defaults;
	struct addr ip = address("192.0.2.1");
	(void)state;
	options.ban_time = 0;
	for (unsigned i = 0; i < 200; i++)
		miss_with(&options, &ip, "anna");
	assert_in_range(now - START, 190 * 16 * SECOND, 200 * 16 * SECOND);
}

static void test_the_same_password_counts_once_a_day(void **state)
{
	struct addr ip = address("192.0.2.1");
	struct attempt attempt;
	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		begin(&attempt, &ip, "anna");
		assert_int_equal(attempt_failed(&attempt, STR("old"), now), SECOND);
		now += 5 * MINUTE;
	}
	now = START + DAY + 1;
	begin(&attempt, &ip, "anna");
	attempt_failed(&attempt, STR("old"), now);
	begin(&attempt, &ip, "anna");
	assert_int_equal(attempt_failed(&attempt, STR("other"), now), 2 * SECOND);
	begin(&attempt, &ip, "bert");
	assert_int_equal(attempt_failed(&attempt, STR("old"), now), 4 * SECOND);
}

// ---- bans ---------------------------------------------------------------

static void test_an_address_is_banned(void **state)
{
	struct addr ip = address("192.0.2.1"), other = address("192.0.2.2");
	(void)state;
	assert_int_equal(failures_until_banned(&ip, "anna"), 20);
	assert_true(is_banned(&ip));
	assert_false(is_banned(&other));
	assert_int_equal(look_at(&ip, "bert"), TURN_BANNED);
	assert_int_equal(look_at(&other, "bert"), TURN_NOW);
	now += 15 * MINUTE;
	assert_false(is_banned(&ip));
	assert_in_range(failures_until_banned(&ip, "anna"), 1, 2);
}

static void test_guesses_of_a_day_from_one_address(void **state)
{
	struct addr ip = address("192.0.2.1");
	unsigned guesses = 0;
	(void)state;
	for (uint64_t end = now + DAY; now < end; now += SECOND)
		if (look_at(&ip, "anna") == TURN_NOW) {
			miss(&ip, "anna");
			guesses++;
		}
	assert_in_range(guesses, 20 + 24 * 4, 20 + 24 * 6);
}

static void test_a_user_is_banned_for_strangers(void **state)
{
	struct addr home = address("192.0.2.1"), hotel = address("192.0.2.2");
	uint64_t wait;
	(void)state;
	uint32_t guesses = 0;
	succeed(&home, "anna");
	for (; look_at(&hotel, "anna") != TURN_BANNED; guesses++) {
		struct addr ip = address_number(guesses);
		miss(&ip, "anna");
		assert_int_equal(look(&home, "anna", &wait), TURN_NOW);
	}
	assert_in_range(guesses, 100, 106); // some are forgiven meanwhile
	assert_int_equal(look_at(&hotel, " Anna "), TURN_BANNED);
	assert_int_equal(look_at(&hotel, "bert"), TURN_NOW);
	assert_int_equal(look_at(&home, "anna"), TURN_NOW);
	assert_false(is_banned(&hotel));
	now += 15 * MINUTE;
	assert_int_equal(look_at(&hotel, "anna"), TURN_NOW);
}

static void test_a_user_is_known_for_thirty_days(void **state)
{
	struct addr home = address("192.0.2.1");
	uint64_t wait;
	(void)state;
	succeed(&home, "anna");
	now += (uint64_t)30 * DAY - HOUR;
	for (uint32_t i = 0; i < 5; i++) {
		struct addr ip = address_number(i);
		miss(&ip, "anna");
	}
	assert_int_equal(look(&home, "anna", &wait), TURN_NOW);
	now += HOUR;
	struct addr last = address_number(9);
	miss(&last, "anna");
	assert_int_equal(look(&home, "anna", &wait), TURN_LATER);
}

// Wherever in the /48: one user does not fill the table with each /64 of it.
static void test_a_user_is_known_in_a_site_of_ipv6(void **state)
{
	struct addr one = address("[2001:db8:1:1::1]"), same = address("[2001:db8:1:ffff::1]"),
	            other = address("[2001:db8:2:1::1]");
	(void)state;
	succeed(&one, "anna");
	for (uint32_t i = 0; i < 5; i++) {
		struct addr ip = address_number(i);
		miss(&ip, "anna");
	}
	assert_int_equal(look_at(&one, "anna"), TURN_NOW);
	assert_int_equal(look_at(&same, "anna"), TURN_NOW);
	assert_int_equal(look_at(&other, "anna"), TURN_LATER);
	// What fails there is that user's, wherever in the /48.
	assert_int_equal(miss(&same, "anna"), SECOND);
	assert_int_equal(look_at(&one, "anna"), TURN_LATER);
}

// Names are counted as they are written, case and outer blanks aside.
static void test_realms_are_part_of_the_name(void **state)
{
	struct addr ip = address("192.0.2.1"), other = address("192.0.2.2");
	(void)state;
	miss(&ip, "anna");
	assert_int_equal(look_at(&other, " ANNA "), TURN_LATER);
	assert_int_equal(look_at(&other, "anna@example.org"), TURN_NOW);
	assert_int_equal(look_at(&other, "EXAMPLE\\anna"), TURN_NOW);
}

// As long as a user is known at an address, it is not refused as a whole.
static void test_a_known_user_can_connect(void **state)
{
	struct addr home = address("192.0.2.1");
	(void)state;
	for (unsigned days = 0; days < 100; days += 29) {
		succeed(&home, "anna");
		now += (uint64_t)29 * DAY;
		failures_until_banned(&home, "mallory");
		assert_false(is_banned(&home));
		assert_int_equal(look_at(&home, "anna"), TURN_NOW);
		now += HOUR;
	}
	now += (uint64_t)60 * DAY;
	failures_until_banned(&home, "mallory");
	assert_true(is_banned(&home));
}

// One bad client among many good users of an address.
static void test_crowd(void **state)
{
	struct addr office = address("192.0.2.1");
	char room[16];
	unsigned guesses = 0;
	uint64_t wait;
	(void)state;
	for (unsigned i = 0; i < 100; i++)
		succeed(&office, number_text(room, i).at);
	for (unsigned i = 0; i < 15; i++)
		miss(&office, number_text(room, 1000 + i).at);
	assert_int_equal(look_at(&office, "newcomer"), TURN_NOW);
	for (; look_at(&office, "newcomer") != TURN_BANNED; guesses++) {
		miss(&office, number_text(room, 2000 + guesses).at);
		assert_int_equal(look(&office, "7", &wait), TURN_NOW);
	}
	assert_in_range(guesses, 250, 400); // 340, less those that are forgiven meanwhile
	assert_int_equal(look(&office, "7", &wait), TURN_NOW);
	assert_false(is_banned(&office));
}

// A known user's own mistakes are that user's, and the address's.
static void test_a_known_user_who_is_guessed(void **state)
{
	struct addr office = address("192.0.2.1"), elsewhere = address("192.0.2.2");
	(void)state;
	succeed(&office, "anna");
	succeed(&office, "bert");
	assert_int_equal(failures_until_banned(&office, "anna"), 20);
	assert_int_equal(look_at(&office, "bert"), TURN_NOW);
	assert_int_equal(look_at(&elsewhere, "anna"), TURN_NOW);
	assert_int_equal(look_at(&office, "carla"), TURN_NOW);
	assert_int_equal(look_at(&office, "carla"), TURN_LATER);
}

static void test_a_good_login_forgets_nothing(void **state)
{
	struct addr ip = address("192.0.2.1");
	(void)state;
	for (unsigned i = 0; i < 5; i++)
		miss(&ip, "anna");
	now += 17 * SECOND;
	succeed(&ip, "mallory");
	// One user known: half of the five.
	now += 17 * SECOND;
	assert_int_equal(miss(&ip, "bert"), 4 * SECOND);
}

// ---- the pages ----------------------------------------------------------

static void test_open(void **state)
{
	struct addr ip = address("192.0.2.1");
	int other = memfd_create("other", MFD_CLOEXEC);
	(void)state;
	failures_until_banned(&ip, "anna");
	struct ledger *again = ledger_open(dup(ledger_fd(ledger)));
	assert_non_null(again);
	assert_true(penalties_is_banned(again, &defaults, &ip, now));
	assert_null(ledger_open(other));
	assert_null(ledger_open(-1));
	close(other);
	ledger_free(&again);
	assert_null(again);
}

static void test_fixed_memory(void **state)
{
	struct stat before, after;
	unsigned kept = 0, shared = 0;
	(void)state;
	assert_int_equal(fstat(ledger_fd(ledger), &before), 0);
	for (uint32_t i = 0; i < MANY; i++) {
		struct addr ip = address_number(i);
		shared += connections("a", &ip, 4) != 1;
	}
	// Once in 700,000 two keys have one word (slots.h).
	assert_in_range(shared, 0, 5);
	for (uint32_t i = 0; i < MANY; i++) {
		struct addr ip = address_number(i);
		kept += connections("a", &ip, 4) == 0;
	}
	assert_int_equal(fstat(ledger_fd(ledger), &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	assert_in_range(after.st_blocks * 512, 0, 14 * 1024 * 1024);
	assert_in_range(kept, MANY - MANY / 100, MANY);
}

// Some thousand users, each known at an address, live in a few pages.
static void test_few_pages(void **state)
{
	enum { SOME = 2000 };
	struct stat pages;
	(void)state;
	for (uint32_t i = 0; i < SOME; i++) {
		struct addr ip = address_number(i);
		char room[16] = "";
		number_text(room, i);
		assert_int_equal(connections("a", &ip, 4), 1);
		succeed(&ip, room);
	}
	assert_int_equal(fstat(ledger_fd(ledger), &pages), 0);
	assert_in_range(pages.st_blocks * 512, 0, SOME * 512);
}

// A million addresses, each with one failure, after some that matter.
static void test_floods_drive_out_no_ban(void **state)
{
	struct addr banned = address("192.0.2.1"), guilty = address("192.0.2.2"),
	            home = address("192.0.2.3");
	(void)state;
	succeed(&home, "anna");
	failures_until_banned(&banned, "mallory");
	for (unsigned i = 0; i < 10; i++)
		miss(&guilty, "trudy");
	for (uint32_t i = 0; i < 10 * MANY; i++) {
		struct addr ip = address_number(i);
		uint64_t key = ledger_key_ip(ledger, &ip);
		ledger_add_failure(ledger, LEDGER_FAILURES_OF_IP, key, 20, now);
		connections("a", &ip, 4);
		ledger_note_password(ledger, key, STR("x"), now);
	}
	assert_true(is_banned(&banned));
	uint64_t key = ledger_key_ip(ledger, &guilty);
	assert_int_equal(ledger_failures(ledger, LEDGER_FAILURES_OF_IP, key, now), 10);
	assert_int_equal(failures_until_banned(&guilty, "trudy"), 10);
	assert_int_equal(look_at(&home, "anna"), TURN_NOW);
}

static void add_failures(uint64_t key, unsigned num)
{
	for (unsigned i = 0; i < num; i++)
		ledger_add_failure(ledger, LEDGER_FAILURES_OF_IP, key, 1000000, now);
	_exit(0);
}

// All of one address, so that everybody wants the same word.
static void test_together(void **state)
{
	enum { EACH = 20000 };
	struct addr ip = address("192.0.2.1");
	uint64_t key = ledger_key_ip(ledger, &ip);
	(void)state;
	for (unsigned i = 0; i < WORKERS; i++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			add_failures(key, EACH);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		int status;
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(ledger_failures(ledger, LEDGER_FAILURES_OF_IP, key, now), WORKERS * EACH);
}

// The clock of one worker may be a little behind another's.
static void test_time_goes_back_a_little(void **state)
{
	struct addr ip = address("192.0.2.1");
	uint64_t wait;
	(void)state;
	miss(&ip, "anna");
	now -= 40;
	assert_int_equal(look(&ip, "anna", &wait), TURN_LATER);
	assert_int_equal(wait, SECOND + 40);
	assert_int_equal(connections("a", &ip, 60), 15);
	now -= 40;
	assert_int_equal(connections("a", &ip, 60), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_books, close_books)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_connection_rate),
	    TEST(test_connection_rate_over_a_long_time),
	    TEST(test_connection_rate_off),
	    TEST(test_ipv6_by_site),
	    TEST(test_delay_doubles),
	    TEST(test_one_is_forgiven_every_ten_minutes),
	    TEST(test_others_wait_for_the_delay),
	    TEST(test_parallel_guesses_before_the_first_answer),
	    TEST(test_parallel_guesses_take_turns),
	    TEST(test_no_delay),
	    TEST(test_without_bans_the_rate_is_the_longest_delay),
	    TEST(test_the_same_password_counts_once_a_day),
	    TEST(test_an_address_is_banned),
	    TEST(test_guesses_of_a_day_from_one_address),
	    TEST(test_a_user_is_banned_for_strangers),
	    TEST(test_a_user_is_known_for_thirty_days),
	    TEST(test_a_user_is_known_in_a_site_of_ipv6),
	    TEST(test_realms_are_part_of_the_name),
	    TEST(test_a_known_user_can_connect),
	    TEST(test_crowd),
	    TEST(test_a_known_user_who_is_guessed),
	    TEST(test_a_good_login_forgets_nothing),
	    TEST(test_open),
	    TEST(test_fixed_memory),
	    TEST(test_few_pages),
	    TEST(test_floods_drive_out_no_ban),
	    TEST(test_together),
	    TEST(test_time_goes_back_a_little),
	};
	return cmocka_run_group_tests_name("penalties", tests, NULL, NULL);
}
