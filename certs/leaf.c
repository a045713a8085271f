// leaf.c: reading a certificate of ours.  See leaf.h.
#include "certs/leaf.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "certs/subject.h"
#include "proxy/base/die.h"

static struct str name_of(const ASN1_STRING *name)
{
	struct str s = {
	    (const char *)ASN1_STRING_get0_data(name), (size_t)ASN1_STRING_length(name)};
	return (struct str){str_dup(s), s.len};
}

// DNS names alone: clients look at a common name no more (RFC 9525 section 2).
static void read_names(const X509 *x509, struct leaf *leaf)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
	leaf->names = xcalloc(sk_GENERAL_NAME_num(all), sizeof(*leaf->names));
	for (size_t i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *each = sk_GENERAL_NAME_value(all, i);
		if (each->type == GEN_DNS)
			leaf->names[leaf->num_names++] = name_of(each->d.dNSName);
	}
	GENERAL_NAMES_free(all);
}

void leaf_read(struct str der, struct leaf *out_leaf)
{
	X509 *x509 = subject_parse(der);
	*out_leaf = (struct leaf){.num_names = 0};
	out_leaf->end_point_len = end_point_hash(der, out_leaf->end_point);
	SHA256((const uint8_t *)der.at, der.len, out_leaf->fingerprint);
	if (x509) {
		read_names(x509, out_leaf);
		out_leaf->not_before = subject_time(X509_get0_notBefore(x509));
		out_leaf->not_after = subject_time(X509_get0_notAfter(x509));
		out_leaf->wants_staple = subject_wants_staple(x509);
	}
	X509_free(x509);
	ERR_clear_error();
}

bool leaf_ends_soon(int64_t not_before, int64_t not_after, int64_t now, int64_t warning_s)
{
	int64_t left_s = not_after - now;
	return left_s >= 0 && left_s <= warning_s && left_s <= (not_after - not_before) / 3;
}

bool leaf_is_valid(const struct leaf *leaf, int64_t now)
{
	return leaf->not_before <= now && now <= leaf->not_after;
}

void leaf_print_invalidity(const struct leaf *leaf, int64_t now, struct text *out)
{
	bool is_early = now < leaf->not_before;
	text_add(out, is_early ? STR("is valid only from ") : STR("has expired on "));
	subject_print_time(is_early ? leaf->not_before : leaf->not_after, out);
}

// Of the leaf; false when the other is none that clients need.
static bool print_intermediate(struct str leaf, struct str issuer, struct text *out)
{
	X509 *below = subject_parse(leaf), *above = subject_parse(issuer);
	bool is_needed =
	    below && above && subject_is_issued_by(below, above) && !subject_is_self_signed(above);
	if (is_needed) {
		text_add(out, STR("the intermediate certificate of "));
		subject_print_name(X509_get_subject_name(above), out);
	}
	X509_free(below);
	X509_free(above);
	return is_needed;
}

static bool read_untimely(struct str der, int64_t now, struct leaf *out)
{
	leaf_read(der, out);
	if (!leaf_is_valid(out, now))
		return true;
	leaf_done(out);
	*out = (struct leaf){.num_names = 0};
	return false;
}

bool leaf_find_untimely(
    struct str leaf, struct str issuer, int64_t now, struct leaf *out, struct text *out_what)
{
	if (!read_untimely(leaf, now, out))
		return print_intermediate(leaf, issuer, out_what) &&
		       read_untimely(issuer, now, out);
	text_add(out_what, STR("the certificate"));
	return true;
}

void leaf_done(struct leaf *leaf)
{
	for (size_t i = 0; i < leaf->num_names; i++)
		free((char *)leaf->names[i].at);
	free(leaf->names);
}
