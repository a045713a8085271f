// filter.c: seccomp, through libseccomp.  See filter.h.
#include "proxy/server/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

// LeakSanitizer looks for leaks by tracing the process from a clone of itself.
#ifdef __SANITIZE_ADDRESS__
static const bool wanted = false;
#else
static const bool wanted = true;
#endif

struct call {
	int number;
	bool is_narrow; // only where argument `at` is `value`
	unsigned at;
	int64_t value;
};

enum { OWN_PID = -1 }; // stands for the pid of the process that enters

#define CALL(name) {.number = SCMP_SYS(name)},
#define ONLY(name, at, value) {SCMP_SYS(name), true, at, value},
static const struct call calls_of_worker[] = {
#include "proxy/server/filter.def"
};
static const struct call calls_of_keys[] = {
#include "proxy/server/keys_filter.def"
};
static const struct call calls_of_metrics[] = {
#include "proxy/server/metrics_filter.def"
};
#undef ONLY
#undef CALL

#define LIST(calls)                                                                                \
	{                                                                                          \
		calls, sizeof(calls) / sizeof((calls)[0])                                          \
	}
static const struct {
	const struct call *calls;
	size_t num;
} lists[] = {
    [FILTER_worker] = LIST(calls_of_worker),
    [FILTER_keys] = LIST(calls_of_keys),
    [FILTER_metrics] = LIST(calls_of_metrics),
};
#undef LIST

// All that can be narrowed is an int to the kernel; what else stands in the register is chance.
static int allow(scmp_filter_ctx filter, const struct call *call)
{
	scmp_datum_t value = (scmp_datum_t)(call->value == OWN_PID ? getpid() : call->value);
	const struct scmp_arg_cmp only = SCMP_CMP(call->at, SCMP_CMP_MASKED_EQ, UINT32_MAX, value);
	return seccomp_rule_add_array(
	    filter, SCMP_ACT_ALLOW, call->number, call->is_narrow ? 1 : 0, &only);
}

static int load(scmp_filter_ctx filter, enum filter_kind kind)
{
	int failed = 0;
	for (size_t i = 0; !failed && i < lists[kind].num; i++)
		failed = allow(filter, &lists[kind].calls[i]);
	return failed ? failed : seccomp_load(filter);
}

bool filter_enter(enum filter_kind kind, struct text *why)
{
	if (!wanted)
		return true;
	tzset(); // syslog(3) would read the time zone's file later
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int failed = filter ? load(filter, kind) : -ENOMEM;
	seccomp_release(filter);
	if (failed)
		text_addf(
		    why, "the kernel refuses the filter of system calls: %s", strerror(-failed));
	return !failed;
}
