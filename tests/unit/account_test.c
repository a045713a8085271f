// account_test.c: the forms of a name, what is none, and who is denied however he
// writes himself.
#include "tests/kit/check.h"

#include "backends/account.h"
#include "proxy/config/config.h"

static const struct {
	struct str name, domain, user, mailbox;
} accepted[] = {
    {STR("anna"), STR(""), STR("anna"), STR("")},
    {STR("Anna Meier"), STR(""), STR("Anna Meier"), STR("")},
    {STR("anna@example.org"), STR("example.org"), STR("anna"), STR("")},
    {STR("LAB\\anna"), STR("LAB"), STR("anna"), STR("")},
    {STR("LAB/anna"), STR("LAB"), STR("anna"), STR("")},
    {STR("LAB/anna/sales"), STR("LAB"), STR("anna"), STR("sales")},
    {STR("LAB\\anna\\sales"), STR("LAB"), STR("anna"), STR("sales")},
    {STR("LAB\\anna/sales"), STR("LAB"), STR("anna"), STR("sales")},
    {STR("LAB/anna/sales@example.org"), STR("LAB"), STR("anna"), STR("sales@example.org")},
    {STR("anna@example.org/sales"), STR("example.org"), STR("anna"), STR("sales")},
    {STR("anna@example.org/sales@example.org"), STR("example.org"), STR("anna"),
        STR("sales@example.org")},
    {STR(" LAB \\ anna "), STR("LAB"), STR("anna"), STR("")},
    {STR("\xc3\x84nne"), STR(""), STR("\xc3\x84nne"), STR("")},
};

static const struct str refused[] = {
    STR(""),
    STR(" "),
    STR("\\"),
    STR("/"),
    STR("\\anna"),
    STR("LAB\\"),
    STR("LAB\\ "),
    STR(" \\anna"),
    STR("LAB\\\\anna"),
    STR("LAB/anna/"),
    STR("LAB/anna/ "),
    STR("LAB/anna/sales/more"),
    STR("LAB//sales"),
    STR("@"),
    STR("a@b@example.org"),
    STR("a@b@example.org/sales"),
    STR("anna@"),
    STR("@example.org"),
    STR("anna@example.org/"),
    STR("anna@example.org/a/b"),
    STR("@example.org/sales"),
    STR("LAB\\anna@example.org"),
    STR("LAB\\anna@example.org\\sales"),
    STR("an\rna"),
    STR("anna\0"),
};

static void test_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(accepted); i++) {
		struct account account;
		check(accepted[i].name, account_parse(accepted[i].name, &account));
		check_str(accepted[i].name, account.domain, accepted[i].domain);
		check_str(accepted[i].name, account.user, accepted[i].user);
		check_str(accepted[i].name, account.mailbox, accepted[i].mailbox);
	}
}

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(refused); i++) {
		struct account account;
		check(refused[i], !account_parse(refused[i], &account));
	}
}

static const struct {
	struct str name;
	bool is_denied;
} names[] = {
    {STR("root"), true},
    {STR("ROOT"), true},
    {STR(" root "), true},
    {STR("LAB\\Root"), true},
    {STR("root@example.org"), true},
    {STR("LAB/root/sales"), true},
    {STR("LAB\\anna\\root"), false},
    {STR("roots"), false},
    {STR("anna@root"), false},
    {STR("\xe2\x84\xaarbtgt"), true}, // begins with the Kelvin sign
    {STR("krbtgt"), true},
    {STR("\xc3\xa4nne"), true},
    {STR("\xc3\x84NNE"), true},
    {STR("A\xcc\x88NNE"), true}, // A and a combining diaeresis
    {STR("\xffroot"), false},
};

static void test_denied(void **state)
{
	(void)state;
	char first[] = "root", second[] = "Krbtgt", third[] = "\xc3\x84nne";
	char *users[] = {first, second, third};
	const struct text_list list = {.at = users, .num = NUM(users)};
	for (size_t i = 0; i < NUM(names); i++) {
		struct account account;
		check(names[i].name, account_parse(names[i].name, &account));
		check(names[i].name, account_is_among(&account, &list) == names[i].is_denied);
	}
}

static const struct {
	struct str name;
	bool is_denied;
} pieces[] = {
    {STR("root@"), true},
    {STR("\\root"), true},
    {STR("Root@a@b"), true},
    {STR("a//  ROOT /"), true},
    {STR("a@b\\root"), true},
    {STR("a@roots@b"), false},
    {STR("@"), false},
    {STR(""), false},
};

static void test_denied_pieces(void **state)
{
	(void)state;
	char root[] = "root";
	char *users[] = {root};
	const struct text_list list = {.at = users, .num = NUM(users)};
	for (size_t i = 0; i < NUM(pieces); i++)
		check(pieces[i].name,
		    account_has_piece_among(pieces[i].name, &list) == pieces[i].is_denied);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accepted),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_denied),
	    cmocka_unit_test(test_denied_pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
