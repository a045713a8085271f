// identity.c: whose mailbox a claim is about, and where that is, as far as it can
// be said before the claim is judged; and after that by whoever judged it.
//
// A name that cannot be let in whatever the password (deny_users, no such form of a
// name, no way by the map) is noted and refused when the claim would be judged, so
// that it costs what a wrong password costs.
#include "proxy/session/session_priv.h"

#include <stdlib.h>

static const struct routes *routes_of(const struct session *session)
{
	return session->house->snapshot->routes[session->listener_index];
}

// The store checks a password with a name by itself, unless it believes us.
static bool is_checked_by_store(const struct session *session)
{
	const struct snapshot *snapshot = session->house->snapshot;
	enum backend_login login =
	    snapshot->config->backends[session->listener->backend].options.login;
	return session->claim.kind == CLAIM_plain && login != BACKEND_LOGIN_master &&
	       login != BACKEND_LOGIN_stored;
}

static bool is_left_to_store(const struct session *session)
{
	return verifiers_leave_to_store(session_verifiers(session), session->claim.kind);
}

static void be_nowhere(struct session *session)
{
	struct str user = session->claim.user;
	route_done(&session->counted);
	session->counted = (struct route){session->listener->backend, {str_dup(user), user.len}};
}

// What a store alone judges may have any form that the store likes.
static bool parse(struct session *session)
{
	if (account_parse(session->claim.user, &session->account))
		return true;
	session->account = (struct account){.user = session->claim.user};
	return session->claim.kind == CLAIM_plain && is_left_to_store(session);
}

// What attempts are counted by: where our verifiers judge, the user, whatever the
// mailbox, and however many domains there are that nobody has checked.
static bool find_counted(struct session *session, const char **why)
{
	bool is_left = is_left_to_store(session);
	struct account account = session->account;
	if (!is_left)
		account.mailbox = STR("");
	const struct route_question question = {
	    &account, session->claim.user, is_left && is_checked_by_store(session)};
	return route_find(routes_of(session), &question, &session->counted, why);
}

static const char *identify(struct session *session)
{
	const char *why = NULL;
	const struct text_list *denied = &session->listener->options.deny_users;
	if (!parse(session))
		return "no form of a name";
	if (account_is_among(&session->account, denied))
		return "deny_users";
	if (!find_counted(session, &why))
		return why;
	return NULL;
}

void session_identify(struct session *session)
{
	route_done(&session->route);
	session->judge = NULL;
	session->denied = identify(session);
	if (session->denied)
		be_nowhere(session);
	session->backend = session->house->snapshot->backends[session->counted.backend];
}

// What users.db says goes before what the map says.
static bool go_by_record(
    struct session *session, const struct user_record *record, const char **why)
{
	const struct config *config = session->house->snapshot->config;
	struct route *route = &session->route;
	if (record->mailbox) {
		struct str name = str_of(record->mailbox);
		free((char *)route->name.at);
		route->name = (struct str){str_dup(name), name.len};
	}
	if (!record->backend)
		return true;
	*why = "users.db names a backend that is not in the configuration";
	for (size_t i = 0; i < config->num_backends; i++)
		if (str_eq(str_of(config->backends[i].name), str_of(record->backend))) {
			route->backend = i;
			return true;
		}
	return false;
}

// A domain that stands with no user of users.db nobody has checked.
bool session_identify_again(struct session *session, const char **why)
{
	const struct verification *judged = session->verification;
	bool is_known = judged->verifier == VERIFIER_users;
	bool is_checked = is_checked_by_store(session);
	struct account account = session->account;
	struct str login = session->claim.user;
	if (is_known && account.domain.len && !judged->record.has_domain) {
		account.domain = STR("");
		login = is_checked ? login : account.user;
	}
	const struct route_question question = {&account, login, is_checked};
	if (!route_find(routes_of(session), &question, &session->route, why) ||
	    !go_by_record(session, &judged->record, why))
		return false;
	session->backend = session->house->snapshot->backends[session->route.backend];
	return true;
}
