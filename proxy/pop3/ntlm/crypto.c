// crypto.c: hashes, responses and keys.  See crypto.h.
#include "proxy/pop3/ntlm/crypto.h"

#include <openssl/des.h>
#include <openssl/digest.h>
#include <openssl/hmac.h>
#include <openssl/md4.h>
#include <openssl/md5.h>
#include <openssl/rc4.h>

#include "proxy/base/die.h"
#include "proxy/pop3/ntlm/message.h"
#include "proxy/pop3/ntlm/unicode.h"

static const uint8_t *bytes(struct str s)
{
	return (const uint8_t *)s.at;
}

bool ntlm_nt_hash(struct str password, uint8_t out[NTLM_KEY])
{
	char room[2 * NTLM_PASSWORD_MAX + 1];
	struct text utf16 = TEXT(room);
	bool valid = ntlm_utf16_from(password, &utf16);
	MD4((const uint8_t *)utf16.at, utf16.len, out);
	explicit_bzero(room, sizeof(room));
	return valid;
}

// HMAC-MD5 over up to three parts.
static void hmac(
    const uint8_t key[NTLM_KEY], const struct str *parts, size_t num, uint8_t out[NTLM_KEY])
{
	HMAC_CTX context;
	HMAC_CTX_init(&context);
	BUG_ON(!HMAC_Init_ex(&context, key, NTLM_KEY, EVP_md5(), NULL));
	for (size_t i = 0; i < num; i++)
		HMAC_Update(&context, bytes(parts[i]), parts[i].len);
	HMAC_Final(&context, out, NULL);
	HMAC_CTX_cleanup(&context);
}

void ntlm_key_v2(
    const uint8_t nt_hash[NTLM_KEY], struct str user, struct str domain, uint8_t out[NTLM_KEY])
{
	hmac(nt_hash, (const struct str[]){user, domain}, 2, out);
}

void ntlm_proof_v2(const uint8_t key_v2[NTLM_KEY], const uint8_t challenge[NTLM_CHALLENGE],
    struct str temp, uint8_t out[NTLM_KEY])
{
	struct str first = {(const char *)challenge, NTLM_CHALLENGE};
	hmac(key_v2, (const struct str[]){first, temp}, 2, out);
}

void ntlm_session_base_v2(
    const uint8_t key_v2[NTLM_KEY], const uint8_t proof[NTLM_KEY], uint8_t out[NTLM_KEY])
{
	struct str whole = {(const char *)proof, NTLM_KEY};
	hmac(key_v2, &whole, 1, out);
}

// Seven bytes of key, spread over eight; the lowest bit of each is not looked at.
static void des(const uint8_t key[7], const uint8_t in[NTLM_CHALLENGE], uint8_t out[NTLM_CHALLENGE])
{
	DES_cblock spread, block;
	DES_key_schedule schedule;
	uint64_t bits = 0;
	for (size_t i = 0; i < 7; i++)
		bits = bits << 8 | key[i];
	for (size_t i = 0; i < 8; i++)
		spread.bytes[i] = (uint8_t)(bits >> (49 - 7 * i) << 1);
	memcpy(block.bytes, in, sizeof(block.bytes));
	DES_set_key(&spread, &schedule);
	DES_ecb_encrypt(&block, &block, &schedule, DES_ENCRYPT);
	memcpy(out, block.bytes, sizeof(block.bytes));
	explicit_bzero(&bits, sizeof(bits));
	explicit_bzero(&spread, sizeof(spread));
	explicit_bzero(&schedule, sizeof(schedule));
}

void ntlm_response_v1(const uint8_t nt_hash[NTLM_KEY], const uint8_t challenge[NTLM_CHALLENGE],
    uint8_t out[NTLM_RESPONSE])
{
	uint8_t key[21] = {0};
	memcpy(key, nt_hash, NTLM_KEY);
	for (size_t i = 0; i < 3; i++)
		des(key + 7 * i, challenge, out + 8 * i);
	explicit_bzero(key, sizeof(key));
}

void ntlm_challenge_ntlm2(const uint8_t server[NTLM_CHALLENGE],
    const uint8_t client[NTLM_CHALLENGE], uint8_t out[NTLM_CHALLENGE])
{
	uint8_t both[2 * NTLM_CHALLENGE], hash[MD5_DIGEST_LENGTH];
	memcpy(both, server, NTLM_CHALLENGE);
	memcpy(both + NTLM_CHALLENGE, client, NTLM_CHALLENGE);
	MD5(both, sizeof(both), hash);
	memcpy(out, hash, NTLM_CHALLENGE);
}

void ntlm_wrap_key(
    const uint8_t key[NTLM_KEY], const uint8_t wrapped[NTLM_KEY], uint8_t out[NTLM_KEY])
{
	RC4_KEY rc4;
	RC4_set_key(&rc4, NTLM_KEY, key);
	RC4(&rc4, NTLM_KEY, wrapped, out);
	explicit_bzero(&rc4, sizeof(rc4));
}

void ntlm_mic(const uint8_t key[NTLM_KEY], struct str negotiate, struct str challenge,
    struct str authenticate, uint8_t out[NTLM_KEY])
{
	static const char zero[NTLM_KEY];
	const struct str parts[] = {negotiate, challenge, str_take(authenticate, NTLM_MIC_AT),
	    {zero, sizeof(zero)}, str_drop(authenticate, NTLM_MIC_AT + NTLM_KEY)};
	hmac(key, parts, sizeof(parts) / sizeof(parts[0]), out);
}

void ntlm_binding_hash(struct str certificate_hash, uint8_t out[NTLM_KEY])
{
	static const char no_addresses[16];
	static const char prefix[] = "tls-server-end-point:";
	uint32_t len = (uint32_t)(sizeof(prefix) - 1 + certificate_hash.len);
	uint8_t le[] = {
	    (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), (uint8_t)(len >> 24)};
	MD5_CTX context;
	MD5_Init(&context);
	MD5_Update(&context, no_addresses, sizeof(no_addresses));
	MD5_Update(&context, le, sizeof(le));
	MD5_Update(&context, prefix, sizeof(prefix) - 1);
	MD5_Update(&context, certificate_hash.at, certificate_hash.len);
	MD5_Final(out, &context);
}
