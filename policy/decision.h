// decision.h: judges one address: may it connect, which rule says so, and which
// login methods do the listener's exceptions give it.
//
// Embedded in a session, which starts one when a client has connected, while
// TLS shakes hands; `popgate explain` and `popgate policy test` start one too.
//
// The rules are walked in order.  DNS is asked only where a rule about names is
// reached whose answer could change the verdict; then the decision waits, and
// once the answer is there the walk begins again.  When DNS fails there, the
// policy's on_dns_failure is the verdict.  For a rule about a host whose name
// never had an answer this means: it matches if on_dns_failure says the same as
// the rule, and does not match otherwise, so that one dead name does not shut
// out those that a later rule lets in; but a verdict that the host's address
// would have turned counts as one by failure, too.  Audit rules wait for names
// as well, since they are there to show what they would do, but their failures
// mean nothing.
//
// Follows the contract of everything that waits (backends/upstream.h): nothing
// is called back before decision_start returns; when that says false, on_done
// is called exactly once unless the decision is cancelled first, after which it
// is not called; within on_done it may be started again.
//
// Not done: keeping verdicts.  What is worth keeping are the facts of DNS
// (rdns.h); a verdict would have to be forgotten with every new table, date and
// configuration.
#ifndef POPGATE_POLICY_DECISION_H
#define POPGATE_POLICY_DECISION_H

#include "policy/hosts.h"
#include "policy/policy.h"
#include "policy/rdns.h"

#define DNS_OUTCOME(token, ...) DNS_##token,
enum dns_outcome {
#include "policy/dns_outcomes.def"
	DNS_OUTCOMES
};
#undef DNS_OUTCOME

// The rule of a decision that none made.
#define DECISION_DEFAULT SIZE_MAX

enum { DECISION_AUDITS_MAX = 8, DECISION_NAME_SIZE = 80 };

// What is asked; all borrowed until the decision is made.
struct decision_sources {
	const struct tables *tables;
	struct rdns *rdns; // NULL: no rule asks for names
	struct hosts *hosts;
};

enum decision_step {
	DECISION_STEP_MATCHES,
	DECISION_STEP_DIFFERS,
	DECISION_STEP_FAILS,    // DNS does, and the verdict is on_dns_failure
	DECISION_STEP_EXPIRED,  // its last day is over
	DECISION_STEP_NEEDLESS, // not asked, since it could change nothing
};

// Told of each rule in order, once: of the policy, then of the exceptions.
struct decision_trace {
	void (*on_step)(struct decision_trace *trace, const struct policy *policy, size_t rule,
	    enum decision_step step, struct str detail);
};

// What the decision waits for.
enum decision_wait { DECISION_WAITS_NOT, DECISION_WAITS_NAME, DECISION_WAITS_HOST };

struct decision {
	// Filled in by the caller; the rest is zero or left by an earlier decision.
	void (*on_done)(struct decision *decision);
	struct decision_trace *trace; // NULL: nobody wants to know

	// What came out.
	enum access verdict;
	size_t rule;         // index into the policy's rules, or DECISION_DEFAULT
	bool by_dns_failure; // DNS failed at that rule, or at one before it about a host
	unsigned methods;    // bits of enum login_method that exceptions allow
	enum dns_outcome dns;
	bool name_confirmed;                  // leads back to the address
	char name[DECISION_NAME_SIZE];        // reverse name that mattered; "": none; a long one
	                                      // is "..." and its end
	uint32_t country, continent;          // codes of country.h; 0: not asked or not known
	uint32_t asn;                         // 0: not asked or not known
	uint32_t num_audits;                  // audit rules that matched
	uint32_t audits[DECISION_AUDITS_MAX]; // the first of them

	// Its own.
	const struct policy *policy, *exceptions;
	struct decision_sources sources;
	struct addr addr;
	time_t now;
	const struct rdns_answer *answer; // while on_done of a query runs
	enum decision_wait wait;
	size_t settled;    // the step from which on DNS is not asked; see decision.c
	bool has_verdict;  // the rules are done, the exceptions are not
	bool passed_host;  // a rule did not match as its host never had an answer
	size_t num_traced; // rules that the trace knows already
	union {
		struct rdns_query name;
		struct hosts_wait host;
	} waiting;
};

// Judges the address by the policy and, if that allows it, by the exceptions;
// either may be NULL: everybody may connect, no exceptions.  Policy and
// exceptions are borrowed for as long as the outcome is looked at, the address
// is copied.  True when the outcome is there at once, and on_done will not be
// called.
__attribute__((warn_unused_result)) bool decision_start(struct decision *decision,
    const struct policy *policy, const struct policy *exceptions,
    const struct decision_sources *sources, const struct addr *addr);

// Whether the exceptions give these methods by what is known now: for one that must be
// known before DNS has answered.  Once started, waiting or not.
bool decision_gives_now(struct decision *decision, unsigned methods);

// Gives up; one that does not wait is fine.
void decision_cancel(struct decision *decision);

// The rule that decided, as text, or "default".
const char *decision_rule(const struct decision *decision);

// "nxdomain", and "the address has no reverse name (NXDOMAIN)".
const char *dns_outcome_token(enum dns_outcome outcome);
const char *dns_outcome_sentence(enum dns_outcome outcome);

#endif
