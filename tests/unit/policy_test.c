// policy_test.c: what is wrong with the rules of a configuration, told with
// their places; what rules cover, and which are of no use.
#include "tests/kit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policy/country.h"
#include "policy/hosts.h"
#include "policy/policies.h"
#include "policy/report.h"
#include "policy/tables.h"

enum { DAY_S = 24 * 60 * 60 };

static char folder[] = "/tmp/policy_test.XXXXXX";

// Everything that a configuration leads to; the file lies in `folder`.
struct loaded {
	struct config *config;
	struct tables *tables;
	struct hosts *hosts;
	struct policies *policies;
	struct problems problems;
};

static void load(struct loaded *loaded, struct str yaml)
{
	char room[256];
	struct text path = TEXT(room);
	text_addf(&path, "%s/popgate.conf", folder);
	problems_init(&loaded->problems);
	loaded->tables = tables_new();
	loaded->hosts = hosts_new();
	loaded->config = config_load_text(room, yaml, &loaded->problems);
	check_str(yaml, text_str(&loaded->problems.text), STR(""));
	loaded->policies =
	    policies_new(loaded->config, loaded->tables, loaded->hosts, &loaded->problems);
}

static void unload(struct loaded *loaded)
{
	policies_free(&loaded->policies);
	assert_null(loaded->policies);
	tables_free(&loaded->tables);
	hosts_close(&loaded->hosts);
	config_free(&loaded->config);
}

