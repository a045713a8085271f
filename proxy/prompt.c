// prompt.c: passwords from the terminal or standard input.  See prompt.h.
//
// Bytes are read one by one and past all buffers of stdio, which nobody would wipe.
#include "proxy/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

// What would leave the terminal without echo.
static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

// Where a line comes from, and the signals that are let through while it is waited
// for; NULL: those that are let through anyway.
struct source {
	int fd;
	const sigset_t *mask;
};

// As read(2).  A signal can come only while this waits, so that none is missed
// between a look whether it came and the waiting.
static ssize_t read_byte(const struct source *source, char *out)
{
	struct pollfd poll = {.fd = source->fd, .events = POLLIN};
	return ppoll(&poll, 1, NULL, source->mask) < 0 ? -1 : read(source->fd, out, 1);
}

// A line without its end.  False at the end of input, on an error, and when it is
// too long; errno tells which: 0, what read(2) says, EMSGSIZE.
static bool read_line(const struct source *source, struct secret *out)
{
	char room[PROMPT_MAX + 1];
	size_t len = 0;
	ssize_t n;
	errno = 0;
	while ((n = read_byte(source, room + len)) == 1 && room[len] != '\n' && len < PROMPT_MAX)
		len++;
	bool is_whole = n == 1 ? room[len] == '\n' : n == 0 && len;
	if (n == 1 && !is_whole)
		errno = EMSGSIZE;
	if (is_whole && len && room[len - 1] == '\r')
		len--;
	if (is_whole)
		secret_set(out, (struct str){room, len});
	explicit_bzero(room, sizeof(room));
	return is_whole;
}

static void explain(const char *where, struct text *why)
{
	if (caught)
		text_addf(why, "given up");
	else if (errno == EMSGSIZE)
		text_addf(why, "the password is longer than %d bytes", PROMPT_MAX);
	else
		text_addf(why, "no password came from %s%s%s", where, errno ? ": " : "",
		    errno ? strerror(errno) : "");
}

static bool ask(
    const struct source *source, const char *again, const char *question, struct secret *out)
{
	dprintf(source->fd, "%s%s: ", again, question);
	bool answered = read_line(source, out);
	int error = errno;
	dprintf(source->fd, "\n"); // the one that was typed is not shown
	errno = error;
	return answered;
}

static bool ask_twice(
    const struct source *source, const char *question, struct secret *out, struct text *why)
{
	struct secret again = {0};
	bool answered = ask(source, "", question, out) && ask(source, "Again, ", question, &again);
	if (!answered)
		explain("the terminal", why);
	else if (!secret_equals(&again, secret_reveal(out)))
		text_addf(why, "the two are not the same; nothing was changed");
	secret_done(&again);
	return text_is_empty(why);
}

// What stands when no password is asked for.
struct usual {
	struct termios terminal;
	struct sigaction actions[SIGNALS];
	sigset_t mask;
};

// Signals end the waiting; what they would have done is done afterwards.
static void catch_signals(struct usual *usual)
{
	const struct sigaction action = {.sa_handler = on_signal};
	sigset_t ours;
	sigemptyset(&ours);
	caught = 0;
	for (int i = 0; i < SIGNALS; i++) {
		sigaddset(&ours, signals[i]);
		sigaction(signals[i], &action, &usual->actions[i]);
	}
	sigprocmask(SIG_BLOCK, &ours, &usual->mask);
}

static void let_signals_go(const struct usual *usual)
{
	for (int i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &usual->actions[i], NULL);
	if (caught)
		raise(caught);
	sigprocmask(SIG_SETMASK, &usual->mask, NULL);
}

static bool ask_without_echo(int fd, const char *question, struct secret *out, struct text *why)
{
	struct usual usual;
	const struct source source = {fd, &usual.mask};
	if (tcgetattr(fd, &usual.terminal) < 0) {
		text_addf(why, "cannot ask for a password: %s", strerror(errno));
		return false;
	}
	struct termios silent = usual.terminal;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	catch_signals(&usual);
	tcsetattr(fd, TCSAFLUSH, &silent);
	bool answered = ask_twice(&source, question, out, why);
	tcsetattr(fd, TCSAFLUSH, &usual.terminal);
	let_signals_go(&usual);
	return answered;
}

bool prompt_password(const char *question, struct secret *out, struct text *why)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0) {
		text_addf(why, "there is no terminal to ask for a password; give it on standard "
		               "input, with --stdin");
		return false;
	}
	bool answered = ask_without_echo(fd, question, out, why);
	close(fd);
	return answered;
}

bool prompt_read_line(struct secret *out, struct text *why)
{
	const struct source source = {STDIN_FILENO, NULL};
	bool answered = read_line(&source, out);
	if (!answered)
		explain("standard input", why);
	return answered;
}
