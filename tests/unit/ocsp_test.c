// ocsp_test.c: the question as openssl asks it, and a verdict on each of its answers.
#include "tests/kit/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "certs/ocsp.h"
#include "tests/kit/ocsp_sample.h"

enum { DAY_S = 24 * 60 * 60 };

static struct ocsp_subject sample(void)
{
	return (struct ocsp_subject){ocsp_sample_leaf(), ocsp_sample_issuer()};
}

static struct str read_sample(struct str name, char *room, size_t size)
{
	char path[256];
	struct text text = TEXT(path);
	text_addf(&text, "tests/fuzz/corpus/ocsp/%.*s", STR_ARG(name));
	FILE *file = fopen(path, "rbe");
	size_t len = file ? fread(room, 1, size, file) : 0;
	check(name, len > 0);
	if (file)
		fclose(file);
	return (struct str){room, len};
}

struct row {
	struct str name;
	enum ocsp_verdict verdict;
	struct str why;
};

static void test_verdicts(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {STR("good"), OCSP_GOOD, STR("")},
	    {STR("good_by_key"), OCSP_GOOD, STR("")},
	    {STR("good_alone"), OCSP_GOOD, STR("")},
	    {STR("good_sha256"), OCSP_GOOD, STR("")},
	    {STR("signed_sha512"), OCSP_GOOD, STR("")},
	    {STR("nonce"), OCSP_GOOD, STR("")},
	    {STR("two_certificates"), OCSP_GOOD, STR("")},
	    {STR("delegated"), OCSP_GOOD, STR("")},
	    {STR("delegated_by_key"), OCSP_GOOD, STR("")},
	    {STR("delegated_rsa"), OCSP_GOOD, STR("")},
	    {STR("revoked"), OCSP_REVOKED, STR("")},
	    {STR("revoked_delegated"), OCSP_REVOKED, STR("")},
	    {STR("unknown"), OCSP_REFUSED, STR("the responder does not know the certificate")},
	    {STR("no_next_update"), OCSP_REFUSED,
	        STR("it does not say until when it is valid (nextUpdate)")},
	    {STR("other_serial"), OCSP_REFUSED, STR("it is about another certificate")},
	    {STR("other_issuer"), OCSP_REFUSED, STR("it is about another certificate")},
	    {STR("id_sha384"), OCSP_REFUSED, STR("it is about another certificate")},
	    {STR("bad_signature"), OCSP_REFUSED, STR("its signature is wrong")},
	    {STR("delegated_not_included"), OCSP_REFUSED,
	        STR("it is signed by nobody who may speak for the issuer")},
	    {STR("delegated_without_purpose"), OCSP_REFUSED,
	        STR("it is signed by a certificate of the issuer's that is not for OCSP signing")},
	    {STR("delegated_expired"), OCSP_REFUSED,
	        STR("the certificate of the responder that signed it has expired, or is not valid "
	            "yet")},
	    {STR("delegated_by_stranger"), OCSP_REFUSED,
	        STR("it is signed by a responder that the issuer has given no certificate")},
	    {STR("signed_sha1"), OCSP_REFUSED,
	        STR("it is signed by means of an unknown hash function, or of MD5 or SHA-1, which "
	            "clients do not accept")},
	    {STR("signed_md5"), OCSP_REFUSED,
	        STR("it is signed by means of an unknown hash function, or of MD5 or SHA-1, which "
	            "clients do not accept")},
	    {STR("try_later"), OCSP_REFUSED, STR("the responder answers tryLater")},
	    {STR("unauthorized"), OCSP_REFUSED, STR("the responder answers unauthorized")},
	    {STR("portal"), OCSP_REFUSED, STR("it is no OCSP response, or damaged")},
	};
	struct ocsp_subject subject = sample();
	for (size_t i = 0; i < NUM(rows); i++) {
		char response[4096], room[256];
		struct text why = TEXT(room);
		struct ocsp_times times;
		struct str der = read_sample(rows[i].name, response, sizeof(response));
		enum ocsp_verdict verdict =
		    ocsp_judge(der, &subject, ocsp_sample_now, &times, &why);
		check_str(rows[i].name, text_str(&why), rows[i].why);
		check(rows[i].name, verdict == rows[i].verdict);
	}
}

static enum ocsp_verdict judge_good_at(int64_t now, struct ocsp_times *times, struct text *why)
{
	char response[4096];
	struct ocsp_subject subject = sample();
	struct str der = read_sample(STR("good"), response, sizeof(response));
	return ocsp_judge(der, &subject, now, times, why);
}

static void test_times(void **state)
{
	(void)state;
	struct ocsp_times times, later;
	char room[256];
	struct text why = TEXT(room);
	assert_int_equal(judge_good_at(ocsp_sample_now, &times, &why), OCSP_GOOD);
	assert_in_range(ocsp_sample_now - times.this_update, 0, 600);
	assert_int_equal(times.this_update, times.produced);
	assert_int_equal(times.next_update, times.this_update + 7 * DAY_S);
	assert_int_equal(judge_good_at(times.next_update - 1, &later, &why), OCSP_GOOD);
	assert_int_equal(judge_good_at(times.next_update, &later, &why), OCSP_REFUSED);
	assert_non_null(strstr(room, "it was valid until 20"));
	// Clocks differ by a little.
	why = TEXT(room);
	assert_int_equal(judge_good_at(times.this_update - 300, &later, &why), OCSP_GOOD);
	assert_int_equal(judge_good_at(times.this_update - 301, &later, &why), OCSP_REFUSED);
	assert_non_null(strstr(room, "it is valid only from 20"));
}

