// filter.h: the system calls a worker may make (filter.def), enforced by the
// kernel.
//
// Called by the worker as its last step before it serves, when everything it
// needs is open.  What is not listed fails with EPERM, so that a call that a
// library makes on a path we never saw costs a feature and not the worker's
// sessions; what an intruder wants (files, processes, other users) is out of
// reach all the same.
#ifndef POPGATE_PROXY_SERVER_FILTER_H
#define POPGATE_PROXY_SERVER_FILTER_H

#include "proxy/base/text.h"

// False with the reason in *why when the kernel refuses the filter.
__attribute__((warn_unused_result)) bool filter_enter(struct text *why);

#endif
