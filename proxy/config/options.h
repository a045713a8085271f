// options.h: options.def and types.def as tables that can be walked.
//
// Used inside this folder: config.c fills structs by them, the render_*.c
// files print by them.  Everybody else uses the fields of config.h.
#ifndef POPGATE_PROXY_CONFIG_OPTIONS_H
#define POPGATE_PROXY_CONFIG_OPTIONS_H

#include "proxy/config/types.h"

struct option_row {
	const char *name;
	const struct type_row *type;
	size_t offset;        // of the field in its section's struct
	const char *fallback; // the default; NULL: must be given
	const char *example;  // of one that must be given; else NULL
	const char *least;
	const char *most;
	const char *sentence;
};

enum section {
#define SECTION(section, ...) SECTION_##section,
#define OPTION(...)
#define KEYWORD(...)
#define REQUIRED(...)
#define SECTION_END(section)
#include "proxy/config/options.def"
#undef SECTION
#undef OPTION
#undef KEYWORD
#undef REQUIRED
#undef SECTION_END
	SECTIONS
};

struct section_row {
	const char *noun;    // "listener"
	const char *key;     // "listeners"; "" for the top level
	const char *example; // a name; NULL when there is only one of this section
	const char *sentence;
	const struct option_row *options;
	size_t num_options;
};

extern const struct section_row option_sections[SECTIONS];

// The row of a section's option; NULL when it has none of this name.
const struct option_row *option_find(const struct section_row *section, struct str name);

// A field of a section's struct.  What is put there is the struct's from then
// on, what was there is freed; what is got is still the struct's.
union option_value option_get(const struct option_row *option, const void *values);
void option_put(const struct option_row *option, void *values, union option_value value);

// Puts the default into the field; nothing (NULL, 0) where there is none.
void option_put_default(const struct option_row *option, const char *path, void *values);

// Frees all fields.
void option_free_all(const struct section_row *section, void *values);

// The sentence and the range: "Time for a TLS handshake. From 1s to 5m."
void option_describe(const struct option_row *option, struct text *out);

// Whether a list may be without items: one whose default is, or whose least is "0".
bool option_may_be_empty(const struct option_row *option);

// The default as it stands in the file; NULL when it must be given.
const char *option_default_text(const struct option_row *option);

#endif
