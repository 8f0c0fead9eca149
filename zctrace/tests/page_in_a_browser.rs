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
    assert!(dom.contains("<h2 id=\"totals\">Totals</h2>"), "{log}");
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
        let mut expected: Vec<_> = rows
            .iter()
            .map(|row| row[field].to_string())
            .filter(|value| value != "0" || field == "ops" || field == "moved")
            .collect();
        // The page groups by command.
        let mut shown = values(paths, field);
        expected.sort_unstable();
        shown.sort_unstable();
        assert_eq!(shown, expected, "{field}");
    }
    let bars: Vec<_> = dom
        .split("<g data-moved=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let intervals = json["intervals"].as_array().expect("intervals").iter();
    let moved: Vec<_> = intervals
        .map(|interval| interval["total"]["moved"].to_string())
        .collect();
    assert_eq!(bars, moved);

    // Sorted and searched, as the address says.
    let shown = |address: &str, options: &[&str]| {
        let options = [&["--dump-dom"], options].concat();
        let (dom, log) = open(
            chromium,
            &format!("{page}{address}"),
            &path("again"),
            &options,
        );
        assert!(!log.contains("CONSOLE"), "{log}");
        dom
    };
    let ops = |dom: &str| -> Vec<Vec<u64>> {
        let table = dom.split_once("id=\"paths\"").expect("the table").1;
        let groups = table.split("<tbody").skip(1);
        let numbers = |group| {
            let values = values(group, "ops").into_iter();
            values
                .map(|value| value.parse().expect("a number"))
                .collect()
        };
        groups.map(numbers).collect()
    };
    // Groups stay together: they are sorted, and so are their rows.
    let ascending = ops(&shown("#sort=5", &[]));
    assert!(ascending.len() > 1 && ascending.iter().any(|group| group.len() > 1));
    assert!(
        ascending.iter().all(|group| group.is_sorted()),
        "{ascending:?}"
    );
    assert!(
        ascending.is_sorted_by_key(|group| group.iter().sum::<u64>()),
        "{ascending:?}"
    );
    let mut descending = ops(&shown("#sort=-5", &[]));
    descending.reverse();
    for group in &mut descending {
        group.reverse();
    }
    assert_eq!(ascending, descending);
    let searched = shown("#search=sendfile", &[]);
    let table = searched.split_once("id=\"paths\"").expect("the table").1;
    let lines: Vec<&str> = table.split("<tr data-pid=").skip(1).collect();
    let (hidden, found): (Vec<&str>, Vec<&str>) = lines.into_iter().partition(|line| {
        line.split('>')
            .next()
            .is_some_and(|tag| tag.contains("hidden"))
    });
    assert!(!found.is_empty() && !hidden.is_empty());
    assert!(found.iter().all(|line| line.contains(">sendfile")));
    assert!(!hidden.iter().any(|line| line.contains(">sendfile<")));
    // The file has the same numbers without its script, and nothing in it pretends to work.
    let plain = fs::read_to_string(&page).expect("the page");
    let body = plain.split("<script>").next().expect("a body");
    assert!(!body.contains("<input") && !body.contains("<button"));
    assert_eq!(ops(&plain), ops(&dom));

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
