//! RTSP 1.0 (RFC 2326): messages, transports, URLs, and the state machines of server and client.
