// helper_probe.c: a few questions to helpers of its own, one after the other.  See
// helper_probe.h.
//
//     nobody -> [winbind says nothing] -> alive     is it down, or are we not let in?
//        +----> [all well] -> domain                if one is configured
//
// Each helper gets one question and the end of its input, so its answer is whatever it
// writes until it ends, complaints included.
#include "proxy/server/helper_probe.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/verify/helper_domain.h"
#include "backends/verify/helper_question.h"
#include "backends/verify/helper_reply.h"
#include "proxy/server/clock.h"

// What ntlm_auth says when winbind is down, and when it does not let us ask.
#define NO_WINBIND STR("Reading winbind reply failed!")

enum step { STEP_NOBODY, STEP_ALIVE, STEP_DOMAIN };

static struct str said(const struct helper_probe *probe)
{
	return (struct str){probe->said, probe->len};
}

static struct str first_line(struct str text)
{
	struct str line, rest;
	str_cut(text, '\n', &line, &rest);
	return line;
}

// ---- one question -------------------------------------------------------

static void end_step(struct helper_probe *probe)
{
	if (probe->output >= 0)
		close(probe->output);
	probe->output = -1;
	probe->deadline_ms = CLOCK_NEVER;
}

// What cannot be started says nothing, and that will be told.
static void ask(
    struct helper_probe *probe, enum step step, const char *protocol, struct str question)
{
	int ends[2];
	probe->step = step;
	probe->len = 0;
	probe->deadline_ms = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return;
	probe->output = ends[0];
	probe->pid = helper_command_start(probe->command, protocol, ends[1], ends[1]);
	probe->deadline_ms = clock_ms() + probe->timeout_ms;
	send(ends[0], question.at, question.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(ends[0], SHUT_WR);
	close(ends[1]);
}

// True when there will be no more.
static bool read_answer(struct helper_probe *probe, uint64_t now_ms)
{
	ssize_t n = 0;
	while (probe->output >= 0 && probe->len < sizeof(probe->said) &&
	       (n = recv(probe->output, probe->said + probe->len, sizeof(probe->said) - probe->len,
	            MSG_DONTWAIT)) > 0)
		probe->len += (size_t)n;
	probe->is_late = n < 0 && now_ms >= probe->deadline_ms;
	if (probe->is_late && probe->pid > 0)
		kill(probe->pid, SIGKILL);
	return n >= 0 || probe->is_late;
}

// ---- what it means ------------------------------------------------------

static void ask_about_nobody(struct helper_probe *probe)
{
	struct helper_question question = helper_question_about_nobody(str_of(probe->domain));
	struct buf text = {0};
	// A domain that cannot be asked about gets no answer.
	(void)!helper_question_write(&question, &text);
	ask(probe, STEP_NOBODY, "ntlm-server-1", buf_str(&text));
	buf_done(&text);
}

// In this form ntlm_auth needs winbind before it asks, and complains when there is none.
static void ask_whether_alive(struct helper_probe *probe)
{
	ask(probe, STEP_ALIVE, "ntlm-server-1",
	    STR("Username:: KnBvcGdhdGUq\nPassword:: eA==\n.\n"));
}

static enum helper_finding unusable(const struct helper_probe *probe, struct text *why)
{
	struct str line = first_line(said(probe));
	if (probe->is_late)
		text_addf(why,
		    "%s does not answer within %llu ms; winbindd or the domain controller hangs",
		    probe->command->path, (unsigned long long)probe->timeout_ms);
	else if (line.len)
		text_addf(why, "%s says: %.*s", probe->command->path, STR_ARG(line));
	else
		text_addf(why, "%s ended without an answer", probe->command->path);
	return HELPER_FINDING_unusable;
}

static enum helper_finding judge_nobody(struct helper_probe *probe, struct text *why)
{
	struct helper_reply reply = {0};
	enum helper_progress progress;
	helper_reply_begin(&reply);
	helper_reply_take(&reply, said(probe), &progress);
	struct str reason = helper_reply_said(&reply);
	if (progress != HELPER_WHOLE || probe->is_late || reply.accepted)
		return unusable(probe, why);
	if (str_eq(reason, NO_WINBIND)) {
		ask_whether_alive(probe);
		return HELPER_FINDING_none;
	}
	if (!helper_refusal(reason)) {
		text_addf(why, "it says: %.*s", STR_ARG(reason));
		return HELPER_FINDING_unusable;
	}
	ask(probe, STEP_DOMAIN, HELPER_DOMAIN_PROTOCOL, helper_domain_question());
	return HELPER_FINDING_none;
}

static enum helper_finding judge_alive(struct helper_probe *probe, struct text *why)
{
	bool complains = !str_eq(said(probe), STR("Authenticated: No\n.\n"));
	if (complains)
		text_addf(why, "it does not answer; is winbindd running?");
	else if (probe->command->identity.change)
		text_addf(why, "it does not let the helpers ask about NTLM; group must be the "
		               "one that its "
		               "directory winbindd_privileged has");
	else
		text_addf(why,
		    "it does not let the helpers ask about NTLM; popgate was not started as "
		    "root, so its user must be in the group that the directory "
		    "winbindd_privileged has");
	return HELPER_FINDING_unusable;
}

static enum helper_finding judge_domain(struct helper_probe *probe, struct text *why)
{
	char room[256];
	struct text own = TEXT(room);
	if (!helper_domain_parse(said(probe), &own))
		return unusable(probe, why);
	if (!probe->domain[0] || str_eq_nocase(text_str(&own), str_of(probe->domain))) {
		text_addf(why, "the domain is %s", room);
		return HELPER_FINDING_ready;
	}
	text_addf(why,
	    "domain is %s, and winbind's own is %s; that is right only where %s trusts %s",
	    probe->domain, room, room, probe->domain);
	return HELPER_FINDING_domain;
}

// ---- the whole ----------------------------------------------------------

void helper_probe_init(struct helper_probe *probe)
{
	*probe = (struct helper_probe){.output = -1, .deadline_ms = CLOCK_NEVER};
}

void helper_probe_start(struct helper_probe *probe, struct helper_command *command,
    const struct winbind_options *options)
{
	helper_probe_stop(probe);
	probe->command = command;
	probe->domain = str_dup(str_of(options->domain));
	probe->timeout_ms = options->timeout;
	ask_about_nobody(probe);
}

enum helper_finding helper_probe_tick(struct helper_probe *probe, uint64_t now_ms, struct text *why)
{
	static enum helper_finding (*const judge[])(struct helper_probe *, struct text *) = {
	    [STEP_NOBODY] = judge_nobody,
	    [STEP_ALIVE] = judge_alive,
	    [STEP_DOMAIN] = judge_domain,
	};
	if (!probe->command || !read_answer(probe, now_ms))
		return HELPER_FINDING_none;
	end_step(probe);
	enum helper_finding finding = judge[probe->step](probe, why);
	if (finding != HELPER_FINDING_none)
		helper_probe_stop(probe);
	return finding;
}

void helper_probe_reaped(struct helper_probe *probe, pid_t pid)
{
	if (probe->pid == pid)
		probe->pid = 0;
}

void helper_probe_stop(struct helper_probe *probe)
{
	if (probe->output >= 0 && probe->pid > 0)
		kill(probe->pid, SIGKILL);
	end_step(probe);
	helper_command_free(&probe->command);
	free(probe->domain);
	helper_probe_init(probe);
}

static enum helper_finding wait_for_finding(struct helper_probe *probe, struct text *why)
{
	enum helper_finding finding = HELPER_FINDING_none;
	while (finding == HELPER_FINDING_none) {
		struct pollfd output = {probe->output, POLLIN, 0};
		uint64_t now = clock_ms();
		if (now < probe->deadline_ms)
			(void)poll(&output, 1, (int)(probe->deadline_ms - now));
		finding = helper_probe_tick(probe, clock_ms(), why);
	}
	return finding;
}

enum helper_finding helper_probe_run(const struct config *config, struct text *why)
{
	struct sandbox_identity identity;
	struct helper_probe probe;
	struct helper_command *command = NULL;
	if (sandbox_look_up(str_of(config->site.user), str_of(config->site.group), &identity, why))
		command = helper_command_new(&config->winbind, &identity, why);
	if (!command)
		return HELPER_FINDING_none;
	helper_probe_init(&probe);
	helper_probe_start(&probe, command, &config->winbind);
	return wait_for_finding(&probe, why);
}
