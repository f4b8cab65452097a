// SPDX-License-Identifier: Apache-2.0
// The command line as a person types it: the real program, a real controller, a simulated node.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <optional>
#include <thread>

#include "base/file.h"
#include "base/strings.h"
#include "tests/integration/simulated_node.h"

namespace bramble::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class CliTest : public ::testing::Test {
 protected:
  struct Result {
    int code = -1;
    std::string out;
    std::string err;
  };

  void SetUp() override { controller_.Start(); }

  std::filesystem::path SetupCode() const { return controller_.state() / "setup-code"; }

  std::string Url() const { return StrCat("https://127.0.0.1:", controller_.people_port()); }

  // Runs a shell command line in which `bramble` is the program, with a home of its own.
  Result Shell(const std::string& line) {
    const std::string home = home_.path().string();
    const char* const bin = std::getenv("BRAMBLE_BIN");
    const std::string script =
        StrCat("cd ", home, " && export HOME=", home, " PATH=", bin == nullptr ? "" : bin,
               ":$PATH && unset BRAMBLE_CONFIG XDG_CONFIG_HOME BRAMBLE_CONTROLLER && ( ", line,
               " ) >", home, "/out 2>", home, "/err </dev/null");
    const int status = std::system(script.c_str());
    return {.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            .out = ReadFile(home + "/out", 16 << 20).value_or(""),
            .err = ReadFile(home + "/err", 16 << 20).value_or("")};
  }

  // Shell, expected to succeed; what it printed.
  std::string Out(const std::string& line) {
    const Result result = Shell(line);
    EXPECT_EQ(result.code, 0) << line << "\n" << result.out << result.err;
    return result.out;
  }

  // The one line that a command prints, without its end.
  std::string Line(const std::string& line) {
    std::string out = Out(line);
    return out.substr(0, out.find('\n'));
  }

  void Init() {
    ASSERT_TRUE(Eventually([this] { return std::filesystem::exists(SetupCode()); }));
    Out(StrCat("bramble cluster init --controller ", Url(), " --state ",
               controller_.state().string()));
  }

  void JoinNode() {
    const std::string token = Line("bramble token create -o name");
    node_.emplace(controller_);
    ASSERT_TRUE(node_->Join(token).ok());
    node_->Connect();
    ASSERT_TRUE(Eventually([this] {
      return Out("bramble node list -o yaml").find("state: ready") != std::string::npos;
    }));
  }

  void ImportImage() {
    Out("echo not really a tar > image.tar && bramble image import image.tar --name busybox "
        "--architecture amd64");
  }

  ControllerProcess controller_;
  TemporaryDirectory home_;
  std::optional<SimulatedNode> node_;
};

TEST_F(CliTest, ASetUpCodeIsUsedOnceOverAPinnedKeyAndTheCredentialIsPrivate) {
  EXPECT_EQ(Shell("bramble node list").code, 1);
  const Result unknown =
      Shell(StrCat("bramble cluster init --controller ", Url(), " --code 1234-5678"));
  EXPECT_EQ(unknown.code, 1) << "nobody to compare the key";
  EXPECT_THAT(unknown.err, HasSubstr("--fingerprint"));
  const Result foreign =
      Shell(StrCat("bramble cluster init --controller ", Url(),
                   " --code 1234-5678 --fingerprint sha256:", std::string(64, 'a')));
  EXPECT_EQ(foreign.code, 1);
  EXPECT_THAT(foreign.err, HasSubstr("another one than expected"));

  // As a person does it who reads the controller's log.
  ASSERT_TRUE(Eventually([this] { return std::filesystem::exists(SetupCode()); }));
  const std::string log = controller_.Log();
  const auto field = [&log](const std::string& name) {
    const size_t start = log.find(name + "=") + name.size() + 1;
    return log.substr(start, log.find_first_of(" \n", start) - start);
  };
  Out(StrCat("bramble cluster init --controller ", Url(), " --code ", field("code"),
             " --fingerprint ", field("fingerprint")));

  EXPECT_THAT(Out("stat -c %a .config/bramble/credentials.json"), HasSubstr("600"));
  EXPECT_THAT(Out("bramble cluster status"), HasSubstr("epoch"));
  EXPECT_THAT(Out("bramble cluster doctor"), HasSubstr("agrees with the controller's"));
  EXPECT_THAT(Out("bramble cluster leave-adoption"), HasSubstr("adoption left"));
  EXPECT_THAT(Out("bramble cluster allow-moves"), HasSubstr("moves allowed"));
  EXPECT_THAT(Out("bramble event list"),
              AllOf(HasSubstr("cluster.adopted"), HasSubstr("cluster.moves_allowed")));
  EXPECT_EQ(Shell(StrCat("bramble cluster init --controller ", Url(), " --code ", field("code"),
                         " --fingerprint ", field("fingerprint")))
                .code,
            1);
  EXPECT_EQ(Shell("bramble node list").code, 0) << "the credential is still there";
}

