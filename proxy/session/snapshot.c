// snapshot.c: from a configuration to everything it names.  See snapshot.h.
//
// Every part is tried, so that one run of `popgate check` shows every problem.
#include "proxy/session/snapshot.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/backend.h"
#include "backends/route.h"
#include "backends/verify/verify.h"
#include "certs/client_trust.h"
#include "certs/kept.h"
#include "certs/load.h"
#include "certs/ocsp.h"
#include "certs/ticket_file.h"
#include "certs/pair.h"
#include "certs/trust.h"
#include "policy/range.h"
#include "proxy/base/die.h"
#include "proxy/base/file.h"
#include "proxy/config/check.h"
#include "proxy/net/signer.h"

enum { WHY_ROOM = 2 * PATH_MAX }; // with paths in it

static bool serves(const struct listener_config *listener, size_t certificate)
{
	for (size_t i = 0; i < listener->num_certificates; i++)
		if (listener->certificates[i] == certificate)
			return true;
	return false;
}

static bool is_served(const struct config *config, size_t certificate)
{
	for (size_t i = 0; i < config->num_listeners; i++)
		if (serves(&config->listeners[i], certificate))
			return true;
	return false;
}

// Whether anybody could say that the certificate is not revoked; a file may come later.
static void check_ocsp(const struct snapshot *snapshot, size_t i, struct problems *problems)
{
	char room[512], url_room[OCSP_URL_MAX + 1];
	struct text why = TEXT(room), url = TEXT(url_room);
	const struct certificate_config *config = &snapshot->config->certificates[i];
	const struct tls_certificate *certificate = snapshot->certificates[i];
	struct ocsp_subject subject = {
	    tls_certificate_leaf(certificate), tls_certificate_issuer(certificate)};
	if (config->options.ocsp == CERTIFICATE_OCSP_off)
		return;
	if (ocsp_subject_check(&subject, &why) && config->options.ocsp == CERTIFICATE_OCSP_fetch &&
	    !*config->options.ocsp_url && !ocsp_find_url(subject.leaf, &url))
		text_add(&why, STR("the certificate names no responder; set ocsp_url, or leave "
		                   "ocsp out"));
	if (!text_is_empty(&why))
		problems_add(problems, snapshot->config->path,
		    config->places[CERTIFICATE_OPTION_ocsp], "certificate \"%s\": ocsp: %s",
		    config->name, room);
}

// What to do where a pair was before, and where nobody has been: a first start.
static void add_next_step(const struct certificate_options *options, struct text *why)
{
	size_t len = why->len;
	kept_print_way_back(options->chain, options->key, why);
	if (why->len == len && access(options->chain, F_OK) && errno == ENOENT)
		text_add(why, STR("; to get one: popgate cert request; to try things out: popgate "
		                  "cert self-signed"));
}

static void complain_of_pair(const struct config *config,
    const struct certificate_config *certificate, struct text *why, struct problems *problems)
{
	add_next_step(&certificate->options, why);
	problems_add(problems, config->path, certificate->place, "certificate \"%s\": %.*s",
	    certificate->name, STR_ARG(text_str(why)));
}

static void load_certificate(struct snapshot *snapshot, size_t i, struct problems *problems)
{
	char room[WHY_ROOM];
	struct text why = TEXT(room);
	const struct certificate_config *config = &snapshot->config->certificates[i];
	const char *chain = config->options.chain;
	snapshot->certificates[i] =
	    snapshot->signer ? certs_load_public(chain, snapshot->signer, (uint32_t)i, &why)
	                     : certs_load(chain, config->options.key, &why);
	if (snapshot->certificates[i]) {
		tls_certificate_set_number(snapshot->certificates[i], (uint32_t)i);
		check_ocsp(snapshot, i, problems);
	} else
		complain_of_pair(snapshot->config, config, &why, problems);
}

static bool serves_any(const struct config *config)
{
	for (size_t i = 0; i < config->num_listeners; i++)
		if (config->listeners[i].num_certificates)
			return true;
	return false;
}

static void load_certificates(struct snapshot *snapshot, struct problems *problems)
{
	const struct config *config = snapshot->config;
	for (size_t i = 0; i < config->num_certificates; i++)
		if (is_served(config, i))
			load_certificate(snapshot, i, problems);
}

