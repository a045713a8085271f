// staples.c: from responders and files to handshakes.  See staples.h.
//
// One responder is asked at a time, the one that has waited longest.  One that is silent
// costs the others ten seconds, of the days that they have.
#include "proxy/server/staples.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "certs/ocsp.h"
#include "proxy/base/die.h"
#include "proxy/base/file.h"
#include "proxy/base/file_mark.h"
#include "proxy/base/log.h"
#include "proxy/net/tls.h"
#include "proxy/server/certificates_watch.h"
#include "proxy/server/clock.h"

enum {
	LOOK_MS = 1000,
	BACKOFF_MIN_MS = 60 * 1000,
	BACKOFF_MAX_MS = 60 * 60 * 1000,
	MS_PER_S = 1000,
	JITTER_PERCENT = 10,
};

// Of one certificate, from one source.
struct staple {
	struct staple *next;
	char *name; // of the certificate, in the configuration
	struct ocsp_subject subject;
	enum certificate_ocsp source;
	char *place;    // as configured: the file, or the URL; "" when the certificate names it
	char *url;      // for a responder; "": there is none
	struct str der; // what is stapled; empty: nothing
	struct ocsp_times times;
	uint64_t due_ms; // when to ask again, or to read a file that has not changed
	uint64_t backoff_ms;
	struct file_mark seen; // the file as it was
	bool is_settled;       // it has not changed since the look before
	bool is_wanted;
};

// ---- which there are ----------------------------------------------------

static struct str copy(struct str s)
{
	return (struct str){str_dup(s), s.len};
}

static void drop(struct staple *staple)
{
	if (staple->der.len)
		free((char *)staple->der.at);
	staple->der = STR("");
}

static void free_staple(struct staple *staple)
{
	free(staple->name);
	free(staple->place);
	free(staple->url);
	free((char *)staple->subject.leaf.at);
	free((char *)staple->subject.issuer.at);
	drop(staple);
	free(staple);
}

static struct ocsp_subject subject_of(const struct tls_certificate *certificate)
{
	return (struct ocsp_subject){
	    tls_certificate_leaf(certificate), tls_certificate_issuer(certificate)};
}

static const char *place_of(const struct certificate_options *options)
{
	return options->ocsp == CERTIFICATE_OCSP_file ? options->ocsp_file : options->ocsp_url;
}

static bool is_of(const struct staple *staple, const struct tls_certificate *certificate,
    const struct certificate_options *options)
{
	struct ocsp_subject subject = subject_of(certificate);
	return staple->source == options->ocsp && !strcmp(staple->place, place_of(options)) &&
	       str_eq(staple->subject.leaf, subject.leaf) &&
	       str_eq(staple->subject.issuer, subject.issuer);
}

static struct staple *find(const struct staples *staples, const struct tls_certificate *certificate,
    const struct certificate_options *options)
{
	struct staple *staple = staples->first;
	while (staple && !is_of(staple, certificate, options))
		staple = staple->next;
	return staple;
}

static char *url_of(const struct staple *staple)
{
	char room[OCSP_URL_MAX + 1];
	struct text url = TEXT(room);
	if (*staple->place)
		text_add(&url, str_of(staple->place));
	else
		(void)!ocsp_find_url(staple->subject.leaf, &url);
	return str_dup(text_str(&url));
}

static struct staple *add(struct staples *staples, const struct tls_certificate *certificate,
    const struct certificate_config *config)
{
	struct staple *staple = xcalloc(1, sizeof(*staple));
	struct ocsp_subject subject = subject_of(certificate);
	*staple = (struct staple){
	    .next = staples->first,
	    .name = str_dup(str_of(config->name)),
	    .subject = {copy(subject.leaf), copy(subject.issuer)},
	    .source = config->options.ocsp,
	    .place = str_dup(str_of(place_of(&config->options))),
	    .der = STR(""),
	};
	staple->url = url_of(staple);
	staples->first = staple;
	return staple;
}

