# A libvirtd that sees nothing of this machine's, as PID 1 of namespaces of its own:   sh libvirt.sh STATE
# STATE: an empty folder. Whoever enters the namespaces finds it at qemu:///system.
set -eu
state=$1

mount --make-rprivate /
ip link set lo up
for place in etc/libvirt run/libvirt var/lib/libvirt var/cache/libvirt var/log/libvirt; do
    mkdir -p "$state/$place" "/$place"
done
cp -a /etc/libvirt/. "$state/etc/libvirt/"
rm -f "$state"/etc/libvirt/qemu/networks/autostart/*
for place in qemu dnsmasq images network boot; do mkdir -p "$state/var/lib/libvirt/$place"; done
for place in etc/libvirt run/libvirt var/lib/libvirt var/cache/libvirt var/log/libvirt; do
    mount --bind "$state/$place" "/$place"
done
cat >/etc/libvirt/qemu.conf <<END
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
remember_owner = 0
dynamic_ownership = 0
stdio_handler = "file"
END
printf 'unix_sock_group = "root"\nauth_unix_rw = "none"\n' >/etc/libvirt/libvirtd.conf
# PID 1 has to reap what is orphaned: a shell does.
libvirtd >"$state/libvirtd.log" 2>&1 &
wait
