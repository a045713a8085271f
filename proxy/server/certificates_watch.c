// certificates_watch.c: from files that have changed to workers that serve them.  See
// certificates_watch.h.
#include "proxy/server/certificates_watch.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "certs/load.h"
#include "certs/parcel.h"
#include "certs/private_key.h"
#include "proxy/base/die.h"
#include "proxy/base/log.h"
#include "proxy/server/channel.h"
#include "proxy/server/clock.h"

enum {
	LOOK_MS = 100,
	REST_MS = 50,           // a file is read when it was the same so long
	JUDGED_MAX = 8,         // pairs read at a time; other work waits for it
	PATIENCE_MS = 5 * 1000, // for chain and key to be replaced one after the other
	DAY_MS = 24 * 60 * 60 * 1000,
	DAY_S = 24 * 60 * 60,
	MS_PER_S = 1000,
};

// ---- what the log says --------------------------------------------------

static struct leaf leaf_of(const struct tls_certificate *certificate)
{
	struct leaf leaf;
	leaf_read(tls_certificate_leaf(certificate), &leaf);
	return leaf;
}

static void log_names(struct log_line *line, const struct leaf *leaf)
{
	char room[512];
	struct text names = TEXT(room);
	for (size_t i = 0; i < leaf->num_names; i++)
		text_addf(&names, "%s%.*s", i ? " " : "", STR_ARG(leaf->names[i]));
	log_str(line, "names", text_str(&names));
}

static void log_fingerprint(struct log_line *line, const struct leaf *leaf)
{
	char room[2 * LEAF_FINGERPRINT + 1];
	struct text text = TEXT(room);
	for (size_t i = 0; i < LEAF_FINGERPRINT; i++)
		text_addf(&text, "%02x", leaf->fingerprint[i]);
	log_str(line, "fingerprint", text_str(&text));
}

static void begin(
    struct log_line *line, enum log_event event, const struct certificate_config *config)
{
	log_begin(line, event);
	log_str(line, "certificate", str_of(config->name));
	log_str(line, "path", str_of(config->options.chain));
}

static void log_replaced(const struct snapshot *snapshot, size_t i)
{
	struct log_line line;
	struct leaf leaf = leaf_of(snapshot->certificates[i]);
	begin(&line, LOG_certificate_replaced, &snapshot->config->certificates[i]);
	log_names(&line, &leaf);
	log_time(&line, "not_after", leaf.not_after);
	log_fingerprint(&line, &leaf);
	log_end(&line);
	leaf_done(&leaf);
}

static void log_refused(const struct snapshot *snapshot, size_t i, const char *why)
{
	struct log_line line;
	begin(&line, LOG_certificate_refused, &snapshot->config->certificates[i]);
	log_str(&line, "why", str_of(why));
	log_end(&line);
}

bool certificates_is_sound(const struct config *config, const struct leaf *leaf)
{
	int64_t now = time(NULL);
	int64_t warning_s = (int64_t)(config->site.certificate_warning / MS_PER_S);
	return leaf_is_valid(leaf, now) &&
	       !leaf_ends_soon(leaf->not_before, leaf->not_after, now, warning_s);
}

static void log_early(const struct certificate_config *config, const struct leaf *leaf)
{
	struct log_line line;
	begin(&line, LOG_certificate_not_yet_valid, config);
	log_names(&line, leaf);
	log_time(&line, "not_before", leaf->not_before);
	log_end(&line);
}

static void log_late(
    const struct certificate_config *config, const struct leaf *leaf, int64_t left_s)
{
	struct log_line line;
	begin(&line, left_s >= 0 ? LOG_certificate_expires : LOG_certificate_expired, config);
	log_names(&line, leaf);
	log_time(&line, "not_after", leaf->not_after);
	if (left_s >= 0)
		log_u64(&line, "days", (uint64_t)left_s / DAY_S);
	log_end(&line);
}

static bool find_untimely(
    const struct tls_certificate *certificate, int64_t now, struct leaf *out, struct text *out_what)
{
	return leaf_find_untimely(tls_certificate_leaf(certificate),
	    tls_certificate_issuer(certificate), now, out, out_what);
}

// To be called while the leaf is valid.
static void check_time_of_intermediate(const struct snapshot *snapshot, size_t i, int64_t now)
{
	char room[512];
	struct text why = TEXT(room);
	struct leaf untimely;
	struct log_line line;
	if (!find_untimely(snapshot->certificates[i], now, &untimely, &why))
		return;
	bool is_early = now < untimely.not_before;
	text_add_char(&why, ' ');
	leaf_print_invalidity(&untimely, now, &why);
	begin(&line, is_early ? LOG_certificate_not_yet_valid : LOG_certificate_expired,
	    &snapshot->config->certificates[i]);
	log_str(&line, "why", text_str(&why));
	log_end(&line);
	leaf_done(&untimely);
}