static void make_file(const char *name, const char *content)
{
	char room[256];
	struct text path = TEXT(room);
	text_addf(&path, "%s/%s", folder, name);
	FILE *file = fopen(room, "w");
	assert_non_null(file);
	assert_true(fputs(content, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void remove_file(const char *name)
{
	char room[256];
	struct text path = TEXT(room);
	text_addf(&path, "%s/%s", folder, name);
	assert_int_equal(unlink(room), 0);
}

static int make_folder(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	make_file("a.txt", "192.0.2.0/25\n192.0.2.128-192.0.2.255\n2001:db8::/64\n");
	make_file("none.txt", "# nothing yet\n");
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	remove_file("a.txt");
	remove_file("none.txt");
	return rmdir(folder);
}

#define BACKENDS "backends: { store: { servers: [\"127.0.0.1:110\"], tls: none } }\n"
#define LISTENERS(options)                                                                         \
	"listeners: { pop3: { bind: [\"127.0.0.1:0\"], tls: none, login: [basic], backend: store " \
	"" options " } }\n"
#define PLAIN BACKENDS LISTENERS("")
#define ASKING "resolver: { servers: [system] }\ngeoip: { asn: a.mmdb }\n"

// ---- problems -----------------------------------------------------------

static const struct {
	const char *yaml;    // comes before PLAIN
	const char *problem; // without the path
} problems[] = {
    {"policies:\n  edge:\n    rules:\n      - allow any\n      - deny contry KP\n",
        ":5:9: policy \"edge\", rule 2: \"contry\" is no kind of rule; did you mean "
        "\"country\"?\n"},
    {"policies: { edge: { rules: [deny country KP] } }\n",
        ":1:29: policy \"edge\", rule 1: country needs a database; add geoip: { country: FILE }\n"},
    {"policies: { edge: { rules: [allow continent EU] } }\ngeoip: { asn: a.mmdb }\n",
        ":1:29: policy \"edge\", rule 1: continent needs a database; add geoip: { country: FILE "
        "}\n"},
    {"policies: { edge: { rules: [deny asn 1] } }\ngeoip: { country: a.mmdb }\n",
        ":1:29: policy \"edge\", rule 1: asn needs a database; add geoip: { asn: FILE }\n"},
    {"policies: { edge: { rules: [allow domain a.example, deny host b.example] } }\n",
        ":1:29: policy \"edge\", rule 1: domain asks DNS, and there is no name server; add "
        "resolver: { servers: [system] }\n"
        ":1:53: policy \"edge\", rule 2: host asks DNS, and there is no name server; add "
        "resolver: { servers: [system] }\n"},
    {"policies: { a: { rules: [x] }, b: { rules: [allow basic any] } }\n",
        ":1:26: policy \"a\", rule 1: a rule begins with allow, deny, audit allow or audit "
        "deny, not \"x\"\n"
        ":1:45: policy \"b\", rule 1: \"basic\" is a login method; it is allowed under "
        "login_exceptions\n"},
    {"defaults: { login_exceptions: [deny any] }\n",
        ":1:32: login_exceptions, rule 1: an exception can only allow; write it as in allow "
        "basic ip 192.0.2.1\n"},
    {"defaults: { login_exceptions: [allow basic domain a.example] }\n",
        ":1:32: login_exceptions, rule 1: domain asks DNS, and there is no name server; add "
        "resolver: { servers: [system] }\n"},
};

// The texts, with the path of the file before each line.
static void check_problems(struct str row, const struct problems *found, const char *wanted)
{
	char room[4096];
	struct text text = TEXT(room);
	for (struct str line, rest = str_of(wanted); str_cut(rest, '\n', &line, &rest);)
		text_addf(&text, "%s/popgate.conf%.*s\n", folder, STR_ARG(line));
	check_str(row, text_str(&found->text), text_str(&text));
}

static void test_problems(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(problems); i++) {
		char room[4096];
		struct text yaml = TEXT(room);
		struct loaded loaded;
		text_addf(&yaml, "%s%s", problems[i].yaml, PLAIN);
		load(&loaded, text_str(&yaml));
		check_problems(text_str(&yaml), &loaded.problems, problems[i].problem);
		check(text_str(&yaml), !loaded.policies);
		unload(&loaded);
	}
}

// ---- what is made -------------------------------------------------------

static const char example[] = "geoip: { country: c.mmdb, asn: a.mmdb }\n"
                              "resolver: { servers: [\"127.0.0.1:5353\"] }\n"
                              "policies:\n"
                              "  edge:\n"
                              "    rules:\n"
                              "      - deny file a.txt\n"
                              "      - allow ip 131.107.2.0/255.255.255.0 # head office\n"
                              "      - allow range 192.0.2.10-192.0.2.40\n"
                              "      - audit deny ip 198.51.100.1\n"
                              "      - allow ip 198.51.100.0/24\n"
                              "      - allow host office.contoso.com\n"
                              "      - allow domain example.org contoso.com\n"
                              "      - audit deny asn 64511\n"
                              "      - deny country RU KP\n"
                              "      - allow continent EU\n"
                              "      - deny file a.txt\n"
                              "    default: allow\n"
                              "    on_dns_failure: allow\n"
                              "    confirm_names: false\n"
                              "  other: { rules: [allow any] }\n" BACKENDS LISTENERS(
                                  ", policy: edge, login_exceptions: [allow basic ip 10.1.2.3]");

static void test_steps(void **state)
{
	struct loaded loaded;
	(void)state;
	load(&loaded, str_of(example));
	check_str(STR("example"), text_str(&loaded.problems.text), STR(""));
	assert_int_equal(loaded.policies->num_policies, 2);
	const struct policy *edge = loaded.policies->policies[0];
	assert_string_equal(edge->title, "policy \"edge\"");
	assert_int_equal(edge->fallback, ACCESS_allow);
	assert_int_equal(edge->on_dns_failure, ACCESS_allow);
	assert_false(edge->confirm_names);
	assert_int_equal(edge->num_rules, 11);
	// Two rules about addresses are one step, and an audit stands alone.
	assert_int_equal(edge->num_steps, 10);
	assert_int_equal(edge->steps[1].first, 1);
	assert_int_equal(edge->steps[1].end, 3);
	assert_non_null(edge->steps[1].paint);
	assert_int_equal(edge->steps[2].end, 4);
	assert_null(edge->steps[0].paint);
	assert_string_equal(edge->rules[1].text, "allow ip 131.107.2.0/24");
	assert_string_equal(edge->rules[6].text, "allow domain example.org contoso.com");
	assert_string_equal(edge->rules[6].rule.names[0], "contoso.com");
	assert_int_equal(edge->rules[1].place.line, 7);
	assert_int_equal(edge->rules[1].place.column, 9);
	unload(&loaded);
}

// Both databases and each file once.
static void test_links(void **state)
{
	struct loaded loaded;
	char room[256];
	struct text path = TEXT(room);
	(void)state;
	load(&loaded, str_of(example));
	const struct policy *edge = loaded.policies->policies[0];
	assert_int_equal(tables_num(loaded.tables), 3);
	assert_int_equal(edge->rules[0].link, edge->rules[10].link);
	text_addf(&path, "%s/a.txt", folder);
	struct table_facts facts = tables_describe(loaded.tables, edge->rules[0].link);
	assert_string_equal(facts.path, room);
	assert_int_equal(facts.kind, TABLE_PREFIXES);
	assert_int_equal(tables_describe(loaded.tables, edge->rules[7].link).kind, TABLE_ASN);
	assert_int_equal(tables_describe(loaded.tables, edge->rules[9].link).kind, TABLE_COUNTRY);
	assert_int_equal(hosts_add(loaded.hosts, "office.contoso.com"), edge->rules[5].link);
	unload(&loaded);
}

static void test_exceptions(void **state)
{
	struct loaded loaded;
	(void)state;
	load(&loaded, str_of(example));
	assert_int_equal(loaded.policies->num_listeners, 1);
	const struct policy *exceptions = loaded.policies->exceptions[0];
	assert_int_equal(exceptions->num_rules, 1);
	assert_int_equal(exceptions->methods, LOGIN_METHOD_basic);
	assert_int_equal(exceptions->on_dns_failure, ACCESS_deny);
	assert_true(exceptions->confirm_names);
	unload(&loaded);
	load(&loaded, STR(PLAIN));
	assert_null(loaded.policies->exceptions[0]);
	assert_int_equal(tables_num(loaded.tables), 0);
	unload(&loaded);
}

// A rule's text is cut between its arguments.
static void test_long_text(void **state)
{
	char room[4096];
	struct text yaml = TEXT(room);
	struct loaded loaded;
	(void)state;
	text_addf(&yaml, "policies: { edge: { rules: [deny country");
	for (int i = 0; i < 100; i++)
		text_addf(&yaml, " DE");
	text_addf(&yaml, "] } }\ngeoip: { country: c.mmdb }\n" PLAIN);
	load(&loaded, text_str(&yaml));
	const char *text = loaded.policies->policies[0]->rules[0].text;
	assert_in_range(strlen(text), 190, 199);
	assert_string_equal(text + strlen(text) - 7, " DE ...");
	unload(&loaded);
}

// ---- the report ---------------------------------------------------------

struct printed {
	char *lines;
	struct problems warnings;
};

// No database is there, and no row needs what is in it.
static void on_news(void *context, enum tables_news news, size_t index, struct str why)
{
	(void)context;
	(void)news;
	(void)index;
	check(why, str_has_nocase(why, STR(".mmdb")));
}

static struct printed *report_on(
    const struct policy *policy, const struct tables *tables, time_t now)
{
	struct printed *printed = calloc(1, sizeof(*printed));
	size_t len;
	FILE *out = open_memstream(&printed->lines, &len);
	problems_init(&printed->warnings);
	policy_report(policy, tables, now, out, &printed->warnings);
	fclose(out);
	return printed;
}

static void printed_free(struct printed *printed)
{
	free(printed->lines);
	free(printed);
}

static const struct {
	const char *rules; // of a policy, as YAML
	const char *lines, *warnings;
} reports[] = {
    {"[deny file a.txt, allow ip 131.107.2.0/255.255.255.252, allow range 192.0.2.10-192.0.2.40,"
     " allow host a.example, allow domain example.org]",
        "  rule 1, 256 IPv4 addresses and 2^64 IPv6 addresses: deny file a.txt\n"
        "  rule 2, 4 IPv4 addresses: allow ip 131.107.2.0/30\n"
        "  rule 3, 31 IPv4 addresses: allow range 192.0.2.10-192.0.2.40\n"
        "  rule 4, by name: allow host a.example\n"
        "  rule 5, by name: allow domain example.org\n",
        "rule 3 (allow range 192.0.2.10-192.0.2.40) can never match: rule 1 covers it\n"},
    {"[allow ip 192.0.2.1 192.0.2.0/31 ::1, deny file none.txt, allow any]",
        "  rule 1, 2 IPv4 addresses and 1 IPv6 address: allow ip 192.0.2.1 192.0.2.0/31 ::1\n"
        "  rule 2, no address: deny file none.txt\n"
        "  rule 3, every address: allow any\n",
        ""},
    // Covered together; by something in between; not quite.
    {"[deny ip 10.0.0.0/9, allow ip 192.0.2.1, deny ip 10.128.0.0/9, allow ip 10.0.0.0/8]", NULL,
        "rule 4 (allow ip 10.0.0.0/8) can never match: rules 1 to 3 together cover it\n"},
    {"[deny ip 10.0.0.0/9, allow domain a.example, deny ip 10.128.0.0/9 10.0.0.0/24,"
     " allow ip 10.1.0.0/16 10.200.0.0/16]",
        NULL,
        "rule 4 (allow ip 10.1.0.0/16 10.200.0.0/16) can never match: rules 1 to 3 together "
        "cover it\n"},
    {"[deny ip 10.0.0.0/9, allow ip 10.0.0.0/8]", NULL, ""},
    {"[allow ip ::/0, allow ip 192.0.2.1]", NULL, ""},
    {"[allow ip ::/0 0.0.0.0/0, audit deny domain a.example]", NULL,
        "rule 2 (audit deny domain a.example) can never match: rule 1 covers it\n"},
    {"[allow ip 0.0.0.0/1, allow ip ::/0 128.0.0.0/1, deny any]", NULL,
        "rule 3 (deny any) can never match: rules 1 to 2 together cover it\n"},
    {"[allow any, deny host a.example, deny any]", NULL,
        "rule 2 (deny host a.example) can never match: rule 1 covers it\n"
        "rule 3 (deny any) can never match: rule 1 covers it\n"},
    {"[deny file a.txt, allow ip 198.51.100.1, deny file a.txt]", NULL,
        "rule 3 (deny file a.txt) can never match: rule 1 covers it\n"},
    // What hides nothing.
    {"[audit deny ip 10.0.0.0/8, allow ip 10.0.0.0/8]", NULL, ""},
    {"[deny ip 10.0.0.0/8 until 2999-01-01, allow ip 10.0.0.0/8]", NULL, ""},
    {"[audit deny any, allow ip 10.0.0.0/8]", NULL, ""},
    // Names.
    {"[allow domain example.org com, deny domain x.example.org, allow domain mail.example.org"
     " a.com]",
        NULL, "rule 3 (allow domain mail.example.org a.com) can never match: rule 1 covers it\n"},
    {"[deny domain a.org, deny domain b.org, allow domain x.b.org x.a.org]", NULL,
        "rule 3 (allow domain x.b.org x.a.org) can never match: rules 1 to 2 together cover "
        "it\n"},
    {"[allow domain badexample.org, allow domain example.org]", NULL, ""},
    {"[allow host a.example, deny host a.example]", NULL,
        "rule 2 (deny host a.example) can never match: rule 1 covers it\n"},
    {"[allow host a.example, allow domain a.example]", NULL, ""},
    // Numbers.
    {"[allow asn 1 2, deny asn 2]", NULL,
        "rule 2 (deny asn 2) can never match: rule 1 covers it\n"},
    {"[allow asn 1 2, deny asn 2 3, allow asn 4]", NULL, ""},
    // All that follows says so too.
    {"[deny ip 10.0.0.0/8, allow ip 192.0.2.1, deny domain a.example, deny ip 192.0.2.2, deny"
     " any]",
        NULL,
        "rule 3 (deny domain a.example) changes nothing: all that follows says deny too\n"
        "rule 4 (deny ip 192.0.2.2) changes nothing: all that follows says deny too\n"},
    {"[deny ip 10.0.0.0/8, audit allow any]", NULL, ""},
};

// The warnings without the place and the policy's name, which all of them have.
static void check_warnings(struct str row, const struct problems *warnings, const char *wanted)
{
	char room[4096];
	struct text found = TEXT(room);
	for (struct str line, rest = text_str(&warnings->text);
	     str_cut(rest, '\n', &line, &rest);) {
		while (line.len && !str_starts_nocase(line, STR(", rule ")))
			line = str_drop(line, 1);
		text_addf(&found, "%.*s\n", STR_ARG(str_drop(line, 2)));
	}
	check_str(row, text_str(&found), str_of(wanted));
}

static void test_reports(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(reports); i++) {
		char room[4096];
		struct text yaml = TEXT(room);
		struct loaded loaded;
		struct str row = str_of(reports[i].rules);
		text_addf(&yaml, "policies: { edge: { rules: %s } }\n" ASKING PLAIN, row.at);
		load(&loaded, text_str(&yaml));
		check_str(row, text_str(&loaded.problems.text), STR(""));
		check(row, !tables_load(loaded.tables, on_news, NULL));
		struct printed *printed =
		    report_on(loaded.policies->policies[0], loaded.tables, time(NULL));
		if (reports[i].lines)
			check_str(row, str_of(printed->lines), str_of(reports[i].lines));
		check_warnings(row, &printed->warnings, reports[i].warnings);
		printed_free(printed);
		unload(&loaded);
	}
}

static void add(struct table_builder *builder, const char *range_text, uint32_t value)
{
	char room[256];
	struct text why = TEXT(room);
	struct addr_range range;
	assert_true(range_parse(str_of(range_text), &range, &why));
	assert_true(table_builder_add(builder, &range, value, &why));
}

// The databases of the example, in the order in which they are added.
static void put_databases(struct tables *tables)
{
	for (uint32_t slot = 0; slot < 2; slot++) {
		char room[256];
		struct text why = TEXT(room);
		struct table_builder *builder = table_builder_new(slot, &why);
		uint32_t europe = country_code("EU"), asia = country_code("AS");
		add(builder, "192.0.2.0/24", slot ? 64511 : country_code("DE") << 16 | europe);
		add(builder, "192.0.3.0/25", slot ? 1 : country_code("RU") << 16 | europe);
		add(builder, "2001:db8::/48", slot ? 2 : country_code("KP") << 16 | asia);
		struct table *table = table_build(builder, &why);
		assert_true(tables_take(tables, dup(table_fd(table)), &why));
		table_free(&table);
		table_builder_free(&builder);
	}
}

static void test_report_on_databases(void **state)
{
	struct loaded loaded;
	(void)state;
	load(&loaded, str_of(example));
	put_databases(loaded.tables);
	struct printed *printed =
	    report_on(loaded.policies->policies[0], loaded.tables, time(NULL));
	const char *lines = strstr(printed->lines, "  rule 8");
	assert_string_equal(lines,
	    "  rule 8, 256 IPv4 addresses: audit deny asn 64511\n"
	    "  rule 9, 128 IPv4 addresses and 2^80 IPv6 addresses: deny country RU KP\n"
	    "  rule 10, 384 IPv4 addresses: allow continent EU\n"
	    "  rule 11, no address: deny file a.txt\n");
	printed_free(printed);
	unload(&loaded);
}

// A rule of which the last second is NOW - 1 + seconds.
static const struct {
	long seconds;
	const char *warnings;
} ends[] = {
    {0, "rule 1 (allow any until 2027-06-30) has expired; remove it, or give it a later day\n"},
    {-DAY_S,
        "rule 1 (allow any until 2027-06-30) has expired; remove it, or give it a later day\n"},
    {1, "rule 1 (allow any until 2027-06-30) expires within a day\n"},
    {DAY_S, "rule 1 (allow any until 2027-06-30) expires within a day\n"},
    {DAY_S + 1, "rule 1 (allow any until 2027-06-30) expires in 2 days\n"},
    {30L * DAY_S, "rule 1 (allow any until 2027-06-30) expires in 30 days\n"},
    {30L * DAY_S + 1, ""},
};

static void test_ends(void **state)
{
	struct loaded loaded;
	(void)state;
	load(&loaded, STR("policies: { edge: { rules: [allow any until 2027-06-30] } }\n" PLAIN));
	const struct policy *policy = loaded.policies->policies[0];
	for (size_t i = 0; i < NUM(ends); i++) {
		time_t now = policy->rules[0].rule.until - ends[i].seconds;
		struct printed *printed = report_on(policy, loaded.tables, now);
		check_warnings(str_of(ends[i].warnings), &printed->warnings, ends[i].warnings);
		printed_free(printed);
	}
	unload(&loaded);
}

static void test_report_on_exceptions(void **state)
{
	struct loaded loaded;
	(void)state;
	load(&loaded, STR(BACKENDS LISTENERS(
	                  ", login_exceptions: [allow basic ip 10.1.2.3, allow basic-tls any, "
	                  "\"allow basic,basic-tls any\"]")));
	struct printed *printed =
	    report_on(loaded.policies->exceptions[0], loaded.tables, time(NULL));
	assert_string_equal(printed->lines, "  rule 1, 1 IPv4 address: allow basic ip 10.1.2.3\n"
	                                    "  rule 2, every address: allow basic-tls any\n"
	                                    "  rule 3, every address: allow basic,basic-tls any\n");
	check_warnings(STR("exceptions"), &printed->warnings,
	    "rule 1 (allow basic ip 10.1.2.3) changes nothing: everybody may log in so here\n");
	printed_free(printed);
	unload(&loaded);
}

// Rules of a list that somebody made by hand, each an address.
static void test_many_rules(void **state)
{
	enum { RULES = 900 };
	char *room = malloc(RULES * 40 + 1024);
	struct text yaml = text_in(room, RULES * 40 + 1024);
	struct loaded loaded;
	(void)state;
	text_addf(&yaml, "policies: { edge: { rules: [allow ip 10.255.0.0");
	for (unsigned i = 0; i < RULES; i++)
		text_addf(&yaml, ", deny ip 10.%u.%u.0/24", i >> 8, i & 255);
	text_addf(&yaml, ", deny ip 10.1.7.9], default: allow } }\n" PLAIN);
	load(&loaded, text_str(&yaml));
	const struct policy *policy = loaded.policies->policies[0];
	assert_int_equal(policy->num_steps, 1);
	struct printed *printed = report_on(policy, loaded.tables, time(NULL));
	struct str last = text_str(&printed->warnings.text);
	assert_true(str_has_nocase(last, STR("rule 902 (deny ip 10.1.7.9) can never match: "
	                                     "rule 265 covers it")));
	printed_free(printed);
	unload(&loaded);
	free(room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_problems),
	    cmocka_unit_test(test_steps),
	    cmocka_unit_test(test_links),
	    cmocka_unit_test(test_exceptions),
	    cmocka_unit_test(test_long_text),
	    cmocka_unit_test(test_reports),
	    cmocka_unit_test(test_report_on_databases),
	    cmocka_unit_test(test_ends),
	    cmocka_unit_test(test_report_on_exceptions),
	    cmocka_unit_test(test_many_rules),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
