// exchange_checks.c: what a type 3 must hold to whatever its keys say: the kind of
// response, and of NTLMv2 the AV pairs within it ([MS-NLMP] section 3.2.5.1.2).
//
// The pairs are not proven yet when they are looked at here.  They are once the
// response is, since the proof covers them.
#include "proxy/pop3/ntlm/avpair.h"
#include "proxy/pop3/ntlm/exchange_priv.h"
#include "proxy/pop3/ntlm/unicode.h"

// Length of an NTLMv2 response with no pair but the end.
enum { V2_LEAST = NTLM_V2_PAIRS + 4 };

// ---- the kind of response -----------------------------------------------

// NTLM2 session security answers a hash of both challenges; the client's stands in
// the LM response, and zeros after it (section 3.3.1).
static bool is_ntlm2(const struct ntlm_exchange *exchange)
{
	static const char zeros[NTLM_RESPONSE - NTLM_CHALLENGE];
	struct str lm = exchange->said.lm;
	return exchange->said.flags & exchange->sent.flags & NTLM_EXTENDED_SECURITY &&
	       lm.len == NTLM_RESPONSE &&
	       str_eq(str_drop(lm, NTLM_CHALLENGE), (struct str){zeros, sizeof(zeros)});
}

static bool read_level(struct ntlm_exchange *exchange, const char **why)
{
	struct str nt = exchange->said.nt;
	if (nt.len == 0)
		return ntlm_refuse(
		    why, exchange->said.lm.len > 1 ? "LM alone" : "anonymous: no response");
	if (nt.len == NTLM_RESPONSE)
		exchange->level = is_ntlm2(exchange) ? NTLM_LEVEL_ntlm2 : NTLM_LEVEL_v1;
	else if (nt.len >= V2_LEAST && nt.at[NTLM_KEY] == 1 && nt.at[NTLM_KEY + 1] == 1)
		exchange->level = NTLM_LEVEL_v2;
	else
		return ntlm_refuse(why, "a response of no known kind");
	return true;
}

static bool check_level(struct ntlm_exchange *exchange, const char **why)
{
	static const char *const reasons[] = {
	    [NTLM_LEVEL_ntlm2] = "NTLM2 session security is not allowed",
	    [NTLM_LEVEL_v1] = "NTLMv1 is not allowed",
	};
	return exchange->level <= exchange->settings->level ||
	       ntlm_refuse(why, reasons[exchange->level]);
}

// Whether type 3's encrypted session key is one where one was agreed on.
static bool check_key(struct ntlm_exchange *exchange, const char **why)
{
	uint32_t flags = exchange->said.flags & exchange->sent.flags;
	bool wanted = flags & NTLM_KEY_EXCHANGE && flags & (NTLM_SIGN | NTLM_SEAL);
	return !wanted || exchange->said.key.len == NTLM_KEY ||
	       ntlm_refuse(why, "no session key where one was agreed on");
}

// ---- the pairs ----------------------------------------------------------

// Empty of NTLMv1 and NTLM2 session security.
static struct str pairs(const struct ntlm_exchange *exchange)
{
	return exchange->level == NTLM_LEVEL_v2 ? str_drop(exchange->said.nt, NTLM_V2_PAIRS)
	                                        : STR("");
}

static bool check_pairs(struct ntlm_exchange *exchange, const char **why)
{
	return exchange->level != NTLM_LEVEL_v2 || ntlm_av_is_sound(pairs(exchange)) ||
	       ntlm_refuse(why, "malformed AV pairs");
}

// Names and time of the challenge must come back as they were: a response to
// another server's challenge has that server's.
static bool check_echo(struct ntlm_exchange *exchange, const char **why)
{
	static const unsigned echoed = 1u << NTLM_AV_computer | 1u << NTLM_AV_domain |
	                               1u << NTLM_AV_dns_computer | 1u << NTLM_AV_dns_domain |
	                               1u << NTLM_AV_dns_tree | 1u << NTLM_AV_time;
	struct str list = exchange->sent.info, value, back;
	unsigned id;
	while (exchange->level == NTLM_LEVEL_v2 && ntlm_av_take(&list, &id, &value)) {
		if (id > NTLM_AV_time || !(echoed & 1u << id))
			continue;
		if (!ntlm_av_find(pairs(exchange), id, &back) || !str_eq(value, back))
			return ntlm_refuse(
			    why, "not an answer to this challenge: names or time differ");
	}
	return true;
}

static bool check_binding(struct ntlm_exchange *exchange, const char **why)
{
	static const char none[NTLM_KEY];
	const struct ntlm_settings *settings = exchange->settings;
	struct str binding;
	bool bound = ntlm_av_find(pairs(exchange), NTLM_AV_binding, &binding) &&
	             !str_eq(binding, (struct str){none, sizeof(none)});
	if (settings->channel_binding == NTLM_BINDING_off)
		return true;
	if (!bound)
		return settings->channel_binding == NTLM_BINDING_allow ||
		       ntlm_refuse(why, "no channel binding");
	return str_eq(binding, settings->binding) ||
	       ntlm_refuse(why, "bound to another TLS channel");
}

// The host of "pop/HOST", "pop3/HOST:PORT" or "pop/HOST/NAME".
static bool read_service(struct str spn, struct str *out_host)
{
	struct str class, rest;
	return str_cut(spn, '/', &class, out_host) &&
	       (str_eq_nocase(class, STR("pop")) || str_eq_nocase(class, STR("pop3"))) &&
	       (str_cut(*out_host, '/', out_host, &rest), str_cut(*out_host, ':', out_host, &rest),
	           out_host->len > 0);
}

static bool is_ours(const struct ntlm_settings *settings, struct str host)
{
	bool found = settings->num_services == 0;
	for (size_t i = 0; i < settings->num_services; i++)
		found = found || str_eq_nocase(host, settings->services[i]);
	return found;
}

static bool check_service(struct ntlm_exchange *exchange, const char **why)
{
	char room[NTLM_NAME_MAX + 1];
	struct text spn = TEXT(room);
	struct str value, host;
	bool untrusted = ntlm_av_flags(pairs(exchange)) & NTLM_AV_FLAG_service_untrusted;
	ntlm_av_find(pairs(exchange), NTLM_AV_service, &value);
	if (value.len == 0 || untrusted)
		return true;
	return (ntlm_utf8_from(value, true, &spn) && read_service(text_str(&spn), &host) &&
	           is_ours(exchange->settings, host)) ||
	       ntlm_refuse(why, "meant for another service");
}

static bool check_mic(struct ntlm_exchange *exchange, const char **why)
{
	exchange->has_mic = ntlm_av_flags(pairs(exchange)) & NTLM_AV_FLAG_mic;
	if (exchange->has_mic && !exchange->said.has_mic)
		return ntlm_refuse(why, "a MIC is promised, and there is no room for one");
	return exchange->has_mic || !exchange->settings->require_mic || ntlm_refuse(why, "no MIC");
}

bool ntlm_exchange_check(struct ntlm_exchange *exchange, const char **why)
{
	return read_level(exchange, why) && check_level(exchange, why) &&
	       check_key(exchange, why) && check_pairs(exchange, why) &&
	       check_echo(exchange, why) && check_binding(exchange, why) &&
	       check_service(exchange, why) && check_mic(exchange, why);
}
