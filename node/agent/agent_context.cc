// SPDX-License-Identifier: Apache-2.0
// What containers are told at their first start: fetched and kept, and the scripts among it run.
#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "api/context.h"
#include "base/file.h"
#include "base/status.h"
#include "node/agent/agent.h"
#include "node/agent/lacking.h"
#include "node/runtime/first_start_command.h"

namespace bramble::node {
namespace {

constexpr LoopDuration kContextRetry = std::chrono::seconds(5);

std::set<std::string> Without(const std::set<std::string>& all, const std::set<std::string>& some) {
  std::set<std::string> left;
  std::set_difference(all.begin(), all.end(), some.begin(), some.end(),
                      std::inserter(left, left.end()));
  return left;
}

absl::Status WriteContext(const std::filesystem::path& directory, const std::string& id,
                          std::string_view text) {
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  return WriteFileAtomically(directory / id, text, 0600);
}

}  // namespace

void Agent::LoadContexts() {
  DIR* directory = opendir(journal_.paths().Contexts().c_str());
  if (directory == nullptr) {
    return;  // there has been none
  }
  while (const dirent* entry = readdir(directory)) {
    if (CheckId("context", entry->d_name).ok()) {
      contexts_.insert(entry->d_name);
    }
  }
  closedir(directory);
  core_.OnContexts(contexts_);
}

asio::awaitable<void> Agent::KeepContexts() {
  while (true) {
    contexts_dirty_.Reset();
    wanted_contexts_ = core_.contexts_in_use();
    const std::set<std::string> unused = Without(contexts_, wanted_contexts_);
    const std::set<std::string> missing = Without(wanted_contexts_, contexts_);
    co_await RemoveContexts(unused);
    bool fetched_any = false;
    bool failed = false;
    for (const std::string& id : missing) {
      const absl::Status fetched = co_await FetchContext(id);
      if (!fetched.ok() && !absl::IsUnavailable(fetched)) {
        log_.Warn("context_fetch_failed", {{"context", id}, {"error", fetched}});
      }
      fetched_any = fetched_any || fetched.ok();
      failed = failed || !fetched.ok();
    }
    if (fetched_any) {
      Pump();
    }
    if (failed) {
      (void)co_await contexts_dirty_.WaitFor(kContextRetry);
    } else {
      co_await contexts_dirty_.Wait();
    }
  }
}

asio::awaitable<absl::Status> Agent::FetchContext(std::string id) {
  absl::StatusOr<std::string> text = co_await source_.FetchContext(id);
  if (!text.ok()) {
    co_return text.status();
  }
  const absl::StatusOr<json::value> value = ParseJson(*text);
  if (!value.ok()) {
    co_return value.status();
  }
  const auto context = api::ContextFromJson(*value, "context", UnknownKeys::kIgnore);
  if (!context.ok()) {
    co_return context.status();
  }
  auto write = [directory = journal_.paths().Contexts(), id, text = *std::move(text)] {
    return WriteContext(directory, id, text);
  };
  const absl::Status written = co_await disk_.Run(std::move(write));
  if (!written.ok()) {
    co_return written;
  }
  contexts_.insert(id);
  core_.OnContexts(contexts_);
  co_return absl::OkStatus();
}

asio::awaitable<void> Agent::RemoveContexts(std::set<std::string> unused) {
  if (unused.empty()) {
    co_return;
  }
  for (const std::string& id : unused) {
    contexts_.erase(id);
  }
  core_.OnContexts(contexts_);
  auto remove = [directory = journal_.paths().Contexts(), unused = std::move(unused)] {
    for (const std::string& id : unused) {
      ::unlink((directory / id).c_str());
    }
    return absl::OkStatus();
  };
  (void)co_await disk_.Run(std::move(remove));
}

asio::awaitable<absl::Status> Agent::RunFirstStart(ContainerId id) {
  absl::StatusOr<FirstStart> first = co_await AskFirstStart(id);
  const auto found = containers_.find(id);
  if (found == containers_.end()) {
    co_return first.status();
  }
  if (!first.ok() && found->second.init_pid != 0) {
    co_return first.status();  // it runs, and so may they: the next agent asks again
  }
  if (!first.ok()) {
    first = FirstStart{.state = FirstStart::State::kCutOff};
  }
  log_.Info("first_start", {{"container", found->second.spec.name},
                            {"state", kFirstStartNames[static_cast<size_t>(first->state)]},
                            {"code", first->code}});
  found->second.first_start = *first;
  core_.OnTold(id, ConditionsOfFirstStart(*first, found->second.unused_context));
  Pump();
  co_return absl::OkStatus();
}

asio::awaitable<absl::StatusOr<FirstStart>> Agent::AskFirstStart(ContainerId id) {
  ExecRequest request;
  request.id = id;
  request.argv = FirstStartCommand();
  auto stream = co_await access_.Exec(std::move(request));
  if (!stream.ok()) {
    co_return stream.status();
  }
  std::string printed;
  while (true) {
    const absl::StatusOr<StreamPiece> piece = co_await (*stream)->Read();
    if (!piece.ok()) {
      co_return piece.status();
    }
    if (piece->kind == StreamPiece::Kind::kExit) {
      co_return ParseFirstStart(printed);
    }
    if (piece->kind == StreamPiece::Kind::kOut && printed.size() < kMaxFirstStartAnswer) {
      printed += piece->bytes;
    }
  }
}

}  // namespace bramble::node
