// geoip_test.c: databases made by MaxMind's own writer become tables that say
// the same, and damaged ones a reason, whatever is wrong with them.
#include "tests/kit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/geoip.h"

enum { SLOT = 5, BUILT = 1700000000, DAMAGES = 1500, FILE_MAX = 64 * 1024, WHY = 1024 };

static char folder[] = "/tmp/geoip_test.XXXXXX";
static char path[sizeof(folder) + 16];

static int make_folder(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	struct text text = TEXT(path);
	text_addf(&text, "%s/a.mmdb", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

// In a child, which reads its lines from `lines`.
static _Noreturn void write_database(const char *kind, const char *option, int lines)
{
	char room[32];
	struct text built = TEXT(room);
	text_addf(&built, "built=%d", BUILT);
	dup2(lines, STDIN_FILENO);
	execlp("perl", "perl", "tests/system/mmdb.pl", path, kind, room, option, NULL);
	_exit(127);
}

// By the script that comes with the test's data; the option may be NULL.
static void make(const char *kind, const char *option, const char *content)
{
	int lines = memfd_create("lines", MFD_CLOEXEC), status;
	assert_int_equal(write(lines, content, strlen(content)), strlen(content));
	assert_int_equal(lseek(lines, 0, SEEK_SET), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		write_database(kind, option, lines);
	close(lines);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status)
		fail_msg("tests/system/mmdb.pl failed; is libmaxmind-db-writer-perl installed?");
}

static struct table *load(enum geoip_kind kind, char why_room[WHY])
{
	struct text why = text_in(why_room, WHY);
	struct table *table = geoip_load(kind, path, SLOT, &why);
	assert_true(!table == !!why.len);
	return table;
}

static struct table *load_good(enum geoip_kind kind)
{
	char why[WHY];
	struct table *table = load(kind, why);
	assert_string_equal(why, "");
	assert_int_equal(table_slot(table), SLOT);
	assert_int_equal(table_built(table), BUILT);
	return table;
}

static uint32_t find(const struct table *table, const char *addr_text)
{
	struct addr addr;
	assert_true(addr_parse(str_of(addr_text), 1, &addr));
	return table_find(table, &addr);
}

// ---- country ------------------------------------------------------------

static const char country_lines[] = "10.0.0.0/8 KP AS\n"
                                    "10.1.0.0/16 US NA\n"
                                    "10.1.2.3/32 FR EU DE\n"
                                    "198.51.100.0/24 - EU\n"
                                    "203.0.113.0/24 - - DE\n"
                                    "203.0.112.0/24 europe Europe\n"
                                    "255.255.255.255/32 ZZ AN\n"
                                    "2001:db8::/32 SE EU\n"
                                    "2001:db8::1/128 NO EU\n"
                                    "8000::/1 AQ AN\n";

static const struct {
	const char *addr, *country, *continent;
} places[] = {
    {"10.0.0.0", "KP", "AS"},
    {"10.255.255.255", "KP", "AS"},
    {"10.1.0.0", "US", "NA"},
    {"10.1.2.3", "FR", "EU"},
    {"10.1.2.4", "US", "NA"},
    {"9.255.255.255", "", ""},
    {"11.0.0.0", "", ""},
    {"198.51.100.7", "", "EU"},
    {"203.0.113.7", "DE", ""}, // where it is registered is better than nothing
    {"203.0.112.7", "", ""},
    {"255.255.255.255", "ZZ", "AN"},
    {"::ffff:10.1.2.3", "FR", "EU"},
    {"2001:db8::", "SE", "EU"},
    {"2001:db8::1", "NO", "EU"},
    {"2001:db8::2", "SE", "EU"},
    {"2001:db9::", "", ""},
    {"::1", "", ""},
    {"::10.1.2.3", "", ""},
    {"2002:a01:203::1", "", ""}, // 6to4 of 10.1.2.3
    {"2001:0:a01:203::1", "", ""},
    {"ffff::", "AQ", "AN"},
};

static void check_places(const struct table *table, bool has_v6)
{
	for (size_t i = 0; i < NUM(places); i++) {
		char country[GEOIP_CODE_SIZE], continent[GEOIP_CODE_SIZE];
		struct addr addr;
		assert_true(addr_parse(str_of(places[i].addr), 1, &addr));
		if (addr.any.sa_family == AF_INET6 && !has_v6)
			continue;
		uint32_t value = table_find(table, &addr);
		bool has_country = geoip_country(value, country);
		bool has_continent = geoip_continent(value, continent);
		check_str(str_of(places[i].addr), str_of(country), str_of(places[i].country));
		check_str(str_of(places[i].addr), str_of(continent), str_of(places[i].continent));
		check(str_of(places[i].addr), has_country == !!country[0]);
		check(str_of(places[i].addr), has_continent == !!continent[0]);
	}
}

static void test_country(void **state)
{
	static const char *const sizes[] = {"record_size=24", "record_size=28", "record_size=32"};
	(void)state;
	for (size_t i = 0; i < NUM(sizes); i++) {
		make("country", sizes[i], country_lines);
		struct table *table = load_good(GEOIP_COUNTRY);
		check_places(table, true);
		table_free(&table);
	}
}

static void test_country_of_ipv4_only(void **state)
{
	char lines[sizeof(country_lines)];
	(void)state;
	memcpy(lines, country_lines, sizeof(lines));
	*strstr(lines, "2001:") = '\0';
	make("country", "ip_version=4", lines);
	struct table *table = load_good(GEOIP_COUNTRY);
	check_places(table, false);
	assert_int_equal(find(table, "2001:db8::1"), 0);
	table_free(&table);
}

// One answer for more than IPv4, and so for all of it.
static void test_everywhere(void **state)
{
	char code[GEOIP_CODE_SIZE];
	(void)state;
	make("country", NULL, "::/1 FR EU\n");
	struct table *table = load_good(GEOIP_COUNTRY);
	assert_true(geoip_country(find(table, "0.0.0.0"), code));
	assert_string_equal(code, "FR");
	assert_true(geoip_country(find(table, "255.255.255.255"), code));
	assert_true(geoip_country(find(table, "7fff::"), code));
	assert_false(geoip_country(find(table, "8000::"), code));
	assert_int_equal(table_size(table).num_v4, UINT64_C(1) << 32);
	table_free(&table);
}

static void test_asn(void **state)
{
	(void)state;
	make("asn", NULL,
	    "10.0.0.0/8 64511\n10.2.0.0/15 4294967295\n2001:db8::/32 1\n192.0.2.0/24 0\n");
	struct table *table = load_good(GEOIP_ASN);
	assert_int_equal(find(table, "10.0.0.1"), 64511);
	assert_int_equal(find(table, "10.3.255.255"), 4294967295);
	assert_int_equal(find(table, "10.4.0.0"), 64511);
	assert_int_equal(find(table, "2001:db8::7"), 1);
	assert_int_equal(find(table, "192.0.2.1"), 0);
	assert_int_equal(find(table, "2001:db9::7"), 0);
	table_free(&table);
}

// ---- what cannot be used ------------------------------------------------

static void expect_why(enum geoip_kind kind, const char *part)
{
	char why[WHY];
	struct table *table = load(kind, why);
	assert_null(table);
	check(str_of(why), str_starts_nocase(str_of(why), str_of(path)));
	if (!strstr(why, part))
		check_str(str_of(part), str_of(why), str_of(part));
}

static struct str read_file(void)
{
	static char bytes[FILE_MAX];
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	size_t len = fread(bytes, 1, sizeof(bytes), file);
	assert_true(len < sizeof(bytes));
	fclose(file);
	return (struct str){bytes, len};
}

static void write_file(struct str bytes)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes.at, 1, bytes.len, file), bytes.len);
	assert_int_equal(fclose(file), 0);
}

