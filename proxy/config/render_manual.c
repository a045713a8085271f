// render_manual.c: popgate.conf(5), in mdoc.  See render.h.
#include "proxy/config/options.h"
#include "proxy/config/render.h"

static const char opening[] =
    ".Dd November 21, 2026\n"
    ".Dt POPGATE.CONF 5\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm popgate.conf\n"
    ".Nd configuration of popgate\n"
    ".Sh DESCRIPTION\n"
    "The file is YAML: keys with a colon and a value, sections by indentation or in braces,\n"
    "lists in brackets, comments behind #.\n"
    "Values are read by the type of their option and never guessed.\n"
    "Anchors, aliases, tags and merge keys are refused, and so are keys that are unknown or "
    "given twice.\n"
    ".Pp\n"
    "Problems are told together, each with its line and column:\n"
    ".Dl popgate check -c FILE\n"
    ".Pp\n"
    "All values in force, and where each comes from:\n"
    ".Dl popgate config -c FILE\n"
    ".Pp\n"
    "A file that has a problem changes nothing when it is reloaded.\n";

static const char closing[] =
    ".Sh FILES\n"
    ".Bl -tag -width Ds\n"
    ".It Pa /etc/popgate/popgate.conf\n"
    "Read when no other file is named.\n"
    ".El\n"
    ".Sh EXAMPLES\n"
    "POP3 with TLS on both usual ports, before a store that knows no TLS:\n"
    ".Bd -literal -offset indent\n"
    "certificates:\n"
    "  localhost: { chain: cert.pem, key: key.pem }\n"
    "backends:\n"
    "  store: { servers: [\"127.0.0.1:1110\"], tls: none }\n"
    "defaults:\n"
    "  backend: store\n"
    "listeners:\n"
    "  pop3s: { bind: [\"0.0.0.0:995\", \"[::]:995\"], tls: implicit }\n"
    "  pop3: { bind: [\"0.0.0.0:110\", \"[::]:110\"], tls: stls }\n"
    ".Ed\n"
    ".Sh SEE ALSO\n"
    ".Xr popgate 8\n";

// Text for a line of its own, in which nothing is a macro or an escape.
static void print_line(const char *text, FILE *out)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else
			fputc(*text, out);
	}
	fputc('\n', out);
}

// A value as the argument of a macro: one word, whatever is in it.
static void print_argument(const char *text, FILE *out)
{
	fputs(" \"", out);
	for (; *text; text++) {
		if (*text == '"')
			fputs("\\(dq", out);
		else if (*text == '\\')
			fputs("\\e", out);
		else
			fputc(*text, out);
	}
	fputs("\"", out);
}

static void print_option(const struct option_row *option, FILE *out)
{
	char room[512];
	struct text description = TEXT(room);
	fprintf(out, ".It Cm %s : No", option->name);
	print_argument(type_how(option->type).at, out);
	fputc('\n', out);
	option_describe(option, &description);
	print_line(description.at, out);
	if (option->fallback) {
		fputs("The default is\n.Ql", out);
		print_argument(option_default_text(option), out);
		fputs(" .\n", out);
	} else {
		fputs("It must be given.\n", out);
	}
}

static void print_section(const struct section_row *section, FILE *out)
{
	fprintf(out, ".Ss %s\n", *section->key ? section->key : "The top level");
	print_line(section->sentence, out);
	fputs(".Bl -tag -width Ds\n", out);
	for (size_t i = 0; i < section->num_options; i++)
		print_option(&section->options[i], out);
	fputs(".El\n", out);
}

bool config_render_manual(FILE *out)
{
	fputs(opening, out);
	fputs(".Sh OPTIONS\n", out);
	for (size_t i = 0; i < SECTIONS; i++)
		print_section(&option_sections[i], out);
	fputs(closing, out);
	return !fflush(out) && !ferror(out);
}
