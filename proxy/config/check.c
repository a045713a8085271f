// check.c: rules across options, and names that refer to other sections.  See
// check.h.
#include "proxy/config/check.h"

#include "proxy/base/addr.h"
#include "proxy/base/die.h"
#include "proxy/config/options.h"
#include "proxy/config/server_name.h"

enum { RESOLVER_SERVERS = 4, TICKET_ROTATIONS = 32 };

// Certificates or backends, seen as a list of names.
struct names {
	const char *noun;
	const char *key; // the section where they are given
	char *const *first;
	size_t step; // from one name to the next, in bytes
	size_t num;
};

static struct names certificate_names(const struct config *config)
{
	return (struct names){"certificate", "certificates",
	    config->num_certificates ? &config->certificates->name : NULL,
	    sizeof(*config->certificates), config->num_certificates};
}

static struct names backend_names(const struct config *config)
{
	return (struct names){"backend", "backends",
	    config->num_backends ? &config->backends->name : NULL, sizeof(*config->backends),
	    config->num_backends};
}

static struct names policy_names(const struct config *config)
{
	return (struct names){"policy", "policies",
	    config->num_policies ? &config->policies->name : NULL, sizeof(*config->policies),
	    config->num_policies};
}

static struct str name_at(const struct names *names, size_t index)
{
	return str_of(*(char *const *)((const char *)names->first + index * names->step));
}

// "there are "a", "b"", cut when there are many.
static struct shown names_shown(const struct names *names)
{
	struct shown list;
	struct text text = TEXT(list.at);
	size_t len = 0;
	if (!names->num)
		text_addf(&text, "there are none, give one under \"%s\"", names->key);
	for (size_t i = 0; i < names->num && !text.truncated; i++) {
		len = text.len;
		text_addf(&text, "%s%s", i ? ", " : "there are ", shown(name_at(names, i)).at);
	}
	if (text.truncated && len + sizeof(" ...") <= sizeof(list.at))
		memcpy(list.at + len, " ...", sizeof(" ..."));
	return list;
}

static bool find_name(const struct names *names, struct str name, size_t *out_index)
{
	for (*out_index = 0; *out_index < names->num; ++*out_index)
		if (str_eq(name_at(names, *out_index), name))
			return true;
	return false;
}

// The problem of a name that nothing has.
static void complain_of_name(const struct config *config, const struct names *names,
    struct str name, struct place place, struct problems *problems)
{
	struct suggestion suggestion = {.wanted = name};
	for (size_t i = 0; i < names->num; i++)
		suggestion_offer(&suggestion, name_at(names, i));
	problems_add(problems, config->path, place, "unknown %s %s%s%s", names->noun,
	    shown(name).at, suggestion.nearest.at ? suggestion_shown(&suggestion).at : "; ",
	    suggestion.nearest.at ? "" : names_shown(names).at);
}

static void resolve_backend(
    const struct config *config, struct listener_config *listener, struct problems *problems)
{
	struct names names = backend_names(config);
	struct str name = str_of(listener->options.backend);
	if (!find_name(&names, name, &listener->backend))
		complain_of_name(
		    config, &names, name, listener->places[LISTENER_OPTION_backend], problems);
}

static bool has_server_name(const struct listener_config *listener, struct str name)
{
	for (size_t i = 0; i < listener->num_server_names; i++)
		if (str_eq_nocase(listener->server_names[i].name, name))
			return true;
	return false;
}

static void add_server_name(const struct config *config, struct listener_config *listener, size_t i,
    struct problems *problems)
{
	const struct text_list *list = &listener->options.server_names;
	struct names names = backend_names(config);
	struct server_name *next = &listener->server_names[listener->num_server_names];
	struct str backend;
	server_name_split(str_of(list->at[i]), &next->name, &backend);
	if (!find_name(&names, backend, &next->backend))
		complain_of_name(config, &names, backend, list->places[i], problems);
	else if (has_server_name(listener, next->name))
		problems_add(problems, config->path, list->places[i],
		    "server_names: %s stands twice; leave one out", shown(next->name).at);
	else
		listener->num_server_names++;
}

