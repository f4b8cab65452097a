// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include "base/certificate.h"
#include "base/file.h"
#include "base/status.h"
#include "tools/bramble/credentials.h"
#include "tools/bramble/resources.h"
#include "tools/bramble/terminal_text.h"

namespace bramble::cli {
namespace {

// As config/controller.toml has it: state_dir.
constexpr char kDefaultState[] = "/var/lib/bramble/controller";
constexpr char kLocalUrl[] = "https://127.0.0.1:8443";
constexpr size_t kMaxCodeBytes = 256;
constexpr size_t kMaxPemBytes = 64 << 10;

struct Setup {
  std::string url;
  std::string code;
  std::string spki_sha256;
  std::string ca_pem;
};

// What the controller's own machine knows: the code and the key of its server.
absl::Status ReadState(const std::filesystem::path& state, Setup& setup) {
  const auto explained = [&state](const absl::Status& status) {
    if (absl::IsNotFound(status)) {
      return absl::NotFoundError(
          StrCat(status.message(),
                 "; either the cluster was initialised already (`bramble cluster "
                 "status`), or the controller never ran here with this state directory (",
                 state.string(), "): say --state DIR, or --controller, --code and --fingerprint"));
    }
    return absl::IsPermissionDenied(status)
               ? absl::PermissionDeniedError(StrCat(
                     status.message(), "; run this as root, or give --code and --fingerprint"))
               : status;
  };
  if (setup.code.empty()) {
    absl::StatusOr<std::string> code = ReadFile(state / "setup-code", kMaxCodeBytes);
    if (!code.ok()) {
      return explained(code.status());
    }
    setup.code = *std::move(code);
    while (!setup.code.empty() && (setup.code.back() == '\n' || setup.code.back() == ' ')) {
      setup.code.pop_back();
    }
  }
  if (setup.spki_sha256.empty() && setup.ca_pem.empty()) {
    const absl::StatusOr<std::string> pem = ReadFile(state / "server.crt", kMaxPemBytes);
    if (!pem.ok()) {
      return explained(pem.status());
    }
    BRAMBLE_ASSIGN_OR_RETURN(const Certificate certificate, Certificate::FromPem(*pem));
    setup.spki_sha256 = certificate.Spki().Hex();
  }
  return absl::OkStatus();
}

// Shows the key of the server and has a person compare it.
absl::Status AskForKey(Session& session, Setup& setup) {
  BRAMBLE_ASSIGN_OR_RETURN(const ServerIdentity identity, session.identify(setup.url));
  if (!session.screen.in_is_terminal) {
    return absl::FailedPreconditionError(
        StrCat("controller ", setup.url,
               ": its key is not known yet and there is no terminal to "
               "ask; compare sha256:",
               identity.spki_sha256, " with the controller's log and give it as --fingerprint"));
  }
  session.err << "The server at " << setup.url << " (" << Printable(identity.subject)
              << ") shows the key\n  sha256:" << identity.spki_sha256
              << "\nCompare it with the `fingerprint` in the controller's log. Is it the same? "
                 "[yes/no] "
              << std::flush;
  std::string answer;
  std::getline(session.in, answer);
  if (answer != "yes" && answer != "y") {
    return absl::PermissionDeniedError(
        StrCat("controller ", setup.url, ": the key was not confirmed; nothing was sent"));
  }
  setup.spki_sha256 = identity.spki_sha256;
  return absl::OkStatus();
}

absl::StatusOr<Setup> SetupOf(const Args& args, Session& session) {
  Setup setup;
  const bool from_state = args.Has("state") || session.controller_flag.empty();
  BRAMBLE_ASSIGN_OR_RETURN(
      setup.url, NormalUrl(session.controller_flag.empty() ? kLocalUrl : session.controller_flag));
  setup.code = args.Text("code");
  if (args.Has("fingerprint")) {
    BRAMBLE_ASSIGN_OR_RETURN(setup.spki_sha256, ParseFingerprint(args.Text("fingerprint")));
  }
  if (args.Has("ca")) {
    BRAMBLE_ASSIGN_OR_RETURN(setup.ca_pem, ReadFile(args.Text("ca"), kMaxPemBytes));
    BRAMBLE_RETURN_IF_ERROR(Annotate(Certificate::FromPem(setup.ca_pem).status(), args.Text("ca")));
  }
  if (from_state) {
    BRAMBLE_RETURN_IF_ERROR(ReadState(args.Text("state", kDefaultState), setup));
  }
  if (setup.code.empty()) {
    return Misuse(
        "`bramble cluster init` of another machine needs --code: the controller's log "
        "shows it, and setup-code in its state directory holds it");
  }
  if (setup.spki_sha256.empty() && setup.ca_pem.empty()) {
    BRAMBLE_RETURN_IF_ERROR(AskForKey(session, setup));
  }
  return setup;
}

absl::Status Init(const Args& args, Session& session) {
  BRAMBLE_ASSIGN_OR_RETURN(const Setup setup, SetupOf(args, session));
  // Before the code is spent: a file that cannot be read would lose the token.
  BRAMBLE_RETURN_IF_ERROR(session.credentials.Load().status());
  BRAMBLE_RETURN_IF_ERROR(session.credentials.CheckWritable());
  Session::Endpoint endpoint = {
      .url = setup.url, .spki_sha256 = setup.spki_sha256, .ca_pem = setup.ca_pem};
  json::object body = {{"setup_code", setup.code}};
  if (args.Has("name")) {
    body["name"] = args.Text("name");
  }
  ApiRequest request;
  request.method = "POST";
  request.path = ApiPath({"cluster", "init"});
  request.body = json::serialize(body);
  BRAMBLE_ASSIGN_OR_RETURN(const ApiReply reply,
                           session.connect(endpoint)->Send(std::move(request)));
  BRAMBLE_ASSIGN_OR_RETURN(const json::value answer, ParseJson(reply.body));
  const std::string token = TextAt(answer, "token");
  if (token.empty()) {
    return absl::DataLossError("the controller gave no token");
  }
  constexpr std::string_view kScheme = "https://";
  const std::string name = args.Text("name", setup.url.substr(kScheme.size()));
  const absl::Status stored = session.credentials.Add(
      name,
      {.url = setup.url, .token = token, .spki_sha256 = setup.spki_sha256, .ca_pem = setup.ca_pem});
  if (!stored.ok()) {
    session.err << "The administrator's token, which is shown only now: " << token << '\n';
    return stored;
  }
  if (FormatOf(args) != Format::kTable) {
    return PrintObject(args, session,
                       {.kind = "credential",
                        .name = [](const json::value& made) { return TextAt(made, "user"); }},
                       reply.body);
  }
  session.out << "cluster at " << setup.url << " is initialised; you are "
              << Printable(TextAt(answer, "user")) << '\n';
  session.err
      << "The credential is in " << session.credentials.file().string()
      << ": keep it secret.\nNext: `bramble token create`, and put the token on your nodes.\n";
  return absl::OkStatus();
}

}  // namespace

std::vector<Command> ClusterInitCommands() {
  return {{.path = "cluster init",
           .summary = "Use the one-time set-up code of a new controller and store your credential.",
           .flags = {{.name = "code", .value = "CODE", .help = "the set-up code"},
                     {.name = "fingerprint",
                      .value = "sha256:HEX",
                      .help = "of the server's public key, to be sure who answers"},
                     {.name = "ca",
                      .value = "FILE",
                      .help = "trust servers that this authority (PEM) signed, instead of a key",
                      .completes = Completes::kFiles},
                     {.name = "state",
                      .value = "DIR",
                      .help = "read code and key here (/var/lib/bramble/controller)",
                      .completes = Completes::kFiles},
                     {.name = "name", .value = "NAME", .help = "a name for the cluster"}},
           .answers = Answers::kObject,
           .details =
               "On the controller's machine, as root, it finds code and key by itself. From "
               "another machine\n"
               "give --controller, --code and --fingerprint as the controller's log shows them. "
               "Several\n"
               "clusters can be known; the last one is used unless --controller says another.",
           .examples = "bramble cluster init\n"
                       "bramble cluster init --controller https://172.16.0.1:8443 --code 7KQM-2RTD "
                       "--fingerprint sha256:9f86d0...",
           .run = Init}};
}

}  // namespace bramble::cli
