// SPDX-License-Identifier: Apache-2.0
// sdcard inspect, sdcard verify: what is in an image, and whether it is whole and will boot.
#include <algorithm>

#include "base/certificate.h"
#include "base/encoding.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "sdcard-image/boards/board.h"
#include "sdcard-image/disk/bmap_check.h"
#include "sdcard-image/disk/image_reader.h"
#include "sdcard-image/disk/layout.h"
#include "sdcard-image/inspect/inspect.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/sdcard_paths.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

using sdcard::Finding;

constexpr size_t kMaxSumsBytes = 1 << 20;

std::string SizeText(uint64_t bytes) {
  return StrCat(bytes, " (", ToString(Bytes{static_cast<int64_t>(bytes)}), ")");
}

// The boards that --board names, else those that the image claims.
absl::StatusOr<std::vector<sdcard::Board>> BoardsFor(const Args& args,
                                                     const sdcard::ImageFacts& facts) {
  std::vector<std::string> names = args.Texts("board");
  if (names.empty()) {
    names = sdcard::ClaimedBoards(facts);
  }
  std::vector<sdcard::Board> boards;
  if (names.empty()) {
    return boards;
  }
  BRAMBLE_ASSIGN_OR_RETURN(const auto known, sdcard::LoadBoards(SdcardData() / "boards"));
  for (const std::string& name : names) {
    BRAMBLE_ASSIGN_OR_RETURN(sdcard::Board board, sdcard::FindBoard(known, name));
    boards.push_back(std::move(board));
  }
  return boards;
}

std::vector<Finding> AllFindings(const sdcard::ImageFacts& facts,
                                 const std::vector<sdcard::Board>& boards) {
  std::vector<Finding> findings = sdcard::LintBoot(facts.boot, boards);
  for (const std::string& damage : facts.damage) {
    findings.push_back({Finding::Weight::kError, damage, "make the image or the card anew"});
  }
  return findings;
}

json::object ToJson(const sdcard::ImageFacts& facts, const std::vector<Finding>& findings) {
  json::array partitions;
  for (const sdcard::PartitionFacts& part : facts.partitions) {
    json::object row = {{"number", part.number},
                        {"type", sdcard::MbrTypeName(part.entry.type)},
                        {"start_bytes", part.entry.offset()},
                        {"end_bytes", part.entry.end()},
                        {"size_bytes", part.entry.bytes()},
                        {"start_aligned", part.start_aligned},
                        {"end_aligned", part.end_aligned},
                        {"holds", part.holds},
                        {"label", part.label}};
    if (part.free_bytes.has_value()) {
      row["free_bytes"] = *part.free_bytes;
    }
    partitions.push_back(std::move(row));
  }
  json::array wrong;
  for (const Finding& finding : findings) {
    wrong.push_back({{"weight", finding.weight == Finding::Weight::kError ? "error" : "warning"},
                     {"what", finding.what},
                     {"mend", finding.mend}});
  }
  return {{"name", facts.name},
          {"size_bytes", facts.bytes},
          {"kernel", facts.kernel_version},
          {"partitions", std::move(partitions)},
          {"settings", facts.settings},
          {"findings", std::move(wrong)}};
}

void PrintFindings(const std::vector<Finding>& findings, std::ostream& out) {
  for (const Finding& finding : findings) {
    out << (finding.weight == Finding::Weight::kError ? "error: " : "warning: ")
        << Printable(finding.what) << "\n    " << Printable(finding.mend) << '\n';
  }
}

void PrintFacts(const sdcard::ImageFacts& facts, std::ostream& out) {
  const auto line = [](bool aligned) { return aligned ? "yes" : "no"; };
  out << Printable(facts.name) << ": " << SizeText(facts.bytes)
      << ", ends on a line of 4 MiB: " << line(facts.bytes % sdcard::kUnitBytes == 0) << '\n';
  std::string table = "#\tTYPE\tHOLDS\tLABEL\tSTART\tON-4-MIB\tEND\tON-4-MIB\tFREE\n";
  for (const sdcard::PartitionFacts& part : facts.partitions) {
    table += StrCat(
        part.number, "\t", sdcard::MbrTypeName(part.entry.type), "\t", part.holds, "\t",
        part.label.empty() ? "-" : Printable(part.label), "\t", part.entry.offset(), "\t",
        line(part.start_aligned), "\t", part.entry.end(), "\t", line(part.end_aligned), "\t",
        part.free_bytes.has_value() ? ToString(Bytes{static_cast<int64_t>(*part.free_bytes)}) : "-",
        "\n");
  }
  out << table;
  if (!facts.kernel_version.empty()) {
    out << "kernel: " << Printable(facts.kernel_version) << '\n';
  }
  if (!facts.settings.empty()) {
    out << "bramble.toml:\n";
    std::string_view rest = facts.settings;
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      out << "    " << Printable(rest.substr(0, end)) << '\n';
      rest = end == std::string_view::npos ? "" : rest.substr(end + 1);
    }
  }
}

