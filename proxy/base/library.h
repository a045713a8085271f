// library.h: loads a shared library into the running process and finds functions in it.
//
// Used by the programs that popgate is under another name (fetch.h, metrics_server.h): each
// alone needs a library that no other process shall carry, so popgate is not linked with
// it.  The caller includes the library's header, for the types, and owns the pointers.
//
// A library that was loaded stays until the process ends, one without all functions too:
// who was refused it ends.
#ifndef POPGATE_PROXY_BASE_LIBRARY_H
#define POPGATE_PROXY_BASE_LIBRARY_H

#include "proxy/base/text.h"

struct library_function {
	const char *name;
	void *pointer; // to the pointer that is to be set
};

// A row: the pointer `at` shall point to the library's `function`.  Does not compile when it
// is one to another kind of function.
#define LIBRARY_FUNCTION(function, at)                                                             \
	{                                                                                          \
		.name = #function, .pointer = 1 ? &(at) : (__typeof__(function) **)NULL            \
	}

// Loads `file`, a name as the dynamic linker looks for it, and sets all pointers.  It opens
// files: before a filter of system calls.  False with the reason in *why, which says to
// install the Debian package `package`, when the library or a function is not there; some
// pointers may be set then.
__attribute__((warn_unused_result)) bool library_load(const char *file, const char *package,
    const struct library_function *functions, size_t num, struct text *why);

#endif
