// SPDX-License-Identifier: Apache-2.0
// bramble-lease-holder: stops the movable containers of this node when the lease runs out, whether
// the agent lives, hangs or is gone.  So small that nothing in it can hang: no library but libc's,
// one poll loop, one timer on CLOCK_BOOTTIME.
//
//   bramble-lease-holder --socket /run/bramble/node/lease.sock
//
// Only root may speak to it (SO_PEERCRED).  A second connection is an agent that was restarted, and
// replaces the first.  What it holds outlives the agent.  When it is itself restarted, the agent
// connects again and says all anew; should there be no agent, it goes on with what it noted beside
// its socket (`lease.state`).  That is of this boot, as the clock is, so it is neither written nor
// read where it would outlast the boot: only on a file system in memory.
//
// SIGTERM: it ends, what it holds runs on.
//
// SIGUSR1: the lease is over now, since the node is being taken out of service.  It halts what it
// holds, kills what has not ended after the stop time, and exits 0 when nothing of it is left.
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "node/lease/group_kill.h"
#include "node/lease/lease_message.h"
#include "node/lease/lease_table.h"

namespace bramble::node {
namespace {

constexpr int64_t kNanosecondsPerMillisecond = 1'000'000;
constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr int kLookWhileEndingMs = 50;
constexpr size_t kMaxStateBytes = 1 << 20;

int64_t BootNow() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * kNanosecondsPerSecond + now.tv_nsec;
}

// sd_notify(3) without libsystemd.
void Notify(const char* what) {
  const char* path = getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path == nullptr || strlen(path) >= sizeof(address.sun_path)) {
    return;
  }
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
  const socklen_t size = offsetof(sockaddr_un, sun_path) + strlen(path);
  if (address.sun_path[0] == '@') {
    address.sun_path[0] = '\0';
  }
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd >= 0) {
    (void)!sendto(fd, what, strlen(what), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address),
                  size);
    close(fd);
  }
}

int Listen(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (strlen(path) >= sizeof(address.sun_path)) {
    fprintf(stderr, "bramble-lease-holder: %s: longer than a socket's path may be\n", path);
    return -1;
  }
  strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  unlink(path);
  const mode_t before = umask(0177);
  const bool bound = fd >= 0 &&
                     bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
                     listen(fd, 4) == 0;
  umask(before);
  if (!bound) {
    fprintf(stderr, "bramble-lease-holder: %s: %s\n", path, strerror(errno));
    return -1;
  }
  return fd;
}

bool IsRoot(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == 0;
}

// What is held, kept for the next holder of this boot.
class StateFile {
 public:
  explicit StateFile(const char* socket) {
    std::string directory(socket);
    const size_t slash = directory.rfind('/');
    directory = slash == std::string::npos ? "./" : directory.substr(0, slash + 1);
    struct statfs info {};
    if (statfs(directory.c_str(), &info) != 0) {
      return;
    }
    const auto type = static_cast<uint32_t>(info.f_type);  // as signed as the machine has it
    if (type == TMPFS_MAGIC || type == RAMFS_MAGIC) {
      path_ = directory + "lease.state";
    }
  }

  void Load(LeaseTable& table) const {
    const int fd = path_.empty() ? -1 : open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
      return;
    }
    std::string text;
    char piece[4096];
    ssize_t size = 0;
    while (text.size() < kMaxStateBytes && (size = read(fd, piece, sizeof(piece))) > 0) {
      text.append(piece, static_cast<size_t>(size));
    }
    close(fd);
    if (table.Restore(text)) {
      fprintf(stderr, "lease_restored containers=%zu\n", table.size());
    } else {
      fprintf(stderr, "lease_state_unreadable path=%s\n", path_.c_str());
    }
  }

  // Whoever reads finds the old state or the new one.
  void Save(const LeaseTable& table) const {
    if (path_.empty()) {
      return;
    }
    const std::string text = table.Format();
    const std::string part = path_ + ".new";
    const int fd = open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    const bool written =
        fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    if (fd >= 0) {
      close(fd);
    }
    if (!written || rename(part.c_str(), path_.c_str()) != 0) {
      fprintf(stderr, "lease_state_not_written path=%s error=%s\n", path_.c_str(), strerror(errno));
    }
  }

 private:
  std::string path_;  // empty: what would be written could be read after the next boot
};

class Holder {
 public:
  Holder(int listener, int timer, int signals, const char* socket)
      : listener_(listener), timer_(timer), signals_(signals), file_(socket) {
    file_.Load(table_);
  }

  // Returns by SIGTERM, or when the lease was over by SIGUSR1 and all has ended.
  void Run() {
    while (true) {
      Fire();
      if (stopping_ || (ending_ && AllEnded())) {
        return;
      }
      pollfd fds[] = {
          {listener_, POLLIN, 0}, {timer_, POLLIN, 0}, {signals_, POLLIN, 0}, {agent_, POLLIN, 0}};
      const nfds_t count = agent_ >= 0 ? 4 : 3;
      // What comes in a row is saved once.
      if (changed_ && poll(fds, count, 0) == 0) {
        Save();
      }
      if (poll(fds, count, ending_ ? kLookWhileEndingMs : -1) < 0) {
        continue;
      }
      if ((fds[2].revents & POLLIN) != 0) {
        TakeSignal();
      }
      if ((fds[1].revents & POLLIN) != 0) {
        uint64_t expirations = 0;
        (void)!read(timer_, &expirations, sizeof(expirations));
      }
      if (agent_ >= 0 && fds[3].revents != 0) {
        Receive();
      }
      if (fds[0].revents != 0) {
        Accept();
      }
    }
  }

