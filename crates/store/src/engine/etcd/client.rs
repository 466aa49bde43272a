//! Calls to one etcd member.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::api::{
    Compare, EQUAL, LEASE_GRANT, LEASE_KEEP_ALIVE, LEASE_REVOKE, LeaseGrantRequest, LeaseGrantResponse,
    LeaseKeepAliveResponse, LeaseRequest, LeaseRevokeResponse, MODIFIED, RANGE, RangeRequest, RangeResponse, TXN,
    TxnRequest, TxnResponse, WATCH, WatchCreateRequest, WatchRequest, WatchResponse,
};
use crate::EngineError;

/// How long one call may take. Ours: etcd gives up on a proposal after about seven seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Pings on a quiet connection: etcd takes one every five seconds (`--grpc-keepalive-min-time`).
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of one answer: as etcd's own client, all that gRPC can say. A watcher that fell behind is
/// sent many revisions at once.
const ANSWER_BYTES_MAX: usize = i32::MAX as usize;

/// The metadata with which etcd ends a watch at a member that has lost its cluster.
const REQUIRE_LEADER: (&str, &str) = ("hasleader", "true");

#[derive(Clone)]
pub struct Client {
    host: String,
    channel: Channel,
}

impl Client {
    /// Connects at the first call. Wants to be in a runtime.
    pub fn new(host: &str) -> Result<Self, EngineError> {
        let endpoint = Endpoint::from_shared(format!("http://{host}"))
            .map_err(|error| EngineError::Storage(format!("{host} is no address: {error}")))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true);
        Ok(Self { host: host.to_owned(), channel: endpoint.connect_lazy() })
    }

    pub async fn range(&self, request: RangeRequest) -> Result<RangeResponse, EngineError> {
        self.call(RANGE, request).await
    }

    pub async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, EngineError> {
        self.call(TXN, request).await
    }

    pub async fn grant_lease(&self, ttl_s: i64) -> Result<LeaseGrantResponse, EngineError> {
        let granted: LeaseGrantResponse = self.call(LEASE_GRANT, LeaseGrantRequest { ttl: ttl_s }).await?;
        match granted.error.is_empty() {
            true => Ok(granted),
            false => Err(self.error(&granted.error)),
        }
    }

    pub async fn revoke_lease(&self, id: i64) -> Result<LeaseRevokeResponse, EngineError> {
        self.call(LEASE_REVOKE, LeaseRequest { id }).await
    }

    /// Answers the seconds that the lease has now; 0 when it is gone.
    pub async fn keep_lease_alive(&self, id: i64) -> Result<i64, EngineError> {
        let asked = stream::iter([LeaseRequest { id }]);
        let answer = async {
            let mut answers: Streaming<LeaseKeepAliveResponse> =
                self.stream(LEASE_KEEP_ALIVE, Request::new(asked)).await?;
            answers.message().await
        };
        Ok(self.bounded(answer).await?.map_or(0, |answer| answer.ttl))
    }

    /// Events from a revision on, that one included.
    pub async fn watch(&self, create: WatchCreateRequest) -> Result<Streaming<WatchResponse>, EngineError> {
        let create = WatchRequest { create_request: Some(create) };
        // etcd ends the watch when the requests end.
        let mut requests = Request::new(stream::iter([create]).chain(stream::pending()));
        requests.metadata_mut().insert(REQUIRE_LEADER.0, MetadataValue::from_static(REQUIRE_LEADER.1));
        self.bounded(self.stream(WATCH, requests)).await
    }

    async fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A, EngineError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let call = async {
            let mut grpc = self.grpc().await?;
            let codec = ProstCodec::<Q, A>::default();
            grpc.unary(Request::new(request), PathAndQuery::from_static(path), codec).await
        };
        self.bounded(call).await.map(Response::into_inner)
    }

    async fn stream<Q, A, S>(&self, path: &'static str, requests: Request<S>) -> Result<Streaming<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
        S: stream::Stream<Item = Q> + Send + 'static,
    {
        let mut grpc = self.grpc().await?;
        let codec = ProstCodec::<Q, A>::default();
        grpc.streaming(requests, PathAndQuery::from_static(path), codec).await.map(Response::into_inner)
    }

    async fn grpc(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(grpc)
    }

    async fn bounded<A>(&self, call: impl Future<Output = Result<A, Status>>) -> Result<A, EngineError> {
        match tokio::time::timeout(CALL_TIMEOUT, call).await {
            Ok(answer) => answer.map_err(|status| self.status(&status)),
            Err(_) => Err(self.error(&format!("no answer within {} s", CALL_TIMEOUT.as_secs()))),
        }
    }

    pub fn status(&self, status: &Status) -> EngineError {
        let mut cause = std::error::Error::source(status);
        let mut text = status.message().to_owned();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        self.error(&text)
    }

    pub fn error(&self, why: &str) -> EngineError {
        EngineError::Storage(format!("etcd at {}: {why}", self.host))
    }
}

/// That nothing has modified `key` since `revision`; 0 stands for a key that is not there.
pub fn unmodified(key: Vec<u8>, revision: i64) -> Compare {
    Compare { result: EQUAL, target: MODIFIED, key, mod_revision: Some(revision) }
}
