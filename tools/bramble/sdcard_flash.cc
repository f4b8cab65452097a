// SPDX-License-Identifier: Apache-2.0
// sdcard flash: an image onto one card or a row of them.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/status.h"
#include "sdcard-image/card/edit_card.h"
#include "sdcard-image/disk/image_reader.h"
#include "sdcard-image/flash/flash.h"
#include "sdcard-image/flash/target.h"
#include "tools/bramble/operation_wait.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/sdcard_settings_flags.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

constexpr size_t kMaxCards = 64;

std::string SizeText(uint64_t bytes) { return ToString(Bytes{static_cast<int64_t>(bytes)}); }

absl::StatusOr<std::optional<sdcard::Bmap>> ReadMap(const Args& args) {
  std::filesystem::path map;
  if (args.Has("bmap")) {
    map = args.Text("bmap");
  } else {
    std::filesystem::path image = args.Positional(0);
    std::error_code ignored;
    while (map.empty() && !image.extension().empty()) {
      if (std::filesystem::exists(image.string() + ".bmap", ignored)) {
        map = image.string() + ".bmap";
      }
      image.replace_extension();
    }
  }
  if (map.empty()) {
    return std::optional<sdcard::Bmap>();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::string text, ReadFile(map, sdcard::kMaxBmapBytes));
  BRAMBLE_ASSIGN_OR_RETURN(sdcard::Bmap bmap, sdcard::ParseBmap(text, map.string()));
  return std::optional(std::move(bmap));
}

// A target that is a file is made, and is as large as the image.
absl::Status PrepareFile(const std::filesystem::path& path, uint64_t bytes) {
  std::error_code ignored;
  if (std::filesystem::is_block_file(path, ignored)) {
    return absl::OkStatus();
  }
  if (std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored)) {
    return absl::InvalidArgumentError(StrCat(path.string(), ": neither a card nor a file"));
  }
  if (path.string().starts_with("/dev/")) {
    return absl::NotFoundError(
        StrCat(path.string(), ": no such device: is the card in its reader?"));
  }
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(path, O_RDWR | O_CREAT));
  const off_t size = ::lseek(fd.get(), 0, SEEK_END);
  if (size < static_cast<off_t>(bytes) && ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
    return ErrnoStatus(errno, path.string());
  }
  return absl::OkStatus();
}

absl::Status AskToErase(const std::vector<sdcard::TargetFacts>& targets, const Args& args,
                        Session& session) {
  for (const sdcard::TargetFacts& facts : targets) {
    session.err << "  " << Printable(facts.path) << "  " << SizeText(facts.bytes) << "  "
                << Printable(facts.model)
                << (facts.is_block_device && !facts.removable ? "  NOT REMOVABLE" : "") << '\n';
  }
  const bool only_files = std::none_of(targets.begin(), targets.end(),
                                       [](const auto& facts) { return facts.is_block_device; });
  if (args.Has("yes") || only_files) {
    return absl::OkStatus();
  }
  if (!session.screen.in_is_terminal) {
    return Misuse("nobody can be asked whether to erase them: say --yes");
  }
  session.err << "Everything on them is lost.  Type \"erase\" to go on: " << std::flush;
  std::string answer;
  std::getline(session.in, answer);
  return answer == "erase" ? absl::OkStatus() : absl::CancelledError("nothing was written");
}

struct Row {
  std::vector<std::unique_ptr<sdcard::FileDevice>> files;
  std::vector<sdcard::ByteDevice*> devices;
};

absl::StatusOr<Row> OpenTargets(const Args& args, uint64_t image_bytes, Session& session) {
  const std::vector<std::string> paths(args.positionals().begin() + 1, args.positionals().end());
  if (paths.size() > kMaxCards) {
    return Misuse(StrCat("at most ", kMaxCards, " cards at once"));
  }
  std::vector<sdcard::TargetFacts> targets;
  for (size_t i = 0; i < paths.size(); ++i) {
    if (std::find(paths.begin(), paths.begin() + static_cast<ptrdiff_t>(i), paths[i]) !=
        paths.begin() + static_cast<ptrdiff_t>(i)) {
      return Misuse(StrCat(paths[i], " is named twice"));
    }
    BRAMBLE_RETURN_IF_ERROR(PrepareFile(paths[i], image_bytes));
    BRAMBLE_ASSIGN_OR_RETURN(sdcard::TargetFacts facts, sdcard::GatherTargetFacts(paths[i]));
    BRAMBLE_RETURN_IF_ERROR(sdcard::CheckTarget(facts, image_bytes));
    targets.push_back(std::move(facts));
  }
  BRAMBLE_RETURN_IF_ERROR(AskToErase(targets, args, session));
  Row row;
  for (const std::string& path : paths) {
    BRAMBLE_ASSIGN_OR_RETURN(auto file,
                             sdcard::FileDevice::Open(path, sdcard::FileDevice::Mode::kExclusive));
    if (file->is_block_device() && !args.Has("no-probe")) {
      BRAMBLE_RETURN_IF_ERROR(sdcard::ProbeCapacity(*file, file->size()));
    }
    row.devices.push_back(file.get());
    row.files.push_back(std::move(file));
  }
  return row;
}