// What `defaults` says for all means nothing to a listener without TLS.
static void resolve_server_names(
    const struct config *config, struct listener_config *listener, struct problems *problems)
{
	const struct text_list *list = &listener->options.server_names;
	bool is_own = listener->origins[LISTENER_OPTION_server_names] == ORIGIN_own;
	listener->server_names = xcalloc(list->num, sizeof(*listener->server_names));
	for (size_t i = 0; i < list->num; i++)
		add_server_name(config, listener, i, problems);
	if (list->num && is_own && listener->options.tls == LISTENER_TLS_none)
		problems_add(problems, config->path, listener->places[LISTENER_OPTION_server_names],
		    "server_names: without TLS no client asks for a name; set tls to stls, or "
		    "leave it out");
}

static void resolve_policy(
    const struct config *config, struct listener_config *listener, struct problems *problems)
{
	struct names names = policy_names(config);
	struct str name = str_of(listener->options.policy);
	listener->policy = NO_POLICY;
	if (name.len && !find_name(&names, name, &listener->policy))
		complain_of_name(
		    config, &names, name, listener->places[LISTENER_OPTION_policy], problems);
}

static bool has_certificate(const struct listener_config *listener, size_t index)
{
	for (size_t i = 0; i < listener->num_certificates; i++)
		if (listener->certificates[i] == index)
			return true;
	return false;
}

static void add_certificate(const struct config *config, struct listener_config *listener, size_t i,
    struct problems *problems)
{
	const struct text_list *list = &listener->options.certificates;
	struct names names = certificate_names(config);
	size_t index;
	if (!find_name(&names, str_of(list->at[i]), &index))
		complain_of_name(config, &names, str_of(list->at[i]), list->places[i], problems);
	else if (has_certificate(listener, index))
		problems_add(problems, config->path, list->places[i],
		    "certificates: %s stands twice; leave one out", list->at[i]);
	else
		listener->certificates[listener->num_certificates++] = index;
}

// Those of the list, or all.
static void resolve_certificates(
    const struct config *config, struct listener_config *listener, struct problems *problems)
{
	size_t num = listener->options.certificates.num;
	listener->certificates =
	    xcalloc(num + config->num_certificates, sizeof(*listener->certificates));
	for (size_t i = 0; i < num; i++)
		add_certificate(config, listener, i, problems);
	for (size_t i = 0; !num && i < config->num_certificates; i++)
		listener->certificates[listener->num_certificates++] = i;
	if (listener->options.tls == LISTENER_TLS_none)
		listener->num_certificates = 0;
	else if (!config->num_certificates)
		problems_add(problems, config->path, listener->place,
		    "listener %s does TLS and has no certificate; give one under \"certificates\"",
		    shown(str_of(listener->name)).at);
}

// The listener, up to and including `last`, that binds the address before the
// bind number `before` of `last`; NULL when none does.  Port 0 is a new port
// each time.
static const struct listener_config *bound_before(const struct config *config,
    const struct listener_config *last, size_t before, const struct addr *addr)
{
	struct addr other;
	for (const struct listener_config *l = config->listeners; addr_port(addr) && l <= last;
	     l++) {
		size_t num = l == last ? before : l->options.bind.num;
		for (size_t i = 0; i < num; i++)
			if (addr_parse(str_of(l->options.bind.at[i]), 0, &other) &&
			    addr_eq(&other, addr))
				return l;
	}
	return NULL;
}

static void check_binds(
    const struct config *config, const struct listener_config *listener, struct problems *problems)
{
	struct addr addr;
	for (size_t i = 0; i < listener->options.bind.num; i++) {
		struct str bind = str_of(listener->options.bind.at[i]);
		const struct listener_config *other = NULL;
		if (addr_parse(bind, 0, &addr))
			other = bound_before(config, listener, i, &addr);
		if (other)
			problems_add(problems, config->path, listener->places[LISTENER_OPTION_bind],
			    "bind: %s is already bound by listener %s; leave one out",
			    shown(bind).at, shown(str_of(other->name)).at);
	}
}