static void check_time(const struct snapshot *snapshot, size_t i)
{
	const struct config *config = snapshot->config;
	struct leaf leaf = leaf_of(snapshot->certificates[i]);
	int64_t now = time(NULL);
	if (now < leaf.not_before)
		log_early(&config->certificates[i], &leaf);
	else if (!certificates_is_sound(config, &leaf))
		log_late(&config->certificates[i], &leaf, leaf.not_after - now);
	if (leaf_is_valid(&leaf, now))
		check_time_of_intermediate(snapshot, i, now);
	leaf_done(&leaf);
}

static void log_open_key(const struct certificate_config *config, enum log_event event,
    const char *why, const char *repaired)
{
	char room[2 * PATH_MAX];
	struct text text = TEXT(room);
	struct log_line line;
	text_add(&text, str_of(why));
	text_add_shell_word(&text, str_of(repaired));
	log_begin(&line, event);
	log_str(&line, "certificate", str_of(config->name));
	log_str(&line, "path", str_of(config->options.key));
	log_str(&line, "why", text_str(&text));
	log_end(&line);
}

// As often as the files are another: at a start and a reload too.
static void check_staple(const struct snapshot *snapshot, size_t i)
{
	const struct certificate_config *config = &snapshot->config->certificates[i];
	struct log_line line;
	struct leaf leaf = leaf_of(snapshot->certificates[i]);
	if (leaf.wants_staple && config->options.ocsp == CERTIFICATE_OCSP_off) {
		begin(&line, LOG_staple_missing, config);
		log_end(&line);
	}
	leaf_done(&leaf);
}

// As often too.
static void check_open_key(const struct snapshot *snapshot, size_t i)
{
	const struct certificate_config *config = &snapshot->config->certificates[i];
	const char *path = config->options.key;
	char why_room[64], folder_room[PATH_MAX];
	struct text why = TEXT(why_room), folder = TEXT(folder_room);
	mode_t mode;
	if (private_key_is_exposed(path, &mode)) {
		text_addf(&why, "mode %04o; do: chmod 600 ", (unsigned)mode);
		log_open_key(config, LOG_key_exposed, why_room, path);
	}
	if (private_key_is_replaceable(path, &folder))
		log_open_key(config, LOG_key_replaceable,
		    "everybody may write to a folder above it; do: chmod o-w ", folder_room);
}

// ---- sending ------------------------------------------------------------

static int make_parcel(const struct snapshot *snapshot, size_t i)
{
	char room[256];
	struct text why = TEXT(room);
	int parcel = parcel_make((uint32_t)i, snapshot->certificates[i], &why);
	if (parcel < 0)
		log_refused(snapshot, i, room);
	return parcel;
}

static bool send_parcel(const struct worker_process *worker, int parcel)
{
	return parcel >= 0 && worker->channel >= 0 &&
	       channel_send_fd(worker->channel, CHANNEL_certificate, parcel);
}

// Behind one that did not go through the next ones wait too: each goes but once.
static void send_in_turn(struct worker_process *worker, size_t i, int parcel)
{
	bool waits = worker->lacks_certificate && worker->lacking <= i;
	if (waits || send_parcel(worker, parcel))
		return;
	worker->lacks_certificate = true;
	worker->lacking = i;
}

void certificates_send(struct generation *generation, size_t i)
{
	int parcel = make_parcel(generation->snapshot, i);
	for (size_t k = 0; k < generation->num_workers; k++)
		send_in_turn(&generation->workers[k], i, parcel);
	if (parcel >= 0)
		close(parcel);
}

static bool send_to(const struct worker_process *worker, const struct snapshot *snapshot, size_t i)
{
	if (!snapshot->certificates[i])
		return true;
	int parcel = make_parcel(snapshot, i);
	bool sent = send_parcel(worker, parcel);
	if (parcel >= 0)
		close(parcel);
	return sent;
}

// A worker too busy to empty its channel shall not serve old certificates for ever.
static void send_again(const struct generation *generation)
{
	const struct snapshot *snapshot = generation->snapshot;
	size_t num = snapshot->config->num_certificates;
	for (size_t k = 0; k < generation->num_workers; k++) {
		struct worker_process *worker = &generation->workers[k];
		if (!worker->lacks_certificate || worker->channel < 0)
			continue;
		while (worker->lacking < num && send_to(worker, snapshot, worker->lacking))
			worker->lacking++;
		worker->lacks_certificate = worker->lacking < num;
	}
}