static void test_other_kinds(void **state)
{
	(void)state;
	make("asn", NULL, "10.0.0.0/8 64511\n");
	expect_why(GEOIP_COUNTRY, "no address in it has a country or continent; it says that it is "
	                          "of the type \"GeoLite2-ASN\"");
	make("country", NULL, country_lines);
	expect_why(GEOIP_ASN, "no address in it has an autonomous_system_number");
	make("other", NULL, "10.0.0.0/8 red\n");
	expect_why(GEOIP_COUNTRY, "of the type \"Colours\"");
	make("country", NULL, "");
	expect_why(GEOIP_COUNTRY, "no address in it has");
}

static void test_no_database(void **state)
{
	(void)state;
	unlink(path);
	expect_why(GEOIP_ASN, "cannot open it: No such file");
	write_file(STR(""));
	expect_why(GEOIP_ASN, "it is no GeoIP database, or cut off");
	write_file(STR("192.0.2.0/24\n"));
	expect_why(GEOIP_ASN, "it is no GeoIP database, or cut off");
}

static void test_cut_off(void **state)
{
	(void)state;
	make("country", NULL, country_lines);
	struct str whole = read_file();
	for (size_t len = 0; len < whole.len; len += 97) {
		char why[WHY];
		write_file(str_take(whole, len));
		struct table *table = load(GEOIP_COUNTRY, why);
		assert_null(table);
	}
}

