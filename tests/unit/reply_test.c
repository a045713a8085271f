// reply_test.c: replies keep RFC 1939 section 3 (status, CR LF), RFC 2449
// section 4 (512 bytes at most) and RFC 3206 (a refusal about credentials says
// [AUTH], any other one does not).
#include "tests/kit/check.h"

#include "proxy/pop3/reply.h"

// One whole line of a reply: not too long, CR LF at its end and only there.
static void check_line(struct str row, struct str line)
{
	check(row, line.len > 2 && line.len <= REPLY_MAX);
	check_str(row, str_drop(line, line.len - 2), STR("\r\n"));
	check(row, !str_has_control(str_take(line, line.len - 2)));
}

static void test_fixed_lines(void **state)
{
	(void)state;
	for (enum reply reply = 0; reply < REPLIES; reply++) {
		struct str line = reply_line(reply);
		struct str text = str_take(line, line.len - 2);
		check_line(line, line);
		check(line, reply_status_of(text) == REPLY_STATUS_ok ||
		                reply_status_of(text) == REPLY_STATUS_err);
	}
}

// RFC 3206: [AUTH] where another password may help, [SYS/TEMP] where waiting
// may, neither where the line was not understood.
static void test_codes(void **state)
{
	static const struct {
		enum reply reply;
		struct str begin;
	} rows[] = {
	    {REPLY_claim, STR("-ERR [AUTH] ")},
	    {REPLY_mechanism, STR("-ERR [AUTH] ")},
	    {REPLY_unavailable, STR("-ERR [SYS/TEMP] ")},
	    {REPLY_busy, STR("-ERR [SYS/TEMP] ")},
	    {REPLY_shutdown, STR("-ERR [SYS/TEMP] ")},
	    {REPLY_user_limit, STR("-ERR [IN-USE] ")},
	    {REPLY_base64, STR("-ERR That")},
	    {REPLY_cancelled, STR("-ERR Login")},
	    {REPLY_unknown, STR("-ERR Unknown")},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct str line = reply_line(rows[i].reply);
		check_str(line, str_take(line, rows[i].begin.len), rows[i].begin);
	}
}

static const struct {
	struct str line;
	enum reply_status status;
} statuses[] = {
    {STR("+OK"), REPLY_STATUS_ok},
    {STR("+OK "), REPLY_STATUS_ok},
    {STR("+OK ready"), REPLY_STATUS_ok},
    {STR("+ok ready"), REPLY_STATUS_ok},
    {STR("-ERR"), REPLY_STATUS_err},
    {STR("-ERR no"), REPLY_STATUS_err},
    {STR("-err no"), REPLY_STATUS_err},
    {STR("+"), REPLY_STATUS_continuation},
    {STR("+ "), REPLY_STATUS_continuation}, // RFC 5034 section 4: may be empty
    {STR("+ dXNlcg=="), REPLY_STATUS_continuation},
    {STR(""), REPLY_STATUS_other},
    {STR(" +OK"), REPLY_STATUS_other},
    {STR("+OKAY"), REPLY_STATUS_other},
    {STR("+O"), REPLY_STATUS_other},
    {STR("-"), REPLY_STATUS_other},
    {STR("-ER"), REPLY_STATUS_other},
    {STR("-ERRx"), REPLY_STATUS_other},
    {STR("+dXNlcg=="), REPLY_STATUS_other},
    {STR("OK"), REPLY_STATUS_other},
    {STR("* BYE"), REPLY_STATUS_other},
    {STR("220 smtp"), REPLY_STATUS_other},
    {STR("+OK\0"), REPLY_STATUS_other},
};

static void test_status(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(statuses); i++)
		check(statuses[i].line, reply_status_of(statuses[i].line) == statuses[i].status);
}

