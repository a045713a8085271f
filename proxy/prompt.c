// prompt.c: passwords from the terminal or standard input.  See prompt.h.
//
// Bytes are read one by one and past all buffers of stdio, which nobody would wipe.
#include "proxy/prompt.h"

#include <errno.h>
#include <fcntl.h>
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

// A line without its end.  False at the end of input, on an error, and when it is
// too long; errno tells which: 0, what read(2) says, EMSGSIZE.
static bool read_line(int fd, struct secret *out)
{
	char room[PROMPT_MAX + 1];
	size_t len = 0;
	ssize_t n;
	errno = 0;
	while ((n = read(fd, room + len, 1)) == 1 && room[len] != '\n' && len < PROMPT_MAX)
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

static bool ask(int fd, const char *again, const char *question, struct secret *out)
{
	dprintf(fd, "%s%s: ", again, question);
	bool answered = read_line(fd, out);
	int error = errno;
	dprintf(fd, "\n"); // the one that was typed is not shown
	errno = error;
	return answered;
}

static bool ask_twice(int fd, const char *question, struct secret *out, struct text *why)
{
	struct secret again = {0};
	bool answered = ask(fd, "", question, out) && ask(fd, "Again, ", question, &again);
	if (!answered)
		explain("the terminal", why);
	else if (!secret_equals(&again, secret_reveal(out)))
		text_addf(why, "the two are not the same; nothing was changed");
	secret_done(&again);
	return !why->len;
}

// Signals end the reading; what they would have done is done afterwards.
static void catch_signals(struct sigaction *old)
{
	const struct sigaction action = {.sa_handler = on_signal};
	caught = 0;
	for (int i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &action, &old[i]);
}

static void let_signals_go(const struct sigaction *old)
{
	for (int i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &old[i], NULL);
	if (caught)
		raise(caught);
}

static bool ask_without_echo(int fd, const char *question, struct secret *out, struct text *why)
{
	struct termios usual, silent;
	struct sigaction old[SIGNALS];
	if (tcgetattr(fd, &usual) < 0) {
		text_addf(why, "cannot ask for a password: %s", strerror(errno));
		return false;
	}
	silent = usual;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	catch_signals(old);
	tcsetattr(fd, TCSAFLUSH, &silent);
	bool answered = ask_twice(fd, question, out, why);
	tcsetattr(fd, TCSAFLUSH, &usual);
	let_signals_go(old);
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
	caught = 0;
	bool read = read_line(STDIN_FILENO, out);
	if (!read)
		explain("standard input", why);
	return read;
}
