// replay.c: gives each file named on the command line to a fuzz target, so that
// an ordinary build runs the seeds as a test.
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

static void run(const char *path, FILE *file)
{
	size_t size = 0, room = 1;
	uint8_t *data = NULL;
	while (!feof(file) && !ferror(file)) {
		uint8_t *more = realloc(data, room *= 2);
		MUST(more);
		data = more;
		size += fread(data + size, 1, room - size, file);
	}
	if (ferror(file)) {
		perror(path);
		exit(1);
	}
	// The exact size, so that reading beyond the end is noticed.
	uint8_t *exact = realloc(data, size ? size : 1);
	MUST(exact);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "rb");
		if (!file) {
			perror(argv[i]);
			return 1;
		}
		printf("%s\n", argv[i]);
		run(argv[i], file);
		fclose(file);
	}
	return argc > 1 ? 0 : 1;
}
