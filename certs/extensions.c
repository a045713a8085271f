// extensions.c: the extensions of a server's certificate.  See extensions.h.
#include "certs/extensions.h"

#include <openssl/nid.h>
#include <openssl/x509v3.h>

#include "proxy/base/die.h"

// Bits of KeyUsage (RFC 5280 section 4.2.1.3).
enum { DIGITAL_SIGNATURE = 0, KEY_ENCIPHERMENT = 2 };

static void add(STACK_OF(X509_EXTENSION) * *list, int nid, void *value, bool is_critical)
{
	BUG_ON(!value || X509V3_add1_i2d(list, nid, value, is_critical, X509V3_ADD_APPEND) != 1);
}

// A subject that says nothing makes the names critical (RFC 5280 section 4.2.1.6).
static void add_names(STACK_OF(X509_EXTENSION) * *list, const struct naming *naming)
{
	GENERAL_NAMES *names = naming_alternatives(naming);
	bool is_nameless = true;
	for (int i = 0; i < NAME_FIELDS; i++)
		is_nameless &= !naming->fields[i];
	add(list, NID_subject_alt_name, names, is_nameless);
	GENERAL_NAMES_free(names);
}

static void add_constraints(STACK_OF(X509_EXTENSION) * *list)
{
	BASIC_CONSTRAINTS *none = BASIC_CONSTRAINTS_new();
	add(list, NID_basic_constraints, none, true);
	BASIC_CONSTRAINTS_free(none);
}

static void add_usage(STACK_OF(X509_EXTENSION) * *list, bool is_rsa)
{
	ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
	BUG_ON(!usage || !ASN1_BIT_STRING_set_bit(usage, DIGITAL_SIGNATURE, 1));
	BUG_ON(is_rsa && !ASN1_BIT_STRING_set_bit(usage, KEY_ENCIPHERMENT, 1));
	add(list, NID_key_usage, usage, true);
	ASN1_BIT_STRING_free(usage);
}

static void add_purpose(STACK_OF(X509_EXTENSION) * *list)
{
	EXTENDED_KEY_USAGE *purposes = EXTENDED_KEY_USAGE_new();
	BUG_ON(!purposes || !sk_ASN1_OBJECT_push(purposes, OBJ_nid2obj(NID_server_auth)));
	add(list, NID_ext_key_usage, purposes, false);
	EXTENDED_KEY_USAGE_free(purposes);
}

struct stack_st_X509_EXTENSION *extensions_of_server(
    const struct naming *naming, const struct evp_pkey_st *key)
{
	STACK_OF(X509_EXTENSION) *list = NULL;
	add_names(&list, naming);
	add_constraints(&list);
	add_usage(&list, EVP_PKEY_id(key) == EVP_PKEY_RSA);
	add_purpose(&list);
	return list;
}
