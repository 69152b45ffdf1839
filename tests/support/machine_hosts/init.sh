# Furnishes a host in namespaces of its own, then becomes its PID 1: systemd. Started by host.py as
#   sh init.sh BASE IMAGE DISK ROOT NAME
# BASE: the shared tree. IMAGE: the host's file system, with upper, work and var. DISK, ROOT: where to mount it, and all.
set -eu
base=$1 image=$2 disk=$3 root=$4 name=$5

mount --make-rprivate /
mount -o loop,noatime "$image" "$disk"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$disk/upper,workdir=$disk/work" "$root"
# Image stores are overlays themselves, and cannot lie on one.
mount --bind "$disk/var" "$root/var"
cd "$root"

mount -t proc -o nosuid,nodev,noexec proc proc
# The kernel is this machine's: what a host may set of it is what its network namespace has.
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,ro proc/sys
[ ! -e proc/sysrq-trigger ] || mount --bind /dev/null proc/sysrq-trigger
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup

mount -t tmpfs -o mode=755,nosuid tmpfs dev
mkdir dev/pts dev/shm dev/net
for node in null zero full random urandom tty net/tun fuse; do
    [ -e "/dev/$node" ] || continue
    touch "dev/$node"
    mount --bind "/dev/$node" "dev/$node"
done
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs tmp

hostname "$name"
pivot_root . mnt
umount -l mnt
# Neither the clock nor modules of this machine are a host's to change.
exec env -i container=swarm-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio,-wake_alarm \
    /lib/systemd/systemd --log-target=console --show-status=1
