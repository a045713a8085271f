// client.c: types 1 and 3 of a client.  See client.h.
#include "proxy/pop3/ntlm/client.h"

#include "proxy/pop3/ntlm/avpair.h"
#include "proxy/pop3/ntlm/client_v1.h"
#include "proxy/pop3/ntlm/exchange_priv.h"
#include "proxy/pop3/ntlm/unicode.h"

// Nothing is signed or sealed, so no keys are asked for.
static uint32_t offer(const struct ntlm_client *client)
{
	uint32_t both =
	    NTLM_UNICODE | NTLM_OEM | NTLM_REQUEST_TARGET | NTLM_NTLM | NTLM_ALWAYS_SIGN;
	return client->v1 ? both : both | NTLM_EXTENDED_SECURITY | NTLM_TARGET_INFO;
}

void ntlm_client_negotiate(const struct ntlm_client *client, struct text *out)
{
	ntlm_write_negotiate(offer(client), out);
}

// ---- NTLMv2 -------------------------------------------------------------

// The store's pairs, and ours at their end.
static void add_pairs(
    const struct ntlm_client *client, struct str info, bool has_mic, struct text *out)
{
	uint32_t flags = ntlm_av_flags(info) | (has_mic ? NTLM_AV_FLAG_mic : 0);
	struct str value;
	unsigned id;
	while (ntlm_av_take(&info, &id, &value))
		if (id != NTLM_AV_flags && id != NTLM_AV_binding)
			ntlm_av_add(out, id, value);
	if (flags)
		ntlm_av_add_flags(out, flags);
	if (client->binding.len)
		ntlm_av_add(out, NTLM_AV_binding, client->binding);
	ntlm_av_add(out, NTLM_AV_end, STR(""));
}

// What the proof is about (section 2.2.2.7, as "temp" in 3.3.2).
static void add_temp(
    const struct ntlm_client *client, const struct ntlm_challenge *challenge, struct text *out)
{
	struct str time;
	bool has_time = ntlm_av_find(challenge->info, NTLM_AV_time, &time);
	ntlm_add_u32(out, 0x0101);
	ntlm_add_u32(out, 0);
	if (has_time) {
		text_add(out, time);
	} else {
		ntlm_add_u32(out, (uint32_t)client->filetime);
		ntlm_add_u32(out, (uint32_t)(client->filetime >> 32));
	}
	text_add(out, (struct str){(const char *)client->nonce, sizeof(client->nonce)});
	ntlm_add_u32(out, 0);
	add_pairs(client, challenge->info, has_time, out);
	ntlm_add_u32(out, 0);
}

static bool key_of(const struct ntlm_client *client, uint8_t key[NTLM_KEY])
{
	char rooms[3][NTLM_NAME_ROOM];
	struct text user = TEXT(rooms[0]), upper = TEXT(rooms[1]), domain = TEXT(rooms[2]);
	uint8_t hash[NTLM_KEY];
	bool valid = ntlm_nt_hash(client->password, hash) && ntlm_utf16_from(client->user, &user) &&
	             ntlm_utf16_from(client->domain, &domain);
	ntlm_upper(text_str(&user), &upper);
	ntlm_key_v2(hash, text_str(&upper), text_str(&domain), key);
	explicit_bzero(hash, sizeof(hash));
	return valid;
}

// Writes the response into `out`, whose first bytes are the proof.
static bool respond_v2(const struct ntlm_client *client, const struct ntlm_challenge *challenge,
    struct text *out, uint8_t session_base_key[NTLM_KEY])
{
	static const char blank[NTLM_KEY];
	uint8_t key[NTLM_KEY], proof[NTLM_KEY];
	text_add(out, (struct str){blank, sizeof(blank)});
	add_temp(client, challenge, out);
	bool valid = key_of(client, key) && !out->truncated;
	ntlm_proof_v2(key, challenge->challenge, str_drop(text_str(out), NTLM_KEY), proof);
	ntlm_session_base_v2(key, proof, session_base_key);
	memcpy(out->at, proof, sizeof(proof));
	explicit_bzero(key, sizeof(key));
	return valid;
}

