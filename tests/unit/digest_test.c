// digest_test.c: APOP by the example of RFC 1939 section 7, CRAM-MD5 by that of RFC
// 2195 section 2.
#include "tests/kit/check.h"

#include "proxy/pop3/digest.h"

static const struct {
	enum digest_how how;
	struct str challenge, password, hex;
} examples[] = {
    {DIGEST_apop, STR("<1896.697170952@dbc.mtview.ca.us>"), STR("tanstaaf"),
        STR("c4c9334bac560ecc979e58001b3e22fb")},
    {DIGEST_cram_md5, STR("<1896.697170952@postoffice.reston.mci.net>"), STR("tanstaaftanstaaf"),
        STR("b913a602c7eda7a495b4e6e7334d3890")},
    // longer than a block of MD5: the key is its hash (RFC 2104 section 2)
    {DIGEST_cram_md5, STR("<a@b>"),
        STR("0123456789012345678901234567890123456789012345678901234567890123456789"),
        STR("5e7746590ebad2cf3d16eb6c9d658b4e")},
};

static void test_examples(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(examples); i++) {
		char room[DIGEST_HEX + 1];
		struct text hex = TEXT(room);
		uint8_t response[DIGEST_SIZE];
		digest_respond(
		    examples[i].how, examples[i].challenge, examples[i].password, response);
		digest_add_hex(&hex, response);
		check_str(examples[i].password, text_str(&hex), examples[i].hex);
	}
}

static void test_matches(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(examples); i++) {
		struct digest digest = {examples[i].how, examples[i].challenge, {0}};
		digest_respond(digest.how, digest.challenge, examples[i].password, digest.response);
		check(examples[i].password, digest_matches(&digest, examples[i].password));
		check(examples[i].password, !digest_matches(&digest, STR("tanstaaF")));
		check(examples[i].password, !digest_matches(&digest, STR("")));
		digest.response[DIGEST_SIZE - 1] ^= 0x80;
		check(examples[i].password, !digest_matches(&digest, examples[i].password));
		digest.response[DIGEST_SIZE - 1] ^= 0x80;
		digest.how = digest.how == DIGEST_apop ? DIGEST_cram_md5 : DIGEST_apop;
		check(examples[i].password, !digest_matches(&digest, examples[i].password));
	}
}

#define HEX "c4c9334bac560ecc979e58001b3e22fb"

static void test_parse(void **state)
{
	static const struct {
		struct str text;
		const char *name; // NULL: not its form
	} rows[] = {
	    {STR("mrose " HEX), "mrose"}, {STR("a b " HEX), "a b"}, {STR("a  " HEX), "a "},
	    {STR("mrose C4C9334BAC560ECC979E58001B3E22FB"), "mrose"}, // hex of either case
	    {STR(""), NULL}, {STR("mrose"), NULL}, {STR("mrose "), NULL}, {STR(HEX), NULL},
	    {STR(" " HEX), NULL}, {STR("mrose" HEX), NULL}, {STR("mrose " HEX " "), NULL},
	    {STR("mrose " HEX "0"), NULL}, {STR("mrose c4c9334bac560ecc979e58001b3e22f"), NULL},
	    {STR("mrose c4c9334bac560ecc979e58001b3e22fg"), NULL},
	    {STR("mrose c4c9334bac560ecc979e58001b3e22f\0"), NULL},
	    {STR("mrose \xe4"
	         "4c9334bac560ecc979e58001b3e22fb"),
	        NULL},
	    {STR("mrose @4c9334bac560ecc979e58001b3e22fb"), NULL}, // '@' is 'A' less one
	};
	static const uint8_t wanted[] = {0xc4, 0xc9, 0x33, 0x4b, 0xac, 0x56, 0x0e, 0xcc, 0x97, 0x9e,
	    0x58, 0x00, 0x1b, 0x3e, 0x22, 0xfb};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct str name = STR("");
		uint8_t response[DIGEST_SIZE] = {0};
		bool valid = digest_parse(rows[i].text, &name, response);
		check(rows[i].text, valid == !!rows[i].name);
		if (valid) {
			check_str(rows[i].text, name, str_of(rows[i].name));
			assert_memory_equal(response, wanted, sizeof(wanted));
		}
	}
}

// Of characters that every client takes, with one '@', and room for any host.
static void test_challenge(void **state)
{
	static const uint8_t random[DIGEST_RANDOM] = {0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff};
	static char long_host[400];
	static const struct {
		const char *host, *challenge;
	} rows[] = {
	    {"mail.example", "<00017f80feff00000000000000000000@mail.example>"},
	    {"Mail-1.example", "<00017f80feff00000000000000000000@Mail-1.example>"},
	    {"ma<i>l @ex\r\nample\xc3\xa4", "<00017f80feff00000000000000000000@mailexample>"},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[DIGEST_ROOM];
		struct text out = TEXT(room);
		struct str found;
		digest_add_challenge(&out, random, str_of(rows[i].host));
		check_str(str_of(rows[i].host), text_str(&out), str_of(rows[i].challenge));
		assert_true(digest_find_timestamp(text_str(&out), &found));
		check_str(str_of(rows[i].host), found, text_str(&out));
	}
	char room[DIGEST_ROOM];
	struct text out = TEXT(room);
	digest_add_challenge(&out, random, check_fill(long_host, sizeof(long_host), 'x', 400));
	assert_false(out.truncated);
	assert_int_equal(room[out.len - 1], '>');
}

static void test_timestamp(void **state)
{
	static const struct {
		struct str greeting;
		const char *timestamp; // NULL: none
	} rows[] = {
	    {STR("+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>"),
	        "<1896.697170952@dbc.mtview.ca.us>"},
	    {STR("+OK <a@b> ready"), "<a@b>"},
	    {STR("+OK Dovecot ready. <1f4a.3.5e8a.xx+/=@host>"), "<1f4a.3.5e8a.xx+/=@host>"},
	    {STR("+OK <first@one> <second@one>"), "<first@one>"},
	    {STR("+OK <no> <a@b>"), "<a@b>"},
	    {STR("+OK a<b <a@b>"), "<a@b>"},
	    {STR("+OK <a b@c>"), NULL},
	    {STR("+OK <a@b"), NULL},
	    {STR("+OK a@b>"), NULL},
	    {STR("+OK <>"), NULL},
	    {STR("+OK <ab>"), NULL},
	    {STR("+OK <a@\tb>"), NULL},
	    {STR("+OK"), NULL},
	    {STR(""), NULL},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct str found = STR("");
		bool any = digest_find_timestamp(rows[i].greeting, &found);
		check(rows[i].greeting, any == !!rows[i].timestamp);
		check_str(rows[i].greeting, found, str_of(rows[i].timestamp));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_examples),
	    cmocka_unit_test(test_matches),
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_challenge),
	    cmocka_unit_test(test_timestamp),
	};
	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
