//! Real programs with a witness: what strace saw their calls return, against what the ledger says
//! they moved. Nothing of zctrace takes part in the one number, and nothing of strace in the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
    process::Command,
};

use zctrace::ledger::Snapshot;

use crate::common::zctrace;

/// Programs, and what each does in a directory of its own, beside files that are there for all.
const PROGRAMS: &[(&str, &str)] = &[
    (
        "git",
        "me='-c user.email=a@b -c user.name=n' && git init -q . && cp -r ../tree . &&
         git $me add . && git $me commit -q -m x && git clone -q . ../clone && git gc -q",
    ),
    ("tar", "tar -cf archive -C .. tree && tar -xf archive"),
    ("gzip", "gzip -c ../text > packed && gzip -dc packed > text"),
    (
        "dd",
        "dd if=../large of=copy bs=65536 && dd if=../large of=direct bs=1024000 count=2",
    ),
    ("cp", "cp ../large copy && cp -r ../tree tree"),
    ("cat", "cat ../large > copy && cat ../large | cat > again"),
    ("rsync", "rsync -a ../tree/ copy/"),
    (
        "python3",
        r#"python3 -c '
import shutil, socket, threading
shutil.copyfile("../large", "copy")
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    there, _ = listener.accept()
    there.sendfile(open("../large", "rb"))
    there.close()
thread = threading.Thread(target=serve)
thread.start()
here = socket.create_connection(listener.getsockname())
here.recv(10, socket.MSG_PEEK)
while here.recv(65536):
    pass
thread.join()
'"#,
    ),
    (
        "gcc",
        "echo 'int main(void) { return 0; }' > a.c && gcc a.c -o a && ./a",
    ),
    (
        "nginx",
        r#"echo "daemon off; pid $PWD/pid; error_log $PWD/errors; events {} http { access_log off;
         sendfile on; server { listen unix:$PWD/socket; root $PWD/..; } }" > conf
         mkdir -p /var/lib/nginx /var/log/nginx
         nginx -c "$PWD/conf" & server=$!
         while [ ! -S socket ] || [ ! -s pid ]; do kill -0 $server || exit 1; sleep 0.1; done
         curl -s --unix-socket socket http://x/large -o copy; kill -QUIT "$(cat pid)"; wait"#,
    ),
    (
        "redis-server",
        r#"redis-server --port 0 --unixsocket "$PWD/socket" --save "" & server=$!
         while [ ! -S socket ]; do kill -0 $server || exit 1; sleep 0.1; done
         redis-benchmark -s socket -n 300 -d 3000 -t set,get -q
         redis-cli -s socket shutdown nosave; wait"#,
    ),
    (
        "fio",
        "fio --name=x --filename=f --size=2M --rw=randrw --bs=4k --ioengine=psync --output=o",
    ),
    (
        "sqlite3",
        "sqlite3 db 'create table t(x); with recursive c(i) as (select 1 union all select i + 1
         from c where i < 5000) insert into t select i from c; select count(*) from t; vacuum;'",
    ),
    (
        "node",
        r#"node -e 'const fs = require("fs"); fs.writeFileSync("copy", fs.readFileSync("../large"));
         fs.createReadStream("../large").pipe(fs.createWriteStream("again"))'"#,
    ),
    (
        "java",
        r#"echo 'import java.nio.channels.FileChannel; import java.nio.file.*;
         public class Main { public static void main(String[] a) throws Exception {
         Files.copy(Path.of("../large"), Path.of("copy"));
         try (var from = FileChannel.open(Path.of("../large"));
         var to = new java.io.FileOutputStream("again").getChannel()) {
         from.transferTo(0, from.size(), to); } } }' > Main.java && java Main.java"#,
    ),
    ("curl", r#"curl -s -o copy "file://$PWD/../large""#),
    (
        "openssl",
        "openssl enc -aes-128-cbc -k x -pbkdf2 -in ../large -out hidden",
    ),
    (
        "perl",
        r#"perl -e 'open A, "../large"; open B, ">copy"; local $/; print B <A>'"#,
    ),
    (
        "zstd",
        "zstd -q ../large -o packed && zstd -q -d packed -o again",
    ),
    ("sort", "sort ../text > sorted"),
];

