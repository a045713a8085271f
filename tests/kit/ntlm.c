// ntlm.c: reading published messages and forging others.  See ntlm.h.
#include "tests/kit/ntlm.h"

#include <openssl/base64.h>

#include "proxy/pop3/ntlm/avpair.h"
#include "proxy/pop3/ntlm/unicode.h"
#include "tests/kit/check.h"

enum { ROOM = 600 };

// Of a client that agreed on a session key, the one it chose.
static const uint8_t session_key[NTLM_KEY] = "UUUUUUUUUUUUUUU";

static unsigned digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;
	assert_non_null(at);
	return (unsigned)(at - digits);
}

struct str ntlm_from_hex(const char *hex, struct text *out)
{
	size_t start = out->len;
	for (; *hex; hex += 2)
		text_add_char(out, (char)(digit(hex[0]) << 4 | digit(hex[1])));
	assert_false(out->truncated);
	return str_drop(text_str(out), start);
}

struct str ntlm_from_base64(const char *base64, struct text *out)
{
	uint8_t bytes[ROOM];
	size_t len;
	assert_true(
	    EVP_DecodeBase64(bytes, &len, sizeof(bytes), (const uint8_t *)base64, strlen(base64)));
	size_t start = out->len;
	text_add(out, (struct str){(const char *)bytes, len});
	assert_false(out->truncated);
	return str_drop(text_str(out), start);
}

static struct str or_else(struct str s, struct str usual)
{
	return s.at ? s : usual;
}

static void add_pairs(const struct forge *forge, struct str info, struct text *out)
{
	struct str list = or_else(forge->pairs, info), value;
	uint32_t flags = forge->av_flags | (forge->mic ? NTLM_AV_FLAG_mic : 0);
	unsigned id;
	if (forge->pairs.at) {
		text_add(out, list);
		return;
	}
	while (ntlm_av_take(&list, &id, &value))
		ntlm_av_add(out, id, value);
	if (flags)
		ntlm_av_add_flags(out, flags);
	if (forge->binding.at)
		ntlm_av_add(out, NTLM_AV_binding, forge->binding);
	if (forge->service.at)
		ntlm_av_add(out, NTLM_AV_service, forge->service);
	ntlm_av_add(out, NTLM_AV_end, STR(""));
}

// To UTF-16, byte by byte.
static void widen(struct str s, bool oem, struct text *out)
{
	for (size_t i = 0; i < s.len; i++) {
		text_add_char(out, s.at[i]);
		if (oem)
			text_add_char(out, '\0');
	}
}

static void respond_v2(const struct forge *forge, const struct ntlm_authenticate *message,
    const struct ntlm_challenge *challenge, struct text *out, uint8_t base_key[NTLM_KEY])
{
	static const char before[] = "\1\1\0\0\0\0\0\0timetimenonsense\0\0\0";
	char rooms[3][ROOM];
	struct text wide_user = TEXT(rooms[0]), upper = TEXT(rooms[1]),
	            wide_domain = TEXT(rooms[2]);
	uint8_t hash[NTLM_KEY], key[NTLM_KEY], proof[NTLM_KEY];
	const char *password = forge->password ? forge->password : "secret";
	check_fill(out->at, out->cap, 'p', NTLM_KEY);
	out->len = NTLM_KEY;
	text_add(out, (struct str){before, sizeof(before)});
	add_pairs(forge, challenge->info, out);
	for (size_t i = 0; i < forge->tail; i++)
		text_add_char(out, '\0');
	widen(message->user, forge->oem, &wide_user);
	widen(message->domain, forge->oem, &wide_domain);
	ntlm_upper(text_str(&wide_user), &upper);
	assert_true(ntlm_nt_hash(str_of(password), hash));
	ntlm_key_v2(hash, or_else(forge->hashed_user, text_str(&upper)),
	    or_else(forge->hashed_domain, text_str(&wide_domain)), key);
	ntlm_proof_v2(key, challenge->challenge, str_drop(text_str(out), NTLM_KEY), proof);
	ntlm_session_base_v2(key, proof, base_key);
	memcpy(out->at, proof, sizeof(proof));
}

