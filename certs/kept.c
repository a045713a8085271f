// kept.c: the way back to the pair of before.  See kept.h.
#include "certs/kept.h"

#include <errno.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pool.h>

#include "certs/leaf.h"
#include "certs/pair.h"

// Who may not read a file of the pair in place knows nothing against it.
static bool may_be_judged(const char *path)
{
	return access(path, R_OK) == 0 || errno != EACCES;
}

static bool is_in_time(const char *chain_path)
{
	char room[512];
	struct text why = TEXT(room);
	struct pair pair;
	struct leaf leaf;
	if (!pair_read_chain(chain_path, &pair, &why))
		return false;
	const CRYPTO_BUFFER *der = pair.chain[0];
	leaf_read(
	    (struct str){(const char *)CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der)}, &leaf);
	bool is_in_time = time(NULL) <= leaf.not_after;
	leaf_done(&leaf);
	pair_done(&pair);
	return is_in_time;
}

static void add_copy(struct text *command, const char *from, const char *to)
{
	text_add(command, STR("cp -p "));
	text_add_shell_word(command, str_of(from));
	text_add_char(command, ' ');
	text_add_shell_word(command, str_of(to));
}

void kept_print_way_back(const char *chain_path, const char *key_path, struct text *out)
{
	char chain_room[PATH_MAX], key_room[PATH_MAX], room[4 * PATH_MAX];
	struct text chain = TEXT(chain_room), key = TEXT(key_room), command = TEXT(room);
	text_addf(&chain, "%s" KEPT_OLD, chain_path);
	text_addf(&key, "%s" KEPT_OLD, key_path);
	if (chain.truncated || key.truncated || !may_be_judged(chain_path) ||
	    !may_be_judged(key_path) || access(key_room, F_OK) != 0 || !is_in_time(chain_room))
		return;
	add_copy(&command, chain_room, chain_path);
	text_add(&command, STR(" && "));
	add_copy(&command, key_room, key_path);
	if (!command.truncated)
		text_addf(out, "; the pair of before is still there, and comes back by: %s", room);
}