// The same numbers in each run.
static uint32_t draw(uint32_t below)
{
	static uint64_t state = 1;
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(state >> 33) % below;
}

// Not one may end in a crash: the reader is apart from us, but its faults would
// show here.
static void test_damaged(void **state)
{
	unsigned refused = 0;
	(void)state;
	make("country", NULL, country_lines);
	struct str whole = read_file();
	for (int i = 0; i < DAMAGES; i++) {
		char bytes[FILE_MAX], why[WHY];
		memcpy(bytes, whole.at, whole.len);
		for (uint32_t flips = 1 + draw(4); flips; flips--)
			bytes[draw((uint32_t)whole.len)] ^= (char)(1 << draw(8));
		write_file((struct str){bytes, whole.len});
		struct table *table = load(i & 1 ? GEOIP_ASN : GEOIP_COUNTRY, why);
		if (strstr(why, "reading it"))
			fail_msg("damage number %d: %s", i, why);
		refused += !table;
		table_free(&table);
	}
	assert_in_range(refused, DAMAGES / 10, DAMAGES - 1);
}

// Metadata, as the format has them: a map of one map entry after the other.
static void add_key(struct text *text, const char *key)
{
	text_add_char(text, (char)(0x40 | strlen(key)));
	text_add(text, str_of(key));
}

static void add_metadata(struct text *text, uint32_t nodes, char record_size)
{
	text_add(text, STR("\xab\xcd\xefMaxMind.com\xe9"));
	add_key(text, "node_count");
	text_add(text, (struct str){(const char[]){(char)0xc4, (char)(nodes >> 24),
	                                (char)(nodes >> 16), (char)(nodes >> 8), (char)nodes},
	                   5});
	add_key(text, "record_size");
	text_add(text, (struct str){(const char[]){(char)0xa1, record_size}, 2});
	add_key(text, "ip_version");
	text_add(text, STR("\xa1\x06"));
	add_key(text, "database_type");
	text_add(text, STR("\x41x"));
	add_key(text, "languages");
	text_add(text, STR("\x00\x04"));
	add_key(text, "binary_format_major_version");
	text_add(text, STR("\xa1\x02"));
	add_key(text, "binary_format_minor_version");
	text_add(text, STR("\xa1\x00"));
	add_key(text, "build_epoch");
	text_add(text, STR("\x04\x02\x65\x53\xf1\x00"));
	add_key(text, "description");
	text_add(text, STR("\xe0"));
}

// Each node leads to the next one twice, the last to the data: 128 nodes for
// every address there is.
static void test_shared_subtrees(void **state)
{
	char room[4096];
	struct text text = TEXT(room);
	(void)state;
	for (uint32_t i = 1; i <= 128; i++) {
		char to = (char)(i == 128 ? 128 + 16 : i);
		text_add(&text, (struct str){(const char[]){0, 0, to, 0, 0, to}, 6});
	}
	for (int i = 0; i < 16; i++)
		text_add_char(&text, '\0');
	text_add(&text, STR("\xe0"));
	add_metadata(&text, 128, 24);
	assert_false(text.truncated);
	write_file(text_str(&text));
	expect_why(GEOIP_ASN, "its tree has more than 16777216 nodes");
}

