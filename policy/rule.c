// rule.c: from the text of a rule to its parts, and back.  See rule.h.
//
// The text is read word by word, by functions that each take what is theirs
// and leave the next word standing.  The first that finds something wrong
// writes why, and the others do not run.
#include "policy/rule.h"

#include <stdlib.h>

#include "policy/country.h"
#include "policy/domain.h"
#include "proxy/base/die.h"
#include "proxy/base/words.h"
#include "proxy/config/types.h"

struct reader {
	struct rule *rule;
	struct text *why;
	struct words words;
};

enum items { ITEMS_ranges, ITEMS_names, ITEMS_numbers, ITEMS_nothing };

#define RULE_KIND(kind, items, most, wanted) [RULE_##kind] = {#kind, ITEMS_##items, most, wanted},
static const struct kind_row {
	const char *name;
	enum items items;
	size_t most;
	const char *wanted;
} kinds[RULE_KINDS] = {
#include "policy/rule_kinds.def"
};
#undef RULE_KIND

const char *rule_kind_name(enum rule_kind kind)
{
	return kinds[kind].name;
}

__attribute__((format(printf, 2, 3))) static bool refuse(
    struct reader *reader, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	text_addv(reader->why, format, args);
	va_end(args);
	return false;
}

// ---- before the kind ----------------------------------------------------

static const struct option_word *find_method(struct str word)
{
	for (const struct option_word *each = option_types[TYPE_methods].words; each->name; each++)
		if (str_eq(word, str_of(each->name)))
			return each;
	return NULL;
}

static bool refuse_verdict(struct reader *reader, bool is_exception)
{
	if (words_at_end(&reader->words))
		return refuse(reader, is_exception
		                          ? "write an exception as in allow basic ip 192.0.2.1"
		                          : "write a rule as in allow ip 192.0.2.0/24");
	if (is_exception)
		return refuse(
		    reader, "an exception can only allow; write it as in allow basic ip 192.0.2.1");
	struct suggestion suggestion = {.wanted = reader->words.word};
	suggestion_offer(&suggestion, STR("allow"));
	suggestion_offer(&suggestion, STR("deny"));
	suggestion_offer(&suggestion, STR("audit"));
	return refuse(reader, "a rule begins with allow, deny, audit allow or audit deny, not %s%s",
	    shown(reader->words.word).at, suggestion_shown(&suggestion).at);
}

static bool read_verdict(struct reader *reader, bool is_exception)
{
	struct rule *rule = reader->rule;
	rule->is_audit = !is_exception && words_take(&reader->words, "audit");
	if (words_take(&reader->words, "allow"))
		rule->verdict = ACCESS_allow;
	else if (!is_exception && words_take(&reader->words, "deny"))
		rule->verdict = ACCESS_deny;
	else
		return refuse_verdict(reader, is_exception);
	return true;
}

static bool refuse_method(struct reader *reader, struct str name)
{
	char room[256];
	struct text known = TEXT(room);
	struct suggestion suggestion = {.wanted = name};
	for (const struct option_word *each = option_types[TYPE_methods].words; each->name;
	     each++) {
		if (!each->value)
			continue;
		suggestion_offer(&suggestion, str_of(each->name));
		text_addf(&known, "%s%s", known.len ? ", " : "", each->name);
	}
	if (suggestion.nearest.at)
		return refuse(reader, "%s is no login method%s", shown(name).at,
		    suggestion_shown(&suggestion).at);
	return refuse(reader,
	    "%s is no login method; there are %s, and an exception is written as in allow basic "
	    "ip 192.0.2.1",
	    shown(name).at, room);
}

static bool read_methods(struct reader *reader)
{
	bool more = true;
	for (struct str name, rest = reader->words.word; more;) {
		more = str_cut(rest, ',', &name, &rest);
		const struct option_word *method = find_method(name);
		if (!method)
			return refuse_method(reader, name);
		if (!method->value)
			return refuse(reader, "%s: %s", method->name, method->refusal);
		reader->rule->methods |= (unsigned)method->value;
	}
	words_next(&reader->words);
	return true;
}

