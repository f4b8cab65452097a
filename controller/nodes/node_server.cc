// SPDX-License-Identifier: Apache-2.0
#include "controller/nodes/node_server.h"

#include <algorithm>

#include "api/blob_transfer.h"
#include "api/http_status.h"
#include "api/problem.h"
#include "base/file_response.h"
#include "base/peer_group.h"
#include "base/status.h"
#include "controller/auth/node_identity.h"
#include "controller/coordinator_sessions.h"
#include "controller/images/blob_store.h"
#include "controller/nodes/node_connections.h"
#include "controller/nodes/stream_broker.h"
#include "controller/one_shot.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxJoinBytes = 64 * 1024;
constexpr std::chrono::milliseconds kJoinLimit{30'000};
// For the slowest fetch of the largest image.
constexpr std::chrono::hours kTicketValid{6};

Response ProblemResponse(const absl::Status& status) {
  const api::Problem problem = api::ProblemOf(status);
  Response response;
  response.status = problem.status;
  response.content_type = api::kProblemMediaType;
  response.body = json::serialize(api::ToJson(problem));
  return response;
}

// The node that the connection's certificate proves, or the one kUnauthenticated answer.
absl::StatusOr<NodeId> NodeOf(const NodeServerContext& context, const Request& request) {
  const TlsPeer& peer = request.connection->peer();
  if (peer.state == PeerCertificate::kValid) {
    const NodeId node = NodeIdOf(peer.certificate);
    if (!node.empty() && context.coordinator->AuthenticateNode(node, peer.spki.Hex()).ok()) {
      return node;
    }
  }
  return absl::UnauthenticatedError(
      "this needs the certificate of a node of this cluster: join with a token from `bramble token "
      "create`, or renew the certificate");
}

absl::StatusOr<PeerProof> ProofOf(const Request& request) {
  PeerProof proof;
  BRAMBLE_ASSIGN_OR_RETURN(proof.exporter,
                           request.connection->ExportKeyingMaterial(api::kJoinExporterLabel));
  proof.peer_address = request.connection->peer_address();
  const TlsPeer& peer = request.connection->peer();
  if (peer.state == PeerCertificate::kValid || peer.state == PeerCertificate::kExpired) {
    proof.certificate_node = NodeIdOf(peer.certificate);
    proof.certificate_key_sha256 = peer.spki.Hex();
  }
  return proof;
}

bool CountsAsFailure(const absl::Status& status) {
  return absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status) ||
         absl::IsInvalidArgument(status) || absl::IsNotFound(status);
}

using JoinFunction = void (NodeSessions::*)(api::JoinRequest, PeerProof, JoinDone);

asio::awaitable<absl::StatusOr<api::JoinReply>> RunJoin(NodeServerContext& context,
                                                        JoinFunction join, Request& request) {
  BRAMBLE_CO_ASSIGN_OR_RETURN(const json::value body, ParseJson(request.body, kMaxJoinBytes));
  BRAMBLE_CO_ASSIGN_OR_RETURN(api::JoinRequest wanted, api::JoinRequestFromJson(body));
  BRAMBLE_CO_ASSIGN_OR_RETURN(PeerProof proof, ProofOf(request));
  OneShot<absl::StatusOr<api::JoinReply>> reply(context.loop);
  (context.coordinator->sessions().*join)(std::move(wanted), std::move(proof), reply.Taker());
  co_return co_await reply.Wait(kJoinLimit, "join");
}

asio::awaitable<Response> Join(NodeServerContext& context, JoinFunction join, Request& request) {
  const std::string peer = request.connection->peer_address();
  const std::string group = PeerGroupOf(peer);
  if (!context.limiter.Allows(group, context.clock.Boot())) {
    Response response = ProblemResponse(absl::ResourceExhaustedError(
        StrCat("join: too many failed attempts from ", peer, "; try again in a minute")));
    response.headers.Add("Retry-After", "60");
    co_return response;
  }
  const absl::StatusOr<api::JoinReply> reply = co_await RunJoin(context, join, request);
  if (!reply.ok()) {
    context.log.Warn("join_refused", {{"address", peer}, {"error", reply.status()}});
    if (CountsAsFailure(reply.status())) {
      context.limiter.OnFailure(group, context.clock.Boot());
    }
    co_return ProblemResponse(reply.status());
  }
  Response response;
  response.status = api::kHttpOk;
  response.body = json::serialize(api::ToJson(*reply));
  co_return response;
}

Route JoinRoute(NodeServerContext& context, JoinFunction join) {
  Route route;
  route.handler = [&context, join](Request& request) { return Join(context, join, request); };
  route.max_body_bytes = kMaxJoinBytes;
  route.open = true;
  return route;
}

