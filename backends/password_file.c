// password_file.c: see password_file.h.
#include "backends/password_file.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "proxy/base/file.h"

enum { PASSWORD_MAX = 255 };

// Unbuffered, so that no copy is left behind.
static bool read_all(FILE *file, char *room, size_t size, size_t *out_len)
{
	setvbuf(file, NULL, _IONBF, 0);
	*out_len = fread(room, 1, size, file);
	return !ferror(file);
}

static struct str without_line_end(struct str s)
{
	if (s.len && s.at[s.len - 1] == '\n')
		s.len--;
	if (s.len && s.at[s.len - 1] == '\r')
		s.len--;
	return s;
}

static const char *problem_of(struct str password)
{
	if (str_is_empty(password))
		return "it is empty";
	if (str_has_control(password))
		return "it must hold one line, without control characters";
	return password.len > PASSWORD_MAX ? "a password may have 255 bytes" : NULL;
}

static bool is_open_to_others(FILE *file)
{
	struct stat status;
	return fstat(fileno(file), &status) != 0 || (status.st_mode & S_IRWXO) != 0;
}

static const char *take(FILE *file, struct secret *out_password)
{
	char room[PASSWORD_MAX + 3]; // a line end, and a byte too many
	size_t len;
	if (is_open_to_others(file))
		return "others than its owner and group have access to it; chmod o= takes it away";
	const char *problem = read_all(file, room, sizeof(room), &len) ? NULL : strerror(errno);
	struct str password = without_line_end((struct str){room, len});
	if (!problem)
		problem = problem_of(password);
	if (!problem)
		secret_set(out_password, password);
	explicit_bzero(room, sizeof(room));
	return problem;
}

bool password_file_read(const char *path, struct secret *out_password, struct text *why)
{
	FILE *file = file_open(path);
	const char *problem = file ? take(file, out_password) : file_problem();
	if (file)
		fclose(file);
	if (problem)
		text_addf(why, "cannot take the password from %s: %s", path, problem);
	return !problem;
}
