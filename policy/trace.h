// trace.h: what a decision tells of each rule to whoever asked for it.
//
// For decision.c only.  Costs nothing when nobody asked.
#ifndef POPGATE_POLICY_TRACE_H
#define POPGATE_POLICY_TRACE_H

#include "policy/decision.h"

// How a rule stands to the address.
enum match {
	MATCH_NO,
	MATCH_YES,
	MATCH_OPEN,     // DNS would have to be asked
	MATCH_WAITS,    // DNS is asked
	MATCH_FAILED,   // DNS failed
	MATCH_EXPIRED,  // its last day is over
	MATCH_NEEDLESS, // whatever DNS says, nothing changes
};

// Tells of the rules of a step up to the one that was found, or of all when none
// matches, unless they were told of before.
void trace_step(struct decision *decision, const struct policy *policy,
    const struct policy_step *step, uint32_t found, enum match match);

#endif
