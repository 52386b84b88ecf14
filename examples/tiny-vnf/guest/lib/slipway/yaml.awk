# Reads YAML as cloud-init files use it, JSON included, into V["path"] = value. A path is keys and list positions
# joined by "/": V["ethernets/eth0/addresses/0"]. P[1…n] are the paths in the order of the document.
# Left out: anchors, tags, several documents, plain scalars over several lines.

{ sub(/\r$/, ""); L[++lines] = $0 }

END {
    depth = 0; column[0] = -1; kind[0] = "root"; below[0] = ""
    for (at = 1; at <= lines; at++) {
        s = L[at]
        if (s ~ /^[ \t]*(#.*)?$/ || s ~ /^(---|\.\.\.)/) continue
        match(s, /^ */)
        block(RLENGTH, substr(s, RLENGTH + 1))
    }
}

function join(a, b) { return a == "" ? b : a "/" b }
function put(path, value) { if (!(path in V)) P[++n] = path; V[path] = value }
function push(c, k, p) { depth++; column[depth] = c; kind[depth] = k; prefix[depth] = p; next_item[depth] = 0 }

# One line, or the rest of one after "- ", that begins at column c. below[depth] is the path that what follows,
# further in, belongs to.
function block(c, s,    p, k, rest, skip) {
    if (s ~ /^-( |$)/) {
        while (column[depth] > c) depth--
        if (column[depth] < c || kind[depth] == "map") push(c, "list", below[depth])
        p = join(prefix[depth], next_item[depth]++)
        below[depth] = p
        match(s, /^- */); skip = RLENGTH
        rest = substr(s, skip + 1)
        if (rest != "") block(c + skip, rest)
        return
    }
    if (s !~ /^[\[{]/ && split_key(s)) {
        k = KEY; rest = REST
        while (column[depth] > c || (column[depth] == c && kind[depth] == "list")) depth--
        if (column[depth] < c) push(c, "map", below[depth])
        p = join(prefix[depth], k)
        below[depth] = p
        if (rest != "" && rest !~ /^#/) value(p, rest, c)
        return
    }
    value(below[depth], s, c)
}

# Splits "key: rest" into KEY and REST. A colon counts only before a space or the end: addresses are full of them.
function split_key(s,    q, i) {
    if (s ~ /^["']/) {
        q = substr(s, 1, 1); i = index(substr(s, 2), q)
        if (!i || substr(s, i + 2) !~ /^ *:( |$)/) return 0
        KEY = substr(s, 2, i - 1); REST = substr(s, i + 2); sub(/^ *: */, "", REST)
        return 1
    }
    if (match(s, /:( |$)/)) {
        KEY = substr(s, 1, RSTART - 1); REST = substr(s, RSTART + 1); sub(/^ +/, "", REST); sub(/ +$/, "", KEY)
        return 1
    }
    return 0
}

function value(p, s, c,    text, indent, first) {
    if (s ~ /^[\[{]/) {
        F = s; at_f = 1
        # The rest of the document is there for a flow value that goes on; what it did not use is read as lines.
        for (first = at + 1; first <= lines; first++) F = F "\n" L[first]
        flow(p)
        text = substr(F, 1, at_f - 1)
        at += gsub(/\n/, "\n", text)
        return
    }
    if (s ~ /^[|>]/) {
        indent = -1; text = ""
        while (at < lines) {
            if (L[at + 1] ~ /^ *$/) { text = text "\n"; at++; continue }
            match(L[at + 1], /^ */)
            if (indent < 0) { if (RLENGTH <= c) break; indent = RLENGTH }
            if (RLENGTH < indent) break
            text = text substr(L[++at], indent + 1) "\n"
        }
        if (s ~ /^[|>]-/) sub(/\n+$/, "", text)
        put(p, text)
        return
    }
    put(p, scalar(s))
}

function scalar(s,    q, i) {
    if (s ~ /^"/) { F = s; at_f = 1; return quoted() }
    if (s ~ /^'/) { s = substr(s, 2); sub(/'[^']*$/, "", s); gsub(/''/, "'", s); return s }
    sub(/ +#.*$/, "", s); sub(/ +$/, "", s)
    return s
}

# The double-quoted string at F's position, with JSON's escapes.
function quoted(    c, out) {
    out = ""
    for (at_f++; at_f <= length(F); at_f++) {
        c = substr(F, at_f, 1)
        if (c == "\"") { at_f++; break }
        if (c == "\\") {
            c = substr(F, ++at_f, 1)
            if (c == "n") c = "\n"; else if (c == "t") c = "\t"; else if (c == "r") c = "\r"
        }
        out = out c
    }
    return out
}

function blank() { while (substr(F, at_f, 1) ~ /[ \t\n]/ && at_f <= length(F)) at_f++ }

# The value in flow style at F's position: a map, a list or a scalar.
function flow(p,    c, i, k, e) {
    blank(); c = substr(F, at_f, 1)
    if (c == "{" || c == "[") {
        e = c == "{" ? "}" : "]"; i = 0; at_f++
        while (at_f <= length(F)) {
            blank()
            if (substr(F, at_f, 1) == e) { at_f++; return }
            if (substr(F, at_f, 1) == ",") { at_f++; continue }
            if (e == "}") {
                k = word("[:,}]"); blank()
                if (substr(F, at_f, 1) == ":") at_f++
            } else k = i++
            flow(join(p, k))
        }
        return
    }
    put(p, word("[],}\n]"))
}

function word(stop,    from, c, w) {
    c = substr(F, at_f, 1)
    if (c == "\"") return quoted()
    if (c == "'") {
        from = ++at_f
        while (at_f <= length(F) && substr(F, at_f, 1) != "'") at_f++
        return substr(F, from, at_f++ - from)
    }
    from = at_f
    while (at_f <= length(F) && substr(F, at_f, 1) !~ stop) at_f++
    # No progress would be an endless loop on a document that is neither YAML nor JSON.
    if (at_f == from) at_f++
    w = substr(F, from, at_f - from); sub(/[ \t]+$/, "", w)
    return w
}