static bool stands_in_the_way(const struct listener_config *listener, const struct addr *addr)
{
	struct addr bound;
	for (size_t i = 0; i < listener->options.bind.num; i++)
		if (addr_parse(str_of(listener->options.bind.at[i]), 0, &bound) &&
		    (addr_eq(&bound, addr) || addr_overlaps(&bound, addr)))
			return true;
	return false;
}

void check_metrics(const struct config *config, struct problems *problems)
{
	struct str listen = str_of(config->metrics.listen);
	struct addr addr;
	if (!addr_parse(listen, 0, &addr) || !addr_port(&addr))
		return;
	for (size_t i = 0; i < config->num_listeners; i++)
		if (stands_in_the_way(&config->listeners[i], &addr))
			problems_add(problems, config->path,
			    config->metrics_places[METRICS_OPTION_listen],
			    "listen: %s is bound by listener %s; choose another port",
			    shown(listen).at, shown(str_of(config->listeners[i].name)).at);
}

// Each way to a response has an option of its own.
void check_certificate(const struct config *config, const struct certificate_config *certificate,
    struct problems *problems)
{
	const struct certificate_options *options = &certificate->options;
	const struct place *places = certificate->places;
	if (options->ocsp == CERTIFICATE_OCSP_file && !*options->ocsp_file)
		problems_add(problems, config->path, places[CERTIFICATE_OPTION_ocsp],
		    "ocsp: file needs ocsp_file");
	if (options->ocsp != CERTIFICATE_OCSP_file && *options->ocsp_file)
		problems_add(problems, config->path, places[CERTIFICATE_OPTION_ocsp_file],
		    "ocsp_file: only ocsp: file uses it; leave it out, or set ocsp");
	if (options->ocsp != CERTIFICATE_OCSP_fetch && *options->ocsp_url)
		problems_add(problems, config->path, places[CERTIFICATE_OPTION_ocsp_url],
		    "ocsp_url: only ocsp: fetch uses it; leave it out, or set ocsp");
}

// The options of login: master come together, and without it mean nothing.
static void check_master(
    const struct config *config, const struct backend_config *backend, struct problems *problems)
{
	const struct backend_options *options = &backend->options;
	const struct place *places = backend->places;
	bool is_master = options->login == BACKEND_LOGIN_master;
	if (is_master && (!*options->master_user || !*options->master_password_file))
		problems_add(problems, config->path, places[BACKEND_OPTION_login],
		    "login: master needs master_user and master_password_file");
	if (!is_master && *options->master_user)
		problems_add(problems, config->path, places[BACKEND_OPTION_master_user],
		    "master_user: only login: master uses it; leave it out, or set login");
	if (!is_master && *options->master_password_file)
		problems_add(problems, config->path, places[BACKEND_OPTION_master_password_file],
		    "master_password_file: only login: master uses it; leave it out, or set login");
}

void check_backend(
    const struct config *config, const struct backend_config *backend, struct problems *problems)
{
	const struct backend_options *options = &backend->options;
	const struct place *places = backend->places;
	if (options->tls == BACKEND_TLS_none && *options->fingerprint)
		problems_add(problems, config->path, places[BACKEND_OPTION_fingerprint],
		    "fingerprint: with tls: none there is no certificate to compare; "
		    "leave it out, or set tls to stls or tls");
	if (options->tls == BACKEND_TLS_none && *options->verify_name)
		problems_add(problems, config->path, places[BACKEND_OPTION_verify_name],
		    "verify_name: with tls: none there is no certificate to check; "
		    "leave it out, or set tls to stls or tls");
	if (!options->verify && *options->fingerprint)
		problems_add(problems, config->path, places[BACKEND_OPTION_verify],
		    "verify: false would accept any certificate, fingerprint only one; "
		    "leave one of them out");
	check_master(config, backend, problems);
}

