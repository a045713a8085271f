// names.h: what one process knows of DNS: its resolver, the reverse names of
// clients, and what the hosts in rules lead to.
//
// Opened by each worker before its filter of system calls closes, and by
// `popgate explain`.
#ifndef POPGATE_POLICY_NAMES_H
#define POPGATE_POLICY_NAMES_H

#include "policy/decision.h"
#include "policy/rulebook.h"

struct names {
	struct rulebook *rulebook;
	struct resolver *resolver; // NULL: the configuration has no name servers
	struct rdns *rdns;
};

// Opens what the configuration asks for, and begins to look up the hosts of the
// rules; one of num_shares processes that share the memory for reverse names.
// Borrows the rulebook and the hosts' answers of other processes (NULL: none).
// False with the reason in *why.
__attribute__((warn_unused_result)) bool names_open(struct names *names, struct net *net,
    const struct config *config, struct rulebook *rulebook, struct host_answers *answers,
    size_t num_shares, struct text *why);

// Drops all questions, and the rulebook's hosts with them; what is on the loop
// ends with its next turn.
void names_close(struct names *names);

// For decisions.
struct decision_sources names_sources(const struct names *names);

#endif
