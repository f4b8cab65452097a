// SPDX-License-Identifier: Apache-2.0
#include "controller/rest/rest_server.h"

#include <algorithm>
#include <array>

#include "controller/rest/routes.h"

namespace bramble::controller {
namespace {

// What is answered without a token: it bears its own proof, or says nothing about the cluster.
bool NeedsNoToken(const Request& request) {
  constexpr auto kOpen = std::to_array<std::string_view>(
      {"/", "/page.js", "/page.css", "/healthz", "/readyz", "/v1/openapi.yaml"});
  if (request.method == "GET" || request.method == "HEAD") {
    return std::find(kOpen.begin(), kOpen.end(), request.path) != kOpen.end() ||
           std::string_view(request.path).starts_with("/v1/streams/");
  }
  return request.method == "POST" && request.path == "/v1/cluster/init";
}

}  // namespace

std::unique_ptr<HttpServer> MakeRestServer(RestContext& context, Lane& file_lane) {
  Router router;
  AddClusterRoutes(router, context);
  AddContainerRoutes(router, context);
  AddContainerStreamRoutes(router, context);
  AddEventRoutes(router, context);
  AddFlavorRoutes(router, context);
  AddFloatingIpRoutes(router, context);
  AddHealthRoutes(router, context);
  AddImageRoutes(router, context);
  AddKeyRoutes(router, context);
  AddNetworkRoutes(router, context);
  AddNodeRoutes(router, context);
  AddOperationRoutes(router, context);
  AddPageRoutes(router, context);
  AddPortForwardRoutes(router, context);
  AddSecurityGroupRoutes(router, context);
  AddSdcardRoutes(router, context);
  AddTokenRoutes(router, context);
  AddUploadRoutes(router, context);
  AddUserRoutes(router, context);

  HttpServerOptions options;
  options.limits.body_bytes = static_cast<size_t>(context.limits.body.count);
  options.limits.connections = static_cast<size_t>(context.limits.connections);
  options.limits.connections_per_peer = static_cast<size_t>(context.limits.connections_per_peer);
  options.before_body = [&context](Request& request) -> std::optional<Response> {
    if (NeedsNoToken(request)) {
      return std::nullopt;
    }
    const absl::StatusOr<Principal> who = PrincipalOf(context, request);
    if (who.ok()) {
      return std::nullopt;
    }
    return ProblemResponse(who.status());
  };
  options.always = {{"X-Content-Type-Options", "nosniff"}, {"Referrer-Policy", "no-referrer"}};
  options.file_lane = &file_lane;
  return std::make_unique<HttpServer>(context.loop, std::move(router), std::move(options),
                                      context.log);
}

}  // namespace bramble::controller
