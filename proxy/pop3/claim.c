// claim.c: taking a claim in.  See claim.h.
#include "proxy/pop3/claim.h"

#include <stdlib.h>

// A CR LF in a name would be a second command to the store.
static bool can_be_sent(struct str part)
{
	return part.len && part.len <= CLAIM_PART_MAX && !str_has_control(part);
}

bool claim_plain(struct claim *claim, const char *mechanism, struct str user, struct str password)
{
	if (!can_be_sent(user) || !can_be_sent(password))
		return false;
	char *copy = str_dup(user);
	claim_done(claim);
	*claim =
	    (struct claim){.kind = CLAIM_plain, .mechanism = mechanism, .user = {copy, user.len}};
	secret_set(&claim->password, password);
	return true;
}

void claim_forget_password(struct claim *claim)
{
	secret_done(&claim->password);
}

void claim_done(struct claim *claim)
{
	secret_done(&claim->password);
	free((char *)claim->user.at);
	*claim = (struct claim){0};
}
