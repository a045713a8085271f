// breaker_test.c: when the circuit breaker opens, whom it lets through, and when
// it closes: tables of events, one letter each.
#include "policy/breaker.h"
#include "tests/kit/check.h"

#include <stdlib.h>

// A script is read from left to right; the time stands still but for digits.
//   f g   a lookup from the next of many networks fails, is answered
//   F G   the same from one network, always the same
//   0-9   1, 2, 4, ... 512 s go by (2 to that power)
//   =     asks for a pass and keeps it; + the same, where it must be refused
//   x y   the kept pass's lookup fails, is answered; z: it was never made
//   C O H must now be closed, open, half open
struct row {
	const char *name;
	const char *script;
};

enum { ONE_NETWORK = 1000 };

struct run {
	struct breaker breaker;
	uint64_t now;
	uint64_t networks;
	unsigned pass;
	struct str row;
};

static void tell(struct run *run, unsigned pass, uint64_t network, bool failed)
{
	enum breaker_state before = run->breaker.state;
	enum breaker_change change = breaker_tell(&run->breaker, pass, network, failed, run->now);
	enum breaker_state after = run->breaker.state;
	check(run->row,
	    (change == BREAKER_OPENED) == (before == BREAKER_CLOSED && after == BREAKER_OPEN));
	check(run->row, (change == BREAKER_CLOSED_AGAIN) ==
	                    (before == BREAKER_HALF_OPEN && after == BREAKER_CLOSED));
}

static void look_up(struct run *run, uint64_t network, bool failed)
{
	unsigned pass = breaker_admit(&run->breaker, run->now);
	check(run->row, pass != 0);
	tell(run, pass, network, failed);
}

static void pass_time(struct run *run, unsigned digit)
{
	check(run->row, digit <= 9);
	run->now += 1000ull << digit;
}

static void step(struct run *run, char c)
{
	struct breaker *breaker = &run->breaker;
	switch (c) {
	case 'f': look_up(run, run->networks++, true); return;
	case 'g': look_up(run, run->networks++, false); return;
	case 'F': look_up(run, ONE_NETWORK, true); return;
	case 'G': look_up(run, ONE_NETWORK, false); return;
	case '=':
		run->pass = breaker_admit(breaker, run->now);
		check(run->row, run->pass != 0);
		return;
	case '+': check(run->row, !breaker_admit(breaker, run->now)); return;
	case 'x': tell(run, run->pass, run->networks++, true); return;
	case 'y': tell(run, run->pass, run->networks++, false); return;
	case 'z': breaker_give_back(breaker, run->pass); return;
	case 'C': check(run->row, breaker->state == BREAKER_CLOSED); return;
	case 'O': check(run->row, breaker->state == BREAKER_OPEN); return;
	case 'H': check(run->row, breaker->state == BREAKER_HALF_OPEN); return;
	default: pass_time(run, (unsigned)c - '0');
	}
}

static void test_scripts(void **state)
{
	static const struct row rows[] = {
	    {"all is well", "gggggggggggggggggggggggggggggggggggggggggggC"},
	    {"seven in a row", "fffffffCgfffffffC"},
	    {"eight in a row", "fffffffCfO+"},
	    {"eight in a row, slowly", "f9f9f9f9f9f9f9Cf9O"},
	    {"half of sixteen", "gfgfgfgfgfgfgfgCfO"},
	    {"half of fifteen", "gfgfgfgfgfgfgfC"},
	    {"less than half", "ggfggfggfggfggfggfggfggfggfggfggfC"},
	    {"half, but not of late", "gfgfgfgfgfgfgf4gfC"},
	    {"a third, and then more", "ggfggfggfggfggfggfCffgffgffgffgfCfO"},
	    {"a pause of one second", "ffffffffO+0=H+yC"},
	    {"pauses that double", "ffffffffO0=xO0+0=xO1+1=xO2+2=xO3+3=xO4+3+2+1=yC"},
	    {"pauses end at 30 s", "ffffffff0=x1=x2=x3=x4=x4+3+2+1=x4+3+2+1=yC"},
	    {"after it closed: one second", "ffffffff0=x1=yCffffffffO0=yC"},
	    {"a pass of an earlier round fails", "=ffffffffOxO0=yC"},
	    {"a pass of an earlier round succeeds", "=ffffffffOyO+"},
	    {"the one let through was never made", "ffffffff0=HzO=H+yC"},
	    {"a pass is given back while closed", "=zCfffffffCfO"},
	    {"one network alone, others are answered", "gFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC"},
	    {"one network alone, long ago others were", "g9FFFFFFFFFFFFC"},
	    {"one network and some more", "gFFFFFFFFfffCfO"},
	    {"one network is all there is", "GGFFFFFFFCFO"},
	    {"a network that begins to fail", "gGGGGGGGGFFFFFFFFFFC"},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct run run = {.now = 5, .row = str_of(rows[i].name)};
		breaker_init(&run.breaker);
		for (const char *c = rows[i].script; *c; c++)
			step(&run, *c);
	}
}

// More outcomes than any counter of the ring holds by itself.
static void test_long_life(void **state)
{
	struct run run = {.row = STR("long life")};
	(void)state;
	breaker_init(&run.breaker);
	for (int i = 0; i < 99999; i++)
		step(&run, i % 3 ? 'g' : 'f');
	step(&run, 'C');
	for (int i = 0; i < 8; i++)
		step(&run, 'f');
	step(&run, 'O');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_scripts),
	    cmocka_unit_test(test_long_life),
	};
	return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}
