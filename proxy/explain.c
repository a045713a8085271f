// explain.c: `popgate explain`: each rule, what it says of an address, and the
// verdict; for people or as JSON.  See explain.h.
#include "proxy/explain.h"

#include <stdio.h>
#include <stdlib.h>

#include "certs/load.h"
#include "policy/country.h"
#include "proxy/config/types.h"
#include "proxy/judge.h"
#include "proxy/mailbox.h"

// One address at one listener, on its way out.
struct explanation {
	struct decision_trace trace;
	const struct explain_options *options;
	const struct listener_config *listener;
	const struct judge *judge;
	struct decision decision;
	unsigned num_steps;
	struct text handshake; // what a client that asks for the server name meets; "": nothing
	char handshake_room[512];
	bool is_name_refused;
};

static const char *const step_words[] = {
    [DECISION_STEP_MATCHES] = "matches",
    [DECISION_STEP_DIFFERS] = "differs",
    [DECISION_STEP_FAILS] = "DNS failed",
    [DECISION_STEP_EXPIRED] = "expired",
    [DECISION_STEP_NEEDLESS] = "not asked",
};

static const char *policy_name(const struct explanation *explanation)
{
	size_t index = explanation->listener->policy;
	return index == NO_POLICY ? NULL : explanation->judge->config->policies[index].name;
}

static bool is_exception(const struct policy_rule *rule)
{
	return rule->rule.methods != 0;
}

static void print_step(
    const struct policy *policy, size_t rule, enum decision_step step, struct str detail)
{
	const struct policy_rule *row = &policy->rules[rule];
	printf("  %s %zu: %s\n      %s: %.*s\n", is_exception(row) ? "exception" : "rule", rule + 1,
	    row->text, step_words[step], STR_ARG(detail));
}

static void print_json_text(const char *key, struct str value)
{
	printf("\"%s\": ", key);
	quoted_print(value, NOTATION_JSON, stdout);
}

static void print_json_step(struct explanation *explanation, const struct policy *policy,
    size_t rule, enum decision_step step, struct str detail)
{
	const struct policy_rule *row = &policy->rules[rule];
	printf("%s\n      {\"%s\": %zu, ", explanation->num_steps++ ? "," : "",
	    is_exception(row) ? "exception" : "rule", rule + 1);
	print_json_text("text", str_of(row->text));
	printf(", ");
	print_json_text("step", str_of(step_words[step]));
	printf(", ");
	print_json_text("detail", detail);
	printf("}");
}

static void on_step(struct decision_trace *trace, const struct policy *policy, size_t rule,
    enum decision_step step, struct str detail)
{
	struct explanation *explanation = (struct explanation *)trace;
	if (explanation->options->json)
		print_json_step(explanation, policy, rule, step, detail);
	else
		print_step(policy, rule, step, detail);
}

static const char *verdict_word(const struct decision *decision)
{
	return decision->verdict == ACCESS_allow ? "allow" : "deny";
}

// The login methods, those that exceptions give included; none for who is not
// let in.
static void print_methods(const struct explanation *explanation, const char *quote)
{
	bool is_let_in = explanation->decision.verdict == ACCESS_allow;
	unsigned allowed =
	    is_let_in ? explanation->listener->options.login | explanation->decision.methods : 0;
	const char *between = "";
	const struct option_word *word = option_types[TYPE_methods].words;
	for (; word->name; word++)
		if (allowed & word->value) {
			printf("%s%s%s%s", between, quote, word->name, quote);
			between = ", ";
		}
}

static void print_verdict(const struct explanation *explanation)
{
	const struct decision *decision = &explanation->decision;
	printf("  verdict: %s, by ", verdict_word(decision));
	if (decision->rule != DECISION_DEFAULT)
		printf("rule %zu", decision->rule + 1);
	else
		printf("%s", policy_name(explanation) ? "default" : "the lack of a policy");
	printf("%s\n", decision->by_dns_failure ? " and on_dns_failure" : "");
	if (decision->verdict == ACCESS_deny)
		return;
	printf("  login: ");
	print_methods(explanation, "");
	printf("\n");
}