absl::StatusOr<sdcard::ImageFacts> Look(const Args& args) {
  LookInSystemDirectories();
  return sdcard::InspectImage(args.Positional(0), std::filesystem::temp_directory_path());
}

absl::Status Inspect(const Args& args, Session& session) {
  BRAMBLE_ASSIGN_OR_RETURN(const sdcard::ImageFacts facts, Look(args));
  BRAMBLE_ASSIGN_OR_RETURN(const auto boards, BoardsFor(args, facts));
  const std::vector<Finding> findings = AllFindings(facts, boards);
  std::string digest;
  if (args.Has("checksum")) {
    BRAMBLE_ASSIGN_OR_RETURN(const Sha256Digest all, sdcard::ImageDigest(args.Positional(0)));
    digest = all.Hex();
  }
  if (FormatOf(args) == Format::kJson) {
    json::object object = ToJson(facts, findings);
    if (!digest.empty()) {
      object["sha256"] = digest;
    }
    session.out << json::serialize(object) << '\n';
    return absl::OkStatus();
  }
  PrintFacts(facts, session.out);
  if (!digest.empty()) {
    session.out << "SHA-256, unpacked: " << digest << '\n';
  }
  PrintFindings(findings, session.out);
  return absl::OkStatus();
}

// IMAGE.bmap, or the image's name without .zst or .xz and with .bmap.
std::optional<std::filesystem::path> MapBeside(const std::filesystem::path& image) {
  std::filesystem::path name = image;
  for (int i = 0; i < 3; ++i) {
    const std::filesystem::path map = name.string() + ".bmap";
    std::error_code ignored;
    if (std::filesystem::exists(map, ignored)) {
      return map;
    }
    if (name.extension().empty()) {
      break;
    }
    name.replace_extension();
  }
  return std::nullopt;
}

absl::Status VerifyMap(const std::filesystem::path& image, const std::filesystem::path& map,
                       std::ostream& out) {
  BRAMBLE_ASSIGN_OR_RETURN(const std::string text, ReadFile(map, sdcard::kMaxBmapBytes));
  BRAMBLE_ASSIGN_OR_RETURN(const sdcard::Bmap bmap, sdcard::ParseBmap(text, map.string()));
  BRAMBLE_ASSIGN_OR_RETURN(const auto reader, sdcard::ImageReader::Open(image));
  sdcard::BmapCheck check(bmap);
  uint64_t end = 0;
  while (true) {
    BRAMBLE_ASSIGN_OR_RETURN(const auto piece, reader->Next());
    if (!piece.has_value()) {
      break;
    }
    BRAMBLE_RETURN_IF_ERROR(check.Take(*piece));
    end = piece->offset + piece->size;
  }
  BRAMBLE_RETURN_IF_ERROR(check.Finish(end));
  out << Printable(map.string()) << ": every range is what it says\n";
  return absl::OkStatus();
}

// The line of SHA256SUMS beside the image that names it, if there is one.
absl::Status VerifySum(const std::filesystem::path& image, std::ostream& out) {
  const std::filesystem::path sums = image.parent_path() / "SHA256SUMS";
  const absl::StatusOr<std::string> text = ReadFile(sums, kMaxSumsBytes);
  const std::string name = "  " + image.filename().string() + "\n";
  const size_t at = text.ok() ? text->find(name) : std::string::npos;
  if (at == std::string::npos || at < 64) {
    return absl::OkStatus();
  }
  BRAMBLE_ASSIGN_OR_RETURN(const auto file,
                           sdcard::FileDevice::Open(image, sdcard::FileDevice::Mode::kRead));
  Sha256Stream hash;
  std::string chunk(1 << 20, '\0');
  for (uint64_t done = 0; done < file->size(); done += chunk.size()) {
    chunk.resize(std::min<uint64_t>(chunk.size(), file->size() - done));
    BRAMBLE_RETURN_IF_ERROR(file->ReadAt(done, chunk.data(), chunk.size()));
    hash.Update(chunk);
  }
  if (hash.Finish().Hex() != text->substr(at - 64, 64)) {
    return absl::DataLossError(
        StrCat(image.string(), ": its SHA-256 is not the one in SHA256SUMS: copy it again"));
  }
  out << "SHA256SUMS: " << Printable(image.filename().string()) << " is what it says\n";
  return absl::OkStatus();
}

