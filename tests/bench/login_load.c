// login_load.c: POP3 sessions against a listener on 127.0.0.1, and how long their
// logins take.
//
//     login_load PORT tls|clear MECHANISM NAME PASSWORD LOAD SECONDS
//
//     MECHANISM   pass (USER, PASS), ntlm (AUTH NTLM), or ntlm-ir (with an initial
//                 response)
//     NAME        [DOMAIN\]USER; a last # becomes one of 100000 numbers
//     LOAD        500/s: so many begin in a second, at random moments, however many
//                 are under way; 16: so many are under way at any time
//
// A session is the login, STAT and QUIT.  Prints one line of JSON: times in
// milliseconds, of logins from the first line of it to the +OK behind the last, and
// of the handshake too ("whole": from when the session was due).  A login that was
// refused is counted as failed.
#include <math.h>
#include <openssl/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "proxy/base/die.h"
#include "proxy/net/stream.h"
#include "proxy/net/timer.h"
#include "proxy/net/tls.h"
#include "proxy/pop3/line.h"
#include "proxy/pop3/ntlm/client.h"
#include "tests/bench/figures.h"

enum {
	NUMBERS = 100 * 1000, // of users
	MESSAGE_ROOM = 4096,
	LINE_ROOM = 2 * MESSAGE_ROOM,
	SESSIONS_MAX = 1 << 20,
	TICK_MS = 1,
	DEADLINE_S = 20, // for what is under way at the end
};

struct visit;

// What is said, and how the answer begins.
struct move {
	void (*say)(struct visit *visit, struct str heard, struct text *out);
	struct str wanted;
};

struct mechanism {
	const char *name;
	struct move moves[6]; // the greeting is that of the first
	size_t login_ends;    // behind the answer to this one
};

struct visit {
	struct stream stream;
	double due, asked;
	size_t at; // the move whose answer is awaited
	char name[64];
	char negotiate[128];
	size_t negotiate_len;
};

static struct load {
	struct net net;
	struct timer tick;
	struct tls_client *tls; // NULL: none
	struct addr server;
	const struct mechanism *mechanism;
	struct str domain, user, password;
	double rate; // 0: as many as `at_once`
	size_t at_once, under_way;
	double began, end, next_due;
	uint64_t failed;
	size_t num;
	float logins[SESSIONS_MAX], wholes[SESSIONS_MAX];
	char first_failure[256];
} load;

// ---- what is said -------------------------------------------------------

static void add_base64(struct text *out, struct str bytes)
{
	uint8_t encoded[LINE_ROOM];
	size_t len = EVP_EncodeBlock(encoded, (const uint8_t *)bytes.at, bytes.len);
	text_add(out, (struct str){(const char *)encoded, len});
}

static struct ntlm_client client_of(const struct visit *visit)
{
	const uint64_t from_1601_to_1970 = 11644473600;
	struct ntlm_client client = {
	    .user = str_of(visit->name),
	    .domain = load.domain,
	    .password = load.password,
	    .workstation = STR("BENCH"),
	    .filetime = ((uint64_t)time(NULL) + from_1601_to_1970) * 10000000,
	};
	uint64_t nonce = draw();
	memcpy(client.nonce, &nonce, sizeof(client.nonce));
	return client;
}

static void say_user(struct visit *visit, struct str heard, struct text *out)
{
	(void)heard;
	text_add(out, STR("USER "));
	text_add(out, str_of(visit->name));
}

static void say_pass(struct visit *visit, struct str heard, struct text *out)
{
	(void)visit;
	(void)heard;
	text_add(out, STR("PASS "));
	text_add(out, load.password);
}

static void say_auth(struct visit *visit, struct str heard, struct text *out)
{
	(void)visit;
	(void)heard;
	text_add(out, STR("AUTH NTLM"));
}

static void say_negotiate(struct visit *visit, struct str heard, struct text *out)
{
	struct ntlm_client client = client_of(visit);
	struct text message = TEXT(visit->negotiate);
	(void)heard;
	ntlm_client_negotiate(&client, &message);
	visit->negotiate_len = message.len;
	add_base64(out, text_str(&message));
}

static void say_auth_negotiate(struct visit *visit, struct str heard, struct text *out)
{
	text_add(out, STR("AUTH NTLM "));
	say_negotiate(visit, heard, out);
}

