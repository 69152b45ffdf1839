# Makes a box for vagrant-libvirt out of a virtual machine's disk, in a mount namespace of its own:
#   sh box.sh IMAGE OUT PACKAGES
# IMAGE: folder of root.img, vmlinuz and initrd.img. OUT: the box. PACKAGES: URL that guests find packages under.
set -eu
image=$1 out=$2 packages=$3
host=${packages#http://}
work=$(mktemp -d "$out.XXXXXX")
trap 'umount -l "$work/tree" 2>/dev/null || true; rm -rf "$work"' EXIT

mount --make-rprivate /
cp --sparse=always "$image/root.img" "$work/root.img"
mkdir "$work/tree"
mount -o loop "$work/root.img" "$work/tree"
cd "$work/tree"

# The user that Vagrant expects, with the key that everybody knows; `vagrant up` puts another in its place.
chroot . useradd --create-home --shell /bin/bash vagrant
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >etc/sudoers.d/vagrant
chmod 440 etc/sudoers.d/vagrant
mkdir -m 700 home/vagrant/.ssh
cp "$(dpkg -L vagrant | grep /keys/vagrant.pub$)" home/vagrant/.ssh/authorized_keys
chroot . chown -R vagrant: /home/vagrant/.ssh

# Clones of one disk would get one lease, were they not told apart by their hardware address.
printf '[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n[DHCPv4]\nClientIdentifier=mac\n' \
    >etc/systemd/network/90-eth0.network
mkdir -p etc/systemd/system/ssh.service.d
printf '[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n' \
    >etc/systemd/system/ssh.service.d/host-keys.conf
for suite in "debian bookworm" "debian bookworm-updates" "debian-security bookworm-security"; do
    echo "deb $packages/${suite% *} ${suite#* } main"
done >etc/apt/sources.list
printf '[global]\nindex-url = %s/simple/\ntrusted-host = %s\n' "$packages" "${host%:*}" >etc/pip.conf

cd "$work"
umount tree
qemu-img convert -f raw -O qcow2 root.img box.img
echo '{"provider": "libvirt", "format": "qcow2", "virtual_size": 8}' >metadata.json
# No boot loader is on the disk.
cat >Vagrantfile <<END
Vagrant.configure("2") do |config|
  config.vm.provider :libvirt do |libvirt|
    libvirt.kernel = "$image/vmlinuz"
    libvirt.initrd = "$image/initrd.img"
    libvirt.cmd_line = "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off"
    libvirt.qemu_use_session = false
  end
end
END
tar -cf "$out.part" metadata.json Vagrantfile box.img
mv "$out.part" "$out"
