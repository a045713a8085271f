// exchange.c: the three messages of an exchange, and what is kept of them.  See
// exchange.h.  What type 3 says is judged in exchange_names.c, exchange_checks.c
// and exchange_proof.c.
#include "proxy/pop3/ntlm/exchange.h"

#include <stdlib.h>

#include "proxy/base/die.h"
#include "proxy/pop3/ntlm/avpair.h"
#include "proxy/pop3/ntlm/exchange_priv.h"
#include "proxy/pop3/ntlm/unicode.h"

// ---- type 1 -------------------------------------------------------------

static bool check_negotiate(const struct ntlm_negotiate *negotiate, const char **why)
{
	if (!(negotiate->flags & (NTLM_UNICODE | NTLM_OEM)))
		return ntlm_refuse(why, "type 1 offers neither Unicode nor OEM");
	if (negotiate->flags & NTLM_DATAGRAM)
		return ntlm_refuse(why, "type 1 asks for datagrams");
	return true;
}

// Only a hint, so what cannot be read is none.
static void note_domain(struct ntlm_exchange *exchange, struct str domain)
{
	struct text out = TEXT(exchange->offered_domain);
	if (!str_has_control(domain) && !ntlm_utf8_from(domain, false, &out))
		exchange->offered_domain[0] = '\0';
}

struct ntlm_exchange *ntlm_exchange_relay(
    const struct ntlm_settings *settings, struct str negotiate, const char **why)
{
	struct ntlm_negotiate message;
	if (!ntlm_parse_negotiate(negotiate, &message, why) || !check_negotiate(&message, why))
		return NULL;
	struct ntlm_exchange *exchange = xcalloc(1, sizeof(*exchange));
	exchange->settings = settings;
	exchange->offered = message.flags;
	exchange->is_relayed = true;
	secret_set(&exchange->negotiate, negotiate);
	note_domain(exchange, message.domain);
	return exchange;
}

struct str ntlm_exchange_offered_domain(const struct ntlm_exchange *exchange)
{
	return str_of(exchange->offered_domain);
}

// ---- type 2 -------------------------------------------------------------

bool ntlm_exchange_take_challenge(
    struct ntlm_exchange *exchange, struct str challenge, const char **why)
{
	secret_set(&exchange->challenge, challenge);
	return ntlm_parse_challenge(secret_reveal(&exchange->challenge), &exchange->sent, why);
}

struct str ntlm_exchange_challenge(const struct ntlm_exchange *exchange)
{
	return secret_reveal(&exchange->challenge);
}

// Of what the client offers, what we do; the rest is what we are ([MS-NLMP] section
// 3.2.5.1.1).  Keys are of no use where nothing is signed or sealed.
static uint32_t agree(uint32_t offered)
{
	uint32_t keys = NTLM_128 | NTLM_56 | NTLM_KEY_EXCHANGE;
	uint32_t ours = NTLM_EXTENDED_SECURITY | NTLM_ALWAYS_SIGN | NTLM_SIGN | NTLM_SEAL;
	if (offered & (NTLM_SIGN | NTLM_SEAL))
		ours |= keys;
	return (offered & ours) | (offered & NTLM_UNICODE ? NTLM_UNICODE : NTLM_OEM) | NTLM_NTLM |
	       NTLM_REQUEST_TARGET | NTLM_TARGET_INFO | NTLM_TARGET_IS_DOMAIN;
}

// False when the name is no UTF-8 or too long.
static bool add_name(struct text *info, enum ntlm_av id, struct str name)
{
	char room[NTLM_NAME_ROOM];
	struct text utf16 = TEXT(room);
	if (!ntlm_utf16_from(name, &utf16))
		return false;
	ntlm_av_add(info, id, text_str(&utf16));
	return true;
}

static bool add_names(struct text *info, const struct ntlm_settings *settings)
{
	bool valid = add_name(info, NTLM_AV_domain, settings->domain) &&
	             add_name(info, NTLM_AV_computer, settings->computer);
	if (settings->dns_domain.len)
		valid = valid && add_name(info, NTLM_AV_dns_domain, settings->dns_domain);
	if (settings->dns_computer.len)
		valid = valid && add_name(info, NTLM_AV_dns_computer, settings->dns_computer);
	return valid;
}

