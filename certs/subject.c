// subject.c: reading one certificate.  See subject.h.
#include "certs/subject.h"

#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "proxy/base/addr.h"
#include "proxy/base/die.h"

enum { DAY = 24 * 60 * 60 };

// ---- times --------------------------------------------------------------

int64_t subject_time(const struct asn1_string_st *at)
{
	int days, seconds;
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	bool sound = at && epoch && ASN1_TIME_diff(&days, &seconds, epoch, at);
	ASN1_TIME_free(epoch);
	ERR_clear_error();
	return sound ? (int64_t)days * DAY + seconds : INT64_MIN / 2;
}

bool subject_is_valid(const struct x509_st *certificate, int64_t now)
{
	return now >= subject_time(X509_get0_notBefore(certificate)) &&
	       now <= subject_time(X509_get0_notAfter(certificate));
}

static X509 *parse(struct str der, size_t *out_len)
{
	const uint8_t *at = (const uint8_t *)der.at;
	X509 *certificate = d2i_X509(NULL, &at, (long)der.len);
	*out_len = (size_t)(at - (const uint8_t *)der.at);
	ERR_clear_error();
	return certificate;
}

struct x509_st *subject_parse(struct str der)
{
	size_t len;
	return parse(der, &len);
}

struct x509_st *subject_parse_whole(struct str der)
{
	size_t len;
	X509 *certificate = parse(der, &len);
	if (len == der.len)
		return certificate;
	X509_free(certificate);
	return NULL;
}

void subject_print_time(int64_t at, struct text *out)
{
	char room[40];
	struct tm parts;
	time_t seconds = at;
	bool sound = gmtime_r(&seconds, &parts) &&
	             strftime(room, sizeof(room), "%Y-%m-%d %H:%M:%S UTC", &parts);
	text_addf(out, "%s", sound ? room : "(no time)");
}

// ---- names --------------------------------------------------------------

// A character is not cut in two.
static void add_what_fits(struct text *out, struct str s)
{
	const struct str more = STR("...");
	size_t room = out->cap - 1 - out->len;
	if (out->truncated || s.len <= room || room < more.len) {
		text_add(out, s);
		return;
	}
	size_t len = room - more.len;
	while (len && (s.at[len] & 0xc0) == 0x80)
		len--;
	text_add(out, str_take(s, len));
	text_add(out, more);
}

void subject_print_name(const struct X509_name_st *name, struct text *out)
{
	const uint8_t *at;
	size_t len;
	BIO *bio = BIO_new(BIO_s_mem());
	BUG_ON(!bio);
	unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
	X509_NAME_print_ex(bio, (X509_NAME *)name, 0, flags);
	BUG_ON(!BIO_mem_contents(bio, &at, &len));
	add_what_fits(out, len ? (struct str){(const char *)at, len} : STR("(no name)"));
	BIO_free(bio);
	ERR_clear_error();
}

static void print_safely(const ASN1_STRING *string, struct text *out)
{
	const uint8_t *at = ASN1_STRING_get0_data(string);
	for (int i = 0; i < ASN1_STRING_length(string); i++)
		text_add_char(out, at[i] > 0x20 && at[i] < 0x7f ? (char)at[i] : '?');
}

static void print_address(const ASN1_STRING *string, struct text *out)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	const uint8_t *at = ASN1_STRING_get0_data(string);
	struct addr addr = {.v4 = v4};
	if (ASN1_STRING_length(string) == sizeof(v4.sin_addr)) {
		memcpy(&addr.v4.sin_addr, at, sizeof(v4.sin_addr));
	} else if (ASN1_STRING_length(string) == sizeof(v6.sin6_addr)) {
		addr.v6 = v6;
		memcpy(&addr.v6.sin6_addr, at, sizeof(v6.sin6_addr));
	} else {
		text_add(out, STR("?"));
		return;
	}
	addr_print_ip(&addr, out);
}

void subject_print_names(const struct stack_st_GENERAL_NAME *names, struct text *out)
{
	const char *before = "";
	for (size_t i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_DNS && name->type != GEN_IPADD)
			continue;
		text_add(out, str_of(before));
		before = ", ";
		if (name->type == GEN_DNS)
			print_safely(name->d.dNSName, out);
		else
			print_address(name->d.iPAddress, out);
	}
	if (!before[0])
		text_add(out, STR("(none)"));
}

