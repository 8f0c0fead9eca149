//! The filter language: `copied > 1M and comm ~ nginx`.
//!
//! A comparison is `FIELD OP VALUE`: fields are the columns of the view, shown or not; `=`, `!=`,
//! `<`, `<=`, `>`, `>=` compare numbers, `=` and `!=` also names; `~` and `!~` ask whether a name
//! contains a text, in upper or lower case. `and`, `or`, `not` and parentheses join them. A text
//! alone is sought in every name of a row.

use crate::tui::rows::{Column, Holds, Rows};

/// Deeper nesting is refused: nobody types it, and every level is a call.
const DEEPEST: usize = 32;

/// Most words and signs of a filter, for the same reason: each `and` is a level, too.
const MOST_TOKENS: usize = 512;

/// A filter, ready to be asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Both.
    And(Box<Self>, Box<Self>),
    /// One of them.
    Or(Box<Self>, Box<Self>),
    /// The other rows.
    Not(Box<Self>),
    /// Compares a number.
    Number(usize, Op, f64),
    /// Compares a name.
    Text(usize, Op, String),
    /// Any name contains it.
    Anywhere(String),
}

/// An operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `~`
    Contains,
    /// `!~`
    ContainsNot,
}

const OPS: [(&str, Op); 9] = [
    ("!=", Op::NotEqual),
    ("!~", Op::ContainsNot),
    ("<=", Op::LessOrEqual),
    (">=", Op::GreaterOrEqual),
    ("==", Op::Equal),
    ("=", Op::Equal),
    ("<", Op::Less),
    (">", Op::Greater),
    ("~", Op::Contains),
];

impl Filter {
    /// Reads a filter over these columns.
    ///
    /// # Errors
    ///
    /// Says what is wrong, in one line.
    pub fn parse(text: &str, columns: &[Column]) -> Result<Self, String> {
        let mut parser = Parser {
            tokens: tokens(text)?,
            next: 0,
            depth: 0,
            columns,
        };
        let filter = parser.or()?;
        match parser.peek() {
            None => Ok(filter),
            Some(token) => Err(format!("did not expect {}", token.shown())),
        }
    }

    /// Whether it keeps a row.
    #[must_use]
    pub fn keeps(&self, rows: &dyn Rows, row: usize, columns: &[Column]) -> bool {
        match self {
            Self::And(a, b) => a.keeps(rows, row, columns) && b.keeps(rows, row, columns),
            Self::Or(a, b) => a.keeps(rows, row, columns) || b.keeps(rows, row, columns),
            Self::Not(filter) => !filter.keeps(rows, row, columns),
            Self::Number(column, op, number) => rows
                .value(row, *column)
                .number()
                .is_some_and(|value| op.compares(value, *number)),
            Self::Text(column, op, text) => {
                let name = rows.value(row, *column).lowercase().unwrap_or_default();
                match op {
                    Op::Equal => name == *text,
                    Op::NotEqual => name != *text,
                    Op::ContainsNot => !name.contains(text),
                    _ => name.contains(text),
                }
            }
            Self::Anywhere(text) => (0..columns.len()).any(|column| {
                let name = rows.value(row, column).lowercase();
                name.is_some_and(|name| name.contains(text))
            }),
        }
    }
}

impl Op {
    #[expect(
        clippy::float_cmp,
        reason = "whole numbers are compared with what the user typed"
    )]
    fn compares(self, value: f64, with: f64) -> bool {
        match self {
            Self::Equal => value == with,
            Self::NotEqual => value != with,
            Self::Less => value < with,
            Self::LessOrEqual => value <= with,
            Self::Greater => value > with,
            Self::GreaterOrEqual => value >= with,
            Self::Contains | Self::ContainsNot => false,
        }
    }

    fn shown(self) -> &'static str {
        OPS.iter()
            .rev()
            .find(|(_, op)| *op == self)
            .map_or("", |(text, _)| text)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Op(Op),
    Open,
    Close,
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Word(word) | Self::Quoted(word) => format!("\"{word}\""),
            Self::Op(op) => op.shown().into(),
            Self::Open => "(".into(),
            Self::Close => ")".into(),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '"' | '\'' => {
                let end = rest[1..].find(first).ok_or("a quote is not closed")?;
                (Token::Quoted(rest[1..=end].into()), end + 2)
            }
            _ => match OPS.iter().find(|(text, _)| rest.starts_with(text)) {
                Some((text, op)) => (Token::Op(*op), text.len()),
                None => {
                    let ends = |char: char| char.is_whitespace() || "()=<>~!\"'".contains(char);
                    let end = rest.find(ends).unwrap_or(rest.len());
                    if end == 0 {
                        return Err(format!("did not expect {first}"));
                    }
                    (Token::Word(rest[..end].into()), end)
                }
            },
        };
        if tokens.len() == MOST_TOKENS {
            return Err(format!("more than {MOST_TOKENS} words and signs"));
        }
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    columns: &'a [Column],
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn word(&mut self, wanted: &str) -> bool {
        let found =
            matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        self.next += usize::from(found);
        found
    }

    fn or(&mut self) -> Result<Filter, String> {
        let mut filter = self.and()?;
        while self.word("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.and()?));
        }
        Ok(filter)
    }

    fn and(&mut self) -> Result<Filter, String> {
        let mut filter = self.not()?;
        while self.word("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.not()?));
        }
        Ok(filter)
    }

    fn not(&mut self) -> Result<Filter, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("too deeply nested".into());
        }
        let filter = if self.word("not") {
            Filter::Not(Box::new(self.not()?))
        } else if self.peek() == Some(&Token::Open) {
            self.next += 1;
            let filter = self.or()?;
            if self.peek() != Some(&Token::Close) {
                return Err("a parenthesis is not closed".into());
            }
            self.next += 1;
            filter
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn comparison(&mut self) -> Result<Filter, String> {
        let first = match self.peek().cloned() {
            Some(Token::Word(word)) => word,
            Some(Token::Quoted(text)) => {
                self.next += 1;
                return Ok(Filter::Anywhere(text.to_lowercase()));
            }
            Some(token) => return Err(format!("expected a field before {}", token.shown())),
            None => return Err("expected a field".into()),
        };
        self.next += 1;
        let Some(Token::Op(op)) = self.peek().cloned() else {
            return Ok(Filter::Anywhere(first.to_lowercase()));
        };
        self.next += 1;
        let found = self
            .columns
            .iter()
            .position(|column| column.name.eq_ignore_ascii_case(&first));
        let Some(column) = found else {
            let names: Vec<_> = self.columns.iter().map(|column| column.name).collect();
            return Err(format!(
                "no field {first}; the fields are {}",
                names.join(", ")
            ));
        };
        let value = match self.peek().cloned() {
            Some(Token::Word(value) | Token::Quoted(value)) => value,
            _ => return Err(format!("expected a value after {}", op.shown())),
        };
        self.next += 1;
        self.bind(column, op, &value)
    }

    fn bind(&self, column: usize, op: Op, value: &str) -> Result<Filter, String> {
        let Column { name, holds, .. } = self.columns[column];
        match (holds, op) {
            (Holds::Text, Op::Equal | Op::NotEqual | Op::Contains | Op::ContainsNot) => {
                Ok(Filter::Text(column, op, value.to_lowercase()))
            }
            (Holds::Text, _) => Err(format!("{name} is a name: compare it with = != ~ or !~")),
            (_, Op::Contains | Op::ContainsNot) => Err(format!(
                "{name} is a number: compare it with = != < <= > >="
            )),
            (Holds::Bytes, _) => Ok(Filter::Number(column, op, number(value, 1024.0)?)),
            (_, _) => Ok(Filter::Number(column, op, number(value, 1000.0)?)),
        }
    }
}

