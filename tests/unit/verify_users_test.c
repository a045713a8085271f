// verify_users_test.c: claims of every kind, judged by what users.db knows of who
// makes them.
#include "tests/kit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/users/fields.h"
#include "backends/verify/verify_users.h"
#include "proxy/pop3/ntlm/client.h"
#include "tests/kit/wiped.h"

enum { ROOM = 1024 };

static const uint8_t key[USERS_KEY_SIZE] = {1, 2, 3};

static char folder[] = "/tmp/popgate-verify-XXXXXX";
static char path[64];
static struct users *users;

// ---- who there is -------------------------------------------------------

static const struct {
	const char *name, *password;
	bool enabled, keeps_password;
} people[] = {
    {"anna", "sesame", true, false},
    {"anna@example.org", "of example.org", true, false},
    {"bert", "s\xc3\xa4same", true, true},
    {"clara", "sesame", false, true},
    {"dora", NULL, true, false},
    {"emil", NULL, false, false},
};

static void add_people(const char **why)
{
	for (size_t i = 0; i < NUM(people); i++) {
		struct user_record record = {.enabled = people[i].enabled};
		char room[ROOM];
		struct text text = TEXT(room);
		if (people[i].password)
			assert_true(user_field_set(
			    &record, USER_FIELD_password, str_of(people[i].password), &text));
		if (!people[i].keeps_password)
			secret_done(&record.password);
		assert_true(
		    user_field_set(&record, USER_FIELD_mailbox, str_of(people[i].name), &text));
		assert_true(users_put(users, str_of(people[i].name), &record, why));
		user_record_done(&record);
	}
}

static int set_up(void **state)
{
	const char *why = "";
	char room[ROOM];
	struct text text = TEXT(room);
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/users.db", folder);
	const struct database_place place = {.path = path, .size_max = USERS_SIZE_MAX};
	users = users_open_at(&place, DATABASE_MAKE, key, &text);
	check(text_str(&text), users != NULL);
	assert_true(users_begin(users, &why));
	add_people(&why);
	assert_true(users_commit(users, &why));
	users_close(&users);
	users = users_open(path, key, &text);
	return users ? 0 : -1;
}

static int tear_down(void **state)
{
	char lock[80];
	(void)state;
	users_close(&users);
	snprintf(lock, sizeof(lock), "%s-lock", path);
	return unlink(path) || unlink(lock) || rmdir(folder);
}

// ---- judging ------------------------------------------------------------

static void check_judged(struct str row, const struct claim *claim, struct str domain,
    struct str user, enum outcome outcome, const char *word)
{
	const struct account account = {.domain = domain, .user = user};
	struct user_record record;
	const char *why = "";
	enum outcome found = verify_users(users, claim, &account, &record, &why);
	check(row, found == outcome);
	if (found == OUTCOME_accepted)
		check_str(row, str_of(record.mailbox), str_of(word));
	else
		check(str_of(why), strstr(why, word) != NULL);
	check(row, found != OUTCOME_rejected ||
	               (!record.has_nt_hash && !record.mailbox && !record.password.at));
	check(row, record.enabled || !strstr(word, "no password"));
	user_record_done(&record);
}

static void test_passwords(void **state)
{
	static const struct {
		struct str domain, user, password;
		enum outcome outcome;
		const char *word; // the mailbox, or of the reason
	} rows[] = {
	    {STR(""), STR("anna"), STR("sesame"), OUTCOME_accepted, "anna"},
	    {STR(""), STR("ANNA"), STR("sesame"), OUTCOME_accepted, "anna"},
	    {STR("other"), STR("anna"), STR("sesame"), OUTCOME_accepted, "anna"},
	    {STR("Example.Org"), STR("anna"), STR("of example.org"), OUTCOME_accepted,
	        "anna@example.org"},
	    {STR("example.org"), STR("anna"), STR("sesame"), OUTCOME_rejected, "password is wrong"},
	    {STR(""), STR("anna"), STR("Sesame"), OUTCOME_rejected, "password is wrong"},
	    {STR(""), STR("anna"), STR("sesam"), OUTCOME_rejected, "password is wrong"},
	    {STR(""), STR("bert"), STR("s\xc3\xa4same"), OUTCOME_accepted, "bert"},
	    {STR(""), STR("bert"), STR("s\xe4same"), OUTCOME_rejected, "no UTF-8"},
	    {STR(""), STR("clara"), STR("sesame"), OUTCOME_rejected, "disabled"},
	    {STR(""), STR("clara"), STR("wrong"), OUTCOME_rejected, "disabled"},
	    {STR(""), STR("dora"), STR("sesame"), OUTCOME_unknown, "no password of the user"},
	    {STR(""), STR("emil"), STR("sesame"), OUTCOME_rejected, "disabled"},
	    {STR(""), STR("zoe"), STR("sesame"), OUTCOME_unknown, "no such user"},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct claim claim = {.mechanism = NULL};
		assert_true(claim_plain(&claim, "USER", rows[i].user, rows[i].password));
		check_judged(rows[i].user, &claim, rows[i].domain, rows[i].user, rows[i].outcome,
		    rows[i].word);
		claim_done(&claim);
	}
}

