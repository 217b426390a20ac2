//! The sound of a message: RFC 9110 sections 13 (conditions) and 14 (ranges).

use std::{io, ops::RangeInclusive, path::Path as FilePath};

use aftertone_model::MessageId;
use aftertone_server_store::StoredSound;
use aftertone_sync::ProblemCode;
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt, SeekFrom, Take},
};

use super::{
    SharedApp,
    auth::SignedInDevice,
    document::{CommonProblems, MessageProblems, RangeProblem, TokenProblem},
    messages::found,
    problem::{ApiError, ApiResult, Path},
};

/// The sound of a message.
///
/// Takes ranges and conditions (`If-None-Match`, `If-Range`); the ETag is that of the sound, so a forwarded message has the
/// same one.
#[utoipa::path(method(get, head), path = "/v1/messages/{id}/audio", operation_id = "message_audio", tag = "messages",
    params(
        ("id" = MessageId, Path),
        ("Range" = Option<String>, Header, description = "One range of bytes, such as `bytes=0-1023`."),
        ("If-None-Match" = Option<String>, Header, description = "An ETag that is there already."),
        ("If-Range" = Option<String>, Header, description = "The ETag that the range is meant for."),
    ),
    responses(
        (status = 200, description = "The whole sound.", content(("audio/ogg"), ("audio/wav"))),
        (status = 206, description = "A part of it; `Content-Range` says which.", content(("audio/ogg"), ("audio/wav"))),
        (status = 304, description = "It is what the condition says."),
        RangeProblem, MessageProblems, TokenProblem, CommonProblems,
    ))]
pub(super) async fn audio(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    Path(id): Path<MessageId>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let sound = found(app.store.sound(asking.device.subscriber, id).await?)?;
    serve(Served { sound: &sound, name: format!("message-{id}") }, &method, &headers).await
}

/// A sound that somebody may have.
pub(super) struct Served<'a> {
    pub(super) sound: &'a StoredSound,
    /// Of a file, without its ending.
    pub(super) name: String,
}

/// All of it, a part, or that it is known already.
pub(super) async fn serve(Served { sound, name }: Served<'_>, method: &Method, headers: &HeaderMap) -> ApiResult<Response> {
    let tag = format!("\"{}\"", sound.content);
    let common = common_headers(sound, &tag, &name)?;
    if headers.get(header::IF_NONE_MATCH).is_some_and(|value| names(value, &tag)) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let in_time = headers.get(header::IF_RANGE).is_none_or(|value| value.as_bytes() == tag.as_bytes());
    let wanted = headers.get(header::RANGE).filter(|_| in_time && *method == Method::GET).and_then(|value| value.to_str().ok());
    let (status, part) = match range(wanted, sound.bytes) {
        Wanted::Everything => (StatusCode::OK, None),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, Some(part)),
        Wanted::Nothing => return Err(unsatisfiable(sound.bytes)),
    };
    let length = part.as_ref().map_or(sound.bytes, |part| part.end() - part.start() + 1);
    let body = if *method == Method::HEAD {
        Body::empty()
    } else {
        let start = part.as_ref().map_or(0, |part| *part.start());
        contents(&sound.path, start, length).await.map_err(ApiError::internal)?
    };
    let mut response = (status, common, [(header::CONTENT_LENGTH, HeaderValue::from(length))], body).into_response();
    if let Some(part) = part {
        let text = format!("bytes {}-{}/{}", part.start(), part.end(), sound.bytes);
        response.headers_mut().insert(header::CONTENT_RANGE, header_value(&text)?);
    }
    Ok(response)
}

fn common_headers(sound: &StoredSound, tag: &str, name: &str) -> ApiResult<[(HeaderName, HeaderValue); 5]> {
    let ending = if sound.media_type == "audio/ogg" { "ogg" } else { "wav" };
    Ok([
        (header::CONTENT_TYPE, header_value(&sound.media_type)?),
        (header::ETAG, header_value(tag)?),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
        (header::CONTENT_DISPOSITION, header_value(&format!("inline; filename=\"{name}.{ending}\""))?),
    ])
}