/// The operations that are compared, and the calls that are them.
const OPS: [(&str, &[&str]); 10] = [
    ("read", &["read", "pread64", "readv", "preadv", "preadv2"]),
    (
        "write",
        &["write", "pwrite64", "writev", "pwritev", "pwritev2"],
    ),
    ("recv", &["recvfrom", "recvmsg", "recvmmsg"]),
    ("send", &["sendto", "sendmsg", "sendmmsg"]),
    ("sendfile", &["sendfile"]),
    ("splice", &["splice"]),
    ("vmsplice", &["vmsplice"]),
    ("tee", &["tee"]),
    ("copy_file_range", &["copy_file_range"]),
    ("process_vm", &["process_vm_readv", "process_vm_writev"]),
];

/// Files for all programs, then each of them under strace. One that fails must not end the others.
const ALL: &str = r#"
for program in "$@"; do
    mkdir "$program"
    (cd "$program" && strace -f -qq -s 0 --seccomp-bpf -e signal=none -e trace="$CALLS" \
        -o ../"$program.strace" sh ../"$program.sh" > out 2> errors < /dev/null)
    echo "$program $?" >> ended
done
"#;

/// Bytes by operation.
type Moved = BTreeMap<&'static str, u64>;

/// The name of an operation as [`OPS`] has it, or what such an operation is with a flag.
fn op_of(name: &str) -> Option<&'static str> {
    const FLAGGED: [&str; 2] = ["recv.peek", "send.zerocopy"];
    let ops = OPS.iter().map(|(op, _)| *op).chain(FLAGGED);
    ops.into_iter().find(|op| *op == name)
}

/// The text between a mark and what is no digit behind it, as a number, wherever the mark stands.
fn numbers<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = u64> + 'a {
    text.split(mark).skip(1).filter_map(|rest| {
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        rest[..end].parse().ok()
    })
}

/// What a whole call moved, as `recvmsg(3, {…}, 0) = 17` has it.
fn call(text: &str) -> Option<(&'static str, u64)> {
    let (name, arguments) = text.split_once('(')?;
    let (op, _) = OPS.iter().find(|(_, calls)| calls.contains(&name))?;
    let (_, result) = arguments.rsplit_once(" = ")?;
    let result: u64 = result.split(' ').next()?.parse().ok()?;
    let op = match *op {
        "recv" if arguments.contains("MSG_PEEK") => "recv.peek",
        "send" if arguments.contains("MSG_ZEROCOPY") => "send.zerocopy",
        op => op,
    };
    Some(match name {
        // They return a number of messages.
        "recvmmsg" | "sendmmsg" => {
            let count = usize::try_from(result).ok()?;
            (op, numbers(arguments, "msg_len=").take(count).sum())
        }
        _ => (op, result),
    })
}

/// What strace saw: the processes, and the bytes that their calls returned.
fn witnessed(log: &str) -> (BTreeSet<u32>, Moved) {
    const UNFINISHED: &str = "<unfinished ...>";
    let (mut pids, mut moved) = (BTreeSet::new(), Moved::new());
    let mut begun: BTreeMap<u32, String> = BTreeMap::new();
    for line in log.lines() {
        let (pid, text) = line.split_once(' ').expect("a process id");
        let pid = pid.parse().expect("a process id");
        let mut text = text.trim_start().to_owned();
        pids.insert(pid);
        if let Some(beginning) = text.strip_suffix(UNFINISHED) {
            begun.insert(pid, beginning.to_owned());
            continue;
        }
        if text.starts_with("<... ") {
            let (_, rest) = text.split_once(" resumed>").expect("the end of a call");
            text = begun.remove(&pid).expect("its beginning") + rest;
        }
        if let Some((op, bytes)) = call(&text) {
            *moved.entry(op).or_default() += bytes;
        }
    }
    moved.retain(|_, bytes| *bytes != 0);
    (pids, moved)
}

/// What the ledger says of the same processes. strace was one of them until it had become the program.
fn counted(document: &Snapshot, pids: &BTreeSet<u32>) -> Moved {
    let mut moved = Moved::new();
    let processes = document.processes.iter();
    for process in processes.filter(|p| pids.contains(&p.pid) && p.comm != "strace") {
        for path in &process.paths {
            if let Some(op) = op_of(path.op.as_str()) {
                *moved.entry(op).or_default() += path.totals.moved;
            }
        }
    }
    moved.retain(|_, bytes| *bytes != 0);
    moved
}

fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).exists())
}

