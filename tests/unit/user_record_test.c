// user_record_test.c: what is kept of a user survives being encoded and sealed,
// opens under its own name and key only, and is wiped.
#include "tests/kit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/users/fields.h"
#include "backends/users/name.h"
#include "backends/users/seal.h"
#include "tests/kit/wiped.h"

#define LONGEST                                                                                    \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901"       \
	"2345678901234567890123456789012345678901234567890123456789012345678901234567890123"       \
	"456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
#define BACKEND_LONGEST "0123456789012345678901234567890123456789012345678901234567890123"

// A record made of its fields; empty ones are left out.
static struct user_record make(const char *const values[USER_FIELDS])
{
	struct user_record record = {.enabled = false};
	char room[512];
	struct text why = TEXT(room);
	for (int field = 0; field < USER_FIELDS; field++)
		if (values[field])
			check(str_of(values[field]), user_field_set(&record, (enum user_field)field,
			                                 str_of(values[field]), &why));
	return record;
}

static bool same_text(const char *a, const char *b)
{
	return str_eq(str_of(a), str_of(b));
}

static void check_same(struct str row, const struct user_record *a, const struct user_record *b)
{
	check(row, a->enabled == b->enabled && a->methods == b->methods);
	check(row, a->has_nt_hash == b->has_nt_hash);
	check(row, memcmp(a->nt_hash, b->nt_hash, sizeof(a->nt_hash)) == 0);
	check(row, !a->password.at == !b->password.at);
	check(row, secret_equals(&a->password, secret_reveal(&b->password)));
	check(row, same_text(a->mailbox, b->mailbox) && same_text(a->backend, b->backend));
	check(row, !a->backend_password.at == !b->backend_password.at);
	check(row, secret_equals(&a->backend_password, secret_reveal(&b->backend_password)));
}

static const struct {
	const char *values[USER_FIELDS];
	size_t len; // encoded
} records[] = {
    {{NULL}, 64},
    {{"yes"}, 64},
    {{"no", "all", "", ""}, 64},
    {{"yes", "basic-tls", "suzanf", "store", NULL, "00112233445566778899aAbBcCdDeEfF"}, 64},
    {{"yes", "basic basic-tls", NULL, NULL, "sesame", NULL, "open"}, 64},
    {{"yes", NULL, "\xc3\xa4\xc3\xb6", NULL, "0123456789012345678901234567890123456789"}, 128},
    {{"yes", NULL, LONGEST, BACKEND_LONGEST, LONGEST, NULL, LONGEST}, 896},
};

static void test_encoding(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUM(records); i++) {
		char row_room[16];
		struct text row = TEXT(row_room);
		struct user_record record = make(records[i].values), again;
		uint8_t bytes[USER_RECORD_MAX];
		text_addf(&row, "record %zu", i);
		size_t len = user_record_encode(&record, bytes);
		check(text_str(&row), len == records[i].len);
		check(text_str(&row),
		    user_record_decode((struct str){(const char *)bytes, len}, &again));
		check_same(text_str(&row), &record, &again);
		user_record_done(&again);
		user_record_done(&record);
	}
}

static void test_bytes_that_are_no_record(void **state)
{
	uint8_t bytes[USER_RECORD_MAX];
	struct user_record record = make(records[NUM(records) - 1].values), again;
	(void)state;
	size_t len = user_record_encode(&record, bytes);
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *copy = memcpy(malloc(cut + 1), bytes, cut); // asan sees its end
		if (user_record_decode((struct str){(char *)copy, cut}, &again))
			user_record_done(&again);
		else
			assert_null(again.mailbox);
		free(copy);
	}
	bytes[21] = 249; // the password's length: more than one may have
	assert_false(user_record_decode((struct str){(char *)bytes, len}, &again));
	user_record_done(&record);
}

static void test_seal(void **state)
{
	static const uint8_t key[USERS_KEY_SIZE] = {1}, other_key[USERS_KEY_SIZE] = {2};
	struct seal *seal = seal_new(key), *other = seal_new(other_key);
	uint8_t sealed[64 + SEAL_OVERHEAD], twice[64 + SEAL_OVERHEAD], plain[128];
	size_t len, plain_len;
	(void)state;
	len = seal_close(seal, STR("anna"), STR("what is kept"), sealed);
	struct str bytes = {(char *)sealed, len};
	assert_int_equal(len, 12 + SEAL_OVERHEAD);
	assert_true(seal_open(seal, STR("anna"), bytes, plain, &plain_len));
	check_str(STR("anna"), ((struct str){(char *)plain, plain_len}), STR("what is kept"));
	assert_false(seal_open(seal, STR("bert"), bytes, plain, &plain_len));
	assert_false(seal_open(other, STR("anna"), bytes, plain, &plain_len));
	for (size_t i = 0; i < len; i++) {
		assert_false(seal_open(seal, STR("anna"), str_take(bytes, i), plain, &plain_len));
		sealed[i] ^= 1;
		assert_false(seal_open(seal, STR("anna"), bytes, plain, &plain_len));
		sealed[i] ^= 1;
	}
	seal_close(seal, STR("anna"), STR("what is kept"), twice);
	assert_memory_not_equal(sealed, twice, len); // another nonce
	seal_free(&other);
	seal_free(&seal);
	seal_free(&seal);
}

