// apart.h: does a piece of work in a process of its own, so that nothing in a
// file can end or hang the one that asked.
//
// Used for reading what a library takes apart whose bounds are not ours to
// prove (geoip.c).  The child is a fork: it sees everything, and what it leaves
// behind is what it writes to shared memory.  The caller waits for it; that ends,
// since the child's time is limited.
//
// Not done: a thread.  It would share the fate that this is about.
#ifndef POPGATE_POLICY_APART_H
#define POPGATE_POLICY_APART_H

#include "proxy/base/text.h"

// False with the reason in *why.
typedef bool apart_fn(void *context, struct text *why);

// True when `work` returned true.  False with the reason in *why: what `work`
// said, or how its process ended.  It may use `seconds` of a processor.
__attribute__((warn_unused_result)) bool apart_run(
    apart_fn *work, void *context, unsigned seconds, struct text *why);

#endif
