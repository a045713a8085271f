// helper_test.c: what ntlm_auth is asked and what it answers (protocol
// ntlm-server-1), with the answers that Samba 4.17 was seen to give.
#include "tests/kit/check.h"

#include "backends/verify/helper_domain.h"
#include "backends/verify/helper_question.h"
#include "backends/verify/helper_reply.h"

static void check_written(const struct helper_question *question, struct str wanted)
{
	struct buf out = {0};
	check(wanted, helper_question_write(question, &out));
	check_str(wanted, buf_str(&out), wanted);
	buf_done(&out);
}

static void test_plain_question(void **state)
{
	(void)state;
	check_written(&(struct helper_question){.by_password = true,
	                  .password = STR("SecREt01!"),
	                  .about = {.user = STR("alice"), .domain = STR("LAB")}},
	    STR("Full-Username:: TEFCXGFsaWNl\nPassword:: U2VjUkV0MDEh\n.\n"));
	check_written(
	    &(struct helper_question){
	        .by_password = true, .password = STR("p"), .about.user = STR("alice@lab.test")},
	    STR("Full-Username:: YWxpY2VAbGFiLnRlc3Q=\nPassword:: cA==\n.\n"));
}

static void test_ntlm_question(void **state)
{
	struct ntlm_question ntlm = {
	    .challenge = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef},
	    .nt = BYTES(0x68, (char)0xcd, 0x0a, 0x00),
	    .user = STR("alice"),
	    .domain = STR("LAB"),
	};
	(void)state;
	check_written(&(struct helper_question){.about = ntlm},
	    STR("LANMAN-Challenge: 0123456789abcdef\nNT-Response: 68cd0a00\n"
	        "Username:: YWxpY2U=\nNT-Domain:: TEFC\n"
	        "Request-User-Session-Key: Yes\n.\n"));
	ntlm.domain = (struct str){0};
	check_written(&(struct helper_question){.about = ntlm},
	    STR("LANMAN-Challenge: 0123456789abcdef\nNT-Response: 68cd0a00\n"
	        "Username:: YWxpY2U=\nRequest-User-Session-Key: Yes\n.\n"));
}

// Text that is longer than a piece of base64 comes out in one.
static void test_long_question(void **state)
{
	char password[100];
	struct str filled = check_fill(password, sizeof(password), 'a', sizeof(password));
	struct buf out = {0};
	(void)state;
	assert_true(helper_question_write(
	    &(struct helper_question){
	        .by_password = true, .password = filled, .about.user = STR("u")},
	    &out));
	struct str written = buf_str(&out);
	assert_int_equal(written.len, sizeof("Full-Username:: dQ==\nPassword:: \n.\n") - 1 + 136);
	assert_false(str_has_control(str_take(str_drop(written, 32), 134)));
	buf_done(&out);
}

static void test_unaskable(void **state)
{
	static const struct {
		struct str user, domain, password;
	} rows[] = {
	    {STR(""), STR("LAB"), STR("p")},
	    {STR("al\nice"), STR("LAB"), STR("p")},
	    {STR("al\0ice"), STR("LAB"), STR("p")},
	    {STR("alice"), STR("L\rB"), STR("p")},
	    {STR("alice"), STR("LAB"), STR("")},
	    {STR("alice"), STR("LAB"), STR("right\0and more")},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct buf out = {0};
		struct ntlm_question names = {.user = rows[i].user, .domain = rows[i].domain};
		struct helper_question plain = {
		    .by_password = true, .password = rows[i].password, .about = names};
		check(rows[i].user, !helper_question_write(&plain, &out));
		check(rows[i].user, i >= 4 || !helper_question_write(
		                                  &(struct helper_question){.about = names}, &out));
		buf_done(&out);
	}
}

static void test_too_long(void **state)
{
	static char room[HELPER_QUESTION_MAX / 2];
	struct ntlm_question ntlm = {
	    .user = STR("alice"), .nt = check_fill(room, sizeof(room), 'x', sizeof(room))};
	struct buf out = {0};
	(void)state;
	assert_false(helper_question_write(&(struct helper_question){.about = ntlm}, &out));
	buf_done(&out);
}

#define KEY "8DE40CCADBC14A82F15CB0AD0DE95CA3"
#define WRONG                                                                                      \
	"When trying to update a password, this return status indicates that the value "           \
	"provided as the current password is not correct."

