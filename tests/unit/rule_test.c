// rule_test.c: rules as administrators write them, what is made of them, and in
// which words the others are refused.
#include "tests/kit/check.h"

#include <stdlib.h>
#include <time.h>

#include "policy/domain.h"
#include "policy/rule.h"

// What is written, and how it is printed.
static const struct {
	const char *text;
	const char *printed;
} rules[] = {
    {"allow any", "allow any"},
    {"  deny   any  ", "deny any"},
    {"allow ip 192.0.2.1", "allow ip 192.0.2.1"},
    {"allow ip 131.107.2.0/255.255.255.0", "allow ip 131.107.2.0/24"},
    {"deny ip 192.0.2.1 198.51.100.0/24 2001:DB8::/32",
        "deny ip 192.0.2.1 198.51.100.0/24 2001:db8::/32"},
    {"allow ip ::ffff:192.0.2.1", "allow ip 192.0.2.1"},
    {"allow range 192.0.2.10-192.0.2.40", "allow range 192.0.2.10-192.0.2.40"},
    {"allow range 192.0.2.0-192.0.2.255", "allow range 192.0.2.0/24"},
    {"deny file banned.txt", "deny file banned.txt"},
    {"deny file \"the banned.txt\" because they spam",
        "deny file \"the banned.txt\" because they spam"},
    {"deny file \"until\"", "deny file \"until\""},
    {"deny domain until.", "deny domain \"until\""},
    {"allow host Office.Contoso.COM", "allow host office.contoso.com"},
    {"allow domain contoso.com", "allow domain contoso.com"},
    {"allow domain CONTOSO.com. b\xc3\xbc"
     "cher.example",
        "allow domain contoso.com xn--bcher-kva.example"},
    {"allow domain B\xc3\x9c"
     "CHER.example",
        "allow domain xn--bcher-kva.example"},
    {"allow domain xn--bcher-kva.example r3---sn.example _spf.example com",
        "allow domain xn--bcher-kva.example r3---sn.example _spf.example com"},
    {"deny country kp RU", "deny country KP RU"},
    {"allow continent EU na", "allow continent EU NA"},
    {"audit deny asn AS64511 4294967295", "audit deny asn 64511 4294967295"},
    {"audit allow any", "audit allow any"},
    {"allow ip 192.0.2.1 until 2027-06-30", "allow ip 192.0.2.1 until 2027-06-30"},
    {"allow any until 2028-02-29 because leap  year until 2001-01-01",
        "allow any until 2028-02-29 because leap  year until 2001-01-01"},
    {"deny any because \"enough\"", "deny any because \"enough\""},
};

