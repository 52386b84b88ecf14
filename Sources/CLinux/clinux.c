#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/openat2.h>
#include <malloc.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* The child may use async-signal-safe calls only: no allocation, no locks. */
static void write_number(int fd, int number) {
    char text[16];
    size_t at = sizeof text;
    unsigned value = number < 0 ? 0u - (unsigned)number : (unsigned)number;
    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    if (number < 0)
        text[--at] = '-';
    ssize_t ignored = write(fd, text + at, sizeof text - at);
    (void)ignored;
}

struct failure {
    int error;
    int step;
};

static const char *const steps[] = {"fork", "setns", "unshare", "mount", "oom_score_adj", "cgroup.procs",
                                    "chdir", "dup", "setgid", "setuid", "prctl", "execve"};
enum { FORK, SETNS, UNSHARE, MOUNT, OOM, CGROUP, CHDIR, DUP, SETGID, SETUID, PRCTL, EXEC };

static void fail(int report, int step) {
    struct failure failure = {errno, step};
    ssize_t ignored = write(report, &failure, sizeof failure);
    (void)ignored;
    _exit(127);
}

static void child(const struct slipway_spawn_request *r, int report, pid_t parent) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);

    if (r->flags & SLIPWAY_SPAWN_DIE_WITH_PARENT) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
            fail(report, PRCTL);
        if (getppid() != parent)
            _exit(127);
    }
    if (r->flags & SLIPWAY_SPAWN_SETSID)
        setsid();
    for (size_t i = 0; i < r->cgroup_count; i++)
        if (write(r->cgroup_procs[i], "0", 1) != 1)
            fail(report, CGROUP);
    if (r->oom_score_adj != INT_MIN) {
        int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        if (fd >= 0) {
            /* Lowering the score needs CAP_SYS_RESOURCE, which a node may withhold: the inherited score stays. */
            write_number(fd, r->oom_score_adj);
            close(fd);
        }
    }
    if (r->network_namespace >= 0 && setns(r->network_namespace, CLONE_NEWNET) < 0)
        fail(report, SETNS);
    if (r->flags & SLIPWAY_SPAWN_NEW_NETWORK_NAMESPACE && unshare(CLONE_NEWNET) < 0)
        fail(report, UNSHARE);
    if (r->flags & SLIPWAY_SPAWN_NEW_MOUNT_NAMESPACE) {
        if (unshare(CLONE_NEWNS) < 0)
            fail(report, UNSHARE);
        if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
            fail(report, MOUNT);
    }
    if (r->cwd && chdir(r->cwd) < 0)
        fail(report, CHDIR);

    /* The mapped descriptors are first lifted above every target number, so that no dup2 overwrites a source. */
    int lowest = 3;
    for (size_t i = 0; i < r->fd_count; i++)
        if (r->fds[i].child >= lowest)
            lowest = r->fds[i].child + 1;
    int lifted[32];
    if (r->fd_count > 32) {
        errno = E2BIG;
        fail(report, DUP);
    }
    int report_high = fcntl(report, F_DUPFD_CLOEXEC, lowest);
    if (report_high < 0)
        fail(report, DUP);
    for (size_t i = 0; i < r->fd_count; i++)
        if ((lifted[i] = fcntl(r->fds[i].parent, F_DUPFD_CLOEXEC, lowest)) < 0)
            fail(report_high, DUP);
    for (size_t i = 0; i < r->fd_count; i++)
        if (dup2(lifted[i], r->fds[i].child) < 0)
            fail(report_high, DUP);
    /* CLOEXEC on everything else: the report pipe has to stay open until exec. */
    for (int fd = 0; fd < lowest; fd++) {
        int mapped = 0;
        for (size_t i = 0; i < r->fd_count; i++)
            mapped |= r->fds[i].child == fd;
        if (!mapped)
            close(fd);
    }
    syscall(SYS_close_range, (unsigned)lowest, ~0u, 1u << 2 /* CLOSE_RANGE_CLOEXEC */);

    if (r->gid != (uint32_t)-1) {
        if (setgroups(0, NULL) < 0 || setresgid(r->gid, r->gid, r->gid) < 0)
            fail(report_high, SETGID);
    }
    if (r->uid != (uint32_t)-1 && setresuid(r->uid, r->uid, r->uid) < 0)
        fail(report_high, SETUID);
    execve(r->path, r->argv, r->envp);
    fail(report_high, EXEC);
}

