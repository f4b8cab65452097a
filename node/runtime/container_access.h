// SPDX-License-Identifier: Apache-2.0
#pragma once

// What reaches into a container: commands, its console, its log, its files.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/asio.h"
#include "base/subprocess.h"
#include "node/runtime/runtime_spec.h"

#include "absl/status/statusor.h"

namespace bramble::node {

struct StreamPiece {
  enum class Kind { kOut, kErr, kExit };
  Kind kind = Kind::kOut;
  std::string bytes;  // kOut, kErr: not empty
  int exit_code = 0;  // kExit: as a shell has it, 128 + n for signal n
};

// A command or a console.  Destroying it ends the command (SIGHUP, then SIGKILL) or leaves the
// console.
class ContainerStream {
 public:
  virtual ~ContainerStream() = default;

  // The next piece of output; kExit is the last one, of a console too (it ended, or another took
  // it over).
  virtual asio::awaitable<absl::StatusOr<StreamPiece>> Read() = 0;
  // To its standard input.  kFailedPrecondition: it is closed.
  virtual asio::awaitable<absl::Status> Write(std::string bytes) = 0;
  // The end of its standard input.  With a terminal: as if ^D was typed.
  virtual asio::awaitable<absl::Status> CloseInput() = 0;
  // kFailedPrecondition: it has no terminal.
  virtual absl::Status Resize(TerminalSize size) = 0;
  virtual absl::Status Signal(int signal) = 0;
};

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // At least one byte; empty at the end.
  virtual asio::awaitable<absl::StatusOr<std::string>> Read() = 0;
};

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual asio::awaitable<absl::Status> Write(std::string bytes) = 0;
  // All is written: the file appears under its name.  Destroyed before: no part of a file is left.
  virtual asio::awaitable<absl::Status> Finish() = 0;
};

struct ExecRequest {
  ContainerId id;
  std::vector<std::string> argv;  // argv[0] with a slash is a path, without is looked up in PATH
  std::map<std::string, std::string> environment;  // beyond PATH, HOME, TERM, LANG
  std::string user;                                // "name", "uid", "uid:gid"; empty: root
  std::string working_directory;                   // empty: the user's home, or /
  std::optional<TerminalSize> terminal;
  bool interactive = false;  // has a standard input; otherwise it is /dev/null
};

// A regular file by its bytes, or a directory as a tar archive (base/tree_archive.h).
enum class TransferKind { kFile, kTree };

struct PushRequest {
  ContainerId id;
  TransferKind kind = TransferKind::kFile;
  // Of the file to make or replace, whose directory exists; or of the directory that the archive is
  // unpacked into, which is made when missing.
  std::string path;
  uint32_t mode = 0644;         // of a file; an archive has its own
  std::optional<uint32_t> uid;  // as the container sees it; none: 0, or as the archive says
  std::optional<uint32_t> gid;
  std::optional<Bytes> size;  // exactly so many are written; none: not known before Finish
};

struct PullRequest {
  ContainerId id;
  TransferKind kind = TransferKind::kFile;
  std::string path;
};

// Called only from the agent's loop.  Paths are resolved beneath the container's root and never
// lead out of it.
class ContainerAccess {
 public:
  virtual ~ContainerAccess() = default;

  // kFailedPrecondition: it does not run, or is frozen.  kNotFound: no such user or container.  A
  // command that cannot be run ends with 126 or 127, as in a shell.
  virtual asio::awaitable<absl::StatusOr<std::unique_ptr<ContainerStream>>> Exec(
      ExecRequest request) = 0;

  // The console of its init (a getty, or what init prints).  What was printed before is in the log.
  // The one who asked last has it.
  virtual asio::awaitable<absl::StatusOr<std::unique_ptr<ContainerStream>>> Console(
      ContainerId id, TerminalSize size) = 0;

  // What the console printed, also of runs before: the last `tail_lines` (0: all that is kept), and
  // with `follow` what comes later, until the source is destroyed.
  struct LogOptions {
    int64_t tail_lines = 0;
    bool follow = false;
  };
  virtual asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSource>>> Log(ContainerId id,
                                                                           LogOptions options) = 0;

  // Files of a container, running or stopped.  kResourceExhausted: larger than kMaxFileTransfer, or
  // no room; kPermissionDenied: the path leads out of the container, or below a pushed directory a
  // symlink is in the way.
  virtual asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSink>>> PushFile(
      PushRequest request) = 0;
  // kFailedPrecondition: `path` is no regular file (no directory where a tree is asked for).
  virtual asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSource>>> PullFile(
      PullRequest request) = 0;

  // The writable layer of a container that does not run, as node/layers/layer_format.h has it; of
  // one that is not here, an empty one.  It cannot start while the source lives.
  virtual asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSource>>> ExportLayer(
      ContainerId id) = 0;
  // Makes the container of `spec` from a layer.  Finish succeeds when it is verified and durable;
  // before that there is no such container.  kAlreadyExists: `spec.layer_move` has brought it here.
  // kDataLoss: another hash than it was sent with; kResourceExhausted: no room.
  virtual asio::awaitable<absl::StatusOr<std::unique_ptr<ByteSink>>> ImportLayer(
      RuntimeSpec spec) = 0;
};

}  // namespace bramble::node