 private:
  void TakeSignal() {
    signalfd_siginfo signal{};
    if (read(signals_, &signal, sizeof(signal)) != sizeof(signal)) {
      return;
    }
    Notify("STOPPING=1");
    if (signal.ssi_signo == SIGTERM) {
      stopping_ = true;
      return;
    }
    ending_ = true;
    table_.Expire(BootNow());
    Save();
  }

  void Save() {
    changed_ = false;
    file_.Save(table_);
  }

  bool AllEnded() const {
    for (const int handle : table_.Handles()) {
      pollfd process = {handle, POLLIN, 0};
      if (handle >= 0 && poll(&process, 1, 0) == 0) {
        return false;
      }
    }
    return true;
  }

  void Accept() {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      return;
    }
    if (!IsRoot(fd)) {
      close(fd);
      return;
    }
    if (agent_ >= 0) {
      close(agent_);
    }
    agent_ = fd;
  }

  void Receive() {
    LeaseMessage message;
    iovec piece = {&message, sizeof(message)};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &piece;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    const ssize_t size = recvmsg(agent_, &header, MSG_CMSG_CLOEXEC);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
      return;
    }
    int handle = -1;
    const cmsghdr* attached = size > 0 ? CMSG_FIRSTHDR(&header) : nullptr;
    if (attached != nullptr && attached->cmsg_level == SOL_SOCKET &&
        attached->cmsg_type == SCM_RIGHTS && attached->cmsg_len == CMSG_LEN(sizeof(int))) {
      memcpy(&handle, CMSG_DATA(attached), sizeof(handle));
    }
    if (size != sizeof(message) || message.protocol != kLeaseProtocol) {
      if (handle >= 0) {
        close(handle);
      }
      close(agent_);
      agent_ = -1;
      return;
    }
    Take(message, handle);
  }

  void Take(const LeaseMessage& message, int handle) {
    changed_ = changed_ || message.kind != LeaseMessageKind::kHello;
    switch (message.kind) {
      case LeaseMessageKind::kHold:
        if (handle >= 0 || !message.group_view().empty()) {
          CloseIf(table_.Hold(message.id_view(), handle < 0 ? LeaseTable::kNoHandle : handle,
                              message.halt_signal, message.group_view()));
          return;
        }
        break;
      case LeaseMessageKind::kRelease:
        CloseIf(table_.Release(message.id_view()));
        break;
      case LeaseMessageKind::kBegin:
        table_.Begin();
        break;
      case LeaseMessageKind::kEnd:
        for (const int released : table_.End()) {
          close(released);
        }
        break;
      case LeaseMessageKind::kRenew:
        if (!ending_) {
          table_.Renew(message.deadline_ns, message.stop_ms * kNanosecondsPerMillisecond);
        }
        break;
      case LeaseMessageKind::kHello:
        Answer();
        break;
      case LeaseMessageKind::kState:
        break;
    }
    if (handle >= 0) {
      close(handle);
    }
  }

  // Whoever is answered relies on what was said before, whatever happens to this process.
  void Answer() {
    if (changed_) {
      Save();
    }
    LeaseMessage state;
    state.kind = LeaseMessageKind::kState;
    state.deadline_ns = table_.deadline_ns();
    state.count = static_cast<uint32_t>(table_.size());
    (void)!send(agent_, &state, sizeof(state), MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  // Sends what is due, and sets the timer for what is next.
  void Fire() {
    for (const LeaseTable::Signal& due : table_.Due(BootNow())) {
      if (due.handle != LeaseTable::kNoHandle) {
        syscall(SYS_pidfd_send_signal, due.handle, due.signal, nullptr, 0);
        fprintf(stderr, "lease_lost signal=%d\n", due.signal);
      } else if (const int killed = KillGroup(due.group.c_str()); killed > 0) {
        fprintf(stderr, "lease_lost killed=%d group=%s\n", killed, due.group.c_str());
      }
    }
    const std::optional<int64_t> wake = table_.NextWake();
    itimerspec timer{};
    if (wake.has_value()) {
      const int64_t at = *wake > 0 ? *wake : 1;  // 0 would disarm it
      timer.it_value = {.tv_sec = static_cast<time_t>(at / kNanosecondsPerSecond),
                        .tv_nsec = static_cast<long>(at % kNanosecondsPerSecond)};
    }
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &timer, nullptr);
  }

  static void CloseIf(std::optional<int> handle) {
    if (handle.has_value()) {
      close(*handle);
    }
  }

  const int listener_;
  const int timer_;
  const int signals_;
  const StateFile file_;
  bool stopping_ = false;
  bool ending_ = false;
  bool changed_ = false;  // since it was saved
  int agent_ = -1;
  LeaseTable table_;
};

}  // namespace
}  // namespace bramble::node

int main(int argc, char** argv) {
  const char* path = "/run/bramble/node/lease.sock";
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--version") == 0) {
      puts("bramble-lease-holder " BRAMBLE_VERSION);
      return 0;
    }
    if (strcmp(argv[i], "--socket") == 0 && i + 1 < argc) {
      path = argv[++i];
      continue;
    }
    fprintf(stderr,
            "usage: bramble-lease-holder [--socket PATH] [--version]\n"
            "Stops this node's movable containers when their lease runs out.\n"
            "Example: bramble-lease-holder --socket /run/bramble/node/lease.sock\n");
    return strcmp(argv[i], "--help") == 0 ? 0 : 2;
  }
  const int listener = bramble::node::Listen(path);
  const int timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGUSR1);
  sigaddset(&wanted, SIGTERM);
  sigprocmask(SIG_BLOCK, &wanted, nullptr);
  const int signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
  if (listener < 0 || timer < 0 || signals < 0) {
    return 1;
  }
  bramble::node::Holder holder(listener, timer, signals, path);
  bramble::node::Notify("READY=1");
  holder.Run();
}
