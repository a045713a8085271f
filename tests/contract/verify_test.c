// verify_test.c: the promises of backends/verify/verify.h: on_done never before
// verification_start returns, exactly once unless cancelled, never after
// verification_cancel; and who is asked, in which order, until one decides.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/verify/verify.h"
#include "proxy/config/config.h"
#include "proxy/pop3/ntlm/crypto.h"
#include "tests/kit/check.h"

enum { PATIENCE_MS = 20 * 1000, WINBIND_MS = 100 };

// Of users.db: the password of both is "sesame".
#define KNOWN "anna"    // may log in by any method
#define LIMITED "bo"    // by basic-tls alone
#define DISABLED "carl" // not at all
#define KEPT "dora"     // has none: others judge; may log in by basic-tls alone
#define UNKNOWN "nobody"

static struct fixture {
	char folder[32], path[64], lock[80];
	struct net net;
	struct timer patience;
	struct verify_sources sources;
	struct verification verification;
	struct claim claim;
	struct account account;
	struct verifiers verifiers;
	unsigned done;
	enum outcome outcome;
	bool in_call;
	bool starts_again; // from within on_done
} fixture;

// ---- users.db -----------------------------------------------------------

static const uint8_t key[USERS_KEY_SIZE] = {1, 2, 3};

static void add(struct users *users, const char *name, bool is_enabled, unsigned methods)
{
	const char *why = NULL;
	struct user_record record = {.enabled = is_enabled, .methods = methods};
	record.has_nt_hash =
	    !str_eq(str_of(name), STR(KEPT)) && ntlm_nt_hash(STR("sesame"), record.nt_hash);
	check(str_of(name), users_put(users, str_of(name), &record, &why));
}

static void make_users(void)
{
	char room[512];
	struct text why = TEXT(room);
	const char *problem = NULL;
	const struct database_place place = {.path = fixture.path, .size_max = 1024 * 1024};
	struct users *users = users_open_at(&place, DATABASE_MAKE, key, &why);
	check_str(STR("users.db"), text_str(&why), STR(""));
	assert_true(users_begin(users, &problem));
	add(users, KNOWN, true, 0);
	add(users, LIMITED, true, LOGIN_METHOD_basic_tls);
	add(users, DISABLED, false, 0);
	add(users, KEPT, true, LOGIN_METHOD_basic_tls);
	assert_true(users_commit(users, &problem));
	users_close(&users);
}

// ---- the bench ----------------------------------------------------------

static void on_patience(struct timer *timer)
{
	(void)timer;
	fail_msg("nothing happened");
}

static void want_helper(void *context)
{
	(void)context; // and gets none: every request ends as unavailable
}

static int open_bench(void **state)
{
	(void)state;
	char room[512];
	struct text why = TEXT(room);
	fixture = (struct fixture){.folder = "/tmp/verify_test.XXXXXX"};
	assert_non_null(mkdtemp(fixture.folder));
	snprintf(fixture.path, sizeof(fixture.path), "%s/users.db", fixture.folder);
	snprintf(fixture.lock, sizeof(fixture.lock), "%s-lock", fixture.path);
	make_users();
	net_init(&fixture.net);
	timer_init(&fixture.patience, &fixture.net, on_patience);
	timer_set(&fixture.patience, PATIENCE_MS);
	fixture.sources = (struct verify_sources){
	    .net = &fixture.net,
	    .users = users_open(fixture.path, key, &why),
	    .winbind = winbind_open(&fixture.net,
	        &(struct winbind_settings){
	            .helpers = 1, .timeout_ms = WINBIND_MS, .want_helper = want_helper}),
	};
	check_str(STR("users.db"), text_str(&why), STR(""));
	return 0;
}

static int close_bench(void **state)
{
	(void)state;
	verification_done(&fixture.verification);
	claim_done(&fixture.claim);
	winbind_close(fixture.sources.winbind);
	timer_close(&fixture.patience, NULL);
	net_run(&fixture.net);
	net_done(&fixture.net);
	winbind_free(&fixture.sources.winbind);
	users_close(&fixture.sources.users);
	unlink(fixture.path);
	unlink(fixture.lock);
	rmdir(fixture.folder);
	return 0;
}

