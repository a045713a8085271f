// mapping.c: making and finding shared pages.  See mapping.h.
#include "policy/mapping.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static bool map(struct mapping *out_mapping, int fd, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return false;
	*out_mapping = (struct mapping){.fd = fd, .at = at, .size = size};
	return true;
}

static bool begin(int fd, uint64_t magic, size_t size)
{
	struct mapping_head head = {.magic = magic};
	return ftruncate(fd, (off_t)size) == 0 &&
	       getrandom(&head.secret, sizeof(head.secret), 0) == sizeof(head.secret) &&
	       pwrite(fd, &head, sizeof(head), 0) == sizeof(head);
}

bool mapping_new(struct mapping *out_mapping, const char *name, uint64_t magic, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);
	if (fd < 0)
		return false;
	if (begin(fd, magic, size) && map(out_mapping, fd, size))
		return true;
	int why = errno;
	close(fd);
	errno = why;
	return false;
}

bool mapping_open(struct mapping *out_mapping, int fd, uint64_t magic, size_t size)
{
	struct stat stat;
	uint64_t found = 0;
	return fstat(fd, &stat) == 0 && stat.st_size == (off_t)size &&
	       pread(fd, &found, sizeof(found), 0) == sizeof(found) && found == magic &&
	       map(out_mapping, fd, size);
}

void mapping_done(struct mapping *mapping)
{
	if (!mapping->at)
		return;
	munmap(mapping->at, mapping->size);
	close(mapping->fd);
	*mapping = (struct mapping){0};
}
