// naming.c: from an administrator's words to X.509 names.  See naming.h.
#include "certs/naming.h"

#include <openssl/nid.h>
#include <openssl/x509v3.h>

#include "proxy/base/addr.h"
#include "proxy/base/die.h"
#include "proxy/config/problems.h"

enum { HOST_MAX = 253, LABEL_MAX = 63 };

#define NAME_FIELD(name, nid, most, what) {nid, most, what},
static const struct {
	int nid;
	size_t most;
	const char *what;
} rows[NAME_FIELDS] = {
#include "certs/name_fields.def"
};
#undef NAME_FIELD

// ---- checking -----------------------------------------------------------

// Neither the controls of ASCII nor those of ISO 8859 (U+0080 to U+009F).
static bool is_printable(uint32_t code)
{
	return code >= 0x20 && (code < 0x7f || code > 0x9f);
}

// False when it is not UTF-8 or has a control character.
static bool count_characters(struct str value, size_t *out_num)
{
	uint32_t code;
	for (*out_num = 0; value.len; ++*out_num)
		if (!str_take_code_point(&value, &code) || !is_printable(code))
			return false;
	return true;
}

static bool is_country(struct str value)
{
	return value.len == 2 && value.at[0] >= 'A' && value.at[0] <= 'Z' && value.at[1] >= 'A' &&
	       value.at[1] <= 'Z';
}

static bool check_field(enum name_field field, struct str value, struct text *why)
{
	size_t num;
	const char *what = rows[field].what;
	if (!value.len)
		text_addf(why, "the %s is empty; leave the option out", what);
	else if (!count_characters(value, &num))
		text_addf(
		    why, "the %s is no text: it must be UTF-8 without control characters", what);
	else if (field == NAME_FIELD_common_name && num > rows[field].most)
		text_addf(why,
		    "the common name %s is longer than %zu characters; give it by --name "
		    "alone, which clients look at anyway",
		    shown(value).at, rows[field].most);
	else if (field == NAME_FIELD_country && !is_country(value))
		text_addf(
		    why, "the country %s is not two capital letters, such as DE", shown(value).at);
	else if (num > rows[field].most)
		text_addf(why, "the %s is longer than %zu characters", what, rows[field].most);
	return text_is_empty(why);
}

static bool is_label(struct str label)
{
	for (size_t i = 0; i < label.len; i++) {
		char c = label.at[i];
		bool is_alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		if (!is_alnum && (c != '-' || i == 0 || i == label.len - 1))
			return false;
	}
	return label.len >= 1 && label.len <= LABEL_MAX;
}

// A star stands for one whole label, and never for all of a top-level domain.
static bool is_host(struct str name)
{
	struct str label, rest = name;
	bool is_wildcard = name.len > 2 && name.at[0] == '*' && name.at[1] == '.';
	if (is_wildcard)
		rest = str_drop(rest, 2);
	if (name.len > HOST_MAX || (is_wildcard && str_find(rest, '.') == rest.len))
		return false;
	while (str_cut(rest, '.', &label, &rest))
		if (!is_label(label))
			return false;
	return is_label(label);
}

bool naming_is_host(struct str name)
{
	struct addr addr;
	return is_host(name) || addr_parse(name, 1, &addr);
}

static bool check_name(struct str name, struct text *why)
{
	if (naming_is_host(name))
		return true;
	text_addf(why,
	    "%s is no host name for a certificate, such as mail.example.org or *.example.org",
	    shown(name).at);
	return false;
}

bool naming_check(const struct naming *naming, struct text *why)
{
	for (int i = 0; i < NAME_FIELDS; i++)
		if (naming->fields[i] &&
		    !check_field((enum name_field)i, str_of(naming->fields[i]), why))
			return false;
	const char *common_name = naming->fields[NAME_FIELD_common_name];
	if (common_name && !check_name(str_of(common_name), why))
		return false;
	for (size_t i = 0; i < naming->num_names; i++)
		if (!check_name(str_of(naming->names[i]), why))
			return false;
	if (!common_name && !naming->num_names)
		text_addf(why, "which host is the certificate for? say --common-name NAME");
	return text_is_empty(why);
}

// ---- making -------------------------------------------------------------

struct X509_name_st *naming_subject(const struct naming *naming)
{
	X509_NAME *subject = X509_NAME_new();
	BUG_ON(!subject);
	for (int i = 0; i < NAME_FIELDS; i++)
		if (naming->fields[i])
			BUG_ON(!X509_NAME_add_entry_by_NID(subject, rows[i].nid, MBSTRING_UTF8,
			    (const uint8_t *)naming->fields[i], -1, -1, 0));
	return subject;
}

static void push(GENERAL_NAMES *names, int type, const void *bytes, size_t len)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_STRING *value =
	    ASN1_STRING_type_new(type == GEN_DNS ? V_ASN1_IA5STRING : V_ASN1_OCTET_STRING);
	BUG_ON(!name || !value || !ASN1_STRING_set(value, bytes, (int)len));
	GENERAL_NAME_set0_value(name, type, value);
	BUG_ON(!sk_GENERAL_NAME_push(names, name));
}

static void add_name(GENERAL_NAMES *names, const char *name)
{
	struct addr addr;
	if (!addr_parse(str_of(name), 1, &addr))
		push(names, GEN_DNS, name, strlen(name));
	else if (addr.any.sa_family == AF_INET)
		push(names, GEN_IPADD, &addr.v4.sin_addr, sizeof(addr.v4.sin_addr));
	else
		push(names, GEN_IPADD, &addr.v6.sin6_addr, sizeof(addr.v6.sin6_addr));
}

static bool is_among(const char *name, const char *const *names, size_t num)
{
	for (size_t i = 0; i < num; i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

struct stack_st_GENERAL_NAME *naming_alternatives(const struct naming *naming)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	const char *common_name = naming->fields[NAME_FIELD_common_name];
	BUG_ON(!names);
	if (common_name)
		add_name(names, common_name);
	for (size_t i = 0; i < naming->num_names; i++)
		if (!is_among(naming->names[i], naming->names, i) &&
		    !is_among(naming->names[i], &common_name, common_name != NULL))
			add_name(names, naming->names[i]);
	return names;
}
