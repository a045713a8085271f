// route_test.c: where logins go by the map of a listener, and without one; and
// that what is wrong with a map is told with its place.
#include "tests/kit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/route.h"
#include "proxy/pop3/claim.h"

// The listener's map begins in line 10.
#define CONFIG(map)                                                                                \
	"backends:\n"                                                                              \
	"  store: { servers: [\"127.0.0.1:1110\"], tls: none }\n"                                  \
	"  store2: { servers: [\"127.0.0.1:1111\"], tls: none }\n"                                 \
	"listeners:\n"                                                                             \
	"  a:\n"                                                                                   \
	"    bind: [\"127.0.0.1:0\"]\n"                                                            \
	"    tls: none\n"                                                                          \
	"    backend: store\n"                                                                     \
	"    login: [basic]\n"                                                                     \
	"    map:\n" map

static const char map[] = CONFIG("    - CONTOSO\\* to {user}.contoso at store2\n"
                                 "    - file ALIASES\n"
                                 "    - LAB\\* to {user}\n"
                                 "    - LAB\\*\\* to {mailbox}\n");

static const char aliases[] = "LAB\\anna anna.meier\nbo bo@here store2\n";

static char path[] = "/tmp/route_test.XXXXXX";

// The configuration in which ALIASES is the file's name.
static struct config *load(const char *yaml)
{
	char room[2048];
	struct text text = TEXT(room);
	struct problems problems;
	const char *name = strstr(yaml, "ALIASES");
	problems_init(&problems);
	if (name)
		text_addf(&text, "%.*s%s%s", (int)(name - yaml), yaml, path, name + 7);
	else
		text_add(&text, str_of(yaml));
	struct config *config = config_load_text("/etc/popgate.conf", text_str(&text), &problems);
	check_str(str_of(yaml), text_str(&problems.text), STR(""));
	return config;
}

static const struct {
	struct str login;
	bool as_written;
	size_t backend;
	const char *name; // NULL: there is no way
} mapped[] = {
    {STR("Contoso\\Anna"), false, 1, "anna.contoso"},
    {STR("Anna@CONTOSO"), true, 1, "anna.contoso"},
    {STR("lab\\ANNA"), false, 0, "anna.meier"},
    {STR("lab\\Bo"), true, 0, "bo"},
    {STR("Bo"), false, 1, "bo@here"},
    {STR("LAB\\bo\\Sales"), false, 0, "sales"},
    {STR("Carl"), true, 0, "Carl"},
    {STR("Carl"), false, 0, "carl"},
    {STR("OTHER\\Carl"), true, 0, "OTHER\\Carl"},
    {STR("OTHER\\Carl"), false, 0, "carl"},
    {STR("OTHER\\Carl\\Sales"), true, 0, "OTHER\\Carl\\Sales"},
    {STR("OTHER\\Carl\\Sales"), false, 0, NULL},
    {STR("CONTOSO\\anna\\Sales"), false, 0, NULL},
};

static void check_mapped(const struct routes *routes, size_t i)
{
	struct str login = mapped[i].login;
	struct account account;
	struct route route = {0};
	const char *why = NULL;
	check(login, account_parse(login, &account));
	const struct route_question question = {&account, login, mapped[i].as_written, 0, false};
	bool found = route_find(routes, &question, &route, &why);
	check(login, found == (mapped[i].name != NULL) && (found || why));
	if (found) {
		check_str(login, route.name, str_of(mapped[i].name));
		check(login, route.backend == mapped[i].backend);
	}
	route_done(&route);
}

static void test_mapped(void **state)
{
	(void)state;
	struct problems problems;
	struct config *config = load(map);
	problems_init(&problems);
	struct routes *routes = routes_new(config, &config->listeners[0], &problems);
	check_str(STR("map"), text_str(&problems.text), STR(""));
	for (size_t i = 0; i < NUM(mapped); i++)
		check_mapped(routes, i);
	assert_true(routes_lead_to(routes, 0) && routes_lead_to(routes, 1));
	routes_free(&routes);
	assert_null(routes);
	config_free(&config);
}

