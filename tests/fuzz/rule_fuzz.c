// rule_fuzz.c: any text as a rule or, when it begins with "!", as an exception.
//
// Whatever it is: a rule or a reason but not both, what is read is printed so
// that the same is read again, and each part is what rule.h says.
#include <stdlib.h>

#include "policy/domain.h"
#include "policy/rule.h"
#include "proxy/base/die.h"
#include "tests/fuzz/fuzz.h"

enum { ROOM = 64 * 1024, SIZE_LIMIT = 4096 };

static bool read_rule(struct str text, bool is_exception, struct rule *rule)
{
	char room[2048];
	struct text why = TEXT(room);
	bool sound = rule_parse(text, is_exception, rule, &why);
	MUST(sound == !why.len && !why.truncated);
	MUST(sound || (!rule->num && !rule->because));
	return sound;
}

static void check_arguments(const struct rule *rule)
{
	MUST(!rule->num == (rule->kind == RULE_any));
	for (size_t i = 0; i < rule->num; i++) {
		MUST(!rule->ranges || !ip_number_less(rule->ranges[i].last, rule->ranges[i].first));
		MUST(!rule->names || *rule->names[i]);
		MUST(!rule->numbers || rule_has_number(rule, rule->numbers[i]));
	}
	if (rule->kind != RULE_domain && rule->kind != RULE_host)
		return;
	for (size_t i = 0; i < rule->num; i++) {
		struct str name = str_of(rule->names[i]);
		MUST(name.len <= DOMAIN_MAX && domain_contains(name, name));
		MUST(domain_find(rule->names, rule->num, name));
	}
}

static struct str print(const struct rule *rule, char *room)
{
	struct text text = text_in(room, ROOM);
	rule_print(rule, &text);
	MUST(!text.truncated && !str_has_control(text_str(&text)));
	return text_str(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = {(const char *)data, size};
	struct rule rule;
	bool is_exception = size && data[0] == '!';
	if (size > SIZE_LIMIT || !read_rule(str_drop(text, is_exception), is_exception, &rule))
		return 0;
	MUST(!rule.methods == !is_exception);
	char *first = xmalloc(ROOM), *second = xmalloc(ROOM);
	struct str printed = print(&rule, first);
	struct rule again;
	MUST(read_rule(printed, is_exception, &again));
	MUST(str_eq(print(&again, second), printed));
	MUST(again.kind == rule.kind && again.num == rule.num && again.until == rule.until);
	rule_sort(&rule);
	check_arguments(&rule);
	rule_done(&again);
	rule_done(&rule);
	free(first);
	free(second);
	return 0;
}
