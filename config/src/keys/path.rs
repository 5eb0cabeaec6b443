//! The keys of `pathDefaults` and of each path: MediaMTX's as of August 2026 in the order of
//! its reference, deprecated ones included, then our own.

use std::time::Duration;

use super::Status::{Becomes, BecomesUsers, Built, Gone, Inverted, NotBuilt};
use super::{DAY, DECIMAL, ENCRYPTS, Key, RECORD_FORMAT, SIZE, SPAN, SWITCH, TEXT, WHOLE, key};
use crate::kind::{Field, Kind, field};

const TRACK: &[Field] = &[
    field("codec", Kind::Choice(TRACK_CODECS), ""),
    field("sampleRate", WHOLE, "0"),
    field("channelCount", WHOLE, "0"),
    field("muLaw", SWITCH, "no"),
];

const TRACK_CODECS: &[&str] = &[
    "AV1",
    "VP9",
    "H265",
    "H264",
    "Opus",
    "MPEG4Audio",
    "G711",
    "LPCM",
];

const FORWARD: &[Field] = &[
    field("dest", TEXT, ""),
    field("destFingerprint", TEXT, ""),
    field("whipBearerToken", TEXT, ""),
];

const RTSP_TRANSPORT: Kind = Kind::Choice(&["automatic", "udp", "multicast", "tcp"]);

const SLOW_READER: &[&str] = &["disconnect", "dropToKeyFrame", "skipNonReference"];

/// A log or queue below a few frames could hold none.
const LOG_BYTES_MIN: i64 = 64 << 10;

/// A log shorter than this has no frame at low frame rates.
const LOG_AGE_MIN: Duration = Duration::from_millis(100);

/// A reader's lag is looked at when a batch comes, so nothing shorter can be kept.
const QUEUE_AGE_MIN: Duration = Duration::from_millis(10);

