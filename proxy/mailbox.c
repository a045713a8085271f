// mailbox.c: from a user's name to a mailbox.  See mailbox.h.
#include "proxy/mailbox.h"

#include "backends/verify/verify.h"

// Whether the store is told the client's own password, and so the name with it.
static bool is_checked_by_store(const struct config *config, size_t backend)
{
	enum backend_login login = config->backends[backend].options.login;
	return login != BACKEND_LOGIN_master && login != BACKEND_LOGIN_stored;
}

// What a store alone judges may have any form that the store likes.
static bool parse(const struct listener_config *listener, struct str user, struct account *out)
{
	const struct verifiers verifiers = verifiers_of(&listener->options);
	if (account_parse(user, out))
		return true;
	*out = (struct account){.user = user};
	return verifiers_leave_to_store(&verifiers, CLAIM_plain);
}

static const char *find(const struct config *config, const struct listener_config *listener,
    size_t home, struct str user, struct route *out)
{
	struct problems problems;
	struct account account;
	const char *why = "the map has a problem; see `popgate check`";
	if (!parse(listener, user, &account))
		return "no form of a name";
	if (account_is_among(&account, &listener->options.deny_users))
		return "deny_users";
	problems_init(&problems);
	struct routes *routes = routes_new(config, listener, &problems);
	const struct route_question question = {
	    &account, user, is_checked_by_store(config, home), home, false};
	bool found = routes && route_find(routes, &question, out, &why);
	routes_free(&routes);
	return found ? NULL : why;
}

void mailbox_find(const struct config *config, const struct listener_config *listener,
    struct str server_name, struct str user, struct mailbox *out)
{
	size_t home = route_home(listener, server_name);
	out->route = (struct route){.backend = home};
	out->why = find(config, listener, home, user, &out->route);
}

void mailbox_done(struct mailbox *mailbox)
{
	route_done(&mailbox->route);
}
