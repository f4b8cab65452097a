// SPDX-License-Identifier: Apache-2.0
// What the commands ask the controller for and print, against a controller in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/strings.h"
#include "tools/bramble/image_upload.h"
#include "tools/bramble/session_testing.h"

namespace bramble::cli {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class CommandsTest : public ::testing::Test {
 protected:
  FakeTerminal terminal_;
  FakeController& controller_ = terminal_.controller();

  void PutNode(const std::string& name) {
    controller_.Put(
        "nodes",
        {{"name", name},
         {"id", "n-" + name},
         {"state", "ready"},
         {"drain", "none"},
         {"address", "172.16.0.11"},
         {"container_count", 1},
         {"joined_at", "2023-11-14T22:03:20.000Z"},
         {"allocated", json::object{{"cpu_milli", 1000}, {"memory_bytes", 268435456}}},
         {"inventory", json::object{{"architecture", "arm64"},
                                    {"capacity", json::object{{"cpu_milli", 4000},
                                                              {"memory_bytes", 1073741824}}}}}});
  }
};

TEST_F(CommandsTest, RunSendsOnlyWhatWasSaidWaitsAndPrintsWhere) {
  ASSERT_EQ(terminal_.Run({"container",  "run",          "web",      "--image",  "debian:12",
                           "--memory",   "64MiB",        "--cpu",    "0.5",      "--class",
                           "movable",    "--require",    "disk=ssd", "--prefer", "rack in a|b:10",
                           "-e",         "A=1",          "-l",       "app=web",  "--restart",
                           "on-failure", "--stop-grace", "30s"}),
            0)
      << terminal_.err();

  EXPECT_EQ(terminal_.out(), "web: running on pi-1, 172.16.0.64\n");
  const ApiRequest& request = controller_.requests()[0];
  EXPECT_FALSE(request.idempotency_key.empty());
  EXPECT_EQ(json::parse(request.body), json::parse(R"({
      "name":"web","image":"debian:12","limits":{"cpu_milli":500,"memory_bytes":67108864},
      "placement":{"class":"movable","required":[{"key":"disk","op":"in","values":["ssd"]}],
                   "preferred":[{"key":"rack","op":"in","values":["a","b"],"weight":10}]},
      "restart":{"policy":"on-failure"},"labels":{"app":"web"},"environment":{"A":"1"},
      "stop_grace_s":30})"));
  EXPECT_THAT(controller_.log(),
              ElementsAre("POST /v1/containers", "GET /v1/operations/op1?wait=30",
                          "GET /v1/operations/op1?wait=30", "GET /v1/containers/web"));
}

TEST_F(CommandsTest, ShowSaysWhatAContainerRunsWithout) {
  const json::array conditions = {
      json::object{
          {"type", "apparmor"}, {"severity", "warning"}, {"message", "no profile confines it"}},
      json::object{
          {"type", "swap"}, {"severity", "warning"}, {"message", "its limit does not hold"}}};
  controller_.Put("containers",
                  {{"name", "web"},
                   {"status", json::object{{"state", "running"}, {"conditions", conditions}}}});
  controller_.Put("containers",
                  {{"name", "whole"}, {"status", json::object{{"state", "running"}}}});

  ASSERT_EQ(terminal_.Run({"container", "show", "web"}), 0);
  EXPECT_THAT(terminal_.out(), testing::ContainsRegex("conditions: +apparmor: no profile confines "
                                                      "it; swap: its limit does not hold\n"));
  ASSERT_EQ(terminal_.Run({"container", "show", "whole"}), 0);
  EXPECT_THAT(terminal_.out(), Not(HasSubstr("conditions")));
}

TEST_F(CommandsTest, CreateLeavesItStopped) {
  ASSERT_EQ(terminal_.Run({"container", "create", "web", "--image", "debian"}), 0);
  EXPECT_EQ(terminal_.out(), "web: stopped on pi-1, 172.16.0.64\n");
}

TEST_F(CommandsTest, NoWaitPrintsTheOperation) {
  ASSERT_EQ(terminal_.Run({"container", "run", "web", "--image", "debian", "--no-wait"}), 0);
  EXPECT_EQ(terminal_.out(), "operation op1\n");
  EXPECT_THAT(terminal_.err(), HasSubstr("bramble operation show op1 --wait"));

  ASSERT_EQ(terminal_.Run({"container", "stop", "web", "--no-wait", "-o", "name"}), 0);
  EXPECT_EQ(terminal_.out(), "op2\n");
  ASSERT_EQ(terminal_.Run({"operation", "show", "op2", "--wait", "-o", "name"}), 0);
  EXPECT_EQ(terminal_.out(), "op2\n");
}

TEST_F(CommandsTest, AFailedOperationFailsTheCommandWithTheServersWords) {
  controller_.FailOperations("container \"web\": image debian holds no arm64; import one");
  EXPECT_EQ(terminal_.Run({"container", "run", "web", "--image", "debian"}), 1);
  EXPECT_EQ(terminal_.out(), "");
  EXPECT_EQ(terminal_.err(),
            "bramble: container \"web\": image debian holds no arm64; import one\n");
}

TEST_F(CommandsTest, AControllerThatIsAwayForAMomentIsOutlasted) {
  ASSERT_EQ(terminal_.Run({"container", "run", "web", "--image", "debian", "--no-wait"}), 0);
  controller_.FailNext(absl::UnavailableError("connection refused"));
  EXPECT_EQ(terminal_.Run({"operation", "show", "op1", "--wait"}), 0) << terminal_.err();
}

TEST_F(CommandsTest, AWaitHasALimitAndSaysHowToGoOn) {
  ASSERT_EQ(terminal_.Run({"container", "run", "web", "--image", "debian", "--timeout", "0"}), 1);
  EXPECT_THAT(terminal_.err(), HasSubstr("`bramble operation show op1 --wait`"));
  EXPECT_THAT(terminal_.err(), HasSubstr("`bramble operation cancel op1`"));
}

TEST_F(CommandsTest, ListsFilterPageAndPrintEveryFormat) {
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_EQ(terminal_.Run({"container", "run", name, "--image", "busybox"}), 0);
  }
  ASSERT_EQ(terminal_.Run({"container", "stop", "b"}), 0);
  EXPECT_EQ(terminal_.out(), "b: stopped\n");

