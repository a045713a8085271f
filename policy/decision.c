// decision.c: walking the rules, waiting for names.  See decision.h.
//
// A walk begins at the first rule each time, with what is known by then: tables
// and the cache of names answer at once, so it is short, and nothing but the
// answer that was waited for needs to be remembered.  Two walks may see
// different tables; the last one counts.
#include "policy/decision.h"

#include <stdlib.h>

#include "policy/country.h"
#include "policy/domain.h"
#include "policy/geoip.h"
#include "policy/paint.h"
#include "policy/tables.h"
#include "policy/trace.h"

#define STEP_UNKNOWN SIZE_MAX

#define DNS_OUTCOME(token, sentence) [DNS_##token] = {#token, sentence},
static const struct {
	const char *token, *sentence;
} outcomes[DNS_OUTCOMES] = {
#include "policy/dns_outcomes.def"
};
#undef DNS_OUTCOME

const char *dns_outcome_token(enum dns_outcome outcome)
{
	return outcomes[outcome].token;
}

const char *dns_outcome_sentence(enum dns_outcome outcome)
{
	return outcomes[outcome].sentence;
}

const char *decision_rule(const struct decision *decision)
{
	return decision->rule == DECISION_DEFAULT ? "default"
	                                          : decision->policy->rules[decision->rule].text;
}

// ---- what is known at once ----------------------------------------------

static uint32_t look_up(const struct decision *decision, const struct policy_rule *rule)
{
	const struct table *table = tables_get(decision->sources.tables, rule->link);
	return table ? table_find(table, &decision->addr) : 0;
}

static bool matches_country(struct decision *decision, const struct policy_rule *rule)
{
	char code[GEOIP_CODE_SIZE];
	if (!decision->country && geoip_country(look_up(decision, rule), code))
		decision->country = country_code(code);
	return rule_has_number(&rule->rule, decision->country);
}

static bool matches_continent(struct decision *decision, const struct policy_rule *rule)
{
	char code[GEOIP_CODE_SIZE];
	if (!decision->continent && geoip_continent(look_up(decision, rule), code))
		decision->continent = country_code(code);
	return rule_has_number(&rule->rule, decision->continent);
}

static bool matches_asn(struct decision *decision, const struct policy_rule *rule)
{
	if (!decision->asn)
		decision->asn = look_up(decision, rule);
	return rule_has_number(&rule->rule, decision->asn);
}

static enum match match_host(
    const struct decision *decision, const struct policy *policy, const struct policy_rule *rule)
{
	switch (hosts_match(decision->sources.hosts, rule->link, &decision->addr)) {
	case HOST_MATCHES: return MATCH_YES;
	case HOST_DIFFERS: return MATCH_NO;
	case HOST_UNKNOWN: return MATCH_OPEN;
	case HOST_FAILED: break;
	}
	return rule->rule.verdict == policy->on_dns_failure ? MATCH_FAILED : MATCH_NO;
}

static enum match match_rule(
    struct decision *decision, const struct policy *policy, const struct policy_rule *rule)
{
	bool matches = true;
	switch (rule->rule.kind) {
	case RULE_file: matches = look_up(decision, rule) != 0; break;
	case RULE_country: matches = matches_country(decision, rule); break;
	case RULE_continent: matches = matches_continent(decision, rule); break;
	case RULE_asn: matches = matches_asn(decision, rule); break;
	case RULE_domain: return MATCH_OPEN;
	case RULE_host: return match_host(decision, policy, rule);
	case RULE_ip:
	case RULE_range:
	case RULE_any:
	case RULE_KINDS: break;
	}
	return matches ? MATCH_YES : MATCH_NO;
}

// Which rule of a step matches; the first when none does.
static enum match match_step(struct decision *decision, const struct policy *policy,
    const struct policy_step *step, uint32_t *out_rule)
{
	*out_rule = step->first;
	if (!step->paint)
		return match_rule(decision, policy, &policy->rules[step->first]);
	uint32_t found = paint_find(step->paint, &decision->addr);
	if (found == PAINT_NONE)
		return MATCH_NO;
	*out_rule = found;
	return MATCH_YES;
}

static bool is_expired(const struct decision *decision, const struct rule *rule)
{
	return rule->until && decision->now >= rule->until;
}