static bool find_certificates(const struct snapshot *snapshot,
    const struct listener_config *listener, struct tls_certificate **out)
{
	for (size_t i = 0; i < listener->num_certificates; i++) {
		out[i] = snapshot->certificates[listener->certificates[i]];
		if (!out[i])
			return false;
	}
	return listener->num_certificates;
}

struct tls_strength snapshot_strength(
    const struct config *config, const struct listener_options *options)
{
	static const enum tls_profile profiles[] = {
	    [LISTENER_PROFILE_modern] = TLS_PROFILE_modern,
	    [LISTENER_PROFILE_intermediate] = TLS_PROFILE_intermediate,
	    [LISTENER_PROFILE_legacy] = TLS_PROFILE_legacy,
	};
	return (struct tls_strength){
	    .profile = profiles[options->tls_profile],
	    .min_version = (uint16_t)options->tls_min,
	    .min_bits = (unsigned)options->min_cipher_bits,
	    .forward_secrecy = config->site.key_isolation == KEY_ISOLATION_on,
	};
}

// Not where one of its certificates could not be loaded, which was told already.
static void load_server(struct snapshot *snapshot, size_t i, struct problems *problems)
{
	char room[WHY_ROOM];
	struct text why = TEXT(room);
	const struct listener_config *listener = &snapshot->config->listeners[i];
	struct tls_certificate **certificates =
	    xcalloc(listener->num_certificates, sizeof(struct tls_certificate *));
	struct tls_server_options options = {
	    .certificates = certificates,
	    .num_certificates = listener->num_certificates,
	    .refuse_unknown_names = listener->options.unknown_names == UNKNOWN_NAMES_refuse,
	    .session_tickets = listener->options.session_tickets,
	    .strength = snapshot_strength(snapshot->config, &listener->options),
	};
	if (find_certificates(snapshot, listener, certificates))
		snapshot->servers[i] = tls_server_new(&options, &why);
	if (!text_is_empty(&why))
		problems_add(problems, snapshot->config->path, listener->place,
		    "listener \"%s\": %s", listener->name, room);
	free(certificates);
}

void snapshot_ask_for_certificates(const struct snapshot *snapshot, size_t listener)
{
	const struct client_trust *trust = snapshot->client_trusts[listener];
	enum client_certs wanted = snapshot->config->listeners[listener].options.client_certs;
	struct tls_client_certificates certificates = {
	    .required = wanted == CLIENT_CERTS_required,
	    .verify = client_trust_verify,
	    .context = trust,
	    .id = client_trust_id(trust),
	};
	certificates.authorities = client_trust_names(trust, &certificates.num_authorities);
	tls_server_ask_for_certificates(snapshot->servers[listener], &certificates);
}

// Which of the two files cannot be used: where all is well without lists, theirs.
static enum listener_option wrong_file_of(const struct listener_options *options)
{
	char room[WHY_ROOM];
	struct text why = TEXT(room);
	struct client_trust *without = client_trust_load(options->client_ca, "", 0, &why);
	bool is_good = without;
	client_trust_free(&without);
	return is_good ? LISTENER_OPTION_client_crl : LISTENER_OPTION_client_ca;
}

static void complain_of_client_trust(const struct config *config,
    const struct listener_config *listener, const char *why, struct problems *problems)
{
	enum listener_option option = wrong_file_of(&listener->options);
	problems_add(problems, config->path, listener->places[option], "%s: %s",
	    option == LISTENER_OPTION_client_crl ? "client_crl" : "client_ca", why);
}

static void load_client_trust(struct snapshot *snapshot, size_t i, struct problems *problems)
{
	char room[WHY_ROOM];
	struct text why = TEXT(room);
	const struct listener_config *listener = &snapshot->config->listeners[i];
	const struct listener_options *options = &listener->options;
	if (options->client_certs == CLIENT_CERTS_off || !snapshot->servers[i] ||
	    !*options->client_ca)
		return;
	snapshot->client_trusts[i] =
	    client_trust_load(options->client_ca, options->client_crl, (uint32_t)i, &why);
	if (snapshot->client_trusts[i])
		snapshot_ask_for_certificates(snapshot, i);
	else
		complain_of_client_trust(snapshot->config, listener, room, problems);
}

