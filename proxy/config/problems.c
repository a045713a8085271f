// problems.c: the list of problems and what makes its lines kind.  See
// problems.h.
#include "proxy/config/problems.h"

static const char more[] = "there are more problems than fit here\n";

void problems_init(struct problems *problems)
{
	problems->num = 0;
	problems->text = text_in(problems->room, sizeof(problems->room) - sizeof(more));
}

static void add_line(struct problems *problems, struct str line)
{
	struct text *text = &problems->text;
	bool was_full = text->truncated;
	problems->num++;
	if (line.len && memmem(text->at, text->len, line.at, line.len))
		return;
	text_add(text, line);
	if (!text->truncated || was_full)
		return;
	memcpy(text->at + text->len, more, sizeof(more));
	text->len += sizeof(more) - 1;
}

void problems_add(
    struct problems *problems, const char *path, struct place place, const char *format, ...)
{
	char room[sizeof(problems->room) / 2];
	struct text line = text_in(room, sizeof(room) - 1);
	va_list args;
	va_start(args, format);
	text_addf(&line, "%.1000s:", path);
	if (place.line)
		text_addf(&line, "%u:%u:", place.line, place.column);
	text_add_char(&line, ' ');
	text_addv(&line, format, args);
	va_end(args);
	line.at[line.len++] = '\n';
	add_line(problems, text_str(&line));
}

struct shown shown(struct str s)
{
	struct shown shown;
	struct text text = TEXT(shown.at);
	size_t len = s.len < 80 ? s.len : 77;
	while (len < s.len && len && (s.at[len] & 0xc0) == 0x80) // not inside a character
		len--;
	text_add_char(&text, '"');
	for (size_t i = 0; i < len; i++)
		text_add_char(&text, str_has_control((struct str){s.at + i, 1}) ? '?' : s.at[i]);
	if (len < s.len)
		text_add(&text, STR("..."));
	text_add_char(&text, '"');
	return shown;
}

enum { WORD_MAX = 40 };

static unsigned least_of(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;
	return least < c ? least : c;
}

// How many letters must be put in, left out, replaced or swapped with their
// neighbour to make b of a.  Neither is longer than WORD_MAX.
static unsigned edit_distance(struct str a, struct str b)
{
	unsigned rows[WORD_MAX + 1][WORD_MAX + 1];
	for (unsigned i = 0; i <= a.len; i++)
		rows[i][0] = i;
	for (unsigned j = 0; j <= b.len; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= a.len; i++)
		for (unsigned j = 1; j <= b.len; j++) {
			bool differ = a.at[i - 1] != b.at[j - 1];
			rows[i][j] = least_of(
			    rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + differ);
			if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] &&
			    a.at[i - 2] == b.at[j - 1] && rows[i - 2][j - 2] + 1 < rows[i][j])
				rows[i][j] = rows[i - 2][j - 2] + 1;
		}
	return rows[a.len][b.len];
}

void suggestion_offer(struct suggestion *suggestion, struct str word)
{
	struct str wanted = suggestion->wanted;
	// A third of the letters may be wrong; more than that is another word.
	size_t bearable = wanted.len < 3 ? 1 : wanted.len < 9 ? wanted.len / 3 : 3;
	size_t gap = wanted.len < word.len ? word.len - wanted.len : wanted.len - word.len;
	if (gap > bearable || wanted.len > WORD_MAX || word.len > WORD_MAX)
		return;
	unsigned distance = edit_distance(wanted, word);
	if (distance > bearable || (suggestion->nearest.at && distance >= suggestion->distance))
		return;
	suggestion->nearest = word;
	suggestion->distance = distance;
}

struct shown suggestion_shown(const struct suggestion *suggestion)
{
	struct shown shown_word = {""};
	struct text text = TEXT(shown_word.at);
	if (suggestion->nearest.at)
		text_addf(&text, "; did you mean %s?", shown(suggestion->nearest).at);
	return shown_word;
}
