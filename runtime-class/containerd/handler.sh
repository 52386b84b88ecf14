# shellcheck shell=bash
# The runtime handlers in containerd's configuration, put there and taken out again. Read by install.sh and uninstall.sh,
# which set `root`, the directory that stands for /, and `here`, the directory of runtime-class.
#
# It goes into a directory that the configuration imports, where there is one. It goes between two marker lines at the
# end of the file itself where there is none, and always in version 2: containerd 1.x lets an imported file take the
# place of the whole CRI section, CNI directories and all.
: "${root?}" "${here?}"

readonly block_begin='# >>> slipway: written by install.sh, removed by uninstall.sh'
readonly block_end='# <<< slipway'
readonly drop_in=slipway.toml

# What stands before the first table of a TOML file, without comments.
top_level() { sed '/^[[:space:]]*\[/,$d; s/\(^\|[[:space:]]\)#.*//' "$1"; }

# The configuration's version; 1 where it does not say.
config_version() {
    local version
    version=$(top_level "$1" | sed -n 's/^[[:space:]]*version[[:space:]]*=[[:space:]]*\([0-9]\{1,\}\).*/\1/p' | sed -n 1p)
    echo "${version:-1}"
}

# The first directory of which the configuration imports all *.toml, as a path below $root; nothing where there is none.
imported_directory() {
    local directory
    # A multi-line array becomes one line.
    directory=$(top_level "$1" | tr '\n' ' ' |
        sed -n 's/.*\(^\|[[:space:]]\)imports[[:space:]]*=[[:space:]]*\[\([^]]*\)\].*/\2/p' |
        tr ',' '\n' | sed -n "s/^[[:space:]]*[\"']\([^\"'*?]*\)\/\*\.toml[\"'][[:space:]]*\$/\1/p" | sed -n 1p)
    case "$directory" in
    '') ;;
    /*) echo "$root$directory" ;;
    *) echo "$(dirname "$1")/$directory" ;;
    esac
}

# A file without the marked block.
without_block() {
    awk -v begin="$block_begin" -v end="$block_end" '$0 == begin { inside = 1 } !inside { print } $0 == end { inside = 0 }' "$1"
}

# Whether the TOML on standard input has a table for a runtime of CRI: for the one given, or for any.
names_runtime() {
    local quote="[\"']?" name=${1:-[A-Za-z0-9_-]+}
    # Not grep -q, which would break the pipe.
    grep -v '^[[:space:]]*#' | grep -E "containerd$quote\.${quote}runtimes$quote\.$quote$name${quote}[].]" >/dev/null
}

# Replaces a file, keeping its owner and mode. The new content is on standard input.
replace() {
    local new
    new=$(mktemp "$1.XXXXXX")
    cp -p "$1" "$new"
    cat >"$new"
    mv -f "$new" "$1"
}

containerd_program() {
    local program
    for program in "$root/usr/local/bin/containerd" "$root/usr/bin/containerd"; do
        [ ! -x "$program" ] || { echo "$program"; return; }
    done
    [ -n "$root" ] || command -v containerd || true
}

# What containerd itself makes of a configuration, in two parts: the names of the runtimes, and all that is no runtime.
# Fails where it cannot be asked.
containerd_reads() {
    local program dump
    program=$(containerd_program)
    [ -n "$program" ] || return 1
    dump=$("$program" --config "$1" config dump 2>/dev/null) || return 1
    case "$2" in
    runtimes) grep -oE "\.containerd\.runtimes\.[^].]+\]" <<<"$dump" | sed 's/.*runtimes\.//; s/\]//' | sort ;;
    rest) awk '/^[[:space:]]*\[/ { skip = /\.containerd\.runtimes\./ } !skip && !/^imports/' <<<"$dump" | grep -v '^$' ;;
    esac
}

# Puts the handler into the configuration FILE. Prints what was done; on failure prints why and changes nothing.
handler_add() {
    local file=$1 version directory source target block before rest runtimes missing
    version=$(config_version "$file")
    source=$here/containerd/slipway-v$version.toml
    if [ ! -f "$source" ]; then
        echo "$file: has version $version; 2, 3 and 4 are known here (\"version = 2\" is the first line of one for" \
            "containerd 1.6 and 1.7)" >&2
        return 1
    fi
    directory=
    [ "$version" = 2 ] || directory=$(imported_directory "$file")
    target=${directory:+$directory/$drop_in}

    if without_block "$file" | names_runtime slipway; then
        echo "containerd: $file has a handler slipway of its own, which is left as it is"
        return
    fi
    if [ -n "$target" ]; then
        # A block of before the directory was imported.
        ! grep -qxF "$block_begin" "$file" || without_block "$file" | replace "$file"
        if cmp -s "$source" "$target"; then
            echo "containerd: $target is there already"
            return
        fi
        mkdir -p "$directory"
        install -m 644 "$source" "$target"
        echo "containerd: wrote $target, which $file imports"
        return
    fi

    block=$(
        echo "$block_begin"
        # containerd 1.x takes its own runc away as soon as any runtime is configured.
        if [ "$version" = 2 ] && ! without_block "$file" | names_runtime; then
            echo '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]'
            echo 'runtime_type = "io.containerd.runc.v2"'
            echo
        fi
        # From the table on.
        sed -n '/^\[/,$p' "$source"
        echo "$block_end"
    )
    if [ "$(without_block "$file"; echo "$block")" = "$(cat "$file")" ]; then
        echo "containerd: $file has the handler already"
        return
    fi
    rest=$(containerd_reads "$file" rest || true)
    runtimes=$(containerd_reads "$file" runtimes || true)
    before=$(mktemp "$file.XXXXXX")
    cp -p "$file" "$before"
    # awk ends the last line where the file does not.
    { without_block "$before"; echo "$block"; } | replace "$file"
    if [ -n "$rest" ]; then
        missing=$(comm -23 <(printf '%s\nslipway\nslipway-hp\n' "$runtimes" | sort -u) <(containerd_reads "$file" runtimes | sort -u) |
            paste -sd ' ')
        if [ -n "$missing" ] || [ "$rest" != "$(containerd_reads "$file" rest)" ]; then
            mv -f "$before" "$file"
            echo "$file: with the handler added containerd would read it otherwise than meant" \
                "(missing runtimes: ${missing:-none}); the file is as it was. A file that it imports may hold the CRI" \
                "section: give that one as --containerd-config, or add the table of $source by hand" >&2
            return 1
        fi
    fi
    if grep -qxF "$block_begin" "$before"; then rm -f "$before"; else mv -f "$before" "$file.before-slipway"; fi
    echo "containerd: added the handler at the end of $file; the file of before is $file.before-slipway"
}

# Takes the handler out of the configuration FILE; nothing there is fine.
handler_remove() {
    local file=$1 backup=$1.before-slipway directory
    [ -f "$file" ] || return 0
    directory=$(imported_directory "$file")
    if [ -n "$directory" ] && grep -qs "^# Slipway's runtime handlers\?" "$directory/$drop_in"; then
        rm -f "$directory/$drop_in"
        rmdir --ignore-fail-on-non-empty "$directory"
        echo "containerd: removed $directory/$drop_in"
    fi
    if grep -qxF "$block_begin" "$file"; then
        without_block "$file" | replace "$file"
        echo "containerd: removed the handler from $file"
    fi
    [ -e "$backup" ] || return 0
    if [ "$(cat "$backup")" = "$(cat "$file")" ]; then
        # To the last byte: the end of the last line may be all that differs.
        mv -f "$backup" "$file"
    else
        echo "containerd: $file was changed by others since; $backup is kept"
    fi
}
