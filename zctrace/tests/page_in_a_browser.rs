//! The page of a recording in a real browser: what it shows is what `report --json` says, it asks
//! nobody for anything, and nothing in it fails.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

fn report(arguments: &[&str]) -> Vec<u8> {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/recordings/sound-version-1"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_zctrace"))
        .args(["report", file])
        .args(arguments)
        .output()
        .expect("the program starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Opens a page, headless; returns the document as the browser has it then, and its log.
fn open(chromium: &str, page: &str, profile: &str, options: &[&str]) -> (String, String) {
    let output = Command::new(chromium)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--no-first-run",
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-quic",
        ])
        .args(["--enable-logging=stderr", "--v=0"])
        .arg(format!("--user-data-dir={profile}"))
        .args(options)
        .arg(format!("file://{page}"))
        .stdin(Stdio::null())
        .output()
        .expect("the browser starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The values of `data-value` in `html` by their `data-field`, in order.
fn values<'a>(html: &'a str, field: &str) -> Vec<&'a str> {
    let mark = format!("data-field=\"{field}\" data-value=\"");
    html.split(&mark)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[test]
fn the_page_shows_what_json_says() {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.into_iter().find(|name| {
        let output = Command::new(name).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    });
    let Some(chromium) = found else {
        println!(
            "SKIP: the_page_shows_what_json_says: no chromium here (apt-get install chromium)"
        );
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let page = path("page.html");
    report(&["--html", &page]);
    let json: Value = serde_json::from_slice(&report(&["--json"])).expect("JSON");

    let netlog = format!("--log-net-log={}", path("net.json"));
    let (dom, log) = open(chromium, &page, &path("profile"), &["--dump-dom", &netlog]);
    assert!(dom.contains("<h2>Totals</h2>"), "{log}");
    assert!(!log.contains("CONSOLE"), "{log}");

    // Every total and every path's numbers, as the browser has parsed them.
    let (totals, paths) = dom.split_once("id=\"paths\"").expect("both tables");
    let total = json["stat"]["total"].as_object().expect("a total");
    for (field, value) in total {
        assert_eq!(values(totals, field), [value.to_string()], "{field}");
    }
    let rows: Vec<&Value> = json["stat"]["processes"]
        .as_array()
        .expect("processes")
        .iter()
        .flat_map(|process| process["paths"].as_array().expect("paths"))
        .collect();
    for field in total
        .keys()
        .filter(|field| *field != "copies_per_byte" && *field != "errors")
    {
        let expected: Vec<_> = rows
            .iter()
            .map(|row| row[field].to_string())
            .filter(|value| value != "0" || field == "ops" || field == "moved")
            .collect();
        assert_eq!(values(paths, field), expected, "{field}");
    }
    let bars = dom.matches("<rect class=\"moved\"").count();
    assert_eq!(bars, json["intervals"].as_array().expect("intervals").len());

    // The verdicts, with what they rest on.
    let findings = json["findings"].as_array().expect("findings");
    assert!(!findings.is_empty());
    let expected: Vec<_> = findings
        .iter()
        .map(|finding| finding["op"].as_str().expect("an operation"))
        .collect();
    let shown: Vec<_> = dom
        .split("data-op=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert_eq!(shown, expected);
    for (field, key) in [("judged_copied", "copied"), ("judged_bytes", "bytes")] {
        let expected: Vec<_> = findings
            .iter()
            .flat_map(|finding| finding["judged"].as_array().expect("rows"))
            .map(|judged| judged[key].to_string())
            .collect();
        assert_eq!(values(&dom, field), expected);
    }

    let asked = |file: &str| {
        let net = fs::read_to_string(path(file)).expect("a log");
        // What a page asks for is filed under the site that it came from.
        net.contains("\"network_isolation_key\":\"file://")
    };
    assert!(!asked("net.json"), "the page asked for something");
    // One that does is seen.
    fs::write(path("asks.html"), "<img src=\"http://127.0.0.1:9/x\">").expect("written");
    let netlog = format!("--log-net-log={}", path("asks.json"));
    let options = ["--dump-dom", &netlog];
    open(chromium, &path("asks.html"), &path("asks"), &options);
    assert!(asked("asks.json"), "requests leave no trace in the log");

    // Narrow and printed: nothing is wider than a phone's screen, and a page comes out.
    let (phone, log) = open(
        chromium,
        &page,
        &path("phone"),
        &[
            "--dump-dom",
            "--window-size=390,844",
            "--blink-settings=preferredColorScheme=0",
        ],
    );
    assert_eq!(phone, dom, "{log}");
    let pdf = path("page.pdf");
    open(
        chromium,
        &page,
        &path("print"),
        &[&format!("--print-to-pdf={pdf}")],
    );
    assert!(fs::metadata(PathBuf::from(pdf)).is_ok_and(|file| file.len() > 1000));
}