bool snapshot_take_client_trust(struct snapshot *snapshot, int fd, struct text *why)
{
	struct client_trust *trust = client_trust_open(fd, why);
	if (!trust)
		return false;
	size_t listener = client_trust_slot(trust);
	if (listener >= snapshot->config->num_listeners || !snapshot->client_trusts[listener]) {
		text_addf(why, "listener %zu asks for no certificates", listener);
		client_trust_free(&trust);
		return false;
	}
	struct client_trust *old = snapshot->client_trusts[listener];
	snapshot->client_trusts[listener] = trust;
	snapshot_ask_for_certificates(snapshot, listener);
	client_trust_free(&old);
	return true;
}

// What this backend's certificates are judged by; NULL with *why empty: by
// nothing.
static struct trust *load_trust(const struct backend_options *options, struct text *why)
{
	if (options->fingerprint[0])
		return trust_fingerprint(str_of(options->fingerprint), why);
	return options->verify ? trust_authorities(options->ca, why) : NULL;
}

static struct tls_client *load_client(
    struct snapshot *snapshot, size_t i, const struct backend_options *options, struct text *why)
{
	if (options->tls == BACKEND_TLS_none)
		return NULL;
	snapshot->trusts[i] = load_trust(options, why);
	if (!text_is_empty(why))
		return NULL;
	return tls_client_new(snapshot->trusts[i] ? trust_verify : NULL, snapshot->trusts[i], why);
}

static void load_backend(struct snapshot *snapshot, size_t i, struct problems *problems)
{
	char room[WHY_ROOM];
	struct text why = TEXT(room);
	const struct backend_config *config = &snapshot->config->backends[i];
	snapshot->clients[i] = load_client(snapshot, i, &config->options, &why);
	if (text_is_empty(&why))
		snapshot->backends[i] = backend_new(config, snapshot->clients[i], &why);
	if (!text_is_empty(&why))
		problems_add(problems, snapshot->config->path, config->place, "backend \"%s\": %s",
		    config->name, room);
}

static void load_load_balancers(struct snapshot *snapshot, size_t i, struct problems *problems)
{
	const struct text_list *from = &snapshot->config->listeners[i].options.proxy_from;
	struct addr_range *ranges = xcalloc(from->num, sizeof(*ranges));
	for (size_t k = 0; k < from->num; k++) {
		char room[512];
		struct text why = TEXT(room);
		if (!range_parse(str_of(from->at[k]), &ranges[k], &why))
			problems_add(problems, snapshot->config->path, from->places[k],
			    "proxy_from: %s", room);
	}
	snapshot->load_balancers[i] = ranges;
}

// What a map leads to beside the listener's own backend, which is checked already.
static void check_routes(const struct snapshot *snapshot, size_t i, struct problems *problems)
{
	const struct config *config = snapshot->config;
	const struct listener_config *listener = &config->listeners[i];
	for (size_t k = 0; k < config->num_backends; k++)
		if (k != listener->backend && routes_lead_to(snapshot->routes[i], k))
			check_logins_at(
			    config, listener, k, listener->places[LISTENER_OPTION_map], problems);
}

static void load_routes(struct snapshot *snapshot, size_t i, struct problems *problems)
{
	const struct config *config = snapshot->config;
	snapshot->routes[i] = routes_new(config, &config->listeners[i], problems);
	if (snapshot->routes[i])
		check_routes(snapshot, i, problems);
}

// Who must be bound to a certificate needs one that can be.
static const char ed25519_binding[] =
    "clients do not agree how to bind to a certificate signed by Ed25519";

static bool must_be_bound(const struct listener_config *listener)
{
	return listener->options.ntlm_channel_binding == LISTENER_BINDING_require;
}

static bool can_be_bound(const struct snapshot *snapshot, const struct listener_config *listener)
{
	for (size_t i = 0; i < listener->num_certificates; i++) {
		const struct tls_certificate *each =
		    snapshot->certificates[listener->certificates[i]];
		if (each && !tls_certificate_end_point(each).len)
			return false;
	}
	return true;
}