static const struct {
	const char *text;
	const char *why; // the beginning of it
} refusals[] = {
    {"", "write a rule as in allow ip 192.0.2.0/24"},
    {"audit", "write a rule as in"},
    {"alow any", "a rule begins with allow, deny, audit allow or audit deny, not \"alow\"; did you "
                 "mean \"allow\"?"},
    {"audit permit any",
        "a rule begins with allow, deny, audit allow or audit deny, not \"permit\""},
    {"allow", "it does not say whom; write one of ip, range, file, host, domain, country, "
              "continent, asn, any"},
    {"deny contry KP", "\"contry\" is no kind of rule; did you mean \"country\"?"},
    {"deny everything", "\"everything\" is no kind of rule; there are ip, range"},
    {"allow \"ip\" 192.0.2.1", "\"ip\" is no kind of rule"},
    {"allow basic ip 192.0.2.1",
        "\"basic\" is a login method; it is allowed under login_exceptions"},
    {"allow ip", "ip needs addresses or networks, as in ip 192.0.2.1"},
    {"allow ip until 2027-06-30", "ip needs addresses or networks"},
    {"allow ip 192.0.2.1, 192.0.2.2", "\"192.0.2.1,\" has a comma; put spaces between arguments"},
    {"allow ip 192.0.2.1-192.0.2.9",
        "\"192.0.2.1-192.0.2.9\" is a range; write range 192.0.2.1-192.0.2.9"},
    {"allow ip 192.0.2.1/24", "192.0.2.1/24 has bits beyond its mask; write 192.0.2.0/24"},
    {"allow ip contoso.com", "\"contoso.com\" is no address"},
    {"allow range 192.0.2.9-192.0.2.1", "the range ends before it begins"},
    {"deny file", "file needs the name of a file"},
    {"deny file a b", "\"b\" is more than file takes: the name of a file"},
    {"deny file \"a b", "\"\"a\" is no file name; quotes stand around the whole of it"},
    {"deny file \"\"", "\"\" is no file name"},
    {"deny file a\"b", "\"a\"b\" is no file name"},
    {"allow host a.example b.example", "\"b.example\" is more than host takes: the name of a host"},
    {"allow host 192.0.2.1",
        "\"192.0.2.1\" is no name: it ends in a number; addresses have the kind ip"},
    {"allow domain .contoso.com",
        "\".contoso.com\" is no name: a domain has all names below it; write \"contoso.com\""},
    {"allow domain *.contoso.com",
        "\"*.contoso.com\" is no name: a domain has all names below it; write \"contoso.com\""},
    {"allow domain a..b", "\"a..b\" is no name: it has an empty label"},
    {"allow domain a!.b",
        "\"a!.b\" is no name: \"a!\" has other characters than letters, digits, - and _"},
    {"allow domain \"a b\"", "\"a b\" is no name: \"a b\" has other characters"},
    {"allow domain a\xff", "\"a\xff\" is no name: string encoding error"},
    {"allow domain a\xc3\xbc!.b", "\"a\xc3\xbc!.b\" is no name: "},
    {"deny country UK", "\"UK\" is no country; the United Kingdom is GB"},
    {"deny country EU", "\"EU\" is no country; Europe is a continent, write \"continent EU\""},
    {"deny country Germany",
        "\"Germany\" is no country; a country has the two letters of ISO 3166"},
    {"deny country XX", "\"XX\" is no country"},
    {"deny continent ZZ", "\"ZZ\" is no continent; there are AF, AN, AS, EU, NA, OC and SA"},
    {"deny asn AS", "\"AS\" is no number of an autonomous system"},
    {"deny asn 0", "\"0\" is no number of an autonomous system"},
    {"deny asn 4294967296", "\"4294967296\" is no number of an autonomous system"},
    {"allow any 192.0.2.1", "\"192.0.2.1\" is more than any takes: nothing"},
    {"allow any until", "until needs the last day, as in until 2027-06-30, not \"\""},
    {"allow any until 2027-02-29", "until needs the last day"},
    {"allow any until 2027-6-30", "until needs the last day"},
    {"allow any until 2027-06-00", "until needs the last day"},
    {"allow any until 1970-01-01", "until needs the last day"},
    {"allow any until 2027-06-30 2028-06-30", "\"2028-06-30\" stands where the rule should end"},
    {"allow any because", "because needs a reason"},
    {"allow any because a\nb", "it has a control character"},
    {"allow\tany", "it has a control character; put spaces between words"},
};

static const struct {
	const char *text;
	const char *printed; // "" when it is refused
	unsigned methods;
	const char *why;
} exceptions[] = {
    {"allow basic ip 10.1.2.3 until 2027-06-30 because old scanner, facilities",
        "allow basic ip 10.1.2.3 until 2027-06-30 because old scanner, facilities",
        LOGIN_METHOD_basic, ""},
    {"allow basic-tls,basic domain example.org", "allow basic,basic-tls domain example.org",
        LOGIN_METHOD_basic | LOGIN_METHOD_basic_tls, ""},
    {"", "", 0, "write an exception as in allow basic ip 192.0.2.1"},
    {"allow", "", 0,
        "\"\" is no login method; there are basic, basic-tls, ntlm, ntlm-tls, digest, digest-tls, "
        "external, ntlm2, ntlm-v1, legacy-tls"},
    {"deny basic any", "", 0, "an exception can only allow"},
    {"audit allow basic any", "", 0, "an exception can only allow"},
    {"allow ip 10.1.2.3", "", 0,
        "\"ip\" is no login method; there are basic, basic-tls, ntlm, ntlm-tls, digest, "
        "digest-tls, external, ntlm2, ntlm-v1, legacy-tls, and an exception is written as "
        "in allow basic ip 192.0.2.1"},
    {"allow baisc any", "", 0, "\"baisc\" is no login method; did you mean \"basic\"?"},
    {"allow basic, any", "", 0, "\"\" is no login method"},
    {"allow basic,membership any", "", 0, "membership: this version of popgate cannot"},
    {"allow ntlm-v1,ntlm any", "allow ntlm,ntlm-v1 any", LOGIN_METHOD_ntlm | LOGIN_METHOD_ntlm_v1,
        ""},
};