  ASSERT_EQ(terminal_.Run({"container", "list"}), 0);
  EXPECT_EQ(terminal_.out(),
            "NAME  STATE    NODE  ADDRESS      IMAGE    AGE  REASON\n"
            "a     running  pi-1  172.16.0.64  busybox  10m  -\n"
            "b     stopped  pi-1  172.16.0.64  busybox  10m  -\n"
            "c     running  pi-1  172.16.0.64  busybox  10m  -\n");
  ASSERT_EQ(terminal_.Run({"container", "list", "--filter", "state=running", "--filter", "name!=a",
                           "-o", "name"}),
            0);
  EXPECT_EQ(terminal_.out(), "c\n");
  ASSERT_EQ(terminal_.Run({"container", "list", "--columns", "name,spec.image"}), 0);
  EXPECT_THAT(terminal_.out(), HasSubstr("NAME  SPEC.IMAGE\na     busybox\n"));

  controller_.SetPageSize(2);
  ASSERT_EQ(terminal_.Run({"container", "list", "-o", "json"}), 0);
  EXPECT_EQ(json::parse(terminal_.out()).at("items").as_array().size(), 3u);
  EXPECT_FALSE(json::parse(terminal_.out()).as_object().contains("next_cursor"));
}

TEST_F(CommandsTest, JsonIsTheAnswerUnchangedAndYamlTheSame) {
  controller_.Put("flavors", {{"name", "tiny"}, {"resources", json::object{{"cpu_milli", 100}}}});
  ASSERT_EQ(terminal_.Run({"flavor", "list", "-o", "json"}), 0);
  EXPECT_EQ(terminal_.out(), R"({"items":[{"name":"tiny","resources":{"cpu_milli":100}}]})"
                             "\n");
  ASSERT_EQ(terminal_.Run({"flavor", "list", "-o", "yaml"}), 0);
  EXPECT_EQ(terminal_.out(), "- name: tiny\n  resources:\n    cpu_milli: 100\n");
}

