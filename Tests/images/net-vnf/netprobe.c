// Sends and receives what the network tests compare, in guests, containers and namespaces alike; linked statically.
//
//   netprobe serve PORT                      answers the next three, over TCP and UDP, IPv4 and IPv6, until it is ended
//   netprobe tcp ADDRESS PORT BYTES          sends BYTES and receives BYTES; each receiver compares every byte
//   netprobe udp ADDRESS PORT SIZE           one datagram of SIZE that nobody may fragment, and its echo
//   netprobe rtt ADDRESS PORT COUNT          round trips of 64 octets over UDP: median, microseconds
//   netprobe join LINK GROUP PORT SECONDS    the first datagram that comes to a multicast group on a link
//   netprobe cast LINK GROUP PORT TEXT       a datagram to a multicast group
//   netprobe capture LINK [SECONDS]          every frame of a link, one a line:
//                                            in|out DESTINATION SOURCE vlan=ID|- TYPE LENGTH CHECKSUM HEX…
//   netprobe frame LINK HEX [COUNT]          sends a frame as it is
//   netprobe offloads LINK on|off            checksums and segmentation in the link's driver, and in GRO
//   netprobe rings LINK                      descriptors of the link's queues
//
// What is asked for is printed as one line; the exit status is 0 when it came about.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void fail(const char *what) {
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

static int check(int result, const char *what) {
    if (result < 0) fail(what);
    return result;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void set(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); }

// What flows over TCP: a text whose length is a prime, so that no lost, doubled or moved segment goes unnoticed.
enum { period = 65521, chunk = 65536 };
static uint8_t pattern[period + chunk];

static void make_pattern(void) {
    uint32_t x = 2463534242;
    for (int i = 0; i < period; i++) {
        x ^= x << 13, x ^= x >> 17, x ^= x << 5;
        pattern[i] = x >> 11;
    }
    for (int i = 0; i < chunk; i++) pattern[period + i] = pattern[i];
}

static bool send_pattern(int fd, uint64_t bytes) {
    for (uint64_t at = 0; at < bytes;) {
        size_t n = bytes - at < chunk ? bytes - at : chunk;
        ssize_t sent = send(fd, pattern + at % period, n, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        at += sent;
    }
    return true;
}

// How many bytes came as they were sent, up to the first that did not.
static uint64_t receive_pattern(int fd, uint64_t bytes) {
    static uint8_t buffer[chunk];
    uint64_t at = 0;
    while (at < bytes) {
        ssize_t n = recv(fd, buffer, bytes - at < chunk ? bytes - at : chunk, 0);
        if (n <= 0 || memcmp(buffer, pattern + at % period, n)) break;
        at += n;
    }
    return at;
}

// An IPv4 or IPv6 address, a link-local one with its link: fe80::1%eth0.
static struct sockaddr_storage address(const char *host, const char *port, socklen_t *length) {
    struct sockaddr_storage result = {0};
    struct sockaddr_in *v4 = (void *)&result;
    struct sockaddr_in6 *v6 = (void *)&result;
    char text[64] = "", *link;
    strncpy(text, host, sizeof text - 1);
    if ((link = strchr(text, '%'))) *link++ = 0;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        result.ss_family = AF_INET, *length = sizeof *v4, v4->sin_port = htons(atoi(port));
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        result.ss_family = AF_INET6, *length = sizeof *v6, v6->sin6_port = htons(atoi(port));
        v6->sin6_scope_id = link ? if_nametoindex(link) : 0;
    } else errno = EINVAL, fail(host);
    return result;
}

// A question over TCP: which way, and how many bytes.
struct question {
    uint64_t up, bytes;
};

static void answer(int fd) {
    struct question q;
    while (recv(fd, &q, sizeof q, MSG_WAITALL) == sizeof q) {
        if (q.up) {
            uint64_t good = receive_pattern(fd, q.bytes);
            send(fd, &good, sizeof good, MSG_NOSIGNAL);
        } else if (!send_pattern(fd, q.bytes)) break;
    }
}

