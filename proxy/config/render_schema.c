// render_schema.c: the JSON schema for editors.  See render.h.
//
// It admits whatever popgate reads, and refuses most of what popgate refuses;
// rules across options are popgate's alone.  A number is a JSON number only
// where it needs no unit.
#include "proxy/config/options.h"
#include "proxy/config/render.h"

static void print_words(const struct option_word *words, FILE *out)
{
	const char *between = "";
	for (const struct option_word *word = words; word->name; word++)
		if (!word->refusal) {
			fprintf(out, "%s\"%s\"", between, word->name);
			between = ", ";
		}
}

static void print_pattern(const struct type_row *type, FILE *out)
{
	if (!type->pattern)
		return;
	fputs(", \"pattern\": ", out);
	quoted_print(str_of(type->pattern), NOTATION_JSON, out);
}

static void print_text(const struct option_row *option, FILE *out)
{
	fputs("\"type\": \"string\"", out);
	print_pattern(option->type, out);
	if (*option->most)
		fprintf(out, ", \"minLength\": %s, \"maxLength\": %s", option->least, option->most);
}

static void print_path(const struct option_row *option, FILE *out)
{
	bool may_be_none = option->fallback && !*option->fallback;
	fprintf(out, "\"type\": \"string\", \"minLength\": %d", !may_be_none);
}

static void print_flag(const struct option_row *option, FILE *out)
{
	(void)option;
	fputs("\"type\": \"boolean\"", out);
}

static void print_bounds(const struct option_row *option, FILE *out)
{
	fprintf(out, ", \"minimum\": %llu, \"maximum\": %llu",
	    (unsigned long long)value_bound(option->type, option->least),
	    (unsigned long long)value_bound(option->type, option->most));
}

// Where one unit has no name, bare numbers are in that unit; elsewhere only 0
// may be bare.
static void print_number(const struct option_row *option, FILE *out)
{
	const struct option_word *units = option->type->words;
	fputs("\"type\": [\"integer\", \"string\"], \"pattern\": \"^(0|[0-9]+(", out);
	for (size_t i = 0; units[i].name; i++)
		fprintf(out, "%s%s", i ? "|" : "", units[i].name);
	fputs("))$\"", out);
	if (units->name && !*units->name)
		print_bounds(option, out);
	else
		fputs(", \"minimum\": 0, \"maximum\": 0", out);
}

static void print_named_number(const struct option_row *option, FILE *out)
{
	fputs("\"anyOf\": [{\"enum\": [", out);
	print_words(option->type->words, out);
	fputs("]}, {\"type\": \"integer\"", out);
	print_bounds(option, out);
	fputs("}]", out);
}

static void print_choice(const struct option_row *option, FILE *out)
{
	fputs("\"enum\": [", out);
	print_words(option->type->words, out);
	fputc(']', out);
}

static void print_set(const struct option_row *option, FILE *out)
{
	fputs("\"type\": \"array\", \"items\": {", out);
	print_choice(option, out);
	fputc('}', out);
}

static void print_list(const struct option_row *option, FILE *out)
{
	bool may_be_empty = option_may_be_empty(option);
	fprintf(out, "\"type\": \"array\", \"minItems\": %d, \"items\": {\"type\": \"string\"",
	    !may_be_empty);
	print_pattern(option->type, out);
	fputc('}', out);
}

typedef void print_fn(const struct option_row *option, FILE *out);

static print_fn *const printers[FORMS] = {
    [FORM_text] = print_text,
    [FORM_fingerprint] = print_text,
    [FORM_path] = print_path,
    [FORM_flag] = print_flag,
    [FORM_number] = print_number,
    [FORM_named_number] = print_named_number,
    [FORM_choice] = print_choice,
    [FORM_set] = print_set,
    [FORM_list] = print_list,
};

static void print_default(const struct option_row *option, FILE *out)
{
	struct listener_config room = {.name = NULL}; // a field of any type is as large at most
	struct option_row alone = *option;
	alone.offset = 0;
	if (!option->fallback)
		return;
	option_put_default(&alone, "/", &room.options);
	union option_value value = option_get(&alone, &room.options);
	fputs(", \"default\": ", out);
	value_print(option->type, &value, NOTATION_JSON, out);
	value_free(option->type, &value);
}

static void print_option(const struct option_row *option, FILE *out)
{
	char room[512];
	struct text description = TEXT(room);
	option_describe(option, &description);
	fprintf(out, "\"%s\": {", option->name);
	printers[option->type->form](option, out);
	print_default(option, out);
	fputs(", \"description\": ", out);
	quoted_print(text_str(&description), NOTATION_JSON, out);
	fputc('}', out);
}

static void print_options(const struct section_row *section, FILE *out)
{
	for (size_t i = 0; i < section->num_options; i++) {
		fputs(i ? ",\n\t\t\t" : "\n\t\t\t", out);
		print_option(&section->options[i], out);
	}
}

// What must be given in each entry.  A listener may have it from `defaults`.
static void print_required(const struct section_row *section, FILE *out)
{
	const char *between = ",\n\t\t\"required\": [";
	bool any = false;
	for (size_t i = 0; i < section->num_options; i++)
		if (!section->options[i].fallback &&
		    section != &option_sections[SECTION_listener]) {
			fprintf(out, "%s\"%s\"", between, section->options[i].name);
			between = ", ";
			any = true;
		}
	fputs(any ? "]" : "", out);
}

static void print_definition(const struct section_row *section, FILE *out)
{
	fprintf(out, "\t\"%s\": {\n\t\t\"type\": [\"object\", \"null\"],\n\t\t\"description\": ",
	    section->noun);
	quoted_print(str_of(section->sentence), NOTATION_JSON, out);
	fputs(",\n\t\t\"additionalProperties\": false", out);
	print_required(section, out);
	fputs(",\n\t\t\"properties\": {", out);
	print_options(section, out);
	fputs("\n\t\t}\n\t}", out);
}

// A section as a property of the file.
static void print_property(const struct section_row *section, FILE *out)
{
	if (section->example)
		fprintf(out,
		    ",\n\t\"%s\": {\n\t\t\"type\": [\"object\", \"null\"],\n"
		    "\t\t\"propertyNames\": {\"pattern\": \"^[0-9A-Za-z._-]{1,64}$\"},\n"
		    "\t\t\"additionalProperties\": {\"$ref\": \"#/definitions/%s\"}\n\t}",
		    section->key, section->noun);
	else
		fprintf(out, ",\n\t\"%s\": {\"$ref\": \"#/definitions/%s\"}", section->key,
		    section->noun);
}

bool config_render_schema(FILE *out)
{
	fputs("{\n\"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
	      "\"title\": \"popgate.conf\",\n\"type\": \"object\",\n"
	      "\"additionalProperties\": false,\n\"required\": [\"listeners\"],\n"
	      "\"definitions\": {\n",
	    out);
	for (size_t i = SECTION_site + 1; i < SECTIONS; i++) {
		print_definition(&option_sections[i], out);
		fputs(i + 1 < SECTIONS ? ",\n" : "\n},\n", out);
	}
	fputs("\"properties\": {", out);
	print_options(&option_sections[SECTION_site], out);
	fputs(",\n\t\"defaults\": {\"$ref\": \"#/definitions/listener\"}", out);
	for (size_t i = SECTION_site + 1; i < SECTIONS; i++)
		print_property(&option_sections[i], out);
	fputs("\n}\n}\n", out);
	return !fflush(out) && !ferror(out);
}
