// host_answers.h: the last good answer of each name in `host` rules, kept beyond
// the worker that got it.
//
// Shared pages of a fixed size (1.2 MiB, of which only what was used takes
// memory), made by the supervisor and kept over reloads and upgrades.  Every
// worker writes what it was told, and a new one starts with what is there: so a
// reload, an upgrade or a restarted worker takes nobody's access away while the
// name servers are dead.  Used by hosts.c.
//
// Room for 2048 answers, that is both kinds of address of 1024 names; beyond
// that whichever was written longest ago goes.  An answer stays when no rule has
// its name any more: should one have it again, it holds until the name was asked
// for anew, which is at once.
//
// Nothing here can be left locked, and an answer that was not written to its end
// is none.  Whoever reads trusts no count in the pages; but a worker that was
// taken over can write answers as it can forget bans, and they hold until the
// next worker has asked for itself.
#ifndef POPGATE_POLICY_HOST_ANSWERS_H
#define POPGATE_POLICY_HOST_ANSWERS_H

#include "policy/rdns_answer.h"
#include "proxy/net/dns_answer.h"

struct host_answers;

// The addresses of one kind that a name has; there may be none.
struct host_answer {
	uint64_t num;
	struct rdns_key addrs[DNS_ADDRS_MAX];
};

// New pages in which nothing stands.  NULL with errno set when the kernel
// refuses.
struct host_answers *host_answers_new(void);

// Maps pages that an earlier popgate made (host_answers_fd, kept over execv).
// NULL when fd holds none or they were laid out otherwise.
struct host_answers *host_answers_open(int fd);
int host_answers_fd(const struct host_answers *answers);
void host_answers_free(struct host_answers **answers);

// The name is in small letters, as domain_read gives it; `type` is A or AAAA.
// False when nothing whole is kept of it.
bool host_answers_get(const struct host_answers *answers, struct str name, enum dns_type type,
    struct host_answer *out_answer);

// Replaces the answer of before.  When others write one of this name at the same
// moment it may be missing afterwards, until one of them has asked again.
void host_answers_put(struct host_answers *answers, struct str name, enum dns_type type,
    const struct host_answer *answer, uint64_t now_ms);

#endif
