// aliases.c: reading and searching a file of aliases.  See aliases.h.
//
// A name is kept as one key, its folded parts behind each other with NUL between:
// no part can hold one.
#include "backends/aliases.h"

#include <errno.h>
#include <stdlib.h>

#include "backends/fold.h"
#include "proxy/base/words.h"
#include "proxy/base/buf.h"
#include "proxy/base/die.h"
#include "proxy/base/file.h"
#include "proxy/config/problems.h"

enum { CHUNK = 64 * 1024, KEY_SIZE = FOLD_SIZE + 3 };

struct key {
	char at[KEY_SIZE];
	size_t len;
};

struct entry {
	struct alias alias;
	size_t len; // of the key in alias.name
};

struct aliases {
	struct entry *entries;
	size_t num;
};

// ---- keys ---------------------------------------------------------------

static void key_of(const struct account *folded, struct key *out)
{
	struct text text = TEXT(out->at);
	text_add(&text, folded->domain);
	text_add_char(&text, '\0');
	text_add(&text, folded->user);
	text_add_char(&text, '\0');
	text_add(&text, folded->mailbox);
	out->len = text.len;
}

static int compare(struct str a, struct str b)
{
	int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
	return order ? order : a.len < b.len ? -1 : a.len > b.len;
}

static struct str key_in(const struct entry *entry)
{
	return (struct str){entry->alias.name, entry->len};
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *first = a, *second = b;
	int order = compare(key_in(first), key_in(second));
	if (order)
		return order;
	return first->alias.line < second->alias.line ? -1 : 1;
}

static int compare_to_key(const void *wanted, const void *entry)
{
	return compare(*(const struct str *)wanted, key_in(entry));
}

// ---- lines --------------------------------------------------------------

// The word that stands next, but for a comment.
static void next_word(struct words *words)
{
	words_next(words);
	if (words->word.at && !words->is_quoted && words->word.len && words->word.at[0] == '#')
		*words = (struct words){.word = {NULL, 0}};
}

static bool refuse(struct text *why, struct str word, const char *what)
{
	text_addf(why, "%s %s", shown(word).at, what);
	return false;
}

static bool read_name(struct str word, struct key *out_key, struct text *why)
{
	char room[FOLD_SIZE];
	struct text folded = TEXT(room);
	struct account account;
	if (word.len > CLAIM_PART_MAX)
		return refuse(why, word, "is longer than any name can be");
	fold_name(word, &folded);
	if (!account_parse(text_str(&folded), &account))
		return refuse(why, word, "is no name; write user, user@domain or DOMAIN\\user");
	if (str_find(word, '*') < word.len)
		return refuse(why, word, "has a *, which has a meaning in map rules only");
	key_of(&account, out_key);
	return true;
}

static bool read_target(struct str word, struct text *why)
{
	if (!word.at) {
		text_addf(why, "the name at the backend is missing");
		return false;
	}
	if (!word.len || word.len > CLAIM_PART_MAX)
		return refuse(why, word, "has no length that a name can have");
	if (str_has_control(word))
		return refuse(why, word, "has a control character");
	if (str_find(word, '{') < word.len || str_find(word, '}') < word.len)
		return refuse(why, word, "has a brace, which has a meaning in map rules only");
	return true;
}

static bool expect_end(struct words *words, struct text *why)
{
	next_word(words);
	return words_at_end(words) || refuse(why, words->word, "is one word too many");
}

// Room for one more, which doubles when their number is a power of two.
static struct entry *add_entry(struct aliases *aliases)
{
	size_t num = aliases->num;
	if ((num & (num - 1)) == 0)
		aliases->entries =
		    xrealloc(aliases->entries, (num ? num * 2 : 1) * sizeof(*aliases->entries));
	return &aliases->entries[aliases->num++];
}

static bool read_words(struct aliases *aliases, struct words *words, size_t line, struct text *why)
{
	struct key key;
	struct str target;
	if (!read_name(words->word, &key, why))
		return false;
	next_word(words);
	target = words->word;
	if (!read_target(target, why))
		return false;
	next_word(words);
	struct str backend = words->word;
	if (backend.at && !expect_end(words, why))
		return false;
	*add_entry(aliases) = (struct entry){
	    .alias = {str_dup((struct str){key.at, key.len}), str_dup(target),
	        backend.at ? str_dup(backend) : NULL, line},
	    .len = key.len,
	};
	return true;
}

