// syntax.h: a YAML text as a tree of texts, lists and maps that know where
// they stand.  The only user of libyaml.
//
// Called by config.c, and by types.c for values out of options.def.  A tree
// owns its memory; nodes and slices borrow from it.
//
// What comes out is plain: no node is an alias, has an anchor or a tag, keys
// are texts and stand once in their map, nothing is nested deeper than
// SYNTAX_DEPTH_MAX, nothing has more than SYNTAX_ENTRIES_MAX entries, and no
// text has been taken for a number, a date or a truth value.
#ifndef POPGATE_PROXY_CONFIG_SYNTAX_H
#define POPGATE_PROXY_CONFIG_SYNTAX_H

#include "proxy/base/str.h"
#include "proxy/config/problems.h"

enum {
	SYNTAX_SIZE_MAX = 1 << 20, // bytes of a text
	SYNTAX_DEPTH_MAX = 16,
	SYNTAX_ENTRIES_MAX = 1000,
};

struct syntax;

struct node {
	const struct syntax *syntax;
	int id;
};

enum node_kind {
	NODE_NOTHING, // an empty file, or a key with nothing behind it
	NODE_TEXT,
	NODE_LIST,
	NODE_MAP,
};

// Reads yaml.  NULL, and at least one problem under the name `path`, when it
// is not as described above.
struct syntax *syntax_read(const char *path, struct str yaml, struct problems *problems);

// Frees it and sets the pointer to NULL; NULL is allowed.
void syntax_free(struct syntax **syntax);

struct node syntax_root(const struct syntax *syntax);

enum node_kind node_kind(struct node node);
struct place node_place(struct node node);

// The text of a NODE_TEXT.
struct str node_text(struct node node);

// How many items a list or pairs a map has; 0 for the other kinds.
size_t node_count(struct node node);

// Item, key and value by number, below node_count.
struct node node_item(struct node list, size_t index);
struct str node_key(struct node map, size_t index);
struct place node_key_place(struct node map, size_t index);
struct node node_value(struct node map, size_t index);

// The value behind a key.  False when there is none.
bool node_find(struct node map, struct str key, struct node *out_value);

#endif
