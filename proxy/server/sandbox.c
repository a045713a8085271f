// sandbox.c: user and group, no new privileges, limits.  See sandbox.h.
#include "proxy/server/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/base/die.h"
#include "proxy/base/log.h"

static bool look_up_user(const char *user, struct sandbox_identity *out_identity, struct text *why)
{
	errno = 0;
	const struct passwd *found = getpwnam(user);
	if (!found) {
		text_addf(why, "there is no system user \"%s\" for the workers%s%s; set user", user,
		    errno ? ": " : "", errno ? strerror(errno) : "");
		return false;
	}
	out_identity->uid = found->pw_uid;
	out_identity->gid = found->pw_gid;
	if (out_identity->uid == 0)
		text_addf(why, "workers may not run as \"%s\", which is root; set user", user);
	return out_identity->uid != 0;
}

static bool look_up_group(
    const char *group, struct sandbox_identity *out_identity, struct text *why)
{
	errno = 0;
	const struct group *found = getgrnam(group);
	if (found)
		out_identity->gid = found->gr_gid;
	else
		text_addf(why, "there is no system group \"%s\" for the workers%s%s; set group",
		    group, errno ? ": " : "", errno ? strerror(errno) : "");
	return found != NULL;
}

bool sandbox_look_up(
    struct str user, struct str group, struct sandbox_identity *out_identity, struct text *why)
{
	*out_identity = (struct sandbox_identity){.change = geteuid() == 0};
	if (!out_identity->change)
		return true;
	char *user_name = str_dup(user);
	char *group_name = str_dup(group);
	bool found = look_up_user(user_name, out_identity, why) &&
	             (str_is_empty(group) || look_up_group(group_name, out_identity, why));
	if (found && out_identity->gid == 0) {
		text_addf(why, "workers may not have the group of root; set group");
		found = false;
	}
	free(user_name);
	free(group_name);
	return found;
}

static bool drop_root(const struct sandbox_identity *identity)
{
	return setgroups(0, NULL) == 0 &&
	       setresgid(identity->gid, identity->gid, identity->gid) == 0 &&
	       setresuid(identity->uid, identity->uid, identity->uid) == 0;
}

static _Noreturn void fail(const char *what)
{
	log_why(LOG_start_failed, "worker: cannot %s: %s", what, strerror(errno));
	exit(EXIT_FAILURE);
}

void sandbox_enter(const struct sandbox_identity *identity)
{
	static const struct rlimit none = {0, 0};
	if (identity->change && !drop_root(identity))
		fail("become the user that the configuration names");
	// Would mean that the kernel did not do what it said.
	BUG_ON(identity->change && setuid(0) == 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    setrlimit(RLIMIT_CORE, &none) < 0)
		fail("give up privileges");
}

void sandbox_raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	// When refused, the limit stays as it was, and accept tells when it is reached.
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}
