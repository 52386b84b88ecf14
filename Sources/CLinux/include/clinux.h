/* What Swift cannot import from glibc and the kernel's headers: variadic functions, functions behind
 * _GNU_SOURCE, macros, and everything that runs between fork and exec. Functions return -errno on failure. */
#ifndef SLIPWAY_CLINUX_H
#define SLIPWAY_CLINUX_H

#include <linux/gen_stats.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <linux/veth.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One descriptor of the parent and the number that the child sees it under. */
struct slipway_fd_map {
    int parent;
    int child;
};

enum slipway_spawn_flags {
    SLIPWAY_SPAWN_SETSID = 1,
    /* A mount namespace of its own, in which mounts made later on the host appear (MS_SLAVE). */
    SLIPWAY_SPAWN_NEW_MOUNT_NAMESPACE = 2,
    SLIPWAY_SPAWN_NEW_NETWORK_NAMESPACE = 4,
    /* SIGKILL for the child when the spawning *thread* ends (prctl(2) PR_SET_PDEATHSIG). */
    SLIPWAY_SPAWN_DIE_WITH_PARENT = 8,
};

struct slipway_spawn_request {
    const char *path;
    char *const *argv;
    char *const *envp;
    const char *cwd;               /* NULL: unchanged */
    const struct slipway_fd_map *fds;
    size_t fd_count;               /* every other descriptor is closed */
    int network_namespace;         /* descriptor, or -1 */
    const int *cgroup_procs;       /* descriptors of cgroup.procs files that the child writes itself into */
    size_t cgroup_count;
    int oom_score_adj;             /* INT_MIN: unchanged */
    uint32_t uid;                  /* (uint32_t)-1: unchanged; supplementary groups are dropped with it */
    uint32_t gid;
    unsigned flags;                /* enum slipway_spawn_flags */
};

/* Starts a program. Returns its pid, or -errno of the step that failed, whose name is stored in *failed_step. */
int slipway_spawn(const struct slipway_spawn_request *request, int *pidfd, const char **failed_step);

int slipway_open(const char *path, int flags, unsigned mode);
/* openat2(2) with RESOLVE_IN_ROOT: symbolic links are resolved as if root_fd were the root directory. */
int slipway_open_in_root(int root_fd, const char *path, int flags, unsigned mode);
int slipway_setns(int fd, int type);
int slipway_unshare(int flags);
int slipway_set_child_subreaper(int on);
int slipway_set_thread_name(const char *name);
/* sched_setaffinity(2) with a mask of bytes, the lowest CPU in the lowest bit. */
int slipway_set_affinity(int thread, const void *mask, size_t size);
int slipway_gettid(void);
int slipway_pidfd_open(int pid);
int slipway_pidfd_send_signal(int pidfd, int signal);
/* A descriptor of another process, as a descriptor of this one (pidfd_getfd(2)). */
int slipway_pidfd_getfd(int pidfd, int fd);
/* Waits for a child by pidfd and reaps it. 0 and the exit code or the signal, or -errno. */
int slipway_pidfd_wait(int pidfd, int *exit_code, int *term_signal);
int slipway_accept(int listener);
int slipway_pipe(int fds[2]);
int slipway_set_nonblocking(int fd, int on);
int slipway_memfd(const char *name);
int slipway_eventfd(void);
int slipway_signalfd(const int *signals, size_t count);
int slipway_ignore_sigpipe(void);
/* Few malloc arenas, and freed memory given back: for a process that lives long beside many of its kind. */
void slipway_be_frugal(void);
void slipway_trim_memory(void);
int slipway_peer_credentials(int fd, int *pid, uint32_t *uid, uint32_t *gid);
int64_t slipway_filesystem_type(const char *path, uint64_t *block_size);
/* Creates (or attaches to) a TAP named name in the calling thread's network namespace.
 * Persistent TAPs outlive the descriptor. */
int slipway_tap_create(const char *name, uint32_t owner, int persistent, int multi_queue);
/* The same, with the number that the link gets if it does not exist yet (TUNSETIFINDEX). */
int slipway_tap_create_numbered(const char *name, uint32_t owner, int persistent, int multi_queue, unsigned index);
int slipway_tap_remove(const char *name);
int slipway_rename_noreplace(const char *from, const char *to);
int slipway_lock(int fd, int exclusive, int wait);
int slipway_terminal_raw(int fd, void *saved, size_t saved_size);
int slipway_terminal_restore(int fd, const void *saved, size_t saved_size);
int slipway_terminal_size(int fd, uint16_t *columns, uint16_t *rows);
/* Opens a path that leads through no symbolic link, for its attributes alone (O_PATH). */
int slipway_open_plain_path(const char *path);
/* The same below a directory. */
int slipway_open_plain_path_in(int directory, const char *path);
/* Extended attributes of what a descriptor of any kind is open on (xattr(7)); the size, 0 or -errno. */
int slipway_attribute_get(int fd, const char *name, void *value, size_t size);
int slipway_attribute_set(int fd, const char *name, const void *value, size_t size);
int slipway_attribute_remove(int fd, const char *name);
/*
 * Whose rights to files the calling thread has (setfsuid(2)), and whose it had, for those who want to know. Leaving
 * user 0 takes its file capabilities, coming back returns them (capabilities(7)).
 */
void slipway_set_file_ids(uint32_t uid, uint32_t gid, uint32_t *old_uid, uint32_t *old_gid);
uint64_t slipway_makedev(unsigned major, unsigned minor);
unsigned slipway_major(uint64_t device);
unsigned slipway_minor(uint64_t device);
/* Milliseconds since an arbitrary point, CLOCK_MONOTONIC. */
int64_t slipway_monotonic_ns(void);

#endif