pub(crate) const PATH: &[Key] = &[
    key("source", Kind::Source, "publisher", NotBuilt),
    key("sourceFingerprint", TEXT, "", NotBuilt),
    key("sourceOnDemand", SWITCH, "false", NotBuilt),
    key("sourceOnDemandStartTimeout", SPAN, "10s", NotBuilt),
    key("sourceOnDemandCloseAfter", SPAN, "10s", NotBuilt),
    key("maxReaders", WHOLE, "0", Built),
    key("srtReadPassphrase", TEXT, "", ENCRYPTS),
    key("fallback", TEXT, "", NotBuilt).shown_when_given(),
    key("useAbsoluteTimestamp", SWITCH, "false", NotBuilt),
    key("alwaysAvailable", SWITCH, "false", NotBuilt),
    key("alwaysAvailableTracks", Kind::Records(TRACK), "", NotBuilt).or(&["[{codec: H264}]"]),
    key("alwaysAvailableFile", TEXT, "", NotBuilt),
    key("forward", Kind::Records(FORWARD), "", NotBuilt),
    key("record", SWITCH, "false", NotBuilt),
    key("playback", SWITCH, "", Gone),
    key(
        "recordPath",
        TEXT,
        "./recordings/%path/%Y-%m-%d_%H-%M-%S-%f",
        NotBuilt,
    ),
    key("recordFormat", RECORD_FORMAT, "fmp4", NotBuilt),
    key("recordPartDuration", SPAN, "1s", NotBuilt),
    key("recordMaxPartSize", SIZE, "50M", NotBuilt),
    key("recordSegmentDuration", SPAN, "1h", NotBuilt),
    key("recordDeleteAfter", SPAN, "1d", NotBuilt),
    key("publishUser", Kind::Credential, "", BecomesUsers),
    key("publishPass", Kind::Credential, "", BecomesUsers),
    key("publishIPs", Kind::Networks, "", BecomesUsers),
    key("readUser", Kind::Credential, "", BecomesUsers),
    key("readPass", Kind::Credential, "", BecomesUsers),
    key("readIPs", Kind::Networks, "", BecomesUsers),
    key("overridePublisher", SWITCH, "true", Built),
    key(
        "disablePublisherOverride",
        SWITCH,
        "",
        Inverted("overridePublisher"),
    ),
    key("srtPublishPassphrase", TEXT, "", ENCRYPTS),
    key("rtspDemuxMpegts", SWITCH, "false", NotBuilt),
    key("rtspTransport", RTSP_TRANSPORT, "automatic", NotBuilt),
    key("rtspAnyPort", SWITCH, "false", NotBuilt),
    key(
        "sourceProtocol",
        RTSP_TRANSPORT,
        "",
        Becomes("rtspTransport"),
    ),
    key("sourceAnyPortEnable", SWITCH, "", Becomes("rtspAnyPort")),
    key(
        "rtspRangeType",
        Kind::Choice(&["clock", "npt", "smpte"]),
        "",
        NotBuilt,
    ),
    key("rtspRangeStart", TEXT, "", NotBuilt),
    key("rtspScale", TEXT, "", NotBuilt),
    key("rtspUDPReadBufferSize", WHOLE, "0", NotBuilt).shown_when_given(),
    key(
        "rtspUDPSourcePortRange",
        Kind::Decimals,
        "32768, 60999",
        NotBuilt,
    )
    .or(&["10000, 65535"]),
    key("mpegtsUDPReadBufferSize", WHOLE, "0", NotBuilt).shown_when_given(),
    key("rtpSDP", TEXT, "", NotBuilt),
    key("rtpUDPReadBufferSize", WHOLE, "0", NotBuilt).shown_when_given(),
    key(
        "moqTransport",
        Kind::Choice(&["quic", "webtransport"]),
        "quic",
        NotBuilt,
    ),
    key("whepBearerToken", TEXT, "", NotBuilt),
    key("whepSTUNGatherTimeout", SPAN, "5s", NotBuilt),
    key("whepHandshakeTimeout", SPAN, "10s", NotBuilt),
    key("whepTrackGatherTimeout", SPAN, "2s", NotBuilt),
    key("sourceRedirect", TEXT, "", NotBuilt),
    key("rpiCameraCamID", WHOLE, "0", NotBuilt),
    key("rpiCameraSecondary", SWITCH, "false", NotBuilt),
    key("rpiCameraWidth", WHOLE, "1920", NotBuilt),
    key("rpiCameraHeight", WHOLE, "1080", NotBuilt),
    key("rpiCameraHFlip", SWITCH, "false", NotBuilt),
    key("rpiCameraVFlip", SWITCH, "false", NotBuilt),
    key("rpiCameraBrightness", DECIMAL, "0", NotBuilt),
    key("rpiCameraContrast", DECIMAL, "1", NotBuilt),
    key("rpiCameraSaturation", DECIMAL, "1", NotBuilt),
    key("rpiCameraSharpness", DECIMAL, "1", NotBuilt),
    key("rpiCameraExposure", TEXT, "normal", NotBuilt),
    key("rpiCameraAWB", TEXT, "auto", NotBuilt),
    key("rpiCameraAWBGains", Kind::Decimals, "0, 0", NotBuilt),
    key("rpiCameraDenoise", TEXT, "off", NotBuilt),
    key("rpiCameraShutter", WHOLE, "0", NotBuilt),
    key("rpiCameraMetering", TEXT, "centre", NotBuilt),
    key("rpiCameraGain", DECIMAL, "0", NotBuilt),
    key("rpiCameraEV", DECIMAL, "0", NotBuilt),
    key("rpiCameraROI", TEXT, "", NotBuilt),
    key("rpiCameraHDR", SWITCH, "false", NotBuilt),
    key("rpiCameraTuningFile", TEXT, "", NotBuilt),
    key("rpiCameraMode", TEXT, "", NotBuilt),
    key("rpiCameraFPS", DECIMAL, "30", NotBuilt),
    key("rpiCameraAfMode", TEXT, "continuous", NotBuilt),
    key("rpiCameraAfRange", TEXT, "normal", NotBuilt),
    key("rpiCameraAfSpeed", TEXT, "normal", NotBuilt),
    key("rpiCameraLensPosition", DECIMAL, "0.0", NotBuilt),
    key("rpiCameraAfWindow", TEXT, "", NotBuilt),
    key("rpiCameraFlickerPeriod", WHOLE, "0", NotBuilt),
    key("rpiCameraTextOverlayEnable", SWITCH, "false", NotBuilt),
    key(
        "rpiCameraTextOverlay",
        TEXT,
        "%Y-%m-%d %H:%M:%S - MediaMTX",
        NotBuilt,
    ),
    key("rpiCameraCodec", TEXT, "auto", NotBuilt),
    key("rpiCameraIDRPeriod", WHOLE, "60", NotBuilt),
    key("rpiCameraBitrate", WHOLE, "5000000", NotBuilt),
    key("rpiCameraProfile", TEXT, "main", NotBuilt).shown_when_given(),
    key("rpiCameraLevel", TEXT, "4.1", NotBuilt).shown_when_given(),
    key("rpiCameraHardwareH264Profile", TEXT, "main", NotBuilt).shown_when_given(),
    key("rpiCameraHardwareH264Level", TEXT, "4.1", NotBuilt).shown_when_given(),
    key("rpiCameraSoftwareH264Profile", TEXT, "baseline", NotBuilt).shown_when_given(),
    key("rpiCameraSoftwareH264Level", TEXT, "4.1", NotBuilt).shown_when_given(),
    key("rpiCameraH264Profile", TEXT, "auto", NotBuilt),
    key("rpiCameraH264Level", TEXT, "4.1", NotBuilt),
    key("rpiCameraJPEGQuality", WHOLE, "60", NotBuilt).shown_when_given(),
    key("rpiCameraMJPEGQuality", WHOLE, "60", NotBuilt),
    key("runOnInit", TEXT, "", NotBuilt),
    key("runOnInitRestart", SWITCH, "false", NotBuilt),
    key("runOnDemand", TEXT, "", NotBuilt),
    key("runOnDemandRestart", SWITCH, "false", NotBuilt),
    key("runOnDemandStartTimeout", SPAN, "10s", NotBuilt),
    key("runOnDemandCloseAfter", SPAN, "10s", NotBuilt),
    key("runOnUnDemand", TEXT, "", NotBuilt),
    key("runOnAvailable", TEXT, "", NotBuilt),
    key("runOnAvailableRestart", SWITCH, "false", NotBuilt),
    key("runOnUnavailable", TEXT, "", NotBuilt),
    key("runOnReady", TEXT, "", Becomes("runOnAvailable")),
    key(
        "runOnReadyRestart",
        SWITCH,
        "",
        Becomes("runOnAvailableRestart"),
    ),
    key("runOnNotReady", TEXT, "", Becomes("runOnUnavailable")),
    key("runOnOnline", TEXT, "", NotBuilt),
    key("runOnOnlineRestart", SWITCH, "false", NotBuilt),
    key("runOnOffline", TEXT, "", NotBuilt),
    key("runOnRead", TEXT, "", NotBuilt),
    key("runOnReadRestart", SWITCH, "false", NotBuilt),
    key("runOnUnread", TEXT, "", NotBuilt),
    key("runOnRecordSegmentCreate", TEXT, "", NotBuilt),
    key("runOnRecordSegmentComplete", TEXT, "", NotBuilt),
    // Shardcast's own.
    key(
        "logBytes",
        Kind::Size(LOG_BYTES_MIN, i64::MAX),
        "32M",
        Built,
    ),
    key("logAge", Kind::Span(LOG_AGE_MIN, DAY), "30s", Built),
    key(
        "publisherGrace",
        Kind::Span(Duration::ZERO, DAY),
        "0s",
        Built,
    ),
    key(
        "slowReader",
        Kind::Choice(SLOW_READER),
        "dropToKeyFrame",
        Built,
    ),
    key(
        "readerQueueBytes",
        Kind::Size(LOG_BYTES_MIN, i64::MAX),
        "8M",
        Built,
    ),
    key(
        "readerQueueAge",
        Kind::Span(QUEUE_AGE_MIN, DAY),
        "5s",
        Built,
    ),
    key(
        "start",
        Kind::Choice(&["live", "keyFrame", "gop", "catchUp"]),
        "catchUp",
        Built,
    ),
];
