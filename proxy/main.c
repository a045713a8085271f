// main.c: the program `popgate`: from the command line to what was asked for.
//
// Exit status: 0 all went well, 1 it did not, 2 the command line was wrong.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "backends/store/store.h"
#include "certs/leaf.h"
#include "policy/report.h"
#include "proxy/base/addr.h"
#include "proxy/cert.h"
#include "proxy/config/render.h"
#include "proxy/explain.h"
#include "proxy/net/fetch.h"
#include "proxy/net/tls.h"
#include "proxy/server/helper_probe.h"
#include "proxy/server/sandbox.h"
#include "proxy/server/metrics_server.h"
#include "proxy/server/staples.h"
#include "proxy/server/supervisor.h"
#include "proxy/session/snapshot.h"
#include "proxy/user.h"

enum { EXIT_USAGE = 2 };

#define DEFAULT_CONFIG "/etc/popgate/popgate.conf"

typedef int command_fn(int argc, char **argv);

#define COMMAND(name, arguments, sentence, function) static command_fn function;
#include "proxy/commands.def"
#undef COMMAND

#define COMMAND(name, arguments, sentence, function) {#name, arguments, sentence, function},
static const struct command {
	const char *name;
	const char *arguments;
	const char *sentence;
	command_fn *run;
} commands[] = {
#include "proxy/commands.def"
};
#undef COMMAND

enum { NUM_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static int complain(const char *what, const char *about)
{
	fprintf(
	    stderr, "popgate: %s%s%s; see `popgate --help`\n", what, about[0] ? " " : "", about);
	return EXIT_USAGE;
}

// The file after -c, or the usual one; NULL when the arguments are wrong.
static const char *config_path(int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {0}};
	const char *path = DEFAULT_CONFIG;
	int option;
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":c:", options, NULL)) != -1) {
		if (option != 'c') {
			complain(option == ':' ? "an argument is missing after" : "unknown option",
			    argv[optind - 1]);
			return NULL;
		}
		path = optarg;
	}
	if (optind == argc)
		return path;
	complain("needless argument", argv[optind]);
	return NULL;
}

static struct snapshot *load(const char *path)
{
	struct problems problems;
	problems_init(&problems);
	struct snapshot *snapshot = snapshot_load(path, &problems);
	if (!snapshot)
		fputs(problems.room, stderr);
	return snapshot;
}

static int do_serve(int argc, char **argv)
{
	const char *path = config_path(argc, argv);
	return path ? supervisor_run(path, argv - 1) : EXIT_USAGE;
}

static void report_policies(
    const struct config *config, const struct rulebook *rulebook, struct problems *warnings)
{
	for (size_t i = 0; i < config->num_policies; i++) {
		printf("policy %s\n", config->policies[i].name);
		policy_report(rulebook->policies->policies[i], rulebook->tables, time(NULL), stdout,
		    warnings);
	}
	for (size_t i = 0; i < config->num_listeners; i++) {
		if (!rulebook->policies->exceptions[i])
			continue;
		printf("login exceptions of listener %s\n", config->listeners[i].name);
		policy_report(rulebook->policies->exceptions[i], rulebook->tables, time(NULL),
		    stdout, warnings);
	}
}

// Winbind may come later, so that it cannot judge now is no problem of the file.
// Without its command or group popgate does not start.
static bool report_winbind(const struct config *config, bool *out_works)
{
	char room[512];
	struct text why = TEXT(room);
	*out_works = true;
	if (!helpers_are_wanted(config))
		return true;
	enum helper_finding finding = helper_probe_run(config, &why);
	*out_works = finding == HELPER_FINDING_ready;
	if (finding == HELPER_FINDING_none)
		fprintf(stderr, "%s: %s\n", config->path, room);
	else
		printf("winbind: %s\n", room);
	const char *exposed = helpers_share_user(config);
	if (exposed)
		printf("winbind: %s\n", exposed);
	return finding != HELPER_FINDING_none;
}

// Not all clients heed it.
static bool report_unstapled(
    const struct certificate_config *config, const struct tls_certificate *certificate)
{
	struct leaf leaf;
	leaf_read(tls_certificate_leaf(certificate), &leaf);
	bool is_missing = leaf.wants_staple && config->options.ocsp == CERTIFICATE_OCSP_off;
	leaf_done(&leaf);
	if (is_missing)
		printf("certificate %s: it asks for OCSP responses (tlsfeature), and ocsp is off; "
		       "clients that look for one refuse it; set ocsp: fetch\n",
		    config->name);
	return is_missing;
}