static void test_backends_of_domains(void **state)
{
	(void)state;
	struct problems problems;
	struct config *config = load(map);
	problems_init(&problems);
	struct routes *routes = routes_new(config, &config->listeners[0], &problems);
	assert_int_equal(routes_backend_of_domain(routes, STR("Contoso"), 0), 1);
	assert_int_equal(routes_backend_of_domain(routes, STR("LAB"), 0), 0);
	assert_int_equal(routes_backend_of_domain(routes, STR("OTHER"), 0), 0);
	assert_int_equal(routes_backend_of_domain(routes, STR(""), 0), 0);
	routes_free(&routes);
	config_free(&config);
}

// Which backend a session has, only rules that name none, and what no rule matches, ask.
static void test_sessions_with_another_backend(void **state)
{
	enum { HOME = 7 };
	(void)state;
	struct problems problems;
	struct config *config = load(map);
	problems_init(&problems);
	struct routes *routes = routes_new(config, &config->listeners[0], &problems);
	assert_int_equal(routes_backend_of_domain(routes, STR("Contoso"), HOME), 1);
	assert_int_equal(routes_backend_of_domain(routes, STR("LAB"), HOME), HOME);
	assert_int_equal(routes_backend_of_domain(routes, STR("OTHER"), HOME), HOME);
	for (size_t i = 0; i < NUM(mapped); i++) {
		struct account account;
		struct route route = {0};
		const char *why = NULL;
		check(mapped[i].login, account_parse(mapped[i].login, &account));
		const struct route_question question = {
		    &account, mapped[i].login, mapped[i].as_written, HOME, false};
		if (route_find(routes, &question, &route, &why))
			check(mapped[i].login,
			    route.backend == (mapped[i].backend ? mapped[i].backend : HOME));
		route_done(&route);
	}
	routes_free(&routes);
	config_free(&config);
}

static const struct {
	const char *map, *domain;
	size_t backend;
} challengers[] = {
    {"    - '* to {user} at store2'\n", "", 1},
    {"    - '* to {user} at store2'\n", "LAB", 1},
    {"    - '*\\* to {user} at store2'\n", "LAB", 1},
    {"    - '*\\* to {user} at store2'\n", "", 0},
    {"    - LAB\\* to {user}\n    - '* to {user} at store2'\n", "lab", 0},
    {"    - LAB\\* to {user}\n    - '* to {user} at store2'\n", "", 1},
    {"    - LAB\\anna to {user} at store2\n", "LAB", 0},
    {"    - '*\\*\\* to {user} at store2'\n", "LAB", 0},
};

static void test_backends_of_domains_by_rules_for_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(challengers); i++) {
		char room[2048];
		struct text yaml = TEXT(room);
		struct problems problems;
		text_addf(&yaml, "%s%s", CONFIG(""), challengers[i].map);
		struct config *config = load(room);
		problems_init(&problems);
		struct routes *routes = routes_new(config, &config->listeners[0], &problems);
		check_str(str_of(challengers[i].map), text_str(&problems.text), STR(""));
		check(str_of(challengers[i].map),
		    routes_backend_of_domain(routes, str_of(challengers[i].domain), 0) ==
		        challengers[i].backend);
		routes_free(&routes);
		config_free(&config);
	}
}

static void test_without_map(void **state)
{
	(void)state;
	struct problems problems;
	struct config *config = load(CONFIG("      []\n"));
	problems_init(&problems);
	struct routes *routes = routes_new(config, &config->listeners[0], &problems);
	assert_true(routes_lead_to(routes, 0) && !routes_lead_to(routes, 1));
	routes_free(&routes);
	config_free(&config);
}

