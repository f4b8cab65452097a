// SPDX-License-Identifier: Apache-2.0
#include "sdcard-image/rootfs/outputs.h"

#include <fcntl.h>
#include <unistd.h>

#include <sstream>

#include "base/certificate.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/encoding.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/status.h"
#include "base/undo.h"
#include "sdcard-image/card/card_settings.h"
#include "sdcard-image/disk/bmap.h"
#include "sdcard-image/disk/compress.h"
#include "sdcard-image/rootfs/kept_files.h"

namespace bramble::sdcard {
namespace {

constexpr int kZstdLevel = 3;
constexpr int kXzLevel = 6;
constexpr uint64_t kMaxKeptBytes = uint64_t{2} << 30;
constexpr size_t kMaxStatusBytes = 64 << 20;

// Compresses into a file beside; a half of it is removed.
absl::Status WriteCompressed(FileDevice& image, const ExtentSet& mapped,
                             const CompressOptions& options, const std::filesystem::path& out) {
  const std::string part = out.string() + ".part";
  Undo undo;
  undo.Add([part] { ::unlink(part.c_str()); });
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(part, O_WRONLY | O_CREAT | O_TRUNC));
  BRAMBLE_RETURN_IF_ERROR(CompressImage(image, mapped, options, [&](std::string_view bytes) {
    return WriteAll(fd.get(), bytes, part);
  }));
  if (::rename(part.c_str(), out.c_str()) != 0) {
    return ErrnoStatus(errno, out.string());
  }
  undo.Cancel();
  return absl::OkStatus();
}

absl::StatusOr<std::string> HashOf(const std::filesystem::path& path) {
  BRAMBLE_ASSIGN_OR_RETURN(const auto file, FileDevice::Open(path, FileDevice::Mode::kRead));
  Sha256Stream hash;
  std::string chunk(4 << 20, '\0');
  for (uint64_t at = 0; at < file->size(); at += chunk.size()) {
    chunk.resize(std::min<uint64_t>(chunk.size(), file->size() - at));
    BRAMBLE_RETURN_IF_ERROR(file->ReadAt(at, chunk.data(), chunk.size()));
    hash.Update(chunk);
  }
  return hash.Finish().Hex();
}

// Where packed pieces of images are kept for the next build; "" where it cannot be.
std::filesystem::path KeptBlocks(const BuildOptions& options) {
  const std::filesystem::path kept = options.cache / "blocks";
  if (!MakeDirectories(kept).ok()) {
    return {};
  }
  KeepNewest(kept, kMaxKeptBytes);
  return kept;
}

// Imager writes every byte of what it unpacks: an image that ends where its files do.
absl::Status WriteImagerImage(const BuildOptions& options, const LayoutOptions& sizes,
                              CardImageOptions card, const std::string& name,
                              std::vector<std::filesystem::path>& made) {
  LayoutOptions small = sizes;
  small.swap_bytes = 0;
  small.card_bytes = MinimumCardBytes(small);
  BRAMBLE_ASSIGN_OR_RETURN(card.layout, PlanLayout(small));
  const std::filesystem::path image = options.out / (name + "-imager.img");
  Undo undo;
  undo.Add([image] { ::unlink(image.c_str()); });
  BRAMBLE_ASSIGN_OR_RETURN(const ExtentSet mapped, MakeCardImage(card, image));
  const std::filesystem::path packed = image.string() + ".xz";
  ImagerEntry entry;
  {
    BRAMBLE_ASSIGN_OR_RETURN(const auto file, FileDevice::Open(image, FileDevice::Mode::kRead));
    BRAMBLE_RETURN_IF_ERROR(WriteCompressed(
        *file, mapped, {.kind = Compression::kXz, .level = kXzLevel, .kept = KeptBlocks(options)},
        packed));
    entry.extract_bytes = file->size();
  }
  made.push_back(packed);
  BRAMBLE_ASSIGN_OR_RETURN(entry.extract_sha256, HashOf(image));
  BRAMBLE_ASSIGN_OR_RETURN(entry.download_sha256, HashOf(packed));
  entry.download_bytes = std::filesystem::file_size(packed);
  entry.name = "Bramble node: " + options.board.name;
  entry.description = "A node of a Bramble cluster for " + options.board.summary;
  entry.url = ImagerUrl(options.url, packed);
  entry.architecture = options.board.architecture;
  entry.time_s = options.time_s;
  const std::filesystem::path list = options.out / (name + ".rpi-imager-manifest");
  made.push_back(list);
  return WriteFileAtomically(list, ImagerList(entry));
}

absl::Status WriteSums(const BuildOptions& options, std::vector<std::filesystem::path>& made) {
  std::string sums;
  for (const std::filesystem::path& path : made) {
    // Of the image itself the block map has the sums: hashing its holes takes longer than making
    // it.
    if (path.extension() != ".img") {
      BRAMBLE_ASSIGN_OR_RETURN(const std::string hash, HashOf(path));
      sums += StrCat(hash, "  ", path.filename().string(), "\n");
    }
  }
  const std::filesystem::path file = options.out / "SHA256SUMS";
  made.push_back(file);
  BRAMBLE_RETURN_IF_ERROR(WriteFileAtomically(file, sums));
  if (options.sign_key.empty()) {
    return absl::OkStatus();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::Load(options.sign_key));
  made.push_back(file.string() + ".sig");
  return WriteFileAtomically(made.back(), key.Sign(sums));
}

}  // namespace

