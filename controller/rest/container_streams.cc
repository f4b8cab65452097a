// SPDX-License-Identifier: Apache-2.0
// /v1/containers/{name}/{exec,console,logs,files} and /v1/streams/{ticket}: what goes through a
// node.
#include "api/http_status.h"
#include "base/status.h"
#include "controller/nodes/stream_broker.h"
#include "controller/rest/routes.h"

#include "absl/strings/numbers.h"

namespace bramble::controller {
namespace {

constexpr size_t kMaxCommandWords = 1000;
constexpr size_t kMaxWordBytes = 128 * 1024;  // MAX_ARG_STRLEN, Linux binfmts.h
constexpr int64_t kMaxTerminal = 10'000;
constexpr int64_t kMaxTailLines = 1'000'000;
constexpr size_t kMaxPath = 4096;
constexpr std::chrono::seconds kFirstFrameLimit{30};

absl::StatusOr<StreamBroker::Request> StreamRequest(RestContext& context, const Principal& who,
                                                    const Request& request,
                                                    api::OpenStream stream) {
  BRAMBLE_ASSIGN_OR_RETURN(const StreamTarget target,
                           context.coordinator->containers().FindStreamTarget(
                               who, {.name_or_id = request.Param("name")}));
  return StreamBroker::Request{.target = target, .stream = std::move(stream)};
}

absl::StatusOr<api::OpenStream> ExecOf(const json::value& body) {
  JsonObjectReader reader(body, "exec", UnknownKeys::kRefuse);
  api::OpenStream stream;
  stream.kind = api::StreamKind::kExec;
  const StringLimits word{.max = kMaxWordBytes, .allow_control = true};
  stream.command = reader.StringList("command", kMaxCommandWords, word);
  stream.environment = reader.StringMap("environment", api::kMaxEnvironment, word);
  stream.user = reader.OptionalString("user", {.max = 64}).value_or("");
  stream.working_directory =
      reader.OptionalString("working_directory", {.max = kMaxPath}).value_or("");
  stream.tty = reader.OptionalBool("tty").value_or(false);
  stream.interactive = reader.OptionalBool("interactive").value_or(false);
  stream.rows = reader.OptionalInt("rows", {.min = 0, .max = kMaxTerminal}).value_or(0);
  stream.columns = reader.OptionalInt("columns", {.min = 0, .max = kMaxTerminal}).value_or(0);
  if (stream.command.empty() || stream.command[0].empty()) {
    reader.Fail("command", "expected a list with the program first, such as [\"ls\", \"-l\"]");
  }
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return stream;
}

absl::StatusOr<api::OpenStream> ConsoleOf(const json::value& body) {
  JsonObjectReader reader(body, "console", UnknownKeys::kRefuse);
  api::OpenStream stream;
  stream.kind = api::StreamKind::kConsole;
  stream.tty = true;
  stream.interactive = true;
  stream.rows = reader.OptionalInt("rows", {.min = 0, .max = kMaxTerminal}).value_or(0);
  stream.columns = reader.OptionalInt("columns", {.min = 0, .max = kMaxTerminal}).value_or(0);
  BRAMBLE_RETURN_IF_ERROR(reader.Finish());
  return stream;
}

using StreamReader = absl::StatusOr<api::OpenStream> (*)(const json::value& body);

Route TicketRoute(RestContext& context, StreamReader read) {
  Route route;
  route.direct = [&context, read](Request& request) {
    const auto issue = [&]() -> absl::StatusOr<std::string> {
      BRAMBLE_ASSIGN_OR_RETURN(const Principal who, PrincipalOf(context, request));
      BRAMBLE_ASSIGN_OR_RETURN(const json::value body,
                               JsonBodyOf(request, context.limits.body.count));
      BRAMBLE_ASSIGN_OR_RETURN(api::OpenStream stream, read(body));
      BRAMBLE_ASSIGN_OR_RETURN(StreamBroker::Request wanted,
                               StreamRequest(context, who, request, std::move(stream)));
      return context.streams.Issue(std::move(wanted));
    };
    const absl::StatusOr<std::string> ticket = issue();
    if (!ticket.ok()) {
      return ProblemResponse(ticket.status());
    }
    return JsonResponse(api::kHttpCreated,
                        {{"ticket", *ticket}, {"url", StrCat("/v1/streams/", *ticket)}});
  };
  return route;
}

asio::awaitable<Response> OpenSocket(RestContext& context, Request& request) {
  absl::StatusOr<StreamBroker::Request> wanted = context.streams.Redeem(request.Param("ticket"));
  if (!wanted.ok()) {
    co_return ProblemResponse(wanted.status());
  }
  StreamBroker::Request open = *std::move(wanted);
  absl::StatusOr<std::shared_ptr<NodeEnd>> node = co_await context.streams.Open(std::move(open));
  if (!node.ok()) {
    co_return ProblemResponse(node.status());
  }
  Response response;
  WebSocketBody socket;
  socket.options = StreamSocketOptions();
  // Given away by its only run, so that nothing here keeps the node's end.
  socket.run = [&context, held = std::make_shared<std::shared_ptr<NodeEnd>>(*std::move(node))](
                   std::unique_ptr<WebSocket> person) {
    return context.streams.Bridge(std::move(person), std::move(*held));
  };
  response.body = std::move(socket);
  co_return response;
}

// ---- Logs and pulled files: the node's output as the body of a GET.

using Received = absl::StatusOr<std::optional<WebSocketMessage>>;

// The next bytes of standard output; nullopt at the stream's good end.
absl::StatusOr<std::optional<std::string>> OutputOf(Received message) {
  BRAMBLE_RETURN_IF_ERROR(message.status());
  if (!message->has_value()) {
    return absl::UnavailableError("stream: the node closed it before its end");
  }
  BRAMBLE_ASSIGN_OR_RETURN(const StreamFrame frame, ParseFrame(**message));
  if (const std::optional<absl::Status> end = EndOf(frame)) {
    BRAMBLE_RETURN_IF_ERROR(*end);
    return std::nullopt;
  }
  return frame.channel == StreamChannel::kOut ? std::string(frame.bytes) : std::string();
}

asio::awaitable<absl::Status> CopyOutput(std::shared_ptr<NodeEnd> node, std::string first,
                                         bool more, ResponseWriter& out) {
  std::string bytes = std::move(first);
  while (true) {
    if (!bytes.empty()) {
      BRAMBLE_CO_RETURN_IF_ERROR(co_await out.Write(std::move(bytes)));
    }
    if (!more) {
      co_return absl::OkStatus();
    }
    Received message = co_await node->socket().Receive();
    BRAMBLE_CO_ASSIGN_OR_RETURN(std::optional<std::string> next, OutputOf(std::move(message)));
    more = next.has_value();
    bytes = std::move(next).value_or("");
  }
}

asio::awaitable<Response> SendOutput(RestContext& context, StreamBroker::Request wanted,
                                     std::string content_type) {
  const bool follow = wanted.stream.follow;
  absl::StatusOr<std::shared_ptr<NodeEnd>> node = co_await context.streams.Open(std::move(wanted));
  if (!node.ok()) {
    co_return ProblemResponse(node.status());
  }
  std::optional<std::string> first = "";
  if (!follow) {
    // What went wrong comes before any byte: it can still be the answer.
    auto receive = (*node)->socket().Receive();
    Received message = co_await WithDeadline(std::move(receive), kFirstFrameLimit, "stream");
    absl::StatusOr<std::optional<std::string>> output = OutputOf(std::move(message));
    if (!output.ok()) {
      co_return ProblemResponse(output.status());
    }
    first = *std::move(output);
  }
  Response response;
  response.status = api::kHttpOk;
  response.content_type = std::move(content_type);
  response.headers.Add("Cache-Control", "no-store");
  StreamBody body = [held = *std::move(node), bytes = first.value_or(""), more = first.has_value()](
                        ResponseWriter& out) { return CopyOutput(held, bytes, more, out); };
  response.body = std::move(body);
  co_return response;
}

asio::awaitable<Response> Logs(RestContext& context, Principal who, Request& request) {
  const auto read = [&]() -> absl::StatusOr<StreamBroker::Request> {
    BRAMBLE_RETURN_IF_ERROR(RefuseOtherQueries(request, {"tail", "follow"}));
    api::OpenStream stream;
    stream.kind = api::StreamKind::kLogs;
    BRAMBLE_ASSIGN_OR_RETURN(const std::optional<int64_t> tail,
                             IntQuery(request, "tail", {.min = 0, .max = kMaxTailLines}));
    stream.tail_lines = tail.value_or(0);
    BRAMBLE_ASSIGN_OR_RETURN(stream.follow, BoolQuery(request, "follow"));
    return StreamRequest(context, who, request, std::move(stream));
  };
  absl::StatusOr<StreamBroker::Request> wanted = read();
  if (!wanted.ok()) {
    co_return ProblemResponse(wanted.status());
  }
  StreamBroker::Request open = *std::move(wanted);
  co_return co_await SendOutput(context, std::move(open), "text/plain; charset=utf-8");
}

// ---- Files

absl::StatusOr<std::string> PathOf(const Request& request) {
  const std::string_view path = request.Query("path").value_or("");
  const std::string framed = StrCat(path, "/");
  const bool control = path.find_first_of(std::string_view("\0\n\r", 3)) != std::string_view::npos;
  if (!path.starts_with('/') || path.size() > kMaxPath || control ||
      framed.find("/../") != std::string::npos) {
    return absl::InvalidArgumentError(
        "path: expected an absolute path in the container without \"..\", such as /etc/hostname");
  }
  return std::string(path);
}

// ?format=tar: a directory as a tar archive; without it a file's bytes.
absl::StatusOr<bool> IsTree(const Request& request) {
  const std::optional<std::string_view> format = request.Query("format");
  if (format.has_value() && *format != "tar" && *format != "raw") {
    return absl::InvalidArgumentError("format: expected tar (a directory) or raw (a file)");
  }
  return format == "tar";
}

asio::awaitable<Response> Pull(RestContext& context, Principal who, Request& request) {
  const auto read = [&]() -> absl::StatusOr<StreamBroker::Request> {
    BRAMBLE_RETURN_IF_ERROR(RefuseOtherQueries(request, {"path", "format"}));
    api::OpenStream stream;
    stream.kind = api::StreamKind::kPull;
    BRAMBLE_ASSIGN_OR_RETURN(stream.tree, IsTree(request));
    BRAMBLE_ASSIGN_OR_RETURN(stream.path, PathOf(request));
    return StreamRequest(context, who, request, std::move(stream));
  };
  absl::StatusOr<StreamBroker::Request> wanted = read();
  if (!wanted.ok()) {
    co_return ProblemResponse(wanted.status());
  }
  StreamBroker::Request open = *std::move(wanted);
  std::string type = open.stream.tree ? "application/x-tar" : "application/octet-stream";
  co_return co_await SendOutput(context, std::move(open), std::move(type));
}

absl::StatusOr<StreamBroker::Request> PushRequest(RestContext& context, const Principal& who,
                                                  const Request& request) {
  BRAMBLE_RETURN_IF_ERROR(RefuseOtherQueries(request, {"path", "format", "mode", "uid", "gid"}));
  api::OpenStream stream;
  stream.kind = api::StreamKind::kPush;
  BRAMBLE_ASSIGN_OR_RETURN(stream.tree, IsTree(request));
  BRAMBLE_ASSIGN_OR_RETURN(stream.path, PathOf(request));
  if (stream.path.ends_with('/') && !stream.tree) {
    return absl::InvalidArgumentError("path: expected the path of a file, not of a directory");
  }
  stream.mode = 0644;
  if (const std::optional<std::string_view> mode = request.Query("mode")) {
    if (stream.tree) {
      return absl::InvalidArgumentError("mode: an archive says the mode of each file itself");
    }
    uint32_t bits = 0;
    for (const char digit : *mode) {
      bits = digit < '0' || digit > '7' || bits > 07777 ? 010000 : bits * 8 + (digit - '0');
    }
    if (mode->size() < 3 || bits > 07777) {
      return absl::InvalidArgumentError("mode: expected octal digits, such as 0644");
    }
    stream.mode = bits;
  }
  BRAMBLE_ASSIGN_OR_RETURN(const std::optional<int64_t> uid,
                           IntQuery(request, "uid", {.min = 0, .max = 65535}));
  BRAMBLE_ASSIGN_OR_RETURN(const std::optional<int64_t> gid,
                           IntQuery(request, "gid", {.min = 0, .max = 65535}));
  stream.uid = uid.value_or(stream.tree ? -1 : 0);
  stream.gid = gid.value_or(stream.tree ? -1 : 0);
  // A body in chunks says how long it is by its end.
  const std::optional<uint64_t> length = request.body_stream->length();
  stream.size_bytes = length.has_value() ? static_cast<int64_t>(*length) : -1;
  return StreamRequest(context, who, request, std::move(stream));
}

asio::awaitable<Response> Push(RestContext& context, Principal who, Request& request) {
  absl::StatusOr<StreamBroker::Request> wanted = PushRequest(context, who, request);
  if (!wanted.ok()) {
    co_return ProblemResponse(wanted.status());
  }
  StreamBroker::Request open = *std::move(wanted);
  const absl::StatusOr<std::shared_ptr<NodeEnd>> node =
      co_await context.streams.Open(std::move(open));
  if (!node.ok()) {
    co_return ProblemResponse(node.status());
  }
  StreamBroker::NextPiece next = [body = request.body_stream] { return body->Read(); };
  const absl::Status status = co_await context.streams.Push(*node, std::move(next));
  if (!status.ok()) {
    co_return ProblemResponse(status);
  }
  Response response;
  response.status = api::kHttpNoContent;
  co_return response;
}

}  // namespace

void AddContainerStreamRoutes(Router& router, RestContext& context) {
  router.Add("POST", "/v1/containers/{name}/exec", TicketRoute(context, &ExecOf));
  router.Add("POST", "/v1/containers/{name}/console", TicketRoute(context, &ConsoleOf));
  Route socket;
  socket.handler = [&context](Request& request) { return OpenSocket(context, request); };
  router.Add("GET", "/v1/streams/{ticket}", std::move(socket));
  router.Add("GET", "/v1/containers/{name}/logs",
             AuthorisedRoute(context, [&context](Principal who, Request& request) {
               return Logs(context, std::move(who), request);
             }));
  router.Add("GET", "/v1/containers/{name}/files",
             AuthorisedRoute(context, [&context](Principal who, Request& request) {
               return Pull(context, std::move(who), request);
             }));
  Route push = AuthorisedRoute(context, [&context](Principal who, Request& request) {
    return Push(context, std::move(who), request);
  });
  push.body = BodyMode::kStream;
  push.max_body_bytes = static_cast<uint64_t>(context.limits.file.count);
  router.Add("PUT", "/v1/containers/{name}/files", std::move(push));
}

}  // namespace bramble::controller
