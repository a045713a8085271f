// client_name.c: names out of a certificate.  See client_name.h.
#include "certs/client_name.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "certs/subject.h"

// ---- one name -----------------------------------------------------------

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] >= 0x80)
			return false;
	return true;
}

// What the names of a kind must be, beyond what all must.
struct form {
	bool is_ascii;
	bool is_address; // user@domain, without blanks
};

static bool has(struct str s, char c)
{
	return str_find(s, c) < s.len;
}

// Which an account's parts lose (backends/account.h): the name would become another one.
static bool has_outer_blank(struct str name)
{
	struct str part;
	bool found = false;
	while (name.len && !found) {
		str_cut(name, '@', &part, &name);
		found = str_trim(part).len != part.len;
	}
	return found;
}

static const char *problem_of_address(struct str name)
{
	struct str user, domain;
	str_cut(name, '@', &user, &domain);
	if (!user.len || !domain.len || has(domain, '@'))
		return "the certificate's name of the user is no user@domain, as it must be";
	return has(name, ' ') ? "the certificate's name of the user has a blank" : NULL;
}

static const char *problem_of(struct str name, struct form form)
{
	if (!name.len || name.len > CLIENT_NAME_MAX)
		return "the certificate's name of the user is empty or too long";
	if (form.is_ascii && !is_ascii(name))
		return "the certificate's name of the user is not ASCII, as it must be";
	if (str_has_control(name))
		return "the certificate's name of the user has control characters";
	if (has_outer_blank(name))
		return "a part of the certificate's name of the user begins or ends with a blank";
	if (has(name, '\\') || has(name, '/'))
		return "the certificate's name of the user has a \\ or /";
	return form.is_address ? problem_of_address(name) : NULL;
}

static bool keep(struct client_names *out, struct str name)
{
	char *at = out->room + out->num * CLIENT_NAME_MAX;
	if (out->num == CLIENT_NAMES_MAX)
		return false;
	memcpy(at, name.at, name.len);
	out->at[out->num++] = (struct str){at, name.len};
	return true;
}

// Whatever kind of string it is, in UTF-8.
static bool add(
    struct client_names *out, const ASN1_STRING *string, struct form form, const char **why)
{
	uint8_t *utf8 = NULL;
	int len = ASN1_STRING_to_UTF8(&utf8, string);
	struct str name = {(const char *)utf8, len < 0 ? 0 : (size_t)len};
	*why =
	    len < 0 ? "the certificate's name of the user is no Unicode" : problem_of(name, form);
	if (!*why && !keep(out, name))
		*why = "the certificate has too many names of the user";
	OPENSSL_free(utf8);
	return !*why;
}

// ---- the kinds ----------------------------------------------------------

// What a certificate is asked for its names.
struct certificate {
	X509 *x509;
	GENERAL_NAMES *alternatives; // NULL: it has none
};

typedef bool collect_fn(
    const struct certificate *certificate, struct client_names *out, const char **why);

// Of an alternative name of some type the string; NULL when it is another kind of name.
typedef const ASN1_STRING *string_fn(const GENERAL_NAME *name);

static bool collect(const struct certificate *certificate, string_fn *string_of, struct form form,
    struct client_names *out, const char **why)
{
	const GENERAL_NAMES *names = certificate->alternatives;
	for (size_t i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		const ASN1_STRING *string = string_of(sk_GENERAL_NAME_value(names, i));
		if (string && !add(out, string, form, why))
			return false;
	}
	return true;
}

static const ASN1_STRING *email_of(const GENERAL_NAME *name)
{
	return name->type == GEN_EMAIL ? name->d.rfc822Name : NULL;
}

static const ASN1_STRING *dns_of(const GENERAL_NAME *name)
{
	return name->type == GEN_DNS ? name->d.dNSName : NULL;
}

// Only as a UTF8String: another type of value is another kind of name.
static const ASN1_STRING *upn_of(const GENERAL_NAME *name)
{
	if (name->type != GEN_OTHERNAME || OBJ_obj2nid(name->d.otherName->type_id) != NID_ms_upn ||
	    name->d.otherName->value->type != V_ASN1_UTF8STRING)
		return NULL;
	return name->d.otherName->value->value.utf8string;
}

