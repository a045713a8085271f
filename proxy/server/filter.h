// filter.h: the system calls that a worker (filter.def), the process with the private
// keys (keys_filter.def) and the one that answers `GET /metrics` (metrics_filter.def) may
// make, enforced by the kernel.
//
// Called by each as the last step before they serve, when everything they need
// is open.  What is not listed fails with EPERM, so that a call that a
// library makes on a path we never saw costs a feature and not the worker's
// sessions; what an intruder wants (files, processes, other users) is out of
// reach all the same.
#ifndef POPGATE_PROXY_SERVER_FILTER_H
#define POPGATE_PROXY_SERVER_FILTER_H

#include "proxy/base/text.h"

enum filter_kind { FILTER_worker, FILTER_keys, FILTER_metrics };

// False with the reason in *why when the kernel refuses the filter.
__attribute__((warn_unused_result)) bool filter_enter(enum filter_kind kind, struct text *why);

#endif