static bool refuse_kind(struct reader *reader)
{
	char room[256];
	struct text known = TEXT(room);
	struct suggestion suggestion = {.wanted = reader->words.word};
	for (size_t i = 0; i < RULE_KINDS; i++) {
		suggestion_offer(&suggestion, str_of(kinds[i].name));
		text_addf(&known, "%s%s", i ? ", " : "", kinds[i].name);
	}
	if (words_at_end(&reader->words))
		return refuse(reader, "it does not say whom; write one of %s", room);
	if (find_method(reader->words.word))
		return refuse(reader, "%s is a login method; it is allowed under login_exceptions",
		    shown(reader->words.word).at);
	if (suggestion.nearest.at)
		return refuse(reader, "%s is no kind of rule%s", shown(reader->words.word).at,
		    suggestion_shown(&suggestion).at);
	return refuse(
	    reader, "%s is no kind of rule; there are %s", shown(reader->words.word).at, room);
}

static bool read_kind(struct reader *reader)
{
	for (enum rule_kind kind = 0; kind < RULE_KINDS; kind++)
		if (words_take(&reader->words, kinds[kind].name)) {
			reader->rule->kind = kind;
			return true;
		}
	return refuse_kind(reader);
}

// ---- arguments ----------------------------------------------------------

// Room for one more item in an array of those with `num`, which doubles when it
// is a power of two.
static void *grow(void *items, size_t num, size_t size)
{
	bool is_full = (num & (num - 1)) == 0;
	return is_full ? xrealloc(items, (num ? num * 2 : 1) * size) : items;
}

static bool read_range(struct reader *reader)
{
	struct rule *rule = reader->rule;
	struct addr_range range;
	bool is_span = str_find(reader->words.word, '-') < reader->words.word.len;
	if (!range_parse(reader->words.word, &range, reader->why))
		return false;
	if (is_span && rule->kind == RULE_ip)
		return refuse(reader, "%s is a range; write range %.*s",
		    shown(reader->words.word).at, STR_ARG(reader->words.word));
	rule->ranges = grow(rule->ranges, rule->num, sizeof(*rule->ranges));
	rule->ranges[rule->num++] = range;
	return true;
}

static char *read_path(struct reader *reader)
{
	if (!reader->words.is_quoted && str_find(reader->words.word, '"') == reader->words.word.len)
		return str_dup(reader->words.word);
	if (reader->words.is_quoted && reader->words.word.len)
		return str_dup(reader->words.word);
	refuse(reader, "%s is no file name; quotes stand around the whole of it, not within",
	    shown(reader->words.word).at);
	return NULL;
}

static bool read_name(struct reader *reader)
{
	struct rule *rule = reader->rule;
	char *name = rule->kind == RULE_file ? read_path(reader)
	                                     : domain_read(reader->words.word, reader->why);
	if (!name)
		return false;
	rule->names = grow(rule->names, rule->num, sizeof(*rule->names));
	rule->names[rule->num++] = name;
	return true;
}

static bool read_asn(struct reader *reader, uint32_t *out_number)
{
	uint64_t number;
	struct str digits = reader->words.word;
	if (str_starts_nocase(digits, STR("AS")))
		digits = str_drop(digits, 2);
	if (!str_to_u64(digits, &number) || number == 0 || number > UINT32_MAX)
		return refuse(reader, "%s is no number of an autonomous system, such as 64511",
		    shown(reader->words.word).at);
	*out_number = (uint32_t)number;
	return true;
}

static bool read_number(struct reader *reader)
{
	struct rule *rule = reader->rule;
	uint32_t number;
	bool sound = rule->kind == RULE_asn ? read_asn(reader, &number)
	             : rule->kind == RULE_country
	                 ? country_read(reader->words.word, &number, reader->why)
	                 : continent_read(reader->words.word, &number, reader->why);
	if (!sound)
		return false;
	rule->numbers = grow(rule->numbers, rule->num, sizeof(*rule->numbers));
	rule->numbers[rule->num++] = number;
	return true;
}

