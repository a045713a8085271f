// client_name_test.c: which user a client's certificate names, for names of every kind and
// what can be wrong with them.
#include "tests/kit/check.h"

#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "certs/client_name.h"

enum { NAMES = 20 };

// A name in the certificate, and what kind of string it is.
enum type { NO_MORE, IN_SUBJECT, IN_EMAIL, IN_DNS, IN_UPN };
struct name {
	enum type type;
	int string; // V_ASN1_...
	struct str value;
};

static ASN1_STRING *string_of(const struct name *name)
{
	ASN1_STRING *string = ASN1_STRING_type_new(name->string);
	assert_true(ASN1_STRING_set(string, name->value.at, (int)name->value.len));
	return string;
}

static GENERAL_NAME *general_name(const struct name *name)
{
	GENERAL_NAME *general = GENERAL_NAME_new();
	ASN1_TYPE *value;
	if (name->type != IN_UPN) {
		GENERAL_NAME_set0_value(
		    general, name->type == IN_DNS ? GEN_DNS : GEN_EMAIL, string_of(name));
		return general;
	}
	value = ASN1_TYPE_new();
	ASN1_TYPE_set(value, name->string, string_of(name));
	assert_true(GENERAL_NAME_set0_othername(general, OBJ_nid2obj(NID_ms_upn), value));
	return general;
}

// The certificate need not be anybody's: only its names are looked at.
static X509 *certificate_of(const struct name *names)
{
	X509 *x509 = X509_new();
	GENERAL_NAMES *alternatives = GENERAL_NAMES_new();
	X509_NAME *subject = X509_get_subject_name(x509);
	X509_set_version(x509, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x509), 0x1a2b);
	X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
	for (; names->type; names++)
		if (names->type == IN_SUBJECT)
			assert_true(
			    X509_NAME_add_entry_by_NID(subject, NID_commonName, names->string,
			        (const uint8_t *)names->value.at, (int)names->value.len, -1, 0));
		else
			assert_true(sk_GENERAL_NAME_push(alternatives, general_name(names)));
	if (sk_GENERAL_NAME_num(alternatives))
		assert_true(X509_add1_ext_i2d(x509, NID_subject_alt_name, alternatives, 0, 0));
	GENERAL_NAMES_free(alternatives);
	return x509;
}

static struct str der_of(X509 *x509)
{
	uint8_t *der = NULL;
	EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
	EVP_PKEY *key = EVP_PKEY_new();
	assert_true(EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec));
	X509_set_pubkey(x509, key);
	assert_true(X509_sign(x509, key, EVP_sha256()));
	int len = i2d_X509(x509, &der);
	assert_true(len > 0);
	EVP_PKEY_free(key);
	X509_free(x509);
	return (struct str){(const char *)der, (size_t)len};
}

#define EMAIL(text)                                                                                \
	{                                                                                          \
		IN_EMAIL, V_ASN1_IA5STRING, STR(text)                                              \
	}
#define DNS(text)                                                                                  \
	{                                                                                          \
		IN_DNS, V_ASN1_IA5STRING, STR(text)                                                \
	}
#define UPN(text)                                                                                  \
	{                                                                                          \
		IN_UPN, V_ASN1_UTF8STRING, STR(text)                                               \
	}
#define COMMON_NAME(text)                                                                          \
	{                                                                                          \
		IN_SUBJECT, V_ASN1_UTF8STRING, STR(text)                                           \
	}
#define TEN(text) text text text text text text text text text text

