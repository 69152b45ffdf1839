# Ends all of a daemon that is to go: its service, containers, mounts, networks, control groups. $1: state folder, $2: run
# folder, $3: control group of the containers. Whom it served was told before. May be run again.
LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

# The control groups of a name, in every hierarchy that there is.
groups() {
    for top in /sys/fs/cgroup /sys/fs/cgroup/*; do [ ! -d "$top$1" ] || printf '%s\n' "$top$1"; done
}

# Containers, and what watches over them: that outlives its daemon in the group of the service.
processes() {
    for name in "$1" /system.slice/swarmd.service; do
        groups "$name" | while IFS= read -r group; do find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null; done
    done | sort -un
}

mounts() { awk -v one="$1/" -v two="$2/" 'index($5, one) == 1 || index($5, two) == 1 { print $5 }' /proc/self/mountinfo | sort -r; }

# What networks leave on the host itself, by the names that only we use.
networks() {
    for space in /run/netns/swarm-*; do [ ! -e "$space" ] || ip netns del "${space##*/}"; done
    ip -o link show type bridge | awk -F': ' '$2 ~ /^swb-/ { print $2 }' | while read -r link; do ip link del "$link"; done
    nft list tables | awk '$3 ~ /^swarm[-_]/ { print $2, $3 }' | while read -r family table; do nft delete table "$family" "$table"; done
    for family in -4 -6; do
        for _ in 1 2 3 4; do ip "$family" rule del lookup 4096; done
        ip "$family" route flush table 4096
    done
    ip -6 route del unreachable fd53:7761:726d::/48
} 2>/dev/null

main() {
    systemctl -q disable --now swarmd 2>/dev/null
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        pids=$(processes "$3")
        [ -n "$pids" ] || break
        kill -9 $pids 2>/dev/null
        sleep 0.2
    done
    for _ in 1 2 3; do
        mounts "$1" "$2" | while IFS= read -r place; do umount -l "$(printf '%b' "$place")" 2>/dev/null; done
    done
    networks
    groups "$3" | while IFS= read -r group; do find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; done
    systemctl reset-failed swarmd 2>/dev/null
    [ -z "$(mounts "$1" "$2")" ] || { echo "still mounted: $(mounts "$1" "$2" | head -n 1)" >&2; return 1; }
    return 0
}

main "$@" </dev/null
