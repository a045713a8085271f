// trust.c: verifying a backend's chain.  See trust.h.
#include "certs/trust.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "certs/subject.h"
#include "proxy/base/addr.h"
#include "proxy/base/die.h"

struct trust {
	X509_STORE *authorities; // NULL: the fingerprint decides
	uint8_t fingerprint[SHA256_DIGEST_LENGTH];
};

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = c ? strchr(digits, c | 0x20) : NULL;
	return found ? (int)(found - digits) : -1;
}

static bool parse_fingerprint(struct str s, uint8_t *out)
{
	size_t num = 0;
	while (s.len >= 2 && num < SHA256_DIGEST_LENGTH) {
		int high = hex_digit(s.at[0]), low = hex_digit(s.at[1]);
		if (high < 0 || low < 0)
			return false;
		out[num++] = (uint8_t)(high << 4 | low);
		s = str_drop(s, 2);
		if (s.len && s.at[0] == ':')
			s = str_drop(s, 1);
	}
	return num == SHA256_DIGEST_LENGTH && !s.len;
}

struct trust *trust_fingerprint(struct str fingerprint, struct text *why)
{
	struct trust *trust = xcalloc(1, sizeof(*trust));
	if (parse_fingerprint(fingerprint, trust->fingerprint))
		return trust;
	text_add(why, STR("a fingerprint is the certificate's SHA-256 in 64 hexadecimal digits"));
	trust_free(&trust);
	return NULL;
}

struct trust *trust_authorities(const char *ca_path, struct text *why)
{
	struct trust *trust = xcalloc(1, sizeof(*trust));
	trust->authorities = X509_STORE_new();
	BUG_ON(!trust->authorities);
	bool loaded = X509_STORE_load_locations(trust->authorities, ca_path, NULL);
	ERR_clear_error();
	if (loaded)
		return trust;
	text_addf(why,
	    "cannot read certificates of authorities from %s; name the PEM file with `ca`, or pin "
	    "the "
	    "server's certificate with `fingerprint`",
	    ca_path);
	trust_free(&trust);
	return NULL;
}

void trust_free(struct trust **trust)
{
	if (*trust)
		X509_STORE_free((*trust)->authorities);
	free(*trust);
	*trust = NULL;
}

static bool verify_fingerprint(const struct trust *trust, struct str leaf, struct text *why)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA256((const uint8_t *)leaf.at, leaf.len, digest);
	if (CRYPTO_memcmp(digest, trust->fingerprint, sizeof(digest)) == 0)
		return true;
	text_add(why, STR("the server's certificate has another fingerprint: "));
	for (size_t i = 0; i < sizeof(digest); i++)
		text_addf(why, "%02x", digest[i]);
	return false;
}

static bool set_name(X509_STORE_CTX *ctx, const char *name)
{
	struct addr addr;
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	if (addr_parse(str_of(name), 1, &addr))
		return X509_VERIFY_PARAM_set1_ip_asc(param, name);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(param, name, strlen(name));
}

static bool verify_chain(const struct trust *trust, X509 *leaf, STACK_OF(X509) * others,
    const char *name, struct text *why)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool good = ctx && X509_STORE_CTX_init(ctx, trust->authorities, leaf, others) &&
	            X509_STORE_CTX_set_default(ctx, "ssl_server") && set_name(ctx, name) &&
	            X509_verify_cert(ctx) == 1;
	if (!good)
		text_addf(why, "the server's certificate is not to be trusted for the name %s: %s",
		    name, X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return good;
}

bool trust_verify(
    void *context, const struct str *chain, size_t num_chain, const char *name, struct text *why)
{
	const struct trust *trust = context;
	if (!num_chain) {
		text_add(why, STR("the server sent no certificate"));
		return false;
	}
	if (!trust->authorities)
		return verify_fingerprint(trust, chain[0], why);
	X509 *leaf = subject_parse(chain[0]);
	STACK_OF(X509) *others = sk_X509_new_null();
	for (size_t i = 1; i < num_chain; i++) {
		X509 *other = subject_parse(chain[i]);
		if (other && !sk_X509_push(others, other))
			X509_free(other);
	}
	bool good = leaf && verify_chain(trust, leaf, others, name, why);
	if (!leaf)
		text_add(why, STR("the server's certificate is damaged"));
	X509_free(leaf);
	sk_X509_pop_free(others, X509_free);
	return good;
}
