// filter.c: seccomp, through libseccomp.  See filter.h.
#include "proxy/server/filter.h"

#include <errno.h>
#include <seccomp.h>
#include <time.h>

// LeakSanitizer looks for leaks by tracing the process from a clone of itself.
#ifdef __SANITIZE_ADDRESS__
static const bool wanted = false;
#else
static const bool wanted = true;
#endif

#define CALL(name) SCMP_SYS(name),
static const int calls[] = {
#include "proxy/server/filter.def"
};
#undef CALL

static int load(scmp_filter_ctx filter)
{
	int failed = 0;
	for (size_t i = 0; !failed && i < sizeof(calls) / sizeof(calls[0]); i++)
		failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return failed ? failed : seccomp_load(filter);
}

bool filter_enter(struct text *why)
{
	if (!wanted)
		return true;
	tzset(); // syslog(3) would read the time zone's file later
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int failed = filter ? load(filter) : -ENOMEM;
	seccomp_release(filter);
	if (failed)
		text_addf(
		    why, "the kernel refuses the filter of system calls: %s", strerror(-failed));
	return !failed;
}
