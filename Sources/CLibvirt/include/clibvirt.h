/* libvirt's client library and its QEMU extension, loaded with dlopen(3) by slipway_libvirt_load().
 *
 * Loading at run time keeps libvirt's 50 shared objects (13 ms of relocations) out of the time in which a sandbox
 * process begins to answer containerd. The functions are forwarded under the prefix lv_ with libvirt's signatures;
 * before the library is loaded they fail with libvirt's failure value. */
#ifndef SLIPWAY_CLIBVIRT_H
#define SLIPWAY_CLIBVIRT_H

#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/* Loads libvirt.so.0 and libvirt-qemu.so.0 once. NULL on success, else dlerror's text. Not thread-safe. */
const char *slipway_libvirt_load(void);

int lv_virInitialize(void);
int lv_virGetVersion(unsigned long *version, const char *type, unsigned long *type_version);
void lv_virSetErrorFunc(void *user, virErrorFunc handler);
virErrorPtr lv_virGetLastError(void);
int lv_virEventRegisterDefaultImpl(void);
int lv_virEventRunDefaultImpl(void);
virConnectPtr lv_virConnectOpen(const char *uri);
int lv_virConnectClose(virConnectPtr connection);
int lv_virConnectGetVersion(virConnectPtr connection, unsigned long *version);
char *lv_virConnectGetDomainCapabilities(virConnectPtr connection, const char *emulator, const char *arch,
                                         const char *machine, const char *type, unsigned flags);
virDomainPtr lv_virDomainDefineXMLFlags(virConnectPtr connection, const char *xml, unsigned flags);
int lv_virDomainCreateWithFlags(virDomainPtr domain, unsigned flags);
int lv_virDomainUndefineFlags(virDomainPtr domain, unsigned flags);
virDomainPtr lv_virDomainLookupByName(virConnectPtr connection, const char *name);
char *lv_virDomainGetXMLDesc(virDomainPtr domain, unsigned flags);
unsigned lv_virDomainGetID(virDomainPtr domain);
int lv_virDomainFDAssociate(virDomainPtr domain, const char *name, unsigned count, int *fds, unsigned flags);
int lv_virDomainSuspend(virDomainPtr domain);
int lv_virDomainResume(virDomainPtr domain);
int lv_virDomainShutdownFlags(virDomainPtr domain, unsigned flags);
int lv_virDomainDestroyFlags(virDomainPtr domain, unsigned flags);
int lv_virDomainGetState(virDomainPtr domain, int *state, int *reason, unsigned flags);
int lv_virDomainPinVcpuFlags(virDomainPtr domain, unsigned vcpu, unsigned char *map, int length, unsigned flags);
int lv_virDomainPinEmulator(virDomainPtr domain, unsigned char *map, int length, unsigned flags);
int lv_virDomainPinIOThread(virDomainPtr domain, unsigned thread, unsigned char *map, int length, unsigned flags);
int lv_virDomainGetVcpusFlags(virDomainPtr domain, unsigned flags);
int lv_virDomainSetVcpusFlags(virDomainPtr domain, unsigned count, unsigned flags);
int lv_virDomainUpdateDeviceFlags(virDomainPtr domain, const char *xml, unsigned flags);
int lv_virDomainAttachDeviceFlags(virDomainPtr domain, const char *xml, unsigned flags);
int lv_virDomainDetachDeviceAlias(virDomainPtr domain, const char *alias, unsigned flags);
int lv_virDomainFree(virDomainPtr domain);
int lv_virConnectDomainEventRegisterAny(virConnectPtr connection, virDomainPtr domain, int event,
                                        virConnectDomainEventGenericCallback callback, void *opaque,
                                        virFreeCallback free_callback);
int lv_virConnectDomainEventDeregisterAny(virConnectPtr connection, int callback);
char *lv_virDomainQemuAgentCommand(virDomainPtr domain, const char *command, int timeout, unsigned flags);
int lv_virDomainQemuMonitorCommand(virDomainPtr domain, const char *command, char **result, unsigned flags);

#endif
