// apart.h: does a piece of work in a process of its own, so that nothing in a
// file can end or hang the one that asked.
//
// Used for reading what a library takes apart whose bounds are not ours to
// prove (geoip.c).  The child is a fork: it sees everything, and what it leaves
// behind is what it writes to shared memory.  The caller waits for it, and that
// ends: a child whose time by the clock is over is killed, and one that not even
// that ends, since the kernel waits for a disk, is left to whoever reaps the
// caller's children.
//
// This is about faults and not about intrusion: the child keeps the caller's
// user, root mostly, and its shared pages.  Another user could not open by its
// descriptor a file that only root may read, which is how it gets to the file.
//
// Not done: a thread.  It would share the fate that this is about.
#ifndef POPGATE_POLICY_APART_H
#define POPGATE_POLICY_APART_H

#include "proxy/base/text.h"

// False with the reason in *why.
typedef bool apart_fn(void *context, struct text *why);

// True when `work` returned true.  False with the reason in *why: what `work`
// said, or how its process ended.  It may use `seconds`, by the clock, and 1 GiB
// of addresses besides those that the caller has (any number under sanitizers,
// which take as much as there is).
__attribute__((warn_unused_result)) bool apart_run(
    apart_fn *work, void *context, unsigned seconds, struct text *why);

#endif
