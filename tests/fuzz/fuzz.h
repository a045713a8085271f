// fuzz.h: what every fuzz target has: its entry, and a check that ends it.
#ifndef POPGATE_TESTS_FUZZ_FUZZ_H
#define POPGATE_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// libFuzzer's name for it; called once per input, returns 0.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

#endif
