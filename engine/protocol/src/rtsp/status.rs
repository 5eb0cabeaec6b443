//! Status codes of RTSP 1.0 with their reason phrases. Answers are made with them in `server`;
//! `client` judges by them.

use std::fmt;

/// A response's status (RFC 2326, section 11): three digits, 100 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatusCode(u16);

macro_rules! status_codes {
    ($($name:ident = $code:literal, $reason:literal;)*) => {
        impl StatusCode {
            $(
                #[doc = concat!($code, " ", $reason)]
                pub const $name: Self = Self($code);
            )*

            /// The standard reason phrase, or an empty one for codes that RFC 2326 does not know.
            pub fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $reason,)*
                    _ => "",
                }
            }
        }
    };
}

status_codes! {
    CONTINUE = 100, "Continue";
    OK = 200, "OK";
    CREATED = 201, "Created";
    LOW_ON_STORAGE_SPACE = 250, "Low on Storage Space";
    MULTIPLE_CHOICES = 300, "Multiple Choices";
    MOVED_PERMANENTLY = 301, "Moved Permanently";
    MOVED_TEMPORARILY = 302, "Moved Temporarily";
    SEE_OTHER = 303, "See Other";
    NOT_MODIFIED = 304, "Not Modified";
    USE_PROXY = 305, "Use Proxy";
    BAD_REQUEST = 400, "Bad Request";
    UNAUTHORIZED = 401, "Unauthorized";
    PAYMENT_REQUIRED = 402, "Payment Required";
    FORBIDDEN = 403, "Forbidden";
    NOT_FOUND = 404, "Not Found";
    METHOD_NOT_ALLOWED = 405, "Method Not Allowed";
    NOT_ACCEPTABLE = 406, "Not Acceptable";
    PROXY_AUTHENTICATION_REQUIRED = 407, "Proxy Authentication Required";
    REQUEST_TIME_OUT = 408, "Request Time-out";
    GONE = 410, "Gone";
    LENGTH_REQUIRED = 411, "Length Required";
    PRECONDITION_FAILED = 412, "Precondition Failed";
    REQUEST_ENTITY_TOO_LARGE = 413, "Request Entity Too Large";
    REQUEST_URI_TOO_LARGE = 414, "Request-URI Too Large";
    UNSUPPORTED_MEDIA_TYPE = 415, "Unsupported Media Type";
    PARAMETER_NOT_UNDERSTOOD = 451, "Parameter Not Understood";
    CONFERENCE_NOT_FOUND = 452, "Conference Not Found";
    NOT_ENOUGH_BANDWIDTH = 453, "Not Enough Bandwidth";
    SESSION_NOT_FOUND = 454, "Session Not Found";
    METHOD_NOT_VALID_IN_THIS_STATE = 455, "Method Not Valid in This State";
    HEADER_FIELD_NOT_VALID_FOR_RESOURCE = 456, "Header Field Not Valid for Resource";
    INVALID_RANGE = 457, "Invalid Range";
    PARAMETER_IS_READ_ONLY = 458, "Parameter Is Read-Only";
    AGGREGATE_OPERATION_NOT_ALLOWED = 459, "Aggregate Operation Not Allowed";
    ONLY_AGGREGATE_OPERATION_ALLOWED = 460, "Only Aggregate Operation Allowed";
    UNSUPPORTED_TRANSPORT = 461, "Unsupported Transport";
    DESTINATION_UNREACHABLE = 462, "Destination Unreachable";
    INTERNAL_SERVER_ERROR = 500, "Internal Server Error";
    NOT_IMPLEMENTED = 501, "Not Implemented";
    BAD_GATEWAY = 502, "Bad Gateway";
    SERVICE_UNAVAILABLE = 503, "Service Unavailable";
    GATEWAY_TIME_OUT = 504, "Gateway Time-out";
    RTSP_VERSION_NOT_SUPPORTED = 505, "RTSP Version not supported";
    OPTION_NOT_SUPPORTED = 551, "Option not supported";
}

impl StatusCode {
    /// The status with this number, when it is one: 100 to 599.
    pub fn from_code(code: u16) -> Option<Self> {
        (100..=599).contains(&code).then_some(Self(code))
    }

    /// The three digits.
    pub fn code(self) -> u16 {
        self.0
    }

    /// Whether the request was granted (2xx).
    pub fn is_success(self) -> bool {
        (200..300).contains(&self.0)
    }

    /// Whether the request was refused or has failed (4xx and 5xx).
    pub fn is_error(self) -> bool {
        self.0 >= 400
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.0, self.reason())
    }
}
