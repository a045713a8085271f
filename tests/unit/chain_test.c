// chain_test.c: in which order certificates come, however they lie in their bundle:
// also where authorities vouch for each other, for themselves, or for nobody.
#include "tests/kit/check.h"

#include <openssl/nid.h>
#include <openssl/x509v3.h>

#include "certs/chain.h"
#include "certs/private_key.h"
#include "certs/subject.h"

enum { KEYS = 26 };

static struct evp_pkey_st *keys[KEYS];

static struct evp_pkey_st *key_of(char name)
{
	size_t index = (size_t)(name - 'a');
	assert_true(index < KEYS);
	if (!keys[index])
		keys[index] = private_key_make(KEY_TYPE_p256);
	return keys[index];
}

static void set_name(X509_NAME *name, char letter)
{
	assert_true(X509_NAME_add_entry_by_NID(
	    name, NID_commonName, MBSTRING_UTF8, (const uint8_t *)&letter, 1, -1, 0));
}

// "ab": a's certificate, issued by b.  Each letter has one key.
static X509 *make(const char *pair)
{
	X509 *x509 = X509_new();
	BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
	constraints->ca = 0xff;
	X509_set_version(x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x509), pair[0] * 256 + pair[1]);
	X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
	set_name(X509_get_subject_name(x509), pair[0]);
	set_name(X509_get_issuer_name(x509), pair[1]);
	assert_true(X509_add1_ext_i2d(x509, NID_basic_constraints, constraints, 1, 0));
	BASIC_CONSTRAINTS_free(constraints);
	X509_set_pubkey(x509, key_of(pair[0]));
	assert_true(X509_sign(x509, key_of(pair[1]), EVP_sha256()));
	return x509;
}

// The bundle of "ab bc cc".
static void fill(struct bundle *bundle, const char *pairs)
{
	for (bundle->num = 0; pairs[0]; pairs += pairs[2] ? 3 : 2)
		bundle->at[bundle->num++] = make(pairs);
}

static void print(X509 *certificate, struct text *out)
{
	long serial = ASN1_INTEGER_get(X509_get0_serialNumber(certificate));
	text_addf(out, "%c%c ", (char)(serial / 256), (char)(serial % 256));
}

static const struct {
	const char *bundle, *chain; // of a; the root behind a bar
} rows[] = {
    {"ab", "ab | "},
    {"ab bc", "ab bc | "},
    {"bc ab", "ab bc | "},
    {"cc bc ab", "ab bc | cc "},
    {"ab bc cd dd xy", "ab bc cd | dd "},
    {"xy dd cd bc ab", "ab bc cd | dd "},
    {"ab cd", "ab | "}, // b is missing
    {"aa", "aa | "},    // vouches for itself
    {"aa bb", "aa | "},
    {"ab bb bc cc", "ab bc | cc "}, // an old authority vouches for the new one
    {"ab bc cb", "ab bc cb | "},    // two that vouch for each other
    {"ab bb ab bb", "ab | bb "},    // all twice
    {"ab ba", "ab ba | "},
};

static void test_orders(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct bundle bundle;
		struct chain chain;
		char room[128];
		struct text text = TEXT(room);
		fill(&bundle, rows[i].bundle);
		size_t leaf = chain_find_leaf(&bundle, key_of('a'));
		assert_true(leaf < bundle.num);
		chain_build(&bundle, bundle.at[leaf], &chain);
		for (size_t j = 0; j < chain.num; j++)
			print(chain.at[j], &text);
		text_add(&text, STR("| "));
		if (chain.root)
			print(chain.root, &text);
		check_str(str_of(rows[i].bundle), text_str(&text), str_of(rows[i].chain));
		bundle_done(&bundle);
	}
}

static void test_same_name_other_key(void **state)
{
	(void)state;
	struct bundle bundle;
	struct chain chain;
	fill(&bundle, "ab bb");
	X509_set_pubkey(bundle.at[1], key_of('c')); // called b, but has not signed a
	assert_true(X509_sign(bundle.at[1], key_of('c'), EVP_sha256()));
	chain_build(&bundle, bundle.at[0], &chain);
	assert_int_equal(chain.num, 1);
	assert_null(chain.root);
	bundle_done(&bundle);
}

static void test_longest(void **state)
{
	(void)state;
	char pairs[KEYS * 3];
	struct bundle bundle;
	struct chain chain;
	for (size_t i = 0; i + 1 < KEYS; i++) {
		pairs[3 * i] = (char)('a' + i);
		pairs[3 * i + 1] = (char)('b' + i);
		pairs[3 * i + 2] = i + 2 < KEYS ? ' ' : '\0';
	}
	fill(&bundle, pairs);
	chain_build(&bundle, bundle.at[0], &chain);
	assert_int_equal(chain.num, TLS_CHAIN_MAX);
	assert_int_equal(chain_find_leaf(&bundle, key_of((char)('a' + KEYS - 1))), bundle.num);
	bundle_done(&bundle);
}

static int free_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < KEYS; i++)
		private_key_free(&keys[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_orders),
	    cmocka_unit_test(test_same_name_other_key),
	    cmocka_unit_test(test_longest),
	};
	return cmocka_run_group_tests(tests, NULL, free_keys);
}
