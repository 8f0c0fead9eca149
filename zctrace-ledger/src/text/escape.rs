//! Text from the traced system, made safe for a terminal.

use std::fmt::Write as _;

/// `text` with everything escaped that could move the cursor, change colours or reorder what is
/// shown: a process chooses its own name.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() || reorders_or_hides(char) {
            let code = u32::from(char);
            let _ = if code < 0x100 {
                write!(safe, "\\x{code:02x}")
            } else {
                write!(safe, "\\u{{{code:x}}}")
            };
        } else {
            safe.push(char);
        }
    }
    safe
}

/// Characters that are invisible or change the direction of their neighbours.
fn reorders_or_hides(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` for XML and HTML: nothing that a process is called can end an attribute or an element.
#[must_use]
pub fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Not allowed in XML at all, even escaped.
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            char if char.is_control() => safe.push('\u{fffd}'),
            char => safe.push(char),
        }
    }
    safe
}

/// `text` for Markdown: nothing that a process is called can be markup.
#[must_use]
pub fn markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in printable(text).chars() {
        if "\\`*_[]<>|#~&!".contains(char) {
            safe.push('\\');
        }
        safe.push(char);
    }
    safe
}

/// A command line as a person would type it, arguments quoted where a shell needs it.
pub fn command_line<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = words.into_iter().map(quote).collect();
    quoted.join(" ")
}

fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_speak_to_the_terminal() {
        assert_eq!(printable("nginx: worker"), "nginx: worker");
        assert_eq!(printable("\x1b[31mred"), "\\x1b[31mred");
        assert_eq!(printable("a\nb\tc\u{7f}\u{9b}"), "a\\x0ab\\x09c\\x7f\\x9b");
        assert_eq!(printable("\u{202e}txt.exe"), "\\u{202e}txt.exe");
        assert_eq!(printable("naïve 日本"), "naïve 日本");
    }

    #[test]
    fn command_lines_can_be_typed_again() {
        assert_eq!(
            command_line(["cat", "a file", "", "it's"]),
            r"cat 'a file' '' 'it'\''s'"
        );
        assert_eq!(
            command_line(["dd", "if=/dev/zero", "bs=1M"]),
            "dd if=/dev/zero bs=1M"
        );
    }
}