// Such a file may come later, or a fresher one.
static bool report_staples(const struct snapshot *snapshot)
{
	bool all_good = true;
	for (size_t i = 0; i < snapshot->config->num_certificates; i++) {
		char room[512];
		struct text why = TEXT(room);
		const struct certificate_config *config = &snapshot->config->certificates[i];
		if (!snapshot->certificates[i])
			continue;
		if (report_unstapled(config, snapshot->certificates[i]))
			all_good = false;
		if (config->options.ocsp != CERTIFICATE_OCSP_file ||
		    staples_try_file(snapshot->certificates[i], config->options.ocsp_file, &why))
			continue;
		printf("certificate %s: ocsp_file %s: %s\n", config->name,
		    config->options.ocsp_file, room);
		all_good = false;
	}
	return all_good;
}

static bool report_certificate(
    const struct certificate_config *config, const struct tls_certificate *certificate)
{
	char room[128], what_room[512];
	struct text why = TEXT(room), what = TEXT(what_room);
	struct leaf untimely;
	int64_t now = time(NULL);
	bool is_bad = leaf_find_untimely(tls_certificate_leaf(certificate),
	    tls_certificate_issuer(certificate), now, &untimely, &what);
	leaf_print_invalidity(&untimely, now, &why);
	leaf_done(&untimely);
	if (is_bad)
		printf("certificate %s: %s in %s %s, and clients refuse it; put a valid one "
		       "there, or, where the clock is wrong, set it\n",
		    config->name, what_room, config->options.chain, room);
	return !is_bad;
}

// They are served all the same, since it may be the clock that is wrong.
static bool report_certificates(const struct snapshot *snapshot)
{
	bool all_good = true;
	for (size_t i = 0; i < snapshot->config->num_certificates; i++)
		if (snapshot->certificates[i])
			all_good &= report_certificate(
			    &snapshot->config->certificates[i], snapshot->certificates[i]);
	return all_good;
}

// Somebody may want it so; the log says it too.
static bool report_metrics(const struct config *config)
{
	struct addr addr;
	bool is_exposed =
	    addr_parse(str_of(config->metrics.listen), 0, &addr) && !addr_is_loopback(&addr);
	if (is_exposed)
		printf("metrics: listen %s: everybody who reaches this address can read the "
		       "numbers, which have no password and no TLS; give an address of this "
		       "machine alone, such as 127.0.0.1, or have a firewall keep it\n",
		    config->metrics.listen);
	return !is_exposed;
}

// What the rules cover, and what should be looked at though it is no problem.
static int report(const char *path, const struct snapshot *snapshot)
{
	struct problems warnings;
	bool winbind_works;
	problems_init(&warnings);
	report_policies(snapshot->config, &snapshot->rulebook, &warnings);
	if (!report_winbind(snapshot->config, &winbind_works))
		return EXIT_FAILURE;
	bool certificates_are_valid = report_certificates(snapshot);
	bool staples_are_good = report_staples(snapshot);
	bool metrics_are_kept = report_metrics(snapshot->config);
	fputs(warnings.room, stdout);
	printf("%s: no problems", path);
	if (warnings.num)
		printf(", but %u of the rules should be looked at", warnings.num);
	if (!winbind_works)
		printf(", but winbind should be looked at");
	if (!certificates_are_valid)
		printf(", but certificates should be looked at");
	if (!staples_are_good)
		printf(", but OCSP responses should be looked at");
	if (!metrics_are_kept)
		printf(", but metrics should be looked at");
	printf("\n");
	return EXIT_SUCCESS;
}

static bool keys_are_sound(const struct snapshot *snapshot)
{
	struct problems problems;
	problems_init(&problems);
	snapshot_check_keys(snapshot, &problems);
	fputs(problems.room, stderr);
	return !problems.num;
}

// As root alone, who would start popgate.
static bool workers_user_is_sound(const struct config *config)
{
	char room[512];
	struct text why = TEXT(room);
	struct sandbox_identity identity;
	bool is_sound =
	    sandbox_look_up(str_of(config->site.user), str_of(config->site.group), &identity, &why);
	if (!is_sound)
		fprintf(stderr, "%s: %s\n", config->path, room);
	return is_sound;
}

