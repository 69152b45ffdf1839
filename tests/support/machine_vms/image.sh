# Makes the disk of a virtual machine out of the tree of bare hosts, with a kernel and qemu's guest agent. Run in mount
# and PID namespaces of its own:   sh image.sh BASE OUT PACKAGES
# BASE: the tree. OUT: an empty folder, for root.img, vmlinuz and initrd.img. PACKAGES: URL that Debian's packages are under.
set -eu
base=$1 out=$2 packages=$3

mount --make-rprivate /
mount -t proc proc /proc
cd "$out"
mkdir upper work tree
mount -t overlay overlay -o "lowerdir=$base,upperdir=upper,workdir=work" tree
mount -t proc proc tree/proc

for suite in "debian bookworm" "debian bookworm-updates" "debian-security bookworm-security"; do
    echo "deb $packages/${suite% *} ${suite#* } main"
done >tree/etc/apt/sources.list
printf '#!/bin/sh\nexit 101\n' >tree/usr/sbin/policy-rc.d
chmod 755 tree/usr/sbin/policy-rc.d
mkdir -p tree/etc/initramfs-tools/conf.d
printf 'MODULES=list\nCOMPRESS=gzip\nFSTYPE=ext4\n' >tree/etc/initramfs-tools/conf.d/small
printf 'virtio_pci\nvirtio_blk\next4\ncrc32c_generic\n' >tree/etc/initramfs-tools/modules

chroot tree env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive sh -eu <<'INSIDE'
apt-get -q update
apt-get -qy install --no-install-recommends linux-image-cloud-amd64 initramfs-tools qemu-guest-agent
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d /etc/apt/sources.list

# A machine has devices and a network, unlike a host made of namespaces; what only takes time at each boot stays away.
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
    systemd-networkd.service; do
    rm -f "/etc/systemd/system/$unit"
done
systemctl enable systemd-networkd.service
for unit in systemd-networkd-wait-online.service systemd-pstore.service systemd-binfmt.service e2scrub_reap.service \
    serial-getty@ttyS0.service; do
    ln -sf /dev/null "/etc/systemd/system/$unit"
done
echo '/dev/vda / ext4 rw,noatime,errors=remount-ro 0 1' >/etc/fstab
# Clones get an address each; until then none of them says a word.
rm -f /etc/systemd/network/*
INSIDE

cp tree/boot/vmlinuz-* vmlinuz
cp tree/boot/initrd.img-* initrd.img
umount tree/proc
truncate -s 8G root.img
mkfs.ext4 -q -F -E lazy_itable_init=1 -d tree root.img
umount tree
rm -rf upper work tree
