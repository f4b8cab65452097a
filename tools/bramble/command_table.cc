// SPDX-License-Identifier: Apache-2.0
#include "tools/bramble/command.h"
#include "tools/bramble/resources.h"

namespace bramble::cli {
namespace {

std::vector<Command> Joined() {
  std::vector<Command> all;
  for (const auto& part :
       {ClusterInitCommands, ClusterCommands,       ClusterDoctorCommands, ClusterBackupCommands,
        TokenCommands,       NodeCommands,          NodeOrderCommands,     ContainerRunCommands,
        ContainerCommands,   ContainerExecCommands, ContainerFileCommands, ImageImportCommands,
        ImagePruneCommands,  ImageCommands,         FlavorCommands,        KeyCommands,
        NetworkCommands,     FloatingIpCommands,    SecurityGroupCommands, PlanCommands,
        EventCommands,       OperationCommands,     SdcardBuildCommands,   SdcardCustomiseCommands,
        SdcardFlashCommands, SdcardInspectCommands, ProgramCommands}) {
    std::vector<Command> commands = part();
    std::move(commands.begin(), commands.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace

const std::vector<Command>& AllCommands() {
  static const std::vector<Command> all = Joined();
  return all;
}

std::vector<Flag> FlagsOf(const Command& command) {
  std::vector<Flag> flags = command.flags;
  if (command.answers != Answers::kNothing) {
    flags.push_back({.name = "output",
                     .value = "FORMAT",
                     .help = "how to print; json is the API's answer unchanged",
                     .letter = 'o',
                     .choices = {"table", "json", "yaml", "name"}});
  }
  if (command.answers == Answers::kList) {
    flags.push_back({.name = "columns",
                     .value = "LIST",
                     .help = "of the table: names, paths such as spec.image, or all",
                     .repeats = true,
                     .completes = Completes::kColumns});
    flags.push_back({.name = "filter",
                     .value = "TERMS",
                     .help = "KEY=VALUE or KEY!=VALUE, comma-separated; label.KEY for labels",
                     .repeats = true});
  }
  if (command.answers == Answers::kOperation) {
    flags.push_back({.name = "wait", .value = "", .help = "wait until it is done (the default)"});
    flags.push_back({.name = "no-wait", .value = "", .help = "return once it is accepted"});
    flags.push_back({.name = "timeout", .value = "TIME", .help = "wait at most (15m)"});
  }
  flags.push_back({.name = "controller",
                   .value = "NAME|URL",
                   .help = "which controller, when several are known"});
  flags.push_back({.name = "help", .value = "", .help = "this text", .letter = 'h'});
  return flags;
}

}  // namespace bramble::cli