static void sweep(struct staples *staples)
{
	for (struct staple **link = &staples->first; *link;) {
		struct staple *staple = *link;
		if (staple->is_wanted) {
			link = &staple->next;
			continue;
		}
		if (staples->asked == staple)
			staples_stop(staples);
		*link = staple->next;
		free_staple(staple);
	}
}

// Whether there is to be one.
static bool has_staple(const struct snapshot *snapshot, size_t i)
{
	return snapshot->certificates[i] &&
	       snapshot->config->certificates[i].options.ocsp != CERTIFICATE_OCSP_off;
}

// A reload asks at once what is still missing: it may have been made for that.
static void learn(struct staples *staples, const struct generation *serving)
{
	const struct snapshot *snapshot = serving->snapshot;
	bool is_new = staples->generation != serving->number;
	staples->generation = serving->number;
	for (struct staple *staple = staples->first; staple; staple = staple->next)
		staple->is_wanted = false;
	for (size_t i = 0; i < snapshot->config->num_certificates; i++) {
		const struct certificate_config *config = &snapshot->config->certificates[i];
		if (!has_staple(snapshot, i))
			continue;
		struct staple *staple = find(staples, snapshot->certificates[i], &config->options);
		if (!staple)
			staple = add(staples, snapshot->certificates[i], config);
		staple->is_wanted = true;
		if (is_new && !staple->der.len)
			staple->due_ms = staple->backoff_ms = 0;
	}
	sweep(staples);
}

// ---- what is said of them -----------------------------------------------

static void begin(struct log_line *line, enum log_event event, const struct staple *staple)
{
	bool is_file = staple->source == CERTIFICATE_OCSP_file;
	log_begin(line, event);
	log_str(line, "certificate", str_of(staple->name));
	log_str(line, is_file ? "path" : "url", str_of(is_file ? staple->place : staple->url));
}

static void log_taken(const struct staple *staple)
{
	struct log_line line;
	begin(&line, LOG_staple_taken, staple);
	log_time(&line, "this_update", staple->times.this_update);
	log_time(&line, "next_update", staple->times.next_update);
	log_end(&line);
}

static void log_revoked(const struct staple *staple, const struct ocsp_times *times)
{
	struct log_line line;
	begin(&line, LOG_certificate_revoked, staple);
	log_time(&line, "revoked", times->revoked);
	log_end(&line);
}

static void log_refused(const struct staple *staple, struct str why)
{
	struct log_line line;
	begin(&line, LOG_staple_refused, staple);
	log_str(&line, "why", why);
	log_end(&line);
}

static void drop_stale(struct staple *staple, int64_t now)
{
	struct log_line line;
	if (!staple->der.len || now < staple->times.next_update)
		return;
	begin(&line, LOG_staple_stale, staple);
	log_time(&line, "next_update", staple->times.next_update);
	log_end(&line);
	drop(staple);
}

// ---- what becomes of a response -----------------------------------------

static void fail(struct staple *staple, uint64_t now_ms, struct str why)
{
	log_refused(staple, why);
	staple->backoff_ms = staple->backoff_ms
	                         ? clock_earlier(2 * staple->backoff_ms, BACKOFF_MAX_MS)
	                         : BACKOFF_MIN_MS;
	staple->due_ms = now_ms + staple->backoff_ms;
}

// Half of what is left, more or less: many popgates need not come at once.
static uint64_t half_of(int64_t left_s)
{
	uint32_t chance = 0;
	(void)!getrandom(&chance, sizeof(chance), 0);
	uint64_t percent = 100 - JITTER_PERCENT + chance % (2 * JITTER_PERCENT + 1);
	uint64_t half_ms = (uint64_t)left_s * MS_PER_S / 2 * percent / 100;
	return half_ms < BACKOFF_MIN_MS ? BACKOFF_MIN_MS : half_ms;
}

static void take(struct staple *staple, struct str response, const struct ocsp_times *times)
{
	bool is_same = str_eq(staple->der, response);
	staple->times = *times;
	if (is_same)
		return;
	drop(staple);
	staple->der = copy(response);
	log_taken(staple);
}

