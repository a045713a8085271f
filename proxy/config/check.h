// check.h: what is sound option by option, but not as a whole.
//
// Called by config.c, once for each backend and each listener, in the order of
// the file.  Each rule is one `if` with the words that the administrator will
// read.
#ifndef POPGATE_PROXY_CONFIG_CHECK_H
#define POPGATE_PROXY_CONFIG_CHECK_H

#include "proxy/config/config.h"

void check_certificate(const struct config *config, const struct certificate_config *certificate,
    struct problems *problems);

void check_backend(
    const struct config *config, const struct backend_config *backend, struct problems *problems);

void check_site(const struct config *config, struct problems *problems);

void check_resolver(const struct config *config, struct problems *problems);

// The listeners come first.
void check_metrics(const struct config *config, struct problems *problems);

// Who judges logins at a listener, and whether the store can be told of them.
void check_logins(
    const struct config *config, const struct listener_config *listener, struct problems *problems);

// Whether logins that a listener's verifiers judge can go on at a backend; `place` is
// what leads there.
void check_logins_at(const struct config *config, const struct listener_config *listener,
    size_t backend, struct place place, struct problems *problems);

// Checks a listener against itself, the certificates, the backends and the
// listeners before it, and fills in which backend and certificates it means.
void check_listener(
    const struct config *config, struct listener_config *listener, struct problems *problems);

#endif
