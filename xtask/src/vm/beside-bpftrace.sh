#!/bin/sh
# For a guest: the self-test of zctrace, while bpftrace traces some of the same functions by kprobe, kretprobe, fentry
# and fexit. bpftrace is there first, ends and starts again all the time, and must have seen something each time.
script='BEGIN { printf("attached\n"); }'
for name in shmem_file_read_iter shmem_file_write_iter tcp_sendmsg_locked filemap_splice_read skb_splice_from_iter \
    pipe_write pipe_read; do
    for way in kprobe kretprobe kfunc kretfunc; do
        script="$script $way:$name { @$way[\"$name\"] = count(); }"
    done
done

start() {
    bpftrace -e "$script" > /tmp/bpftrace.out 2>&1 &
    tracer=$!
    until grep -q attached /tmp/bpftrace.out; do
        kill -0 "$tracer" || { cat /tmp/bpftrace.out; exit 1; }
        sleep 1
    done
}

end() {
    kill -INT "$tracer"
    wait "$tracer"
    grep -q '@kretfunc\[' /tmp/bpftrace.out && grep -q '@kretprobe\[' /tmp/bpftrace.out || exit 1
}

start
zctrace doctor --self-test > /tmp/self-test &
test=$!
turns=0
while kill -0 "$test" 2> /dev/null; do
    sleep 3
    end
    start
    turns=$((turns + 1))
done
wait "$test"
status=$?
end
grep Self-test /tmp/self-test
echo "bpftrace ended and started again $turns times meanwhile"
[ "$turns" -gt 1 ] && [ "$status" = 0 ]