TEST_F(CommandsTest, AnErrorOfTheServerIsNotMisuse) {
  EXPECT_EQ(terminal_.Run({"container", "show", "web"}), 1);
  EXPECT_EQ(
      terminal_.err(),
      "bramble: container \"web\": not found; `bramble container list` shows what there is\n");
  EXPECT_EQ(terminal_.out(), "");
  EXPECT_EQ(terminal_.Run({"container", "run", "Web!", "--image", "x"}), 2);
  EXPECT_EQ(terminal_.Run({"container", "run", "web", "--image", "x", "--memory", "much"}), 2);
  EXPECT_THAT(controller_.log(), ElementsAre("GET /v1/containers/web"));
}

TEST_F(CommandsTest, SeveralNamesAreAllTriedAndOneFailureFails) {
  ASSERT_EQ(terminal_.Run({"container", "run", "a", "--image", "x"}), 0);
  ASSERT_EQ(terminal_.Run({"container", "run", "b", "--image", "x"}), 0);
  EXPECT_EQ(terminal_.Run({"container", "delete", "a", "nothere", "b"}), 1);
  EXPECT_EQ(terminal_.out(), "a: deleted\nb: deleted\n");
  EXPECT_THAT(terminal_.err(), HasSubstr("container \"nothere\": not found"));
  EXPECT_THAT(controller_.objects("containers"), IsEmpty());
}

TEST_F(CommandsTest, LimitsAreShownAndChanged) {
  ASSERT_EQ(terminal_.Run({"container", "run", "web", "--image", "x", "--memory", "64MiB"}), 0);
  ASSERT_EQ(terminal_.Run({"container", "limits", "web"}), 0);
  EXPECT_THAT(terminal_.out(), HasSubstr("memory:      64MiB"));
  ASSERT_EQ(
      terminal_.Run({"container", "limits", "web", "--memory", "1GiB", "--cpu-weight", "200"}), 0);
  EXPECT_EQ(controller_.requests()[5].body,
            R"({"limits":{"memory_bytes":1073741824},"cpu_weight":200})");
}

TEST_F(CommandsTest, NodesAreListedLabelledDrainedAndRemoved) {
  PutNode("pi-1");
  ASSERT_EQ(terminal_.Run({"node", "list"}), 0);
  EXPECT_EQ(terminal_.out(),
            "NAME  STATE  ADDRESS      ARCHITECTURE  CONTAINERS  CPU  MEMORY       AGE  REASON\n"
            "pi-1  ready  172.16.0.11  arm64         1           1/4  256MiB/1GiB  10m  -\n");
  ASSERT_EQ(terminal_.Run({"node", "label", "pi-1", "disk=ssd", "rack-", "--pool", "p"}), 0);
  EXPECT_EQ(controller_.requests().back().body,
            R"({"labels":{"disk":"ssd","rack":null},"pool":"p"})");
  EXPECT_EQ(terminal_.Run({"node", "label", "pi-1"}), 2);
  ASSERT_EQ(terminal_.Run({"node", "cordon", "pi-1"}), 0);
  EXPECT_EQ(controller_.requests().back().body, R"({"cordoned":true})");
  ASSERT_EQ(terminal_.Run({"node", "drain", "pi-1", "--deadline", "30m", "--leave-pinned"}), 0);
  EXPECT_THAT(controller_.log(), Contains("POST /v1/nodes/pi-1/drain"));
  EXPECT_EQ(terminal_.out(), "pi-1: drained\n");
  for (const char* verb : {"restore", "identify", "reboot", "poweroff", "reset"}) {
    ASSERT_EQ(terminal_.Run({"node", verb, "pi-1"}), 0) << verb << terminal_.err();
  }
  ASSERT_EQ(terminal_.Run({"node", "replace", "pi-1", "--by", "pi-2"}), 0);
  EXPECT_THAT(controller_.requests()[controller_.requests().size() - 3].body, R"({"by":"pi-2"})");
  ASSERT_EQ(terminal_.Run({"node", "approve", "pi-1", "--code", "123 456"}), 0);
  EXPECT_EQ(controller_.requests().back().body, R"({"code":"123456"})");
  ASSERT_EQ(terminal_.Run({"node", "remove", "pi-1", "--force"}), 0);
  EXPECT_THAT(controller_.log(), Contains("DELETE /v1/nodes/pi-1?force=true"));
}

