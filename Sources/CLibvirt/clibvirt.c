#include "clibvirt.h"

#include <dlfcn.h>
#include <stddef.h>

/* name, result, parameters, arguments, value when libvirt is not loaded */
#define FUNCTIONS(F)                                                                                                   \
    F(virInitialize, int, (void), (), -1)                                                                              \
    F(virGetVersion, int, (unsigned long *v, const char *t, unsigned long *tv), (v, t, tv), -1)                        \
    F(virGetLastError, virErrorPtr, (void), (), NULL)                                                                  \
    F(virEventRegisterDefaultImpl, int, (void), (), -1)                                                                \
    F(virEventRunDefaultImpl, int, (void), (), -1)                                                                     \
    F(virConnectOpen, virConnectPtr, (const char *uri), (uri), NULL)                                                   \
    F(virConnectClose, int, (virConnectPtr c), (c), -1)                                                                \
    F(virConnectGetVersion, int, (virConnectPtr c, unsigned long *v), (c, v), -1)                                      \
    F(virConnectGetDomainCapabilities, char *,                                                                         \
      (virConnectPtr c, const char *e, const char *a, const char *m, const char *t, unsigned f), (c, e, a, m, t, f), NULL) \
    F(virDomainDefineXMLFlags, virDomainPtr, (virConnectPtr c, const char *x, unsigned f), (c, x, f), NULL)            \
    F(virDomainCreateWithFlags, int, (virDomainPtr d, unsigned f), (d, f), -1)                                         \
    F(virDomainUndefineFlags, int, (virDomainPtr d, unsigned f), (d, f), -1)                                           \
    F(virDomainLookupByName, virDomainPtr, (virConnectPtr c, const char *n), (c, n), NULL)                             \
    F(virDomainGetXMLDesc, char *, (virDomainPtr d, unsigned f), (d, f), NULL)                                         \
    F(virDomainGetID, unsigned, (virDomainPtr d), (d), (unsigned)-1)                                                   \
    F(virDomainFDAssociate, int, (virDomainPtr d, const char *n, unsigned c, int *fds, unsigned f), (d, n, c, fds, f), -1) \
    F(virDomainSuspend, int, (virDomainPtr d), (d), -1)                                                                \
    F(virDomainResume, int, (virDomainPtr d), (d), -1)                                                                 \
    F(virDomainShutdownFlags, int, (virDomainPtr d, unsigned f), (d, f), -1)                                           \
    F(virDomainDestroyFlags, int, (virDomainPtr d, unsigned f), (d, f), -1)                                            \
    F(virDomainGetState, int, (virDomainPtr d, int *s, int *r, unsigned f), (d, s, r, f), -1)                          \
    F(virDomainPinVcpuFlags, int, (virDomainPtr d, unsigned v, unsigned char *m, int l, unsigned f), (d, v, m, l, f), -1) \
    F(virDomainPinEmulator, int, (virDomainPtr d, unsigned char *m, int l, unsigned f), (d, m, l, f), -1)              \
    F(virDomainPinIOThread, int, (virDomainPtr d, unsigned t, unsigned char *m, int l, unsigned f), (d, t, m, l, f), -1) \
    F(virDomainGetVcpusFlags, int, (virDomainPtr d, unsigned f), (d, f), -1)                                           \
    F(virDomainSetVcpusFlags, int, (virDomainPtr d, unsigned c, unsigned f), (d, c, f), -1)                            \
    F(virDomainUpdateDeviceFlags, int, (virDomainPtr d, const char *x, unsigned f), (d, x, f), -1)                     \
    F(virDomainAttachDeviceFlags, int, (virDomainPtr d, const char *x, unsigned f), (d, x, f), -1)                     \
    F(virDomainDetachDeviceAlias, int, (virDomainPtr d, const char *a, unsigned f), (d, a, f), -1)                     \
    F(virDomainFree, int, (virDomainPtr d), (d), -1)                                                                   \
    F(virConnectDomainEventRegisterAny, int,                                                                           \
      (virConnectPtr c, virDomainPtr d, int e, virConnectDomainEventGenericCallback cb, void *o, virFreeCallback f),   \
      (c, d, e, cb, o, f), -1)                                                                                         \
    F(virConnectDomainEventDeregisterAny, int, (virConnectPtr c, int id), (c, id), -1)

#define QEMU_FUNCTIONS(F)                                                                                              \
    F(virDomainQemuAgentCommand, char *, (virDomainPtr d, const char *c, int t, unsigned f), (d, c, t, f), NULL)       \
    F(virDomainQemuMonitorCommand, int, (virDomainPtr d, const char *c, char **r, unsigned f), (d, c, r, f), -1)

#define DEFINE(name, result, parameters, arguments, failure)              \
    static result(*p_##name) parameters;                                  \
    result lv_##name parameters {                                         \
        return p_##name ? p_##name arguments : failure;                   \
    }
FUNCTIONS(DEFINE)
QEMU_FUNCTIONS(DEFINE)

static void (*p_virSetErrorFunc)(void *, virErrorFunc);
void lv_virSetErrorFunc(void *user, virErrorFunc handler) {
    if (p_virSetErrorFunc)
        p_virSetErrorFunc(user, handler);
}

/* POSIX wants function pointers to be stored through the object pointer that dlsym returns. */
static const char *resolve(void *library, const char *name, void **target) {
    *target = dlsym(library, name);
    return *target ? NULL : dlerror();
}

const char *slipway_libvirt_load(void) {
    static int loaded;
    const char *error;
    if (loaded)
        return NULL;
    void *library = dlopen("libvirt.so.0", RTLD_NOW | RTLD_GLOBAL);
    if (!library)
        return dlerror();
    void *qemu = dlopen("libvirt-qemu.so.0", RTLD_NOW | RTLD_GLOBAL);
    if (!qemu)
        return dlerror();
#define RESOLVE(name, result, parameters, arguments, failure)              \
    if ((error = resolve(library, #name, (void **)&p_##name)))            \
        return error;
#define RESOLVE_QEMU(name, result, parameters, arguments, failure)         \
    if ((error = resolve(qemu, #name, (void **)&p_##name)))               \
        return error;
    FUNCTIONS(RESOLVE)
    QEMU_FUNCTIONS(RESOLVE_QEMU)
    if ((error = resolve(library, "virSetErrorFunc", (void **)&p_virSetErrorFunc)))
        return error;
    loaded = 1;
    return NULL;
}
