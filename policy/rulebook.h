// rulebook.h: all that one configuration says of who may connect: the policies,
// the tables and hosts that their rules name.
//
// Part of a snapshot, made by the supervisor before the workers are forked; the
// commands that judge without a worker make one too.  Only what is behind the
// tables (tables.h) and the hosts (hosts.h) changes later.
#ifndef POPGATE_POLICY_RULEBOOK_H
#define POPGATE_POLICY_RULEBOOK_H

#include "policy/policies.h"

struct rulebook {
	struct tables *tables;
	struct hosts *hosts;
	struct policies *policies;
};

// Compiles the rules and reads the files that they name; borrows the
// configuration.  False when there is any problem, each told in *problems; the
// rulebook is to be closed in either case.
__attribute__((warn_unused_result)) bool rulebook_load(
    struct rulebook *rulebook, const struct config *config, struct problems *problems);

// Frees it all; an all-zero one is fine.  Hosts that are open must have been
// closed (names_close).
void rulebook_close(struct rulebook *rulebook);

// The policy of a listener of that configuration; NULL: everybody may connect.
const struct policy *rulebook_policy(
    const struct rulebook *rulebook, const struct listener_config *listener);

#endif
