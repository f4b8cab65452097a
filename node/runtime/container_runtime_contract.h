// SPDX-License-Identifier: Apache-2.0
#pragma once

// What every ContainerRuntime keeps, the fake one and the real one.  A test program instantiates it
// with a fixture:
//
//   struct Fixture {
//     static const char* Unfit();             // why it cannot run here, or nullptr
//     asio::io_context& loop();
//     ContainerRuntime& runtime();
//     ContainerAccess& access();
//     RuntimeSpec Spec(const std::string& id); // of a container that can run
//     void RestartAgent();                     // a new runtime object over the same containers
//   };

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/run_on_loop.h"
#include "base/tar.h"
#include "base/timer.h"
#include "node/runtime/container_access.h"
#include "node/runtime/container_runtime.h"

namespace bramble::node {

template <typename Fixture>
class ContainerRuntimeContract : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* reason = Fixture::Unfit(); reason != nullptr) {
      GTEST_SKIP() << reason;
    }
    fixture_ = std::make_unique<Fixture>();
    Listen();
  }

  void Listen() {
    fixture_->runtime().OnExit([this](RuntimeExitEvent event) { exits_.push_back(event); });
  }
  template <typename T>
  T Await(asio::awaitable<T> task) {
    return RunOnLoop(fixture_->loop(), std::move(task));
  }
  ContainerRuntime& runtime() { return fixture_->runtime(); }
  ContainerAccess& access() { return fixture_->access(); }
  RuntimeSpec Spec(const std::string& id) { return fixture_->Spec(id); }
  ContainerId Id(const std::string& id) { return ContainerId::Parse(id).value(); }

  RuntimeContainer Start(const RuntimeSpec& spec) {
    auto container = Await(runtime().Start(spec));
    EXPECT_TRUE(container.ok()) << container.status();
    return container.ok() ? *container : RuntimeContainer();
  }
  RuntimeState StateOf(const std::string& id) {
    auto containers = Await(runtime().List());
    EXPECT_TRUE(containers.ok()) << containers.status();
    for (const RuntimeContainer& container : *containers) {
      if (container.spec.id.str() == id) {
        return container.state;
      }
    }
    return RuntimeState::kStopped;
  }
  // Runs the loop until `count` exits were told, 20 s at most.
  void AwaitExits(size_t count) {
    for (int i = 0; i < 400 && exits_.size() < count; ++i) {
      Await(SleepFor(std::chrono::milliseconds(50)));
    }
  }
  struct Outcome {
    std::string out;
    int code = -1;
  };
  Outcome Run(const std::string& id, std::vector<std::string> argv, std::string input = "") {
    ExecRequest request;
    request.id = Id(id);
    request.argv = std::move(argv);
    request.interactive = !input.empty();
    Outcome outcome;
    auto stream = Await(access().Exec(request));
    EXPECT_TRUE(stream.ok()) << stream.status();
    if (stream.ok()) {
      if (!input.empty()) {
        EXPECT_TRUE(Await((*stream)->Write(input)).ok());
        EXPECT_TRUE(Await((*stream)->CloseInput()).ok());
      }
      outcome = ReadToEnd(**stream);
    }
    return outcome;
  }
  Outcome ReadToEnd(ContainerStream& stream) {
    Outcome outcome;
    while (outcome.code < 0) {
      auto piece = Await(stream.Read());
      if (!piece.ok()) {
        ADD_FAILURE() << piece.status();
        break;
      }
      outcome.out += piece->bytes;
      if (piece->kind == StreamPiece::Kind::kExit) {
        outcome.code = piece->exit_code;
      }
    }
    return outcome;
  }
  absl::Status Push(const std::string& id, const std::string& path, const std::string& bytes) {
    PushRequest request;
    request.id = Id(id);
    request.path = path;
    request.size = Bytes{static_cast<int64_t>(bytes.size())};
    return PushBytes(std::move(request), bytes);
  }
  absl::Status PushBytes(PushRequest request, const std::string& bytes) {
    auto sink = Await(access().PushFile(request));
    if (!sink.ok()) {
      return sink.status();
    }
    if (absl::Status status = Await((*sink)->Write(bytes)); !status.ok()) {
      return status;
    }
    return Await((*sink)->Finish());
  }
  absl::StatusOr<std::string> Pull(const std::string& id, const std::string& path) {
    return PullBytes({.id = Id(id), .path = path});
  }
  absl::StatusOr<std::string> PullBytes(const PullRequest& request) {
    auto source = Await(access().PullFile(request));
    if (!source.ok()) {
      return source.status();
    }
    return ReadAll(**source);
  }
  absl::StatusOr<std::string> ReadAll(ByteSource& source) {
    std::string all;
    while (true) {
      auto bytes = Await(source.Read());
      if (!bytes.ok()) {
        return bytes.status();
      }
      if (bytes->empty()) {
        return all;
      }
      all += *bytes;
    }
  }

  absl::StatusOr<std::string> Export(const std::string& id) {
    auto source = Await(access().ExportLayer(Id(id)));
    if (!source.ok()) {
      return source.status();
    }
    return ReadAll(**source);
  }
  absl::Status Import(const RuntimeSpec& spec, const std::string& layer, bool finish = true) {
    auto sink = Await(access().ImportLayer(spec));
    if (!sink.ok()) {
      return sink.status();
    }
    const absl::Status written = Await((*sink)->Write(layer));
    if (!written.ok() || !finish) {
      return written.ok() ? absl::CancelledError("left unfinished") : written;
    }
    return Await((*sink)->Finish());
  }

  static constexpr std::chrono::milliseconds kAtOnce{0};
  // Busybox takes two seconds, and has the disk written out, which others may keep busy.
  static constexpr std::chrono::milliseconds kGrace{30'000};

  std::vector<RuntimeExitEvent> exits_;  // outlives the fixture, whose end ends containers
  std::unique_ptr<Fixture> fixture_;
};

