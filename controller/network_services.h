// SPDX-License-Identifier: Apache-2.0
#pragma once

// The coordinator's subjects of the network.

#include <map>
#include <set>

#include "controller/coordinator_floating_ips.h"
#include "controller/coordinator_network.h"
#include "controller/coordinator_port_forwards.h"
#include "controller/coordinator_security_groups.h"
#include "controller/fleet.h"
#include "controller/listing.h"
#include "controller/session_service.h"

namespace bramble::controller {

class LedgerSecurityGroups : public SecurityGroupService {
 public:
  LedgerSecurityGroups(Ledger& ledger, Fleet& fleet);
  absl::StatusOr<Rendered> Get(const Principal& who, const ProjectKey& key) override;
  absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) override;
  void Create(const Principal& who, api::SecurityGroup group, WriteOptions options,
              WriteDone done) override;
  void Alter(const Principal& who, const ProjectKey& key, Update update, WriteOptions options,
             WriteDone done) override;
  void Delete(const Principal& who, const ProjectKey& key, WriteOptions options,
              WriteDone done) override;

  // OK when every group that a container of `project` is to have exists.
  static absl::Status Check(const State& state, std::string_view project,
                            const std::vector<std::string>& groups);

 private:
  absl::StatusOr<const SecurityGroupRecord*> Find(const Principal& who, Access access,
                                                  const ProjectKey& key) const;
  absl::Status CheckRules(const api::SecurityGroup& group) const;
  Written Put(Change& change, SecurityGroupRecord record, std::string_view event);

  Ledger& ledger_;
  Fleet& fleet_;
  ListCache<SecurityGroupRecord> list_;
};

class LedgerFloatingIps : public FloatingIpService {
 public:
  LedgerFloatingIps(Ledger& ledger, Fleet& fleet);
  absl::StatusOr<Rendered> Get(const Principal& who, const std::string& address) override;
  absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) override;
  void Attach(const Principal& who, api::AttachFloatingIp request, WriteOptions options,
              WriteDone done) override;
  void Detach(const Principal& who, const Detachment& detachment, WriteOptions options,
              WriteDone done) override;

 private:
  absl::StatusOr<const FloatingIpRecord*> Find(const Principal& who, Access access,
                                               const std::string& address) const;
  absl::StatusOr<Ipv4> Choose(const api::AttachFloatingIp& request,
                              const ContainerRecord& container) const;
  // OK when the node of `ip`'s container surely learns that it is taken away.
  absl::Status CheckHolder(const api::FloatingIp& ip, bool force) const;
  void TakeAway(Change& change, const api::FloatingIp& ip);

  Ledger& ledger_;
  Fleet& fleet_;
  ListCache<FloatingIpRecord> list_;
};

class LedgerPortForwards : public PortForwardService {
 public:
  LedgerPortForwards(Ledger& ledger, const NetworkServices* services, std::set<uint16_t> own_ports);
  absl::StatusOr<Rendered> List(const Principal& who, const ListQuery& query) override;
  void Add(const Principal& who, api::PortForward forward, WriteOptions options,
           WriteDone done) override;
  void Delete(const Principal& who, const std::string& name, WriteOptions options,
              WriteDone done) override;

 private:
  Ledger& ledger_;
  const NetworkServices* const services_;
  const std::set<uint16_t> own_ports_;
  ListCache<PortForwardRecord> list_;
};

class LedgerNetwork : public NetworkService {
 public:
  struct Parts {
    Ledger& ledger;
    Fleet& fleet;
    const LedgerSessions& sessions;
    AddressProber& prober;
    const NetworkServices* services;  // null: nothing is served on this machine
  };
  explicit LedgerNetwork(Parts parts);

  absl::StatusOr<Rendered> Get(const Principal& who) override;
  absl::StatusOr<Rendered> Plan(const Principal& who, const api::NetworkPatch& patch) override;
  void Alter(const Principal& who, api::NetworkPatch patch, WriteOptions options,
             WriteDone done) override;
  absl::StatusOr<Rendered> Findings(const Principal& who) override;
  absl::StatusOr<Rendered> Addresses(const Principal& who, const ListQuery& query) override;
  void Reserve(const Principal& who, api::Reservation reservation, WriteOptions options,
               WriteDone done) override;
  void Release(const Principal& who, const std::string& key, WriteOptions options,
               WriteDone done) override;
  absl::StatusOr<Rendered> GetProject(const Principal& who, const std::string& name) override;
  absl::StatusOr<Rendered> ListProjects(const Principal& who, const ListQuery& query) override;
  void ChangeProject(const Principal& who, const std::string& name, bool auto_floating_ip,
                     WriteOptions options, WriteDone done) override;
  void OnRivals(const std::vector<api::RivalDhcp>& rivals) override;

  // Asks about one assigned address at a time whether two machines answer for it.
  void Tick();

  // What is wrong, from all that is known.  In order of severity.
  std::vector<api::NetworkFinding> Diagnose() const;

 private:
  // A change of the network before it is written: what it gives out is asked for by ARP.
  struct Altering {
    Principal who;
    api::NetworkPatch patch;
    WriteOptions options;
    WriteDone done;
    std::set<Ipv4> asked;
    std::set<Ipv4> in_use;
    size_t waiting = 0;  // answers
    int rounds = 0;
  };
  absl::StatusOr<AddressPlan> PlanOf(const api::NetworkPatch& patch) const;
  // Addresses that `plan` gives out and that nobody of the cluster has now, but those in `asked`.
  std::set<Ipv4> Unasked(const api::NetworkPlan& plan, const std::set<Ipv4>& asked) const;
  void AskAndAlter(const std::shared_ptr<Altering>& altering);
  void WriteNetwork(Altering& altering);
  void Move(Change& change, const api::NetworkPlan& plan);
  SharedText Render() const;
  std::vector<api::Address> AllAddresses() const;
  void OnWho(const std::string& address, const std::vector<std::string>& macs);

  Parts parts_;
  ListCache<ProjectRecord> projects_;
  std::string asked_;  // the address that was asked about last
  std::map<std::string, std::vector<std::string>> conflicts_;  // by address: who answers
  std::set<std::string> rivals_;
};

}  // namespace bramble::controller
