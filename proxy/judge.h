// judge.h: the policy's judgement outside of a worker.
//
// For the commands `explain` and `policy test`: the rules, tables and name
// servers of a configuration, asked for one address after the other.  No
// private key or backend is looked at, so that no key need be readable.
#ifndef POPGATE_PROXY_JUDGE_H
#define POPGATE_PROXY_JUDGE_H

#include "policy/names.h"

struct judge {
	struct config *config;
	struct rulebook rulebook;
	struct net net;
	struct names names;
	struct decision_sources sources;
	bool is_open;
};

// Reads the configuration and opens what judging needs.  False with every
// problem told on stderr; judge_close is due in any case.
__attribute__((warn_unused_result)) bool judge_open(struct judge *judge, const char *path);
void judge_close(struct judge *judge);

// Judges an address at a listener; waits for DNS.  What decision_start wants of
// *decision is filled in, but for its trace.
void judge_ask(struct judge *judge, const struct listener_config *listener, const struct addr *addr,
    struct decision *decision);

// The listener of this name; NULL when there is none.
const struct listener_config *judge_find_listener(const struct judge *judge, struct str name);

#endif