TYPED_TEST_SUITE_P(ContainerRuntimeContract);

TYPED_TEST_P(ContainerRuntimeContract, StartsAContainerAndListsItAsItWasAskedFor) {
  const RuntimeSpec spec = this->Spec("c1");

  const RuntimeContainer started = this->Start(spec);

  EXPECT_EQ(started.state, RuntimeState::kRunning);
  EXPECT_GT(started.init_pid, 0);
  EXPECT_TRUE(started.started_at.has_value());
  auto listed = this->Await(this->runtime().List());
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ((*listed)[0].spec, spec);
  EXPECT_EQ((*listed)[0].init_pid, started.init_pid);
}

TYPED_TEST_P(ContainerRuntimeContract, LeavesRunningWhatIsStartedAgain) {
  RuntimeSpec spec = this->Spec("c1");
  const RuntimeContainer first = this->Start(spec);

  spec.generation = 7;
  spec.note = "seven";
  const RuntimeContainer second = this->Start(spec);

  EXPECT_EQ(second.init_pid, first.init_pid);
  EXPECT_EQ(second.spec.generation, 7u);
  EXPECT_EQ(second.spec.note, "seven");
}

TYPED_TEST_P(ContainerRuntimeContract, TellsOnceWhenAContainerEnds) {
  const RuntimeContainer started = this->Start(this->Spec("c1"));

  ASSERT_TRUE(this->Await(this->runtime().Stop(this->Id("c1"), this->kGrace)).ok());
  this->AwaitExits(1);

  ASSERT_EQ(this->exits_.size(), 1u);
  EXPECT_EQ(this->exits_[0].id.str(), "c1");
  EXPECT_EQ(this->exits_[0].init_pid, started.init_pid);
  ASSERT_TRUE(this->exits_[0].exit.has_value());
  EXPECT_EQ(this->exits_[0].exit->signal, 2) << "init asked the kernel to halt";
  EXPECT_EQ(this->StateOf("c1"), RuntimeState::kStopped);
}