static void say_authenticate(struct visit *visit, struct str heard, struct text *out)
{
	uint8_t challenge[MESSAGE_ROOM];
	char room[MESSAGE_ROOM];
	struct text message = TEXT(room);
	struct ntlm_client client = client_of(visit);
	struct str base64 = str_drop(heard, 2);
	size_t len;
	const char *why;
	BUG_ON(!EVP_DecodeBase64(
	    challenge, &len, sizeof(challenge), (const uint8_t *)base64.at, base64.len));
	BUG_ON(
	    !ntlm_client_authenticate(&client, (struct str){visit->negotiate, visit->negotiate_len},
	        (struct str){(const char *)challenge, len}, &message, &why));
	add_base64(out, text_str(&message));
}

static void say_stat(struct visit *visit, struct str heard, struct text *out)
{
	(void)visit;
	(void)heard;
	text_add(out, STR("STAT"));
}

static void say_quit(struct visit *visit, struct str heard, struct text *out)
{
	(void)visit;
	(void)heard;
	text_add(out, STR("QUIT"));
}

// clang-format off
#define OK {"+OK", 3}
#define MORE {"+ ", 2}
// clang-format on

static const struct mechanism mechanisms[] = {
    {"pass", {{say_user, OK}, {say_pass, OK}, {say_stat, OK}, {say_quit, OK}}, 1},
    {"ntlm",
        {{say_auth, MORE}, {say_negotiate, MORE}, {say_authenticate, OK}, {say_stat, OK},
            {say_quit, OK}},
        2},
    {"ntlm-ir",
        {{say_auth_negotiate, MORE}, {say_authenticate, OK}, {say_stat, OK}, {say_quit, OK}}, 1},
};

// ---- a session ----------------------------------------------------------

static void fail(struct visit *visit, const char *what, struct str detail)
{
	if (!load.failed++)
		snprintf(load.first_failure, sizeof(load.first_failure), "%s at move %zu: %.*s",
		    what, visit->at, STR_ARG(detail));
	stream_abort(&visit->stream);
}

static void say(struct visit *visit, struct str heard)
{
	char room[LINE_ROOM];
	struct text line = TEXT(room);
	load.mechanism->moves[visit->at].say(visit, heard, &line);
	text_add(&line, STR("\r\n"));
	if (!visit->at)
		visit->asked = now_s();
	stream_write(&visit->stream, text_str(&line));
}

static void note_login(const struct visit *visit)
{
	double now = now_s();
	BUG_ON(load.num == SESSIONS_MAX);
	load.logins[load.num] = (float)(1e3 * (now - visit->asked));
	load.wholes[load.num++] = (float)(1e3 * (now - visit->due));
}

// False when the session is over.
static bool hear(struct visit *visit, struct str line, bool is_greeting)
{
	struct str wanted = is_greeting ? STR("+OK") : load.mechanism->moves[visit->at].wanted;
	if (!str_starts_nocase(line, wanted)) {
		fail(visit, "an answer", str_take(line, 100));
		return false;
	}
	if (!is_greeting && visit->at++ == load.mechanism->login_ends)
		note_login(visit);
	if (load.mechanism->moves[visit->at].say)
		say(visit, line);
	return load.mechanism->moves[visit->at].say;
}

static size_t on_bytes(struct stream *stream, struct str bytes)
{
	struct visit *visit = stream->context;
	size_t used;
	struct str line;
	if (line_cut_strict(bytes, LINE_ROOM, &line, &used) != LINE_FOUND)
		return 0;
	if (!hear(visit, line, !visit->asked))
		return bytes.len;
	return used;
}

static void begin_when_due(void);

static void on_closed(struct visit *visit)
{
	load.under_way--;
	free(visit);
	begin_when_due();
}

static void on_event(struct stream *stream, enum stream_event event)
{
	struct visit *visit = stream->context;
	switch (event) {
	case STREAM_CONNECTED:
		if (load.tls)
			stream_secure_client(stream, load.tls, "localhost");
		break;
	case STREAM_SECURED:
	case STREAM_DRAINED: break;
	case STREAM_ENDED:
		if (load.mechanism->moves[visit->at].say)
			fail(visit, "the end", STR(""));
		else
			stream_close_gently(stream);
		break;
	case STREAM_FAILED: fail(visit, "failure", str_of(stream_error(stream))); break;
	case STREAM_CLOSED: on_closed(visit); break;
	}
}

