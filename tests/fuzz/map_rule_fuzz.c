// map_rule_fuzz.c: any text as a rule of `map`, asked about the name in its second
// line.
//
// Whatever it is: a rule or a reason but not both; what is read is printed so that
// the same is read again; and a rule that matches gives a name.
#include <stdlib.h>

#include "backends/fold.h"
#include "backends/map_rule.h"
#include "proxy/base/die.h"
#include "tests/fuzz/fuzz.h"

enum { ROOM = 8 * 1024, SIZE_LIMIT = 4096 };

static bool read_rule(struct str text, struct map_rule *rule)
{
	char room[2048];
	struct text why = TEXT(room);
	bool sound = map_rule_parse(text, rule, &why);
	MUST(sound == !why.len && !why.truncated && !str_has_control(text_str(&why)));
	MUST(sound == (rule->name || rule->file) && !rule->name == !rule->form);
	return sound;
}

static void check_printed(const struct map_rule *rule)
{
	char *first = xmalloc(ROOM), *second = xmalloc(ROOM);
	struct text printed = text_in(first, ROOM), again = text_in(second, ROOM);
	struct map_rule reread;
	map_rule_print(rule, &printed);
	MUST(!printed.truncated && read_rule(text_str(&printed), &reread));
	map_rule_print(&reread, &again);
	MUST(str_eq(text_str(&printed), text_str(&again)));
	map_rule_done(&reread);
	free(first);
	free(second);
}

static void ask(const struct map_rule *rule, struct str name)
{
	char folded_room[FOLD_SIZE], room[ROOM];
	struct text folded = TEXT(folded_room), out = TEXT(room);
	struct account account;
	if (name.len > CLAIM_PART_MAX)
		return;
	fold_name(name, &folded);
	MUST(!folded.truncated && fold_equals(name, text_str(&folded)));
	if (!account_parse(text_str(&folded), &account))
		return;
	MUST(account.user.len && !str_has_control(account.user));
	if (rule->file || !map_rule_matches(rule, &account))
		return;
	map_rule_fill(rule, &account, name, &out);
	MUST(out.len && !str_has_control(text_str(&out)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = {(const char *)data, size}, line, name;
	struct map_rule rule;
	str_cut(text, '\n', &line, &name);
	if (size > SIZE_LIMIT || !read_rule(line, &rule))
		return 0;
	check_printed(&rule);
	ask(&rule, name);
	map_rule_done(&rule);
	return 0;
}
