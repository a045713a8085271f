// chain.c: ordering certificates.  See chain.h.
#include "certs/chain.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include "certs/authorities.h"
#include "certs/subject.h"

size_t chain_find_leaf(const struct bundle *bundle, const struct evp_pkey_st *key)
{
	size_t i = 0;
	while (i < bundle->num && !X509_check_private_key(bundle->at[i], (EVP_PKEY *)key))
		i++;
	ERR_clear_error();
	return i;
}

bool chain_shows(const struct chain *chain, struct x509_st *certificate)
{
	for (size_t i = 0; i < chain->num; i++)
		if (X509_cmp(chain->at[i], certificate) == 0)
			return true;
	return false;
}

bool chain_has(const struct chain *chain, struct x509_st *certificate)
{
	return chain_shows(chain, certificate) ||
	       (chain->root && X509_cmp(chain->root, certificate) == 0);
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

// ---- to whom clients know -----------------------------------------------

struct search {
	const struct bundle *bundle;
	const struct authorities *authorities;
	int64_t now;
	uint64_t tried; // bits of the bundle: what led nowhere once does so from everywhere
	struct chain *chain;
};

_Static_assert(BUNDLE_MAX <= 64, "a bit for each certificate");

// Also in another certificate: going round would lead nowhere else.
static bool has_subject(const struct chain *chain, struct x509_st *certificate)
{
	for (size_t i = 0; i < chain->num; i++)
		if (X509_NAME_cmp(X509_get_subject_name(chain->at[i]),
		        X509_get_subject_name(certificate)) == 0 &&
		    ASN1_STRING_cmp(X509_get0_pubkey_bitstr(chain->at[i]),
		        X509_get0_pubkey_bitstr(certificate)) == 0)
			return true;
	return false;
}

static bool may_follow(const struct search *search, size_t index, struct x509_st *last)
{
	struct x509_st *next = search->bundle->at[index];
	return !(search->tried & UINT64_C(1) << index) && !has_subject(search->chain, next) &&
	       subject_is_valid(next, search->now) && subject_is_issued_by(last, next);
}

// Which of the bundle stands behind the last one, and vouches for itself or not; NULL: none.
static struct x509_st *next_of(struct search *search, struct x509_st *last, bool is_root)
{
	const struct bundle *bundle = search->bundle;
	for (size_t i = 0; i < bundle->num; i++)
		if (may_follow(search, i, last) &&
		    subject_is_self_signed(bundle->at[i]) == is_root) {
			search->tried |= is_root ? 0 : UINT64_C(1) << i;
			return bundle->at[i];
		}
	return NULL;
}

// By an authority that clients know and still believe.
static bool is_issued_by_known(const struct search *search, struct x509_st *last)
{
	struct x509_st *issuer =
	    search->authorities ? authorities_find_issuer(search->authorities, last, search->now)
	                        : NULL;
	return issuer && subject_is_valid(issuer, search->now);
}

// What a certificate is behind which nothing goes on.
static bool ends_well(struct search *search, struct x509_st *last)
{
	if (subject_is_self_signed(last))
		return true;
	search->chain->root = next_of(search, last, true);
	return search->chain->root || is_issued_by_known(search, last);
}

// Depth first: one that leads nowhere is taken off again.
static bool find(struct search *search)
{
	struct chain *chain = search->chain;
	while (chain->num) {
		struct x509_st *last = chain->at[chain->num - 1];
		bool is_end = chain->num == TLS_CHAIN_MAX || subject_is_self_signed(last);
		struct x509_st *next = is_end ? NULL : next_of(search, last, false);
		if (next)
			chain->at[chain->num++] = next;
		else if (ends_well(search, last))
			return true;
		else
			chain->num--;
	}
	return false;
}

bool chain_find(const struct bundle *bundle, struct x509_st *leaf,
    const struct authorities *authorities, int64_t now, struct chain *out)
{
	struct search search = {
	    .bundle = bundle, .authorities = authorities, .now = now, .chain = out};
	*out = (struct chain){.at = {leaf}, .num = 1};
	return find(&search);
}
