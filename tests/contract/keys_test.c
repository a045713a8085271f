// keys_test.c: proxy/server/keys.h, with this test in the place of its supervisor and of
// its workers, good and bad.
#include "tests/kit/check.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "proxy/net/signing.h"
#include "proxy/server/keys.h"
#include "proxy/server/keys_order.h"

enum {
	WAIT_MS = 10 * 1000,
	CERTIFICATES = 3,
	MANY = 200,
	P256 = SSL_SIGN_ECDSA_SECP256R1_SHA256,
};

static struct {
	pid_t pid;
	int channel;
	char text[130];
} bench;

// ---- keys ---------------------------------------------------------------

static EVP_PKEY *new_key(void)
{
	EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
	EVP_PKEY *key = EVP_PKEY_new();
	assert_true(EC_KEY_generate_key(ec));
	assert_true(EVP_PKEY_assign_EC_KEY(key, ec));
	return key;
}

// As much of a certificate as a key can belong to.
static struct str leaf_of(EVP_PKEY *key)
{
	X509 *leaf = X509_new();
	uint8_t *der = NULL;
	assert_true(X509_set_version(leaf, X509_VERSION_3));
	assert_true(X509_set_pubkey(leaf, key));
	X509_gmtime_adj(X509_getm_notBefore(leaf), 0);
	X509_gmtime_adj(X509_getm_notAfter(leaf), 3600);
	assert_true(X509_sign(leaf, key, EVP_sha256()));
	int len = i2d_X509(leaf, &der);
	assert_true(len > 0);
	X509_free(leaf);
	return (struct str){(const char *)der, (size_t)len};
}

static int file_of(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	const uint8_t *at;
	size_t len;
	int fd = memfd_create("key", MFD_CLOEXEC);
	assert_true(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
	assert_true(BIO_mem_contents(bio, &at, &len));
	assert_int_equal(write(fd, at, len), len);
	BIO_free(bio);
	return fd;
}

// What it says of it; empty: taken.
static void order(
    enum keys_order_kind kind, uint32_t slot, int fd, struct str leaf, struct text *why)
{
	struct keys_order sent = {.kind = kind,
	    .slot = slot,
	    .key_path = STR("a.key"),
	    .chain_path = STR("a.pem"),
	    .leaf = leaf};
	uint32_t about;
	assert_true(keys_order_send(bench.channel, &sent, fd, WAIT_MS));
	assert_int_equal(keys_answer_receive(bench.channel, WAIT_MS, &about, why), KEYS_RECEIVED);
	assert_int_equal(about, slot);
}

static EVP_PKEY *give_key(uint32_t slot)
{
	char room[256];
	struct text why = TEXT(room);
	EVP_PKEY *key = new_key();
	struct str leaf = leaf_of(key);
	int fd = file_of(key);
	order(KEYS_ORDER_key, slot, fd, leaf, &why);
	assert_string_equal(room, "");
	close(fd);
	OPENSSL_free((void *)leaf.at);
	return key;
}

// ---- workers ------------------------------------------------------------

static int join(void)
{
	static const struct keys_order worker = {.kind = KEYS_ORDER_worker};
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_true(keys_order_send(bench.channel, &worker, ends[1], WAIT_MS));
	close(ends[1]);
	return ends[0];
}

static size_t add_question(char *packet, size_t len, uint32_t id, uint32_t slot)
{
	return signing_add(packet, len,
	    &(struct signing_head){.id = id, .slot = slot, .algorithm = P256},
	    (struct str){bench.text, sizeof(bench.text)});
}

// True when there was something; 0 bytes are the end.
static bool hear(int worker, char room[SIGNING_ANSWERS_MAX], ssize_t *out_len, int wait_ms)
{
	struct pollfd fd = {worker, POLLIN, 0};
	if (poll(&fd, 1, wait_ms) != 1)
		return false;
	*out_len = recv(worker, room, SIGNING_ANSWERS_MAX, MSG_DONTWAIT);
	if (*out_len < 0)
		*out_len = 0; // a reset, since it left questions unread
	return true;
}

static bool verifies(EVP_PKEY *key, struct str signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	assert_true(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key));
	bool good = EVP_DigestVerify(ctx, (const uint8_t *)signature.at, signature.len,
	    (const uint8_t *)bench.text, sizeof(bench.text));
	EVP_MD_CTX_free(ctx);
	return good;
}

