// prefixes_fuzz.c: any bytes as a file of prefixes.
//
// Whatever they are: a message that names the file or a table, but not both;
// every range that range_parse reads is printed so that it is read again as the
// same; and each range's ends are in the table.
#include "policy/prefixes.h"
#include "tests/fuzz/fuzz.h"

static struct addr addr_of_number(struct ip_number number, bool is_v6)
{
	char room[RANGE_TEXT_SIZE];
	struct text text = TEXT(room);
	struct addr_range one = {number, number, is_v6};
	struct addr addr;
	range_print(&one, &text);
	MUST(addr_parse(text_str(&text), 1, &addr));
	return addr;
}

static bool same(const struct addr_range *a, const struct addr_range *b)
{
	return range_covers(a, b) && range_covers(b, a);
}

static void check_range(const struct addr_range *range, const struct table *table)
{
	char room[RANGE_TEXT_SIZE], why_room[512], count_room[64];
	struct text text = TEXT(room), why = TEXT(why_room), count = TEXT(count_room);
	struct addr_range again;
	range_print(range, &text);
	MUST(!text.truncated && range_parse(text_str(&text), &again, &why));
	MUST(same(range, &again));
	MUST(range_count(range) >= 1);
	range_print_count(range_count(range), &count);
	MUST(!count.truncated);
	struct addr first = addr_of_number(range->first, range->is_v6);
	struct addr last = addr_of_number(range->last, range->is_v6);
	// A number of IPv6 that is v4-mapped is printed and read as IPv4.
	MUST((first.any.sa_family == AF_INET6) != range->is_v6 || table_find(table, &first) == 1);
	MUST((last.any.sa_family == AF_INET6) != range->is_v6 || table_find(table, &last) == 1);
}

static void check_lines(struct str text, const struct table *table)
{
	struct str line;
	while (!str_is_empty(text)) {
		char room[512];
		struct text why = TEXT(room);
		struct addr_range range;
		str_cut(text, '\n', &line, &text);
		if (range_parse(line, &range, &why))
			check_range(&range, table);
		else
			MUST(why.len && !str_has_control(text_str(&why)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = {(const char *)data, size};
	char room[512];
	struct text why = TEXT(room);
	struct table_builder *builder = table_builder_new(0, &why);
	MUST(builder);
	if (prefixes_parse_text(text, "list", builder, &why)) {
		struct table *table = table_build(builder, &why);
		MUST(table && !why.len);
		check_lines(text, table);
		(void)table_size(table);
		table_free(&table);
	} else {
		MUST(str_starts_nocase(text_str(&why), STR("list:")) && !why.truncated);
		MUST(!str_has_control(text_str(&why)));
	}
	table_builder_free(&builder);
	return 0;
}
