// backend.h: a backend: its servers, how they are spoken to, and which of them
// to try next.
//
// Made with a snapshot; host names are looked up then, by the supervisor,
// where waiting harms nobody.  A worker's copy also remembers which servers
// have just failed, so that not every login waits for a dead one.
#ifndef POPGATE_BACKENDS_BACKEND_H
#define POPGATE_BACKENDS_BACKEND_H

#include "proxy/base/addr.h"
#include "proxy/base/secret.h"
#include "proxy/config/config.h"

struct tls_client;

enum { BACKEND_SERVERS_MAX = 32 };

struct backend_server {
	char *name; // as the administrator wrote it: host:port
	char *host; // the name that its certificate must carry
	struct addr addr;
	uint64_t resting_until; // ms of the loop's clock; 0: in use
};

struct backend {
	const char *name;
	const struct backend_options *options;
	const struct tls_client *client; // NULL: no TLS
	struct secret master_password;   // of login: master
	struct backend_server servers[BACKEND_SERVERS_MAX];
	size_t num_servers;
};

// Borrows config and client.  NULL with the reason in *why when a server
// cannot be read or looked up, or the master user's password not be read.
struct backend *backend_new(
    const struct backend_config *config, const struct tls_client *client, struct text *why);
void backend_free(struct backend **backend);

// The next server to try: in order, those that failed lately last.  `tried`
// has bit i for each server tried already.  NULL when all were.
struct backend_server *backend_next(struct backend *backend, uint64_t now_ms, uint32_t tried);

// Notes that a server failed or answered; logs when that changes something.
void backend_failed(
    struct backend *backend, struct backend_server *server, uint64_t now_ms, struct str why);
// Logs that a server broke off a login in the middle.
void backend_broke_off(
    const struct backend *backend, const struct backend_server *server, struct str why);
// Logs that a client's login was told to no server at all.
void backend_not_asked(const struct backend *backend, struct str why);
void backend_answered(struct backend *backend, struct backend_server *server);

#endif
