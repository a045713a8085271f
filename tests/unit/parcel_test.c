// parcel_test.c: a certificate on its way between processes: what comes out is what went
// in, and what was never a parcel is refused.
#include "tests/kit/check.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "certs/parcel.h"
#include "tests/kit/cert.h"

static struct str leaf_of(const struct tls_certificate *certificate)
{
	return tls_certificate_leaf(certificate);
}

static int pack(const struct tls_certificate *certificate)
{
	char room[256];
	struct text why = TEXT(room);
	int fd = parcel_make(7, certificate, &why);
	assert_true(fd >= 0);
	return fd;
}

static void test_there_and_back(void **state)
{
	char room[256];
	struct text why = TEXT(room);
	uint32_t index = 0;
	struct tls_certificate *sent = cert_certificate();
	struct tls_certificate *come = parcel_open(pack(sent), NULL, &index, &why);
	(void)state;
	assert_non_null(come);
	assert_int_equal(index, 7);
	assert_true(tls_certificate_has_chain_of(come, sent));
	assert_true(str_eq(leaf_of(come), leaf_of(sent)));
	assert_int_equal(tls_certificate_end_point(come).len, 32);
	tls_certificate_free(&come);
	tls_certificate_free(&sent);
	assert_null(sent);
}

static void test_nobody_can_change_it(void **state)
{
	struct tls_certificate *certificate = cert_certificate();
	int fd = pack(certificate);
	(void)state;
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(ftruncate(fd, 1), -1);
	close(fd);
	tls_certificate_free(&certificate);
}

// The bytes in a memfd of ours, sealed or not.
static int memory_of(struct str bytes, bool is_sealed)
{
	int fd = memfd_create("parcel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(write(fd, bytes.at, bytes.len), bytes.len);
	if (is_sealed)
		assert_int_equal(
		    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
	return fd;
}

static bool is_refused(int fd)
{
	char room[256];
	struct text why = TEXT(room);
	uint32_t index;
	struct tls_certificate *certificate = parcel_open(fd, NULL, &index, &why);
	bool refused = !certificate && why.len;
	tls_certificate_free(&certificate);
	return refused;
}

// Cut off anywhere, with a byte more, or with another one.
static void test_what_is_none(void **state)
{
	char room[4096];
	struct tls_certificate *certificate = cert_certificate();
	int fd = pack(certificate);
	ssize_t len = pread(fd, room, sizeof(room) - 1, 0);
	(void)state;
	assert_true(len > 0);
	assert_true(is_refused(-1));
	assert_true(is_refused(memory_of(STR(""), true)));
	assert_true(is_refused(memory_of((struct str){room, (size_t)len}, false)));
	assert_false(is_refused(memory_of((struct str){room, (size_t)len}, true)));
	for (size_t i = 0; i < (size_t)len; i++)
		assert_true(is_refused(memory_of((struct str){room, i}, true)));
	room[len] = 0;
	assert_true(is_refused(memory_of((struct str){room, (size_t)len + 1}, true)));
	room[0] ^= 1;
	assert_true(is_refused(memory_of((struct str){room, (size_t)len}, true)));
	close(fd);
	tls_certificate_free(&certificate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_there_and_back),
	    cmocka_unit_test(test_nobody_can_change_it),
	    cmocka_unit_test(test_what_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