static bool collect_email(
    const struct certificate *certificate, struct client_names *out, const char **why)
{
	return collect(certificate, email_of, (struct form){true, true}, out, why);
}

static bool collect_upn(
    const struct certificate *certificate, struct client_names *out, const char **why)
{
	return collect(certificate, upn_of, (struct form){false, true}, out, why);
}

static bool collect_dns(
    const struct certificate *certificate, struct client_names *out, const char **why)
{
	return collect(certificate, dns_of, (struct form){true, false}, out, why);
}

static bool collect_common_name(
    const struct certificate *certificate, struct client_names *out, const char **why)
{
	X509_NAME *subject = X509_get_subject_name(certificate->x509);
	int last = -1, next;
	while ((next = X509_NAME_get_index_by_NID(subject, NID_commonName, last)) >= 0)
		last = next;
	if (last < 0)
		return true;
	return add(out, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)),
	    (struct form){false, false}, why);
}

#define CLIENT_NAME(token, word) [CLIENT_NAME_##token] = {word, collect_##token},
static const struct {
	const char *word;
	collect_fn *collect;
} kinds[CLIENT_NAME_KINDS] = {
#include "certs/client_names.def"
};
#undef CLIENT_NAME

enum client_name client_name_find(struct str word)
{
	enum client_name kind = 0;
	while (kind < CLIENT_NAME_KINDS && !str_eq(word, str_of(kinds[kind].word)))
		kind++;
	return kind;
}

// ---- the certificate ----------------------------------------------------

// An extension that stands there twice, or cannot be read, is worse than none.
static bool take_alternatives(struct certificate *certificate)
{
	int found;
	certificate->alternatives =
	    X509_get_ext_d2i(certificate->x509, NID_subject_alt_name, &found, NULL);
	return certificate->alternatives || found == -1;
}

static bool find_names(const struct certificate *certificate, const enum client_name *order,
    size_t num_order, struct client_names *out, const char **why)
{
	for (size_t i = 0; i < num_order && !out->num; i++)
		if (!kinds[order[i]].collect(certificate, out, why))
			return false;
	*why = "the certificate has no name that client_cert_user wants";
	return out->num;
}

bool client_names(struct str der, const enum client_name *order, size_t num_order,
    struct client_names *out, const char **why)
{
	struct certificate certificate = {.x509 = subject_parse(der)};
	out->num = 0;
	*why = "the client's certificate is damaged";
	bool found = certificate.x509 && take_alternatives(&certificate) &&
	             find_names(&certificate, order, num_order, out, why);
	GENERAL_NAMES_free(certificate.alternatives);
	X509_free(certificate.x509);
	ERR_clear_error();
	return found;
}

// ---- for the log --------------------------------------------------------

static void print_hex(const uint8_t *bytes, size_t num, char *room, size_t size)
{
	struct text text = text_in(room, size);
	for (size_t i = 0; i < num && !text.truncated; i++)
		text_addf(&text, "%02x", bytes[i]);
}

static void print_subject(const X509 *x509, char *room, size_t size)
{
	const unsigned long as_utf8 = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
	struct text text = text_in(room, size);
	const uint8_t *printed;
	size_t len = 0;
	BIO *bio = BIO_new(BIO_s_mem());
	if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(x509), 0, as_utf8) >= 0 &&
	    BIO_mem_contents(bio, &printed, &len))
		text_add(&text, str_take((struct str){(const char *)printed, len}, size - 1));
	BIO_free(bio);
}

bool client_certificate_describe(struct str der, struct client_certificate *out)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	X509 *x509 = subject_parse(der);
	*out = (struct client_certificate){.subject = ""};
	if (x509) {
		const ASN1_STRING *serial = X509_get0_serialNumber(x509);
		SHA256((const uint8_t *)der.at, der.len, digest);
		print_subject(x509, out->subject, sizeof(out->subject));
		print_hex(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial),
		    out->serial, sizeof(out->serial));
		print_hex(digest, sizeof(digest), out->fingerprint, sizeof(out->fingerprint));
	}
	X509_free(x509);
	ERR_clear_error();
	return x509;
}
