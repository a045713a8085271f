// country.h: codes of countries and continents, as rules name them and as the
// databases have them.
//
// Used by rules when they are read.  Countries are those of ISO 3166-1, and XK
// (Kosovo), which the databases use too; continents are the seven of the
// databases.  A code is kept as a number: its first letter times 256 and its
// second.
#ifndef POPGATE_POLICY_COUNTRY_H
#define POPGATE_POLICY_COUNTRY_H

#include "proxy/base/text.h"

static inline uint32_t country_code(const char letters[2])
{
	return (uint32_t)(unsigned char)letters[0] << 8 | (unsigned char)letters[1];
}

// Reads a code in either case.  False with the reason in *why when there is no
// such country or continent.
__attribute__((warn_unused_result)) bool country_read(
    struct str word, uint32_t *out_code, struct text *why);
__attribute__((warn_unused_result)) bool continent_read(
    struct str word, uint32_t *out_code, struct text *why);

void country_print(uint32_t code, struct text *out);

#endif
