// route.c: from map rules to the one that matches.  See route.h.
#include "backends/route.h"

#include <stdlib.h>

#include "backends/aliases.h"
#include "backends/fold.h"
#include "backends/map_rule.h"
#include "proxy/base/die.h"
#include "proxy/net/tls_names.h"

// In the place of a backend: that of the session.
#define HOME SIZE_MAX

struct step {
	struct map_rule rule;
	size_t backend;
	struct aliases *aliases;  // of a file, else NULL
	size_t *aliases_backends; // one for each of them
};

struct routes {
	size_t backend; // the listener's
	struct step *steps;
	size_t num;
	bool has_domains; // some rule is for names with a domain
};

// ---- compiling ----------------------------------------------------------

struct compiler {
	const struct config *config;
	struct text *why;
};

// The backend of that name, or HOME when it is NULL.
static bool find_backend(const struct compiler *compiler, const char *name, size_t *out)
{
	struct suggestion suggestion = {.wanted = str_of(name)};
	const struct config *config = compiler->config;
	*out = HOME;
	if (!name)
		return true;
	for (*out = 0; *out < config->num_backends; ++*out) {
		struct str each = str_of(config->backends[*out].name);
		if (str_eq(each, str_of(name)))
			return true;
		suggestion_offer(&suggestion, each);
	}
	text_addf(compiler->why, "unknown backend %s%s", shown(str_of(name)).at,
	    suggestion_shown(&suggestion).at);
	return false;
}

static bool compile_file(const struct compiler *compiler, struct step *step)
{
	char *path = config_resolve_path(compiler->config->path, str_of(step->rule.file));
	step->aliases = aliases_load(path, compiler->why);
	size_t num = step->aliases ? aliases_num(step->aliases) : 0;
	bool sound = step->aliases;
	step->aliases_backends = xcalloc(num, sizeof(*step->aliases_backends));
	for (size_t i = 0; sound && i < num; i++) {
		const struct alias *alias = aliases_at(step->aliases, i);
		sound = find_backend(compiler, alias->backend, &step->aliases_backends[i]);
		if (!sound)
			text_addf(compiler->why, " in %s:%zu", path, alias->line);
	}
	free(path);
	return sound;
}

static bool compile(const struct compiler *compiler, const char *text, struct step *step)
{
	if (!map_rule_parse(str_of(text), &step->rule, compiler->why))
		return false;
	if (step->rule.file)
		return compile_file(compiler, step);
	return find_backend(compiler, step->rule.backend, &step->backend);
}

// Of a file, names with a domain stand behind those without.
static bool has_domain(const struct step *step)
{
	size_t num = step->aliases ? aliases_num(step->aliases) : 0;
	return num ? *aliases_at(step->aliases, num - 1)->name
	           : !step->aliases && step->rule.wanted.domain.len;
}

struct routes *routes_new(
    const struct config *config, const struct listener_config *listener, struct problems *problems)
{
	const struct text_list *map = &listener->options.map;
	unsigned problems_before = problems->num;
	struct routes *routes = xcalloc(1, sizeof(*routes));
	routes->backend = listener->backend;
	routes->steps = xcalloc(map->num, sizeof(*routes->steps));
	for (size_t i = 0; i < map->num; i++) {
		char room[1024];
		struct text why = TEXT(room);
		const struct compiler compiler = {config, &why};
		struct step *step = &routes->steps[routes->num++];
		if (!compile(&compiler, map->at[i], step))
			problems_add(problems, config->path, map->places[i], "map: %s", room);
		routes->has_domains |= has_domain(step);
	}
	if (problems->num != problems_before)
		routes_free(&routes);
	return routes;
}

void routes_free(struct routes **routes)
{
	struct routes *old = *routes;
	if (!old)
		return;
	for (size_t i = 0; i < old->num; i++) {
		map_rule_done(&old->steps[i].rule);
		aliases_free(&old->steps[i].aliases);
		free(old->steps[i].aliases_backends);
	}
	free(old->steps);
	free(old);
	*routes = NULL;
}

static bool step_leads_to(const struct step *step, size_t backend)
{
	size_t num = step->aliases ? aliases_num(step->aliases) : 0;
	for (size_t i = 0; i < num; i++)
		if (step->aliases_backends[i] == backend)
			return true;
	return !step->aliases && step->backend == backend;
}

bool routes_lead_to(const struct routes *routes, size_t backend)
{
	for (size_t i = 0; i < routes->num; i++)
		if (step_leads_to(&routes->steps[i], backend))
			return true;
	return routes->backend == backend;
}

// ---- sessions -----------------------------------------------------------

