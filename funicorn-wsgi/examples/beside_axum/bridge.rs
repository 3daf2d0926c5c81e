//! From axum's request to ours, and from the parts of our response to axum's.

use std::{io, net::SocketAddr, sync::Arc};

use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, OriginalUri, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use funicorn_http::{Address, Body as Input, ConnectionInfo, RequestHead, SendError};
use funicorn_wsgi::{ResponsePart, ThreadPool};
use futures_util::{TryStreamExt, stream};
use tokio_util::io::{StreamReader, SyncIoBridge};

type Mounted = State<(Arc<ThreadPool>, SocketAddr)>;
type Peer = ConnectInfo<SocketAddr>;

pub(crate) async fn answer(at: Mounted, peer: Peer, uri: OriginalUri, from: Request) -> Response {
    let State((pool, local)) = at;
    let connection = Arc::new(ConnectionInfo::new(Address::Tcp(peer.0), Address::Tcp(local)));
    let head = RequestHead::builder(from.method().as_str(), &uri.to_string());
    let headers = from.headers().iter().map(|(name, value)| (name.as_str(), value));
    let head = headers.fold(head, |head, (name, value)| head.header(name, value)).build();
    let (sender, mut parts) = tokio::sync::mpsc::channel(4);
    let writer = pool.writer(&head, move |part| sender.blocking_send(part).map_err(|_| SendError::Gone));
    let request = funicorn_http::Request::new(head, body(from.into_body()), connection);
    if pool.submit(request, writer).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let Some(ResponsePart::Head(head)) = parts.recv().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let blocks = stream::try_unfold(parts, |mut parts| async {
        match parts.recv().await {
            Some(ResponsePart::Block(block)) => Ok(Some((block, parts))),
            Some(ResponsePart::End) => Ok(None),
            _ => Err(io::Error::other("the response is cut, and so is the connection")),
        }
    });
    let start = Response::builder().status(head.code());
    let response = head.iter().fold(start, |response, (name, value)| response.header(name, value));
    response.body(Body::from_stream(blocks)).unwrap_or_default()
}

fn body(from: Body) -> Input {
    let len = from.size_hint().exact();
    let stream = StreamReader::new(from.into_data_stream().map_err(io::Error::other));
    let reader = Box::new(SyncIoBridge::new(stream));
    if let Some(len) = len { Input::from_reader(reader, len) } else { Input::from_stream(reader) }
}
