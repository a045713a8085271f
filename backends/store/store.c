// store.c: the sample store as a program: its options, its password, its
// listening socket.  See store.h.
//
// A password is never an option: the command line is for all to read.
#include "backends/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/store/maildir.h"
#include "backends/store/store_session.h"
#include "proxy/base/addr.h"
#include "proxy/net/listen.h"

enum {
	BACKLOG = 1024,
	PASSWORD_MAX = 255,
	EXIT_USAGE = 2,
};

struct options {
	const char *maildir;
	const char *user;
	const char *password_file;
	const char *listen;
};

static const struct row {
	const char *name;
	const char *value;
	size_t member;
	const char *sentence;
} rows[] = {
    {"--maildir", "DIR", offsetof(struct options, maildir),
        "The Maildir to serve, with its folders new and cur."},
    {"--user", "NAME", offsetof(struct options, user), "The one user; demo when not given."},
    {"--password-file", "FILE", offsetof(struct options, password_file),
        "A file whose first line is the password; without it, the password is demo."},
    {"--listen", "ADDR:PORT", offsetof(struct options, listen),
        "A loopback address, 127.0.0.1:1110 when not given; port 0 takes any free one."},
};

enum { NUM_ROWS = sizeof(rows) / sizeof(rows[0]) };

static void print_help(void)
{
	puts("Usage: popgate store --maildir DIR [OPTION...]\n\n"
	     "Serves a Maildir over POP3.  It is a sample for trying popgate out, not a store for\n"
	     "real mail: one user, no TLS, loopback addresses only.  Its address is printed as\n"
	     "\"listening on ADDR:PORT\".\n");
	for (size_t i = 0; i < NUM_ROWS; i++)
		printf("  %s %s\n      %s\n", rows[i].name, rows[i].value, rows[i].sentence);
}

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("popgate store: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

// ---- options ------------------------------------------------------------

static const char **find_option(struct options *options, const char *name)
{
	for (size_t i = 0; i < NUM_ROWS; i++)
		if (strcmp(rows[i].name, name) == 0)
			return (const char **)((char *)options + rows[i].member);
	return NULL;
}

static bool parse_options(struct options *options, int argc, char **argv)
{
	*options = (struct options){.user = "demo", .listen = "127.0.0.1:1110"};
	for (int i = 1; i < argc; i += 2) {
		const char **option = find_option(options, argv[i]);
		if (!option || i + 1 == argc) {
			complain(
			    option ? "%s needs a value; see --help" : "%s is no option; see --help",
			    argv[i]);
			return false;
		}
		*option = argv[i + 1];
	}
	if (!options->maildir)
		complain("say which Maildir to serve: --maildir DIR");
	return options->maildir != NULL;
}

static bool parse_address(struct addr *addr, const char *text)
{
	if (!addr_parse(str_of(text), 0, addr)) {
		complain("--listen %s: write it as ADDR:PORT, for example 127.0.0.1:1110", text);
		return false;
	}
	if (!addr_is_loopback(addr)) {
		complain("--listen %s: this sample store has no TLS and listens on loopback "
		         "addresses only, "
		         "such as 127.0.0.1 and [::1]; let popgate serve the others",
		    text);
		return false;
	}
	return true;
}

// ---- what it needs ------------------------------------------------------

static bool read_password(struct secret *password, const char *path)
{
	char room[PASSWORD_MAX + 1];
	struct str line, rest;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, room, sizeof(room));
	if (n < 0)
		complain("the password file %s cannot be read: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return false;
	str_cut((struct str){room, (size_t)n}, '\n', &line, &rest);
	bool usable = line.len > 0 && line.len <= PASSWORD_MAX && !str_has_control(line);
	if (usable)
		secret_set(password, line);
	else
		complain("the first line of %s must be the password, 1 to %d bytes, no control "
		         "characters",
		    path, PASSWORD_MAX);
	explicit_bzero(room, sizeof(room));
	return usable;
}

static bool prepare_password(struct secret *password, const struct options *options)
{
	if (options->password_file)
		return read_password(password, options->password_file);
	secret_set(password, STR("demo"));
	complain("no --password-file is given; the password of %s is demo", options->user);
	return true;
}

static bool check_maildir(const char *path)
{
	char room[256];
	struct text why = TEXT(room);
	struct maildir maildir;
	bool opened = maildir_open(&maildir, path, &why);
	if (opened)
		maildir_close(&maildir);
	else
		complain("--maildir %s: %s", path, why.at);
	return opened;
}

// Accepted sockets inherit the options of the listening one.
static int open_socket(const struct addr *addr)
{
	int on = 1;
	int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, &addr->any, addr_len(addr)) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	close(fd);
	return -1;
}

// Tests and the demo wait for this line and read the port from it.
static void print_address(int fd)
{
	struct sockaddr_storage bound;
	socklen_t len = sizeof(bound);
	char room[ADDR_TEXT_SIZE];
	struct text text = TEXT(room);
	getsockname(fd, (struct sockaddr *)&bound, &len);
	struct addr addr = addr_of((struct sockaddr *)&bound);
	addr_print(&addr, &text);
	printf("listening on %s\n", text.at);
	fflush(stdout);
}

// ---- serving ------------------------------------------------------------

static void on_accepted(struct listen *listen, int fd, const struct addr *peer)
{
	(void)peer;
	store_session_start(listen->context, fd);
}

static void on_failed(struct listen *listen)
{
	(void)listen;
	complain("cannot accept connections: %s; trying again", strerror(errno));
}

static bool serve(struct store *store, int fd)
{
	struct listen listen = {
	    .on_accepted = on_accepted, .on_failed = on_failed, .context = store};
	net_init(&store->net);
	if (!listen_open(&listen, &store->net, fd))
		return false;
	print_address(fd);
	net_run(&store->net);
	return true;
}

int store_run(int argc, char **argv)
{
	struct options options;
	struct addr addr;
	struct store store = {0};
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		print_help();
		return EXIT_SUCCESS;
	}
	if (!parse_options(&options, argc, argv) || !parse_address(&addr, options.listen))
		return EXIT_USAGE;
	complain("a sample store for trying popgate out, not for real mail");
	store.maildir = options.maildir;
	store.user = str_of(options.user);
	if (!check_maildir(options.maildir) || !prepare_password(&store.password, &options))
		return EXIT_FAILURE;
	int fd = open_socket(&addr);
	if (fd >= 0 && serve(&store, fd))
		return EXIT_SUCCESS;
	complain("cannot listen on %s: %s; choose another address with --listen", options.listen,
	    strerror(errno));
	return EXIT_FAILURE;
}