// The same with an end, below which two answers take turns: a range for each of
// as many addresses as there are levels.
static void write_answers_in_turn(uint32_t levels)
{
	char room[4096];
	struct text text = TEXT(room);
	for (uint32_t i = 1; i < levels; i++)
		text_add(&text, (struct str){(const char[]){0, 0, (char)i, 0, 0, (char)i}, 6});
	char data = (char)(levels + 16);
	text_add(&text, (struct str){(const char[]){0, 0, data, 0, 0, (char)(data + 28)}, 6});
	for (int i = 0; i < 16; i++)
		text_add_char(&text, '\0');
	text_add(&text, STR("\xe1\x58"
	                    "autonomous_system_number"
	                    "\xc1\x01"));
	text_add(&text, STR("\xe1\x58"
	                    "autonomous_system_number"
	                    "\xc1\x02"));
	add_metadata(&text, levels, 24);
	assert_false(text.truncated);
	write_file(text_str(&text));
}

static void test_too_many_ranges(void **state)
{
	(void)state;
	write_answers_in_turn(16);
	char why[WHY];
	struct table *table = load(GEOIP_ASN, why);
	assert_string_equal(why, "");
	assert_int_equal(find(table, "1:ffff::"), 2);
	assert_int_equal(find(table, "2::"), 1);
	// Of one half the first range is all of IPv4, too.
	assert_int_equal(table_size(table).num_ranges, (1 << 16) + 1);
	table_free(&table);
	write_answers_in_turn(24);
	expect_why(GEOIP_ASN, "it has more than 8388608 ranges of addresses");
}

// A tree with a loop: no address has so many bits.
static void test_endless(void **state)
{
	char room[1024];
	struct text text = TEXT(room);
	(void)state;
	text_add(&text, (struct str){(const char[]){0, 0, 2, 0, 0, 1}, 6});
	text_add(&text, (struct str){(const char[]){0, 0, 2, 0, 0, 1}, 6});
	for (int i = 0; i < 16; i++)
		text_add_char(&text, '\0');
	text_add(&text, STR("\xe0"));
	add_metadata(&text, 2, 24);
	write_file(text_str(&text));
	expect_why(GEOIP_ASN, "it is damaged: its tree does not end");
}

// A number of nodes whose product with their size does not fit 32 bits.
static void test_too_many_nodes(void **state)
{
	char room[4096];
	struct text text = TEXT(room);
	(void)state;
	for (int i = 0; i < 1024; i++)
		text_add_char(&text, '\x7f');
	add_metadata(&text, UINT32_MAX / 8 + 2, 32);
	write_file(text_str(&text));
	expect_why(GEOIP_ASN, "it is damaged: its size and its head do not agree");
}

// Lists in lists without end, which the library passes over by calling itself.
static void test_deep_data(void **state)
{
	enum { DEPTH = 8 * 1024 * 1024 };
	static char bytes[DEPTH + 1024];
	struct text text = TEXT(bytes);
	(void)state;
	text_add(&text, (struct str){(const char[]){0, 0, 17, 0, 0, 17}, 6});
	for (int i = 0; i < 16; i++)
		text_add_char(&text, '\0');
	text_add(&text, STR("\xe2\x41y"));
	for (size_t i = 0; i < DEPTH / 2; i++)
		text_add(&text, STR("\x01\x04"));
	add_metadata(&text, 1, 24);
	assert_false(text.truncated);
	write_file(text_str(&text));
	expect_why(GEOIP_ASN, "it is damaged: ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_country),
	    cmocka_unit_test(test_country_of_ipv4_only),
	    cmocka_unit_test(test_everywhere),
	    cmocka_unit_test(test_asn),
	    cmocka_unit_test(test_other_kinds),
	    cmocka_unit_test(test_no_database),
	    cmocka_unit_test(test_cut_off),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_shared_subtrees),
	    cmocka_unit_test(test_too_many_ranges),
	    cmocka_unit_test(test_endless),
	    cmocka_unit_test(test_too_many_nodes),
	    cmocka_unit_test(test_deep_data),
	};
	return cmocka_run_group_tests_name("geoip", tests, make_folder, remove_folder);
}
