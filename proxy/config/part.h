// part.h: one section's struct, being filled from the file by its rows of
// options.def, without its type being known.
//
// Called by config.c, which owns the structs and says in which order they are
// filled.
#ifndef POPGATE_PROXY_CONFIG_PART_H
#define POPGATE_PROXY_CONFIG_PART_H

#include "proxy/config/options.h"

// A struct that is being filled, seen without its type.
struct part {
	const struct section_row *section;
	void *values;
	struct place *places;
	struct shown title; // for messages: "listener "pop3""
};

struct load {
	struct config *config;
	struct problems *problems;
	struct node root;
};

// Fills in the built-in defaults.
void part_put_defaults(const struct load *load, const struct part *part);

// Reads the keys of a map over what the part has, and notes where they stand.
// Of the top level, the sections are left alone.
void part_read(const struct load *load, const struct part *part, struct node map);

// Reads an entry of a section that has several, in which nothing may be
// missing in the end; and the name of that entry, which the caller frees.
void part_read_named(
    const struct load *load, const struct part *part, struct node map, size_t index);
char *part_read_name(const struct load *load, struct node map, size_t index);

// Whether a node can be walked as a map; a section with nothing in it is one.
// False with a problem told.
bool part_is_map(const struct load *load, struct node node, const char *title);

#endif
