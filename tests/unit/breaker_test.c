// breaker_test.c: when the circuit breaker opens, whom it lets through, and when
// it closes: tables of events, one letter each.
#include "policy/breaker.h"
#include "tests/kit/check.h"

#include <stdlib.h>

// A script is read from left to right; the time stands still but for digits.
//   f g   a lookup from the next of many networks fails, is answered
//   0-9   1, 2, 4, ... 512 s go by (2 to that power)
//   @a    the letter that follows is about network a, not the next of many; for
//         f, g and =; there are a to e
//   =     asks for a pass and keeps it; + the same, where it must be refused
//   x y   the kept pass's lookup fails, is answered; z: it was never made
//   X     the lookup of the pass kept before that fails
//   C O   must now be closed, open; H: open with one lookup let through
struct row {
	const char *name;
	const char *script;
};

enum { MANY = 1000 };

struct pass {
	unsigned pass;
	uint64_t network;
};

struct run {
	struct breaker breaker;
	uint64_t now;
	uint64_t networks;
	uint64_t chosen; // 0: none
	struct pass pass, before;
	struct str row;
};

static uint64_t network(struct run *run)
{
	uint64_t chosen = run->chosen;
	run->chosen = 0;
	return chosen ? chosen : MANY + run->networks++;
}

static struct pass ask(struct run *run)
{
	uint64_t from = network(run);
	return (struct pass){breaker_admit(&run->breaker, from, run->now), from};
}

static void tell(struct run *run, struct pass pass, bool failed)
{
	bool was_open = run->breaker.is_open;
	enum breaker_change change =
	    breaker_tell(&run->breaker, pass.pass, pass.network, failed, run->now);
	bool is_open = run->breaker.is_open;
	check(run->row, (change == BREAKER_OPENED) == (!was_open && is_open));
	check(run->row, (change == BREAKER_CLOSED_AGAIN) == (was_open && !is_open));
}

static void look_up(struct run *run, bool failed)
{
	struct pass pass = ask(run);
	check(run->row, pass.pass != 0);
	tell(run, pass, failed);
}

static void keep_pass(struct run *run)
{
	run->before = run->pass;
	run->pass = ask(run);
	check(run->row, run->pass.pass != 0);
}

static void pass_time(struct run *run, unsigned digit)
{
	check(run->row, digit <= 9);
	run->now += 1000ull << digit;
}

static void step(struct run *run, char c)
{
	const struct breaker *breaker = &run->breaker;
	switch (c) {
	case 'f': look_up(run, true); return;
	case 'g': look_up(run, false); return;
	case '=': keep_pass(run); return;
	case '+': check(run->row, !ask(run).pass); return;
	case 'x': tell(run, run->pass, true); return;
	case 'y': tell(run, run->pass, false); return;
	case 'X': tell(run, run->before, true); return;
	case 'z': breaker_give_back(&run->breaker, run->pass.pass, run->pass.network); return;
	case 'C': check(run->row, !breaker->is_open); return;
	case 'O': check(run->row, breaker->is_open && !breaker->num_probes); return;
	case 'H': check(run->row, breaker->is_open && breaker->num_probes == 1); return;
	default: pass_time(run, (unsigned)c - '0');
	}
}

static void play(struct run *run, const char *script)
{
	for (const char *c = script; *c; c++)
		if (*c == '@')
			run->chosen = (unsigned char)*++c - (uint64_t)'a' + 1;
		else
			step(run, *c);
}

