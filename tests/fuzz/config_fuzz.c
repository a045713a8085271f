// config_fuzz.c: any bytes as a configuration: no crash, a problem or a
// configuration but not both, and what is read is printed so that it is read
// again.
#include <stdlib.h>

#include "proxy/base/die.h"
#include "proxy/config/render.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *render(const struct config *config)
{
	char *printed = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&printed, &len);
	BUG_ON(!out || !config_render_effective(config, out));
	fclose(out);
	return printed;
}

static struct config *load(struct str yaml)
{
	struct problems problems;
	problems_init(&problems);
	struct config *config = config_load_text("/popgate.conf", yaml, &problems);
	BUG_ON(!config != !!problems.num);
	return config;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *first = load((struct str){(const char *)data, size});
	if (!first)
		return 0;
	// Comments differ, since values come from elsewhere; from then on nothing does.
	char *printed = render(first);
	struct config *second = load(str_of(printed));
	BUG_ON(!second);
	char *reprinted = render(second);
	struct config *third = load(str_of(reprinted));
	BUG_ON(!third);
	char *settled = render(third);
	BUG_ON(strcmp(settled, reprinted));
	free(printed);
	free(reprinted);
	free(settled);
	config_free(&first);
	config_free(&second);
	config_free(&third);
	return 0;
}
