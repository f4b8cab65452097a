// SPDX-License-Identifier: Apache-2.0
#include "controller/nodes/layer_relay.h"

#include "base/status.h"
#include "base/timer.h"

namespace bramble::controller {
namespace {

constexpr std::chrono::minutes kReadyLimit{30};   // the target may have to fetch the image
constexpr std::chrono::minutes kStallLimit{2};    // between two pieces, either way
constexpr std::chrono::minutes kVerifyLimit{30};  // until the last of it is on the target's disk
constexpr int64_t kMaxLayerBytes = int64_t{256} * kGiB;

using Received = absl::StatusOr<std::optional<WebSocketMessage>>;

asio::awaitable<Received> ReceiveWithin(WebSocket& socket, std::chrono::minutes limit,
                                        std::string what) {
  auto receive = socket.Receive();
  co_return co_await WithDeadline(std::move(receive), limit, std::move(what));
}

// Another try may do better, whatever it was that went wrong with opening a stream.
absl::Status Again(const absl::Status& status, std::string_view what) {
  return absl::UnavailableError(StrCat(what, ": ", MessageOf(status)));
}

absl::Status Of(std::string_view end, const absl::Status& status) {
  return absl::Status(status.code(), StrCat(end, ": ", MessageOf(status)));
}

// What the target says next about its end; nullopt: that it is ready for the layer.
asio::awaitable<absl::StatusOr<std::optional<absl::Status>>> NextWord(WebSocket& target,
                                                                      std::chrono::minutes limit) {
  using Word = std::optional<absl::Status>;
  const Received message = co_await ReceiveWithin(target, limit, "the node that it goes to");
  if (!message.ok()) {
    co_return Again(message.status(), "the node that it goes to");
  }
  if (!message->has_value()) {
    co_return absl::UnavailableError("the node that it goes to closed the stream");
  }
  const absl::StatusOr<StreamFrame> frame = ParseFrame(**message);
  if (!frame.ok()) {
    co_return Again(frame.status(), "the node that it goes to");
  }
  Word word = EndOf(*frame);
  co_return word;
}

// Its last word: it verified the layer, or why not.
asio::awaitable<absl::Status> LastWord(WebSocket& target) {
  for (int words = 0; words < 3; ++words) {
    const auto word = co_await NextWord(target, kVerifyLimit);
    if (!word.ok()) {
      co_return word.status();
    }
    if (word->has_value()) {
      const absl::Status end = **word;
      co_return end.ok() ? end : Of("the node that it goes to", end);
    }
  }
  co_return absl::UnavailableError("the node that it goes to does not come to an end");
}

}  // namespace

void LayerRelay::Copy(LayerCopy copy, Done done) {
  auto task = std::make_shared<Task>();
  task->copy = std::move(copy);
  task->done = std::move(done);
  tasks_[task->copy.move] = task;
  Spawn(scope_, "layer_copy", Run(std::move(task)));
}

void LayerRelay::Cancel(const std::string& move) {
  const auto found = tasks_.find(move);
  if (found == tasks_.end()) {
    return;
  }
  const std::shared_ptr<Task> task = found->second;
  tasks_.erase(found);
  task->cancelled = true;
  for (const std::shared_ptr<NodeEnd>& end : {task->source, task->target}) {
    if (end != nullptr) {
      end->socket().Abort();
    }
  }
}

int64_t LayerRelay::BytesCopied(const std::string& move) const {
  const auto found = tasks_.find(move);
  return found == tasks_.end() ? 0 : found->second->bytes;
}

asio::awaitable<void> LayerRelay::Run(std::shared_ptr<Task> task) {
  const absl::Status status = co_await Carry(task);
  for (const std::shared_ptr<NodeEnd>& end : {task->source, task->target}) {
    if (end != nullptr) {
      end->socket().Abort();
    }
  }
  if (task->cancelled) {
    co_return;
  }
  tasks_.erase(task->copy.move);
  if (status.ok()) {
    log_.Info("layer_copied", {{"container", task->copy.container}, {"bytes", task->bytes}});
  } else {
    log_.Warn("layer_not_copied", {{"container", task->copy.container}, {"error", status}});
  }
  task->done({.status = status, .at_target = !status.ok() && task->at_target});
}

asio::awaitable<absl::Status> LayerRelay::Carry(std::shared_ptr<Task> task) {
  const LayerCopy& copy = task->copy;
  StreamBroker::Request import;
  import.target = {.node = copy.target, .container = copy.container};
  import.stream.kind = api::StreamKind::kImport;
  import.stream.move = copy.move;
  auto target = co_await broker_.Open(std::move(import));
  if (!target.ok()) {
    co_return Again(target.status(), "the node that it goes to");
  }
  task->target = *std::move(target);
  if (task->cancelled) {
    co_return absl::CancelledError("the copy was called off");
  }
  const auto ready = co_await NextWord(task->target->socket(), kReadyLimit);
  if (!ready.ok()) {
    co_return ready.status();
  }
  if (ready->has_value()) {
    const absl::Status end = **ready;  // OK: an earlier try of this move had brought it there
    co_return end.ok() ? end : Of("the node that it goes to", end);
  }
  task->at_target = false;
  StreamBroker::Request exported;
  exported.target = {.node = copy.source, .container = copy.container};
  exported.stream.kind = api::StreamKind::kExport;
  auto source = co_await broker_.Open(std::move(exported));
  if (!source.ok()) {
    co_return Again(source.status(), "the node that it comes from");
  }
  task->source = *std::move(source);
  const absl::Status pumped = co_await Pump(task);
  if (!pumped.ok()) {
    co_return pumped;
  }
  task->at_target = true;
  co_return co_await LastWord(task->target->socket());
}

// OK: the source has sent all, or the target takes no more and says why in its last word.
asio::awaitable<absl::Status> LayerRelay::Pump(std::shared_ptr<Task> task) {
  WebSocket& source = task->source->socket();
  WebSocket& target = task->target->socket();
  while (!task->cancelled) {
    const Received message =
        co_await ReceiveWithin(source, kStallLimit, "the node that it comes from");
    if (!message.ok()) {
      co_return Again(message.status(), "the node that it comes from");
    }
    if (!message->has_value()) {
      co_return absl::UnavailableError("the node that it comes from closed the stream");
    }
    const absl::StatusOr<StreamFrame> frame = ParseFrame(**message);
    if (!frame.ok()) {
      co_return Again(frame.status(), "the node that it comes from");
    }
    const std::optional<absl::Status> end = EndOf(*frame);
    if (end.has_value() && !end->ok()) {
      co_return Of("the node that it comes from", *end);
    }
    if (!end.has_value() && frame->channel != StreamChannel::kOut) {
      continue;
    }
    task->bytes += static_cast<int64_t>(frame->bytes.size());
    if (task->bytes > kMaxLayerBytes) {
      co_return absl::ResourceExhaustedError(StrCat(
          "its files are more than ", ToString(Bytes{kMaxLayerBytes}), ", the most that is moved"));
    }
    WebSocketMessage next = end.has_value() ? MakeFrame(StreamChannel::kControl, R"({"eof":true})")
                                            : MakeFrame(StreamChannel::kIn, frame->bytes);
    auto send = target.Send(std::move(next));
    const absl::Status sent =
        co_await WithDeadline(std::move(send), kStallLimit, "the node that it goes to");
    if (absl::IsDeadlineExceeded(sent)) {
      task->at_target = true;
      co_return Again(sent, "the node that it goes to");
    }
    if (!sent.ok() || end.has_value()) {
      co_return absl::OkStatus();
    }
  }
  co_return absl::CancelledError("the copy was called off");
}

}  // namespace bramble::controller
