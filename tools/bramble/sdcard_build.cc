// SPDX-License-Identifier: Apache-2.0
// sdcard build: an image from Debian's packages and ours.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>

#include "base/config.h"
#include "base/file.h"
#include "base/status.h"
#include "base/subprocess.h"
#include "sdcard-image/rootfs/build.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/sdcard_paths.h"
#include "tools/bramble/sdcard_settings_flags.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

constexpr int64_t kDaySeconds = 86400;
constexpr size_t kMaxCommandLineBytes = 1 << 20;

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
  std::string kernel_suite;
  std::string mirror;
  std::string url;
  std::string settings;  // a file
  std::string sign_key;
  std::string packages_digest;
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
  // Files are named from where the manifest is.
  const std::filesystem::path here = std::filesystem::absolute(path).parent_path();
  const auto file_of = [&](std::string_view key) {
    const std::string name = reader.String(key);
    return name.empty() ? name : (here / name).string();
  };
  const auto files_of = [&](std::string_view key) {
    std::vector<std::string> names = reader.Strings(key);
    for (std::string& name : names) {
      name = (here / name).string();
    }
    return names;
  };
  wanted.board = reader.String("board", wanted.board);
  wanted.suite = reader.String("suite", wanted.suite);
  wanted.kernel_suite = reader.String("kernel_suite");
  wanted.mirror = reader.String("mirror", wanted.mirror);
  wanted.url = reader.String("url");
  wanted.packages = reader.Strings("packages");
  wanted.layers = files_of("layers");
  wanted.debs = files_of("debs");
  wanted.settings = file_of("settings");
  wanted.sign_key = file_of("sign_key");
  wanted.formats = reader.Strings("formats", wanted.formats);
  wanted.size = reader.Size("size", wanted.size);
  wanted.swap = reader.Size("swap", wanted.swap);
  wanted.epoch_s = reader.Int("source_date_epoch", wanted.epoch_s, {.min = 0, .max = INT32_MAX});
  ConfigReader made_of = reader.Table("made_of");
  wanted.packages_digest = made_of.String("packages");
  reader.Merge(made_of.Finish());
  return reader.Finish();
}

absl::Status ReadFlags(const Args& args, Wanted& wanted) {
  wanted.board = args.Text("board", wanted.board);
  wanted.suite = args.Text("suite", wanted.suite);
  wanted.kernel_suite = args.Text("kernel-suite", wanted.kernel_suite);
  wanted.mirror = args.Text("mirror", wanted.mirror);
  wanted.url = args.Text("url", wanted.url);
  wanted.sign_key = args.Text("sign-key", wanted.sign_key);
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

// Files of a card belong to users that only root may make.  Whoever is not root becomes the root of
// a user namespace with the ids that /etc/subuid gives: this program, once more, from the start.
absl::Status BecomeRootOfNamespace() {
  if (::geteuid() == 0) {
    return absl::OkStatus();
  }
  std::vector<std::string> argv = {"unshare", "--user", "--map-root-user", "--map-auto", "--"};
  bramble::Command probe{.argv = argv};
  probe.argv.emplace_back("true");
  if (const absl::StatusOr<std::string> works = RunCommandForOutput(probe); !works.ok()) {
    return absl::FailedPreconditionError(
        StrCat("without root this needs user namespaces, and a range of ids for you in /etc/subuid "
               "and /etc/subgid (apt install uidmap; usermod --add-subuids 100000-165535 "
               "--add-subgids 100000-165535 YOU): ",
               MessageOf(works.status())));
  }
  BRAMBLE_ASSIGN_OR_RETURN(std::string words, ReadFile("/proc/self/cmdline", kMaxCommandLineBytes));
  std::error_code ignored;
  argv.push_back(std::filesystem::read_symlink("/proc/self/exe", ignored).string());
  for (size_t at = words.find('\0') + 1; at < words.size();) {
    argv.emplace_back(words.c_str() + at);
    at += argv.back().size() + 1;
  }
  std::vector<char*> pointers;
  for (std::string& word : argv) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  ::execvp(pointers[0], pointers.data());
  return ErrnoStatus(errno, "unshare");
}

absl::StatusOr<sdcard::CardSettings> SettingsOf(const Args& args, const Wanted& wanted) {
  BRAMBLE_ASSIGN_OR_RETURN(const sdcard::CardSettings given, CardSettingsOf(args));
  if (wanted.settings.empty()) {
    return given;
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::string text,
                           ReadFile(wanted.settings, sdcard::kMaxSettingsBytes));
  BRAMBLE_ASSIGN_OR_RETURN(sdcard::CardSettings there,
                           sdcard::ParseCardSettings(text, wanted.settings));
  return sdcard::Merge(std::move(there), given);
}

absl::Status RunBuild(const Args& args, Session& session) {
  LookInSystemDirectories();
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
  options.kernel_suite = wanted.kernel_suite;
  options.mirror = wanted.mirror;
  options.url = wanted.url;
  options.packages_digest = wanted.packages_digest;
  options.refresh = args.Has("refresh");
  options.packages = wanted.packages;
  options.card_bytes = static_cast<uint64_t>(wanted.size.count);
  options.swap_bytes = static_cast<uint64_t>(wanted.swap.count);
  options.time_s = Epoch(wanted.epoch_s, session.clock);
  options.cache = CacheDirectory(args);
  options.out = std::filesystem::absolute(args.Text("out", "."));
  options.sign_key = wanted.sign_key;
  options.say = [&session](const std::string& text) {
    session.err << Printable(text) << '\n' << std::flush;
  };
  BRAMBLE_RETURN_IF_ERROR(UseFormats(wanted.formats, options));
  BRAMBLE_ASSIGN_OR_RETURN(options.settings, SettingsOf(args, wanted));
  BRAMBLE_ASSIGN_OR_RETURN(sdcard::Layer node, sdcard::LoadLayer(options.data / "layers/node"));
  options.layers.push_back(std::move(node));
  for (const std::string& directory : wanted.layers) {
    BRAMBLE_ASSIGN_OR_RETURN(sdcard::Layer layer,
                             sdcard::LoadLayer(std::filesystem::absolute(directory)));
    options.layers.push_back(std::move(layer));
  }
  BRAMBLE_RETURN_IF_ERROR(sdcard::CheckBuild(options));
  BRAMBLE_RETURN_IF_ERROR(UseDebs(wanted, options));
  BRAMBLE_RETURN_IF_ERROR(BecomeRootOfNamespace());
  BRAMBLE_ASSIGN_OR_RETURN(const auto made, sdcard::Build(options));
  for (const std::filesystem::path& path : made) {
    session.out << Printable(path.string()) << '\n';
  }
  return absl::OkStatus();
}

absl::Status RunAssemble(const Args& args, Session& session) {
  LookInSystemDirectories();
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
      {.name = "kernel-suite",
       .value = "NAME",
       .help = "take the kernel from this suite: trixie-backports (the board's)"},
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
      {.name = "url",
       .value = "URL",
       .help = "where Raspberry Pi Imager will find the files (where they are made)"},
      {.name = "refresh", .value = "", .help = "take today's packages, not those that are kept"},
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
       .details = "Needs mmdebstrap and qemu-user-static, and no root where user namespaces are "
                  "allowed.  The first build\n"
                  "installs a Debian (minutes); it is kept, and another host name, token or size "
                  "then takes seconds.\n"
                  "The .toml beside the image builds it again.",
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
