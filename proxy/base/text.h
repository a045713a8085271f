// text.h: builds a text in an array of the caller's, and remembers whether it
// fitted.
//
// Used for replies, log lines and error messages.  The builder owns nothing.
// Once something did not fit, all later additions are dropped and `truncated`
// stays set, so that a chain of additions needs one check at its end.  The
// text is always ended by NUL, which is not counted.
#ifndef POPGATE_PROXY_BASE_TEXT_H
#define POPGATE_PROXY_BASE_TEXT_H

#include <stdarg.h>

#include "proxy/base/str.h"

struct text {
	char *at;
	size_t len;
	size_t cap; // bytes at `at`, the NUL included
	bool truncated;
};

// An empty builder over a char array.
#define TEXT(array) text_in((array), sizeof(array))

// An empty builder over the `size` (at least 1) bytes at `memory`.
struct text text_in(char *memory, size_t size);

void text_add(struct text *text, struct str s);
void text_add_char(struct text *text, char c);
void text_add_u64(struct text *text, uint64_t number);

// s as one word of a POSIX shell (XCU 2.2), in single quotes where it needs them: for
// commands that a message says to run.  Fits as a whole or not at all.
void text_add_shell_word(struct text *text, struct str s);

__attribute__((format(printf, 2, 3))) void text_addf(struct text *text, const char *format, ...);
__attribute__((format(printf, 2, 0))) void text_addv(
    struct text *text, const char *format, va_list args);

// Whether there was nothing to add, not even what found no room: of a reason, whether all
// is well.
static inline bool text_is_empty(const struct text *text)
{
	return !text->len && !text->truncated;
}

static inline struct str text_str(const struct text *text)
{
	return (struct str){text->at, text->len};
}

#endif
