// check.h: cmocka, with checks that say which row of a table failed.
//
// Used by every test in C.  A row is named by the first thing that tells it
// from the others, usually its input.
#ifndef POPGATE_TESTS_KIT_CHECK_H
#define POPGATE_TESTS_KIT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "proxy/base/str.h"

#define NUM(array) (sizeof(array) / sizeof((array)[0]))

// An array as a slice, for tables of bytes that are not texts.
#define BYTES(...) ((struct str){(const char[]){__VA_ARGS__}, sizeof((const char[]){__VA_ARGS__})})

// Fails the test unless `condition` holds; says the row and the condition.
#define check(row, condition)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			check_failed((row), #condition, __FILE__, __LINE__);                       \
	} while (0)

void check_failed(struct str row, const char *condition, const char *file, int line);

// Fails the test unless both hold the same bytes; says the row and both.
#define check_str(row, found, wanted) check_str_at((row), (found), (wanted), __FILE__, __LINE__)

void check_str_at(struct str row, struct str found, struct str wanted, const char *file, int line);

// `count` bytes `c`, at the beginning of `room`.
struct str check_fill(char *room, size_t size, char c, size_t count);

#endif
