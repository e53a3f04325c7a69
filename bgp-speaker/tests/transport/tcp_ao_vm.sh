#!/bin/sh
# Runs the transport tests in a small virtual machine, for a host whose kernel has no TCP-AO (RFC 5925; it takes Linux 6.7 with
# CONFIG_TCP_AO, which the kernels of Debian 14 have).
#
#   tcp_ao_vm.sh KERNEL [MODULES] [-- TEST-ARGUMENTS...]
#
# KERNEL is a bzImage. MODULES is a tree with lib/modules or usr/lib/modules, for a kernel that has veth, vrf or cmac as
# modules: an unpacked kernel package will do. Of the environment:
#
#   TRANSPORT_TESTS  a test binary that is built already
#   OVERLAY          a tree that is laid over the machine's own, such as a BIRD with TCP-AO (2.17 or later) in OVERLAY/bin
#   ACCELERATOR      what runs the machine; kvm is faster than the default, tcg, which runs everywhere
#   LIMIT            seconds after which the machine is ended (600)
#
# Needs qemu-system-x86_64, cpio, ldd and a static busybox; kmod and xz or zstd for MODULES. Root is not needed.
set -eu

[ $# -ge 1 ] || { sed -n '2,/^set/s/^#\( \|$\)//p' "$0" >&2; exit 2; }
kernel=$1
shift
modules=
if [ $# -gt 0 ] && [ "$1" != -- ]; then
    modules=$1
    shift
fi
[ "${1:-}" != -- ] || shift

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/bin" "$root/modules"

# A program, and the libraries that it is linked with, under the names that they have here.
take() {
    mkdir -p "$root$(dirname "$1")"
    cp -L "$1" "$root$1"
    { ldd "$1" 2>/dev/null || true; } | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
}

tests=${TRANSPORT_TESTS:-$(cargo test -p bgp-speaker --test transport --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)}
take "$tests"
mv "$root$tests" "$root/transport"
for program in ip setpriv sysctl busybox; do
    take "$(command -v $program)"
done
for applet in sh mount mkdir cat sleep insmod poweroff; do
    ln -s "$(command -v busybox)" "$root/bin/$applet"
done
[ -z "${OVERLAY:-}" ] || cp -a "$OVERLAY/." "$root/"

# In the order in which one needs the other; what is built in is no file.
if [ -n "$modules" ]; then
    [ -d "$modules/lib/modules" ] || modules=$modules/usr
    version=$(ls "$modules/lib/modules" | head -n 1)
    [ -f "$modules/lib/modules/$version/modules.dep.bin" ] || depmod -b "$modules" "$version" 2>/dev/null
    for module in veth vrf cmac; do
        modprobe -d "$modules" -S "$version" --show-depends $module 2>/dev/null || true
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' > "$work/order"
    number=100
    while read -r file; do
        number=$((number + 1))
        case $file in
            *.xz) xz -dc "$file" ;;
            *.zst) zstd -qdc "$file" ;;
            *.gz) gzip -dc "$file" ;;
            *) cat "$file" ;;
        esac > "$root/modules/$number.ko"
    done < "$work/order"
fi

cat > "$root/init" <<END
#!/bin/sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mkdir -p /proc /sys /dev /tmp /run
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
for module in /modules/*.ko; do [ -f "\$module" ] && insmod "\$module"; done
ip link set lo up
cd /tmp
/transport --color never $*
echo "transport tests ended with status \$?"
poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) > "$work/initramfs"

timeout "${LIMIT:-600}" qemu-system-x86_64 -accel "${ACCELERATOR:-tcg,thread=multi}" -cpu max -smp 2 -m 1536 \
    -nographic -no-reboot -nic none -kernel "$kernel" -initrd "$work/initramfs" \
    -append "console=ttyS0 quiet panic=-1" < /dev/null | tr -d '\r' | tee "$work/log"
grep -q '^transport tests ended with status 0$' "$work/log"
