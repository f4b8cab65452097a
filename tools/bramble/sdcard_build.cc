// SPDX-License-Identifier: Apache-2.0
// sdcard build: an image from Debian's packages and ours.
#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/config.h"
#include "base/status.h"
#include "sdcard-image/rootfs/build.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/sdcard_paths.h"
#include "tools/bramble/sdcard_settings_flags.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

constexpr int64_t kDaySeconds = 86400;

std::vector<std::string> Words(const std::vector<std::string>& lists) {
  std::vector<std::string> words;
  for (std::string_view rest : lists) {
    while (!rest.empty()) {
      const size_t comma = rest.find(',');
      if (comma != 0) {
        words.emplace_back(rest.substr(0, comma));
      }
      rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
    }
  }
  return words;
}

// What is said in a manifest or by flags; flags win.
struct Wanted {
  std::string board;
  std::string suite;
  std::string mirror;
  std::vector<std::string> packages;
  std::vector<std::string> layers;
  std::vector<std::string> debs;
  std::vector<std::string> formats = {"zst", "imager"};
  Bytes size{static_cast<int64_t>(sdcard::kDefaultCardBytes)};
  Bytes swap{1024 * kMiB};
  int64_t epoch_s = 0;
};

absl::Status ReadManifest(const std::string& path, Wanted& wanted) {
  BRAMBLE_ASSIGN_OR_RETURN(const ConfigFile file, ConfigFile::Load(path));
  ConfigReader reader = file.Root();
  wanted.board = reader.String("board", wanted.board);
  wanted.suite = reader.String("suite", wanted.suite);
  wanted.mirror = reader.String("mirror", wanted.mirror);
  wanted.packages = reader.Strings("packages");
  wanted.layers = reader.Strings("layers");
  wanted.debs = reader.Strings("debs");
  wanted.formats = reader.Strings("formats", wanted.formats);
  wanted.size = reader.Size("size", wanted.size);
  wanted.swap = reader.Size("swap", wanted.swap);
  wanted.epoch_s = reader.Int("source_date_epoch", wanted.epoch_s, {.min = 0, .max = INT32_MAX});
  return reader.Finish();
}

absl::Status ReadFlags(const Args& args, Wanted& wanted) {
  wanted.board = args.Text("board", wanted.board);
  wanted.suite = args.Text("suite", wanted.suite);
  wanted.mirror = args.Text("mirror", wanted.mirror);
  const auto add = [&args](std::string_view flag, std::vector<std::string>& to) {
    if (args.Has(flag)) {
      const std::vector<std::string> words = Words(args.Texts(flag));
      to.insert(to.end(), words.begin(), words.end());
    }
  };
  add("packages", wanted.packages);
  add("layer", wanted.layers);
  add("deb", wanted.debs);
  if (args.Has("formats")) {
    wanted.formats = Words(args.Texts("formats"));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const auto size, args.Size("size"));
  BRAMBLE_ASSIGN_OR_RETURN(const auto swap, args.Size("swap"));
  wanted.size = size.value_or(wanted.size);
  wanted.swap = swap.value_or(wanted.swap);
  return absl::OkStatus();
}

// The packages of ours that are installed beside this program, when none is named.
std::vector<std::string> DebsBeside(const std::string& architecture) {
  std::vector<std::string> debs;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(SdcardData() / "debs", ignored)) {
    if (entry.path().string().ends_with("_" + architecture + ".deb")) {
      debs.push_back(entry.path().string());
    }
  }
  std::sort(debs.begin(), debs.end());
  return debs;
}

absl::Status UseDebs(const Wanted& wanted, sdcard::BuildOptions& options) {
  const std::vector<std::string> debs =
      wanted.debs.empty() ? DebsBeside(options.board.architecture) : wanted.debs;
  if (debs.empty()) {
    return absl::FailedPreconditionError(
        StrCat("no bramble-node package for ", options.board.architecture,
               ": make it by `tools/dev/packages ", options.board.architecture,
               "` in the sources, and name it with --deb"));
  }
  for (const std::string& deb : debs) {
    if (!std::filesystem::is_regular_file(deb)) {
      return absl::NotFoundError(StrCat("--deb ", deb, ": there is no such file"));
    }
    options.debs.push_back(std::filesystem::absolute(deb));
  }
  return absl::OkStatus();
}

