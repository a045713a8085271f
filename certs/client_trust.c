// client_trust.c: judging a client's chain, and what that is done by.  See
// client_trust.h.
#include "certs/client_trust_priv.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "certs/client_name.h"
#include "certs/client_strength.h"
#include "certs/revocation_list.h"
#include "certs/subject.h"
#include "proxy/base/die.h"

// Authorities between a client's certificate and the one that ends the chain.
enum { DEPTH_MAX = 8 };

enum { NAME_SHOWN = 128, PROBLEM_MAX = 256 };

// ---- what the files hold ------------------------------------------------

static struct str name_of(X509_NAME *name)
{
	const uint8_t *der;
	size_t len;
	return X509_NAME_get0_der(name, &der, &len) ? (struct str){(const char *)der, len}
	                                            : (struct str){0};
}

static const char *shown_name(X509_NAME *name, char room[NAME_SHOWN])
{
	X509_NAME_oneline(name, room, NAME_SHOWN);
	return room;
}

static bool add_authority(
    struct client_trust *trust, const uint8_t *der, long len, const char *path, struct text *why)
{
	char room[NAME_SHOWN];
	X509 *x509 = subject_parse((struct str){(const char *)der, (size_t)len});
	if (!x509)
		text_addf(why, "a certificate in %s is damaged", path);
	else if (trust->num == CLIENT_AUTHORITIES_MAX)
		text_addf(why,
		    "%s holds more than %d authorities; leave out those whose users "
		    "have no business here",
		    path, CLIENT_AUTHORITIES_MAX);
	else if (!X509_check_ca(x509))
		text_addf(why,
		    "%s holds a certificate that is no authority's: %s; client_ca names those who "
		    "vouch for users",
		    path, shown_name(X509_get_subject_name(x509), room));
	else if (!X509_STORE_add_cert(trust->store, x509))
		text_addf(why, "a certificate in %s cannot be used", path);
	if (!text_is_empty(why)) {
		X509_free(x509);
		return false;
	}
	trust->names[trust->num] = name_of(X509_get_subject_name(x509));
	trust->authorities[trust->num++] = x509;
	return true;
}

// Whether one of the authorities has made the list.
static bool is_ours(const struct client_trust *trust, X509_CRL *list)
{
	for (size_t i = 0; i < trust->num; i++) {
		X509 *authority = trust->authorities[i];
		EVP_PKEY *key = X509_get_pubkey(authority);
		bool is_its_own =
		    key && X509_CRL_verify(list, key) == 1 &&
		    X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(authority)) == 0;
		EVP_PKEY_free(key);
		if (is_its_own)
			return true;
	}
	return false;
}

static bool add_list(
    struct client_trust *trust, const uint8_t *der, long len, const char *path, struct text *why)
{
	const uint8_t *at = der;
	char room[NAME_SHOWN];
	X509_CRL *list = d2i_X509_CRL(NULL, &at, len);
	if (!list)
		text_addf(why, "a revocation list in %s is damaged", path);
	else if (!is_ours(trust, list))
		text_addf(why,
		    "%s holds a revocation list that no authority of client_ca has made: that of "
		    "%s; give the authority's certificate there, or leave the list out",
		    path, shown_name(X509_CRL_get_issuer(list), room));
	else if (revocation_list_is_delta(list))
		text_addf(why,
		    "%s holds a revocation list that tells only what has changed (a delta): that "
		    "of %s; give the complete list, alone",
		    path, shown_name(X509_CRL_get_issuer(list), room));
	else if (!X509_STORE_add_crl(trust->store, list) || !sk_X509_CRL_push(trust->lists, list))
		text_addf(why, "a revocation list in %s cannot be used", path);
	if (text_is_empty(why))
		return true;
	X509_CRL_free(list);
	return false;
}

// What a file holds, and how a block of it is called.
struct content {
	const char *block;
	bool (*add)(struct client_trust *trust, const uint8_t *der, long len, const char *path,
	    struct text *why);
};

static const struct content contents[CLIENT_FILES] = {
    [CLIENT_FILE_ca] = {"CERTIFICATE", add_authority},
    [CLIENT_FILE_crl] = {"X509 CRL", add_list},
};