size_t route_home(const struct listener_config *listener, struct str server_name)
{
	size_t home = listener->backend;
	enum tls_match best = TLS_MATCH_none;
	for (size_t i = 0; tls_name_is_host(server_name) && i < listener->num_server_names; i++) {
		const struct server_name *each = &listener->server_names[i];
		enum tls_match match = tls_name_match(each->name, server_name);
		home = match > best ? each->backend : home;
		best = match > best ? match : best;
	}
	return home;
}

// ---- asking -------------------------------------------------------------

// A rule for one user alone may be another's, and a file's rows are.
static bool is_for_all_users(const struct map_rule *rule)
{
	return !rule->file && str_eq(rule->wanted.user, STR("*"));
}

static size_t backend_or(size_t backend, size_t home)
{
	return backend == HOME ? home : backend;
}

size_t routes_backend_of_domain(const struct routes *routes, struct str domain, size_t home)
{
	char room[FOLD_SIZE];
	struct text folded = TEXT(room);
	if (domain.len > CLAIM_PART_MAX)
		return home;
	fold_name(domain, &folded);
	const struct account anybody = {text_str(&folded), STR("*"), STR("")};
	for (size_t i = 0; i < routes->num; i++) {
		const struct step *step = &routes->steps[i];
		if (is_for_all_users(&step->rule) && map_rule_matches(&step->rule, &anybody))
			return backend_or(step->backend, home);
	}
	return home;
}

// An account whose parts have been changed, and where they stand.
struct changed {
	struct account account;
	char domain[FOLD_SIZE], user[FOLD_SIZE], mailbox[FOLD_SIZE];
};

static void change(const struct account *account,
    void (*change_part)(struct str name, struct text *out), struct changed *out)
{
	struct text domain = TEXT(out->domain), user = TEXT(out->user),
	            mailbox = TEXT(out->mailbox);
	change_part(account->domain, &domain);
	change_part(account->user, &user);
	change_part(account->mailbox, &mailbox);
	out->account = (struct account){text_str(&domain), text_str(&user), text_str(&mailbox)};
}

static bool set(
    struct route *out, const struct route_question *question, size_t backend, struct str name)
{
	char *copy = str_dup(name);
	route_done(out);
	*out = (struct route){backend_or(backend, question->home), {copy, name.len}};
	return true;
}

static bool go_by_rule(const struct step *step, const struct route_question *question,
    struct route *out, const char **why)
{
	char room[CLAIM_PART_MAX + 1];
	struct text name = TEXT(room);
	struct changed lower;
	change(question->account, fold_to_lower, &lower);
	map_rule_fill(&step->rule, &lower.account, question->login, &name);
	*why = "the name at the backend would be too long";
	return !name.truncated && set(out, question, step->backend, text_str(&name));
}

static bool is_too_bare(const struct routes *routes, const struct route_question *question)
{
	return question->is_vouched && routes->has_domains &&
	       str_is_empty(question->account->domain);
}

static bool go_without_rule(const struct routes *routes, const struct route_question *question,
    struct route *out, const char **why)
{
	char room[FOLD_SIZE];
	struct text user = TEXT(room);
	*why = "the certificate's name of the user has no domain, and no map rule is for it";
	if (is_too_bare(routes, question))
		return false;
	if (question->as_written)
		return set(out, question, HOME, question->login);
	*why = "no map rule lets the user open another mailbox";
	if (question->account->mailbox.len)
		return false;
	fold_to_lower(question->account->user, &user);
	*why = "the name at the backend would be too long";
	return user.len <= CLAIM_PART_MAX && set(out, question, HOME, text_str(&user));
}

static bool go_by_alias(const struct step *step, const struct account *folded,
    const struct route_question *question, struct route *out)
{
	size_t index = aliases_find(step->aliases, folded);
	return index < aliases_num(step->aliases) &&
	       set(out, question, step->aliases_backends[index],
	           str_of(aliases_at(step->aliases, index)->target));
}

bool route_find(const struct routes *routes, const struct route_question *question,
    struct route *out, const char **why)
{
	struct changed folded;
	if (routes->num)
		change(question->account, fold_name, &folded);
	for (size_t i = 0; i < routes->num; i++) {
		const struct step *step = &routes->steps[i];
		if (step->aliases && go_by_alias(step, &folded.account, question, out))
			return true;
		if (!step->aliases && map_rule_matches(&step->rule, &folded.account))
			return go_by_rule(step, question, out, why);
	}
	return go_without_rule(routes, question, out, why);
}

void route_done(struct route *route)
{
	free((char *)route->name.at);
	*route = (struct route){0};
}