absl::Status UseFormats(const std::vector<std::string>& formats, sdcard::BuildOptions& options) {
  options.zstd = options.xz = options.imager = false;
  for (const std::string& format : formats) {
    if (format == "zst") {
      options.zstd = true;
    } else if (format == "xz") {
      options.xz = true;
    } else if (format == "imager") {
      options.imager = true;
    } else if (format != "img") {
      return Misuse(StrCat("--formats: \"", format, "\" is none of img, zst, xz, imager"));
    }
  }
  return absl::OkStatus();
}

// SOURCE_DATE_EPOCH (reproducible-builds.org), else what the manifest says, else this morning, so
// that two builds of one day are equal.
int64_t Epoch(int64_t manifest_s, const Clock& clock) {
  if (const char* given = std::getenv("SOURCE_DATE_EPOCH"); given != nullptr) {
    int64_t seconds = 0;
    const std::string_view text(given);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error == std::errc() && end == text.data() + text.size() && seconds > 0) {
      return seconds;
    }
  }
  if (manifest_s > 0) {
    return manifest_s;
  }
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(clock.Wall().time_since_epoch()).count();
  return now / kDaySeconds * kDaySeconds;
}

std::filesystem::path CacheDirectory(const Args& args) {
  if (args.Has("cache")) {
    return std::filesystem::absolute(args.Text("cache"));
  }
  const char* xdg = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  return (xdg != nullptr && *xdg != '\0'
              ? std::filesystem::path(xdg)
              : std::filesystem::path(home == nullptr ? "/root" : home) / ".cache") /
         "bramble/sdcard";
}

absl::Status RunBuild(const Args& args, Session& session) {
  Wanted wanted;
  if (args.Has("manifest")) {
    BRAMBLE_RETURN_IF_ERROR(ReadManifest(args.Text("manifest"), wanted));
  }
  BRAMBLE_RETURN_IF_ERROR(ReadFlags(args, wanted));
  if (wanted.board.empty()) {
    return Misuse("name the board: --board pi-arm64, pi-armhf or pi5-arm64");
  }
  sdcard::BuildOptions options;
  options.data = SdcardData();
  BRAMBLE_ASSIGN_OR_RETURN(const auto boards, sdcard::LoadBoards(options.data / "boards"));
  BRAMBLE_ASSIGN_OR_RETURN(options.board, sdcard::FindBoard(boards, wanted.board));
  options.suite = wanted.suite;
  options.mirror = wanted.mirror;
  options.packages = wanted.packages;
  options.card_bytes = static_cast<uint64_t>(wanted.size.count);
  options.swap_bytes = static_cast<uint64_t>(wanted.swap.count);
  options.time_s = Epoch(wanted.epoch_s, session.clock);
  options.cache = CacheDirectory(args);
  options.out = std::filesystem::absolute(args.Text("out", "."));
  options.sign_key = args.Text("sign-key");
  options.say = [&session](const std::string& text) {
    session.err << Printable(text) << '\n' << std::flush;
  };
  BRAMBLE_RETURN_IF_ERROR(UseFormats(wanted.formats, options));
  BRAMBLE_ASSIGN_OR_RETURN(options.settings, CardSettingsOf(args));
  BRAMBLE_ASSIGN_OR_RETURN(sdcard::Layer node, sdcard::LoadLayer(options.data / "layers/node"));
  options.layers.push_back(std::move(node));
  for (const std::string& directory : wanted.layers) {
    BRAMBLE_ASSIGN_OR_RETURN(sdcard::Layer layer,
                             sdcard::LoadLayer(std::filesystem::absolute(directory)));
    options.layers.push_back(std::move(layer));
  }
  BRAMBLE_RETURN_IF_ERROR(sdcard::CheckBuild(options));
  BRAMBLE_RETURN_IF_ERROR(UseDebs(wanted, options));
  BRAMBLE_ASSIGN_OR_RETURN(const auto made, sdcard::Build(options));
  for (const std::filesystem::path& path : made) {
    session.out << Printable(path.string()) << '\n';
  }
  return absl::OkStatus();
}