TEST_F(CommandsTest, ATokenGoesToStdoutAndItsUseToStderr) {
  ASSERT_EQ(terminal_.Run({"token", "create", "--max-uses", "20", "--expires", "2h"}), 0);
  EXPECT_EQ(terminal_.out(), "brm1.secret\n");
  EXPECT_THAT(terminal_.err(), HasSubstr("bramble token revoke t1"));
  EXPECT_EQ(controller_.requests()[0].body, R"({"max_uses":20,"expires_s":7200})");
  ASSERT_EQ(terminal_.Run({"token", "create", "-o", "name"}), 0);
  EXPECT_EQ(terminal_.err(), "");
  ASSERT_EQ(terminal_.Run({"token", "list"}), 0);
  EXPECT_THAT(terminal_.out(), HasSubstr("t1  open   0/1"));
  ASSERT_EQ(terminal_.Run({"token", "revoke", "t1"}), 0);
}

TEST_F(CommandsTest, ExecPassesTheExitCodeOn) {
  ASSERT_EQ(terminal_.Run({"container", "run", "web", "--image", "x"}), 0);
  controller_.SetStreamEnd(StreamEnd{.exit_code = 42});
  EXPECT_EQ(terminal_.Run({"container", "exec", "web", "--", "sh", "-c", "exit 42"}), 42);
  EXPECT_EQ(controller_.requests().back().body, R"({"command":["sh","-c","exit 42"]})");
  EXPECT_EQ(terminal_.err(), "");
  controller_.SetStreamEnd(StreamEnd{.exit_code = 127, .silent = true});
  EXPECT_EQ(terminal_.Run({"container", "exec", "web", "--", "nosuch"}), 127);
  EXPECT_THAT(terminal_.err(), HasSubstr("\"nosuch\" was not found there"));
  controller_.SetStreamEnd(absl::FailedPreconditionError("it is not running"));
  EXPECT_EQ(terminal_.Run({"container", "exec", "web", "--", "true"}), 1);
  EXPECT_EQ(terminal_.err(), "bramble: container \"web\": exec: it is not running\n");
  EXPECT_EQ(terminal_.Run({"container", "exec", "-ti", "web", "--", "sh"}), 2)
      << "stdin is no terminal";
  EXPECT_EQ(terminal_.Run({"container", "exec", "web"}), 2);
}

TEST_F(CommandsTest, LogsAndFilesCopyBytes) {
  ASSERT_EQ(terminal_.Run({"container", "run", "web", "--image", "x"}), 0);
  ASSERT_EQ(terminal_.Run({"container", "logs", "-f", "web", "--tail", "5"}), 0);
  EXPECT_EQ(terminal_.out(), "first line\nsecond line\n");
  EXPECT_EQ(controller_.log().back(), "GET /v1/containers/web/logs?tail=5&follow=true");

  ASSERT_EQ(terminal_.Run({"container", "pull", "web", "/etc/hostname", "-"}), 0);
  EXPECT_EQ(terminal_.out(), "first line\nsecond line\n");
  const std::string local = (terminal_.directory() / "hostname").string();
  ASSERT_EQ(
      terminal_.Run({"container", "pull", "web", "/etc/hostname", terminal_.directory().string()}),
      0);
  EXPECT_EQ(std::filesystem::file_size(local), 23u);
  controller_.FailNext(absl::NotFoundError("no such file"));
  ASSERT_EQ(terminal_.Run({"container", "pull", "web", "/x", local + "2"}), 1);
  EXPECT_FALSE(std::filesystem::exists(local + "2")) << "nothing is left of a failed download";

  ASSERT_EQ(terminal_.Run({"container", "push", "web", local, "/root/"}), 0) << terminal_.err();
  EXPECT_THAT(controller_.log().back(), HasSubstr("path=%2Froot%2Fhostname&mode=0644"));
  EXPECT_EQ(controller_.requests().back().file_bytes, 23u);
  terminal_.Type("from stdin");
  ASSERT_EQ(terminal_.Run({"container", "push", "web", "-", "/etc/motd", "--mode", "0600"}), 0);
  EXPECT_EQ(controller_.requests().back().file_bytes, 10u);
  EXPECT_EQ(terminal_.Run({"container", "push", "web", "-", "relative"}), 2);
  EXPECT_EQ(terminal_.Run({"container", "push", "web", "/", "/x"}), 1);
}

