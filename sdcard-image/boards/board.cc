// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/boards/board.h"

#include <algorithm>

#include "base/config.h"
#include "base/status.h"

namespace bramble::sdcard {

absl::StatusOr<Board> LoadBoard(const std::filesystem::path& file) {
  BRAMBLE_ASSIGN_OR_RETURN(const ConfigFile config, ConfigFile::Load(file));
  ConfigReader reader = config.Root();
  Board board;
  board.name = reader.String("name");
  board.summary = reader.String("summary");
  board.architecture = reader.String("architecture");
  board.suites = reader.Strings("suites");
  board.components = reader.Strings("components", {"main"});
  board.kernel_package = reader.String("kernel_package");
  board.kernel_suite = reader.String("kernel_suite");
  board.packages = reader.Strings("packages");
  board.firmware = reader.Strings("firmware");
  board.device_trees = reader.Strings("device_trees");
  board.device_tree_aliases = reader.Strings("device_tree_aliases");
  board.config_txt = reader.Strings("config_txt");
  board.consoles = reader.String("consoles");
  board.initramfs_modules = reader.Strings("initramfs_modules");
  for (ConfigReader& need : reader.Tables("driver")) {
    board.drivers.push_back({need.String("purpose"), need.Strings("any_of")});
    if (board.drivers.back().any_of.empty()) {
      need.Fail("any_of", "name at least one driver");
    }
    reader.Merge(need.Finish());
  }
  if (board.architecture != "arm64" && board.architecture != "armhf") {
    reader.Fail("architecture", "write \"arm64\" or \"armhf\"");
  }
  if (board.name != file.stem()) {
    reader.Fail("name", "write the name of the file");
  }
  if (board.suites.empty()) {
    reader.Fail("suites", "name at least one Debian suite");
  }
  if (board.kernel_package.empty()) {
    reader.Fail("kernel_package", "name the package of the kernel");
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return board;
}

absl::StatusOr<std::vector<Board>> LoadBoards(const std::filesystem::path& directory) {
  std::vector<Board> boards;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().extension() == ".toml") {
      BRAMBLE_ASSIGN_OR_RETURN(Board board, LoadBoard(entry.path()));
      boards.push_back(std::move(board));
    }
  }
  if (boards.empty()) {
    return absl::NotFoundError(StrCat(directory.string(), ": no board is described there"));
  }
  std::sort(boards.begin(), boards.end(),
            [](const Board& a, const Board& b) { return a.name < b.name; });
  return boards;
}

absl::StatusOr<Board> FindBoard(const std::vector<Board>& boards, const std::string& name) {
  std::string known;
  for (const Board& board : boards) {
    if (board.name == name) {
      return board;
    }
    known += (known.empty() ? "" : ", ") + board.name;
  }
  return absl::NotFoundError(StrCat("unknown board \"", name, "\": take one of ", known));
}

}  // namespace bramble::sdcard
