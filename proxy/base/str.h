// str.h: a slice of bytes: where it begins and how long it is.
//
// Used everywhere instead of C strings, because bytes from a peer may hold
// NUL and are seldom worth copying.  A slice borrows: it is valid as long as
// what it points into.  It is passed by value and never freed.
//
// Not done: a reference-counted string.  Nothing here lives longer than its
// buffer, so there is nothing to count.
#ifndef POPGATE_PROXY_BASE_STR_H
#define POPGATE_PROXY_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *at;
	size_t len;
};

// A slice of a string literal, also usable in static initialisers.
#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})

// For printf's "%.*s".
#define STR_ARG(s) (int)(s).len, (s).at

// The slice of a C string; NULL gives the empty slice.
static inline struct str str_of(const char *c_string)
{
	return (struct str){c_string, c_string ? strlen(c_string) : 0};
}

static inline bool str_is_empty(struct str s)
{
	return s.len == 0;
}

// The first n bytes of s; all of it when it is shorter.
static inline struct str str_take(struct str s, size_t n)
{
	return (struct str){s.at, n < s.len ? n : s.len};
}

// What follows the first n bytes of s; empty when it is shorter.
static inline struct str str_drop(struct str s, size_t n)
{
	n = n < s.len ? n : s.len;
	return (struct str){n ? s.at + n : s.at, s.len - n};
}

bool str_eq(struct str a, struct str b);

// The same but for the case of ASCII letters, as POP3 keywords are compared
// (RFC 1939 section 3).
bool str_eq_nocase(struct str a, struct str b);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_has_nocase(struct str s, struct str part);

// Where the byte c first stands in s; s.len when nowhere.
size_t str_find(struct str s, char c);

// Cuts s at the first sep: what stands before it into *out_head, what follows
// into *out_tail.  Without a sep, all of s is the head, the tail is empty and
// the result false.  Either output may be where s came from.
bool str_cut(struct str s, char sep, struct str *out_head, struct str *out_tail);

// s without spaces and tabs at both ends.
struct str str_trim(struct str s);

// True when s holds a byte below 0x20 or 0x7f: nothing that may go into a
// command line, a log line or a helper's request.
bool str_has_control(struct str s);

// Reads all of s as a decimal number without sign.  False when s is empty,
// holds anything but digits, or exceeds 2^64-1.
bool str_to_u64(struct str s, uint64_t *out_number);

// Takes the first code point of UTF-8 (RFC 3629) off s, which is not empty.
// False when there is none: then it is the first byte as it stands.
bool str_take_code_point(struct str *s, uint32_t *out_code);

// A heap copy, ended by NUL; the caller frees it with free().
char *str_dup(struct str s);

#endif