/// `1M`, `1.5MiB`, `200k`, `30%`, `1G/s`.
fn number(text: &str, thousand: f64) -> Result<f64, String> {
    let wrong = || format!("{text} is not a number: write 100, 1.5M, 2GiB or 30%");
    let lower = text.to_ascii_lowercase();
    let mut rest = lower.trim_end_matches("/s").trim_end_matches('%');
    rest = rest.strip_suffix('b').unwrap_or(rest);
    rest = rest.strip_suffix('i').unwrap_or(rest);
    let power = match rest.chars().last() {
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        _ => 0,
    };
    if power > 0 {
        rest = &rest[..rest.len() - 1];
    }
    let value: f64 = rest.parse().map_err(|_| wrong())?;
    if !value.is_finite() {
        return Err(wrong());
    }
    Ok(value * thousand.powi(power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::rows::Value;

    const COLUMNS: &[Column] = &[
        Column::text("comm", "COMMAND", 1, 1, ""),
        Column::bytes("copied", "COPIED", ""),
        Column::number("ops", "OPS", 5, ""),
    ];

    struct Three;

    impl Rows for Three {
        fn len(&self) -> usize {
            3
        }

        fn id(&self, row: usize) -> u64 {
            row as u64
        }

        fn value(&self, row: usize, column: usize) -> Value<'_> {
            match column {
                0 => Value::text(["nginx", "cat", "Nginx-worker"][row]),
                1 => Value::Bytes([2 << 20, 1 << 20, 10][row]),
                _ => Value::Count([1, 1000, 2000][row]),
            }
        }
    }

    fn kept(text: &str) -> Vec<usize> {
        let filter = Filter::parse(text, COLUMNS).unwrap_or_else(|error| panic!("{text}: {error}"));
        (0..3)
            .filter(|row| filter.keeps(&Three, *row, COLUMNS))
            .collect()
    }

    #[test]
    fn rows_are_kept() {
        for (text, rows) in [
            ("copied > 1M and comm ~ nginx", vec![0]),
            ("copied>=1MiB", vec![0, 1]),
            ("ops = 1k", vec![1]),
            ("comm ~ nginx", vec![0, 2]),
            ("comm = nginx", vec![0]),
            ("comm !~ nginx", vec![1]),
            ("not comm ~ nginx or ops > 1k", vec![1, 2]),
            ("not (comm ~ nginx or ops > 1k)", vec![1]),
            ("NGINX", vec![0, 2]),
            ("'cat'", vec![1]),
            ("copied < 100 and ops > 1 or comm = cat", vec![1, 2]),
        ] {
            assert_eq!(kept(text), rows, "{text}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        let error = |text: &str| Filter::parse(text, COLUMNS).unwrap_err();
        assert_eq!(
            error("size > 1"),
            "no field size; the fields are comm, copied, ops"
        );
        assert!(error("comm > 5").contains("is a name"));
        assert!(error("copied ~ x").contains("is a number"));
        assert!(error("copied > many").contains("not a number"));
        assert!(error("copied > 1e999").contains("not a number"));
        assert_eq!(error("(comm = x"), "a parenthesis is not closed");
        assert_eq!(error("copied >"), "expected a value after >");
        assert_eq!(error("comm = \"x"), "a quote is not closed");
        assert_eq!(error("comm = x y"), "did not expect \"y\"");
        assert_eq!(error(""), "expected a field");
        assert_eq!(error(&"(".repeat(100)), "too deeply nested");
        assert_eq!(error(&"not ".repeat(100)), "too deeply nested");
        let long = "x or ".repeat(100_000);
        assert_eq!(error(&long), "more than 512 words and signs");
    }
}
