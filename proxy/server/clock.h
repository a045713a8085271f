// clock.h: the supervisor's time: milliseconds that only go forward.
//
// The same clock before and after an upgrade, so that deadlines can be handed
// on as they are.
#ifndef POPGATE_PROXY_SERVER_CLOCK_H
#define POPGATE_PROXY_SERVER_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_NEVER UINT64_MAX

static inline uint64_t clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline uint64_t clock_earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

#endif