absl::Status WriteBmap(const std::filesystem::path& image, const ExtentSet& mapped) {
  BRAMBLE_ASSIGN_OR_RETURN(const auto file, FileDevice::Open(image, FileDevice::Mode::kRead));
  BRAMBLE_ASSIGN_OR_RETURN(const Bmap bmap, MakeBmap(*file, mapped));
  return WriteFileAtomically(image.string() + ".bmap", FormatBmap(bmap));
}

absl::Status WritePacked(const std::filesystem::path& image, const ExtentSet& mapped,
                         Packings wanted, std::vector<std::filesystem::path>& made) {
  BRAMBLE_ASSIGN_OR_RETURN(const auto file, FileDevice::Open(image, FileDevice::Mode::kRead));
  if (wanted.zstd) {
    made.push_back(image.string() + ".zst");
    BRAMBLE_RETURN_IF_ERROR(WriteCompressed(
        *file, mapped, {.kind = Compression::kZstd, .level = kZstdLevel}, made.back()));
  }
  if (wanted.xz) {
    made.push_back(image.string() + ".xz");
    BRAMBLE_RETURN_IF_ERROR(WriteCompressed(
        *file, mapped, {.kind = Compression::kXz, .level = kXzLevel, .kept = wanted.kept},
        made.back()));
  }
  return absl::OkStatus();
}

void RemoveFiles(const std::vector<std::filesystem::path>& files) {
  for (const std::filesystem::path& file : files) {
    ::unlink(file.c_str());
  }
}

