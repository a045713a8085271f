// problems.h: what is wrong with a configuration, collected line by line, and
// the manners of telling it: foreign text made fit to print, and the nearest
// known word to an unknown one.
//
// Filled by everything that reads the configuration (this folder, and what
// loads the files that it names); printed by the command that was asked to
// read it.  Nothing here is on the heap.
#ifndef POPGATE_PROXY_CONFIG_PROBLEMS_H
#define POPGATE_PROXY_CONFIG_PROBLEMS_H

#include "proxy/base/text.h"

// Line and column in the file, from 1; line 0: not from the file.
struct place {
	uint32_t line;
	uint32_t column;
};

// Collects problems as lines "FILE:LINE:COLUMN: what is wrong".
struct problems {
	struct text text;
	unsigned num; // all of them, also repeated ones and those that have no room
	char room[8192];
};

void problems_init(struct problems *problems);

// Adds one; `place.line` 0 leaves line and column out.  What was said before,
// word for word, is counted but not said again.
__attribute__((format(printf, 4, 5))) void problems_add(
    struct problems *problems, const char *path, struct place place, const char *format, ...);

// A piece of a message, passed by value: problems_add(..., "%s", shown(s).at).
struct shown {
	char at[128];
};

// s in quotes, cut when it is long and without control characters.
struct shown shown(struct str s);

// The nearest to `wanted` of the words that were offered.  Begin with
// {.wanted = s}.
struct suggestion {
	struct str wanted;
	struct str nearest;
	unsigned distance;
};

void suggestion_offer(struct suggestion *suggestion, struct str word);

// "; did you mean "word"?", or nothing when no word was near.
struct shown suggestion_shown(const struct suggestion *suggestion);

#endif