static void check_binding(const struct snapshot *snapshot, size_t i, struct problems *problems)
{
	const struct listener_config *listener = &snapshot->config->listeners[i];
	if (must_be_bound(listener) && !can_be_bound(snapshot, listener))
		problems_add(problems, snapshot->config->path,
		    listener->places[LISTENER_OPTION_ntlm_channel_binding],
		    "ntlm_channel_binding: %s; serve another one, or leave it out",
		    ed25519_binding);
}

bool snapshot_allows_certificate(const struct snapshot *snapshot, size_t index,
    const struct tls_certificate *certificate, struct text *why)
{
	const struct config *config = snapshot->config;
	bool can_be = tls_certificate_end_point(certificate).len;
	for (size_t i = 0; !can_be && i < config->num_listeners; i++)
		if (serves(&config->listeners[i], index) && must_be_bound(&config->listeners[i])) {
			text_addf(why, "%s, which ntlm_channel_binding wants of listener %s",
			    ed25519_binding, config->listeners[i].name);
			return false;
		}
	return true;
}

void snapshot_replace_certificate(
    struct snapshot *snapshot, size_t index, struct tls_certificate *certificate)
{
	const struct config *config = snapshot->config;
	tls_certificate_set_number(certificate, (uint32_t)index);
	for (size_t i = 0; i < config->num_listeners; i++)
		for (size_t k = 0; k < config->listeners[i].num_certificates; k++)
			if (config->listeners[i].certificates[k] == index)
				tls_server_replace(snapshot->servers[i], k, certificate);
	tls_certificate_free(&snapshot->certificates[index]);
	snapshot->certificates[index] = certificate;
}

static bool has_verifier(const struct verifiers *verifiers, enum verifier verifier)
{
	for (size_t i = 0; i < verifiers->num; i++)
		if (verifiers->order[i] == verifier)
			return true;
	return false;
}

static void load_verifiers(struct snapshot *snapshot, size_t i)
{
	struct verifiers *verifiers = &snapshot->verifiers[i];
	*verifiers = verifiers_of(&snapshot->config->listeners[i].options);
	snapshot->has_users = snapshot->has_users || has_verifier(verifiers, VERIFIER_users);
}

static void check_users(const struct config *config, struct problems *problems)
{
	FILE *file = file_open(config->users.database);
	if (file)
		fclose(file);
	else
		problems_add(problems, config->path, config->users_places[USERS_OPTION_database],
		    "users: cannot open %s: %s; `popgate user add NAME` makes it",
		    config->users.database, file_problem());
}

static void load_users(struct snapshot *snapshot, struct problems *problems)
{
	char room[WHY_ROOM];
	struct text why = TEXT(room);
	const struct config *config = snapshot->config;
	if (!snapshot->has_users)
		return;
	check_users(config, problems);
	if (!users_key_load(config->users.key, snapshot->users_key, &why))
		problems_add(problems, config->path, config->users_places[USERS_OPTION_key],
		    "users: %s", room);
}

// The supervisor reads them again, and as often as they change; a worker never has
// them from here.
static void check_ticket_keys(const struct config *config, struct problems *problems)
{
	struct ticket_file file;
	char room[WHY_ROOM];
	struct text why = TEXT(room);
	if (*config->site.ticket_keys && !ticket_file_load(config->site.ticket_keys, &file, &why))
		problems_add(problems, config->path, config->site_places[SITE_OPTION_ticket_keys],
		    "ticket_keys: %s", room);
	explicit_bzero(&file, sizeof(file));
}

static void load_listeners(struct snapshot *snapshot, struct problems *problems)
{
	for (size_t i = 0; i < snapshot->config->num_listeners; i++) {
		load_server(snapshot, i, problems);
		load_client_trust(snapshot, i, problems);
		load_load_balancers(snapshot, i, problems);
		load_routes(snapshot, i, problems);
		load_verifiers(snapshot, i);
		check_binding(snapshot, i, problems);
	}
}

static void check_log(const struct config *config, struct problems *problems)
{
	char room[WHY_ROOM];
	struct text why = TEXT(room);
	if (!log_can_open(str_of(config->log.target), &why))
		problems_add(problems, config->path, config->log_places[LOG_OPTION_target],
		    "target: %s", room);
}