// A finished exchange of a client that knows this password, or thinks so.
static struct ntlm_exchange *exchange_of(struct str domain, struct str user, struct str password)
{
	static char rooms[2][NTLM_MESSAGE_MAX + 1];
	const struct ntlm_settings settings = {.domain = STR("MAIL"),
	    .computer = STR("POP"),
	    .filetime = 0x01d4f55cf64af500,
	    .challenge = {1, 2, 3, 4, 5, 6, 7, 8}};
	const struct ntlm_client client = {.user = user,
	    .domain = domain,
	    .password = password,
	    .filetime = settings.filetime,
	    .nonce = {8, 7, 6, 5, 4, 3, 2, 1}};
	struct text negotiate = TEXT(rooms[0]), authenticate = TEXT(rooms[1]);
	const char *why = "";
	ntlm_client_negotiate(&client, &negotiate);
	struct ntlm_exchange *exchange = ntlm_exchange_begin(&settings, text_str(&negotiate), &why);
	check(str_of(why), exchange != NULL);
	check(str_of(why), ntlm_client_authenticate(&client, text_str(&negotiate),
	                       ntlm_exchange_challenge(exchange), &authenticate, &why));
	check(str_of(why), ntlm_exchange_finish(exchange, text_str(&authenticate), &why));
	return exchange;
}

static void test_ntlm(void **state)
{
	static const struct {
		struct str domain, user, password;
		enum outcome outcome;
		const char *word;
	} rows[] = {
	    {STR("MAIL"), STR("Anna"), STR("sesame"), OUTCOME_accepted, "anna"},
	    {STR(""), STR("anna"), STR("sesame"), OUTCOME_accepted, "anna"},
	    {STR("Example.org"), STR("anna"), STR("of example.org"), OUTCOME_accepted,
	        "anna@example.org"},
	    {STR("example.org"), STR("anna"), STR("sesame"), OUTCOME_rejected, "wrong password"},
	    {STR("MAIL"), STR("anna"), STR("seasme"), OUTCOME_rejected, "wrong password"},
	    {STR("MAIL"), STR("bert"), STR("s\xc3\xa4same"), OUTCOME_accepted, "bert"},
	    {STR("MAIL"), STR("clara"), STR("sesame"), OUTCOME_rejected, "disabled"},
	    {STR("MAIL"), STR("dora"), STR("sesame"), OUTCOME_unknown, "no password of the user"},
	    {STR("MAIL"), STR("zoe"), STR("sesame"), OUTCOME_unknown, "no such user"},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct claim claim = {.mechanism = NULL};
		struct ntlm_exchange *exchange =
		    exchange_of(rows[i].domain, rows[i].user, rows[i].password);
		assert_true(claim_ntlm(&claim, "NTLM", &exchange));
		check_judged(rows[i].user, &claim, rows[i].domain, rows[i].user, rows[i].outcome,
		    rows[i].word);
		claim_done(&claim);
	}
}

static void test_relayed_ntlm(void **state)
{
	struct claim claim = {.mechanism = NULL};
	struct ntlm_exchange *exchange = exchange_of(STR("MAIL"), STR("anna"), STR("sesame"));
	(void)state;
	assert_true(claim_relayed(&claim, "NTLM", exchange, STR("type 3")));
	check_judged(
	    STR("relayed"), &claim, STR("MAIL"), STR("anna"), OUTCOME_unknown, "that store");
	ntlm_exchange_free(&exchange);
	claim_done(&claim);
}

static void check_digest(enum digest_how how, const char *user, const char *password,
    enum outcome outcome, const char *word)
{
	static const struct str challenge = STR("<1896.697170952@mail.example>");
	uint8_t response[DIGEST_SIZE];
	char room[ROOM];
	struct text text = TEXT(room);
	struct claim claim = {.mechanism = NULL};
	digest_respond(how, challenge, str_of(password), response);
	text_addf(&text, "%s ", user);
	digest_add_hex(&text, response);
	assert_true(claim_digest(&claim, "APOP", how, challenge, text_str(&text)));
	check_judged(str_of(user), &claim, STR(""), str_of(user), outcome, word);
	claim_done(&claim);
}

