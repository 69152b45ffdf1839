# The present state of all that the steps of an installation care for, for machine.steps.seen. Reads only.
# $1: packages, separated by blanks; then paths. Standard input is this script: commands get none.
LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

say() { printf '%s\t%s\n' "$1" "$2"; }

place() {
    if [ -L "$1" ]; then say place "link 0 - $(readlink "$1" | tr ' ' '?') $1"
    elif [ -f "$1" ]; then say place "file $(stat -c '%a %U:%G' "$1") $(sha256sum <"$1" | cut -d ' ' -f 1) $1"
    elif [ -d "$1" ]; then say place "folder $(stat -c '%a %U:%G' "$1") $([ -n "$(ls -A "$1")" ] && echo used || echo empty) $1"
    elif [ -e "$1" ]; then say place "other 0 - - $1"
    fi
}

main() {
    for package in $1; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
            "install ok installed") ;;
            *) command -v "$package" >/dev/null 2>&1 || say missing "$package" ;;  # others package it, too
        esac
    done
    shift
    for path in "$@"; do place "$path"; done
    grep -q '^swarm:' /etc/group && say group swarm
    say hostname "$(uname -n)"
    say python "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)"
    for file in /opt/swarm/*/.complete; do
        [ -f "$file" ] && say version "$(basename "$(dirname "$file")") $(head -c 40 "$file")"
    done
    for property in ActiveState UnitFileState NeedDaemonReload; do
        say "$property" "$(systemctl show swarmd -p "$property" --value 2>/dev/null)"
    done
    say end ""
}

main "$@" </dev/null