bool subject_has_name(struct x509_st *certificate, struct str name)
{
	struct addr addr;
	char room[ADDR_TEXT_SIZE];
	struct text ip = TEXT(room);
	bool has;
	if (addr_parse(name, 1, &addr)) {
		addr_print_ip(&addr, &ip);
		has = X509_check_ip_asc(certificate, room, 0) == 1;
	} else {
		has =
		    X509_check_host(certificate, name.at, name.len,
		        X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
		        NULL) == 1;
	}
	ERR_clear_error();
	return has;
}

// ---- keys ---------------------------------------------------------------

static const struct {
	int nid;
	const char *name;
} curves[] = {{NID_secp224r1, "P-224"}, {NID_X9_62_prime256v1, "P-256"}, {NID_secp384r1, "P-384"},
    {NID_secp521r1, "P-521"}};

static const char *curve_of(const EVP_PKEY *key)
{
	const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(key);
	int nid = ec ? EC_GROUP_get_curve_name(EC_KEY_get0_group(ec)) : NID_undef;
	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
		if (curves[i].nid == nid)
			return curves[i].name;
	return "an unknown curve";
}

void subject_print_key(const struct evp_pkey_st *key, struct text *out)
{
	int type = key ? EVP_PKEY_id(key) : EVP_PKEY_NONE;
	if (type == EVP_PKEY_EC)
		text_addf(out, "ECDSA %s", curve_of(key));
	else if (type == EVP_PKEY_RSA)
		text_addf(out, "RSA %d bits", EVP_PKEY_bits(key));
	else
		text_addf(out, "%s",
		    type == EVP_PKEY_ED25519 ? "Ed25519"
		    : type == EVP_PKEY_DSA   ? "DSA"
		                             : "of a kind that BoringSSL does not know");
	ERR_clear_error();
}

void subject_print_issuer_url(const struct x509_st *certificate, struct text *out)
{
	AUTHORITY_INFO_ACCESS *access = X509_get_ext_d2i(certificate, NID_info_access, NULL, NULL);
	for (size_t i = 0; access && !out->len && i < sk_ACCESS_DESCRIPTION_num(access); i++) {
		const ACCESS_DESCRIPTION *one = sk_ACCESS_DESCRIPTION_value(access, i);
		if (OBJ_obj2nid(one->method) == NID_ad_ca_issuers && one->location->type == GEN_URI)
			print_safely(one->location->d.uniformResourceIdentifier, out);
	}
	AUTHORITY_INFO_ACCESS_free(access);
	ERR_clear_error();
}

// ---- what it asks for ---------------------------------------------------

// An INTEGER for each feature: the number of the extension of TLS.
static bool has_feature(const ASN1_OCTET_STRING *value, uint64_t wanted)
{
	CBS all, features;
	uint64_t each;
	CBS_init(&all, ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
	if (!CBS_get_asn1(&all, &features, CBS_ASN1_SEQUENCE))
		return false;
	while (CBS_get_asn1_uint64(&features, &each))
		if (each == wanted)
			return true;
	return false;
}

bool subject_wants_staple(const struct x509_st *certificate)
{
	enum { STATUS_REQUEST = 5 };
	ASN1_OBJECT *features = OBJ_txt2obj("1.3.6.1.5.5.7.1.24", 1);
	BUG_ON(!features);
	int index = X509_get_ext_by_OBJ(certificate, features, -1);
	X509_EXTENSION *found = index >= 0 ? X509_get_ext(certificate, index) : NULL;
	ASN1_OBJECT_free(features);
	bool wants = found && has_feature(X509_EXTENSION_get_data(found), STATUS_REQUEST);
	ERR_clear_error();
	return wants;
}

// ---- issuers ------------------------------------------------------------

static bool is_signed_by(struct x509_st *certificate, struct x509_st *issuer)
{
	EVP_PKEY *key = X509_get_pubkey(issuer);
	bool is_signed = key && X509_verify(certificate, key) == 1;
	EVP_PKEY_free(key);
	ERR_clear_error();
	return is_signed;
}

bool subject_is_self_signed(struct x509_st *certificate)
{
	return X509_NAME_cmp(
	           X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0 &&
	       is_signed_by(certificate, certificate);
}

bool subject_is_authority(struct x509_st *certificate)
{
	bool is_authority = X509_check_ca(certificate);
	ERR_clear_error();
	return is_authority;
}

bool subject_is_issued_by(struct x509_st *certificate, struct x509_st *issuer)
{
	bool may =
	    subject_is_authority(issuer) && X509_check_issued(issuer, certificate) == X509_V_OK;
	ERR_clear_error();
	return may && is_signed_by(certificate, issuer);
}