// ---- judging ------------------------------------------------------------

static struct pair_mark mark_of(const struct certificate_options *options)
{
	return (struct pair_mark){file_mark_of(options->chain), file_mark_of(options->key)};
}

static bool is_unchanged(const struct pair_mark *a, const struct pair_mark *b)
{
	return file_mark_is_unchanged(&a->chain, &b->chain) &&
	       file_mark_is_unchanged(&a->key, &b->key);
}

static void forgive(struct watched_pair *pair)
{
	free(pair->why);
	pair->why = NULL;
	pair->refused_ms = 0;
}

static void refuse(struct watched_pair *pair, struct str why, uint64_t now_ms)
{
	uint64_t told_ms = pair->refused_ms ? pair->refused_ms : now_ms + PATIENCE_MS;
	forgive(pair);
	pair->why = str_dup(why);
	pair->refused_ms = told_ms;
}

// Where a signer has the keys, it must have this one before workers hear of the
// certificate; of the same chain it only says whether the key still belongs to it.
static bool renew_key(struct generation *generation, size_t i,
    const struct tls_certificate *certificate, bool is_same, struct text *why)
{
	const struct certificate_options *options =
	    &generation->snapshot->config->certificates[i].options;
	return !generation->keys || keys_process_renew(generation->keys, i,
	                                &(struct renewal){
	                                    .key_path = options->key,
	                                    .chain_path = options->chain,
	                                    .leaf = tls_certificate_leaf(certificate),
	                                    .is_same = is_same,
	                                },
	                                why);
}

static void complain_of_time(
    const char *what, const char *path, const struct leaf *leaf, int64_t now, struct text *why)
{
	text_addf(why, "%s in %s ", what, path);
	leaf_print_invalidity(leaf, now, why);
	text_add(why, leaf->not_before > now
	                  ? STR(", and the one that is served is valid now; it is taken when its "
	                        "time has come, and if that is past, set this machine's clock")
	                  : STR(", and the one that is served is valid now; get a new one from the "
	                        "authority"));
}

// Whether clients are not worse off with it than they are now, by its time and that of the
// intermediate certificate behind it.
static bool is_timely(const struct snapshot *snapshot, size_t i,
    const struct tls_certificate *certificate, int64_t *out_again_s, struct text *why)
{
	char room[512], old_room[512];
	struct text what = TEXT(room), old_what = TEXT(old_room);
	struct leaf old, new;
	int64_t now = time(NULL);
	bool is_old_bad = find_untimely(snapshot->certificates[i], now, &old, &old_what);
	bool is_timely = !find_untimely(certificate, now, &new, &what) || is_old_bad;
	if (!is_timely) {
		*out_again_s = new.not_before > now ? new.not_before : 0;
		complain_of_time(
		    room, snapshot->config->certificates[i].options.chain, &new, now, why);
	}
	leaf_done(&old);
	leaf_done(&new);
	return is_timely;
}

// Takes the certificate over.  False with the reason in *why; when its time is yet to come, that
// stands in *out_again_s.
static bool take(struct generation *generation, size_t i, struct tls_certificate *certificate,
    int64_t *out_again_s, struct text *why)
{
	struct snapshot *snapshot = generation->snapshot;
	bool is_same = tls_certificate_has_chain_of(certificate, snapshot->certificates[i]);
	bool is_good = (is_same || is_timely(snapshot, i, certificate, out_again_s, why)) &&
	               snapshot_allows_certificate(snapshot, i, certificate, why) &&
	               renew_key(generation, i, certificate, is_same, why);
	if (is_same || !is_good) {
		tls_certificate_free(&certificate);
		return is_good;
	}
	snapshot_replace_certificate(snapshot, i, certificate);
	certificates_send(generation, i);
	log_replaced(snapshot, i);
	check_time(snapshot, i);
	return true;
}

static struct tls_certificate *load(const struct generation *generation, size_t i, struct text *why)
{
	const struct snapshot *snapshot = generation->snapshot;
	const struct certificate_options *options = &snapshot->config->certificates[i].options;
	return generation->keys ? certs_load_public(options->chain, snapshot->signer,
	                              keys_process_next_slot(generation->keys, i), why)
	                        : certs_load(options->chain, options->key, why);
}

