// form_words.c: choices, sets and lists: values made of words.  See forms.h.
#include "proxy/config/forms.h"

#include <stdlib.h>

#include "proxy/base/die.h"

static bool read_choice(const struct reading *reading, union option_value *out)
{
	struct str s;
	if (!form_read_scalar(reading, reading->node, &s))
		return false;
	const struct option_word *word = form_find_word(reading->option->type->words, s);
	if (!word)
		return form_complain(reading, reading->node, "must be %s, not %s",
		    type_how(reading->option->type).at, shown(s).at);
	out->choice = (unsigned)word->value;
	return true;
}

static void print_choice(
    const struct type_row *type, const union option_value *value, enum notation notation, FILE *out)
{
	for (const struct option_word *word = type->words; word->name; word++)
		if (word->value == value->choice)
			form_print_word(word->name, notation, out);
}

static bool complain_of_word(const struct reading *reading, struct node node, struct str s)
{
	struct suggestion suggestion = {.wanted = s};
	char room[256];
	struct text known = TEXT(room);
	for (const struct option_word *word = reading->option->type->words; word->name; word++) {
		if (word->refusal)
			continue;
		suggestion_offer(&suggestion, str_of(word->name));
		text_addf(&known, "%s%s", known.len ? ", " : "", word->name);
	}
	return form_complain(reading, node, "%s is not known%s there are %s", shown(s).at,
	    suggestion.nearest.at ? suggestion_shown(&suggestion).at : ";", room);
}

static bool read_bit(const struct reading *reading, struct node item, unsigned *bits)
{
	struct str s;
	if (!form_read_scalar(reading, item, &s))
		return false;
	const struct option_word *word = form_find_word(reading->option->type->words, s);
	if (!word)
		return complain_of_word(reading, item, s);
	if (word->refusal)
		return form_complain(reading, item, "%s: %s", word->name, word->refusal);
	*bits |= (unsigned)word->value;
	return true;
}

static bool check_is_list(const struct reading *reading)
{
	struct node node = reading->node;
	if (node_kind(node) == NODE_LIST)
		return true;
	if (node_kind(node) != NODE_TEXT)
		return form_complain_of_kind(reading, node);
	return form_complain(reading, node, "must be %s; put it in brackets: [\"%.*s\"]",
	    type_how(reading->option->type).at, STR_ARG(str_take(node_text(node), 80)));
}

static bool read_set(const struct reading *reading, union option_value *out)
{
	bool sound = check_is_list(reading);
	out->set = 0;
	for (size_t i = 0; sound && i < node_count(reading->node); i++)
		sound = read_bit(reading, node_item(reading->node, i), &out->set);
	return sound;
}

static void print_set(
    const struct type_row *type, const union option_value *value, enum notation notation, FILE *out)
{
	const char *between = "[";
	for (const struct option_word *word = type->words; word->name; word++)
		if (value->set & word->value) {
			fputs(between, out);
			form_print_word(word->name, notation, out);
			between = ", ";
		}
	fputs(value->set ? "]" : "[]", out);
}

static void free_list(union option_value *value)
{
	for (size_t i = 0; i < value->list.num; i++)
		free(value->list.at[i]);
	free(value->list.at);
	free(value->list.places);
}

static bool read_list(const struct reading *reading, union option_value *out)
{
	struct node node = reading->node;
	bool sound = check_is_list(reading);
	bool may_be_empty = option_may_be_empty(reading->option);
	out->list = (struct text_list){0};
	if (sound && !node_count(node) && !may_be_empty)
		return form_complain(reading, node, "must not be empty");
	if (sound) {
		out->list.at = xcalloc(node_count(node), sizeof(*out->list.at));
		out->list.places = xcalloc(node_count(node), sizeof(*out->list.places));
	}
	for (size_t i = 0; sound && i < node_count(node); i++) {
		struct node item = node_item(node, i);
		struct str s;
		sound = form_read_scalar(reading, item, &s) && form_check_item(reading, item, s);
		if (!sound)
			break;
		out->list.places[out->list.num] = node_place(item);
		out->list.at[out->list.num++] = str_dup(s);
	}
	if (!sound)
		free_list(out);
	return sound;
}

static void print_list(
    const struct type_row *type, const union option_value *value, enum notation notation, FILE *out)
{
	(void)type;
	for (size_t i = 0; i < value->list.num; i++) {
		fputs(i ? ", " : "[", out);
		quoted_print(str_of(value->list.at[i]), notation, out);
	}
	fputs(value->list.num ? "]" : "[]", out);
}

static void copy_list(union option_value *value)
{
	struct text_list copy = {.num = value->list.num};
	copy.at = xcalloc(copy.num, sizeof(*copy.at));
	copy.places = xcalloc(copy.num, sizeof(*copy.places));
	for (size_t i = 0; i < copy.num; i++) {
		copy.at[i] = str_dup(str_of(value->list.at[i]));
		copy.places[i] = value->list.places[i];
	}
	value->list = copy;
}

const struct form_row form_choice = {.read = read_choice, .print = print_choice};

const struct form_row form_set = {.read = read_set, .print = print_set};

const struct form_row form_list = {
    .read = read_list, .print = print_list, .copy = copy_list, .free = free_list};
