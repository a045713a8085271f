// ntlm_message_test.c: the messages of [MS-NLMP] section 4.2 and [MS-POP3] section 4,
// taken apart and put together again byte for byte; where things may lie in a
// message, and where not.
#include "tests/kit/check.h"

#include "proxy/pop3/ntlm/avpair.h"
#include "tests/kit/ntlm.h"

enum { ROOM = 1024 };

static const uint8_t random_challenge[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};

// ---- published messages -------------------------------------------------

static void test_challenges(void **state)
{
	static const struct {
		const char *hex;
		uint32_t flags;
		size_t info;
	} rows[] = {
	    {NLMP_V1_CHALLENGE, 0xe2028233, 0},
	    {NLMP_V2_CHALLENGE, 0xe28a8233, 36},
	    {MIC_CHALLENGE, 0xe28a8235, 48},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char rooms[2][ROOM];
		struct text text = TEXT(rooms[0]), again = TEXT(rooms[1]);
		struct str message = ntlm_from_hex(rows[i].hex, &text);
		struct ntlm_challenge challenge;
		const char *why = NULL;
		assert_true(ntlm_parse_challenge(message, &challenge, &why));
		assert_int_equal(challenge.flags, rows[i].flags);
		assert_memory_equal(challenge.challenge, random_challenge, NTLM_CHALLENGE);
		check_str(message, challenge.target, WIDE("Server"));
		assert_int_equal(challenge.info.len, rows[i].info);
		ntlm_write_challenge(&challenge, &again);
		check_str(message, text_str(&again), message);
	}
}

static void test_authenticates(void **state)
{
	static const struct {
		const char *hex;
		uint32_t flags;
		size_t nt;
		bool has_mic;
	} rows[] = {
	    {NLMP_V1_AUTHENTICATE, 0xe2808235, 24, false},
	    {NLMP_V2_AUTHENTICATE, 0xe2888235, 84, false},
	    {MIC_AUTHENTICATE, 0xe28a8235, 160, true},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char rooms[2][ROOM];
		struct text text = TEXT(rooms[0]), again = TEXT(rooms[1]);
		struct str message = ntlm_from_hex(rows[i].hex, &text);
		struct ntlm_authenticate parsed;
		const char *why = NULL;
		assert_true(ntlm_parse_authenticate(message, &parsed, &why));
		assert_int_equal(parsed.flags, rows[i].flags);
		assert_int_equal(parsed.nt.len, rows[i].nt);
		assert_int_equal(parsed.lm.len, NTLM_RESPONSE);
		assert_int_equal(parsed.key.len, NTLM_KEY);
		assert_true(parsed.has_mic == rows[i].has_mic);
		check_str(message, parsed.user, WIDE("User"));
		check_str(message, parsed.domain, WIDE("Domain"));
		check_str(message, parsed.workstation, WIDE("COMPUTER"));
		ntlm_write_authenticate(&parsed, &again);
		assert_int_equal(again.len, message.len);
		if (parsed.has_mic) // written as zeros
			memcpy(again.at + NTLM_MIC_AT, message.at + NTLM_MIC_AT, NTLM_KEY);
		check_str(message, text_str(&again), message);
	}
}

static void test_pop3(void **state)
{
	char room[ROOM];
	struct text text = TEXT(room);
	struct ntlm_negotiate negotiate;
	struct ntlm_challenge challenge;
	struct ntlm_authenticate authenticate;
	const char *why = NULL;
	(void)state;
	assert_true(
	    ntlm_parse_negotiate(ntlm_from_base64(POP3_NEGOTIATE, &text), &negotiate, &why));
	assert_int_equal(negotiate.flags, 0xa2088207);
	assert_true(
	    ntlm_parse_challenge(ntlm_from_base64(POP3_CHALLENGE, &text), &challenge, &why));
	check_str(STR("target"), challenge.target, WIDE("TESTSERVER"));
	assert_true(ntlm_parse_authenticate(
	    ntlm_from_base64(POP3_AUTHENTICATE, &text), &authenticate, &why));
	check_str(STR("user"), authenticate.user, WIDE("user"));
	check_str(STR("domain"), authenticate.domain, STR(""));
	check_str(STR("workstation"), authenticate.workstation, WIDE("NF-CLIENT"));
}

// ---- type 1 -------------------------------------------------------------

