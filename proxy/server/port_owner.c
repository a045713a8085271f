// port_owner.c: from a port to a socket's inode (/proc/net/tcp), from there to
// a process (/proc/PID/fd).  See port_owner.h.
//
// Not done: sock_diag over netlink.  It is faster, and this runs once, before
// an error message.
#include "proxy/server/port_owner.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TCP_LISTEN_STATE = 0x0a, INODES_MAX = 64 };

struct inodes {
	uint64_t at[INODES_MAX];
	size_t num;
};

// Here and below sscanf reads what the kernel has printed, so that no number
// can be too large.
// NOLINTBEGIN(cert-err34-c)

// The kernel prints each 32-bit word of an address as a number of the host's
// byte order.
static bool parse_address(const char *hex, int family, unsigned port, struct addr *out)
{
	uint32_t words[4] = {0};
	size_t num = family == AF_INET6 ? 4 : 1;
	struct addr addr = {.any.sa_family = (sa_family_t)family};
	for (size_t i = 0; i < num; i++)
		if (sscanf(hex + 8 * i, "%8" SCNx32, &words[i]) != 1)
			return false;
	void *ip = family == AF_INET6 ? (void *)&addr.v6.sin6_addr : (void *)&addr.v4.sin_addr;
	memcpy(ip, words, num * sizeof(words[0]));
	addr_set_port(&addr, (uint16_t)port);
	*out = addr_of(&addr.any);
	return true;
}

// An IPv6 wildcard socket usually takes the IPv4 port as well; ours, which say
// IPV6_V6ONLY, do not mind an IPv4 one.
static bool stands_in_way(const struct addr *wanted, const struct addr *held)
{
	if (addr_port(wanted) != addr_port(held))
		return false;
	if (wanted->any.sa_family != held->any.sa_family)
		return held->any.sa_family == AF_INET6 && addr_is_wildcard(held);
	return addr_is_wildcard(wanted) || addr_is_wildcard(held) || addr_eq(wanted, held);
}

static void collect_line(
    const char *line, int family, const struct addr *wanted, struct inodes *inodes)
{
	char hex[33];
	unsigned port, state;
	uint64_t inode;
	struct addr held;
	int fields =
	    sscanf(line, "%*d: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*d %*d %" SCNu64, hex,
	        &port, &state, &inode);
	if (fields != 4 || state != TCP_LISTEN_STATE || inodes->num == INODES_MAX)
		return;
	if (strlen(hex) != (family == AF_INET6 ? 32 : 8) ||
	    !parse_address(hex, family, port, &held))
		return;
	if (stands_in_way(wanted, &held))
		inodes->at[inodes->num++] = inode;
}

static void collect_file(
    const char *path, int family, const struct addr *wanted, struct inodes *inodes)
{
	char *line = NULL;
	size_t size = 0;
	FILE *file = fopen(path, "re");
	if (!file)
		return;
	while (getline(&line, &size, file) > 0)
		collect_line(line, family, wanted, inodes);
	free(line);
	fclose(file);
}

static bool is_one_of(const struct inodes *inodes, const char *link)
{
	uint64_t inode;
	if (sscanf(link, "socket:[%" SCNu64 "]", &inode) != 1)
		return false;
	for (size_t i = 0; i < inodes->num; i++)
		if (inodes->at[i] == inode)
			return true;
	return false;
}

// NOLINTEND(cert-err34-c)

static bool process_holds(const char *pid, const struct inodes *inodes)
{
	char path[64], link[64];
	bool holds = false;
	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	DIR *dir = opendir(path);
	if (!dir)
		return false;
	for (struct dirent *entry; !holds && (entry = readdir(dir));) {
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		link[len > 0 ? len : 0] = '\0';
		holds = is_one_of(inodes, link);
	}
	closedir(dir);
	return holds;
}

static void read_program(struct port_owner *owner)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)owner->pid);
	FILE *file = fopen(path, "re");
	if (!file || !fgets(owner->program, sizeof(owner->program), file))
		snprintf(owner->program, sizeof(owner->program), "a program");
	owner->program[strcspn(owner->program, "\n")] = '\0';
	if (file)
		fclose(file);
}

bool port_owner_find(const struct addr *addr, struct port_owner *out_owner)
{
	struct inodes inodes = {.num = 0};
	if (addr->any.sa_family == AF_INET)
		collect_file("/proc/net/tcp", AF_INET, addr, &inodes);
	collect_file("/proc/net/tcp6", AF_INET6, addr, &inodes);
	DIR *dir = inodes.num ? opendir("/proc") : NULL;
	if (!dir)
		return false;
	*out_owner = (struct port_owner){0};
	// The kernel lists processes by rising pid.
	for (struct dirent *entry; !out_owner->pid && (entry = readdir(dir));) {
		uint64_t pid;
		if (str_to_u64(str_of(entry->d_name), &pid) &&
		    process_holds(entry->d_name, &inodes))
			out_owner->pid = (pid_t)pid;
	}
	closedir(dir);
	if (out_owner->pid)
		read_program(out_owner);
	return out_owner->pid != 0;
}
