// request.c: making a request.  See request.h.
#include "certs/request.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "certs/extensions.h"
#include "certs/pem.h"
#include "proxy/base/die.h"

static void set_subject(X509_REQ *request, const struct naming *naming)
{
	X509_NAME *subject = naming_subject(naming);
	BUG_ON(!X509_REQ_set_subject_name(request, subject));
	X509_NAME_free(subject);
}

static void set_extensions(
    X509_REQ *request, const struct naming *naming, const struct evp_pkey_st *key)
{
	STACK_OF(X509_EXTENSION) *extensions = extensions_of_server(naming, key);
	BUG_ON(!X509_REQ_add_extensions(request, extensions));
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

void request_print(const struct naming *naming, struct evp_pkey_st *key, struct buf *out)
{
	X509_REQ *request = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem());
	BUG_ON(!request || !bio || !X509_REQ_set_version(request, X509_REQ_VERSION_1));
	set_subject(request, naming);
	set_extensions(request, naming, key);
	BUG_ON(!X509_REQ_set_pubkey(request, key) || !X509_REQ_sign(request, key, EVP_sha256()));
	BUG_ON(!PEM_write_bio_X509_REQ(bio, request));
	X509_REQ_free(request);
	pem_take(bio, out);
}