static void test_revocation_time(void **state)
{
	(void)state;
	char response[4096], room[256];
	struct text why = TEXT(room);
	struct ocsp_times times;
	struct ocsp_subject subject = sample();
	struct str der = read_sample(STR("revoked"), response, sizeof(response));
	assert_int_equal(ocsp_judge(der, &subject, ocsp_sample_now, &times, &why), OCSP_REVOKED);
	assert_in_range(times.this_update - times.revoked, 0, 600);
}

// Each piece in memory of its own size, so that a sanitizer sees what is read behind it.
static void test_truncated(void **state)
{
	(void)state;
	char response[4096];
	struct ocsp_subject subject = sample();
	struct str whole = read_sample(STR("delegated"), response, sizeof(response));
	for (size_t len = 0; len < whole.len; len++) {
		char room[256];
		struct text why = TEXT(room);
		struct ocsp_times times;
		char *piece = str_dup(str_take(whole, len));
		assert_int_equal(
		    ocsp_judge((struct str){piece, len}, &subject, ocsp_sample_now, &times, &why),
		    OCSP_REFUSED);
		assert_string_equal(room, "it is no OCSP response, or damaged");
		free(piece);
	}
}

// Whatever single bit is wrong: nothing that is believed.
static void test_flipped(void **state)
{
	(void)state;
	char response[4096];
	struct ocsp_subject subject = sample();
	struct str whole = read_sample(STR("delegated"), response, sizeof(response));
	for (size_t i = 0; i < whole.len; i++) {
		char room[256];
		struct text why = TEXT(room);
		struct ocsp_times times;
		response[i] = (char)(response[i] ^ 1 << i % 8);
		enum ocsp_verdict verdict =
		    ocsp_judge(whole, &subject, ocsp_sample_now, &times, &why);
		response[i] = (char)(response[i] ^ 1 << i % 8);
		if (verdict != OCSP_REFUSED || !why.len)
			fail_msg("byte %zu of %zu does not matter", i, whole.len);
	}
}

static void test_too_long(void **state)
{
	(void)state;
	static const char zeros[OCSP_RESPONSE_MAX + 1];
	char room[256];
	struct text why = TEXT(room);
	struct ocsp_times times;
	struct ocsp_subject subject = sample();
	assert_int_equal(
	    ocsp_judge((struct str){zeros, sizeof(zeros)}, &subject, ocsp_sample_now, &times, &why),
	    OCSP_REFUSED);
	assert_string_equal(room, "it is longer than 65536 bytes");
}

static void test_request(void **state)
{
	(void)state;
	uint8_t room[OCSP_REQUEST_MAX];
	struct ocsp_subject subject = sample(), damaged = {STR("0"), subject.issuer};
	struct str request = {(const char *)room, ocsp_request(&subject, room)};
	check_str(STR("request"), request, ocsp_sample_request());
	assert_int_equal(ocsp_request(&damaged, room), 0);
}

static void test_url(void **state)
{
	(void)state;
	char room[OCSP_URL_MAX];
	struct text url = TEXT(room);
	assert_true(ocsp_find_url(ocsp_sample_leaf(), &url));
	assert_string_equal(room, "http://ocsp.test:8080/responder");
	assert_false(ocsp_find_url(ocsp_sample_other(), &url));
	assert_false(ocsp_find_url(STR("no certificate"), &url));
}

static void test_is_url(void **state)
{
	(void)state;
	static const struct {
		struct str url;
		bool is_one;
	} rows[] = {
	    {STR("http://ocsp.test"), true},
	    {STR("HTTPS://ocsp.test:8443/a?b"), true},
	    {STR("http://"), false},
	    {STR("http:ocsp.test"), false},
	    {STR("ocsp.test"), false},
	    {STR("ldap://ocsp.test/"), false},
	    {STR("file:///etc/shadow"), false},
	    {STR("http://ocsp.test/a b"), false},
	    {STR("http://ocsp.test/\r\nHost: other"), false},
	    {STR("http://ocsp.test/\xc3\xa9"), false},
	    {STR(""), false},
	};
	for (size_t i = 0; i < NUM(rows); i++)
		check(rows[i].url, ocsp_is_url(rows[i].url) == rows[i].is_one);
}

static void test_subjects(void **state)
{
	(void)state;
	const struct {
		struct ocsp_subject subject;
		struct str why;
	} rows[] = {
	    {sample(), STR("")},
	    {{ocsp_sample_issuer(), ocsp_sample_issuer()},
	        STR("the certificate is self-signed, so no responder speaks of it")},
	    {{ocsp_sample_leaf(), ocsp_sample_other()},
	        STR("the second certificate of the chain is not the issuer of the first")},
	    {{ocsp_sample_issuer(), STR("")},
	        STR("the certificate is self-signed, so no responder speaks of it")},
	    {{ocsp_sample_leaf(), STR("")}, STR("the chain ends with the certificate itself; "
	                                        "append its issuer's, without which "
	                                        "a responder can neither be asked nor believed")},
	    {{STR(""), ocsp_sample_issuer()}, STR("the certificate is damaged")},
	    {{ocsp_sample_leaf(), STR("x")}, STR("its issuer's certificate is damaged")},
	};
	for (size_t i = 0; i < NUM(rows); i++) {
		char room[256];
		struct text why = TEXT(room);
		check(rows[i].why, ocsp_subject_check(&rows[i].subject, &why) == !rows[i].why.len);
		check_str(rows[i].why, text_str(&why), rows[i].why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_verdicts),
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_revocation_time),
	    cmocka_unit_test(test_truncated),
	    cmocka_unit_test(test_flipped),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_request),
	    cmocka_unit_test(test_url),
	    cmocka_unit_test(test_is_url),
	    cmocka_unit_test(test_subjects),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