static int serve(const char *port) {
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(port))};
    int tcp = check(socket(AF_INET6, SOCK_STREAM, 0), "socket"), udp = check(socket(AF_INET6, SOCK_DGRAM, 0), "socket");
    set(tcp, SOL_SOCKET, SO_REUSEADDR, 1);
    for (int i = 0; i < 2; i++) {
        set(i ? udp : tcp, IPPROTO_IPV6, IPV6_V6ONLY, 0);
        check(bind(i ? udp : tcp, (struct sockaddr *)&any, sizeof any), "bind");
    }
    check(listen(tcp, 64), "listen");
    set(udp, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set(udp, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    set(udp, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
    signal(SIGCHLD, SIG_IGN);
    struct pollfd fds[] = {{.fd = tcp, .events = POLLIN}, {.fd = udp, .events = POLLIN}};
    static uint8_t data[1 << 16], control[256];
    for (;;) {
        poll(fds, 2, -1);
        if (fds[0].revents) {
            int connection = accept(tcp, NULL, NULL);
            if (connection >= 0 && fork() == 0) {
                answer(connection);
                _exit(0);
            }
            close(connection);
        }
        if (fds[1].revents) {
            struct sockaddr_in6 peer;
            struct iovec part = {data, sizeof data};
            struct msghdr message = {&peer, sizeof peer, &part, 1, control, sizeof control, 0};
            ssize_t n = recvmsg(udp, &message, 0);
            part.iov_len = n;
            message.msg_flags = 0;
            // With the control data that came along, the echo leaves from the address that was asked.
            if (n >= 0) sendmsg(udp, &message, 0);
        }
    }
}

static int tcp(const char *host, const char *port, uint64_t bytes) {
    socklen_t length;
    struct sockaddr_storage peer = address(host, port, &length);
    int fd = check(socket(peer.ss_family, SOCK_STREAM, 0), "socket");
    struct timeval limit = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    check(connect(fd, (struct sockaddr *)&peer, length), "connect");
    double begin = now();
    struct question q = {1, bytes};
    uint64_t up = 0, down = 0;
    if (send(fd, &q, sizeof q, MSG_NOSIGNAL) != sizeof q || !send_pattern(fd, bytes)) fail("send");
    if (recv(fd, &up, sizeof up, MSG_WAITALL) != sizeof up) fail("receive");
    double middle = now();
    q.up = 0;
    send(fd, &q, sizeof q, MSG_NOSIGNAL);
    down = receive_pattern(fd, bytes);
    double end = now();
    printf("tcp up %lu of %lu, %.0f Mbit/s; down %lu of %lu, %.0f Mbit/s\n", up, bytes,
           bytes * 8 / 1e3 / (middle - begin), down, bytes, bytes * 8 / 1e3 / (end - middle));
    return up != bytes || down != bytes;
}

static int echo_socket(const char *host, const char *port) {
    socklen_t length;
    struct sockaddr_storage peer = address(host, port, &length);
    int fd = check(socket(peer.ss_family, SOCK_DGRAM, 0), "socket");
    set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
    check(connect(fd, (struct sockaddr *)&peer, length), "connect");
    return fd;
}

static int udp(const char *host, const char *port, size_t size) {
    static uint8_t buffer[1 << 16];
    int fd = echo_socket(host, port);
    struct timeval limit = {.tv_usec = 500000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ssize_t n = -1;
    // Asked several times: the first one may be lost while a neighbour's address is looked for.
    for (int try = 0; try < 6 && n < 0; try++) {
        if (send(fd, pattern, size, 0) < 0) fail("send");
        n = recv(fd, buffer, sizeof buffer, 0);
    }
    if (n < 0) fail("receive");
    bool same = n == (ssize_t)size && !memcmp(buffer, pattern, size);
    printf("udp %zd of %zu %s\n", n, size, same ? "same" : "different");
    return !same;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int rtt(const char *host, const char *port, int count) {
    int fd = echo_socket(host, port);
    struct timeval limit = {.tv_sec = 1};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    double *times = calloc(count, sizeof *times);
    uint8_t buffer[64];
    int lost = 0, seen = 0;
    for (int i = -5; i < count; i++) {
        double begin = now();
        send(fd, pattern, sizeof buffer, 0);
        if (recv(fd, buffer, sizeof buffer, 0) != sizeof buffer) lost++;
        else if (i >= 0) times[seen++] = now() - begin;
    }
    if (!seen) fail("receive");
    qsort(times, seen, sizeof *times, by_value);
    printf("rtt median %.1f slowest %.1f us, lost %d\n", times[seen / 2] * 1e3, times[seen - 1] * 1e3, lost);
    return 0;
}

static int join(const char *link, const char *group, const char *port, int seconds) {
    socklen_t length;
    struct sockaddr_storage where = address(group, port, &length);
    int fd = check(socket(where.ss_family, SOCK_DGRAM, 0), "socket");
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    struct group_req request = {.gr_interface = if_nametoindex(link)};
    memcpy(&request.gr_group, &where, length);
    check(bind(fd, (struct sockaddr *)&where, length), "bind");
    int level = where.ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    check(setsockopt(fd, level, MCAST_JOIN_GROUP, &request, sizeof request), "join");
    struct timeval limit = {.tv_sec = seconds};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    printf("joined\n");
    fflush(stdout);
    char text[1500];
    ssize_t n = recv(fd, text, sizeof text, 0);
    if (n < 0) fail("receive");
    printf("heard %.*s\n", (int)n, text);
    return 0;
}

static int cast(const char *link, const char *group, const char *port, const char *text) {
    socklen_t length;
    struct sockaddr_storage where = address(group, port, &length);
    int fd = check(socket(where.ss_family, SOCK_DGRAM, 0), "socket");
    struct ip_mreqn v4 = {.imr_ifindex = if_nametoindex(link)};
    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &v4, sizeof v4);
    set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, if_nametoindex(link));
    check(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&where, length), "send");
    printf("sent\n");
    return 0;
}

static int packet_socket(const char *link) {
    int fd = check(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), "socket");
    struct sockaddr_ll where = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = if_nametoindex(link)};
    check(bind(fd, (struct sockaddr *)&where, sizeof where), link);
    return fd;
}

