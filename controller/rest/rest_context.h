// SPDX-License-Identifier: Apache-2.0
#pragma once

// The people's API on 8443: one file per resource over the coordinator's services.  A handler
// reads the request, asks one service, and renders; it decides nothing.

#include <filesystem>
#include <functional>
#include <string>

#include "base/asio.h"
#include "base/http_server.h"
#include "base/lane.h"
#include "base/log.h"
#include "controller/config.h"
#include "controller/coordinator.h"
#include "controller/rest/entity_tags.h"

namespace bramble::controller {

class BlobStore;
class StreamBroker;
class UploadStore;

// What the handlers work on.  All of it outlives the server.
struct RestContext {
  asio::io_context& loop;
  Coordinator* coordinator;  // set before the loop runs
  const std::unique_ptr<BlobStore>& blobs;
  const std::unique_ptr<UploadStore>& uploads;
  StreamBroker& streams;
  const Clock& clock;
  LimitsConfig limits;
  Logger log;
  // Writes a backup of all state into a new file; implemented by main over store and keys.
  std::function<void(std::filesystem::path, std::function<void(absl::Status)>)> backup;
  std::filesystem::path temporary_dir;  // for backups on their way out
  std::filesystem::path cards_dir;      // base images of cards
  // Whether the disk that holds the state takes more; run on `files`.
  std::function<absl::Status()> check_room;
  Lane& files;
  EntityTags tags;
};

// One per resource: adds its routes.
void AddClusterRoutes(Router& router, RestContext& context);
void AddContainerRoutes(Router& router, RestContext& context);
void AddContainerStreamRoutes(Router& router, RestContext& context);
void AddEventRoutes(Router& router, RestContext& context);
void AddFlavorRoutes(Router& router, RestContext& context);
void AddFloatingIpRoutes(Router& router, RestContext& context);
void AddHealthRoutes(Router& router, RestContext& context);
void AddImageRoutes(Router& router, RestContext& context);
void AddKeyRoutes(Router& router, RestContext& context);
void AddNetworkRoutes(Router& router, RestContext& context);
void AddNodeRoutes(Router& router, RestContext& context);
void AddOperationRoutes(Router& router, RestContext& context);
void AddPageRoutes(Router& router, RestContext& context);
void AddPortForwardRoutes(Router& router, RestContext& context);
void AddSecurityGroupRoutes(Router& router, RestContext& context);
void AddSdcardRoutes(Router& router, RestContext& context);
void AddTokenRoutes(Router& router, RestContext& context);
void AddUploadRoutes(Router& router, RestContext& context);
void AddUserRoutes(Router& router, RestContext& context);

}  // namespace bramble::controller
