// check_login.c: whether logins that a listener allows can be judged, and go on at
// the store.  See check.h.
//
// What an exception allows some clients must work for them as it must for all.
#include "proxy/config/check.h"

#include "proxy/config/options.h"

enum {
	NTLM = LOGIN_METHOD_ntlm | LOGIN_METHOD_ntlm_tls,
	DIGEST = LOGIN_METHOD_digest | LOGIN_METHOD_digest_tls,
	PASSWORDS = LOGIN_METHOD_basic | LOGIN_METHOD_basic_tls | NTLM | DIGEST,
	WITHOUT_TLS = LOGIN_METHOD_basic | LOGIN_METHOD_ntlm | LOGIN_METHOD_digest,
	TIMESTAMP_MAX = 48, // of a greeting's APOP timestamp, with the space before it
	GREETING_MAX = 500,
};

static bool judges(const struct listener_config *listener, const char *verifier)
{
	const struct text_list *verify = &listener->options.verify;
	for (size_t i = 0; i < verify->num; i++)
		if (str_eq(str_of(verify->at[i]), str_of(verifier)))
			return true;
	return false;
}

static struct place place_of(const struct listener_config *listener, enum listener_option option)
{
	struct place place = listener->places[option];
	return place.line ? place : listener->place;
}

// ---- the methods --------------------------------------------------------

// Those that an exception names: `allow METHOD[,METHOD] ...`.  One that is written
// wrongly is for policy/rule.c to complain of, and names none.
static unsigned methods_of_exception(struct str exception)
{
	struct str names, name;
	unsigned methods = 0;
	str_cut(str_trim(exception), ' ', &name, &names);
	str_cut(str_trim(names), ' ', &names, &exception);
	for (bool more = true; more;) {
		more = str_cut(names, ',', &name, &names);
		for (const struct option_word *each = option_types[TYPE_methods].words; each->name;
		     each++)
			if (str_eq(name, str_of(each->name)))
				methods |= (unsigned)each->value;
	}
	return methods;
}

// What the listener allows anybody at all.
static unsigned methods_of(const struct listener_config *listener)
{
	const struct text_list *exceptions = &listener->options.login_exceptions;
	unsigned methods = listener->options.login;
	for (size_t i = 0; i < exceptions->num; i++)
		methods |= methods_of_exception(str_of(exceptions->at[i]));
	return methods;
}

// ---- the list -----------------------------------------------------------

// Who stands before whom; the place of the second one.
static void check_pair(const struct config *config, const struct text_list *verify, size_t before,
    size_t i, struct problems *problems)
{
	struct str first = str_of(verify->at[before]), second = str_of(verify->at[i]);
	if (str_eq(first, second))
		problems_add(problems, config->path, verify->places[i],
		    "verify: %s stands twice; leave one out", verify->at[i]);
	if (str_eq(first, STR("certificate")) && str_eq(second, STR("users")))
		problems_add(problems, config->path, verify->places[i],
		    "verify: users must stand before certificate, which lets in everybody whom an "
		    "authority vouches for, also users who are disabled");
}

static void check_order(
    const struct config *config, const struct text_list *verify, struct problems *problems)
{
	for (size_t i = 0; i < verify->num; i++) {
		if (str_eq(str_of(verify->at[i]), STR("backend")) && i + 1 < verify->num)
			problems_add(problems, config->path, verify->places[i],
			    "verify: backend must stand last: the store judges whoever comes to "
			    "it, and nobody is asked after it");
		for (size_t k = 0; k < i; k++)
			check_pair(config, verify, k, i, problems);
	}
}

