// SPDX-License-Identifier: Apache-2.0
// /v1/images.
#include "api/http_status.h"
#include "base/file_response.h"
#include "base/status.h"
#include "controller/coordinator_images.h"
#include "controller/images/blob_store.h"
#include "controller/images/upload_store.h"
#include "controller/one_shot.h"
#include "controller/rest/routes.h"

#include "absl/strings/ascii.h"

namespace bramble::controller {
namespace {

struct UploadRequest {
  AddVariant add;
  std::string expected;   // SHA-256; empty: any
  std::string upload_id;  // of an upload that is whole; empty: the body is the archive
};

absl::StatusOr<UploadRequest> UploadOf(const Request& request) {
  BRAMBLE_RETURN_IF_ERROR(
      RefuseOtherQueries(request, {"name", "tag", "architecture", "sha256", "label", "upload"}));
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
  upload.upload_id = std::string(request.Query("upload").value_or(""));
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

// The bytes of an upload that is whole.  When it was finished before, and the answer was lost, they
// are there by their digest.
asio::awaitable<absl::StatusOr<StoredBlob>> TakeUpload(RestContext& context, Principal who,
                                                       RequestBody& body, UploadRequest wanted) {
  BRAMBLE_CO_ASSIGN_OR_RETURN(const std::string piece, co_await body.Read());
  if (!piece.empty()) {
    co_return absl::InvalidArgumentError(
        "image: the bytes come either in the body or by an upload; send no body with `upload`");
  }
  absl::StatusOr<StoredBlob> blob =
      co_await context.uploads->Finish(who.id, wanted.upload_id, wanted.expected);
  if (absl::IsNotFound(blob.status()) && context.blobs->Has(wanted.expected)) {
    blob = StoredBlob{.digest = wanted.expected,
                      .size = {context.blobs->SizeOf(wanted.expected)},
                      .pin = context.blobs->Pin(wanted.expected)};
  }
  co_return blob;
}

asio::awaitable<absl::StatusOr<StoredBlob>> BlobOf(RestContext& context, Principal who,
                                                   RequestBody& body, UploadRequest wanted) {
  if (wanted.upload_id.empty()) {
    return StoreBody(*context.blobs, body, std::move(wanted.expected));
  }
  return TakeUpload(context, std::move(who), body, std::move(wanted));
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
      co_await BlobOf(context, who, *request.body_stream, *upload);
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

asio::awaitable<Response> DownloadBlob(RestContext& context, Principal who, Request& request) {
  const std::string digest = request.Param("digest");
  const absl::Status named =
      context.coordinator->images().CheckNamed(who, request.Param("reference"), digest);
  if (!named.ok()) {
    co_return ProblemResponse(named);
  }
  const absl::StatusOr<OpenBlob> blob = co_await context.blobs->OpenVerified(digest);
  if (!blob.ok()) {
    co_return ProblemResponse(blob.status());
  }
  FileBody file;
  file.fd = blob->fd;
  file.size = blob->size;
  co_return FileResponse(digest, std::move(file));
}

absl::Status ChangeImage(RestContext& context, WriteCall& call) {
  JsonObjectReader reader(call.body, "image", UnknownKeys::kRefuse);
  ImagePatch patch;
  if (reader.Has("visibility")) {
    patch.visibility = api::EnumField<api::Visibility>(reader, "visibility", api::kVisibilityNames);
  }
  if (reader.Has("aliases")) {
    patch.aliases = reader.StringList("aliases", api::kMaxAliases, {.max = 127});
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  context.coordinator->images().Update(call.who, call.request.Param("reference"), std::move(patch),
                                       std::move(call.options), std::move(call.done));
  return absl::OkStatus();
}

absl::Status PruneImages(RestContext& context, WriteCall& call) {
  JsonObjectReader reader(call.body, "prune", UnknownKeys::kRefuse);
  ImagePrune prune;
  prune.dry_run = reader.OptionalBool("dry_run").value_or(false);
  prune.unused_for = std::chrono::seconds(
      reader.OptionalInt("unused_for_s", {.min = 0, .max = kMaxPruneAge.count()}).value_or(0));
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  context.coordinator->images().Prune(call.who, prune, std::move(call.options),
                                      std::move(call.done));
  return absl::OkStatus();
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
  router.Add("PATCH", "/v1/images/{reference}",
             WriteRoute(context, api::kHttpOk,
                        [&context](WriteCall& call) { return ChangeImage(context, call); }));
  router.Add("POST", "/v1/prune/images",
             WriteRoute(context, api::kHttpOk,
                        [&context](WriteCall& call) { return PruneImages(context, call); }));
  router.Add("GET", "/v1/images/{reference}/blobs/{digest}",
             AuthorisedRoute(context, [&context](Principal who, Request& request) {
               return DownloadBlob(context, std::move(who), request);
             }));
  router.Add("POST", "/v1/images/{reference}/tag",
             WriteRoute(context, api::kHttpCreated,
                        [&context](WriteCall& call) { return TagImage(context, call); }));
}

}  // namespace bramble::controller
