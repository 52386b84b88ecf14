# After yaml.awk: prints the commands for a NoCloud meta-data.
END {
    name = V["local-hostname"]
    if (name == "") name = V["hostname"]
    if (name ~ /^[A-Za-z0-9.-]+$/) print "hostname " name
}
