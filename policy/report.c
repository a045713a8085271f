// report.c: counting addresses and finding hidden rules.  See report.h.
//
// A rule hides others when it decides by itself and for ever: one that only
// audits, expires or gives a method does not.  Databases of countries hide
// nothing, since the next one may say otherwise; files of prefixes do, because
// who writes them writes the rules too.
#include "policy/report.h"

#include <stdlib.h>

#include "policy/country.h"
#include "policy/domain.h"
#include "policy/geoip.h"
#include "policy/paint.h"
#include "policy/tables.h"
#include "proxy/base/die.h"

enum { DAY_S = 24 * 60 * 60, SOON_DAYS = 30 };

struct report {
	const struct policy *policy;
	const struct tables *tables;
	time_t now;
	struct problems *warnings;
	struct paint *paint; // of all rules that hide
};

struct list {
	struct paint_range *at;
	size_t num, room;
};

static const struct addr_range whole[] = {
    {{0, 0}, {0, UINT32_MAX}, false},
    {{0, 0}, {UINT64_MAX, UINT64_MAX}, true},
};

// ---- which addresses a rule has -----------------------------------------

static void add_range(struct list *list, const struct addr_range *range, uint32_t number)
{
	if (list->num == list->room) {
		list->room = list->room ? 2 * list->room : 16;
		list->at = xrealloc(list->at, list->room * sizeof(*list->at));
	}
	list->at[list->num++] = (struct paint_range){*range, number};
}

static bool has_value(const struct rule *rule, uint32_t value)
{
	char code[GEOIP_CODE_SIZE];
	if (rule->kind == RULE_country)
		return geoip_country(value, code) && rule_has_number(rule, country_code(code));
	if (rule->kind == RULE_continent)
		return geoip_continent(value, code) && rule_has_number(rule, country_code(code));
	return rule->kind == RULE_file || rule_has_number(rule, value);
}

static void add_table(
    const struct report *report, struct list *list, const struct policy_rule *rule, uint32_t number)
{
	const struct table *table = tables_get(report->tables, rule->link);
	struct table_piece piece;
	for (size_t i = 0; table && table_piece(table, i, &piece); i++)
		if (piece.value && has_value(&rule->rule, piece.value))
			add_range(list, &piece.range, number);
}

static void add_rule(const struct report *report, struct list *list, uint32_t index)
{
	const struct policy_rule *rule = &report->policy->rules[index];
	switch (rule->rule.kind) {
	case RULE_ip:
	case RULE_range:
		for (size_t i = 0; i < rule->rule.num; i++)
			add_range(list, &rule->rule.ranges[i], index);
		break;
	case RULE_file:
	case RULE_country:
	case RULE_continent:
	case RULE_asn: add_table(report, list, rule, index); break;
	case RULE_any:
		add_range(list, &whole[false], index);
		add_range(list, &whole[true], index);
		break;
	case RULE_host:
	case RULE_domain:
	case RULE_KINDS: break;
	}
}

static bool hides(const struct rule *rule)
{
	return !rule->is_audit && !rule->until && !rule->methods;
}

static bool is_painted(const struct rule *rule)
{
	return policy_rule_is_address(rule) || rule->kind == RULE_file || rule->kind == RULE_any;
}

static struct paint *paint_all(const struct report *report)
{
	struct list list = {0};
	for (uint32_t i = 0; i < report->policy->num_rules; i++) {
		const struct rule *rule = &report->policy->rules[i].rule;
		if (hides(rule) && is_painted(rule))
			add_rule(report, &list, i);
	}
	struct paint *paint = paint_new(list.at, list.num);
	free(list.at);
	return paint;
}

// ---- rules that can never match -----------------------------------------

// By rules about addresses before it.
static bool is_overpainted(const struct report *report, uint32_t index, struct paint_span *span)
{
	struct list list = {0};
	*span = PAINT_SPAN_EMPTY;
	add_range(&list, &whole[false], index);
	add_range(&list, &whole[true], index);
	if (is_painted(&report->policy->rules[index].rule)) {
		list.num = 0;
		add_rule(report, &list, index);
	}
	bool hidden = list.num > 0;
	for (size_t i = 0; hidden && i < list.num; i++)
		hidden = paint_hides(report->paint, &list.at[i].range, index, span);
	free(list.at);
	return hidden;
}

// Whether the earlier rule takes everything with this name or number from the
// later one.  A refusal by name needs no confirmed name, an allowance does.
static bool takes(const struct report *report, const struct rule *earlier, const struct rule *later,
    size_t argument)
{
	bool confirms = report->policy->confirm_names && earlier->verdict == ACCESS_allow;
	if (!hides(earlier) || earlier->kind != later->kind)
		return false;
	if (later->kind == RULE_host)
		return !strcmp(earlier->names[0], later->names[0]);
	if (later->numbers)
		return rule_has_number(earlier, later->numbers[argument]);
	return later->kind == RULE_domain && (!confirms || later->verdict == ACCESS_allow) &&
	       domain_find(earlier->names, earlier->num, str_of(later->names[argument]));
}

