// aliases.h: a file of names and what they are called at the backend, one a line:
//
//     # comment
//     LAB\anna       anna.meier
//     bo@contoso.com bo           store2     # the backend, where it is another one
//
// The first word is a name as in account.h, without "*"; a word with blanks in it
// stands in double quotes.  Lines may end in LF or CR LF, and the file may have a
// byte order mark.  One that cannot be understood whole is refused whole.
//
// Read by the supervisor with the configuration; workers inherit it.  A look-up is a
// binary search.
#ifndef POPGATE_BACKENDS_ALIASES_H
#define POPGATE_BACKENDS_ALIASES_H

#include "backends/account.h"
#include "proxy/base/text.h"

struct aliases;

// Bytes of a file.
enum { ALIASES_FILE_MAX = 64 * 1024 * 1024 };

struct alias {
	char *name;    // folded parts (fold.h), each ended by NUL
	char *target;  // the name at the backend
	char *backend; // NULL: the listener's
	size_t line;   // from 1
};

// NULL with the reason in *why, which begins with the path and, where it is known,
// the line.
struct aliases *aliases_load(const char *path, struct text *why);

// The same of a text that is already here.
struct aliases *aliases_parse(struct str text, const char *path, struct text *why);

// NULL is allowed.
void aliases_free(struct aliases **aliases);

size_t aliases_num(const struct aliases *aliases);

// In the order of their names.
const struct alias *aliases_at(const struct aliases *aliases, size_t index);

// The index of an account whose parts are folded; aliases_num when it has no line.
size_t aliases_find(const struct aliases *aliases, const struct account *folded);

#endif
