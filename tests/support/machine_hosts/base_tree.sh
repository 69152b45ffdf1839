# Makes the tree of bare hosts, in mount and PID namespaces of its own:   sh base_tree.sh OUT SUITE PACKAGES MIRROR SECURITY PASSWORD
# OUT: the folder to make. PACKAGES: their names, with commas. SECURITY: the mirror of updates. PASSWORD: of user ops.
set -eu
out=$1 suite=$2 packages=$3 mirror=$4 security=$5 password=$6

# In memory: dpkg syncs every file, which costs minutes on a busy disk.
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /mnt
debootstrap --variant=minbase "--include=$packages" "$suite" /mnt/tree "$mirror"

# As up to date as a host that somebody looks after: else each test would bring Python up to date first.
printf 'deb %s %s main\n' "$mirror" "$suite" "$mirror" "$suite-updates" "$security" "$suite-security" \
    >/mnt/tree/etc/apt/sources.list

chroot /mnt/tree env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -eu -s "$password" <<'INSIDE'
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -qy dist-upgrade

# Who may log in. Every host has all of them: root; ops, whose sudo asks for a password; deploy, whose sudo does not;
# guest, who has none.
for user in ops deploy guest; do useradd --create-home --shell /bin/bash "$user"; done
usermod --append --groups sudo ops
echo "ops:$1" | chpasswd
echo 'deploy ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/deploy
chmod 440 /etc/sudoers.d/deploy

# What needs hardware, a network that is not there, or would work by itself in the middle of a test.
for unit in systemd-networkd.service systemd-resolved.service systemd-udevd.service systemd-udev-trigger.service \
    systemd-udevd-control.socket systemd-udevd-kernel.socket getty@tty1.service console-getty.service \
    systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer; do
    ln -sf /dev/null "/etc/systemd/system/$unit"
done
ln -sf /lib/systemd/system/multi-user.target /etc/systemd/system/default.target

# Every host makes its own.
rm -f /etc/ssh/ssh_host_* /etc/resolv.conf /etc/apt/sources.list /etc/hostname /var/lib/dbus/machine-id
: >/etc/machine-id
apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/*.log
INSIDE
cp -a /mnt/tree "$out"