static void test_wiped(void **state)
{
	struct user_record record = {.enabled = false};
	char room[512];
	struct text why = TEXT(room);
	(void)state;
	wiped_watch(STR("sesame"));
	assert_true(user_field_set(&record, USER_FIELD_password, STR("open sesame"), &why));
	assert_true(user_field_set(&record, USER_FIELD_backend_password, STR("sesame!"), &why));
	assert_true(user_field_set(&record, USER_FIELD_password, STR("another"), &why));
	assert_true(user_field_set(&record, USER_FIELD_password, STR("sesame again"), &why));
	user_record_done(&record);
	assert_false(record.has_nt_hash);
	assert_int_equal(wiped_leaks(), 0);
}

// ---- names --------------------------------------------------------------

static void test_names(void **state)
{
	static const struct {
		struct str domain, user, folded; // folded empty: refused
	} rows[] = {
	    {STR(""), STR("anna"), STR("anna")}, {STR(""), STR("SuzanF"), STR("suzanf")},
	    {STR("DOMAIN"), STR("Suzanf"), STR("suzanf@domain")},
	    {STR(""), STR("suzanf@Domain"), STR("suzanf@domain")},
	    {STR("Example.ORG"), STR("a b"), STR("a b@example.org")},
	    {STR(""), STR("\xc3\x84RGER"), STR("\xc3\xa4rger")},
	    {STR(""), STR("a\xcc\x88rger"), STR("\xc3\xa4rger")}, // composed
	    {STR(""),
	        STR("Stra\xc3\x9f"
	            "e"),
	        STR("strasse")},
	    {STR("\xce\xa3"), STR("\xce\xa3\xce\xaf\xcf\x82"),
	        STR("\xcf\x83\xce\xaf\xcf\x83@\xcf\x83")},
	    {STR(""), STR(""), STR("")}, {STR("domain"), STR(""), STR("")},
	    {STR(""), STR("a\nb"), STR("")}, {STR(""), STR("a\0b"), STR("")},
	    {STR("a\x7f"), STR("b"), STR("")}, {STR(""), STR("\xe4rger"), STR("")}, // no UTF-8
	    {STR("\xc3"), STR("\xa4"), STR("")},     // nor when put together
	    {STR(""), STR("\xed\xa0\x80"), STR("")}, // a surrogate
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[USER_NAME_ROOM];
		struct text name = TEXT(room);
		bool folded = user_name_fold(rows[i].domain, rows[i].user, &name);
		check(rows[i].user, folded == (rows[i].folded.len > 0));
		if (folded)
			check_str(rows[i].user, text_str(&name), rows[i].folded);
	}
}

static void test_long_names(void **state)
{
	char room[USER_NAME_ROOM], many[USER_NAME_MAX + 2];
	(void)state;
	struct text name = TEXT(room);
	assert_true(
	    user_name_fold(STR(""), check_fill(many, sizeof(many), 'A', USER_NAME_MAX), &name));
	assert_int_equal(name.len, USER_NAME_MAX);
	name = (struct text)TEXT(room);
	assert_false(
	    user_name_fold(STR(""), check_fill(many, sizeof(many), 'A', USER_NAME_MAX + 1), &name));
	name = (struct text)TEXT(room);
	for (size_t i = 0; i + 1 < 400; i += 2) // each folds to three bytes
		memcpy(many + i, "\xc5\x89", 2);
	assert_false(user_name_fold(STR(""), (struct str){many, 400}, &name));
}

// ---- fields -------------------------------------------------------------