static void start(void)
{
	fixture.in_call = true;
	verification_start(&fixture.verification);
	fixture.in_call = false;
}

static void on_done(struct verification *verification, enum outcome outcome)
{
	assert_ptr_equal(verification, &fixture.verification);
	assert_false(fixture.in_call);
	fixture.done++;
	fixture.outcome = outcome;
	if (fixture.starts_again) {
		fixture.starts_again = false;
		start();
	}
}

static void judge(bool has_tls)
{
	assert_true(account_parse(fixture.claim.user, &fixture.account));
	fixture.verification.sources = &fixture.sources;
	fixture.verification.verifiers = &fixture.verifiers;
	fixture.verification.claim = &fixture.claim;
	fixture.verification.account = &fixture.account;
	fixture.verification.has_tls = has_tls;
	fixture.verification.on_done = on_done;
	start();
}

static void ask(const char *user, const char *password, bool has_tls)
{
	assert_true(claim_plain(&fixture.claim, "USER", str_of(user), str_of(password)));
	judge(has_tls);
}

static void ask_external(const char *user)
{
	assert_true(claim_external(&fixture.claim, "EXTERNAL", str_of(user)));
	judge(true);
}

static enum outcome answer(void)
{
	unsigned before = fixture.done;
	while (fixture.done == before)
		uv_run(&fixture.net.loop, UV_RUN_ONCE);
	return fixture.outcome;
}

// ---- who decides --------------------------------------------------------

#define USERS VERIFIER_users
#define WINBIND VERIFIER_winbind
#define BACKEND VERIFIER_backend
#define CERTIFICATE VERIFIER_certificate

static const struct {
	struct str row;
	const char *user, *password;
	bool has_tls;
	struct verifiers verifiers;
	enum outcome outcome;
	enum verifier judge;
	const char *why; // NULL: whatever
} rows[] = {
    {STR("right"), KNOWN, "sesame", false, {{USERS}, 1, false}, OUTCOME_accepted, USERS, NULL},
    {STR("wrong"), KNOWN, "open", false, {{USERS, BACKEND}, 2, true}, OUTCOME_rejected, USERS,
        NULL},
    {STR("disabled"), DISABLED, "sesame", true, {{USERS, BACKEND}, 2, true}, OUTCOME_rejected,
        USERS, "the user is disabled in users.db"},
    {STR("method"), LIMITED, "sesame", true, {{USERS}, 1, false}, OUTCOME_accepted, USERS, NULL},
    {STR("no such method"), LIMITED, "sesame", false, {{USERS, BACKEND}, 2, false},
        OUTCOME_rejected, USERS, "the user may not log in by this method"},
    {STR("method, but wrong"), LIMITED, "open", false, {{USERS}, 1, false}, OUTCOME_rejected, USERS,
        "the password is wrong"},
    {STR("unknown"), UNKNOWN, "sesame", false, {{USERS}, 1, false}, OUTCOME_rejected, USERS,
        "users.db has no such user"},
    {STR("left to the store"), UNKNOWN, "sesame", false, {{USERS, BACKEND}, 2, false},
        OUTCOME_accepted, BACKEND, NULL},
    {STR("the store's alone"), KNOWN, "open", false, {{BACKEND}, 1, false}, OUTCOME_accepted,
        BACKEND, NULL},
    {STR("nobody there"), KNOWN, "sesame", false, {{WINBIND, USERS}, 2, false}, OUTCOME_unavailable,
        WINBIND, NULL},
    {STR("the next one"), KNOWN, "sesame", false, {{WINBIND, USERS}, 2, true}, OUTCOME_accepted,
        USERS, NULL},
    {STR("the next one says no"), KNOWN, "open", false, {{WINBIND, USERS}, 2, true},
        OUTCOME_rejected, USERS, "the password is wrong"},
    {STR("nobody knows, one could not say"), UNKNOWN, "sesame", false, {{WINBIND, USERS}, 2, true},
        OUTCOME_unavailable, USERS, NULL},
    {STR("behind one who does not know"), UNKNOWN, "sesame", false, {{USERS, WINBIND}, 2, false},
        OUTCOME_unavailable, WINBIND, NULL},
    {STR("nobody"), KNOWN, "sesame", false, {{USERS}, 0, false}, OUTCOME_rejected, USERS, NULL},
    {STR("kept, judged by another"), KEPT, "open", true, {{USERS, BACKEND}, 2, false},
        OUTCOME_accepted, BACKEND, NULL},
    {STR("kept, but not so"), KEPT, "open", false, {{USERS, BACKEND}, 2, false}, OUTCOME_rejected,
        BACKEND, "the user may not log in by this method"},
};

