//! The header fields of a message: ordered, found by name without regard to case. `head` fills
//! them from the wire, `message` writes them to it.

use std::fmt;

use super::head::is_token;

/// Header fields in the order in which they were sent or pushed (RFC 2326, section 12).
///
/// No name or value in it holds a control character, so that nothing from a peer can end a line
/// of a message that we write.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    fields: Vec<(String, String)>,
}

/// A header that cannot be written: its name is no token, or its value holds a control character.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("header {name:?} has an invalid name or value")]
pub struct InvalidHeader {
    /// The name that was given.
    pub name: String,
}

impl Headers {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of this name, in order.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Appends a field.
    ///
    /// # Errors
    /// [`InvalidHeader`] when the name is not a token or the value holds a control character
    /// (tabs are fine).
    pub fn push(&mut self, name: &str, value: &str) -> Result<(), InvalidHeader> {
        let valid = !name.is_empty() && name.bytes().all(is_token) && !value.contains(is_forbidden);
        if !valid {
            let name = name.to_owned();
            return Err(InvalidHeader { name });
        }
        self.fields.push((name.to_owned(), value.trim().to_owned()));
        Ok(())
    }

    /// Appends a field of our own. Control characters, which no caller means to send, are left out.
    pub(super) fn put(&mut self, name: &'static str, value: impl fmt::Display) {
        let value = value.to_string().replace(is_forbidden, "");
        self.fields.push((name.to_owned(), value));
    }

    /// Appends all fields of another message.
    pub(super) fn append(&mut self, other: Self) {
        self.fields.extend(other.fields);
    }

    /// Joins a continuation line to the last field (RFC 2326, section 4, by way of RFC 2616, 4.2).
    /// False when there is no field to continue, or the line holds a control character.
    pub(super) fn extend_last(&mut self, continuation: &str) -> bool {
        let Some((_, value)) = self.fields.last_mut() else {
            return false;
        };
        if continuation.contains(is_forbidden) {
            return false;
        }
        let continuation = continuation.trim();
        if !value.is_empty() && !continuation.is_empty() {
            value.push(' ');
        }
        value.push_str(continuation);
        true
    }
}

/// Credentials are never shown, not even in a debug log.
impl fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.iter().map(|(name, value)| {
            let secret = ["Authorization", "Proxy-Authorization"]
                .iter()
                .any(|secret| name.eq_ignore_ascii_case(secret));
            (name, if secret { "(hidden)" } else { value })
        });
        formatter.debug_map().entries(shown).finish()
    }
}

fn is_forbidden(character: char) -> bool {
    character.is_control() && character != '\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_whatever_the_case_of_its_name() {
        let mut headers = Headers::new();
        headers.push("cseq", "7").unwrap();
        assert_eq!(headers.get("CSeq"), Some("7"));
        assert_eq!(headers.get("Session"), None);
    }

    #[test]
    fn fields_keep_their_order() {
        let mut headers = Headers::new();
        for (name, value) in [("Transport", "a"), ("Accept", "b"), ("transport", "c")] {
            headers.push(name, value).unwrap();
        }
        assert_eq!(headers.all("Transport").collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let mut headers = Headers::new();
        for (name, value) in [
            ("A", "b\r\nSession: x"),
            ("A b", "c"),
            ("", "c"),
            ("A", "\0"),
        ] {
            assert!(headers.push(name, value).is_err(), "{name:?}: {value:?}");
        }
        headers.put("A", "b\r\nSession: x");
        assert_eq!(headers.get("A"), Some("bSession: x"));
    }

    #[test]
    fn credentials_are_not_shown() {
        let mut headers = Headers::new();
        headers.push("authorization", "Basic dTpw").unwrap();
        assert!(!format!("{headers:?}").contains("dTpw"));
    }
}
