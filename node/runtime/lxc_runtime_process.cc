// SPDX-License-Identifier: Apache-2.0
#include "node/runtime/lxc_runtime_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/status.h"

namespace bramble::node {
namespace {

constexpr int kRequestFd = 3;
constexpr int kResultFd = 4;
constexpr size_t kMaxAnswerBytes = 1 << 20;

// The request as a file that needs nobody to write it.
absl::StatusOr<Fd> RequestFile(const json::object& request) {
  Fd file(memfd_create("request", MFD_CLOEXEC));
  if (!file.valid()) {
    return absl::ResourceExhaustedError(StrCat("request: ", strerror(errno)));
  }
  BRAMBLE_RETURN_IF_ERROR(WriteAll(file.get(), json::serialize(request), "request"));
  if (lseek(file.get(), 0, SEEK_SET) != 0) {
    return absl::InternalError(StrCat("request: ", strerror(errno)));
  }
  return file;
}

struct Spawned {
  Process process;
  Fd result;
};

absl::StatusOr<Spawned> Start(const RuntimeProcess::Options& options) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd request, RequestFile(options.request));
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return absl::ResourceExhaustedError(StrCat("pipe: ", strerror(errno)));
  }
  Fd result(ends[0]);
  const Fd result_in_child(ends[1]);
  ProcessSpec spec;
  spec.argv = options.argv;
  spec.argv.insert(spec.argv.end(),
                   {"--request-fd", StrCat(kRequestFd), "--result-fd", StrCat(kResultFd)});
  spec.fds = {{request.get(), kRequestFd}, {result_in_child.get(), kResultFd}};
  if (options.terminal.has_value()) {
    spec.terminal = options.terminal;
  } else {
    spec.in = options.has_input ? Stdio::Pipe() : Stdio::Null();
    spec.out = Stdio::Pipe();
    spec.err = options.has_errors ? Stdio::Pipe() : Stdio::Null();
  }
  BRAMBLE_ASSIGN_OR_RETURN(Process process, Process::Spawn(spec));
  return Spawned{std::move(process), std::move(result)};
}

}  // namespace

RuntimeProcess::RuntimeProcess(asio::io_context& loop, Process process, Fd result)
    : process_(std::move(process)),
      in_(loop, process_.terminal().valid()
                    ? Fd(fcntl(process_.terminal().get(), F_DUPFD_CLOEXEC, 3))
                    : std::move(process_.in())),
      out_(loop, process_.terminal().valid()
                     ? Fd(fcntl(process_.terminal().get(), F_DUPFD_CLOEXEC, 3))
                     : std::move(process_.out())),
      err_(loop, std::move(process_.err())),
      result_(loop, std::move(result)) {}

asio::awaitable<absl::StatusOr<std::shared_ptr<RuntimeProcess>>> RuntimeProcess::Begin(
    asio::io_context& loop, Options options) {
  auto spawned = Start(options);
  if (!spawned.ok()) {
    co_return spawned.status();
  }
  auto process = std::make_shared<RuntimeProcess>(loop, std::move(spawned->process),
                                                  std::move(spawned->result));
  const auto first = co_await process->ReadLine();
  if (!first.ok()) {
    co_return first.status();
  }
  if (first->find("\"started\"") != std::string::npos) {
    co_return process;
  }
  if (first->empty()) {
    co_return absl::UnavailableError("bramble-runtime ended without an answer");
  }
  const auto answer = ParseRuntimeAnswer(*first);
  if (answer.ok()) {
    co_return absl::InternalError("bramble-runtime did not begin");
  }
  co_return answer.status();
}

asio::awaitable<absl::StatusOr<std::string>> RuntimeProcess::ReadLine() {
  while (true) {
    const size_t end = answers_.find('\n');
    if (end != std::string::npos) {
      std::string line = answers_.substr(0, end);
      answers_.erase(0, end + 1);
      co_return line;
    }
    if (answers_.size() > kMaxAnswerBytes) {
      co_return absl::InternalError("bramble-runtime: an answer without an end");
    }
    auto bytes = co_await result_.Read();
    if (!bytes.ok()) {
      co_return bytes.status();
    }
    if (bytes->empty()) {
      co_return std::exchange(answers_, "");
    }
    answers_ += *bytes;
  }
}

asio::awaitable<absl::StatusOr<json::value>> RuntimeProcess::Result() {
  const auto line = co_await ReadLine();
  if (!line.ok()) {
    co_return line.status();
  }
  if (line->empty()) {
    co_return absl::UnavailableError("bramble-runtime ended without an answer");
  }
  co_return ParseRuntimeAnswer(*line);
}

void RuntimeProcess::End() {
  in_.Close();
  out_.Close();
  err_.Close();
  result_.Close();
  process_.Signal(SIGHUP);
  process_.Signal(SIGKILL);
}

}  // namespace bramble::node
