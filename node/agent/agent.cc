// SPDX-License-Identifier: Apache-2.0
#include "node/agent/agent.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>

#include "base/file.h"
#include "base/status.h"
#include "node/agent/lacking.h"
#include "node/journal/notes.h"
#include "node/runtime/first_start_command.h"

namespace bramble::node {
namespace {

constexpr size_t kMaxNotesBytes = 4 << 20;
constexpr std::chrono::seconds kJournalRetry{5};

// For files that are void after a boot: readers find the old one or the new one, and nothing waits
// for a disk, should the run directory be on one.
absl::Status ReplaceWithoutSync(const std::filesystem::path& path, std::string_view bytes) {
  const std::filesystem::path part = path.string() + ".new";
  BRAMBLE_ASSIGN_OR_RETURN(const Fd fd, OpenFile(part, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  BRAMBLE_RETURN_IF_ERROR(WriteAll(fd.get(), bytes, part.string()));
  if (::rename(part.c_str(), path.c_str()) != 0) {
    return ErrnoStatus(errno, path.string());
  }
  return absl::OkStatus();
}

std::string_view NameOf(ActionKind kind) { return kActionNames[static_cast<size_t>(kind)]; }

}  // namespace

Agent::Agent(Parts parts, Options options)
    : loop_(parts.loop),
      clock_(parts.clock),
      runtime_(parts.runtime),
      access_(parts.access),
      images_(parts.images),
      source_(parts.source),
      leases_(parts.leases),
      network_(parts.network),
      journal_(parts.journal),
      disk_(parts.disk),
      log_(parts.log),
      options_(std::move(options)),
      core_(options_.core),
      ids_(options_.id_first, options_.id_ranges),
      stop_after_lease_(options_.core.stop_after_lease),
      changed_(loop_),
      carried_out_(loop_),
      rearm_(loop_),
      journal_dirty_(loop_),
      contexts_dirty_(loop_),
      scope_(loop_, log_) {
  runtime_.OnExit([this](RuntimeExitEvent event) { OnExit(event); });
}

Agent::~Agent() { runtime_.OnExit(nullptr); }

asio::awaitable<absl::Status> Agent::Start() {
  DesiredRecord desired;
  LoadJournal(desired);
  absl::StatusOr<std::vector<RuntimeContainer>> listed = co_await runtime_.List();
  if (!listed.ok()) {
    co_return Annotate(listed.status(), "runtime");
  }
  core_.Restore(desired.version, std::move(desired.containers), std::move(desired.tombstones));
  for (const auto& [id, first] : desired.id_ranges) {
    ids_.Restore(id, IdRange{.first = first});
  }
  if (const auto notes = ReadFile(journal_.paths().Notes(), kMaxNotesBytes); notes.ok()) {
    core_.RestoreNotes(DecodeNotes(*notes, options_.boot_id));
  }
  std::vector<HeldContainer> held;
  for (RuntimeContainer& container : *listed) {
    held.push_back(HeldOf(container));
    const ContainerId id = container.spec.id;
    if (container.broken.empty()) {
      ids_.Restore(id, container.spec.ids);
    } else {
      log_.Error("container_broken", {{"container", id}, {"error", container.broken}});
    }
    containers_[id] = std::move(container);
  }
  log_.Info("agent_started", {{"containers", containers_.size()},
                              {"epoch", desired.version.epoch},
                              {"generation", desired.version.generation}});
  std::set<std::string> cached;
  for (const CachedImage& image : images_.List()) {
    cached.insert(image.digest);
  }
  LoadContexts();
  core_.Recover(std::move(held), std::move(cached), clock_.Boot());
  started_ = true;
  TellNetwork();
  Spawn(scope_, "agent_wake", WakeWhenDue());
  Spawn(scope_, "agent_journal", KeepJournal());
  Spawn(scope_, "agent_contexts", KeepContexts());
  for (const auto& [id, container] : containers_) {
    if (container.first_start.state == FirstStart::State::kDue &&
        container.state == RuntimeState::kRunning) {
      Spawn(scope_, "agent_first_start", RunFirstStart(id));
    }
  }
  Pump();
  co_return absl::OkStatus();
}

void Agent::LoadJournal(DesiredRecord& desired) {
  absl::StatusOr<std::optional<DesiredRecord>> loaded = journal_.LoadDesired();
  if (!loaded.ok()) {
    log_.Error("journal_lost", {{"error", loaded.status()}});
    return;
  }
  if (loaded->has_value()) {
    desired = **std::move(loaded);
  }
}

asio::awaitable<void> Agent::Stop() {
  stopping_ = true;
  co_await scope_.Join();
}

// ---- carrying out

void Agent::Pump() {
  if (!started_ || stopping_) {
    return;
  }
  std::vector<Action> actions = core_.TakeActions(clock_.Boot());
  TellLeaseGuard();  // of what is about to be started before it is
  for (Action& action : actions) {
    Spawn(scope_, "agent_action", Carry(std::move(action)));
  }
  SaveNotes();
  if (core_.contexts_in_use() != wanted_contexts_) {
    contexts_dirty_.Set();
  }
  changed_.Set();
  rearm_.Set();
}

asio::awaitable<void> Agent::Carry(Action action) {
  const ContainerId id = action.id;
  const ActionKind kind = action.kind;
  const std::string name = action.container.name.str();
  if (kind == ActionKind::kFetch) {
    const std::string digest = action.container.image_digest;
    const absl::Status status = co_await FetchImage(std::move(action.container));
    if (!status.ok()) {
      log_.Warn("image_fetch_failed", {{"image", digest}, {"error", status}});
    }
    core_.OnFetched(digest, status, clock_.Boot());
    Pump();
    co_return;
  }
  const BootTime begin = clock_.Boot();
  absl::StatusOr<Started> done = co_await CarryOut(std::move(action));
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.Boot() - begin);
  if (done.ok()) {
    log_.Info("action_done", {{"action", NameOf(kind)}, {"container", name}, {"ms", took.count()}});
  } else {
    log_.Warn("action_failed",
              {{"action", NameOf(kind)}, {"container", name}, {"error", done.status()}});
    RefreshImages();
  }
  core_.OnDone(id, kind, done.status(), done.value_or(Started{}), clock_.Boot());
  carried_out_.Set();
  TellNetwork();
  if (auto early = early_exits_.extract(id); !early.empty() && done.ok()) {
    OnExit(early.mapped());
  }
  Pump();
}

asio::awaitable<absl::StatusOr<Started>> Agent::CarryOut(Action action) {
  if (action.kind == ActionKind::kStart) {
    co_return co_await StartContainer(std::move(action.container));
  }
  const ActionKind kind = action.kind;
  const ContainerId id = action.id;
  const absl::Status status = co_await Change(std::move(action));
  if (!status.ok()) {
    co_return status;
  }
  Started now;
  if (kind == ActionKind::kAdjust) {
    now = co_await AfterAdjusting(id);
  }
  co_return now;
}

asio::awaitable<Started> Agent::AfterAdjusting(ContainerId id) {
  Started now;
  const auto listed = co_await runtime_.List();
  if (listed.ok()) {
    for (const RuntimeContainer& container : *listed) {
      if (container.spec.id == id) {
        now.disk_limit_mode = container.disk_mode;
        now.lacking = container.degraded;
      }
    }
  }
  co_return now;
}

asio::awaitable<absl::StatusOr<Started>> Agent::StartContainer(api::NodeContainer container) {
  const ContainerId id = container.id;
  const std::string digest = container.image_digest;
  absl::StatusOr<RuntimeSpec> spec = SpecOf(container);
  if (!spec.ok()) {
    co_return spec.status();
  }
  if (const auto before = containers_.find(id); before != containers_.end()) {
    before->second.init_pid = 0;
  }
  if (container.spec.placement.placement_class == api::PlacementClass::kMovable) {
    // From here on the lease holder would end it, whatever becomes of this process.
    const absl::Status held = co_await leases_.Confirm();
    if (!held.ok()) {
      co_return held;
    }
  }
  const absl::Status guarded = co_await network_.Prepare(std::move(container));
  if (!guarded.ok()) {
    co_return guarded;
  }
  absl::StatusOr<RuntimeContainer> running = co_await runtime_.Start(*std::move(spec));
  if (!running.ok()) {
    co_return running.status();
  }
  if (!running->degraded.empty()) {
    std::string lacking;
    for (const std::string& what : running->degraded) {
      lacking = StrCat(lacking, lacking.empty() ? "" : " ", what);
    }
    log_.Info("container_degraded", {{"container", id}, {"lacking", lacking}});
  }
  Started started{.started_at = running->started_at,
                  .disk_limit_mode = running->disk_mode,
                  .lacking = running->degraded,
                  .told = ConditionsOfFirstStart(running->first_start, running->unused_context)};
  images_.NoteUse(digest);
  const bool due = running->first_start.state == FirstStart::State::kDue;
  containers_[id] = *std::move(running);
  if (due) {
    Spawn(scope_, "agent_first_start", RunFirstStart(id));
  }
  co_return started;
}

asio::awaitable<absl::Status> Agent::Change(Action action) {
  switch (action.kind) {
    case ActionKind::kStop:
      co_return co_await runtime_.Stop(action.id, action.grace);
    case ActionKind::kFreeze:
      co_return co_await runtime_.Freeze(action.id);
    case ActionKind::kThaw:
      co_return co_await runtime_.Unfreeze(action.id);
    case ActionKind::kAdjust:
    case ActionKind::kRebuild: {
      absl::StatusOr<RuntimeSpec> spec = SpecOf(action.container);
      if (!spec.ok()) {
        co_return spec.status();
      }
      if (action.kind == ActionKind::kAdjust) {
        co_return co_await runtime_.Adjust(*std::move(spec));
      }
      co_return co_await runtime_.Rebuild(*std::move(spec));
    }
    case ActionKind::kDelete: {
      absl::Status status = co_await runtime_.Delete(action.id);
      if (status.ok()) {
        containers_.erase(action.id);
        early_exits_.erase(action.id);
        ids_.Release(action.id);
      }
      co_return status;
    }
    case ActionKind::kStart:
    case ActionKind::kFetch:
      break;
  }
  co_return absl::InternalError("not a change of a container");
}

absl::StatusOr<RuntimeSpec> Agent::SpecOf(const api::NodeContainer& container) {
  RuntimeSetting setting{.bridge = options_.bridge, .contexts = journal_.paths().Contexts()};
  BRAMBLE_ASSIGN_OR_RETURN(setting.ids, ids_.Take(container.id));
  absl::StatusOr<CachedImage> image = images_.Find(container.image_digest);
  const auto held = containers_.find(container.id);
  if (image.ok()) {
    setting.image = *std::move(image);
  } else if (held != containers_.end()) {
    // What runs goes on without its archive being known here: limits can still be changed.
    setting.image.tree = held->second.spec.image_tree;
    setting.image.ids = held->second.spec.image_ids;
  } else {
    return image.status();
  }
  return MakeRuntimeSpec(container, setting);
}

asio::awaitable<absl::Status> Agent::FetchImage(api::NodeContainer container) {
  const std::string digest = container.image_digest;
  const std::filesystem::path path = images_.ArchivePath(digest);
  const absl::Status fetched = co_await source_.Fetch(digest, container.image_size, path);
  if (!fetched.ok()) {
    co_return fetched;
  }
  absl::StatusOr<CachedImage> added = co_await images_.Add(digest);
  source_.Release(digest);
  if (!added.ok()) {
    co_return added.status();
  }
  log_.Info("image_added", {{"image", digest}, {"entries", added->entries}});
  co_return absl::OkStatus();
}

asio::awaitable<absl::StatusOr<RuntimeSpec>> Agent::PrepareImport(ContainerId id,
                                                                  std::string move) {
  absl::StatusOr<api::NodeContainer> container = core_.BeginImport(id, move);
  if (!container.ok()) {
    co_return container.status();
  }
  if (!images_.Find(container->image_digest).ok()) {
    api::NodeContainer wanted = *container;
    const absl::Status fetched = co_await FetchImage(std::move(wanted));
    RefreshImages();
    if (!fetched.ok()) {
      co_return Annotate(fetched, StrCat("image \"", container->spec.image, "\""));
    }
    // That took its time: the move may have been called off, and what was to be removed is.
    container = core_.BeginImport(id, move);
    if (!container.ok()) {
      co_return container.status();
    }
  }
  co_return SpecOf(*container);
}

asio::awaitable<absl::Status> Agent::CollectImages(Bytes needed) {
  if (core_.busy()) {
    co_return absl::OkStatus();
  }
  const absl::Status status = co_await images_.Collect(core_.images_in_use(), needed);
  RefreshImages();
  Pump();
  co_return status;
}

void Agent::OnExit(const RuntimeExitEvent& event) {
  const auto found = containers_.find(event.id);
  if (found == containers_.end() || found->second.init_pid != event.init_pid) {
    // Of a start whose answer is still on its way, or of a run that is long over.
    early_exits_[event.id] = event;
    return;
  }
  found->second.init_pid = 0;
  found->second.state = RuntimeState::kStopped;
  const Ended ended = EndedOf(event);
  log_.Info("container_exited", {{"container", found->second.spec.name},
                                 {"code", ended.code.value_or(-1)},
                                 {"reboot", ended.reboot}});
  core_.OnExited(event.id, ended, clock_.Boot());
  TellNetwork();
  Pump();
}

void Agent::RefreshImages() {
  std::set<std::string> cached;
  for (const CachedImage& image : images_.List()) {
    cached.insert(image.digest);
  }
  core_.OnImages(std::move(cached));
}

asio::awaitable<void> Agent::WakeWhenDue() {
  while (true) {
    rearm_.Reset();
    const BootTime now = clock_.Boot();
    const std::optional<BootTime> wake = core_.NextWake(now);
    if (!wake.has_value()) {
      co_await rearm_.Wait();
      continue;
    }
    const auto wait = std::chrono::duration_cast<LoopDuration>(*wake - now);
    const bool rearmed = co_await rearm_.WaitFor(std::max(wait, LoopDuration::zero()));
    if (!rearmed) {
      Pump();
    }
  }
}

// ---- the controller and the lease holder

Acceptance Agent::OnDesired(const api::Desired& desired) {
  const Acceptance accepted = core_.OnDesired(desired, clock_.Boot());
  if (accepted == Acceptance::kApplied) {
    for (const api::NodeContainer& container : desired.containers) {
      (void)ids_.Take(
          container.id);  // journalled with the rest; a lack of ranges shows at the start
    }
    journal_dirty_.Set();
    TellNetwork();
  }
  Pump();
  return accepted;
}

void Agent::OnSession() {
  core_.OnSession(clock_.Boot());
  contexts_dirty_.Set();
}

void Agent::OnLease(BootTime until) {
  core_.OnLease(until, clock_.Boot());
  Pump();
}

void Agent::SetStopAfterLease(std::chrono::milliseconds stop) {
  stop_after_lease_ = stop;
  core_.set_stop_after_lease(stop);
}

void Agent::OnLeaseHolder(bool present, std::optional<BootTime> until) {
  if (until.has_value()) {
    core_.OnLease(*until, clock_.Boot());
  }
  core_.OnLeaseHolder(present, clock_.Boot());
  protected_.clear();
  protected_until_.reset();
  Pump();
}

void Agent::TellLeaseGuard() {
  std::vector<LeaseGuard::Protected> now;
  for (const ContainerId& id : core_.movable_running()) {
    LeaseGuard::Protected one{.id = id};
    if (options_.cgroup_of) {
      one.group = options_.cgroup_of(id);
    }
    const auto found = containers_.find(id);
    if (found != containers_.end() && found->second.init_pid != 0) {
      one.init_pid = found->second.init_pid;
      one.init_start_ticks = found->second.init_start_ticks;
      one.halt_signal = SignalNumber(found->second.spec.halt_signal);
    }
    now.push_back(std::move(one));
  }
  const bool same =
      now.size() == protected_.size() &&
      std::equal(now.begin(), now.end(), protected_.begin(), [](const auto& a, const auto& b) {
        return a.id == b.id && a.init_pid == b.init_pid;
      });
  if (same && protected_until_ == core_.lease_until()) {
    return;
  }
  protected_ = now;
  protected_until_ = core_.lease_until();
  leases_.Protect(std::move(now), protected_until_, stop_after_lease_);
}

void Agent::TellNetwork() {
  if (!started_) {
    return;
  }
  std::map<ContainerId, NetworkContainer> all;
  for (api::NodeContainer& container : core_.desired()) {
    const ContainerId id = container.id;
    all[id].definition = std::move(container);
  }
  for (const auto& [id, container] : containers_) {
    NetworkContainer& known = all[id];
    if (known.definition.id.empty()) {
      known.definition = HeldOf(container).definition;
    }
    if (container.init_pid != 0) {
      known.init_pid = container.init_pid;
      known.init_start_ticks = container.init_start_ticks;
    }
  }
  std::vector<NetworkContainer> containers;
  for (auto& [id, container] : all) {
    containers.push_back(std::move(container));
  }
  network_.SetContainers(std::move(containers));
}

std::optional<api::Report> Agent::TakeReport(bool full) {
  return core_.TakeReport(full, clock_.Boot());
}

std::vector<std::string> Agent::images() const {
  std::vector<std::string> digests;
  for (const CachedImage& image : images_.List()) {
    digests.push_back(image.digest);
  }
  return digests;
}

std::vector<api::Condition> Agent::conditions() const {
  std::vector<api::Condition> conditions = core_.conditions();
  if (!journal_status_.ok()) {
    conditions.push_back(
        {.type = "journal-failed",
         .severity = "critical",
         .message = StrCat("the journal cannot be written: ", MessageOf(journal_status_))});
  }
  return conditions;
}

// ---- what is kept

asio::awaitable<void> Agent::KeepJournal() {
  while (true) {
    co_await journal_dirty_.Wait();
    journal_dirty_.Reset();
    DesiredRecord record{.version = core_.version(),
                         .containers = core_.desired(),
                         .tombstones = core_.tombstones(),
                         .id_ranges = ids_.taken()};
    const api::Version version = record.version;
    auto save = [this, record = std::move(record)] { return journal_.SaveDesired(record); };
    absl::Status status = co_await disk_.Run(std::move(save));
    if (status.ok() != journal_status_.ok()) {
      status.ok() ? log_.Info("journal_works_again")
                  : log_.Error("journal_failed", {{"error", status}});
      changed_.Set();
    }
    journal_status_ = status;
    if (!status.ok()) {
      co_await SleepFor(kJournalRetry);
      journal_dirty_.Set();
      continue;
    }
    core_.OnJournaled(version);
    Pump();
  }
}

void Agent::SaveNotes() {
  std::string notes = EncodeNotes(core_.notes(), options_.boot_id);
  if (notes == notes_) {
    return;
  }
  if (absl::Status written = ReplaceWithoutSync(journal_.paths().Notes(), notes); !written.ok()) {
    log_.Warn("notes_not_written", {{"error", written}});
    return;
  }
  notes_ = std::move(notes);
}

}  // namespace bramble::node