static const struct row {
	struct str row;
	struct name names[NAMES];
	const char *order; // a letter for each kind: e, u, c, d
	struct str users;  // each with a blank behind it
	const char *why;   // or words of the reason
} rows[] = {
    {STR("an address"), {EMAIL("Anna@Example.org")}, "e", .users = STR("Anna@Example.org ")},
    {STR("several"), {EMAIL("anna@a"), DNS("a"), EMAIL("anna@b")}, "e",
        .users = STR("anna@a anna@b ")},
    {STR("a principal"), {EMAIL("a@a"), UPN("anna@LAB")}, "u", .users = STR("anna@LAB ")},
    {STR("beyond ASCII"), {UPN("j\xc3\xb6rg@lab")}, "u", .users = STR("j\xc3\xb6rg@lab ")},
    {STR("a host"), {DNS("anna.example.org")}, "d", .users = STR("anna.example.org ")},
    {STR("a common name"), {COMMON_NAME("anna"), EMAIL("a@a")}, "c", .users = STR("anna ")},
    {STR("the last of these"), {COMMON_NAME("users"), COMMON_NAME("anna")}, "c",
        .users = STR("anna ")},
    {STR("Latin-1"), {{IN_SUBJECT, V_ASN1_T61STRING, STR("j\xf6rg")}}, "c",
        .users = STR("j\xc3\xb6rg ")},
    {STR("UTF-16"), {{IN_SUBJECT, V_ASN1_BMPSTRING, STR("\0j\0\xf6")}}, "c",
        .users = STR("j\xc3\xb6 ")},

    {STR("the first kind"), {EMAIL("e@e"), UPN("u@u")}, "ue", .users = STR("u@u ")},
    {STR("the next kind"), {EMAIL("e@e")}, "uce", .users = STR("e@e ")},
    {STR("no kind"), {EMAIL("e@e")}, "ucd", .why = "no name that"},
    {STR("no names"), {{0}}, "eucd", .why = "no name that"},
    {STR("no order"), {EMAIL("e@e")}, "", .why = "no name that"},

    {STR("one is bad"), {EMAIL("anna@a"), EMAIL("an/na@a")}, "e", .why = "has a \\ or /"},
    {STR("a bad one is not skipped"), {UPN("an\na@u"), EMAIL("e@e")}, "ue", .why = "control"},
    {STR("empty"), {EMAIL("")}, "e", .why = "empty or too long"},
    {STR("too long"), {UPN(TEN(TEN("abc")))}, "u", .why = "empty or too long"},
    {STR("NUL"), {EMAIL("boss\0@a")}, "e", .why = "control"},
    {STR("NUL in a common name"), {COMMON_NAME("boss\0")}, "c", .why = "control"},
    {STR("CR LF"), {UPN("anna\r\nDELE 1")}, "u", .why = "control"},
    {STR("a domain before it"), {COMMON_NAME("LAB\\boss")}, "c", .why = "has a \\ or /"},
    {STR("a blank at the end"), {COMMON_NAME("anna ")}, "c", .why = "blank"},
    {STR("a blank before a domain"), {COMMON_NAME("anna @a")}, "c", .why = "blank"},
    {STR("a blank behind a user"), {COMMON_NAME("anna@ a")}, "c", .why = "blank"},
    {STR("blanks in a name of people"), {COMMON_NAME("Anna Meier")}, "c",
        .users = STR("Anna Meier ")},
    {STR("a blank in an address"), {EMAIL("an na@a")}, "e", .why = "has a blank"},
    {STR("a blank around an address's user"), {EMAIL("anna @a")}, "e", .why = "blank"},
    {STR("a blank around a principal's domain"), {UPN("anna@ a")}, "u", .why = "blank"},
    {STR("an address without a domain"), {EMAIL("anna")}, "e", .why = "no user@domain"},
    {STR("an address with an empty one"), {EMAIL("anna@")}, "e", .why = "no user@domain"},
    {STR("an address without a user"), {EMAIL("@a")}, "e", .why = "no user@domain"},
    {STR("an address of two"), {EMAIL("anna@a@b")}, "e", .why = "no user@domain"},
    {STR("a bare one among good ones"), {EMAIL("e@e"), EMAIL("anna")}, "e",
        .why = "no user@domain"},
    {STR("a principal without a domain"), {UPN("anna")}, "u", .why = "no user@domain"},
    {STR("an address beyond ASCII"), {EMAIL("\xf6@a")}, "e", .why = "not ASCII"},
    {STR("a host beyond ASCII"), {DNS("\xc3\xb6.a")}, "d", .why = "not ASCII"},
    // which newer BoringSSL sees earlier: then the certificate is damaged
    {STR("no UTF-8"), {UPN("j\xf6rg")}, "u", .why = "certificate"},
    {STR("half a character"), {UPN("anna\xc3")}, "u", .why = "certificate"},
    {STR("a principal of another type"), {{IN_UPN, V_ASN1_IA5STRING, STR("anna")}}, "u",
        .why = "no name that"},
    {STR("too many"),
        {EMAIL("1@a"), EMAIL("2@a"), EMAIL("3@a"), EMAIL("4@a"), EMAIL("5@a"), EMAIL("6@a"),
            EMAIL("7@a"), EMAIL("8@a"), EMAIL("9@a"), EMAIL("10@a"), EMAIL("11@a"), EMAIL("12@a"),
            EMAIL("13@a"), EMAIL("14@a"), EMAIL("15@a"), EMAIL("16@a"), EMAIL("17@a")},
        "e", .why = "too many"},
};

