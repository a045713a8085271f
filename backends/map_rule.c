// map_rule.c: from the text of a rule to its parts, and back.  See map_rule.h.
//
// As with the rules of a policy, each function takes the words that are its own;
// the first that finds something wrong writes why.
#include "backends/map_rule.h"

#include <stdlib.h>

#include "backends/fold.h"
#include "proxy/base/words.h"
#include "proxy/config/problems.h"

static const struct str any = {"*", 1};

struct reader {
	struct words words;
	struct map_rule *rule;
	struct text *why;
};

__attribute__((format(printf, 2, 3))) static bool refuse(
    struct reader *reader, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	text_addv(reader->why, format, args);
	va_end(args);
	return false;
}

// ---- the name -----------------------------------------------------------

static bool is_sound_part(struct str part)
{
	return str_find(part, '*') == part.len || str_eq(part, any);
}

static char *fold_to_heap(struct str name)
{
	char room[FOLD_SIZE];
	struct text folded = TEXT(room);
	fold_name(name, &folded);
	return str_dup(text_str(&folded));
}

static bool refuse_quote(struct reader *reader)
{
	return refuse(reader, "%s: quotes stand around the whole of a word, not within",
	    shown(reader->words.word).at);
}

static bool has_quote(const struct reader *reader)
{
	struct str word = reader->words.word;
	return str_find(word, '"') < word.len;
}

static bool read_name(struct reader *reader)
{
	struct map_rule *rule = reader->rule;
	struct str name = reader->words.word;
	if (words_at_end(&reader->words))
		return refuse(reader, "write a rule as in LAB\\* to {user}, or file NAME");
	if (name.len > CLAIM_PART_MAX)
		return refuse(reader, "%s is longer than any name can be", shown(name).at);
	if (has_quote(reader))
		return refuse_quote(reader);
	rule->name = fold_to_heap(name);
	if (!account_parse(str_of(rule->name), &rule->wanted))
		return refuse(reader,
		    "%s is no name; write user, user@domain, DOMAIN\\user or DOMAIN\\user\\mailbox",
		    shown(name).at);
	if (!is_sound_part(rule->wanted.domain) || !is_sound_part(rule->wanted.user) ||
	    !is_sound_part(rule->wanted.mailbox))
		return refuse(reader, "%s: * stands for a whole part of a name, as in LAB\\*",
		    shown(name).at);
	rule->is_for_all = str_eq(str_of(rule->name), any);
	words_next(&reader->words);
	return true;
}

// ---- the form -----------------------------------------------------------

struct hole {
	struct str word;
	bool needs_domain;
	bool needs_mailbox;
};

enum hole_kind { HOLE_user, HOLE_domain, HOLE_mailbox, HOLE_login, HOLES };

static const struct hole holes[HOLES] = {
    [HOLE_user] = {{"user", 4}, false, false},
    [HOLE_domain] = {{"domain", 6}, true, false},
    [HOLE_mailbox] = {{"mailbox", 7}, false, true},
    [HOLE_login] = {{"login", 5}, false, false},
};

static enum hole_kind find_hole(struct str word)
{
	enum hole_kind kind = 0;
	while (kind < HOLES && !str_eq(word, holes[kind].word))
		kind++;
	return kind;
}

static bool refuse_hole(struct reader *reader, struct str word)
{
	struct suggestion suggestion = {.wanted = word};
	for (size_t i = 0; i < HOLES; i++)
		suggestion_offer(&suggestion, holes[i].word);
	return refuse(reader,
	    "{%.*s} stands for nothing; there are {user}, {domain}, {mailbox} and {login}%s",
	    STR_ARG(str_take(word, 64)), suggestion_shown(&suggestion).at);
}

static bool check_hole(struct reader *reader, struct str word)
{
	enum hole_kind kind = find_hole(word);
	if (kind == HOLES)
		return refuse_hole(reader, word);
	if (holes[kind].needs_domain && str_is_empty(reader->rule->wanted.domain))
		return refuse(reader, "{domain} needs a domain in the name: write *\\* or *@*");
	if (holes[kind].needs_mailbox && str_is_empty(reader->rule->wanted.mailbox))
		return refuse(reader, "{mailbox} needs a mailbox in the name: write LAB\\*\\*");
	return true;
}

// Takes the next piece of a form: text into *out_text, then a hole into *out_hole.
// False when a brace lacks its other.
static bool take_piece(struct str *form, struct str *out_text, struct str *out_hole)
{
	bool has_hole = str_cut(*form, '{', out_text, form);
	bool closes = has_hole && str_cut(*form, '}', out_hole, form);
	if (!has_hole)
		*out_hole = (struct str){0};
	return has_hole == closes && str_find(*out_text, '}') == out_text->len;
}

static bool check_form(struct reader *reader, struct str form)
{
	struct str whole = form, text, hole;
	if (!form.len || form.len > CLAIM_PART_MAX)
		return refuse(reader, "the name at the backend must have 1 to %d bytes, not %zu",
		    CLAIM_PART_MAX, form.len);
	while (form.len) {
		if (!take_piece(&form, &text, &hole))
			return refuse(reader, "%s: a brace lacks its other", shown(whole).at);
		if (hole.at && !check_hole(reader, hole))
			return false;
	}
	return true;
}