// Asks one question; NULL: no signature is expected.
static void check_signs(int worker, uint32_t slot, EVP_PKEY *key)
{
	static uint32_t id;
	char packet[SIGNING_ANSWERS_MAX];
	struct signing_frame frame;
	ssize_t n;
	size_t len = add_question(packet, 0, ++id, slot);
	assert_int_equal(send(worker, packet, len, MSG_NOSIGNAL), len);
	assert_true(hear(worker, packet, &n, WAIT_MS));
	struct str rest = {packet, (size_t)n};
	assert_true(signing_take(&rest, SIGNATURE_MAX, &frame));
	assert_int_equal(frame.head.id, id);
	assert_int_equal(rest.len, 0);
	if (key)
		assert_true(verifies(key, frame.bytes));
	else
		assert_int_equal(frame.bytes.len, 0);
}

static void check_is_closed(int worker)
{
	char room[SIGNING_ANSWERS_MAX];
	ssize_t n = 1;
	while (n)
		assert_true(hear(worker, room, &n, WAIT_MS));
	close(worker);
}

// ---- the bench ----------------------------------------------------------

static int open_bench(void **state)
{
	static const char context[] = "TLS 1.3, server CertificateVerify";
	static const struct sandbox_identity nobody = {.change = false};
	int channel;
	(void)state;
	memset(bench.text, ' ', sizeof(bench.text));
	memcpy(bench.text + 64, context, sizeof(context));
	assert_true(keys_channel_open(&bench.channel, &channel));
	bench.pid = fork();
	if (bench.pid == 0) {
		close(bench.channel);
		keys_run(channel, CERTIFICATES, &nobody);
	}
	close(channel);
	return bench.pid > 0 ? 0 : -1;
}

static int wait_for_end(void)
{
	int status;
	assert_int_equal(waitpid(bench.pid, &status, 0), bench.pid);
	bench.pid = 0;
	return status;
}

static int close_bench(void **state)
{
	(void)state;
	close(bench.channel);
	return bench.pid ? wait_for_end() : 0;
}

// ---- tests --------------------------------------------------------------

static void test_signs(void **state)
{
	EVP_PKEY *keys[CERTIFICATES];
	(void)state;
	for (uint32_t i = 0; i < CERTIFICATES; i++)
		keys[i] = give_key(i);
	int worker = join();
	for (uint32_t i = 0; i < CERTIFICATES; i++) {
		check_signs(worker, i, keys[i]);
		EVP_PKEY_free(keys[i]);
	}
	close(worker);
}

// The last two of each certificate, and never one in the slot of another.
static void test_renewals(void **state)
{
	int worker = join();
	EVP_PKEY *before = NULL, *other = give_key(0);
	(void)state;
	for (uint32_t renewal = 0; renewal < 5; renewal++) {
		uint32_t slot = 1 + renewal * CERTIFICATES;
		EVP_PKEY *key = give_key(slot);
		check_signs(worker, slot, key);
		check_signs(worker, 0, other);
		check_signs(worker, slot + CERTIFICATES, NULL);
		if (renewal > 0)
			check_signs(worker, slot - CERTIFICATES, before);
		if (renewal > 1)
			check_signs(worker, slot - 2 * CERTIFICATES, NULL);
		EVP_PKEY_free(before);
		before = key;
	}
	EVP_PKEY_free(before);
	EVP_PKEY_free(other);
	close(worker);
}

static void test_refused_keys(void **state)
{
	EVP_PKEY *key = give_key(0), *wrong = new_key();
	struct str leaf = leaf_of(key);
	int worker = join(), fds[] = {file_of(wrong), memfd_create("empty", 0), dup(worker)};
	static const char *const reasons[] = {"does not belong", "is empty", "cannot read"};
	(void)state;
	for (size_t i = 0; i < NUM(fds); i++) {
		char room[256];
		struct text why = TEXT(room);
		order(KEYS_ORDER_key, CERTIFICATES, fds[i], leaf, &why);
		check(str_of(reasons[i]), strstr(room, reasons[i]));
		check_signs(worker, CERTIFICATES, NULL);
		check_signs(worker, 0, key);
		close(fds[i]);
	}
	EVP_PKEY_free(key);
	EVP_PKEY_free(wrong);
	OPENSSL_free((void *)leaf.at);
	close(worker);
}

