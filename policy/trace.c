// trace.c: rules and what became of them, in words.  See trace.h.
#include "policy/trace.h"

#include "policy/country.h"
#include "policy/domain.h"

static void describe_code(const char *noun, uint32_t code, struct text *out)
{
	text_addf(out, "the %s is ", noun);
	if (code)
		country_print(code, out);
	else
		text_addf(out, "not known");
}

static void describe_name(
    const struct decision *decision, const struct rule *rule, enum match match, struct text *out)
{
	bool is_within = domain_find(rule->names, rule->num, str_of(decision->name));
	if (!decision->name[0] || match == MATCH_FAILED) {
		text_addf(out, "%s", dns_outcome_sentence(decision->dns));
		return;
	}
	text_addf(out, "the name is %s, which %s", decision->name,
	    decision->name_confirmed ? "leads back to the address"
	                             : "does not lead back to the address");
	if (match == MATCH_NO && !is_within)
		text_addf(
		    out, " and is not below %s", rule->num == 1 ? rule->names[0] : "any of these");
}

static void describe_host(enum match match, struct text *out)
{
	text_addf(out, "%s",
	    match == MATCH_YES  ? "the host has this address"
	    : match == MATCH_NO ? "the host is not known to have this address"
	                        : dns_outcome_sentence(DNS_host_unknown));
}

static void describe(
    const struct decision *decision, const struct rule *rule, enum match match, struct text *out)
{
	const char *within =
	    match == MATCH_YES ? "the address is in it" : "the address is not in it";
	switch (rule->kind) {
	case RULE_ip:
	case RULE_range:
	case RULE_file: text_addf(out, "%s", within); break;
	case RULE_host: describe_host(match, out); break;
	case RULE_domain: describe_name(decision, rule, match, out); break;
	case RULE_country: describe_code("country", decision->country, out); break;
	case RULE_continent: describe_code("continent", decision->continent, out); break;
	case RULE_asn:
		text_addf(out, decision->asn ? "the network is AS%u" : "the network is not known",
		    decision->asn);
		break;
	case RULE_any:
	case RULE_KINDS: text_addf(out, "every address does"); break;
	}
}

// What is told of a rule, and its reason; NULL: as the rule's kind has it.
static const struct {
	enum decision_step step;
	const char *reason;
} tellings[] = {
    [MATCH_NO] = {DECISION_STEP_DIFFERS, NULL},
    [MATCH_YES] = {DECISION_STEP_MATCHES, NULL},
    [MATCH_FAILED] = {DECISION_STEP_FAILS, NULL},
    [MATCH_EXPIRED] = {DECISION_STEP_EXPIRED, "its last day is over"},
    [MATCH_NEEDLESS] = {DECISION_STEP_NEEDLESS, "it could not change the outcome"},
};

static void tell(
    struct decision *decision, const struct policy *policy, uint32_t index, enum match match)
{
	char room[512];
	struct text detail = TEXT(room);
	if (index < decision->num_traced)
		return;
	decision->num_traced = index + 1;
	if (tellings[match].reason)
		text_addf(&detail, "%s", tellings[match].reason);
	else
		describe(decision, &policy->rules[index].rule, match, &detail);
	decision->trace->on_step(
	    decision->trace, policy, index, tellings[match].step, text_str(&detail));
}

void trace_step(struct decision *decision, const struct policy *policy,
    const struct policy_step *step, uint32_t found, enum match match)
{
	if (!decision->trace)
		return;
	uint32_t before = match == MATCH_NO ? step->end : found;
	for (uint32_t i = step->first; i < before; i++)
		tell(decision, policy, i, MATCH_NO);
	if (match != MATCH_NO)
		tell(decision, policy, found, match);
}