// By rules of its kind before it, each of which has some of its arguments.
static bool is_repeated(const struct report *report, uint32_t index, struct paint_span *span)
{
	const struct policy_rule *rules = report->policy->rules;
	*span = PAINT_SPAN_EMPTY;
	for (size_t i = 0; i < rules[index].rule.num; i++) {
		uint32_t by = 0;
		while (by < index && !takes(report, &rules[by].rule, &rules[index].rule, i))
			by++;
		if (by == index)
			return false;
		span->least = by < span->least ? by : span->least;
		span->most = by > span->most ? by : span->most;
	}
	return rules[index].rule.num;
}

// ---- warnings -----------------------------------------------------------

__attribute__((format(printf, 3, 4))) static bool warn(
    const struct report *report, uint32_t index, const char *format, ...)
{
	const struct policy *policy = report->policy;
	const struct policy_rule *rule = &policy->rules[index];
	char room[256];
	struct text what = TEXT(room);
	va_list args;
	va_start(args, format);
	text_addv(&what, format, args);
	va_end(args);
	problems_add(report->warnings, policy->path, rule->place, "%s, rule %u (%s) %s",
	    policy->title, index + 1, rule->text, room);
	return true;
}

static bool warn_of_hidden(const struct report *report, uint32_t index)
{
	struct paint_span span;
	if (report->policy->rules[index].rule.methods)
		return false;
	if (!is_overpainted(report, index, &span) && !is_repeated(report, index, &span))
		return false;
	if (span.least == span.most)
		return warn(report, index, "can never match: rule %u covers it", span.least + 1);
	return warn(report, index, "can never match: rules %u to %u together cover it",
	    span.least + 1, span.most + 1);
}

static bool warn_of_end(const struct report *report, uint32_t index)
{
	time_t until = report->policy->rules[index].rule.until;
	if (!until || until - report->now > (time_t)SOON_DAYS * DAY_S)
		return false;
	if (until <= report->now)
		return warn(report, index, "has expired; remove it, or give it a later day");
	long days = (long)((until - report->now + DAY_S - 1) / DAY_S);
	return warn(
	    report, index, days == 1 ? "expires within a day" : "expires in %ld days", days);
}

// Whether all that follows says the same; audit rules would hear of more
// clients, so with one of those there is a difference.
static bool is_echoed(const struct policy *policy, uint32_t index)
{
	const struct rule *rule = &policy->rules[index].rule;
	for (uint32_t i = index + 1; i < policy->num_rules; i++)
		if (policy->rules[i].rule.is_audit ||
		    policy->rules[i].rule.verdict != rule->verdict)
			return false;
	return policy->fallback == rule->verdict;
}

static bool warn_of_no_effect(const struct report *report, uint32_t index)
{
	const struct policy *policy = report->policy;
	const struct rule *rule = &policy->rules[index].rule;
	if (rule->methods && !(rule->methods & ~policy->methods))
		return warn(report, index, "changes nothing: everybody may log in so here");
	// "deny any" at the end is how many people write the default.
	if (rule->methods || rule->is_audit || rule->kind == RULE_any || !is_echoed(policy, index))
		return false;
	return warn(report, index, "changes nothing: all that follows says %s too",
	    rule->verdict == ACCESS_allow ? "allow" : "deny");
}

// ---- lines --------------------------------------------------------------

static void print_count(long double count, const char *family, struct text *out)
{
	if (!count)
		return;
	text_addf(out, "%s", out->len ? " and " : "");
	range_print_count(count, out);
	text_addf(out, " %s address%s", family, count == 1 ? "" : "es");
}

static void print_addresses(const struct report *report, uint32_t index, struct text *out)
{
	struct list list = {0};
	add_rule(report, &list, index);
	struct paint *paint = paint_new(list.at, list.num);
	print_count(paint_count(paint, false, index), "IPv4", out);
	print_count(paint_count(paint, true, index), "IPv6", out);
	if (!out->len)
		text_addf(out, "no address");
	paint_free(&paint);
	free(list.at);
}

static void print_rule(const struct report *report, uint32_t index, FILE *out)
{
	const struct policy_rule *rule = &report->policy->rules[index];
	char room[256];
	struct text what = TEXT(room);
	if (rule->rule.kind == RULE_host || rule->rule.kind == RULE_domain)
		text_addf(&what, "by name");
	else if (rule->rule.kind == RULE_any)
		text_addf(&what, "every address");
	else
		print_addresses(report, index, &what);
	fprintf(out, "  rule %u, %s: %s\n", index + 1, room, rule->text);
}

void policy_report(const struct policy *policy, const struct tables *tables, time_t now, FILE *out,
    struct problems *warnings)
{
	struct report report = {policy, tables, now, warnings, NULL};
	report.paint = paint_all(&report);
	for (uint32_t i = 0; i < policy->num_rules; i++) {
		print_rule(&report, i, out);
		bool is_told = warn_of_end(&report, i) || warn_of_hidden(&report, i);
		if (!is_told)
			warn_of_no_effect(&report, i);
	}
	paint_free(&report.paint);
}
