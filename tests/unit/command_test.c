// command_test.c: RFC 1939 section 3: keywords are compared without regard to
// case, one space stands before the argument, the rest is the argument.
#include "tests/kit/check.h"

#include "proxy/pop3/command.h"

static const struct {
	struct str line;
	enum command_result result;
	enum verb verb; // where found
	struct str argument;
} rows[] = {
    {STR("USER anna"), COMMAND_FOUND, VERB_USER, STR("anna")},
    {STR("user anna"), COMMAND_FOUND, VERB_USER, STR("anna")},
    {STR("UsEr Anna"), COMMAND_FOUND, VERB_USER, STR("Anna")},
    {STR("USER anna b"), COMMAND_FOUND, VERB_USER, STR("anna b")},
    {STR("USER \xe4"), COMMAND_FOUND, VERB_USER, STR("\xe4")},
    // RFC 1939 section 7: spaces are part of a password.
    {STR("PASS a b"), COMMAND_FOUND, VERB_PASS, STR("a b")},
    {STR("PASS  a"), COMMAND_FOUND, VERB_PASS, STR(" a")},
    {STR("PASS a "), COMMAND_FOUND, VERB_PASS, STR("a ")},
    {STR("PASS  "), COMMAND_FOUND, VERB_PASS, STR(" ")},
    {STR("AUTH"), COMMAND_FOUND, VERB_AUTH, STR("")},
    {STR("AUTH "), COMMAND_FOUND, VERB_AUTH, STR("")}, // [MS-POP3] section 2.2.1
    {STR("AUTH PLAIN ="), COMMAND_FOUND, VERB_AUTH, STR("PLAIN =")},
    {STR("APOP anna 0123"), COMMAND_FOUND, VERB_APOP, STR("anna 0123")},
    {STR("STLS"), COMMAND_FOUND, VERB_STLS, STR("")},
    {STR("stls"), COMMAND_FOUND, VERB_STLS, STR("")},
    {STR("CAPA"), COMMAND_FOUND, VERB_CAPA, STR("")},
    {STR("NOOP"), COMMAND_FOUND, VERB_NOOP, STR("")},
    {STR("QUIT"), COMMAND_FOUND, VERB_QUIT, STR("")},
    {STR("QUIT "), COMMAND_FOUND, VERB_QUIT, STR("")},
    {STR("USER"), COMMAND_ARGUMENT, VERB_USER, STR("")},
    {STR("USER "), COMMAND_ARGUMENT, VERB_USER, STR("")},
    {STR("PASS"), COMMAND_ARGUMENT, VERB_PASS, STR("")},
    {STR("PASS "), COMMAND_ARGUMENT, VERB_PASS, STR("")},
    {STR("APOP"), COMMAND_ARGUMENT, VERB_APOP, STR("")},
    {STR("STLS now"), COMMAND_ARGUMENT, VERB_STLS, STR("")},
    {STR("CAPA x"), COMMAND_ARGUMENT, VERB_CAPA, STR("")},
    {STR("NOOP x"), COMMAND_ARGUMENT, VERB_NOOP, STR("")},
    {STR("QUIT  "), COMMAND_ARGUMENT, VERB_QUIT, STR("")},
    {STR(""), COMMAND_UNKNOWN, 0, STR("")},
    {STR(" "), COMMAND_UNKNOWN, 0, STR("")},
    {STR(" QUIT"), COMMAND_UNKNOWN, 0, STR("")},
    {STR("QUI"), COMMAND_UNKNOWN, 0, STR("")},
    {STR("QUITS"), COMMAND_UNKNOWN, 0, STR("")},
    {STR("QUIT\t"), COMMAND_UNKNOWN, 0, STR("")},
    {STR("USER\tanna"), COMMAND_UNKNOWN, 0, STR("")},
    {STR("QUIT\0"), COMMAND_UNKNOWN, 0, STR("")},
    {STR("STAT"), COMMAND_UNKNOWN, 0, STR("")},
    {STR("UTF8"), COMMAND_UNKNOWN, 0, STR("")},
    // Web clients (RFC 9112 section 3), whatever their case.
    {STR("GET / HTTP/1.1"), COMMAND_HTTP, 0, STR("")},
    {STR("get / HTTP/1.1"), COMMAND_HTTP, 0, STR("")},
    {STR("POST / HTTP/1.1"), COMMAND_HTTP, 0, STR("")},
    {STR("HEAD / HTTP/1.0"), COMMAND_HTTP, 0, STR("")},
    {STR("PUT /x HTTP/1.1"), COMMAND_HTTP, 0, STR("")},
    {STR("OPTIONS * HTTP/1.1"), COMMAND_HTTP, 0, STR("")},
    {STR("CONNECT a:1 HTTP/1.1"), COMMAND_HTTP, 0, STR("")},
    {STR("Host: pop.example"), COMMAND_HTTP, 0, STR("")},
    {STR("GET"), COMMAND_UNKNOWN, 0, STR("")},
    {STR("GETS x"), COMMAND_UNKNOWN, 0, STR("")},
    {STR("Host:"), COMMAND_UNKNOWN, 0, STR("")},
};

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		enum verb verb = VERBS;
		struct str argument = {0};
		check(
		    rows[i].line, command_parse(rows[i].line, &verb, &argument) == rows[i].result);
		if (rows[i].result != COMMAND_FOUND)
			continue;
		check(rows[i].line, verb == rows[i].verb);
		check_str(rows[i].line, argument, rows[i].argument);
	}
}

// The argument is a slice of the line, so that no password is copied.
static void test_argument_is_a_slice(void **state)
{
	struct str line = STR("PASS secret"), argument;
	enum verb verb;
	(void)state;
	assert_int_equal(command_parse(line, &verb, &argument), COMMAND_FOUND);
	assert_ptr_equal(argument.at, line.at + 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_argument_is_a_slice),
	};
	return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
