//! The HTTP side of the lists.

use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode, header};

use super::ListName;
use super::answer::{ListRequest, answer};
use crate::api::{Api, LARGEST_REQUEST};

/// Answers a request for a list of extensions or queues.
pub(crate) async fn serve(api: &Api, list: ListName, parts: &Parts, body: Body) -> Response<Body> {
    let body = to_bytes(body, LARGEST_REQUEST).await.unwrap_or_default();
    let query = parts.uri.query().unwrap_or_default();
    let request = ListRequest {
        is_post: parts.method == Method::POST,
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        body: &body,
    };
    let reply = answer(&api.lists, list, &request, api.options.refuse_address, api.now());
    tracing::info!(target: crate::LOG, method = %parts.method, path = list.path(), "request for a list");
    let Some((status, content_type, body)) = reply else { return std::future::pending().await };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
