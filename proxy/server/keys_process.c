// keys_process.c: from key files to a process that has the keys.  See keys_process.h.
#include "proxy/server/keys_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "certs/kept.h"
#include "proxy/base/die.h"
#include "proxy/base/file.h"
#include "proxy/base/log.h"
#include "proxy/net/tls.h"
#include "proxy/server/clock.h"
#include "proxy/server/descriptor.h"
#include "proxy/server/generation.h"
#include "proxy/server/keys.h"
#include "proxy/server/keys_order.h"

enum {
	KEYS_WAIT_MS = 5 * 1000,
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 10 * 1000,
	SETTLED_MS = 10 * 1000, // one that lived so long was no failed start
	END_MS = 1000,          // for one that nobody needs to end by itself
	WHY_ROOM = 2048,        // with several paths in it
};

// ---- files --------------------------------------------------------------

static int open_key(const char *path, struct text *why)
{
	int fd = file_open_descriptor(path);
	if (fd < 0)
		text_addf(why, "cannot read the private key %s: %s", path, file_problem());
	return fd;
}

static void file_done(struct key_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	free(file->name);
	free(file->key_path);
	free(file->chain_path);
	free((char *)file->leaf.at);
}

static struct key_file file_of(
    const struct certificate_config *config, struct str leaf, uint32_t slot, struct text *why)
{
	return (struct key_file){
	    .fd = open_key(config->options.key, why),
	    .slot = slot,
	    .name = str_dup(str_of(config->name)),
	    .key_path = str_dup(str_of(config->options.key)),
	    .chain_path = str_dup(str_of(config->options.chain)),
	    .leaf = {str_dup(leaf), leaf.len},
	};
}

static void refuse(const struct key_file *file, struct str why)
{
	log_why(LOG_key_refused, "certificate \"%s\": %.*s", file->name, STR_ARG(why));
}

// When it is the fault of the files.
static void refuse_files(const struct key_file *file, struct text *why)
{
	kept_print_way_back(file->chain_path, file->key_path, why);
	refuse(file, text_str(why));
}

static bool open_files(struct keys_process *keys, const struct snapshot *snapshot)
{
	const struct config *config = snapshot->config;
	bool all = true;
	keys->num_files = config->num_certificates;
	keys->files = xcalloc(keys->num_files, sizeof(*keys->files));
	for (size_t i = 0; i < keys->num_files; i++) {
		char room[WHY_ROOM];
		struct text why = TEXT(room);
		keys->files[i].fd = -1;
		if (!snapshot->certificates[i])
			continue;
		keys->files[i] = file_of(&config->certificates[i],
		    tls_certificate_leaf(snapshot->certificates[i]), (uint32_t)i, &why);
		if (keys->files[i].fd >= 0)
			continue;
		refuse_files(&keys->files[i], &why);
		all = false;
	}
	return all;
}

// ---- orders -------------------------------------------------------------

static bool hand_over(
    const struct keys_process *keys, const struct key_file *file, enum keys_order_kind kind)
{
	struct keys_order order = {
	    .kind = kind,
	    .slot = file->slot,
	    .key_path = str_of(file->key_path),
	    .chain_path = str_of(file->chain_path),
	    .leaf = file->leaf,
	};
	return keys_order_send(keys->channel, &order, file->fd, KEYS_WAIT_MS);
}

// Waits for what it says of this slot.  False with *why empty: it says nothing.
static bool hear(const struct keys_process *keys, uint32_t slot, struct text *why)
{
	uint32_t about = ~slot;
	while (keys_answer_receive(keys->channel, KEYS_WAIT_MS, &about, why) == KEYS_RECEIVED) {
		if (about == slot)
			return text_is_empty(why);
		*why = text_in(why->at, why->cap);
	}
	return false;
}

bool keys_process_runs(const struct keys_process *keys)
{
	return keys->pid && keys->channel >= 0;
}

// One that does not answer would not sign either.
static void give_up(struct keys_process *keys, struct text *why)
{
	text_addf(why, "the process that has the private keys does not answer");
	kill(keys->pid, SIGKILL);
	close(keys->channel);
	keys->channel = -1;
}

static bool give(struct keys_process *keys, const struct key_file *file, enum keys_order_kind kind,
    struct text *why)
{
	if (!keys_process_runs(keys)) {
		text_addf(why, "the process that has the private keys does not run");
		return false;
	}
	bool good = hand_over(keys, file, kind) && hear(keys, file->slot, why);
	if (!good && text_is_empty(why))
		give_up(keys, why);
	return good;
}

static bool give_all(struct keys_process *keys)
{
	bool all = true;
	for (size_t i = 0; i < keys->num_files; i++) {
		char room[WHY_ROOM];
		struct text why = TEXT(room);
		if (keys->files[i].fd < 0)
			continue;
		keys->files[i].is_missed = !give(keys, &keys->files[i], KEYS_ORDER_key, &why);
		if (!keys->files[i].is_missed)
			continue;
		if (keys_process_runs(keys))
			refuse_files(&keys->files[i], &why);
		else
			refuse(&keys->files[i], text_str(&why));
		all = false;
	}
	return all;
}

// ---- the process --------------------------------------------------------

static _Noreturn void become_keys(
    const struct keys_process *keys, const struct generations *generations, int channel)
{
	generations_forget(generations);
	descriptor_keep_only(channel, log_descriptor());
	keys_run(channel, keys->num_files, &keys->identity);
}

