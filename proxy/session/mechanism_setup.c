// mechanism_setup.c: what mechanisms other than passwords must know of this
// connection and this login: names, time, random bytes, the channel binding.
//
// On the heap, and only while an exchange is under way: most sessions need none.
#include "proxy/session/session_priv.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "backends/fold.h"
#include "certs/client_name.h"
#include "proxy/base/die.h"
#include "proxy/pop3/ntlm/crypto.h"

_Static_assert((int)LISTENER_NTLM_v2 == (int)NTLM_LEVEL_v2 &&
                   (int)LISTENER_NTLM_ntlm2 == (int)NTLM_LEVEL_ntlm2 &&
                   (int)LISTENER_NTLM_v1 == (int)NTLM_LEVEL_v1,
    "levels of the configuration are those of NTLM");
_Static_assert((int)LISTENER_BINDING_off == (int)NTLM_BINDING_off &&
                   (int)LISTENER_BINDING_allow == (int)NTLM_BINDING_allow &&
                   (int)LISTENER_BINDING_require == (int)NTLM_BINDING_require,
    "kinds of binding of the configuration are those of NTLM");

_Static_assert(
    (int)CLIENT_NAME_MAX <= (int)CLAIM_PART_MAX, "whom a certificate names can be sent to a store");

// Shown in the challenges of CRAM-MD5 and APOP; says nothing of the machine.
static const struct str neutral_host = {"mail", 4};

struct mechanism_setup {
	struct sasl_settings sasl;
	struct ntlm_settings ntlm;
	struct str *services;
	uint8_t binding[NTLM_KEY];
	struct client_names *certificate; // of EXTERNAL
};

static void draw(uint8_t *room, size_t size)
{
	BUG_ON(getrandom(room, size, 0) != (ssize_t)size);
}

// In units of 100 ns since 1601 ([MS-NLMP] section 2.2.2.7).
static uint64_t filetime_now(void)
{
	const uint64_t from_1601_to_1970 = 11644473600;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return ((uint64_t)now.tv_sec + from_1601_to_1970) * 10000000 + (uint64_t)now.tv_nsec / 100;
}

// The listener's, or what an exception gives this client.
static enum ntlm_level level_of(const struct session *session)
{
	enum ntlm_level level = (enum ntlm_level)session->listener->options.ntlm_level;
	unsigned methods = session->verdict.methods;
	if (methods & LOGIN_METHOD_ntlm_v1)
		return NTLM_LEVEL_v1;
	return methods & LOGIN_METHOD_ntlm2 && level < NTLM_LEVEL_ntlm2 ? NTLM_LEVEL_ntlm2 : level;
}

static struct str end_point_of(const struct session *session)
{
	return session->tls_version ? tls_end_point(session->client.tls) : STR("");
}

// Of a certificate that cannot be bound to, a client's idea of a binding is none.
static enum ntlm_binding binding_of(const struct session *session)
{
	enum ntlm_binding binding =
	    (enum ntlm_binding)session->listener->options.ntlm_channel_binding;
	bool cannot_be = session->tls_version && !end_point_of(session).len;
	return cannot_be && binding == NTLM_BINDING_allow ? NTLM_BINDING_off : binding;
}

static void set_up_binding(const struct session *session, struct mechanism_setup *setup)
{
	struct str end_point = end_point_of(session);
	setup->ntlm.channel_binding = binding_of(session);
	if (!end_point.len)
		return;
	ntlm_binding_hash(end_point, setup->binding);
	setup->ntlm.binding = (struct str){(const char *)setup->binding, sizeof(setup->binding)};
}

static void set_up_services(const struct text_list *services, struct mechanism_setup *setup)
{
	setup->services = xcalloc(services->num, sizeof(*setup->services));
	for (size_t i = 0; i < services->num; i++)
		setup->services[i] = str_of(services->at[i]);
	setup->ntlm.services = setup->services;
	setup->ntlm.num_services = services->num;
}

static void set_up_ntlm(const struct session *session, struct mechanism_setup *setup)
{
	const struct listener_options *options = &session->listener->options;
	setup->ntlm.domain = str_of(options->ntlm_domain);
	setup->ntlm.computer = str_of(options->ntlm_computer);
	setup->ntlm.dns_domain = str_of(options->ntlm_dns_domain);
	setup->ntlm.dns_computer = str_of(options->ntlm_dns_computer);
	setup->ntlm.level = level_of(session);
	setup->ntlm.require_mic = options->ntlm_mic == LISTENER_MIC_require;
	setup->ntlm.filetime = filetime_now();
	draw(setup->ntlm.challenge, sizeof(setup->ntlm.challenge));
	set_up_binding(session, setup);
	set_up_services(&options->ntlm_services, setup);
}

// There is no password to tell which of two has come whose names are folded into one.
static bool are_plain(const struct client_names *names, const char **why)
{
	*why = "the certificate's name of the user has letters beyond ASCII that are read as others"
	       ", such as capitals";
	for (size_t i = 0; i < names->num; i++)
		if (!fold_is_plain(names->at[i]))
			return false;
	return true;
}

static bool find_users(const struct session *session, struct client_names *out, const char **why)
{
	const struct text_list *wanted = &session->listener->options.client_cert_user;
	struct str der = tls_peer_certificate(session->client.tls);
	enum client_name *order = xcalloc(wanted->num, sizeof(*order));
	for (size_t i = 0; i < wanted->num; i++)
		order[i] = client_name_find(str_of(wanted->at[i]));
	bool found = client_names(der, order, wanted->num, out, why) && are_plain(out, why);
	free(order);
	return found;
}

// Those whom the certificate that TLS has judged names.
static void set_up_external(const struct session *session, struct mechanism_setup *setup)
{
	struct client_names *names = setup->certificate = xcalloc(1, sizeof(*names));
	const char *why;
	if (find_users(session, names, &why)) {
		setup->sasl.certificate_users = names->at;
		setup->sasl.num_certificate_users = names->num;
	} else {
		setup->sasl.no_certificate_user = why;
	}
	setup->sasl.is_same_user = fold_equals;
}

const struct sasl_settings *session_set_up_mechanism(struct session *session, enum claim_kind kind)
{
	if (kind == CLAIM_plain)
		return NULL;
	struct mechanism_setup *setup = xcalloc(1, sizeof(*setup));
	session->setup = setup;
	if (kind == CLAIM_digest)
		draw(setup->sasl.random, sizeof(setup->sasl.random));
	else if (kind == CLAIM_external)
		set_up_external(session, setup);
	else
		set_up_ntlm(session, setup);
	setup->sasl.host = neutral_host;
	setup->sasl.ntlm = &setup->ntlm;
	setup->sasl.ntlm_relayed = verifiers_leave_to_store(session_verifiers(session), CLAIM_ntlm);
	return &setup->sasl;
}

void session_end_mechanism(struct session *session)
{
	sasl_done(&session->sasl);
	if (session->setup) {
		free(session->setup->services);
		free(session->setup->certificate);
	}
	free(session->setup);
	session->setup = NULL;
}

void session_make_timestamp(struct session *session)
{
	char room[DIGEST_ROOM];
	struct text text = TEXT(room);
	uint8_t random[DIGEST_RANDOM];
	draw(random, sizeof(random));
	digest_add_challenge(&text, random, neutral_host);
	session->timestamp = (struct str){str_dup(text_str(&text)), text.len};
}
