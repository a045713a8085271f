// zone.h: a name server on the test's own loop that answers from a table, and
// counts what it was asked for.
#ifndef POPGATE_TESTS_KIT_ZONE_H
#define POPGATE_TESTS_KIT_ZONE_H

#include "tests/kit/name_server.h"

enum { ZONE_ROWS = 128, ZONE_NEGATIVE_TTL_S = 77 };

enum zone_says { ZONE_OK, ZONE_NXDOMAIN, ZONE_NODATA, ZONE_SERVFAIL, ZONE_NOTHING };

// May be changed at any time.
struct zone_row {
	char name[DNS_NAME_MAX + 1];
	enum dns_type type;
	enum zone_says says;
	uint32_t ttl_s;
	const char *values; // names or addresses, with spaces between
	unsigned heard;
};

struct zone {
	struct name_server server;
	struct zone_row rows[ZONE_ROWS];
	size_t num_rows;
	enum zone_says otherwise; // of what is not in the table
	// How often it was asked for names, for addresses.
	unsigned heard_reverse;
	unsigned heard_forward;
};

// The zero state is ready to be opened and filled.
void zone_open(struct zone *zone, struct net *net);
void zone_close(struct zone *zone);

struct zone_row *zone_add(
    struct zone *zone, const char *name, enum dns_type type, uint32_t ttl_s, const char *values);

// Names of an address.
struct zone_row *zone_add_reverse(
    struct zone *zone, const char *ip, uint32_t ttl_s, const char *names);

#endif
