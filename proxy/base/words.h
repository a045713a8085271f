// words.h: a line of words between blanks; a word with blanks in it stands in
// double quotes.
//
// Pure.  Used for the rules of policies and of maps, and for the lines of files of maps.
#ifndef POPGATE_PROXY_BASE_WORDS_H
#define POPGATE_PROXY_BASE_WORDS_H

#include "proxy/base/str.h"

// Begin with {.rest = line} and words_next.
struct words {
	struct str word; // its `at` is NULL behind the last one
	struct str rest; // what follows it
	bool is_quoted;  // it stood in quotes, and is no keyword
};

// A quote that is never closed stays in its word.
void words_next(struct words *words);

static inline bool words_at_end(const struct words *words)
{
	return !words->word.at;
}

// Whether the keyword stands next.
bool words_are_at(const struct words *words, const char *keyword);

// Takes the keyword if it stands next.
bool words_take(struct words *words, const char *keyword);

#endif