// The client's challenge for NTLM2 session security, and zeros; of others an LM
// response that is one in length.
static struct str lm_of(const struct forge *forge)
{
	static const char ntlm2[NTLM_RESPONSE] = "nonsense",
	                  lm[NTLM_RESPONSE] = "an LM response, perhaps";
	static const struct str answers[] = {
	    [FORGE_v2] = {"", 0},
	    [FORGE_ntlm2] = {ntlm2, sizeof(ntlm2)},
	    [FORGE_v1] = {lm, sizeof(lm)},
	    [FORGE_lm] = {lm, sizeof(lm)},
	    [FORGE_nothing] = {"", 0},
	    [FORGE_one_zero] = {"\0", 1},
	};
	return answers[forge->kind];
}

static void respond_v1(
    const struct forge *forge, const struct ntlm_challenge *challenge, struct text *out)
{
	uint8_t hash[NTLM_KEY], answered[NTLM_CHALLENGE], response[NTLM_RESPONSE];
	assert_true(ntlm_nt_hash(str_of(forge->password ? forge->password : "secret"), hash));
	memcpy(answered, challenge->challenge, sizeof(answered));
	if (forge->kind == FORGE_ntlm2)
		ntlm_challenge_ntlm2(
		    challenge->challenge, (const uint8_t *)lm_of(forge).at, answered);
	ntlm_response_v1(hash, answered, response);
	text_add(out, (struct str){(const char *)response, sizeof(response)});
}

static void respond(const struct forge *forge, const struct ntlm_challenge *challenge,
    struct ntlm_authenticate *message, struct text *response, uint8_t base_key[NTLM_KEY])
{
	message->lm = lm_of(forge);
	if (forge->kind == FORGE_v2)
		respond_v2(forge, message, challenge, response, base_key);
	else if (forge->kind == FORGE_v1 || forge->kind == FORGE_ntlm2)
		respond_v1(forge, challenge, response);
	message->nt = text_str(response);
}

static void sign(const uint8_t key[NTLM_KEY], struct str negotiate, struct str challenge,
    struct text *out, bool right)
{
	uint8_t mic[NTLM_KEY];
	ntlm_mic(key, negotiate, challenge, text_str(out), mic);
	mic[NTLM_KEY - 1] ^= !right;
	memcpy(out->at + NTLM_MIC_AT, mic, sizeof(mic));
}

void forge(const struct forge *forge, struct str negotiate, struct str challenge, struct text *out)
{
	char room[4096];
	struct text response = TEXT(room);
	uint8_t base_key[NTLM_KEY] = {0}, wrapped[NTLM_KEY];
	struct ntlm_challenge asked;
	const char *why = NULL;
	assert_true(ntlm_parse_challenge(challenge, &asked, &why));
	struct ntlm_authenticate message = {
	    .flags = (asked.flags & ~(uint32_t)(NTLM_UNICODE | NTLM_OEM)) | forge->more_flags |
	             (forge->oem ? NTLM_OEM : NTLM_UNICODE),
	    .has_mic = forge->mic == FORGE_MIC || forge->mic == FORGE_WRONG_MIC,
	    .user = or_else(forge->user, forge->oem ? STR("anna") : WIDE("anna")),
	    .domain = or_else(forge->domain, forge->oem ? STR("MAIL") : WIDE("MAIL")),
	    .workstation = forge->oem ? STR("PC") : WIDE("PC"),
	    .key = STR(""),
	};
	respond(forge, &asked, &message, &response, base_key);
	bool has_key = message.flags & NTLM_KEY_EXCHANGE && !forge->no_key;
	ntlm_wrap_key(base_key, session_key, wrapped);
	if (has_key)
		message.key = (struct str){(const char *)wrapped, sizeof(wrapped)};
	ntlm_write_authenticate(&message, out);
	if (message.has_mic)
		sign(has_key ? session_key : base_key, negotiate, challenge, out,
		    forge->mic == FORGE_MIC);
	assert_false(out->truncated || response.truncated);
}