static const struct {
	struct str line;
	bool refused;
	struct str wanted;
} passed[] = {
    {STR("+OK 2 messages"), false, STR("+OK 2 messages\r\n")},
    {STR("+ok 2 messages"), false, STR("+OK 2 messages\r\n")},
    {STR("+OK"), false, STR("+OK \r\n")},
    {STR("+OK [x] 2"), false, STR("+OK [x] 2\r\n")},
    {STR("-ERR bad password"), true, STR("-ERR [AUTH] bad password\r\n")},
    {STR("-ERR"), true, STR("-ERR [AUTH] \r\n")},
    {STR("-ERR "), true, STR("-ERR [AUTH] \r\n")},
    // A code of the store's stays the only one (RFC 2449 section 8).
    {STR("-ERR [AUTH] no"), true, STR("-ERR [AUTH] no\r\n")},
    {STR("-ERR [IN-USE] locked"), true, STR("-ERR [IN-USE] locked\r\n")},
    {STR("-ERR [SYS/TEMP] wait"), true, STR("-ERR [SYS/TEMP] wait\r\n")},
    {STR("-ERR see [AUTH]"), true, STR("-ERR [AUTH] see [AUTH]\r\n")},
    // RFC 3206: what is about the mailbox does not put the password in doubt.
    {STR("-ERR mailbox locked"), true, STR("-ERR mailbox locked\r\n")},
    {STR("-ERR Try again LATER"), true, STR("-ERR Try again LATER\r\n")},
    {STR("-ERR Service unavailable"), true, STR("-ERR Service unavailable\r\n")},
    // Control bytes would be another line or another command.
    {STR("+OK a\rb"), false, STR("+OK a?b\r\n")},
    {STR("+OK a\0b\x7f\x1b[0m\t."), false, STR("+OK a?b??[0m?.\r\n")},
    {STR("-ERR a\nb"), true, STR("-ERR [AUTH] a?b\r\n")},
    {STR("+OK \xc3\xa4\xe4"), false, STR("+OK \xc3\xa4\xe4\r\n")},
};

static void test_pass_on(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(passed); i++) {
		char room[REPLY_MAX + 1];
		struct text out = TEXT(room);
		reply_pass_on(&out, passed[i].line, passed[i].refused);
		check_str(passed[i].line, text_str(&out), passed[i].wanted);
		assert_false(out.truncated);
	}
}

// Which refusals count as a guess: all whose code does not say that they are about
// something else.  Words are no code, wherever they come from.
static void test_doubts_login(void **state)
{
	static const struct {
		struct str line;
		bool doubts;
	} rows[] = {
	    {STR("-ERR"), true},
	    {STR("-ERR no"), true},
	    {STR("-ERR [AUTH] no"), true},
	    {STR("-ERR [auth] try again"), true},
	    {STR("-ERR [OTHER] no"), true},
	    {STR("-ERR [IN-USE] wrong"), false},
	    {STR("-ERR [in-use] wrong"), false},
	    {STR("-ERR [LOGIN-DELAY] wrong"), false},
	    {STR("-ERR [SYS/TEMP] wrong"), false},
	    {STR("-ERR [SYS/PERM] wrong"), false},
	    {STR("-ERR [SYS] wrong"), true},
	    {STR("-ERR mailbox locked"), true},
	    {STR("-ERR Invalid password, please try again later"), true},
	    {STR("-ERR no such user: sherlock"), true},
	    {STR("-ERR sorry [IN-USE]"), true},
	    {STR("-ERR  [IN-USE] no"), true},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++)
		check(rows[i].line, reply_doubts_login(rows[i].line) == rows[i].doubts);
}