static void test_who_decides(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		fixture.verifiers = rows[i].verifiers;
		ask(rows[i].user, rows[i].password, rows[i].has_tls);
		check(rows[i].row, answer() == rows[i].outcome);
		check(rows[i].row,
		    !fixture.verifiers.num || fixture.verification.verifier == rows[i].judge);
		if (rows[i].why)
			check_str(
			    rows[i].row, str_of(fixture.verification.why), str_of(rows[i].why));
		check(rows[i].row, rows[i].outcome == OUTCOME_accepted || fixture.verification.why);
	}
	assert_int_equal(fixture.done, NUM(rows));
}

static const struct {
	const char *user;
	struct verifiers verifiers;
	enum outcome outcome;
	enum verifier judge;
	const char *why;
} certificates[] = {
    {KNOWN, {{USERS, CERTIFICATE}, 2, false}, OUTCOME_accepted, USERS, NULL},
    {KNOWN "@a", {{USERS, CERTIFICATE}, 2, false}, OUTCOME_accepted, CERTIFICATE, NULL},
    {KNOWN "@a", {{USERS}, 1, false}, OUTCOME_rejected, USERS,
        "users.db has a user of that name, but not of the certificate's domain"},
    {DISABLED "@a", {{USERS, CERTIFICATE}, 2, false}, OUTCOME_rejected, USERS,
        "the user is disabled in users.db"},
    {LIMITED, {{USERS, CERTIFICATE}, 2, false}, OUTCOME_rejected, USERS,
        "the user may not log in by this method"},
    {LIMITED "@a", {{USERS, CERTIFICATE}, 2, false}, OUTCOME_rejected, CERTIFICATE,
        "the user may not log in by this method"},
    {UNKNOWN, {{USERS, CERTIFICATE}, 2, false}, OUTCOME_accepted, CERTIFICATE, NULL},
    {UNKNOWN, {{CERTIFICATE}, 1, false}, OUTCOME_accepted, CERTIFICATE, NULL},
    {UNKNOWN, {{WINBIND, BACKEND}, 2, false}, OUTCOME_rejected, BACKEND, "nobody can judge this"},
};

static void test_who_decides_by_certificate(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(certificates); i++) {
		struct str row = str_of(certificates[i].user);
		fixture.verification.verifier = BACKEND;
		fixture.verifiers = certificates[i].verifiers;
		ask_external(certificates[i].user);
		check(row, answer() == certificates[i].outcome);
		check(row, fixture.verification.verifier == certificates[i].judge);
		if (certificates[i].why)
			check_str(
			    row, str_of(fixture.verification.why), str_of(certificates[i].why));
	}
}

// What users.db says of a user is there whoever judged, and nothing of the one before.
static void test_record(void **state)
{
	(void)state;
	fixture.verifiers = (struct verifiers){{USERS, BACKEND}, 2, false};
	ask(KEPT, "open", true);
	assert_int_equal(answer(), OUTCOME_accepted);
	assert_int_equal(fixture.verification.record.methods, LOGIN_METHOD_basic_tls);
	ask(UNKNOWN, "open", true);
	assert_int_equal(answer(), OUTCOME_accepted);
	assert_int_equal(fixture.verification.record.methods, 0);
}