// What a rule that matches, or at which DNS failed, comes to.
static enum access verdict_of(const struct policy *policy, uint32_t index, enum match match)
{
	return match == MATCH_FAILED ? policy->on_dns_failure : policy->rules[index].rule.verdict;
}

// The first step from this one on at which the verdict is the same whatever DNS
// says there and further on: behind the last open rule that would say otherwise
// than the first rule that matches for certain, or the default.  Looked for once
// in a walk, so that many rules about names do not cost their square.
static size_t find_settled(struct decision *decision, size_t step)
{
	static const enum access other[] = {
	    [ACCESS_allow] = ACCESS_deny, [ACCESS_deny] = ACCESS_allow};
	const struct policy *policy = decision->policy;
	size_t behind[] = {[ACCESS_allow] = step, [ACCESS_deny] = step};
	for (; step < policy->num_steps; step++) {
		uint32_t index;
		const struct rule *first = &policy->rules[policy->steps[step].first].rule;
		if (first->is_audit || is_expired(decision, first))
			continue;
		enum match match = match_step(decision, policy, &policy->steps[step], &index);
		if (match == MATCH_OPEN)
			behind[first->verdict] = step + 1;
		else if (match != MATCH_NO)
			return behind[other[verdict_of(policy, index, match)]];
	}
	return behind[other[policy->fallback]];
}

static bool is_settled(struct decision *decision, size_t step)
{
	if (decision->settled == STEP_UNKNOWN)
		decision->settled = find_settled(decision, step);
	return step >= decision->settled;
}

// ---- what must be asked -------------------------------------------------

static void on_name(struct rdns_query *query, const struct rdns_answer *answer);
static void on_host(struct hosts_wait *wait);

static enum dns_outcome outcome_of(const struct rdns_answer *answer)
{
	switch (answer->status) {
	case RDNS_OK: break;
	case RDNS_NXDOMAIN: return DNS_nxdomain;
	case RDNS_SERVFAIL: return DNS_servfail;
	case RDNS_TIMEOUT: return DNS_timeout;
	case RDNS_UNAVAILABLE:
	case RDNS_STATUSES: return DNS_unavailable;
	}
	for (size_t i = 0; i < answer->num_names; i++)
		if (answer->names[i].confirmed)
			return DNS_confirmed;
	return DNS_mismatch;
}

// What an earlier walk learned, where it is not remembered: failures are not
// always kept.  The names are gone, so this is the last resort.
static bool recall_answer(const struct decision *decision, struct rdns_answer *out)
{
	static const struct {
		bool is_known;
		enum rdns_status status;
	} known[DNS_OUTCOMES] = {
	    [DNS_nxdomain] = {true, RDNS_NXDOMAIN},
	    [DNS_servfail] = {true, RDNS_SERVFAIL},
	    [DNS_timeout] = {true, RDNS_TIMEOUT},
	    [DNS_unavailable] = {true, RDNS_UNAVAILABLE},
	};
	*out = (struct rdns_answer){.status = known[decision->dns].status};
	return known[decision->dns].is_known;
}

static bool find_answer(const struct decision *decision, struct rdns_answer *out)
{
	if (decision->answer)
		*out = *decision->answer;
	return decision->answer || rdns_find(decision->sources.rdns, &decision->addr, out) ||
	       recall_answer(decision, out);
}

// False when it has to be waited for.
static bool get_answer(struct decision *decision, struct rdns_answer *out)
{
	struct rdns *rdns = decision->sources.rdns;
	if (find_answer(decision, out))
		return true;
	decision->wait = DECISION_WAITS_NAME;
	decision->waiting.name = (struct rdns_query){.on_done = on_name, .context = decision};
	rdns_start(&decision->waiting.name, rdns, &decision->addr);
	return false;
}

// The name that matters: one that matches the rule, else one that is confirmed,
// else any.
static void keep_name(struct decision *decision, const struct rdns_name *name)
{
	struct text text = TEXT(decision->name);
	bool fits = name->name.len < sizeof(decision->name);
	size_t room = sizeof(decision->name) - sizeof("...");
	text_addf(&text, "%s", fits ? "" : "...");
	text_add(&text, fits ? name->name : str_drop(name->name, name->name.len - room));
	decision->name_confirmed = name->confirmed;
}

static void keep_answer(struct decision *decision, const struct rdns_answer *answer)
{
	decision->dns = outcome_of(answer);
	for (size_t i = 0; i < answer->num_names; i++)
		if (!decision->name[0] || (answer->names[i].confirmed && !decision->name_confirmed))
			keep_name(decision, &answer->names[i]);
}