static bool refuse_word(struct reader *reader, const char *wanted)
{
	if (words_at_end(&reader->words))
		return refuse(reader, "it ends where %s should stand", wanted);
	return refuse(reader, "%s stands where %s should", shown(reader->words.word).at, wanted);
}

static bool read_form(struct reader *reader)
{
	if (!words_take(&reader->words, "to"))
		return refuse_word(reader, "\"to\", as in LAB\\* to {user},");
	if (words_at_end(&reader->words))
		return refuse_word(reader, "the name at the backend");
	if (has_quote(reader))
		return refuse_quote(reader);
	if (!check_form(reader, reader->words.word))
		return false;
	reader->rule->form = str_dup(reader->words.word);
	words_next(&reader->words);
	return true;
}

static bool read_backend(struct reader *reader)
{
	if (!words_take(&reader->words, "at"))
		return true;
	if (str_is_empty(reader->words.word))
		return refuse_word(reader, "the name of a backend");
	if (has_quote(reader))
		return refuse_quote(reader);
	reader->rule->backend = str_dup(reader->words.word);
	words_next(&reader->words);
	return true;
}

// ---- the rule -----------------------------------------------------------

static bool read_file(struct reader *reader)
{
	struct str path = reader->words.word;
	if (str_is_empty(path))
		return refuse_word(reader, "the name of a file");
	if (has_quote(reader))
		return refuse_quote(reader);
	reader->rule->file = str_dup(path);
	words_next(&reader->words);
	return true;
}

static bool read_because(struct reader *reader)
{
	if (words_at_end(&reader->words))
		return true;
	struct str reason = str_trim(reader->words.rest);
	bool is_because = !reader->words.is_quoted && str_eq(reader->words.word, STR("because"));
	if (!is_because)
		return refuse_word(reader, "the rule should end, or because");
	if (!reason.len)
		return refuse(reader, "because needs a reason behind it");
	reader->rule->because = str_dup(reason);
	return true;
}

static bool read_rule(struct reader *reader)
{
	if (str_has_control(reader->words.rest))
		return refuse(reader, "it has a control character; put spaces between words");
	words_next(&reader->words);
	if (words_take(&reader->words, "file"))
		return read_file(reader) && read_because(reader);
	return read_name(reader) && read_form(reader) && read_backend(reader) &&
	       read_because(reader);
}

bool map_rule_parse(struct str text, struct map_rule *out, struct text *why)
{
	struct reader reader = {.words = {.rest = text}, .rule = out, .why = why};
	*out = (struct map_rule){0};
	if (read_rule(&reader))
		return true;
	map_rule_done(out);
	return false;
}

void map_rule_done(struct map_rule *rule)
{
	free(rule->file);
	free(rule->name);
	free(rule->form);
	free(rule->backend);
	free(rule->because);
	*rule = (struct map_rule){0};
}

// In quotes where it would else be two words or a keyword.
static void print_word(const char *word, struct text *out)
{
	static const char *const keywords[] = {"file", "to", "at", "because"};
	struct str s = str_of(word);
	bool in_quotes = str_find(s, ' ') < s.len;
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		in_quotes = in_quotes || str_eq(s, str_of(keywords[i]));
	text_addf(out, in_quotes ? "\"%s\"" : "%s", word);
}

void map_rule_print(const struct map_rule *rule, struct text *out)
{
	text_add(out, rule->file ? STR("file ") : STR(""));
	print_word(rule->file ? rule->file : rule->name, out);
	if (rule->form) {
		text_add(out, STR(" to "));
		print_word(rule->form, out);
	}
	if (rule->backend) {
		text_add(out, STR(" at "));
		print_word(rule->backend, out);
	}
	if (rule->because)
		text_addf(out, " because %s", rule->because);
}

// ---- asking -------------------------------------------------------------

static bool part_matches(struct str wanted, struct str part)
{
	return str_eq(wanted, any) ? part.len > 0 : str_eq(wanted, part);
}

bool map_rule_matches(const struct map_rule *rule, const struct account *folded)
{
	const struct account *wanted = &rule->wanted;
	return (rule->is_for_all || part_matches(wanted->domain, folded->domain)) &&
	       part_matches(wanted->user, folded->user) &&
	       part_matches(wanted->mailbox, folded->mailbox);
}

void map_rule_fill(
    const struct map_rule *rule, const struct account *lower, struct str login, struct text *out)
{
	const struct str parts[HOLES] = {
	    [HOLE_user] = lower->user,
	    [HOLE_domain] = lower->domain,
	    [HOLE_mailbox] = lower->mailbox,
	    [HOLE_login] = login,
	};
	struct str form = str_of(rule->form), text, hole;
	while (form.len) {
		take_piece(&form, &text, &hole);
		text_add(out, text);
		if (hole.at)
			text_add(out, parts[find_hole(hole)]);
	}
}
