// syntax.c: reads YAML with libyaml and refuses what is clever in it.  See
// syntax.h.
//
// A text is read twice.  First its events are looked through for anchors,
// aliases, tags, more documents and deep nesting: the document interface
// would hide the first ones, and libyaml's time grows with the square of the
// depth, so that a megabyte of "[" would keep it busy for hours.  Then it is
// read as a document, in which only keys and numbers of entries are left to
// be judged.
//
// Not done: to build a tree of our own from the events.  The document has
// all that is needed, places included.
#include "proxy/config/syntax.h"

#include <stdlib.h>

#include <yaml.h>

#include "proxy/base/die.h"

struct syntax {
	yaml_document_t document;
};

// What reading needs at hand.
struct reader {
	const char *path;
	struct str yaml;
	struct problems *problems;
};

static struct place place_of(yaml_mark_t mark)
{
	return (struct place){(uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

// The parser knows bytes that are no characters by their offset only.
static struct place place_of_byte(struct str yaml, size_t offset)
{
	struct place place = {1, 1};
	struct str before = str_take(yaml, offset);
	for (size_t i = 0; i < before.len; i++) {
		bool ends_line = before.at[i] == '\n';
		place.line += ends_line;
		place.column = ends_line ? 1 : place.column + 1;
	}
	return place;
}

static void start_parser(const struct reader *reader, yaml_parser_t *parser)
{
	BUG_ON(!yaml_parser_initialize(parser)); // fails only when memory is out
	yaml_parser_set_input_string(
	    parser, (const unsigned char *)reader->yaml.at, reader->yaml.len);
}

static void complain_of_parser(const struct reader *reader, const yaml_parser_t *parser)
{
	BUG_ON(parser->error == YAML_MEMORY_ERROR);
	if (parser->error == YAML_READER_ERROR)
		problems_add(reader->problems, reader->path,
		    place_of_byte(reader->yaml, parser->problem_offset),
		    "not a text in UTF-8: %s; save the file as UTF-8 without control characters",
		    parser->problem);
	else
		problems_add(reader->problems, reader->path, place_of(parser->problem_mark),
		    "not YAML: %s%s%s; put values with any of []{}:#,&*!|>%%@ in double quotes",
		    parser->problem, parser->context ? " " : "",
		    parser->context ? parser->context : "");
}

// Follows the nesting; false when it is too deep.
static bool count_depth(const yaml_event_t *event, unsigned *depth)
{
	bool opens =
	    event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT;
	bool closes =
	    event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT;
	*depth = *depth + opens - closes;
	return *depth <= SYNTAX_DEPTH_MAX;
}

// Whether the event carries an anchor or a tag.
static bool is_marked(const yaml_event_t *event)
{
	if (event->type == YAML_SCALAR_EVENT)
		return event->data.scalar.anchor || event->data.scalar.tag;
	if (event->type == YAML_SEQUENCE_START_EVENT)
		return event->data.sequence_start.anchor || event->data.sequence_start.tag;
	if (event->type == YAML_MAPPING_START_EVENT)
		return event->data.mapping_start.anchor || event->data.mapping_start.tag;
	return false;
}

// Why an event is refused; NULL when it is not.
static const char *refusal(const yaml_event_t *event, unsigned *depth, unsigned *documents)
{
	if (event->type == YAML_ALIAS_EVENT)
		return "aliases (*name) are not read; write the value out";
	if (is_marked(event))
		return "anchors (&name) and tags (!name) are not read; leave it out, "
		       "or put the value in double quotes";
	if (!count_depth(event, depth))
		return "nested too deeply";
	*documents += event->type == YAML_DOCUMENT_START_EVENT;
	if (*documents > 1)
		return "a second document begins here; there must be one only";
	return NULL;
}

// Reads one event.  False when it is the last one, or wrong; *out_sound says
// which.
static bool screen_event(const struct reader *reader, yaml_parser_t *parser, unsigned *depth,
    unsigned *documents, bool *out_sound)
{
	yaml_event_t event;
	*out_sound = yaml_parser_parse(parser, &event);
	if (!*out_sound) {
		complain_of_parser(reader, parser);
		return false;
	}
	bool is_last = event.type == YAML_STREAM_END_EVENT;
	const char *why = refusal(&event, depth, documents);
	if (why)
		problems_add(reader->problems, reader->path, place_of(event.start_mark), "%s", why);
	yaml_event_delete(&event);
	*out_sound = !why;
	return *out_sound && !is_last;
}

static bool screen(const struct reader *reader)
{
	yaml_parser_t parser;
	unsigned depth = 0, documents = 0;
	bool sound;
	start_parser(reader, &parser);
	while (screen_event(reader, &parser, &depth, &documents, &sound))
		;
	yaml_parser_delete(&parser);
	return sound;
}

static yaml_node_t *node_at(const struct syntax *syntax, int id)
{
	return syntax->document.nodes.start + (id - 1); // libyaml counts from 1
}

static struct str key_of(const struct syntax *syntax, const yaml_node_pair_t *pair)
{
	return node_text((struct node){syntax, pair->key});
}

// Judges the key of a pair, comparing it with the keys before it.
static bool check_key(const struct reader *reader, const struct syntax *syntax,
    const yaml_node_pair_t *first, const yaml_node_pair_t *pair)
{
	struct node key = {syntax, pair->key};
	struct place place = node_place(key);
	if (node_kind(key) != NODE_TEXT) {
		problems_add(reader->problems, reader->path, place, "a key must be a text");
		return false;
	}
	if (str_eq(node_text(key), STR("<<"))) {
		problems_add(reader->problems, reader->path, place,
		    "merge keys (<<) are not read; write the values out, "
		    "or put what listeners share under \"defaults\"");
		return false;
	}
	for (const yaml_node_pair_t *other = first; other < pair; other++)
		if (str_eq(key_of(syntax, other), node_text(key))) {
			problems_add(reader->problems, reader->path, place,
			    "%s is given twice, first in line %u; leave one out",
			    shown(node_text(key)).at,
			    node_place((struct node){syntax, other->key}).line);
			return false;
		}
	return true;
}

static bool check_node(const struct reader *reader, const struct syntax *syntax, int id)
{
	const yaml_node_t *node = node_at(syntax, id);
	bool sound = true;
	if (node_count((struct node){syntax, id}) > SYNTAX_ENTRIES_MAX) {
		problems_add(reader->problems, reader->path, place_of(node->start_mark),
		    "more than %d entries", SYNTAX_ENTRIES_MAX);
		return false;
	}
	if (node->type != YAML_MAPPING_NODE)
		return true;
	const yaml_node_pair_t *first = node->data.mapping.pairs.start;
	for (const yaml_node_pair_t *pair = first; pair < node->data.mapping.pairs.top && sound;
	     pair++)
		sound = check_key(reader, syntax, first, pair);
	return sound;
}

// libyaml keeps the nodes in one array, so that no tree needs to be walked.
static bool check_nodes(const struct reader *reader, const struct syntax *syntax)
{
	bool sound = true;
	int num = (int)(syntax->document.nodes.top - syntax->document.nodes.start);
	for (int id = 1; id <= num; id++)
		sound = check_node(reader, syntax, id) && sound;
	return sound;
}

static struct syntax *load(const struct reader *reader)
{
	yaml_parser_t parser;
	struct syntax *syntax = xcalloc(1, sizeof(*syntax));
	start_parser(reader, &parser);
	bool loaded = yaml_parser_load(&parser, &syntax->document);
	if (!loaded) {
		complain_of_parser(reader, &parser);
		free(syntax);
		syntax = NULL;
	}
	yaml_parser_delete(&parser);
	return syntax;
}

struct syntax *syntax_read(const char *path, struct str yaml, struct problems *problems)
{
	const struct reader reader = {path, yaml, problems};
	if (yaml.len > SYNTAX_SIZE_MAX) {
		problems_add(problems, path, (struct place){0}, "larger than %d KiB",
		    SYNTAX_SIZE_MAX / 1024);
		return NULL;
	}
	if (!screen(&reader))
		return NULL;
	struct syntax *syntax = load(&reader);
	if (syntax && !check_nodes(&reader, syntax))
		syntax_free(&syntax);
	return syntax;
}

void syntax_free(struct syntax **syntax)
{
	if (!*syntax)
		return;
	yaml_document_delete(&(*syntax)->document);
	free(*syntax);
	*syntax = NULL;
}

struct node syntax_root(const struct syntax *syntax)
{
	bool is_empty = syntax->document.nodes.start == syntax->document.nodes.top;
	return (struct node){syntax, is_empty ? 0 : 1};
}

enum node_kind node_kind(struct node node)
{
	if (!node.id)
		return NODE_NOTHING;
	const yaml_node_t *yaml = node_at(node.syntax, node.id);
	if (yaml->type == YAML_SEQUENCE_NODE)
		return NODE_LIST;
	if (yaml->type == YAML_MAPPING_NODE)
		return NODE_MAP;
	bool is_bare = yaml->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return is_bare && !yaml->data.scalar.length ? NODE_NOTHING : NODE_TEXT;
}

struct place node_place(struct node node)
{
	if (!node.id)
		return (struct place){1, 1};
	return place_of(node_at(node.syntax, node.id)->start_mark);
}

struct str node_text(struct node node)
{
	const yaml_node_t *yaml = node_at(node.syntax, node.id);
	return (struct str){(const char *)yaml->data.scalar.value, yaml->data.scalar.length};
}

size_t node_count(struct node node)
{
	if (!node.id)
		return 0;
	const yaml_node_t *yaml = node_at(node.syntax, node.id);
	if (yaml->type == YAML_SEQUENCE_NODE)
		return (size_t)(yaml->data.sequence.items.top - yaml->data.sequence.items.start);
	if (yaml->type == YAML_MAPPING_NODE)
		return (size_t)(yaml->data.mapping.pairs.top - yaml->data.mapping.pairs.start);
	return 0;
}

struct node node_item(struct node list, size_t index)
{
	const yaml_node_t *yaml = node_at(list.syntax, list.id);
	return (struct node){list.syntax, yaml->data.sequence.items.start[index]};
}

static const yaml_node_pair_t *pair_at(struct node map, size_t index)
{
	return &node_at(map.syntax, map.id)->data.mapping.pairs.start[index];
}

struct str node_key(struct node map, size_t index)
{
	return key_of(map.syntax, pair_at(map, index));
}

struct place node_key_place(struct node map, size_t index)
{
	return node_place((struct node){map.syntax, pair_at(map, index)->key});
}

struct node node_value(struct node map, size_t index)
{
	return (struct node){map.syntax, pair_at(map, index)->value};
}

bool node_find(struct node map, struct str key, struct node *out_value)
{
	for (size_t i = 0; i < node_count(map); i++)
		if (str_eq(node_key(map, i), key)) {
			*out_value = node_value(map, i);
			return true;
		}
	return false;
}