struct snapshot *snapshot_load(const char *path, struct problems *problems)
{
	struct config *config = config_load(path, problems);
	if (!config)
		return NULL;
	struct snapshot *snapshot = xcalloc(1, sizeof(*snapshot));
	snapshot->config = config;
	snapshot->backends = xcalloc(config->num_backends, sizeof(*snapshot->backends));
	snapshot->clients = xcalloc(config->num_backends, sizeof(*snapshot->clients));
	snapshot->trusts = xcalloc(config->num_backends, sizeof(*snapshot->trusts));
	snapshot->certificates = xcalloc(config->num_certificates, sizeof(*snapshot->certificates));
	snapshot->servers = xcalloc(config->num_listeners, sizeof(*snapshot->servers));
	snapshot->client_trusts = xcalloc(config->num_listeners, sizeof(*snapshot->client_trusts));
	snapshot->load_balancers =
	    xcalloc(config->num_listeners, sizeof(*snapshot->load_balancers));
	snapshot->routes = xcalloc(config->num_listeners, sizeof(*snapshot->routes));
	snapshot->verifiers = xcalloc(config->num_listeners, sizeof(*snapshot->verifiers));
	check_log(config, problems);
	if (config->site.key_isolation == KEY_ISOLATION_on && serves_any(config))
		snapshot->signer = signer_new();
	load_certificates(snapshot, problems);
	for (size_t i = 0; i < config->num_backends; i++)
		load_backend(snapshot, i, problems);
	load_listeners(snapshot, problems);
	load_users(snapshot, problems);
	check_ticket_keys(config, problems);
	if (!rulebook_load(&snapshot->rulebook, config, problems) || problems->num)
		snapshot_free(&snapshot);
	return snapshot;
}

static void check_key(const struct config *config, const struct certificate_config *certificate,
    struct problems *problems)
{
	char room[WHY_ROOM];
	struct text why = TEXT(room);
	struct pair pair;
	if (pair_read(certificate->options.chain, certificate->options.key, &pair, &why))
		pair_done(&pair);
	else
		complain_of_pair(config, certificate, &why, problems);
}

void snapshot_check_keys(const struct snapshot *snapshot, struct problems *problems)
{
	const struct config *config = snapshot->config;
	for (size_t i = 0; i < config->num_certificates; i++)
		if (snapshot->signer && snapshot->certificates[i])
			check_key(config, &config->certificates[i], problems);
}

static void free_certificates(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->config->num_listeners; i++)
		tls_server_free(&snapshot->servers[i]);
	for (size_t i = 0; i < snapshot->config->num_certificates; i++)
		tls_certificate_free(&snapshot->certificates[i]);
}

void snapshot_wipe(struct snapshot *snapshot)
{
	free_certificates(snapshot);
	explicit_bzero(snapshot->users_key, sizeof(snapshot->users_key));
	for (size_t i = 0; i < snapshot->config->num_backends; i++)
		secret_done(&snapshot->backends[i]->master_password);
}

static void free_listener(struct snapshot *snapshot, size_t i)
{
	client_trust_free(&snapshot->client_trusts[i]);
	free(snapshot->load_balancers[i]);
	routes_free(&snapshot->routes[i]);
}

void snapshot_free(struct snapshot **snapshot)
{
	struct snapshot *old = *snapshot;
	if (!old)
		return;
	for (size_t i = 0; i < old->config->num_backends; i++) {
		backend_free(&old->backends[i]);
		tls_client_free(&old->clients[i]);
		trust_free(&old->trusts[i]);
	}
	free_certificates(old);
	for (size_t i = 0; i < old->config->num_listeners; i++)
		free_listener(old, i);
	signer_free(&old->signer);
	rulebook_close(&old->rulebook);
	free(old->backends);
	free(old->clients);
	free(old->trusts);
	free(old->certificates);
	free(old->servers);
	free(old->client_trusts);
	free(old->load_balancers);
	free(old->routes);
	free(old->verifiers);
	explicit_bzero(old->users_key, sizeof(old->users_key));
	config_free(&old->config);
	free(old);
	*snapshot = NULL;
}