absl::StatusOr<std::vector<std::filesystem::path>> WriteOutputs(const BuildOptions& options,
                                                                const LayoutOptions& sizes,
                                                                CardImageOptions card) {
  const std::string name = "bramble-" + options.board.name;
  const std::filesystem::path image = options.out / (name + ".img");
  for (const char* suffix : {".img.bmap", ".img.zst", ".img.xz", ".spdx.json", "-imager.img.xz",
                             ".rpi-imager-manifest", ".toml", ".settings.toml"}) {
    RemoveFiles({options.out / (name + suffix), options.out / (name + suffix + ".part")});
  }
  RemoveFiles({options.out / "SHA256SUMS", options.out / "SHA256SUMS.sig"});
  std::vector<std::filesystem::path> made;
  Undo undo;
  undo.Add([&made] { RemoveFiles(made); });
  options.say("writing the image");
  BRAMBLE_ASSIGN_OR_RETURN(const ExtentSet mapped, MakeCardImage(card, image));
  made.push_back(image);
  made.push_back(image.string() + ".bmap");
  BRAMBLE_RETURN_IF_ERROR(WriteBmap(image, mapped));
  if (options.zstd || options.xz) {
    options.say("compressing");
  }
  BRAMBLE_RETURN_IF_ERROR(WritePacked(
      image, mapped, {.zstd = options.zstd, .xz = options.xz, .kept = KeptBlocks(options)}, made));
  BRAMBLE_ASSIGN_OR_RETURN(const std::string status,
                           ReadFile(card.root_tree / "var/lib/dpkg/status", kMaxStatusBytes));
  const auto write = [&](const std::string& file, const std::string& text) {
    made.push_back(options.out / file);
    return WriteFileAtomically(made.back(), text);
  };
  BRAMBLE_RETURN_IF_ERROR(write(name + ".spdx.json", SpdxOf(status, name, options.time_s)));
  BRAMBLE_ASSIGN_OR_RETURN(const std::string settings, FormatCardSettings(options.settings));
  BRAMBLE_RETURN_IF_ERROR(write(name + ".settings.toml", WithoutSecrets(settings)));
  BRAMBLE_RETURN_IF_ERROR(write(name + ".toml", ManifestOf(options, name + ".settings.toml")));
  if (options.imager) {
    options.say("making the small image for Raspberry Pi Imager");
    BRAMBLE_RETURN_IF_ERROR(WriteImagerImage(options, sizes, std::move(card), name, made));
  }
  BRAMBLE_RETURN_IF_ERROR(WriteSums(options, made));
  undo.Cancel();
  return made;
}

std::string ManifestOf(const BuildOptions& options, const std::string& settings) {
  const auto paths = [](const auto& all) {
    std::vector<std::string> texts;
    for (const auto& each : all) {
      texts.push_back(each.string());
    }
    return TomlText(texts);
  };
  std::vector<std::filesystem::path> layers;
  for (size_t i = 1; i < options.layers.size(); ++i) {  // the first is ours, and always there
    layers.push_back(options.layers[i].directory);
  }
  std::vector<std::string> formats;
  for (const auto& [wanted, format] :
       {std::pair(options.zstd, "zst"), {options.xz, "xz"}, {options.imager, "imager"}}) {
    if (wanted) {
      formats.emplace_back(format);
    }
  }
  if (formats.empty()) {
    formats.emplace_back("img");
  }
  std::string text = StrCat(
      "# Builds this image again: bramble sdcard build --manifest FILE --out DIR\n"
      "# Secrets (join token, Wi-Fi password) are not kept; name them again by flags.\n"
      "board = ",
      TomlText(options.board.name), "\nsuite = ", TomlText(SuiteOf(options)));
  if (const std::string kernel = KernelSuiteOf(options); !kernel.empty()) {
    text += StrCat("\nkernel_suite = ", TomlText(kernel));
  }
  if (!options.url.empty()) {
    text += StrCat("\nurl = ", TomlText(options.url));
  }
  return StrCat(
      text, "\nmirror = ", TomlText(options.mirror), "\npackages = ", TomlText(options.packages),
      "\nlayers = ", paths(layers), "\ndebs = ", paths(options.debs),
      "\nformats = ", TomlText(formats), "\nsize = ", TomlText(StrCat(options.card_bytes, "B")),
      "\nswap = ", TomlText(StrCat(options.swap_bytes, "B")), "\nsettings = ", TomlText(settings),
      "\nsource_date_epoch = ", options.time_s,
      "\n\n# Without it, whatever the mirror has by now is taken.\n[made_of]\npackages = ",
      TomlText(options.packages_digest), "\n");
}