TEST_F(CommandsTest, ImagesAreHashedAndUploadedWithTheirLabels) {
  const std::string path = (terminal_.directory() / "image.tar").string();
  std::ofstream(path) << "abc";
  EXPECT_EQ(terminal_.Run({"image", "import", path, "--name", "debian"}), 1);
  EXPECT_THAT(terminal_.err(), HasSubstr("--architecture"));
  ASSERT_EQ(terminal_.Run({"image", "import", path, "--name", "debian", "--tag", "12",
                           "--architecture", "arm64", "--label", "ports=80"}),
            0)
      << terminal_.err();
  EXPECT_EQ(terminal_.out(), "debian:12: arm64, 3B, sha256 ba7816bf8f01\n");
  EXPECT_EQ(
      controller_.log().back(),
      "POST /v1/images?name=debian&tag=12&architecture=arm64&sha256="
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad&upload=u1&label=ports%3D"
      "80");
  ASSERT_EQ(terminal_.Run({"image", "list"}), 0);
  EXPECT_THAT(terminal_.out(), HasSubstr("debian  12   arm64          3B"));
  ASSERT_EQ(terminal_.Run({"image", "show", "debian:12", "-o", "name"}), 0);
  EXPECT_EQ(terminal_.out(), "debian:12\n");
  ASSERT_EQ(terminal_.Run({"image", "alias", "debian:12", "add", "stable"}), 1) << "no generation";
  ASSERT_EQ(terminal_.Run({"image", "set", "debian:12", "--visibility", "public"}), 0);
  EXPECT_EQ(controller_.requests().back().body, R"({"visibility":"public"})");
  EXPECT_EQ(terminal_.Run({"image", "set", "debian:12"}), 2);
  EXPECT_EQ(terminal_.Run({"image", "set", "debian:12", "--visibility", "some"}), 2);
  ASSERT_EQ(terminal_.Run({"image", "tag", "debian:12", "debian:stable"}), 0);
  EXPECT_EQ(controller_.requests().back().body, R"({"name":"debian","tag":"stable"})");
  ASSERT_EQ(terminal_.Run({"image", "delete", "debian:12"}), 0);
  EXPECT_EQ(terminal_.Run({"image", "import", path, "--name", "BAD NAME"}), 2);
}

OpenedFile FileOf(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path) << bytes;
  std::istringstream none;
  return OpenForUpload(path.string(), none).value();
}

TEST_F(CommandsTest, AnUploadGoesOnWhereItWasCutOff) {
  std::string bytes;
  for (int i = 0; i < 200; ++i) {
    bytes += StrCat("line ", i, "\n");
  }
  const OpenedFile file = FileOf(terminal_.directory() / "file", bytes);
  std::vector<std::chrono::milliseconds> pauses;
  UploadOptions options{.piece_bytes = 100};
  options.sleep = [&pauses](std::chrono::milliseconds pause) { pauses.push_back(pause); };
  ProgressLine progress(terminal_.session());
  for (const size_t cut : {size_t{0}, size_t{1}, size_t{99}, size_t{100}}) {
    controller_.CutOffUploadAfter(cut);
    const auto id = UploadFile(terminal_.session(), file, "digest", progress, options);
    ASSERT_TRUE(id.ok()) << id.status();
    EXPECT_EQ(*id, "u1");
    EXPECT_EQ(controller_.uploaded(), bytes) << "cut off after " << cut;
    EXPECT_EQ(std::exchange(pauses, {}).size(), 1u);
    // The next one starts anew.
    ASSERT_TRUE(controller_.Send(Write("POST", "/v1/images")).ok());
  }
}

