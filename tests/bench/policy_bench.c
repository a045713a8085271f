// policy_bench.c: prints what the judgement of clients costs.
//
//     bazel run //tests/bench:policy_bench
//
// One figure a line, in its own unit, so that two runs can be laid side by side.
// Run it alone: the figures are of one thread, but caches are shared.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policy/prefixes.h"
#include "proxy/base/die.h"
#include "tests/bench/figures.h"

enum { PREFIXES = 1000 * 1000, LOOKUPS = 10 * 1000 * 1000, ADDRS = 1 << 20 };

// ---- a file of a million prefixes ---------------------------------------

static void write_v4(FILE *file)
{
	uint32_t ip = (uint32_t)draw();
	unsigned bits = 24 + (unsigned)(draw() % 9);
	ip &= bits == 32 ? UINT32_MAX : ~(UINT32_MAX >> bits);
	fprintf(file, "%u.%u.%u.%u/%u\n", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255, bits);
}

static void write_v6(FILE *file)
{
	uint64_t ip = draw();
	fprintf(file, "2%03x:%x:%x:%x::/64\n", (unsigned)(ip >> 48 & 0xfff),
	    (unsigned)(ip >> 32 & 0xffff), (unsigned)(ip >> 16 & 0xffff), (unsigned)(ip & 0xffff));
}

static void write_prefixes(const char *path, bool is_v6)
{
	FILE *file = fopen(path, "w");
	BUG_ON(!file);
	for (int i = 0; i < PREFIXES; i++)
		if (is_v6)
			write_v6(file);
		else
			write_v4(file);
	BUG_ON(fclose(file));
}

static struct addr draw_addr(bool is_v6)
{
	struct addr addr = {0};
	uint64_t bits = draw();
	addr.any.sa_family = is_v6 ? AF_INET6 : AF_INET;
	if (is_v6) {
		bits = (bits & ~UINT64_C(0xf0)) | 0x20; // the first byte, in network order
		memcpy(&addr.v6.sin6_addr, &bits, sizeof(bits));
	} else {
		memcpy(&addr.v4.sin_addr, &bits, sizeof(addr.v4.sin_addr));
	}
	return addr;
}

// Each waits for the one before it, as those of a session do.
static void measure_lookups(const char *what, const struct table *table, bool is_v6)
{
	struct addr *addrs = xcalloc(ADDRS, sizeof(*addrs));
	size_t at = 0;
	for (size_t i = 0; i < ADDRS; i++)
		addrs[i] = draw_addr(is_v6);
	double start = now_s();
	for (size_t i = 0; i < LOOKUPS; i++)
		at = (at + 1 + table_find(table, &addrs[at])) % ADDRS;
	print(what, (now_s() - start) / LOOKUPS * 1e9, "ns");
	free(addrs);
}

static void measure_file(bool is_v6)
{
	char path[] = "/tmp/policy_bench.XXXXXX", room[512];
	struct text why = TEXT(room);
	int fd = mkstemp(path);
	BUG_ON(fd < 0);
	write_prefixes(path, is_v6);
	double start = now_s();
	struct table *table = prefixes_load(path, 0, &why);
	double spent = now_s() - start;
	unlink(path);
	BUG_ON(!table);
	print(is_v6 ? "1,000,000 prefixes of IPv6: load" : "1,000,000 prefixes of IPv4: load",
	    spent, "s");
	print("    shared memory", (double)lseek(table_fd(table), 0, SEEK_END) / 0x1p20, "MiB");
	measure_lookups("    look-up of a random address", table, is_v6);
	table_free(&table);
	close(fd);
}

int main(void)
{
	measure_file(false);
	measure_file(true);
	measure_decisions();
	return 0;
}
