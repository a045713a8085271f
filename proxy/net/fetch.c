// fetch.c: one HTTP exchange by libcurl.  See fetch.h.
//
// Nothing is freed: the process ends with its answer.
//
// POST, though RFC 5019 section 5 would have short questions in the URL of a GET for the
// sake of caches: every responder takes a POST, an answer is asked for once in days, and
// one from a cache could be older than the one we have.
#include "proxy/net/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <curl/curl.h>

#include "proxy/base/file.h"
#include "proxy/base/library.h"

#define LIBRARY "libcurl-gnutls.so.4"

enum { HTTP_OK = 200 };

// What of the library is used.
struct curl_functions {
	__typeof__(curl_easy_init) *init;
	__typeof__(curl_easy_setopt) *setopt;
	__typeof__(curl_easy_perform) *perform;
	__typeof__(curl_easy_getinfo) *getinfo;
	__typeof__(curl_easy_strerror) *strerror;
	__typeof__(curl_slist_append) *append;
};

struct answer {
	size_t len;
	bool is_too_long;
	char room[FETCH_ANSWER_MAX];
};

static bool load(struct curl_functions *out, struct text *why)
{
	const struct library_function functions[] = {
	    LIBRARY_FUNCTION(curl_easy_init, out->init),
	    LIBRARY_FUNCTION(curl_easy_setopt, out->setopt),
	    LIBRARY_FUNCTION(curl_easy_perform, out->perform),
	    LIBRARY_FUNCTION(curl_easy_getinfo, out->getinfo),
	    LIBRARY_FUNCTION(curl_easy_strerror, out->strerror),
	    LIBRARY_FUNCTION(curl_slist_append, out->append),
	};
	return library_load(
	    LIBRARY, "libcurl3-gnutls", functions, sizeof(functions) / sizeof(functions[0]), why);
}

static bool read_all(char *room, size_t size, size_t *out_len, struct text *why)
{
	ssize_t n = 0;
	for (*out_len = 0; *out_len < size; *out_len += (size_t)n) {
		n = read(STDIN_FILENO, room + *out_len, size - *out_len);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			break;
	}
	if (n < 0)
		text_addf(why, "cannot read the question: %s", strerror(errno));
	else if (*out_len == size)
		text_addf(why, "the question is too long");
	return text_is_empty(why);
}

// Returning another number than it was given ends the transfer.
static size_t take(char *bytes, size_t size, size_t num, void *context)
{
	struct answer *answer = context;
	size_t len = size * num;
	answer->is_too_long = len > sizeof(answer->room) - answer->len;
	if (answer->is_too_long)
		return 0;
	memcpy(answer->room + answer->len, bytes, len);
	answer->len += len;
	return len;
}

static void set_up(const struct curl_functions *curl, CURL *handle, const char *url,
    struct str question, struct answer *answer)
{
	struct curl_slist *headers = curl->append(NULL, "Content-Type: application/ocsp-request");
	headers = curl->append(headers, "Accept: application/ocsp-response");
	headers = curl->append(headers, "Expect:"); // nothing to wait for
	curl->setopt(handle, CURLOPT_URL, url);
	curl->setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
	curl->setopt(handle, CURLOPT_HTTPHEADER, headers);
	curl->setopt(handle, CURLOPT_USERAGENT, "popgate");
	curl->setopt(handle, CURLOPT_POST, 1L);
	curl->setopt(handle, CURLOPT_POSTFIELDS, question.at);
	curl->setopt(handle, CURLOPT_POSTFIELDSIZE, (long)question.len);
	curl->setopt(handle, CURLOPT_TIMEOUT_MS, (long)FETCH_MS);
	curl->setopt(handle, CURLOPT_NOSIGNAL, 1L);
	curl->setopt(handle, CURLOPT_WRITEFUNCTION, take);
	curl->setopt(handle, CURLOPT_WRITEDATA, answer);
}

static bool exchange(const struct curl_functions *curl, const char *url, struct str question,
    struct answer *answer, struct text *why)
{
	char error[CURL_ERROR_SIZE] = "";
	long status = 0;
	CURL *handle = curl->init();
	if (!handle) {
		text_addf(why, "%s does not start", LIBRARY);
		return false;
	}
	set_up(curl, handle, url, question, answer);
	curl->setopt(handle, CURLOPT_ERRORBUFFER, error);
	CURLcode code = curl->perform(handle);
	curl->getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
	if (answer->is_too_long)
		text_addf(why, "the answer is longer than %d bytes", FETCH_ANSWER_MAX);
	else if (code != CURLE_OK)
		text_addf(why, "%s", *error ? error : curl->strerror(code));
	else if (status != HTTP_OK)
		text_addf(why, "the responder answers with HTTP status %ld", status);
	return text_is_empty(why);
}

int fetch_run(const char *url)
{
	static struct answer answer;
	static char question[FETCH_QUESTION_MAX];
	char room[512];
	struct text why = TEXT(room);
	struct curl_functions curl;
	size_t len;
	prctl(PR_SET_NAME, FETCH_NAME, 0, 0, 0);
	bool is_answered = read_all(question, sizeof(question), &len, &why) && load(&curl, &why) &&
	                   exchange(&curl, url, (struct str){question, len}, &answer, &why);
	struct str result = is_answered ? (struct str){answer.room, answer.len} : text_str(&why);
	_exit(file_write(STDOUT_FILENO, result) && is_answered ? EXIT_SUCCESS : EXIT_FAILURE);
}