static bool read_line(struct aliases *aliases, struct str text, size_t line, struct text *why)
{
	struct words words = {.rest = text};
	if (text.len && text.at[text.len - 1] == '\r')
		words.rest.len--;
	for (size_t i = 0; i < words.rest.len; i++)
		if (words.rest.at[i] != '\t' &&
		    str_has_control((struct str){words.rest.at + i, 1})) {
			text_addf(
			    why, "it has a control character; save the file as plain text (UTF-8)");
			return false;
		}
	next_word(&words);
	return words_at_end(&words) || read_words(aliases, &words, line, why);
}

static struct str without_mark(struct str text)
{
	static const struct str mark = {"\xef\xbb\xbf", 3};
	return str_eq(str_take(text, mark.len), mark) ? str_drop(text, mark.len) : text;
}

static bool read_lines(struct aliases *aliases, struct str text, const char *path, struct text *why)
{
	char room[512];
	struct text problem = TEXT(room);
	struct str line, rest = without_mark(text);
	for (size_t number = 1; !str_is_empty(rest); number++) {
		str_cut(rest, '\n', &line, &rest);
		if (read_line(aliases, line, number, &problem))
			continue;
		text_addf(why, "%s:%zu: %s", path, number, room);
		return false;
	}
	return true;
}

static bool are_apart(const struct aliases *aliases, const char *path, struct text *why)
{
	for (size_t i = 1; i < aliases->num; i++) {
		const struct entry *entry = &aliases->entries[i];
		if (!str_eq(key_in(entry), key_in(entry - 1)))
			continue;
		text_addf(why, "%s:%zu: the same name stands in line %zu; leave one out", path,
		    entry->alias.line, entry[-1].alias.line);
		return false;
	}
	return true;
}

struct aliases *aliases_parse(struct str text, const char *path, struct text *why)
{
	struct aliases *aliases = xcalloc(1, sizeof(*aliases));
	bool sound = read_lines(aliases, text, path, why);
	if (sound && aliases->num)
		qsort(aliases->entries, aliases->num, sizeof(*aliases->entries), compare_entries);
	if (!sound || !are_apart(aliases, path, why))
		aliases_free(&aliases);
	return aliases;
}

// ---- files --------------------------------------------------------------

static bool read_all(FILE *file, struct buf *out, struct text *why)
{
	char *chunk = xmalloc(CHUNK);
	size_t num;
	bool fits = true;
	while (fits && (num = fread(chunk, 1, CHUNK, file)) > 0)
		fits = buf_add(out, (struct str){chunk, num}, ALIASES_FILE_MAX);
	if (!fits)
		text_addf(why, "it is larger than %d MiB, or memory is out",
		    ALIASES_FILE_MAX / (1024 * 1024));
	else if (ferror(file))
		text_addf(why, "cannot read it: %s", strerror(errno));
	free(chunk);
	return text_is_empty(why);
}

static bool read_file(const char *path, struct buf *out, struct text *why)
{
	char room[256];
	struct text problem = TEXT(room);
	FILE *file = file_open(path);
	if (!file)
		text_addf(&problem, "cannot open it: %s", file_problem());
	bool done = file && read_all(file, out, &problem);
	if (file)
		fclose(file);
	if (!done)
		text_addf(why, "%s: %s", path, room);
	return done;
}

struct aliases *aliases_load(const char *path, struct text *why)
{
	struct buf bytes = {0};
	struct aliases *aliases = NULL;
	if (read_file(path, &bytes, why))
		aliases = aliases_parse(buf_str(&bytes), path, why);
	buf_done(&bytes);
	return aliases;
}

void aliases_free(struct aliases **aliases)
{
	if (!*aliases)
		return;
	for (size_t i = 0; i < (*aliases)->num; i++) {
		free((*aliases)->entries[i].alias.name);
		free((*aliases)->entries[i].alias.target);
		free((*aliases)->entries[i].alias.backend);
	}
	free((*aliases)->entries);
	free(*aliases);
	*aliases = NULL;
}

// ---- asking -------------------------------------------------------------

size_t aliases_num(const struct aliases *aliases)
{
	return aliases->num;
}

const struct alias *aliases_at(const struct aliases *aliases, size_t index)
{
	return &aliases->entries[index].alias;
}

size_t aliases_find(const struct aliases *aliases, const struct account *folded)
{
	struct key key;
	key_of(folded, &key);
	struct str wanted = {key.at, key.len};
	const struct entry *entry = aliases->num ? bsearch(&wanted, aliases->entries, aliases->num,
	                                               sizeof(*entry), compare_to_key)
	                                         : NULL;
	return entry ? (size_t)(entry - aliases->entries) : aliases->num;
}
