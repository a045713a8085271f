// tls_certificate.c: a certificate as it is served.  See tls.h.
//
// A session may outlast its certificate by far.  What it needs then is the end point
// alone, so that a key that is served no more is gone with the last handshake that
// began with it.
#include "proxy/net/tls_priv.h"

#include <stdlib.h>

#include <openssl/sha.h>

#include "proxy/base/die.h"

static struct str copy(struct str s)
{
	return s.len ? (struct str){str_dup(s), s.len} : STR("");
}

static void drop(struct str *s)
{
	if (s->len)
		free((char *)s->at);
	*s = STR("");
}

static struct str copy_small(struct str name)
{
	char *small = str_dup(name);
	for (char *c = small; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c |= 0x20;
	return (struct str){small, name.len};
}

static void copy_names(
    struct tls_certificate *certificate, const struct tls_certificate_options *options)
{
	certificate->names = xcalloc(options->num_names, sizeof(*certificate->names));
	for (; certificate->num_names < options->num_names; certificate->num_names++)
		certificate->names[certificate->num_names] =
		    copy_small(options->names[certificate->num_names]);
}

static void copy_chain(
    struct tls_certificate *certificate, const struct tls_certificate_options *options)
{
	BUG_ON(options->num_chain > TLS_CHAIN_MAX);
	for (; certificate->num_chain < options->num_chain; certificate->num_chain++) {
		CRYPTO_BUFFER *each = options->chain[certificate->num_chain];
		CRYPTO_BUFFER_up_ref(each);
		certificate->chain[certificate->num_chain] = each;
	}
}

// A client that resumes is not shown a certificate: it takes this one for that which
// it was shown before, and binds itself to it.  So a ticket counts for one certificate;
// and, since the client does not show its own again, for one way of judging that.
static bool set_session_context(
    const struct tls_certificate *certificate, struct str asked, SSL_CTX *ctx)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	_Static_assert(sizeof(digest) <= SSL_MAX_SID_CTX_LENGTH, "fits");
	struct str leaf = tls_der(certificate->chain[0]);
	SHA256_CTX hash;
	SHA256_Init(&hash);
	SHA256_Update(&hash, asked.at, asked.len);
	SHA256_Update(&hash, leaf.at, leaf.len);
	SHA256_Final(digest, &hash);
	return SSL_CTX_set_session_id_context(ctx, digest, sizeof(digest));
}

bool tls_certificate_install(
    const struct tls_certificate *certificate, struct str asked, SSL_CTX *ctx)
{
	EVP_PKEY *private_key = certificate->signer ? NULL : certificate->key;
	const SSL_PRIVATE_KEY_METHOD *method = certificate->signer ? &tls_signer_method : NULL;
	return SSL_CTX_set_chain_and_key(
	           ctx, certificate->chain, certificate->num_chain, private_key, method) &&
	       set_session_context(certificate, asked, ctx);
}

static bool can_be_served(const struct tls_certificate *certificate, struct text *why)
{
	SSL_CTX *ctx = tls_context_new(&tls_usual_strength, why);
	bool can = ctx && tls_certificate_install(certificate, STR(""), ctx);
	if (ctx && !can)
		text_addf(why, "BoringSSL cannot serve this certificate (%s); get another one",
		    tls_last_error());
	SSL_CTX_free(ctx);
	return can;
}

struct tls_certificate *tls_certificate_new(
    const struct tls_certificate_options *options, struct text *why)
{
	struct tls_certificate *certificate = xcalloc(1, sizeof(*certificate));
	certificate->owners = 1;
	copy_chain(certificate, options);
	copy_names(certificate, options);
	EVP_PKEY_up_ref(options->key);
	certificate->key = options->key;
	certificate->signer = options->signer;
	certificate->slot = options->slot;
	certificate->staple = copy(options->staple);
	certificate->end_point = copy(options->end_point);
	if (!can_be_served(certificate, why))
		tls_certificate_free(&certificate);
	return certificate;
}

static void free_unused(struct tls_certificate *certificate)
{
	if (certificate->owners || certificate->connections)
		return;
	drop(&certificate->end_point);
	free(certificate);
}

static void empty(struct tls_certificate *certificate)
{
	for (size_t i = 0; i < certificate->num_chain; i++)
		CRYPTO_BUFFER_free(certificate->chain[i]);
	for (size_t i = 0; i < certificate->num_names; i++)
		drop(&certificate->names[i]);
	free(certificate->names);
	drop(&certificate->staple);
	EVP_PKEY_free(certificate->key);
	certificate->num_chain = certificate->num_names = 0;
	certificate->names = NULL;
	certificate->key = NULL;
}

struct tls_certificate *tls_certificate_own(struct tls_certificate *certificate)
{
	certificate->owners++;
	return certificate;
}

void tls_certificate_free(struct tls_certificate **certificate)
{
	struct tls_certificate *old = *certificate;
	*certificate = NULL;
	if (!old || --old->owners)
		return;
	empty(old);
	free_unused(old);
}

void tls_certificate_detach(struct tls *tls)
{
	struct tls_certificate *old = tls->certificate;
	tls->certificate = NULL;
	if (!old)
		return;
	old->connections--;
	free_unused(old);
}

// The staple is set here and not in the context, from which BoringSSL takes none away
// again: it would staple an empty one.
bool tls_certificate_attach(struct tls *tls, struct tls_certificate *certificate)
{
	struct str staple = certificate->staple;
	certificate->connections++;
	tls_certificate_detach(tls);
	tls->certificate = certificate;
	return !staple.len ||
	       SSL_set_ocsp_response(tls->ssl, (const uint8_t *)staple.at, staple.len);
}

void tls_certificate_set_number(struct tls_certificate *certificate, uint32_t number)
{
	certificate->number = number;
}

// Connections have a copy of their own.
void tls_certificate_set_staple(struct tls_certificate *certificate, struct str staple)
{
	drop(&certificate->staple);
	certificate->staple = copy(staple);
}

struct str tls_certificate_issuer(const struct tls_certificate *certificate)
{
	return certificate->num_chain > 1 ? tls_der(certificate->chain[1]) : STR("");
}

struct str tls_certificate_end_point(const struct tls_certificate *certificate)
{
	return certificate->end_point;
}

struct tls_certificate_options tls_certificate_contents(const struct tls_certificate *certificate)
{
	return (struct tls_certificate_options){
	    .chain = certificate->chain,
	    .num_chain = certificate->num_chain,
	    .key = certificate->key,
	    .signer = certificate->signer,
	    .slot = certificate->slot,
	    .end_point = certificate->end_point,
	    .names = certificate->names,
	    .num_names = certificate->num_names,
	    .staple = certificate->staple,
	};
}

struct str tls_certificate_leaf(const struct tls_certificate *certificate)
{
	return tls_der(certificate->chain[0]);
}

bool tls_certificate_has_chain_of(
    const struct tls_certificate *certificate, const struct tls_certificate *other)
{
	bool same = certificate->num_chain == other->num_chain;
	for (size_t i = 0; same && i < other->num_chain; i++)
		same = str_eq(tls_der(certificate->chain[i]), tls_der(other->chain[i]));
	return same;
}