// One block; false at the end of the text, and when something is wrong.
static bool take_block(struct client_trust *trust, const struct content *content, BIO *bio,
    const char *path, struct text *why)
{
	char *name = NULL, *header = NULL;
	uint8_t *der = NULL;
	long len;
	bool found = PEM_read_bio(bio, &name, &header, &der, &len);
	if (!found && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		text_addf(why, "%s is damaged, or was not written to its end", path);
	else if (found && !str_eq(str_of(name), str_of(content->block)))
		text_addf(why, "%s holds something else than -----BEGIN %s-----: a %s", path,
		    content->block, name);
	else if (found)
		content->add(trust, der, len, path, why);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	return found && text_is_empty(why);
}

static bool take_text(struct client_trust *trust, const struct content *content, struct str text,
    const char *path, struct text *why)
{
	BIO *bio = BIO_new_mem_buf(text.at, (int)text.len);
	size_t num = 0;
	ERR_clear_error();
	while (bio && take_block(trust, content, bio, path, why))
		num++;
	BIO_free(bio);
	ERR_clear_error();
	if (!num && text_is_empty(why))
		text_addf(
		    why, "%s holds nothing in PEM form (-----BEGIN %s-----)", path, content->block);
	return text_is_empty(why);
}

// ---- whether that can work ----------------------------------------------

static bool has_voucher(const struct client_trust *trust, X509 *authority)
{
	for (size_t i = 0; i < trust->num; i++)
		if (X509_check_issued(trust->authorities[i], authority) == X509_V_OK)
			return true;
	return false;
}

static bool has_list(const struct client_trust *trust, X509 *authority)
{
	for (size_t i = 0; i < sk_X509_CRL_num(trust->lists); i++)
		if (X509_NAME_cmp(X509_CRL_get_issuer(sk_X509_CRL_value(trust->lists, i)),
		        X509_get_subject_name(authority)) == 0)
			return true;
	return false;
}

// Of the users that the authority vouches for, or of an authority.
static bool has_list_that_tells_of(
    const struct client_trust *trust, X509 *issuer, const X509 *authority)
{
	for (size_t i = 0; i < sk_X509_CRL_num(trust->lists); i++) {
		X509_CRL *list = sk_X509_CRL_value(trust->lists, i);
		if (X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(issuer)) == 0 &&
		    revocation_list_tells_of(list, authority))
			return true;
	}
	return false;
}

// Of which authority that this one vouches for, maybe itself, no list tells.
// *out_has_others is whether it vouches for others.
static X509 *find_untold(const struct client_trust *trust, X509 *issuer, bool *out_has_others)
{
	*out_has_others = false;
	for (size_t i = 0; i < trust->num; i++) {
		X509 *authority = trust->authorities[i];
		if (X509_check_issued(issuer, authority) != X509_V_OK)
			continue;
		if (!has_list_that_tells_of(trust, issuer, authority))
			return authority;
		*out_has_others |= X509_cmp(issuer, authority) != 0;
	}
	return NULL;
}

// Who vouches for other authorities need not vouch for users, too.
static bool tell_all(
    const struct client_trust *trust, X509 *issuer, const char *path, struct text *why)
{
	bool has_others;
	char room[NAME_SHOWN], other[NAME_SHOWN];
	X509 *untold = find_untold(trust, issuer, &has_others);
	if (!untold && (has_others || has_list_that_tells_of(trust, issuer, NULL)))
		return true;
	text_addf(why,
	    "%s holds no revocation list of the authority %s that tells of %s, so that none of its "
	    "users could log in; add its list of all certificates",
	    path, shown_name(X509_get_subject_name(issuer), room),
	    untold ? shown_name(X509_get_subject_name(untold), other) : "users");
	return false;
}

// With lists, each authority needs its own.
static bool are_looked_up(
    const struct client_trust *trust, X509 *authority, const char *path, struct text *why)
{
	char room[NAME_SHOWN];
	if (!sk_X509_CRL_num(trust->lists))
		return true;
	if (has_list(trust, authority))
		return tell_all(trust, authority, path, why);
	text_addf(why,
	    "%s holds no revocation list of the authority %s, so that none of its users could log "
	    "in; add its list",
	    path, shown_name(X509_get_subject_name(authority), room));
	return false;
}

// With an authority that is incomplete, none of its users could log in.
static bool is_whole(
    const struct client_trust *trust, const struct client_pem *pem, struct text *why)
{
	char room[NAME_SHOWN];
	for (size_t i = 0; i < trust->num && text_is_empty(why); i++) {
		X509 *authority = trust->authorities[i];
		if (!has_voucher(trust, authority))
			text_addf(why,
			    "%s holds the authority %s, but not the one that vouches for it; add "
			    "that, up to the one that vouches for itself",
			    pem->places[CLIENT_FILE_ca],
			    shown_name(X509_get_subject_name(authority), room));
		else
			are_looked_up(trust, authority, pem->places[CLIENT_FILE_crl], why);
	}
	return text_is_empty(why);
}

bool client_trust_take(struct client_trust *trust, const struct client_pem *pem, struct text *why)
{
	trust->store = X509_STORE_new();
	trust->lists = sk_X509_CRL_new_null();
	BUG_ON(!trust->store || !trust->lists);
	for (enum client_file_kind kind = 0; kind < CLIENT_FILES; kind++)
		if (pem->texts[kind].at &&
		    !take_text(trust, &contents[kind], pem->texts[kind], pem->places[kind], why))
			return false;
	return is_whole(trust, pem, why);
}

