#!/usr/bin/env bash
# install-test.sh
#
# Installs Slipway into file systems made for the purpose and uninstalls it again, for every version of containerd's
# configuration, and looks whether containerd reads what was meant and whether anything is left. Nothing outside of a
# temporary directory is touched. Needs root (for --root, accounts are made there), python3 and containerd 1.6 or 1.7.
set -euo pipefail

runtime_class=$(cd "$(dirname "$0")/../../runtime-class" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
checks=0 name='' root=''

# check WHAT COMMAND…: counts, or says what failed and ends.
check() {
    checks=$((checks + 1))
    local what=$1
    shift
    "$@" || { echo "install-test: $name: $what: failed ($*)" >&2; cat "$work/output" >&2; exit 1; }
}
not() { ! "$@"; }
says() { grep -qF -- "$1" "$work/output"; }
run() { "$runtime_class/$1" --root "$root" "${@:2}" >"$work/output" 2>&1 </dev/null; }
install_() { run install.sh --programs "$work/programs" "$@"; }

# A root file system with what install.sh looks for.
new_root() { # NAME
    name=$1
    root=$work/$1
    mkdir -p "$root"/etc/containerd "$root"/usr/{bin,sbin,share/seabios} "$root"/run "$root"/var/{cache,lib} \
        "$root"/usr/lib/x86_64-linux-gnu/libvirt/connection-driver
    echo root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd"
    echo root:x:0: >"$root/etc/group"
    touch "$root"/usr/bin/{qemu-system-x86_64,genisoimage} "$root"/usr/sbin/{dnsmasq,nft} \
        "$root"/usr/share/seabios/bios-256k.bin "$root"/usr/lib/x86_64-linux-gnu/libvirt.so.0 \
        "$root"/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so
}

# Names, modes and contents of everything but the accounts, which stay.
contents() {
    (cd "$root" && find . ! -path './etc/passwd*' ! -path './etc/group*' ! -path './etc/*shadow*' \
        ! -path './etc/sub[ug]id*' \( -type f -printf '%M %p ' -exec sha256sum {} \; -o -printf '%M %p %l\n' \) | sort)
}

# What TOML says: a Python expression over c, the merged configuration of the given files, its part cri, and handler,
# which is Slipway's as it should be.
toml() { # EXPRESSION FILE…
    python3 - "$@" <<'EOF'
import sys, tomllib
def merge(a, b):
    for key, value in b.items():
        if isinstance(value, dict) and isinstance(a.get(key), dict): merge(a[key], value)
        else: a[key] = value
c = {}
for path in sys.argv[2:]:
    with open(path, "rb") as file: merge(c, tomllib.load(file))
cri = c["plugins"]["io.containerd.grpc.v1.cri" if c["version"] == 2 else "io.containerd.cri.v1.runtime"]
runtimes = cri["containerd"]["runtimes"]
handler = {"runtime_type": "io.containerd.slipway.v2", "pod_annotations": ["slipway.dev/*", "k8s.v1.cni.cncf.io/*"],
    "container_annotations": ["slipway.dev/*", "k8s.v1.cni.cncf.io/*"], "privileged_without_host_devices": True}
performance = dict(handler, options={"ConfigPath": "/etc/slipway/high-performance.json"})
sys.exit(0 if eval(sys.argv[1]) else 1)
EOF
}

mkdir "$work/programs"
for program in containerd-shim-slipway-v2 slipway-sandbox slipway; do
    printf '#!/bin/sh\necho %s\n' "$program" >"$work/programs/$program"
    chmod 755 "$work/programs/$program"
done
containerd=$(command -v containerd)
containerd_reads() { "$containerd" --config "$root/etc/containerd/config.toml" config dump >"$work/output" 2>/dev/null; }

# Installs twice, checks the second time to change nothing, runs CHECK in between, uninstalls twice, compares.
round() { # CHECK…
    contents >"$work/before"
    check 'install' install_
    local program
    for program in containerd-shim-slipway-v2 slipway-sandbox slipway; do
        check "$program" cmp "$work/programs/$program" "$root/usr/local/bin/$program"
    done
    check 'configuration' cmp "$runtime_class/config.json" "$root/etc/slipway/config.json"
    check 'configuration of slipway-hp' cmp "$runtime_class/high-performance.json" \
        "$root/etc/slipway/high-performance.json"
    check 'cache' test -d "$root/var/cache/slipway"
    check 'account' grep -q '^libvirt-qemu:' "$root/etc/passwd"
    check 'group kvm' grep -q '^kvm:' "$root/etc/group"
    check 'group libvirt-qemu' grep -q '^libvirt-qemu:' "$root/etc/group"
    contents >"$work/installed"
    check 'install again' install_
    check 'nothing changes' diff "$work/installed" <(contents)
    "$@"
    check 'uninstall' run uninstall.sh
    rmdir --ignore-fail-on-non-empty "$root/usr/local/bin" "$root/usr/local"
    check 'nothing is left' diff "$work/before" <(contents)
    check 'uninstall again' run uninstall.sh
    check 'nothing is left again' diff "$work/before" <(contents)
}

# Version 2, as Debian ships it: no runtime is configured, and the last line has no end.
new_root v2
ln -s "$containerd" "$root/usr/bin/containerd"
printf '%s\n' 'version = 2' '' '[plugins]' '  [plugins."io.containerd.grpc.v1.cri"]' \
    '    [plugins."io.containerd.grpc.v1.cri".cni]' '      bin_dir = "/usr/lib/cni"' >"$root/etc/containerd/config.toml"
printf '%s' '      conf_dir = "/etc/cni/net.d"' >>"$root/etc/containerd/config.toml"
v2_check() {
    local file=$root/etc/containerd/config.toml
    check 'handler' toml 'runtimes["slipway"] == handler and runtimes["slipway-hp"] == performance' "$file"
    check 'runc stays' toml 'runtimes["runc"] == {"runtime_type": "io.containerd.runc.v2"}' "$file"
    check 'CNI stays' toml 'cri["cni"] == {"bin_dir": "/usr/lib/cni", "conf_dir": "/etc/cni/net.d"}' "$file"
    check 'containerd reads it' containerd_reads
    check 'containerd knows the handler' says 'runtime_type = "io.containerd.slipway.v2"'
    check 'containerd knows runc' says 'runtime_type = "io.containerd.runc.v2"'
    check 'containerd knows the CNI directory' says 'bin_dir = "/usr/lib/cni"'
}
round v2_check

# Version 2 with runc's settings: they are not touched, and not repeated. Other owners and modes are kept.
new_root v2-runc
ln -s "$containerd" "$root/usr/bin/containerd"
cat >"$root/etc/containerd/config.toml" <<'EOF'
version = 2
imports = ["/nowhere/*.toml"]
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = true
# [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.slipway]
EOF
chmod 600 "$root/etc/containerd/config.toml"
v2_runc_check() {
    local file=$root/etc/containerd/config.toml
    check 'mode' test "$(stat -c %a "$file")" = 600
    check 'handler' toml 'runtimes["slipway"] == handler and runtimes["slipway-hp"] == performance' "$file"
    check 'runc' toml 'runtimes["runc"]["options"]["SystemdCgroup"] is True' "$file"
    check 'containerd reads it' containerd_reads
    check 'containerd keeps the setting' says 'SystemdCgroup = true'
}
round v2_runc_check

# Version 2 where an imported file takes the place of the CRI section: what was written is taken back.
new_root v2-overridden
ln -s "$containerd" "$root/usr/bin/containerd"
mkdir "$root/etc/containerd/conf.d"
printf 'version = 2\nimports = ["%s/*.toml"]\n' "$root/etc/containerd/conf.d" >"$root/etc/containerd/config.toml"
printf '%s\n' 'version = 2' '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]' \
    'runtime_type = "io.containerd.runc.v2"' >"$root/etc/containerd/conf.d/other.toml"
(cd "$root/etc/containerd" && sha256sum config.toml conf.d/other.toml) >"$work/before"
check 'refused' not install_
check 'says why' says 'missing runtimes: slipway slipway-hp'
check 'taken back' diff "$work/before" <(cd "$root/etc/containerd" && sha256sum config.toml conf.d/other.toml)
check 'nothing else there' test "$(ls "$root/etc/containerd")" = "$(printf '%s\n' conf.d config.toml)"
check 'into the imported file' install_ --containerd-config /etc/containerd/conf.d/other.toml
check 'containerd reads it' containerd_reads
check 'containerd knows the handler' says 'runtime_type = "io.containerd.slipway.v2"'
check 'uninstall' run uninstall.sh --containerd-config /etc/containerd/conf.d/other.toml
check 'nothing is left' diff "$work/before" <(cd "$root/etc/containerd" && sha256sum config.toml conf.d/other.toml)

# Versions 3 and 4, with a directory that is imported, and without.
for version in 3 4; do
    dropped_in() {
        local file=$root/etc/containerd/config.toml
        check 'drop-in' cmp "$runtime_class/containerd/slipway-v$version.toml" "$root/etc/containerd/conf.d/slipway.toml"
        check 'handler' toml 'runtimes["slipway"] == handler and runtimes["slipway-hp"] == performance' "$file" \
            "$root/etc/containerd/conf.d/slipway.toml"
        check 'version' toml "c['version'] == $version" "$root/etc/containerd/conf.d/slipway.toml"
    }
    for imports in '"/etc/containerd/conf.d/*.toml"' "
      '/etc/other.toml', # one file
      'conf.d/*.toml',
    "; do
        new_root "v$version-drop-in$checks"
        cat >"$root/etc/containerd/config.toml" <<EOF
version = $version
imports = [$imports]
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
EOF
        round dropped_in
    done
    new_root "v$version"
    printf 'version = %s\n[plugins."io.containerd.cri.v1.runtime"]\nenable_selinux = true\n' $version \
        >"$root/etc/containerd/config.toml"
    appended() {
        local file=$root/etc/containerd/config.toml
        check 'handler' toml 'runtimes == {"slipway": handler, "slipway-hp": performance}' "$file"
        check 'the rest' toml "cri['enable_selinux'] is True and c['version'] == $version" "$file"
    }
    round appended
done

# What others have changed meanwhile stays.
new_root changed
printf 'version = 3\n' >"$root/etc/containerd/config.toml"
check 'install' install_
echo '[debug]' >>"$root/etc/containerd/config.toml"
sed -i 's/"auto"/"tcg"/' "$root/etc/slipway/config.json"
check 'install again' install_
check 'settings stay' grep -q '"tcg"' "$root/etc/slipway/config.json"
check 'uninstall' run uninstall.sh
check 'the configuration of containerd stays' diff <(printf 'version = 3\n[debug]\n') "$root/etc/containerd/config.toml"
check 'the file of before is kept' diff <(printf 'version = 3\n') "$root/etc/containerd/config.toml.before-slipway"
check 'changed settings stay' grep -q '"tcg"' "$root/etc/slipway/config.json"
check 'purge' run uninstall.sh --purge
check 'changed settings are gone' test ! -e "$root/etc/slipway"

# A handler that somebody wrote by hand is theirs.
new_root by-hand
printf '%s\n' 'version = 3' "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.'slipway']" \
    'runtime_type = "/opt/slipway"' >"$root/etc/containerd/config.toml"
cp "$root/etc/containerd/config.toml" "$work/by-hand.toml"
check 'install' install_
check 'says so' says 'a handler slipway of its own'
check 'not touched' cmp "$work/by-hand.toml" "$root/etc/containerd/config.toml"
check 'uninstall' run uninstall.sh
check 'not touched' cmp "$work/by-hand.toml" "$root/etc/containerd/config.toml"

# Running machines.
new_root running
printf 'version = 3\n' >"$root/etc/containerd/config.toml"
check 'install' install_
mkdir -p "$root/run/slipway/0123abcd-0123456789abcdef" "$root/run/slipway/.users"
echo '{}' >"$root/run/slipway/0123abcd-0123456789abcdef/sandbox.json"
contents >"$work/before"
check 'refused' not run uninstall.sh
check 'says which' says "$root/run/slipway/0123abcd-0123456789abcdef"
check 'nothing changed' diff "$work/before" <(contents)
check 'forced' run uninstall.sh --force
check 'the record stays' test -e "$root/run/slipway/0123abcd-0123456789abcdef/sandbox.json"
check 'the programs are gone' test ! -e "$root/usr/local/bin/slipway-sandbox"

# What cannot be done is said before anything is changed.
new_root refusals
printf 'version = 3\n' >"$root/etc/containerd/config.toml"
rm "$root/usr/sbin/dnsmasq" "$root/usr/bin/genisoimage"
contents >"$work/before"
check 'missing packages' not install_
check 'says how' says 'apt-get install -y --no-install-recommends dnsmasq-base genisoimage'
check 'unknown option' not install_ --nonsense
check 'names it' says '--nonsense is not known'
check 'no value' not install_ --containerd-config
check 'names it' says '--containerd-config needs a value'
check 'relative' not install_ --containerd-config config.toml
check 'apt with --root' not install_ --install-packages
check 'no programs' not run install.sh --programs "$work"
check 'names the program' says "$work/containerd-shim-slipway-v2 is missing"
check 'nothing changed' diff "$work/before" <(contents)
touch "$root/usr/sbin/dnsmasq" "$root/usr/bin/xorrisofs"
for text in '' 'version = 5'; do
    echo "$text" >"$root/etc/containerd/config.toml"
    check 'unknown version' not install_
    check 'says which are known' says '2, 3 and 4 are known here'
done
rm "$root/etc/containerd/config.toml"
check 'no configuration' not install_
check 'says what to do' says 'containerd config default >'

echo "install-test: ok, $checks checks"
