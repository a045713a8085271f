// geoip.h: compiles a GeoIP database (.mmdb) into a table.
//
// The only user of libmaxminddb.  Called by the supervisor when it loads a
// configuration and when the file has changed.  A database may be damaged or
// made to do harm: it is read in a process of its own, and either becomes a
// whole table or a reason why not.
//
// Not done: asking the database for each session.  Every worker would have to
// open each new file, which its sandbox forbids, and a look-up that decodes maps
// and strings costs ten times the one in a table.
#ifndef POPGATE_POLICY_GEOIP_H
#define POPGATE_POLICY_GEOIP_H

#include "policy/table.h"

enum geoip_kind {
	GEOIP_COUNTRY, // where an address is; the value is for the functions below
	GEOIP_ASN,     // the number of the network that announces it
};

// The table of a file; its table_built is when the database was built.  NULL
// with the reason in *why, which begins with the path.
struct table *geoip_load(enum geoip_kind kind, const char *path, uint32_t slot, struct text *why);

enum { GEOIP_CODE_SIZE = 3 };

// From a value of a GEOIP_COUNTRY table, two capital letters: the country's code
// (ISO 3166), the continent's (AF AN AS EU NA OC SA).  False, and "", when the
// database does not say.
bool geoip_country(uint32_t value, char out_code[GEOIP_CODE_SIZE]);
bool geoip_continent(uint32_t value, char out_code[GEOIP_CODE_SIZE]);

#endif
