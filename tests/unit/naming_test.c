// naming_test.c: what may stand in a certificate's names, and what comes of it.
#include "tests/kit/check.h"

#include <openssl/x509v3.h>

#include "certs/naming.h"
#include "certs/subject.h"

static const struct {
	struct str name;
	bool is_host;
} hosts[] = {
    {{"mail.example.org", 16}, true},
    {{"localhost", 9}, true},
    {{"xn--mller-kva.example", 21}, true},
    {{"1.example", 9}, true},
    {{"192.0.2.1", 9}, true},
    {{"2001:db8::1", 11}, true},
    {{"*.example.org", 13}, true},
    {{"a-b.example", 11}, true},
    {{"", 0}, false},
    {{".", 1}, false},
    {{"*", 1}, false},
    {{"*.", 2}, false},
    {{"*.org", 5}, false},
    {{"*.*.example.org", 15}, false},
    {{"a*.example.org", 14}, false},
    {{"mail.*.org", 10}, false},
    {{"mail.example.org.", 17}, false},
    {{"Mail.example.org", 16}, false},
    {{"-a.example", 10}, false},
    {{"a-.example", 10}, false},
    {{"a_b.example", 11}, false},
    {{"a b", 3}, false},
    {{"a\0b", 3}, false},
    {{"m\xc3\xbcller.example", 15}, false},
};

static void test_hosts(void **state)
{
	(void)state;
	char room[300];
	for (size_t i = 0; i < NUM(hosts); i++)
		check(hosts[i].name, naming_is_host(hosts[i].name) == hosts[i].is_host);
	struct str label = check_fill(room, sizeof(room), 'a', 63);
	check(label, naming_is_host(label));
	label = check_fill(room, sizeof(room), 'a', 64);
	check(label, !naming_is_host(label));
	for (size_t i = 0; i < 253; i++)
		room[i] = i % 2 ? '.' : 'a';
	check(STR("253"), naming_is_host((struct str){room, 253}));
	room[253] = '.';
	room[254] = 'a';
	check(STR("255"), !naming_is_host((struct str){room, 255}));
}

static void check_field(enum name_field field, const char *value, const char *words)
{
	const char *names[] = {"a.example"};
	struct naming naming = {.names = names, .num_names = 1};
	char room[512];
	struct text why = TEXT(room);
	naming.fields[field] = value;
	check(str_of(value), naming_check(&naming, &why) == !words[0]);
	check(str_of(value), words[0] ? strstr(room, words) != NULL : !why.len);
}

static void test_fields(void **state)
{
	(void)state;
	char room[200] = "";
	check_field(NAME_FIELD_organization, "\xc3\x9cnion & Co, \"x\"", "");
	check_field(NAME_FIELD_organization, "", "is empty");
	check_field(NAME_FIELD_organization, "a\x7f", "control characters");
	check_field(NAME_FIELD_organization, "a\xc2\x85", "control characters");
	check_field(NAME_FIELD_organization, "a\xff", "UTF-8");
	check_field(NAME_FIELD_country, "DE", "");
	check_field(NAME_FIELD_country, "de", "two capital letters");
	check_field(NAME_FIELD_country, "D", "two capital letters");
	check_field(NAME_FIELD_country, "\xc3\x9c\xc3\x9c", "two capital letters");
	check_fill(room, sizeof(room), 'x', 128);
	check_field(NAME_FIELD_city, room, "");
	check_fill(room, sizeof(room), 'x', 129);
	check_field(NAME_FIELD_city, room, "longer than 128 characters");
	for (size_t i = 0; i < 64; i++) // characters count, not bytes
		memcpy(room + 2 * i, "\xc3\xa4", 3);
	check_field(NAME_FIELD_unit, room, "");
	check_field(NAME_FIELD_common_name, "mail.example.org", "");
	check_field(NAME_FIELD_common_name, "Anna", "no host name");
}

static void check_printed(const struct naming *naming, const char *subject, const char *names)
{
	char room[512];
	struct text text = TEXT(room);
	X509_NAME *name = naming_subject(naming);
	subject_print_name(name, &text);
	check_str(STR("subject"), text_str(&text), str_of(subject));
	X509_NAME_free(name);
	GENERAL_NAMES *alternatives = naming_alternatives(naming);
	text = TEXT(room);
	subject_print_names(alternatives, &text);
	check_str(STR("names"), text_str(&text), str_of(names));
	GENERAL_NAMES_free(alternatives);
}

static void test_made(void **state)
{
	(void)state;
	const char *names[] = {"b.example", "a.example", "b.example", "192.0.2.1", "2001:db8::1"};
	struct naming naming = {.names = names, .num_names = NUM(names)};
	check_printed(&naming, "(no name)", "b.example, a.example, 192.0.2.1, 2001:db8::1");
	naming.fields[NAME_FIELD_common_name] = "a.example";
	naming.fields[NAME_FIELD_country] = "DE";
	naming.fields[NAME_FIELD_organization] = "A, B";
	check_printed(
	    &naming, "CN=a.example,O=A\\, B,C=DE", "a.example, b.example, 192.0.2.1, 2001:db8::1");
}

static void test_nobody_named(void **state)
{
	(void)state;
	char room[512];
	struct text why = TEXT(room);
	struct naming naming = {.fields[NAME_FIELD_unit] = "x"};
	assert_false(naming_check(&naming, &why));
	assert_non_null(strstr(room, "which host"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_hosts),
	    cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_made),
	    cmocka_unit_test(test_nobody_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
