// check.h: what is sound option by option, but not as a whole.
//
// Called by config.c, once for each backend and each listener, in the order of
// the file.  Each rule is one `if` with the words that the administrator will
// read.
#ifndef POPGATE_PROXY_CONFIG_CHECK_H
#define POPGATE_PROXY_CONFIG_CHECK_H

#include "proxy/config/config.h"

void check_backend(
    const struct config *config, const struct backend_config *backend, struct problems *problems);

void check_resolver(const struct config *config, struct problems *problems);

// Checks a listener against itself, the certificates, the backends and the
// listeners before it, and fills in which backend and certificate it means.
void check_listener(
    const struct config *config, struct listener_config *listener, struct problems *problems);

#endif
