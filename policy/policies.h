// policies.h: all policies of one configuration, and the login exceptions of its
// listeners.
//
// Part of a snapshot, and made with it; the owner loads the tables afterwards
// (tables_load), since only then it is known which there are.
#ifndef POPGATE_POLICY_POLICIES_H
#define POPGATE_POLICY_POLICIES_H

#include "policy/policy.h"

struct policies {
	struct policy **policies; // one for each of config->policies
	size_t num_policies;
	struct policy **exceptions; // one for each of config->listeners; NULL: none
	size_t num_listeners;
};

// Borrows the configuration for as long as it lives.  Adds the files to tables
// and the names to hosts, and the databases of `geoip` even if no rule asks them.
// NULL when there is any problem, and every problem found stands in *problems.
struct policies *policies_new(const struct config *config, struct tables *tables,
    struct hosts *hosts, struct problems *problems);

// NULL is allowed.
void policies_free(struct policies **policies);

#endif