// RFC 2449 section 4: 512 bytes with CR LF; what is longer is cut.
static void test_pass_on_cuts(void **state)
{
	static const struct {
		struct str begin;
		bool refused;
		struct str wanted;
	} rows[] = {
	    {STR("+OK "), false, STR("+OK ")},
	    {STR("-ERR "), true, STR("-ERR [AUTH] ")},
	    {STR("-ERR [SYS/TEMP] "), true, STR("-ERR [SYS/TEMP] ")},
	};
	char line[2048], room[REPLY_MAX + 1];
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		size_t whole = REPLY_MAX - 2 - rows[i].wanted.len; // letters that fit
		for (size_t letters = whole - 1; letters < whole + 3; letters++) {
			struct text out = TEXT(room), in = TEXT(line);
			text_add(&in, rows[i].begin);
			for (size_t n = 0; n < letters; n++)
				text_add_char(&in, 'x');
			reply_pass_on(&out, text_str(&in), rows[i].refused);
			check_line(rows[i].begin, text_str(&out));
			assert_false(out.truncated);
			assert_int_equal(
			    out.len, letters < whole ? (size_t)REPLY_MAX - 1 : (size_t)REPLY_MAX);
		}
	}
}

static void test_greeting(void **state)
{
	char room[REPLY_MAX + 1];
	struct text out = TEXT(room);
	(void)state;
	reply_greeting(&out, STR("popgate ready."), STR(""));
	assert_string_equal(room, "+OK popgate ready.\r\n");
	check_line(text_str(&out), text_str(&out));
}

// The client is told before its password leaves it, and what to do instead.
static void test_refused_in_clear(void **state)
{
	char room[REPLY_MAX + 1];
	struct text out = TEXT(room);
	(void)state;
	reply_refused_in_clear(&out, STR("use port 995 or STLS"));
	check_line(text_str(&out), text_str(&out));
	assert_true(str_starts_nocase(text_str(&out), STR("-ERR [AUTH] ")));
	assert_non_null(strstr(room, "use port 995 or STLS"));
}

// RFC 5034 section 4: "+", one space, base64; an empty challenge is that too.
static void test_continuation(void **state)
{
	static const struct {
		struct str challenge;
		const char *line;
	} rows[] = {
	    {STR(""), "+ \r\n"},
	    {STR("Username:"), "+ VXNlcm5hbWU6\r\n"},
	    {STR("Password:"), "+ UGFzc3dvcmQ6\r\n"},
	    {STR("\0\xff"), "+ AP8=\r\n"},
	    {STR("a"), "+ YQ==\r\n"},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[64];
		struct text out = TEXT(room);
		reply_continuation(&out, rows[i].challenge);
		check_str(rows[i].challenge, text_str(&out), str_of(rows[i].line));
	}
}

// A store's challenge may be long: it is one line, padded at its end alone.
static void test_long_continuation(void **state)
{
	enum { LONGEST = 8192 };
	static char challenge[LONGEST], room[REPLY_CONTINUATION_SIZE(LONGEST)];
	(void)state;
	for (size_t len = LONGEST - 200; len <= LONGEST; len++) {
		struct text out = text_in(room, REPLY_CONTINUATION_SIZE(len));
		reply_continuation(&out, check_fill(challenge, sizeof(challenge), 'M', len));
		assert_false(out.truncated);
		assert_int_equal(out.len, REPLY_CONTINUATION_SIZE(len) - 1);
		struct str base64 = str_take(str_drop(text_str(&out), 2), out.len - 4);
		size_t padding = (3 - len % 3) % 3;
		assert_int_equal(str_find(base64, '='), base64.len - padding);
		assert_true(str_eq(str_drop(text_str(&out), out.len - 2), STR("\r\n")));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fixed_lines),
	    cmocka_unit_test(test_codes),
	    cmocka_unit_test(test_status),
	    cmocka_unit_test(test_pass_on),
	    cmocka_unit_test(test_doubts_login),
	    cmocka_unit_test(test_pass_on_cuts),
	    cmocka_unit_test(test_greeting),
	    cmocka_unit_test(test_refused_in_clear),
	    cmocka_unit_test(test_continuation),
	    cmocka_unit_test(test_long_continuation),
	};
	return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