static const struct answer {
	struct str bytes;
	enum helper_progress progress;
	bool accepted, has_key;
	struct str said;
} answers[] = {
    {STR("Authenticated: Yes\n.\n"), HELPER_WHOLE, true, false, STR("")},
    {STR("Authenticated: Yes\nUser-Session-Key: " KEY "\n.\n"), HELPER_WHOLE, true, true, STR("")},
    {STR("Authenticated: Yes\nLANMAN-Session-Key: 0123456789ABCDEF\n.\n"), HELPER_WHOLE, true,
        false, STR("")},
    {STR("Authenticated: No\n.\n"), HELPER_WHOLE, false, false, STR("")},
    {STR("Authenticated: No\nAuthentication-Error: " WRONG "\n.\n"), HELPER_WHOLE, false, false,
        STR(WRONG)},
    // not whole
    {STR(""), HELPER_MORE, false, false, STR("")},
    {STR("Authenticated: Ye"), HELPER_MORE, false, false, STR("")},
    {STR("Authenticated: Yes\n"), HELPER_MORE, true, false, STR("")},
    {STR("Authenticated: Yes\n."), HELPER_MORE, true, false, STR("")},
    // no answers
    {STR(".\n"), HELPER_BROKEN, false, false, STR("")},
    {STR("\n"), HELPER_BROKEN, false, false, STR("")},
    {STR("Authenticated\n"), HELPER_BROKEN, false, false, STR("")},
    {STR("Authenticated:Yes\n"), HELPER_BROKEN, false, false, STR("")},
    {STR("Authenticated: yes\n"), HELPER_BROKEN, false, false, STR("")},
    {STR("Authenticated: Yes \n"), HELPER_BROKEN, false, false, STR("")},
    {STR("Authenticated: No\nAuthenticated: Yes\n.\n"), HELPER_BROKEN, false, false, STR("")},
    {STR("User-Session-Key: " KEY "\n"), HELPER_BROKEN, false, false, STR("")},
    {STR("Authenticated: No\nUser-Session-Key: " KEY "\n"), HELPER_BROKEN, false, false, STR("")},
    {STR("Authenticated: Yes\nUser-Session-Key: 8DE4\n"), HELPER_BROKEN, true, false, STR("")},
    {STR("Authenticated: Yes\nUser-Session-Key: " KEY "00\n"), HELPER_BROKEN, true, false, STR("")},
    {STR("Authenticated: Yes\nUser-Session-Key: GDE40CCADBC14A82F15CB0AD0DE95CA3\n"), HELPER_BROKEN,
        true, false, STR("")},
    {STR("Authenticated: Yes\nAuthentication-Error: x\n"), HELPER_BROKEN, true, false, STR("")},
    {STR("Error: No password supplied!\n.\n"), HELPER_BROKEN, false, false, STR("")},
    {STR("Authenticated: Yes\nError: late\n.\n"), HELPER_BROKEN, true, false, STR("")},
    {STR("Something: else\n"), HELPER_BROKEN, false, false, STR("")},
    {STR("TT TlRMTVNTUAAC\n"), HELPER_BROKEN, false, false, STR("")},
};

// Given whole, and a byte at a time as a pipe may bring it.
static void check_answer(const struct answer *answer, size_t step)
{
	struct helper_reply reply = {0};
	enum helper_progress progress = HELPER_MORE;
	size_t given = 0, used = 0;
	helper_reply_begin(&reply);
	while (given < answer->bytes.len && progress == HELPER_MORE) {
		given = given + step < answer->bytes.len ? given + step : answer->bytes.len;
		struct str kept = {answer->bytes.at + used, given - used};
		used += helper_reply_take(&reply, kept, &progress);
	}
	check(answer->bytes, progress == answer->progress);
	check(answer->bytes, progress != HELPER_WHOLE || used == answer->bytes.len);
	if (progress == HELPER_BROKEN)
		return;
	check(answer->bytes, reply.accepted == answer->accepted);
	check(answer->bytes, reply.has_key == answer->has_key);
	check_str(answer->bytes, helper_reply_said(&reply), answer->said);
}

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(answers); i++) {
		check_answer(&answers[i], answers[i].bytes.len + 1);
		check_answer(&answers[i], 1);
	}
}

static void test_key(void **state)
{
	struct helper_reply reply = {0};
	enum helper_progress progress;
	(void)state;
	helper_reply_begin(&reply);
	helper_reply_take(
	    &reply, STR("Authenticated: Yes\nUser-Session-Key: " KEY "\n.\n"), &progress);
	assert_memory_equal(reply.key,
	    "\x8d\xe4\x0c\xca\xdb\xc1\x4a\x82\xf1\x5c\xb0\xad\x0d\xe9\x5c\xa3", HELPER_KEY);
	helper_reply_begin(&reply);
	assert_memory_equal(reply.key, (char[HELPER_KEY]){0}, HELPER_KEY);
	assert_false(reply.accepted);
}

#define REFUSED "Authenticated: No\nAuthentication-Error: " WRONG "\n.\n"