static bool has_comma(struct reader *reader)
{
	if (reader->rule->kind == RULE_file ||
	    str_find(reader->words.word, ',') == reader->words.word.len)
		return false;
	refuse(
	    reader, "%s has a comma; put spaces between arguments", shown(reader->words.word).at);
	return true;
}

static bool read_argument(struct reader *reader)
{
	const struct kind_row *kind = &kinds[reader->rule->kind];
	if (reader->rule->num == kind->most)
		return refuse(reader, "%s is more than %s takes: %s", shown(reader->words.word).at,
		    kind->name, kind->wanted);
	if (has_comma(reader))
		return false;
	switch (kind->items) {
	case ITEMS_ranges: return read_range(reader);
	case ITEMS_names: return read_name(reader);
	case ITEMS_numbers: return read_number(reader);
	case ITEMS_nothing: break;
	}
	return true;
}

static bool read_arguments(struct reader *reader)
{
	const struct kind_row *kind = &kinds[reader->rule->kind];
	for (; !words_at_end(&reader->words); words_next(&reader->words)) {
		if (words_are_at(&reader->words, "until") ||
		    words_are_at(&reader->words, "because"))
			break;
		if (!read_argument(reader))
			return false;
	}
	if (!reader->rule->num && kind->most)
		return refuse(reader, "%s needs %s", kind->name, kind->wanted);
	return true;
}

// ---- behind the arguments -----------------------------------------------

static bool digits_at(struct str s, size_t at, size_t len, int *out)
{
	uint64_t number;
	if (!str_to_u64(str_take(str_drop(s, at), len), &number))
		return false;
	*out = (int)number;
	return true;
}

static time_t time_of(int year, int month, int day, int hour)
{
	struct tm tm = {.tm_year = year - 1900,
	    .tm_mon = month - 1,
	    .tm_mday = day,
	    .tm_hour = hour,
	    .tm_isdst = -1};
	return mktime(&tm);
}

static bool read_date(struct str s, time_t *out_end)
{
	enum { LENGTH = 10, FIRST_YEAR = 1971 };
	int year, month, day;
	struct tm noon = {0};
	if (s.len != LENGTH || s.at[4] != '-' || s.at[7] != '-' || !digits_at(s, 0, 4, &year) ||
	    !digits_at(s, 5, 2, &month) || !digits_at(s, 8, 2, &day) || year < FIRST_YEAR)
		return false;
	// A day that the month does not have comes out as another one.
	time_t middle = time_of(year, month, day, 12);
	if (!localtime_r(&middle, &noon) || noon.tm_mon != month - 1 || noon.tm_mday != day)
		return false;
	*out_end = time_of(year, month, day + 1, 0);
	return true;
}

static bool read_until(struct reader *reader)
{
	if (!words_take(&reader->words, "until"))
		return true;
	if (!read_date(reader->words.word, &reader->rule->until))
		return refuse(reader, "until needs the last day, as in until 2027-06-30, not %s",
		    shown(reader->words.word).at);
	words_next(&reader->words);
	return true;
}

static bool read_because(struct reader *reader)
{
	if (words_at_end(&reader->words))
		return true;
	if (!words_are_at(&reader->words, "because"))
		return refuse(reader, "%s stands where the rule should end, or because follow",
		    shown(reader->words.word).at);
	struct str reason = str_trim(reader->words.rest);
	if (!reason.len)
		return refuse(reader, "because needs a reason behind it");
	reader->rule->because = str_dup(reason);
	return true;
}

// TLS begins before a name can be found out.
static bool can_know(struct reader *reader)
{
	const struct rule *rule = reader->rule;
	if (rule->kind != RULE_domain || !(rule->methods & LOGIN_METHOD_legacy_tls))
		return true;
	return refuse(reader,
	    "legacy-tls must be known before the client's name can be asked for; write ip, range, "
	    "host or file in the place of domain");
}