static void check_printed(struct str row, const struct rule *rule, const char *wanted)
{
	char room[1024];
	struct text printed = TEXT(room);
	rule_print(rule, &printed);
	check_str(row, text_str(&printed), str_of(wanted));
}

static void check_refused(struct str row, bool is_exception, const char *wanted)
{
	char room[1024];
	struct text why = TEXT(room);
	struct rule rule;
	check(row, !rule_parse(row, is_exception, &rule, &why));
	check(row, !why.truncated);
	check_str(row, str_take(text_str(&why), strlen(wanted)), str_of(wanted));
	check(row, !rule.num && !rule.names && !rule.ranges && !rule.numbers && !rule.because);
}

static void check_read(struct str row, bool is_exception, struct rule *rule)
{
	char room[1024];
	struct text why = TEXT(room);
	bool sound = rule_parse(row, is_exception, rule, &why);
	check_str(row, text_str(&why), STR(""));
	check(row, sound);
}

static void test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rules); i++) {
		struct str row = str_of(rules[i].text);
		struct rule rule;
		check_read(row, false, &rule);
		check(row, !rule.methods);
		check_printed(row, &rule, rules[i].printed);
		rule_done(&rule);
		check_read(str_of(rules[i].printed), false, &rule);
		check_printed(row, &rule, rules[i].printed);
		rule_done(&rule);
		rule_done(&rule); // has become empty
	}
}

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(refusals); i++)
		check_refused(str_of(refusals[i].text), false, refusals[i].why);
}

static void test_exceptions(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(exceptions); i++) {
		struct str row = str_of(exceptions[i].text);
		struct rule rule;
		if (*exceptions[i].why) {
			check_refused(row, true, exceptions[i].why);
			continue;
		}
		check_read(row, true, &rule);
		check(row, rule.methods == exceptions[i].methods);
		check(row, rule.verdict == ACCESS_allow && !rule.is_audit);
		check_printed(row, &rule, exceptions[i].printed);
		rule_done(&rule);
	}
}

static void test_parts(void **state)
{
	struct rule rule;
	(void)state;
	check_read(STR("audit deny country KP RU because embargo"), false, &rule);
	assert_int_equal(rule.kind, RULE_country);
	assert_int_equal(rule.verdict, ACCESS_deny);
	assert_true(rule.is_audit);
	assert_int_equal(rule.num, 2);
	assert_int_equal(rule.numbers[1], 'R' << 8 | 'U');
	assert_int_equal(rule.until, 0);
	assert_string_equal(rule.because, "embargo");
	rule_done(&rule);
	assert_string_equal(rule_kind_name(RULE_continent), "continent");
}

#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"

// The last day counts to its end, in local time, also when the clock is changed
// that day.
static void test_until(void **state)
{
	static const struct {
		const char *zone, *text;
		time_t until;
	} days[] = {
	    {"UTC0", "allow any until 2027-06-30", 1814400000},
	    {BERLIN, "allow any until 2027-06-30", 1814400000 - 2 * 3600},
	    {BERLIN, "allow any until 2027-10-31", 1825023600},
	    {"EST5", "allow any until 2027-12-31", 1830315600},
	};
	(void)state;
	for (size_t i = 0; i < NUM(days); i++) {
		struct str row = str_of(days[i].text);
		struct rule rule;
		setenv("TZ", days[i].zone, 1);
		tzset();
		check_read(row, false, &rule);
		check(row, rule.until == days[i].until);
		check_printed(row, &rule, days[i].text);
		rule_done(&rule);
	}
	unsetenv("TZ");
	tzset();
}

static void test_many_arguments(void **state)
{
	char room[10000];
	struct text text = TEXT(room), why = TEXT((char[256]){0});
	struct rule rule;
	(void)state;
	text_addf(&text, "allow asn");
	for (unsigned i = 1; i <= 1000; i++)
		text_addf(&text, " %u", i);
	assert_true(rule_parse(text_str(&text), false, &rule, &why));
	assert_int_equal(rule.num, 1000);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(rule.numbers[i], i + 1);
	rule_done(&rule);
}

