// SPDX-License-Identifier: Apache-2.0
#pragma once

// The commands of each resource, and how each is shown.  command_table.cc joins them.

#include <vector>

#include "tools/bramble/command.h"
#include "tools/bramble/output.h"

namespace bramble::cli {

std::vector<Command> ClusterCommands();
std::vector<Command> ClusterInitCommands();
std::vector<Command> ClusterDoctorCommands();
std::vector<Command> ClusterBackupCommands();
std::vector<Command> TokenCommands();
std::vector<Command> NodeCommands();
std::vector<Command> NodeOrderCommands();
std::vector<Command> ContainerRunCommands();
std::vector<Command> ContainerCommands();
std::vector<Command> ContainerExecCommands();
std::vector<Command> ContainerFileCommands();
std::vector<Command> ImageCommands();
std::vector<Command> ImageImportCommands();
std::vector<Command> ImagePruneCommands();
std::vector<Command> FlavorCommands();
std::vector<Command> KeyCommands();
std::vector<Command> NetworkCommands();     // and address
std::vector<Command> FloatingIpCommands();  // and port-forward
std::vector<Command> SecurityGroupCommands();
std::vector<Command> OperationCommands();
std::vector<Command> EventCommands();
std::vector<Command> PlanCommands();
std::vector<Command> SdcardBuildCommands();
std::vector<Command> SdcardCustomiseCommands();
std::vector<Command> SdcardFlashCommands();
std::vector<Command> SdcardInspectCommands();
std::vector<Command> ProgramCommands();  // completion, version

const Resource& NodeResource();
const Resource& ImageResource();
const Resource& FlavorResource();
const Resource& KeyResource();
const Resource& TokenResource();

}  // namespace bramble::cli
