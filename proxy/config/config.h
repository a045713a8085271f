// config.h: the configuration file, read and checked.
//
// Called by the server (supervisor, `popgate check`, `popgate config`); the
// resulting struct is handed down to everybody and never changes.  A worker
// keeps the one it was started with; a reload makes a new one.
//
// Reading follows the option's type: a value is never guessed from how it
// looks.  Every problem names file, line and column, and all values are judged
// in one run; what must hold across options is judged where they are sound.
//
// Durations are in milliseconds, sizes in bytes.  Texts are never NULL, one
// that is not given is empty.  File names are absolute (but for the log's
// "stderr" and "syslog"), fingerprints 64 small hexadecimal digits without
// colons.  Zero workers stand for auto.
#ifndef POPGATE_PROXY_CONFIG_CONFIG_H
#define POPGATE_PROXY_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/log.h"
#include "proxy/config/problems.h"

enum listener_tls { LISTENER_TLS_implicit, LISTENER_TLS_stls, LISTENER_TLS_none };
enum key_isolation { KEY_ISOLATION_off, KEY_ISOLATION_on };
enum unknown_names { UNKNOWN_NAMES_serve, UNKNOWN_NAMES_refuse };
enum certificate_ocsp { CERTIFICATE_OCSP_off, CERTIFICATE_OCSP_file, CERTIFICATE_OCSP_fetch };
enum client_certs { CLIENT_CERTS_off, CLIENT_CERTS_optional, CLIENT_CERTS_required };
enum backend_tls { BACKEND_TLS_none, BACKEND_TLS_stls, BACKEND_TLS_tls };

// How popgate logs in at a backend (backends/login/logins.def).
enum backend_login {
	BACKEND_LOGIN_pass,
	BACKEND_LOGIN_plain,
	BACKEND_LOGIN_cram_md5,
	BACKEND_LOGIN_apop,
	BACKEND_LOGIN_ntlm,
	BACKEND_LOGIN_master,
	BACKEND_LOGIN_stored,
};
enum backend_ntlm { BACKEND_NTLM_v2, BACKEND_NTLM_v1 };

// How a backend learns who its client is.
enum client_address {
	CLIENT_ADDRESS_none,
	CLIENT_ADDRESS_proxy_v1,
	CLIENT_ADDRESS_proxy_v2,
	CLIENT_ADDRESS_xclient,
};

// Bits of the `login` option.  They stand in users.db too: a value never changes.
// ntlm2, ntlm_v1 and legacy_tls are for `login_exceptions` alone.
enum login_method {
	LOGIN_METHOD_basic = 1,
	LOGIN_METHOD_basic_tls = 2,
	LOGIN_METHOD_ntlm = 4,
	LOGIN_METHOD_ntlm_tls = 8,
	LOGIN_METHOD_digest = 16,
	LOGIN_METHOD_digest_tls = 32,
	LOGIN_METHOD_ntlm2 = 64,
	LOGIN_METHOD_ntlm_v1 = 128,
	LOGIN_METHOD_external = 256,
	LOGIN_METHOD_legacy_tls = 512,
};

// What `verify_unavailable` and the options of NTLM say.
enum unavailable { UNAVAILABLE_refuse, UNAVAILABLE_next };
enum listener_ntlm { LISTENER_NTLM_v2, LISTENER_NTLM_ntlm2, LISTENER_NTLM_v1 };
enum listener_binding { LISTENER_BINDING_off, LISTENER_BINDING_allow, LISTENER_BINDING_require };
enum listener_mic { LISTENER_MIC_allow, LISTENER_MIC_require };

// What `tls_profile` and `tls_min` say; versions as they are on the wire.
enum listener_profile {
	LISTENER_PROFILE_modern,
	LISTENER_PROFILE_intermediate,
	LISTENER_PROFILE_legacy
};
enum listener_version {
	LISTENER_VERSION_of_profile,
	LISTENER_VERSION_1_0 = 0x0301,
	LISTENER_VERSION_1_1 = 0x0302,
	LISTENER_VERSION_1_2 = 0x0303,
	LISTENER_VERSION_1_3 = 0x0304,
};

// Bits of the `capabilities` option.
enum capability { CAPABILITY_top = 1, CAPABILITY_uidl = 2, CAPABILITY_pipelining = 4 };

// The verdicts of `default` and `on_dns_failure`, and the kinds of `refusal`.
enum access { ACCESS_allow, ACCESS_deny };
enum refusal { REFUSAL_message, REFUSAL_drop, REFUSAL_reset };

struct text_list {
	char **at;
	struct place *places; // where each stands
	size_t num;
};

// Where an option's value comes from.
enum origin { ORIGIN_default, ORIGIN_defaults, ORIGIN_own };

// struct site_options { uint64_t workers; ... } and enum site_option
// { SITE_OPTION_workers, ..., SITE_OPTIONS }, and so for each section.
#include "proxy/config/sections.h"

struct certificate_config {
	char *name;
	struct place place;
	struct certificate_options options;
	struct place places[CERTIFICATE_OPTIONS];
};

struct backend_config {
	char *name;
	struct place place;
	struct backend_options options;
	struct place places[BACKEND_OPTIONS];
};

struct policy_config {
	char *name;
	struct place place;
	struct policy_options options;
	struct place places[POLICY_OPTIONS];
};

// Sessions of clients that ask for this host name in TLS have this backend.
struct server_name {
	struct str name; // perhaps with "*." before it; a slice of the option
	size_t backend;
};

struct listener_config {
	char *name;
	struct place place;
	struct listener_options options;
	struct place places[LISTENER_OPTIONS]; // in the listener or in `defaults`
	enum origin origins[LISTENER_OPTIONS];
	size_t backend; // index into config.backends
	struct server_name *server_names;
	size_t num_server_names;
	size_t *certificates; // indices into config.certificates; none without TLS
	size_t num_certificates;
	size_t policy; // index into config.policies, or NO_POLICY
};

#define NO_POLICY SIZE_MAX

struct config {
	char *path;
	struct site_options site;
	struct place site_places[SITE_OPTIONS];
	struct log_options log;
	struct place log_places[LOG_OPTIONS];
	struct metrics_options metrics;
	struct place metrics_places[METRICS_OPTIONS];
	struct geoip_options geoip;
	struct place geoip_places[GEOIP_OPTIONS];
	struct resolver_options resolver;
	struct place resolver_places[RESOLVER_OPTIONS];
	struct users_options users;
	struct place users_places[USERS_OPTIONS];
	struct winbind_options winbind;
	struct place winbind_places[WINBIND_OPTIONS];
	struct certificate_config *certificates;
	size_t num_certificates;
	struct backend_config *backends;
	size_t num_backends;
	struct policy_config *policies;
	size_t num_policies;
	struct listener_config *listeners;
	size_t num_listeners;
};

// Reads the file.  NULL when there is any problem; the caller owns the result.
struct config *config_load(const char *path, struct problems *problems);

// The same of a text that is already here, as if it stood in the file `path`.
struct config *config_load_text(const char *path, struct str yaml, struct problems *problems);

// What a file name in the configuration means: a path without a beginning / is
// one in the folder of the configuration file.  The caller frees it.
char *config_resolve_path(const char *config_path, struct str name);

// Frees it and sets the pointer to NULL; NULL is allowed.
void config_free(struct config **config);

#endif
