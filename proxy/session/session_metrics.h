// session_metrics.h: the labels of what sessions count (proxy/base/metrics.h).
#ifndef POPGATE_PROXY_SESSION_SESSION_METRICS_H
#define POPGATE_PROXY_SESSION_SESSION_METRICS_H

#include "proxy/base/metrics.h"

// As metrics_label_fn; the only one that there is.
const char *session_metric_label(enum metric metric, size_t label);

#endif