int slipway_spawn(const struct slipway_spawn_request *r, int *pidfd, const char **failed_step) {
    int report[2];
    *failed_step = steps[FORK];
    *pidfd = -1;
    if (pipe2(report, O_CLOEXEC) < 0)
        return -errno;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    pid_t pid = fork();
    int fork_error = errno;
    if (pid == 0) {
        child(r, report[1], parent);
        _exit(127);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        return -fork_error;
    }
    struct failure failure;
    ssize_t got;
    do
        got = read(report[0], &failure, sizeof failure);
    while (got < 0 && errno == EINTR);
    close(report[0]);
    if (got == sizeof failure) {
        *failed_step = steps[failure.step];
        waitpid(pid, NULL, 0);
        return -failure.error;
    }
    *pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    return pid;
}

#define RETURN_ERRNO(call)            \
    do {                              \
        int result_ = (int)(call);    \
        return result_ < 0 ? -errno : result_; \
    } while (0)

int slipway_open(const char *path, int flags, unsigned mode) { RETURN_ERRNO(open(path, flags | O_CLOEXEC, mode)); }

int slipway_open_in_root(int root_fd, const char *path, int flags, unsigned mode) {
    struct open_how how = {
        .flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
        .mode = mode,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    RETURN_ERRNO(syscall(SYS_openat2, root_fd, path, &how, sizeof how));
}

int slipway_setns(int fd, int type) { RETURN_ERRNO(setns(fd, type)); }
int slipway_unshare(int flags) { RETURN_ERRNO(unshare(flags)); }
int slipway_set_child_subreaper(int on) { RETURN_ERRNO(prctl(PR_SET_CHILD_SUBREAPER, (unsigned long)on, 0, 0, 0)); }
int slipway_set_thread_name(const char *name) { RETURN_ERRNO(prctl(PR_SET_NAME, name, 0, 0, 0)); }
int slipway_set_affinity(int thread, const void *mask, size_t size) {
    return sched_setaffinity(thread, size, mask);
}

int slipway_gettid(void) { return (int)syscall(SYS_gettid); }
int slipway_pidfd_open(int pid) { RETURN_ERRNO(syscall(SYS_pidfd_open, pid, 0)); }
int slipway_pidfd_getfd(int pidfd, int fd) { RETURN_ERRNO(syscall(SYS_pidfd_getfd, pidfd, fd, 0)); }
int slipway_pidfd_send_signal(int pidfd, int signal) {
    RETURN_ERRNO(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

int slipway_pidfd_wait(int pidfd, int *exit_code, int *term_signal) {
    siginfo_t info;
    int rc;
    memset(&info, 0, sizeof info);
    do
        rc = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return -errno;
    *exit_code = info.si_code == CLD_EXITED ? info.si_status : 0;
    *term_signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    return 0;
}

int slipway_accept(int listener) { RETURN_ERRNO(accept4(listener, NULL, NULL, SOCK_CLOEXEC)); }
int slipway_pipe(int fds[2]) { RETURN_ERRNO(pipe2(fds, O_CLOEXEC)); }

int slipway_set_nonblocking(int fd, int on) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    RETURN_ERRNO(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

int slipway_memfd(const char *name) { RETURN_ERRNO(memfd_create(name, MFD_CLOEXEC)); }
int slipway_eventfd(void) { RETURN_ERRNO(eventfd(0, EFD_CLOEXEC)); }

int slipway_signalfd(const int *signals, size_t count) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++)
        sigaddset(&set, signals[i]);
    int rc = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (rc != 0)
        return -rc;
    RETURN_ERRNO(signalfd(-1, &set, SFD_CLOEXEC));
}

void slipway_be_frugal(void) {
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TRIM_THRESHOLD, 64 * 1024);
    mallopt(M_MMAP_THRESHOLD, 64 * 1024);
}

void slipway_trim_memory(void) { malloc_trim(0); }

int slipway_ignore_sigpipe(void) { return signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -errno : 0; }

int slipway_peer_credentials(int fd, int *pid, uint32_t *uid, uint32_t *gid) {
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
        return -errno;
    *pid = credentials.pid;
    *uid = credentials.uid;
    *gid = credentials.gid;
    return 0;
}

int64_t slipway_filesystem_type(const char *path, uint64_t *block_size) {
    struct statfs information;
    if (statfs(path, &information) < 0)
        return -errno;
    *block_size = (uint64_t)information.f_bsize;
    return (int64_t)(uint32_t)information.f_type;
}

static int tap_open(const char *name, int multi_queue, unsigned index) {
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (index != 0 && ioctl(fd, TUNSETIFINDEX, &index) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    request.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multi_queue ? IFF_MULTI_QUEUE : 0));
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int slipway_tap_create(const char *name, uint32_t owner, int persistent, int multi_queue) {
    return slipway_tap_create_numbered(name, owner, persistent, multi_queue, 0);
}

int slipway_tap_create_numbered(const char *name, uint32_t owner, int persistent, int multi_queue, unsigned index) {
    int fd = tap_open(name, multi_queue, index);
    if (fd < 0)
        return fd;
    if (ioctl(fd, TUNSETOWNER, (unsigned long)owner) < 0 || ioctl(fd, TUNSETPERSIST, (unsigned long)(persistent != 0)) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int slipway_tap_remove(const char *name) {
    int fd = tap_open(name, 0, 0);
    if (fd < 0)
        return fd;
    int rc = ioctl(fd, TUNSETPERSIST, 0ul) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

int slipway_rename_noreplace(const char *from, const char *to) {
    RETURN_ERRNO(renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE));
}

int slipway_lock(int fd, int exclusive, int wait) {
    int rc;
    do
        rc = flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB));
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

int slipway_terminal_raw(int fd, void *saved, size_t saved_size) {
    struct termios now;
    if (saved_size < sizeof now)
        return -EINVAL;
    if (tcgetattr(fd, &now) < 0)
        return -errno;
    memcpy(saved, &now, sizeof now);
    cfmakeraw(&now);
    RETURN_ERRNO(tcsetattr(fd, TCSANOW, &now));
}

int slipway_terminal_restore(int fd, const void *saved, size_t saved_size) {
    struct termios before;
    if (saved_size < sizeof before)
        return -EINVAL;
    memcpy(&before, saved, sizeof before);
    RETURN_ERRNO(tcsetattr(fd, TCSANOW, &before));
}

int slipway_terminal_size(int fd, uint16_t *columns, uint16_t *rows) {
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) < 0)
        return -errno;
    *columns = size.ws_col;
    *rows = size.ws_row;
    return 0;
}

