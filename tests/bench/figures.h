// figures.h: what benchmarks share: clocks, a line, and random numbers.
#ifndef POPGATE_TESTS_BENCH_FIGURES_H
#define POPGATE_TESTS_BENCH_FIGURES_H

#include <stdint.h>

double now_s(void);

// Processor time that this process has had, which other programs hardly change.
double spent_s(void);

// A line: what was measured, how much, in which unit.
void print(const char *what, double figure, const char *unit);

// The same numbers in each run.
uint64_t draw(void);

// The judgement of clients by whole policies, with databases and warm names.
void measure_decisions(void);

#endif
