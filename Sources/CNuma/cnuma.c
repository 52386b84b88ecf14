#include "cnuma.h"

#include <dlfcn.h>
#include <errno.h>
#include <numa.h>
#include <stddef.h>

/* The pointers have the types of numa.h, so that a signature that is not libnuma's does not compile. */
static __typeof__(numa_available) *p_numa_available;
static __typeof__(numa_get_mems_allowed) *p_numa_get_mems_allowed;
static __typeof__(numa_bitmask_isbitset) *p_numa_bitmask_isbitset;
static __typeof__(numa_bitmask_free) *p_numa_bitmask_free;
static __typeof__(numa_move_pages) *p_numa_move_pages;

int nu_numa_available(void) {
    return p_numa_available ? p_numa_available() : -1;
}

struct bitmask *nu_numa_get_mems_allowed(void) {
    return p_numa_get_mems_allowed ? p_numa_get_mems_allowed() : NULL;
}

int nu_numa_bitmask_isbitset(const struct bitmask *mask, unsigned bit) {
    return p_numa_bitmask_isbitset ? p_numa_bitmask_isbitset(mask, bit) : 0;
}

void nu_numa_bitmask_free(struct bitmask *mask) {
    if (p_numa_bitmask_free)
        p_numa_bitmask_free(mask);
}

int nu_numa_move_pages(int pid, unsigned long count, void **pages, const int *nodes, int *status, int flags) {
    if (p_numa_move_pages)
        return p_numa_move_pages(pid, count, pages, nodes, status, flags);
    errno = ENOSYS;
    return -1;
}

/* POSIX wants function pointers to be stored through the object pointer that dlsym returns. */
static int resolve(void *library, const char *name, void **target) {
    *target = dlsym(library, name);
    return *target != NULL;
}

const char *slipway_numa_load(void) {
    static int loaded;
    if (loaded)
        return NULL;
    void *library = dlopen("libnuma.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return dlerror();
    if (!resolve(library, "numa_available", (void **)&p_numa_available) ||
        !resolve(library, "numa_get_mems_allowed", (void **)&p_numa_get_mems_allowed) ||
        !resolve(library, "numa_bitmask_isbitset", (void **)&p_numa_bitmask_isbitset) ||
        !resolve(library, "numa_bitmask_free", (void **)&p_numa_bitmask_free) ||
        !resolve(library, "numa_move_pages", (void **)&p_numa_move_pages))
        return dlerror();
    loaded = 1;
    return NULL;
}
