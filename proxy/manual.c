// manual.c: prints what is made from the program's own tables: `manual
// manual` the page popgate(8) in mdoc, `manual phases` the diagram of a
// session's phases for the README, `manual reasons` the table of reasons.
//
// Run by the build; not part of what is installed.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/verbs.h"

struct row {
	const char *name;
	const char *detail;
	const char *sentence;
};

struct option_row {
	struct row row;
	unsigned verbs; // those that take it
	size_t most;    // how often it may be given
};

#define COMMAND(name, arguments, sentence, function) {#name, arguments, sentence},
static const struct row commands[] = {
#include "proxy/commands.def"
    {0}};
#undef COMMAND

#define USER_VERB(name, ...) USER_VERB_##name,
enum user_verb {
#include "proxy/user_verbs.def"
};
#undef USER_VERB

#define USER_VERB(name, operand, sentence) {#name, operand, sentence},
static const struct row user_verbs[] = {
#include "proxy/user_verbs.def"
    {0}};
#undef USER_VERB

#define ON(verb) (1u << USER_VERB_##verb)
#define USER_OPTION(name, option, argument, verbs, sentence)                                       \
	{{option, argument, sentence}, verbs, 1},
static const struct option_row user_options[] = {
#include "proxy/user_options.def"
    {{0}, 0, 0}};
#undef USER_OPTION
#undef ON

#define CERT_VERB(name, ...) CERT_VERB_##name,
enum cert_verb {
#include "proxy/cert_verbs.def"
};
#undef CERT_VERB

#define CERT_VERB(name, word, operand, sentence) {word, operand, sentence},
static const struct row cert_verbs[] = {
#include "proxy/cert_verbs.def"
    {0}};
#undef CERT_VERB

#define ON(verb) (1u << CERT_VERB_##verb)
#define CERT_OPTION(name, option, argument, most, verbs, sentence)                                 \
	{{option, argument, sentence}, verbs, most},
static const struct option_row cert_options[] = {
#include "proxy/cert_options.def"
    {{0}, 0, 0}};
#undef CERT_OPTION
#undef ON

