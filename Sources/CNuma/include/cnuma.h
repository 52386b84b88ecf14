/* libnuma, loaded with dlopen(3) by slipway_numa_load(), so that programs start without it and run on hosts that do
 * not have it. The functions are forwarded under the prefix nu_ with libnuma's signatures (numa(3)); before the library
 * is loaded they fail with libnuma's failure value, and nu_numa_move_pages with ENOSYS. */
#ifndef SLIPWAY_CNUMA_H
#define SLIPWAY_CNUMA_H

struct bitmask;

/* Loads libnuma.so.1 once. NULL on success, else dlerror's text. Not thread-safe. */
const char *slipway_numa_load(void);

int nu_numa_available(void);
struct bitmask *nu_numa_get_mems_allowed(void);
int nu_numa_bitmask_isbitset(const struct bitmask *mask, unsigned bit);
void nu_numa_bitmask_free(struct bitmask *mask);
int nu_numa_move_pages(int pid, unsigned long count, void **pages, const int *nodes, int *status, int flags);

#endif