static uint32_t sum(const uint8_t *data, size_t n, uint32_t start) {
    for (size_t i = 0; i + 1 < n; i += 2) start += data[i] << 8 | data[i + 1];
    if (n & 1) start += data[n - 1] << 8;
    while (start >> 16) start = (start & 0xffff) + (start >> 16);
    return start;
}

// Whether the checksum of TCP, UDP or ICMP over a packet is right; "-" where there is none to look at.
static const char *checksum(const uint8_t *p, size_t n) {
    size_t head, end, addresses;
    int protocol;
    if (n >= 20 && p[0] >> 4 == 4) {
        head = (p[0] & 15) * 4, end = p[2] << 8 | p[3], protocol = p[9], addresses = 12;
        if (((p[6] & 0x3f) | p[7]) != 0) return "-";
        if (head > n || sum(p, head, 0) != 0xffff) return "bad";
    } else if (n >= 40 && p[0] >> 4 == 6) {
        head = 40, end = 40 + (p[4] << 8 | p[5]), protocol = p[6], addresses = 8;
    } else return "-";
    if (end > n || head > end) return "short";
    if (protocol != 6 && protocol != 17 && protocol != 1 && protocol != 58) return "-";
    if (protocol == 17 && end >= head + 8 && !p[head + 6] && !p[head + 7]) return "-";
    uint32_t start = protocol == 1 ? 0 : sum(p + addresses, p[0] >> 4 == 4 ? 8 : 32, protocol + (end - head));
    return sum(p + head, end - head, start) == 0xffff ? "ok" : "bad";
}

