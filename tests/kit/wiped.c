// wiped.c: free() with a look at the block first.  See wiped.h.
#include "tests/kit/wiped.h"

#include <malloc.h>

// The linker's --wrap=free makes these names.
// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
void __real_free(void *memory);
void __wrap_free(void *memory);
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)

static struct str watched;
static unsigned leaks;

void wiped_watch(struct str secret)
{
	watched = secret;
	leaks = 0;
}

unsigned wiped_leaks(void)
{
	return leaks;
}

void __wrap_free(void *memory)
{
	if (memory && watched.len)
		leaks +=
		    memmem(memory, malloc_usable_size(memory), watched.at, watched.len) != NULL;
	__real_free(memory);
}