Response OpenSession(NodeServerContext& context, Request& request) {
  const absl::StatusOr<NodeId> node = NodeOf(context, request);
  if (!node.ok()) {
    return ProblemResponse(node.status());
  }
  WebSocketBody socket;
  socket.options.max_message_bytes = api::kMaxNodeMessageBytes;
  socket.options.max_queued_bytes = 2 * api::kMaxNodeMessageBytes;
  socket.run = [&context, node = *node](std::unique_ptr<WebSocket> accepted) {
    return context.connections.Serve(node, std::move(accepted));
  };
  Response response;
  response.body = std::move(socket);
  return response;
}

// The node that asks, if it may have the blob that it asks for.
absl::StatusOr<NodeId> FetcherOf(const NodeServerContext& context, const Request& request) {
  BRAMBLE_ASSIGN_OR_RETURN(const NodeId node, NodeOf(context, request));
  if (!context.coordinator->sessions().MayFetchBlob(node, request.Param("digest"))) {
    return absl::NotFoundError("blob: not found");
  }
  return node;
}

absl::Status ExplainMissing(const absl::Status& status) {
  return absl::IsNotFound(status) ? absl::NotFoundError(
                                        "image blob missing on the controller: import it again by "
                                        "`bramble image import`")
                                  : status;
}

asio::awaitable<Response> GetPieces(NodeServerContext& context, Request& request) {
  const absl::StatusOr<NodeId> node = FetcherOf(context, request);
  if (!node.ok()) {
    co_return ProblemResponse(node.status());
  }
  const std::string digest = request.Param("digest");
  const absl::StatusOr<PieceDigests> pieces = co_await context.blobs->PiecesOf(digest);
  if (!pieces.ok()) {
    co_return ProblemResponse(ExplainMissing(pieces.status()));
  }
  api::BlobPieces answer{.size = {context.blobs->SizeOf(digest)}, .piece = {kPieceBytes}};
  for (const Sha256Digest& piece : **pieces) {
    answer.sha256.push_back(piece.Hex());
  }
  Response response;
  response.status = api::kHttpOk;
  response.body = json::serialize(api::ToJson(answer));
  co_return response;
}

BlobPlan::Question QuestionOf(const NodeServerContext& context, const NodeId& fetcher,
                              const std::string& digest) {
  BlobPlan::Question question{.digest = digest, .fetcher = fetcher};
  for (const auto& [id, entry] : context.coordinator->state().nodes().entries()) {
    const api::Node& node = entry.record.api;
    if (node.state != api::NodeState::kReady || node.address.empty()) {
      continue;
    }
    question.connected.insert(node.id);
    if (std::find(node.images.begin(), node.images.end(), digest) != node.images.end()) {
      question.holders.insert(node.id);
    }
  }
  question.connected.insert(fetcher);
  return question;
}

api::BlobNeighbour NeighbourOf(const NodeServerContext& context, const NodeId& id,
                               const std::string& digest, const std::string& fetcher_key) {
  const NodeRecord& record = *context.coordinator->state().nodes().Find(id.str());
  // As nodes count the time: by what was signed.
  const int64_t now = std::max(context.clock.Wall().time_since_epoch().count(),
                               context.coordinator->state().cluster().highest_signed_time_ms);
  const api::BlobTicket ticket{.digest = digest,
                               .fetcher_key_sha256 = fetcher_key,
                               .server = id,
                               .expires_ms = now + std::chrono::milliseconds(kTicketValid).count()};
  return {.node = id,
          .address = record.api.address,
          .key_sha256 = record.key_sha256,
          .ticket = api::FormatTicket(ticket.expires_ms, context.sign(api::TicketText(ticket)))};
}

Response ChooseSource(NodeServerContext& context, Request& request) {
  const absl::StatusOr<NodeId> node = FetcherOf(context, request);
  if (!node.ok()) {
    return ProblemResponse(node.status());
  }
  const absl::StatusOr<json::value> body =
      ParseJson(request.body.empty() ? "{}" : request.body, kMaxJoinBytes);
  if (!body.ok()) {
    return ProblemResponse(body.status());
  }
  const absl::StatusOr<api::BlobSourceRequest> wanted = api::BlobSourceRequestFromJson(*body);
  if (!wanted.ok()) {
    return ProblemResponse(wanted.status());
  }
  const std::string digest = request.Param("digest");
  const BootTime now = context.clock.Boot();
  if (!wanted->failed.empty()) {
    const bool wrong = wanted->fault == api::NeighbourFault::kWrongBytes;
    const auto fault = api::kNeighbourFaultNames[static_cast<size_t>(wanted->fault)];
    context.log.Warn(
        "neighbour_failed",
        {{"node", wanted->failed}, {"fetcher", *node}, {"image", digest}, {"fault", fault}});
    context.plan.OnFault(digest, *node, wanted->failed, wrong, now);
  }
  api::BlobSource source;
  const std::optional<NodeId> chosen = context.plan.Choose(QuestionOf(context, *node, digest), now);
  if (chosen.has_value() && context.sign) {
    source.neighbour = NeighbourOf(context, *chosen, digest, request.connection->peer().spki.Hex());
  }
  Response response;
  response.status = api::kHttpOk;
  response.body = json::serialize(api::ToJson(source));
  return response;
}

