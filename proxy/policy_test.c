// policy_test.c: `popgate policy test`: a table of addresses and what should
// become of them.  See explain.h.
//
//     # address      verdict   listener; all of them when left out
//     131.107.2.5    allow
//     203.0.113.9 -> deny      pop3s
//
// So an administrator can keep beside the configuration what it is meant to do,
// and have it checked after each change.
#include <stdio.h>
#include <stdlib.h>

#include "proxy/base/file.h"
#include "proxy/explain.h"
#include "proxy/judge.h"

struct table {
	struct judge judge;
	const char *path;
	FILE *file;
	unsigned line;
	unsigned num_verdicts;
	unsigned num_right;
	bool is_sound;
};

struct expectation {
	struct addr addr;
	enum access verdict;
	const struct listener_config *listener; // NULL: all
};

static void complain(struct table *table, const char *what, struct str about)
{
	fprintf(stderr, "%s:%u: %s %s\n", table->path, table->line, shown(about).at, what);
	table->is_sound = false;
}

static struct str next_word(struct str *rest)
{
	struct str word;
	*rest = str_trim(*rest);
	size_t end = 0;
	while (end < rest->len && rest->at[end] != ' ' && rest->at[end] != '\t')
		end++;
	word = str_take(*rest, end);
	*rest = str_drop(*rest, end);
	return word;
}

static bool read_verdict(struct str word, enum access *out)
{
	*out = str_eq(word, STR("allow")) ? ACCESS_allow : ACCESS_deny;
	return *out == ACCESS_allow || str_eq(word, STR("deny"));
}

static bool read_listener(struct table *table, struct str word, struct expectation *out)
{
	out->listener = judge_find_listener(&table->judge, word);
	if (out->listener || !word.len)
		return true;
	complain(table, "is no listener; see `popgate config`", word);
	return false;
}

static bool read_expectation(struct table *table, struct str line, struct expectation *out)
{
	struct str address = next_word(&line), verdict = next_word(&line);
	if (str_eq(verdict, STR("->")))
		verdict = next_word(&line);
	struct str listener = next_word(&line);
	if (!addr_parse(address, 1, &out->addr))
		complain(table, "is not an address", address);
	else if (!read_verdict(verdict, &out->verdict))
		complain(table, "is neither allow nor deny", verdict);
	else if (str_trim(line).len)
		complain(table, "stands behind the end of what a line has", str_trim(line));
	else
		return read_listener(table, listener, out);
	return false;
}

static const char *word_of(enum access verdict)
{
	return verdict == ACCESS_allow ? "allow" : "deny";
}

static void compare(struct table *table, const struct expectation *expectation,
    const struct listener_config *listener)
{
	struct decision decision = {.trace = NULL};
	char room[ADDR_TEXT_SIZE];
	struct text ip = TEXT(room);
	judge_ask(&table->judge, listener, &expectation->addr, &decision);
	table->num_verdicts++;
	if (decision.verdict == expectation->verdict) {
		table->num_right++;
		return;
	}
	addr_print_ip(&expectation->addr, &ip);
	printf("%s:%u: %s at %s: %s was expected, but it is %s by %s%s\n", table->path, table->line,
	    room, listener->name, word_of(expectation->verdict), word_of(decision.verdict),
	    decision_rule(&decision), decision.by_dns_failure ? " and on_dns_failure" : "");
}

static void take_line(struct table *table, struct str line)
{
	struct expectation expectation;
	const struct config *config = table->judge.config;
	line = str_trim(str_take(line, str_find(line, '#')));
	if (!line.len || !read_expectation(table, line, &expectation))
		return;
	if (expectation.listener) {
		compare(table, &expectation, expectation.listener);
		return;
	}
	for (size_t i = 0; i < config->num_listeners; i++)
		compare(table, &expectation, &config->listeners[i]);
}

static void read_table(struct table *table)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	while ((len = getline(&line, &size, table->file)) >= 0) {
		while (len && strchr("\r\n", line[len - 1]))
			len--;
		table->line++;
		take_line(table, (struct str){line, (size_t)len});
	}
	free(line);
}

static bool run(struct table *table, const char *config)
{
	table->file = file_open(table->path);
	if (!table->file) {
		fprintf(stderr, "popgate: %s cannot be read: %s\n", table->path, file_problem());
		return false;
	}
	if (!judge_open(&table->judge, config))
		return false;
	read_table(table);
	if (!table->num_verdicts)
		fprintf(stderr, "popgate: %s names no address\n", table->path);
	printf("%s: %u of %u verdicts as expected\n", table->path, table->num_right,
	    table->num_verdicts);
	return table->is_sound && table->num_verdicts && table->num_right == table->num_verdicts;
}

int policy_test_run(const char *config, const char *path)
{
	struct table table = {.path = path, .is_sound = true};
	bool passed = run(&table, config);
	judge_close(&table.judge);
	if (table.file)
		fclose(table.file);
	return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}