void client_trust_free(struct client_trust **trust)
{
	struct client_trust *old = *trust;
	if (!old)
		return;
	X509_STORE_free(old->store);
	for (size_t i = 0; i < old->num; i++)
		X509_free(old->authorities[i]);
	sk_X509_CRL_pop_free(old->lists, X509_CRL_free);
	for (enum client_file_kind kind = 0; kind < CLIENT_FILES; kind++)
		free(old->paths[kind]);
	if (old->fd >= 0)
		close(old->fd);
	free(old);
	*trust = NULL;
}

const struct str *client_trust_names(const struct client_trust *trust, size_t *out_num)
{
	*out_num = trust->num;
	return trust->names;
}

bool client_trust_is_current(const struct client_trust *trust, struct text *why)
{
	time_t now = time(NULL);
	char room[NAME_SHOWN];
	for (size_t i = 0; i < sk_X509_CRL_num(trust->lists); i++) {
		const X509_CRL *list = sk_X509_CRL_value(trust->lists, i);
		const ASN1_TIME *until = X509_CRL_get0_nextUpdate(list);
		const char *problem = X509_cmp_time(X509_CRL_get0_lastUpdate(list), &now) > 0
		                          ? "is not valid yet"
		                      : until && X509_cmp_time(until, &now) < 0 ? "has expired"
		                                                                : NULL;
		if (!problem)
			continue;
		text_addf(why, "the revocation list of %s %s",
		    shown_name(X509_CRL_get_issuer(list), room), problem);
		return false;
	}
	return true;
}

// ---- judging ------------------------------------------------------------

// What a client is told of it (RFC 8446 section 6.2).
static enum tls_alert alert_of(int error)
{
	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED: return TLS_ALERT_certificate_expired;
	case X509_V_ERR_CERT_REVOKED: return TLS_ALERT_certificate_revoked;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: return TLS_ALERT_unknown_ca;
	default: return TLS_ALERT_bad_certificate;
	}
}

static bool set_up(X509_STORE_CTX *ctx, const struct client_trust *trust)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_depth(param, DEPTH_MAX);
	if (sk_X509_CRL_num(trust->lists))
		X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return X509_STORE_CTX_set_default(ctx, "ssl_client");
}

static void explain(X509_STORE_CTX *ctx, struct text *problem)
{
	text_addf(problem, "%s%s", X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)),
	    X509_STORE_CTX_get_error_depth(ctx) > 0 ? ", for an authority in its chain" : "");
}

static bool verify_chain(const struct client_trust *trust, X509 *leaf, STACK_OF(X509) * others,
    enum tls_profile profile, enum tls_alert *out_alert, struct text *problem)
{
	bool good = false;
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	BUG_ON(!ctx || !X509_STORE_CTX_init(ctx, trust->store, leaf, others));
	if (set_up(ctx, trust) && X509_verify_cert(ctx) == 1) {
		good = client_chain_is_strong(X509_STORE_CTX_get0_chain(ctx), profile, problem);
	} else {
		explain(ctx, problem);
		*out_alert = alert_of(X509_STORE_CTX_get_error(ctx));
	}
	X509_STORE_CTX_free(ctx);
	return good;
}

static void refuse(struct str der, const char *problem, struct text *why)
{
	struct client_certificate shown;
	bool is_known = client_certificate_describe(der, &shown);
	text_addf(why, "the client's certificate (%s, serial %s) is refused: %s",
	    is_known ? shown.subject : "?", is_known ? shown.serial : "?", problem);
}

// Every certificate must be one; NULL when one is not.
static STACK_OF(X509) * parse_others(const struct str *chain, size_t num_chain)
{
	STACK_OF(X509) *others = sk_X509_new_null();
	BUG_ON(!others);
	for (size_t i = 1; i < num_chain; i++) {
		X509 *other = subject_parse(chain[i]);
		if (other && sk_X509_push(others, other))
			continue;
		X509_free(other);
		sk_X509_pop_free(others, X509_free);
		return NULL;
	}
	return others;
}

bool client_trust_verify(const void *context, const struct str *chain, size_t num_chain,
    enum tls_profile profile, enum tls_alert *out_alert, struct text *why)
{
	const struct client_trust *trust = context;
	char room[PROBLEM_MAX];
	struct text problem = TEXT(room);
	BUG_ON(!num_chain);
	X509 *leaf = subject_parse(chain[0]);
	STACK_OF(X509) *others = parse_others(chain, num_chain);
	bool good = false;
	*out_alert = TLS_ALERT_bad_certificate;
	if (!leaf || !others)
		text_add(why, STR("a certificate of the client's chain is damaged"));
	else if (verify_chain(trust, leaf, others, profile, out_alert, &problem))
		good = true;
	else
		refuse(chain[0], room, why);
	X509_free(leaf);
	sk_X509_pop_free(others, X509_free);
	ERR_clear_error();
	return good;
}