asio::awaitable<Response> GetBlob(NodeServerContext& context, Request& request) {
  const absl::StatusOr<NodeId> node = FetcherOf(context, request);
  if (!node.ok()) {
    co_return ProblemResponse(node.status());
  }
  const std::string digest = request.Param("digest");
  const absl::StatusOr<OpenBlob> blob = co_await context.blobs->OpenVerified(digest);
  if (!blob.ok()) {
    co_return ProblemResponse(ExplainMissing(blob.status()));
  }
  FileBody file;
  file.fd = blob->fd;
  file.size = blob->size;
  co_return FileResponse(digest, std::move(file));
}

// For the node of its container alone; it may hold secrets.
Response GetContext(NodeServerContext& context, Request& request) {
  const absl::StatusOr<NodeId> node = NodeOf(context, request);
  if (!node.ok()) {
    return ProblemResponse(node.status());
  }
  absl::StatusOr<std::string> text =
      context.coordinator->sessions().ContextFor(*node, request.Param("id"));
  if (!text.ok()) {
    return ProblemResponse(text.status());
  }
  Response response;
  response.status = api::kHttpOk;
  response.body = *std::move(text);
  return response;
}

Response OpenStreamSocket(NodeServerContext& context, Request& request) {
  const absl::StatusOr<NodeId> node = NodeOf(context, request);
  if (!node.ok()) {
    return ProblemResponse(node.status());
  }
  const std::string ticket = request.Param("ticket");
  if (!context.streams.IsAwaited(ticket, *node)) {
    return ProblemResponse(absl::NotFoundError("stream: nobody waits for this ticket (any more)"));
  }
  WebSocketBody socket;
  socket.options = StreamSocketOptions();
  socket.run = [&context, ticket](std::unique_ptr<WebSocket> accepted) {
    return context.streams.ServeNode(ticket, std::move(accepted));
  };
  Response response;
  response.body = std::move(socket);
  return response;
}

}  // namespace

std::unique_ptr<HttpServer> MakeNodeServer(NodeServerContext& context, Lane& file_lane) {
  Router router;
  router.Add("POST", "/v1/join", JoinRoute(context, &NodeSessions::OnJoin));
  router.Add("POST", "/v1/renew", JoinRoute(context, &NodeSessions::OnRenew));
  Route session;
  session.direct = [&context](Request& request) { return OpenSession(context, request); };
  router.Add("GET", "/v1/node", std::move(session));
  Route blob;
  blob.handler = [&context](Request& request) { return GetBlob(context, request); };
  router.Add("GET", "/v1/blobs/{digest}", std::move(blob));
  Route pieces;
  pieces.handler = [&context](Request& request) { return GetPieces(context, request); };
  router.Add("GET", "/v1/blobs/{digest}/pieces", std::move(pieces));
  Route source;
  source.direct = [&context](Request& request) { return ChooseSource(context, request); };
  source.max_body_bytes = kMaxJoinBytes;
  router.Add("POST", "/v1/blobs/{digest}/source", std::move(source));
  Route told;
  told.direct = [&context](Request& request) { return GetContext(context, request); };
  router.Add("GET", "/v1/contexts/{id}", std::move(told));
  Route stream;
  stream.direct = [&context](Request& request) { return OpenStreamSocket(context, request); };
  router.Add("GET", "/v1/streams/{ticket}", std::move(stream));

  HttpServerOptions options;
  options.limits.connections = static_cast<size_t>(context.limits.connections);
  options.limits.connections_per_peer = static_cast<size_t>(context.limits.connections_per_peer);
  options.before_body = [&context](Request& request) -> std::optional<Response> {
    const bool open = request.path == "/v1/join" || request.path == "/v1/renew";
    if (open || NodeOf(context, request).ok()) {
      return std::nullopt;
    }
    return ProblemResponse(NodeOf(context, request).status());
  };
  options.file_lane = &file_lane;
  return std::make_unique<HttpServer>(context.loop, std::move(router), std::move(options),
                                      context.log);
}

}  // namespace bramble::controller