static const struct {
	const char *domain, *name;
	bool contains;
} containments[] = {
    {"contoso.com", "contoso.com", true},
    {"contoso.com", "mail.contoso.com", true},
    {"contoso.com", "a.b.CONTOSO.Com", true},
    {"contoso.com", "mail.contoso.com.", true},
    {"contoso.com", "evilcontoso.com", false},
    {"contoso.com", "contoso.com.evil.example", false},
    {"contoso.com", "com", false},
    {"contoso.com", "", false},
    {"contoso.com", ".", false},
    {"com", "contoso.com", true},
    {"com", "com", true},
};

static void test_containments(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(containments); i++) {
		struct str row = str_of(containments[i].name);
		char *domains[] = {str_dup(str_of(containments[i].domain))};
		check(row, domain_contains(str_of(domains[0]), row) == containments[i].contains);
		const char *found = domain_find(domains, 1, row);
		check(row, found == (containments[i].contains ? domains[0] : NULL));
		free(domains[0]);
	}
}

static void test_find_domain(void **state)
{
	char room[300];
	static char *domains[] = {(char *)"org", (char *)"example.org", (char *)"a.example.org",
	    (char *)"example.com", (char *)"b"};
	(void)state;
	domain_sort(domains, NUM(domains));
	domain_sort(NULL, 0);
	assert_string_equal(
	    domain_find(domains, NUM(domains), STR("x.a.example.org")), "a.example.org");
	assert_string_equal(
	    domain_find(domains, NUM(domains), STR("xa.example.org.")), "example.org");
	assert_string_equal(domain_find(domains, NUM(domains), STR("Example.ORG")), "example.org");
	assert_string_equal(domain_find(domains, NUM(domains), STR("w3.org")), "org");
	assert_null(domain_find(domains, NUM(domains), STR("com")));
	assert_null(domain_find(domains, NUM(domains), STR("bb")));
	assert_null(domain_find(domains, 0, STR("org")));
	struct str longest = check_fill(room, sizeof(room), 'a', 260);
	assert_null(domain_find(domains, NUM(domains), longest));
}

static const struct {
	const char *name, *read, *reason;
} hosts[] = {
    {"Mail.Example.org.", "mail.example.org", ""},
    {"m\xc3\xbcller.example", "xn--mller-kva.example", ""},
    {"999.1.1.1", NULL,
        "\"999.1.1.1\" is no name: it ends in a number; only addresses do, and it is none"},
    {"..", NULL, "\"..\" is no name: it has an empty label; there is one dot between two labels"},
    {".a.example", NULL,
        "\".a.example\" is no name: it has an empty label; there is one dot "
        "between two labels"},
    {"*.a.example", NULL,
        "\"*.a.example\" is no name: \"*\" has other characters than letters, digits, - and _"},
};

// No host is told how to write a rule.
static void test_hosts(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(hosts); i++) {
		char room[512] = "";
		struct text why = TEXT(room);
		struct str row = str_of(hosts[i].name);
		char *read = domain_read_host(row, &why);
		check(row, !read == !hosts[i].read && (!read || !strcmp(read, hosts[i].read)));
		check_str(row, text_str(&why), str_of(hosts[i].reason));
		free(read);
	}
}

static void check_name(struct str name, bool sound)
{
	char room[512];
	struct text why = TEXT(room);
	char *read = domain_read(name, &why);
	check(name, (read != NULL) == sound && !why.truncated && !read == !!why.len);
	free(read);
}

static void test_long_names(void **state)
{
	char room[256], *at = room;
	(void)state;
	for (size_t i = 0; i < 4; i++, at += 64)
		memset(memset(at, '.', 64), 'a', 63);
	check_name((struct str){room, 63}, true);
	check_name((struct str){room, 253}, true);
	check_name((struct str){room, 254}, false);
	room[63] = 'a';
	check_name((struct str){room, 64}, false);
	check_name(STR("a\0b.example"), false);
	check_name(STR(""), false);
	check_name(STR("."), false);
	check_name(STR("..."), false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_exceptions),
	    cmocka_unit_test(test_parts),
	    cmocka_unit_test(test_until),
	    cmocka_unit_test(test_many_arguments),
	    cmocka_unit_test(test_containments),
	    cmocka_unit_test(test_find_domain),
	    cmocka_unit_test(test_hosts),
	    cmocka_unit_test(test_long_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