// A name that fits a command, but not what the rule makes of it.
static void test_too_long(void **state)
{
	(void)state;
	char name[CLAIM_PART_MAX + 1];
	struct problems problems;
	struct config *config = load(CONFIG("    - '* to {user}@example.org'\n"));
	problems_init(&problems);
	struct routes *routes = routes_new(config, &config->listeners[0], &problems);
	struct str login = check_fill(name, sizeof(name), 'a', CLAIM_PART_MAX);
	struct account account;
	struct route route = {0};
	const char *why = NULL;
	assert_true(account_parse(login, &account));
	const struct route_question question = {&account, login, true, 0, false};
	assert_false(route_find(routes, &question, &route, &why));
	assert_string_equal(why, "the name at the backend would be too long");
	routes_free(&routes);
	config_free(&config);
}

static const struct {
	const char *map;
	struct str login;
	const char *name; // NULL: there is no way
} vouched[] = {
    {"    - '*@example.net to {user}'\n", STR("anna@example.net"), "anna"},
    {"    - '*@example.net to {user}'\n", STR("anna@example.org"), "anna@example.org"},
    {"    - '*@example.net to {user}'\n", STR("anna"), NULL},
    {"    - bo to bo2\n    - LAB\\* to {user}\n", STR("anna"), NULL},
    {"    - LAB\\* to {user}\n    - bo to bo2\n", STR("bo"), "bo2"},
    {"    - '*@example.net to {user}'\n    - '* to {login}'\n", STR("anna"), "anna"},
    {"    - bo to bo2\n", STR("anna"), "anna"},
    {"    - '* to {user}'\n", STR("anna"), "anna"},
    {"    - file ALIASES\n", STR("anna"), NULL}, // it has a name with a domain
    {"    - file ALIASES\n", STR("bo"), "bo@here"},
    {"      []\n", STR("anna"), "anna"},
};

// A bare name of an authority's is not taken for a user of the domains that rules are for.
static void test_vouched_by_an_authority(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(vouched); i++) {
		char room[2048];
		struct text yaml = TEXT(room);
		struct problems problems;
		struct account account;
		struct route route = {0};
		const char *why = NULL;
		text_addf(&yaml, "%s%s", CONFIG(""), vouched[i].map);
		struct config *config = load(room);
		problems_init(&problems);
		struct routes *routes = routes_new(config, &config->listeners[0], &problems);
		check(vouched[i].login, account_parse(vouched[i].login, &account));
		const struct route_question question = {&account, vouched[i].login, true, 0, true};
		bool found = route_find(routes, &question, &route, &why);
		check(str_of(vouched[i].map), found == (vouched[i].name != NULL));
		check(vouched[i].login, found || strstr(why, "has no domain"));
		if (found)
			check_str(vouched[i].login, route.name, str_of(vouched[i].name));
		route_done(&route);
		routes_free(&routes);
		config_free(&config);
	}
}

static const struct {
	const char *map, *problem;
} refused[] = {
    {"    - LAB\\* to {usr}\n", "/etc/popgate.conf:11:7: map: {usr} stands for nothing"},
    {"    - LAB\\* to a\n    - '* to b at sotre2'\n",
        "/etc/popgate.conf:12:7: map: unknown backend \"sotre2\"; did you mean \"store2\"?"},
    {"    - file missing\n", "/etc/popgate.conf:11:7: map: /etc/missing: cannot open it: "},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(refused); i++) {
		char room[2048];
		struct text yaml = TEXT(room);
		struct problems problems;
		text_addf(&yaml, "%s%s", CONFIG(""), refused[i].map);
		struct config *config = load(room);
		problems_init(&problems);
		check(
		    str_of(refused[i].map), !routes_new(config, &config->listeners[0], &problems));
		check_str(str_of(refused[i].map),
		    str_take(text_str(&problems.text), strlen(refused[i].problem)),
		    str_of(refused[i].problem));
		config_free(&config);
	}
}

static int make_file(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	bool done = write(fd, aliases, sizeof(aliases) - 1) == sizeof(aliases) - 1;
	close(fd);
	return done ? 0 : -1;
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_mapped),
	    cmocka_unit_test(test_backends_of_domains),
	    cmocka_unit_test(test_sessions_with_another_backend),
	    cmocka_unit_test(test_backends_of_domains_by_rules_for_all),
	    cmocka_unit_test(test_without_map),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_vouched_by_an_authority),
	    cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
