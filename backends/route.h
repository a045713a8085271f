// route.h: where a user's mailbox lives: the backend, and the name there.
//
// One set of routes for each listener, compiled from its options `map` and
// `backend` with the configuration; asked by the session for each login: before the
// claim is judged where the store judges it, since the name there is what failed
// logins are counted by; after that where our own verifiers do.
//
// The rules are asked in order (map_rule.h), files in their place (aliases.h), and
// the first that matches decides.  One that names no backend leads to that of the
// session: the listener's, or another by the host name that the client asked for.
// Without a rule, a name goes there, too: as it stands where the store judges it, or an
// authority vouches for the whole of it; else as the user without domain, in small letters, and
// then a mailbox that is not the user's own is refused, since nobody has said that this user may
// open it.  What an authority calls by a bare name goes nowhere without a rule once any rule has a
// domain: it would open the mailbox of a user of that domain whom the rule maps to the bare name.
#ifndef POPGATE_BACKENDS_ROUTE_H
#define POPGATE_BACKENDS_ROUTE_H

#include "backends/account.h"
#include "proxy/config/config.h"

struct routes;

// NULL when there is any problem, each told in *problems with its place.  Borrows
// the configuration.
struct routes *routes_new(
    const struct config *config, const struct listener_config *listener, struct problems *problems);

// NULL is allowed.
void routes_free(struct routes **routes);

// The backend of a session whose client has asked in TLS for this host name (empty: for
// none): that of server_names, where the name itself goes before one that stands for
// many, else the listener's.
size_t route_home(const struct listener_config *listener, struct str server_name);

// Whether any rule, or the listener, leads to the backend number `backend` of the
// configuration.
bool routes_lead_to(const struct routes *routes, size_t backend);

// The backend of users of this domain (empty: they did not say one) who are mapped by
// one rule for all of them; the session's where there is no such rule.
size_t routes_backend_of_domain(const struct routes *routes, struct str domain, size_t home);

// Who logs in.
struct route_question {
	const struct account *account;
	struct str login; // as the client wrote it
	bool as_written;  // where no rule matches: the whole name counts
	size_t home;      // the session's backend
	bool is_vouched;  // by an authority alone: where a rule is for names with a domain,
	                  // one without needs a rule, too
};

// Where to; the zero state is nowhere.
struct route {
	size_t backend;  // index into the configuration's
	struct str name; // heap
};

// False with a static reason in *why, for the log, when there is no way; *out is as
// it was then, else what was there is freed.
__attribute__((warn_unused_result)) bool route_find(const struct routes *routes,
    const struct route_question *question, struct route *out, const char **why);

void route_done(struct route *route);

#endif
