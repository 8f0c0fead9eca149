//! What the screen says should change.

use crossterm::event::KeyCode;

use super::{place_of, press, shown, state};
use crate::{
    ledger::{Process, Snapshot, Totals, samples},
    tui::{
        state::State,
        theme::{Name, Theme},
    },
};

const MIB: u64 = 1 << 20;

fn process(pid: u32, comm: &str, rows: &[(&str, &str, Totals)]) -> Process {
    let rows = rows
        .iter()
        .map(|(op, object, totals)| samples::row(op, object, "inferred", *totals));
    Process::from_paths(pid, 1, comm.into(), "/".into(), rows.collect())
}

/// A screen with these processes.
fn screen(processes: Vec<Process>, size: (u16, u16)) -> State {
    let mut snapshot = Snapshot {
        processes,
        ..samples::empty()
    };
    for process in &snapshot.processes {
        snapshot.total.add(&process.total);
    }
    state(&snapshot, Theme::new(Name::Terminal, false), size)
}

/// A screen with one process.
fn seen(comm: &str, rows: &[(&str, &str, Totals)], size: (u16, u16)) -> State {
    screen(vec![process(7, comm, rows)], size)
}

/// A screen as one line, however it is broken.
fn words(state: &State) -> String {
    let screen = shown(state);
    let words: Vec<_> = screen.split_whitespace().collect();
    words.join(" ")
}

#[test]
fn a_server_that_copies_reads_which_setting_avoids_it() {
    let served = [
        ("read", "file:ext4", samples::to_user(268 * MIB)),
        ("write", "tcp", samples::from_user(268 * MIB)),
        ("recv", "tcp", samples::to_user(3000)),
    ];
    let expected = "nginx: 2.00 copies per sent byte; it took 268 MiB by `read file:ext4` and gave 268 MiB away by \
                    `write tcp`: sendfile passes such bytes on within the kernel; nginx: `sendfile on;`";
    for size in [(80, 24), (120, 40), (200, 50)] {
        let text = words(&seen("nginx", &served, size));
        assert!(text.contains(expected), "{text}");
    }
    // The whole of it where there is room.
    let text = words(&seen("nginx", &served, (200, 50)));
    assert!(text.contains("off by default"), "{text}");
}

#[test]
fn a_server_that_copies_nothing_has_nothing_to_change() {
    let served = [("sendfile", "file:ext4->tcp", samples::spliced(268 * MIB))];
    let text = words(&seen("nginx", &served, (80, 24)));
    assert!(
        text.contains("nginx: 0.00 copies per sent byte; nothing to change"),
        "{text}"
    );
    // Nobody knows how these went.
    let unseen = Totals {
        moved: 268 * MIB,
        unexplained: 268 * MIB,
        ..Totals::default()
    };
    let served = [("sendfile", "file:ext4->tcp", unseen)];
    let text = words(&seen("nginx", &served, (80, 24)));
    assert!(!text.contains("nothing to change"), "{text}");
}

/// `btrfs send`: a part of what its ioctl copies.
#[test]
fn copies_in_a_call_that_is_no_operation_have_their_mark() {
    let sent = [("other", "syscall:ioctl", samples::in_kernel(268 * MIB))];
    let mut state = seen("btrfs", &sent, (120, 40));
    for view in ['1', '2'] {
        press(&mut state, KeyCode::Char(view));
        let text = words(&state);
        assert!(text.contains("1.00? "), "{view}: {text}");
    }
}

/// Its clients copy more, and cannot do otherwise.
#[test]
fn a_server_below_its_clients_is_advised_until_a_row_is_chosen() {
    let server = [
        ("read", "file:ext4", samples::to_user(100 * MIB)),
        ("write", "tcp", samples::from_user(100 * MIB)),
    ];
    let client = [("recv", "tcp", samples::to_user(900 * MIB))];
    let processes = vec![process(7, "nginx", &server), process(8, "curl", &client)];
    let mut state = screen(processes, (80, 24));
    press(&mut state, KeyCode::Char('g'));
    let text = words(&state);
    assert!(
        text.contains("nginx: 2.00 copies per sent byte; it took"),
        "{text}"
    );
    // Whichever row is chosen: the other one is the first.
    press(&mut state, KeyCode::Down);
    let text = words(&state);
    let chosen = state.advice().unwrap().text;
    let own = place_of(&state, "▌");
    let line = shown(&state).lines().nth(own.1.into()).unwrap().to_owned();
    let comm = if line.contains("curl") {
        "curl: "
    } else {
        "nginx: "
    };
    assert!(chosen.starts_with(comm), "{chosen}: {text}");
}

/// What helps two rows goes before what helps one with a few bytes more.
#[test]
fn the_remedy_for_the_most_bytes_is_given() {
    let both = [
        ("read", "file:ext4", samples::to_user(20 * MIB)),
        ("send", "tcp", samples::from_user(20 * MIB)),
        ("recv", "tcp", samples::to_user(38 * MIB)),
    ];
    let text = words(&seen("relay", &both, (80, 24)));
    assert!(
        text.contains("it took 20.0 MiB by `read file:ext4`"),
        "{text}"
    );
}

#[test]
fn rows_stay_where_they_are_whatever_is_said() {
    let small = [("read", "file:ext4", samples::to_user(3000))];
    let large = [("read", "file:ext4", samples::to_user(268 * MIB))];
    for size in [(80, 24), (120, 40)] {
        let at = |rows| place_of(&seen("cat", rows, size), "COMMAND");
        assert_eq!(at(&small), at(&large));
    }
    let text = words(&seen("cat", &large, (80, 24)));
    assert!(text.contains("cat: `read file:ext4`: "), "{text}");
}

/// A claim that nobody made by a call, but that its owner may believe.
#[test]
fn a_server_that_does_not_use_the_call_is_among_the_claims() {
    let served = [
        ("read", "file:ext4", samples::to_user(268 * MIB)),
        ("write", "tcp", samples::from_user(268 * MIB)),
    ];
    let mut state = seen("nginx", &served, (200, 50));
    press(&mut state, KeyCode::Char('5'));
    let text = words(&state);
    assert!(text.contains("nginx [7] write tcp FAIL 268 MiB"), "{text}");
    assert!(
        text.contains("sendfile moved no bytes; nginx (7) moved 268 MiB by"),
        "{text}"
    );
    // With sendfile the row is that of the call.
    let served = [("sendfile", "file:ext4->tcp", samples::spliced(268 * MIB))];
    let mut state = seen("nginx", &served, (200, 50));
    press(&mut state, KeyCode::Char('5'));
    assert!(!words(&state).contains("write tcp"));
    // What a database reads and what it sends are not the same bytes.
    let answered = [
        ("read", "file:ext4", samples::to_user(268 * MIB)),
        ("send", "tcp", samples::from_user(20 * MIB)),
    ];
    let mut state = seen("postgres", &answered, (200, 50));
    press(&mut state, KeyCode::Char('5'));
    assert!(!words(&state).contains("send tcp"));
}