// Whether a certificate of the listener has the name; false also when one cannot be read,
// which *why then tells.
static bool has_name(const struct explanation *explanation, struct str name, struct text *why)
{
	const struct listener_config *listener = explanation->listener;
	const struct certificate_config *all = explanation->judge->config->certificates;
	bool has = false;
	for (size_t i = 0; i < listener->num_certificates && !has; i++) {
		const char *path = all[listener->certificates[i]].options.chain;
		if (!certs_has_name(path, name, &has, why))
			return false;
	}
	return has;
}

// By unknown_names.
static void look_at_server_name(struct explanation *explanation)
{
	const struct listener_options *options = &explanation->listener->options;
	struct str name = str_of(explanation->options->server_name);
	char room[400];
	struct text why = TEXT(room);
	explanation->handshake = TEXT(explanation->handshake_room);
	if (!name.len || options->tls == LISTENER_TLS_none ||
	    options->unknown_names != UNKNOWN_NAMES_refuse || has_name(explanation, name, &why))
		return;
	explanation->is_name_refused = text_is_empty(&why);
	if (!text_is_empty(&why))
		text_addf(&explanation->handshake,
		    "whether %s is refused by unknown_names is not known: %s", shown(name).at,
		    room);
	else
		text_addf(&explanation->handshake,
		    "the handshake is refused: no certificate has the name %s, and unknown_names "
		    "is refuse",
		    shown(name).at);
}

static void print_handshake(const struct explanation *explanation)
{
	if (explanation->handshake.len)
		printf("  TLS: %s\n", explanation->handshake_room);
}

static void print_user(const struct explanation *explanation)
{
	const struct judge *judge = explanation->judge;
	const struct listener_config *listener = explanation->listener;
	const char *user = explanation->options->user;
	struct mailbox mailbox;
	if (!user || explanation->is_name_refused)
		return;
	mailbox_find(judge->config, listener, str_of(explanation->options->server_name),
	    str_of(user), &mailbox);
	bool is_other = !mailbox.why && !str_eq(mailbox.route.name, str_of(user));
	struct str name = is_other ? mailbox.route.name : STR("");
	if (mailbox.why)
		printf("  user: %s is refused: %s\n", user, mailbox.why);
	else
		printf("  user: %s logs in at backend %s%s%.*s, at most %llu sessions at a time\n",
		    user, judge->config->backends[mailbox.route.backend].name,
		    is_other ? " as " : "", STR_ARG(name),
		    (unsigned long long)listener->options.max_connections_per_user);
	mailbox_done(&mailbox);
}

static void ask(struct explanation *explanation, struct judge *judge, const struct addr *addr)
{
	explanation->trace.on_step = on_step;
	explanation->decision.trace = &explanation->trace;
	judge_ask(judge, explanation->listener, addr, &explanation->decision);
}

static void explain_in_words(
    struct explanation *explanation, struct judge *judge, const struct addr *addr)
{
	const char *policy = policy_name(explanation);
	char room[ADDR_TEXT_SIZE];
	struct text ip = TEXT(room);
	addr_print_ip(addr, &ip);
	printf("%s at listener %s, %s%s\n", room, explanation->listener->name,
	    policy ? "policy " : "no policy", policy ? policy : "");
	ask(explanation, judge, addr);
	print_verdict(explanation);
	print_handshake(explanation);
	print_user(explanation);
}

static void print_json_code(const char *key, uint32_t code)
{
	char room[8];
	struct text letters = TEXT(room);
	if (!code)
		return;
	country_print(code, &letters);
	printf(",\n    \"%s\": \"%s\"", key, room);
}

static void print_json_mailbox(const struct explanation *explanation, const struct mailbox *mailbox)
{
	if (mailbox->why) {
		printf(", ");
		print_json_text("refused", str_of(mailbox->why));
		return;
	}
	printf(", \"backend\": \"%s\", ",
	    explanation->judge->config->backends[mailbox->route.backend].name);
	print_json_text("mailbox", mailbox->route.name);
	printf(", \"max_connections_per_user\": %llu",
	    (unsigned long long)explanation->listener->options.max_connections_per_user);
}

static void print_json_handshake(const struct explanation *explanation)
{
	if (!explanation->handshake.len)
		return;
	printf(
	    ",\n    \"handshake\": \"%s\", ", explanation->is_name_refused ? "refused" : "unknown");
	print_json_text("handshake_why", text_str(&explanation->handshake));
}

