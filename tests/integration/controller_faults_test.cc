// SPDX-License-Identifier: Apache-2.0
// What happens to the controller itself: bad files, busy ports, kills, roll-backs, floods.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <atomic>
#include <fstream>
#include <random>
#include <thread>

#include "base/fd.h"
#include "base/hash.h"
#include "tests/integration/simulated_node.h"

namespace bramble::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kKills = 12;
constexpr int kHalfOpen = 1000;

TEST(ControllerFaultsTest, AConfigurationThatIsWrongEndsTheStartWithFileAndLine) {
  const std::pair<const char*, const char*> bad[] = {
      {"name = \n", ":2"}, {"colour = \"red\"\n", "colour"}, {"name = 7\n", "name"}};
  for (const auto& [text, names] : bad) {
    ControllerProcess controller(text);
    const ProgramEnd end = controller.RunToEnd();
    EXPECT_EQ(end.exit_code, 78);
    EXPECT_THAT(end.error, AllOf(HasSubstr("controller.toml"), HasSubstr(names)));
  }
}

TEST(ControllerFaultsTest, CheckConfigPrintsWhatIsInEffect) {
  ControllerProcess controller("name = \"lab\"\n");
  const ProgramEnd end = controller.RunToEnd({"--check-config"});
  EXPECT_EQ(end.exit_code, 0);
  EXPECT_THAT(end.error, HasSubstr("name = \"lab\""));
}

TEST(ControllerFaultsTest, ABusyPortIsNamedWithTheNextStep) {
  ControllerProcess first;
  first.Start();
  ControllerProcess second;
  std::ofstream(second.config()) << "[people]\nlisten = [\"127.0.0.1\"]\nport = "
                                 << first.people_port() << "\n";

  const ProgramEnd end = second.RunToEnd();

  EXPECT_EQ(end.exit_code, 1);
  EXPECT_THAT(end.error, AllOf(HasSubstr(std::to_string(first.people_port())),
                               HasSubstr("ss -ltnp"), HasSubstr("in use")));
}

TEST(ControllerFaultsTest, ASecondControllerOnTheSameStateIsRefused) {
  ControllerProcess controller;
  controller.Start();
  const ProgramEnd end = controller.RunToEnd();
  EXPECT_EQ(end.exit_code, 1);
  EXPECT_THAT(end.error, HasSubstr("another bramble-controller"));
}

TEST(ControllerFaultsTest, AStateDirectoryThatIsAFileIsNamed) {
  ControllerProcess controller;
  std::ofstream(controller.state()) << "a file";
  const ProgramEnd end = controller.RunToEnd();
  EXPECT_EQ(end.exit_code, 1);
  EXPECT_THAT(end.error, AllOf(HasSubstr(controller.state()), HasSubstr("--state")));
}

