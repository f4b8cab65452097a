// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/controller_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/strings.h"

#include "absl/strings/str_split.h"

namespace bramble::testing {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{20};
constexpr int kLookAgainMs = 10;

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

HttpClientOptions ClientOptions(ControllerProcess& controller, std::string name) {
  auto tls = TlsClientContext::Make({.check = IssuedByCaForName{controller.Ca(), std::move(name)}});
  return {.target = {.host = "127.0.0.1", .port = controller.people_port()}, .tls = tls.value()};
}

}  // namespace

bool Eventually(const std::function<bool()>& holds) {
  const auto until = steady_clock::now() + kPatience;
  while (!holds()) {
    if (steady_clock::now() > until) {
      return false;
    }
    ::poll(nullptr, 0, kLookAgainMs);
  }
  return true;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = fs::temp_directory_path() / "bramble-test-XXXXXX";
  path_ = ::mkdtemp(pattern.data());
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code error;
  fs::remove_all(path_, error);
}

ControllerProcess::ControllerProcess(std::string more) {
  std::ofstream(config()) << "log_level = \"debug\"\n"
                          << more
                          << "\n[people]\nlisten = [\"127.0.0.1\"]\nport = 0\n"
                             "[nodes]\nlisten = [\"127.0.0.1\"]\nport = 0\n";
}

ControllerProcess::~ControllerProcess() {
  Kill();
  if (::testing::Test::HasFailure()) {
    std::fprintf(stderr, "--- the controller's log\n%s---\n", Log().c_str());
  }
}

pid_t ControllerProcess::Launch(const std::vector<std::string>& more_flags) {
  const char* bin = std::getenv("BRAMBLE_BIN");
  std::vector<std::string> words = {
      StrCat(bin == nullptr ? "build/debug/bin" : bin, "/bramble-controller"),
      "--config",
      config().string(),
      "--state",
      state().string(),
      "--run",
      run().string()};
  words.insert(words.end(), more_flags.begin(), more_flags.end());
  std::vector<char*> arguments;
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  const std::string log = directory_.path() / "log";
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(fd, 1);
    ::dup2(fd, 2);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  return pid;
}

void ControllerProcess::Start() {
  ASSERT_EQ(pid_, -1);
  std::error_code error;
  fs::remove(run() / "ports.json", error);
  pid_ = Launch({});
  const bool settled = Eventually([this] {
    const absl::StatusOr<json::value> ports = ParseJson(ReadAll(run() / "ports.json"));
    if (ports.ok()) {
      people_port_ = static_cast<uint16_t>(ports->at("people").as_int64());
      nodes_port_ = static_cast<uint16_t>(ports->at("nodes").as_int64());
      return true;
    }
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
    }
    return pid_ == -1;
  });
  ASSERT_TRUE(settled && pid_ > 0) << "the controller did not start:\n" << Log();
}

ProgramEnd ControllerProcess::RunToEnd(std::vector<std::string> more_flags) {
  const size_t before = Log().size();
  const pid_t pid = Launch(more_flags);
  int status = 0;
  if (!Eventually([&] { return ::waitpid(pid, &status, WNOHANG) != 0; })) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, &status, 0);
    ADD_FAILURE() << "the controller runs on";
  }
  return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1, .error = Log().substr(before)};
}

void ControllerProcess::Kill() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
}

int ControllerProcess::Stop() {
  ::kill(pid_, SIGTERM);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string ControllerProcess::Log() const { return ReadAll(directory_.path() / "log"); }

Certificate ControllerProcess::Ca() const {
  return Certificate::FromPem(ReadAll(state() / "ca.crt")).value();
}

const std::string& ControllerProcess::Token() {
  if (token_.empty()) {
    std::string code;
    EXPECT_TRUE(Eventually([&] {
      code = ReadAll(state() / "setup-code");
      return !code.empty();
    }));
    Person nobody(*this, "");
    const Answer answer =
        nobody.Post("/v1/cluster/init", {{"setup_code", code.substr(0, code.find('\n'))}});
    EXPECT_EQ(answer.status, 201) << answer.text;
    token_ = answer.Text("token");
  }
  return token_;
}

std::string Answer::Text(std::string_view path) const {
  const json::value* at = &body;
  for (const auto key : absl::StrSplit(ToAbsl(path), '.')) {
    if (!at->is_object()) {
      return "";
    }
    at = at->as_object().if_contains(std::string_view(key.data(), key.size()));
    if (at == nullptr) {
      return "";
    }
  }
  return at->is_string() ? std::string(at->as_string()) : json::serialize(*at);
}

Person::Person(ControllerProcess& controller, std::string token, std::string name)
    : client_(ClientOptions(controller, std::move(name))), token_(std::move(token)) {}

Answer Person::Send(std::string method, std::string target, std::string body, HeaderList headers) {
  if (!token_.empty()) {
    headers.Add("Authorization", StrCat("Bearer ", token_));
  }
  HttpRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.headers = std::move(headers);
  request.body = std::move(body);
  const absl::StatusOr<HttpReply> reply = client_.Send(std::move(request));
  if (!reply.ok()) {
    return {.status = 0, .headers = {}, .text = reply.status().ToString(), .body = nullptr};
  }
  Answer answer{
      .status = reply->status, .headers = reply->headers, .text = reply->body, .body = nullptr};
  if (absl::StatusOr<json::value> parsed = ParseJson(reply->body, 64 << 20); parsed.ok()) {
    answer.body = *std::move(parsed);
  }
  return answer;
}

Answer Person::Post(std::string target, const json::value& body) {
  return Send("POST", std::move(target), json::serialize(body));
}

Answer Person::Patch(std::string target, const json::value& body, HeaderList headers) {
  return Send("PATCH", std::move(target), json::serialize(body), std::move(headers));
}

Answer Person::Await(const std::string& target, std::string_view path, std::string_view wanted) {
  Answer answer;
  const bool became = Eventually([&] {
    answer = Get(target);
    return answer.Text(path) == wanted;
  });
  EXPECT_TRUE(became) << target << ": " << path << " did not become \"" << wanted << "\":\n"
                      << answer.text;
  return answer;
}

}  // namespace bramble::testing
