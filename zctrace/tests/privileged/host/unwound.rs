//! Stacks of programs as Debian ships them, which are built without frame pointers.

use std::process::Command;

use zctrace::report::recorded::Document;

use crate::common::{run, zctrace};

/// A program: what must be installed, its command name, a script that makes it copy, and the outermost function of its
/// own that has a name.
const PROGRAMS: [[&str; 4]; 3] = [
    [
        "/usr/bin/python3",
        "python3",
        r#"exec /usr/bin/python3 -c '
import os
def inner(file):
    for _ in range(20000): os.pread(file, 65536, 0)
def outer(file): inner(file)
outer(os.open("file", os.O_RDONLY))'"#,
        "Py_BytesMain",
    ],
    [
        "/usr/sbin/nginx",
        "nginx",
        r#"cat > conf <<END
user root; daemon off; master_process off; pid $PWD/pid; error_log $PWD/errors;
events { }
http { access_log off; sendfile off; root $PWD; client_body_temp_path $PWD/1; proxy_temp_path $PWD/2;
    fastcgi_temp_path $PWD/3; uwsgi_temp_path $PWD/4; scgi_temp_path $PWD/5;
    server { listen unix:$PWD/socket; } }
END
nginx -c "$PWD/conf" -e stderr -p "$PWD" & server=$!
until [ -S socket ]; do sleep 0.1; done
for _ in $(seq 600); do curl --silent --unix-socket socket -o /dev/null http://localhost/file; done
kill $server; wait"#,
        "main",
    ],
    [
        "/usr/bin/redis-server",
        "redis-server",
        r#"redis-server --port 0 --unixsocket "$PWD/socket" --save "" --io-threads 1 & server=$!
until redis-cli -s socket ping; do sleep 0.1; done
redis-benchmark -s socket -n 60000 -d 3000 -t set,get -q
redis-cli -s socket shutdown nosave; wait"#,
        "main",
    ],
];

#[test]
#[ignore = "needs root and BPF"]
fn stacks_of_real_programs_begin_where_they_do() {
    for [installed, comm, script, outermost] in PROGRAMS {
        if !std::path::Path::new(installed).exists() {
            println!("SKIP: {comm}: it is not installed");
            continue;
        }
        let directory = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
        std::fs::write(directory.path().join("file"), vec![1; 256 << 10]).expect("a file");
        let file = directory.path().join("record.zct");
        let output = Command::new(zctrace())
            .args(["record", "--unwind", "--stack-every", "1MiB", "-o"])
            .arg(&file)
            .args(["--", "sh", "-c", script])
            .current_dir(directory.path())
            .output()
            .expect("the program starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{comm}: {stderr}");
        let report = run(&["report", "--json", &file.display().to_string()]);
        let document: Document = serde_json::from_slice(&report.stdout).expect("a report");
        let own: Vec<_> = document
            .stacks
            .iter()
            .filter(|stack| stack.comm == comm)
            .collect();
        let all: u64 = own.iter().map(|stack| stack.bytes).sum();
        let whole: u64 = own
            .iter()
            .filter(|stack| stack.frames.iter().any(|frame| frame == outermost))
            .map(|stack| stack.bytes)
            .sum();
        assert!(all > 8 << 20, "{comm}: {all} bytes");
        let share = whole as f64 / all as f64;
        assert!(share >= 0.95, "{comm}: {share}: {own:#?}");
        let counted: u64 = document
            .stacks
            .iter()
            .filter(|stack| stack.is_truncated())
            .map(|stack| stack.bytes)
            .sum();
        assert_eq!(document.stack_bytes_truncated, counted);
    }
}