static const struct stream_owner owner = {on_bytes, on_event};

static void begin(double due)
{
	struct visit *visit = xcalloc(1, sizeof(*visit));
	struct str user = load.user;
	visit->due = due;
	if (user.at[user.len - 1] == '#')
		snprintf(visit->name, sizeof(visit->name), "%.*s%05u", (int)user.len - 1, user.at,
		    (unsigned)(draw() % NUMBERS));
	else
		snprintf(visit->name, sizeof(visit->name), "%.*s", STR_ARG(user));
	load.under_way++;
	stream_connect(&visit->stream, &load.net, &load.server, &owner, visit);
}

// ---- all of them --------------------------------------------------------

// Seconds between two of many independent arrivals.
static double draw_gap(void)
{
	double number = ((double)(draw() >> 11) + 0.5) / (double)(UINT64_C(1) << 53);
	return -log(number) / load.rate;
}

static void begin_when_due(void)
{
	double now = now_s();
	if (!load.rate)
		while (now < load.end && load.under_way < load.at_once)
			begin(now);
	while (load.rate && load.next_due <= now && load.next_due < load.end) {
		begin(load.next_due);
		load.next_due += draw_gap();
	}
}

static void on_tick(struct timer *timer)
{
	double now = now_s();
	begin_when_due();
	BUG_ON(now > load.end + DEADLINE_S);
	if (now < load.end || load.under_way)
		timer_set(timer, TICK_MS);
	else
		timer_close(timer, NULL);
}

static int compare(const void *a, const void *b)
{
	const float *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static void report_times(const char *what, float *times)
{
	size_t num = load.num ? load.num : 1;
	qsort(times, load.num, sizeof(*times), compare);
	printf("\"%s\": [%.3f, %.3f, %.3f], ", what, (double)times[num / 2],
	    (double)times[num * 99 / 100], (double)times[num - 1]);
}

static void report(void)
{
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	             (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
	printf("{\"logins\": %zu, \"failed\": %llu, ", load.num, (unsigned long long)load.failed);
	report_times("login", load.logins);
	report_times("whole", load.wholes);
	printf("\"seconds\": %.3f, \"processor\": %.3f, \"failure\": \"%s\"}\n",
	    now_s() - load.began, cpu, load.first_failure);
}

// ---- arguments ----------------------------------------------------------

static bool read_server(const char *port, const char *tls)
{
	char room[256];
	struct text why = TEXT(room), text = TEXT(room);
	text_addf(&text, "127.0.0.1:%s", port);
	if (!addr_parse(text_str(&text), 0, &load.server))
		return false;
	if (strcmp(tls, "tls") == 0)
		load.tls = tls_client_new(NULL, NULL, &why);
	return load.tls || strcmp(tls, "clear") == 0;
}

static bool read_mechanism(const char *name)
{
	for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
		if (strcmp(mechanisms[i].name, name) == 0)
			load.mechanism = &mechanisms[i];
	return load.mechanism;
}

static bool read_user(struct str name, struct str password)
{
	load.password = password;
	if (!str_cut(name, '\\', &load.domain, &load.user)) {
		load.user = name;
		load.domain = STR("");
	}
	return load.user.len;
}

static bool read_load(const char *text, const char *seconds)
{
	char *unit;
	double number = strtod(text, &unit);
	if (strcmp(unit, "/s") == 0)
		load.rate = number;
	else
		load.at_once = (size_t)number;
	load.began = load.next_due = now_s();
	load.end = load.began + strtod(seconds, NULL);
	return number > 0 && load.end > load.began;
}

int main(int argc, char **argv)
{
	net_init(&load.net);
	if (argc != 8 || !read_server(argv[1], argv[2]) || !read_mechanism(argv[3]) ||
	    !read_user(str_of(argv[4]), str_of(argv[5])) || !read_load(argv[6], argv[7])) {
		fputs("login_load PORT tls|clear MECHANISM NAME PASSWORD LOAD SECONDS\n", stderr);
		return 2;
	}
	timer_init(&load.tick, &load.net, on_tick);
	timer_set(&load.tick, TICK_MS);
	net_run(&load.net);
	report();
	return load.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
