//! Takes a Rust source apart into code and comments, line by line, and finds its functions.
//!
//! Both views keep every line break, so that a place in a view is a place in the file; what does not belong to a view
//! is blank there. Text in quotes is in neither.

/// A source file in two views.
#[derive(Debug)]
pub struct Source {
    /// Everything but comments and literals.
    pub code: String,
    /// Comments only.
    pub comments: String,
}

/// A function of a source file.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its first line, from 1.
    pub line: usize,
    /// Lines from its head to its closing brace.
    pub lines: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

impl Source {
    /// Takes `text` apart.
    pub fn read(text: &str) -> Self {
        let mut source = Self {
            code: String::with_capacity(text.len()),
            comments: String::with_capacity(text.len()),
        };
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let (kind, length) = token(rest, next, source.code.chars().next_back());
            let (taken, after) = rest.split_at(length);
            source.put(kind, taken);
            rest = after;
        }
        source
    }

    /// All functions with a body, nested ones too.
    pub fn functions(&self) -> Vec<Function> {
        let starts = self.code.match_indices("fn ").map(|(at, _)| at);
        starts.filter_map(|at| self.function_at(at)).collect()
    }

    fn put(&mut self, kind: Kind, taken: &str) {
        for character in taken.chars() {
            let of = |wanted| {
                if kind == wanted || character == '\n' {
                    character
                } else {
                    ' '
                }
            };
            self.code.push(of(Kind::Code));
            self.comments.push(of(Kind::Comment));
        }
    }

    fn function_at(&self, at: usize) -> Option<Function> {
        let (before, from) = self.code.split_at_checked(at)?;
        if before.ends_with(is_word) {
            return None;
        }
        let name: String = from
            .get(3..)?
            .chars()
            .take_while(|next| is_word(*next))
            .collect();
        let body = from.find(['{', ';'])?;
        if name.is_empty() || !from.get(body..)?.starts_with('{') {
            return None;
        }
        let length = body + closing_brace(from.get(body..)?)?;
        let line = before.matches('\n').count() + 1;
        let lines = from.get(..length)?.matches('\n').count() + 1;
        Some(Function { name, line, lines })
    }
}

/// Whether `character` may stand in a Rust name.
pub fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Offset of the brace that closes the one at the start of `code`.
fn closing_brace(code: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, character) in code.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Kind and length in bytes of what `rest` begins with.
fn token(rest: &str, next: char, before: Option<char>) -> (Kind, usize) {
    if rest.starts_with("//") {
        return (Kind::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Kind::Comment, block_comment(rest));
    }
    if !before.is_some_and(is_word)
        && let Some(length) = raw_string(rest)
    {
        return (Kind::Literal, length);
    }
    match next {
        '"' => (Kind::Literal, quoted(rest, '"')),
        '\'' if is_char_literal(rest) => (Kind::Literal, quoted(rest, '\'')),
        _ => (Kind::Code, next.len_utf8()),
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(here) = rest.get(at..) {
        let step = if here.starts_with("/*") {
            depth += 1;
            2
        } else if here.starts_with("*/") {
            depth = depth.saturating_sub(1);
            2
        } else {
            here.chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if depth == 0 || at >= rest.len() {
            break;
        }
    }
    at.min(rest.len())
}

/// Length of a raw string (`r"…"`, `br#"…"#`) at the start of `rest`.
fn raw_string(rest: &str) -> Option<usize> {
    let after = ["br", "cr", "r"]
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let open = after.get(hashes..)?.strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = open.find(&close)? + close.len();
    Some(rest.len() - open.len() + end)
}

/// Length of a literal from its opening quote to its closing one.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Tells `'a'` and `'\n'` from the lifetime `'a`.
fn is_char_literal(rest: &str) -> bool {
    let mut characters = rest.chars().skip(1);
    match characters.next() {
        Some('\\') => true,
        Some(_) => characters.next() == Some('\''),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_told_from_code() {
        let text = "let a = \"// no {\"; // yes {\n/* b /* c */ d */ let e = '{'; let f: &'g str = r#\"}\"#;";
        let source = Source::read(text);
        assert!(!source.code.contains(['{', '}']));
        assert!(source.code.contains("let e =") && source.code.contains("&'g str"));
        assert!(source.comments.contains("// yes {") && source.comments.contains("d */"));
        assert!(!source.comments.contains("no"));
        assert_eq!(source.code.lines().count(), text.lines().count());
    }

    #[test]
    fn an_escaped_quote_does_not_end_a_text() {
        let source = Source::read(r#"let a = "\"{"; let b = b'\''; let c = 1;"#);
        assert!(source.code.contains("let c = 1;") && !source.code.contains('{'));
    }

    #[test]
    fn functions_are_measured_from_head_to_brace() {
        let text =
            "trait A { fn none(&self); }\nfn one() {}\nfn two(\n    a: u8,\n) {\n    { a };\n}\n";
        let found = Source::read(text).functions();
        let expected = [("one", 2, 1), ("two", 3, 5)];
        let expected = expected.map(|(name, line, lines)| Function {
            name: name.to_owned(),
            line,
            lines,
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn every_cut_of_a_source_is_read_to_its_end() {
        let text = "fn a() { /* b */ \"c\\\"\"; r##\"d\"# \"##; 'e'; '\\u{1}' } // é";
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            let source = Source::read(&text[..end]);
            assert_eq!(source.code.chars().count(), text[..end].chars().count());
        }
    }
}