static void print_json_user(const struct explanation *explanation)
{
	struct mailbox mailbox;
	if (!explanation->options->user || explanation->is_name_refused)
		return;
	struct str user = str_of(explanation->options->user);
	mailbox_find(explanation->judge->config, explanation->listener,
	    str_of(explanation->options->server_name), user, &mailbox);
	printf(",\n    ");
	print_json_text("user", user);
	print_json_mailbox(explanation, &mailbox);
	mailbox_done(&mailbox);
}

static void print_json_facts(const struct decision *decision)
{
	if (decision->rule != DECISION_DEFAULT)
		printf(",\n    \"rule\": %zu", decision->rule + 1);
	if (decision->by_dns_failure)
		printf(",\n    \"by_dns_failure\": true");
	printf(",\n    \"dns\": \"%s\"", dns_outcome_token(decision->dns));
	if (decision->name[0]) {
		printf(",\n    ");
		print_json_text("name", str_of(decision->name));
		printf(
		    ",\n    \"name_confirmed\": %s", decision->name_confirmed ? "true" : "false");
	}
	print_json_code("country", decision->country);
	print_json_code("continent", decision->continent);
	if (decision->asn)
		printf(",\n    \"asn\": %u", decision->asn);
}

static void explain_in_json(
    struct explanation *explanation, struct judge *judge, const struct addr *addr)
{
	const char *policy = policy_name(explanation);
	char room[ADDR_TEXT_SIZE];
	struct text ip = TEXT(room);
	addr_print_ip(addr, &ip);
	printf("  {\"address\": \"%s\", \"listener\": \"%s\"", room, explanation->listener->name);
	if (policy)
		printf(", \"policy\": \"%s\"", policy);
	printf(",\n    \"steps\": [");
	ask(explanation, judge, addr);
	printf("%s],\n    \"verdict\": \"%s\"", explanation->num_steps ? "\n    " : "",
	    verdict_word(&explanation->decision));
	print_json_facts(&explanation->decision);
	printf(",\n    \"login\": [");
	print_methods(explanation, "\"");
	printf("]");
	print_json_handshake(explanation);
	print_json_user(explanation);
	printf("}");
}

static void explain_listener(const struct explain_options *options, struct judge *judge,
    const struct listener_config *listener, const struct addr *addr)
{
	struct explanation explanation = {
	    .options = options,
	    .listener = listener,
	    .judge = judge,
	};
	look_at_server_name(&explanation);
	if (options->json)
		explain_in_json(&explanation, judge, addr);
	else
		explain_in_words(&explanation, judge, addr);
}

static void explain_all(
    const struct explain_options *options, struct judge *judge, const struct addr *addr)
{
	const struct config *config = judge->config;
	for (size_t i = 0; i < config->num_listeners; i++) {
		printf("%s", !i ? "" : options->json ? ",\n" : "\n");
		explain_listener(options, judge, &config->listeners[i], addr);
	}
}

// True when the listener that is asked for, if any, is there.
static bool explain(
    const struct explain_options *options, struct judge *judge, const struct addr *addr)
{
	const struct listener_config *listener = NULL;
	if (options->listener &&
	    !(listener = judge_find_listener(judge, str_of(options->listener)))) {
		fprintf(stderr, "popgate: no listener is called %s; see `popgate config`\n",
		    shown(str_of(options->listener)).at);
		return false;
	}
	printf("%s", options->json ? "[\n" : "");
	if (listener)
		explain_listener(options, judge, listener, addr);
	else
		explain_all(options, judge, addr);
	printf("%s", options->json ? "\n]\n" : "");
	return true;
}

int explain_run(const struct explain_options *options)
{
	struct judge judge;
	struct addr addr;
	if (!addr_parse(str_of(options->address), 1, &addr)) {
		fprintf(stderr, "popgate: %s is not an address, such as 192.0.2.7 or 2001:db8::7\n",
		    shown(str_of(options->address)).at);
		return EXIT_FAILURE;
	}
	bool explained = judge_open(&judge, options->config) && explain(options, &judge, &addr);
	judge_close(&judge);
	return explained && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
