// login_xclient.c: XCLIENT, by which Dovecot learns whom popgate speaks for: logs
// and limits there are then about the client, and not about popgate.
//
// The session's id is that of our own log.  Not sent: TTL, a guard against proxies
// in a circle, which is of use only where each of them passes it on.
#include "backends/login/login_priv.h"

#include <inttypes.h>

void login_say_xclient(const struct login *login, struct text *out)
{
	const struct credentials *credentials = login->credentials;
	text_add(out, STR("XCLIENT ADDR="));
	addr_print_ip(credentials->client, out);
	text_addf(out, " PORT=%u SESSION=%016" PRIx64 "\r\n", addr_port(credentials->client),
	    credentials->session);
}