// What comes between and behind two answers.
static void test_terminators(void **state)
{
	static const struct {
		struct str first, between, second;
		enum helper_progress idle, progress;
	} rows[] = {
	    {STR(REFUSED), STR(".\n"), STR("Authenticated: Yes\n.\n"), HELPER_MORE, HELPER_WHOLE},
	    {STR(REFUSED), STR(""), STR(".\nAuthenticated: Yes\n.\n"), HELPER_MORE, HELPER_WHOLE},
	    {STR(REFUSED), STR(""), STR("Authenticated: Yes\n.\n"), HELPER_MORE, HELPER_WHOLE},
	    {STR(REFUSED), STR(".\n"), STR(".\n"), HELPER_MORE, HELPER_BROKEN},
	    {STR(REFUSED), STR(""), STR(".\n.\n"), HELPER_MORE, HELPER_BROKEN},
	    {STR(REFUSED), STR(".\n.\n"), STR(""), HELPER_BROKEN, HELPER_MORE},
	    {STR(REFUSED), STR("Authenticated: Yes\n"), STR(""), HELPER_BROKEN, HELPER_MORE},
	    {STR("Authenticated: No\n.\n"), STR(".\n"), STR(""), HELPER_BROKEN, HELPER_MORE},
	    {STR("Authenticated: Yes\n.\n"), STR(""), STR(".\n"), HELPER_MORE, HELPER_BROKEN},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct helper_reply reply = {0};
		enum helper_progress progress;
		helper_reply_begin(&reply);
		size_t used = helper_reply_take(&reply, rows[i].first, &progress);
		check(rows[i].first, progress == HELPER_WHOLE && used == rows[i].first.len);
		helper_reply_take(&reply, rows[i].between, &progress);
		check(rows[i].between, progress == rows[i].idle);
		if (progress == HELPER_BROKEN)
			continue;
		helper_reply_begin(&reply);
		helper_reply_take(&reply, rows[i].second, &progress);
		check(rows[i].second, progress == rows[i].progress);
	}
}

static void test_long_lines(void **state)
{
	static char room[1024 * 1024];
	struct str garbage = check_fill(room, sizeof(room), 'x', sizeof(room));
	struct helper_reply reply = {0};
	enum helper_progress progress;
	(void)state;
	helper_reply_begin(&reply);
	helper_reply_take(&reply, str_take(garbage, HELPER_LINE_MAX), &progress);
	assert_int_equal(progress, HELPER_MORE);
	helper_reply_take(&reply, str_take(garbage, HELPER_LINE_MAX + 1), &progress);
	assert_int_equal(progress, HELPER_BROKEN);
	helper_reply_begin(&reply);
	helper_reply_take(&reply, garbage, &progress);
	assert_int_equal(progress, HELPER_BROKEN);
}

// A reason is cut to its room.
static void test_long_reason(void **state)
{
	static char room[HELPER_LINE_MAX + 2];
	struct text line = TEXT(room);
	struct helper_reply reply = {0};
	enum helper_progress progress;
	(void)state;
	text_addf(&line, "Authentication-Error: %0*d\n", HELPER_LINE_MAX - 22, 0);
	helper_reply_begin(&reply);
	helper_reply_take(&reply, STR("Authenticated: No\n"), &progress);
	helper_reply_take(&reply, text_str(&line), &progress);
	assert_int_equal(progress, HELPER_MORE);
	assert_int_equal(helper_reply_said(&reply).len, HELPER_SAID);
}

static void test_refusals(void **state)
{
	(void)state;
	assert_string_equal(helper_refusal(STR(WRONG)), "wrong password");
	assert_string_equal(
	    helper_refusal(STR("NT_STATUS_ACCOUNT_LOCKED_OUT")), "the account is locked out");
	assert_null(helper_refusal(STR("Reading winbind reply failed!")));
	assert_null(helper_refusal(STR("No logon servers are currently available to service the "
	                               "logon request.")));
	assert_null(helper_refusal(STR("")));
}

// Samba's challenge to a client without Unicode.
static void test_domain(void **state)
{
	static const struct {
		struct str answer, domain;
	} rows[] = {
	    {STR("TT "
	         "TlRMTVNTUAACAAAAAwADADgAAAAGAoECqWEi0QcDiC4AAAAAAAAAADAAMAA7AAAABgEAAAAAAA9MQUIC"
	         "AAYATABBAEIAAQAGAEQAQwAxAAQAAAADAAQAdgBtAAcACAAMx/n8kXndAQAAAAA=\n"),
	        STR("LAB")},
	    {STR("TT TlRMTVNTUAACAAAA\n"), STR("")},
	    {STR("TT *\n"), STR("")},
	    {STR("TT\n"), STR("")},
	    {STR("BH NT_STATUS_UNSUCCESSFUL NT_STATUS_UNSUCCESSFUL\n"), STR("")},
	    {STR(""), STR("")},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[64];
		struct text out = TEXT(room);
		check(rows[i].answer,
		    helper_domain_parse(rows[i].answer, &out) == (rows[i].domain.len > 0));
		check_str(rows[i].answer, text_str(&out), rows[i].domain);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain_question),
	    cmocka_unit_test(test_ntlm_question),
	    cmocka_unit_test(test_long_question),
	    cmocka_unit_test(test_unaskable),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_key),
	    cmocka_unit_test(test_terminators),
	    cmocka_unit_test(test_long_lines),
	    cmocka_unit_test(test_long_reason),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_domain),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
