// identity.c: whose mailbox a claim is about, and where that is, as far as it can
// be said before the claim is judged; and after that by whoever judged it.
//
// A name that cannot be let in whatever the password (deny_users, no such form of a
// name, no way by the map) is noted and refused when the claim would be judged, so
// that it costs what a wrong password costs.
#include "proxy/session/session_priv.h"

#include <stdlib.h>

#include "backends/fold.h"

static const struct routes *routes_of(const struct session *session)
{
	return session->house->snapshot->routes[session->listener_index];
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

// What a store alone judges may have any form that the store likes, but denied users
// have none.
static const char *parse(struct session *session)
{
	struct str user = session->claim.user;
	const struct text_list *denied = &session->listener->options.deny_users;
	if (account_parse(user, &session->pending->account))
		return account_is_among(&session->pending->account, denied) ? "deny_users" : NULL;
	session->pending->account = (struct account){.user = user};
	if (account_has_piece_among(user, denied))
		return "deny_users";
	bool is_stores = session->claim.kind == CLAIM_plain && is_left_to_store(session);
	return is_stores ? NULL : "no form of a name";
}

static struct str to_lower(struct str name, char room[FOLD_SIZE])
{
	struct text lower = text_in(room, FOLD_SIZE);
	fold_to_lower(name, &lower);
	return text_str(&lower);
}

static struct str fold(struct str name, char room[FOLD_SIZE])
{
	struct text folded = text_in(room, FOLD_SIZE);
	fold_name(name, &folded);
	return text_str(&folded);
}

// Where our verifiers judge, attempts are counted by the user as users.db folds him,
// whatever the mailbox and the host that the client asks for, and however many domains
// there are that nobody has checked.
static void count_by_user(struct session *session)
{
	char room[FOLD_SIZE];
	struct str user = fold(session->pending->account.user, room);
	route_done(&session->counted);
	session->counted = (struct route){session->listener->backend, {str_dup(user), user.len}};
}

// What attempts are counted by; where the store judges, the name there.
static bool find_counted(struct session *session, const char **why)
{
	const struct route_question question = {&session->pending->account, session->claim.user,
	    session->claim.kind == CLAIM_plain, session->home, false};
	if (is_left_to_store(session))
		return route_find(routes_of(session), &question, &session->counted, why);
	count_by_user(session);
	return true;
}

static const char *identify(struct session *session)
{
	const char *why = parse(session);
	if (why)
		return why;
	if (!find_counted(session, &why))
		return why;
	return NULL;
}

void session_identify(struct session *session)
{
	route_done(&session->route);
	session->judge = NULL;
	session->pending->denied = identify(session);
	if (session->pending->denied)
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

// A store that believes us can judge nobody; the configuration sees to that for the
// map, but it does not know users.db.
static bool is_judged(const struct session *session, const char **why)
{
	const struct config *config = session->house->snapshot->config;
	enum backend_login login = config->backends[session->route.backend].options.login;
	*why =
	    "the store that users.db names lets in everybody whom we send, and nobody has judged";
	return session->verification->verifier != VERIFIER_backend ||
	       (login != BACKEND_LOGIN_master && login != BACKEND_LOGIN_stored);
}

// Whom the store judges, and whom an authority vouches for by the whole name: without a
// rule, a mailbox of that name is meant, and not that of a namesake in another domain.
static bool is_as_written(const struct verification *judged)
{
	return judged->verifier == VERIFIER_backend || judged->verifier == VERIFIER_certificate;
}

// The account as far as somebody has checked it.
struct checked {
	struct account account;
	struct str login;
	char user[FOLD_SIZE], domain[FOLD_SIZE], whole[FOLD_SIZE];
};

// In the form that users.db knows the user by; a domain that does not stand there
// with the user nobody has checked.
static void keep_checked(const struct session *session, struct checked *out)
{
	const struct verification *judged = session->verification;
	out->account = session->pending->account;
	out->login = session->claim.user;
	if (judged->verifier == VERIFIER_certificate)
		out->login = to_lower(session->claim.user, out->whole);
	if (judged->verifier != VERIFIER_users)
		return;
	bool has_domain = judged->record.has_domain;
	out->account.user = fold(session->pending->account.user, out->user);
	out->account.domain =
	    fold(has_domain ? session->pending->account.domain : STR(""), out->domain);
	out->login = has_domain ? fold(session->claim.user, out->whole) : out->account.user;
}

bool session_identify_again(struct session *session, bool *out_refused, const char **why)
{
	const struct verification *judged = session->verification;
	struct checked checked;
	keep_checked(session, &checked);
	const struct route_question question = {&checked.account, checked.login,
	    is_as_written(judged), session->home, judged->verifier == VERIFIER_certificate};
	*out_refused = !route_find(routes_of(session), &question, &session->route, why);
	if (*out_refused || !go_by_record(session, &judged->record, why) ||
	    !is_judged(session, why))
		return false;
	session->backend = session->house->snapshot->backends[session->route.backend];
	return true;
}
