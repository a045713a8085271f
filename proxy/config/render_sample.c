// render_sample.c: the sample file.  See render.h.
//
// Every option stands in it once.  Those of listeners are commented out under
// `defaults`, since there they are said once for all listeners; only what a
// listener must have stands in the listener.
#include "proxy/config/options.h"
#include "proxy/config/render.h"

enum { LINE_WIDTH = 78 };

// A text as comment lines.
static void print_comment(const char *indent, struct str rest, FILE *out)
{
	struct str word;
	size_t column = 0;
	while (rest.len) {
		str_cut(rest, ' ', &word, &rest);
		if (column && column + 1 + word.len > LINE_WIDTH) {
			fputc('\n', out);
			column = 0;
		}
		if (!column)
			column = (size_t)fprintf(out, "%s#", indent);
		column += (size_t)fprintf(out, " %.*s", STR_ARG(word));
	}
	fputc('\n', out);
}

static void print_option(const char *indent, const struct option_row *option, FILE *out)
{
	char room[512];
	struct text description = TEXT(room);
	option_describe(option, &description);
	print_comment(indent, text_str(&description), out);
	if (option->fallback)
		fprintf(out, "%s#%s: %s\n", indent, option->name, option_default_text(option));
	else
		fprintf(out, "%s%s: %s\n", indent, option->name, option->example);
}

// The options of a section that have a default, those that have none, or both.
static void print_options(
    const struct section_row *section, const char *indent, bool optional, bool required, FILE *out)
{
	for (size_t i = 0; i < section->num_options; i++)
		if (section->options[i].fallback ? optional : required)
			print_option(indent, &section->options[i], out);
}

static void print_section(const struct section_row *section, FILE *out)
{
	bool is_listener = section == &option_sections[SECTION_listener];
	const char *indent = section->example ? "    " : *section->key ? "  " : "";
	fputc('\n', out);
	if (is_listener) {
		print_comment("", STR("What listeners share; each may say otherwise."), out);
		fputs("defaults:\n", out);
		print_options(section, "  ", true, false, out);
		fputc('\n', out);
	}
	print_comment("", str_of(section->sentence), out);
	fprintf(out, "%s%s\n", section->key, *section->key ? ":" : "");
	if (section->example)
		fprintf(out, "  %s:\n", section->example);
	print_options(section, indent, !is_listener, true, out);
}

bool config_render_sample(FILE *out)
{
	print_comment("",
	    STR("popgate.conf: every option of popgate; see popgate.conf(5). What is commented "
	        "out shows the default. Check a change with: popgate check -c FILE"),
	    out);
	for (size_t i = 0; i < SECTIONS; i++)
		print_section(&option_sections[i], out);
	return !fflush(out) && !ferror(out);
}
