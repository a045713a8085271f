// figures.c: the clock, the line and the numbers.  See figures.h.
#include "tests/bench/figures.h"

#include <stdio.h>
#include <time.h>

double now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
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
