// library.c: dlopen(3) and dlsym(3).  See library.h.
#include "proxy/base/library.h"

#include <dlfcn.h>

bool library_load(const char *file, const char *package, const struct library_function *functions,
    size_t num, struct text *why)
{
	void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		text_addf(why, "%s; install %s", dlerror(), package);
		return false;
	}
	for (size_t i = 0; i < num; i++) {
		void *found = dlsym(library, functions[i].name);
		if (!found) {
			text_addf(
			    why, "%s has no %s; install %s", file, functions[i].name, package);
			return false;
		}
		memcpy(functions[i].pointer, &found, sizeof(found));
	}
	return true;
}
