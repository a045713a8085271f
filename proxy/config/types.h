// types.h: what the value of an option can be: how it is read from the file
// and how it is printed.
//
// A type (types.def) has a form, and with it words and checks of its own.
// Forms are few: forms.c reads and prints them.  Types are many and only
// rows: types.c has their tables.
//
// Reading goes by the type alone, whether a text is quoted does not matter:
// `no` is the text "no" for a text, and nothing but an error for a flag.
#ifndef POPGATE_PROXY_CONFIG_TYPES_H
#define POPGATE_PROXY_CONFIG_TYPES_H

#include <stdio.h>

#include "proxy/config/config.h"
#include "proxy/config/syntax.h"

struct option_row;

enum form {
	FORM_text,
	FORM_fingerprint,  // a text of hexadecimal digits, kept in small letters
	FORM_path,         // a file name, kept absolute, or one of the type's words
	FORM_flag,         // true or false
	FORM_number,       // a whole number and one of the type's words, a unit
	FORM_named_number, // a whole number, or one of the type's words
	FORM_choice,       // one of the type's words
	FORM_set,          // a list of the type's words, kept as bits
	FORM_list,         // a list of texts, each checked
	FORMS
};

// A value, kept as its form keeps it.
union option_value {
	char *text;
	char *fingerprint;
	char *path;
	bool flag;
	uint64_t number;
	uint64_t named_number;
	unsigned choice;
	unsigned set;
	struct text_list list;
};

// Tables of words end with a row without a name.
struct option_word {
	const char *name;
	uint64_t value;
	const char *refusal; // why it is known but cannot be had; NULL: it can.  With a
	                     // value: but by login_exceptions it can
};

struct type_row {
	const char *name;
	enum form form;
	size_t size; // of the C type
	const struct option_word *words;
	bool (*check)(struct str item, struct text *why); // NULL: all will do
	const char *pattern;
	const char *how;
};

#define TYPE(name, ...) TYPE_##name,
enum option_type {
#include "proxy/config/types.def"
	OPTION_TYPES
};
#undef TYPE

extern const struct type_row option_types[OPTION_TYPES];

// A value about to be read.
struct reading {
	struct node node;
	const struct option_row *option;
	const char *path; // of the configuration file
	struct problems *problems;
};

enum notation { NOTATION_YAML, NOTATION_JSON };

// Reads a value by its option's type and range.  False, with a problem told,
// when it is none; else it is the caller's, to be freed by value_free.
bool value_read(const struct reading *reading, union option_value *out_value);

// Prints it so that value_read reads the same again.
void value_print(const struct type_row *type, const union option_value *value,
    enum notation notation, FILE *out);

union option_value value_copy(const struct type_row *type, const union option_value *value);
void value_free(const struct type_row *type, union option_value *value);

// The smallest or largest value of an option, read from its row's text.
uint64_t value_bound(const struct type_row *type, const char *bound);

// A text in double quotes.
void quoted_print(struct str s, enum notation notation, FILE *out);

// What an administrator writes: "text or json", "a list of host:port".
struct shown type_how(const struct type_row *type);

#endif
