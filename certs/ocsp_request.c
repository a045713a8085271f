// ocsp_request.c: the two certificates, where to ask, and the question.  See ocsp.h.
#include "certs/ocsp_priv.h"

#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/x509v3.h>

#include "certs/subject.h"

static bool is_self_signed(const X509 *certificate)
{
	return X509_NAME_cmp(
	           X509_get_issuer_name(certificate), X509_get_subject_name(certificate)) == 0;
}

bool ocsp_pair_open(struct ocsp_pair *pair, const struct ocsp_subject *subject, struct text *why)
{
	*pair = (struct ocsp_pair){subject_parse(subject->leaf), subject_parse(subject->issuer)};
	if (!pair->leaf)
		text_add(why, STR("the certificate is damaged"));
	else if (is_self_signed(pair->leaf))
		text_add(why, STR("the certificate is self-signed, so no responder speaks of it"));
	else if (!subject->issuer.len)
		text_add(
		    why, STR("the chain ends with the certificate itself; append its issuer's, "
		             "without which a responder can neither be asked nor believed"));
	else if (!pair->issuer)
		text_add(why, STR("its issuer's certificate is damaged"));
	return text_is_empty(why);
}

void ocsp_pair_close(struct ocsp_pair *pair)
{
	X509_free(pair->leaf);
	X509_free(pair->issuer);
	ERR_clear_error();
}

bool ocsp_is_issued_by(X509 *certificate, X509 *issuer)
{
	EVP_PKEY *key = X509_get_pubkey(issuer);
	bool is_issued =
	    key &&
	    X509_NAME_cmp(X509_get_issuer_name(certificate), X509_get_subject_name(issuer)) == 0 &&
	    X509_verify(certificate, key) == 1;
	EVP_PKEY_free(key);
	return is_issued;
}

bool ocsp_subject_check(const struct ocsp_subject *subject, struct text *why)
{
	struct ocsp_pair pair;
	bool good =
	    ocsp_pair_open(&pair, subject, why) && ocsp_is_issued_by(pair.leaf, pair.issuer);
	if (!good && text_is_empty(why))
		text_add(
		    why, STR("the second certificate of the chain is not the issuer of the first"));
	ocsp_pair_close(&pair);
	return good;
}

// ---- where to ask -------------------------------------------------------

bool ocsp_is_url(struct str url)
{
	struct str scheme, rest;
	if (!str_cut(url, ':', &scheme, &rest) || url.len > OCSP_URL_MAX)
		return false;
	for (size_t i = 0; i < url.len; i++)
		if (url.at[i] <= ' ' || url.at[i] >= 0x7f)
			return false;
	return (str_eq_nocase(scheme, STR("http")) || str_eq_nocase(scheme, STR("https"))) &&
	       str_starts_nocase(rest, STR("//")) && rest.len > 2;
}

bool ocsp_find_url(struct str leaf, struct text *out_url)
{
	X509 *certificate = subject_parse(leaf);
	STACK_OF(OPENSSL_STRING) *urls = certificate ? X509_get1_ocsp(certificate) : NULL;
	bool found = false;
	for (size_t i = 0; !found && i < sk_OPENSSL_STRING_num(urls); i++) {
		struct str url = str_of(sk_OPENSSL_STRING_value(urls, i));
		found = ocsp_is_url(url);
		if (found)
			text_add(out_url, url);
	}
	X509_email_free(urls);
	X509_free(certificate);
	ERR_clear_error();
	return found;
}

// ---- the question -------------------------------------------------------

bool ocsp_hash_key(const X509 *certificate, const EVP_MD *hash, uint8_t *out, unsigned *out_len)
{
	const ASN1_BIT_STRING *key = X509_get0_pubkey_bitstr(certificate);
	return key && EVP_Digest(ASN1_STRING_get0_data(key), (size_t)ASN1_STRING_length(key), out,
	                  out_len, hash, NULL);
}

static bool copy_serial(X509 *certificate, struct ocsp_id *out)
{
	uint8_t *der = NULL;
	int len = i2d_ASN1_INTEGER(X509_get_serialNumber(certificate), &der);
	bool fits = len > 0 && (size_t)len <= sizeof(out->serial);
	if (fits) {
		memcpy(out->serial, der, (size_t)len);
		out->serial_len = (size_t)len;
	}
	OPENSSL_free(der);
	return fits;
}

// The issuer's name is hashed as it stands in the certificate itself.
bool ocsp_id_of(const struct ocsp_pair *pair, const EVP_MD *hash, struct ocsp_id *out)
{
	return X509_NAME_digest(
	           X509_get_issuer_name(pair->leaf), hash, out->name, &out->hash_len) &&
	       ocsp_hash_key(pair->issuer, hash, out->key, &out->hash_len) &&
	       copy_serial(pair->leaf, out);
}

static bool add_octets(CBB *cbb, const uint8_t *octets, size_t len)
{
	CBB child;
	return CBB_add_asn1(cbb, &child, CBS_ASN1_OCTETSTRING) &&
	       CBB_add_bytes(&child, octets, len) && CBB_flush(cbb);
}

static bool add_sha1(CBB *cbb)
{
	CBB algorithm, parameters;
	return CBB_add_asn1(cbb, &algorithm, CBS_ASN1_SEQUENCE) &&
	       OBJ_nid2cbb(&algorithm, NID_sha1) &&
	       CBB_add_asn1(&algorithm, &parameters, CBS_ASN1_NULL) && CBB_flush(cbb);
}

// OCSPRequest, TBSRequest, requestList, Request, CertID: each holds but the next.
static bool write_request(CBB *cbb, const struct ocsp_id *id)
{
	enum { LEVELS = 5 };
	CBB levels[LEVELS], *at = cbb;
	for (size_t i = 0; i < LEVELS; at = &levels[i++])
		if (!CBB_add_asn1(at, &levels[i], CBS_ASN1_SEQUENCE))
			return false;
	return add_sha1(at) && add_octets(at, id->name, id->hash_len) &&
	       add_octets(at, id->key, id->hash_len) &&
	       CBB_add_bytes(at, id->serial, id->serial_len) && CBB_flush(cbb);
}

size_t ocsp_request(const struct ocsp_subject *subject, uint8_t out[OCSP_REQUEST_MAX])
{
	char room[128];
	struct text why = TEXT(room);
	struct ocsp_pair pair;
	struct ocsp_id id;
	CBB cbb;
	size_t len = 0;
	bool written = ocsp_pair_open(&pair, subject, &why) && ocsp_id_of(&pair, EVP_sha1(), &id) &&
	               CBB_init_fixed(&cbb, out, OCSP_REQUEST_MAX);
	if (written && (!write_request(&cbb, &id) || !CBB_finish(&cbb, NULL, &len))) {
		CBB_cleanup(&cbb);
		len = 0;
	}
	ocsp_pair_close(&pair);
	return len;
}
