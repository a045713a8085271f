// die.h: the two ways in which popgate ends itself: out of memory for a
// control block, and a bug.
//
// Used by everyone.  Only for what no peer, file or administrator can cause:
// memory that is sized by a peer is capped where it is asked for, and bad
// input is a refusal, never a BUG_ON.
#ifndef POPGATE_PROXY_BASE_DIE_H
#define POPGATE_PROXY_BASE_DIE_H

#include <stddef.h>

// malloc, calloc and realloc that abort with a message when memory is out.
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);

// Says where and aborts; checked in every build.
_Noreturn void die_of_bug(const char *condition, const char *file, int line);

#define BUG_ON(condition)                                                                          \
	do {                                                                                       \
		if (__builtin_expect(!!(condition), 0))                                            \
			die_of_bug(#condition, __FILE__, __LINE__);                                \
	} while (0)

#endif
