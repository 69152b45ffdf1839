# Ends all of a daemon that is to go: its service, containers, mounts, control groups. $1: state folder, $2: run folder,
# $3: control group. What it serves was told before that it goes. May be run again.
LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

# Processes below a control group, in whatever hierarchy: monitors of containers and what they run.
processes() {
    find /sys/fs/cgroup -path "*$1/*" -name cgroup.procs -o -path "*$1/cgroup.procs" 2>/dev/null | xargs -r cat 2>/dev/null | sort -un
}

mounts() { awk -v one="$1/" -v two="$2/" 'index($5, one) == 1 || index($5, two) == 1 { print $5 }' /proc/self/mountinfo | sort -r; }

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
    find /sys/fs/cgroup -depth -type d \( -path "*$3/*" -o -path "*$3" \) 2>/dev/null | xargs -r rmdir 2>/dev/null
    systemctl reset-failed swarmd 2>/dev/null
    [ -z "$(mounts "$1" "$2")" ] || { echo "still mounted: $(mounts "$1" "$2" | head -n 1)" >&2; return 1; }
    return 0
}

main "$@" </dev/null