static void test_negotiate(void **state)
{
	static const struct {
		const char *hex;
		bool valid;
		struct str domain;
	} rows[] = {
	    {"4e544c4d535350000100000007820000", true, STR("")},  // Windows 9x: 16 bytes
	    {"4e544c4d5353500001000000078200", false, STR("")},   // 15
	    {"4e544c4d535350000100000007b20000", true, STR("")},  // a domain promised, none there
	    {"4e544c4d535350000200000007820000", false, STR("")}, // type 2
	    {"4e544c4d535350200100000007820000", false, STR("")}, // signature
	    {"6e746c6d737370000100000007820000", false, STR("")},
	    // fetchmail: its user as domain, an empty workstation at a place that is none
	    {"4e544c4d535350000100000007b20000040004002000000000000000080000006a6f686e", true,
	        STR("john")},
	    // not said to be there: not looked at
	    {"4e544c4d53535000010000000782000004000400ffffffff00000000080000006a6f686e", true,
	        STR("")},
	    // outside: behind the end, over it, in the header, and so far that a sum of 32 bits
	    // would come back
	    {"4e544c4d535350000100000007b20000040004002400000000000000080000006a6f686e", false,
	        STR("")},
	    {"4e544c4d535350000100000007b20000050005002000000000000000080000006a6f686e", false,
	        STR("")},
	    {"4e544c4d535350000100000007b20000040004001f00000000000000080000006a6f686e", false,
	        STR("")},
	    {"4e544c4d535350000100000007b2000004000400feffffff00000000080000006a6f686e", false,
	        STR("")},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[ROOM];
		struct text text = TEXT(room);
		struct ntlm_negotiate negotiate;
		const char *why = NULL;
		struct str message = ntlm_from_hex(rows[i].hex, &text);
		check(str_of(rows[i].hex),
		    ntlm_parse_negotiate(message, &negotiate, &why) == rows[i].valid);
		check(str_of(rows[i].hex), rows[i].valid == !why);
		check_str(str_of(rows[i].hex), negotiate.domain, rows[i].domain);
	}
}

static void test_longest(void **state)
{
	static char room[NTLM_MESSAGE_MAX + 1] = "NTLMSSP\0\1\0\0\0\7\x82\0\0";
	struct ntlm_negotiate negotiate;
	const char *why = NULL;
	(void)state;
	assert_true(ntlm_parse_negotiate((struct str){room, NTLM_MESSAGE_MAX}, &negotiate, &why));
	assert_false(
	    ntlm_parse_negotiate((struct str){room, NTLM_MESSAGE_MAX + 1}, &negotiate, &why));
}

// ---- type 2, from stores ------------------------------------------------

static void test_challenge_limits(void **state)
{
	static const struct {
		const char *hex;
		bool valid;
	} rows[] = {
	    // 32 bytes: no info, no target
	    {"4e544c4d5353500002000000000000000000000005820000"
	     "0123456789abcdef",
	        true},
	    {"4e544c4d5353500002000000000000000000000005820000"
	     "0123456789abcd",
	        false},
	    {"4e544c4d5353500001000000000000000000000005820000"
	     "0123456789abcdef",
	        false},
	    // a target behind the end, or in the header
	    {"4e544c4d5353500002000000040004002000000005820000"
	     "0123456789abcdef"
	     "41004200",
	        true},
	    {"4e544c4d5353500002000000040004002100000005820000"
	     "0123456789abcdef"
	     "41004200",
	        false},
	    {"4e544c4d5353500002000000040004001f00000005820000"
	     "0123456789abcdef"
	     "41004200",
	        false},
	    // info: the end alone; cut off; without its end; behind the end
	    {"4e544c4d5353500002000000000000003000000005828000"
	     "0123456789abcdef"
	     "0000000000000000"
	     "0400040030000000"
	     "00000000",
	        true},
	    {"4e544c4d5353500002000000000000003000000005828000"
	     "0123456789abcdef"
	     "0000000000000000"
	     "0400040030000000"
	     "07000800",
	        false},
	    {"4e544c4d5353500002000000000000003000000005828000"
	     "0123456789abcdef"
	     "0000000000000000"
	     "0600060030000000"
	     "010002004100",
	        false},
	    {"4e544c4d5353500002000000000000003000000005828000"
	     "0123456789abcdef"
	     "0000000000000000"
	     "0400040031000000"
	     "00000000",
	        false},
	    // info that is not said to be there
	    {"4e544c4d5353500002000000000000003000000005820000"
	     "0123456789abcdef"
	     "0000000000000000"
	     "04000400ff000000"
	     "00000000",
	        true},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[ROOM];
		struct text text = TEXT(room);
		struct ntlm_challenge challenge;
		const char *why = NULL;
		struct str message = ntlm_from_hex(rows[i].hex, &text);
		check(str_of(rows[i].hex),
		    ntlm_parse_challenge(message, &challenge, &why) == rows[i].valid);
		check(str_of(rows[i].hex), rows[i].valid == !why);
	}
}

