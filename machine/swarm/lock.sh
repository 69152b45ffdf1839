# The lock of one host: sh -s VERB ID SECONDS TEXT FOLDER. One line answers, "mine", "free" or "held", then of "held" for how
# many seconds more, and the text of who holds it. Times are seconds since boot: no clock that is set moves them.
set -eu
verb=$1 id=$2 seconds=$3 text=$4
folder=$5
umask 077
mkdir -p "$folder"
exec 9>>"$folder/guard"
flock -w 10 9
read -r up _ </proc/uptime
now=${up%%.*} owner='' until=0 said=''
if [ -e "$folder/lock" ]; then
    { read -r owner && read -r until && IFS= read -r said; } <"$folder/lock" || owner=''
fi
case $until in '' | *[!0-9]*) until=0 ;; esac
other=
if [ -n "$owner" ] && [ "$owner" != "$id" ] && [ "$now" -lt "$until" ]; then other=yes; fi

keep() {
    printf '%s\n%s\n%s\n' "$id" "$((now + seconds))" "$text" >"$folder/lock.new"
    mv "$folder/lock.new" "$folder/lock"
    echo mine
}
tell() { printf 'held\n%s\n%s\n' "$((until - now))" "$said"; }

case $verb in
take) if [ -n "$other" ]; then tell; else keep; fi ;;
# Whoever was too late still has it if nobody took it since.
renew) if [ "$owner" = "$id" ]; then keep; elif [ -n "$other" ]; then tell; else echo free; fi ;;
give)
    if [ "$owner" = "$id" ]; then rm -f "$folder/lock"; fi
    echo free
    ;;
show) if [ -n "$other" ]; then tell; else echo free; fi ;;
break)
    if [ -n "$other" ]; then tell; else echo free; fi
    rm -f "$folder/lock"
    ;;
esac