TEST_F(CommandsTest, AnUploadThatStaysCutOffGivesUpAndSaysThatItGoesOn) {
  const OpenedFile file = FileOf(terminal_.directory() / "file", std::string(1000, 'x'));
  std::vector<std::chrono::milliseconds> pauses;
  UploadOptions options{.piece_bytes = 100, .max_failures = 3};
  options.sleep = [&](std::chrono::milliseconds pause) {
    pauses.push_back(pause);
    controller_.FailNext(absl::UnavailableError("still away"));  // the question for the offset
    controller_.FailNext(absl::UnavailableError("still away"));
  };
  ProgressLine progress(terminal_.session());
  ASSERT_TRUE(controller_.Send(Write("POST", "/v1/uploads")).ok());
  controller_.CutOffUploadAfter(50);
  const auto id = UploadFile(terminal_.session(), file, "digest", progress, options);
  EXPECT_TRUE(absl::IsUnavailable(id.status())) << id.status();
  EXPECT_THAT(std::string(id.status().message()), HasSubstr("the same command goes on there"));
  EXPECT_EQ(pauses.size(), 3u);
  EXPECT_GT(pauses[2], pauses[0]);
}

TEST_F(CommandsTest, AnAliasIsAddedAndTakenAway) {
  controller_.Put("images", {{"name", "debian"},
                             {"tag", "12"},
                             {"generation", 7},
                             {"aliases", json::array{"stable:latest"}}});
  ASSERT_EQ(terminal_.Run({"image", "alias", "debian:12", "add", "bookworm"}), 0)
      << terminal_.err();
  EXPECT_EQ(controller_.requests().back().body,
            R"({"aliases":["stable:latest","bookworm:latest"]})");
  EXPECT_EQ(controller_.requests().back().headers.back().second, "\"7\"");
  EXPECT_THAT(terminal_.out(), HasSubstr("stable:latest,bookworm:latest"));
  ASSERT_EQ(terminal_.Run({"image", "alias", "debian:12", "delete", "stable"}), 0);
  EXPECT_EQ(controller_.requests().back().body, R"({"aliases":["bookworm:latest"]})");
  EXPECT_EQ(terminal_.Run({"image", "alias", "debian:12", "delete", "stable"}), 1);
  EXPECT_THAT(terminal_.err(), HasSubstr("it has: bookworm:latest"));
  EXPECT_EQ(terminal_.Run({"image", "alias", "debian:12", "add", "BAD NAME"}), 2);
}

TEST_F(CommandsTest, PruneSaysWhatGoesAndWhatWould) {
  controller_.Put("images", {{"name", "debian"}, {"tag", "12"}});
  ASSERT_EQ(terminal_.Run({"image", "prune", "--dry-run", "--unused-for", "30d"}), 0)
      << terminal_.err();
  EXPECT_EQ(controller_.requests().back().body, R"({"dry_run":true,"unused_for_s":2592000})");
  EXPECT_EQ(terminal_.out(), "debian:12: would go, 5MiB\n5MiB would be freed\n");
  ASSERT_EQ(terminal_.Run({"image", "prune"}), 0);
  EXPECT_EQ(terminal_.out(), "debian:12: deleted, 5MiB\n5MiB freed\n");
  ASSERT_EQ(terminal_.Run({"image", "prune"}), 0);
  EXPECT_EQ(terminal_.out(), "0B freed\n");
}

TEST_F(CommandsTest, TheImagesOfEachNodeAreListedByName) {
  const std::string one(64, 'a');
  const std::string other(64, 'b');
  controller_.Put(
      "images",
      {{"name", "debian"},
       {"tag", "12"},
       {"variants", json::array{json::object{{"architecture", "arm64"}, {"digest", one}}}}});
  controller_.Put("nodes", {{"name", "pi-1"}, {"images", json::array{one, other}}});
  controller_.Put("nodes", {{"name", "pi-2"}, {"images", json::array()}});
  ASSERT_EQ(terminal_.Run({"node", "list", "--images"}), 0) << terminal_.err();
  EXPECT_THAT(terminal_.out(), testing::AllOf(HasSubstr("debian:12 (arm64)  aaaaaaaaaaaa"),
                                              HasSubstr("no name any more   bbbbbbbbbbbb"),
                                              HasSubstr("pi-2  none")));
}

