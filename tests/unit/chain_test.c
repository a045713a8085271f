// chain_test.c: in which order certificates come, however they lie in their bundle:
// also where authorities vouch for each other, for themselves, or for nobody.
#include "tests/kit/check.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "certs/authorities.h"
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

// "ab": a's certificate, issued by b; "aB": that has expired.  Each letter has one key.
static X509 *make(const char *written)
{
	bool is_old = isupper((unsigned char)written[1]);
	char pair[2] = {written[0], (char)tolower((unsigned char)written[1])};
	X509 *x509 = X509_new();
	BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
	constraints->ca = 0xff;
	X509_set_version(x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x509), written[0] * 256 + written[1]);
	X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x509), is_old ? -60 : 3600);
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

static void print_chain(const struct chain *chain, struct text *out)
{
	for (size_t i = 0; i < chain->num; i++)
		print(chain->at[i], out);
	text_add(out, STR("| "));
	if (chain->root)
		print(chain->root, out);
}

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
		print_chain(&chain, &text);
		check_str(str_of(rows[i].bundle), text_str(&text), str_of(rows[i].chain));
		bundle_done(&bundle);
	}
}

// Clients know these.  The bundle is done with then.
static struct authorities *know(struct bundle *bundle)
{
	char path[] = "/tmp/popgate-chain-test-XXXXXX", room[256];
	struct text why = TEXT(room);
	FILE *file = fdopen(mkstemp(path), "w");
	assert_non_null(file);
	for (size_t i = 0; i < bundle->num; i++)
		assert_true(PEM_write_X509(file, bundle->at[i]));
	fclose(file);
	struct authorities *authorities = authorities_load(path, &why);
	assert_non_null(authorities);
	unlink(path);
	bundle_done(bundle);
	return authorities;
}

// "bb cc"; NULL for nobody.
static struct authorities *authorities_of(const char *pairs)
{
	struct bundle bundle;
	fill(&bundle, pairs);
	return know(&bundle);
}

static const struct {
	const char *bundle, *known, *chain; // "": there is none
} believed[] = {
    {"ab", "bb", "ab | "},
    {"ab", NULL, ""},
    {"ab bb", NULL, "ab | bb "},
    {"aa", NULL, "aa | "},
    {"cd bc ab", "dd", "ab bc cd | "},
    {"ab bc cd", "cc", "ab bc | "},       // c is vouched for by an unknown one too
    {"ab bc cc cd", "cc", "ab bc | cc "}, // the same with the root beside
    {"ab bc cd", "cc dd", "ab bc cd | "}, // and both are known
    {"ab bc cD", "cc dd", "ab bc | "},    // what has expired is passed over
    {"ab bC bd", "cc dd", "ab bd | "},    // also for another of the same
    {"ab bd bc", "cc", "ab bc | "},       // in any order
    {"ab bc bd", "cc", "ab bc | "},
    {"ab bc bd ce", "dd", "ab bd | "}, // back from two steps
    {"ab bc cb", "dd", ""},            // two that vouch for each other
    {"ab bc cb bd", "dd", "ab bd | "},
    {"aB", "bb", "aB | "}, // the leaf is judged elsewhere
    {"ab bB", NULL, ""},
    {"ab", "bB", ""}, // nor does a known one count that has expired
    {"ab bB", "bB", ""},
    {"ab", "bB bb", "ab | "}, // but where it was renewed
    {"ab", "bb bB", "ab | "},
    {"ab bc", "bB cc", "ab bc | "},
};

static void test_believed(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(believed); i++) {
		struct bundle bundle;
		struct chain chain;
		char room[128];
		struct text text = TEXT(room);
		struct authorities *known =
		    believed[i].known ? authorities_of(believed[i].known) : NULL;
		fill(&bundle, believed[i].bundle);
		size_t leaf = chain_find_leaf(&bundle, key_of('a'));
		if (chain_find(&bundle, bundle.at[leaf], known, time(NULL), &chain))
			print_chain(&chain, &text);
		check_str(str_of(believed[i].bundle), text_str(&text), str_of(believed[i].chain));
		bundle_done(&bundle);
		authorities_free(&known);
	}
}

// All vouch for all, and no client knows any of them.
static void test_tangle_ends(void **state)
{
	(void)state;
	struct bundle bundle = {.num = 0};
	struct chain chain;
	for (const char *i = "abcdefgh"; *i; i++)
		for (const char *j = "abcdefgh"; *j; j++) {
			const char pair[] = {*i, *j, '\0'};
			if (*i != *j)
				bundle.at[bundle.num++] = make(pair);
		}
	assert_false(chain_find(&bundle, bundle.at[0], NULL, time(NULL), &chain));
	bundle_done(&bundle);
}

static void give_key(X509 *root, char key)
{
	assert_true(X509_set_pubkey(root, key_of(key)));
	assert_true(X509_sign(root, key_of(key), EVP_sha256()));
}

static void test_same_name_other_key(void **state)
{
	(void)state;
	struct bundle bundle;
	struct chain chain;
	fill(&bundle, "ab bb");
	give_key(bundle.at[1], 'c'); // called b, but has not signed a
	chain_build(&bundle, bundle.at[0], &chain);
	assert_int_equal(chain.num, 1);
	assert_null(chain.root);
	bundle_done(&bundle);
}

// Of two known ones the order is the store's, so that either is tried first in one of the rows.
static void test_known_name_other_key(void **state)
{
	(void)state;
	static const struct {
		const char *known, *keys;
		bool believed;
	} known[] = {{"bb", "c", false}, {"bb bb", "cb", true}, {"bb bb", "bc", true}};
	for (size_t i = 0; i < NUM(known); i++) {
		struct bundle bundle, others;
		struct chain chain;
		fill(&bundle, "ab");
		fill(&others, known[i].known);
		for (size_t k = 0; k < others.num; k++)
			give_key(others.at[k], known[i].keys[k]);
		struct authorities *authorities = know(&others);
		assert_int_equal(chain_find(&bundle, bundle.at[0], authorities, time(NULL), &chain),
		    known[i].believed);
		authorities_free(&authorities);
		bundle_done(&bundle);
	}
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
	    cmocka_unit_test(test_believed),
	    cmocka_unit_test(test_tangle_ends),
	    cmocka_unit_test(test_same_name_other_key),
	    cmocka_unit_test(test_known_name_other_key),
	    cmocka_unit_test(test_longest),
	};
	return cmocka_run_group_tests(tests, NULL, free_keys);
}
