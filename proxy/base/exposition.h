// exposition.h: the text format of Prometheus (version 0.0.4), a line at a time.
//
// Used by metrics.c for what is counted, and by proxy/server for the facts of
// metrics.def.  A family is announced once, and its samples follow at once.
#ifndef POPGATE_PROXY_BASE_EXPOSITION_H
#define POPGATE_PROXY_BASE_EXPOSITION_H

#include <stdint.h>
#include <stdio.h>

#include "proxy/base/str.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct exposition_family {
	const char *name;
	const char *kind;  // counter or gauge
	const char *label; // "": its one sample has none
	const char *help;
};

enum fact {
#define METRIC(...)
#define FACT(token, ...) FACT_##token,
#include "proxy/base/metrics.def"
#undef METRIC
#undef FACT
	FACTS
};

extern const struct exposition_family fact_families[FACTS];

void exposition_begin(const struct exposition_family *family, FILE *out);

// The value of the label may be any bytes; without a label it does not matter.
void exposition_sample(
    const struct exposition_family *family, struct str label, uint64_t number, FILE *out);

#endif
