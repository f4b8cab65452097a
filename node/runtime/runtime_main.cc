// SPDX-License-Identifier: Apache-2.0

// bramble-runtime: one verb on one container, for bramble-node.  See runtime_verbs.h.
//
//   bramble-runtime VERB --state DIR --run DIR [--cgroup-root NAME] [--seccomp FILE]
//                   [--request-fd N] [--result-fd N]
//
// Reads one JSON request, prints {"value": …} or {"error": {"code", "message"}}.  Exit code 0: a
// value; 1: an error was printed; 2: misuse, said on standard error.

#include <linux/close_range.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "base/status.h"
#include "node/runtime/runtime_spec_json.h"
#include "node/runtime/runtime_verbs.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxRequestBytes = 1 << 20;
constexpr int kMisuse = 2;

struct Verb {
  const char* name;
  VerbResult (*run)(const RuntimeSettings&, const json::value&);
};
constexpr Verb kVerbs[] = {
    {"start", StartVerb},       {"stop", StopVerb},     {"freeze", FreezeVerb},
    {"unfreeze", UnfreezeVerb}, {"adjust", AdjustVerb}, {"rebuild", RebuildVerb},
    {"delete", DeleteVerb},     {"list", ListVerb},     {"usage", UsageVerb},
    {"exit", ExitVerb},         {"exec", ExecVerb},     {"console", ConsoleVerb},
    {"log", LogVerb},           {"push", PushVerb},     {"pull", PullVerb},
};

absl::StatusOr<std::string> ReadRequest(int fd) {
  std::string text;
  char buffer[16384];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) != 0;) {
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return absl::InternalError(StrCat("request: ", strerror(errno)));
    }
    text.append(buffer, static_cast<size_t>(n));
    if (text.size() > kMaxRequestBytes) {
      return absl::InvalidArgumentError("request: too long");
    }
  }
  return text;
}

VerbResult RunVerb(const Verb& verb, const RuntimeSettings& settings, int request_fd) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string text, ReadRequest(request_fd));
  if (request_fd > 2) {
    close(request_fd);
  }
  BRAMBLE_ASSIGN_OR_RETURN(const json::value request, ParseJson(text, kMaxRequestBytes));
  return verb.run(settings, request);
}

int Misuse(const char* what) {
  fprintf(stderr, "bramble-runtime: %s\n", what);
  return kMisuse;
}

int Main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "--version") == 0) {
    printf("bramble-runtime %s\n", BRAMBLE_VERSION);
    return 0;
  }
  const Verb* verb = nullptr;
  for (const Verb& one : kVerbs) {
    if (argc > 1 && strcmp(one.name, argv[1]) == 0) {
      verb = &one;
    }
  }
  if (verb == nullptr) {
    return Misuse("the first argument is no verb");
  }
  RuntimeSettings settings;
  int request_fd = 0;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const char* value = argv[i + 1];
    if (name == "--state") {
      settings.paths.state = value;
    } else if (name == "--run") {
      settings.paths.run = value;
    } else if (name == "--cgroup-root") {
      settings.cgroup_root = value;
    } else if (name == "--seccomp") {
      settings.seccomp_profile = value;
    } else if (name == "--request-fd") {
      request_fd = atoi(value);
    } else if (name == "--result-fd") {
      settings.result_fd = atoi(value);
    } else {
      return Misuse("unknown option");
    }
  }
  if (!settings.paths.state.is_absolute() || !settings.paths.run.is_absolute()) {
    return Misuse("--state and --run are absolute directories");
  }
  // What it starts (exec, the container's init) gets standard input, output and error, and no more.
  close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  signal(SIGPIPE, SIG_IGN);
  umask(022);  // a service's is 077, and what is made here is also the container's root directory
  const VerbResult result = RunVerb(*verb, settings, request_fd);
  const json::object answer = result.ok() ? json::object{{"value", *result}}
                                          : json::object{{"error", StatusToJson(result.status())}};
  const absl::Status written =
      WriteAll(settings.result_fd, json::serialize(answer) + "\n", "result");
  return result.ok() && written.ok() ? 0 : 1;
}

}  // namespace
}  // namespace bramble::node

int main(int argc, char** argv) { return bramble::node::Main(argc, argv); }