int slipway_open_plain_path(const char *path) { return slipway_open_plain_path_in(AT_FDCWD, path); }

int slipway_open_plain_path_in(int directory, const char *path) {
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC,
        .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    RETURN_ERRNO(syscall(SYS_openat2, directory, path, &how, sizeof how));
}

/* The calls that take a descriptor refuse one of O_PATH; its link in /proc leads to the same inode. */
struct descriptor_path {
    char text[32];
};

static struct descriptor_path descriptor_path(int fd) {
    struct descriptor_path path;
    snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fd);
    return path;
}

int slipway_attribute_get(int fd, const char *name, void *value, size_t size) {
    RETURN_ERRNO(getxattr(descriptor_path(fd).text, name, value, size));
}

int slipway_attribute_set(int fd, const char *name, const void *value, size_t size) {
    RETURN_ERRNO(setxattr(descriptor_path(fd).text, name, value, size, 0));
}

int slipway_attribute_remove(int fd, const char *name) {
    RETURN_ERRNO(removexattr(descriptor_path(fd).text, name));
}

void slipway_set_file_ids(uint32_t uid, uint32_t gid, uint32_t *old_uid, uint32_t *old_gid) {
    uint32_t group = (uint32_t)setfsgid(gid), user = (uint32_t)setfsuid(uid);
    if (old_uid)
        *old_uid = user;
    if (old_gid)
        *old_gid = group;
}

uint64_t slipway_makedev(unsigned major, unsigned minor) { return makedev(major, minor); }
unsigned slipway_major(uint64_t device) { return major(device); }
unsigned slipway_minor(uint64_t device) { return minor(device); }

int64_t slipway_monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
