// SPDX-License-Identifier: Apache-2.0
#pragma once

// A real bramble-controller as a child process on free ports of the loopback, and people who talk
// to it over TLS.  For tests.

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/certificate.h"
#include "base/http_client.h"
#include "base/json.h"

#include "absl/status/statusor.h"

namespace bramble::testing {

// A directory that goes with its owner.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Whether `holds` became true within 20 s; asks again and again.
bool Eventually(const std::function<bool()>& holds);

struct ProgramEnd {
  int exit_code = -1;  // -1: ended by a signal
  std::string error;   // what it wrote to standard error
};

class ControllerProcess {
 public:
  // `more` is added to the configuration.
  explicit ControllerProcess(std::string more = "");
  ~ControllerProcess();

  // Starts it and waits until it answers.  Fails the test when it does not.
  void Start();
  // Starts it and waits until it ends by itself.
  ProgramEnd RunToEnd(std::vector<std::string> more_flags = {});
  // SIGKILL.
  void Kill();
  // SIGTERM; gives the exit code.
  int Stop();

  uint16_t people_port() const { return people_port_; }
  uint16_t nodes_port() const { return nodes_port_; }
  std::filesystem::path state() const { return directory_.path() / "state"; }
  std::filesystem::path run() const { return directory_.path() / "run"; }
  std::filesystem::path config() const { return directory_.path() / "controller.toml"; }
  std::string Log() const;
  // What both listeners' certificates are signed by.
  Certificate Ca() const;
  // The administrator's token, by the set-up code; the first call initialises the cluster.
  const std::string& Token();

 private:
  pid_t Launch(const std::vector<std::string>& more_flags);

  TemporaryDirectory directory_;
  pid_t pid_ = -1;
  uint16_t people_port_ = 0;
  uint16_t nodes_port_ = 0;
  std::string token_;
};

struct Answer {
  int status = 0;
  HeaderList headers;
  std::string text;
  json::value body;  // null unless it was JSON

  // The text below `path`, such as "status.state"; "" where there is none.
  std::string Text(std::string_view path) const;
};

// Somebody with a token.  One connection, one request at a time.
class Person {
 public:
  // `name`: the one that the controller's certificate must be good for.
  Person(ControllerProcess& controller, std::string token, std::string name = "127.0.0.1");

  Answer Send(std::string method, std::string target, std::string body = "",
              HeaderList headers = {});
  Answer Get(std::string target) { return Send("GET", std::move(target)); }
  Answer Post(std::string target, const json::value& body = json::object());
  Answer Patch(std::string target, const json::value& body, HeaderList headers = {});
  Answer Delete(std::string target) { return Send("DELETE", std::move(target)); }
  // GETs until the text below `path` is `wanted`; fails the test after 20 s.
  Answer Await(const std::string& target, std::string_view path, std::string_view wanted);

 private:
  BlockingHttpClient client_;
  std::string token_;
};

}  // namespace bramble::testing