static enum client_name kind_of(char letter)
{
	switch (letter) {
	case 'e': return CLIENT_NAME_email;
	case 'u': return CLIENT_NAME_upn;
	case 'd': return CLIENT_NAME_dns;
	default: return CLIENT_NAME_common_name;
	}
}

static void check_names(const struct row *row)
{
	enum client_name order[CLIENT_NAME_KINDS];
	struct client_names found;
	char room[512];
	struct text users = TEXT(room);
	const char *why = "";
	struct str der = der_of(certificate_of(row->names));
	for (size_t i = 0; row->order[i]; i++)
		order[i] = kind_of(row->order[i]);
	check(row->row, client_names(der, order, strlen(row->order), &found, &why) == !row->why);
	for (size_t i = 0; !row->why && i < found.num; i++)
		text_addf(&users, "%.*s ", STR_ARG(found.at[i]));
	if (row->why)
		check(str_of(why), strstr(why, row->why) != NULL);
	else
		check_str(row->row, text_str(&users), row->users);
	OPENSSL_free((char *)der.at);
}

static void test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++)
		check_names(&rows[i]);
}

// Names that stand there twice as a whole, or not at all as they should.
static void test_alternatives_that_cannot_be_read(void **state)
{
	static const struct name names[] = {EMAIL("anna@a"), {0}};
	const enum client_name order[] = {CLIENT_NAME_email};
	struct client_names found;
	const char *why = "";
	X509 *twice = certificate_of(names);
	X509_EXTENSION *again = X509_get_ext(twice, 0);
	(void)state;
	assert_true(X509_add_ext(twice, again, -1));
	struct str der = der_of(twice);
	assert_false(client_names(der, order, 1, &found, &why));
	assert_non_null(strstr(why, "damaged"));
	assert_false(client_names(str_take(der, der.len - 1), order, 1, &found, &why));
	assert_false(client_names(STR(""), order, 1, &found, &why));
	OPENSSL_free((char *)der.at);
}

static void test_words(void **state)
{
	(void)state;
	assert_int_equal(client_name_find(STR("email")), CLIENT_NAME_email);
	assert_int_equal(client_name_find(STR("common-name")), CLIENT_NAME_common_name);
	assert_int_equal(client_name_find(STR("cn")), CLIENT_NAME_KINDS);
}

static void test_description(void **state)
{
	static const struct name names[] = {COMMON_NAME("J\xc3\xb6rg, \"x\"\n"), {0}};
	static const struct name longer[] = {COMMON_NAME(TEN("abcdef")), COMMON_NAME(TEN("abcdef")),
	    COMMON_NAME(TEN("abcdef")), COMMON_NAME(TEN("abcdef")), COMMON_NAME(TEN("abcdef")),
	    {0}};
	struct client_certificate shown;
	struct str der = der_of(certificate_of(names));
	(void)state;
	assert_true(client_certificate_describe(der, &shown));
	assert_string_equal(shown.subject, "CN=J\xc3\xb6rg\\, \\\"x\\\"\\0A");
	assert_string_equal(shown.serial, "1a2b");
	assert_int_equal(strlen(shown.fingerprint), 64);
	assert_false(client_certificate_describe(str_take(der, 20), &shown));
	assert_string_equal(shown.serial, "");
	OPENSSL_free((char *)der.at);
	der = der_of(certificate_of(longer));
	assert_true(client_certificate_describe(der, &shown));
	assert_int_equal(strlen(shown.subject), sizeof(shown.subject) - 1);
	OPENSSL_free((char *)der.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_alternatives_that_cannot_be_read),
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_description),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