static void test_fields_refused(void **state)
{
	static const struct {
		enum user_field field;
		struct str value, word;
	} rows[] = {
	    {USER_FIELD_enabled, STR("true"), STR("yes or no")},
	    {USER_FIELD_methods, STR("basic-tsl"), STR("did you mean \"basic-tls\"")},
	    {USER_FIELD_methods, STR("basic all"), STR("no login method")},
	    {USER_FIELD_methods, STR("membership"), STR("membership")},
	    {USER_FIELD_mailbox, STR("a\tb"), STR("control")},
	    {USER_FIELD_mailbox, STR(LONGEST "x"), STR("248")},
	    {USER_FIELD_backend, STR(BACKEND_LONGEST "x"), STR("64")},
	    {USER_FIELD_password, STR(""), STR("empty")},
	    {USER_FIELD_password, STR("a\rb"), STR("control")},
	    {USER_FIELD_password, STR(LONGEST "x"), STR("248")},
	    {USER_FIELD_password, STR("f\xfcr"), STR("UTF-8")},
	    {USER_FIELD_nt_hash, STR("0011"), STR("32")},
	    {USER_FIELD_nt_hash, STR("0011223344556677889900112233445g"), STR("32")},
	    {USER_FIELD_backend_password, STR(""), STR("empty")},
	};
	(void)state;
	for (size_t i = 0; i < NUM(rows); i++) {
		struct user_record record = make(records[4].values),
		                   before = make(records[4].values);
		char room[512];
		struct text why = TEXT(room);
		check(rows[i].value, !user_field_set(&record, rows[i].field, rows[i].value, &why));
		check(rows[i].value, str_has_nocase(text_str(&why), rows[i].word));
		check(rows[i].value, !why.truncated);
		check_same(rows[i].value, &record, &before);
		user_record_done(&before);
		user_record_done(&record);
	}
}

// MS-NLMP section 4.2.2.1.2: NTOWFv1("Password").
static void test_password_and_hash(void **state)
{
	static const char hash[] = "a4f49c406510bdcab6824ee7c30fd852";
	struct user_record record = {.enabled = false};
	char room[USER_FIELD_ROOM], why_room[512];
	struct text value = TEXT(room), why = TEXT(why_room);
	(void)state;
	assert_true(user_field_set(&record, USER_FIELD_password, STR("Password"), &why));
	user_field_print(&record, USER_FIELD_nt_hash, &value);
	assert_string_equal(room, hash);
	assert_true(secret_equals(&record.password, STR("Password")));
	value = (struct text)TEXT(room);
	user_field_print(&record, USER_FIELD_password, &value);
	assert_int_equal(value.len, 0);
	assert_true(user_field_set(&record, USER_FIELD_nt_hash, str_of(hash), &why));
	assert_null(record.password.at); // it may be another one's
	user_record_done(&record);
}

// ---- the key file -------------------------------------------------------

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
}

#define DIGITS "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static void test_key_file(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		struct str word; // of the refusal; empty: it is taken
	} rows[] = {
	    {DIGITS "\n", 0600, STR("")},
	    {DIGITS, 0400, STR("")},
	    {DIGITS "\n", 0640, STR("chmod 600")},
	    {DIGITS "\n", 0604, STR("chmod 600")},
	    {DIGITS "\n", 0620, STR("chmod 600")},
	    {"", 0600, STR("holds no key")},
	    {DIGITS "\n\n", 0600, STR("holds no key")},
	    {DIGITS "0\n", 0600, STR("holds no key")},
	    {"x" DIGITS, 0600, STR("holds no key")},
	};
	(void)state;
	char path[] = "/tmp/popgate-key-XXXXXX";
	close(mkstemp(path));
	for (size_t i = 0; i < NUM(rows); i++) {
		uint8_t key[USERS_KEY_SIZE];
		char room[512];
		struct text why = TEXT(room);
		write_file(path, rows[i].text, rows[i].mode);
		bool loaded = users_key_load(path, key, &why);
		check(str_of(rows[i].text), loaded == !rows[i].word.len);
		check(str_of(rows[i].text), str_has_nocase(text_str(&why), rows[i].word));
		check(str_of(rows[i].text), !loaded || (key[1] == 0x11 && key[31] == 0xff));
	}
	unlink(path);
}

static void test_key_is_made_once(void **state)
{
	char path[] = "/tmp/popgate-key-XXXXXX";
	uint8_t key[USERS_KEY_SIZE], again[USERS_KEY_SIZE];
	char room[512];
	struct text why = TEXT(room);
	struct stat status;
	(void)state;
	close(mkstemp(path));
	assert_false(users_key_make(path, &why)); // nothing is written over
	assert_non_null(strstr(room, path));
	why = (struct text)TEXT(room);
	unlink(path);
	assert_true(users_key_make(path, &why));
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_true(users_key_load(path, key, &why));
	unlink(path);
	assert_true(users_key_make(path, &why));
	assert_true(users_key_load(path, again, &why));
	assert_memory_not_equal(key, again, sizeof(key));
	unlink(path);
	assert_false(users_key_load(path, key, &why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_encoding),
	    cmocka_unit_test(test_bytes_that_are_no_record),
	    cmocka_unit_test(test_seal),
	    cmocka_unit_test(test_wiped),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_long_names),
	    cmocka_unit_test(test_fields_refused),
	    cmocka_unit_test(test_password_and_hash),
	    cmocka_unit_test(test_key_file),
	    cmocka_unit_test(test_key_is_made_once),
	};
	return cmocka_run_group_tests_name("user_record", tests, NULL, NULL);
}
