// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/bramble/controller_client.h"

#include "absl/status/status.h"

namespace bramble::cli {

// A controller in memory that behaves: it keeps containers, nodes, images, flavors and tokens, runs
// every order as an operation that is running when it is first asked for and done when asked again,
// and answers as api/openapi.yaml says.  Streams echo what the test put there.
class FakeController : public ControllerClient {
 public:
  FakeController();

  // Puts an object into a collection by its name (images: "name:tag"; else "name" or "id").
  void Put(const std::string& collection, json::object object);
  // The objects of a collection, by name.
  const std::map<std::string, json::object>& objects(const std::string& collection) {
    return collections_[collection];
  }
  // The next request gets this error.
  void FailNext(absl::Status status) { failures_.push_back(std::move(status)); }
  // The next piece of an upload is cut off when so many bytes of it came: they count, and the
  // answer does not arrive.
  void CutOffUploadAfter(size_t bytes) { cut_off_after_ = bytes; }
  const std::string& uploaded() const { return uploaded_; }
  // Operations fail from now on, with this error.
  void FailOperations(std::string error) { operation_error_ = std::move(error); }
  // Lists are cut into pages of this size.
  void SetPageSize(size_t size) { page_size_ = size; }
  void SetStreamEnd(absl::StatusOr<StreamEnd> end) { stream_end_ = std::move(end); }
  void SetEventLines(std::vector<std::string> lines) { event_lines_ = std::move(lines); }

  // What was asked: "POST /v1/containers/web/start".
  const std::vector<std::string>& log() const { return log_; }
  const std::vector<ApiRequest>& requests() const { return requests_; }

  absl::StatusOr<ApiReply> Send(ApiRequest request) override;
  absl::StatusOr<ApiReply> SendForBytes(
      ApiRequest request, std::function<absl::Status(std::string_view)> on_bytes) override;
  absl::StatusOr<ApiReply> SendForLines(ApiRequest request, std::chrono::milliseconds idle_limit,
                                        std::function<bool(std::string_view)> on_line) override;
  absl::StatusOr<StreamEnd> Stream(std::string path, StreamEnds ends) override;

 private:
  using Parts = std::vector<std::string>;
  absl::StatusOr<ApiReply> Collection(const ApiRequest& request, const Parts& parts);
  absl::StatusOr<ApiReply> One(const ApiRequest& request, const Parts& parts);
  absl::StatusOr<ApiReply> Verb(const Parts& parts);
  absl::StatusOr<ApiReply> Create(const ApiRequest& request, const std::string& collection);
  ApiReply List(const ApiRequest& request, const std::string& collection);
  ApiReply Accepted(const std::string& kind, const std::string& object_kind,
                    const std::string& name);
  absl::StatusOr<ApiReply> AskOperation(const std::string& id);
  absl::StatusOr<ApiReply> Uploads(const ApiRequest& request, const Parts& parts);

  std::map<std::string, std::map<std::string, json::object>> collections_;
  std::deque<absl::Status> failures_;
  std::string operation_error_;
  size_t page_size_ = 1000;
  int next_operation_ = 1;
  std::string uploaded_;  // of the one upload
  std::optional<size_t> cut_off_after_;
  absl::StatusOr<StreamEnd> stream_end_ = StreamEnd{};
  std::vector<std::string> event_lines_;
  std::vector<std::string> log_;
  std::vector<ApiRequest> requests_;
};

}  // namespace bramble::cli