std::string ImagerUrl(const std::string& base, const std::filesystem::path& file) {
  if (!base.empty()) {
    return StrCat(base, base.ends_with('/') ? "" : "/", PercentEncode(file.filename().string()));
  }
  std::string url = "file://";
  for (const auto& part : file) {
    if (part != "/") {
      url += StrCat("/", PercentEncode(part.string()));
    }
  }
  return url;
}

std::string SpdxOf(std::string_view dpkg_status, const std::string& name, int64_t time_s) {
  json::array packages;
  json::array relationships;
  std::istringstream lines{std::string(dpkg_status)};
  std::string line, package, version, architecture, state;
  const auto finish = [&] {
    if (!package.empty() && state.ends_with(" installed")) {
      relationships.push_back({{"spdxElementId", "SPDXRef-DOCUMENT"},
                               {"relationshipType", "DESCRIBES"},
                               {"relatedSpdxElement", StrCat("SPDXRef-", HexEncode(package))}});
      packages.push_back(
          {{"SPDXID", StrCat("SPDXRef-", HexEncode(package))},
           {"name", package},
           {"versionInfo", version},
           {"downloadLocation", "NOASSERTION"},
           {"filesAnalyzed", false},
           {"externalRefs", json::array{{{"referenceCategory", "PACKAGE-MANAGER"},
                                         {"referenceType", "purl"},
                                         {"referenceLocator", StrCat("pkg:deb/debian/", package,
                                                                     "@", PercentEncode(version),
                                                                     "?arch=", architecture)}}}}});
    }
    package.clear();
    version.clear();
    architecture.clear();
    state.clear();
  };
  while (std::getline(lines, line)) {
    const auto value = [&line](std::string_view key) {
      return line.starts_with(key) ? line.substr(key.size()) : std::string();
    };
    if (line.empty()) {
      finish();
    } else if (line.starts_with("Package: ")) {
      package = value("Package: ");
    } else if (line.starts_with("Version: ")) {
      version = value("Version: ");
    } else if (line.starts_with("Architecture: ")) {
      architecture = value("Architecture: ");
    } else if (line.starts_with("Status: ")) {
      state = value("Status: ");
    }
  }
  finish();
  const std::string created =
      FormatTime(WallTime(std::chrono::seconds(time_s))).substr(0, 19) + "Z";
  const json::value document = {
      {"spdxVersion", "SPDX-2.3"},
      {"dataLicense", "CC0-1.0"},
      {"SPDXID", "SPDXRef-DOCUMENT"},
      {"name", name},
      {"documentNamespace",
       StrCat("https://bramble.invalid/spdx/", name, "-", Sha256(dpkg_status).Hex().substr(0, 16))},
      {"creationInfo", {{"created", created}, {"creators", json::array{"Tool: bramble"}}}},
      {"packages", std::move(packages)},
      {"relationships", std::move(relationships)}};
  return json::serialize(document) + "\n";
}

std::string ImagerList(const ImagerEntry& entry) {
  const bool wide = entry.architecture == "arm64";
  const json::array devices =
      wide ? json::array{"pi4-64bit", "pi3-64bit"} : json::array{"pi3-32bit", "pi2-32bit"};
  const json::value list = {
      {"os_list",
       json::array{{{"name", entry.name},
                    {"description", entry.description},
                    {"icon", ""},
                    {"url", entry.url},
                    {"extract_size", entry.extract_bytes},
                    {"extract_sha256", entry.extract_sha256},
                    {"image_download_size", entry.download_bytes},
                    {"image_download_sha256", entry.download_sha256},
                    {"release_date",
                     FormatTime(WallTime(std::chrono::seconds(entry.time_s))).substr(0, 10)},
                    {"init_format", "rpi-preseed"},
                    {"architecture", wide ? "armv8" : "armhf"},
                    {"devices", devices}}}}};
  return json::serialize(list) + "\n";
}

}  // namespace bramble::sdcard