// One that is judged is not taken.
static void test_judged_keys(void **state)
{
	EVP_PKEY *key = new_key(), *wrong = new_key();
	struct str leaf = leaf_of(key);
	int worker = join(), fd = file_of(key), wrong_fd = file_of(wrong);
	char room[256];
	struct text why = TEXT(room);
	(void)state;
	order(KEYS_ORDER_judge, 1, fd, leaf, &why);
	assert_string_equal(room, "");
	check_signs(worker, 1, NULL);
	order(KEYS_ORDER_judge, 1, wrong_fd, leaf, &why);
	assert_non_null(strstr(room, "does not belong"));
	EVP_PKEY_free(key);
	EVP_PKEY_free(wrong);
	OPENSSL_free((void *)leaf.at);
	close(worker);
	close(fd);
	close(wrong_fd);
}

static void test_what_is_no_question_of_tls(void **state)
{
	static const struct str texts[] = {STR(""), STR("a text"), STR("0\x82\x01\x01")};
	int worker = join();
	EVP_PKEY *key = give_key(0);
	(void)state;
	for (size_t i = 0; i < NUM(texts); i++) {
		char packet[SIGNING_ANSWERS_MAX];
		struct signing_frame frame;
		ssize_t n;
		size_t len = signing_add(
		    packet, 0, &(struct signing_head){.id = 1, .algorithm = P256}, texts[i]);
		assert_int_equal(send(worker, packet, len, MSG_NOSIGNAL), len);
		assert_true(hear(worker, packet, &n, WAIT_MS));
		struct str rest = {packet, (size_t)n};
		assert_true(signing_take(&rest, SIGNATURE_MAX, &frame));
		check(texts[i], !frame.bytes.len);
	}
	check_signs(worker, 0, key);
	EVP_PKEY_free(key);
	close(worker);
}

static void test_garbage(void **state)
{
	char large[2 * SIGNING_QUESTIONS_MAX] = {0}, nine[2 * SIGNING_QUESTIONS_MAX];
	size_t len = 0;
	EVP_PKEY *key = give_key(0);
	int good = join();
	(void)state;
	for (uint32_t i = 0; i <= SIGNING_BATCH; i++)
		len = add_question(nine, len, i, 0);
	const struct str garbage[] = {STR("x"), STR("0123456789abcdef"), {large, sizeof(large)},
	    {nine, len}, {nine, len - 1}, {nine, 7}};
	for (size_t i = 0; i < NUM(garbage); i++) {
		int bad = join();
		assert_true(send(bad, garbage[i].at, garbage[i].len, MSG_NOSIGNAL) > 0);
		check_is_closed(bad);
		check_signs(good, 0, key);
	}
	EVP_PKEY_free(key);
	close(good);
}

// It asks without end and reads no answer; another one is served all the same.
static void test_flood(void **state)
{
	char packet[SIGNING_QUESTIONS_MAX];
	size_t len = 0;
	EVP_PKEY *key = give_key(0);
	int bad = join(), good = join();
	unsigned sent = 0;
	(void)state;
	for (uint32_t i = 0; i < SIGNING_BATCH; i++)
		len = add_question(packet, len, i, 0);
	for (unsigned i = 0; i < MANY; i++) {
		while (send(bad, packet, len, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
			sent++;
		check_signs(good, 0, key);
	}
	assert_in_range(sent, 10, 1000 * 1000);
	check_is_closed(bad);
	check_signs(good, 0, key);
	EVP_PKEY_free(key);
	close(good);
}

static void test_workers_come_and_go(void **state)
{
	EVP_PKEY *key = give_key(0);
	int workers[MANY];
	(void)state;
	for (size_t i = 0; i < MANY; i++)
		workers[i] = join();
	for (size_t i = 0; i < MANY; i += 2)
		close(workers[i]);
	for (size_t i = 1; i < MANY; i += 2) {
		check_signs(workers[i], 0, key);
		close(workers[i]);
	}
	EVP_PKEY_free(key);
}

// Workers of a supervisor that has gone still shake hands.
static void test_end(void **state)
{
	EVP_PKEY *key = give_key(0);
	int worker = join();
	(void)state;
	close(bench.channel);
	check_signs(worker, 0, key);
	close(worker);
	assert_int_equal(wait_for_end(), 0);
	bench.channel = -1;
	EVP_PKEY_free(key);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ROW(test_signs),
	    ROW(test_renewals),
	    ROW(test_refused_keys),
	    ROW(test_judged_keys),
	    ROW(test_what_is_no_question_of_tls),
	    ROW(test_garbage),
	    ROW(test_flood),
	    ROW(test_workers_come_and_go),
	    ROW(test_end),
	};
	return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
