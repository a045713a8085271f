// capa_test.c: RFC 2449 section 5 and what popgate promises: STLS only where it
// can be had (RFC 2595 section 4), USER and SASL only where a login is welcome
// (RFC 5034 section 3), TOP, UIDL and PIPELINING only when the store has them.
#include "tests/kit/check.h"

#include "proxy/pop3/capa.h"
#include "proxy/pop3/sasl.h"

#define FIRST "+OK Capability list follows.\r\n"
#define CODES "RESP-CODES\r\nAUTH-RESP-CODE\r\n"
#define LOGIN "USER\r\nSASL PLAIN LOGIN\r\n"

static const struct {
	struct str situation;
	struct capa capa;
	struct str list;
} rows[] = {
    {STR("clear, login refused, no TLS"), {0}, STR(FIRST CODES ".\r\n")},
    {STR("clear, STLS first"), {.stls = true}, STR(FIRST CODES "STLS\r\n.\r\n")},
    {STR("clear, login welcome"), {.stls = true, .claims = CLAIM_plain},
        STR(FIRST CODES "STLS\r\n" LOGIN ".\r\n")},
    {STR("NTLM alone"), {.claims = CLAIM_ntlm}, STR(FIRST CODES "SASL NTLM\r\n.\r\n")},
    {STR("inside TLS"), {.claims = CLAIM_plain}, STR(FIRST CODES LOGIN ".\r\n")},
    {STR("a store with everything"),
        {.claims = CLAIM_plain, .top = true, .uidl = true, .pipelining = true},
        STR(FIRST "TOP\r\nUIDL\r\n" CODES "PIPELINING\r\n" LOGIN ".\r\n")},
    {STR("a store with UIDL"), {.uidl = true}, STR(FIRST "UIDL\r\n" CODES ".\r\n")},
    {STR("a store with TOP"), {.top = true}, STR(FIRST "TOP\r\n" CODES ".\r\n")},
};

static void test_list(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[CAPA_SIZE];
		struct text out = TEXT(room);
		capa_list(&rows[i].capa, &out);
		check_str(rows[i].situation, text_str(&out), rows[i].list);
		assert_false(out.truncated);
	}
}

// Whatever there is to say fits, and no line is longer than old clients read
// (fetchmail: 64 bytes).
static void test_longest_fits(void **state)
{
	struct capa all = {
	    .stls = true, .claims = ~0u, .top = true, .uidl = true, .pipelining = true};
	char room[CAPA_SIZE];
	struct text out = TEXT(room);
	struct str line, rest;
	(void)state;
	capa_list(&all, &out);
	assert_false(out.truncated);
	for (rest = text_str(&out); str_cut(rest, '\n', &line, &rest);)
		check(line, line.len + 1 < 64);
	assert_true(str_is_empty(line));
}

// [MS-POP3] section 2.2.1: AUTH without a mechanism lists them.
static void test_mechanisms(void **state)
{
	static const struct {
		unsigned claims;
		const char *list;
	} lists[] = {
	    {0, "+OK\r\n.\r\n"},
	    {CLAIM_plain, "+OK\r\nPLAIN\r\nLOGIN\r\n.\r\n"},
	    {CLAIM_ntlm, "+OK\r\nNTLM\r\n.\r\n"},
	    {CLAIM_plain | CLAIM_ntlm | CLAIM_msn, "+OK\r\nPLAIN\r\nLOGIN\r\nNTLM\r\nMSN\r\n.\r\n"},
	    {CLAIM_digest, "+OK\r\nCRAM-MD5\r\n.\r\n"},
	    {CLAIM_external, "+OK\r\nEXTERNAL\r\n.\r\n"},
	};
	(void)state;
	for (size_t i = 0; i < NUM(lists); i++) {
		struct capa capa = {.claims = lists[i].claims};
		char room[CAPA_SIZE];
		struct text out = TEXT(room);
		capa_list_mechanisms(&capa, &out);
		assert_string_equal(room, lists[i].list);
	}
}

// What SASL promises, AUTH takes.
static void test_promised_mechanisms_exist(void **state)
{
	struct capa all = {.claims = ~0u};
	char room[CAPA_SIZE];
	struct text out = TEXT(room);
	struct str line, rest;
	unsigned found = 0;
	(void)state;
	capa_list_mechanisms(&all, &out);
	for (rest = str_drop(text_str(&out), 5); str_cut(rest, '\r', &line, &rest);) {
		if (!str_eq(line, STR("."))) {
			check(line, mechanism_find(line) < MECHANISMS);
			found++;
		}
		rest = str_drop(rest, 1);
	}
	assert_int_equal(found, MECHANISMS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_list),
	    cmocka_unit_test(test_longest_fits),
	    cmocka_unit_test(test_mechanisms),
	    cmocka_unit_test(test_promised_mechanisms_exist),
	};
	return cmocka_run_group_tests_name("capa", tests, NULL, NULL);
}