// An unconfirmed name is whatever its owner likes, and so good for nothing but a
// refusal.
static const struct rdns_name *find_name(
    const struct policy *policy, const struct rule *rule, const struct rdns_answer *answer)
{
	bool any = !policy->confirm_names || rule->verdict == ACCESS_deny;
	for (size_t i = 0; i < answer->num_names; i++) {
		const struct rdns_name *name = &answer->names[i];
		if ((any || name->confirmed) && domain_find(rule->names, rule->num, name->name))
			return name;
	}
	return NULL;
}

static enum match ask_name(
    struct decision *decision, const struct policy *policy, const struct rule *rule)
{
	struct rdns_answer answer;
	if (!get_answer(decision, &answer))
		return MATCH_WAITS;
	keep_answer(decision, &answer);
	const struct rdns_name *name = find_name(policy, rule, &answer);
	if (name) {
		keep_name(decision, name);
		return MATCH_YES;
	}
	bool is_answer = answer.status == RDNS_OK || answer.status == RDNS_NXDOMAIN;
	return is_answer ? MATCH_NO : MATCH_FAILED;
}

static enum match ask(
    struct decision *decision, const struct policy *policy, const struct policy_rule *rule)
{
	if (rule->rule.kind == RULE_domain)
		return ask_name(decision, policy, &rule->rule);
	decision->wait = DECISION_WAITS_HOST;
	decision->waiting.host = (struct hosts_wait){.on_done = on_host, .context = decision};
	hosts_wait_start(&decision->waiting.host, decision->sources.hosts, rule->link);
	return MATCH_WAITS;
}

// ---- the walk -----------------------------------------------------------

static bool is_about_lost_host(const struct decision *decision, const struct policy_rule *rule)
{
	return rule->rule.kind == RULE_host && !rule->rule.is_audit &&
	       hosts_match(decision->sources.hosts, rule->link, &decision->addr) == HOST_FAILED;
}

// What a rule says by itself, the days it holds aside; it may ask and wait.
static enum match judge_step(struct decision *decision, size_t step, uint32_t *out_rule)
{
	const struct policy *policy = decision->policy;
	const struct policy_rule *rule = &policy->rules[policy->steps[step].first];
	*out_rule = policy->steps[step].first;
	if (is_expired(decision, &rule->rule))
		return MATCH_EXPIRED;
	enum match match = match_step(decision, policy, &policy->steps[step], out_rule);
	if (match == MATCH_OPEN && !rule->rule.is_audit && is_settled(decision, step))
		return MATCH_NEEDLESS;
	if (match == MATCH_OPEN)
		match = ask(decision, policy, rule);
	if (match == MATCH_FAILED && rule->rule.is_audit)
		return MATCH_NO;
	decision->passed_host |= match == MATCH_NO && is_about_lost_host(decision, rule);
	return match;
}

static void decide(struct decision *decision, uint32_t index, enum match match)
{
	const struct policy *policy = decision->policy;
	decision->rule = index;
	decision->by_dns_failure = match == MATCH_FAILED;
	decision->verdict = verdict_of(policy, index, match);
	if (decision->by_dns_failure && policy->rules[index].rule.kind == RULE_host)
		decision->dns = DNS_host_unknown;
}

// A host's rule that was passed says the opposite of on_dns_failure, so that it
// could have changed this verdict and no other.
static void note_passed_host(struct decision *decision)
{
	if (!decision->passed_host || decision->verdict != decision->policy->on_dns_failure)
		return;
	decision->by_dns_failure = true;
	decision->dns = DNS_host_unknown;
}

static void note_audit(struct decision *decision, uint32_t rule)
{
	if (decision->num_audits < DECISION_AUDITS_MAX)
		decision->audits[decision->num_audits] = rule;
	decision->num_audits++;
}

