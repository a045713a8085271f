// password_file_test.c: passwords in files: whose rights are enough, and what a
// password may be.
#include "tests/kit/check.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/password_file.h"
#include "tests/kit/wiped.h"

static const char template[] = "/tmp/popgate-password-XXXXXX";
static char path[sizeof(template)];

static void write_file(struct str content, mode_t mode)
{
	memcpy(path, template, sizeof(template));
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content.at, content.len), content.len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void check_file(struct str content, mode_t mode, const char *password, const char *problem)
{
	char room[512];
	struct text why = TEXT(room);
	struct secret secret = {0};
	write_file(content, mode);
	bool taken = password_file_read(path, &secret, &why);
	unlink(path);
	check(content, taken == !problem);
	check_str(content, secret_reveal(&secret), str_of(password));
	check(content, !problem || (strstr(room, path) && strstr(room, problem)));
	secret_done(&secret);
}

static void test_contents(void **state)
{
	char room[300];
	struct str longest = str_take(check_fill(room, sizeof(room), 'x', sizeof(room)), 255);
	(void)state;
	check_file(STR("a secret"), 0600, "a secret", NULL);
	check_file(STR("a secret\n"), 0640, "a secret", NULL);
	check_file(STR(" a secret \r\n"), 0400, " a secret ", NULL);
	check_file(STR("\xc3\xa4"), 0600, "\xc3\xa4", NULL);
	check_file(STR(""), 0600, NULL, "empty");
	check_file(STR("\n"), 0600, NULL, "empty");
	check_file(STR("a\nb\n"), 0600, NULL, "one line");
	check_file(STR("a\n\n"), 0600, NULL, "one line");
	check_file(STR("a\0b"), 0600, NULL, "one line");
	room[255] = '\0';
	check_file(longest, 0600, room, NULL);
	room[255] = 'x';
	check_file((struct str){room, 256}, 0600, NULL, "255 bytes");
	check_file((struct str){room, 300}, 0600, NULL, "255 bytes");
}

static void test_rights(void **state)
{
	(void)state;
	check_file(STR("a secret"), 0604, NULL, "others than its owner");
	check_file(STR("a secret"), 0602, NULL, "others than its owner");
	check_file(STR("a secret"), 0644, NULL, "others than its owner");
	check_file(STR("a secret"), 0660, "a secret", NULL);
}

static void test_no_file(void **state)
{
	char room[512];
	struct text why = TEXT(room);
	struct secret secret = {0};
	(void)state;
	assert_false(password_file_read("/tmp", &secret, &why));
	assert_non_null(strstr(room, "directory"));
	why = TEXT(room);
	assert_false(password_file_read("/does/not/exist", &secret, &why));
	assert_non_null(strstr(room, "No such file"));
}

static void test_nothing_is_left(void **state)
{
	(void)state;
	wiped_watch(STR("much too secret"));
	check_file(STR("much too secret\n"), 0600, "much too secret", NULL);
	check_file(STR("much too secret\nx"), 0600, NULL, "one line");
	assert_int_equal(wiped_leaks(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_contents),
	    cmocka_unit_test(test_rights),
	    cmocka_unit_test(test_no_file),
	    cmocka_unit_test(test_nothing_is_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
