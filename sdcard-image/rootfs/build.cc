// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/rootfs/build.h"

#include <algorithm>

#include "base/config.h"
#include "base/file.h"
#include "base/status.h"
#include "base/undo.h"
#include "sdcard-image/disk/card_image.h"
#include "sdcard-image/inspect/boot_lint.h"
#include "sdcard-image/rootfs/boot_files.h"
#include "sdcard-image/rootfs/outputs.h"
#include "sdcard-image/rootfs/root_tree.h"

namespace bramble::sdcard {
namespace {

constexpr size_t kMaxFileBytes = 256 << 20;

bool IsPackageName(std::string_view name) {
  return !name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789+-.") ==
                              std::string_view::npos;
}

// What the linter would find on the card, before it is made.
absl::Status Judge(const BuildOptions& options, const Layout& layout, const CardIds& ids,
                   const std::vector<BootFile>& files, const std::filesystem::path& tree) {
  BootFacts facts;
  facts.image_bytes = layout.card_bytes;
  facts.mbr = layout.ToMbr(ids.disk_id);
  uint64_t used = 0;
  for (const BootFile& file : files) {
    std::string name = file.path;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    facts.files[name] = file.bytes.size();
    used += file.bytes.size();
    if (file.path == "config.txt") {
      facts.config_txt = file.bytes;
    } else if (file.path == "cmdline.txt") {
      facts.cmdline_txt = file.bytes;
    }
  }
  facts.boot_free_bytes = layout.boot_bytes - std::min(used, layout.boot_bytes);
  BRAMBLE_ASSIGN_OR_RETURN(const std::string version, KernelVersionOf(tree));
  BRAMBLE_ASSIGN_OR_RETURN(facts.drivers, KernelDrivers(tree, version));
  std::string errors;
  for (const Finding& finding : LintBoot(facts, {options.board})) {
    if (finding.weight == Finding::Weight::kError) {
      errors += StrCat(errors.empty() ? "" : "; ", finding.what, " (", finding.mend, ")");
    } else {
      options.say(StrCat("warning: ", finding.what));
    }
  }
  return errors.empty()
             ? absl::OkStatus()
             : absl::FailedPreconditionError(StrCat("the image would not boot: ", errors));
}

std::string ImageInfo(const BuildOptions& options, const std::string& digest) {
  std::string text = StrCat("# How this image was made.\nboard = \"", options.board.name,
                            "\"\nsuite = \"", SuiteOf(options), "\"\narchitecture = \"",
                            options.board.architecture, "\"\nsource_date_epoch = ", options.time_s,
                            "\ntree = \"", digest, "\"\ncard_bytes = ", options.card_bytes,
                            "\nswap_bytes = ", options.swap_bytes, "\npackages = [");
  for (size_t i = 0; i < options.packages.size(); ++i) {
    text += StrCat(i == 0 ? "" : ", ", "\"", options.packages[i], "\"");
  }
  return text + "]\n";
}

}  // namespace

absl::StatusOr<Layer> LoadLayer(const std::filesystem::path& directory) {
  BRAMBLE_ASSIGN_OR_RETURN(const ConfigFile file, ConfigFile::Load(directory / "layer.toml"));
  ConfigReader reader = file.Root();
  Layer layer;
  layer.directory = directory;
  layer.packages = reader.Strings("packages");
  layer.enable = reader.Strings("enable");
  for (const std::string& name : layer.packages) {
    if (!IsPackageName(name)) {
      reader.Fail("packages", StrCat("\"", name, "\" is no name of a package"));
    }
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return layer;
}

std::string SuiteOf(const BuildOptions& options) {
  return options.suite.empty() ? options.board.suites.front() : options.suite;
}

std::string KernelSuiteOf(const BuildOptions& options) {
  std::string suite =
      options.kernel_suite.empty() ? options.board.kernel_suite : options.kernel_suite;
  if (const size_t at = suite.find("SUITE"); at != std::string::npos) {
    suite.replace(at, 5, SuiteOf(options));
  }
  return suite;
}

absl::Status CheckBuild(const BuildOptions& options) {
  const std::vector<std::string>& suites = options.board.suites;
  if (!options.suite.empty() &&
      std::find(suites.begin(), suites.end(), options.suite) == suites.end()) {
    std::string known;
    for (const std::string& suite : suites) {
      known += (known.empty() ? "" : ", ") + suite;
    }
    return absl::InvalidArgumentError(StrCat("--suite ", options.suite,
                                             ": it has no kernel that drives ",
                                             options.board.summary, "; take ", known));
  }
  if (const std::string kernel = KernelSuiteOf(options);
      !kernel.empty() && !IsPackageName(kernel)) {
    return absl::InvalidArgumentError(
        StrCat("--kernel-suite: \"", kernel, "\" is no suite such as trixie-backports"));
  }
  for (const std::string& name : options.packages) {
    if (!IsPackageName(name)) {
      return absl::InvalidArgumentError(
          StrCat("--packages: \"", name, "\" is no name of a package"));
    }
  }
  BRAMBLE_RETURN_IF_ERROR(FormatCardSettings(options.settings).status());
  return PlanLayout({.card_bytes = options.card_bytes, .swap_bytes = options.swap_bytes}).status();
}

absl::StatusOr<std::vector<std::filesystem::path>> Build(BuildOptions options) {
  BRAMBLE_RETURN_IF_ERROR(CheckBuild(options));
  if (options.mirror.empty()) {
    BRAMBLE_ASSIGN_OR_RETURN(options.mirror, OwnMirror());
  }
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(options.out));
  BRAMBLE_RETURN_IF_ERROR(MakeDirectories(options.cache));
  BRAMBLE_ASSIGN_OR_RETURN(const std::string inputs, DigestOfTree(options));
  const CardIds ids =
      CardIds::FromSeed(StrCat(inputs, "\n", options.card_bytes, "\n", options.swap_bytes));
  const std::string partuuid = PartUuid(ids.disk_id, kRootSlot + 1);
  BRAMBLE_ASSIGN_OR_RETURN(const RootTree tree,
                           MakeRootTree(options, FirmwareDefaults(options.board, partuuid)));
  BRAMBLE_ASSIGN_OR_RETURN(const std::string packages, PackagesDigest(tree.path));
  if (!options.packages_digest.empty() && packages != options.packages_digest) {
    return absl::FailedPreconditionError(
        "the Debian that the manifest was written with had other packages (its .spdx.json lists "
        "them): name a mirror of that day by --mirror, or take [made_of] out of the manifest");
  }
  options.packages_digest = packages;
  BRAMBLE_ASSIGN_OR_RETURN(
      std::vector<BootFile> files,
      GatherBootFiles(options.board, tree.path, options.data / "initramfs-init", partuuid));
  const LayoutOptions sizes = {.card_bytes = options.card_bytes,
                               .swap_bytes = options.swap_bytes,
                               .root_used_bytes = tree.bytes,
                               .root_inodes = tree.files};
  BRAMBLE_ASSIGN_OR_RETURN(const Layout layout, PlanLayout(sizes));
  BRAMBLE_RETURN_IF_ERROR(Judge(options, layout, ids, files, tree.path));
  BRAMBLE_ASSIGN_OR_RETURN(std::string settings, FormatCardSettings(options.settings));
  files.push_back({std::string(kSettingsFile), std::move(settings)});
  files.push_back({"image.toml", ImageInfo(options, tree.digest)});
  CardImageOptions card = {.layout = layout,
                           .ids = ids,
                           .time_s = options.time_s,
                           .boot_files = std::move(files),
                           .root_tree = tree.path};
  return WriteOutputs(options, sizes, std::move(card));
}

absl::Status Assemble(const AssembleOptions& options) {
  RootTree tree{.path = options.tree, .digest = "assembled"};
  BRAMBLE_RETURN_IF_ERROR(Measure(tree));
  BRAMBLE_ASSIGN_OR_RETURN(const Layout layout, PlanLayout({.card_bytes = options.card_bytes,
                                                            .swap_bytes = options.swap_bytes,
                                                            .root_used_bytes = tree.bytes,
                                                            .root_inodes = tree.files}));
  CardImageOptions card = {.layout = layout,
                           .ids = CardIds::FromSeed(StrCat(options.card_bytes)),
                           .time_s = options.time_s,
                           .root_tree = options.tree};
  std::error_code error;
  auto at = std::filesystem::recursive_directory_iterator(options.boot, error);
  for (; !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    if (at->is_regular_file(error)) {
      BRAMBLE_ASSIGN_OR_RETURN(std::string bytes, ReadFile(at->path(), kMaxFileBytes));
      card.boot_files.push_back(
          {at->path().lexically_relative(options.boot).string(), std::move(bytes)});
    }
  }
  if (error) {
    return absl::NotFoundError(StrCat(options.boot.string(), ": ", error.message()));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const ExtentSet mapped, MakeCardImage(card, options.out));
  std::vector<std::filesystem::path> made = {options.out, options.out.string() + ".bmap"};
  Undo undo;
  undo.Add([&made] { RemoveFiles(made); });
  BRAMBLE_RETURN_IF_ERROR(WriteBmap(options.out, mapped));
  BRAMBLE_RETURN_IF_ERROR(
      WritePacked(options.out, mapped, {.zstd = options.zstd, .xz = options.xz}, made));
  undo.Cancel();
  return absl::OkStatus();
}

}  // namespace bramble::sdcard