// False when it has to wait.
static bool walk_rules(struct decision *decision)
{
	const struct policy *policy = decision->policy;
	decision->num_audits = 0;
	decision->passed_host = false;
	decision->settled = STEP_UNKNOWN;
	for (size_t i = 0; policy && i < policy->num_steps; i++) {
		uint32_t index;
		enum match match = judge_step(decision, i, &index);
		if (match == MATCH_WAITS)
			return false;
		trace_step(decision, policy, &policy->steps[i], index, match);
		if (match != MATCH_YES && match != MATCH_FAILED)
			continue;
		if (!policy->rules[index].rule.is_audit) {
			decide(decision, index, match);
			note_passed_host(decision);
			return true;
		}
		note_audit(decision, index);
	}
	decision->rule = DECISION_DEFAULT;
	decision->verdict = policy ? policy->fallback : ACCESS_allow;
	note_passed_host(decision);
	return true;
}

// Whether exceptions from this step on give the methods without asking DNS.
static bool is_given_from(struct decision *decision, size_t step, unsigned methods)
{
	const struct policy *exceptions = decision->exceptions;
	for (; step < exceptions->num_steps && methods; step++) {
		uint32_t index;
		const struct policy_step *each = &exceptions->steps[step];
		const struct rule *rule = &exceptions->rules[each->first].rule;
		if (!is_expired(decision, rule) &&
		    match_step(decision, exceptions, each, &index) == MATCH_YES)
			methods &= ~rule->methods;
	}
	return !methods;
}

static enum match judge_exception(struct decision *decision, size_t step)
{
	const struct policy *exceptions = decision->exceptions;
	uint32_t index = exceptions->steps[step].first;
	const struct policy_rule *rule = &exceptions->rules[index];
	unsigned methods = rule->rule.methods & ~(exceptions->methods | decision->methods);
	if (is_expired(decision, &rule->rule))
		return MATCH_EXPIRED;
	if (!methods)
		return MATCH_NEEDLESS;
	enum match match = match_step(decision, exceptions, &exceptions->steps[step], &index);
	if (match != MATCH_OPEN)
		return match;
	return is_given_from(decision, step + 1, methods) ? MATCH_NEEDLESS
	                                                  : ask(decision, exceptions, rule);
}

// Every exception that matches counts.  False when it has to wait.
static bool walk_exceptions(struct decision *decision)
{
	const struct policy *exceptions = decision->exceptions;
	for (size_t i = 0; exceptions && i < exceptions->num_steps; i++) {
		const struct policy_step *step = &exceptions->steps[i];
		enum match match = judge_exception(decision, i);
		if (match == MATCH_WAITS)
			return false;
		trace_step(decision, exceptions, step, step->first, match);
		if (match == MATCH_YES)
			decision->methods |= exceptions->rules[step->first].rule.methods;
	}
	return true;
}

// Goes as far as is possible now.  True when it is done.
static bool go_on(struct decision *decision)
{
	if (!decision->has_verdict) {
		decision->has_verdict = walk_rules(decision);
		decision->num_traced = decision->has_verdict ? 0 : decision->num_traced;
	}
	if (!decision->has_verdict)
		return false;
	return decision->verdict == ACCESS_deny || walk_exceptions(decision);
}

// ---- starting and waiting -----------------------------------------------

static void on_name(struct rdns_query *query, const struct rdns_answer *answer)
{
	struct decision *decision = query->context;
	decision->wait = DECISION_WAITS_NOT;
	decision->answer = answer;
	bool is_done = go_on(decision);
	decision->answer = NULL;
	if (is_done)
		decision->on_done(decision);
}

static void on_host(struct hosts_wait *wait)
{
	struct decision *decision = wait->context;
	decision->wait = DECISION_WAITS_NOT;
	if (go_on(decision))
		decision->on_done(decision);
}

bool decision_start(struct decision *decision, const struct policy *policy,
    const struct policy *exceptions, const struct decision_sources *sources,
    const struct addr *addr)
{
	*decision = (struct decision){
	    .on_done = decision->on_done,
	    .trace = decision->trace,
	    .policy = policy,
	    .exceptions = exceptions,
	    .sources = *sources,
	    .addr = *addr,
	    .now = time(NULL),
	};
	return go_on(decision);
}

bool decision_gives_now(struct decision *decision, unsigned methods)
{
	return decision->exceptions && is_given_from(decision, 0, methods);
}

void decision_cancel(struct decision *decision)
{
	switch (decision->wait) {
	case DECISION_WAITS_NOT: break;
	case DECISION_WAITS_NAME: rdns_cancel(&decision->waiting.name); break;
	case DECISION_WAITS_HOST: hosts_wait_cancel(&decision->waiting.host); break;
	}
	decision->wait = DECISION_WAITS_NOT;
}
