//! Pages of lists: which part of one a request asks for, and how the API gives it, both to the letter as MediaMTX.

use http::StatusCode;
use serde_json::{Value, json};

use super::Refused;
use crate::control::web::{Answer, Request, json as respond};

/// Items of a page, unless the request says otherwise.
const ITEMS_PER_PAGE: u64 = 100;

/// The largest number of a page, and of items on one.
const NUMBER_MAX: u64 = (1 << 31) - 1;

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    number: u64,
    items: u64,
}

impl Page {
    /// What the request's query asks for.
    ///
    /// # Errors
    /// When a number in it is none.
    pub(super) fn of(request: &Request) -> Result<Self, Refused> {
        let parameter = |name: &str| {
            let mut query = request.query();
            let found = query.find(|(known, _)| known == name);
            found.map(|(_, value)| value).unwrap_or_default()
        };
        Self::new(&parameter("page"), &parameter("itemsPerPage"))
            .map_err(|message| Refused::new(StatusCode::BAD_REQUEST, message))
    }

    fn new(page: &str, items: &str) -> Result<Self, String> {
        let items = number(items, ITEMS_PER_PAGE)?;
        if items == 0 {
            return Err("invalid items per page".into());
        }
        let number = number(page, 0)?;
        Ok(Self { number, items })
    }

    /// The part of `all` that is on this page, each made into what is shown.
    pub(super) fn answer<T>(self, all: &[T], show: impl Fn(&T) -> Value) -> Answer {
        let shown: Vec<Value> = self.part(all).iter().map(show).collect();
        let list = json!({
            "itemCount": all.len(),
            "pageCount": (all.len() as u64).div_ceil(self.items),
            "items": shown,
        });
        respond(StatusCode::OK, &list)
    }

    /// A list of `count` items, of which `shown`, JSON with commas, is on this page.
    pub(super) fn text(self, count: usize, shown: &str) -> String {
        let pages = (count as u64).div_ceil(self.items);
        format!("{{\"itemCount\":{count},\"pageCount\":{pages},\"items\":[{shown}]}}")
    }

    /// The part of `all` that is on this page.
    pub(super) fn part<T>(self, all: &[T]) -> &[T] {
        let place = |page: u64| usize::try_from(page * self.items).unwrap_or(usize::MAX);
        let begin = place(self.number).min(all.len());
        let end = place(self.number + 1).min(all.len());
        all.get(begin..end).unwrap_or_default()
    }
}

/// A number of the query, or `default` when there is none. The refusals are those of Go's `strconv.ParseUint` with 31 bits,
/// which scripts may know.
fn number(text: &str, default: u64) -> Result<u64, String> {
    if text.is_empty() {
        return Ok(default);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "strconv.ParseUint: parsing {text:?}: invalid syntax"
        ));
    }
    let number = text.parse().ok().filter(|number| *number <= NUMBER_MAX);
    number.ok_or_else(|| format!("strconv.ParseUint: parsing {text:?}: value out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: &str, items: &str) -> Page {
        Page::new(number, items).unwrap()
    }

    #[test]
    fn a_list_is_given_in_pages_that_leave_nothing_out() {
        let all: Vec<u32> = (0..250).collect();
        assert_eq!(page("", "").part(&all), &all[..100]);
        assert_eq!(page("2", "").part(&all), &all[200..]);
        let sevens = (0..36).flat_map(|number| page(&number.to_string(), "7").part(&all));
        assert!(sevens.eq(&all));
    }

    #[test]
    fn pages_beyond_the_list_are_empty() {
        let all = [1, 2];
        assert!(page("1", "").part(&all).is_empty());
        let last = NUMBER_MAX.to_string();
        assert!(page(&last, &last).part(&all).is_empty());
    }

    #[test]
    fn numbers_are_refused_in_mediamtx_words() {
        let refused = |text: &str, why: &str| {
            let expected = format!("strconv.ParseUint: parsing \"{text}\": {why}");
            assert_eq!(Page::new(text, ""), Err(expected.clone()));
            assert_eq!(Page::new("", text), Err(expected));
        };
        refused("-1", "invalid syntax");
        refused("+1", "invalid syntax");
        refused("1.5", "invalid syntax");
        refused("2147483648", "value out of range");
        refused("9223372036854775808", "value out of range");
        refused("99999999999999999999999", "value out of range");
        assert_eq!(Page::new("", "0"), Err("invalid items per page".into()));
        assert!(Page::new("2147483647", "2147483647").is_ok());
    }
}