TEST(ControllerFaultsTest, ATerminatedControllerStopsQuicklyAndInOrder) {
  ControllerProcess controller;
  controller.Start();
  SimulatedNode node(controller);
  Person admin(controller, controller.Token());
  ASSERT_TRUE(node.Join(admin.Post("/v1/tokens").Text("join_token")).ok());
  node.Connect();
  admin.Await("/v1/nodes/pi-1", "state", "ready");

  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(controller.Stop(), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
  EXPECT_FALSE(fs::exists(controller.run() / "ports.json"));
}

TEST(ControllerFaultsTest, NoAcknowledgedWriteIsLostWhenItIsKilledAtAnyMoment) {
  ControllerProcess controller;
  controller.Start();
  const std::string token = controller.Token();
  std::mt19937 random(7);
  std::vector<std::string> acknowledged;
  int next = 0;
  for (int round = 0; round < kKills; ++round) {
    std::atomic<bool> stop = false;
    std::thread writer([&] {
      Person admin(controller, token);
      while (!stop) {
        const std::string name = "f" + std::to_string(next++);
        const Answer answer = admin.Post(
            "/v1/flavors",
            {{"name", name}, {"resources", {{"cpu_milli", 100}, {"memory_bytes", 1 << 26}}}});
        if (answer.status == 201) {
          acknowledged.push_back(name);
        } else if (answer.status == 0) {
          return;
        }
      }
    });
    ::poll(nullptr, 0, static_cast<int>(5 + random() % 120));
    controller.Kill();
    stop = true;
    writer.join();
    controller.Start();
  }
  ASSERT_FALSE(acknowledged.empty());
  Person admin(controller, token);
  for (const std::string& name : acknowledged) {
    ASSERT_EQ(admin.Get("/v1/flavors/" + name).status, 200) << name << " was acknowledged";
  }
}

TEST(ControllerFaultsTest, ARolledBackDatabaseRaisesTheEpochAndDestroysNothing) {
  ControllerProcess controller;
  controller.Start();
  Person admin(controller, controller.Token());
  SimulatedNode node(controller);
  ASSERT_TRUE(node.Join(admin.Post("/v1/tokens").Text("join_token")).ok());
  node.Connect();
  admin.Await("/v1/nodes/pi-1", "state", "ready");
  admin.Send("POST", "/v1/images?name=busybox&architecture=amd64", "not really a tar");
  const fs::path copy = controller.state().parent_path() / "copy";
  ASSERT_EQ(controller.Stop(), 0);
  fs::copy(controller.state(), copy, fs::copy_options::recursive);
  controller.Start();
  node.Connect();
  Person later(controller, controller.Token());
  later.Post("/v1/containers", {{"name", "web"}, {"image", "busybox"}});
  later.Await("/v1/containers/web", "status.state", "running");
  controller.Kill();

  fs::remove_all(controller.state());
  fs::copy(copy, controller.state(), fs::copy_options::recursive);
  controller.Start();
  node.Connect();

  Person after(controller, controller.Token());
  after.Await("/v1/containers/web", "name", "web");
  EXPECT_GT(std::stoi(after.Get("/v1/cluster").Text("epoch")), 1);
  EXPECT_EQ(node.desired().tombstones.size(), 0u);
}

TEST(ControllerFaultsTest, ABackupIsRestoredIntoAnEmptyStateAndOpensAnEpoch) {
  ControllerProcess controller;
  controller.Start();
  Person admin(controller, controller.Token());
  admin.Send("POST", "/v1/images?name=busybox&architecture=amd64", "not really a tar");
  admin.Post("/v1/containers", {{"name", "web"}, {"image", "busybox"}});
  const Answer backup = admin.Get("/v1/cluster/backup");
  ASSERT_EQ(backup.status, 200) << backup.text;
  const fs::path file = controller.state().parent_path() / "backup.tar";
  std::ofstream(file) << backup.text;
  ASSERT_EQ(controller.Stop(), 0);

  EXPECT_EQ(controller.RunToEnd({"--restore", file.string()}).exit_code, 1)
      << "there is a database";
  fs::remove_all(controller.state());
  ASSERT_EQ(controller.RunToEnd({"--restore", file.string()}).exit_code, 0);
  controller.Start();

  Person restored(controller, controller.Token());
  EXPECT_EQ(restored.Get("/v1/containers/web").status, 200);
  EXPECT_GT(std::stoi(restored.Get("/v1/cluster").Text("epoch")), 1);
}

TEST(ControllerFaultsTest, ABackupHoldsTheImagesWhenAskedAndSaysWhatIsMissingWhenNot) {
  ControllerProcess controller;
  controller.Start();
  Person admin(controller, controller.Token());
  std::string image(5'000'000, 'i');
  image += "not really a tar";
  ASSERT_EQ(admin.Send("POST", "/v1/images?name=busybox&architecture=amd64", image).status, 201);
  ASSERT_EQ(admin.Post("/v1/images/busybox/tag", {{"name", "same"}}).status, 201);
  const Answer without = admin.Get("/v1/cluster/backup");
  const Answer with = admin.Get("/v1/cluster/backup?images=true");
  ASSERT_EQ(with.status, 200);
  EXPECT_LT(without.text.size(), image.size());
  EXPECT_GT(with.text.size(), image.size());
  EXPECT_EQ(admin.Get("/v1/cluster/backup?images=maybe").status, 400);
  ASSERT_EQ(controller.Stop(), 0);
  const fs::path file = controller.state().parent_path() / "backup.tar";
  const auto restore = [&](const std::string& bytes) {
    std::ofstream(file) << bytes;
    fs::remove_all(controller.state());
    ASSERT_EQ(controller.RunToEnd({"--restore", file.string()}).exit_code, 0);
    controller.Start();
  };

  restore(with.text);
  {
    Person restored(controller, controller.Token());
    EXPECT_THAT(restored.Get("/v1/images/busybox").text, Not(HasSubstr("missing")));
    SimulatedNode node(controller);
    ASSERT_TRUE(node.Join(restored.Post("/v1/tokens").Text("join_token")).ok());
    EXPECT_LT(restored.Post("/v1/cluster/leave-adoption").status, 300);
    node.Connect();
    restored.Await("/v1/nodes/pi-1", "state", "ready");
    restored.Post("/v1/containers", {{"name", "web"}, {"image", "busybox"}});
    restored.Await("/v1/containers/web", "status.state", "running");
    EXPECT_EQ(node.Get("/v1/blobs/" + Sha256(image).Hex()).text, image);
  }
  ASSERT_EQ(controller.Stop(), 0);

  restore(without.text);
  Person restored(controller, controller.Token());
  for (const char* name : {"busybox", "same"}) {
    EXPECT_TRUE(Eventually([&] {
      return restored.Get(std::string("/v1/images/") + name).text.find("\"missing\":true") !=
             std::string::npos;
    })) << name;
  }
  EXPECT_THAT(restored.Get("/v1/cluster").text,
              AllOf(HasSubstr("image blob missing: "), HasSubstr("busybox:latest (amd64)")));
  EXPECT_TRUE(Eventually([&] {
    return restored.Get("/v1/events?after=0").text.find("image.blob_missing") != std::string::npos;
  })) << "an event is shown once it is durable";
  ASSERT_EQ(restored.Send("POST", "/v1/images?name=busybox&architecture=amd64", image).status, 201);
  EXPECT_THAT(restored.Get("/v1/images/same").text, Not(HasSubstr("missing"))) << "the same bytes";
  EXPECT_THAT(restored.Get("/v1/cluster").text, Not(HasSubstr("image blob missing")));
}

TEST(ControllerFaultsTest, ABrokenBackupIsRefusedAndLeavesNothing) {
  ControllerProcess controller;
  const fs::path file = controller.state().parent_path() / "backup.tar";
  std::ofstream(file) << std::string(2048, 'x');
  const ProgramEnd end = controller.RunToEnd({"--restore", file.string()});
  EXPECT_EQ(end.exit_code, 1);
  EXPECT_THAT(end.error, HasSubstr("backup.tar"));
  EXPECT_FALSE(fs::exists(controller.state() / "controller.db"));
}

TEST(ControllerFaultsTest, AControllerThatIsCalledOtherwiseShowsACertificateThatSaysSo) {
  ControllerProcess controller;
  controller.Start();
  const std::string token = controller.Token();
  const std::string before =
      Person(controller, token).Get("/v1/cluster").Text("certificate_sha256");
  ASSERT_EQ(controller.Stop(), 0);
  std::ofstream(controller.config()) << "names = [\"lab.example\", \"192.0.2.7\"]\n"
                                        "[people]\nlisten = [\"127.0.0.1\"]\nport = 0\n"
                                        "[nodes]\nlisten = [\"127.0.0.1\"]\nport = 0\n";
  controller.Start();

  Person admin(controller, token);
  const std::string after = admin.Get("/v1/cluster").Text("certificate_sha256");
  EXPECT_NE(after, before);
  std::string events;
  EXPECT_TRUE(Eventually([&] {
    events = admin.Get("/v1/events?after=0").text;
    return events.find("cluster.certificate_renewed") != std::string::npos;
  })) << "an event is shown once it is durable";
  EXPECT_THAT(events, HasSubstr("what this machine is called now: lab.example, 192.0.2.7"));
  Person by_name(controller, token, "lab.example");
  EXPECT_EQ(by_name.Get("/v1/cluster").status, 200) << "it is good for the new name";
}

TEST(ControllerFaultsTest, AThousandHalfOpenConnectionsKeepNobodyOut) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, 4096);
  ::setrlimit(RLIMIT_NOFILE, &files);
  ControllerProcess controller;  // with the limits as shipped
  controller.Start();
  const std::string token = controller.Token();
  std::vector<Fd> half_open;
  for (int i = 0; i < kHalfOpen; ++i) {
    Fd fd(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(i % 2 == 0 ? controller.people_port() : controller.nodes_port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0) << i;
    half_open.push_back(std::move(fd));
  }

  // From the same address, which the limit counts: the first second belongs to who came first.
  Person admin(controller, token);
  EXPECT_TRUE(Eventually([&] { return admin.Get("/v1/cluster").status == 200; }));
  SimulatedNode node(controller);
  const std::string join_token = admin.Post("/v1/tokens").Text("join_token");
  EXPECT_TRUE(Eventually([&] { return node.Join(join_token).ok(); }));
}

}  // namespace
}  // namespace bramble::testing
