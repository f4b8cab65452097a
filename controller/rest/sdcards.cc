// SPDX-License-Identifier: Apache-2.0
// /v1/sdcards: a card for this cluster.  The base images are what an operator has put into the
// state directory's `cards/`; what goes out is one of them with a join token of its own, made on
// the way.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "api/http_status.h"
#include "base/file.h"
#include "base/status.h"
#include "controller/coordinator_tokens.h"
#include "controller/one_shot.h"
#include "controller/rest/routes.h"
#include "sdcard-image/card/custom_zstd.h"

namespace bramble::controller {
namespace {

constexpr size_t kPieceBytes = 1 << 20;
constexpr size_t kMaxCards = 1000;
constexpr std::string_view kSuffix = ".img.zst";

struct CardRequest {
  std::string image;
  CreateToken token;
  sdcard::CardSettings settings;
};

// A plain file name: nothing leads out of the directory.
bool IsCardName(std::string_view name) {
  return name.size() > kSuffix.size() && name.size() < 200 && name.front() != '.' &&
         name.ends_with(kSuffix) && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_';
         });
}

absl::StatusOr<CardRequest> ReadCardRequest(const json::value& body) {
  JsonObjectReader reader(body, "sdcard", UnknownKeys::kRefuse);
  CardRequest card;
  card.image = reader.String("image", {.max = 200});
  card.token.max_uses =
      reader.OptionalInt("max_uses", {.min = 1, .max = kMaxTokenUses}).value_or(1);
  card.token.valid = std::chrono::seconds(
      reader.OptionalInt("expires_s", {.min = 1, .max = kMaxTokenValid.count()})
          .value_or(card.token.valid.count()));
  card.settings.hostname = reader.OptionalString("hostname", {.max = 63}).value_or("");
  card.settings.ssh_keys = reader.StringList("ssh_keys", sdcard::kMaxSshKeys);
  card.settings.controllers = reader.StringList("controllers", 16);
  card.settings.labels = reader.StringMap("labels", 64);
  if (!IsCardName(card.image)) {
    reader.Fail("image", "name one that GET /v1/sdcards lists");
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  // What the card's own parser would refuse is refused here, before a token is made.
  BRAMBLE_RETURN_IF_ERROR(Annotate(sdcard::FormatCardSettings(card.settings).status(), "sdcard"));
  return card;
}

asio::awaitable<Response> List(RestContext& context, Principal who) {
  if (!May(who, Access::kRead, "")) {
    co_return ProblemResponse(absl::NotFoundError("sdcards: not found"));
  }
  auto look = [directory = context.cards_dir]() -> absl::StatusOr<json::array> {
    std::vector<std::pair<std::string, uint64_t>> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
      const std::string name = entry.path().filename().string();
      std::error_code ignored;
      if (IsCardName(name) && entry.is_regular_file(ignored) && found.size() < kMaxCards) {
        found.emplace_back(name, entry.file_size(ignored));
      }
    }
    std::sort(found.begin(), found.end());
    json::array items;
    for (const auto& [name, bytes] : found) {
      items.push_back({{"name", name}, {"size_bytes", bytes}});
    }
    return items;
  };
  absl::StatusOr<json::array> items = co_await context.files.Run(std::move(look));
  if (!items.ok()) {
    co_return ProblemResponse(items.status());
  }
  json::object page;
  page["items"] = *std::move(items);
  co_return JsonResponse(api::kHttpOk, std::move(page));
}

