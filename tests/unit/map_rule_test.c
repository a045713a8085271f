// map_rule_test.c: how a map rule is written, whom it is for, and in which words
// others are refused.
#include "tests/kit/check.h"

#include "backends/fold.h"
#include "backends/map_rule.h"

static const struct {
	struct str text;
	const char *printed; // NULL: the same
} accepted[] = {
    {STR("LAB\\* to {user}"), "lab\\* to {user}"},
    {STR("  *@Contoso.com  to   {user}.contoso at store2 "),
        "*@contoso.com to {user}.contoso at store2"},
    {STR("* to {user} because mailboxes have no domain"), NULL},
    {STR("*\\* to {domain}-{user}"), NULL},
    {STR("lab\\*\\* to {mailbox}"), NULL},
    {STR("*@contoso.com/* to {mailbox}"), NULL},
    {STR("anna to anna.meier"), NULL},
    {STR("\"lab\\anna meier\" to \"anna meier\""), NULL},
    {STR("\"file\" to \"to\" at \"at\" because because"), NULL},
    {STR("* to x{login}y"), NULL},
    {STR("file aliases.txt"), NULL},
    {STR("file \"my aliases.txt\" because of before"), NULL},
};

static const struct {
	struct str text;
	const char *why;
} refused[] = {
    {STR(""), "write a rule as in LAB\\* to {user}"},
    {STR("LAB\\*"), "it ends where \"to\""},
    {STR("LAB\\* -> {user}"), "\"->\" stands where \"to\""},
    {STR("LAB\\* to"), "it ends where the name at the backend"},
    {STR("LAB\\an* to x"), "\"LAB\\an*\": * stands for a whole part"},
    {STR("LAB\\ to x"), "\"LAB\\\" is no name"},
    {STR("a/b/c/d to x"), "\"a/b/c/d\" is no name"},
    {STR("* to {usr}"), "{usr} stands for nothing; there are {user}, {domain}, {mailbox} and "
                        "{login}; did you mean \"user\"?"},
    {STR("* to {}"), "{} stands for nothing"},
    {STR("* to {user"), "\"{user\": a brace lacks its other"},
    {STR("* to user}"), "\"user}\": a brace lacks its other"},
    {STR("* to {us{er}"), "{us{er} stands for nothing"},
    {STR("* to {domain}"), "{domain} needs a domain"},
    {STR("anna to {domain}"), "{domain} needs a domain"},
    {STR("LAB\\* to {mailbox}"), "{mailbox} needs a mailbox"},
    {STR("* to \"\""), "the name at the backend must have 1 to"},
    {STR("* to a b"), "\"b\" stands where the rule should end, or because"},
    {STR("* to a at"), "it ends where the name of a backend"},
    {STR("* to a because"), "because needs a reason"},
    {STR("* to a \"because\" x"), "\"because\" stands where"},
    {STR("file"), "it ends where the name of a file"},
    {STR("file a b"), "\"b\" stands where"},
    {STR("file a\"b"), "\"a\"b\": quotes stand around"},
    {STR("*\tto a"), "it has a control character"},
};

static void check_accepted(struct str text, const char *printed)
{
	char why_room[512], room[512];
	struct text why = TEXT(why_room), out = TEXT(room);
	struct map_rule rule, again;
	check(text, map_rule_parse(text, &rule, &why));
	map_rule_print(&rule, &out);
	check_str(text, text_str(&out), printed ? str_of(printed) : text);
	check(text, map_rule_parse(text_str(&out), &again, &why));
	map_rule_done(&again);
	map_rule_done(&rule);
}

static void test_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(accepted); i++)
		check_accepted(accepted[i].text, accepted[i].printed);
}

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(refused); i++) {
		char room[512];
		struct text why = TEXT(room);
		struct map_rule rule;
		check(refused[i].text, !map_rule_parse(refused[i].text, &rule, &why));
		check_str(refused[i].text, str_take(text_str(&why), strlen(refused[i].why)),
		    str_of(refused[i].why));
		check(refused[i].text, !rule.name && !rule.file);
	}
}

static const struct {
	struct str text, name;
	const char *filled; // NULL: not for this name
} asked[] = {
    {STR("LAB\\* to {user}"), STR("Lab\\Anna"), "anna"},
    {STR("LAB\\* to {user}"), STR("anna@lab"), "anna"},
    {STR("LAB\\* to {user}"), STR("LAB/ANNA"), "anna"},
    {STR("LAB\\* to {user}"), STR("anna"), NULL},
    {STR("LAB\\* to {user}"), STR("LABS\\anna"), NULL},
    {STR("LAB\\* to {user}"), STR("LAB\\anna\\sales"), NULL},
    {STR("LAB\\*\\* to {mailbox}"), STR("LAB\\anna\\Sales"), "sales"},
    {STR("LAB\\*\\* to {mailbox}"), STR("LAB\\anna"), NULL},
    {STR("LAB\\anna\\sales to {mailbox}"), STR("lab/Anna/sales"), "sales"},
    {STR("LAB\\anna\\sales to {mailbox}"), STR("lab/bo/sales"), NULL},
    {STR("* to {user}"), STR("anna"), "anna"},
    {STR("* to {user}"), STR("LAB\\anna"), "anna"},
    {STR("* to {user}"), STR("LAB\\anna\\sales"), NULL},
    {STR("*\\* to {domain}-{user}"), STR("Anna@Example.org"), "example.org-anna"},
    {STR("*\\* to {domain}-{user}"), STR("anna"), NULL},
    {STR("*\\anna to {user}"), STR("X\\anna"), "anna"},
    {STR("*\\anna to {user}"), STR("X\\bo"), NULL},
    {STR("anna to ANNA"), STR("Anna"), "ANNA"},
    {STR("* to <{login}>"), STR("Lab\\Anna"), "<Lab\\Anna>"},
    {STR("* to {user}"), STR("\xc3\x84NNE"), "\xc3\xa4nne"},
    {STR("\xc3\x84nne to x"), STR("\xc3\xa4nne"), "x"},
    {STR("* to {user}"), STR("\xffX"), "\xffx"},
};

static void fold_parts(const struct account *account, struct account *folded,
    char (*rooms)[FOLD_SIZE], void (*change)(struct str name, struct text *out))
{
	const struct str *from[] = {&account->domain, &account->user, &account->mailbox};
	struct str *to[] = {&folded->domain, &folded->user, &folded->mailbox};
	for (size_t i = 0; i < NUM(from); i++) {
		struct text text = TEXT(rooms[i]);
		change(*from[i], &text);
		*to[i] = text_str(&text);
	}
}

static void check_asked(
    struct str row, const struct map_rule *rule, struct str name, const char *filled)
{
	char folded_rooms[3][FOLD_SIZE], lower_rooms[3][FOLD_SIZE], room[512];
	struct account account, folded, lower;
	struct text out = TEXT(room);
	check(row, account_parse(name, &account));
	fold_parts(&account, &folded, folded_rooms, fold_name);
	fold_parts(&account, &lower, lower_rooms, fold_to_lower);
	check(row, map_rule_matches(rule, &folded) == (filled != NULL));
	if (!filled)
		return;
	map_rule_fill(rule, &lower, name, &out);
	check_str(row, text_str(&out), str_of(filled));
}

static void test_asked(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(asked); i++) {
		char room[512];
		struct text why = TEXT(room);
		struct map_rule rule;
		check(asked[i].text, map_rule_parse(asked[i].text, &rule, &why));
		check_asked(asked[i].name, &rule, asked[i].name, asked[i].filled);
		map_rule_done(&rule);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accepted),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
