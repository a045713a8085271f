// policy.c: from texts to rules, from rules to steps.  See policy.h.
//
// Every rule is read, so that one run shows every problem.
#include "policy/policy.h"

#include <stdlib.h>

#include "policy/hosts.h"
#include "policy/paint.h"
#include "policy/tables.h"
#include "proxy/base/die.h"

// A policy while it is made.
struct making {
	const struct policy_source *source;
	struct policy *policy;
	struct tables *tables;
	struct hosts *hosts;
	struct problems *problems;
};

__attribute__((format(printf, 3, 4))) static bool complain(
    const struct making *making, size_t index, const char *format, ...)
{
	const struct policy_source *source = making->source;
	char room[1024];
	struct text what = TEXT(room);
	va_list args;
	va_start(args, format);
	text_addv(&what, format, args);
	va_end(args);
	problems_add(making->problems, source->path, source->rules->places[index],
	    "%s, rule %zu: %s", source->title, index + 1, room);
	return false;
}

// A long rule loses its last arguments.
static char *text_of(const struct rule *rule)
{
	static const char more[] = " ...";
	char room[200];
	struct text text = text_in(room, sizeof(room) - sizeof(more));
	rule_print(rule, &text);
	struct str kept = str_trim(text_str(&text));
	if (text.truncated)
		memcpy(room + kept.len, more, sizeof(more));
	return str_dup(str_of(room));
}

static bool link_table(
    const struct making *making, size_t index, size_t table, const char *option, size_t *out)
{
	*out = table;
	if (table != POLICY_NO_TABLE)
		return true;
	return complain(making, index, "%s needs a database; add geoip: { %s: FILE }",
	    rule_kind_name(making->policy->rules[index].rule.kind), option);
}

static bool check_resolver(const struct making *making, size_t index)
{
	if (making->source->has_resolver)
		return true;
	return complain(making, index,
	    "%s asks DNS, and there is no name server; add resolver: { servers: [system] }",
	    rule_kind_name(making->policy->rules[index].rule.kind));
}

static size_t link_file(const struct making *making, const struct rule *rule)
{
	char *path = config_resolve_path(making->source->path, str_of(rule->names[0]));
	size_t index = tables_add(making->tables, TABLE_PREFIXES, path);
	free(path);
	return index;
}

static bool link_host(const struct making *making, size_t index, struct policy_rule *rule)
{
	if (!check_resolver(making, index))
		return false;
	rule->link = hosts_add(making->hosts, rule->rule.names[0]);
	return true;
}

// Finds what the rule asks.
static bool link_rule(const struct making *making, size_t index)
{
	struct policy_rule *each = &making->policy->rules[index];
	struct rule *rule = &each->rule;
	const struct policy_source *source = making->source;
	switch (rule->kind) {
	case RULE_file: each->link = link_file(making, rule); return true;
	case RULE_host: return link_host(making, index, each);
	case RULE_domain: return check_resolver(making, index);
	case RULE_country:
	case RULE_continent:
		return link_table(making, index, source->country_table, "country", &each->link);
	case RULE_asn: return link_table(making, index, source->asn_table, "asn", &each->link);
	case RULE_ip:
	case RULE_range:
	case RULE_any:
	case RULE_KINDS: break;
	}
	return true;
}

static bool read_rule(const struct making *making, size_t index)
{
	const struct policy_source *source = making->source;
	struct policy_rule *rule = &making->policy->rules[index];
	char room[1024];
	struct text why = TEXT(room);
	struct str text = str_of(source->rules->at[index]);
	rule->place = source->rules->places[index];
	if (!rule_parse(text, source->is_exceptions, &rule->rule, &why))
		return complain(making, index, "%s", room);
	rule->text = text_of(&rule->rule);
	rule_sort(&rule->rule);
	return link_rule(making, index);
}

// ---- steps --------------------------------------------------------------

// Whether it can be painted over others: it decides, alone and for ever.
static bool is_plain(const struct rule *rule)
{
	return policy_rule_is_address(rule) && !rule->is_audit && !rule->until && !rule->methods;
}

static uint32_t step_end(const struct policy *policy, uint32_t first)
{
	uint32_t end = first + 1;
	if (is_plain(&policy->rules[first].rule))
		while (end < policy->num_rules && is_plain(&policy->rules[end].rule))
			end++;
	return end;
}

static struct paint *paint_rules(const struct policy *policy, uint32_t first, uint32_t end)
{
	size_t num = 0;
	for (uint32_t i = first; i < end; i++)
		num += policy->rules[i].rule.num;
	struct paint_range *ranges = xcalloc(num, sizeof(*ranges));
	num = 0;
	for (uint32_t i = first; i < end; i++)
		for (size_t k = 0; k < policy->rules[i].rule.num; k++)
			ranges[num++] = (struct paint_range){policy->rules[i].rule.ranges[k], i};
	struct paint *paint = paint_new(ranges, num);
	free(ranges);
	return paint;
}

static void make_steps(struct policy *policy)
{
	policy->steps = xcalloc(policy->num_rules, sizeof(*policy->steps));
	for (uint32_t first = 0; first < policy->num_rules;) {
		struct policy_step *step = &policy->steps[policy->num_steps++];
		*step = (struct policy_step){first, step_end(policy, first), NULL};
		if (policy_rule_is_address(&policy->rules[first].rule))
			step->paint = paint_rules(policy, first, step->end);
		first = step->end;
	}
}

// ---- the whole ----------------------------------------------------------

static struct policy *new_policy(const struct policy_source *source)
{
	struct policy *policy = xcalloc(1, sizeof(*policy));
	*policy = (struct policy){
	    .title = str_dup(str_of(source->title)),
	    .path = source->path,
	    .fallback = source->fallback,
	    .on_dns_failure = source->on_dns_failure,
	    .confirm_names = source->confirm_names,
	    .methods = source->methods,
	    .num_rules = source->rules->num,
	    .rules = xcalloc(source->rules->num, sizeof(*policy->rules)),
	};
	return policy;
}

struct policy *policy_new(const struct policy_source *source, struct tables *tables,
    struct hosts *hosts, struct problems *problems)
{
	bool sound = true;
	struct policy *policy = new_policy(source);
	struct making making = {source, policy, tables, hosts, problems};
	for (size_t i = 0; i < policy->num_rules; i++)
		sound = read_rule(&making, i) && sound;
	if (sound)
		make_steps(policy);
	else
		policy_free(&policy);
	return policy;
}

void policy_free(struct policy **policy)
{
	struct policy *old = *policy;
	if (!old)
		return;
	for (size_t i = 0; i < old->num_rules; i++) {
		rule_done(&old->rules[i].rule);
		free(old->rules[i].text);
	}
	for (size_t i = 0; i < old->num_steps; i++)
		paint_free(&old->steps[i].paint);
	free(old->rules);
	free(old->steps);
	free(old->title);
	free(old);
	*policy = NULL;
}