TEST_F(CommandsTest, PlanExplainsAndFailsWhenNothingFits) {
  EXPECT_EQ(terminal_.Run({"plan", "--image", "x"}), 1);
  EXPECT_THAT(terminal_.err(), HasSubstr("no node has joined"));
  PutNode("pi-1");
  ASSERT_EQ(terminal_.Run({"plan", "--image", "x", "--explain"}), 0);
  EXPECT_THAT(terminal_.out(), HasSubstr("would go to pi-1\n"));
  EXPECT_THAT(terminal_.out(), HasSubstr("holds the image"));
  ASSERT_EQ(terminal_.Run({"container", "run", "web", "--image", "x", "--memory", "1GiB"}), 0);
  ASSERT_EQ(terminal_.Run({"plan", "web", "--cpu", "2"}), 0);
  EXPECT_THAT(controller_.requests().back().body, HasSubstr("\"image\":\"x\""));
  EXPECT_EQ(terminal_.Run({"plan"}), 2);
}

TEST_F(CommandsTest, EventsAreFollowedFromWhereTheyWere) {
  controller_.SetEventLines({": alive", "id: 7", "event: container.created",
                             R"(data: {"revision":7,"time":"T","type":"container.created",)",
                             R"(data: "object":{"kind":"container","name":"web"},"message":"m"})",
                             ""});
  EXPECT_EQ(terminal_.Run({"event", "follow", "--after", "6"}), 1) << "the fake ends it";
  EXPECT_EQ(terminal_.out(), "T  container.created  container web  m\n");
  EXPECT_THAT(controller_.requests()[0].headers,
              Contains(std::pair<std::string, std::string>("Last-Event-ID", "6")));
}

TEST_F(CommandsTest, FlavorsAreMadeAndDeleted) {
  ASSERT_EQ(terminal_.Run({"flavor", "create", "tiny", "--cpu", "0.1", "--memory", "32MiB"}), 0);
  ASSERT_EQ(terminal_.Run({"flavor", "list"}), 0);
  EXPECT_THAT(terminal_.out(), HasSubstr("tiny  0.1  32MiB"));
  ASSERT_EQ(terminal_.Run({"flavor", "delete", "tiny"}), 0);
  EXPECT_EQ(terminal_.Run({"flavor", "create", "tiny", "--cpu", "0.1"}), 2);
}

TEST_F(CommandsTest, StatusAndDoctorSayWhatNeedsAttention) {
  ASSERT_EQ(terminal_.Run({"cluster", "status"}), 0);
  EXPECT_THAT(terminal_.out(), HasSubstr("2 ready"));
  EXPECT_EQ(terminal_.Run({"cluster", "doctor"}), 1);
  EXPECT_THAT(terminal_.out(), HasSubstr("bramble cluster init"));
  ASSERT_TRUE(terminal_.credentials().Add("a", {.url = "https://a:8443", .token = "t"}).ok());
  PutNode("pi-1");
  EXPECT_EQ(terminal_.Run({"cluster", "doctor"}), 0) << terminal_.out();
  EXPECT_THAT(terminal_.out(), HasSubstr("1 of 1 ready"));
}

