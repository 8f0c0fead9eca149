#!/bin/busybox sh
# PID 1 of a test guest: mounts what a system has, runs /zctrace-vm/command, sends its output, its
# status and the contents of /out to the host, and powers off.

export PATH=/usr/bin HOME=/root TERM=linux

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
for pair in tracefs:tracing debugfs:debug securityfs:security; do
	mount -t "${pair%:*}" "${pair%:*}" "/sys/kernel/${pair#*:}"
done
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd
ln -sf fd/0 /dev/stdin
ln -sf fd/1 /dev/stdout
ln -sf fd/2 /dev/stderr
chmod 1777 /tmp /dev/shm

while read -r module; do
	case $module in
	*/brd.ko) insmod "$module" rd_nr=1 rd_size=65536 ;;
	*) insmod "$module" ;;
	esac
done < /zctrace-vm/modules

ip link set lo up
hostname zctrace-vm
echo 16 > /proc/sys/vm/nr_hugepages
ulimit -l unlimited

if grep -q zctrace_vm=shell /proc/cmdline; then
	echo "Linux $(uname -r); \`exit\` powers off, Ctrl-A X kills"
	setsid cttyhack sh
	poweroff -f
fi

# The ports appear one by one, by their names.
waited=0
while [ "$waited" -lt 100 ]; do
	missing=
	for name in stdout stderr status out; do
		[ -e "/run/port.$name" ] || missing=1
	done
	[ -n "$missing" ] || break
	for port in /sys/class/virtio-ports/*/name; do
		[ -e "$port" ] || continue
		read -r name < "$port"
		port=${port%/name}
		[ -c "/dev/${port##*/}" ] && ln -sf "/dev/${port##*/}" "/run/port.$name"
	done
	usleep 50000
	waited=$((waited + 1))
done

# Through pipes: a port can be opened once, but a program may open /dev/stderr again.
mkfifo /run/stdout /run/stderr
cat < /run/stdout > /run/port.stdout &
stdout=$!
cat < /run/stderr > /run/port.stderr &
stderr=$!
echo started > /run/port.status
cd /root
setsid /zctrace-vm/command < /dev/null > /run/stdout 2> /run/stderr
status=$?

# What the command left running may hold the pipes open.
waited=0
while kill -0 "$stdout" 2>/dev/null || kill -0 "$stderr" 2>/dev/null; do
	[ "$waited" -lt 20 ] || break
	usleep 50000
	waited=$((waited + 1))
done
tar c -C /out . > /run/port.out
{
	dmesg | grep -E 'WARNING:|BUG:|Oops|Call Trace|rcu:.*stall' | sed 's/^/warning /'
	echo "exit $status"
} > /run/port.status
poweroff -f