static void add_time(struct text *info, uint64_t filetime)
{
	char room[sizeof(filetime) + 1];
	struct text bytes = TEXT(room);
	ntlm_add_u32(&bytes, (uint32_t)filetime);
	ntlm_add_u32(&bytes, (uint32_t)(filetime >> 32));
	ntlm_av_add(info, NTLM_AV_time, text_str(&bytes));
}

static bool add_target(struct text *out, struct str domain, bool is_unicode)
{
	if (is_unicode)
		return ntlm_utf16_from(domain, out);
	text_add(out, domain);
	return ntlm_is_ascii(domain) && !out->truncated;
}

// The order of the pairs is Windows' own.
static bool challenge_client(struct ntlm_exchange *exchange)
{
	const struct ntlm_settings *settings = exchange->settings;
	char target_room[NTLM_NAME_ROOM], info_room[5 * NTLM_NAME_ROOM], room[6 * NTLM_NAME_ROOM];
	struct text target = TEXT(target_room), info = TEXT(info_room), out = TEXT(room);
	struct ntlm_challenge challenge = {.flags = agree(exchange->offered)};
	const char *why;
	if (!add_target(&target, settings->domain, challenge.flags & NTLM_UNICODE) ||
	    !add_names(&info, settings))
		return false;
	add_time(&info, settings->filetime);
	ntlm_av_add(&info, NTLM_AV_end, STR(""));
	memcpy(challenge.challenge, settings->challenge, sizeof(challenge.challenge));
	challenge.target = text_str(&target);
	challenge.info = text_str(&info);
	ntlm_write_challenge(&challenge, &out);
	return !out.truncated && ntlm_exchange_take_challenge(exchange, text_str(&out), &why);
}

struct ntlm_exchange *ntlm_exchange_begin(
    const struct ntlm_settings *settings, struct str negotiate, const char **why)
{
	struct ntlm_exchange *exchange = ntlm_exchange_relay(settings, negotiate, why);
	if (exchange)
		exchange->is_relayed = false;
	if (exchange && !challenge_client(exchange)) {
		*why = "our own names cannot be said to this client";
		ntlm_exchange_free(&exchange);
	}
	return exchange;
}

// ---- type 3 -------------------------------------------------------------

bool ntlm_exchange_finish(struct ntlm_exchange *exchange, struct str authenticate, const char **why)
{
	BUG_ON(!exchange->settings || !exchange->challenge.at);
	secret_set(&exchange->authenticate, authenticate);
	bool good =
	    ntlm_parse_authenticate(secret_reveal(&exchange->authenticate), &exchange->said, why) &&
	    ntlm_exchange_read_names(exchange, why) && ntlm_exchange_check(exchange, why);
	exchange->settings = NULL;
	return good;
}

struct str ntlm_exchange_user(const struct ntlm_exchange *exchange)
{
	return str_of(exchange->user);
}

struct str ntlm_exchange_domain(const struct ntlm_exchange *exchange)
{
	return str_of(exchange->domain);
}

struct str ntlm_exchange_workstation(const struct ntlm_exchange *exchange)
{
	return str_of(exchange->workstation);
}

enum ntlm_level ntlm_exchange_level(const struct ntlm_exchange *exchange)
{
	return exchange->level;
}

const char *ntlm_level_name(enum ntlm_level level)
{
	static const char *const names[] = {
	    [NTLM_LEVEL_v2] = "v2",
	    [NTLM_LEVEL_ntlm2] = "ntlm2",
	    [NTLM_LEVEL_v1] = "v1",
	};
	return names[level];
}

void ntlm_exchange_free(struct ntlm_exchange **exchange)
{
	if (!*exchange)
		return;
	secret_done(&(*exchange)->negotiate);
	secret_done(&(*exchange)->challenge);
	secret_done(&(*exchange)->authenticate);
	explicit_bzero(*exchange, sizeof(**exchange));
	free(*exchange);
	*exchange = NULL;
}