#define FINDING(token, severity, sentence, effect, step)                                           \
	{#token, #severity, sentence " " effect " " step},
static const struct row findings[] = {
#include "certs/findings.def"
    {0}};
#undef FINDING

#define USER_FIELD(name, secret, how) {#name, "", how},
static const struct row user_fields[] = {
#include "backends/users/fields.def"
    {0}};
#undef USER_FIELD

#define EVENT(token, level, sentence) {#token, #level, sentence},
static const struct row events[] = {
#include "proxy/base/events.def"
    {0}};
#undef EVENT

#define REASON(token, reply, end, sentence) {#token, #end, sentence},
static const struct row reasons[] = {
#include "proxy/session/reasons.def"
    {0}};
#undef REASON

#define SUFFIX_counter "_total"
#define SUFFIX_gauge ""
#define METRIC(token, kind, cells, label, help) {"popgate_" #token SUFFIX_##kind, label, help},
#define FACT(token, label, help) {"popgate_" #token, label, help},
static const struct row metrics[] = {
#include "proxy/base/metrics.def"
    {0}};
#undef METRIC
#undef FACT

#define RULE_KIND(kind, items, most, wanted) {#kind, "", wanted},
static const struct row rule_kinds[] = {
#include "policy/rule_kinds.def"
    {0}};
#undef RULE_KIND

#define SIGNAL(name, sentence)                                                                     \
	{                                                                                          \
#name, "", sentence                                                                \
	}
static const struct row signals[] = {
    SIGNAL(SIGHUP, "Read the configuration again and start workers with it; running sessions go on "
                   "in the old ones. A file with a problem changes nothing."),
    SIGNAL(SIGUSR2, "Execute the binary again in place: the same process id, no listening socket "
                    "closed, no session ended. The new binary must first pass its own check."),
    SIGNAL(SIGTERM, "Accept nothing more, let sessions finish for drain_timeout, then end them and "
                    "stop. A second one stops at once. SIGINT and SIGQUIT do the same."),
    {0}};
#undef SIGNAL

#define PHASE(name, input, deadline, successors) PHASE_##name,
enum phase {
#include "proxy/session/phases.def"
	PHASES
};
#undef PHASE

#define TO(name) (1u << PHASE_##name)
#define PHASE(name, input, deadline, successors) {#name, successors},
static const struct {
	const char *name;
	unsigned successors;
} phases[PHASES] = {
#include "proxy/session/phases.def"
};
#undef PHASE
#undef TO

static void print_rows(const struct row *rows, const char *about)
{
	puts(".Bl -tag -width Ds");
	for (; rows->name; rows++)
		printf(".It %s %s%s%s%s\n%s\n", about, rows->name, rows->detail[0] ? " No \"" : "",
		    rows->detail, rows->detail[0] ? "\"" : "", rows->sentence);
	puts(".El");
}

static void print_rules(void)
{
	puts(".Sh RULES\nA rule of a policy is written\n.Pp\n.D1 Oo Cm audit Oc Cm allow | deny Ar "
	     "kind argument ... Oo Cm until Ar YYYY-MM-DD Oc Oo Cm because Ar text Oc\n.Pp\n"
	     "and an exception from the login methods of a listener\n.Pp\n"
	     ".D1 Cm allow Ar method , Ns ... kind argument ... Oo Cm until Ar YYYY-MM-DD Oc Oo Cm "
	     "because Ar text Oc\n.Pp\n"
	     "The first rule that matches decides, but for\n.Cm audit\nrules, which are only "
	     "logged. The day of\n.Cm until\nis the last on which a rule matches. Behind each kind "
	     "stands:");
	print_rows(rule_kinds, "Cm");
	puts(".Sh TABLES OF VERDICTS\nA line of the table for\n.Cm policy test\nis an address, "
	     "what should become of it\n.Pq Cm allow No or Cm deny ,\nand the listener; all of "
	     "them when none is named. An arrow\n.Pq Li ->\nmay stand before the verdict, and a "
	     "comment behind\n.Li # .");
}

static void print_names(void)
{
	puts(".Sh NAMES AND MAILBOXES\nClients may write a name as\n.Ar user , user@domain ,\n"
	     ".Ar DOMAIN\\euser\nor\n.Ar DOMAIN/user ,\nand that of a mailbox which is not "
	     "their own as\n.Ar DOMAIN\\euser\\emailbox\nor\n.Ar DOMAIN/user/mailbox .\n"
	     "A rule of a listener's\n.Cm map\nsays where the mailbox is and what it is called "
	     "there:\n.Pp\n"
	     ".D1 Ar name Cm to Ar mailbox Oo Cm at Ar backend Oc Oo Cm because Ar text Oc\n"
	     ".D1 Cm file Ar path Oo Cm because Ar text Oc\n.Pp\n"
	     "In a name\n.Li *\nstands for any part:\n.Ql LAB\\e* ,\n.Ql *@contoso.com ,\n"
	     ".Ql LAB\\eanna\\e* ;\nalone it stands for every name without a mailbox. A part that "
	     "is not written must not be there. Case does not matter, nor how the client writes "
	     "the name. In a mailbox\n.Li {user} , {domain}\nand\n.Li {mailbox}\nstand for these "
	     "parts in small letters,\n.Li {login}\nfor all that the client wrote. A line of a "
	     "file has a name, the mailbox and maybe a backend, and a comment behind\n.Li # ;\nit "
	     "is "
	     "read again at a reload. The first rule that matches decides.\n.Pp\n"
	     "Without one, a name goes to the listener's backend: as the client wrote it where the "
	     "store judges the login, else the user without domain in small letters. What\n"
	     ".Cm popgate user\nkeeps of a user goes before the map. A domain that the client has "
	     "said, but that does not stand with the user there, does not count.");
}

static void print_verb_row(const struct row *row, const char *macro)
{
	printf(".It %s%s%s%s\n%s\n", macro, row->name, row->detail[0] ? " Ar " : "", row->detail,
	    row->sentence);
}

static void print_bounds(const struct row *verbs, const struct option_row *option)
{
	const char *before = "For ";
	if (option->most > 1)
		printf("At most %zu times.\n", option->most);
	for (size_t i = 0; verbs[i].name; i++)
		if (option->verbs & 1u << i) {
			printf("%s%s", before, verbs[i].name);
			before = ", ";
		}
	puts(".");
}

static void print_verbs(const struct row *verbs, const struct option_row *options)
{
	puts(".Bl -tag -width Ds");
	for (const struct row *row = verbs; row->name; row++)
		print_verb_row(row, "Cm ");
	puts(".El\n.Pp\nand its options:\n.Bl -tag -width Ds");
	for (; options->row.name; options++) {
		print_verb_row(&options->row, "Fl -");
		print_bounds(verbs, options);
	}
	puts(".El");
}

static void print_users(void)
{
	puts(".Sh USERS\n.Cm popgate user\nkeeps users of popgate's own in the database that the "
	     "configuration names. Running workers see each change at once. Its verbs are:");
	print_verbs(user_verbs, user_options);
	puts(".Pp\nA user is named\n.Ar user\nor\n.Ar user@domain ;\nwho logs in with a domain is "
	     "looked for with it first, and then without. Capital and small letters are the same.\n"
	     "The first line of a CSV file has the names of its columns:\n.Cm name ,\nand any of "
	     "these:");
	print_rows(user_fields, "Cm");
	puts(".Pp\nAll passwords and hashes are sealed with the key in the key file: keep a copy "
	     "of it, "
	     "apart from copies of the database. To put a copy of the database in its place, move\n"
	     ".Pq mv\na file there, and reload; never write over the file. A copy is taken by\n"
	     ".Xr cp 1\nwhile no\n.Cm popgate user\nruns, or by\n.Xr mdb_copy 1 .");
}

static void print_certificates(void)
{
	puts(".Sh CERTIFICATES\n.Cm popgate cert\ngets certificates, puts them in their places "
	     "and judges them. Its verbs are:");
	print_verbs(cert_verbs, cert_options);
	puts(".Pp\nA renewed pair is written beside the old one and renamed into its place; the "
	     "old one "
	     "is kept under the same names with\n.Pa .old\nbehind. What\n.Cm check\nfinds is an "
	     "error, of which clients complain, or a remark:");
	print_rows(findings, "Li");
}

static void print_metrics(void)
{
	puts(".Sh METRICS\nWhere the configuration has\n.Cm listen\nunder\n.Cm metrics ,\n"
	     "these numbers can be read at that address by\n.Li GET /metrics ,\nin the text format "
	     "of Prometheus. Those that end in\n.Li _total\nonly grow, over reloads, upgrades and "
	     "the deaths of workers too. Where a label is named, there is a number for each of its "
	     "values:");
	print_rows(metrics, "Li");
	puts(".Pp\nRefusals of the policy, handshakes that failed and limits that were reached are "
	     "reasons of\n.Li popgate_sessions_closed_total .");
}

static void print_manual(void)
{
	puts(".Dd November 21, 2026\n.Dt POPGATE 8\n.Os\n.Sh NAME\n.Nm popgate\n"
	     ".Nd a front door for POP3\n.Sh SYNOPSIS\n.Nm\n.Ar command\n.Op Ar argument ...\n"
	     ".Sh DESCRIPTION\n.Nm\nstands before a POP3 store and gives it what it lacks: TLS, "
	     "a say\nin who may connect, a login policy, limits and a log. Once a client has "
	     "logged in, its session is relayed.\n"
	     "The commands are:");
	print_rows(commands, "Cm");
	puts(".Pp\nWhere\n.Fl c Ar FILE\nis not given, the configuration is\n"
	     ".Pa /etc/popgate/popgate.conf .\n.Sh SIGNALS");
	print_rows(signals, "Dv");
	print_rules();
	print_names();
	print_users();
	print_certificates();
	puts(".Sh LOG\nThese events are logged, each with its level:");
	print_rows(events, "Li");
	puts(".Pp\nThe event\n.Li session_closed\nis the one line that each session leaves. Its "
	     "field\n"
	     ".Li reason\nis one of these:");
	for (const struct row *row = reasons; row->name; row++)
		printf("%s.It Li %s\n%s\n", row == reasons ? ".Bl -tag -width Ds\n" : "", row->name,
		    row->sentence);
	puts(".El");
	print_metrics();
	puts(".Sh EXIT STATUS\n0 when all went well, 1 when it did not, 2 when the command "
	     "line was "
	     "wrong.\n.Sh SEE ALSO\n.Xr popgate.conf 5");
}

static void print_phases(void)
{
	puts("```mermaid\nstateDiagram-v2\n    [*] --> proxy: behind a load balancer\n"
	     "    [*] --> handshake: TLS from the first byte\n"
	     "    [*] --> greeting: STLS or none");
	for (enum phase from = 0; from < PHASES; from++)
		for (enum phase to = 0; to < PHASES; to++)
			if (phases[from].successors & 1u << to)
				printf("    %s --> %s\n", phases[from].name, phases[to].name);
	puts("    closing --> [*]\n```");
}

static void print_reasons(void)
{
	puts("| reason | when |\n|---|---|");
	for (const struct row *row = reasons; row->name; row++)
		printf("| `%s` | %s |\n", row->name, row->sentence);
}

static const struct {
	const char *name;
	void (*print)(void);
} outputs[] = {{"manual", print_manual}, {"phases", print_phases}, {"reasons", print_reasons}};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < sizeof(outputs) / sizeof(outputs[0]); i++) {
		if (strcmp(argv[1], outputs[i].name) != 0)
			continue;
		outputs[i].print();
		return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	fputs("usage: manual manual|phases|reasons\n", stderr);
	return EXIT_FAILURE;
}
