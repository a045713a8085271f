// policy.h: the rules of one policy, or the login exceptions of one listener,
// compiled for judging.
//
// Made by the supervisor with a snapshot, from before the workers are forked,
// and never changed.  decision.h judges by it, report.h tells what it covers.
//
// Rules are judged in steps.  Rules about addresses that follow one another are
// one step, painted into one map (paint.h), so that they cost one binary
// search; every other rule is a step of its own.  So are a rule that is only
// logged and one that expires, since they hide nothing, or not for ever.
#ifndef POPGATE_POLICY_POLICY_H
#define POPGATE_POLICY_POLICY_H

#include "policy/rule.h"

struct hosts;
struct paint;
struct tables;

struct policy_rule {
	struct rule rule; // names of domains and numbers are sorted
	char *text;       // the rule for people, cut when it is long
	struct place place;
	size_t link; // of a file, country, continent or asn: in tables; of a host: in hosts
};

struct policy_step {
	uint32_t first, end; // rules
	struct paint *paint; // address to rule; NULL for a rule about something else
};

struct policy {
	char *title; // `policy "edge"`
	const char *path;
	enum access fallback; // what holds when no rule matches
	enum access on_dns_failure;
	bool confirm_names;
	unsigned methods; // exceptions: what everybody may use anyway
	struct policy_rule *rules;
	size_t num_rules;
	struct policy_step *steps;
	size_t num_steps;
};

// The place of a database that the configuration does not name.
#define POLICY_NO_TABLE SIZE_MAX

// What a policy is made of; borrowed until policy_new returns, but for the path.
struct policy_source {
	const char *path; // of the configuration file; kept
	const char *title;
	const struct text_list *rules;
	bool is_exceptions;
	enum access fallback;
	enum access on_dns_failure;
	bool confirm_names;
	unsigned methods;     // of a listener with exceptions: its own
	size_t country_table; // in tables, or POLICY_NO_TABLE
	size_t asn_table;
	bool has_resolver;
};

// Adds the files and hosts it names to tables and hosts.  NULL when any rule is
// wrong or asks for what the configuration does not have; each problem is told
// with its place.
struct policy *policy_new(const struct policy_source *source, struct tables *tables,
    struct hosts *hosts, struct problems *problems);

// NULL is allowed.
void policy_free(struct policy **policy);

// Whether the rule is about addresses that it names itself.
static inline bool policy_rule_is_address(const struct rule *rule)
{
	return rule->kind == RULE_ip || rule->kind == RULE_range;
}

#endif