static bool add_v2(const struct ntlm_client *client, const struct ntlm_challenge *challenge,
    struct ntlm_authenticate *message, struct text *response, uint8_t session_base_key[NTLM_KEY],
    const char **why)
{
	static const char no_lm[NTLM_RESPONSE];
	struct str time;
	if (!respond_v2(client, challenge, response, session_base_key))
		return ntlm_refuse(why, "user, domain or password is no UTF-8, or too long");
	message->lm = (struct str){no_lm, sizeof(no_lm)};
	message->nt = text_str(response);
	message->has_mic = ntlm_av_find(challenge->info, NTLM_AV_time, &time);
	return true;
}

// ---- NTLMv1 -------------------------------------------------------------

// In place of the LM response stands the same (section 3.3.1, NoLMResponseNTLMv1).
static bool add_v1(const struct ntlm_client *client, const struct ntlm_challenge *challenge,
    struct ntlm_authenticate *message, struct text *response, const char **why)
{
	uint8_t answer[NTLM_RESPONSE];
	if (!ntlm_client_v1_response(client->password, challenge->challenge, answer))
		return ntlm_refuse(why, "a password that NTLMv1 cannot say");
	text_add(response, (struct str){(const char *)answer, sizeof(answer)});
	message->lm = message->nt = text_str(response);
	return true;
}

// ---- type 3 -------------------------------------------------------------

static bool add_name(bool is_unicode, struct str name, struct text *out, struct str *field)
{
	bool valid = ntlm_is_ascii(name);
	if (is_unicode)
		valid = ntlm_utf16_from(name, out);
	else
		text_add(out, name);
	*field = text_str(out);
	return valid && !out->truncated;
}

static void sign(const uint8_t session_base_key[NTLM_KEY], struct str negotiate,
    struct str challenge, struct text *authenticate)
{
	uint8_t mic[NTLM_KEY];
	ntlm_mic(session_base_key, negotiate, challenge, text_str(authenticate), mic);
	memcpy(authenticate->at + NTLM_MIC_AT, mic, sizeof(mic));
}

// Unicode if the store will have it; else what both do.
static uint32_t agree(const struct ntlm_client *client, uint32_t flags)
{
	flags &= offer(client);
	return flags & NTLM_UNICODE ? flags & ~(uint32_t)NTLM_OEM : flags | NTLM_OEM;
}

bool ntlm_client_authenticate(const struct ntlm_client *client, struct str negotiate,
    struct str challenge, struct text *out, const char **why)
{
	char rooms[3][NTLM_NAME_ROOM], response_room[NTLM_MESSAGE_MAX];
	struct text user = TEXT(rooms[0]), domain = TEXT(rooms[1]), workstation = TEXT(rooms[2]);
	struct text response = TEXT(response_room);
	struct ntlm_authenticate message = {.key = STR("")};
	struct ntlm_challenge asked;
	uint8_t session_base_key[NTLM_KEY] = {0};
	if (!ntlm_parse_challenge(challenge, &asked, why))
		return false;
	message.flags = agree(client, asked.flags);
	bool is_unicode = message.flags & NTLM_UNICODE;
	if (!add_name(is_unicode, client->user, &user, &message.user) ||
	    !add_name(is_unicode, client->domain, &domain, &message.domain) ||
	    !add_name(is_unicode, client->workstation, &workstation, &message.workstation))
		return ntlm_refuse(why, "a name is too long, or no text of this store's");
	bool done = client->v1 ? add_v1(client, &asked, &message, &response, why)
	                       : add_v2(client, &asked, &message, &response, session_base_key, why);
	if (!done)
		return false;
	ntlm_write_authenticate(&message, out);
	if (message.has_mic)
		sign(session_base_key, negotiate, challenge, out);
	explicit_bzero(session_base_key, sizeof(session_base_key));
	return !out->truncated || ntlm_refuse(why, "type 3 would be too long");
}
