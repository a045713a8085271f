// part.c: fills one section's struct.  See part.h.
#include "proxy/config/part.h"

void part_put_defaults(const struct load *load, const struct part *part)
{
	for (size_t i = 0; i < part->section->num_options; i++)
		option_put_default(&part->section->options[i], load->config->path, part->values);
}

static bool is_section(struct str key)
{
	for (size_t i = 0; i < SECTIONS; i++)
		if (*option_sections[i].key && str_eq(str_of(option_sections[i].key), key))
			return true;
	return str_eq(key, STR("defaults"));
}

// The section that has an option of this name; NULL when none has.
static const struct section_row *home_of(struct str key)
{
	for (size_t i = 0; i < SECTIONS; i++)
		if (option_find(&option_sections[i], key))
			return &option_sections[i];
	return NULL;
}

// An option in the wrong section is told where it belongs; any other word, and
// one that is a slip of the pen away, the nearest one that may stand here.
static void complain_of_key(
    const struct load *load, const struct part *part, struct str key, struct place place)
{
	struct suggestion suggestion = {.wanted = key};
	const struct section_row *home = home_of(key);
	bool is_top = !*part->section->key;
	for (size_t i = 0; i < part->section->num_options; i++)
		suggestion_offer(&suggestion, str_of(part->section->options[i].name));
	for (size_t i = 0; is_top && i < SECTIONS; i++)
		suggestion_offer(&suggestion, str_of(option_sections[i].key));
	if (is_top)
		suggestion_offer(&suggestion, STR("defaults"));
	if (home && !(suggestion.nearest.at && suggestion.distance <= 1))
		problems_add(load->problems, load->config->path, place,
		    "%s does not belong in %s; it is an option of %s%s", shown(key).at,
		    part->title.at, home->example ? "a " : "",
		    *home->key ? home->noun : "the top level");
	else
		problems_add(load->problems, load->config->path, place, "unknown key %s in %s%s",
		    shown(key).at, part->title.at, suggestion_shown(&suggestion).at);
}

static void read_option(const struct load *load, const struct part *part,
    const struct option_row *option, struct node node)
{
	const struct reading reading = {node, option, load->config->path, load->problems};
	union option_value value;
	part->places[option - part->section->options] = node_place(node);
	if (value_read(&reading, &value))
		option_put(option, part->values, value);
}

void part_read(const struct load *load, const struct part *part, struct node map)
{
	for (size_t i = 0; i < node_count(map); i++) {
		struct str key = node_key(map, i);
		const struct option_row *option = option_find(part->section, key);
		if (option)
			read_option(load, part, option, node_value(map, i));
		else if (*part->section->key || !is_section(key))
			complain_of_key(load, part, key, node_key_place(map, i));
	}
}

static void require_all(const struct load *load, const struct part *part, struct place place)
{
	for (size_t i = 0; i < part->section->num_options; i++) {
		const struct option_row *option = &part->section->options[i];
		if (!option->fallback && !part->places[i].line)
			problems_add(load->problems, load->config->path, place,
			    "%s lacks %s, which must be given: %s: %s", part->title.at,
			    shown(str_of(option->name)).at, option->name, option->example);
	}
}

bool part_is_map(const struct load *load, struct node node, const char *title)
{
	if (node_kind(node) == NODE_MAP || node_kind(node) == NODE_NOTHING)
		return true;
	problems_add(load->problems, load->config->path, node_place(node),
	    "%s must be a map: keys, each with a colon and a value", title);
	return false;
}

enum { NAME_MAX_LEN = 64 };

// Names go into logs, metrics and messages as they are.
static bool is_name(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		bool is_letter =
		    (s.at[i] >= 'a' && s.at[i] <= 'z') || (s.at[i] >= 'A' && s.at[i] <= 'Z');
		bool is_digit = s.at[i] >= '0' && s.at[i] <= '9';
		if (!is_letter && !is_digit && !strchr("._-", s.at[i]))
			return false;
	}
	return s.len >= 1 && s.len <= NAME_MAX_LEN;
}

// One of several named entries.
char *part_read_name(const struct load *load, struct node map, size_t index)
{
	struct str name = node_key(map, index);
	if (!is_name(name))
		problems_add(load->problems, load->config->path, node_key_place(map, index),
		    "%s is not a good name; use letters, digits and . _ -, at most %d",
		    shown(name).at, NAME_MAX_LEN);
	return str_dup(name);
}

// Reads the entry's options over those that the part already has.
void part_read_named(
    const struct load *load, const struct part *part, struct node map, size_t index)
{
	struct node entry = node_value(map, index);
	if (!part_is_map(load, entry, part->title.at))
		return;
	part_read(load, part, entry);
	require_all(load, part, node_key_place(map, index));
}