// ---- type 3 -------------------------------------------------------------

// A type 3 with a header of `header` bytes, and everything of a few bytes behind it
// with gaps, in the order of the digits of `order`: 0 LM, 1 NT, 2 domain, 3 user, 4
// workstation, 5 key.
static struct str arrange(size_t header, const char *order, struct text *out)
{
	static const struct str values[] = {
	    STR("lmlm"), STR("ntntnt"), STR("DD"), STR("UUUU"), STR("WW"), STR("key!")};
	static const size_t places[] = {12, 20, 28, 36, 44, 52};
	text_add(out, STR("NTLMSSP\0\3\0\0\0"));
	while (out->len < header)
		text_add_char(out, '\0');
	if (header >= 64)
		out->at[60] = NTLM_UNICODE;
	for (; *order; order++) {
		size_t which = (size_t)(*order - '0');
		out->at[places[which]] = (char)values[which].len;
		out->at[places[which] + 4] = (char)out->len;
		text_add(out, values[which]);
		text_add(out, STR("gap"));
	}
	return text_str(out);
}

static void test_orders(void **state)
{
	static const struct {
		size_t header;
		const char *order;
		bool has_key, has_mic;
	} rows[] = {
	    {64, "012345", true, false},
	    {64, "543210", true, false},
	    {72, "234015", true, false},
	    {88, "234015", true, true},
	    {88, "513402", true, true},
	    {87, "234015", true, false},
	    {100, "23401", false, true},
	    {52, "01234", false, false}, // Windows 9x
	    {56, "43210", false, false},
	    {63, "23401", false, false},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[ROOM];
		struct text text = TEXT(room);
		struct ntlm_authenticate parsed;
		const char *why = NULL;
		struct str row = str_of(rows[i].order);
		check(row, ntlm_parse_authenticate(
		               arrange(rows[i].header, rows[i].order, &text), &parsed, &why));
		check_str(row, parsed.lm, STR("lmlm"));
		check_str(row, parsed.nt, STR("ntntnt"));
		check_str(row, parsed.domain, STR("DD"));
		check_str(row, parsed.user, STR("UUUU"));
		check_str(row, parsed.workstation, STR("WW"));
		check_str(row, parsed.key, rows[i].has_key ? STR("key!") : STR(""));
		check(row, parsed.has_mic == rows[i].has_mic);
		check(row, parsed.flags == (rows[i].header >= 64 ? NTLM_UNICODE : 0));
	}
}

// What has no bytes may be anywhere (hydra: 0; fetchmail: 8).
static void test_empty_fields(void **state)
{
	static const uint32_t offsets[] = {0, 8, 64, 1000, 0xffffffff};
	(void)state;
	for (size_t i = 0; i < NUM(offsets); i++) {
		char room[ROOM];
		struct text text = TEXT(room);
		struct ntlm_authenticate parsed;
		const char *why = NULL;
		struct str message = arrange(64, "0123", &text);
		memcpy(room + 48, &offsets[i], 4);
		assert_true(ntlm_parse_authenticate(message, &parsed, &why));
		assert_int_equal(parsed.workstation.len, 0);
	}
}