static void print_mac(const uint8_t *m) { printf(" %02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]); }

static int capture(const char *link, int seconds) {
    int fd = packet_socket(link);
    set(fd, SOL_PACKET, PACKET_AUXDATA, 1);
    set(fd, SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20);
    struct packet_mreq all = {.mr_ifindex = if_nametoindex(link), .mr_type = PACKET_MR_PROMISC};
    check(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all), "promiscuous");
    setvbuf(stdout, NULL, _IOLBF, 1 << 16);
    printf("capturing %s\n", link);
    double end = now() + seconds * 1e3;
    static uint8_t data[1 << 17], control[256];
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        double left = end - now();
        if (left <= 0 || poll(&wait, 1, left) <= 0) return 0;
        struct sockaddr_ll from;
        struct iovec part = {data, sizeof data};
        struct msghdr message = {&from, sizeof from, &part, 1, control, sizeof control, 0};
        ssize_t n = recvmsg(fd, &message, 0);
        if (n < 14) continue;
        struct tpacket_auxdata aux = {0};
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
            if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) memcpy(&aux, CMSG_DATA(c), sizeof aux);
        uint16_t type = data[12] << 8 | data[13];
        size_t head = 14;
        int vlan = aux.tp_status & TP_STATUS_VLAN_VALID ? aux.tp_vlan_tci & 0xfff : -1;
        if (vlan < 0 && type == 0x8100 && n >= 18)
            vlan = (data[14] << 8 | data[15]) & 0xfff, type = data[16] << 8 | data[17], head = 18;
        printf(from.sll_pkttype == PACKET_OUTGOING ? "out" : "in");
        print_mac(data);
        print_mac(data + 6);
        if (vlan < 0) printf(" vlan=-");
        else printf(" vlan=%d", vlan);
        // Whoever has not computed the checksum yet has the driver do it.
        const char *verdict = type != 0x0800 && type != 0x86dd ? "-"
                              : aux.tp_status & TP_STATUS_CSUMNOTREADY ? "partial"
                                                                       : checksum(data + head, n - head);
        printf(" %04x %zd %s ", type, n, verdict);
        for (ssize_t i = 0; i < n && i < 96; i++) printf("%02x", data[i]);
        printf("\n");
    }
}

static int frame(const char *link, const char *hex, int count) {
    static uint8_t data[1 << 16];
    size_t n = 0;
    for (unsigned octet; hex[0] && hex[1] && n < sizeof data && sscanf(hex, "%2x", &octet) == 1; hex += 2) data[n++] = octet;
    int fd = packet_socket(link);
    for (int i = 0; i < count; i++)
        if (send(fd, data, n, 0) != (ssize_t)n) fail("send");
    printf("sent %zu\n", n);
    return 0;
}

static int offloads(const char *link, bool on) {
    int fd = check(socket(AF_INET, SOCK_DGRAM, 0), "socket");
    // Off: segmentation before the checksums that it needs; on: the other way round.
    const uint32_t order[] = {ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO, ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM};
    for (int i = 0; i < 5; i++) {
        struct ethtool_value value = {order[on ? 4 - i : i], on};
        struct ifreq request = {.ifr_data = (void *)&value};
        strncpy(request.ifr_name, link, IFNAMSIZ - 1);
        if (ioctl(fd, SIOCETHTOOL, &request) < 0 && errno != EOPNOTSUPP) fail("offloads");
    }
    printf("offloads %s\n", on ? "on" : "off");
    return 0;
}

static int rings(const char *link) {
    int fd = check(socket(AF_INET, SOCK_DGRAM, 0), "socket");
    struct ethtool_ringparam value = {.cmd = ETHTOOL_GRINGPARAM};
    struct ifreq request = {.ifr_data = (void *)&value};
    strncpy(request.ifr_name, link, IFNAMSIZ - 1);
    check(ioctl(fd, SIOCETHTOOL, &request), "rings");
    printf("rings rx %u tx %u\n", value.rx_pending, value.tx_pending);
    return 0;
}

int main(int count, char **words) {
    make_pattern();
    const char *verb = count > 1 ? words[1] : "";
#define verb_is(name, least) (!strcmp(verb, name) && count >= 2 + least)
    if (verb_is("serve", 1)) return serve(words[2]);
    if (verb_is("tcp", 3)) return tcp(words[2], words[3], strtoull(words[4], NULL, 10));
    if (verb_is("udp", 3)) return udp(words[2], words[3], strtoul(words[4], NULL, 10));
    if (verb_is("rtt", 3)) return rtt(words[2], words[3], atoi(words[4]));
    if (verb_is("join", 4)) return join(words[2], words[3], words[4], atoi(words[5]));
    if (verb_is("cast", 4)) return cast(words[2], words[3], words[4], words[5]);
    if (verb_is("capture", 1)) return capture(words[2], count > 3 ? atoi(words[3]) : 3600);
    if (verb_is("frame", 2)) return frame(words[2], words[3], count > 4 ? atoi(words[4]) : 1);
    if (verb_is("offloads", 2)) return offloads(words[2], !strcmp(words[3], "on"));
    if (verb_is("rings", 1)) return rings(words[2]);
    printf("netprobe: wrong words; the verbs are listed at the head of netprobe.c\n");
    return 2;
}
