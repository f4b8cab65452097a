// SPDX-License-Identifier: Apache-2.0

// bramble-runtime: one verb on one container, for bramble-node.  See runtime_verbs.h.
//
//   bramble-runtime VERB --state DIR --run DIR [--cgroup-root NAME] [--seccomp FILE]
//                   [--request-fd N] [--result-fd N]
//
// VERB "await": the request says which: {"verb", "request"}.  So the process can be loaded before
// anything is asked of it.
//
// Reads one JSON request, prints {"value": …} or {"error": {"code", "message"}}.  Exit code 0: a
// value; 1: an error was printed; 2: misuse, said on standard error.

#include <linux/close_range.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "base/file.h"
#include "base/status.h"
#include "node/runtime/runtime_spec_json.h"
#include "node/runtime/runtime_verbs.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxRequestBytes = 1 << 20;
constexpr int kMisuse = 2;

struct Verb {
  std::string_view name;
  VerbResult (*run)(const RuntimeSettings&, const json::value&);
};
constexpr Verb kVerbs[] = {
    {"start", StartVerb},       {"stop", StopVerb},     {"freeze", FreezeVerb},
    {"unfreeze", UnfreezeVerb}, {"adjust", AdjustVerb}, {"rebuild", RebuildVerb},
    {"delete", DeleteVerb},     {"list", ListVerb},     {"usage", UsageVerb},
    {"exit", ExitVerb},         {"exec", ExecVerb},     {"console", ConsoleVerb},
    {"log", LogVerb},           {"push", PushVerb},     {"pull", PullVerb},
    {"export", ExportVerb},     {"import", ImportVerb},
};

const Verb* FindVerb(std::string_view name) {
  const Verb* found = std::find_if(std::begin(kVerbs), std::end(kVerbs),
                                   [name](const Verb& verb) { return verb.name == name; });
  return found == std::end(kVerbs) ? nullptr : found;
}

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

VerbResult AwaitVerb(const RuntimeSettings& settings, const json::value& request) {
  JsonObjectReader reader(request, "request");
  const std::string name = reader.String("verb");
  const json::value* inner = reader.Find("request");
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  const Verb* verb = FindVerb(name);
  if (verb == nullptr || inner == nullptr) {
    return absl::InvalidArgumentError(StrCat("request.verb: \"", name, "\" is no verb"));
  }
  return verb->run(settings, *inner);
}
constexpr Verb kAwait = {"await", AwaitVerb};

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
  const std::string_view name = argc > 1 ? argv[1] : "";
  const Verb* verb = name == kAwait.name ? &kAwait : FindVerb(name);
  if (verb == nullptr) {
    return Misuse("the first argument is no verb");
  }
  RuntimeSettings settings;
  int request_fd = 0;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string_view option = argv[i];
    const char* value = argv[i + 1];
    if (option == "--state") {
      settings.paths.state = value;
    } else if (option == "--run") {
      settings.paths.run = value;
    } else if (option == "--cgroup-root") {
      settings.cgroup_root = value;
    } else if (option == "--seccomp") {
      settings.seccomp_profile = value;
    } else if (option == "--request-fd") {
      request_fd = atoi(value);
    } else if (option == "--result-fd") {
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
