// metrics_facts.h: what the supervisor knows and nobody counts: certificates, staples,
// databases, as text for `GET /metrics`.
#ifndef POPGATE_PROXY_SERVER_METRICS_FACTS_H
#define POPGATE_PROXY_SERVER_METRICS_FACTS_H

#include "proxy/server/staples.h"

// The facts of a generation that serves, as they are now; on the heap.  Nothing there
// when memory is out.
struct str metrics_facts(const struct snapshot *snapshot, const struct staples *staples);

#endif