// The parts in order, from the file and from memory.
asio::awaitable<absl::Status> SendParts(RestContext& context, std::shared_ptr<const Fd> file,
                                        std::shared_ptr<const sdcard::CustomZstd> made,
                                        ResponseWriter& out) {
  for (const sdcard::ZstdPart& part : made->parts) {
    for (uint64_t at = 0; at < part.size;) {
      const auto size = static_cast<size_t>(std::min<uint64_t>(part.size - at, kPieceBytes));
      std::string piece;
      if (!part.bytes.empty()) {
        piece = part.bytes.substr(at, size);
      } else {
        auto read = [file, offset = part.offset + at, size]() -> absl::StatusOr<std::string> {
          std::string bytes(size, '\0');
          const ssize_t got =
              ::pread(file->get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
          if (got != static_cast<ssize_t>(size)) {
            return got < 0 ? ErrnoStatus(errno, "sdcard")
                           : absl::DataLossError("sdcard: the image became shorter");
          }
          return bytes;
        };
        absl::StatusOr<std::string> bytes = co_await context.files.Run(std::move(read));
        if (!bytes.ok()) {
          co_return bytes.status();
        }
        piece = *std::move(bytes);
      }
      at += size;
      BRAMBLE_CO_RETURN_IF_ERROR(co_await out.Write(std::move(piece)));
    }
  }
  co_return absl::OkStatus();
}

asio::awaitable<absl::StatusOr<std::string>> NewToken(RestContext& context, Principal who,
                                                      CreateToken create, WriteOptions options) {
  OneShot<absl::StatusOr<Written>> written(context.loop);
  context.coordinator->tokens().Create(who, std::move(create), std::move(options), written.Taker());
  const absl::StatusOr<Written> result = co_await written.Wait(kWriteLimit, "token");
  if (!result.ok()) {
    co_return result.status();
  }
  if (result->object == nullptr) {
    co_return absl::InternalError("sdcard: a token that nobody made");
  }
  const absl::StatusOr<json::value> token = ParseJson(*result->object);
  if (!token.ok()) {
    co_return token.status();
  }
  JsonObjectReader reader(*token, "token");
  std::string secret = reader.String("join_token");
  const absl::Status read = reader.Finish();
  if (!read.ok()) {
    co_return read;
  }
  co_return secret;
}

asio::awaitable<Response> Create(RestContext& context, Principal who, Request& request) {
  const absl::StatusOr<json::value> body = JsonBodyOf(request, context.limits.body.count);
  if (!body.ok()) {
    co_return ProblemResponse(body.status());
  }
  absl::StatusOr<CardRequest> card = ReadCardRequest(*body);
  absl::StatusOr<WriteOptions> options = WriteOptionsOf(request);
  if (!card.ok() || !options.ok()) {
    co_return ProblemResponse(card.ok() ? options.status() : card.status());
  }
  const std::filesystem::path path = context.cards_dir / card->image;
  absl::StatusOr<Fd> fd = OpenFile(path, O_RDONLY | O_NOFOLLOW);
  if (!fd.ok()) {
    co_return ProblemResponse(absl::NotFoundError(
        StrCat("sdcard \"", card->image, "\": GET /v1/sdcards lists those that are there")));
  }
  CreateToken create = card->token;
  WriteOptions chosen = *std::move(options);
  absl::StatusOr<std::string> token =
      co_await NewToken(context, std::move(who), std::move(create), std::move(chosen));
  if (!token.ok()) {
    co_return ProblemResponse(token.status());
  }
  card->settings.join_token = *std::move(token);
  const int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(context.clock.Wall().time_since_epoch())
          .count();
  auto make = [path, settings = card->settings, now] {
    const auto change = [&settings](sdcard::CardSettings there) {
      return sdcard::Merge(std::move(there), settings);
    };
    return sdcard::CustomiseZstd(path, change, now);
  };
  absl::StatusOr<sdcard::CustomZstd> made = co_await context.files.Run(std::move(make));
  if (!made.ok()) {
    co_return ProblemResponse(made.status());
  }
  Response response;
  response.status = api::kHttpOk;
  response.content_type = "application/zstd";
  response.headers.Add("Content-Disposition", StrCat("attachment; filename=\"", card->image, "\""));
  response.headers.Add("Cache-Control", "no-store");
  auto file = std::make_shared<const Fd>(*std::move(fd));
  auto parts = std::make_shared<const sdcard::CustomZstd>(*std::move(made));
  response.body = StreamBody([&context, file, parts](ResponseWriter& out) {
    return SendParts(context, file, parts, out);
  });
  co_return response;
}

}  // namespace

void AddSdcardRoutes(Router& router, RestContext& context) {
  router.Add("GET", "/v1/sdcards", AuthorisedRoute(context, [&context](Principal who, Request&) {
               return List(context, std::move(who));
             }));
  router.Add("POST", "/v1/sdcards",
             AuthorisedRoute(context, [&context](Principal who, Request& request) {
               return Create(context, std::move(who), request);
             }));
}

}  // namespace bramble::controller
