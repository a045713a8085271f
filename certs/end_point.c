// end_point.c: which hash function a certificate's signature has.  See end_point.h.
#include "certs/end_point.h"

#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509.h>

#include "certs/subject.h"

static int nid_of(const X509_ALGOR *algorithm)
{
	const ASN1_OBJECT *object;
	X509_ALGOR_get0(&object, NULL, NULL, algorithm);
	return OBJ_obj2nid(object);
}

// Without a word about it, the hash is SHA-1.
static int pss_hash_nid(const X509_ALGOR *algorithm)
{
	const void *value;
	int type;
	X509_ALGOR_get0(NULL, &type, &value, algorithm);
	if (type != V_ASN1_SEQUENCE)
		return NID_undef;
	const ASN1_STRING *sequence = value;
	const uint8_t *at = ASN1_STRING_get0_data(sequence);
	RSA_PSS_PARAMS *params = d2i_RSA_PSS_PARAMS(NULL, &at, ASN1_STRING_length(sequence));
	int nid = !params                 ? NID_undef
	          : params->hashAlgorithm ? nid_of(params->hashAlgorithm)
	                                  : NID_sha1;
	RSA_PSS_PARAMS_free(params);
	return nid;
}

int end_point_hash_nid(const struct x509_st *certificate)
{
	const X509_ALGOR *algorithm;
	int nid, key_nid;
	X509_get0_signature(NULL, &algorithm, certificate);
	if (nid_of(algorithm) == NID_rsassaPss)
		return pss_hash_nid(algorithm);
	return OBJ_find_sigid_algs(nid_of(algorithm), &nid, &key_nid) ? nid : NID_undef;
}

static const EVP_MD *hash_of(const X509 *certificate)
{
	int nid = end_point_hash_nid(certificate);
	bool is_weak = nid == NID_md5 || nid == NID_sha1;
	return is_weak ? EVP_sha256() : EVP_get_digestbynid(nid);
}

size_t end_point_hash(struct str der, uint8_t out[END_POINT_MAX])
{
	X509 *certificate = subject_parse(der);
	const EVP_MD *hash = certificate ? hash_of(certificate) : NULL;
	unsigned len = 0;
	if (hash && !EVP_Digest(der.at, der.len, out, &len, hash, NULL))
		len = 0;
	X509_free(certificate);
	ERR_clear_error();
	return len;
}