// What changed while it was read is not judged.
static void judge(
    struct generation *generation, struct watched_pair *pair, size_t i, uint64_t now_ms)
{
	char room[1024];
	struct text why = TEXT(room);
	const struct certificate_options *options =
	    &generation->snapshot->config->certificates[i].options;
	struct tls_certificate *certificate = load(generation, i, &why);
	struct pair_mark mark = mark_of(options);
	if (!is_unchanged(&mark, &pair->seen)) {
		tls_certificate_free(&certificate);
		pair->seen = mark;
		return;
	}
	int64_t again_s = 0;
	bool is_taken = certificate && take(generation, i, certificate, &again_s, &why);
	if (!is_taken && generation->keys && !keys_process_runs(generation->keys))
		return; // it will be asked again
	pair->judged = mark;
	pair->again_s = again_s;
	check_open_key(generation->snapshot, i);
	check_staple(generation->snapshot, i);
	if (is_taken)
		forgive(pair);
	else
		refuse(pair, text_str(&why), now_ms);
}

// ---- looking ------------------------------------------------------------

static void tell_refusal(
    const struct generation *generation, struct watched_pair *pair, size_t i, uint64_t now_ms)
{
	if (!pair->refused_ms || now_ms < pair->refused_ms)
		return;
	log_refused(generation->snapshot, i, pair->why);
	forgive(pair);
}

enum sight { SIGHT_same, SIGHT_restless, SIGHT_rested };

static bool is_due_again(const struct watched_pair *pair)
{
	return pair->again_s && time(NULL) >= pair->again_s;
}

static enum sight look_at(const struct generation *generation, struct watched_pair *pair, size_t i)
{
	struct pair_mark before = pair->seen;
	pair->seen = mark_of(&generation->snapshot->config->certificates[i].options);
	if (is_unchanged(&pair->seen, &pair->judged))
		return is_due_again(pair) ? SIGHT_rested : SIGHT_same;
	return is_unchanged(&pair->seen, &before) ? SIGHT_rested : SIGHT_restless;
}

// Whether it is at rest everywhere.
static bool look(struct certificates_watch *watch, struct generation *generation, uint64_t now_ms)
{
	size_t num_judged = 0;
	bool rests = true;
	for (size_t i = 0; i < watch->num; i++) {
		struct watched_pair *pair = &watch->pairs[i];
		if (!generation->snapshot->certificates[i])
			continue;
		enum sight sight = look_at(generation, pair, i);
		rests &= sight == SIGHT_same;
		if (sight == SIGHT_rested && num_judged++ < JUDGED_MAX)
			judge(generation, pair, i, now_ms);
		tell_refusal(generation, pair, i, now_ms);
	}
	return rests;
}

static void check_times(
    struct certificates_watch *watch, const struct generation *generation, uint64_t now_ms)
{
	if (now_ms < watch->end_ms)
		return;
	watch->end_ms = now_ms + DAY_MS;
	for (size_t i = 0; i < watch->num; i++)
		if (generation->snapshot->certificates[i])
			check_time(generation->snapshot, i);
}

static bool serves_tls(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->config->num_certificates; i++)
		if (snapshot->certificates[i])
			return true;
	return false;
}

// NULL when nobody serves TLS.
static struct generation *serving_tls(const struct generations *generations)
{
	struct generation *serving = generation_in(generations, GENERATION_serving);
	bool is_watched = serving && serving->snapshot && serves_tls(serving->snapshot);
	return is_watched ? serving : NULL;
}

void certificates_watch_done(struct certificates_watch *watch)
{
	for (size_t i = 0; i < watch->num; i++)
		forgive(&watch->pairs[i]);
	free(watch->pairs);
	*watch = (struct certificates_watch){.num = 0};
}

// Between reading the files for it and now they may have changed, so all are judged anew.
static void adopt(struct certificates_watch *watch, const struct generation *generation)
{
	if (watch->generation == generation->number)
		return;
	certificates_watch_done(watch);
	watch->generation = generation->number;
	watch->num = generation->snapshot->config->num_certificates;
	watch->pairs = xcalloc(watch->num, sizeof(*watch->pairs));
}

void certificates_watch_tick(
    struct certificates_watch *watch, const struct generations *generations, uint64_t now_ms)
{
	struct generation *serving = serving_tls(generations);
	if (!serving || (now_ms < watch->look_ms && watch->generation == serving->number))
		return;
	adopt(watch, serving);
	send_again(serving);
	watch->look_ms = now_ms + (look(watch, serving, now_ms) ? LOOK_MS : REST_MS);
	check_times(watch, serving, now_ms);
}

uint64_t certificates_watch_next_due(
    const struct certificates_watch *watch, const struct generations *generations)
{
	return serving_tls(generations) ? watch->look_ms : CLOCK_NEVER;
}
