// judge.c: one address after the other.  See judge.h.
#include "proxy/judge.h"

#include <stdio.h>

static bool read_config(struct judge *judge, const char *path)
{
	struct problems problems;
	problems_init(&problems);
	judge->config = config_load(path, &problems);
	bool loaded = judge->config && rulebook_load(&judge->rulebook, judge->config, &problems);
	if (!loaded)
		fputs(problems.room, stderr);
	return loaded;
}

bool judge_open(struct judge *judge, const char *path)
{
	char room[256];
	struct text why = TEXT(room);
	*judge = (struct judge){.config = NULL};
	if (!read_config(judge, path))
		return false;
	net_init(&judge->net);
	judge->is_open = true;
	if (!names_open(
	        &judge->names, &judge->net, judge->config, &judge->rulebook, NULL, 1, &why)) {
		fprintf(stderr, "popgate: %s\n", room);
		return false;
	}
	judge->sources = names_sources(&judge->names);
	return true;
}

void judge_close(struct judge *judge)
{
	if (judge->is_open) {
		names_close(&judge->names);
		net_run(&judge->net);
		net_done(&judge->net);
	}
	rulebook_close(&judge->rulebook);
	config_free(&judge->config);
}

static void on_done(struct decision *decision)
{
	(void)decision;
}

static bool is_waiting(const struct decision *decision)
{
	return decision->wait != DECISION_WAITS_NOT;
}

void judge_ask(struct judge *judge, const struct listener_config *listener, const struct addr *addr,
    struct decision *decision)
{
	const struct rulebook *rulebook = &judge->rulebook;
	size_t index = (size_t)(listener - judge->config->listeners);
	decision->on_done = on_done;
	if (decision_start(decision, rulebook_policy(rulebook, listener),
	        rulebook->policies->exceptions[index], &judge->sources, addr))
		return;
	while (is_waiting(decision))
		net_turn(&judge->net);
}

const struct listener_config *judge_find_listener(const struct judge *judge, struct str name)
{
	for (size_t i = 0; i < judge->config->num_listeners; i++)
		if (str_eq(str_of(judge->config->listeners[i].name), name))
			return &judge->config->listeners[i];
	return NULL;
}
