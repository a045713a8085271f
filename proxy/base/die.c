// die.c: ending on a bug or when memory is out.  See die.h.
#include "proxy/base/die.h"

#include <stdio.h>
#include <stdlib.h>

static void *or_die(void *memory, size_t size)
{
	if (!memory && size) {
		fprintf(stderr, "popgate: out of memory (%zu bytes)\n", size);
		abort();
	}
	return memory;
}

void *xmalloc(size_t size)
{
	return or_die(malloc(size), size);
}

void *xcalloc(size_t count, size_t size)
{
	return or_die(calloc(count, size), count && size ? size : 0);
}

void *xrealloc(void *old, size_t size)
{
	return or_die(realloc(old, size), size);
}

void die_of_bug(const char *condition, const char *file, int line)
{
	fprintf(stderr, "popgate: bug: %s at %s:%d; please report this\n", condition, file, line);
	abort();
}
