# What a host is and has, one "name<TAB>value" a line, for machine.facts.parse. Reads only: it changes
# nothing, waits for nothing longer than some seconds, and needs no more than Debian's base system.
# $1: packages that a node needs, separated by blanks. Standard input is this script: commands get none.
LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

say() { printf '%s\t%s\n' "$1" "$2"; }
each() { while IFS= read -r line; do say "$1" "$line"; done; }
setting() { sed -n "s/^$2=//p" "$1" 2>/dev/null | head -n 1 | tr -d "\"'"; }

system() {
    say os.id "$(setting /etc/os-release ID)"
    say os.version "$(setting /etc/os-release VERSION_ID)"
    say os.name "$(setting /etc/os-release PRETTY_NAME)"
    say arch "$(uname -m)"
    say kernel "$(uname -r)"
    say hostname "$(uname -n)"
    say python "$(python3 -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)"
    [ -d /run/systemd/system ] && say init systemd || say init "$(cat /proc/1/comm 2>/dev/null)"
    say memory_kib "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
    for folder in /opt /var/lib /var/cache/apt /etc; do
        say disk "$folder $(df -Pk "$folder" 2>/dev/null | awk 'NR == 2 { print $4, $6 }')"
        findmnt -n -o OPTIONS -T "$folder" 2>/dev/null | tr , '\n' | grep -qx ro && say read_only "$folder"
    done
    for package in $1; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
            "install ok installed") ;;
            *) command -v "$package" >/dev/null 2>&1 || say missing "$package" ;;  # others package it, too
        esac
    done
    say dpkg_broken "$(dpkg --audit 2>/dev/null | head -n 1)"
}

# A feature is loaded, loadable or built in, if not seen otherwise tried in a network of its own.
feature() {
    if [ -d "/sys/module/$1" ]; then say feature "$1 loaded"
    elif grep -qs "/$1\.ko" "/lib/modules/$(uname -r)/modules.builtin"; then say feature "$1 builtin"
    elif modprobe -n -q "$1" 2>/dev/null; then say feature "$1 loadable"
    elif [ "$#" -gt 1 ] && eval "$2" >/dev/null 2>&1; then say feature "$1 works"
    else say feature "$1 absent"
    fi
}

features() {
    feature overlay 'grep -qw overlay /proc/filesystems'
    feature veth 'unshare -n ip link add sw0 type veth peer name sw1'
    feature vxlan 'unshare -n ip link add sw0 type vxlan id 1 dstport 4789'
    feature macvlan 'unshare -n sh -c "ip link add sw0 type veth peer name sw1 && ip link add sw2 link sw0 type macvlan mode bridge"'
    feature nf_tables 'unshare -n nft add table inet sw'
    feature wireguard 'unshare -n ip link add sw0 type wireguard'
    [ -c /dev/net/tun ] && say feature "tun loaded" || feature tun
    if [ -r /sys/fs/cgroup/cgroup.controllers ]; then say controllers "$(cat /sys/fs/cgroup/cgroup.controllers)"
    else say controllers "$(awk '$4 == 1 { printf "%s ", $1 }' /proc/cgroups 2>/dev/null)"
    fi
}

network() {
    ss -H -l -n -t -u -p 2>/dev/null | awk '{ print $1, $5, substr($7, 1, 100) }' | sort -u | head -n 1000 | each listener
    if [ "$(systemctl is-active firewalld 2>/dev/null)" = active ]; then
        say firewall firewalld
        firewall-cmd --list-ports 2>/dev/null | tr ' ' '\n' | head -n 200 | each opened
    fi
    if [ "$(setting /etc/ufw/ufw.conf ENABLED)" = yes ]; then
        say firewall ufw
        ufw status 2>/dev/null | awk '$2 == "ALLOW" { split($1, at, "/"); gsub(",", (at[2] ? "/" at[2] : "") "\n", $1); print $1 }' | head -n 200 | each opened
    fi
}

# Who holds the lock of the package manager: dpkg's locks are POSIX ones, listed by inode.
lock() {
    for file in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock; do
        inode=$(stat -c %i "$file" 2>/dev/null) || continue
        pid=$(awk -v inode="$inode" '$2 == "POSIX" { split($6, at, ":"); if (at[3] == inode) { print $5; exit } }' /proc/locks)
        [ -n "$pid" ] || continue
        say apt_lock "$pid $(cat "/proc/$pid/comm" 2>/dev/null)"
        return
    done
}

installed() {
    pid=$(systemctl show swarmd -p MainPID --value 2>/dev/null)
    for folder in /proc/[0-9]*; do
        [ "$(cat "$folder/comm" 2>/dev/null)" = swarmd ] || continue
        [ "$(readlink "$folder/ns/pid")" = "$(readlink /proc/self/ns/pid)" ] || continue  # not a container's
        [ "${folder#/proc/}" = "$pid" ] || say stray "${folder#/proc/}"
    done
    for folder in /opt/swarm/*/.complete; do
        [ -f "$folder" ] && say version "$(basename "$(dirname "$folder")")"
    done
    say current "$(readlink /opt/swarm/current 2>/dev/null)"
    [ -e /etc/systemd/system/swarmd.service ] && say unit there
    [ -e /opt/swarm/bin/swarmd ] && say by_hand /opt/swarm
    [ -e /etc/swarm/machine.json ] && say manifest there
}

# Whether packages can be fetched: by apt's own methods, and by the index that pip is configured with.
mirrors() {
    uri=$(apt-get --print-uris update 2>/dev/null | sed -n "s/^'\(http[^']*\)'.*/\1/p" | head -n 1)
    if [ -z "$uri" ]; then say mirror "none is configured"
    else
        folder=$(mktemp -d) || return
        if why=$(timeout 12 /usr/lib/apt/apt-helper -o Acquire::Retries=0 -o Acquire::http::Timeout=8 \
            download-file "$uri" "$folder/list" 2>&1); then say mirror reached
        else say mirror "${uri}: $(printf '%s' "$why" | grep -E '^(E:|Err|  )' | tail -n 1 | cut -c 1-200)"
        fi
        rm -rf "$folder"
    fi
    command -v python3 >/dev/null 2>&1 || return
    timeout 15 python3 - <<'P' 2>/dev/null | each index
import configparser, glob, os, urllib.error, urllib.request
index = "https://pypi.org/simple"
for path in ("/etc/xdg/pip/pip.conf", "/etc/pip.conf", os.path.expanduser("~/.config/pip/pip.conf")):
    read = configparser.RawConfigParser()
    read.read(path)
    index = read.get("global", "index-url", fallback=read.get("install", "index-url", fallback=index))
index = os.environ.get("PIP_INDEX_URL", index).rstrip("/")
shown = index.rsplit("@", 1)[-1]
try:
    urllib.request.urlopen(index + "/click/", timeout=8).close()
    print("reached")
except urllib.error.HTTPError as error:
    print("reached" if error.code < 500 else "%s: HTTP %d" % (shown, error.code))
except Exception as error:
    print("reached" if "CERTIFICATE" in str(error) else "%s: %s" % (shown, str(error)[:200]))
P
}

main() {
    say clock "$(date +%s.%N)"
    system "$1"
    features
    network
    lock
    installed
    mirrors
    say end "$(date +%s.%N)"
}

main "$1" </dev/null
