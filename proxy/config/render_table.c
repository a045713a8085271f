// render_table.c: the options as a table in Markdown.  See render.h.
#include "proxy/config/options.h"
#include "proxy/config/render.h"

static void print_option(
    const struct section_row *section, const struct option_row *option, FILE *out)
{
	char room[512];
	struct text description = TEXT(room);
	const char *fallback = option_default_text(option);
	option_describe(option, &description);
	fprintf(out, "| %s%s`%s` | %s%s%s | %s |\n", section->key, *section->key ? ": " : "",
	    option->name, fallback ? "`" : "", fallback ? fallback : "must be given",
	    fallback ? "`" : "", description.at);
}

bool config_render_table(FILE *out)
{
	fputs("| option | default | what it does |\n|---|---|---|\n", out);
	for (size_t i = 0; i < SECTIONS; i++)
		for (size_t j = 0; j < option_sections[i].num_options; j++)
			print_option(&option_sections[i], &option_sections[i].options[j], out);
	return !fflush(out) && !ferror(out);
}