TYPED_TEST_P(ContainerRuntimeContract, KillsWhenThereIsNoGrace) {
  this->Start(this->Spec("c1"));

  ASSERT_TRUE(this->Await(this->runtime().Stop(this->Id("c1"), this->kAtOnce)).ok());
  this->AwaitExits(1);

  ASSERT_EQ(this->exits_.size(), 1u);
  ASSERT_TRUE(this->exits_[0].exit.has_value());
  EXPECT_EQ(this->exits_[0].exit->signal, 9);
}

TYPED_TEST_P(ContainerRuntimeContract, StopsAndDeletesWhatIsNotThere) {
  EXPECT_TRUE(this->Await(this->runtime().Stop(this->Id("nobody"), this->kGrace)).ok());
  EXPECT_TRUE(this->Await(this->runtime().Delete(this->Id("nobody"))).ok());
  EXPECT_TRUE(this->Await(this->runtime().Rebuild(this->Spec("nobody"))).ok());
}

TYPED_TEST_P(ContainerRuntimeContract, StartsAgainWhatWasStopped) {
  this->Start(this->Spec("c1"));
  ASSERT_TRUE(this->Push("c1", "/root/kept", "still here").ok());
  ASSERT_TRUE(this->Await(this->runtime().Stop(this->Id("c1"), this->kAtOnce)).ok());

  const RuntimeContainer again = this->Start(this->Spec("c1"));

  EXPECT_EQ(again.state, RuntimeState::kRunning);
  EXPECT_EQ(this->Pull("c1", "/root/kept").value_or("gone"), "still here");
}

TYPED_TEST_P(ContainerRuntimeContract, FreezesAndThaws) {
  this->Start(this->Spec("c1"));

  EXPECT_TRUE(this->Await(this->runtime().Freeze(this->Id("c1"))).ok());
  EXPECT_EQ(this->StateOf("c1"), RuntimeState::kFrozen);
  EXPECT_TRUE(this->Await(this->runtime().Freeze(this->Id("c1"))).ok()) << "once more";
  ExecRequest request;
  request.id = this->Id("c1");
  request.argv = {"true"};
  EXPECT_EQ(this->Await(this->access().Exec(request)).status().code(),
            absl::StatusCode::kFailedPrecondition);

  EXPECT_TRUE(this->Await(this->runtime().Unfreeze(this->Id("c1"))).ok());
  EXPECT_EQ(this->StateOf("c1"), RuntimeState::kRunning);
}

TYPED_TEST_P(ContainerRuntimeContract, StopsWhatIsFrozen) {
  this->Start(this->Spec("c1"));
  ASSERT_TRUE(this->Await(this->runtime().Freeze(this->Id("c1"))).ok());

  EXPECT_TRUE(this->Await(this->runtime().Stop(this->Id("c1"), this->kGrace)).ok());

  EXPECT_EQ(this->StateOf("c1"), RuntimeState::kStopped);
}

TYPED_TEST_P(ContainerRuntimeContract, RefusesToFreezeWhatDoesNotRun) {
  EXPECT_EQ(this->Await(this->runtime().Freeze(this->Id("c1"))).code(),
            absl::StatusCode::kFailedPrecondition);
}

TYPED_TEST_P(ContainerRuntimeContract, AdjustsWhileItRuns) {
  RuntimeSpec spec = this->Spec("c1");
  const RuntimeContainer started = this->Start(spec);

  spec.limits.pids = 77;
  spec.generation = 2;
  ASSERT_TRUE(this->Await(this->runtime().Adjust(spec)).ok());

  auto listed = this->Await(this->runtime().List());
  ASSERT_TRUE(listed.ok() && listed->size() == 1);
  EXPECT_EQ((*listed)[0].spec, spec);
  EXPECT_EQ((*listed)[0].init_pid, started.init_pid);
  EXPECT_EQ(this->Await(this->runtime().Adjust(this->Spec("nobody"))).code(),
            absl::StatusCode::kNotFound);
}

