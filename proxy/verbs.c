// verbs.c: reading a command line with verbs.  See verbs.h.
#include "proxy/verbs.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool verbs_complain(const char *format, ...)
{
	va_list args;
	fputs("popgate: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return false;
}

static int usage(const struct verbs *verbs, const char *what, const char *about)
{
	fprintf(stderr, "popgate: %s%s%s; see `popgate %s help`\n", what, about[0] ? " " : "",
	    about, verbs->command);
	return VERBS_EXIT_USAGE;
}

static bool find_verb(const struct verbs *verbs, const char *name, size_t *out)
{
	for (*out = 0; *out < verbs->num_verbs; ++*out)
		if (!strcmp(name, verbs->verbs[*out].name))
			return true;
	return false;
}

static int too_often(const struct verbs *verbs, size_t most, const char *written)
{
	char what[64];
	if (most == 1)
		return usage(verbs, "given twice:", written);
	snprintf(what, sizeof(what), "given more than %zu times:", most);
	return usage(verbs, what, written);
}

static int take_option(const struct verbs *verbs, size_t which, struct verbs_call *call)
{
	const struct verbs_option *option = &verbs->options[which];
	struct verbs_values *values = &call->options[which];
	char written[64];
	snprintf(written, sizeof(written), "--%s", option->name);
	if (!(option->verbs & 1u << call->verb))
		return usage(verbs, "this verb does not take", written);
	if (values->num == option->most)
		return too_often(verbs, option->most, written);
	values->at[values->num++] = optarg ? optarg : "";
	return 0;
}

enum { ASKS_HELP = -1 };

// Options may stand before and behind the operand.
static int read_options(const struct verbs *verbs, int argc, char **argv, struct verbs_call *call)
{
	struct option options[VERBS_OPTIONS_MAX + 2] = {{0}};
	int found, which, status = 0;
	for (size_t i = 0; i < verbs->num_options; i++)
		options[i] = (struct option){
		    verbs->options[i].name, verbs->options[i].argument[0] != 0, NULL, 0};
	options[verbs->num_options] = (struct option){"help", 0, NULL, 'h'};
	opterr = 0;
	while (!status && (found = getopt_long(argc, argv, ":c:h", options, &which)) != -1) {
		if (found == ':')
			return usage(verbs, "an argument is missing after", argv[optind - 1]);
		if (found == 'h')
			return ASKS_HELP;
		if (found != 0 && found != 'c')
			return usage(verbs, "unknown option", argv[optind - 1]);
		size_t option = found == 'c' ? verbs->config : (size_t)which;
		status = take_option(verbs, option, call);
	}
	return status;
}

static int read_operand(const struct verbs *verbs, int argc, char **argv, struct verbs_call *call)
{
	const char *operand = verbs->verbs[call->verb].operand;
	int most = operand[0] != 0, least = most && operand[0] != '[';
	if (argc - optind > most)
		return usage(verbs, "needless argument", argv[optind + most]);
	if (argc - optind < least)
		return usage(verbs, "an argument is missing:", operand);
	call->operand = optind < argc ? argv[optind] : NULL;
	return 0;
}

int verbs_read(const struct verbs *verbs, int argc, char **argv, struct verbs_call *out)
{
	*out = (struct verbs_call){.operand = NULL};
	if (argc < 2)
		return usage(verbs, "what to do?", "");
	bool asks = !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h");
	if (!find_verb(verbs, asks ? "help" : argv[1], &out->verb))
		return usage(verbs, "unknown verb", argv[1]);
	int status = asks ? 0 : read_options(verbs, argc - 1, argv + 1, out);
	if (status == ASKS_HELP)
		return find_verb(verbs, "help", &out->verb) ? 0 : VERBS_EXIT_USAGE;
	return status ? status : read_operand(verbs, argc - 1, argv + 1, out);
}

static void print_option(const struct verbs *verbs, const struct verbs_option *option)
{
	const char *before = " ";
	printf("  --%s%s%s\n      %s", option->name, option->argument[0] ? " " : "",
	    option->argument, option->sentence);
	if (option->most > 1)
		printf(" At most %zu times.", option->most);
	printf(" For");
	for (size_t i = 0; i < verbs->num_verbs; i++)
		if (option->verbs & 1u << i) {
			printf("%s%s", before, verbs->verbs[i].name);
			before = ", ";
		}
	puts(".");
}

void verbs_help(const struct verbs *verbs)
{
	puts("usage:");
	for (size_t i = 0; i < verbs->num_verbs; i++)
		printf("  popgate %s %s%s%s\n      %s\n", verbs->command, verbs->verbs[i].name,
		    verbs->verbs[i].operand[0] ? " " : "", verbs->verbs[i].operand,
		    verbs->verbs[i].sentence);
	puts("\noptions:");
	for (size_t i = 0; i < verbs->num_options; i++)
		print_option(verbs, &verbs->options[i]);
}
