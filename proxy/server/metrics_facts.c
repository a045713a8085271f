// metrics_facts.c: from the snapshot to the facts of metrics.def.  See metrics_facts.h.
#include "proxy/server/metrics_facts.h"

#include <stdlib.h>

#include "certs/leaf.h"
#include "policy/tables.h"
#include "proxy/base/exposition.h"
#include "proxy/net/tls.h"
#include "proxy/server/certificates_watch.h"

// What is before 1970 is long over.
static void print(enum fact fact, const char *label, int64_t number, FILE *out)
{
	exposition_sample(
	    &fact_families[fact], str_of(label), number > 0 ? (uint64_t)number : 0, out);
}

// False: the certificate has none.
static bool number_of(enum fact fact, const struct snapshot *snapshot,
    const struct staples *staples, size_t i, int64_t *out)
{
	if (fact == FACT_staple_next_update_seconds) {
		*out = staples_next_update(staples, snapshot, i);
		return *out;
	}
	struct leaf leaf;
	leaf_read(tls_certificate_leaf(snapshot->certificates[i]), &leaf);
	*out = fact == FACT_certificate_expiring ? !certificates_is_sound(snapshot->config, &leaf)
	                                         : leaf.not_after;
	leaf_done(&leaf);
	return true;
}

static void print_certificates(
    enum fact fact, const struct snapshot *snapshot, const struct staples *staples, FILE *out)
{
	int64_t number;
	exposition_begin(&fact_families[fact], out);
	for (size_t i = 0; i < snapshot->config->num_certificates; i++)
		if (snapshot->certificates[i] && number_of(fact, snapshot, staples, i, &number))
			print(fact, snapshot->config->certificates[i].name, number, out);
}

// Country and network may be asked of one file.
static bool is_told(const struct tables *tables, size_t index)
{
	const char *path = tables_describe(tables, index).path;
	for (size_t i = 0; i < index; i++) {
		struct table_facts before = tables_describe(tables, i);
		if (before.kind != TABLE_PREFIXES && !strcmp(before.path, path))
			return true;
	}
	return false;
}

static void print_databases(const struct snapshot *snapshot, FILE *out)
{
	const struct tables *tables = snapshot->rulebook.tables;
	exposition_begin(&fact_families[FACT_geoip_built_seconds], out);
	for (size_t i = 0; i < tables_num(tables); i++) {
		struct table_facts facts = tables_describe(tables, i);
		if (facts.kind != TABLE_PREFIXES && !is_told(tables, i))
			print(FACT_geoip_built_seconds, facts.path, (int64_t)facts.built, out);
	}
}

struct str metrics_facts(const struct snapshot *snapshot, const struct staples *staples)
{
	char *at = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&at, &len);
	if (!out)
		return (struct str){0};
	print_certificates(FACT_certificate_not_after_seconds, snapshot, staples, out);
	print_certificates(FACT_certificate_expiring, snapshot, staples, out);
	print_certificates(FACT_staple_next_update_seconds, snapshot, staples, out);
	print_databases(snapshot, out);
	if (fclose(out) == 0)
		return (struct str){at, len};
	free(at);
	return (struct str){0};
}