TYPED_TEST_P(ContainerRuntimeContract, RebuildsOnlyWhatIsStopped) {
  RuntimeSpec spec = this->Spec("c1");
  this->Start(spec);
  ASSERT_TRUE(this->Push("c1", "/root/lost", "soon").ok());
  spec.rebuild_count = 1;

  EXPECT_EQ(this->Await(this->runtime().Rebuild(spec)).code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(this->Await(this->runtime().Stop(this->Id("c1"), this->kAtOnce)).ok());
  EXPECT_EQ(this->Await(this->runtime().Start(spec)).status().code(),
            absl::StatusCode::kFailedPrecondition)
      << "its layer was made for another rebuild";
  ASSERT_TRUE(this->Await(this->runtime().Rebuild(spec)).ok());
  this->Start(spec);

  EXPECT_EQ(this->Pull("c1", "/root/lost").status().code(), absl::StatusCode::kNotFound);
}

TYPED_TEST_P(ContainerRuntimeContract, DeletesWhatRuns) {
  this->Start(this->Spec("c1"));
  this->Start(this->Spec("c2"));

  EXPECT_TRUE(this->Await(this->runtime().Delete(this->Id("c1"))).ok());

  auto listed = this->Await(this->runtime().List());
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ((*listed)[0].spec.id.str(), "c2");
  EXPECT_EQ((*listed)[0].state, RuntimeState::kRunning);
}

TYPED_TEST_P(ContainerRuntimeContract, KnowsItsContainersAfterARestartOfTheAgent) {
  const RuntimeContainer started = this->Start(this->Spec("c1"));

  this->fixture_->RestartAgent();
  this->Listen();

  auto listed = this->Await(this->runtime().List());
  ASSERT_TRUE(listed.ok() && listed->size() == 1);
  EXPECT_EQ((*listed)[0].init_pid, started.init_pid) << "running containers do not notice";
  ASSERT_TRUE(this->Await(this->runtime().Stop(this->Id("c1"), this->kAtOnce)).ok());
  this->AwaitExits(1);
  EXPECT_EQ(this->exits_.size(), 1u) << "what List showed running is watched";
}

TYPED_TEST_P(ContainerRuntimeContract, RunsCommands) {
  this->Start(this->Spec("c1"));

  EXPECT_EQ(this->Run("c1", {"echo", "hello", "there"}).out, "hello there\n");
  EXPECT_EQ(this->Run("c1", {"sh", "-c", "exit 7"}).code, 7);
  EXPECT_EQ(this->Run("c1", {"no-such-program"}).code, 127);
  const auto echoed = this->Run("c1", {"cat"}, "to and fro\n");
  EXPECT_EQ(echoed.out, "to and fro\n");
  EXPECT_EQ(echoed.code, 0);
}

TYPED_TEST_P(ContainerRuntimeContract, RunsNothingInWhatIsStopped) {
  ExecRequest request;
  request.id = this->Id("c1");
  request.argv = {"true"};

  EXPECT_FALSE(this->Await(this->access().Exec(request)).ok());
}

TYPED_TEST_P(ContainerRuntimeContract, MovesFilesInAndOut) {
  this->Start(this->Spec("c1"));
  const std::string bytes(300'000, 'x');

  EXPECT_TRUE(this->Push("c1", "/root/file", bytes).ok());

  EXPECT_EQ(this->Pull("c1", "/root/file").value_or(""), bytes);
  EXPECT_EQ(this->Pull("c1", "/root/none").status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(this->Await(this->runtime().Stop(this->Id("c1"), this->kAtOnce)).ok());
  EXPECT_EQ(this->Pull("c1", "/root/file").value_or(""), bytes) << "of a stopped one";
  EXPECT_TRUE(this->Push("c1", "/root/file", "new").ok());
  EXPECT_EQ(this->Pull("c1", "/root/file").value_or(""), "new");
}

TYPED_TEST_P(ContainerRuntimeContract, SaysThatAFrozenOneRunsNoCommand) {
  this->Start(this->Spec("c1"));
  ASSERT_TRUE(this->Await(this->runtime().Freeze(this->Id("c1"))).ok());
  ExecRequest request;
  request.id = this->Id("c1");
  request.argv = {"true"};

  const absl::Status refused = this->Await(this->access().Exec(request)).status();

  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("is frozen"));
  EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("container start"));
}

TYPED_TEST_P(ContainerRuntimeContract, TakesAFileWhoseLengthIsNotKnownBefore) {
  this->Start(this->Spec("c1"));
  const std::string bytes(300'000, 'y');

  EXPECT_TRUE(this->PushBytes({.id = this->Id("c1"), .path = "/root/chunks"}, bytes).ok());
  EXPECT_EQ(this->Pull("c1", "/root/chunks").value_or(""), bytes);
  EXPECT_TRUE(this->PushBytes({.id = this->Id("c1"), .path = "/root/empty"}, "").ok());
  EXPECT_EQ(this->Pull("c1", "/root/empty").value_or("?"), "");
  {
    auto sink = this->Await(this->access().PushFile({.id = this->Id("c1"), .path = "/root/half"}));
    ASSERT_TRUE(sink.ok()) << sink.status();
    EXPECT_TRUE(this->Await((*sink)->Write("half of it")).ok());
  }  // the sender goes away
  EXPECT_EQ(this->Pull("c1", "/root/half").status().code(), absl::StatusCode::kNotFound);
}

TYPED_TEST_P(ContainerRuntimeContract, MovesDirectoriesInAndOut) {
  this->Start(this->Spec("c1"));
  const std::string page(70'000, 'p');
  const std::string archive =
      TarHeader({.name = "site/", .type = TarType::kDirectory, .mode = 0750}) +
      TarHeader({.name = "site/page", .size = page.size(), .mode = 0640, .uid = 33}) + page +
      TarPadding(page.size()) +
      TarHeader({.name = "site/link", .type = TarType::kSymlink, .link = "page"}) + TarEnd();

  const absl::Status pushed = this->PushBytes(
      {.id = this->Id("c1"), .kind = TransferKind::kTree, .path = "/root/www"}, archive);
  ASSERT_TRUE(pushed.ok()) << pushed;

  EXPECT_EQ(this->Pull("c1", "/root/www/site/page").value_or(""), page);
  const auto pulled = this->PullBytes(
      {.id = this->Id("c1"), .kind = TransferKind::kTree, .path = "/root/www/site"});
  ASSERT_TRUE(pulled.ok()) << pulled.status();
  size_t at = 0;
  TarReader reader([&](char* out, size_t size) {
    const size_t got = pulled->copy(out, size, at);
    at += got;
    return absl::StatusOr<size_t>(got);
  });
  std::map<std::string, TarEntry> entries;
  for (auto entry = reader.Next(); entry.ok() && entry->has_value(); entry = reader.Next()) {
    entries[(**entry).name] = **entry;
  }
  ASSERT_TRUE(entries.contains("site/page"));
  EXPECT_EQ(entries["site/page"].size, page.size());
  EXPECT_EQ(entries["site/page"].mode, 0640u);
  EXPECT_EQ(entries["site/page"].uid, 33u) << "as the container sees it";
  EXPECT_EQ(entries["site/link"].link, "page");
  EXPECT_EQ(entries["site/"].mode, 0750u);
  EXPECT_EQ(
      this->PullBytes({.id = this->Id("c1"), .kind = TransferKind::kTree, .path = "/root/none"})
          .status()
          .code(),
      absl::StatusCode::kNotFound);
}

TYPED_TEST_P(ContainerRuntimeContract, MovesAWritableLayer) {
  this->Start(this->Spec("c1"));
  const std::string bytes(300'000, 'x');
  ASSERT_TRUE(this->Push("c1", "/root/file", bytes).ok());
  EXPECT_FALSE(this->Export("c1").ok()) << "it runs";
  ASSERT_TRUE(this->Await(this->runtime().Stop(this->Id("c1"), this->kAtOnce)).ok());
  const std::string layer = this->Export("c1").value_or("");
  ASSERT_GT(layer.size(), bytes.size());
  // As if on another node.
  ASSERT_TRUE(this->Await(this->runtime().Delete(this->Id("c1"))).ok());

  RuntimeSpec spec = this->Spec("c1");
  spec.layer_move = "move-1";
  EXPECT_EQ(this->Await(this->runtime().Start(spec)).status().code(),
            absl::StatusCode::kFailedPrecondition)
      << "not without its files";
  EXPECT_FALSE(this->Import(spec, layer.substr(0, layer.size() / 2), /*finish=*/false).ok());
  EXPECT_EQ(this->Await(this->runtime().Start(spec)).status().code(),
            absl::StatusCode::kFailedPrecondition)
      << "not with half of them";
  ASSERT_TRUE(this->Import(spec, layer).ok());
  EXPECT_EQ(this->Import(spec, layer).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(this->StateOf("c1"), RuntimeState::kStopped);

  this->Start(spec);
  EXPECT_EQ(this->Pull("c1", "/root/file").value_or(""), bytes);
  // The move is over, and what was moved is the container's own.
  ASSERT_TRUE(this->Await(this->runtime().Stop(this->Id("c1"), this->kAtOnce)).ok());
  spec.layer_move.clear();
  this->Start(spec);
  EXPECT_EQ(this->Pull("c1", "/root/file").value_or(""), bytes);
}

TYPED_TEST_P(ContainerRuntimeContract, MovesWhatWasNeverStarted) {
  const auto layer = this->Export("c1");
  ASSERT_TRUE(layer.ok()) << layer.status();
  RuntimeSpec spec = this->Spec("c1");
  spec.layer_move = "move-1";
  ASSERT_TRUE(this->Import(spec, *layer).ok());
  EXPECT_EQ(this->Start(spec).state, RuntimeState::kRunning);
}

TYPED_TEST_P(ContainerRuntimeContract, CountsWhatRuns) {
  this->Start(this->Spec("c1"));

  auto usage = this->Await(this->runtime().Usage());

  ASSERT_TRUE(usage.ok()) << usage.status();
  ASSERT_EQ(usage->size(), 1u);
  EXPECT_EQ((*usage)[0].id.str(), "c1");
  EXPECT_GT((*usage)[0].memory.count, 0);
  EXPECT_GT((*usage)[0].pids, 0);
}

REGISTER_TYPED_TEST_SUITE_P(
    ContainerRuntimeContract, StartsAContainerAndListsItAsItWasAskedFor,
    LeavesRunningWhatIsStartedAgain, TellsOnceWhenAContainerEnds, KillsWhenThereIsNoGrace,
    StopsAndDeletesWhatIsNotThere, StartsAgainWhatWasStopped, FreezesAndThaws, StopsWhatIsFrozen,
    RefusesToFreezeWhatDoesNotRun, AdjustsWhileItRuns, RebuildsOnlyWhatIsStopped, DeletesWhatRuns,
    KnowsItsContainersAfterARestartOfTheAgent, RunsCommands, RunsNothingInWhatIsStopped,
    MovesFilesInAndOut, SaysThatAFrozenOneRunsNoCommand, TakesAFileWhoseLengthIsNotKnownBefore,
    MovesDirectoriesInAndOut, MovesAWritableLayer, MovesWhatWasNeverStarted, CountsWhatRuns);

}  // namespace bramble::node
