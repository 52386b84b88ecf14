# After yaml.awk: prints the commands for a network-config of version 2: match by MAC address, set-name, mtu,
# addresses, gateway4/6, routes, dhcp4, nameservers. `links` names a file with a line "NAME MAC" for each interface.
END {
    while ((getline line < links) > 0) { split(line, f, " "); by_mac[tolower(f[2])] = f[1]; exists[f[1]] = 1 }

    for (i = 1; i <= n; i++) {
        path = P[i]; sub(/^network\//, "", path)
        if (split(path, part, "/") < 3 || part[1] != "ethernets") continue
        if (!(part[2] in seen)) { seen[part[2]] = 1; id[++count] = part[2] }
        sub(/^ethernets\/[^\/]*\//, "", path)
        C[part[2], path] = V[P[i]]
    }

    # Renaming in two steps, because the new name of one interface may be the old name of another.
    for (i = 1; i <= count; i++) {
        mac = tolower(C[id[i], "match/macaddress"]); old = id[i]
        if (mac != "") old = (mac in by_mac) ? by_mac[mac] : ""
        if (old == "" || !(old in exists)) { say("no interface for " id[i] " " mac); continue }
        link[i] = old
        new = C[id[i], "set-name"]
        if (new !~ /^[A-Za-z0-9_.-]+$/ || new == old) continue
        print "ip link set dev " old " name rename" i
        second = second "ip link set dev rename" i " name " new "\n"
        link[i] = new
    }
    printf "%s", second

    for (i = 1; i <= count; i++) {
        if (!(i in link)) continue
        d = link[i]; c = id[i]
        if (C[c, "mtu"] ~ /^[0-9]+$/) print "ip link set dev " d " mtu " C[c, "mtu"]
        if (C[c, "accept-ra"] ~ /^(false|no)$/) print "echo 0 >/proc/sys/net/ipv6/conf/" d "/accept_ra"
        print "ip link set dev " d " up"
        for (j = 0; (c, "addresses/" j) in C; j++)
            if (address(C[c, "addresses/" j])) print "ip addr add " C[c, "addresses/" j] " dev " d
        if (address(C[c, "gateway4"])) route("default", C[c, "gateway4"], d, "")
        if (address(C[c, "gateway6"])) route("default", C[c, "gateway6"], d, "")
        for (j = 0; (c, "routes/" j "/to") in C; j++)
            route(C[c, "routes/" j "/to"], C[c, "routes/" j "/via"], d, C[c, "routes/" j "/metric"])
        if (C[c, "dhcp4"] ~ /^(true|yes)$/)
            print "udhcpc -q -n -t 5 -T 1 -A 1 -S -O staticroutes -O mtu -i " d " -s /lib/slipway/udhcpc >/dev/null 2>&1"
        for (j = 0; (c, "nameservers/search/" j) in C; j++) search = search " " C[c, "nameservers/search/" j]
        for (j = 0; (c, "nameservers/addresses/" j) in C; j++)
            if (address(C[c, "nameservers/addresses/" j])) servers = servers "nameserver " C[c, "nameservers/addresses/" j] "\n"
    }
    if (search ~ /^[ A-Za-z0-9.-]+$/) servers = "search" search "\n" servers
    if (servers != "") printf "cat >/etc/resolv.conf <<END\n%sEND\n", servers
}

function say(text) { gsub(/[^A-Za-z0-9 :._-]/, "?", text); print "echo 'tiny-vnf: " text "'" }
function address(a) { return a ~ /^[0-9A-Fa-f.:]+(\/[0-9]+)?$/ }

function route(to, via, d, metric,    family, tail) {
    if (to == "default" || to == "0.0.0.0/0" || to == "::/0") {
        family = (to == "::/0" || via ~ /:/) ? "-6 " : ""
        to = "default"
    } else if (!address(to)) return
    else family = to ~ /:/ ? "-6 " : ""
    tail = " dev " d (metric ~ /^[0-9]+$/ ? " metric " metric : "")
    # No gateway, or the unspecified one: the destination is on the link itself.
    if (!address(via) || via == "0.0.0.0" || via == "::") { print "ip " family "route add " to tail; return }
    # A gateway outside every subnet ("on-link") is reached by a route to itself.
    printf "ip %sroute add %s via %s%s 2>/dev/null || ", family, to, via, tail
    printf "{ ip %sroute add %s dev %s; ip %sroute add %s via %s%s; }\n", family, via, d, family, to, via, tail
}
