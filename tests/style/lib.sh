# lib.sh - shared by the checks of this folder: sourced, never run.
# Each check works on the tree it lies in, prints every offence as file:line: text, and exits
# 0 (clean), 1 (offences) or 77 (cannot be run here).

LC_ALL=C
export LC_ALL
tree=$(cd "$(dirname "$0")/../.." && pwd)
cd "$tree" || exit 99

# Our own C files, headers too.
c_files()
{
    find kernel modules sdk tests -name .libs -prune -o -type f -name '*.[ch]' \
        ! -name builtin_modules.c ! -name paths.h -print | sort
}

# verdict FILE: print the offences collected in FILE and exit.
verdict()
{
    if [ -s "$1" ]; then
        cat "$1"
        echo "$(basename "$0"): $(wc -l <"$1") offences"
        rm -f "$1"
        exit 1
    fi
    rm -f "$1"
    echo "$(basename "$0"): clean"
    exit 0
}