static void check_sources(
    const struct config *config, const struct listener_config *listener, struct problems *problems)
{
	const struct listener_options *options = &listener->options;
	if (judges(listener, "users") && !*config->users.database)
		problems_add(problems, config->path, place_of(listener, LISTENER_OPTION_verify),
		    "verify: users needs a database; say under \"users\" where it is");
	bool is_for_all = options->login & DIGEST;
	if (methods_of(listener) & DIGEST && !judges(listener, "users"))
		problems_add(problems, config->path,
		    place_of(listener,
		        is_for_all ? LISTENER_OPTION_login : LISTENER_OPTION_login_exceptions),
		    "%s: APOP and CRAM-MD5 can be judged by users alone; put it into verify, or "
		    "leave digest out",
		    is_for_all ? "login" : "login_exceptions");
}

// ---- client certificates ------------------------------------------------

static void check_certificates_asked(
    const struct config *config, const struct listener_config *listener, struct problems *problems)
{
	const struct listener_options *options = &listener->options;
	struct place place = place_of(listener, LISTENER_OPTION_client_certs);
	if (options->client_certs == CLIENT_CERTS_off)
		return;
	if (options->tls == LISTENER_TLS_none)
		problems_add(problems, config->path, place,
		    "client_certs: without TLS nobody can show a certificate; set tls to stls, or "
		    "client_certs to off");
	if (!*options->client_ca)
		problems_add(problems, config->path, place,
		    "client_certs: name the PEM file of the authorities that may vouch for clients "
		    "with client_ca");
	if (options->client_certs == CLIENT_CERTS_required && options->tls == LISTENER_TLS_stls &&
	    methods_of(listener) & WITHOUT_TLS)
		problems_add(problems, config->path, place,
		    "client_certs: required, but who does not begin TLS is asked for none and can "
		    "log in; in login and login_exceptions, take basic-tls, ntlm-tls and "
		    "digest-tls "
		    "in the place of basic, ntlm and digest");
}

// What `defaults` says for all means nothing to a listener that asks for none.
static void check_needless(const struct config *config, const struct listener_config *listener,
    enum listener_option option, const char *file, struct problems *problems)
{
	const char *key = option == LISTENER_OPTION_client_ca ? "client_ca" : "client_crl";
	if (*file && listener->options.client_certs == CLIENT_CERTS_off &&
	    listener->origins[option] == ORIGIN_own)
		problems_add(problems, config->path, listener->places[option],
		    "%s: clients are asked for no certificate; leave it out, or set client_certs "
		    "to optional or required",
		    key);
}

static void check_external(
    const struct config *config, const struct listener_config *listener, struct problems *problems)
{
	bool is_for_all = listener->options.login & LOGIN_METHOD_external;
	enum listener_option option =
	    is_for_all ? LISTENER_OPTION_login : LISTENER_OPTION_login_exceptions;
	const char *key = is_for_all ? "login" : "login_exceptions";
	if (!(methods_of(listener) & LOGIN_METHOD_external))
		return;
	if (listener->options.client_certs == CLIENT_CERTS_off)
		problems_add(problems, config->path, place_of(listener, option),
		    "%s: external is a client's certificate, and clients are asked for none; set "
		    "client_certs to optional or required, or leave external out",
		    key);
	if (!judges(listener, "users") && !judges(listener, "certificate"))
		problems_add(problems, config->path, place_of(listener, option),
		    "%s: external can be judged by users and certificate alone; put one of them "
		    "into verify, or leave external out",
		    key);
}

static void check_passwords(
    const struct config *config, const struct listener_config *listener, struct problems *problems)
{
	const struct text_list *verify = &listener->options.verify;
	if (methods_of(listener) & PASSWORDS && verify->num == 1 && judges(listener, "certificate"))
		problems_add(problems, config->path, verify->places[0],
		    "verify: certificate judges external alone; add who judges the other methods "
		    "of login, or set login to [external]");
}

// ---- the store ----------------------------------------------------------

// Users whom winbind judges can have a password for the store there.
static bool asks_users_before_winbind(const struct listener_config *listener)
{
	const struct text_list *verify = &listener->options.verify;
	for (size_t i = 0; i < verify->num && !str_eq(str_of(verify->at[i]), STR("winbind")); i++)
		if (str_eq(str_of(verify->at[i]), STR("users")))
			return true;
	return false;
}

