// chain.c: ordering certificates.  See chain.h.
#include "certs/chain.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include "certs/subject.h"

size_t chain_find_leaf(const struct bundle *bundle, const struct evp_pkey_st *key)
{
	size_t i = 0;
	while (i < bundle->num && !X509_check_private_key(bundle->at[i], (EVP_PKEY *)key))
		i++;
	ERR_clear_error();
	return i;
}

bool chain_has(const struct chain *chain, struct x509_st *certificate)
{
	for (size_t i = 0; i < chain->num; i++)
		if (X509_cmp(chain->at[i], certificate) == 0)
			return true;
	return chain->root && X509_cmp(chain->root, certificate) == 0;
}

// One that goes on is better than a root: an authority that is new may be vouched for
// by an old one, for clients that know only that.
static struct x509_st *find_issuer(
    const struct bundle *bundle, const struct chain *chain, struct x509_st *certificate)
{
	struct x509_st *root = NULL;
	for (size_t i = 0; i < bundle->num; i++) {
		if (chain_has(chain, bundle->at[i]) ||
		    !subject_is_issued_by(certificate, bundle->at[i]))
			continue;
		if (!subject_is_self_signed(bundle->at[i]))
			return bundle->at[i];
		root = bundle->at[i];
	}
	return root;
}

void chain_build(const struct bundle *bundle, struct x509_st *leaf, struct chain *out)
{
	struct x509_st *next = leaf;
	*out = (struct chain){.num = 0};
	while (next && out->num < TLS_CHAIN_MAX) {
		if (out->num && subject_is_self_signed(next)) {
			out->root = next;
			return;
		}
		out->at[out->num++] = next;
		next = subject_is_self_signed(next) ? NULL : find_issuer(bundle, out, next);
	}
}
