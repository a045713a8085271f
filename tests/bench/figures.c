// figures.c: the clock, the line and the numbers.  See figures.h.
#include "tests/bench/figures.h"

#include <stdio.h>
#include <time.h>

static double read_clock(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double now_s(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

double spent_s(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void print(const char *what, double figure, const char *unit)
{
	printf("%-56s %10.3f %s\n", what, figure, unit);
}

uint64_t draw(void)
{
	static uint64_t state = 1;
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return state >> 32 | state << 32;
}