TEST_F(CommandsTest, InitNeedsAComparedKeyAndStoresTheCredential) {
  const std::vector<std::string> init = {"cluster",    "init",   "--controller",
                                         "172.16.0.1", "--code", "C0DE"};
  EXPECT_EQ(terminal_.Run(init), 1) << "no terminal to ask";
  EXPECT_THAT(terminal_.err(), HasSubstr("--fingerprint"));
  EXPECT_THAT(controller_.log(), IsEmpty()) << "the code was sent to nobody";

  terminal_.session().screen.in_is_terminal = true;
  terminal_.Type("no\n");
  EXPECT_EQ(terminal_.Run(init), 1);
  EXPECT_THAT(controller_.log(), IsEmpty());
  terminal_.Type("yes\n");
  ASSERT_EQ(terminal_.Run(init), 0) << terminal_.err();
  EXPECT_EQ(terminal_.credentials().Choose("")->token, "brmu1.secret");
  EXPECT_EQ(terminal_.credentials().Choose("")->spki_sha256, std::string(64, 'a'));
  EXPECT_EQ(controller_.requests()[0].body, R"({"setup_code":"C0DE"})");
  EXPECT_THAT(terminal_.out(), Not(HasSubstr("secret")));

  std::vector<std::string> pinned = init;
  pinned.insert(pinned.end(), {"--fingerprint", "sha256:" + std::string(64, 'b')});
  ASSERT_EQ(terminal_.Run(pinned), 0);
  EXPECT_EQ(terminal_.connected.back().spki_sha256, std::string(64, 'b'));
  EXPECT_EQ(terminal_.Run({"cluster", "init", "--controller", "172.16.0.1"}), 2) << "no code";
}

TEST_F(CommandsTest, InitWithoutAStateDirectorySaysWhatItLookedFor) {
  EXPECT_EQ(terminal_.Run({"cluster", "init", "--state", "/nonexistent"}), 1);
  EXPECT_THAT(terminal_.err(), HasSubstr("/nonexistent/setup-code"));
}

TEST_F(CommandsTest, DirectoriesGoAsArchivesWithMinusR) {
  ASSERT_EQ(terminal_.Run({"container", "run", "web", "--image", "x"}), 0);
  const std::filesystem::path site = terminal_.directory() / "site";
  std::filesystem::create_directories(site / "sub");
  std::ofstream(site / "page") << std::string(700, 'p');

  ASSERT_EQ(terminal_.Run({"container", "push", "web", "-r", site.string(), "/srv"}), 0)
      << terminal_.err();
  EXPECT_THAT(controller_.log().back(), HasSubstr("path=%2Fsrv&format=tar"));
  // Directory, page with its data, directory, end: each header is a block of 512 bytes.
  EXPECT_EQ(controller_.requests().back().file_bytes, 512u * (1 + 1 + 2 + 1 + 2));
  EXPECT_THAT(terminal_.out(), HasSubstr("3 entries"));
  EXPECT_EQ(terminal_.Run({"container", "push", "web", site.string(), "/srv"}), 1);
  EXPECT_THAT(terminal_.err(), HasSubstr("-r"));
  EXPECT_EQ(
      terminal_.Run({"container", "push", "web", "-r", site.string(), "/srv", "--mode", "0644"}),
      2);

  // What the fake sends is no archive.
  EXPECT_EQ(terminal_.Run({"container", "pull", "web", "-r", "/srv", (site / "back").string()}), 1);
  EXPECT_THAT(controller_.log().back(), HasSubstr("format=tar"));
  EXPECT_THAT(terminal_.err(), HasSubstr("archive"));
}

TEST_F(CommandsTest, BackupIsPrivateAndWhole) {
  const std::string path = (terminal_.directory() / "b.tar").string();
  ASSERT_EQ(terminal_.Run({"cluster", "backup", "--images", path}), 0);
  EXPECT_EQ(controller_.log().back(), "GET /v1/cluster/backup?images=true");
  std::filesystem::remove(path);
  ASSERT_EQ(terminal_.Run({"cluster", "backup", path}), 0);
  EXPECT_EQ(controller_.log().back(), "GET /v1/cluster/backup");
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  controller_.FailNext(absl::UnavailableError("cut off"));
  EXPECT_EQ(terminal_.Run({"cluster", "backup", path + "2"}), 1);
  EXPECT_FALSE(std::filesystem::exists(path + "2"));
}

TEST_F(CommandsTest, WhatTheServerSaysCannotMoveTheCursor) {
  controller_.FailNext(absl::InternalError("evil \x1b[2J"));
  EXPECT_EQ(terminal_.Run({"node", "list"}), 1);
  EXPECT_EQ(terminal_.err(), "bramble: evil \\x1b[2J\n");
}

}  // namespace
}  // namespace bramble::cli
