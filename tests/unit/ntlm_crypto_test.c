// ntlm_crypto_test.c: every value of [MS-NLMP] section 4.2, byte for byte; libntlm as
// a second opinion of NTLMv1; channel binding hashes.
//
// Popgate makes no LM hash, no LM response, and no signing or sealing keys.  Those
// values are computed here, with the same primitives: they tell that DES, MD4, MD5
// and RC4 are what Microsoft's are.
#include "tests/kit/check.h"

#include <ntlm.h>
#include <openssl/des.h>
#include <openssl/digest.h>
#include <openssl/hmac.h>
#include <openssl/md4.h>
#include <openssl/md5.h>

#include "proxy/pop3/ntlm/client_v1.h"
#include "proxy/pop3/ntlm/unicode.h"
#include "tests/kit/ntlm.h"

static const uint8_t server[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
static const uint8_t client[] = {0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa};
static const uint8_t random_key[] = "UUUUUUUUUUUUUUUU"; // section 4.2.1: 0x55

static void check_bytes(const void *found, size_t len, const char *wanted)
{
	char room[256];
	struct text text = TEXT(room);
	struct str bytes = {found, len};
	check_str(str_of(wanted), bytes, ntlm_from_hex(wanted, &text));
}

// Section 3.3.1: DES of seven bytes of key.
static void des(const uint8_t *key, const void *in, uint8_t *out)
{
	DES_cblock spread, block;
	DES_key_schedule schedule;
	for (int i = 0; i < 8; i++) {
		unsigned pair = (unsigned)(i ? key[i - 1] : 0) << 8 | (i < 7 ? key[i] : 0);
		spread.bytes[i] = (uint8_t)(pair >> i & 0xfe);
	}
	memcpy(block.bytes, in, 8);
	DES_set_key(&spread, &schedule);
	DES_ecb_encrypt(&block, &block, &schedule, DES_ENCRYPT);
	memcpy(out, block.bytes, 8);
}

static void lm_hash(uint8_t out[NTLM_KEY])
{
	static const uint8_t password[14] = "PASSWORD";
	des(password, "KGS!@#$%", out);
	des(password + 7, "KGS!@#$%", out + 8);
}

static void nt_hash(uint8_t out[NTLM_KEY])
{
	assert_true(ntlm_nt_hash(STR("Password"), out));
}

// Sections 4.2.2.1 and 4.2.2.2.
static void test_v1(void **state)
{
	uint8_t hash[NTLM_KEY], lm[NTLM_KEY], base[NTLM_KEY], response[NTLM_RESPONSE];
	(void)state;
	lm_hash(lm);
	check_bytes(lm, sizeof(lm), "e52cac67419a9a224a3b108f3fa6cb6d");
	nt_hash(hash);
	check_bytes(hash, sizeof(hash), "a4f49c406510bdcab6824ee7c30fd852");
	MD4(hash, sizeof(hash), base);
	check_bytes(base, sizeof(base), "d87262b0cde4b1cb7499becccdf10784");
	ntlm_response_v1(hash, server, response);
	check_bytes(response, sizeof(response), "67c43011f30298a2ad35ece64f16331c44bdbed927841f94");
	ntlm_response_v1(lm, server, response); // the same formula (section 3.3.1)
	check_bytes(response, sizeof(response), "98def7b87f88aa5dafe2df779688a172def11c7d5ccdef13");
}

// Section 4.2.2.1.3 and 4.2.2.2.3: three ways to the key of one session.
static void test_v1_keys(void **state)
{
	uint8_t hash[NTLM_KEY], base[NTLM_KEY], lm[NTLM_KEY], response[NTLM_RESPONSE];
	uint8_t key[NTLM_KEY], wrapped[NTLM_KEY], second[7];
	(void)state;
	nt_hash(hash);
	MD4(hash, sizeof(hash), base);
	ntlm_wrap_key(base, random_key, wrapped);
	check_bytes(wrapped, sizeof(wrapped), "518822b1b3f350c8958682ecbb3e3cb7");
	lm_hash(lm);
	memcpy(key, lm, 8);
	memset(key + 8, 0, 8);
	ntlm_wrap_key(key, random_key, wrapped);
	check_bytes(wrapped, sizeof(wrapped), "7452ca55c225a1ca04b48fae32cf56fc");
	ntlm_response_v1(lm, server, response);
	memset(second, 0xbd, sizeof(second));
	second[0] = lm[7];
	des(lm, response, key);
	des(second, response, key + 8);
	check_bytes(key, sizeof(key), "b09e379f7fbecb1eaf0afdcb0383c8a0");
	ntlm_wrap_key(key, random_key, wrapped);
	check_bytes(wrapped, sizeof(wrapped), "4cd7bb57d697ef9b549f02b8f9b37864");
}

static void derive(const uint8_t *key, size_t len, const char *use, uint8_t out[NTLM_KEY])
{
	char room[128];
	struct text text = TEXT(room);
	text_add(&text, (struct str){(const char *)key, len});
	text_addf(&text, "session key to client-to-server %s key magic constant", use);
	MD5((const uint8_t *)text.at, text.len + 1, out); // with its NUL (section 3.4.5.2)
}

// Section 4.2.3.
static void test_ntlm2(void **state)
{
	uint8_t hash[NTLM_KEY], base[NTLM_KEY], challenge[NTLM_CHALLENGE], response[NTLM_RESPONSE];
	uint8_t both[2 * NTLM_CHALLENGE], key[NTLM_KEY], derived[NTLM_KEY];
	(void)state;
	nt_hash(hash);
	ntlm_challenge_ntlm2(server, client, challenge);
	ntlm_response_v1(hash, challenge, response);
	check_bytes(response, sizeof(response), "7537f803ae367128ca458204bde7caf81e97ed2683267232");
	MD4(hash, sizeof(hash), base);
	memcpy(both, server, sizeof(server));
	memcpy(both + sizeof(server), client, sizeof(client));
	HMAC(EVP_md5(), base, sizeof(base), both, sizeof(both), key, NULL);
	check_bytes(key, sizeof(key), "eb93429a8bd952f8b89c55b87f475edc");
	derive(key, 7, "sealing", derived); // 56 bits
	check_bytes(derived, sizeof(derived), "04dd7f014d8504d265a25cc86a3a7c06");
	derive(key, sizeof(key), "signing", derived);
	check_bytes(derived, sizeof(derived), "60e799be5c72fc92922ae8ebe961fb8d");
}

static void key_v2(uint8_t out[NTLM_KEY])
{
	char room[32];
	struct text upper = TEXT(room);
	uint8_t hash[NTLM_KEY];
	nt_hash(hash);
	ntlm_upper(WIDE("User"), &upper);
	ntlm_key_v2(hash, text_str(&upper), WIDE("Domain"), out);
}

// Section 4.2.4.
static void test_v2(void **state)
{
	char room[512];
	struct text text = TEXT(room);
	uint8_t key[NTLM_KEY], proof[NTLM_KEY], base[NTLM_KEY], wrapped[NTLM_KEY],
	    derived[NTLM_KEY];
	(void)state;
	key_v2(key);
	check_bytes(key, sizeof(key), "0c868a403bfd7a93a3001ef22ef02e3f");
	struct str temp = ntlm_from_hex(
	    "01010000000000000000000000000000aaaaaaaaaaaaaaaa0000000002000c0044006f006d0061006900"
	    "6e0001000c005300650072007600650072000000000000000000",
	    &text);
	ntlm_proof_v2(key, server, temp, proof);
	check_bytes(proof, sizeof(proof), "68cd0ab851e51c96aabc927bebef6a1c");
	ntlm_session_base_v2(key, proof, base);
	check_bytes(base, sizeof(base), "8de40ccadbc14a82f15cb0ad0de95ca3");
	ntlm_wrap_key(base, random_key, wrapped);
	check_bytes(wrapped, sizeof(wrapped), "c5dad2544fc9799094ce1ce90bc9d03e");
	ntlm_wrap_key(base, wrapped, wrapped);
	check_bytes(wrapped, sizeof(wrapped), "55555555555555555555555555555555");
	// LMv2 is the same formula over the client's challenge
	ntlm_proof_v2(key, server, (struct str){(const char *)client, sizeof(client)}, proof);
	check_bytes(proof, sizeof(proof), "86c35097ac9cec102554764a57cccc19");
	derive(random_key, NTLM_KEY, "sealing", derived);
	check_bytes(derived, sizeof(derived), "59f600973cc4960a25480a7c196e4c58");
	derive(random_key, NTLM_KEY, "signing", derived);
	check_bytes(derived, sizeof(derived), "4788dc861b4782f35d43fd98fe1a2d39");
}

// What stands in the MIC's place does not count.
static void test_mic(void **state)
{
	char room[1024];
	struct text text = TEXT(room);
	uint8_t mic[NTLM_KEY];
	(void)state;
	struct str negotiate = ntlm_from_hex(MIC_NEGOTIATE, &text);
	struct str challenge = ntlm_from_hex(MIC_CHALLENGE, &text);
	struct str authenticate = ntlm_from_hex(MIC_AUTHENTICATE, &text);
	ntlm_mic(random_key, negotiate, challenge, authenticate, mic);
	check_bytes(mic, sizeof(mic), "8a8124082a3936a99650ecee736ec60b");
}

// RFC 5929 section 4 within [MS-NLMP] section 2.2.2.1.
static void test_binding(void **state)
{
	static const struct {
		const char *certificate_hash, *binding;
	} rows[] = {
	    // ours; Samba and gss-ntlmssp have taken it
	    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", MIC_BINDING},
	    // of the test of python-ntlm-auth
	    {"e3ca49271e5089cc48ce82109f1324f41dbeddc29a777410c738f7868c4ff405",
	        "6ea19df066da4622051f9c4f92c6df74"},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[128];
		struct text text = TEXT(room);
		uint8_t binding[NTLM_KEY];
		ntlm_binding_hash(ntlm_from_hex(rows[i].certificate_hash, &text), binding);
		check_bytes(binding, sizeof(binding), rows[i].binding);
	}
}

static void test_libntlm_agrees(void **state)
{
	static const char *const passwords[] = {"Password", "a", "P4ss w\"rd\\", "sixteen letters!",
	    "a rather long password, of many words and more"};
	(void)state;
	for (size_t i = 0; i < NUM(passwords); i++) {
		struct str password = str_of(passwords[i]);
		uint8_t hash[NTLM_KEY], ours[NTLM_RESPONSE], theirs[NTLM_RESPONSE];
		assert_true(ntlm_nt_hash(password, hash));
		ntlm_response_v1(hash, server, ours);
		ntlm_smb_nt_encrypt(passwords[i], server, theirs);
		check(password, memcmp(ours, theirs, sizeof(ours)) == 0);
		assert_true(ntlm_client_v1_response(password, server, theirs));
		check(password, memcmp(ours, theirs, sizeof(ours)) == 0);
	}
}

// Of LM, which popgate never makes, the value of section 4.2.2.2.2 is libntlm's too.
static void test_libntlm_knows_lm(void **state)
{
	uint8_t response[NTLM_RESPONSE];
	(void)state;
	ntlm_smb_encrypt("Password", server, response);
	check_bytes(response, sizeof(response), "98def7b87f88aa5dafe2df779688a172def11c7d5ccdef13");
}

static void test_passwords(void **state)
{
	static char room[300];
	static const struct {
		struct str password;
		const char *hash; // NULL: none
	} rows[] = {
	    {STR(""), "31d6cfe0d16ae931b73c59d7e0c089c0"}, // MD4 of nothing (RFC 1320)
	    {STR("password"), "8846f7eaee8fb117ad06bdd830b7586c"}, {STR("\xff"), NULL},
	    {STR("\xc3"), NULL}, {STR("\xed\xa0\x80"), NULL}, // a surrogate is no character
	};
	uint8_t hash[NTLM_KEY], response[NTLM_RESPONSE];
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		check(rows[i].password, ntlm_nt_hash(rows[i].password, hash) == !!rows[i].hash);
		if (rows[i].hash)
			check_bytes(hash, sizeof(hash), rows[i].hash);
	}
	assert_true(ntlm_nt_hash(check_fill(room, sizeof(room), 'x', NTLM_PASSWORD_MAX), hash));
	assert_false(
	    ntlm_nt_hash(check_fill(room, sizeof(room), 'x', NTLM_PASSWORD_MAX + 1), hash));
	// what libntlm cannot say
	assert_true(
	    ntlm_client_v1_response(check_fill(room, sizeof(room), 'x', 128), server, response));
	assert_false(
	    ntlm_client_v1_response(check_fill(room, sizeof(room), 'x', 129), server, response));
	assert_false(ntlm_client_v1_response(STR(""), server, response));
	assert_false(ntlm_client_v1_response(STR("a\0b"), server, response));
	assert_false(ntlm_client_v1_response(STR("\xc3\xa4"), server, response));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_v1),
	    cmocka_unit_test(test_v1_keys),
	    cmocka_unit_test(test_ntlm2),
	    cmocka_unit_test(test_v2),
	    cmocka_unit_test(test_mic),
	    cmocka_unit_test(test_binding),
	    cmocka_unit_test(test_libntlm_agrees),
	    cmocka_unit_test(test_libntlm_knows_lm),
	    cmocka_unit_test(test_passwords),
	};
	return cmocka_run_group_tests_name("ntlm_crypto", tests, NULL, NULL);
}
