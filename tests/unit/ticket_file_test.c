// ticket_file_test.c: keys of a file, and every way in which it can hold none.
#include "certs/ticket_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/kit/check.h"

// `openssl rand -base64 48`, and 80 bytes without a line break.
#define FIRST "wQpv1Q0Vt8bR7mF3o7f4cZC0v3JrR1oB1pQx2m0m4yYV8QnYF9kq0T2v8sKp3nXa"
#define SECOND "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v"
#define LONG                                                                                       \
	"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1"                 \
	"Njc4OTo7PD0+P0BBQkNERUZHSElKS0xNTk8="

static char path[] = "/tmp/popgate-ticket-file-XXXXXX";

static void write_file(const char *content)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(content, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static struct ticket_file load(const char *content)
{
	char room[512];
	struct text why = TEXT(room);
	struct ticket_file file;
	write_file(content);
	check(str_of(content), ticket_file_load(path, &file, &why));
	return file;
}

static void refused(const char *content, const char *reason)
{
	char room[512];
	struct text why = TEXT(room);
	struct ticket_file file;
	write_file(content);
	check(str_of(content), !ticket_file_load(path, &file, &why));
	check(str_of(content), strstr(room, reason) && strstr(room, path));
}

static bool is_same(const struct ticket_key *a, const struct ticket_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static void test_keys(void **state)
{
	(void)state;
	struct ticket_file one = load(FIRST "\n");
	assert_int_equal(one.num_keys, 1);
	struct ticket_file three = load("# new\n" FIRST "\n\n  " SECOND " \n" LONG "\n");
	assert_int_equal(three.num_keys, 3);
	assert_true(is_same(&one.keys[0], &three.keys[0]));
	assert_false(is_same(&three.keys[1], &three.keys[2]));
	assert_memory_not_equal(three.keys[1].name, three.keys[2].name, TICKET_NAME_SIZE);
}

static void test_no_keys(void **state)
{
	(void)state;
	refused("", "holds no key");
	refused("# nothing\n\n", "holds no key");
	refused(FIRST, "line 1 of");
	refused(FIRST "\n" SECOND, "has no end");
	refused(FIRST "\nMDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n", "line 2 of");
	refused(FIRST "=\n", "is no key");
	refused(FIRST FIRST "\n", "is no key");
	refused("not base64, but as long as a key of that kind would have been ..\n", "is no key");
	refused(LONG LONG LONG "\n", "is no key");
}

static void test_too_many(void **state)
{
	char room[4096];
	struct text content = TEXT(room);
	(void)state;
	for (size_t i = 0; i < TICKET_FILE_KEYS_MAX; i++)
		text_addf(&content, "%s\n", FIRST);
	assert_int_equal(load(room).num_keys, TICKET_FILE_KEYS_MAX);
	text_addf(&content, "%s\n", FIRST);
	refused(room, "more than 16 keys");
}

static void test_too_large(void **state)
{
	static char room[16 * 1024];
	(void)state;
	memset(room, '\n', sizeof(room) - 1);
	refused(room, "too large");
}

static void test_others_may_not_read_it(void **state)
{
	(void)state;
	write_file(FIRST "\n");
	assert_int_equal(chmod(path, 0640), 0);
	refused(FIRST "\n", "chmod 600");
	assert_int_equal(chmod(path, 0600), 0);
	load(FIRST "\n");
}

static void test_no_file(void **state)
{
	char room[512];
	struct text why = TEXT(room);
	struct ticket_file file;
	(void)state;
	assert_false(ticket_file_load("/nowhere/keys", &file, &why));
	assert_non_null(strstr(room, "/nowhere/keys"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_no_keys),
	    cmocka_unit_test(test_too_many),
	    cmocka_unit_test(test_too_large),
	    cmocka_unit_test(test_others_may_not_read_it),
	    cmocka_unit_test(test_no_file),
	};
	int fd = mkstemp(path);
	if (fd < 0)
		return 1;
	close(fd);
	int failed = cmocka_run_group_tests_name("ticket_file", tests, NULL, NULL);
	unlink(path);
	return failed;
}
