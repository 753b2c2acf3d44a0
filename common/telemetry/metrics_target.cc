#include "common/telemetry/metrics_target.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/memory/memory.h"
#include "common/base/files.h"
#include "common/base/host_port.h"
#include "common/base/status_macros.h"

namespace reckon {

absl::StatusOr<std::unique_ptr<MetricsTarget>> MetricsTarget::Write(const std::string& file,
                                                                    const std::string& role,
                                                                    const std::string& listening) {
  ASSIGN_OR_RETURN(const HostPort listen, ParseHostPort(listening));
  ASSIGN_OR_RETURN(const HostPort told, AnnouncedAddress(listen, ""));
  const nlohmann::json target = {
      {"targets", {told.ToString()}},
      {"labels",
       {{"job", "reckon-" + role}, {"process", std::filesystem::path(file).stem().string()}}}};
  const std::string text = nlohmann::json::array({target}).dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
  RETURN_IF_ERROR(WriteFileAtomically(file, text + "\n"));
  return absl::WrapUnique(new MetricsTarget(file));
}

MetricsTarget::~MetricsTarget() {
  std::error_code ignored;
  std::filesystem::remove(file_, ignored);
}

}  // namespace reckon
