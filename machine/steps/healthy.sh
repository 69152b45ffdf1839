# Waits until the daemon answers. $1: swarmctl, $2: the socket, $3: seconds. Prints what `system info` says; or, on
# standard error, what the daemon logged last, with exit code 1.
LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

# How often systemd had to start it anew; a start by hand does not always set this back.
restarts() { systemctl show swarmd -p NRestarts --value | grep -x '[0-9][0-9]*' || echo 0; }

main() {
    begin=$(date +%s)
    end=$((begin + $3))
    before=$(restarts)
    while [ "$(date +%s)" -lt "$end" ]; do
        if told=$("$1" -H "unix://$2" --timeout 30s system info --format json 2>/dev/null); then
            printf '%s\n' "$told"
            return 0
        fi
        [ "$(systemctl is-active swarmd)" != failed ] || break
        [ $(($(restarts) - before)) -lt 3 ] || break
        sleep 0.3
    done
    said=$(journalctl -u swarmd --since "@$begin" -n 30 --no-pager -o cat 2>/dev/null)
    # Its last word tells why; what only died, as by a fault in its code, shows how far it came.
    printf '%s\n' "$said" | grep '^swarmd: ' | tail -n 1 >&2
    [ -n "$(printf '%s\n' "$said" | grep '^swarmd: ')" ] || printf '%s\n' "$said" | tail -n 3 >&2
    return 1
}

main "$@" </dev/null
