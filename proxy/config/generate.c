// generate.c: prints what is made from options.def: `generate sample`,
// `manual`, `schema` or `table`.
//
// Run by the build (BUILD of this folder); not part of what is installed.
#include <stdlib.h>

#include "proxy/config/render.h"

typedef bool render_fn(FILE *out);

static const struct {
	const char *name;
	render_fn *render;
} outputs[] = {
    {"sample", config_render_sample},
    {"manual", config_render_manual},
    {"schema", config_render_schema},
    {"table", config_render_table},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < sizeof(outputs) / sizeof(outputs[0]); i++)
		if (!strcmp(argv[1], outputs[i].name))
			return outputs[i].render(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
	fputs("usage: generate sample|manual|schema|table\n", stderr);
	return EXIT_FAILURE;
}
