# index.awk - the stanzas of a Debian package index as two files for COPY (text format).
#
# Set with -v: packages, dependencies: the files to write.

function clean(text)
{
    gsub(/\\/, "\\\\", text)
    gsub(/\t/, " ", text)
    return text
}

function or_null(text)
{
    return text == "" ? "\\N" : clean(text)
}

# One field such as Depends: "a (>= 1) | b, c:any [amd64]".
function relations(kind, text,    groups, group_count, g, parts, part_count, p, one, target, rel, version)
{
    group_count = split(text, groups, /,[ ]*/)
    for (g = 1; g <= group_count; g++) {
        part_count = split(groups[g], parts, /[ ]*\|[ ]*/)
        for (p = 1; p <= part_count; p++) {
            one = parts[p]
            rel = version = ""
            if (match(one, /\([^)]*\)/)) {
                version = substr(one, RSTART + 1, RLENGTH - 2)
                rel = version
                sub(/[ ]*[^<>=].*$/, "", rel)
                sub(/^[<>=]+[ ]*/, "", version)
            }
            target = one
            sub(/^[ ]*/, "", target)
            sub(/[ (\[].*$/, "", target)
            sub(/:.*$/, "", target)
            if (target != "")
                print clean(name) "\t" kind "\t" g "\t" p "\t" clean(target) "\t" or_null(rel) "\t" \
                    or_null(version) >dependencies
        }
    }
}

{
    name = version = architecture = section = priority = maintainer = source = ""
    installed = size = homepage = description = ""
    split("", wants)
    for (i = 1; i <= NF; i++) {
        colon = index($i, ": ")
        if (!colon || substr($i, 1, 1) == " ")
            continue
        key = substr($i, 1, colon - 1)
        value = substr($i, colon + 2)
        if (key == "Package") name = value
        else if (key == "Version") version = value
        else if (key == "Architecture") architecture = value
        else if (key == "Section") section = value
        else if (key == "Priority") priority = value
        else if (key == "Maintainer") maintainer = value
        else if (key == "Source") source = value
        else if (key == "Installed-Size") installed = value
        else if (key == "Size") size = value
        else if (key == "Homepage") homepage = value
        else if (key == "Description") description = value
        else if (key == "Depends" || key == "Pre-Depends" || key == "Recommends" || key == "Suggests")
            wants[tolower(key)] = value
    }
    if (name == "" || name in seen)
        next
    seen[name] = 1
    sub(/ .*/, "", source)
    if (source == "")
        source = name
    print clean(name) "\t" clean(version) "\t" clean(architecture) "\t" clean(section) "\t" \
        clean(priority) "\t" clean(maintainer) "\t" clean(source) "\t" or_null(installed) "\t" \
        or_null(size) "\t" or_null(homepage) "\t" or_null(description) >packages
    for (kind in wants)
        relations(kind, wants[kind])
}