static void test_wild_offsets(void **state)
{
	static const size_t places[] = {12, 20, 28, 36, 44, 52};
	static const struct {
		uint16_t len;
		uint32_t offset;
	} rows[] = {
	    {1, 0},
	    {1, 8},
	    {4, 48},         // over the end of the shortest header
	    {1, 0xffffffff}, // and 1 is 0
	    {0xffff, 0xffff0001},
	    {0xffff, 64},
	    {1, 1000},
	    {2, 0x7fffffff},
	    {2, 0x80000000},
	};
	(void)state;
	for (size_t place = 0; place < NUM(places); place++) {
		for (size_t i = 0; i < NUM(rows); i++) {
			char room[ROOM];
			struct text text = TEXT(room);
			struct ntlm_authenticate parsed;
			const char *why = NULL;
			struct str message = arrange(64, "012345", &text);
			memcpy(room + places[place], &rows[i].len, 2);
			memcpy(room + places[place] + 4, &rows[i].offset, 4);
			struct str row = {(const char *)&rows[i], sizeof(rows[i])};
			check(row, !ntlm_parse_authenticate(message, &parsed, &why));
			assert_string_equal(why, "type 3 points outside itself");
		}
	}
}

// Exactly the last bytes, and one more.
static void test_ends(void **state)
{
	char room[ROOM];
	struct text text = TEXT(room);
	struct ntlm_authenticate parsed;
	const char *why = NULL;
	(void)state;
	struct str message = arrange(64, "013245", &text);
	message.len -= strlen("gap");
	assert_true(ntlm_parse_authenticate(message, &parsed, &why));
	message.len--;
	assert_false(ntlm_parse_authenticate(message, &parsed, &why));
	text = TEXT(room);
	message = arrange(52, "", &text); // nothing in it at all
	assert_true(ntlm_parse_authenticate(message, &parsed, &why));
	assert_int_equal(parsed.user.len, 0);
	message.len--;
	assert_false(ntlm_parse_authenticate(message, &parsed, &why));
}

// ---- AV pairs -----------------------------------------------------------

static void test_pairs(void **state)
{
	static const struct {
		struct str list;
		bool sound;
	} rows[] = {
	    {STR(""), false}, {STR("\0\0\0"), false}, {STR("\0\0\0\0"), true},
	    {STR("\0\0\0\0rest"), true}, {STR("\1\0\2\0A\0\0\0\0\0"), true},
	    {STR("\1\0\2\0A\0"), false}, // no end
	    {STR("\1\0\2\0A"), false},   // cut off
	    {STR("\1\0\xff\xff"
	         "A\0\0\0\0\0"),
	        false},
	    {STR("\1\0\0\0\0\0\0\0"), true},                // an empty name
	    {STR("\1\0\2\0A\0\1\0\2\0A\0\0\0\0\0"), false}, // twice
	    {STR("\6\0\4\0\2\0\0\0\0\0\0\0"), true},
	    {STR("\6\0\3\0\2\0\0\0\0\0\0"), false}, // flags of 3 bytes
	    {STR("\7\0\4\0time\0\0\0\0"), false},   // a time of 4
	    {STR("\x0a\0\4\0bind\0\0\0\0"), false}, // a binding of 4
	    {STR("\x0a\0\0\0\0\0\0\0"), false},
	    {STR("\x0b\0\0\0\x0b\0\0\0\xff\xff\0\0\0\0\0\0"), true}, // numbers of the future
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++)
		check(rows[i].list, ntlm_av_is_sound(rows[i].list) == rows[i].sound);
}

static void test_finds(void **state)
{
	static const struct str list = STR("\1\0\2\0A\0\6\0\4\0\2\0\0\0\0\0\0\0\2\0\2\0B\0");
	struct str value;
	(void)state;
	assert_true(ntlm_av_find(list, NTLM_AV_computer, &value));
	check_str(list, value, STR("A\0"));
	assert_int_equal(ntlm_av_flags(list), NTLM_AV_FLAG_mic);
	assert_false(ntlm_av_find(list, NTLM_AV_domain, &value)); // behind the end
	check_str(list, value, STR(""));
	assert_int_equal(ntlm_av_flags(STR("\0\0\0\0")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_challenges),
	    cmocka_unit_test(test_authenticates),
	    cmocka_unit_test(test_pop3),
	    cmocka_unit_test(test_negotiate),
	    cmocka_unit_test(test_longest),
	    cmocka_unit_test(test_challenge_limits),
	    cmocka_unit_test(test_orders),
	    cmocka_unit_test(test_empty_fields),
	    cmocka_unit_test(test_wild_offsets),
	    cmocka_unit_test(test_ends),
	    cmocka_unit_test(test_pairs),
	    cmocka_unit_test(test_finds),
	};
	return cmocka_run_group_tests_name("ntlm_message", tests, NULL, NULL);
}
