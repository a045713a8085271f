// words.c: one word after the other.  See words.h.
#include "proxy/base/words.h"

// The first word, ended by a space or a tab.
static void cut_blank(struct str s, struct str *out_word, struct str *out_rest)
{
	size_t space = str_find(s, ' '), tab = str_find(s, '\t');
	size_t at = space < tab ? space : tab;
	*out_word = str_take(s, at);
	*out_rest = str_drop(s, at);
}

void words_next(struct words *words)
{
	struct str rest = str_trim(words->rest), inner = str_drop(rest, 1);
	words->word = (struct str){NULL, 0};
	words->is_quoted = rest.len && rest.at[0] == '"' && str_find(inner, '"') < inner.len;
	if (words->is_quoted)
		str_cut(inner, '"', &words->word, &rest);
	else if (rest.len)
		cut_blank(rest, &words->word, &rest);
	words->rest = rest;
}

bool words_are_at(const struct words *words, const char *keyword)
{
	return !words->is_quoted && str_eq(words->word, str_of(keyword));
}

bool words_take(struct words *words, const char *keyword)
{
	bool found = words_are_at(words, keyword);
	if (found)
		words_next(words);
	return found;
}
