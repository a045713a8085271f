// options.c: options.def as tables.  See options.h.
#include "proxy/config/options.h"

#include "proxy/base/die.h"

#define SECTION(section, ...) static const struct option_row section##_rows[] = {
#define OPTION(section, field, type, fallback, least, most, sentence)                              \
	{#field, &option_types[TYPE_##type], offsetof(struct section##_options, field), fallback,  \
	    NULL, least, most, sentence},
#define KEYWORD(section, key, type, fallback, least, most, sentence)                               \
	{#key, &option_types[TYPE_##type], offsetof(struct section##_options, key##_), fallback,   \
	    NULL, least, most, sentence},
#define REQUIRED(section, field, type, example, least, most, sentence)                             \
	{#field, &option_types[TYPE_##type], offsetof(struct section##_options, field), NULL,      \
	    example, least, most, sentence},
// clang-format off
#define SECTION_END(section) };
// clang-format on
#include "proxy/config/options.def"
#undef SECTION
#undef OPTION
#undef KEYWORD
#undef REQUIRED
#undef SECTION_END

#define SECTION(section, key, example, sentence)                                                   \
	[SECTION_##section] = {#section, key, example, sentence, section##_rows,                   \
	    sizeof(section##_rows) / sizeof(section##_rows[0])},
#define OPTION(...)
#define KEYWORD(...)
#define REQUIRED(...)
#define SECTION_END(section)
const struct section_row option_sections[SECTIONS] = {
#include "proxy/config/options.def"
};
#undef SECTION
#undef OPTION
#undef KEYWORD
#undef REQUIRED
#undef SECTION_END

const struct option_row *option_find(const struct section_row *section, struct str name)
{
	for (size_t i = 0; i < section->num_options; i++)
		if (str_eq(str_of(section->options[i].name), name))
			return &section->options[i];
	return NULL;
}

union option_value option_get(const struct option_row *option, const void *values)
{
	union option_value value = {.list = {0}};
	memcpy(&value, (const char *)values + option->offset, option->type->size);
	return value;
}

void option_put(const struct option_row *option, void *values, union option_value value)
{
	union option_value old = option_get(option, values);
	value_free(option->type, &old);
	memcpy((char *)values + option->offset, &value, option->type->size);
}

const char *option_default_text(const struct option_row *option)
{
	return option->fallback && !*option->fallback ? "\"\"" : option->fallback;
}

// The default is read as if it stood in the file, so that the tables can say
// nothing that an administrator could not.
void option_put_default(const struct option_row *option, const char *path, void *values)
{
	char room[256];
	struct text yaml = TEXT(room);
	struct problems problems;
	struct node node;
	union option_value value;
	if (!option->fallback)
		return;
	problems_init(&problems);
	text_addf(&yaml, "%s: %s\n", option->name, option_default_text(option));
	struct syntax *syntax = syntax_read(option->name, text_str(&yaml), &problems);
	BUG_ON(!syntax || !node_find(syntax_root(syntax), str_of(option->name), &node));
	const struct reading reading = {node, option, path, &problems};
	BUG_ON(!value_read(&reading, &value));
	option_put(option, values, value);
	syntax_free(&syntax);
}

void option_free_all(const struct section_row *section, void *values)
{
	const union option_value nothing = {.list = {0}};
	for (size_t i = 0; i < section->num_options; i++)
		option_put(&section->options[i], values, nothing);
}

void option_describe(const struct option_row *option, struct text *out)
{
	text_add(out, str_of(option->sentence));
	if (option->type->form == FORM_text && *option->most)
		text_addf(out, " At most %s characters.", option->most);
	else if (*option->most)
		text_addf(out, " From %s to %s.", option->least, option->most);
}

bool option_may_be_empty(const struct option_row *option)
{
	bool is_by_default = option->fallback && !strcmp(option->fallback, "[]");
	return is_by_default || !strcmp(option->least, "0");
}
