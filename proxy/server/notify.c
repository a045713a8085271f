// notify.c: the service manager's notification socket.  See notify.h.
#include "proxy/server/notify.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

void notify_ready(void)
{
	sd_notifyf(0, "READY=1\nMAINPID=%ld", (long)getpid());
}

void notify_reloading(void)
{
	// The manager wants the time too, to tell this reload from an older one.
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, us);
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}