// A place to name, a sentence for it.
static const char *problem_at(const struct listener_config *listener, enum backend_login login)
{
	bool has_passwords = !judges(listener, "winbind") || asks_users_before_winbind(listener);
	bool is_master = login == BACKEND_LOGIN_master, is_stored = login == BACKEND_LOGIN_stored;
	if (judges(listener, "backend") && is_master)
		return "verify has backend, but with login: master the store lets everybody in "
		       "whom popgate names; let users or winbind judge";
	if (judges(listener, "backend") && is_stored)
		return "verify has backend, but with login: stored the store is told the password "
		       "of users.db, whoever comes; let users judge";
	if (is_stored && !has_passwords)
		return "verify has winbind, but the password for login: stored is in users.db; put "
		       "users before it";
	if (methods_of(listener) & NTLM && !is_master && !has_passwords)
		return "verify has winbind, and NTLM leaves nobody with a password to tell the "
		       "store; it needs login: master, or users before winbind, which keeps one";
	if (methods_of(listener) & LOGIN_METHOD_external && !is_master &&
	    !judges(listener, "users"))
		return "login has external, and a certificate leaves nobody with a password to "
		       "tell the store; it needs login: master, or users in verify, which keeps "
		       "one";
	return NULL;
}

void check_logins_at(const struct config *config, const struct listener_config *listener,
    size_t backend, struct place place, struct problems *problems)
{
	const struct backend_config *at = &config->backends[backend];
	const char *problem = problem_at(listener, at->options.login);
	if (problem)
		problems_add(problems, config->path, place,
		    "listener %s cannot log in at backend %s: %s", shown(str_of(listener->name)).at,
		    shown(str_of(at->name)).at, problem);
}

// ---- NTLM and APOP ------------------------------------------------------

static void check_binding(
    const struct config *config, const struct listener_config *listener, struct problems *problems)
{
	const struct listener_options *options = &listener->options;
	if (options->ntlm_channel_binding == LISTENER_BINDING_require &&
	    options->tls == LISTENER_TLS_none && methods_of(listener) & NTLM)
		problems_add(problems, config->path,
		    place_of(listener, LISTENER_OPTION_ntlm_channel_binding),
		    "ntlm_channel_binding: without TLS there is nothing to be bound to, and nobody "
		    "could log in by NTLM; set tls to stls, or leave it out");
}

static void check_greeting(
    const struct config *config, const struct listener_config *listener, struct problems *problems)
{
	const struct listener_options *options = &listener->options;
	if (methods_of(listener) & DIGEST &&
	    strlen(options->greeting) > GREETING_MAX - TIMESTAMP_MAX)
		problems_add(problems, config->path, place_of(listener, LISTENER_OPTION_greeting),
		    "greeting: with APOP a timestamp follows it; it must not be longer than %d "
		    "bytes",
		    GREETING_MAX - TIMESTAMP_MAX);
}

void check_logins(
    const struct config *config, const struct listener_config *listener, struct problems *problems)
{
	check_order(config, &listener->options.verify, problems);
	check_sources(config, listener, problems);
	check_certificates_asked(config, listener, problems);
	check_needless(
	    config, listener, LISTENER_OPTION_client_ca, listener->options.client_ca, problems);
	check_needless(
	    config, listener, LISTENER_OPTION_client_crl, listener->options.client_crl, problems);
	check_external(config, listener, problems);
	check_passwords(config, listener, problems);
	if (listener->backend < config->num_backends)
		check_logins_at(config, listener, listener->backend,
		    place_of(listener, LISTENER_OPTION_verify), problems);
	for (size_t i = 0; i < listener->num_server_names; i++)
		check_logins_at(config, listener, listener->server_names[i].backend,
		    place_of(listener, LISTENER_OPTION_server_names), problems);
	check_binding(config, listener, problems);
	check_greeting(config, listener, problems);
}