static bool fork_keys(struct keys_process *keys, const struct generations *generations)
{
	int channel;
	keys->started_ms = clock_ms();
	if (!keys_channel_open(&keys->channel, &channel)) {
		log_why(LOG_keys_not_started, "cannot open a channel to it: %s", strerror(errno));
		keys->channel = -1;
		return false;
	}
	keys->pid = fork();
	if (keys->pid == 0)
		become_keys(keys, generations, channel);
	close(channel);
	if (keys->pid > 0)
		return true;
	log_why(LOG_keys_not_started, "cannot start a process: %s", strerror(errno));
	keys->pid = 0;
	close(keys->channel);
	keys->channel = -1;
	return false;
}

static struct keys_process *new_process(void)
{
	struct keys_process *keys = xcalloc(1, sizeof(*keys));
	keys->channel = -1;
	keys->restart_ms = keys->kill_ms = CLOCK_NEVER;
	return keys;
}

struct keys_process *keys_process_new(const struct generations *generations,
    const struct snapshot *snapshot, const struct sandbox_identity *identity)
{
	struct keys_process *keys = new_process();
	keys->identity = *identity;
	if (open_files(keys, snapshot) && fork_keys(keys, generations) && give_all(keys))
		return keys;
	keys_process_let_go(keys);
	keys_process_free(&keys);
	return NULL;
}

struct keys_process *keys_process_adopt(pid_t pid, int channel, uint64_t started_ms)
{
	struct keys_process *keys = new_process();
	keys->pid = pid;
	keys->channel = channel;
	keys->started_ms = started_ms;
	return keys;
}

void keys_process_free(struct keys_process **keys)
{
	struct keys_process *old = *keys;
	if (!old)
		return;
	keys_process_let_go(old);
	free(old);
	*keys = NULL;
}

void keys_process_let_go(struct keys_process *keys)
{
	for (size_t i = 0; i < keys->num_files; i++)
		file_done(&keys->files[i]);
	free(keys->files);
	keys->files = NULL;
	keys->num_files = 0;
	keys->restart_ms = CLOCK_NEVER;
	if (keys->channel >= 0)
		close(keys->channel);
	keys->channel = -1;
}

void keys_process_close(const struct keys_process *keys)
{
	for (size_t i = 0; i < keys->num_files; i++)
		if (keys->files[i].fd >= 0)
			close(keys->files[i].fd);
	if (keys->channel >= 0)
		close(keys->channel);
}

// ---- workers and renewals -----------------------------------------------

int keys_process_join(const struct keys_process *keys)
{
	static const struct keys_order order = {.kind = KEYS_ORDER_worker};
	int ends[2];
	if (keys->channel < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	bool sent = keys_order_send(keys->channel, &order, ends[1], 0);
	close(ends[1]);
	if (sent)
		return ends[0];
	close(ends[0]);
	return -1;
}

uint32_t keys_process_next_slot(const struct keys_process *keys, size_t index)
{
	return keys->files[index].slot + (uint32_t)keys->num_files;
}

bool keys_process_renew(
    struct keys_process *keys, size_t index, const struct renewal *renewal, struct text *why)
{
	struct key_file *file = &keys->files[index];
	struct key_file new = {
	    .fd = open_key(renewal->key_path, why),
	    .slot = renewal->is_same ? file->slot : keys_process_next_slot(keys, index),
	    .name = str_dup(str_of(file->name)),
	    .key_path = str_dup(str_of(renewal->key_path)),
	    .chain_path = str_dup(str_of(renewal->chain_path)),
	    .leaf = {str_dup(renewal->leaf), renewal->leaf.len},
	};
	bool is_there = renewal->is_same && !file->is_missed;
	bool taken =
	    new.fd >= 0 && give(keys, &new, is_there ? KEYS_ORDER_judge : KEYS_ORDER_key, why);
	file_done(taken ? file : &new);
	if (taken)
		*file = new;
	return taken;
}

// ---- ends ---------------------------------------------------------------

static void tell_delay(const struct keys_process *keys)
{
	struct log_line line;
	log_begin(&line, LOG_keys_delayed);
	log_u64(&line, "ms", keys->backoff_ms);
	log_end(&line);
}

static void plan_restart(struct keys_process *keys, uint64_t now_ms)
{
	if (now_ms - keys->started_ms >= SETTLED_MS)
		keys->backoff_ms = 0;
	keys->restart_ms = now_ms + keys->backoff_ms;
	if (keys->backoff_ms)
		tell_delay(keys);
	keys->backoff_ms =
	    keys->backoff_ms ? clock_earlier(2 * keys->backoff_ms, BACKOFF_MAX_MS) : BACKOFF_MIN_MS;
}

void keys_process_ended(struct keys_process *keys, uint64_t now_ms)
{
	keys->pid = 0;
	keys->kill_ms = CLOCK_NEVER;
	if (keys->channel >= 0)
		close(keys->channel);
	keys->channel = -1;
	if (keys->files)
		plan_restart(keys, now_ms);
}

// A key that is refused now, since the file was overwritten, is missed only by its own
// certificate, until the file is right again.
static void start_again(struct keys_process *keys, const struct generations *generations)
{
	keys->restart_ms = CLOCK_NEVER;
	if (!fork_keys(keys, generations))
		plan_restart(keys, clock_ms());
	else if (give_all(keys))
		log_why(LOG_keys_back, "%d", (int)keys->pid);
}

void keys_process_tick(struct keys_process *keys, const struct generations *generations,
    bool has_workers, uint64_t now_ms)
{
	if (now_ms >= keys->restart_ms)
		start_again(keys, generations);
	if (!keys->pid || keys->channel >= 0 || has_workers)
		return;
	if (keys->kill_ms == CLOCK_NEVER)
		keys->kill_ms = now_ms + END_MS;
	if (now_ms < keys->kill_ms)
		return;
	kill(keys->pid, SIGKILL);
	keys->kill_ms = now_ms + END_MS;
}

uint64_t keys_process_due(const struct keys_process *keys)
{
	return clock_earlier(keys->restart_ms, keys->kill_ms);
}
