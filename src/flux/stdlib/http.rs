//! Package `http`. Scripts cannot reach the network yet: what sends says so.

use super::{function::functions, network::refuse};
use crate::flux::eval::Value;
use base64::{Engine, prelude::BASE64_STANDARD};
use std::sync::Arc;

const SEND: &str = "query with /api/v2/query or `tidegauge query` and send the result with another program";

functions! {
    "basicAuth" "(u: string, p: string) => string" "The value of an `Authorization` header for a user and a password." |c| {
        let pair = format!("{}:{}", c.required::<Arc<str>>("u")?, c.required::<Arc<str>>("p")?);
        Ok(Value::string(format!("Basic {}", BASE64_STANDARD.encode(pair))))
    };
    "pathEscape" "(inputString: string) => string" "Text as one segment of a URL's path."
        |c| Ok(Value::string(path_escape(&c.required::<Arc<str>>("inputString")?)));
    "post" "(url: string, ?headers: A, ?data: bytes) => int" "Sends data to a URL; not available yet." |c| refuse(c, SEND);
}

/// `http/requests`.
pub mod requests {
    use super::*;

    functions! {
        "_do" "(method: string, url: string, ?params: [string: [string]], ?headers: [string: string], ?body: bytes, config: A) => B"
            "Sends a request; not available yet." |c| refuse(c, SEND);
    }
}

/// As Go's `url.PathEscape`: letters, digits and `-_.~$&+:=@` stay.
fn path_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+:=@".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