static void test_digests(void **state)
{
	(void)state;
	for (enum digest_how how = DIGEST_apop; how <= DIGEST_cram_md5; how++) {
		check_digest(how, "bert", "s\xc3\xa4same", OUTCOME_accepted, "bert");
		check_digest(how, "bert", "sesame", OUTCOME_rejected, "password is wrong");
		check_digest(how, "bert", "", OUTCOME_rejected, "password is wrong");
		check_digest(how, "clara", "sesame", OUTCOME_rejected, "disabled");
		// Only the hash of anna's is kept; nobody knows an empty password.
		check_digest(how, "anna", "sesame", OUTCOME_unknown, "no password of the user");
		check_digest(how, "anna", "", OUTCOME_unknown, "no password of the user");
		check_digest(how, "zoe", "", OUTCOME_unknown, "no such user");
	}
}

// Who was let into TLS is whom the certificate names; users.db says whether that is a user.
static void test_certificates(void **state)
{
	static const struct {
		struct str domain, user;
		enum outcome outcome;
		const char *word; // the mailbox, or of the reason
	} rows[] = {
	    {STR("Example.Org"), STR("Anna"), OUTCOME_accepted, "anna@example.org"},
	    {STR(""), STR("ANNA"), OUTCOME_accepted, "anna"},
	    {STR(""), STR("dora"), OUTCOME_accepted, "dora"},
	    {STR("other"), STR("anna"), OUTCOME_unknown, "not of the certificate's domain"},
	    {STR("other"), STR("clara"), OUTCOME_rejected, "disabled"},
	    {STR(""), STR("clara"), OUTCOME_rejected, "disabled"},
	    {STR("other"), STR("zoe"), OUTCOME_unknown, "no such user"},
	    {STR(""), STR("zoe"), OUTCOME_unknown, "no such user"},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct claim claim = {.mechanism = NULL};
		assert_true(claim_external(&claim, "EXTERNAL", rows[i].user));
		check_judged(rows[i].user, &claim, rows[i].domain, rows[i].user, rows[i].outcome,
		    rows[i].word);
		claim_done(&claim);
	}
}

// Of one who is let in by another verifier, what users.db says of a namesake does not hold,
// but for the methods that it forbids.
static void test_namesake(void **state)
{
	const struct account account = {.domain = STR("other"), .user = STR("bert")};
	struct claim claim = {.mechanism = NULL};
	struct user_record record;
	const char *why = "";
	(void)state;
	assert_true(claim_external(&claim, "EXTERNAL", STR("bert@other")));
	assert_int_equal(verify_users(users, &claim, &account, &record, &why), OUTCOME_unknown);
	assert_false(record.has_nt_hash || record.mailbox || record.password.at);
	claim_done(&claim);
}

static void test_unavailable(void **state)
{
	struct claim claim = {.mechanism = NULL};
	(void)state;
	assert_true(claim_plain(&claim, "USER", STR("anna"), STR("sesame")));
	assert_int_equal(truncate(path, 0), 0);
	check_judged(
	    STR("anna"), &claim, STR(""), STR("anna"), OUTCOME_unavailable, "written over");
	claim_done(&claim);
}

static void test_wiped(void **state)
{
	struct claim claim = {.mechanism = NULL};
	(void)state;
	wiped_watch(STR("s\xc3\xa4same"));
	assert_true(claim_plain(&claim, "USER", STR("bert"), STR("s\xc3\xa4same")));
	check_judged(STR("bert"), &claim, STR(""), STR("bert"), OUTCOME_accepted, "bert");
	claim_done(&claim);
	assert_true(claim_plain(&claim, "USER", STR("bert"), STR("wrong")));
	check_judged(STR("bert"), &claim, STR(""), STR("bert"), OUTCOME_rejected, "wrong");
	claim_done(&claim);
	assert_int_equal(wiped_leaks(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_passwords), cmocka_unit_test(test_ntlm),
	    cmocka_unit_test(test_relayed_ntlm), cmocka_unit_test(test_digests),
	    cmocka_unit_test(test_certificates), cmocka_unit_test(test_namesake),
	    cmocka_unit_test(test_wiped),
	    cmocka_unit_test(test_unavailable), // spoils the database
	};
	return cmocka_run_group_tests_name("verify_users", tests, set_up, tear_down);
}
