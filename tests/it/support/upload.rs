//! Files that are uploaded.

use axum::body::Body;
use axum::http::Request;
use futures::stream;

use super::api::{App, Reply};

const BOUNDARY: &str = "----a-boundary";
const PATH: &str = "/api/v1/users/bulk/upload";

/// A form with one part, a file.
pub fn form(file: &[u8]) -> Vec<u8> {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../../users.csv\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    [head.as_bytes(), file, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat()
}

/// A form as it comes over a wire: in pieces.
fn pieces(form: &[u8]) -> impl Iterator<Item = std::io::Result<Vec<u8>>> + use<> {
    form.chunks(8 << 10).map(|piece| Ok(piece.to_vec())).collect::<Vec<_>>().into_iter()
}

/// Any form, sent with the app's own key and more headers.
pub async fn send(app: &App, form: impl AsRef<[u8]>, path: &str, headers: &[(&str, &str)]) -> Reply {
    post(app, Body::from_stream(stream::iter(pieces(form.as_ref()))), path, headers).await
}

async fn post(app: &App, body: Body, path: &str, headers: &[(&str, &str)]) -> Reply {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let request = Request::post(path).header("x-api-key", &app.key).header("content-type", kind);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    app.send(request.body(body).unwrap()).await
}

/// A file of users.
pub async fn upload(app: &App, file: impl AsRef<[u8]>) -> Reply {
    send(app, form(file.as_ref()), PATH, &[]).await
}

/// A file of users under an `Idempotency-Key`.
pub async fn upload_once(app: &App, file: impl AsRef<[u8]>, key: &str) -> Reply {
    send(app, form(file.as_ref()), PATH, &[("idempotency-key", key)]).await
}

/// The same, of which only the first bytes arrive.
pub async fn upload_cut(app: &App, file: &[u8], bytes: usize, key: &str) -> Reply {
    let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let pieces = pieces(&form(file)[..bytes]).chain([Err(cut)]);
    post(app, Body::from_stream(stream::iter(pieces)), PATH, &[("idempotency-key", key)]).await
}