// A public key as `openssl pkey -pubout` writes it.
absl::StatusOr<PublicKey> LoadPublicKey(const std::filesystem::path& file) {
  constexpr std::string_view kBegin = "-----BEGIN PUBLIC KEY-----";
  BRAMBLE_ASSIGN_OR_RETURN(const std::string pem, ReadFile(file, kMaxSumsBytes));
  const size_t begin = pem.find(kBegin);
  const size_t end = pem.find("-----END");
  if (begin == std::string::npos || end == std::string::npos || end < begin) {
    return absl::InvalidArgumentError(StrCat(
        file.string(), ": no public key: make one by `openssl pkey -in KEY -pubout -out FILE`"));
  }
  std::string text = pem.substr(begin + kBegin.size(), end - begin - kBegin.size());
  std::erase_if(text, [](char c) { return c == '\n' || c == '\r' || c == '='; });
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  BRAMBLE_ASSIGN_OR_RETURN(const std::string der, Base64UrlDecode(text));
  return PublicKey::FromDer(der);
}

// SHA256SUMS beside the image bears a signature of this key.
absl::Status VerifySignature(const std::filesystem::path& image, const std::filesystem::path& key,
                             std::ostream& out) {
  const std::filesystem::path sums = image.parent_path() / "SHA256SUMS";
  BRAMBLE_ASSIGN_OR_RETURN(const PublicKey signer, LoadPublicKey(key));
  BRAMBLE_ASSIGN_OR_RETURN(const std::string text, ReadFile(sums, kMaxSumsBytes));
  BRAMBLE_ASSIGN_OR_RETURN(const std::string signature,
                           ReadFile(sums.string() + ".sig", kMaxSumsBytes));
  if (!signer.Verify(text, signature).ok()) {
    return absl::DataLossError(
        StrCat(sums.string(), ": was not signed by ", key.string(), ", or changed afterwards"));
  }
  if (text.find("  " + image.filename().string() + "\n") == std::string::npos) {
    return absl::DataLossError(
        StrCat(sums.string(), " is signed, and does not name ", image.filename().string()));
  }
  out << "SHA256SUMS.sig: signed by " << Printable(key.string()) << '\n';
  return absl::OkStatus();
}

absl::Status Verify(const Args& args, Session& session) {
  const std::filesystem::path image = args.Positional(0);
  if (args.Has("key")) {
    BRAMBLE_RETURN_IF_ERROR(VerifySignature(image, args.Text("key"), session.out));
  }
  std::optional<std::filesystem::path> map = MapBeside(image);
  if (args.Has("bmap")) {
    map = args.Text("bmap");
  }
  if (map.has_value()) {
    BRAMBLE_RETURN_IF_ERROR(Annotate(VerifyMap(image, *map, session.out), image.string()));
  } else {
    session.err << "no block map beside the image: its contents are not compared\n";
  }
  BRAMBLE_RETURN_IF_ERROR(VerifySum(image, session.out));
  BRAMBLE_ASSIGN_OR_RETURN(const sdcard::ImageFacts facts, Look(args));
  BRAMBLE_ASSIGN_OR_RETURN(const auto boards, BoardsFor(args, facts));
  const std::vector<Finding> findings = AllFindings(facts, boards);
  PrintFindings(findings, session.out);
  size_t errors = 0;
  for (const Finding& finding : findings) {
    errors += finding.weight == Finding::Weight::kError ? 1 : 0;
  }
  if (errors > 0) {
    return absl::FailedPreconditionError(StrCat(image.string(), ": ", errors,
                                                errors == 1 ? " error" : " errors",
                                                ": a board would not boot from it"));
  }
  session.out << Printable(image.string()) << ": good\n";
  return absl::OkStatus();
}

const Flag kBoardFlag = {.name = "board",
                         .value = "NAME",
                         .help = "judge it for this board (what the image says it is for)",
                         .repeats = true};
const Positional kImage = {.name = "IMAGE",
                           .help = "an image, raw, .zst or .xz, or a card",
                           .completes = Completes::kFiles};

}  // namespace

std::vector<Command> SdcardInspectCommands() {
  return {
      {.path = "sdcard inspect",
       .summary = "Show what an image or a card holds, and what is wrong with it.",
       .positionals = {kImage},
       .flags = {kBoardFlag,
                 {.name = "checksum",
                  .value = "",
                  .help = "and the SHA-256 of all its bytes, unpacked (up to a minute)"}},
       .answers = Answers::kObject,
       .details = "Works on anyone's image for a Raspberry Pi.  Secrets are not shown.",
       .examples =
           "bramble sdcard inspect pi-arm64.img\nbramble sdcard inspect /dev/sdb --board pi-arm64",
       .run = Inspect},
      {.path = "sdcard verify",
       .summary = "Check an image against its block map and sums, and that a board boots from it.",
       .positionals = {kImage},
       .flags = {kBoardFlag,
                 {.name = "bmap",
                  .value = "FILE",
                  .help = "its block map (the one beside it)",
                  .completes = Completes::kFiles},
                 {.name = "key",
                  .value = "FILE",
                  .help = "the public key (PEM) whose owner must have signed SHA256SUMS",
                  .completes = Completes::kFiles}},
       .details = "Exits 1 when anything is wrong that keeps a board from booting.",
       .examples = "bramble sdcard verify pi-arm64.img.zst",
       .run = Verify},
  };
}

}  // namespace bramble::cli