absl::Status RunAssemble(const Args& args, Session& session) {
  sdcard::AssembleOptions options;
  options.tree = args.Positional(0);
  options.boot = args.Positional(1);
  options.out = args.Positional(2);
  options.time_s = Epoch(0, session.clock);
  BRAMBLE_ASSIGN_OR_RETURN(const auto size, args.Size("size"));
  BRAMBLE_ASSIGN_OR_RETURN(const auto swap, args.Size("swap"));
  options.card_bytes = size.has_value() ? static_cast<uint64_t>(size->count) : options.card_bytes;
  options.swap_bytes = swap.has_value() ? static_cast<uint64_t>(swap->count) : options.swap_bytes;
  sdcard::BuildOptions formats;
  BRAMBLE_RETURN_IF_ERROR(UseFormats(
      args.Has("formats") ? Words(args.Texts("formats")) : std::vector<std::string>(), formats));
  options.zstd = formats.zstd;
  options.xz = formats.xz;
  BRAMBLE_RETURN_IF_ERROR(sdcard::Assemble(options));
  session.out << Printable(options.out.string()) << '\n';
  return absl::OkStatus();
}

std::vector<Flag> Flags() {
  const Completes files = Completes::kFiles;
  std::vector<Flag> flags = {
      {.name = "board", .value = "NAME", .help = "pi-arm64, pi-armhf or pi5-arm64"},
      {.name = "out", .value = "DIR", .help = "where the files go (.)", .completes = files},
      {.name = "manifest",
       .value = "FILE",
       .help = "a TOML file that says what these flags say",
       .completes = files},
      {.name = "size",
       .value = "SIZE",
       .help = "of the card (31998345216: any card sold as 32 GB)"},
      {.name = "swap", .value = "SIZE", .help = "of the swap partition (1GiB); 0: none"},
      {.name = "suite", .value = "NAME", .help = "Debian bookworm or trixie (the board's first)"},
      {.name = "mirror", .value = "URL", .help = "of Debian (this machine's own)"},
      {.name = "packages",
       .value = "LIST",
       .help = "more Debian packages, comma-separated",
       .repeats = true},
      {.name = "layer",
       .value = "DIR",
       .help = "a layer of yours: layer.toml and tree/",
       .repeats = true,
       .completes = files},
      {.name = "deb",
       .value = "FILE",
       .help = "the bramble-node package for the board",
       .repeats = true,
       .completes = files},
      {.name = "formats",
       .value = "LIST",
       .help = "beside the raw image: zst, xz, imager (zst,imager)",
       .repeats = true},
      {.name = "sign-key",
       .value = "FILE",
       .help = "a P-256 key (PEM) that signs SHA256SUMS",
       .completes = files},
      {.name = "cache",
       .value = "DIR",
       .help = "what is kept between builds (~/.cache/bramble/sdcard)",
       .completes = files},
  };
  for (Flag& flag : CardSettingsFlags()) {
    flags.push_back(std::move(flag));
  }
  return flags;
}

}  // namespace

std::vector<Command> SdcardBuildCommands() {
  return {
      {.path = "sdcard build",
       .summary = "Make the image of a card from Debian's packages and ours.",
       .flags = Flags(),
       .details = "Needs mmdebstrap and qemu-user-static.  The first build installs a Debian "
                  "(minutes); it is kept,\n"
                  "and another host name, token or size then takes seconds.",
       .examples = "bramble sdcard build --board pi-arm64 --out images --token-file token "
                   "--ssh-key ~/.ssh/id_ed25519.pub",
       .run = RunBuild},
      {.path = "sdcard assemble",
       .summary = "Make an image of a root tree and a directory of boot files that are there.",
       .positionals =
           {{.name = "TREE", .help = "the root's files", .completes = Completes::kFiles},
            {.name = "BOOT", .help = "the boot partition's files", .completes = Completes::kFiles},
            {.name = "IMAGE", .help = "the image to make", .completes = Completes::kFiles}},
       .flags = {{.name = "size", .value = "SIZE", .help = "of the card (31998345216)"},
                 {.name = "swap", .value = "SIZE", .help = "of the swap partition (1GiB); 0: none"},
                 {.name = "formats",
                  .value = "LIST",
                  .help = "beside the raw image: zst, xz",
                  .repeats = true}},
       .examples = "bramble sdcard assemble tree boot my.img --size 4GiB",
       .run = RunAssemble},
  };
}

}  // namespace bramble::cli