TEST_F(CliTest, AContainersWholeLife) {
  Init();
  JoinNode();
  ImportImage();
  EXPECT_THAT(Out("bramble image list"), HasSubstr("busybox  latest"));
  EXPECT_THAT(Out("bramble plan --image busybox --explain"), StartsWith("would go to pi-1\n"));

  EXPECT_THAT(Out("bramble container run web --image busybox -l app=web --memory 64MiB"),
              StartsWith("web: running on pi-1"));
  EXPECT_THAT(Out("bramble container list --filter label.app=web,state=running -o name"), "web\n");
  EXPECT_EQ(Out("bramble container stop web"), "web: stopped\n");
  EXPECT_EQ(Out("bramble container start web -o name"), "web\n");
  EXPECT_EQ(Out("bramble container freeze web"), "web: frozen\n");
  EXPECT_EQ(Out("bramble container start web"), "web: running\n");
  EXPECT_EQ(Out("bramble container restart web"), "web: restarted\n");
  EXPECT_EQ(Out("bramble container rebuild web"), "web: rebuilt\n");
  EXPECT_EQ(Out("bramble container limits web --memory 128MiB"), "web: limits changed\n");
  EXPECT_THAT(Out("bramble container limits web"), HasSubstr("128MiB"));
  EXPECT_EQ(Shell("bramble container run web --image busybox").code, 1) << "the name is taken";
  EXPECT_EQ(Shell("bramble container run big --image busybox --memory 100GiB --timeout 1s").code,
            1);
  EXPECT_THAT(Out("bramble container show big"), HasSubstr("reason:"));
  EXPECT_THAT(Out("bramble operation list --filter state=running"), HasSubstr("container big"));
  EXPECT_EQ(Out("bramble container delete web big"), "web: deleted\nbig: deleted\n");
  EXPECT_EQ(Out("bramble container list -o name"), "");
  EXPECT_THAT(Out("bramble event list --last 200"), HasSubstr("container.created"));
}

TEST_F(CliTest, ExecJoinsStdinStdoutAndTheExitCode) {
  Init();
  JoinNode();
  ImportImage();
  Out("bramble container run web --image busybox");

  const Result piped = Shell("printf 'a\\nb\\n' | bramble container exec -i web -- sh 7");
  EXPECT_EQ(piped.code, 7) << piped.err;
  EXPECT_EQ(piped.out, "a\nb\n");
  const Result file = Shell("printf hello > in && bramble container exec -i web -- sh 0 < in");
  EXPECT_EQ(file.out, "hello") << "a regular file cannot be waited for like a pipe";
  const Result big =
      Shell("head -c 3000000 /dev/zero | bramble container exec -i web -- sh 0 | wc -c");
  EXPECT_EQ(big.out, "3000000\n");
  const Result closed = Shell("bramble container exec web -- sh 3");
  EXPECT_EQ(closed.code, 3) << closed.err;
  EXPECT_EQ(Shell("bramble container exec nothere -- true").code, 1);
}

TEST_F(CliTest, FilesLogsAndBackupsAreCopied) {
  Init();
  JoinNode();
  ImportImage();
  Out("bramble container run web --image busybox");
  Out("echo hello | bramble container push web - /etc/motd");
  EXPECT_NE(Out("bramble container pull web /etc/motd -"), "");
  EXPECT_EQ(Shell("bramble container logs web --tail 10").code, 0);
  Out("bramble cluster backup backup.tar");
  EXPECT_THAT(Out("stat -c %a backup.tar"), HasSubstr("600"));
  Out("mkdir -p restored && bramble cluster restore backup.tar --state $PWD/restored");
  EXPECT_THAT(Out("ls restored"), HasSubstr("controller.db"));
  const Result again = Shell("bramble cluster restore backup.tar --state $PWD/restored");
  EXPECT_EQ(again.code, 1) << "what is there is not overwritten";
}

TEST_F(CliTest, JsonIsByteForByteTheAnswer) {
  Init();
  Person person(controller_, Line("sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/' "
                                  ".config/bramble/credentials.json"));
  EXPECT_EQ(Out("bramble flavor list -o json"), person.Get("/v1/flavors").text + "\n");
  EXPECT_THAT(Out("bramble flavor list"), HasSubstr("small   1     256MiB"));
  EXPECT_THAT(Out("bramble flavor list -o yaml"), HasSubstr("memory_bytes: 268435456"));
}

TEST_F(CliTest, AWaitEndsInTimeWithAndWithoutTheController) {
  Init();
  JoinNode();
  ImportImage();
  const std::string run = "bramble container run big --image busybox --memory 100GiB ";
  const std::string id = Line(run + "--no-wait -o name");

  const Result waited = Shell(StrCat("bramble operation show ", id, " --wait --timeout 1s"));
  EXPECT_EQ(waited.code, 1);
  EXPECT_THAT(waited.err, HasSubstr("goes on"));
  EXPECT_THAT(waited.err, HasSubstr(StrCat("bramble operation cancel ", id)));
  controller_.Kill();
  const Result away = Shell(StrCat("bramble operation show ", id, " --wait --timeout 1s"));
  EXPECT_EQ(away.code, 1);
  EXPECT_THAT(away.err, HasSubstr("nothing known after 1 s"));
}

TEST_F(CliTest, AControllerThatIsAwayIsNamedWithTheNextStep) {
  Init();
  controller_.Kill();
  const Result result = Shell("bramble node list");
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr(StrCat("controller ", Url(), ": ")));
  EXPECT_THAT(result.err, HasSubstr("bramble cluster doctor"));
  EXPECT_THAT(result.err, Not(HasSubstr("127.0.0.1:" + std::to_string(controller_.people_port()) +
                                        ": 127.0.0.1")));
}

TEST_F(CliTest, CompletionAsksTheController) {
  Init();
  EXPECT_EQ(Out("bramble __complete -- container run x --image i --flavor m"), "micro\nmedium\n");
  EXPECT_EQ(Out("bramble completion bash > completion && bash -c '. ./completion; "
                "COMP_WORDS=(bramble flavor delete la); COMP_CWORD=3; _bramble; "
                "echo \"${COMPREPLY[@]}\"'"),
            "large\n");
}

}  // namespace
}  // namespace bramble::testing
