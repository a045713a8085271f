// bundle.c: taking files of certificates apart.  See bundle.h.
//
// What is no certificate is passed over in PEM, so that a key or a text may stand
// beside; what a person is likely to have taken for one is named when there is none.
#include "certs/bundle.h"

#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>

#include "certs/der.h"
#include "certs/input.h"
#include "certs/pem.h"
#include "proxy/base/die.h"

static bool push(struct bundle *bundle, X509 *certificate, struct text *why)
{
	if (bundle->num < BUNDLE_MAX) {
		bundle->at[bundle->num++] = certificate;
		return true;
	}
	X509_free(certificate);
	text_addf(
	    why, "there are more than %d certificates; leave out what is not needed", BUNDLE_MAX);
	return false;
}

// One certificate after the other.
static bool add_der(struct bundle *bundle, struct str der, struct text *why)
{
	const uint8_t *at = (const uint8_t *)der.at, *end = at + der.len;
	while (at < end) {
		X509 *certificate = d2i_X509(NULL, &at, end - at);
		ERR_clear_error();
		if (!certificate) {
			text_addf(why, "a certificate in it is damaged; fetch the file again");
			return false;
		}
		if (!push(bundle, certificate, why))
			return false;
	}
	return true;
}

// The stack's certificates become the bundle's.
static bool add_stack(struct bundle *bundle, STACK_OF(X509) * stack, struct text *why)
{
	bool fits = true;
	while (fits && sk_X509_num(stack))
		fits = push(bundle, sk_X509_shift(stack), why);
	return fits;
}

// False without a reason when it is nothing of the kind.
static bool add_pkcs7(struct bundle *bundle, struct str der, struct text *why)
{
	CBS cbs;
	STACK_OF(X509) *stack = sk_X509_new_null();
	BUG_ON(!stack);
	CBS_init(&cbs, (const uint8_t *)der.at, der.len);
	bool added = PKCS7_get_certificates(stack, &cbs) && sk_X509_num(stack) &&
	             add_stack(bundle, stack, why);
	sk_X509_pop_free(stack, X509_free);
	ERR_clear_error();
	return added;
}

// ---- PEM ----------------------------------------------------------------

static const struct {
	const char *word; // where the name of a block that is no certificate has it
	const char *says;
} others[] = {
    {"REQUEST", "it is a request for a certificate; the certificate is what the authority "
                "answers it with"},
    {"PUBLIC KEY", "it is a public key; name the file of the certificate, which holds that too"},
    {"KEY", "it is a private key; name the file of the certificate"},
    {"CRL", "it is a list of revoked certificates"},
};

static void explain_other(const char *name, struct text *why)
{
	for (size_t i = 0; text_is_empty(why) && i < sizeof(others) / sizeof(others[0]); i++)
		if (strstr(name, others[i].word))
			text_addf(why, "%s", others[i].says);
}

static bool add_block(struct bundle *bundle, const char *name, struct str der, struct text *why)
{
	struct str word = str_of(name);
	if (str_eq(word, STR(PEM_STRING_X509)) || str_eq(word, STR(PEM_STRING_X509_OLD)))
		return add_der(bundle, der, why);
	if (!str_eq(word, STR(PEM_STRING_PKCS7)) && !str_eq(word, STR("CMS")))
		return true;
	if (add_pkcs7(bundle, der, why) || !text_is_empty(why))
		return text_is_empty(why);
	text_addf(why, "its PKCS #7 block holds no certificate, or is damaged");
	return false;
}

// The name of the last block that was passed over is told when there is nothing else.
static bool add_pem(struct bundle *bundle, struct str bytes, struct text *why)
{
	BIO *bio = BIO_new_mem_buf(bytes.at, (int)bytes.len);
	char *name, *header, hint_room[160];
	struct text hint = TEXT(hint_room);
	uint8_t *der;
	long len;
	bool sound = true;
	size_t before = bundle->num;
	BUG_ON(!bio);
	while (sound && PEM_read_bio(bio, &name, &header, &der, &len)) {
		sound = add_block(bundle, name, (struct str){(char *)der, (size_t)len}, why);
		explain_other(name, &hint);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	uint32_t error = ERR_peek_last_error();
	bool is_damaged = sound && ERR_GET_REASON(error) != PEM_R_NO_START_LINE;
	ERR_clear_error();
	BIO_free(bio);
	if (is_damaged)
		text_addf(why, "a block of it is damaged or cut off; fetch the file again");
	else if (sound && bundle->num == before)
		text_add(why, hint.len
		                  ? text_str(&hint)
		                  : STR("it holds no certificate (-----BEGIN CERTIFICATE-----)"));
	return text_is_empty(why);
}

// ---- whichever it is ----------------------------------------------------

static bool is_der(struct str bytes)
{
	enum { SEQUENCE = 0x30 };
	return bytes.at && bytes.len > 1 && bytes.at[0] == SEQUENCE && (bytes.at[1] & 0x80);
}

bool bundle_add(struct bundle *bundle, struct str bytes, struct text *why)
{
	bytes = pem_skip_mark(bytes);
	if (!is_der(bytes))
		return add_pem(bundle, bytes, why);
	if (der_is_pkcs12(bytes)) {
		text_addf(why, "it is a PKCS #12 file (.p12, .pfx); take it apart first: openssl "
		               "pkcs12 -in FILE -nodes -out NEW.pem");
		return false;
	}
	if (add_pkcs7(bundle, bytes, why) || !text_is_empty(why))
		return text_is_empty(why);
	return add_der(bundle, bytes, why);
}

bool bundle_add_file(struct bundle *bundle, const char *path, struct text *why)
{
	struct buf bytes = {0};
	char room[512];
	struct text reason = TEXT(room);
	bool added = input_read(path, "certificate", &bytes, why);
	if (added && !bundle_add(bundle, buf_str(&bytes), &reason)) {
		text_addf(why, "no certificate can be had from %s: %s", path, room);
		added = false;
	}
	buf_done(&bytes);
	return added;
}

void bundle_done(struct bundle *bundle)
{
	for (size_t i = 0; i < bundle->num; i++)
		X509_free(bundle->at[i]);
	bundle->num = 0;
}