static void test_scripts(void **state)
{
	static const struct row rows[] = {
	    {"all is well", "gggggggggggggggggggggggggggggggggggggggggggC"},
	    {"seven in a row", "fffffffC4gfffffffC"},
	    {"eight in a row", "fffffffCfO+"},
	    {"eight in a row, behind much good", "ggggggggggggggggggggggggggggggggfffffffCfO"},
	    {"eight in a row, 4 s each", "f2f2f2f2f2f2f2Cf2O"},
	    {"eight in a row, too slowly", "f4f4f4f4f4f4f4f4f4f4f4C"},
	    {"eight networks, as many are answered", "gfgfgfgfgfgfgfgCfO"},
	    {"seven networks, as many are answered", "gfgfgfgfgfgfgfC"},
	    {"eight networks, more are answered", "ggfggfggfggfggfggfggfggfggfggfggfC"},
	    {"eight networks, not of late", "gfgfgfgfgfgfgf4gfC"},
	    {"a third, and then more", "ggfggfggfggfggfggfCffgffgffgffgfCfO"},
	    {"a pause of one second", "ffffffffO+0=H+yC"},
	    {"pauses that double", "ffffffffO0=xO0+0=xO1+1=xO2+2=xO3+3=xO4+3+2+1=yC"},
	    {"pauses end at 30 s", "ffffffff0=x1=x2=x3=x4=x4+3+2+1=x4+3+2+1=yC"},
	    {"after it closed: one second", "ffffffff0=x1=yCffffffffO0=yC"},
	    {"a pass of an earlier round fails", "=ffffffffOxO0=yC"},
	    {"a pass of an earlier round succeeds", "=ffffffffOyO+"},
	    {"the one let through was never made", "ffffffff0=HzO=H+yC"},
	    {"a pass is given back while closed", "=zCfffffffCfO"},
	    // Some networks' zones are silent, others are answered.
	    {"one network", "g@af@af@af@af@af@af@af@af@af@af@af@afC"},
	    {"one network, its own answers", "@ag@af@af@af@af@af@af@af@af@afC"},
	    {"three networks", "g@af@bf@cf@af@bf@cf@af@bf@cf@af@bf@cf@af@bf@cfC"},
	    {"three networks, again and again",
	        "g@af@bf@cf@af@bf@cfg@af@bf@cf@af@bf@cfg@af@bf@cfC"},
	    {"four networks", "g@af@bf@cf@df@af@bf@cfC@dfO+@e+"},
	    {"four networks under others' answers",
	        "g@afg@bfg@cfg@dfg@afg@bfg@cfg@dfg@af@bf@cf@dfC"},
	    {"one network and some more", "g@af@af@af@af@affffffCfO"},
	    {"one network's do not push out answers", "gg@af@af@af@af@af@af@af@af@af@af@af@af@af@"
	                                              "af@af@af@af@af@af@af@af@af@af@af@af@af@af"
	                                              "@af@af@af@af@af@af@af@afC"},
	    // No others are.
	    {"one network is all there is", "@af@af@af@af@af@af@afC@afO@a+"},
	    {"one network, long after others", "g3@af@afC1@af@af@af@af@afC@afO@a+"},
	    {"one network, a minute apart", "@af6@af6@af6@af6@af6@af6@af6@af6@afC"},
	    {"it opens for that one alone", "@af@af@af@af@af@af@af@afO@a+gC@agC"},
	    {"its pauses double", "@af@af@af@af@af@af@af@afO@a+0@afO0@a+0@afO1@a+1@afO2@a+gC"},
	    {"three networks, and it opens for all",
	        "@af@af@af@af@af@af@bf@cfO@a+@c+@e=H@b+xO@a+@b+@c+@d+"},
	    // Who failed before does not keep it open.
	    {"beside a known one another is asked", "ffff@af@af@bf@bfO0@a=H@a+@b=@a+@e++yC"},
	    {"beside a known one a new one", "ffff@af@af@bf@bfO0@a==+yC"},
	    {"the first of two fails", "ffff@af@af@bf@bfO0@a==XHyC"},
	    {"both fail", "ffff@af@af@bf@bfO0@a==XHxO0+0=yC"},
	    {"a known one's pause is a second", "ffff@af@af@bf@bfO0@afO+0@afO+0@bfO+0@afO+0gC"},
	    {"a known one leaves a longer pause", "ffff@af@af@bf@bfO0fO1fO2@afO0gC"},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct run run = {.now = 5, .row = str_of(rows[i].name)};
		breaker_init(&run.breaker);
		play(&run, rows[i].script);
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
