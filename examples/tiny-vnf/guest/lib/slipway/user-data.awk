# After yaml.awk: prints the commands for the parts of a cloud-config that the guest knows: mounts of virtiofs and 9p
# shares, and write_files.
END {
    for (i = 0; ("mounts/" i "/0") in V; i++) {
        tag = V["mounts/" i "/0"]; where = V["mounts/" i "/1"]; type = V["mounts/" i "/2"]; options = V["mounts/" i "/3"]
        if (type != "virtiofs" && type != "9p") continue
        # nofail and x-… are for fstab; the file systems do not know them.
        gsub(/(^|,)(defaults|nofail|_netdev|x-[^,]*)/, "", options); sub(/^,/, "", options)
        print (type == "9p" ? "modprobe -q -a 9pnet_virtio 9p" : "modprobe -q virtiofs")
        print "mkdir -p " quote(where)
        print "mount -t " type (options == "" ? "" : " -o " quote(options)) " " quote(tag) " " quote(where)
    }
    for (i = 0; ("write_files/" i "/path") in V; i++) {
        at = "write_files/" i "/"; file = V[at "path"]
        print "mkdir -p \"$(dirname " quote(file) ")\""
        print "printf %s " quote(V[at "content"]) (V[at "encoding"] ~ /^(b64|base64)$/ ? " | base64 -d" : "") " >" quote(file)
        if (V[at "permissions"] ~ /^[0-7]+$/) print "chmod " V[at "permissions"] " " quote(file)
    }
}

function quote(s) { gsub(/'/, "'\\''", s); return "'" s "'" }
