// notify.h: tells the service manager how far we are, if there is one.
//
// Called by the supervisor; the only user of libsystemd.  Fits Type=notify and
// Type=notify-reload; without NOTIFY_SOCKET in the environment nothing happens.
#ifndef POPGATE_PROXY_SERVER_NOTIFY_H
#define POPGATE_PROXY_SERVER_NOTIFY_H

void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);

#endif
