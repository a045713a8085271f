// exposition.c: families and samples as lines.  See exposition.h.
#include "proxy/base/exposition.h"

#include <inttypes.h>

#define METRIC(...)
#define FACT(token, label, help) [FACT_##token] = {"popgate_" #token, "gauge", label, help},
const struct exposition_family fact_families[FACTS] = {
#include "proxy/base/metrics.def"
};
#undef METRIC
#undef FACT

void exposition_begin(const struct exposition_family *family, FILE *out)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
	    family->kind);
}

// What is no UTF-8, as a file's name may be, would make all of the text useless.
static void print_value(struct str value, FILE *out)
{
	while (value.len) {
		struct str before = value;
		uint32_t code;
		if (!str_take_code_point(&value, &code))
			fputc('?', out);
		else if (code == '\n')
			fputs("\\n", out);
		else if (code == '"' || code == '\\')
			fprintf(out, "\\%c", (char)code);
		else
			fwrite(before.at, 1, before.len - value.len, out);
	}
}

void exposition_sample(
    const struct exposition_family *family, struct str label, uint64_t number, FILE *out)
{
	fputs(family->name, out);
	if (*family->label) {
		fprintf(out, "{%s=\"", family->label);
		print_value(label, out);
		fputs("\"}", out);
	}
	fprintf(out, " %" PRIu64 "\n", number);
}