void check_site(const struct config *config, struct problems *problems)
{
	const struct site_options *site = &config->site;
	if (str_eq(str_of(site->user), STR("root")))
		problems_add(problems, config->path, config->site_places[SITE_OPTION_user],
		    "user: workers, who meet the clients, may not be root; leave it out, or name a "
		    "user who owns nothing");
	if (site->ticket_lifetime / TICKET_ROTATIONS > site->ticket_rotation)
		problems_add(problems, config->path,
		    config->site_places[SITE_OPTION_ticket_lifetime].line
		        ? config->site_places[SITE_OPTION_ticket_lifetime]
		        : config->site_places[SITE_OPTION_ticket_rotation],
		    "ticket_lifetime: may be %d times ticket_rotation at most, since every key is "
		    "kept "
		    "for so long; give keys a longer time, or tickets a shorter one",
		    TICKET_ROTATIONS);
}

void check_resolver(const struct config *config, struct problems *problems)
{
	const struct text_list *servers = &config->resolver.servers;
	for (size_t i = 0; i < servers->num; i++)
		if (servers->num > 1 && str_eq(str_of(servers->at[i]), STR("system")))
			problems_add(problems, config->path, servers->places[i],
			    "servers: system stands for the servers of /etc/resolv.conf and "
			    "stands alone; leave out the others, or it");
	if (servers->num > RESOLVER_SERVERS)
		problems_add(problems, config->path,
		    config->resolver_places[RESOLVER_OPTION_servers],
		    "servers: at most %d are asked; leave out the others", RESOLVER_SERVERS);
}

enum { TLS13_BITS = 128 }; // what its own choice of suites may come to

enum { IN_CLEAR = LOGIN_METHOD_basic | LOGIN_METHOD_ntlm | LOGIN_METHOD_digest };

// The first of the methods, as it is written.
static const char *tls_method(unsigned methods)
{
	if (methods & LOGIN_METHOD_basic_tls)
		return "basic-tls";
	if (methods & LOGIN_METHOD_ntlm_tls)
		return "ntlm-tls";
	return methods & LOGIN_METHOD_digest_tls ? "digest-tls" : "external";
}

// Profile, version and bits must leave something to agree on.
static void check_strength(
    const struct config *config, const struct listener_config *listener, struct problems *problems)
{
	const struct listener_options *options = &listener->options;
	const struct place *places = listener->places;
	bool is_modern = options->tls_profile == LISTENER_PROFILE_modern ||
	                 options->tls_min == LISTENER_VERSION_1_3;
	bool is_old =
	    options->tls_min == LISTENER_VERSION_1_0 || options->tls_min == LISTENER_VERSION_1_1;
	if (is_old && options->tls_profile != LISTENER_PROFILE_legacy)
		problems_add(problems, config->path, places[LISTENER_OPTION_tls_min],
		    "tls_min: versions before 1.2 need the suites of tls_profile: legacy; set that "
		    "too, or allow legacy-tls in login_exceptions for the clients that need it");
	if (is_modern && options->min_cipher_bits > TLS13_BITS)
		problems_add(problems, config->path, places[LISTENER_OPTION_min_cipher_bits],
		    "min_cipher_bits: above %d there is no TLS 1.3, and TLS 1.2 is not allowed "
		    "here; leave it out, or set tls_profile to intermediate",
		    TLS13_BITS);
}

void check_listener(
    const struct config *config, struct listener_config *listener, struct problems *problems)
{
	const struct listener_options *options = &listener->options;
	const struct place *places = listener->places;
	struct place login = places[LISTENER_OPTION_login];
	resolve_backend(config, listener, problems);
	resolve_server_names(config, listener, problems);
	resolve_certificates(config, listener, problems);
	resolve_policy(config, listener, problems);
	check_binds(config, listener, problems);
	if (!options->login)
		problems_add(problems, config->path, login,
		    "login: without a method nobody could log in; the usual one is [basic-tls]");
	if (options->tls == LISTENER_TLS_none && options->login && !(options->login & IN_CLEAR))
		problems_add(problems, config->path, login.line ? login : listener->place,
		    "listener %s can never have a login: %s needs TLS, and tls is none; "
		    "set tls to stls, or login to [basic]",
		    shown(str_of(listener->name)).at, tls_method(options->login));
	check_strength(config, listener, problems);
	check_logins(config, listener, problems);
}
