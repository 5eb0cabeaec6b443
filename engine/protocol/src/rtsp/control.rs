//! Control attributes: which track of an announced description a `SETUP` means, and a track's URL
//! from a description (RFC 2326, appendix C.1.1). `server` matches with it, `client` builds with it.

use super::RtspUrl;

/// The URL of what a `control` attribute names, below `base`.
///
/// Clients do not resolve a relative reference as RFC 1808 says, but append it to the base with one
/// slash between; so do we. Absent, empty and `*` mean the base itself.
pub fn resolve(base: &str, control: Option<&str>) -> String {
    let control = control.map(str::trim).unwrap_or_default();
    if matches!(control, "" | "*") {
        return base.to_owned();
    }
    if is_absolute(control) {
        return control.to_owned();
    }
    if control.starts_with('/')
        && let Ok(url) = RtspUrl::parse(base)
    {
        return url.with_path_and_query(control).to_string();
    }
    let base = base.strip_suffix('/').unwrap_or(base);
    format!("{base}/{control}")
}

/// The tracks that `url` may mean, given the URL of the `ANNOUNCE` and the `control` attributes of
/// its tracks. More than one when a publisher gave several tracks the same attribute.
pub(super) fn matches<'a>(
    base: &'a RtspUrl,
    controls: &'a [Option<String>],
    url: &'a RtspUrl,
) -> impl Iterator<Item = usize> + 'a {
    let wanted = normal(url);
    controls
        .iter()
        .enumerate()
        .filter(move |(_, control)| forms(base, control.as_deref()).contains(&wanted))
        .map(|(track, _)| track)
}

/// The paths and queries under which clients address a track. Hosts are not compared: the
/// connection has reached this server, whatever name the client has for it.
fn forms(base: &RtspUrl, control: Option<&str>) -> Vec<String> {
    let appended = resolve(&base.to_string(), control);
    let mut forms: Vec<String> = RtspUrl::parse(&appended).iter().map(normal).collect();
    let relative = control
        .map(str::trim)
        .filter(|control| !matches!(*control, "" | "*") && !is_absolute(control));
    if let Some(control) = relative {
        // GStreamer puts it between path and query.
        forms.push(normal(&base.with_control_before_query(control)));
    }
    forms
}

fn normal(url: &RtspUrl) -> String {
    let path = url.path_and_query();
    path.strip_suffix('/').unwrap_or(&path).to_owned()
}

fn is_absolute(control: &str) -> bool {
    ["rtsp://", "rtsps://"].iter().any(|scheme| {
        let start = control.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracks(base: &str, controls: &[&str], url: &str) -> Vec<usize> {
        let controls: Vec<_> = controls
            .iter()
            .map(|control| Some((*control).to_owned()).filter(|control| !control.is_empty()))
            .collect();
        let base = RtspUrl::parse(base).unwrap();
        let url = RtspUrl::parse(url).unwrap();
        matches(&base, &controls, &url).collect()
    }

    #[test]
    fn a_publishers_own_controls_are_found() {
        let ffmpeg = ["streamid=0", "streamid=1"];
        let cases: [(&str, &[&str], &str, &[usize]); 12] = [
            ("rtsp://h/a", &ffmpeg, "rtsp://h/a/streamid=1", &[1]),
            ("rtsp://h/a?q=1", &ffmpeg, "rtsp://h/a?q=1/streamid=1", &[1]),
            ("rtsp://h/a?q=1", &ffmpeg, "rtsp://h/a/streamid=1?q=1", &[1]),
            ("rtsp://h/a/", &ffmpeg, "rtsp://h/a/streamid=0", &[0]),
            ("rtsp://h", &["stream=0"], "rtsp://h/stream=0", &[0]),
            ("rtsp://h/a", &["rtsp://h/a/x"], "rtsp://h/a/x", &[0]),
            (
                "rtsp://h/a",
                &["rtsp://10.0.0.1:554/a/x"],
                "rtsp://h/a/x",
                &[0],
            ),
            ("rtsp://h/a", &["/b/x"], "rtsp://h/b/x", &[0]),
            ("rtsp://h/a", &["*"], "rtsp://h/a/", &[0]),
            ("rtsp://h/a", &["", ""], "rtsp://h/a", &[0, 1]),
            ("rtsp://h/a", &["x", "x"], "rtsp://h/a/x", &[0, 1]),
            ("rtsp://h/a", &ffmpeg, "rtsp://h/a/streamid=2", &[]),
        ];
        for (base, controls, url, expected) in cases {
            assert_eq!(tracks(base, controls, url), expected, "{base} {url}");
        }
    }

    #[test]
    fn a_track_url_is_the_base_with_the_control_appended() {
        for (base, control, url) in [
            ("rtsp://h/a/", Some("trackID=0"), "rtsp://h/a/trackID=0"),
            ("rtsp://h/a", Some("trackID=0"), "rtsp://h/a/trackID=0"),
            (
                "rtsp://h/a?q=1/",
                Some("trackID=0"),
                "rtsp://h/a?q=1/trackID=0",
            ),
            ("rtsp://h/a/", Some("*"), "rtsp://h/a/"),
            ("rtsp://h/a/", None, "rtsp://h/a/"),
            ("rtsp://h/a/", Some("rtsp://h/b"), "rtsp://h/b"),
            ("rtsp://h/a/", Some("/b?c"), "rtsp://h/b?c"),
        ] {
            assert_eq!(resolve(base, control), url);
        }
    }
}
