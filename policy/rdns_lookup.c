// rdns_lookup.c: PTR, then A or AAAA.  See rdns_lookup.h.
#include "policy/rdns_lookup.h"

#include <stdlib.h>

#include "policy/list.h"
#include "proxy/base/die.h"

_Static_assert((int)RDNS_NAMES_MAX == (int)DNS_NAMES_MAX, "names that may be followed");

// How long an answer is believed in which a name's failure was overlooked.
enum { PARTIAL_TTL_S = 30 };

static enum rdns_status status_of(enum resolve_status status)
{
	switch (status) {
	case RESOLVE_OK: return RDNS_OK;
	case RESOLVE_NXDOMAIN:
	case RESOLVE_NODATA: return RDNS_NXDOMAIN;
	case RESOLVE_SERVFAIL:
	case RESOLVE_REFUSED: return RDNS_SERVFAIL;
	case RESOLVE_TIMEOUT: return RDNS_TIMEOUT;
	case RESOLVE_UNREACHABLE:
	case RESOLVE_BUSY:
	case RESOLVE_STATUSES: break;
	}
	return RDNS_UNAVAILABLE;
}

static void use_ttl(struct rdns_lookup *lookup, uint32_t ttl_s)
{
	if (ttl_s < lookup->ttl_s)
		lookup->ttl_s = ttl_s;
}

static void note_failure(struct rdns_lookup *lookup, enum rdns_status status)
{
	if (lookup->forward == RDNS_OK)
		lookup->forward = status;
	use_ttl(lookup, PARTIAL_TTL_S);
}

// Ports and scopes aside.
static bool has_addr(const struct resolve_answer *answer, const struct addr *addr)
{
	struct rdns_key wanted = rdns_key_of(addr);
	for (size_t i = 0; i < answer->num_addrs; i++) {
		struct rdns_key key = rdns_key_of(&answer->addrs[i]);
		if (memcmp(&key, &wanted, sizeof(key)) == 0)
			return true;
	}
	return false;
}

static void judge(struct rdns_lookup *lookup, size_t name, const struct resolve_answer *answer)
{
	enum rdns_status status = status_of(answer->status);
	if (status != RDNS_OK && status != RDNS_NXDOMAIN) {
		note_failure(lookup, status);
		return;
	}
	use_ttl(lookup, answer->ttl_s);
	lookup->names[name].confirmed = has_addr(answer, &lookup->addr);
	lookup->num_confirmed += lookup->names[name].confirmed;
}

static void on_addrs(struct resolve *resolve, const struct resolve_answer *answer);

static void ask_next(struct rdns_lookup *lookup, struct rdns_question *question)
{
	bool is_v6 = lookup->addr.any.sa_family == AF_INET6;
	if (lookup->num_begun == lookup->num_names)
		return;
	question->name = lookup->num_begun++;
	question->resolve.on_done = on_addrs;
	question->resolve.context = lookup;
	lookup->num_asking++;
	resolve_start(&question->resolve, lookup->resolver, is_v6 ? DNS_TYPE_AAAA : DNS_TYPE_A,
	    lookup->names[question->name].name);
}

static void on_addrs(struct resolve *resolve, const struct resolve_answer *answer)
{
	struct rdns_lookup *lookup = resolve->context;
	struct rdns_question *question = LIST_OWNER(resolve, struct rdns_question, resolve);
	lookup->num_asking--;
	judge(lookup, question->name, answer);
	ask_next(lookup, question);
	if (!lookup->num_asking)
		lookup->on_done(lookup);
}

static void keep_name(struct dns_name *room, struct str name)
{
	name = str_take(name, sizeof(room->at));
	room->len = (unsigned char)name.len;
	memcpy(room->at, name.at ? name.at : "", name.len);
}

static void keep_names(struct rdns_lookup *lookup, const struct resolve_answer *answer)
{
	lookup->ttl_s = answer->ttl_s;
	lookup->num_illegal = answer->num_illegal;
	keep_name(&lookup->illegal, answer->illegal);
	lookup->num_names = answer->num_names;
	lookup->room = xcalloc(answer->num_names, sizeof(*lookup->room));
	for (size_t i = 0; i < answer->num_names; i++) {
		keep_name(&lookup->room[i], answer->names[i]);
		lookup->names[i].name = dns_name_str(&lookup->room[i]);
	}
}

static void on_names(struct resolve *resolve, const struct resolve_answer *answer)
{
	struct rdns_lookup *lookup = resolve->context;
	lookup->num_asking--;
	lookup->reverse_known = true;
	lookup->reverse = status_of(answer->status);
	lookup->on_reverse(lookup, answer->status);
	keep_names(lookup, answer);
	if (lookup->reverse == RDNS_OK && !lookup->num_names)
		lookup->reverse = RDNS_NXDOMAIN;
	for (size_t i = 0; i < RDNS_LOOKUP_QUESTIONS; i++)
		ask_next(lookup, &lookup->questions[i]);
	if (!lookup->num_asking)
		lookup->on_done(lookup);
}

void rdns_lookup_start(struct rdns_lookup *lookup)
{
	struct resolve *resolve = &lookup->questions[0].resolve;
	resolve->on_done = on_names;
	resolve->context = lookup;
	lookup->num_asking = 1;
	resolve_start_reverse(resolve, lookup->resolver, &lookup->addr);
}

void rdns_lookup_stop(struct rdns_lookup *lookup)
{
	for (size_t i = 0; i < RDNS_LOOKUP_QUESTIONS; i++)
		resolve_cancel(&lookup->questions[i].resolve);
	if (!lookup->reverse_known)
		lookup->reverse = RDNS_TIMEOUT;
	if (lookup->num_asking || lookup->num_begun < lookup->num_names)
		note_failure(lookup, RDNS_TIMEOUT);
	lookup->num_asking = 0;
}

void rdns_lookup_done(struct rdns_lookup *lookup)
{
	free(lookup->room);
	lookup->room = NULL;
	lookup->num_names = 0;
}

struct rdns_answer rdns_lookup_answer(const struct rdns_lookup *lookup)
{
	struct rdns_answer answer = {lookup->reverse, lookup->names, lookup->num_names};
	if (answer.status == RDNS_OK && !lookup->num_confirmed)
		answer.status = lookup->forward;
	return answer;
}
