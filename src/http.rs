//! The HTTP door: extract, one Engine call, encode. It holds no rules of its own but a table of status codes.
