// winbind_bench.c: how many logins a second winbind judges: by one helper alone, asked
// without a pause, and by a worker's pool of several.
//
//     winbind_bench HELPERS DOMAIN USER PASSWORD COMMAND [ARGUMENT]...
//
// The user who runs it must be in the group winbindd_priv.  The same NTLMv2 response is
// asked again and again: a helper remembers nothing.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/verify/helper_reply.h"
#include "backends/verify/winbind.h"
#include "proxy/base/die.h"
#include "proxy/pop3/ntlm/crypto.h"
#include "proxy/pop3/ntlm/unicode.h"
#include "tests/bench/figures.h"

enum { SECONDS = 5, IN_FLIGHT_PER_HELPER = 4, TIMEOUT_MS = 5000 };

static struct bench {
	char **command;
	struct str user, domain, password;
	struct ntlm_question question;
	char response[NTLM_KEY + 28 + 4]; // proof, temp without AV pairs but their end
	struct net net;
	struct winbind *winbind;
	struct net_task supply;
	size_t wanted;
	uint64_t judged;
	uint64_t failed;
	double end_s;
	size_t running;
} bench;

static int start_helper(void)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		exit(EXIT_FAILURE);
	if (fork() == 0) {
		dup2(ends[1], STDIN_FILENO);
		dup2(ends[1], STDOUT_FILENO);
		execv(bench.command[0], bench.command);
		_exit(EXIT_FAILURE);
	}
	close(ends[1]);
	return ends[0];
}

static void make_question(void)
{
	uint8_t hash[NTLM_KEY], key[NTLM_KEY];
	char user_room[256], upper_room[256], domain_room[256];
	struct text user = TEXT(user_room), upper = TEXT(upper_room), domain = TEXT(domain_room);
	char *temp = bench.response + NTLM_KEY;
	temp[0] = temp[1] = 1;
	struct str rest = {temp, sizeof(bench.response) - NTLM_KEY};
	if (!ntlm_nt_hash(bench.password, hash) || !ntlm_utf16_from(bench.user, &user) ||
	    !ntlm_utf16_from(bench.domain, &domain))
		exit(EXIT_FAILURE);
	ntlm_upper(text_str(&user), &upper);
	ntlm_key_v2(hash, text_str(&upper), text_str(&domain), key);
	ntlm_proof_v2(key, bench.question.challenge, rest, (uint8_t *)bench.response);
	bench.question.nt = (struct str){bench.response, sizeof(bench.response)};
	bench.question.user = bench.user;
	bench.question.domain = bench.domain;
}

// ---- one alone ----------------------------------------------------------

static bool ask_alone(int fd, struct str question, struct helper_reply *reply)
{
	enum helper_progress progress = HELPER_MORE;
	char said[1024];
	size_t used = 0, len = 0;
	helper_reply_begin(reply);
	if (write(fd, question.at, question.len) != (ssize_t)question.len)
		return false;
	while (progress == HELPER_MORE) {
		ssize_t n = read(fd, said + len, sizeof(said) - len);
		if (n <= 0)
			return false;
		len += (size_t)n;
		used += helper_reply_take(reply, (struct str){said + used, len - used}, &progress);
	}
	return progress == HELPER_WHOLE && reply->accepted;
}

static void measure_alone(void)
{
	struct helper_question question = {.about = bench.question};
	struct helper_reply reply = {0};
	struct buf text = {0};
	int fd = start_helper();
	if (!helper_question_write(&question, &text) || !ask_alone(fd, buf_str(&text), &reply)) {
		fprintf(stderr, "refused: %.*s\n", STR_ARG(helper_reply_said(&reply)));
		exit(EXIT_FAILURE);
	}
	double begin = now_s();
	uint64_t num = 0;
	for (; now_s() < begin + SECONDS; num++)
		if (!ask_alone(fd, buf_str(&text), &reply))
			exit(EXIT_FAILURE);
	print("one helper alone", (double)num / (now_s() - begin), "logins/s");
	buf_done(&text);
	close(fd);
}

// ---- a pool -------------------------------------------------------------

static void run_supply(struct net_task *task)
{
	(void)task;
	for (; bench.wanted; bench.wanted--)
		winbind_add_helper(bench.winbind, start_helper());
}

static void want_helper(void *context)
{
	(void)context;
	bench.wanted++;
	net_defer(&bench.net, &bench.supply);
}

static void on_done(struct winbind_request *request, enum winbind_result result)
{
	bench.judged++;
	bench.failed += result != WINBIND_ACCEPTED;
	if (now_s() < bench.end_s)
		winbind_start(request);
	else if (--bench.running == 0)
		winbind_close(bench.winbind);
}

static void measure_pool(size_t helpers)
{
	char what[64];
	struct winbind_settings settings = {
	    .helpers = helpers, .timeout_ms = TIMEOUT_MS, .want_helper = want_helper};
	size_t num = helpers * IN_FLIGHT_PER_HELPER;
	struct winbind_request *requests = xcalloc(num, sizeof(*requests));
	net_init(&bench.net);
	bench.supply.run = run_supply;
	bench.winbind = winbind_open(&bench.net, &settings);
	double begin = now_s();
	bench.end_s = begin + SECONDS;
	bench.judged = bench.failed = 0;
	bench.running = num;
	for (size_t i = 0; i < num; i++) {
		requests[i].winbind = bench.winbind;
		requests[i].question.about = bench.question;
		requests[i].on_done = on_done;
		winbind_start(&requests[i]);
	}
	net_run(&bench.net);
	snprintf(what, sizeof(what), "a pool of %zu, %llu failed", helpers,
	    (unsigned long long)bench.failed);
	print(what, (double)bench.judged / (now_s() - begin), "logins/s");
	net_done(&bench.net);
	winbind_free(&bench.winbind);
	free(requests);
}

int main(int argc, char **argv)
{
	if (argc < 6) {
		fprintf(stderr, "usage: %s HELPERS DOMAIN USER PASSWORD COMMAND [ARGUMENT]...\n",
		    argv[0]);
		return EXIT_FAILURE;
	}
	uint64_t helpers;
	if (!str_to_u64(str_of(argv[1]), &helpers))
		return EXIT_FAILURE;
	signal(SIGCHLD, SIG_IGN);
	bench.domain = str_of(argv[2]);
	bench.user = str_of(argv[3]);
	bench.password = str_of(argv[4]);
	bench.command = argv + 5;
	make_question();
	measure_alone();
	for (size_t num = 1; num <= helpers; num *= 2)
		measure_pool(num);
	return EXIT_SUCCESS;
}