fn header_value(text: &str) -> ApiResult<HeaderValue> {
    HeaderValue::from_str(text).map_err(ApiError::internal)
}

fn unsatisfiable(length: u64) -> ApiError {
    let detail = format!("the range lies outside of the sound, which has {length} bytes");
    let error = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, ProblemCode::BadRequest, detail);
    match HeaderValue::from_str(&format!("bytes */{length}")) {
        Ok(value) => error.with_header(header::CONTENT_RANGE, value),
        Err(_) => error,
    }
}

/// Whether an `If-None-Match` names the tag (weak comparison).
fn names(value: &HeaderValue, tag: &str) -> bool {
    let Ok(value) = value.to_str() else { return false };
    value.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Everything,
    Part(RangeInclusive<u64>),
    Nothing,
}

/// What is malformed or more than one range counts as none, as RFC 9110 section 14.2 allows.
fn range(header: Option<&str>, length: u64) -> Wanted {
    let Some((first, last)) = header.and_then(|header| header.trim().strip_prefix("bytes=")?.split_once('-')) else {
        return Wanted::Everything;
    };
    let last_byte = length.saturating_sub(1);
    let part = match (first.trim(), last.trim()) {
        ("", suffix) => match suffix.parse::<u64>() {
            Ok(0) => return Wanted::Nothing,
            Ok(suffix) => length.saturating_sub(suffix)..=last_byte,
            Err(_) => return Wanted::Everything,
        },
        (first, "") => match first.parse::<u64>() {
            Ok(first) => first..=last_byte,
            Err(_) => return Wanted::Everything,
        },
        (first, last) => match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => first..=last.min(last_byte),
            _ => return Wanted::Everything,
        },
    };
    if length == 0 || *part.start() > last_byte { Wanted::Nothing } else { Wanted::Part(part) }
}

const CHUNK: usize = 64 * 1024;

async fn contents(path: &FilePath, start: u64, length: u64) -> io::Result<Body> {
    let mut file = File::open(path).await?;
    file.seek(SeekFrom::Start(start)).await?;
    Ok(Body::from_stream(stream::try_unfold(file.take(length), read_chunk)))
}

async fn read_chunk(mut file: Take<File>) -> io::Result<Option<(Bytes, Take<File>)>> {
    let mut chunk = BytesMut::with_capacity(CHUNK);
    let read = file.read_buf(&mut chunk).await?;
    if read == 0 && file.limit() > 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than the store says"));
    }
    Ok((read > 0).then(|| (chunk.freeze(), file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, length: u64, expect: Wanted) {
        assert_eq!(range(Some(header), length), expect, "{header} of {length}");
    }

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        check("bytes=0-499", 10_000, Wanted::Part(0..=499));
        check("bytes=9500-", 10_000, Wanted::Part(9500..=9999));
        check("bytes=-500", 10_000, Wanted::Part(9500..=9999));
        check("bytes=-20000", 10_000, Wanted::Part(0..=9999));
        check("bytes=9999-20000", 10_000, Wanted::Part(9999..=9999));
        check("bytes=10000-", 10_000, Wanted::Nothing);
        check("bytes=-0", 10_000, Wanted::Nothing);
        check("bytes=0-", 0, Wanted::Nothing);
        for ignored in ["bytes=5-4", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "bytes=-", "bytes"] {
            check(ignored, 10_000, Wanted::Everything);
        }
        assert_eq!(range(None, 10_000), Wanted::Everything);
    }

    #[test]
    fn a_tag_is_found_in_a_list() {
        let check = |value: &'static str| names(&HeaderValue::from_static(value), "\"a\"");
        assert!(check("\"a\"") && check("\"b\", W/\"a\"") && check("*"));
        assert!(!check("\"b\"") && !check("a"));
    }
}
