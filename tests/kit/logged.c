// logged.c: a log in a file.  See logged.h.
#include "tests/kit/logged.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/kit/check.h"

static char path[64];

static void send_to(struct str target, enum log_level level)
{
	char room[256];
	struct text why = TEXT(room);
	if (!log_open(target, LOG_FORMAT_text, level, &why))
		fail_msg("%s", room);
}

void logged_open(void)
{
	snprintf(path, sizeof(path), P_tmpdir "/logged.XXXXXX");
	close(mkstemp(path));
	send_to(str_of(path), LOG_LEVEL_debug);
}

unsigned logged_lines(const char *part)
{
	char line[LOG_LINE_MAX];
	unsigned num = 0;
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		num += strstr(line, part) != NULL;
	fclose(file);
	return num;
}

void logged_close(void)
{
	send_to(STR("stderr"), LOG_LEVEL_info);
	unlink(path);
}