// What is different on each card: its settings, with a name that counts up.
absl::StatusOr<std::function<absl::Status(sdcard::ByteDevice&, size_t, std::string_view)>> Finisher(
    const Args& args, const Session& session) {
  const std::vector<Flag> flags = CardSettingsFlags();
  if (std::none_of(flags.begin(), flags.end(),
                   [&args](const Flag& flag) { return args.Has(flag.name); })) {
    return std::function<absl::Status(sdcard::ByteDevice&, size_t, std::string_view)>();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const sdcard::CardSettings given, CardSettingsOf(args));
  const int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(session.clock.Wall().time_since_epoch())
          .count();
  return [given, now](sdcard::ByteDevice& device, size_t index, std::string_view table) {
    sdcard::CardSettings mine = given;
    if (!mine.hostname.empty()) {
      mine.hostname = sdcard::HostNameOfCard(given.hostname, static_cast<int>(index));
    }
    return sdcard::EditCardSettingsBy(
        device, table,
        [&mine](sdcard::CardSettings there) { return sdcard::Merge(std::move(there), mine); }, now);
  };
}

absl::Status Report(const std::vector<sdcard::FlashResult>& results, std::chrono::nanoseconds spent,
                    Session& session) {
  size_t failed = 0;
  const double seconds = std::max(0.001, std::chrono::duration<double>(spent).count());
  for (const sdcard::FlashResult& result : results) {
    if (!result.status.ok()) {
      ++failed;
      session.out << Printable(result.device) << ": failed\n";
      session.err << Printable(MessageOf(result.status)) << '\n';
      continue;
    }
    session.out << Printable(result.device) << ": written and read back, "
                << SizeText(result.written_bytes) << " written, " << SizeText(result.same_bytes)
                << " there already, " << SizeText(result.retried_bytes) << " retried, "
                << static_cast<int64_t>(seconds * 10) / 10.0 << " s\n";
  }
  return failed == 0 ? absl::OkStatus()
                     : absl::DataLossError(StrCat(failed, " of ", results.size(), " cards failed"));
}

absl::Status RunFlash(const Args& args, Session& session) {
  BRAMBLE_ASSIGN_OR_RETURN(const auto image, sdcard::ImageReader::Open(args.Positional(0)));
  BRAMBLE_ASSIGN_OR_RETURN(const std::optional<sdcard::Bmap> bmap, ReadMap(args));
  if (bmap.has_value() && image->size().has_value() && *image->size() != bmap->image_bytes) {
    return absl::DataLossError(StrCat(args.Positional(0), " has ", *image->size(),
                                      " bytes and its block map says ", bmap->image_bytes,
                                      ": cut short, or the map of another image"));
  }
  const uint64_t bytes = bmap.has_value() ? bmap->image_bytes : image->size().value_or(0);
  sdcard::FlashOptions options;
  options.delta = args.Has("delta") || args.Has("resume");
  options.bmap = bmap.has_value() ? &*bmap : nullptr;
  BRAMBLE_ASSIGN_OR_RETURN(const auto retries, args.Int("retries", {.min = 0, .max = 100}));
  options.retries = static_cast<int>(retries.value_or(options.retries));
  BRAMBLE_ASSIGN_OR_RETURN(options.finish, Finisher(args, session));
  BRAMBLE_ASSIGN_OR_RETURN(Row row, OpenTargets(args, bytes, session));
  ProgressLine line(session);
  const BootTime begin = session.clock.Boot();
  options.progress = [&](const sdcard::FlashProgress& progress) {
    line.Show(sdcard::ProgressText(progress, session.clock.Boot() - begin, row.devices.size()));
  };
  absl::StatusOr<std::vector<sdcard::FlashResult>> results =
      sdcard::Flash(*image, row.devices, options);
  line.Clear();
  BRAMBLE_RETURN_IF_ERROR(Annotate(results.status(), args.Positional(0)));
  return Report(*results, session.clock.Boot() - begin, session);
}

std::vector<Flag> Flags() {
  std::vector<Flag> flags = {
      {.name = "yes", .value = "", .help = "erase without asking", .letter = 'y'},
      {.name = "delta", .value = "", .help = "read first, and write only the 4 MiB that differ"},
      {.name = "resume", .value = "", .help = "go on with a card whose flashing was interrupted"},
      {.name = "bmap",
       .value = "FILE",
       .help = "the block map (the one beside IMAGE)",
       .completes = Completes::kFiles},
      {.name = "retries", .value = "N", .help = "how often a bad piece is written anew (3)"},
      {.name = "no-probe", .value = "", .help = "do not look for counterfeit cards first"},
  };
  for (Flag& flag : CardSettingsFlags()) {
    flags.push_back(std::move(flag));
  }
  return flags;
}

}  // namespace

std::vector<Command> SdcardFlashCommands() {
  return {
      {.path = "sdcard flash",
       .summary = "Write an image to one or several cards, and read it back.",
       .positionals = {{.name = "IMAGE",
                        .help = "raw, .zst or .xz",
                        .completes = Completes::kFiles},
                       {.name = "DEVICE",
                        .help = "/dev/sdb, /dev/mmcblk0, or a file",
                        .completes = Completes::kFiles,
                        .repeats = true}},
       .flags = Flags(),
       .details = "Writes only what is in use, compares what it wrote, and writes the partition "
                  "table last:\n"
                  "an interrupted card does not boot, and --resume goes on where it ended.",
       .examples =
           "bramble sdcard flash pi-arm64.img.zst /dev/sdb\n"
           "bramble sdcard flash pi-arm64.img /dev/sdb /dev/sdc /dev/sdd --hostname pi-01 --yes",
       .run = RunFlash}};
}

}  // namespace bramble::cli
