// proxy_header_fuzz.c: the header of a load balancer, versions 1 and 2.
//
// Whatever comes first on a connection: a header lies within what came and
// within its limit, what is bad says why, and what was found does not depend
// on how much came at once: a prefix of a header is incomplete, more bytes
// behind one change nothing, and what is bad stays bad.
#include <string.h>

#include "proxy/net/proxy_header.h"
#include "tests/fuzz/fuzz.h"

static bool is_ip(const struct addr *addr)
{
	return addr->any.sa_family == AF_INET || addr->any.sa_family == AF_INET6;
}

static bool is_same(const struct proxy_header *a, const struct proxy_header *b)
{
	if (a->is_local || b->is_local)
		return a->is_local && b->is_local;
	return addr_eq(&a->source, &b->source) && addr_eq(&a->destination, &b->destination);
}

static enum proxy_result parse(struct str in, struct proxy_header *header, size_t *used)
{
	enum proxy_result result = proxy_header_parse(in, header, used);
	MUST((result == PROXY_BAD) == (header->why != NULL));
	MUST((result == PROXY_DONE) == (*used > 0));
	MUST(*used <= in.len && *used <= PROXY_HEADER_MAX);
	MUST(result != PROXY_INCOMPLETE || in.len < PROXY_HEADER_MAX);
	if (result == PROXY_DONE && !header->is_local)
		MUST(is_ip(&header->source) && is_ip(&header->destination));
	return result;
}

// The same as the last prefix gave, or the first that is not incomplete.
static void check_growth(struct str in)
{
	struct proxy_header found = {0};
	size_t found_used = 0;
	enum proxy_result found_result = PROXY_INCOMPLETE;
	for (size_t len = 0; len <= in.len; len++) {
		struct proxy_header header;
		size_t used;
		enum proxy_result result = parse(str_take(in, len), &header, &used);
		MUST(found_result == PROXY_INCOMPLETE || result == found_result);
		MUST(
		    found_result != PROXY_DONE || (used == found_used && is_same(&header, &found)));
		MUST(found_result != PROXY_INCOMPLETE || result != PROXY_DONE || used == len);
		found = header;
		found_used = used;
		found_result = result;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size <= PROXY_HEADER_MAX + 64)
		check_growth((struct str){(const char *)data, size});
	return 0;
}