// False when it is refused, with the reason in *why; otherwise it is dealt with.
static bool judge(struct staple *staple, struct str response, uint64_t now_ms, struct text *why)
{
	struct ocsp_times times;
	int64_t now = time(NULL);
	switch (ocsp_judge(response, &staple->subject, now, &times, why)) {
	case OCSP_GOOD: take(staple, response, &times); break;
	case OCSP_REVOKED:
		log_revoked(staple, &times);
		drop(staple);
		break;
	case OCSP_REFUSED: return false;
	}
	staple->backoff_ms = 0;
	staple->due_ms = now_ms + half_of(times.next_update - now);
	return true;
}

// ---- files --------------------------------------------------------------

// True: what is in the file, or its beginning when it is too long, is the caller's.
static bool read_file(const char *path, struct buf *out, struct text *why)
{
	char piece[4096];
	size_t n;
	FILE *file = file_open(path);
	*out = (struct buf){0};
	if (!file) {
		text_addf(why, "cannot read it: %s", file_problem());
		return false;
	}
	while (buf_len(out) <= OCSP_RESPONSE_MAX && (n = fread(piece, 1, sizeof(piece), file)) > 0)
		if (!buf_add(out, (struct str){piece, n}, OCSP_RESPONSE_MAX + sizeof(piece)))
			break;
	if (ferror(file))
		text_addf(why, "cannot read it: %s", strerror(errno));
	fclose(file);
	return text_is_empty(why);
}

bool staples_try_file(const struct tls_certificate *certificate, const char *path, struct text *why)
{
	struct ocsp_subject subject = subject_of(certificate);
	struct ocsp_times times;
	struct buf response;
	enum ocsp_verdict verdict = OCSP_REFUSED;
	if (read_file(path, &response, why))
		verdict = ocsp_judge(buf_str(&response), &subject, time(NULL), &times, why);
	if (verdict == OCSP_REVOKED)
		text_add(why, STR("the certificate is revoked; replace it"));
	buf_done(&response);
	return verdict == OCSP_GOOD;
}

static bool has_changed(struct staple *staple)
{
	struct file_mark before = staple->seen;
	staple->seen = file_mark_of(staple->place);
	return !file_mark_is_unchanged(&staple->seen, &before);
}

// One that is still being written is not complained of: it is read again at the next look.
static void look_at_file(struct staple *staple, uint64_t now_ms)
{
	char room[512];
	struct text why = TEXT(room);
	struct buf response;
	bool is_changing = has_changed(staple);
	if (!is_changing && staple->is_settled && now_ms < staple->due_ms)
		return;
	staple->is_settled = !is_changing;
	if (read_file(staple->place, &response, &why) &&
	    judge(staple, buf_str(&response), now_ms, &why))
		staple->is_settled = true;
	else if (staple->is_settled)
		fail(staple, now_ms, text_str(&why));
	buf_done(&response);
}

// ---- responders ---------------------------------------------------------

static void ask(struct staples *staples, struct staple *staple,
    const struct sandbox_identity *identity, uint64_t now_ms)
{
	uint8_t request[OCSP_REQUEST_MAX];
	char room[512];
	struct text why = TEXT(room);
	struct str question = {(const char *)request, ocsp_request(&staple->subject, request)};
	if (!*staple->url)
		text_add(&why, STR("the certificate names no responder; set ocsp_url"));
	else if (ocsp_subject_check(&staple->subject, &why) &&
	         fetcher_start(&staples->fetcher, staple->url, question, identity, &why))
		staples->asked = staple;
	if (staples->asked != staple)
		fail(staple, now_ms, text_str(&why));
}

static struct staple *longest_due(const struct staples *staples, uint64_t now_ms)
{
	struct staple *longest = NULL;
	for (struct staple *staple = staples->first; staple; staple = staple->next)
		if (staple->source == CERTIFICATE_OCSP_fetch && staple->due_ms <= now_ms &&
		    (!longest || staple->due_ms < longest->due_ms))
			longest = staple;
	return longest;
}

