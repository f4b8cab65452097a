// SPDX-License-Identifier: Apache-2.0
// /v1/images.
#include "api/http_status.h"
#include "base/status.h"
#include "controller/coordinator_images.h"
#include "controller/images/blob_store.h"
#include "controller/one_shot.h"
#include "controller/rest/routes.h"

#include "absl/strings/ascii.h"

namespace bramble::controller {
namespace {

struct UploadRequest {
  AddVariant add;
  std::string expected;  // SHA-256; empty: any
};

absl::StatusOr<UploadRequest> UploadOf(const Request& request) {
  BRAMBLE_RETURN_IF_ERROR(
      RefuseOtherQueries(request, {"name", "tag", "architecture", "sha256", "label"}));
  UploadRequest upload;
  const std::string tag(request.Query("tag").value_or("latest"));
  BRAMBLE_ASSIGN_OR_RETURN(
      const api::ImageReference reference,
      api::ParseImageReference(StrCat(request.Query("name").value_or(""), ":", tag)));
  upload.add.name = reference.name;
  upload.add.tag = reference.tag;
  upload.add.variant.architecture = std::string(request.Query("architecture").value_or(""));
  BRAMBLE_RETURN_IF_ERROR(api::CheckArchitecture(upload.add.variant.architecture));
  upload.expected = absl::AsciiStrToLower(ToAbsl(request.Query("sha256").value_or("")));
  if (!upload.expected.empty()) {
    BRAMBLE_RETURN_IF_ERROR(Annotate(api::CheckDigest(upload.expected), "sha256"));
  }
  for (const auto& [key, value] : request.query) {
    if (key != "label") {
      continue;
    }
    const size_t equals = value.find('=');
    if (equals == std::string::npos) {
      return absl::InvalidArgumentError("label: write KEY=VALUE");
    }
    upload.add.labels[value.substr(0, equals)] = value.substr(equals + 1);
  }
  BRAMBLE_RETURN_IF_ERROR(api::CheckLabels(upload.add.labels, "labels"));
  return upload;
}

asio::awaitable<absl::StatusOr<StoredBlob>> StoreBody(BlobStore& blobs, RequestBody& body,
                                                      std::string expected) {
  BRAMBLE_CO_ASSIGN_OR_RETURN(const auto upload, blobs.Begin());
  bool empty = true;
  while (true) {
    BRAMBLE_CO_ASSIGN_OR_RETURN(std::string piece, co_await body.Read());
    if (piece.empty()) {
      break;
    }
    empty = false;
    BRAMBLE_CO_RETURN_IF_ERROR(co_await upload->Write(std::move(piece)));
  }
  if (empty) {
    co_return absl::InvalidArgumentError(
        "image: the body is empty; send a tar archive of the root file system");
  }
  co_return co_await upload->Finish(std::move(expected));
}

asio::awaitable<Response> UploadImage(RestContext& context, Principal who, Request& request) {
  absl::StatusOr<UploadRequest> upload = UploadOf(request);
  if (!upload.ok()) {
    co_return ProblemResponse(upload.status());
  }
  if (!May(who, Access::kWrite, upload->add.project.str())) {
    co_return ProblemResponse(NotFound("image", upload->add.name));
  }
  const absl::StatusOr<StoredBlob> blob =
      co_await StoreBody(*context.blobs, *request.body_stream, upload->expected);
  if (!blob.ok()) {
    co_return ProblemResponse(blob.status());
  }
  absl::StatusOr<WriteOptions> options = WriteOptionsOf(request, blob->digest);
  if (!options.ok()) {
    co_return ProblemResponse(options.status());
  }
  upload->add.variant.digest = blob->digest;
  upload->add.variant.size = blob->size;
  OneShot<absl::StatusOr<Written>> written(context.loop);
  context.coordinator->images().Add(who, std::move(upload->add), *std::move(options),
                                    written.Taker());
  const absl::StatusOr<Written> result = co_await written.Wait(kWriteLimit, "image");
  co_return WrittenResponse(context, api::kHttpCreated, result);
}

absl::Status TagImage(RestContext& context, WriteCall& call) {
  const std::string& key = call.request.Param("reference");
  JsonObjectReader reader(call.body, "tag", UnknownKeys::kRefuse);
  const std::string name =
      reader.OptionalString("name", {.max = 63}).value_or(key.substr(0, key.find(':')));
  const std::string tag = reader.OptionalString("tag", {.max = 63}).value_or("latest");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  std::string reference = StrCat(name, ":", tag);
  BRAMBLE_RETURN_IF_ERROR(api::ParseImageReference(reference).status());
  context.coordinator->images().Tag(call.who, key, std::move(reference), std::move(call.options),
                                    std::move(call.done));
  return absl::OkStatus();
}

}  // namespace

void AddImageRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/v1/images",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               const absl::StatusOr<ListQuery> query = ListQueryOf(request);
               return query.ok() ? context.coordinator->images().List(who, *query)
                                 : absl::StatusOr<Rendered>(query.status());
             }));
  router.Add("GET", "/v1/images/{reference}",
             ReadRoute(context, [&context](const Principal& who, Request& request) {
               return context.coordinator->images().Get(who, request.Param("reference"));
             }));
  Route upload = AuthorisedRoute(context, [&context](Principal who, Request& request) {
    return UploadImage(context, std::move(who), request);
  });
  upload.body = BodyMode::kStream;
  upload.max_body_bytes = static_cast<uint64_t>(context.limits.image.count);
  router.Add("POST", "/v1/images", std::move(upload));
  router.Add("DELETE", "/v1/images/{reference}",
             WriteRoute(context, api::kHttpOk, [&context](WriteCall& call) {
               context.coordinator->images().Delete(call.who, call.request.Param("reference"),
                                                    std::move(call.options), std::move(call.done));
               return absl::OkStatus();
             }));
  router.Add("POST", "/v1/images/{reference}/tag",
             WriteRoute(context, api::kHttpCreated,
                        [&context](WriteCall& call) { return TagImage(context, call); }));
}

}  // namespace bramble::controller
