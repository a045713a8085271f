// exchange_proof.c: whether a type 3 knows the password, and whether the messages
// are those that its sender saw ([MS-NLMP] sections 3.3 and 3.2.5.1.2).
#include <openssl/mem.h>

#include "proxy/pop3/ntlm/exchange_priv.h"
#include "proxy/pop3/ntlm/unicode.h"

// ---- the response -------------------------------------------------------

// The challenge that an NTLMv1 formula answers.
static void answered_challenge(const struct ntlm_exchange *exchange, uint8_t out[NTLM_CHALLENGE])
{
	if (exchange->level == NTLM_LEVEL_ntlm2)
		ntlm_challenge_ntlm2(
		    exchange->sent.challenge, (const uint8_t *)exchange->said.lm.at, out);
	else
		memcpy(out, exchange->sent.challenge, NTLM_CHALLENGE);
}

static bool prove_v1(const struct ntlm_exchange *exchange, const uint8_t nt_hash[NTLM_KEY])
{
	uint8_t challenge[NTLM_CHALLENGE], wanted[NTLM_RESPONSE];
	answered_challenge(exchange, challenge);
	ntlm_response_v1(nt_hash, challenge, wanted);
	bool same = CRYPTO_memcmp(wanted, exchange->said.nt.at, sizeof(wanted)) == 0;
	explicit_bzero(wanted, sizeof(wanted));
	return same;
}

// With one form of the domain.  Only when it is the right one is the key told.
static bool prove_with(const struct ntlm_exchange *exchange, const uint8_t nt_hash[NTLM_KEY],
    struct str user, struct str domain, uint8_t session_base_key[NTLM_KEY])
{
	struct str temp = str_drop(exchange->said.nt, NTLM_KEY);
	uint8_t key[NTLM_KEY], proof[NTLM_KEY];
	ntlm_key_v2(nt_hash, user, domain, key);
	ntlm_proof_v2(key, exchange->sent.challenge, temp, proof);
	bool same = CRYPTO_memcmp(proof, exchange->said.nt.at, sizeof(proof)) == 0;
	if (same)
		ntlm_session_base_v2(key, proof, session_base_key);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(proof, sizeof(proof));
	return same;
}

// Names in UTF-16 again; finish has seen that they can be.
static struct str utf16_of(const char *utf8, struct text *out)
{
	return ntlm_utf16_from(str_of(utf8), out) ? text_str(out) : STR("");
}

// All forms are tried always, so that the time tells nothing.
static bool prove_v2(const struct ntlm_exchange *exchange, const uint8_t nt_hash[NTLM_KEY],
    uint8_t session_base_key[NTLM_KEY])
{
	char rooms[4][NTLM_NAME_ROOM];
	struct text user = TEXT(rooms[0]), domain = TEXT(rooms[1]);
	struct text upper_user = TEXT(rooms[2]), upper_domain = TEXT(rooms[3]);
	ntlm_upper(utf16_of(exchange->user, &user), &upper_user);
	ntlm_upper(utf16_of(exchange->domain, &domain), &upper_domain);
	const struct str domains[] = {text_str(&domain), text_str(&upper_domain), STR("")};
	bool proven = false;
	for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++)
		proven |= prove_with(
		    exchange, nt_hash, text_str(&upper_user), domains[i], session_base_key);
	return proven;
}

// ---- the MIC ------------------------------------------------------------

// The session base key is also the key exchange key (section 3.4.5.1).
static void exported_key(const struct ntlm_exchange *exchange,
    const uint8_t session_base_key[NTLM_KEY], uint8_t out[NTLM_KEY])
{
	uint32_t flags = exchange->said.flags & exchange->sent.flags;
	if (flags & NTLM_KEY_EXCHANGE && flags & (NTLM_SIGN | NTLM_SEAL))
		ntlm_wrap_key(session_base_key, (const uint8_t *)exchange->said.key.at, out);
	else
		memcpy(out, session_base_key, NTLM_KEY);
}

bool ntlm_exchange_confirm(const struct ntlm_exchange *exchange,
    const uint8_t session_base_key[NTLM_KEY], const char **why)
{
	struct str authenticate = secret_reveal(&exchange->authenticate);
	uint8_t key[NTLM_KEY], wanted[NTLM_KEY];
	if (!exchange->has_mic)
		return true;
	exported_key(exchange, session_base_key, key);
	ntlm_mic(key, secret_reveal(&exchange->negotiate), secret_reveal(&exchange->challenge),
	    authenticate, wanted);
	bool same = CRYPTO_memcmp(wanted, authenticate.at + NTLM_MIC_AT, sizeof(wanted)) == 0;
	explicit_bzero(key, sizeof(key));
	explicit_bzero(wanted, sizeof(wanted));
	return same || ntlm_refuse(why, "wrong MIC: the messages were changed on their way");
}

// ---- the verdict --------------------------------------------------------

bool ntlm_exchange_prove(
    const struct ntlm_exchange *exchange, const uint8_t nt_hash[NTLM_KEY], const char **why)
{
	uint8_t session_base_key[NTLM_KEY] = {0};
	bool proven = exchange->level == NTLM_LEVEL_v2
	                  ? prove_v2(exchange, nt_hash, session_base_key)
	                  : prove_v1(exchange, nt_hash);
	proven = proven ? ntlm_exchange_confirm(exchange, session_base_key, why)
	                : ntlm_refuse(why, "wrong password");
	explicit_bzero(session_base_key, sizeof(session_base_key));
	return proven;
}

struct ntlm_question ntlm_exchange_question(const struct ntlm_exchange *exchange)
{
	struct ntlm_question question = {
	    .nt = exchange->said.nt,
	    .user = ntlm_exchange_user(exchange),
	    .domain = ntlm_exchange_domain(exchange),
	};
	answered_challenge(exchange, question.challenge);
	return question;
}