bool staples_reaped(struct staples *staples, pid_t pid, int status)
{
	char room[512];
	struct text why = TEXT(room);
	struct buf answer;
	struct staple *staple = staples->asked;
	uint64_t now_ms = clock_ms();
	if (!pid || pid != staples->fetcher.pid)
		return false;
	bool is_answered = fetcher_ended(&staples->fetcher, status, &answer, &why);
	staples->asked = NULL;
	staples->look_ms = 0;
	if (staple && !(is_answered && judge(staple, buf_str(&answer), now_ms, &why)))
		fail(staple, now_ms, text_str(&why));
	buf_done(&answer);
	return true;
}

void staples_stop(struct staples *staples)
{
	staples->asked = NULL;
	fetcher_kill(&staples->fetcher);
}

// ---- who gets them ------------------------------------------------------

// What there is to staple; NULL: nothing.
static const struct staple *find_wanted(
    const struct staples *staples, const struct snapshot *snapshot, size_t i)
{
	const struct staple *staple = has_staple(snapshot, i)
	                                  ? find(staples, snapshot->certificates[i],
	                                        &snapshot->config->certificates[i].options)
	                                  : NULL;
	return staple && staple->der.len ? staple : NULL;
}

int64_t staples_next_update(
    const struct staples *staples, const struct snapshot *snapshot, size_t i)
{
	const struct staple *staple = find_wanted(staples, snapshot, i);
	return staple ? staple->times.next_update : 0;
}

static struct str wanted(const struct staples *staples, const struct snapshot *snapshot, size_t i)
{
	const struct staple *staple = find_wanted(staples, snapshot, i);
	return staple ? staple->der : STR("");
}

static bool put(const struct staples *staples, const struct snapshot *snapshot, size_t i)
{
	struct tls_certificate *certificate = snapshot->certificates[i];
	struct str der = wanted(staples, snapshot, i);
	if (!certificate || str_eq(tls_certificate_contents(certificate).staple, der))
		return false;
	tls_certificate_set_staple(certificate, der);
	return true;
}

void staples_put(const struct staples *staples, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->config->num_certificates; i++)
		put(staples, snapshot, i);
}

// In a parcel, as a certificate that was replaced is.
static void give_out(const struct staples *staples, const struct generations *generations)
{
	for (struct generation *g = generations->newest; g; g = g->next)
		for (size_t i = 0; g->snapshot && i < g->snapshot->config->num_certificates; i++)
			if (put(staples, g->snapshot, i))
				certificates_send(g, i);
}

// ---- the loop -----------------------------------------------------------

void staples_init(struct staples *staples)
{
	fetcher_init(&staples->fetcher);
}

void staples_done(struct staples *staples)
{
	for (struct staple *staple = staples->first; staple; staple = staple->next)
		staple->is_wanted = false;
	sweep(staples);
}

static void look(struct staples *staples, const struct generation *serving, uint64_t now_ms)
{
	int64_t now = time(NULL);
	learn(staples, serving);
	for (struct staple *staple = staples->first; staple; staple = staple->next) {
		drop_stale(staple, now);
		if (staple->source == CERTIFICATE_OCSP_file)
			look_at_file(staple, now_ms);
	}
	struct staple *due = longest_due(staples, now_ms);
	if (due && !staples->fetcher.pid)
		ask(staples, due, &serving->identity, now_ms);
}

void staples_tick(struct staples *staples, const struct generations *generations, uint64_t now_ms)
{
	const struct generation *serving = generation_in(generations, GENERATION_serving);
	fetcher_tick(&staples->fetcher, now_ms);
	if (now_ms < staples->look_ms || !serving || !serving->snapshot)
		return;
	staples->look_ms = now_ms + LOOK_MS;
	look(staples, serving, now_ms);
	give_out(staples, generations);
}

uint64_t staples_next_due(const struct staples *staples, const struct generations *generations)
{
	const struct generation *serving = generation_in(generations, GENERATION_serving);
	const struct snapshot *snapshot = serving ? serving->snapshot : NULL;
	for (size_t i = 0; snapshot && i < snapshot->config->num_certificates; i++)
		if (has_staple(snapshot, i))
			return staples->look_ms;
	return CLOCK_NEVER;
}