/// Files of known sizes: one large, one of lines, and forty small ones.
fn files(directory: &Path) {
    let lines = |count: u32| {
        (0..count)
            .map(|n| format!("{}\n", n * 7919 % 10_007))
            .collect::<String>()
    };
    let large: Vec<u8> = (0..3_000_001_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    fs::write(directory.join("large"), large).expect("a file");
    fs::write(directory.join("text"), lines(60_000)).expect("a file");
    fs::create_dir(directory.join("tree")).expect("a directory");
    for n in 0..40 {
        let file = directory.join(format!("tree/{n}"));
        fs::write(file, lines(n * 37 + 100)).expect("a file");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn what_real_programs_move_is_what_strace_saw() {
    if !is_installed("strace") {
        println!("SKIP: the witness: strace is not installed");
        return;
    }
    let here: Vec<_> = PROGRAMS
        .iter()
        .filter(|(name, _)| is_installed(name))
        .collect();
    for (name, _) in PROGRAMS {
        if !here.iter().any(|(other, _)| other == name) {
            println!("SKIP: {name}: it is not installed");
        }
    }
    let names: Vec<_> = here.iter().map(|(name, _)| *name).collect();
    for _ in 0..3 {
        let (directory, document) = traced(&here);
        // With a loss, which is counted, the numbers say nothing.
        if document.loss.lost() == 0 {
            compare(directory.path(), &document, &names);
            return;
        }
        println!("again, because of {:?}", document.loss);
    }
    panic!("three runs, and each lost something");
}

/// Runs the programs, and what zctrace says of them; their logs are in the directory.
fn traced(here: &[&(&str, &str)]) -> (tempfile::TempDir, Snapshot) {
    // Whoever runs as another user must be able to come in.
    let directory = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .expect("a directory");
    let at = directory.path();
    files(at);
    for (name, script) in here {
        fs::write(at.join(format!("{name}.sh")), script).expect("a file");
    }
    let calls: Vec<_> = OPS.iter().flat_map(|(_, calls)| *calls).copied().collect();
    let output = Command::new(zctrace())
        .args(["stat", "--json", "-o"])
        .arg(at.join("stat.json"))
        .args(["--", "sh", "-c", ALL, "sh"])
        .args(here.iter().map(|(name, _)| *name))
        .env("CALLS", calls.join(","))
        .current_dir(at)
        .output()
        .expect("the program starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let document = serde_json::from_str(&read(at, "stat.json")).expect("a stat document");
    (directory, document)
}

fn read(directory: &Path, name: &str) -> String {
    let file = directory.join(name);
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn compare(directory: &Path, document: &Snapshot, names: &[&str]) {
    let read = |name: &str| read(directory, name);
    let ended = read("ended");
    for name in names {
        let errors = || read(&format!("{name}/errors"));
        assert!(
            ended.lines().any(|line| line == format!("{name} 0")),
            "{name}: {}",
            errors()
        );
        let (pids, wanted) = witnessed(&read(&format!("{name}.strace")));
        assert!(wanted.values().sum::<u64>() > 10_000, "{name}: {wanted:?}");
        assert_eq!(
            counted(document, &pids),
            wanted,
            "{name}, on {}",
            document.backend
        );
        println!("{name}: {wanted:?}");
    }
    assert!(names.len() >= 3, "only {names:?} are installed");
}

#[test]
#[ignore = "belongs to the test above"]
fn calls_are_read_as_strace_writes_them() {
    let log = "\
7 read(3, \"\"..., 100) = 17\n\
8 recvfrom(4,  <unfinished ...>\n\
7 sendmmsg(5, [{msg_hdr={}, msg_len=5}, {msg_hdr={}, msg_len=6}, {msg_hdr={}}], 3, 0) = 2\n\
7 read(3, 0x0, 9) = -1 EAGAIN (Resource temporarily unavailable)\n\
8 <... recvfrom resumed>\"\"..., 9, MSG_PEEK, NULL, NULL) = 9\n\
8 read(4, \"\", 9) = ? ERESTARTSYS (To be restarted)\n\
7 +++ exited with 0 +++\n";
    let (pids, moved) = witnessed(log);
    assert_eq!(pids, BTreeSet::from([7, 8]));
    assert_eq!(
        moved,
        Moved::from([("read", 17), ("recv.peek", 9), ("send", 11)])
    );
}