static void test_again_within(void **state)
{
	(void)state;
	fixture.verifiers = (struct verifiers){{USERS}, 1, false};
	fixture.starts_again = true;
	ask(KNOWN, "sesame", false);
	assert_int_equal(answer(), OUTCOME_accepted);
	assert_int_equal(answer(), OUTCOME_accepted);
	assert_int_equal(fixture.done, 2);
}

// Before the first verifier was asked, while one is, and when all is over.
static void test_cancelled(void **state)
{
	(void)state;
	static const struct verifiers orders[] = {
	    {{USERS}, 1, false}, {{WINBIND}, 1, false}, {{WINBIND, USERS}, 2, true}};
	for (size_t i = 0; i < NUM(orders); i++)
		for (unsigned turns = 0; turns < 2; turns++) {
			fixture.verifiers = orders[i];
			ask(KNOWN, "sesame", false);
			for (unsigned k = 0; k < turns; k++)
				uv_run(&fixture.net.loop, UV_RUN_NOWAIT);
			verification_cancel(&fixture.verification);
			unsigned before = fixture.done;
			usleep(2 * WINBIND_MS * 1000);
			uv_run(&fixture.net.loop, UV_RUN_NOWAIT);
			uv_run(&fixture.net.loop, UV_RUN_NOWAIT);
			assert_int_equal(fixture.done, before);
		}
	fixture.verifiers = orders[0];
	ask(KNOWN, "sesame", false);
	assert_int_equal(answer(), OUTCOME_accepted);
	verification_cancel(&fixture.verification);
}

// ---- what a listener's option means -------------------------------------

#define BY_USERS (CLAIM_plain | CLAIM_ntlm | CLAIM_digest | CLAIM_external)

static const struct {
	struct str row;
	const char *names[3];
	unsigned claims;
	bool leaves_plain, leaves_ntlm;
} options[] = {
    {STR("backend"), {"backend"}, CLAIM_plain | CLAIM_ntlm, true, true},
    {STR("users"), {"users"}, BY_USERS, false, false},
    {STR("winbind"), {"winbind"}, CLAIM_plain | CLAIM_ntlm, false, false},
    {STR("users, backend"), {"users", "backend"}, BY_USERS, false, false},
    {STR("certificate"), {"certificate"}, CLAIM_external, false, false},
    {STR("certificate, backend"), {"certificate", "backend"},
        CLAIM_external | CLAIM_plain | CLAIM_ntlm, true, true},
    {STR("winbind, backend"), {"winbind", "backend"}, CLAIM_plain | CLAIM_ntlm, false, false},
};

static void test_options(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(options); i++) {
		char *names[3];
		struct listener_options listener = {.verify = {.at = names}};
		for (size_t k = 0; k < 3 && options[i].names[k]; k++)
			names[listener.verify.num++] = (char *)(uintptr_t)options[i].names[k];
		struct verifiers verifiers = verifiers_of(&listener);
		check(options[i].row, verifiers.num == listener.verify.num);
		check(options[i].row, verifiers_claims(&verifiers) == options[i].claims);
		check(options[i].row,
		    verifiers_leave_to_store(&verifiers, CLAIM_plain) == options[i].leaves_plain);
		check(options[i].row,
		    verifiers_leave_to_store(&verifiers, CLAIM_ntlm) == options[i].leaves_ntlm);
		check(options[i].row, !verifiers_leave_to_store(&verifiers, CLAIM_digest) &&
		                          !verifiers_leave_to_store(&verifiers, CLAIM_external));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_who_decides, open_bench, close_bench),
	    cmocka_unit_test_setup_teardown(
	        test_who_decides_by_certificate, open_bench, close_bench),
	    cmocka_unit_test_setup_teardown(test_record, open_bench, close_bench),
	    cmocka_unit_test_setup_teardown(test_again_within, open_bench, close_bench),
	    cmocka_unit_test_setup_teardown(test_cancelled, open_bench, close_bench),
	    cmocka_unit_test(test_options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