// What weakens TLS is for those who are known to need it, and not for ever.
static bool is_bounded(struct reader *reader)
{
	const struct rule *rule = reader->rule;
	if (!(rule->methods & LOGIN_METHOD_legacy_tls) || (rule->until && rule->kind != RULE_any))
		return true;
	return refuse(reader, "legacy-tls needs whom it is for, and an end, as in allow legacy-tls "
	                      "ip 192.0.2.1 until "
	                      "2027-06-30");
}

static bool read_rule(struct reader *reader, bool is_exception)
{
	if (str_has_control(reader->words.rest))
		return refuse(reader, "it has a control character; put spaces between words");
	words_next(&reader->words);
	return read_verdict(reader, is_exception) && (!is_exception || read_methods(reader)) &&
	       read_kind(reader) && can_know(reader) && read_arguments(reader) &&
	       read_until(reader) && read_because(reader) && is_bounded(reader);
}

bool rule_parse(struct str text, bool is_exception, struct rule *out, struct text *why)
{
	struct reader reader = {.rule = out, .why = why, .words = {.rest = text}};
	*out = (struct rule){0};
	if (read_rule(&reader, is_exception))
		return true;
	rule_done(out);
	return false;
}

void rule_done(struct rule *rule)
{
	for (size_t i = 0; rule->names && i < rule->num; i++)
		free(rule->names[i]);
	free(rule->names);
	free(rule->ranges);
	free(rule->numbers);
	free(rule->because);
	*rule = (struct rule){0};
}

// ---- searching ----------------------------------------------------------

static int compare_numbers(const void *a, const void *b)
{
	const uint32_t *first = a, *second = b;
	return *first < *second ? -1 : *first > *second;
}

void rule_sort(struct rule *rule)
{
	if (rule->names)
		domain_sort(rule->names, rule->num);
	if (rule->numbers)
		qsort(rule->numbers, rule->num, sizeof(*rule->numbers), compare_numbers);
}

bool rule_has_number(const struct rule *rule, uint32_t number)
{
	return bsearch(&number, rule->numbers, rule->num, sizeof(*rule->numbers), compare_numbers);
}

// ---- printing -----------------------------------------------------------

static void print_methods(unsigned methods, struct text *out)
{
	const char *before = " ";
	for (const struct option_word *each = option_types[TYPE_methods].words; each->name; each++)
		if (methods & each->value) {
			text_addf(out, "%s%s", before, each->name);
			before = ",";
		}
}

// In quotes where it would else be two words or a keyword.
static void print_name(const char *name, struct text *out)
{
	struct str s = str_of(name);
	bool is_keyword = str_eq(s, STR("until")) || str_eq(s, STR("because"));
	bool in_quotes = is_keyword || str_find(s, ' ') < s.len;
	text_addf(out, in_quotes ? "\"%s\"" : "%s", name);
}

static void print_argument(const struct rule *rule, size_t i, struct text *out)
{
	text_add_char(out, ' ');
	if (rule->ranges)
		range_print(&rule->ranges[i], out);
	else if (rule->names)
		print_name(rule->names[i], out);
	else if (rule->kind == RULE_asn)
		text_add_u64(out, rule->numbers[i]);
	else
		country_print(rule->numbers[i], out);
}

static void print_until(time_t until, struct text *out)
{
	struct tm day;
	time_t last = until - 1;
	if (until && localtime_r(&last, &day))
		text_addf(
		    out, " until %04d-%02d-%02d", day.tm_year + 1900, day.tm_mon + 1, day.tm_mday);
}

void rule_print(const struct rule *rule, struct text *out)
{
	text_addf(out, "%s%s", rule->is_audit ? "audit " : "",
	    rule->verdict == ACCESS_allow ? "allow" : "deny");
	print_methods(rule->methods, out);
	text_addf(out, " %s", kinds[rule->kind].name);
	for (size_t i = 0; i < rule->num; i++)
		print_argument(rule, i, out);
	print_until(rule->until, out);
	if (rule->because)
		text_addf(out, " because %s", rule->because);
}
