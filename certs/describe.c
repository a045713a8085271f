// describe.c: printing certificates and requests.  See describe.h.
#include "certs/describe.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "certs/bundle.h"
#include "certs/input.h"
#include "certs/subject.h"
#include "proxy/base/die.h"

enum { LINE = 4096, DAY = 24 * 60 * 60 };

// A line "what: text", cut when the certificate has more to say.
static void print_line(const char *what, struct text *text, FILE *out)
{
	fprintf(out, "%s: %s%s\n", what, text->at, text->truncated ? "..." : "");
	*text = text_in(text->at, text->cap);
}

static void print_validity(const X509 *certificate, int64_t now, struct text *text)
{
	int64_t from = subject_time(X509_get0_notBefore(certificate));
	int64_t until = subject_time(X509_get0_notAfter(certificate));
	subject_print_time(from, text);
	text_add(text, STR(" to "));
	subject_print_time(until, text);
	if (now < from)
		text_add(text, STR(", not yet"));
	else if (now > until)
		text_add(text, STR(", expired"));
	else
		text_addf(text, ", %d days left", (int)((until - now) / DAY));
}

static void print_hex(const uint8_t *bytes, size_t len, struct text *text)
{
	for (size_t i = 0; i < len; i++)
		text_addf(text, "%s%02X", i ? ":" : "", bytes[i]);
}

static void print_fingerprint(const X509 *certificate, struct text *text)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len;
	BUG_ON(!X509_digest(certificate, EVP_sha256(), digest, &len));
	print_hex(digest, len, text);
}

static void print_signature(const X509 *certificate, struct text *text)
{
	const char *name = OBJ_nid2sn(X509_get_signature_nid(certificate));
	text_addf(text, "%s", name ? name : "unknown");
}

static void describe(X509 *certificate, int64_t now, FILE *out)
{
	char room[LINE];
	struct text text = TEXT(room);
	const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	EVP_PKEY *key = X509_get_pubkey(certificate);
	subject_print_name(X509_get_subject_name(certificate), &text);
	print_line("subject", &text, out);
	subject_print_names(names, &text);
	print_line("names", &text, out);
	subject_print_name(X509_get_issuer_name(certificate), &text);
	text_addf(&text, "%s", subject_is_self_signed(certificate) ? " (itself)" : "");
	print_line("issuer", &text, out);
	print_validity(certificate, now, &text);
	print_line("valid", &text, out);
	subject_print_key(key, &text);
	print_line("key", &text, out);
	print_signature(certificate, &text);
	print_line("signature", &text, out);
	print_hex(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), &text);
	print_line("serial", &text, out);
	print_fingerprint(certificate, &text);
	print_line("SHA-256", &text, out);
	GENERAL_NAMES_free(names);
	EVP_PKEY_free(key);
	ERR_clear_error();
}

void describe_bundle(const struct bundle *bundle, int64_t now, FILE *out)
{
	for (size_t i = 0; i < bundle->num; i++) {
		if (bundle->num > 1)
			fprintf(
			    out, "%scertificate %zu of %zu\n", i ? "\n" : "", i + 1, bundle->num);
		describe(bundle->at[i], now, out);
	}
}

// ---- requests -----------------------------------------------------------

static GENERAL_NAMES *names_of(X509_REQ *request)
{
	STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(request);
	GENERAL_NAMES *names = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	return names;
}

static void describe_request(X509_REQ *request, FILE *out)
{
	char room[LINE];
	struct text text = TEXT(room);
	EVP_PKEY *key = X509_REQ_get_pubkey(request);
	GENERAL_NAMES *names = names_of(request);
	fputs("a request for a certificate\n", out);
	subject_print_name(X509_REQ_get_subject_name(request), &text);
	print_line("subject", &text, out);
	subject_print_names(names, &text);
	print_line("names", &text, out);
	subject_print_key(key, &text);
	print_line("key", &text, out);
	text_addf(
	    &text, "%s", key && X509_REQ_verify(request, key) == 1 ? "good, by this key" : "wrong");
	print_line("signature", &text, out);
	GENERAL_NAMES_free(names);
	EVP_PKEY_free(key);
	ERR_clear_error();
}

// NULL when the file is none.
static X509_REQ *read_request(struct str bytes)
{
	const uint8_t *at = (const uint8_t *)bytes.at;
	BIO *bio = BIO_new_mem_buf(bytes.at, (int)bytes.len);
	BUG_ON(!bio);
	X509_REQ *request = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	if (!request)
		request = d2i_X509_REQ(NULL, &at, (long)bytes.len);
	BIO_free(bio);
	ERR_clear_error();
	return request;
}

bool describe_file(const char *path, int64_t now, FILE *out, struct text *why)
{
	struct buf bytes = {0};
	struct bundle bundle = {.num = 0};
	X509_REQ *request = NULL;
	if (input_read(path, "certificate", &bytes, why))
		request = read_request(buf_str(&bytes));
	buf_done(&bytes);
	if (request)
		describe_request(request, out);
	else if (text_is_empty(why) && bundle_add_file(&bundle, path, why))
		describe_bundle(&bundle, now, out);
	X509_REQ_free(request);
	bundle_done(&bundle);
	return text_is_empty(why);
}
