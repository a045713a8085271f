// snapshot.h: everything that one configuration means: the options, and what
// was loaded and compiled because of them (certificates, backends).
//
// Made by the supervisor, complete or not at all, before it forks the workers
// of a generation; never changed afterwards but by certificates, what clients' ones are
// judged by, and tables and hosts of the rulebook, that take the place of others.
// `popgate check` makes one and throws it away.
#ifndef POPGATE_PROXY_SESSION_SNAPSHOT_H
#define POPGATE_PROXY_SESSION_SNAPSHOT_H

#include "backends/users/key.h"
#include "policy/rulebook.h"
#include "proxy/config/config.h"

struct addr_range;
struct backend;
struct client_trust;
struct routes;
struct signer;
struct verifiers;
struct tls_certificate;
struct tls_client;
struct tls_server;
struct trust;

struct snapshot {
	struct config *config;
	struct rulebook rulebook;
	// One for each of config->backends.
	struct backend **backends;
	struct tls_client **clients; // NULL: no TLS there
	struct trust **trusts;       // NULL: any certificate will do
	struct signer *signer;       // who has the private keys; NULL: the certificates have theirs
	// One for each of config->certificates; NULL: no listener serves it.
	struct tls_certificate **certificates;
	// One for each of config->listeners; NULL: no TLS there.
	struct tls_server **servers;
	// One for each of config->listeners, each of which can be replaced; NULL: clients are
	// not asked for a certificate.
	struct client_trust **client_trusts;
	// One for each of config->listeners: what its options proxy_from, map and verify
	// mean.
	struct addr_range **load_balancers;
	struct routes **routes;
	struct verifiers *verifiers;
	bool has_users;
	uint8_t users_key[USERS_KEY_SIZE]; // of users.db
};

// Reads the file and everything it names.  NULL when there is any problem,
// and every problem found stands in *problems.
struct snapshot *snapshot_load(const char *path, struct problems *problems);

// Whether a certificate may take the place of the one at that index of
// config->certificates; false with the reason in *why.
bool snapshot_allows_certificate(const struct snapshot *snapshot, size_t index,
    const struct tls_certificate *certificate, struct text *why);

// Serves it from now on at all listeners that served the former one.  Takes it over.
void snapshot_replace_certificate(
    struct snapshot *snapshot, size_t index, struct tls_certificate *certificate);

// Reads the private keys that are not in the snapshot but with its signer, to see whether
// they could be used.
void snapshot_check_keys(const struct snapshot *snapshot, struct problems *problems);

// Wipes private keys, the key of users.db and the master users' passwords, for a process that will
// not use it.
void snapshot_wipe(struct snapshot *snapshot);

// Lets the listener ask for certificates by what its client_trust is now.
void snapshot_ask_for_certificates(const struct snapshot *snapshot, size_t listener);

// Puts what came (certs/client_trust.h) in the place of the listener's; takes over fd.
// False with the reason in *why, and nothing has changed.
__attribute__((warn_unused_result)) bool snapshot_take_client_trust(
    struct snapshot *snapshot, int fd, struct text *why);

// What a listener asks of TLS.
struct tls_strength snapshot_strength(
    const struct config *config, const struct listener_options *options);

// Frees it and sets the pointer to NULL; NULL is allowed.
void snapshot_free(struct snapshot **snapshot);

#endif