static int do_check(int argc, char **argv)
{
	const char *path = config_path(argc, argv);
	if (!path)
		return EXIT_USAGE;
	struct snapshot *snapshot = load(path);
	if (!snapshot)
		return EXIT_FAILURE;
	bool is_sound = workers_user_is_sound(snapshot->config) & keys_are_sound(snapshot);
	int status = is_sound ? report(path, snapshot) : EXIT_FAILURE;
	snapshot_free(&snapshot);
	return status;
}

static int do_config(int argc, char **argv)
{
	const char *path = config_path(argc, argv);
	struct problems problems;
	if (!path)
		return EXIT_USAGE;
	problems_init(&problems);
	struct config *config = config_load(path, &problems);
	if (!config) {
		fputs(problems.room, stderr);
		return EXIT_FAILURE;
	}
	bool printed = config_render_effective(config, stdout);
	config_free(&config);
	return printed ? EXIT_SUCCESS : EXIT_FAILURE;
}

// False when an option is wrong, which has been said.  What is no option comes
// to stand behind the options, from optind on.
static bool read_explain_options(int argc, char **argv, struct explain_options *out)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
	    {"listener", required_argument, NULL, 'l'}, {"user", required_argument, NULL, 'u'},
	    {"server-name", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'}, {0}};
	int option;
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":c:", options, NULL)) != -1)
		switch (option) {
		case 'c': out->config = optarg; break;
		case 'l': out->listener = optarg; break;
		case 'u': out->user = optarg; break;
		case 's': out->server_name = optarg; break;
		case 'j': out->json = true; break;
		default:
			complain(option == ':' ? "an argument is missing after" : "unknown option",
			    argv[optind - 1]);
			return false;
		}
	return true;
}

static int do_explain(int argc, char **argv)
{
	struct explain_options options = {.config = DEFAULT_CONFIG};
	if (!read_explain_options(argc, argv, &options))
		return EXIT_USAGE;
	if (optind + 1 != argc)
		return optind == argc ? complain("which address?", "")
		                      : complain("needless argument", argv[argc - 1]);
	options.address = argv[optind];
	return explain_run(&options);
}

static int do_policy(int argc, char **argv)
{
	struct explain_options options = {.config = DEFAULT_CONFIG};
	if (!read_explain_options(argc, argv, &options))
		return EXIT_USAGE;
	bool is_test = optind + 2 == argc && !strcmp(argv[optind], "test");
	if (!is_test || options.listener || options.user || options.server_name || options.json)
		return complain("say `popgate policy test TABLE`", "");
	return policy_test_run(options.config, argv[optind + 1]);
}

static int do_user(int argc, char **argv)
{
	return user_run(argc, argv, DEFAULT_CONFIG);
}

static int do_cert(int argc, char **argv)
{
	return cert_run(argc, argv, DEFAULT_CONFIG);
}

static int do_store(int argc, char **argv)
{
	return store_run(argc, argv);
}

static int do_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("popgate: a front door for POP3: TLS, a login policy and limits before a mail "
	     "store\n\nusage:");
	for (size_t i = 0; i < NUM_COMMANDS; i++)
		printf("  popgate %s%s%s\n      %s\n", commands[i].name,
		    commands[i].arguments[0] ? " " : "", commands[i].arguments,
		    commands[i].sentence);
	printf("\n-c FILE, --config FILE: the configuration (" DEFAULT_CONFIG
	       "), see popgate.conf(5)\n"
	       "signals to `popgate serve`: HUP reload, USR2 upgrade the binary in place,\n"
	       "TERM drain and stop, TERM again stop at once\n");
	return ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int do_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("popgate " POPGATE_VERSION " (%s)\n", tls_library());
	return EXIT_SUCCESS;
}

static const struct command *find_command(const char *name)
{
	static const struct {
		const char *option, *command;
	} synonyms[] = {{"--help", "help"}, {"-h", "help"}, {"--version", "version"}};
	for (size_t i = 0; i < sizeof(synonyms) / sizeof(synonyms[0]); i++)
		if (!strcmp(name, synonyms[i].option))
			name = synonyms[i].command;
	for (size_t i = 0; i < NUM_COMMANDS; i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[0], FETCH_NAME))
		return fetch_run(argv[1]);
	if (argc == 1 && !strcmp(argv[0], METRICS_NAME))
		return metrics_server_run(POPGATE_VERSION);
	if (argc < 2)
		return complain("what to do?", "");
	const struct command *command = find_command(argv[1]);
	return command ? command->run(argc - 1, argv + 1) : complain("unknown command", argv[1]);
}
