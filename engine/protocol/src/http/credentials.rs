//! Who a request says that it is from: a name and a password, as HTTP carries them.

use http::header::{self, HeaderMap, HeaderValue};

use crate::rtsp::auth::Credentials;

/// A token of `user:pass`, as MediaMTX takes it for those who can send no other.
const BEARER: &str = "Bearer ";

/// What `Authorization` says. Two of them are none: nobody could say which one a proxy has looked at.
#[must_use]
pub fn credentials(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Name and password, when there are any: `Basic`, or `Bearer user:pass`. What cannot be read is nothing.
#[must_use]
pub fn login(headers: &HeaderMap) -> Option<(String, String)> {
    let value = credentials(headers)?.to_str().ok()?;
    let (user, pass) = match value.strip_prefix(BEARER) {
        Some(token) => {
            let (user, pass) = token.split_once(':')?;
            (user.to_owned(), pass.to_owned())
        }
        None => match Credentials::parse(value) {
            Ok(Credentials::Basic { user, pass }) => (user, pass),
            _ => return None,
        },
    };
    (!user.is_empty() || !pass.is_empty()).then_some((user, pass))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(header::AUTHORIZATION, value);
        }
        headers
    }

    #[test]
    fn a_name_and_a_password_come_in_two_forms() {
        for (value, user, pass) in [
            ("Basic dXNlcjpwYXNz", "user", "pass"),
            ("basic dXNlcjpwOmE6c3M=", "user", "p:a:ss"),
            ("Bearer user:pass", "user", "pass"),
            ("Bearer user:p:a:ss", "user", "p:a:ss"),
            ("Bearer user:", "user", ""),
        ] {
            let due = Some((user.to_owned(), pass.to_owned()));
            assert_eq!(login(&headers(&[value])), due, "{value}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        for values in [
            &[][..],
            &[""],
            &["Basic"],
            &["Basic Og=="],
            &["Basic !"],
            &["Bearer :"],
            &["Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"],
            &["Digest username=\"user\""],
            &["Basic dXNlcjpwYXNz\u{e9}"],
            &["Basic dXNlcjpwYXNz", "Bearer user:pass"],
        ] {
            assert_eq!(login(&headers(values)), None, "{values:?}");
        }
    }
}
