# What makes debootstrap's tree a bare host, run inside it. All that differs from host to host comes later.
set -eu
export DEBIAN_FRONTEND=noninteractive

# Who may log in. Every host has all of them: root; ops, whose sudo asks for a password; deploy, whose sudo does not;
# guest, who has none.
for user in ops deploy guest; do useradd --create-home --shell /bin/bash "$user"; done
usermod --append --groups sudo ops
echo "ops:$OPS_PASSWORD" | chpasswd
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
rm -f /etc/ssh/ssh_host_* /etc/resolv.conf /etc/apt/sources.list /etc/hostname
: >/etc/machine-id
apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/*.log
