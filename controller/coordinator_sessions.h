// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "controller/coordinator_types.h"
#include "controller/seams.h"

namespace bramble::controller {

// What is known of a connection that asks to join or to renew, besides its body.
struct PeerProof {
  std::string exporter;      // 32 bytes, label api::kJoinExporterLabel
  std::string peer_address;  // "172.16.0.11"
  NodeId certificate_node;   // from the SAN of the certificate presented, also of an expired one
  std::string certificate_key_sha256;  // hex, of its SPKI; empty: no certificate
};

using JoinDone = std::function<void(absl::StatusOr<api::JoinReply>)>;

// Nodes as they speak for themselves: POST /v1/join, POST /v1/renew, and the WebSocket /v1/node.
class NodeSessions {
 public:
  virtual ~NodeSessions() = default;

  // Replies when durable.  kPermissionDenied: the token is wrong, expired, used up or revoked.
  virtual void OnJoin(api::JoinRequest request, PeerProof proof, JoinDone done) = 0;
  // A new certificate for a known node, which proved its key to TLS by the one that it presented.
  virtual void OnRenew(api::JoinRequest request, PeerProof proof, JoinDone done) = 0;

  // A node with a valid certificate opened its WebSocket.  Messages follow by OnMessage; the first
  // must be a Hello.
  virtual void OnConnected(LinkId link, const NodeId& node, std::string peer_address) = 0;
  virtual void OnMessage(LinkId link, api::NodeMessage message) = 0;
  virtual void OnDisconnected(LinkId link) = 0;

  // Sends `message` (an OpenStream) to a node.  kUnavailable: not connected.
  virtual absl::Status Send(const NodeId& node, const api::ControllerMessage& message) = 0;
  // Whether `node` may fetch this blob: one of its containers uses it.
  virtual bool MayFetchBlob(const NodeId& node, std::string_view digest) const = 0;
  // The context `id` as JSON, for a node that is to hold the container which it is for; kNotFound
  // for all others.
  virtual absl::StatusOr<std::string> ContextFor(const NodeId& node, std::string_view id) const = 0;
};

}  // namespace bramble::controller
