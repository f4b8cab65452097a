// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <lxc/attach_options.h>
#include <lxc/lxccontainer.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>

#include "base/beneath.h"
#include "base/file.h"
#include "base/status.h"
#include "node/runtime/cgroups.h"
#include "node/runtime/guest_user.h"
#include "node/runtime/lxc_config.h"
#include "node/runtime/runtime_verbs.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxArguments = 1024;
constexpr size_t kMaxAccountsBytes = 1 << 20;
constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct Request {
  ContainerId id;
  std::vector<std::string> argv;
  std::map<std::string, std::string> environment;
  std::string user;
  std::string cwd;
  bool terminal = false;
};

absl::StatusOr<Request> ParseRequest(const json::value& value) {
  Request request;
  JsonObjectReader reader(value, "request");
  request.id = reader.Parsed<ContainerId>("id");
  request.argv = reader.StringList("argv", kMaxArguments, {.max = 131072, .allow_control = true});
  request.environment =
      reader.StringMap("environment", kMaxArguments, {.max = 131072, .allow_control = true});
  request.user = reader.OptionalString("user", {.max = 64}).value_or("");
  request.cwd = reader.OptionalString("cwd").value_or("");
  request.terminal = reader.OptionalBool("terminal").value_or(false);
  if (reader.ok() && (request.argv.empty() || request.argv[0].empty())) {
    reader.Fail("argv", "no command");
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return request;
}

// What a container says of its users is only ever used inside of it.
absl::StatusOr<GuestUser> FindUser(pid_t init, const std::string& user) {
  BRAMBLE_ASSIGN_OR_RETURN(const Fd root, OpenDirectory(StrCat("/proc/", init, "/root")));
  const auto passwd = ReadBeneath(root.get(), "etc/passwd", kMaxAccountsBytes);
  const auto group = ReadBeneath(root.get(), "etc/group", kMaxAccountsBytes);
  return ResolveGuestUser(user, passwd.ok() ? *passwd : "", group.ok() ? *group : "");
}

std::vector<std::string> EnvironmentOf(const Request& request, const GuestUser& user) {
  std::map<std::string, std::string> all = {{"PATH", kDefaultPath}, {"HOME", user.home},
                                            {"USER", user.name},    {"LOGNAME", user.name},
                                            {"LANG", "C.UTF-8"},    {"container", "lxc"}};
  if (request.terminal) {
    all["TERM"] = "xterm-256color";
  }
  for (const auto& [name, value] : request.environment) {
    all[name] = value;
  }
  std::vector<std::string> lines;
  for (const auto& [name, value] : all) {
    lines.push_back(StrCat(name, "=", value));
  }
  return lines;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

volatile pid_t attached_process = 0;

void Forward(int number) {
  if (attached_process > 0) {
    kill(attached_process, number);
  }
}

// A signal for the command reaches it by its process group; with a terminal it has a group of its
// own, so it is handed on.
void HandleSignals(bool terminal) {
  struct sigaction action = {};
  action.sa_handler = terminal ? Forward : [](int) {};
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2}) {
    sigaction(number, &action, nullptr);
  }
  signal(SIGPIPE, SIG_DFL);
}

int WaitForCode(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) {
      return 255;
    }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

absl::StatusOr<int> Attach(const RuntimeSettings& settings, Request& request,
                           const GuestUser& user) {
  lxc_container* container =
      lxc_container_new(settings.paths.LxcName(request.id).c_str(), kLxcPath);
  if (container == nullptr) {
    return absl::InternalError(StrCat("container ", request.id.str(), ": liblxc cannot open it"));
  }
  std::vector<std::string> environment = EnvironmentOf(request, user);
  std::vector<char*> environment_pointers = Pointers(environment);
  std::vector<char*> argv = Pointers(request.argv);
  std::vector<gid_t> groups(user.groups.begin(), user.groups.end());
  lxc_attach_options_t options = LXC_ATTACH_OPTIONS_DEFAULT;
  std::string cwd = request.cwd.empty() ? user.home : request.cwd;
  options.initial_cwd = cwd.data();
  options.uid = user.uid;
  options.gid = user.gid;
  options.env_policy = LXC_ATTACH_CLEAR_ENV;
  options.extra_env_vars = environment_pointers.data();
  options.groups.size = groups.size();
  options.groups.list = groups.data();
  options.attach_flags |= LXC_ATTACH_SETGROUPS;
  if (request.terminal) {
    options.attach_flags |= LXC_ATTACH_TERMINAL;
  }
  lxc_attach_command_t command = {.program = argv[0], .argv = argv.data()};
  HandleSignals(request.terminal);
  pid_t pid = -1;
  const int attached =
      container->attach(container, lxc_attach_run_command, &command, &options, &pid);
  lxc_container_put(container);
  if (attached < 0 || pid <= 0) {
    return absl::InternalError(
        StrCat("container ", request.id.str(), ": cannot attach: ", strerror(errno)));
  }
  attached_process = pid;
  return WaitForCode(pid);
}

// A pipe opened anew (/dev/stdout) asks for the rights of its owner.
void GivePipes(uint32_t uid, uint32_t gid) {
  for (int fd = 0; fd <= 2; ++fd) {
    struct stat info = {};
    if (fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode) && fchown(fd, uid, gid) != 0) {
      continue;  // it can still be used, only not opened anew
    }
  }
}

}  // namespace

VerbResult ExecVerb(const RuntimeSettings& settings, const json::value& value) {
  BRAMBLE_ASSIGN_OR_RETURN(Request request, ParseRequest(value));
  const std::optional<Running> running = FindRunning(settings.paths, request.id);
  if (!running.has_value() || running->init_pid <= 0) {
    return absl::FailedPreconditionError(StrCat("container ", request.id.str(), ": does not run"));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const CgroupLayout layout, ReadCgroupLayout());
  BRAMBLE_ASSIGN_OR_RETURN(const ContainerRecord record, ReadRecord(settings.paths, request.id));
  if (IsFrozen(layout, ContainerCgroup(settings.cgroup_root, request.id))) {
    return FrozenError(record.spec.name.str());
  }
  BRAMBLE_ASSIGN_OR_RETURN(const GuestUser user, FindUser(running->init_pid, request.user));
  GivePipes(record.layer_ids.first + user.uid, record.layer_ids.first + user.gid);
  BRAMBLE_RETURN_IF_ERROR(TellStarted(settings));
  BRAMBLE_ASSIGN_OR_RETURN(const int code, Attach(settings, request, user));
  return json::object{{"exit_code", code}};
}

}  // namespace bramble::node
