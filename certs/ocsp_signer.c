// ocsp_signer.c: whether a response is signed by one who may speak for the issuer (RFC
// 6960 section 4.2.2.2).  See ocsp.h.
//
// That is the issuer itself, or whoever has a certificate from it for this purpose; the
// response brings that along.  Whether that certificate was revoked is not asked: who may
// answer is the issuer itself, and such certificates are short-lived (section 4.2.2.2.1).
#include "certs/ocsp_priv.h"

#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/x509v3.h>

#include "certs/subject.h"

static bool is_named(const X509 *certificate, const CBS *wanted)
{
	const uint8_t *at = CBS_data(wanted);
	X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)CBS_len(wanted));
	bool is_same = name && X509_NAME_cmp(name, X509_get_subject_name(certificate)) == 0;
	X509_NAME_free(name);
	return is_same;
}

static bool is_responder(const struct ocsp_signed *response, const X509 *certificate)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned len;
	if (CBS_len(&response->by_name))
		return is_named(certificate, &response->by_name);
	return ocsp_hash_key(certificate, EVP_sha1(), hash, &len) &&
	       CBS_mem_equal(&response->by_key, hash, len);
}

// MD5 is broken, and of SHA-1 clients say so too.
static bool is_strong(const X509_ALGOR *algorithm)
{
	const ASN1_OBJECT *object;
	int hash = NID_undef, key;
	X509_ALGOR_get0(&object, NULL, NULL, algorithm);
	return OBJ_find_sigid_algs(OBJ_obj2nid(object), &hash, &key) && hash != NID_md4 &&
	       hash != NID_md5 && hash != NID_sha1;
}

// The ResponseData as an ANY, which BoringSSL writes as it was read.
static bool is_signed_by(
    const struct ocsp_signed *response, const X509_ALGOR *algorithm, X509 *signer)
{
	const uint8_t *data_at = CBS_data(&response->data);
	const uint8_t *signature_at = CBS_data(&response->signature);
	ASN1_TYPE *data = d2i_ASN1_TYPE(NULL, &data_at, (long)CBS_len(&response->data));
	ASN1_BIT_STRING *signature =
	    d2i_ASN1_BIT_STRING(NULL, &signature_at, (long)CBS_len(&response->signature));
	EVP_PKEY *key = X509_get_pubkey(signer);
	bool is_signed =
	    data && signature && key &&
	    ASN1_item_verify(ASN1_ITEM_rptr(ASN1_ANY), algorithm, signature, data, key) == 1;
	EVP_PKEY_free(key);
	ASN1_TYPE_free(data);
	ASN1_BIT_STRING_free(signature);
	return is_signed;
}

static bool has_purpose(const X509 *certificate)
{
	EXTENDED_KEY_USAGE *usage = X509_get_ext_d2i(certificate, NID_ext_key_usage, NULL, NULL);
	bool found = false;
	for (size_t i = 0; !found && i < sk_ASN1_OBJECT_num(usage); i++)
		found = OBJ_obj2nid(sk_ASN1_OBJECT_value(usage, i)) == NID_OCSP_sign;
	EXTENDED_KEY_USAGE_free(usage);
	return found;
}

static bool is_valid_at(const X509 *certificate, int64_t now)
{
	time_t at = now;
	return X509_cmp_time(X509_get0_notBefore(certificate), &at) < 0 &&
	       X509_cmp_time(X509_get0_notAfter(certificate), &at) > 0;
}

// What keeps it from speaking for the issuer; NULL: nothing.
static const char *objection(X509 *certificate, X509 *issuer, int64_t now)
{
	if (!ocsp_is_issued_by(certificate, issuer))
		return "it is signed by a responder that the issuer has given no certificate";
	if (!has_purpose(certificate))
		return "it is signed by a certificate of the issuer's that is not for OCSP signing";
	if (!is_valid_at(certificate, now))
		return "the certificate of the responder that signed it has expired, or is not "
		       "valid yet";
	return NULL;
}

static X509 *next_certificate(CBS *certificates)
{
	CBS element;
	if (!CBS_get_asn1_element(certificates, &element, CBS_ASN1_SEQUENCE))
		return NULL;
	return subject_parse((struct str){(const char *)CBS_data(&element), CBS_len(&element)});
}

// What is wrong with it, by the last of the certificates that the responder's name fits.
static const char *judge_delegated(
    const struct ocsp_signed *response, const X509_ALGOR *algorithm, X509 *issuer, int64_t now)
{
	const char *why = "it is signed by nobody who may speak for the issuer";
	CBS certificates = response->certificates;
	X509 *certificate;
	while (why && (certificate = next_certificate(&certificates))) {
		if (is_responder(response, certificate)) {
			why = objection(certificate, issuer, now);
			if (!why && !is_signed_by(response, algorithm, certificate))
				why = "its signature is wrong";
		}
		X509_free(certificate);
	}
	return why;
}

// A responder may have its issuer's name; then only its key tells the two apart.
static const char *judge(
    const struct ocsp_signed *response, const X509_ALGOR *algorithm, X509 *issuer, int64_t now)
{
	bool is_issuers = is_responder(response, issuer);
	if (!is_strong(algorithm))
		return "it is signed by means of an unknown hash function, or of MD5 or SHA-1, "
		       "which clients do not accept";
	if (is_issuers && is_signed_by(response, algorithm, issuer))
		return NULL;
	const char *why = judge_delegated(response, algorithm, issuer, now);
	return why && is_issuers ? "its signature is wrong" : why;
}

bool ocsp_verify(const struct ocsp_signed *response, X509 *issuer, int64_t now, struct text *why)
{
	const uint8_t *at = CBS_data(&response->algorithm);
	X509_ALGOR *algorithm = d2i_X509_ALGOR(NULL, &at, (long)CBS_len(&response->algorithm));
	const char *problem = algorithm ? judge(response, algorithm, issuer, now)
	                                : "it is no OCSP response, or damaged";
	if (problem)
		text_add(why, str_of(problem));
	X509_ALGOR_free(algorithm);
	ERR_clear_error();
	return !problem;
}
