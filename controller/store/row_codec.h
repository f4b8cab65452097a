// SPDX-License-Identifier: Apache-2.0
#pragma once

// Records as rows and back.  What the API shows of an object is in `doc` under "api", rendered
// once: the same text answers GET.

#include "controller/model/records.h"
#include "controller/model/state.h"
#include "controller/store/store.h"

namespace bramble::controller {

// The object as the API shows it.
SharedText Render(const ContainerRecord& record);
SharedText Render(const NodeRecord& record);
SharedText Render(const ImageRecord& record);
SharedText Render(const FlavorRecord& record);
SharedText Render(const TokenRecord& record);
SharedText Render(const OperationRecord& record);
SharedText Render(const ProjectRecord& record);
SharedText Render(const SecurityGroupRecord& record);
SharedText Render(const FloatingIpRecord& record);
SharedText Render(const PortForwardRecord& record);
SharedText Render(const ReservationRecord& record);
SharedText Render(const KeyRecord& record);

// `body`: the record, rendered.
Row ToRow(const ContainerRecord& record, const std::string& body);
Row ToRow(const NodeRecord& record, const std::string& body);
Row ToRow(const ImageRecord& record, const std::string& body);
Row ToRow(const FlavorRecord& record, const std::string& body);
Row ToRow(const TokenRecord& record, const std::string& body);
Row ToRow(const OperationRecord& record, const std::string& body);
Row ToRow(const ProjectRecord& record, const std::string& body);
Row ToRow(const SecurityGroupRecord& record, const std::string& body);
Row ToRow(const FloatingIpRecord& record, const std::string& body);
Row ToRow(const PortForwardRecord& record, const std::string& body);
Row ToRow(const ReservationRecord& record, const std::string& body);
Row ToRow(const KeyRecord& record, const std::string& body);
Row ToRow(const ContextRecord& record);
Row ToRow(const ClusterRecord& record);
Row ToRow(const UserRecord& record);
Row ToRow(const CredentialRecord& record);
Row ToRow(const IdempotencyRecord& record);

// Puts the object of `row` into `state`.  kDataLoss names the row.
absl::Status ReadRow(const Row& row, uint64_t revision, State& state);
absl::StatusOr<EventRecord> ReadEvent(const StoredEvent& stored);

}  // namespace bramble::controller
