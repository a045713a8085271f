// authorities.c: asking known authorities.  See authorities.h.
#include "certs/authorities.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "certs/bundle.h"
#include "certs/subject.h"
#include "proxy/base/die.h"

struct authorities {
	X509_STORE *store;
};

struct authorities *authorities_load(const char *path, struct text *why)
{
	struct authorities *authorities = xcalloc(1, sizeof(*authorities));
	authorities->store = X509_STORE_new();
	BUG_ON(!authorities->store);
	bool loaded = X509_STORE_load_locations(authorities->store, path, NULL);
	ERR_clear_error();
	if (loaded)
		return authorities;
	text_addf(why,
	    "cannot read certificates of authorities from %s; install the package "
	    "ca-certificates, or name a PEM file with --ca",
	    path);
	authorities_free(&authorities);
	return NULL;
}

void authorities_free(struct authorities **authorities)
{
	if (*authorities)
		X509_STORE_free((*authorities)->store);
	free(*authorities);
	*authorities = NULL;
}

// All are tried: two authorities of one name may have two keys, and a certificate need not
// say by which of them it is signed.
struct x509_st *authorities_find_issuer(
    const struct authorities *authorities, struct x509_st *certificate, int64_t now)
{
	STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(authorities->store);
	X509 *found = NULL;
	for (size_t i = 0; i < sk_X509_OBJECT_num(all); i++) {
		X509 *one = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
		if (!one || !subject_is_issued_by(certificate, one))
			continue;
		if (subject_is_valid(one, now))
			return one;
		found = one;
	}
	return found;
}

struct x509_st *authorities_find_namesake(
    const struct authorities *authorities, const struct x509_st *certificate)
{
	STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(authorities->store);
	const X509_NAME *wanted = X509_get_issuer_name(certificate);
	for (size_t i = 0; i < sk_X509_OBJECT_num(all); i++) {
		X509 *one = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
		if (one && X509_NAME_cmp(X509_get_subject_name(one), wanted) == 0)
			return one;
	}
	return NULL;
}

// Goes on where a date is wrong, and where the leaf is not for servers: both have
// findings of their own.
static int pass_over(int ok, X509_STORE_CTX *ctx)
{
	int error = X509_STORE_CTX_get_error(ctx);
	bool is_leaf = X509_STORE_CTX_get_error_depth(ctx) == 0;
	bool is_known = error == X509_V_ERR_CERT_HAS_EXPIRED ||
	                error == X509_V_ERR_CERT_NOT_YET_VALID ||
	                (is_leaf && error == X509_V_ERR_INVALID_PURPOSE);
	if (!ok && is_known)
		X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return ok || is_known;
}

static STACK_OF(X509) * stack_of(const struct bundle *bundle)
{
	STACK_OF(X509) *stack = sk_X509_new_null();
	BUG_ON(!stack);
	for (size_t i = 0; i < bundle->num; i++)
		BUG_ON(!sk_X509_push(stack, bundle->at[i]));
	return stack;
}

int authorities_verify(const struct authorities *authorities, struct x509_st *leaf,
    const struct bundle *others, struct x509_st **out_about)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *stack = stack_of(others);
	BUG_ON(!ctx || !X509_STORE_CTX_init(ctx, authorities->store, leaf, stack));
	BUG_ON(!X509_STORE_CTX_set_default(ctx, "ssl_server"));
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN); // a pinned certificate will do
	X509_STORE_CTX_set_verify_cb(ctx, pass_over);
	bool good = X509_verify_cert(ctx) == 1;
	int error = X509_STORE_CTX_get_error(ctx);
	*out_about = X509_STORE_CTX_get_current_cert(ctx);
	if (!*out_about)
		*out_about = leaf;
	X509_STORE_CTX_free(ctx);
	sk_X509_free(stack);
	ERR_clear_error();
	return good ? X509_V_OK : error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error;
}
