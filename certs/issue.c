// issue.c: issuing a self-signed certificate.  See issue.h.
#include "certs/issue.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include "certs/extensions.h"
#include "certs/pem.h"
#include "proxy/base/die.h"

enum { SERIAL_SIZE = 16, SLACK = 60 * 60 };

// Positive, of at most 20 bytes and from a generator nobody can guess (RFC 5280
// section 4.1.2.2).
static void set_serial(X509 *certificate)
{
	uint8_t bytes[SERIAL_SIZE];
	RAND_bytes(bytes, sizeof(bytes));
	bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40); // no sign, and no zero in front
	BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	BUG_ON(!number || !BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)));
	BN_free(number);
}

static void set_names(X509 *certificate, const struct naming *naming)
{
	X509_NAME *subject = naming_subject(naming);
	BUG_ON(!X509_set_subject_name(certificate, subject));
	BUG_ON(!X509_set_issuer_name(certificate, subject));
	X509_NAME_free(subject);
}

static void set_extensions(
    X509 *certificate, const struct naming *naming, const struct evp_pkey_st *key)
{
	STACK_OF(X509_EXTENSION) *extensions = extensions_of_server(naming, key);
	for (size_t i = 0; i < sk_X509_EXTENSION_num(extensions); i++)
		BUG_ON(!X509_add_ext(certificate, sk_X509_EXTENSION_value(extensions, i), -1));
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

void issue_self_signed(const struct naming *naming, struct evp_pkey_st *key, unsigned days,
    int64_t now, struct buf *out)
{
	X509 *certificate = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	BUG_ON(!certificate || !bio || !X509_set_version(certificate, X509_VERSION_3));
	BUG_ON(!ASN1_TIME_adj(X509_getm_notBefore(certificate), now, 0, -SLACK));
	BUG_ON(!ASN1_TIME_adj(X509_getm_notAfter(certificate), now, (int)days, 0));
	set_serial(certificate);
	set_names(certificate, naming);
	set_extensions(certificate, naming, key);
	BUG_ON(!X509_set_pubkey(certificate, key) || !X509_sign(certificate, key, EVP_sha256()));
	BUG_ON(!PEM_write_bio_X509(bio, certificate));
	X509_free(certificate);
	pem_take(bio, out);
}
